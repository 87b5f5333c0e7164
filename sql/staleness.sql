--
-- max_staleness: how old an inexact result may be, by name
--
\getenv srcdir PG_ABS_SRCDIR
\set shared :srcdir '/test/transparent.sql'
\i :shared
SET cache_ext.mode = hint;
-- everything there is grows older than five milliseconds
CREATE FUNCTION grow_older() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz := clock_timestamp();
BEGIN
	WHILE clock_timestamp() - start <= '5 ms' LOOP
	END LOOP;
END $$;
\set grow_older 'SELECT grow_older() AS older \\gset'

-- a hint, with all that it may hold
SELECT /* cache_ext: max_staleness=1h */ sum(population) FROM city;
INSERT INTO city VALUES (5, 'Rome', 'IT', 1000000);
SELECT /* cache_ext: max_staleness=1h */ sum(population) FROM city;
SELECT /* cache_ext: ttl=1h, max_staleness=1h */ sum(population) FROM city;
SELECT /* cache_ext:max_staleness=3600000 */ sum(population) FROM city;
:happened
SELECT sum(population) FROM city;
:happened
-- as old as its entry is: another statement's exact result is the next one's stale one
SELECT /* cache_ext */ sum(population) FROM city;
SELECT /* cache_ext: max_staleness=1h */ sum(population) FROM city;
:happened
UPDATE city SET population = population + 1 WHERE id = 5;
UPDATE city SET population = population + 1 WHERE id = 5;
SELECT /* cache_ext: max_staleness=1h */ sum(population) FROM city;
:happened
SELECT /* cache_ext: max_staleness=0 */ sum(population) FROM city;
:happened
-- too old
UPDATE city SET population = population - 2 WHERE id = 5;
:grow_older
SELECT /* cache_ext: max_staleness=5ms */ sum(population) FROM city;
:happened

-- a setting, which a hint may narrow
SET cache_ext.max_staleness = '1h';
UPDATE city SET population = population + 1 WHERE id = 5;
SELECT /* cache_ext */ sum(population) FROM city;
:happened
SELECT sum(population) FROM city;
:happened
:grow_older
SELECT /* cache_ext: max_staleness=1ms */ sum(population) FROM city;
:happened
UPDATE city SET population = population - 1 WHERE id = 5;
SELECT /* cache_ext */ sum(population) FROM city;
:happened
SELECT /* cache_ext: max_staleness=0 */ sum(population) FROM city;
:happened
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
SELECT count(*) FROM city;
PREPARE counting AS SELECT count(*) FROM city;
PREPARE counting_from(int) AS SELECT count(*) FROM city WHERE id >= $1;
EXECUTE counting_from(2);
:happened
DELETE FROM city WHERE id = 5;
SELECT count(*) FROM city;
EXECUTE counting;
EXECUTE counting_from(2);
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, FORMAT json) SELECT count(*) FROM city \g :cached
\set shown `grep -c '"Cache": "hit"' :cached`
\echo :shown
:happened
SELECT reset.n FROM cache_ext.query('SELECT count(*) FROM city') AS reset(n bigint);
:happened
RESET cache_ext.max_staleness;
SELECT count(*) FROM city;
EXECUTE counting;
EXECUTE counting_from(2);
:happened

-- an argument of a call, which may narrow the setting too
INSERT INTO city VALUES (5, 'Rome', 'IT', 1000000);
SELECT * FROM cache_ext.query('SELECT count(*) FROM city', max_staleness => '1 hour') AS t(n bigint);
SELECT * FROM cache_ext.query_as(0::bigint, 'SELECT count(*) FROM city', max_staleness => '1 hour');
SELECT * FROM cache_ext.query('SELECT count(*) FROM city WHERE id >= $1', '{2}', max_staleness => '1 hour') AS t(n bigint);
:happened
:grow_older
SELECT * FROM cache_ext.query('SELECT count(*) FROM city', max_staleness => '5 ms') AS t(n bigint);
:happened
DELETE FROM city WHERE id = 5;
SET cache_ext.max_staleness = '1h';
SELECT * FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint);
SELECT * FROM cache_ext.query('SELECT count(*) FROM city', max_staleness => NULL) AS t(n bigint);
:happened
SELECT * FROM cache_ext.query('SELECT count(*) FROM city', max_staleness => '0') AS t(n bigint);
SELECT * FROM cache_ext.query('SELECT count(*) FROM city', max_staleness => '999 us') AS t(n bigint);
:happened

-- the transaction's own changes are seen all the same
INSERT INTO city VALUES (5, 'Rome', 'IT', 1000000);
SELECT count(*) FROM city;
:happened
BEGIN;
INSERT INTO city VALUES (6, 'Paris', 'FR', 2000000);
SELECT count(*) FROM city;
SELECT * FROM cache_ext.query('SELECT count(*) FROM city', max_staleness => '1 hour') AS t(n bigint);
SAVEPOINT s;
DELETE FROM city;
SELECT count(*) FROM city;
ROLLBACK TO s;
SELECT count(*) FROM city;
COMMIT;
:happened
SELECT count(*) FROM city;
:happened
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM city;
COMMIT;
:happened
SET cache_ext.max_staleness = 0;
SELECT count(*) FROM city;
SET cache_ext.max_staleness = '1h';

