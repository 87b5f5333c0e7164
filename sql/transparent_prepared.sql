--
-- Prepared statements, and commands around a statement, through the cache
--
\getenv srcdir PG_ABS_SRCDIR
\set shared :srcdir '/test/transparent.sql'
\i :shared
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;

--
-- Prepared statements
--
PREPARE of_country(text) AS SELECT name FROM city WHERE country = $1 ORDER BY id;
EXECUTE of_country('IT');
EXECUTE of_country('IT');
EXECUTE of_country('NO');
EXECUTE of_country(NULL);
EXECUTE of_country(NULL);
:happened
-- a custom plan for each, and then a generic one for all
EXECUTE of_country('IT');
EXECUTE of_country('NO');
EXECUTE of_country('IT');
EXECUTE of_country('NO');
EXECUTE of_country('FR');
EXECUTE of_country('FR');
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'of_country';
:happened
UPDATE city SET country = 'FR' WHERE id = 2;
EXECUTE of_country('FR');
EXECUTE of_country('NO');
EXECUTE of_country('FR');
:happened
SET plan_cache_mode = force_custom_plan;
EXECUTE of_country('FR');
EXECUTE of_country('DE');
:happened
SET plan_cache_mode = force_generic_plan;
EXECUTE of_country('FR');
EXECUTE of_country('DE');
EXECUTE of_country('ES');
:happened
-- the same question, asked as a statement of its own, is another one: it has no parameter
SELECT name FROM city WHERE country = 'ES' ORDER BY id;
:happened
PREPARE several(int, text, int[], numeric) AS
	SELECT id, $2 || name, $4 * population FROM city WHERE id = ANY ($3) AND id <> $1 ORDER BY id;
EXECUTE several(1, 'a ', '{1,2,3}', 1.50);
EXECUTE several(1, 'a ', '{1,2,3}', 1.5);
EXECUTE several(1, 'a ', '{1,2,3}', 1.50);
EXECUTE several(1, NULL, '{1,2,NULL}', 1.50);
:happened
RESET plan_cache_mode;

-- without parameters
PREPARE largest AS SELECT name FROM city ORDER BY population DESC NULLS LAST LIMIT 1;
EXECUTE largest;
EXECUTE largest;
EXECUTE largest;
:happened
UPDATE city SET population = 1000000 WHERE id = 4;
EXECUTE largest;
EXECUTE largest;
:happened
BEGIN;
UPDATE city SET population = NULL WHERE id = 4;
EXECUTE largest;
EXECUTE of_country('IT');
ROLLBACK;
:happened
EXECUTE largest;
:happened

-- settings that decide whether there is a cache scan, changed after it was planned
SET cache_ext.mode = off;
EXECUTE largest;
:happened
SET cache_ext.mode = auto;
EXECUTE largest;
:happened
SET cache_ext.enabled = off;
EXECUTE largest;
:happened
SET cache_ext.enabled = on;
EXECUTE largest;
:happened
SET cache_ext.min_cost = 1000000;
EXECUTE largest;
:happened
-- the cost is that of the values at hand, not of those that it was planned for first
CREATE TABLE skewed AS SELECT CASE WHEN i = 1 THEN 1 ELSE 2 END AS a FROM generate_series(1, 10000) i;
CREATE INDEX ON skewed (a);
ANALYZE skewed;
SELECT cache_ext.track('skewed');
SET cache_ext.min_cost = 50;
SET plan_cache_mode = force_custom_plan;
PREPARE count_of(int) AS SELECT count(*) FROM skewed WHERE a = $1;
EXECUTE count_of(1);
EXECUTE count_of(1);
:happened
EXECUTE count_of(2);
EXECUTE count_of(2);
:happened
EXECUTE count_of(1);
EXECUTE count_of(2);
:happened
RESET plan_cache_mode;
SET cache_ext.min_cost = 0;
-- and so PostgreSQL chooses between generic and custom plans as ever
PREPARE rare(int) AS SELECT count(*) AS n FROM skewed WHERE a = $1;
PREPARE chosen(int) AS SELECT count(*) AS n FROM skewed WHERE a = $1;
EXECUTE rare(1);
EXECUTE chosen(2);
EXECUTE chosen(2);
EXECUTE chosen(2);
EXECUTE chosen(2);
EXECUTE chosen(2);
EXECUTE chosen(2);
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'chosen';
DROP TABLE skewed;
:happened
SET cache_ext.min_cost = 0;
EXECUTE largest;
:happened
SET cache_ext.mode = hint;
EXECUTE largest;
:happened
SET cache_ext.mode = off;
PREPARE smallest AS SELECT name FROM city ORDER BY population LIMIT 1;
EXECUTE smallest;
SET cache_ext.mode = auto;
EXECUTE smallest;
EXECUTE smallest;
:happened

