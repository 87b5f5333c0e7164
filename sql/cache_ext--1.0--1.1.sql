/* sql/cache_ext--1.0--1.1.sql */

-- complain if the script is sourced in psql rather than run by ALTER EXTENSION
\echo Use "ALTER EXTENSION cache_ext UPDATE TO '1.1'" to load this file. \quit

--
-- Nobody else's schema, and nobody else's operators
--
-- CREATE EXTENSION takes a schema of this name that was there before.  Its owner could rename it, and what is in
-- it already could be taken for a part of the extension.
--

DO $$
DECLARE
	schema_owner pg_catalog.name;
	other pg_catalog.text;
BEGIN
	SELECT r.rolname INTO schema_owner
	FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
	WHERE n.nspname OPERATOR(pg_catalog.=) 'cache_ext'
		AND NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) CURRENT_USER;
	IF FOUND THEN
		RAISE insufficient_privilege USING
			MESSAGE = pg_catalog.format('schema "cache_ext" is owned by role "%s"', schema_owner),
			DETAIL = 'What the owner of the schema puts in it could be taken for a part of the extension.',
			HINT = 'Drop the schema, rename it, or make a superuser its owner.';
	END IF;

	SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) INTO other
	FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) d.refobjid
		JOIN pg_catalog.pg_shdepend o ON o.classid OPERATOR(pg_catalog.=) d.classid
			AND o.objid OPERATOR(pg_catalog.=) d.objid
		JOIN pg_catalog.pg_database b ON b.oid OPERATOR(pg_catalog.=) o.dbid
		JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) o.refobjid
	WHERE n.nspname OPERATOR(pg_catalog.=) 'cache_ext'
		AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid
		AND d.deptype OPERATOR(pg_catalog.=) 'n' AND o.deptype OPERATOR(pg_catalog.=) 'o'
		AND b.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
		AND NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) CURRENT_USER
	LIMIT 1;
	IF FOUND THEN
		RAISE insufficient_privilege USING
			MESSAGE = pg_catalog.format('schema "cache_ext" holds what is not the extension''s: %s', other),
			DETAIL = 'It could be taken for a part of the extension.',
			HINT = 'Drop it, or move it to another schema.';
	END IF;
END $$;

CREATE OR REPLACE VIEW cache_ext.tracked AS
	SELECT t.relation, s.key_columns, s.complete, s.problem, s.members
	FROM (SELECT DISTINCT coalesce(pg_catalog.pg_partition_root(g.tgrelid::pg_catalog.regclass),
								   g.tgrelid::pg_catalog.regclass) AS relation
		  FROM pg_catalog.pg_trigger g
		  WHERE g.tgfoid OPERATOR(pg_catalog.=) 'cache_ext.track_statement'::pg_catalog.regproc::pg_catalog.oid
			OR g.tgfoid OPERATOR(pg_catalog.=) 'cache_ext.track_row'::pg_catalog.regproc::pg_catalog.oid) t,
		 cache_ext.tracked(t.relation) s;
COMMENT ON VIEW cache_ext.tracked IS
'the tables that have triggers of track, and what keeps queries of them from being cached';

CREATE OR REPLACE VIEW cache_ext.attached AS
	SELECT t.relation, a.key, a.mode, a.columns, a.ttl, a.on_redis_down, a.pattern, a.problem
	FROM (SELECT DISTINCT g.tgrelid::pg_catalog.regclass AS relation
		  FROM pg_catalog.pg_trigger g
		  WHERE g.tgfoid OPERATOR(pg_catalog.=) 'cache_ext.entity_row'::pg_catalog.regproc::pg_catalog.oid
			AND g.tgparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid) t,
		 cache_ext.attached(t.relation) a;
COMMENT ON VIEW cache_ext.attached IS
'the tables whose rows have keys in Redis, and what keeps them from having any';
