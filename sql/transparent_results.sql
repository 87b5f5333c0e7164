--
-- Results of ordinary statements from the cache: shapes, sizes, settings
--
\getenv srcdir PG_ABS_SRCDIR
\set shared :srcdir '/test/transparent.sql'
\i :shared
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;

-- shapes
\set q 'SELECT name FROM city ORDER BY population DESC NULLS LAST'
:ask
\set q 'SELECT DISTINCT ON (country) name FROM city ORDER BY country, id'
:ask
\set q 'SELECT FROM city'
:ask
\set q 'SELECT id, name FROM city WHERE id > 100'
:ask
\set q 'SELECT NULL AS nothing, ''''::text AS empty, NULL::int FROM city'
:ask
\set q 'SELECT name, (SELECT count(*) FROM city d WHERE d.country = c.country) AS n FROM city c WHERE population > (SELECT avg(population) FROM city) OR id IN (SELECT id FROM city WHERE id > 2) ORDER BY 1'
:ask
\set q 'WITH big AS MATERIALIZED (SELECT * FROM city WHERE population > 500000), small AS (SELECT * FROM city) SELECT b.name, s.name FROM big b JOIN small s USING (country) ORDER BY 1, 2'
:ask
\set q 'WITH RECURSIVE up(id) AS (SELECT 1 UNION ALL SELECT up.id + 1 FROM up JOIN city USING (id)) SELECT * FROM up ORDER BY id'
:ask
\set q '(SELECT id, name FROM city WHERE id < 3 UNION ALL SELECT id, country FROM city) EXCEPT SELECT 1, ''NO'' ORDER BY 1, 2'
:ask
\set q 'SELECT country, id, row_number() OVER w, sum(population) OVER w FROM city WINDOW w AS (PARTITION BY country ORDER BY id) ORDER BY country, id'
:ask
\set q 'SELECT country, count(*), grouping(country) FROM city GROUP BY ROLLUP (country) HAVING count(*) > 1 ORDER BY 1'
:ask
\set q 'SELECT c.name, g, array_agg(g) OVER () FROM city c, LATERAL generate_series(1, c.id) g WHERE c.id < 3 ORDER BY 1, 2'
:ask
\set q 'SELECT c, row_to_json(c), c.* FROM city c ORDER BY id LIMIT 1 OFFSET 1'
:ask
\set q 'TABLE city ORDER BY id FETCH FIRST 1 ROW WITH TIES'
:ask
\set q 'SELECT l.name, r.name FROM city l FULL JOIN city r ON l.id = r.id + 2 ORDER BY l.id, r.id'
:ask

-- an error after some rows
SELECT id, 1 / (id - 3) FROM city ORDER BY id;
SELECT id, 1 / (id - 3) FROM city ORDER BY id;
:happened

-- as many columns as there can be, and large values
SELECT string_agg('id AS c' || i, ', ') AS columns FROM generate_series(1, 1600) i \gset
CREATE TABLE long (id int PRIMARY KEY, plain text, compressed text, external bytea);
ALTER TABLE long ALTER plain SET STORAGE plain, ALTER external SET STORAGE external;
INSERT INTO long SELECT i, repeat(i::text, 1000), repeat(i::text, 100000), decode(repeat('0' || i, 30000), 'hex')
	FROM generate_series(1, 3) i;
SELECT cache_ext.track('long');
:forget
\pset format unaligned
\o :cached
SELECT :columns FROM city ORDER BY id;
SELECT :columns FROM city ORDER BY id;
SELECT :columns FROM city ORDER BY id;
TABLE long ORDER BY id;
TABLE long ORDER BY id;
TABLE long ORDER BY id;
SELECT happened() AS many_and_large \gset
SET cache_ext.enabled = off;
\o :uncached
SELECT :columns FROM city ORDER BY id;
SELECT :columns FROM city ORDER BY id;
SELECT :columns FROM city ORDER BY id;
TABLE long ORDER BY id;
TABLE long ORDER BY id;
TABLE long ORDER BY id;
\o
RESET cache_ext.enabled;
:compare
\echo :many_and_large
\pset format aligned
CREATE TABLE long_copy AS TABLE long;
SELECT count(*) FROM long l JOIN long_copy c USING (id, plain, compressed, external);
:happened
DROP TABLE long_copy;
-- more than an entry may hold
SET cache_ext.max_entry_size = '100kB';
SELECT length(repeat(plain, 200)) FROM long WHERE id = 1;
:happened
\o :cached
SELECT repeat(plain, 200) AS c FROM long;
SELECT repeat(plain, 200) AS c FROM long;
\o
:happened
RESET cache_ext.max_entry_size;
DROP TABLE long;

-- no FROM at the top: subqueries read the tables
:forget
\set q 'SELECT EXISTS (SELECT FROM city WHERE country = ''NO'') AS e, NOT EXISTS (SELECT FROM city WHERE id = 9) AS n'
:ask
\set q 'SELECT (SELECT count(*) FROM city) AS all_of_them, (SELECT max(population) FROM city) AS largest'
:ask
\set q 'SELECT ARRAY(SELECT name FROM city ORDER BY id) AS names'
:ask
\set q 'SELECT jsonb_build_object(''n'', (SELECT count(*) FROM city)) AS object'
:ask
\set q 'WITH x AS (SELECT sum(population) AS s FROM city) SELECT (SELECT s FROM x) AS s'
:ask
\set q 'SELECT 1 + (SELECT count(*) FROM city) AS c WHERE EXISTS (SELECT FROM city WHERE id = 4)'
:ask
INSERT INTO city VALUES (9, 'Vik', 'NO', 1);
:q;
:happened
DELETE FROM city WHERE id = 9;
:q;
:happened

-- temporary tables
CREATE TEMP TABLE brief (a int);
SELECT count(*) FROM brief;
:happened
-- settings that reach results
CREATE TABLE value (t timestamptz, d date, i interval, f float8, b bytea, m money, r real);
INSERT INTO value VALUES ('2024-03-31 01:30:00+00', '2024-02-01', '1 year 2 mons -3 days 04:05:06.7',
	1.0 / 3, '\x00ff41', 1234.5, 0.1);
SELECT cache_ext.track('value');
\set q 'SELECT *, t::text AS text, to_char(t, ''TMDay HH24 TZ'') FROM value'
\pset expanded on
:forget
:ask
SET TimeZone = 'Europe/Oslo';
:ask
SET DateStyle = 'German, DMY';
:ask
SET IntervalStyle = iso_8601;
:ask
SET extra_float_digits = -10;
:ask
SET bytea_output = escape;
:ask
SET client_encoding = LATIN1;
:ask
SET lc_time = 'C.UTF-8';
:ask
SET lc_monetary = 'C.UTF-8';
:ask
SET lc_numeric = 'C.UTF-8';
:ask
SET enable_hashagg = off;
:ask
RESET ALL;
:q;
\pset expanded off

DROP TABLE value;
DROP TABLE city;
DROP FUNCTION happened;
\set removed `rm -f :cached :uncached`
