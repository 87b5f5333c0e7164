# test/bench/lib.sh: servers and clients, rounds, and the table of results.

seconds=${SECONDS_EACH:-2}
bench=$CX_SCRATCH/bench				# scripts, and of each series a file with a number a round
mkdir -p "$bench"

#
# Servers
#

server_settings=("shared_buffers = '512MB'" "fsync = on" "jit = off" "autovacuum = off"
	"max_wal_size = '4GB'" "checkpoint_timeout = '1h'" "max_parallel_workers_per_gather = 0")

# start_server NAME [SETTING...]: a server beside the first, with the same Redis.
start_server()
{
	(
		redis=unix://$CX_SCRATCH/redis/s
		CX_SCRATCH=$CX_SCRATCH/$1
		mkdir "$CX_SCRATCH"
		start_postgres "${server_settings[@]}" "cache_ext.redis_url = '$redis'" "${@:2}"
	)
}

# at NAME COMMAND...: the command with a server that start_server started.
at()
{
	PGHOST=$CX_SCRATCH/$1/pg "${@:2}"
}

# The server whose only tier is Redis, with the same data as the first.
start_redis_only()
{
	[ ! -d "$CX_SCRATCH/redis_only" ] || return 0
	start_server redis_only "cache_ext.local_memory = 0"
	at redis_only sql -f test/bench/setup.sql
}

#
# Clients
#

# cached COMMAND...: its SELECT statements are cached, which others' are not.
cached()
{
	PGOPTIONS="${PGOPTIONS:-} -c cache_ext.mode=auto -c cache_ext.min_cost=0" "$@"
}

sql()
{
	psql -X -q -A -t -o /dev/null -v ON_ERROR_STOP=1 "$@"
}

# The row that a statement returns.
value()
{
	psql -X -q -A -t -F ' ' -v ON_ERROR_STOP=1 -c "$1"
}

# As an SQL literal.
quoted()
{
	printf "'%s'" "${1//\'/\'\'}"
}

# script NAME: standard input becomes a pgbench script.
script()
{
	cat >"$bench/$1.sql"
}

# Runs pgbench; its output is in $bench/output.
run_pgbench()
{
	pgbench -n "$@" >"$bench/output" 2>&1 || {
		cat "$bench/output" >&2
		die "pgbench failed."
	}
}

# timed OPTION...: the time that a statement takes, in microseconds: that of a round over the number of
# statements of all clients.
timed()
{
	run_pgbench -M prepared -T "$seconds" "$@"
	awk '/^tps/ { printf "%.3f\n", 1e6 / $3 }' "$bench/output"
}

# measure SCRIPT [OPTION...]
measure()
{
	timed "${@:2}" -f "$bench/$1.sql"
}

# Executes a script once: what is to be cached is, after it.
warm()
{
	run_pgbench -M prepared -t 1 "${@:2}" -f "$bench/$1.sql"
}

# measure_get KEY CLIENTS: the same for GETs.
measure_get()
{
	local i clients=()
	: >"$bench/gets"
	for ((i = 0; i < $2; i++)); do
		"$bench/get" "$CX_SCRATCH/redis/s" "$1" "$seconds" >>"$bench/gets" &
		clients+=($!)
	done
	for i in "${clients[@]}"; do
		wait $i
	done
	awk '{ sum += $1 } END { printf "%.3f\n", 1e6 / sum }' "$bench/gets"
}

#
# What the cache did
#

# hits, other lookups, local hits
counters()
{
	value "SELECT hits, misses + bypasses, local_hits FROM cache_ext.stats"
}

# hit_ratio BEFORE AFTER: in per cent, between two answers of counters().
hit_ratio()
{
	echo "$1 $2" | awk '{ hits = $4 - $1; all = hits + $5 - $2; printf "%.2f\n", all ? 100 * hits / all : 0 }'
}

local_hit_ratio()
{
	echo "$1 $2" | awk '{ all = $4 - $1 + $5 - $2; printf "%.2f\n", all ? 100 * ($6 - $3) / all : 0 }'
}

