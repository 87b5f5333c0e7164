# test/bench/stampede.sh: 8 sessions ask at once what takes a second and isn't cached: stampede

# A join that takes a given number of rows of its table, and time in proportion.
stampede_script()
{
	script stampede <<-END
		SELECT count(*), sum(a.id % 7 * b.id % 11) FROM stampede a JOIN stampede b ON a.bucket = b.bucket
			WHERE a.id <= $1;
	END
}

# The longest time that one of a number of clients waits for its one statement, in ms.
longest()
{
	rm -f "$bench"/stampede_log*
	run_pgbench -M simple -c "$1" -j "$1" -t 1 -l --log-prefix "$bench/stampede_log" -f "$bench/stampede.sql"
	awk '$3 > longest { longest = $3 } END { printf "%.3f\n", longest / 1000 }' "$bench"/stampede_log*
}

# How often the query ran: each run scans the table twice.  Sessions tell when they end.
scans()
{
	until [ "$(value "SELECT count(*) FROM pg_stat_activity
			WHERE query LIKE '%FROM stampede%' AND pid <> pg_backend_pid()")" = 0 ]; do :; done
	value "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'stampede'"
}

# stampede WAIT: the longest time; how often the query ran goes to the series runs_WAIT.
stampede()
{
	local before
	redis FLUSHALL >/dev/null
	sql -c "SELECT cache_ext.invalidate_all()"
	before=$(scans)
	PGOPTIONS="-c cache_ext.flight_wait=$1" cached longest 8
	echo $((($(scans) - before) / 2)) >>"$bench/runs_$1.series"
}

bench_stampede()
{
	local i wait default shortest
	sql <<-'END'
		CREATE TABLE stampede AS SELECT i AS id, i % 100 AS bucket FROM generate_series(1, 100000) i;
		VACUUM ANALYZE stampede;
		SELECT cache_ext.track('stampede');
	END
	# A little less than the second for which a miss waits by default.
	stampede_script 1000
	shortest=$(for i in 1 2 3; do longest 1; done | sort -n | head -1)
	stampede_script "$(awk -v ms="$shortest" 'BEGIN { printf "%d", 1000 * 800 / ms }')"
	default=$(value "SHOW cache_ext.flight_wait")
	start_case "8 sessions ask at once for a result of about 0.8 s that is not cached"
	rm -f "$bench"/runs_*.series
	rounds 3 alone="longest 1" wait_0="stampede 0" "wait_$default=stampede $default" \
		wait_10s="stampede 10s"
	row "one session alone, uncached" alone ms
	for wait in 0 "$default" 10s; do
		derive waited '$1 / $2' "wait_$wait" alone
		row "flight_wait = $wait: the query ran" "runs_$wait" times
		row "flight_wait = $wait: longest time / alone" waited times
	done
}
