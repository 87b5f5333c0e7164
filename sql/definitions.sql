--
-- Every kind of DDL: what it changes is seen at once, what it can't change stays cached
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

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

CREATE ROLE regress_cache_ext_a;
CREATE ROLE regress_cache_ext_b;
CREATE TABLE a (id int PRIMARY KEY, n int, note text);
CREATE TABLE b (id int, n int);
CREATE TABLE p (id int, n int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (n int, id int);
CREATE TABLE parent (id int, n int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE stranger (id int, n int);
CREATE VIEW v AS SELECT id, n FROM a WHERE n > 1;
CREATE MATERIALIZED VIEW m AS SELECT id, n FROM a;
CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 1; END';
CREATE SEQUENCE numbers;
INSERT INTO a SELECT i, i, 'note' FROM generate_series(1, 9) i;
INSERT INTO b SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO p VALUES (1, 1);
INSERT INTO p2 VALUES (2, 2);
INSERT INTO parent VALUES (1, 1);
INSERT INTO child VALUES (2, 2);
INSERT INTO stranger VALUES (3, 4);
SELECT cache_ext.track(t) FROM unnest('{a,b,p,p2,parent,stranger}'::regclass[]) t;
INSERT INTO watched VALUES
	('a', 'SELECT sum(n)::text FROM a'),
	('b', 'SELECT sum(n)::text FROM b'),
	('child', 'SELECT sum(n)::text FROM child'),
	('f', 'SELECT f(1)::text'),
	('m', 'SELECT sum(n)::text FROM m'),
	('p', 'SELECT sum(n)::text FROM p'),
	('p1', 'SELECT sum(n)::text FROM p1'),
	('p2', 'SELECT sum(n)::text FROM p2'),
	('parent', 'SELECT sum(n)::text FROM parent'),
	('row', 'SELECT max(b)::text FROM (SELECT b::text FROM b) AS t(b)'),
	('stranger', 'SELECT sum(n)::text FROM stranger'),
	('v', 'SELECT sum(n)::text FROM v');
SELECT fill();
SELECT effect();

-- columns
ALTER TABLE a ADD COLUMN extra int DEFAULT 5; SELECT effect();
ALTER TABLE b ADD COLUMN extra int DEFAULT 5; SELECT effect();
ALTER TABLE b RENAME COLUMN extra TO more; SELECT effect();
ALTER TABLE b ALTER COLUMN more TYPE text; SELECT effect();
ALTER TABLE b DROP COLUMN more; SELECT effect();
ALTER TABLE b ALTER COLUMN n SET NOT NULL; SELECT effect();
ALTER TABLE b ALTER COLUMN n SET DEFAULT 1; SELECT effect();
ALTER TABLE b ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) STORED; SELECT effect();
ALTER TABLE b ALTER COLUMN twice DROP EXPRESSION; SELECT effect();
-- the table
ALTER TABLE b RENAME TO bb; ALTER TABLE bb RENAME TO b; SELECT effect();
CREATE SCHEMA elsewhere; SELECT effect();
ALTER TABLE b SET SCHEMA elsewhere; ALTER TABLE elsewhere.b SET SCHEMA public; SELECT effect();
ALTER TABLE b OWNER TO regress_cache_ext_a; SELECT effect();
ALTER TABLE b OWNER TO CURRENT_USER; SELECT effect();
ALTER TABLE b SET UNLOGGED; SELECT effect();
ALTER TABLE b SET LOGGED; SELECT effect();
ALTER TABLE b SET (fillfactor = 70); SELECT effect();
ALTER TABLE b ADD CONSTRAINT few CHECK (n < 1000) NOT VALID; SELECT effect();
ALTER TABLE b VALIDATE CONSTRAINT few; SELECT effect();
ALTER TABLE b DROP CONSTRAINT few; SELECT effect();
CLUSTER a USING a_pkey; SELECT effect();
VACUUM FULL b; SELECT effect();
TRUNCATE b; SELECT effect();
INSERT INTO b VALUES (1, 1); SELECT effect();
-- indexes, which may be broken or approximate
CREATE INDEX b_n ON b (n); SELECT effect();
CREATE INDEX CONCURRENTLY b_n2 ON b (n); SELECT effect();
REINDEX INDEX b_n; SELECT effect();
DROP INDEX b_n, b_n2; SELECT effect();
-- row-level security
ALTER TABLE b ENABLE ROW LEVEL SECURITY; SELECT effect();
ALTER TABLE b FORCE ROW LEVEL SECURITY; SELECT effect();
CREATE POLICY few ON b USING (n > 0); SELECT effect();
ALTER POLICY few ON b USING (n > 1); SELECT effect();
ALTER POLICY few ON b RENAME TO any_of; SELECT effect();
DROP POLICY any_of ON b; SELECT effect();
ALTER TABLE b NO FORCE ROW LEVEL SECURITY; SELECT effect();
ALTER TABLE b DISABLE ROW LEVEL SECURITY; SELECT effect();
-- rules and triggers
CREATE RULE also AS ON INSERT TO b DO ALSO SELECT 1; SELECT effect();
ALTER TABLE b DISABLE RULE also; SELECT effect();
ALTER RULE also ON b RENAME TO too; SELECT effect();
DROP RULE too ON b; SELECT effect();
CREATE TRIGGER redundant BEFORE UPDATE ON b FOR EACH ROW
	EXECUTE FUNCTION suppress_redundant_updates_trigger(); SELECT effect();
ALTER TABLE b DISABLE TRIGGER redundant; SELECT effect();
ALTER TRIGGER redundant ON b RENAME TO superfluous; SELECT effect();
DROP TRIGGER superfluous ON b; SELECT effect();
-- partitions: all of a tree have one clock
ALTER TABLE p1 SET (fillfactor = 70); SELECT effect();
ALTER TABLE p ADD COLUMN extra int; ALTER TABLE p2 ADD COLUMN extra int; SELECT effect();
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2); SELECT effect();
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3); SELECT effect();
INSERT INTO p3 VALUES (3, 4); SELECT effect();
ALTER TABLE p DETACH PARTITION p3; SELECT effect();
ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY; SELECT effect();
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (3); SELECT effect();
DROP TABLE p3; SELECT effect();
-- inheritance
ALTER TABLE stranger INHERIT parent; SELECT effect();
INSERT INTO stranger VALUES (4, 8); SELECT effect();
ALTER TABLE stranger NO INHERIT parent; SELECT effect();
CREATE TABLE grandchild () INHERITS (child); SELECT cache_ext.track('grandchild'); SELECT effect();
INSERT INTO grandchild VALUES (5, 16); SELECT effect();
DROP TABLE grandchild; SELECT effect();
-- views
CREATE OR REPLACE VIEW v AS SELECT id, n FROM a WHERE n > 2; SELECT effect();
ALTER VIEW v SET (security_barrier); SELECT effect();
ALTER VIEW v RENAME COLUMN id TO number; SELECT effect();
REFRESH MATERIALIZED VIEW m; SELECT effect();
ALTER MATERIALIZED VIEW m RENAME COLUMN id TO number; SELECT effect();
-- functions, types, operators, casts: everything
CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 2; END'; SELECT effect();
ALTER FUNCTION f(int) COST 200; SELECT effect();
ALTER FUNCTION f(int) OWNER TO regress_cache_ext_a; SELECT effect();
ALTER FUNCTION f(int) OWNER TO CURRENT_USER; SELECT effect();
CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT effect();
ALTER FUNCTION g() RENAME TO h; SELECT effect();
DROP FUNCTION h(); SELECT effect();
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int); SELECT effect();
CREATE OR REPLACE AGGREGATE total(int) (sfunc = int4mul, stype = int); SELECT effect();
DROP AGGREGATE total(int); SELECT effect();
CREATE TYPE pair AS (a int, b int); SELECT effect();
ALTER TYPE pair ADD ATTRIBUTE c int; SELECT effect();
ALTER TYPE pair RENAME ATTRIBUTE c TO d; SELECT effect();
ALTER TYPE pair RENAME TO couple; SELECT effect();
CREATE TABLE typed OF couple; SELECT effect();
CREATE FUNCTION to_int(couple) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; SELECT effect();
CREATE CAST (couple AS int) WITH FUNCTION to_int(couple); SELECT effect();
DROP CAST (couple AS int); SELECT effect();
DROP TYPE couple CASCADE; SELECT effect();
CREATE TYPE mood AS ENUM ('sad', 'glad'); SELECT effect();
ALTER TYPE mood ADD VALUE 'mad'; SELECT effect();
ALTER TYPE mood RENAME VALUE 'mad' TO 'bad'; SELECT effect();
ALTER TYPE mood SET SCHEMA elsewhere; SELECT effect();
ALTER TYPE elsewhere.mood OWNER TO regress_cache_ext_a; SELECT effect();
DROP TYPE elsewhere.mood; SELECT effect();
CREATE DOMAIN positive AS int CHECK (value > 0); SELECT effect();
ALTER DOMAIN positive ADD CONSTRAINT small CHECK (value < 9); SELECT effect();
ALTER DOMAIN positive DROP CONSTRAINT small; SELECT effect();
ALTER DOMAIN positive SET NOT NULL; SELECT effect();
DROP DOMAIN positive; SELECT effect();
CREATE TYPE span AS RANGE (subtype = int); SELECT effect();
DROP TYPE span; SELECT effect();
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq); SELECT effect();
ALTER OPERATOR === (int, int) SET (restrict = eqsel); SELECT effect();
DROP OPERATOR === (int, int); SELECT effect();
CREATE OPERATOR FAMILY kin USING btree; SELECT effect();
ALTER OPERATOR FAMILY kin USING btree ADD OPERATOR 1 < (int4, int8); SELECT effect();
ALTER OPERATOR FAMILY kin USING btree DROP OPERATOR 1 (int4, int8); SELECT effect();
DROP OPERATOR FAMILY kin USING btree; SELECT effect();
CREATE COLLATION plain FROM "C"; SELECT effect();
ALTER COLLATION plain RENAME TO simple; SELECT effect();
DROP COLLATION simple; SELECT effect();
CREATE TEXT SEARCH CONFIGURATION words (copy = simple); SELECT effect();
ALTER TEXT SEARCH CONFIGURATION words DROP MAPPING FOR word; SELECT effect();
ALTER TEXT SEARCH CONFIGURATION words ADD MAPPING FOR word WITH english_stem; SELECT effect();
CREATE TEXT SEARCH DICTIONARY terms (template = simple); SELECT effect();
ALTER TEXT SEARCH DICTIONARY terms (accept = false); SELECT effect();
DROP TEXT SEARCH DICTIONARY terms; SELECT effect();
DROP TEXT SEARCH CONFIGURATION words; SELECT effect();
CREATE CONVERSION other_latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; SELECT effect();
DROP CONVERSION other_latin; SELECT effect();
ALTER SCHEMA elsewhere RENAME TO somewhere; SELECT effect();
DROP SCHEMA somewhere; SELECT effect();
-- privileges and roles: everything
GRANT SELECT ON b TO regress_cache_ext_a; SELECT effect();
GRANT SELECT (n) ON b TO regress_cache_ext_a; SELECT effect();
REVOKE SELECT ON b FROM regress_cache_ext_a; SELECT effect();
GRANT EXECUTE ON FUNCTION f TO regress_cache_ext_a; SELECT effect();
DROP OWNED BY regress_cache_ext_a; SELECT effect();
ALTER TABLE stranger OWNER TO regress_cache_ext_a; SELECT effect();
REASSIGN OWNED BY regress_cache_ext_a TO CURRENT_USER; SELECT effect();
CREATE ROLE regress_cache_ext_c; SELECT effect();
ALTER ROLE regress_cache_ext_c BYPASSRLS; SELECT effect();
GRANT regress_cache_ext_b TO regress_cache_ext_c; SELECT effect();
REVOKE regress_cache_ext_b FROM regress_cache_ext_c; SELECT effect();
ALTER GROUP regress_cache_ext_b ADD USER regress_cache_ext_c; SELECT effect();
ALTER ROLE regress_cache_ext_c RENAME TO regress_cache_ext_d; SELECT effect();
DROP ROLE regress_cache_ext_d; SELECT effect();
-- by any way
DO $$ BEGIN EXECUTE 'ALTER TABLE b ADD COLUMN dynamic int'; END $$; SELECT effect();
BEGIN; ALTER TABLE b ADD COLUMN undone int; ROLLBACK; SELECT effect();
BEGIN; ALTER TABLE b ADD COLUMN prepared int; PREPARE TRANSACTION 'definitions'; COMMIT PREPARED 'definitions'; SELECT effect();

