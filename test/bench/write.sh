# test/bench/write.sh: what the cache costs those who write, and those whose Redis is down:
# write update down

bench_write()
{
	local database mode
	for database in plain tracked; do
		sql -c "CREATE DATABASE $database"
		pgbench -i -q -s 10 "$database" >/dev/null 2>&1
		sql -d "$database" -c "CREATE EXTENSION cache_ext"
	done
	sql -d tracked -c "SELECT cache_ext.track(c.oid) FROM pg_class c
		WHERE relname LIKE 'pgbench_%' AND relkind = 'r'"
	pgbench --show-script=tpcb-like 2>&1 | grep -E '^(\\|[A-Z])' | script tpcb

	for mode in on off; do
		start_case "TPC-B-like, 3 UPDATEs, 1 SELECT, 1 INSERT, synchronous_commit = $mode"
		sql -c "ALTER SYSTEM SET synchronous_commit = $mode" -c "SELECT pg_reload_conf()"
		sql -c "CHECKPOINT"
		rounds 15 untracked="measure tpcb -s 10 plain" tracked="measure tpcb -s 10 tracked"
		row tracked tracked us
		row untracked untracked us tracked ">= 0.97"
	done
	sql -c "ALTER SYSTEM RESET synchronous_commit" -c "SELECT pg_reload_conf()"
}

update_with_entries()
{
	redis FLUSHALL >/dev/null
	if [ "$1" != 0 ]; then
		sql -c "SELECT cache_ext.warm_from('SELECT stock FROM item WHERE id = \$1::int',
			'SELECT i::text FROM generate_series(1, $1) i')"
		[ "$(redis DBSIZE)" -ge "$1" ] || die "only $(redis DBSIZE) of $1 entries were cached"
	fi
	measure update
}

bench_update()
{
	sql <<-'END'
		CREATE TABLE item (id int PRIMARY KEY, stock int NOT NULL);
		INSERT INTO item SELECT i, 0 FROM generate_series(1, 100000) i;
		VACUUM ANALYZE item;
		SELECT cache_ext.track('item');
	END
	script update <<-'END'
		\set id random(1, 100000)
		UPDATE item SET stock = stock + 1 WHERE id = :id;
	END
	# What the disk takes would only hide a difference.
	sql -c "ALTER SYSTEM SET synchronous_commit = off" -c "SELECT pg_reload_conf()"
	start_case "UPDATE of a row of a table on which entries are cached, synchronous_commit = off"
	rounds 7 none="update_with_entries 0" many="update_with_entries 100000"
	sql -c "ALTER SYSTEM RESET synchronous_commit" -c "SELECT pg_reload_conf()"
	row "100,000 entries" many us
	row "0 entries" none us many
}

disabled()
{
	PGOPTIONS='-c cache_ext.enabled=off' "$@"
}

# With a local tier there would be hits without Redis.
bench_down()
{
	start_redis_only
	script dashboard_1 <<<"SELECT * FROM cache_ext.query($(quoted "$(dashboard 1)")) $row_type;"
	script key <<<"SELECT * FROM cache_ext.query('SELECT name FROM customer WHERE id = 4711') AS (name text);"
	stop_redis
	at redis_only measure key >/dev/null	# opens the breaker
	start_case "one row by primary key, Redis is down"
	rounds 15 down="at redis_only measure key" off="at redis_only disabled measure key"
	row "Redis is down" down us
	row "cache_ext.enabled = off" off us down ">= 0.95"
	start_case "dashboard query, Redis is down"
	rounds 5 down="at redis_only measure dashboard_1" off="at redis_only disabled measure dashboard_1"
	row "Redis is down" down us
	row "cache_ext.enabled = off" off us down ">= 0.95"
	start_redis
}
