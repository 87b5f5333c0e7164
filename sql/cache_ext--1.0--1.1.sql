/* sql/cache_ext--1.0--1.1.sql */

-- complain if the script is sourced in psql rather than run by ALTER EXTENSION
\echo Use "ALTER EXTENSION cache_ext UPDATE TO '1.1'" to load this file. \quit

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
