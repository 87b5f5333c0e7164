-- Whoever asks gets exactly what PostgreSQL gives: rows, errors, and nothing of another's.
--
-- check_same() runs a query as the current user plainly, then twice through the cache, and shows what
-- came and where from; "differs" must never appear.
CREATE SCHEMA security_test;
GRANT USAGE ON SCHEMA security_test TO PUBLIC;
CREATE ROLE cx_alice;
CREATE ROLE cx_bob;
CREATE ROLE cx_staff;
CREATE ROLE cx_auditor BYPASSRLS;

CREATE FUNCTION public.check_same(sql text, OUT result text, OUT came text) LANGUAGE plpgsql AS $$
DECLARE
	before record;
	after record;
	again text;
BEGIN
	BEGIN
		EXECUTE format('SELECT string_agg(c, '', '') FROM (%s) q(c)', sql) INTO result;
	EXCEPTION WHEN OTHERS THEN
		result := SQLERRM;
	END;
	FOR i IN 1 .. 2 LOOP
		SELECT * INTO before FROM cache_ext.stats();
		BEGIN
			EXECUTE format('SELECT string_agg(c, '', '') FROM cache_ext.query(%L) q(c text)', sql)
				INTO again;
		EXCEPTION WHEN OTHERS THEN
			again := SQLERRM;
		END;
		SELECT * INTO after FROM cache_ext.stats();
		came := concat_ws(' ', came, CASE
			WHEN after.hits > before.hits THEN 'hit'
			WHEN after.fills > before.fills THEN 'stored'
			WHEN after.misses > before.misses THEN 'missed'
			WHEN after.bypasses > before.bypasses THEN 'bypass'
			ELSE 'plain' END);
		IF again IS DISTINCT FROM result THEN
			came := came || ' and differs: ' || coalesce(again, 'NULL');
		END IF;
	END LOOP;
END $$;

CREATE TABLE security_test.doc (id int PRIMARY KEY, owner text, body text, secret text);
INSERT INTO security_test.doc VALUES (1, 'cx_alice', 'a', 'sa'), (2, 'cx_bob', 'b', 'sb'), (3, 'all', 'c', 'sc');
SELECT cache_ext.track('security_test.doc');
GRANT SELECT ON security_test.doc TO cx_alice, cx_bob, cx_auditor;
SET search_path = security_test, public;

--
-- Row-level security: one policy for each of two roles
--
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY for_alice ON doc FOR SELECT TO cx_alice USING (owner = 'cx_alice');
CREATE POLICY for_bob ON doc FOR SELECT TO cx_bob USING (owner IN ('cx_bob', 'all'));
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET ROLE cx_auditor;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;

-- a policy changes
ALTER POLICY for_alice ON doc USING (owner IN ('cx_alice', 'all'));
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
CREATE POLICY more_for_alice ON doc FOR SELECT TO cx_alice USING (id = 2);
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
DROP POLICY more_for_alice ON doc;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');

-- row_security = off: an error for those whom a policy would restrict
SET row_security = off;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET row_security = on;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET ROLE cx_auditor;
SET row_security = off;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET row_security;
RESET ROLE;

-- BYPASSRLS comes and goes
ALTER ROLE cx_alice BYPASSRLS;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER ROLE cx_alice NOBYPASSRLS;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;

-- a policy of a group, and membership that changes
CREATE POLICY for_staff ON doc FOR SELECT TO cx_staff USING (true);
GRANT cx_staff TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
REVOKE cx_staff FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;

-- the owner, with and without FORCE
ALTER TABLE doc OWNER TO cx_bob;
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
ALTER TABLE doc FORCE ROW LEVEL SECURITY;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
ALTER TABLE doc NO FORCE ROW LEVEL SECURITY;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER TABLE doc OWNER TO CURRENT_USER;
GRANT SELECT ON doc TO cx_bob;

-- disabled and enabled again
ALTER TABLE doc DISABLE ROW LEVEL SECURITY;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;

