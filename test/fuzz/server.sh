#!/bin/bash
# test/fuzz/server.sh [RUNS [SEED]]: damaged results against the receive functions of every type, in
# a running server.  RUNS is per query of server_decode.sql.  The same RUNS and SEED do the same.
export RUNS=${1:-${RUNS:-500}} SEED=${2:-${SEED:-1}}
. "$(dirname "$0")/../scratch.sh"

enter_scratch $build_packages $server_packages

[ -e "$cx_bin/../lib/cache_ext.so" ] || build with_llvm=no

# The codec's own functions are those of the preloaded library.
gcc -g -O2 -fPIC -shared -Wall -Werror -Isrc -I"$(pg_config --includedir-server)" \
	test/fuzz/server_decode.c -o "$TMPDIR/server_decode.so"

rm -rf "$CX_SCRATCH/pg"			# of another suite
start_postgres
status=0
psql -XqAt -v module="$TMPDIR/server_decode" -v runs="$RUNS" -v seed="$SEED" \
	-f test/fuzz/server_decode.sql || status=$?
[ $status = 0 ] || tail -n 50 "$PGHOST/log"
stop_postgres
exit $status
