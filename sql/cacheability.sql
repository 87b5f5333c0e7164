-- What may be cached, and the reasons for what may not.
CREATE SCHEMA cacheability;
SET search_path = cacheability;
SET client_min_messages = warning;

CREATE TYPE address AS (street text, since date);
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN day AS date;
CREATE FUNCTION lucky(int) RETURNS bool VOLATILE LANGUAGE sql AS 'SELECT $1 > random()';
CREATE DOMAIN odd AS int CHECK (lucky(value));

CREATE TABLE t (id int PRIMARY KEY, name text, born date, seen timestamptz, at timestamp, price money,
	doc json, docb jsonb, page xml, home address, paint color, span int4range, days date[],
	hour time, object regclass, raw bytea, ratio float8, wait interval, amount numeric);
CREATE TABLE u (id int, t int);
CREATE TABLE untracked (id int);
SELECT cache_ext.track('t');
SELECT cache_ext.track('u');

-- One line a query: "cached", or why not.
CREATE FUNCTION verdict(sql text, VARIADIC args text[] DEFAULT '{}') RETURNS text
LANGUAGE sql
RETURN (SELECT CASE WHEN cacheable THEN 'cached' ELSE reason END FROM cache_ext.explain(sql, args));

--
-- Shapes of queries
--
SELECT verdict(q), q FROM (VALUES
	('SELECT 1'),
	('SELECT FROM t'),
	('TABLE t'),
	('VALUES (1, 2), (3, 4)'),
	('SELECT * FROM t WHERE id > 1 ORDER BY name LIMIT 3 OFFSET 1'),
	('SELECT DISTINCT ON (name) name, born FROM t ORDER BY name, born FETCH FIRST 3 ROWS WITH TIES'),
	('SELECT name, born, count(*), grouping(name) FROM t GROUP BY CUBE (name, born) HAVING count(*) > 1'),
	('SELECT id FROM t UNION SELECT t FROM u EXCEPT ALL SELECT 5'),
	('SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.t = t.id OFFSET 1) x'),
	('SELECT * FROM t LEFT JOIN u USING (id) FULL JOIN u v USING (id)'),
	('SELECT * FROM t WHERE id IN (SELECT t FROM u) AND (id, 1) = ANY (SELECT id, t FROM u)'),
	('WITH x AS MATERIALIZED (SELECT * FROM t) SELECT * FROM x, x y'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) CYCLE n SET c USING p SELECT n FROM r'),
	('SELECT g, u.* FROM generate_series(1, 3) WITH ORDINALITY g, ROWS FROM (unnest(ARRAY[1]), unnest(ARRAY[2])) u'),
	('SELECT rank() OVER w, sum(id) FILTER (WHERE id > 1) OVER (w ROWS 1 PRECEDING) FROM t WINDOW w AS (ORDER BY id)'),
	('SELECT sum(id) OVER (ORDER BY seen RANGE BETWEEN ''1 day'' PRECEDING AND CURRENT ROW) FROM t'),
	('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id), mode() WITHIN GROUP (ORDER BY name) FROM t'),
	('SELECT CASE WHEN id > 1 THEN name END, coalesce(name, ''''), greatest(id, 1), nullif(id, 1) FROM t'),
	('SELECT name COLLATE "C" FROM t WHERE name IS DISTINCT FROM ''x'' AND (id, name) < (1, ''b'')'),
	('SELECT docb[''a''], days[1:2], (home).street, ARRAY[id], ROW(id, name) = ROW(1, ''x'') FROM t'),
	('SELECT t FROM t')) v (q);

SELECT verdict('SELECT * FROM t WHERE id = $1 ORDER BY name LIMIT $2', '1', NULL);

SELECT verdict(q), q FROM (VALUES
	('SELECT * FROM t FOR UPDATE'),
	('SELECT * FROM (SELECT * FROM t FOR KEY SHARE) x'),
	('WITH x AS (DELETE FROM u RETURNING *) SELECT * FROM x'),
	('SELECT * FROM t TABLESAMPLE bernoulli (50)'),
	('SELECT ctid FROM t'),
	('SELECT * FROM t WHERE xmin IS NOT NULL'),
	('SELECT tableoid FROM t'),
	('SELECT ROW(id, name) FROM t'),
	('SELECT array_agg(x) FROM (SELECT id FROM t) x')) v (q);

--
-- Relations
--
CREATE VIEW good AS SELECT id, name FROM t WHERE id > 1;
CREATE VIEW bad AS SELECT g.id FROM good g, untracked;
CREATE MATERIALIZED VIEW frozen AS SELECT * FROM t;
CREATE SEQUENCE numbers;
CREATE TEMP TABLE mine (id int);
CREATE TABLE parent (id int) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parent FOR VALUES IN (1);
SELECT cache_ext.track('parent');
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE abroad (id int) SERVER files OPTIONS (filename '/dev/null');

SELECT verdict(q), q FROM (VALUES
	('SELECT * FROM good'),
	('SELECT * FROM bad'),
	('SELECT * FROM frozen'),
	('SELECT * FROM untracked'),
	('SELECT * FROM t WHERE EXISTS (SELECT FROM untracked)'),
	('SELECT * FROM parent'),
	('SELECT * FROM part'),
	('SELECT * FROM mine'),
	('SELECT * FROM abroad'),
	('SELECT * FROM numbers'),
	('SELECT * FROM pg_class'),
	('SELECT * FROM information_schema.tables'),
	('SELECT * FROM pg_stat_activity')) v (q);
DISCARD TEMP;

-- children that can't be cached
CREATE TABLE base (id int);
SELECT cache_ext.track('base');
SELECT verdict('SELECT * FROM base');
CREATE TABLE child () INHERITS (base);
SELECT verdict('SELECT * FROM base'), verdict('SELECT * FROM ONLY base');
DROP TABLE child;
CREATE TEMP TABLE child () INHERITS (base);
SELECT verdict('SELECT * FROM base'), verdict('SELECT * FROM ONLY base');
DROP TABLE child;
ALTER FOREIGN TABLE abroad INHERIT base;
SELECT verdict('SELECT * FROM base');
DROP EXTENSION file_fdw CASCADE;
SELECT verdict('SELECT * FROM base');

-- where a TTL is enough
SELECT q, reason FROM (VALUES
	('SELECT * FROM untracked'),
	('SELECT * FROM bad'),
	('SELECT * FROM pg_class'),
	('SELECT * FROM numbers')) v (q), cache_ext.explain(q, untracked => 'ttl');

--
-- Functions
--
-- not fixed by what the key holds
SELECT verdict(q), q FROM (VALUES
	('SELECT random()'),
	('SELECT * FROM t ORDER BY random()'),
	('SELECT nextval(''numbers'')'),
	('SELECT * FROM t WHERE seen > now() - interval ''1 day'''),
	('SELECT (SELECT clock_timestamp())'),
	('SELECT current_date'),
	('SELECT localtimestamp(3)'),
	('SELECT age(seen) FROM t'),
	('SELECT hour::timetz FROM t'),
	('SELECT current_schema'),
	('SELECT current_catalog'),
	('SELECT pg_backend_pid()'),
	('SELECT has_table_privilege(''t'', ''SELECT'')'),
	('SELECT table_to_xml(''t'', true, true, '''')'),
	('SELECT jsonb_path_query_tz(docb, ''$.a'') FROM t'),
	('SELECT to_regclass(name) FROM t'),
	('SELECT format_type(id, NULL) FROM t'),
	('SELECT lo_get(1)')) v (q);

-- fixed
SELECT verdict(q), q FROM (VALUES
	('SELECT current_user, session_user, user, current_role'),
	('SELECT date_trunc(''day'', seen), extract(year FROM seen), seen + interval ''1 day'' FROM t'),
	('SELECT seen::date, seen::timestamp, seen::time, at::timestamptz, born::timestamptz FROM t'),
	('SELECT seen > born, seen = at, born < seen, at BETWEEN born AND seen FROM t'),
	('SELECT generate_series(seen, seen, interval ''1 day'') FROM t'),
	('SELECT to_char(seen, ''TMMonth''), to_char(id, ''999''), to_char(wait, ''HH24'') FROM t'),
	('SELECT to_date(name, ''YYYY''), to_timestamp(name, ''YYYY''), to_number(name, ''9'') FROM t'),
	('SELECT to_tsvector(name), ts_headline(name, to_tsquery(''x'')), name @@ ''x'' FROM t'),
	('SELECT to_tsvector(''english'', name) FROM t'),
	('SELECT price * 2, amount::money, price::numeric FROM t'),
	('SELECT enum_range(paint), paint > ''red'' FROM t'),
	('SELECT convert_from(raw, ''UTF8''), length(raw, ''UTF8'') FROM t'),
	('SELECT jsonb_path_query(docb, ''$.a''), docb @? ''$.b'' FROM t'),
	('SELECT ''t''::regclass, object, object::oid, object = ''t''::regclass FROM t'),
	('SELECT date ''today''')) v (q);