--
-- A policy that reads a setting, one that reads the user, one that reads another table
--
CREATE TABLE item (id int PRIMARY KEY, tenant text, name text);
INSERT INTO item VALUES (1, 'one', 'x'), (2, 'two', 'y'), (3, 'two', 'z');
SELECT cache_ext.track('item');
ALTER TABLE item ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON item USING (tenant = current_setting('app.tenant', true));
GRANT SELECT ON item TO cx_alice, cx_bob;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
SET app.tenant = 'one';
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
SET app.tenant = 'two';
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
SET app.tenant = 'one';
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
BEGIN;
SET LOCAL app.tenant = 'two';
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
ROLLBACK;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET app.tenant;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET ROLE;
-- strict about a setting that is missing: an error, whoever cached before
ALTER POLICY by_tenant ON item USING (tenant = current_setting('app.tenant2'));
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
SET app.tenant2 = 'two';
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET ROLE;
ALTER POLICY by_tenant ON item USING (tenant = CASE current_user WHEN 'cx_alice' THEN 'one' ELSE 'two' END);
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET ROLE;
CREATE TABLE grant_list (who text, tenant text);
INSERT INTO grant_list VALUES ('cx_alice', 'one'), ('cx_bob', 'two');
SELECT cache_ext.track('grant_list');
GRANT SELECT ON grant_list TO cx_alice, cx_bob;
ALTER POLICY by_tenant ON item USING (tenant IN (SELECT g.tenant FROM grant_list g WHERE g.who = current_user));
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET ROLE;
INSERT INTO grant_list VALUES ('cx_alice', 'two');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET ROLE;
DELETE FROM grant_list WHERE who = 'cx_alice';
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT name FROM item ORDER BY id');
RESET ROLE;

