# test/bench/hit.sh: a hit beside other ways to the same rows: hit protocols clients redis

# The query of the dashboard, with a given number of rows.
dashboard()
{
	echo "SELECT c.id, c.name, count(*) AS orders, sum(o.amount) AS amount" \
		"FROM orders o JOIN customer c ON c.id = o.customer" \
		"WHERE o.day >= '2024-02-01' GROUP BY c.id ORDER BY c.id LIMIT $1"
}

row_type="AS (id int, name text, orders bigint, amount numeric)"

# The scripts, and what their statements need; once.
prepare_hits()
{
	local rows
	[ ! -e "$bench/one.sql" ] || return 0
	cc -O2 -o "$bench/get" test/bench/get.c -lhiredis
	cc $(pg_config --cflags) -fPIC -shared -I"$(pg_config --includedir-server)" \
		-o "$bench/rows.so" test/bench/rows.c
	sql -c "CREATE MATERIALIZED VIEW dashboard AS $(dashboard ALL)" \
		-c "CREATE UNIQUE INDEX ON dashboard (id)" -c "VACUUM ANALYZE dashboard" \
		-c "CREATE FUNCTION bench_rows(rows int, OUT id int, OUT name text, OUT orders bigint,
			OUT amount numeric) RETURNS SETOF record AS '$bench/rows' LANGUAGE C STABLE STRICT"
	script one <<<"SELECT 1;"
	for rows in 1 100 5000; do
		script "query_$rows" <<<"$(dashboard $rows);"
		script "rows_$rows" <<<"SELECT * FROM bench_rows($rows);"
		script "view_$rows" <<<"SELECT * FROM dashboard ORDER BY id LIMIT $rows;"
	done
	script number <<<"SELECT count(*) FROM orders WHERE day >= '2024-02-01';"
	local three_tables="SELECT k.name, count(*), sum(o.amount) FROM orders o JOIN customer c ON c.id = o.customer
		JOIN country k ON k.id = c.country WHERE o.day >= '2024-02-01'
		GROUP BY k.name ORDER BY sum(o.amount) DESC, k.name LIMIT 1"
	script three_tables <<<"$three_tables;"
	script three_tables_analysed <<<"PREPARE q AS $three_tables \; DEALLOCATE q;"
}

# A comparison is of the same rows, and of full caches.
same_rows()
{
	local rows=$1 expected i
	expected=$(psql -XqAt -f "$bench/query_$rows.sql" | md5sum)
	for ((i = 0; i < 2; i++)); do
		[ "$(cached psql -XqAt -f "$bench/query_$rows.sql" | md5sum)" = "$expected" ] &&
			[ "$(psql -XqAt -f "$bench/rows_$rows.sql" | md5sum)" = "$expected" ] &&
			[ "$(psql -XqAt -f "$bench/view_$rows.sql" | md5sum)" = "$expected" ] &&
			{ ! start_pgpool ||
				[ "$(with_pgpool psql -XqAt -f "$bench/query_$rows.sql" | md5sum)" = "$expected" ]; } ||
			die "$rows rows: not everybody returns the same"
	done
}

plural()
{
	echo "$1 $2$([ $1 = 1 ] || echo s)"
}

# The key in Redis of an entry with a given number of rows: what a bare GET gets.
key_of_entry()
{
	local key
	redis FLUSHALL >/dev/null
	sql -c "SELECT cache_ext.invalidate_all()"
	sql -c "SELECT * FROM cache_ext.query($(quoted "$(dashboard $1)")) $row_type"
	key=$(redis --scan | head -1)
	[ -n "$key" ] || die "nothing was stored in Redis"
	echo "$key"
}

# compare ROWS PROTOCOL CLIENTS ROUNDS SERIES...: the hit and others in turns.
compare()
{
	local rows=$1 protocol=$2 clients=$3 count=$4 key='' series commands=() before after pool_before=''
	local options="-M $protocol -c $clients -j $((clients < 2 ? 1 : 2))"
	shift 4
	prepare_hits
	start_case "$(plural $rows row), $protocol, $(plural $clients client)"
	same_rows $rows
	for series in "$@"; do
		case $series in
			hit) commands+=("hit=cached measure query_$rows $options") ;;
			one) commands+=("one=measure one $options") ;;
			rows) commands+=("rows=measure rows_$rows $options") ;;
			view) commands+=("view=measure view_$rows $options") ;;
			plain) commands+=("plain=measure query_$rows $options") ;;
			get)
				key=$(key_of_entry $rows)
				commands+=("get=measure_get $key $clients")
				;;
			pgpool)
				start_pgpool || continue
				with_pgpool warm query_$rows $options
				pool_before=$(pgpool_counters)
				commands+=("pgpool=with_pgpool measure query_$rows $options")
				;;
		esac
	done
	cached warm query_$rows $options
	before=$(counters)
	rounds $count "${commands[@]}"
	after=$(counters)
	show hit
	for series in "$@"; do
		[ $series = hit ] || show $series
	done
}

