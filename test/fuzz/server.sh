#!/bin/bash
# test/fuzz/server.sh [RUNS [SEED]]: damaged results against the receive functions of every type, and
# damaged values against the codec of JSON, in a running server.  RUNS is per query of server_decode.sql
# and input of server_json.sql.  The same RUNS and SEED do the same.
export RUNS=${1:-${RUNS:-500}} SEED=${2:-${SEED:-1}}
. "$(dirname "$0")/../scratch.sh"

enter_scratch $build_packages $server_packages

[ -e "$cx_bin/../lib/cache_ext.so" ] || build with_llvm=no

# The codec's own functions are those of the preloaded library.
for module in server_decode server_json; do
	gcc -g -O2 -fPIC -shared -Wall -Werror -Isrc -Itest/fuzz -I"$(pg_config --includedir-server)" \
		test/fuzz/$module.c -o "$TMPDIR/$module.so"
done

rm -rf "$CX_SCRATCH/pg"			# of another suite
start_postgres
status=0
for module in server_decode server_json; do
	psql -XqAt -v module="$TMPDIR/$module" -v runs="$RUNS" -v seed="$SEED" \
		-f test/fuzz/$module.sql || status=$?
done
[ $status = 0 ] || tail -n 50 "$PGHOST/log"
stop_postgres
exit $status
