#!/bin/sh
# Builds the libFuzzer target and runs it:  test/fuzz/run.sh [RUNS [SEED]]
#
# The same RUNS and SEED do the same.  RUNS of -1 goes on until something is found.  An input that
# was found is kept as test/fuzz/crash-*, to be run again with:  test/fuzz/decode FILE
set -eu

runs=${1:-300000}
seed=${2:-1}
PG_CONFIG=${PG_CONFIG:-pg_config}
CLANG=${CLANG:-clang}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}

cd "$(dirname "$0")/../.."

if ! command -v "$CLANG" >/dev/null; then
	echo "$0: $CLANG not found: install the Debian packages clang and libclang-rt-dev" >&2
	exit 1
fi
msgpack=msgpack
"$PKG_CONFIG" --exists $msgpack || msgpack=msgpack-c

# shellcheck disable=SC2046
"$CLANG" -g -O1 -Wall -Werror -Wno-ignored-attributes -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined \
	-D_GNU_SOURCE -Isrc -I"$("$PG_CONFIG" --includedir-server)" \
	$("$PKG_CONFIG" --cflags-only-I $msgpack) \
	test/fuzz/decode.c src/base/msgpack_reader.c src/core/entry.c src/query/cell.c \
	-L"$("$PG_CONFIG" --pkglibdir)" -L"$("$PG_CONFIG" --libdir)" -lpgcommon -lpgport -lm \
	-o test/fuzz/decode

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if test/fuzz/decode -runs="$runs" -seed="$seed" -max_len=1024 -print_final_stats=1 \
	-verbosity=0 -artifact_prefix=test/fuzz/crash- >"$log" 2>&1; then
	grep '^stat::' "$log"
else
	cat "$log"
	exit 1
fi