-- after definitions changed
PREPARE everything AS SELECT * FROM city WHERE id = 1;
EXECUTE everything;
EXECUTE everything;
ALTER TABLE city ADD COLUMN mayor text DEFAULT 'nobody';
EXECUTE everything;
ALTER TABLE city DROP COLUMN mayor;
EXECUTE everything;
:happened
EXECUTE largest;
ALTER TABLE city ALTER COLUMN name TYPE varchar(3) USING left(name, 3);
EXECUTE largest;
EXECUTE of_country('IT');
ALTER TABLE city RENAME COLUMN name TO label;
EXECUTE smallest;
ALTER TABLE city RENAME COLUMN label TO name;
ALTER TABLE city ALTER COLUMN name TYPE text;
EXECUTE smallest;
EXECUTE smallest;
CREATE SCHEMA nearer;
CREATE TABLE nearer.city AS SELECT 'Nearer' AS name, 1 AS population;
SET search_path = nearer, public;
EXECUTE smallest;
SELECT name FROM city ORDER BY population LIMIT 1;
RESET search_path;
EXECUTE smallest;
SELECT cache_ext.untrack('city');
:forget
EXECUTE smallest;
EXECUTE of_country('IT');
:happened
SELECT cache_ext.track('city');
EXECUTE smallest;
EXECUTE smallest;
:happened
DROP SCHEMA nearer CASCADE;
UPDATE city SET name = CASE id WHEN 1 THEN 'Oslo' WHEN 2 THEN 'Bergen' WHEN 3 THEN 'Turin' ELSE 'Bari' END,
	population = nullif(population, 1000000);
:forget

--
-- Commands around a statement
--
COPY (SELECT id, name, population FROM city ORDER BY id) TO STDOUT (FORMAT csv, HEADER);
COPY (SELECT id, name, population FROM city ORDER BY id) TO STDOUT (FORMAT csv, HEADER);
COPY (SELECT id, name, population FROM city ORDER BY id) TO STDOUT;
SELECT id, name, population FROM city ORDER BY id;
:happened
CREATE TABLE copied AS SELECT id, name, population FROM city ORDER BY id;
SELECT id, name AS town, population INTO copied_too FROM city ORDER BY id;
CREATE TABLE copied_executed AS EXECUTE smallest;
CREATE TABLE copied_none AS SELECT id, name, population FROM city ORDER BY id WITH NO DATA;
TABLE copied;
TABLE copied_too;
TABLE copied_executed;
TABLE copied_none;
:happened
DROP TABLE copied, copied_too, copied_executed, copied_none;

\set q 'SELECT id, name, population FROM city ORDER BY id'
:plan
EXPLAIN (COSTS off) EXECUTE largest;
EXPLAIN (COSTS off) EXECUTE of_country('IT');
EXPLAIN (COSTS off) CREATE TABLE copied AS SELECT 7, id FROM city;
EXPLAIN (COSTS off) DECLARE c CURSOR FOR SELECT id, name, population FROM city ORDER BY id;
\set q 'SELECT c.name AS "of town", c.population + 1 FROM city c WHERE c.id = 2'
:plan
\set q 'SELECT (SELECT max(id) FROM city d WHERE d.name < c.name) FROM city c ORDER BY country LIMIT 1'
:plan
:happened
BEGIN ISOLATION LEVEL REPEATABLE READ;
EXPLAIN (COSTS off) SELECT id FROM city;
COMMIT;
BEGIN;
UPDATE city SET id = id;
EXPLAIN (COSTS off) SELECT id FROM city;
COMMIT;
SET cache_ext.enabled = off;
EXPLAIN (COSTS off) SELECT id FROM city;
RESET cache_ext.enabled;

\set q 'SELECT id, name AS "of town", population + 1 FROM city WHERE id < 3'
:plan_run
:plan_run
:q;
:happened
\set q 'EXECUTE of_country(''IT'')'
:plan_run
:plan_run
\set q 'SELECT id, (SELECT max(d.id) FROM city d WHERE d.country = c.country) FROM city c WHERE id > (SELECT min(id) FROM city) ORDER BY 1'
:q;
:plan_run
:happened
SELECT 2 AS traced FROM city WHERE id = 1;
SET debug_print_plan = on;
SELECT 2 AS traced FROM city WHERE id = 1;
RESET debug_print_plan;
DEALLOCATE ALL;
:forget

DROP TABLE city;
DROP FUNCTION happened;
\set removed `rm -f :cached :uncached`
