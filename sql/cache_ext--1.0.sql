/* sql/cache_ext--1.0.sql */

-- complain if the script is sourced in psql rather than run by CREATE EXTENSION
\echo Use "CREATE EXTENSION cache_ext" to load this file. \quit

GRANT USAGE ON SCHEMA cache_ext TO PUBLIC;

--
-- Queries
--

CREATE FUNCTION cache_ext.query(
	sql text,
	args text[] DEFAULT '{}',
	ttl interval DEFAULT NULL,
	max_staleness interval DEFAULT NULL,
	untracked text DEFAULT 'bypass')
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_ext_query'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.query(text, text[], interval, interval, text) IS
'result of a SELECT, from the cache where it is exact, else from running it';

CREATE FUNCTION cache_ext.query_as(
	rowtype anyelement,
	sql text,
	args text[] DEFAULT '{}',
	ttl interval DEFAULT NULL,
	max_staleness interval DEFAULT NULL,
	untracked text DEFAULT 'bypass')
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cache_ext_query_as'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.query_as(anyelement, text, text[], interval, interval, text) IS
'like query, with rows of the type of the first argument';

CREATE FUNCTION cache_ext.explain(
	sql text,
	args text[] DEFAULT '{}',
	untracked text DEFAULT 'bypass',
	OUT cacheable boolean,
	OUT reason text,
	OUT key text,
	OUT tags text[],
	OUT tier text,
	OUT valid boolean,
	OUT age interval,
	OUT ttl_left interval,
	OUT size bigint)
AS 'MODULE_PATHNAME', 'cache_ext_explain'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.explain(text, text[], text) IS
'whether and how a SELECT is cached, without running it';

CREATE FUNCTION cache_ext.warm(sql text, args text[] DEFAULT '{}')
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_warm'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.warm(text, text[]) IS
'runs a SELECT once for each row of a two-dimensional array of arguments so that its results are cached; returns how many are';

