-- What every isolation test has in its database.
SET client_min_messages = warning;
CREATE EXTENSION cache_ext;

-- The EXECUTE of a statement that was prepared when this session looked for the first time.
CREATE FUNCTION prepared(query text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	kept text := 'q' || md5(query);
BEGIN
	IF NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = kept) THEN
		EXECUTE format('PREPARE %I AS %s', kept, query);
	END IF;
	RETURN 'EXECUTE ' || kept;
END
$$;

-- The oracle.  A query's result is a number that never goes down.  It is read without the cache,
-- through the cache, and without it again: the cached one must lie between the others.  how tells
-- what the cache did meanwhile; of a session that was held in between, what others did as well.
CREATE FUNCTION look(query text DEFAULT 'SELECT sum(v)::bigint FROM t',
					 OUT seen bigint, OUT cached bigint, OUT seen_after bigint,
					 OUT verdict text, OUT how text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	uncached text := 'SELECT * FROM (' || query || ') q WHERE random() >= 0';	-- VOLATILE: never cached
	old record;
	new record;
BEGIN
	EXECUTE uncached INTO seen;
	SELECT * INTO old FROM cache_ext.stats();
	CASE coalesce(current_setting('look.door', true), 'function')
		WHEN 'function' THEN
			SELECT c.v INTO cached FROM cache_ext.query(query) AS c(v bigint);
		WHEN 'statement' THEN
			EXECUTE query INTO cached;
		WHEN 'prepared' THEN
			EXECUTE prepared(query) INTO cached;
	END CASE;
	SELECT * INTO new FROM cache_ext.stats();
	EXECUTE uncached INTO seen_after;
	verdict := CASE
		WHEN seen <= cached AND cached <= seen_after THEN 'exact'
		WHEN cached < seen THEN 'STALE'
		ELSE 'WRONG' END;
	how := concat_ws(', ',
		CASE WHEN new.hits > old.hits THEN 'hit' END,
		CASE WHEN new.fills > old.fills THEN 'filled' END,
		CASE WHEN new.fills_skipped > old.fills_skipped THEN 'not filled' END,
		CASE WHEN new.bypasses > old.bypasses THEN 'bypassed' END);
END
$$;

-- Ends the wait of a session that holds its commit record back from others.
CREATE FUNCTION let_commit() RETURNS boolean
LANGUAGE sql AS $$
	SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
$$;

-- The background worker has a look at prepared transactions before anything can be cached.
CREATE TABLE t (v bigint);
DO $$
BEGIN
	PERFORM cache_ext.track('t');
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN (SELECT how = 'filled' FROM look());
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
DROP TABLE t;