--
-- REVOKE between two calls
--
CREATE TABLE plain (id int PRIMARY KEY, name text, salary text);
INSERT INTO plain VALUES (1, 'n', '1000');
SELECT cache_ext.track('plain');
GRANT SELECT ON plain TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT salary FROM plain');
RESET ROLE;
REVOKE SELECT ON plain FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT salary FROM plain');
RESET ROLE;
-- one column
GRANT SELECT (id, name) ON plain TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT salary FROM plain');
SELECT * FROM check_same('SELECT name FROM plain');
RESET ROLE;
GRANT SELECT (salary) ON plain TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT salary FROM plain');
RESET ROLE;
REVOKE SELECT (salary) ON plain FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT salary FROM plain');
SELECT * FROM check_same('SELECT name FROM plain');
RESET ROLE;
-- a function
CREATE FUNCTION masked(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT left($1, 1) || '**' $$;
CREATE FUNCTION masked_plpgsql(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN left($1, 1) || '**'; END $$;
CREATE AGGREGATE joined(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT masked(name) FROM plain');
SELECT * FROM check_same('SELECT masked_plpgsql(name) FROM plain');
SELECT * FROM check_same('SELECT joined(name) FROM plain');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION masked(text), masked_plpgsql(text), joined(text) FROM PUBLIC;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT masked(name) FROM plain');
SELECT * FROM check_same('SELECT masked_plpgsql(name) FROM plain');
SELECT * FROM check_same('SELECT joined(name) FROM plain');
RESET ROLE;
SELECT * FROM check_same('SELECT masked_plpgsql(name) FROM plain');
SELECT * FROM check_same('SELECT joined(name) FROM plain');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT masked_plpgsql(name) FROM plain');
RESET ROLE;
GRANT EXECUTE ON FUNCTION masked_plpgsql(text) TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT masked_plpgsql(name) FROM plain');
RESET ROLE;
-- a schema: only looking up the name needs it, so an open session may go on after a REVOKE
CREATE SCHEMA closed;
CREATE TABLE closed.t (v text);
INSERT INTO closed.t VALUES ('in closed');
SELECT cache_ext.track('closed.t');
GRANT SELECT ON closed.t TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT v FROM closed.t');
RESET ROLE;
GRANT USAGE ON SCHEMA closed TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT v FROM closed.t');
RESET ROLE;
REVOKE USAGE ON SCHEMA closed FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT v FROM closed.t');
RESET ROLE;
-- membership of a group that holds the right
REVOKE ALL ON plain FROM cx_alice;
REVOKE SELECT (id, name) ON plain FROM cx_alice;
GRANT SELECT ON plain TO cx_staff;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM plain');
RESET ROLE;
GRANT cx_staff TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM plain');
RESET ROLE;
REVOKE cx_staff FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM plain');
-- what one may not read, explain does not tell of
SELECT cacheable, valid IS NULL AND age IS NULL AND size IS NULL AS silent
	FROM cache_ext.explain('SELECT name FROM plain');
RESET ROLE;

--
-- Views: their owner's rights; security_barrier; security_invoker
--
CREATE VIEW names AS SELECT name FROM plain;
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, name FROM plain WHERE id < 10;
CREATE VIEW invoker WITH (security_invoker) AS SELECT name FROM plain;
CREATE VIEW docs AS SELECT body FROM doc;
GRANT SELECT ON names, barrier, invoker, docs TO cx_alice, cx_bob;
SELECT * FROM check_same('SELECT name FROM invoker');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM names');
SELECT * FROM check_same('SELECT name FROM barrier WHERE id = 1');
SELECT * FROM check_same('SELECT name FROM invoker');
SELECT * FROM check_same('SELECT body FROM docs ORDER BY 1');
RESET ROLE;
ALTER VIEW docs OWNER TO cx_bob;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT body FROM docs ORDER BY 1');
RESET ROLE;
REVOKE SELECT ON names FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT name FROM names');
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT name FROM names');
RESET ROLE;
-- the owner of a view loses the right that it needs
ALTER VIEW names OWNER TO cx_staff;
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT name FROM names');
RESET ROLE;
REVOKE SELECT ON plain FROM cx_staff;
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT name FROM names');
RESET ROLE;

--
-- SECURITY DEFINER
--
CREATE FUNCTION definer() RETURNS text SECURITY DEFINER STABLE LANGUAGE sql
	AS $$ SELECT string_agg(body, '' ORDER BY id) FROM security_test.doc $$;
CREATE FUNCTION asks_as_definer() RETURNS text SECURITY DEFINER LANGUAGE plpgsql AS $$
	DECLARE r text; BEGIN
		SELECT string_agg(b, ', ') INTO r
			FROM cache_ext.query('SELECT body FROM security_test.doc ORDER BY id') q(b text);
		RETURN r;
	END $$;
-- it is looked into; that what it reads has policies nobody may overlook
SELECT cache_ext.allow_function('definer()', '{doc}');
SELECT * FROM check_same('SELECT definer() FROM plain');
GRANT SELECT ON plain TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT definer() FROM plain');
SELECT asks_as_definer(), asks_as_definer();
SELECT * FROM check_same('SELECT body FROM security_test.doc ORDER BY id');
RESET ROLE;
ALTER FUNCTION asks_as_definer() OWNER TO cx_bob;
SET ROLE cx_alice;
SELECT asks_as_definer(), asks_as_definer();
SELECT * FROM check_same('SELECT body FROM security_test.doc ORDER BY id');
RESET ROLE;
-- a SECURITY INVOKER function that reads what the caller may not
CREATE FUNCTION invokes() RETURNS text STABLE LANGUAGE plpgsql
	AS $$ BEGIN RETURN (SELECT string_agg(body, '' ORDER BY id) FROM security_test.doc); END $$;
SELECT * FROM check_same('SELECT invokes() FROM plain');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT invokes() FROM plain');
RESET ROLE;
REVOKE SELECT ON doc FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT invokes() FROM plain');
SELECT * FROM check_same('SELECT definer() FROM plain');
RESET ROLE;

-- the same without policies: the right to read is asked for at each hit
CREATE TABLE vault (v text);
INSERT INTO vault VALUES ('gold');
SELECT cache_ext.track('vault');
CREATE FUNCTION opens() RETURNS text STABLE LANGUAGE plpgsql
	AS $$ DECLARE r text; BEGIN EXECUTE 'SELECT v FROM security_test.vault' INTO r; RETURN r; END $$;
CREATE FUNCTION opens_as_owner() RETURNS text STABLE SECURITY DEFINER LANGUAGE plpgsql
	AS $$ DECLARE r text; BEGIN EXECUTE 'SELECT v FROM security_test.vault' INTO r; RETURN r; END $$;
SELECT cache_ext.allow_function('opens()', '{vault}'), cache_ext.allow_function('opens_as_owner()', '{vault}');
SELECT * FROM check_same('SELECT opens() FROM plain');
GRANT SELECT ON vault TO cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT opens() FROM plain');
SELECT * FROM check_same('SELECT opens_as_owner() FROM plain');
RESET ROLE;
REVOKE SELECT ON vault FROM cx_alice;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT opens() FROM plain');
SELECT * FROM check_same('SELECT opens_as_owner() FROM plain');
RESET ROLE;
UPDATE vault SET v = 'silver';
SELECT * FROM check_same('SELECT opens() FROM plain');
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT opens_as_owner() FROM plain');
RESET ROLE;

--
-- Names: two tenants' schemas with the same tables
--
CREATE SCHEMA tenant_a;
CREATE SCHEMA tenant_b;
CREATE TABLE tenant_a.orders (what text);
CREATE TABLE tenant_b.orders (what text);
INSERT INTO tenant_a.orders VALUES ('of a');
INSERT INTO tenant_b.orders VALUES ('of b');
SELECT cache_ext.track_schema('tenant_a'), cache_ext.track_schema('tenant_b');
SET search_path = tenant_a, public;
SELECT * FROM check_same('SELECT what FROM orders');
SET search_path = tenant_b, public;
SELECT * FROM check_same('SELECT what FROM orders');
SET search_path = tenant_a, public;
SELECT * FROM check_same('SELECT what FROM orders');
SET search_path = public;
SELECT * FROM check_same('SELECT what FROM orders');
-- a new table that hides the old
SET search_path = tenant_c, tenant_a, public;
SELECT * FROM check_same('SELECT what FROM orders');
CREATE SCHEMA tenant_c;
CREATE TABLE tenant_c.orders (what text);
SELECT * FROM check_same('SELECT what FROM orders');
DROP TABLE tenant_c.orders;
SELECT * FROM check_same('SELECT what FROM orders');
CREATE TEMPORARY TABLE orders (what text);
INSERT INTO orders VALUES ('temporary');
SELECT * FROM check_same('SELECT what FROM orders');
DROP TABLE pg_temp.orders;
SELECT * FROM check_same('SELECT what FROM orders');
-- tenants change places
ALTER SCHEMA tenant_a RENAME TO tenant_x;
ALTER SCHEMA tenant_b RENAME TO tenant_a;
SELECT * FROM check_same('SELECT what FROM orders');
ALTER TABLE tenant_a.orders RENAME TO old_orders;
SELECT * FROM check_same('SELECT what FROM orders');
ALTER TABLE tenant_x.orders SET SCHEMA tenant_a;
SELECT * FROM check_same('SELECT what FROM orders');
-- "$user"
CREATE SCHEMA cx_alice AUTHORIZATION cx_alice;
CREATE SCHEMA cx_bob AUTHORIZATION cx_bob;
CREATE TABLE cx_alice.mine (v text);
CREATE TABLE cx_bob.mine (v text);
INSERT INTO cx_alice.mine VALUES ('of alice');
INSERT INTO cx_bob.mine VALUES ('of bob');
SELECT cache_ext.track('cx_alice.mine'), cache_ext.track('cx_bob.mine');
ALTER TABLE cx_alice.mine OWNER TO cx_alice;
ALTER TABLE cx_bob.mine OWNER TO cx_bob;
SET search_path = "$user", public;
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT v FROM mine');
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT v FROM mine');
RESET ROLE;
SET search_path = security_test, public;

--
-- Settings that results depend on
--
CREATE TABLE moment (at timestamptz, day date, money float8, raw bytea, span interval);
INSERT INTO moment VALUES ('2024-07-01 12:00+00', '2024-02-03', 1.0 / 3, '\x01ff', '1 day 02:03:04');
SELECT cache_ext.track('moment');
SET TimeZone = 'UTC';
SELECT * FROM check_same('SELECT at::text FROM moment');
SELECT * FROM check_same('SELECT extract(hour FROM at)::text FROM moment');
SET TimeZone = 'America/New_York';
SELECT * FROM check_same('SELECT at::text FROM moment');
SELECT * FROM check_same('SELECT extract(hour FROM at)::text FROM moment');
SET TimeZone = 'UTC';
SELECT * FROM check_same('SELECT at::text FROM moment');
SET DateStyle = 'ISO, MDY';
SELECT * FROM check_same('SELECT day::text FROM moment');
SELECT * FROM check_same('SELECT (''01/02/2024''::text::date = ''2024-01-02'')::text FROM moment');
SET DateStyle = 'German, DMY';
SELECT * FROM check_same('SELECT day::text FROM moment');
SELECT * FROM check_same('SELECT (''01/02/2024''::text::date = ''2024-01-02'')::text FROM moment');
SET DateStyle = 'ISO, MDY';
SELECT * FROM check_same('SELECT day::text FROM moment');
SET extra_float_digits = 0;
SELECT * FROM check_same('SELECT money::text FROM moment');
RESET extra_float_digits;
SELECT * FROM check_same('SELECT money::text FROM moment');
SET bytea_output = escape;
SELECT * FROM check_same('SELECT raw::text FROM moment');
RESET bytea_output;
SELECT * FROM check_same('SELECT raw::text FROM moment');
SET IntervalStyle = iso_8601;
SELECT * FROM check_same('SELECT span::text FROM moment');
RESET IntervalStyle;
SELECT * FROM check_same('SELECT span::text FROM moment');

--
-- Who is who
--
SET ROLE cx_alice;
SELECT * FROM check_same('SELECT current_user::text || '' '' || name FROM security_test.plain');
RESET ROLE;
GRANT SELECT ON plain TO cx_bob;
SET ROLE cx_bob;
SELECT * FROM check_same('SELECT current_user::text || '' '' || name FROM security_test.plain');
RESET ROLE;
-- functions of the extension that are not for everybody
SET ROLE cx_alice;
SELECT cache_ext.invalidate_all();
SELECT cache_ext.invalidate('security_test.plain');
SELECT cache_ext.warm('SELECT 1');
SELECT cache_ext.allow_function('security_test.invokes()');
SELECT cache_ext.track('security_test.plain');
RESET ROLE;

--
-- Reading runs nobody's code: types of a tenant, read by a superuser through every door.  The tenant's
-- functions say so when anybody else runs them.
--
CREATE ROLE cx_tenant;
CREATE SCHEMA lent AUTHORIZATION cx_tenant;
SET search_path = lent;
-- what takes a superuser to create, and then became the tenant's
CREATE TYPE base;
CREATE FUNCTION base_in(cstring) RETURNS base IMMUTABLE STRICT LANGUAGE internal AS 'textin';
CREATE FUNCTION base_out(base) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
CREATE FUNCTION base_receive(internal) RETURNS base IMMUTABLE STRICT LANGUAGE internal AS 'textrecv';
CREATE FUNCTION base_send(base) RETURNS bytea IMMUTABLE STRICT LANGUAGE internal AS 'textsend';
CREATE TYPE base (INPUT = base_in, OUTPUT = base_out, RECEIVE = base_receive, SEND = base_send, LIKE = text, COLLATABLE);
CREATE FUNCTION base_hash(base) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'hashtext';
CREATE FUNCTION base_eq(base, base) RETURNS bool IMMUTABLE STRICT LANGUAGE internal AS 'texteq';
CREATE OPERATOR = (LEFTARG = base, RIGHTARG = base, FUNCTION = base_eq, COMMUTATOR = =, HASHES);
CREATE OPERATOR CLASS base_ops DEFAULT FOR TYPE base USING hash AS OPERATOR 1 =, FUNCTION 1 base_hash(base);
CREATE TYPE steps;
CREATE FUNCTION steps_canonical(steps) RETURNS steps IMMUTABLE STRICT LANGUAGE internal AS 'int4range_canonical';
CREATE TYPE steps AS RANGE (SUBTYPE = int4, CANONICAL = steps_canonical);
CREATE TABLE keyed (id int PRIMARY KEY, b base);
ALTER TABLE keyed OWNER TO cx_tenant;
-- the function is a superuser's still: a key column; the tenant's: none
SELECT cache_ext.track('keyed', '{b}');
SELECT cache_ext.untrack('keyed');
ALTER FUNCTION base_send(base) OWNER TO cx_tenant;
ALTER FUNCTION base_hash(base) OWNER TO cx_tenant;
ALTER FUNCTION steps_canonical(steps) OWNER TO cx_tenant;
SELECT cache_ext.track('keyed', '{b}');
SELECT cache_ext.track('keyed');

SET ROLE cx_tenant;
CREATE FUNCTION ran(what text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'cx_tenant' THEN
		RAISE WARNING '% ran as another', what;
	END IF;
	RETURN true;
END $$;
CREATE OR REPLACE FUNCTION base_send(base) RETURNS bytea IMMUTABLE STRICT LANGUAGE plpgsql AS
$$ BEGIN PERFORM lent.ran('a send function'); RETURN 'sent'; END $$;
CREATE OR REPLACE FUNCTION base_hash(base) RETURNS int IMMUTABLE STRICT LANGUAGE plpgsql AS
$$ BEGIN PERFORM lent.ran('a hash function'); RETURN 1; END $$;
CREATE OR REPLACE FUNCTION steps_canonical(steps) RETURNS steps IMMUTABLE STRICT LANGUAGE plpgsql AS
$$ BEGIN PERFORM lent.ran('a canonical function'); RETURN $1; END $$;
CREATE FUNCTION difference(float8, float8) RETURNS float8 IMMUTABLE STRICT LANGUAGE plpgsql AS
$$ BEGIN PERFORM lent.ran('a subtype_diff function'); RETURN $1 - $2; END $$;
CREATE DOMAIN d AS text CHECK (lent.ran('a domain''s constraint'));
CREATE DOMAIN ds AS d[];
CREATE DOMAIN later AS text;
CREATE FUNCTION fixed(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN lent.ran('a planned constraint'); END $$;
CREATE DOMAIN fixed AS text CHECK (lent.fixed('x') AND value <> 'y');
CREATE TYPE pair AS (a int, b d);
CREATE TYPE pairs AS (p pair[]);
CREATE TYPE span AS RANGE (SUBTYPE = d);
CREATE TYPE measure AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = difference);
CREATE MATERIALIZED VIEW mv_domain AS SELECT 1 AS id, 'a'::d AS c;
CREATE MATERIALIZED VIEW mv_array AS SELECT 1 AS id, ARRAY['a'::d] AS c;
CREATE MATERIALIZED VIEW mv_unchecked AS SELECT 1 AS id, ARRAY['a'::later] AS c;
CREATE MATERIALIZED VIEW mv_domain_of_array AS SELECT 1 AS id, ARRAY['a'::d]::ds AS c;
CREATE MATERIALIZED VIEW mv_array_of_domain_of_array AS SELECT 1 AS id, ARRAY[ARRAY['a'::d]::ds] AS c;
CREATE MATERIALIZED VIEW mv_row AS SELECT 1 AS id, ROW(1, 'a')::pair AS c;
CREATE MATERIALIZED VIEW mv_rows AS SELECT 1 AS id, ROW(ARRAY[ROW(1, 'a')::pair])::pairs AS c;
CREATE MATERIALIZED VIEW mv_whole_row AS SELECT 1 AS id, r AS c FROM mv_domain r;
CREATE MATERIALIZED VIEW mv_range AS SELECT 1 AS id, span('a', 'b') AS c;
CREATE MATERIALIZED VIEW mv_multirange AS SELECT 1 AS id, multirange(span('a', 'b')) AS c;
CREATE MATERIALIZED VIEW mv_canonical AS SELECT 1 AS id, steps(1, 3) AS c;
CREATE MATERIALIZED VIEW mv_difference AS SELECT 1 AS id, measure(1, 3) AS c;
CREATE MATERIALIZED VIEW mv_base AS SELECT 1 AS id, 'a'::base AS c;
CREATE MATERIALIZED VIEW mv_bases AS SELECT 1 AS id, ROW(1, ARRAY['a'::base]) IS NOT NULL AS n, ARRAY['a'::base] AS c;
CREATE TABLE attached (id int PRIMARY KEY, c d NOT NULL, cs d[], css ds[]);
CREATE TABLE attached_row (id int PRIMARY KEY, c pair);
CREATE TABLE attached_range (id int PRIMARY KEY, c span);
CREATE TABLE attached_multirange (id int PRIMARY KEY, c span_multirange[]);
CREATE TABLE attached_base (id int PRIMARY KEY, c base);
INSERT INTO keyed VALUES (1, 'a');
INSERT INTO attached VALUES (1, 'a', '{a,NULL}', '{"{a}"}'), (2, 'a', '[0:1]={a,b}', NULL), (3, 'a', '{{a},{b}}', '{}');
ALTER DOMAIN later ADD CHECK (lent.ran('a constraint of later')) NOT VALID;
RESET ROLE;

SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
CREATE FUNCTION public.read_all(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	sql text := format('SELECT * FROM %s ORDER BY id', relation);
	result text;
BEGIN
	FOR i IN 1 .. 2 LOOP
		EXECUTE format('SELECT c FROM cache_ext.query_as(NULL::%s, %L)', relation, sql) INTO result;
		EXECUTE format('SELECT count(*) FROM (%s) q', sql);
		EXECUTE format('SELECT count(*) FROM cache_ext.query(%L) AS (id int, c bool)', replace(sql, '*', 'id, c IS NULL'));
		EXECUTE 'EXPLAIN ' || sql;
		PERFORM cache_ext.explain(sql);
		PERFORM cache_ext.warm(sql);
	END LOOP;
	RETURN result;
END $$;
SELECT relname, public.read_all(oid) FROM pg_class WHERE relname LIKE 'mv\_%' AND relnamespace = 'lent'::regnamespace
ORDER BY relname;
SELECT * FROM mv_array ORDER BY id;
SELECT * FROM mv_array ORDER BY id;
EXPLAIN SELECT * FROM mv_array ORDER BY id \g /dev/null
SELECT * FROM mv_row ORDER BY id;
SELECT * FROM mv_row ORDER BY id;
SELECT * FROM mv_multirange ORDER BY id;
SELECT * FROM mv_multirange ORDER BY id;
SELECT * FROM mv_base ORDER BY id;
SELECT * FROM mv_base ORDER BY id;
SELECT id FROM keyed WHERE b = 'a';
SELECT id FROM keyed WHERE b = 'a';
EXPLAIN SELECT c::text::fixed[] FROM mv_array \g /dev/null
SELECT cacheable, reason FROM cache_ext.explain('SELECT c::text::fixed[] FROM mv_array');
RESET cache_ext.mode;

-- a domain, and an array of one, have a form in which its constraints need not be asked; others don't
SELECT cache_ext.attach('attached', 'attached:{id}', 'write_through');
SELECT cache_ext.attach('attached_row', 'attached_row:{id}', 'write_through');
SELECT cache_ext.attach('attached_range', 'attached_range:{id}', 'write_through');
SELECT cache_ext.attach('attached_multirange', 'attached_multirange:{id}', 'write_through');
SELECT cache_ext.attach('attached_base', 'attached_base:{id}', 'write_through');
SELECT cache_ext.attach('attached_base', 'attached_base:{id}', 'invalidate');
SELECT cache_ext.row(NULL::attached, id) FROM generate_series(1, 3) id;
SELECT cache_ext.row(NULL::attached, id) FROM generate_series(1, 3) id;
SET ROLE cx_tenant;
INSERT INTO attached_base VALUES (1, 'a');
RESET ROLE;
UPDATE attached_base SET id = 2;
SELECT cache_ext.row(NULL::attached_base, 2);
SELECT cache_ext.row(NULL::attached_base, 2);
-- an implicit cast of the tenant's
SET ROLE cx_tenant;
CREATE TYPE number AS ENUM ('one');
CREATE FUNCTION number(number) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN PERFORM lent.ran('a cast'); RETURN 1; END $$;
CREATE CAST (number AS int) WITH FUNCTION number(number) AS IMPLICIT;
RESET ROLE;
SELECT cache_ext.row(NULL::attached, 'one'::number);
DROP FUNCTION public.read_all(regclass);
SET search_path = security_test, public;

SET client_min_messages = warning;
DROP SCHEMA security_test, lent, closed, tenant_a, tenant_c, tenant_x, cx_alice, cx_bob CASCADE;
DROP FUNCTION public.check_same(text);
DROP ROLE cx_alice, cx_bob, cx_staff, cx_auditor, cx_tenant;