CREATE FUNCTION cache_ext.warm_from(sql text, args_sql text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_warm_from'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.warm_from(text, text) IS
'like warm, with the arguments that another SELECT returns';

--
-- Invalidation
--

CREATE FUNCTION cache_ext.invalidate(relation regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_invalidate'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.invalidate(regclass) IS
'at commit, invalidates every cached result that reads the relation';

CREATE FUNCTION cache_ext.invalidate_all()
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_invalidate_all'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.invalidate_all() IS
'at commit, invalidates every cached result of this database';

CREATE FUNCTION cache_ext.invalidate_query(sql text, args text[] DEFAULT '{}')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_invalidate_query'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.invalidate_query(text, text[]) IS
'removes one cached result at once; false if there was none';

--
-- Functions that may be cached
--

CREATE FUNCTION cache_ext.allow_function(function regprocedure, reads regclass[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_allow_function'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.allow_function(regprocedure, regclass[]) IS
'lets results that use a STABLE function be cached; reads names every table it reads';

CREATE FUNCTION cache_ext.disallow_function(function regprocedure)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_disallow_function'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.disallow_function(regprocedure) IS
'takes allow_function back';

CREATE TABLE cache_ext.allowed_functions (
	function regprocedure PRIMARY KEY,
	reads regclass[] NOT NULL
);
COMMENT ON TABLE cache_ext.allowed_functions IS
'what allow_function was told; change it only through allow_function and disallow_function';
SELECT pg_catalog.pg_extension_config_dump('cache_ext.allowed_functions', '');
GRANT SELECT ON cache_ext.allowed_functions TO PUBLIC;

--
-- Redis for applications: keys and values
--

CREATE FUNCTION cache_ext.get(key text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cache_ext_get'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.get(text) IS
'value of a key in Redis; NULL if there is none';

CREATE FUNCTION cache_ext.mget(keys text[])
RETURNS TABLE (key text, value jsonb)
AS 'MODULE_PATHNAME', 'cache_ext_mget'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.mget(text[]) IS
'values of keys in Redis, in their order, in one round trip';

CREATE FUNCTION cache_ext.set(
	key text,
	value jsonb,
	ttl interval DEFAULT NULL,
	at_commit boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.set(text, jsonb, interval, boolean) IS
'sets a key in Redis, at once or when the transaction commits';

CREATE FUNCTION cache_ext.mset(keys text[], vals jsonb[], ttl interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_mset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.mset(text[], jsonb[], interval) IS
'sets keys in Redis in one round trip; returns how many';

CREATE FUNCTION cache_ext.set_nx(key text, value jsonb, ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_set_nx'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.set_nx(text, jsonb, interval) IS
'sets a key in Redis unless it exists; false if it does';

CREATE FUNCTION cache_ext.incr(key text, by bigint DEFAULT 1, ttl interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_incr'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.incr(text, bigint, interval) IS
'adds to a counter in Redis and returns the sum; ttl is for a new one';

CREATE FUNCTION cache_ext.del(VARIADIC keys text[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_del'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.del(text[]) IS
'removes keys from Redis; returns how many there were';

CREATE FUNCTION cache_ext.del(keys text[], at_commit boolean)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_del_at_commit'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.del(text[], boolean) IS
'removes keys from Redis when the transaction commits; returns how many it will try';

CREATE FUNCTION cache_ext.del_pattern(pattern text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_del_pattern'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.del_pattern(text) IS
'removes all keys from Redis that match a glob pattern; returns how many';

CREATE FUNCTION cache_ext.exists(key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_exists'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.exists(text) IS
'is there such a key in Redis?';

CREATE FUNCTION cache_ext.expire(key text, ttl interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_expire'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.expire(text, interval) IS
'sets after which time a key in Redis expires; false if there is none';

CREATE FUNCTION cache_ext.ttl(key text)
RETURNS interval
AS 'MODULE_PATHNAME', 'cache_ext_ttl'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.ttl(text) IS
'time after which a key in Redis expires; NULL if it does not or there is none';

CREATE FUNCTION cache_ext.ping()
RETURNS interval
AS 'MODULE_PATHNAME', 'cache_ext_ping'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.ping() IS
'time that Redis takes to answer; an error if it does not';

--
-- Tracking
--

CREATE FUNCTION cache_ext.track_statement()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cache_ext_track_statement'
LANGUAGE C;
COMMENT ON FUNCTION cache_ext.track_statement() IS
'trigger of tracked tables: notes that the transaction changes the table';

CREATE FUNCTION cache_ext.track_row()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cache_ext_track_row'
LANGUAGE C;
COMMENT ON FUNCTION cache_ext.track_row() IS
'trigger of tables tracked with key columns: notes the key values that the transaction changes';

CREATE FUNCTION cache_ext.track(relation regclass, key_columns name[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_track'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.track(regclass, name[]) IS
'makes queries of a table cacheable: creates the triggers that notice its changes';

CREATE FUNCTION cache_ext.untrack(relation regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_untrack'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.untrack(regclass) IS
'drops what track created';

CREATE FUNCTION cache_ext.track_schema(schema name)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_track_schema'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.track_schema(name) IS
'tracks every table of a schema that is not tracked yet; returns how many';

CREATE FUNCTION cache_ext.tracked(
	relation regclass,
	OUT key_columns name[],
	OUT complete boolean,
	OUT problem text,
	OUT members integer)
AS 'MODULE_PATHNAME', 'cache_ext_tracked'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.tracked(regclass) IS
'how a table is tracked: behind the view tracked';

CREATE VIEW cache_ext.tracked AS
	SELECT t.relation, s.key_columns, s.complete, s.problem, s.members
	FROM (SELECT DISTINCT coalesce(pg_catalog.pg_partition_root(g.tgrelid), g.tgrelid) AS relation
		  FROM pg_catalog.pg_trigger g
		  WHERE g.tgfoid IN ('cache_ext.track_statement'::regproc,
							 'cache_ext.track_row'::regproc)) t,
		 cache_ext.tracked(t.relation) s;
COMMENT ON VIEW cache_ext.tracked IS
'the tables that have triggers of track, and what keeps queries of them from being cached';

--
-- Entities
--

CREATE FUNCTION cache_ext.entity_row()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cache_ext_entity_row'
LANGUAGE C;
COMMENT ON FUNCTION cache_ext.entity_row() IS
'trigger of attached tables: notes which keys in Redis a change of a row concerns';

CREATE FUNCTION cache_ext.attach(
	relation regclass,
	key text,
	mode text,
	columns name[] DEFAULT NULL,
	ttl interval DEFAULT NULL,
	on_redis_down text DEFAULT 'proceed')
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_attach'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.attach(regclass, text, text, name[], interval, text) IS
'keeps a key in Redis right for each row of a table: removes it, or sets it to the row, when the row changes';

CREATE FUNCTION cache_ext.detach(relation regclass, key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_detach'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.detach(regclass, text) IS
'takes attach back, of one key or of all, and removes their keys; returns how many attachments there were';

CREATE FUNCTION cache_ext.attached(
	relation regclass,
	OUT key text,
	OUT mode text,
	OUT columns name[],
	OUT ttl interval,
	OUT on_redis_down text,
	OUT pattern text,
	OUT problem text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_ext_attached'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.attached(regclass) IS
'how a table is attached: behind the view attached';

CREATE VIEW cache_ext.attached AS
	SELECT t.relation, a.key, a.mode, a.columns, a.ttl, a.on_redis_down, a.pattern, a.problem
	FROM (SELECT DISTINCT g.tgrelid::regclass AS relation
		  FROM pg_catalog.pg_trigger g
		  WHERE g.tgfoid = 'cache_ext.entity_row'::regproc AND g.tgparentid = 0) t,
		 cache_ext.attached(t.relation) a;
COMMENT ON VIEW cache_ext.attached IS
'the tables whose rows have keys in Redis, and what keeps them from having any';

CREATE FUNCTION cache_ext.row(rowtype anyelement, VARIADIC key "any")
RETURNS anyelement
AS 'MODULE_PATHNAME', 'cache_ext_row'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.row(anyelement, "any") IS
'one row of an attached table by the columns of its key, from Redis where that is exact, else from the table';

--
-- Watching
--

CREATE FUNCTION cache_ext.stats(
	OUT hits bigint,
	OUT local_hits bigint,
	OUT stale_hits bigint,
	OUT misses bigint,
	OUT bypasses bigint,
	OUT fills bigint,
	OUT fills_skipped bigint,
	OUT flight_waits bigint,
	OUT refreshes bigint,
	OUT bad_entries bigint,
	OUT redis_commands bigint,
	OUT redis_errors bigint,
	OUT redis_skipped bigint,
	OUT invalidations bigint)
AS 'MODULE_PATHNAME', 'cache_ext_stats'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cache_ext.stats() IS
'counters behind the view stats';

CREATE VIEW cache_ext.stats AS SELECT * FROM cache_ext.stats();
COMMENT ON VIEW cache_ext.stats IS
'what the cache did since the server started, summed over all sessions';

CREATE FUNCTION cache_ext.local_memory(
	OUT size bigint,
	OUT used bigint,
	OUT entries bigint,
	OUT pins bigint,
	OUT evictions bigint,
	OUT discards bigint)
AS 'MODULE_PATHNAME', 'cache_ext_local_memory'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cache_ext.local_memory() IS
'state behind the view local_memory';

CREATE VIEW cache_ext.local_memory AS SELECT * FROM cache_ext.local_memory();
COMMENT ON VIEW cache_ext.local_memory IS
'how full the shared memory for results is, and what had to make room in it';

CREATE FUNCTION cache_ext.statements(
	OUT role name,
	OUT query_id bigint,
	OUT query text,
	OUT hits bigint,
	OUT misses bigint,
	OUT stored bigint,
	OUT plain bigint,
	OUT hit_ms double precision,
	OUT miss_ms double precision,
	OUT plain_ms double precision,
	OUT resting boolean,
	OUT last_used timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_ext_statements'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cache_ext.statements() IS
'what is behind the view statements';

CREATE VIEW cache_ext.statements AS SELECT * FROM cache_ext.statements();
COMMENT ON VIEW cache_ext.statements IS
'what statements of this database cost with and without the cache, and whether it pays for them';

CREATE FUNCTION cache_ext.reset_statements()
RETURNS void
AS 'MODULE_PATHNAME', 'cache_ext_reset_statements'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.reset_statements() IS
'forgets what the view statements shows';

CREATE FUNCTION cache_ext.delivery(
	OUT worker text,
	OUT backlog bigint,
	OUT oldest_age interval,
	OUT memory_size bigint,
	OUT memory_used bigint,
	OUT sweeps_pending integer,
	OUT delivered bigint,
	OUT retried bigint,
	OUT dropped bigint,
	OUT generation bigint)
AS 'MODULE_PATHNAME', 'cache_ext_delivery'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cache_ext.delivery() IS
'state behind the view delivery';

CREATE VIEW cache_ext.delivery AS SELECT * FROM cache_ext.delivery();
COMMENT ON VIEW cache_ext.delivery IS
'what committed transactions still have to tell Redis, and how the worker gets on with it';

--
-- Sessions
--

CREATE FUNCTION cache_ext.session_create(
	user_id text,
	data jsonb DEFAULT '{}',
	ttl interval DEFAULT '30 min')
RETURNS text
AS 'MODULE_PATHNAME', 'cache_ext_session_create'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_create(text, jsonb, interval) IS
'begins a session in Redis and returns its token';

CREATE FUNCTION cache_ext.session_get(token text, slide boolean DEFAULT true)
RETURNS TABLE(user_id text, data jsonb, created_at timestamptz, expires_at timestamptz)
AS 'MODULE_PATHNAME', 'cache_ext_session_get'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_get(text, boolean) IS
'the session of a token, whose end it puts off';

CREATE FUNCTION cache_ext.session_update(token text, data jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_session_update'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_update(text, jsonb) IS
'merges into the data of a session, and tells whether there is one';

CREATE FUNCTION cache_ext.session_rotate(token text)
RETURNS text
AS 'MODULE_PATHNAME', 'cache_ext_session_rotate'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_rotate(text) IS
'gives a session a new token, and ends the old one';

CREATE FUNCTION cache_ext.session_destroy(token text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_session_destroy'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_destroy(text) IS
'ends a session, and tells whether there was one';

CREATE FUNCTION cache_ext.session_destroy_user(user_id text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_session_destroy_user'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_destroy_user(text) IS
'ends all sessions of a user, and returns how many there were';

CREATE FUNCTION cache_ext.session_list(user_id text)
RETURNS TABLE(id text, data jsonb, created_at timestamptz, expires_at timestamptz)
AS 'MODULE_PATHNAME', 'cache_ext_session_list'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.session_list(text) IS
'the sessions of a user';

--
-- Rate limits and locks
--

CREATE FUNCTION cache_ext.rate_limit(
	key text,
	max_requests integer,
	per interval,
	cost integer DEFAULT 1,
	fail text DEFAULT 'open',
	OUT allowed boolean,
	OUT remaining integer,
	OUT retry_after interval,
	OUT reset_after interval)
AS 'MODULE_PATHNAME', 'cache_ext_rate_limit'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.rate_limit(text, integer, interval, integer, text) IS
'counts a request in Redis, and tells whether it is within a limit';

CREATE FUNCTION cache_ext.lock(
	name text,
	ttl interval,
	wait interval DEFAULT '0',
	release_at_end boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_ext_lock'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.lock(text, interval, interval, boolean) IS
'takes a lock in Redis that ends by itself, and returns its fencing token, or NULL if another holds it';

CREATE FUNCTION cache_ext.unlock(name text, token bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_ext_unlock'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_ext.unlock(text, bigint) IS
'ends a lock in Redis, if it is still held with this token';

--
-- Privileges: nothing to PUBLIC but what runs with the caller's rights
--

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cache_ext FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.query(text, text[], interval, interval, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.query_as(anyelement, text, text[], interval, interval, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.explain(text, text[], text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.stats() TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.track_statement() TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.track_row() TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.entity_row() TO PUBLIC;
GRANT SELECT ON cache_ext.stats TO PUBLIC;
