--
-- Ordinary statements through the cache: modes, hints, what is left alone, own changes
--
\getenv srcdir PG_ABS_SRCDIR
\set shared :srcdir '/test/transparent.sql'
\i :shared

--
-- Modes
--
SHOW cache_ext.mode;
SELECT count(*) FROM city;
SELECT /* cache_ext */ count(*) FROM city;
:happened

SET cache_ext.mode = hint;
SELECT count(*) FROM city;
:happened
SELECT /* cache_ext */ count(*) FROM city;
:happened
SELECT /* cache_ext */ count(*) FROM city;
:happened
-- the hint is no part of the question
SELECT count(*) FROM city /* cache_ext */;
:happened

SET cache_ext.mode = auto;
SELECT count(*) FROM city;
:happened
SET cache_ext.min_cost = 0;
SELECT count(*) FROM city;
:happened
RESET cache_ext.min_cost;
SELECT /* cache_ext */ count(*) FROM city;
SELECT count(*) FROM city, generate_series(1, 10000) WHERE id = 1;
:happened
SELECT count(*) FROM city, generate_series(1, 10000) WHERE id = 1;
:happened
SET cache_ext.enabled = off;
SELECT count(*) FROM city, generate_series(1, 10000) WHERE id = 1;
:happened
RESET cache_ext.enabled;
SET cache_ext.mode = sometimes;

-- of a role, of a database
CREATE ROLE cx_auto LOGIN;
GRANT SELECT ON city TO cx_auto;
ALTER ROLE cx_auto SET cache_ext.mode = auto;
ALTER ROLE cx_auto SET cache_ext.min_cost = 0;
RESET cache_ext.mode;
SELECT current_database() AS db, current_user AS me \gset
ALTER DATABASE :db SET cache_ext.mode = hint;
\c -
SHOW cache_ext.mode;
ALTER DATABASE :db RESET cache_ext.mode;
\c - cx_auto
SHOW cache_ext.mode;
:forget
SELECT count(*) FROM city;
:happened
SET cache_ext.mode = off;
SELECT count(*) FROM city;
:happened
RESET cache_ext.mode;
SELECT count(*) FROM city;
:happened
\c - :me
DROP OWNED BY cx_auto;
DROP ROLE cx_auto;
:forget

--
-- Where a hint stands
--
SET cache_ext.mode = hint;
/* cache_ext */ SELECT max(id) FROM city;
:happened
SELECT max(id) FROM city /* cache_ext */ WHERE id > 0;
:happened
SELECT max(id) FROM city
	-- a comment before it /* which is none
	/*cache_ext*/
	WHERE id > 1;
:happened
SELECT max(id) FROM city WHERE name <> $$it's$$ /* cache_ext */ AND name <> 'a''b';
:happened
SELECT max(id) FROM city WHERE name <> E'it\'s' /* cache_ext */;
:happened
SELECT max(id) FROM city WHERE id > 1*/* cache_ext */2;
:happened
SELECT max(id) AS a$b$c FROM city WHERE id > 3 /* another */ /* cache_ext */;
:happened
-- no comments
SELECT '/* cache_ext */', max(id) FROM city;
SELECT 'it''s /* cache_ext */', max(id) FROM city;
SELECT E'it\'s /* cache_ext */', max(id) FROM city;
SELECT U&'/* cache_ext */', max(id) FROM city;
SELECT $$/* cache_ext */$$, max(id) FROM city;
SELECT $a$ $b$ /* cache_ext */ $b$ $a$, max(id) FROM city;
SELECT max(id) AS "/* cache_ext */" FROM city;
SELECT max(id) AS "a""/* cache_ext */" FROM city;
:happened
-- other comments
SELECT max(id) FROM city -- cache_ext
;
SELECT max(id) FROM city -- /* cache_ext */
;
SELECT max(id) FROM city /* no /* cache_ext */ */;
SELECT max(id) FROM city /* cache_ext please */;
SELECT max(id) FROM city /* uncache_ext */;
SELECT max(id) FROM city /*+ cache_ext */;
SELECT max(id) FROM city /* CACHE_EXT */;
:happened
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT max(id) FROM city WHERE name <> 'it\'s' /* cache_ext */;
:happened
SELECT 'it\'s /* cache_ext */', max(id) FROM city;
:happened
RESET standard_conforming_strings;
RESET escape_string_warning;

