# test/bench/mixes.sh: what hits are worth where somebody writes: mixes

# One of 16 keys is read, a row of any key is written.
prepare_mix()
{
	local table=$1
	sql <<-END
		CREATE TABLE $table (id int PRIMARY KEY, key int NOT NULL, amount int NOT NULL) WITH (fillfactor = 70);
		INSERT INTO $table SELECT i, i % 16, 0 FROM generate_series(1, 80000) i;
		CREATE INDEX ON $table (key);
		VACUUM ANALYZE $table;
		SELECT cache_ext.track('$table', '$2');
	END
	script "read_$table" <<-END
		\set key random(0, 15)
		SELECT count(*), sum(amount) FROM $table WHERE key = :key;
	END
	script "write_$table" <<-END
		\set id random(1, 80000)
		UPDATE $table SET amount = amount + 1 WHERE id = :id;
	END
}

# measure_mix TABLE WRITES: of 100 statements so many write.
measure_mix()
{
	timed -c 8 -j 2 -f "$bench/read_$1.sql@$((100 - $2))" -f "$bench/write_$1.sql@$2"
}

# The same cached; the hit ratio goes to the series hits_of_TABLE.
measure_cached_mix()
{
	local before after
	before=$(counters)
	cached measure_mix "$@"
	after=$(counters)
	hit_ratio "$before" "$after" >>"$bench/hits_of_$1.series"
}

bench_mixes()
{
	local writes table
	prepare_mix by_table '{}'
	prepare_mix by_key '{key}'
	# What the disk takes would hide what the cache does.
	sql -c "ALTER SYSTEM SET synchronous_commit = off" -c "SELECT pg_reload_conf()"
	for writes in 1 10; do
		start_case "16 aggregates, $((100 - writes)) reads to $writes writes, 8 clients, synchronous_commit = off"
		rm -f "$bench"/hits_of_*.series
		rounds 3 table="measure_cached_mix by_table $writes" plain_table="measure_mix by_table $writes" \
			key="measure_cached_mix by_key $writes" plain_key="measure_mix by_key $writes"
		for table in table key; do
			row "cached, tracked by $table" $table us
			row "cached, tracked by $table: hits" "hits_of_by_$table" %
			row "uncached, tracked by $table" "plain_$table" us $table
		done
	done
	sql -c "ALTER SYSTEM RESET synchronous_commit" -c "SELECT pg_reload_conf()"
}