-- settings: by a constant name only
SELECT verdict(q), q FROM (VALUES
	('SELECT current_setting(''work_mem'')'),
	('SELECT * FROM t WHERE id::text = current_setting(''app.tenant'', true)'),
	('SELECT current_setting(name) FROM t'),
	('SELECT current_setting(''data_directory'')')) v (q);

--
-- Turning values into text and back
--
SELECT verdict(q), q FROM (VALUES
	('SELECT id::text, seen::text, born::text, days::text, span::text, home::text, paint::text FROM t'),
	('SELECT ratio::text, raw::text, wait::text, price::text, docb::text, page::text FROM t'),
	('SELECT object::text FROM t'),
	('SELECT ARRAY[object]::text FROM t'),
	('SELECT t::text FROM t'),
	('SELECT concat(id, seen), concat_ws('','', home), format(''%s'', days), id || name FROM t'),
	('SELECT concat(object) FROM t'),
	('SELECT quote_literal(id), quote_nullable(seen), quote_ident(name), array_to_string(days, '','') FROM t'),
	('SELECT name::int, name::numeric, name::interval, name::json, name::int[], name::int4range FROM t'),
	('SELECT name::money, name::xml, name::uuid, name::color, name::positive FROM t'),
	('SELECT name::date FROM t'),
	('SELECT name::timestamptz FROM t'),
	('SELECT name::time FROM t'),
	('SELECT name::day FROM t'),
	('SELECT name::date[] FROM t'),
	('SELECT name::daterange FROM t'),
	('SELECT name::address FROM t'),
	('SELECT name::regclass FROM t'),
	('SELECT days::text[]::date[] FROM t'),
	('SELECT id::positive FROM t'),
	('SELECT id::odd FROM t')) v (q);