-- each statement of a message has its own
SELECT 1 AS one, max(id) FROM city \; SELECT /* cache_ext */ 2 AS two, max(id) FROM city \; SELECT 3 AS three, max(id) FROM city;
:happened
SELECT /* cache_ext */ 4 AS four, max(id) FROM city \; SELECT 5 AS five, max(id) FROM city;
:happened
EXPLAIN (COSTS off) SELECT min(name) FROM city \; SELECT /* cache_ext */ 6 AS six, max(id) FROM city;
:happened
CREATE TABLE into_1 AS SELECT min(name) FROM city \; SELECT /* cache_ext */ 6 AS six, max(id) FROM city;
:happened
COPY (SELECT min(name) FROM city) TO STDOUT \; SELECT /* cache_ext */ 6 AS six, max(id) FROM city;
:happened
PREPARE in_message AS SELECT min(name) FROM city \; SELECT /* cache_ext */ 6 AS six, max(id) FROM city;
EXECUTE in_message;
:happened
-- commands around a statement
COPY (SELECT /* cache_ext */ min(name) FROM city) TO STDOUT;
:happened
COPY (SELECT min(name) FROM city) TO STDOUT /* cache_ext */;
:happened
/* cache_ext */ COPY (SELECT min(name) FROM city) TO STDOUT;
:happened
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT min(name), 2 FROM city /* cache_ext */;
:happened
PREPARE hinted AS SELECT /* cache_ext */ min(name), 3 FROM city;
EXECUTE hinted;
EXECUTE hinted;
:happened
-- where it is executed is too late
PREPARE unhinted AS SELECT min(name), 4 FROM city;
EXECUTE unhinted /* cache_ext */;
:happened
DEALLOCATE ALL;
DROP TABLE into_1;

-- options
SELECT /* cache_ext: ttl=30s */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=30s */ id FROM city WHERE id = 1;
:happened
SELECT /*cache_ext:ttl = 30min , max_staleness=500ms*/ id FROM city WHERE id = 1;
SELECT /* cache_ext: max_staleness=0 */ id FROM city WHERE id = 1;
:happened
SELECT /* cache_ext: ttl=30 */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=365d */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=366d */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=nan */ id FROM city WHERE id = 1;
SELECT /* cache_ext: max_staleness=25d */ id FROM city WHERE id = 1;
:happened
SELECT /* cache_ext: */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl= */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=0 */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=-1s */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=30 parsecs */ id FROM city WHERE id = 1;
SELECT /* cache_ext: max_staleness=-1 */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=30s, please=yes */ id FROM city WHERE id = 1;
SELECT /* cache_ext: ttl=30s ttl=40s */ id FROM city WHERE id = 1;
:happened
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
SELECT /* cache_ext: please=yes */ id FROM city WHERE id = 1;
:happened
SELECT /* cache_ext please */ id FROM city WHERE id = 1;
:happened

--
-- What is left alone
--
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM city ORDER BY id;
FETCH 2 FROM c;
MOVE BACKWARD 1 FROM c;
FETCH ALL FROM c;
DECLARE s SCROLL CURSOR FOR SELECT id FROM city ORDER BY id;
FETCH LAST FROM s;
FETCH FIRST FROM s;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM city ORDER BY id;
COMMIT;
FETCH ALL FROM h;
CLOSE h;
:happened
SELECT id FROM city WHERE id = 1 FOR UPDATE;
SELECT id FROM city WHERE id = 1 FOR KEY SHARE;
SELECT id FROM (SELECT id FROM city WHERE id = 1 FOR SHARE) AS s;
WITH changed AS (UPDATE city SET population = population WHERE id = 1 RETURNING id)
	SELECT c.id, d.id FROM city c, changed d WHERE c.id = 1;
INSERT INTO city SELECT id + 10, name, country, population FROM city WHERE id = 1;
UPDATE city SET name = (SELECT max(name) FROM city) WHERE id = 11;
DELETE FROM city WHERE id IN (SELECT id + 10 FROM city);
:happened
-- untracked tables, catalogs, volatile functions, no table at all
CREATE TABLE loose (a int);
SELECT count(*) FROM loose;
SELECT count(*) FROM city, loose;
SELECT count(*) > 0 AS any FROM pg_class;
SELECT count(random()) FROM city;
SELECT now() = now() AS now FROM city;
SELECT 1;
:happened

-- inside functions, of whatever kind
CREATE FUNCTION in_plpgsql() RETURNS bigint LANGUAGE plpgsql AS
	$$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM city; RETURN n; END $$;
CREATE FUNCTION in_sql() RETURNS bigint LANGUAGE sql VOLATILE AS
	'SELECT count(*) FROM city';
CREATE FUNCTION in_set() RETURNS SETOF city LANGUAGE plpgsql AS
	$$ BEGIN RETURN QUERY SELECT * FROM city ORDER BY id; RETURN QUERY EXECUTE 'SELECT * FROM city ORDER BY id'; END $$;
CREATE FUNCTION in_planning() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
	$$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM city; RETURN n; END $$;
