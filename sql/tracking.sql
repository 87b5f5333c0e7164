--
-- track(), untrack(), track_schema(), the view tracked
--
SET client_min_messages = warning;

CREATE VIEW triggers AS
	SELECT tgrelid::regclass AS relation, tgname AS name, tgenabled AS enabled, tgtype AS type,
		tgparentid <> 0 AS clone, replace(encode(tgargs, 'escape'), '\000', ' ') AS arguments
	FROM pg_trigger WHERE tgname LIKE 'cache_ext%' ORDER BY tgrelid::regclass::text, tgname;
CREATE VIEW state AS SELECT * FROM cache_ext.tracked ORDER BY relation::text;
CREATE FUNCTION why_not(sql text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN cacheable THEN 'cacheable'
		ELSE substring(reason FROM 'public\.(\w+)') || ': ' || substring(reason FROM ': (.*)') END
	FROM cache_ext.explain(sql) $$;

-- one table
CREATE TABLE t (id int PRIMARY KEY, grp int, note text, j jsonb, a int[], pt point);
SELECT why_not('SELECT id FROM t');
SELECT cache_ext.track('t');
SELECT * FROM triggers;
TABLE state;
SELECT why_not('SELECT id FROM t');
SELECT cache_ext.track('t', '{grp, note}');
SELECT * FROM triggers;
TABLE state;
CREATE TEMPORARY VIEW trigger_oids AS SELECT array_agg(oid ORDER BY oid) FROM pg_trigger WHERE tgrelid = 't'::regclass;
CREATE TEMPORARY TABLE before AS SELECT * FROM trigger_oids;
SELECT cache_ext.track('t', '{grp, note}');	-- nothing to do
SELECT (TABLE before) = (TABLE trigger_oids) AS unchanged;
SELECT cache_ext.track('t', '{note}');
TABLE state;
SELECT cache_ext.untrack('t');
SELECT * FROM triggers;
TABLE state;
SELECT why_not('SELECT id FROM t');
SELECT cache_ext.untrack('t');

-- what was written before tracking began, in the same transaction
BEGIN;
INSERT INTO t VALUES (1);
SELECT cache_ext.track('t', '{grp}');
SELECT * FROM cache_ext.query('SELECT count(*) FROM t') AS q(n bigint);
COMMIT;
SELECT * FROM cache_ext.query('SELECT count(*) FROM t') AS q(n bigint);

-- triggers that don't see everything
ALTER TABLE t DISABLE TRIGGER cache_ext_statement;
TABLE state;
SELECT why_not('SELECT id FROM t');
ALTER TABLE t ENABLE TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM t');
ALTER TABLE t ENABLE ALWAYS TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM t');
ALTER TABLE t ENABLE TRIGGER cache_ext_row;
TABLE state;
SELECT cache_ext.track('t', '{grp}');
TABLE state;
ALTER TABLE t RENAME COLUMN grp TO team;
TABLE state;
SELECT cache_ext.track('t', '{team}');
TABLE state;
DROP TRIGGER cache_ext_statement ON t;
CREATE TRIGGER cache_ext_statement BEFORE INSERT OR UPDATE OR DELETE ON t
	FOR EACH STATEMENT EXECUTE FUNCTION cache_ext.track_statement();
ALTER TABLE t ENABLE ALWAYS TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM t');	-- TRUNCATE is missing
DROP TRIGGER cache_ext_statement ON t;
CREATE TRIGGER cache_ext_statement BEFORE INSERT OR UPDATE OF id OR DELETE OR TRUNCATE ON t
	FOR EACH STATEMENT EXECUTE FUNCTION cache_ext.track_statement();
ALTER TABLE t ENABLE ALWAYS TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM t');	-- a column list
DROP TRIGGER cache_ext_statement ON t;
CREATE TRIGGER cache_ext_statement BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON t
	FOR EACH STATEMENT WHEN (current_user = 'nobody') EXECUTE FUNCTION cache_ext.track_statement();
ALTER TABLE t ENABLE ALWAYS TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM t');	-- a condition
DROP TRIGGER cache_ext_statement ON t;
CREATE TRIGGER anything BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON t
	FOR EACH STATEMENT EXECUTE FUNCTION cache_ext.track_statement();
ALTER TABLE t ENABLE ALWAYS TRIGGER anything;
SELECT why_not('SELECT id FROM t');	-- the name doesn't matter
SELECT cache_ext.track('t');
SELECT * FROM triggers;

-- key columns
SELECT cache_ext.track('t', '{nowhere}');
SELECT cache_ext.track('t', '{ctid}');
SELECT cache_ext.track('t', '{id, id}');
SELECT cache_ext.track('t', '{id, NULL}');
SELECT cache_ext.track('t', '{a}');
SELECT cache_ext.track('t', '{pt}');
SELECT cache_ext.track('t', '{j}');
ALTER TABLE t ADD k1 int, ADD k2 int, ADD k3 int, ADD k4 int, ADD k5 int, ADD k6 int, ADD k7 int, ADD k8 int, ADD k9 int;
SELECT cache_ext.track('t', '{k1, k2, k3, k4, k5, k6, k7, k8, k9}');
SELECT cache_ext.track('t', '{k1, k2, k3, k4, k5, k6, k7, k8}');
TABLE state;
ALTER TABLE t DROP COLUMN k8;
TABLE state;
INSERT INTO t (id, k1) VALUES (2, 2);
ALTER TABLE t ALTER COLUMN k1 TYPE int[] USING ARRAY[k1];
TABLE state;
INSERT INTO t (id, k1) VALUES (3, '{3}');

-- what can't be tracked
CREATE VIEW v AS SELECT id FROM t;
CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
CREATE SEQUENCE s;
CREATE INDEX i ON t (team);
CREATE TEMPORARY TABLE temporary (id int);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE f (id int, grp int) SERVER nowhere;
SELECT cache_ext.track('v');
SELECT cache_ext.track('m');
SELECT cache_ext.track('s');
SELECT cache_ext.track('i');
SELECT cache_ext.track('f');
SELECT cache_ext.track('temporary');
SELECT cache_ext.track('pg_class');
SELECT cache_ext.track(0);
SELECT cache_ext.untrack('v');
SELECT cache_ext.track_schema('pg_catalog');
SELECT cache_ext.track_schema('nowhere');
SELECT cache_ext.track(NULL);
SELECT why_not('SELECT id FROM m');

-- the trigger functions by hand
SELECT cache_ext.track_statement();
CREATE TABLE misused (id int);
CREATE TRIGGER wrong AFTER INSERT ON misused FOR EACH ROW EXECUTE FUNCTION cache_ext.track_statement();
INSERT INTO misused VALUES (1);
DROP TRIGGER wrong ON misused;
CREATE TRIGGER wrong BEFORE INSERT ON misused FOR EACH STATEMENT EXECUTE FUNCTION cache_ext.track_row();
INSERT INTO misused VALUES (1);
DROP TRIGGER wrong ON misused;
CREATE TRIGGER odd AFTER INSERT OR UPDATE ON misused FOR EACH ROW EXECUTE FUNCTION cache_ext.track_row('id', 'nowhere', 'id');
CREATE TRIGGER rows BEFORE INSERT OR UPDATE OR DELETE ON misused FOR EACH ROW EXECUTE FUNCTION cache_ext.track_statement();
INSERT INTO misused VALUES (1);
UPDATE misused SET id = 2;
SELECT * FROM misused;
DELETE FROM misused;
SELECT relation, complete, problem FROM cache_ext.tracked WHERE relation = 'misused'::regclass;
DROP TABLE misused;

-- a partition tree
DROP TABLE t CASCADE;
CREATE TABLE r (id int, grp int) PARTITION BY LIST (id);
CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1);
CREATE TABLE r2 PARTITION OF r FOR VALUES IN (2) PARTITION BY LIST (grp);
CREATE TABLE r21 PARTITION OF r2 FOR VALUES IN (1);
SELECT cache_ext.track('r1');
SELECT cache_ext.untrack('r21');
SELECT cache_ext.track('r', '{grp}');
SELECT * FROM triggers;
TABLE state;
-- new partitions are tracked at once
CREATE TABLE r22 PARTITION OF r2 FOR VALUES IN (2);
CREATE TABLE r3 (grp int, id int);
ALTER TABLE r ATTACH PARTITION r3 FOR VALUES IN (3);
DO $$ BEGIN EXECUTE 'CREATE TABLE r4 PARTITION OF r FOR VALUES IN (4)'; END $$;
TABLE state;
SELECT * FROM triggers WHERE relation::text IN ('r22', 'r3', 'r4');
-- one with triggers of its own
CREATE TABLE r5 (id int, grp int) PARTITION BY LIST (grp);
CREATE TABLE r51 PARTITION OF r5 DEFAULT;
SELECT cache_ext.track('r5', '{id}');
ALTER TABLE r ATTACH PARTITION r5 FOR VALUES IN (5);
TABLE state;
SELECT * FROM triggers WHERE relation::text LIKE 'r5%';
-- one keeps its triggers when it leaves
ALTER TABLE r DETACH PARTITION r3;
TABLE state;
SELECT cache_ext.untrack('r3');
-- each member counts
ALTER TABLE r21 DISABLE TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM r');
SELECT why_not('SELECT id FROM r2');
SELECT why_not('SELECT id FROM r21');
SELECT why_not('SELECT id FROM r1');
SELECT cache_ext.track('r', '{grp}');
ALTER TABLE ONLY r2 DISABLE TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM r');
SELECT why_not('SELECT id FROM r2');
SELECT why_not('SELECT id FROM r21');
SELECT why_not('SELECT id FROM r1');
SELECT cache_ext.track('r', '{grp}');
ALTER TABLE r1 DISABLE TRIGGER cache_ext_row;
TABLE state;
SELECT cache_ext.track('r', '{grp}');
TABLE state;
ALTER TABLE r ATTACH PARTITION f FOR VALUES IN (6);
SELECT cache_ext.track('r');
TABLE state;
SELECT why_not('SELECT id FROM r1');
SELECT cache_ext.untrack('r');
SELECT * FROM triggers;
DROP TABLE r, r3;

