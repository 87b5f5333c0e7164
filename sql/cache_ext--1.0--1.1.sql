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

--
-- Functions that may be cached: by name, with the settings that they read, as long as they aren't changed
--

CREATE FUNCTION cache_ext.function_definition(function regprocedure)
RETURNS text
AS 'MODULE_PATHNAME', 'cache_ext_function_definition'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.function_definition(regprocedure) IS
'hash of the definition of a function, which allow_function remembers';
REVOKE ALL ON FUNCTION cache_ext.function_definition(regprocedure) FROM PUBLIC;

-- Rows of functions and tables that are gone would name others in another database.
DELETE FROM cache_ext.allowed_functions a
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
					  WHERE p.oid OPERATOR(pg_catalog.=) a.function::pg_catalog.oid)
	OR EXISTS (SELECT FROM pg_catalog.unnest(a.reads) AS r (relation)
			   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c
								 WHERE c.oid OPERATOR(pg_catalog.=) r.relation::pg_catalog.oid));
ALTER TABLE cache_ext.allowed_functions
	ADD COLUMN settings text[] NOT NULL DEFAULT '{}',
	ADD COLUMN definition text NOT NULL DEFAULT '';
UPDATE cache_ext.allowed_functions
	SET definition = cache_ext.function_definition(function);
-- a table is written with its schema where search_path, which is that of the extension here, doesn't find it
ALTER TABLE cache_ext.allowed_functions
	ALTER COLUMN function TYPE text USING
		(pg_catalog.pg_identify_object('pg_catalog.pg_proc'::pg_catalog.regclass, function::pg_catalog.oid, 0)).identity,
	ALTER COLUMN reads TYPE text[] USING reads::pg_catalog.text[];

-- The same function with one more argument: whoever may execute it still may.  A new one would have no privileges,
-- and calls with one or two arguments would fit both.
UPDATE pg_catalog.pg_proc
	SET pronargs = 3, proargtypes = '2202 2210 1009', proargnames = '{function,reads,settings}',
		pronargdefaults = 0, proargdefaults = NULL
	WHERE oid OPERATOR(pg_catalog.=)
		'cache_ext.allow_function(pg_catalog.regprocedure, pg_catalog.regclass[])'::pg_catalog.regprocedure::pg_catalog.oid;
CREATE OR REPLACE FUNCTION cache_ext.allow_function(
	function regprocedure,
	reads regclass[] DEFAULT '{}',
	settings text[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_allow_function'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.allow_function(regprocedure, regclass[], text[]) IS
'lets results that use a function whose body can''t be told be cached; reads and settings name all that it reads';

--
-- The owner of the keys in Redis
--

CREATE FUNCTION cache_ext.take_over()
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_take_over'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.take_over() IS
'makes this server the owner of the keys in Redis that begin with its key_prefix';
REVOKE EXECUTE ON FUNCTION cache_ext.take_over() FROM PUBLIC;