# A row of compare(), whose variables it uses.
show()
{
	local target=''
	case $1 in
		hit) row hit hit us '' '' "$(only "$(local_hit_ratio "$before" "$after")" "hits in shared memory")" ;;
		one)
			[ "$rows $protocol" != "1 prepared" ] || target=">= 0.95"
			row "SELECT 1" one us hit "$target"
			;;
		rows)
			[ "$rows $protocol" != "100 prepared" ] || target=">= 1.5"
			[ "$rows $protocol" != "5000 prepared" ] || target=">= 2.5"
			row "C function, rows in memory" rows us hit "$target"
			;;
		view) row "materialized view" view us hit ;;
		pgpool)
			[ $rows != 5000 ] || target=">= 1.3"
			if [ "$pgpool_state" != running ]; then
				row_without "pgpool-II, query cache" "$pgpool_state"
			else
				row "pgpool-II, query cache" pgpool us hit "$target" \
					"$(pgpool_remark "$pool_before" "$(pgpool_counters)")"
			fi
			;;
		get) row "Redis GET of $(redis STRLEN "$key") bytes" get us hit ;;
		plain) row uncached plain us hit ;;
	esac
}

# compare_number CLIENTS ROUNDS: one row of one column, as SELECT 1 has.
compare_number()
{
	local options="-c $1 -j $(($1 < 2 ? 1 : 2))" before
	prepare_hits
	start_case "1 number, prepared, $(plural $1 client)"
	cached warm number
	before=$(counters)
	rounds $2 hit="cached measure number $options" one="measure one $options" \
		plain="measure number $options"
	row hit hit us '' '' \
		"$(only "$(local_hit_ratio "$before" "$(counters)")" "hits in shared memory")"
	row "SELECT 1" one us hit ">= 0.95"
	row uncached plain us hit
}

bench_hit()
{
	local rows
	compare_number 1 5
	for rows in 1 100 5000; do
		compare $rows prepared 1 5 one hit rows view pgpool get plain
	done
}

bench_protocols()
{
	local rows protocol before
	for protocol in extended simple; do
		for rows in 1 100 5000; do
			compare $rows $protocol 1 3 one hit rows view pgpool
		done
	done
	start_case "1 row of 3 tables, simple, 1 client"
	cached warm three_tables -M simple
	before=$(counters)
	rounds 5 one="measure one -M simple" hit="cached measure three_tables -M simple" \
		analysed="measure three_tables_analysed -M simple" plain="measure three_tables -M simple"
	row hit hit us '' '' \
		"$(only "$(local_hit_ratio "$before" "$(counters)")" "hits in shared memory")"
	row "SELECT 1" one us hit ">= 0.75"
	row "parse analysis alone (PREPARE, DEALLOCATE)" analysed us hit
	row uncached plain us hit
}

bench_clients()
{
	local rows protocol
	compare_number 8 3
	for rows in 1 100 5000; do
		compare $rows prepared 8 3 one hit rows view pgpool get plain
	done
	for protocol in extended simple; do
		for rows in 1 100 5000; do
			compare $rows $protocol 8 3 one hit rows pgpool
		done
	done
}

# Both tiers side by side, which takes two servers.
bench_redis()
{
	local rows key before redis_before
	prepare_hits
	start_redis_only
	for rows in 1 100; do
		start_case "$(plural $rows row), prepared, 1 client, cache_ext.local_memory = 0"
		key=$(key_of_entry $rows)
		cached warm query_$rows
		at redis_only cached warm query_$rows
		before=$(counters)
		redis_before=$(at redis_only counters)
		rounds 5 local="cached measure query_$rows" get="measure_get $key 1" \
			hit="at redis_only cached measure query_$rows"
		row "hit from Redis" hit us '' '' \
			"$(only "$(hit_ratio "$redis_before" "$(at redis_only counters)")" hits)"
		row "hit from shared memory" local us hit '' \
			"$(only "$(local_hit_ratio "$before" "$(counters)")" "hits in shared memory")"
		row "Redis GET of $(redis STRLEN "$key") bytes" get us hit
		derive more '$1 - ($2 + $3)' hit local get
		row "hit from Redis, less the two others" more us '' \
			"$([ $rows != 1 ] || echo '<= 10')"
	done
}
