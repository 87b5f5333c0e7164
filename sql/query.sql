--
-- query(), query_as(): rows, hits, arguments, errors
--
CREATE TABLE city (id int PRIMARY KEY, name text, country text, population bigint);
INSERT INTO city VALUES (1, 'Oslo', 'NO', 709000), (2, 'Bergen', 'NO', 291000),
	(3, 'Turin', 'IT', 841000), (4, 'Bari', 'IT', NULL);
SELECT cache_ext.track('city');

-- how often each thing happened in this session's view of the counters
CREATE VIEW counted AS
	SELECT hits, misses, bypasses, fills, fills_skipped FROM cache_ext.stats;
CREATE FUNCTION what_happened(sql text, args text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	before counted;
	after counted;
BEGIN
	SELECT * INTO before FROM counted;
	PERFORM * FROM cache_ext.query(sql, args) AS t(n bigint);
	SELECT * INTO after FROM counted;
	RETURN CASE
		WHEN after.hits > before.hits THEN 'hit'
		WHEN after.fills > before.fills THEN 'fill'
		WHEN after.fills_skipped > before.fills_skipped THEN 'miss'
		WHEN after.bypasses > before.bypasses THEN 'bypass'
		ELSE 'plain' END;
END $$;

SELECT what_happened('SELECT count(*) FROM city');
SELECT what_happened('SELECT count(*) FROM city');
SELECT what_happened('SELECT count(*) FROM city WHERE country = $1', '{NO}');
SELECT what_happened('SELECT count(*) FROM city WHERE country = $1', '{IT}');
SELECT what_happened('SELECT count(*) FROM city WHERE country = $1', '{NO}');
SELECT what_happened('SELECT count(*) FROM city WHERE country = $1', '{NULL}');
SELECT what_happened('SELECT count(*) FROM pg_class');
SELECT what_happened('SELECT (random() * 0)::bigint FROM city');

-- rows, with NULLs and without any
SELECT * FROM cache_ext.query('SELECT * FROM city ORDER BY id')
	AS c(id int, name text, country text, population bigint);
SELECT * FROM cache_ext.query('SELECT * FROM city ORDER BY id')
	AS c(id int, name text, country text, population bigint);
SELECT * FROM cache_ext.query_as(NULL::city, 'SELECT * FROM city WHERE country = $1 ORDER BY id', '{IT}');
SELECT * FROM cache_ext.query_as(NULL::city, 'SELECT * FROM city WHERE country = $1 ORDER BY id', '{IT}');
SELECT * FROM cache_ext.query_as(NULL::city, 'SELECT * FROM city WHERE false');
SELECT * FROM cache_ext.query_as(NULL::city, 'SELECT * FROM city WHERE false');
SELECT * FROM cache_ext.query_as(0::bigint, 'SELECT max(population) FROM city');
SELECT cache_ext.query('SELECT FROM city');
SELECT cache_ext.query('SELECT FROM city');
SELECT c.name, q.n FROM city c,
	cache_ext.query('SELECT count(*) FROM city WHERE country = $1', ARRAY[c.country]) AS q(n bigint)
	ORDER BY c.id;

-- a row type with a dropped column
CREATE TABLE wide (a int, gone int, b text);
ALTER TABLE wide DROP COLUMN gone;
SELECT * FROM cache_ext.query_as(NULL::wide, 'SELECT id, name FROM city WHERE id < $1 ORDER BY id', '{3}');
SELECT * FROM cache_ext.query_as(NULL::wide, 'SELECT id FROM city');
SELECT * FROM cache_ext.query_as(NULL::wide, 'SELECT id, id FROM city');

-- a committed change shows at once, an uncommitted one only to its transaction
BEGIN;
INSERT INTO city VALUES (5, 'Rome', 'IT', 2800000);
SELECT what_happened('SELECT count(*) FROM city');
SELECT * FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint);
SAVEPOINT s;
DELETE FROM city;
SELECT * FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint);
ROLLBACK TO s;
SELECT * FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint);
ROLLBACK;
SELECT what_happened('SELECT count(*) FROM city');
INSERT INTO city VALUES (5, 'Rome', 'IT', 2800000);
SELECT * FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint);
SELECT what_happened('SELECT count(*) FROM city');

-- a hit runs no part of the plan: neither scans nor functions
CREATE FUNCTION noisy(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN RAISE NOTICE 'noisy(%)', x; RETURN x; END $$;
SELECT * FROM cache_ext.query('SELECT max(noisy(id)) FROM city') AS t(m int);
SELECT * FROM cache_ext.query('SELECT max(noisy(id)) FROM city') AS t(m int);

-- isolation levels that keep a snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT what_happened('SELECT count(*) FROM city');
COMMIT;
SET cache_ext.enabled = off;
SELECT what_happened('SELECT count(*) FROM city');
RESET cache_ext.enabled;

-- time to live
SELECT what_happened('SELECT count(*) FROM city');
SELECT count(*) FROM cache_ext.query('SELECT 1 FROM city WHERE id = 1', ttl => '1 day') AS t(x int);
SELECT ttl_left BETWEEN '21 hours' AND '1 day' AS a_day
	FROM cache_ext.explain('SELECT 1 FROM city WHERE id = 1');
SELECT * FROM cache_ext.query('SELECT 1', ttl => '0') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', ttl => '-1 s') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', ttl => '2 years') AS t(x int);

-- untracked tables
CREATE TABLE loose (a int);
INSERT INTO loose VALUES (1);
SELECT what_happened('SELECT count(*) FROM loose');
SELECT * FROM cache_ext.query('SELECT count(*) FROM loose', untracked => 'ttl') AS t(n bigint);
INSERT INTO loose VALUES (2);
SELECT * FROM cache_ext.query('SELECT count(*) FROM loose', untracked => 'ttl') AS t(n bigint);
SELECT * FROM cache_ext.query('SELECT count(*) FROM loose') AS t(n bigint);
SELECT * FROM cache_ext.query('SELECT 1', untracked => 'maybe') AS t(x int);