-- JSON
SELECT verdict(q), q FROM (VALUES
	('SELECT to_json(id), to_jsonb(home), row_to_json(u), json_build_object(''a'', seen) FROM t JOIN u USING (id)'),
	('SELECT json_agg(u ORDER BY id), jsonb_object_agg(id, t) FROM u'),
	('SELECT json_agg(x) FROM (SELECT id, u AS whole FROM u) x'),
	('SELECT array_to_json(array_agg(x)) FROM (SELECT id FROM u) x'),
	('SELECT row_to_json(ROW(id, name)), row_to_json(v) FROM t, (VALUES (1, 2)) v'),
	('SELECT json_agg(t) FROM t'),
	('SELECT to_json(object) FROM t'),
	('SELECT json_agg(x) FROM (SELECT id, object FROM t) x'),
	('SELECT json_agg(x) FROM (SELECT y AS inside FROM (SELECT object FROM t) y) x'),
	('SELECT * FROM json_to_record(''{}'') AS x (a int, b text[])'),
	('SELECT * FROM json_to_record(''{}'') AS x (a int, b date)'),
	('SELECT * FROM jsonb_to_recordset(''[]'') AS x (a address)'),
	('SELECT jsonb_populate_record(NULL::u, docb) FROM t'),
	('SELECT jsonb_populate_record(NULL::address, docb) FROM t')) v (q);

