--
-- What is no relation: DDL on a function, type, operator, ... moves the results that use it and no others
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA objects;
SET search_path = objects, public;

CREATE TABLE watched (name text PRIMARY KEY, sql text);

CREATE FUNCTION fill() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	w watched;
BEGIN
	FOR w IN SELECT * FROM watched LOOP
		FOR attempt IN 1..100 LOOP
			PERFORM * FROM cache_ext.query(w.sql) AS t(v text);
			EXIT WHEN (SELECT valid FROM cache_ext.explain(w.sql));
		END LOOP;
		IF (SELECT valid FROM cache_ext.explain(w.sql)) IS NOT TRUE THEN
			RAISE EXCEPTION 'not cached: % because %', w.name,
				(SELECT reason FROM cache_ext.explain(w.sql));
		END IF;
	END LOOP;
END $$;

-- the watched queries whose entries are no longer valid; an error if a cached result is wrong
CREATE FUNCTION effect() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	w watched;
	cached text;
	live text;
	names text[] = '{}';
	count int;
BEGIN
	FOR w IN SELECT * FROM watched ORDER BY name COLLATE "C" LOOP
		IF (SELECT valid FROM cache_ext.explain(w.sql)) IS NOT TRUE THEN
			names = names || w.name;
		END IF;
		SELECT v INTO cached FROM cache_ext.query(w.sql) AS t(v text);
		EXECUTE w.sql INTO live;
		IF cached IS DISTINCT FROM live THEN
			RAISE EXCEPTION '% is % but the cache says %', w.name, live, cached;
		END IF;
	END LOOP;
	SELECT count(*) INTO count FROM watched;
	PERFORM fill();
	RETURN CASE cardinality(names) WHEN 0 THEN 'nothing' WHEN count THEN 'everything'
		ELSE array_to_string(names, ', ') END;
END $$;