-- what can't change a result
CREATE TABLE created (id serial PRIMARY KEY, n int REFERENCES created); SELECT effect();
CREATE TABLE selected AS SELECT 1 AS n; SELECT effect();
CREATE VIEW created_view AS SELECT 1 AS n; SELECT effect();
DROP VIEW created_view; DROP TABLE created, selected; SELECT effect();
ANALYZE b; SELECT effect();
VACUUM b; SELECT effect();
CREATE STATISTICS b_statistics ON id, n FROM b; SELECT effect();
DROP STATISTICS b_statistics; SELECT effect();
COMMENT ON TABLE b IS 'changed'; SELECT effect();
ALTER TABLE b REPLICA IDENTITY FULL; SELECT effect();
CREATE PUBLICATION b_publication FOR TABLE b; SELECT effect();
DROP PUBLICATION b_publication; SELECT effect();
ALTER SEQUENCE numbers RESTART; SELECT effect();
SELECT nextval('numbers'); SELECT effect();
SELECT lo_unlink(lo_create(0)); SELECT effect();
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO regress_cache_ext_a; SELECT effect();
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM regress_cache_ext_a; SELECT effect();
ALTER ROLE regress_cache_ext_a SET work_mem = '4MB'; SELECT effect();
ALTER ROLE regress_cache_ext_a RESET work_mem; SELECT effect();
-- temporary tables (names in f could mean these, so it is no longer cached)
DELETE FROM watched WHERE name = 'f';
CREATE TEMPORARY TABLE own (id serial PRIMARY KEY, n int CHECK (n > 0)); SELECT effect();
CREATE TEMPORARY VIEW own_view AS SELECT n FROM own; SELECT effect();
CREATE INDEX ON own (n); ALTER TABLE own ADD COLUMN extra int; TRUNCATE own; SELECT effect();
DROP TABLE own CASCADE; SELECT effect();

-- what drops a watched table
DELETE FROM watched WHERE name NOT IN ('a', 'b');
DROP TABLE p, p2, parent, child, stranger CASCADE; SELECT effect();
DROP VIEW v; DROP MATERIALIZED VIEW m; SELECT effect();
BEGIN; DROP TABLE a; CREATE TABLE a AS SELECT 7 AS n; SELECT cache_ext.track('a'); COMMIT; SELECT effect();

DROP TABLE a, b, watched;
DROP FUNCTION f, fill, effect;
DROP SEQUENCE numbers;
DROP ROLE regress_cache_ext_a, regress_cache_ext_b;
