# test/bench/pgpool.sh: pgpool-II with its query cache in shared memory, in front of the first server.

pgpool_dir=$CX_SCRATCH/pgpool
pgpool_state=''						# what start_pgpool made of it: running, or why not

# The packages are unpacked, not installed: nothing is left behind that starts when the machine does.
unpack_pgpool()
{
	local names
	mkdir -p "$pgpool_dir/deb"
	names=$(apt-get -s --no-install-recommends install pgpool2 2>/dev/null | awk '$1 == "Inst" { print $2 }')
	(cd "$pgpool_dir/deb" && apt-get -qq download ${names:-pgpool2}) >"$pgpool_dir/apt" 2>&1 || return
	find "$pgpool_dir/deb" -name '*.deb' -exec dpkg -x {} "$pgpool_dir/root" \;
}

# In mode raw its cache answers prepared and extended statements too, in others simple ones only.
configure_pgpool()
{
	mkdir "$pgpool_dir/oids"
	cat >"$pgpool_dir/pgpool.conf" <<-END
		backend_clustering_mode = 'raw'
		backend_hostname0 = '$PGHOST'
		backend_port0 = $PGPORT
		backend_data_directory0 = '$PGHOST/data'
		listen_addresses = ''
		port = 9999
		socket_dir = '$pgpool_dir'
		pcp_listen_addresses = ''
		pcp_socket_dir = '$pgpool_dir'
		pid_file_name = '$pgpool_dir/pid'
		logdir = '$pgpool_dir'
		num_init_children = 16
		max_pool = 1
		load_balance_mode = off
		sr_check_period = 0
		health_check_period = 0
		enable_pool_hba = off
		pool_passwd = ''
		memory_cache_enabled = on
		memqcache_method = 'shmem'
		memqcache_total_size = 64MB
		memqcache_max_num_cache = 10000
		memqcache_expire = 0
		memqcache_auto_cache_invalidation = on
		memqcache_oiddir = '$pgpool_dir/oids'
	END
	: >"$pgpool_dir/pcp.conf"
}

# start_pgpool: false if there is none; $pgpool_state says why.
start_pgpool()
{
	local program libraries
	if [ -z "$pgpool_state" ]; then
		if ! unpack_pgpool; then
			pgpool_state="apt-get download of pgpool2 failed"
			cat "$pgpool_dir/apt" >&2
		else
			configure_pgpool
			program=$pgpool_dir/root/usr/sbin/pgpool
			libraries=$(find "$pgpool_dir/root" -name 'lib*.so.*' -printf '%h:')
			LD_LIBRARY_PATH=$libraries "$program" -n -f "$pgpool_dir/pgpool.conf" \
				-F "$pgpool_dir/pcp.conf" >"$pgpool_dir/log" 2>&1 &
			pgpool_pid=$!
			# It releases its shared memory if this script is ended: leave_scratch stops what has such a file.
			echo $pgpool_pid >"$pgpool_dir/postmaster.pid"
			until with_pgpool value "SELECT 1" >/dev/null 2>&1; do
				kill -0 $pgpool_pid 2>/dev/null || {
					cat "$pgpool_dir/log" >&2
					die "pgpool-II did not start."
				}
				sleep 0.1
			done
			pgpool_state=running
			LD_LIBRARY_PATH=$libraries "$program" --version 2>&1
		fi
	fi
	[ "$pgpool_state" = running ]
}

stop_pgpool()
{
	[ "$pgpool_state" = running ] || return 0
	kill -INT $pgpool_pid
	wait $pgpool_pid || true
	pgpool_state=stopped
}

with_pgpool()
{
	PGHOST=$pgpool_dir PGPORT=9999 "$@"
}

# Its counters: statements that its cache answered, and others.
pgpool_counters()
{
	with_pgpool value "SHOW POOL_CACHE" | cut -d ' ' -f 1-2
}

# pgpool_remark BEFORE AFTER: what is to be said if what ran in between wasn't answered by the cache.
pgpool_remark()
{
	echo "$1 $2" | awk '{
		hits = $3 - $1; others = $4 - $2
		if (hits < 99 * others)
			printf "only %.0f %% from its cache\n", hits + others ? 100 * hits / (hits + others) : 0
	}'
}