CREATE ROLE regress_objects_a;
CREATE ROLE regress_objects_b;
CREATE TABLE t (id int PRIMARY KEY, n int, word text);
INSERT INTO t SELECT i, i, 'word ' || i FROM generate_series(1, 9) i;
CREATE TABLE secured (id int, owner name DEFAULT current_user);
INSERT INTO secured VALUES (1, 'regress_objects_a'), (2, session_user);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (owner = current_user);
CREATE FUNCTION opaque(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 1; END';
CREATE FUNCTION alias(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4pl';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4pl';
CREATE OPERATOR <+> (leftarg = int, rightarg = int, function = plus);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN more AS positive CHECK (value > 1);
CREATE TYPE pair AS (a int, m mood);
CREATE TYPE span AS RANGE (subtype = int);
CREATE COLLATION plain FROM "C";
CREATE TEXT SEARCH CONFIGURATION words (copy = simple);
CREATE TEXT SEARCH DICTIONARY terms (template = simple);
CREATE TABLE moods (id int, m mood, p pair);
INSERT INTO moods VALUES (1, 'sad', (1, 'glad'));
SELECT cache_ext.track(t) FROM unnest('{t,secured,moods}'::regclass[]) t;
INSERT INTO watched VALUES
	('aggregate', 'SELECT total(n)::text FROM t'),
	('alias', 'SELECT max(alias(n, 1))::text FROM t'),
	('array', 'SELECT min(ARRAY[m])::text FROM moods'),
	('collation', 'SELECT min(word COLLATE plain)::text FROM t'),
	('composite', 'SELECT max(p::text) FROM moods'),
	('conversion', $$SELECT max(convert_from(word::bytea, 'LATIN1'))::text FROM t$$),
	('domain', 'SELECT max((n + 1)::more)::text FROM t'),
	('enum', 'SELECT max(m)::text FROM moods'),
	('json', 'SELECT max(to_json(p)::text) FROM moods'),
	('opaque', 'SELECT opaque(1)::text'),
	('operator', 'SELECT max(n <+> 1)::text FROM t'),
	('plain', 'SELECT sum(n)::text FROM t'),
	('range', 'SELECT max(span(n, n + 1)::text) FROM t'),
	('search', $$SELECT max(to_tsvector('objects.words', word)::text) FROM t$$),
	('secured', 'SELECT sum(id)::text FROM secured'),
	('user', 'SELECT max(current_user::text || n) FROM t');
SELECT fill();
SELECT effect();

-- functions
CREATE OR REPLACE FUNCTION opaque(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 2; END'; SELECT effect();
CREATE OR REPLACE FUNCTION alias(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4mi'; SELECT effect();
ALTER FUNCTION alias(int, int) STRICT; SELECT effect();
CREATE OR REPLACE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '5'); SELECT effect();
CREATE OR REPLACE FUNCTION plus(int, int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4mul'; SELECT effect();
CREATE FUNCTION other(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT effect();
ALTER FUNCTION other(int) COST 7; SELECT effect();
DROP FUNCTION other(int); SELECT effect();
-- a function with a name that is used already, but not by a statement that was parsed before
CREATE FUNCTION alias(bigint, bigint) RETURNS int LANGUAGE internal IMMUTABLE AS 'int84'; SELECT effect();
DROP FUNCTION alias(bigint, bigint); SELECT effect();
-- built-in ones are anybody's
ALTER FUNCTION pg_catalog.int4pl(int, int) COST 2; SELECT effect();
ALTER FUNCTION pg_catalog.int4pl(int, int) COST 1; SELECT effect();
-- operators
ALTER OPERATOR <+> (int, int) OWNER TO regress_objects_a; SELECT effect();
CREATE OPERATOR <*> (leftarg = int, rightarg = int, function = int4mul); SELECT effect();
ALTER OPERATOR <*> (int, int) OWNER TO regress_objects_a; SELECT effect();
DROP OPERATOR <*> (int, int); SELECT effect();
-- types, and what is made of them
ALTER TYPE mood ADD VALUE 'mad' BEFORE 'sad'; SELECT effect();
ALTER TYPE mood RENAME VALUE 'sad' TO 'bad'; SELECT effect();
CREATE TYPE temper AS ENUM ('hot'); SELECT effect();
ALTER TYPE temper ADD VALUE 'cold'; SELECT effect();
ALTER TYPE temper RENAME TO temperature; SELECT effect();
DROP TYPE temperature; SELECT effect();
ALTER TYPE pair RENAME ATTRIBUTE a TO b; SELECT effect();
CREATE TYPE triple AS (a int, b int, c int); SELECT effect();
ALTER TYPE triple DROP ATTRIBUTE c; SELECT effect();
DROP TYPE triple; SELECT effect();
ALTER DOMAIN positive ADD CONSTRAINT small CHECK (value < 100); SELECT effect();
ALTER DOMAIN more ADD CONSTRAINT smaller CHECK (value < 99) NOT VALID; SELECT effect();
ALTER DOMAIN more DROP CONSTRAINT smaller; SELECT effect();
CREATE DOMAIN lonely AS int; SELECT effect();
ALTER DOMAIN lonely SET DEFAULT 7; SELECT effect();
DROP DOMAIN lonely; SELECT effect();
ALTER TYPE span OWNER TO regress_objects_a; SELECT effect();
-- a cast of a type to json is found when it is needed
CREATE FUNCTION in_short(pair) RETURNS json LANGUAGE sql IMMUTABLE AS $$SELECT '"short"'::json$$; SELECT effect();
CREATE CAST (pair AS json) WITH FUNCTION in_short(pair); SELECT effect();
CREATE OR REPLACE FUNCTION in_short(pair) RETURNS json LANGUAGE sql IMMUTABLE AS $$SELECT '"shorter"'::json$$; SELECT effect();
DROP CAST (pair AS json); SELECT effect();
DROP FUNCTION in_short(pair); SELECT effect();
CREATE CAST (text AS money) WITH INOUT; SELECT effect();
-- how values of a type are compared
CREATE FUNCTION backwards(mood, mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.enum_cmp($2, $1)'; SELECT effect();
CREATE OPERATOR CLASS backwards FOR TYPE mood USING btree AS OPERATOR 1 < (anyenum, anyenum), OPERATOR 2 <= (anyenum, anyenum),
	OPERATOR 3 = (anyenum, anyenum), OPERATOR 4 >= (anyenum, anyenum), OPERATOR 5 > (anyenum, anyenum), FUNCTION 1 backwards(mood, mood); SELECT effect();
CREATE OR REPLACE FUNCTION backwards(mood, mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.enum_cmp($1, $2)'; SELECT effect();
DROP OPERATOR CLASS backwards USING btree; SELECT effect();
CREATE OPERATOR FAMILY points USING gist; SELECT effect();
ALTER OPERATOR FAMILY points USING gist ADD OPERATOR 1 << (point, point); SELECT effect();
DROP OPERATOR FAMILY points USING gist; SELECT effect();
DROP FUNCTION backwards(mood, mood); SELECT effect();
-- collations, text search, conversions
ALTER COLLATION plain RENAME TO plainer; ALTER COLLATION plainer RENAME TO plain; SELECT effect();
CREATE COLLATION simple FROM "C"; SELECT effect();
DROP COLLATION simple; SELECT effect();
ALTER TEXT SEARCH CONFIGURATION words ALTER MAPPING FOR asciiword WITH english_stem; SELECT effect();
ALTER TEXT SEARCH CONFIGURATION words ALTER MAPPING FOR asciiword WITH terms; SELECT effect();
ALTER TEXT SEARCH DICTIONARY terms (accept = false); SELECT effect();
CREATE TEXT SEARCH CONFIGURATION others (copy = simple); SELECT effect();
DROP TEXT SEARCH CONFIGURATION others; SELECT effect();
CREATE DEFAULT CONVERSION backwards FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; SELECT effect();
DROP CONVERSION backwards; SELECT effect();
-- schemas
CREATE SCHEMA empty; SELECT effect();
ALTER SCHEMA empty RENAME TO void; SELECT effect();
ALTER SCHEMA void OWNER TO regress_objects_a; SELECT effect();
DROP SCHEMA void; SELECT effect();
-- rights: those that a hit asks for, and those that a body needs
GRANT SELECT ON t TO regress_objects_a; SELECT effect();
REVOKE SELECT ON t FROM regress_objects_a; SELECT effect();
GRANT SELECT ON missing TO regress_objects_a; SELECT effect();
GRANT SELECT ON t TO missing; SELECT effect();
GRANT EXECUTE ON FUNCTION alias TO regress_objects_a; SELECT effect();
GRANT USAGE ON TYPE mood TO regress_objects_a; SELECT effect();
GRANT USAGE ON LANGUAGE plpgsql TO regress_objects_a; SELECT effect();
GRANT USAGE ON SCHEMA objects TO regress_objects_a; SELECT effect();
-- roles
CREATE ROLE regress_objects_c; SELECT effect();
ALTER ROLE regress_objects_c PASSWORD 'secret' VALID UNTIL '2100-01-01' CONNECTION LIMIT 3; SELECT effect();
ALTER ROLE regress_objects_c BYPASSRLS; SELECT effect();
GRANT regress_objects_b TO regress_objects_c; SELECT effect();
ALTER GROUP regress_objects_b ADD USER regress_objects_a; SELECT effect();
ALTER ROLE regress_objects_c RENAME TO regress_objects_d; SELECT effect();
DROP ROLE regress_objects_d; SELECT effect();
REASSIGN OWNED BY regress_objects_b TO regress_objects_a; SELECT effect();
-- the name of a role that is in the key
CREATE ROLE regress_objects_me;
GRANT regress_objects_me TO CURRENT_USER;
GRANT USAGE ON SCHEMA objects TO regress_objects_me;
GRANT SELECT ON t TO regress_objects_me;
SELECT fill();
SET ROLE regress_objects_me;
SELECT v FROM cache_ext.query('SELECT max(current_user::text || n) FROM objects.t') AS q(v text);
SELECT valid FROM cache_ext.explain('SELECT max(current_user::text || n) FROM objects.t');
RESET ROLE;
ALTER ROLE regress_objects_me RENAME TO regress_objects_you; SELECT effect();
SET ROLE regress_objects_you;
SELECT v FROM cache_ext.query('SELECT max(current_user::text || n) FROM objects.t') AS q(v text);
RESET ROLE;
-- nor may a result that is allowed to be a little old have an older name
SET ROLE regress_objects_you;
SET cache_ext.max_staleness = '1h';
SELECT v FROM cache_ext.query('SELECT max(current_user::text || n) FROM objects.t') AS q(v text);
RESET ROLE;
UPDATE t SET n = n + 1 WHERE n = 9;
SET ROLE regress_objects_you;
SELECT v FROM cache_ext.query('SELECT max(current_user::text || n) FROM objects.t') AS q(v text);
RESET ROLE;
ALTER ROLE regress_objects_you RENAME TO regress_objects_them;
SET ROLE regress_objects_them;
SELECT v FROM cache_ext.query('SELECT max(current_user::text || n) FROM objects.t') AS q(v text);
RESET ROLE;
RESET cache_ext.max_staleness;
-- a transaction's own changes
SELECT fill();
BEGIN;
ALTER TYPE mood RENAME VALUE 'bad' TO 'worse';
SELECT v FROM cache_ext.query('SELECT max(m)::text FROM moods') AS q(v text);
ROLLBACK;
BEGIN;
ALTER ROLE regress_objects_them RENAME TO regress_objects_you;
SET LOCAL ROLE regress_objects_you;
SELECT v FROM cache_ext.query('SELECT max(current_user::text || n) FROM objects.t') AS q(v text);
COMMIT;
SELECT effect();
-- databases
CREATE DATABASE regress_objects_database; SELECT effect();
ALTER DATABASE regress_objects_database CONNECTION LIMIT 3; SELECT effect();
ALTER DATABASE regress_objects_database OWNER TO regress_objects_a; SELECT effect();
DROP DATABASE regress_objects_database; SELECT effect();

-- two-phase commands of somebody who may do nothing
BEGIN; UPDATE t SET n = n; CREATE TABLE unfinished (); PREPARE TRANSACTION 'objects';
BEGIN; SELECT pg_current_xact_id() IS NOT NULL; PREPARE TRANSACTION 'objects nothing';
SELECT fill();
SET ROLE regress_objects_a;
COMMIT PREPARED 'nope';
ROLLBACK PREPARED 'nope';
COMMIT PREPARED 'objects';
ROLLBACK PREPARED 'objects';
BEGIN; COMMIT PREPARED 'objects'; ROLLBACK;
DO $$ BEGIN EXECUTE 'COMMIT PREPARED ''objects'''; END $$;
RESET ROLE;
SELECT effect();
COMMIT PREPARED 'nope';
BEGIN; COMMIT PREPARED 'objects'; ROLLBACK;
SELECT effect();
COMMIT PREPARED 'objects nothing'; SELECT effect();
COMMIT PREPARED 'objects'; SELECT effect();

-- temporary objects: nothing, and what uses them is not cached (nor what might, in a body)
DELETE FROM watched WHERE name = 'opaque';
CREATE FUNCTION pg_temp.f(int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4inc'; SELECT effect();
CREATE OR REPLACE FUNCTION pg_temp.f(int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4um'; SELECT effect();
CREATE TYPE pg_temp.e AS ENUM ('a'); SELECT effect();
ALTER TYPE pg_temp.e ADD VALUE 'b'; SELECT effect();
CREATE DOMAIN pg_temp.d AS int CHECK (value > 0); SELECT effect();
ALTER DOMAIN pg_temp.d ADD CONSTRAINT small CHECK (value < 100); SELECT effect();
CREATE TYPE pg_temp.c AS (a int); SELECT effect();
ALTER TYPE pg_temp.c ADD ATTRIBUTE b int; SELECT effect();
CREATE OPERATOR pg_temp.<+> (leftarg = int, rightarg = int, function = int4mul); SELECT effect();
CREATE COLLATION pg_temp.z FROM "C"; SELECT effect();
CREATE TEXT SEARCH CONFIGURATION pg_temp.words (copy = simple); SELECT effect();
ALTER TEXT SEARCH CONFIGURATION pg_temp.words DROP MAPPING FOR word; SELECT effect();
CREATE TEMPORARY TABLE own (id int, e pg_temp.e); SELECT effect();
GRANT SELECT ON own TO regress_objects_a; SELECT effect();
SELECT regexp_replace(reason, 'pg_temp_\d+', 'pg_temp') FROM cache_ext.explain('SELECT pg_temp.f(n) FROM t');
SELECT regexp_replace(reason, 'pg_temp_\d+', 'pg_temp') FROM cache_ext.explain('SELECT n OPERATOR(pg_temp.<+>) 1 FROM t');
SELECT regexp_replace(reason, 'pg_temp_\d+', 'pg_temp') FROM cache_ext.explain('SELECT n::pg_temp.d FROM t');
SELECT regexp_replace(reason, 'pg_temp_\d+', 'pg_temp') FROM cache_ext.explain($$SELECT 'a'::pg_temp.e FROM t$$);
SELECT regexp_replace(reason, 'pg_temp_\d+', 'pg_temp') FROM cache_ext.explain($$SELECT ARRAY[ROW(1, 2)::pg_temp.c] FROM t$$);
SELECT regexp_replace(reason, 'pg_temp_\d+', 'pg_temp') FROM cache_ext.explain('SELECT word COLLATE pg_temp.z FROM t');
DISCARD TEMP; SELECT effect();

-- what is dropped
DELETE FROM watched WHERE name = 'aggregate'; DROP AGGREGATE total(int); SELECT effect();
DELETE FROM watched WHERE name = 'operator'; DROP OPERATOR <+> (int, int); SELECT effect();
DELETE FROM watched WHERE name = 'alias'; DROP FUNCTION alias(int, int); SELECT effect();
DELETE FROM watched WHERE name = 'domain'; DROP DOMAIN positive CASCADE; SELECT effect();
DELETE FROM watched WHERE name = 'search'; DROP TEXT SEARCH CONFIGURATION words; SELECT effect();

\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA objects CASCADE;
DROP CAST (text AS money);
REVOKE USAGE ON LANGUAGE plpgsql FROM regress_objects_a;
DROP OWNED BY regress_objects_a, regress_objects_you;
DROP ROLE regress_objects_a, regress_objects_b, regress_objects_you;

-- settings that others feel: a session goes down from what the administrator has set, not up
CREATE ROLE regress_objects_a;
CREATE ROLE regress_objects_b;
SET ROLE regress_objects_a;
SET cache_ext.max_dirty_keys = 0;
\set VERBOSITY sqlstate
SET cache_ext.max_entry_size = '1GB';
\set VERBOSITY default
SET cache_ext.max_entry_size = '9MB';
\set VERBOSITY terse
SET cache_ext.max_entry_size = '8MB';
SET cache_ext.max_entry_size = '1MB';
SET cache_ext.max_entry_size = '2MB';
SET cache_ext.flight_wait = '2s';
SET cache_ext.flight_wait = 0;
SET LOCAL cache_ext.flight_wait = '2s';
ALTER ROLE regress_objects_a SET cache_ext.max_entry_size = '9MB';
ALTER ROLE regress_objects_a SET cache_ext.max_entry_size = '7MB';
CREATE FUNCTION pg_temp.wide() RETURNS int LANGUAGE sql SET cache_ext.flight_wait = '2s' AS 'SELECT 1';
RESET cache_ext.max_entry_size;
SHOW cache_ext.max_entry_size;
RESET ROLE;
SET cache_ext.max_entry_size = '9MB';
RESET cache_ext.max_entry_size;
-- what an administrator has set for a role holds for it, and no more than that
ALTER ROLE regress_objects_b LOGIN;
ALTER ROLE regress_objects_b SET cache_ext.max_entry_size = '16MB';
\set boss :USER
\c - regress_objects_b
SHOW cache_ext.max_entry_size;
SET cache_ext.max_entry_size = '1MB';
SET cache_ext.max_entry_size = '16MB';
SET cache_ext.max_entry_size = '17MB';
\c - :boss
DROP ROLE regress_objects_a, regress_objects_b;