-- inheritance: descendants are tracked too, and need their parents
CREATE TABLE p (id int);
CREATE TABLE q (id int);
CREATE TABLE c () INHERITS (p);
CREATE TABLE d () INHERITS (c, q);
SELECT cache_ext.track('p', '{id}');
TABLE state;
SELECT why_not('SELECT id FROM p');
SELECT why_not('SELECT id FROM c');
SELECT why_not('SELECT id FROM d');
SELECT why_not('SELECT id FROM ONLY p');
SELECT cache_ext.track('q');
TABLE state;
SELECT why_not('SELECT id FROM p');
ALTER TABLE p DISABLE TRIGGER cache_ext_statement;
SELECT why_not('SELECT id FROM d');
SELECT cache_ext.track('p', '{id}');
SELECT why_not('SELECT id FROM d');
CREATE TABLE e () INHERITS (c);
SELECT why_not('SELECT id FROM p');
SELECT cache_ext.untrack('p');
TABLE state;
DROP TABLE p, q CASCADE;

-- a schema
CREATE SCHEMA regress_schema
	CREATE TABLE one (id int)
	CREATE TABLE two (id int)
	CREATE TABLE three (id int) PARTITION BY LIST (id)
	CREATE TABLE parted PARTITION OF three DEFAULT
	CREATE VIEW four AS SELECT 4 AS id;
