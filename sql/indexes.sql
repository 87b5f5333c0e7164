--
-- Results that an index decides, because it is broken or only approximate: what changes it is seen
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SET enable_seqscan = off;

CREATE TABLE t (id int, n int);
CREATE TABLE bystander (id int, n int);
CREATE TABLE p (id int, n int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE MATERIALIZED VIEW m AS SELECT i AS id, i AS n FROM generate_series(1, 9) i;
INSERT INTO t SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO bystander SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO p SELECT 1, i FROM generate_series(1, 9) i;
SELECT cache_ext.track(r) FROM unnest('{t,bystander,p}'::regclass[]) r;

-- an index is broken when what it was made with changes
CREATE FUNCTION shown(int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4abs';
CREATE INDEX t_shown ON t (shown(n));
CREATE INDEX bystander_shown ON bystander (shown(n));
CREATE INDEX p_shown ON p (shown(n));
CREATE INDEX m_shown ON m (shown(n));

CREATE FUNCTION break_indexes() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE FUNCTION shown(int) RETURNS int LANGUAGE internal IMMUTABLE AS %L',
		CASE WHEN shown(9) > 0 THEN 'int4um' ELSE 'int4abs' END);
END $$;

-- those tables whose cached result is no longer valid; an error if one is wrong
CREATE FUNCTION found() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	name text;
	sql text;
	cached text;
	live text;
	kept bool;
	result text = '';
BEGIN
	FOREACH name IN ARRAY '{t,p,m,bystander}'::text[] LOOP
		sql = format('SELECT count(*)::text FROM %s WHERE shown(n) = 9', name);
		SELECT valid INTO kept FROM cache_ext.explain(sql);
		FOR attempt IN 1..100 LOOP
			SELECT v INTO cached FROM cache_ext.query(sql) AS t(v text);
			EXIT WHEN (SELECT valid FROM cache_ext.explain(sql));
		END LOOP;
		EXECUTE sql INTO live;
		IF cached IS DISTINCT FROM live THEN
			RAISE EXCEPTION '% has % but the cache says %', name, live, cached;
		END IF;
		result = result || CASE WHEN kept THEN '' ELSE name || ' ' END;
	END LOOP;
	RETURN result;
END $$;
SELECT found();
SELECT found();

SELECT break_indexes(); SELECT found(); REINDEX INDEX t_shown; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX TABLE t; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX INDEX CONCURRENTLY t_shown; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX TABLE CONCURRENTLY t; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX TABLE m; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX INDEX CONCURRENTLY m_shown; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX TABLE p; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX INDEX p_shown; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX TABLE p1; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX TABLE CONCURRENTLY p; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX INDEX CONCURRENTLY p1_shown_idx; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX SCHEMA public; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX SCHEMA CONCURRENTLY public; SELECT found();
SELECT break_indexes(); SELECT found(); REINDEX DATABASE :"DBNAME"; SELECT found();
SELECT break_indexes(); SELECT found(); DO 'BEGIN REINDEX TABLE t; END'; SELECT found();
SELECT break_indexes(); SELECT found(); BEGIN; REINDEX TABLE t; ROLLBACK; SELECT found();
SELECT break_indexes(); SELECT found(); DROP INDEX t_shown; SELECT found();
CREATE INDEX t_shown ON t (shown(n)); SELECT found();
SELECT break_indexes(); SELECT found(); DROP INDEX CONCURRENTLY t_shown; SELECT found();
SELECT break_indexes(); SELECT found(); CREATE INDEX CONCURRENTLY t_shown ON t (shown(n)); SELECT found();
SELECT break_indexes(); SELECT found(); VACUUM FULL t; SELECT found();
SELECT break_indexes(); SELECT found(); ALTER INDEX t_shown SET (fillfactor = 50); SELECT found();
SELECT break_indexes(); SELECT found(); ALTER TABLE t ADD CONSTRAINT t_key UNIQUE (id); SELECT found();
SELECT break_indexes(); SELECT found(); ALTER TABLE t DROP CONSTRAINT t_key; SELECT found();
-- catalogs, and TOAST, which any table may use
REINDEX TABLE pg_catalog.pg_description; SELECT found();
SELECT format('REINDEX TABLE %s', reltoastrelid::regclass) AS command FROM pg_class
	WHERE oid = 'pg_catalog.pg_description'::regclass \gset
:command; SELECT found();

-- a command that fails on the way has made the first index anew, and nobody else's results go
CREATE ROLE regress_cache_ext_owner;
CREATE SCHEMA failing;
CREATE TABLE failing.first (id int, n int);
INSERT INTO failing.first SELECT i, i FROM generate_series(1, 9) i;
SELECT cache_ext.track('failing.first');
CREATE INDEX ON failing.first (shown(n));
CREATE TABLE failing.second (n int);
INSERT INTO failing.second VALUES (1);
CREATE FUNCTION failing.may_fail(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE INDEX ON failing.second (failing.may_fail(n));
CREATE OR REPLACE FUNCTION failing.may_fail(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE ''failing''; END';
SELECT break_indexes(); SELECT found();
SELECT * FROM cache_ext.query('SELECT count(*) FROM failing.first WHERE shown(n) = 9') AS t(v bigint);
SELECT * FROM cache_ext.query('SELECT count(*) FROM failing.first WHERE shown(n) = 9') AS t(v bigint);
SELECT valid FROM cache_ext.explain('SELECT count(*) FROM failing.first WHERE shown(n) = 9');
REINDEX SCHEMA failing;
SELECT valid FROM cache_ext.explain('SELECT count(*) FROM failing.first WHERE shown(n) = 9');
SELECT found();
SET ROLE regress_cache_ext_owner;
\set VERBOSITY sqlstate
REINDEX TABLE t;
REINDEX INDEX t_shown;
\set VERBOSITY default
REINDEX TABLE no_such_table;
REINDEX SCHEMA no_such_schema;
RESET ROLE;
SELECT found();
CREATE TEMPORARY TABLE own (n int); CREATE INDEX own_n ON own (n); REINDEX TABLE own; REINDEX INDEX own_n;
DROP TABLE own;
RESET enable_seqscan;

DROP SCHEMA failing CASCADE;
DROP TABLE t, p, bystander;
DROP MATERIALIZED VIEW m;
DROP FUNCTION shown, break_indexes, found;
DROP ROLE regress_cache_ext_owner;