CREATE PROCEDURE in_procedure() LANGUAGE plpgsql AS
	$$ BEGIN PERFORM count(*) FROM city; COMMIT; PERFORM count(*) FROM city; END $$;
SELECT in_plpgsql();
SELECT in_sql();
SELECT count(*) FROM in_set();
SELECT in_planning();
SELECT count(*) FROM loose WHERE a > in_planning();
CALL in_procedure();
DO $$ BEGIN PERFORM count(*) FROM city; EXECUTE 'SELECT count(*) FROM city'; END $$;
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM city LOOP NULL; END LOOP; END $$;
PREPARE p AS SELECT count(*) FROM city;
DO $$ BEGIN EXECUTE 'EXECUTE p'; END $$;
:happened
-- as arguments of EXECUTE
PREPARE with_argument(bigint) AS SELECT $1 + 1;
EXECUTE with_argument(in_plpgsql());
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) EXECUTE with_argument(in_plpgsql());
CREATE TABLE into_2 AS EXECUTE with_argument(in_plpgsql());
:happened
-- triggers, deferred ones and those of events
CREATE FUNCTION in_trigger() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN PERFORM count(*) FROM city; RETURN NULL; END $$;
CREATE TRIGGER at_once AFTER INSERT ON loose FOR EACH ROW EXECUTE FUNCTION in_trigger();
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON loose DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION in_trigger();
INSERT INTO loose VALUES (1);
BEGIN;
INSERT INTO loose VALUES (2);
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
COPY loose FROM STDIN;
3
\.
CREATE FUNCTION at_event() RETURNS event_trigger LANGUAGE plpgsql AS
	$$ BEGIN PERFORM count(*) FROM city; END $$;
CREATE EVENT TRIGGER cx_event ON ddl_command_start EXECUTE FUNCTION at_event();
CREATE TABLE into_3 AS SELECT 1 AS one;
SELECT 1 AS one INTO into_4;
DROP EVENT TRIGGER cx_event;
:happened
-- queries of materialized views
CREATE MATERIALIZED VIEW total AS SELECT sum(population) FROM city;
REFRESH MATERIALIZED VIEW total;
:happened
-- but they are cached themselves
\set q 'SELECT * FROM total'
:ask
DROP MATERIALIZED VIEW total;
DROP TABLE into_2, into_3, into_4;
DEALLOCATE ALL;

-- isolation levels that keep a snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM city;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM city;
COMMIT;
:happened
BEGIN READ ONLY;
SELECT count(*) FROM city;
SELECT count(*) FROM city;
COMMIT;
:happened

--
-- The transaction's own changes
--
BEGIN;
INSERT INTO city VALUES (5, 'Rome', 'IT', 2800000);
SELECT count(*) FROM city;
SAVEPOINT s;
DELETE FROM city;
SELECT count(*) FROM city;
ROLLBACK TO s;
SELECT count(*) FROM city;
:happened
ROLLBACK;
SELECT count(*) FROM city;
:forget
INSERT INTO city VALUES (5, 'Rome', 'IT', 2800000);
SELECT count(*) FROM city;
SELECT count(*) FROM city;
:happened
-- in the transaction of one message
INSERT INTO city VALUES (6, 'Paris', 'FR', 2000000) \; SELECT count(*) FROM city \; DELETE FROM city WHERE id = 6 \; SELECT count(*) FROM city;
:happened
SELECT count(*) FROM city;
:happened
-- of another table
BEGIN;
INSERT INTO loose VALUES (4);
SELECT count(*) FROM city;
SELECT count(*) + 1 AS not_there_yet FROM city;
COMMIT;
:happened

-- a rule's SELECT is planned before the statement that it comes with has run
CREATE VIEW door AS SELECT 1 AS id;
CREATE FUNCTION may_enter(id int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('door.open', true) = 'yes' THEN
		INSERT INTO city VALUES (id);
		RETURN true;
	END IF;
	RETURN false;
END $$;
CREATE RULE entering AS ON INSERT TO door DO INSTEAD
	(SELECT may_enter(new.id) \; SELECT count(*) FROM city WHERE id < 100);
INSERT INTO door VALUES (6);
INSERT INTO door VALUES (6);
:happened
SET door.open = yes;
INSERT INTO door VALUES (6);
:happened
DROP VIEW door;
DELETE FROM city WHERE id > 4;

DROP TABLE loose;
DROP FUNCTION in_plpgsql, in_sql, in_set, in_planning, in_trigger, at_event, may_enter;
DROP PROCEDURE in_procedure;
DROP TABLE city;
DROP FUNCTION happened;
\set removed `rm -f :cached :uncached`