-- arguments
SELECT * FROM cache_ext.query('SELECT $1 + 1', '{41}') AS t(x int);
SELECT * FROM cache_ext.query('SELECT $1::date', '{2024-02-30}') AS t(x date);
SELECT * FROM cache_ext.query('SELECT $1 + 1', '{x}') AS t(x int);
SELECT * FROM cache_ext.query('SELECT $1 + 1') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', '{1}') AS t(x int);
SELECT * FROM cache_ext.query('SELECT $1', '{1}') AS t(x text);
SELECT * FROM cache_ext.query('SELECT $2::int', '{1,2}') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', '{{1,2},{3,4}}') AS t(x int);
SELECT * FROM cache_ext.query(NULL) AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1', NULL) AS t(x int);

-- settings that literals in the text are read with
CREATE TABLE day (d date, t text);
INSERT INTO day VALUES ('2024-02-01', 'first of February'), ('2024-01-02', 'second of January');
SELECT cache_ext.track('day');
SET DateStyle = 'ISO, MDY';
SELECT * FROM cache_ext.query($$SELECT t FROM day WHERE d = '01/02/2024'$$) AS t(t text);
SET DateStyle = 'ISO, DMY';
SELECT * FROM cache_ext.query($$SELECT t FROM day WHERE d = '01/02/2024'$$) AS t(t text);
RESET DateStyle;
SELECT * FROM cache_ext.query($$SELECT length('\t')$$) AS t(n int);
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT * FROM cache_ext.query($$SELECT length('\t')$$) AS t(n int);
RESET standard_conforming_strings;
RESET escape_string_warning;
DROP TABLE day;

-- statements
SELECT * FROM cache_ext.query('DELETE FROM city') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1; SELECT 2') AS t(x int);
SELECT * FROM cache_ext.query('') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1 INTO x') AS t(x int);
SELECT * FROM cache_ext.query('SELEC 1') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1 FROM nowhere') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1 / (id - 1) FROM city') AS t(x int);
SELECT * FROM cache_ext.query('SELECT id FROM city WHERE id = 1 FOR UPDATE') AS t(x int);
SELECT * FROM cache_ext.query('VALUES (1), (2)') AS t(x int);
SELECT * FROM cache_ext.query('WITH d AS (DELETE FROM loose RETURNING a) SELECT a FROM d ORDER BY 1') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1::bigint') AS t(x int);
SELECT * FROM cache_ext.query('SELECT 1');

-- junk columns
SELECT * FROM cache_ext.query('SELECT name FROM city ORDER BY population DESC NULLS LAST') AS t(name text);
SELECT * FROM cache_ext.query('SELECT name FROM city ORDER BY population DESC NULLS LAST') AS t(name text);

-- subplans and init plans, on a fill and on a hit
SELECT * FROM cache_ext.query($$SELECT name, (SELECT count(*) FROM city d WHERE d.country = c.country)
	FROM city c WHERE population > (SELECT avg(population) FROM city) ORDER BY 1$$) AS t(name text, n bigint);
SELECT * FROM cache_ext.query($$SELECT name, (SELECT count(*) FROM city d WHERE d.country = c.country)
	FROM city c WHERE population > (SELECT avg(population) FROM city) ORDER BY 1$$) AS t(name text, n bigint);

-- a result that is too large is not stored
SET cache_ext.max_entry_size = '1kB';
SELECT what_happened('SELECT length(name)::bigint FROM city, generate_series(1, 1000)');
SELECT length(s) FROM cache_ext.query('SELECT repeat(name, 1000) FROM city ORDER BY id') AS t(s text);
RESET cache_ext.max_entry_size;

-- warm, invalidate
SELECT cache_ext.warm('SELECT count(*) FROM city WHERE country = $1', '{{FR},{DE},{FR}}');
SELECT what_happened('SELECT count(*) FROM city WHERE country = $1', '{DE}');
SELECT cache_ext.warm_from('SELECT count(*) FROM city WHERE country = $1', 'SELECT DISTINCT country FROM city');
SELECT what_happened('SELECT count(*) FROM city WHERE country = $1', '{NO}');
SELECT cache_ext.warm('SELECT count(*) FROM city WHERE country = $1', '{FR}');
SELECT cache_ext.warm('SELECT count(*) FROM city');
SELECT cache_ext.invalidate_query('SELECT count(*) FROM city');
SELECT cache_ext.invalidate_query('SELECT count(*) FROM city');
SELECT what_happened('SELECT count(*) FROM city');
SELECT cache_ext.invalidate('city');
SELECT what_happened('SELECT count(*) FROM city');
SELECT what_happened('SELECT count(*) FROM city');
SELECT cache_ext.invalidate_all();
SELECT what_happened('SELECT count(*) FROM city');
BEGIN;
SELECT cache_ext.invalidate('city');
ROLLBACK;
SELECT what_happened('SELECT count(*) FROM city');
SELECT cache_ext.invalidate(0);

-- nested: the query itself goes through the cache
SELECT * FROM cache_ext.query(
	$$SELECT n FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint)$$) AS t(n bigint);

-- inside functions, also those that run under an older snapshot
CREATE FUNCTION in_stable() RETURNS bigint LANGUAGE plpgsql STABLE AS
	$$ BEGIN RETURN (SELECT n FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint)); END $$;
SELECT in_stable();

DROP TABLE city, wide, loose;
DROP VIEW counted;
DROP FUNCTION what_happened;
DROP FUNCTION noisy, in_stable;
