-- Functions for tests that hold a session at a named point (src/base/stop_point.h).  They exist only
-- in a library built with STOP_POINTS=1.
CREATE FUNCTION stop_await(point text) RETURNS void
	AS '$libdir/cache_ext', 'cache_ext_stop_await' LANGUAGE C STRICT;
CREATE FUNCTION stop_waiting(point text) RETURNS boolean
	AS '$libdir/cache_ext', 'cache_ext_stop_waiting' LANGUAGE C STRICT;
CREATE FUNCTION stop_release(point text) RETURNS void
	AS '$libdir/cache_ext', 'cache_ext_stop_release' LANGUAGE C STRICT;
CREATE FUNCTION stop_reset() RETURNS void
	AS '$libdir/cache_ext', 'cache_ext_stop_reset' LANGUAGE C STRICT;
-- Steps of isolation tests that wait at a stop point are steps that wait.  A built-in function can't be
-- replaced, but its name can be taken.
ALTER FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(integer, integer[])
	RENAME TO pg_isolation_test_session_is_blocked_by_lock;
CREATE FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(integer, integer[])
	RETURNS boolean
	AS '$libdir/cache_ext', 'cache_ext_stop_blocked' LANGUAGE C STRICT;
