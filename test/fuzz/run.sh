#!/bin/bash
# test/fuzz/run.sh [RUNS [SEED]]: builds the libFuzzer target and runs it.  `make fuzz` and the suite
# fuzz of `make check` call it; see test/scratch.sh for where things happen.
#
# The same RUNS and SEED do the same.  RUNS of -1 goes on until something is found, or interrupted.
# An input that was found is shown in base64; decoded into a file, $CX_FUZZ_INPUT is run alone.
export RUNS=${1:-${RUNS:-300000}} SEED=${2:-${SEED:-1}}
. "$(dirname "$0")/../scratch.sh"

enter_scratch $build_packages $server_packages "clang-$clang_version" "libclang-rt-$clang_version-dev"

msgpack=msgpack
pkg-config --exists $msgpack || msgpack=msgpack-c
sources="test/fuzz/decode.c src/base/msgpack_reader.c src/core/entry.c src/query/cell.c"

# clang knows no gnu_printf, which PostgreSQL's headers name where gcc built it.
"clang-$clang_version" -g -O1 -Wall -Werror -Wno-ignored-attributes -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined -D_GNU_SOURCE -Isrc -I"$(pg_config --includedir-server)" \
	$(pkg-config --cflags-only-I $msgpack) $sources \
	-L"$(pg_config --pkglibdir)" -L"$(pg_config --libdir)" -lpgcommon -lpgport -lm \
	-o "$TMPDIR/decode"

if [ -n "${CX_FUZZ_INPUT:-}" ]; then
	exec "$TMPDIR/decode" "$CX_FUZZ_INPUT"
fi

status=0
"$TMPDIR/decode" -runs="$RUNS" -seed="$SEED" -max_len=1024 -print_final_stats=1 -verbosity=0 \
	-artifact_prefix="$TMPDIR/" >"$TMPDIR/fuzz.log" 2>&1 || status=$?
if [ $status != 0 ]; then
	grep -v '# Uses:' "$TMPDIR/fuzz.log" | tail -n 200
fi
grep '^stat::' "$TMPDIR/fuzz.log" || true
exit $status