# only RATIO WHAT: the remark on a row that is of something else if the ratio isn't as good as 100.
only()
{
	awk -v ratio="$1" -v what="$2" 'BEGIN { if (ratio < 99.5) printf "only %.0f %% %s\n", ratio, what }'
}

#
# Rounds
#

# rounds COUNT NAME=COMMAND...: the commands in turns; the series NAME gets a line a round.
rounds()
{
	local count=${ROUNDS:-$1} i pair
	shift
	for pair in "$@"; do
		: >"$bench/${pair%%=*}.series"
	done
	for ((i = 0; i < count; i++)); do
		for pair in "$@"; do
			${pair#*=} >>"$bench/${pair%%=*}.series"
		done
	done
}

# derive NAME EXPRESSION SERIES...: a series from others; the expression has them as $1, $2, ...
derive()
{
	local name=$1 expression=$2 series
	shift 2
	paste $(for series in "$@"; do echo "$bench/$series.series"; done) |
		awk "{ print $expression }" >"$bench/$name.series"
}

# single NAME VALUE: a series of one round.
single()
{
	echo "$2" >"$bench/$1.series"
}

# The median, the smallest and the largest of numbers, separated by tabs.
spread()
{
	sort -g "$@" | awk '
		{ number[NR] = $1 }
		END { printf "%.6g\t%.6g\t%.6g", number[int((NR + 1) / 2)], number[1], number[NR] }'
}

#
# The table: bench.tsv, with one line a row
#

columns=(group case measure unit median min max ratio ratio_min ratio_max target met remark)

write_line()
{
	local line
	line=$(IFS=$'\t' && echo "$*")
	echo "$line" >>"$bench/table"
	echo "$line" >&3
}

start_table()
{
	write_line "${columns[@]}"
	echo "PostgreSQL $(value 'SHOW server_version'), $(redis INFO server |
		grep -E '^(redis|valkey)_version' | tail -1 | tr -d '\r'), $(nproc) cores"
}

# The case to which the following rows belong.
start_case()
{
	current_case=$1 doubtful=''
	printf '%4d s  %s: %s\n' $SECONDS "$group" "$current_case"
}

# row MEASURE SERIES UNIT [BASE [TARGET [REMARK]]]: BASE is the series of cache_ext with which this one
# is compared.  The ratio says how many times as much it does: in time, where the unit is one of time.
# The target is for the ratio, or for the median where there is no BASE.  After a remark, which says that
# something else was measured than was meant, no target of the case is met.
row()
{
	local measure=$1 series=$2 unit=$3 base=${4:-} target=${5:-} remark=${6:-}
	local numbers judged ratios=$'\t\t' met=''
	numbers=$(spread "$bench/$series.series")
	judged=$numbers
	if [ -n "$base" ]; then
		case $unit in
			%) derive ratio '$1 ? $2 / $1 : 0' "$series" "$base" ;;
			*) derive ratio '$1 / $2' "$series" "$base" ;;
		esac
		ratios=$(spread "$bench/ratio.series")
		judged=$ratios
	fi
	doubtful+=$remark
	[ -z "$target" ] || met=$(echo "$judged $target" | awk -v doubtful="$doubtful" '{
		print doubtful == "" && ($4 == ">=" ? $1 >= $5 : $1 <= $5) ? "yes" : "no"
	}')
	write_line "$group" "$current_case" "$measure" "$unit" "$numbers" "$ratios" "$target" "$met" "$remark"
}

# A row for what couldn't be measured.
row_without()
{
	write_line "$group" "$current_case" "$1" '' '' '' '' '' '' '' '' '' "$2"
}

# What there is of the table, whatever way this ends.
finish_table()
{
	local status=$?
	stop_pgpool || true
	perl test/bench/table.pl "$bench/table"
	perl test/bench/plot.pl "$bench/table" >&4
	[ $status = 0 ] || echo "Something failed: the table is not complete."
	printf '\nWritten: bench.tsv and bench.svg in %s\n' "$OUT"
	exit $status
}
