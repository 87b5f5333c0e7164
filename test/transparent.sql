-- What the tests of ordinary statements (sql/transparent*.sql) share: a table, and macros for psql.
\set ECHO none
CREATE TABLE city (id int PRIMARY KEY, name text, country text, population bigint);
INSERT INTO city VALUES (1, 'Oslo', 'NO', 709000), (2, 'Bergen', 'NO', 291000),
	(3, 'Turin', 'IT', 841000), (4, 'Bari', 'IT', NULL);
DO $$ BEGIN PERFORM cache_ext.track('city'); END $$;

-- :happened tells what the cache did since it was last asked, :forget does not tell
CREATE FUNCTION happened() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	old bigint[] := coalesce(nullif(current_setting('happened.before', true), ''), '{0,0,0,0,0}');
	new bigint[];
BEGIN
	SELECT ARRAY[hits, fills, fills_skipped, bypasses, stale_hits] INTO new FROM cache_ext.stats();
	PERFORM set_config('happened.before', new::text, false);
	RETURN coalesce(nullif(concat_ws(', ',
		CASE WHEN new[1] > old[1] THEN new[1] - old[1] || ' hit' END,
		CASE WHEN new[5] > old[5] THEN new[5] - old[5] || ' of them stale' END,
		CASE WHEN new[2] > old[2] THEN new[2] - old[2] || ' filled' END,
		CASE WHEN new[3] > old[3] THEN new[3] - old[3] || ' not filled' END,
		CASE WHEN new[4] > old[4] THEN new[4] - old[4] || ' bypassed' END), ''), 'plain');
END $$;
\set happened 'SELECT happened() \\g (tuples_only=on format=unaligned)'
\set forget 'SELECT happened() AS forgotten \\gset'
:forget

-- :ask shows a query :q once, asks for it twice more, and compares that with what comes without the cache
\getenv builddir PG_ABS_BUILDDIR
\set cached :builddir '/results/transparent.cached'
\set uncached :builddir '/results/transparent.uncached'
\set compare '\\set same `cmp :cached :uncached && echo same rows` \\echo :same'
\set ask ':q; \\o :cached \\\\ :q; :q; \\o :uncached \\\\ SET cache_ext.enabled = off; :q; :q; RESET cache_ext.enabled; \\o \\\\ :compare \\\\ :happened'

-- :plan shows how :q would be run, :plan_run how it was, but for what differs from run to run
\set filtered ':q \\g (tuples_only=on format=unaligned) \\o \\set shown `sed "/Cache Tier/d; /Sort Method/d; s/\\(Cache Key:\\).*/\\1 .../" :cached` \\echo :shown'
\set plan '\\o :cached \\\\ EXPLAIN (VERBOSE, COSTS off) :filtered'
\set plan_run '\\o :cached \\\\ EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) :filtered'
\set ECHO all