SELECT cache_ext.track('regress_schema.two', '{id}');
ALTER TABLE regress_schema.two DISABLE TRIGGER cache_ext_statement;
SELECT cache_ext.track_schema('regress_schema');
TABLE state;
SELECT cache_ext.track_schema('regress_schema');

-- privileges
CREATE ROLE regress_cache_ext_owner;
CREATE ROLE regress_cache_ext_other;
GRANT USAGE, CREATE ON SCHEMA public, regress_schema TO regress_cache_ext_owner, regress_cache_ext_other;
SET ROLE regress_cache_ext_owner;
CREATE TABLE owned (id int) PARTITION BY LIST (id);
SELECT cache_ext.track('owned');
SELECT * FROM cache_ext.tracked;
RESET ROLE;
GRANT EXECUTE ON FUNCTION cache_ext.track, cache_ext.untrack, cache_ext.track_schema, cache_ext.tracked
	TO regress_cache_ext_owner, regress_cache_ext_other;
GRANT SELECT ON cache_ext.tracked TO regress_cache_ext_owner;
SET ROLE regress_cache_ext_other;
SELECT cache_ext.track('owned');
SELECT cache_ext.untrack('owned');
SELECT cache_ext.track_schema('public');
SET ROLE regress_cache_ext_owner;
SELECT cache_ext.track('owned');
CREATE TABLE owned_1 PARTITION OF owned FOR VALUES IN (1);
SELECT * FROM cache_ext.tracked ORDER BY relation::text;
-- who took the right to create triggers from himself gets an untracked partition, not an error
ALTER DEFAULT PRIVILEGES REVOKE TRIGGER ON TABLES FROM regress_cache_ext_owner;
CREATE TABLE owned_2 PARTITION OF owned FOR VALUES IN (2);
SELECT * FROM cache_ext.tracked WHERE relation = 'owned'::regclass;
-- who writes needs no right but that of writing
GRANT INSERT ON owned_1 TO regress_cache_ext_other;
SET ROLE regress_cache_ext_other;
INSERT INTO owned_1 VALUES (1);
RESET ROLE;

DROP OWNED BY regress_cache_ext_owner, regress_cache_ext_other;
DROP ROLE regress_cache_ext_owner, regress_cache_ext_other;
DROP SCHEMA regress_schema CASCADE;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP SEQUENCE s;
DROP VIEW triggers, state;
DROP FUNCTION why_not;
