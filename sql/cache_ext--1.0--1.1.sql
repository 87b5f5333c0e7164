/* sql/cache_ext--1.0--1.1.sql */

-- complain if the script is sourced in psql rather than run by ALTER EXTENSION
\echo Use "ALTER EXTENSION cache_ext UPDATE TO '1.1'" to load this file. \quit

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