-- XML
SELECT verdict(q), q FROM (VALUES
	('SELECT xmlelement(NAME x, xmlattributes(id), seen), xmlforest(name, days) FROM t'),
	('SELECT xmlparse(CONTENT name), xmlserialize(CONTENT page AS text), page IS DOCUMENT FROM t'),
	('SELECT xmlelement(NAME x, object) FROM t'),
	('SELECT x.* FROM t, xmltable(''/a'' PASSING page COLUMNS a int, b text) x'),
	('SELECT x.* FROM t, xmltable(''/a'' PASSING page COLUMNS a int, b date) x')) v (q);

--
-- Users' functions, operators, aggregates, types; in a new session, which has no temporary schema
--
\c -
SET search_path = cacheability;
SET client_min_messages = warning;

CREATE FUNCTION plus(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2';
CREATE FUNCTION plus_dice(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1 + $2';
CREATE FUNCTION count_t() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM t';
CREATE FUNCTION pairs() RETURNS SETOF record IMMUTABLE LANGUAGE sql AS 'SELECT 1, 2';
CREATE OPERATOR #+# (FUNCTION = plus, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR ??? (FUNCTION = plus_dice, LEFTARG = int, RIGHTARG = int);
CREATE AGGREGATE total (int) (SFUNC = plus, STYPE = int, INITCOND = '0');
CREATE AGGREGATE dice (int) (SFUNC = plus_dice, STYPE = int, INITCOND = '0');
CREATE FUNCTION later(date, date) RETURNS date IMMUTABLE LANGUAGE sql AS 'SELECT greatest($1, $2)';
CREATE AGGREGATE latest (date) (SFUNC = later, STYPE = date);
CREATE AGGREGATE latest_from_now (date) (SFUNC = later, STYPE = date, INITCOND = 'today');
CREATE FUNCTION describe(positive) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT ''x''';
CREATE FUNCTION color_json(color) RETURNS json VOLATILE LANGUAGE sql AS 'SELECT ''1''::json';

SELECT verdict(q), q FROM (VALUES
	('SELECT plus(id, 1), id #+# 1, total(id) OVER () FROM t'),
	('SELECT plus_dice(id, 1) FROM t'),
	('SELECT id ??? 1 FROM t'),
	('SELECT id FROM t WHERE id ??? 1 = ANY (ARRAY[1])'),
	('SELECT total(id), latest(born) FROM t'),
	('SELECT dice(id) FROM t'),
	('SELECT dice(id) OVER () FROM t'),
	('SELECT latest_from_now(born) FROM t'),
	('SELECT to_json(paint) FROM t'),
	('SELECT * FROM pairs() AS p (a int, b int)'),
	('SELECT pairs()'),
	('SELECT count_t()')) v (q);

CREATE CAST (color AS json) WITH FUNCTION color_json(color);
SELECT verdict('SELECT to_json(paint) FROM t');
DROP CAST (color AS json);

-- allowed, since nobody can tell what it does: as long as what it reads can be cached
CREATE OR REPLACE FUNCTION count_t() RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM t' INTO n; RETURN n; END $$;
SELECT verdict('SELECT count_t()');
SELECT cache_ext.allow_function('count_t()', '{t}');
SELECT verdict('SELECT count_t()');
SELECT cache_ext.allow_function('count_t()', '{t, untracked}');
SELECT verdict('SELECT count_t()');
SELECT cache_ext.allow_function('count_t()', '{good}');
SELECT verdict('SELECT count_t()');
CREATE TABLE secret (id int);
SELECT cache_ext.track('secret');
SELECT cache_ext.allow_function('count_t()', '{secret}');
SELECT verdict('SELECT count_t()');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
SELECT verdict('SELECT count_t()');
DROP TABLE secret;
SELECT verdict('SELECT count_t()');
BEGIN;
SELECT cache_ext.allow_function('count_t()', '{}');
SELECT verdict('SELECT count_t()');
ROLLBACK;
SELECT verdict('SELECT count_t()');
SELECT cache_ext.disallow_function('count_t()');
SELECT verdict('SELECT count_t()');

-- what a call leaves to defaults is part of it
CREATE FUNCTION with_defaults(a int, b float8 DEFAULT random(), c text DEFAULT CURRENT_USER) RETURNS text
	IMMUTABLE LANGUAGE sql AS 'SELECT concat($1, $2, $3)';
CREATE FUNCTION with_constant(a int, b int DEFAULT 2) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2';
SELECT verdict(q), q FROM (VALUES
	('SELECT with_defaults(id) FROM t'),
	('SELECT with_defaults(id, 2) FROM t'),
	('SELECT with_defaults(a => id, c => ''x'') FROM t'),
	('SELECT with_defaults(id, 2, ''x'') FROM t'),
	('SELECT * FROM with_defaults(1)'),
	('SELECT with_constant(id) FROM t'),
	('SELECT jsonb_path_exists(''{}'', ''$'') FROM t')) AS v (q);

--
-- EXECUTE is checked on hits too: on functions of users, and on built-in ones, of which it may be
-- revoked after the statement was planned
--
CREATE ROLE regress_cacheability_user;
GRANT USAGE ON SCHEMA cacheability TO regress_cacheability_user;
CREATE FUNCTION ask(sql text) RETURNS text LANGUAGE sql
	AS 'SELECT x FROM cache_ext.query(sql) AS q (x text)';
CREATE FUNCTION cached_in(sql text) RETURNS text LANGUAGE sql
	RETURN (SELECT CASE WHEN tier IS NOT NULL THEN 'cached' END FROM cache_ext.explain(sql));
\set built_in '''SELECT upper(''''a'''')'''
\set user_defined '''SELECT cacheability.plus(1, 1)::text'''
SELECT ask(:built_in), ask(:user_defined);
SELECT cached_in(:built_in), cached_in(:user_defined);
SET ROLE regress_cacheability_user;
-- the user's function runs what it runs as this user: an entry of its own
SELECT cached_in(:built_in), cached_in(:user_defined);
SELECT ask(:built_in), ask(:user_defined);
SELECT cached_in(:built_in), cached_in(:user_defined);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION upper(text), plus(int, int) FROM PUBLIC;
SELECT ask(:built_in), ask(:user_defined);
SELECT cached_in(:built_in), cached_in(:user_defined);
SET ROLE regress_cacheability_user;
SELECT ask(:built_in);
SELECT ask(:user_defined);
RESET ROLE;
GRANT EXECUTE ON FUNCTION upper(text) TO PUBLIC;

-- temporary tables come before all others when a function looks up a name
CREATE TEMP TABLE shadow (id int);
SELECT verdict('SELECT plus(id, 1) FROM t');
SELECT verdict('SELECT id + 1 FROM t');

--
-- Row-level security: policies are part of the query
--
CREATE TABLE account (id int, tenant int);
SELECT cache_ext.track('account');
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON account, u TO regress_cacheability_user;
SET ROLE regress_cacheability_user;
SELECT verdict('SELECT * FROM account');
RESET ROLE;
SET app.tenant = 5;
CREATE POLICY by_setting ON account USING (tenant = current_setting('app.tenant')::int);
SET ROLE regress_cacheability_user;
SELECT verdict('SELECT * FROM account');
RESET ROLE;
CREATE POLICY by_function ON account USING (tenant = (SELECT max(t) FROM u) AND lucky(id));
SET ROLE regress_cacheability_user;
SELECT verdict('SELECT * FROM account');
RESET ROLE;

SET gin_fuzzy_search_limit = 10;
SELECT verdict('SELECT * FROM t');
RESET gin_fuzzy_search_limit;

DROP SCHEMA cacheability CASCADE;
DROP ROLE regress_cacheability_user;