-- definitions are exact: columns, functions, policies, views, TRUNCATE
CREATE FUNCTION factor() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1::bigint';
CREATE VIEW scaled AS SELECT count(*) * factor() AS n FROM city;
:forget
SELECT n FROM scaled;
INSERT INTO city VALUES (7, 'Lyon', 'FR', 500000);
SELECT n FROM scaled;
:happened
CREATE OR REPLACE FUNCTION factor() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 2::bigint';
SELECT n FROM scaled;
:happened
INSERT INTO city VALUES (8, 'Nice', 'FR', 300000);
SELECT n FROM scaled;
:happened
CREATE OR REPLACE VIEW scaled AS SELECT count(*) * factor() * 10 AS n FROM city;
SELECT n FROM scaled;
:happened
INSERT INTO city VALUES (9, 'Lille', 'FR', 200000);
SELECT n FROM scaled;
:happened
ALTER TABLE city ADD COLUMN mayor text;
SELECT n FROM scaled;
:happened
ALTER TABLE city ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM city;
:happened
TRUNCATE city;
SELECT n FROM scaled;
SELECT count(*) FROM city;
:happened
INSERT INTO city VALUES (1, 'Oslo', 'NO', 709000);
SELECT n FROM scaled;
:happened
-- what is called invalid is
SELECT cache_ext.invalidate('city');
SELECT n FROM scaled;
:happened
INSERT INTO city VALUES (2, 'Bergen', 'NO', 291000);
SELECT n FROM scaled;
:happened
SELECT cache_ext.invalidate_all();
SELECT n FROM scaled;
:happened
-- a privilege is asked for now
CREATE ROLE cx_reader;
GRANT SELECT ON city TO cx_reader;
SET ROLE cx_reader;
SELECT max(name) FROM city;
RESET ROLE;
REVOKE SELECT ON city FROM cx_reader;
SET ROLE cx_reader;
SELECT max(name) FROM city;
RESET ROLE;
DROP ROLE cx_reader;

-- nor does anything outlive its TTL
DROP VIEW scaled;
SELECT max(id) FROM city;
INSERT INTO city VALUES (3, 'Turin', 'IT', 841000);
:forget
SELECT /* cache_ext: ttl=1h */ max(id) FROM city;
:happened
:grow_older
SELECT /* cache_ext: ttl=5ms */ max(id) FROM city;
SELECT * FROM cache_ext.query('SELECT min(id) FROM city') AS t(n int);
INSERT INTO city VALUES (0, 'Rome', 'IT', 841000);
SELECT * FROM cache_ext.query('SELECT min(id) FROM city') AS t(n int);
:grow_older
SELECT * FROM cache_ext.query('SELECT min(id) FROM city', ttl => '5 ms', max_staleness => '1 hour') AS t(n int);
:forget

-- with key columns
SELECT cache_ext.track('city', '{country}');
:forget
SELECT count(*) FROM city WHERE country = 'NO';
INSERT INTO city VALUES (10, 'Trondheim', 'NO', 200000);
SELECT count(*) FROM city WHERE country = 'NO';
:happened
SET cache_ext.max_dirty_keys = 0;
INSERT INTO city VALUES (11, 'Stavanger', 'NO', 100000);
RESET cache_ext.max_dirty_keys;
SELECT count(*) FROM city WHERE country = 'NO';
:happened
RESET cache_ext.max_staleness;
SELECT count(*) FROM city WHERE country = 'NO';
:happened

-- tables that only the TTL bounds
CREATE TABLE loose (a int);
SELECT * FROM cache_ext.query('SELECT count(*) FROM loose', untracked => 'ttl', max_staleness => '1 hour') AS t(n bigint);
INSERT INTO loose VALUES (1);
SELECT * FROM cache_ext.query('SELECT count(*) FROM loose', untracked => 'ttl', max_staleness => '1 hour') AS t(n bigint);
:happened
DROP TABLE loose;

-- what can't be
\set VERBOSITY sqlstate
SET cache_ext.max_staleness = -1;
\set VERBOSITY default
SET cache_ext.max_staleness = 'soon';
SET cache_ext.max_staleness = '1 year';
SET cache_ext.max_staleness = '30d';
SET cache_ext.max_staleness = '24d';
SHOW cache_ext.max_staleness;
RESET cache_ext.max_staleness;
SELECT * FROM cache_ext.query('SELECT 1', max_staleness => '-1 s') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', max_staleness => '366 days') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', max_staleness => '-1 month 31 days') AS t(x int);
SELECT * FROM cache_ext.query_as(0, 'SELECT 1', max_staleness => '-1 us');
SELECT /* cache_ext: max_staleness */ 1 FROM city WHERE id = 1;
SELECT /* cache_ext: max_staleness=soon */ 1 FROM city WHERE id = 1;
SELECT /* cache_ext: max_staleness=-1s */ 1 FROM city WHERE id = 1;

DROP FUNCTION factor, grow_older;
DROP TABLE city;
DROP FUNCTION happened;
\set removed `rm -f :cached :uncached`
