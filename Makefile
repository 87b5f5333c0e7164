EXTENSION = cache_ext
MODULE_big = cache_ext
DATA = sql/cache_ext--1.0.sql sql/cache_ext--1.0--1.1.sql
PGFILEDESC = "cache_ext - read-through cache of query results"

# Scripts that install what they need, build in a scratch directory and clean up after themselves.
# They must work where neither PostgreSQL nor pkg-config is installed, so nothing below is read for
# them.
OWN_TARGETS = check mutations check-tree check-matrix check-postgres differential valgrind demo bench fuzz lint

ifneq ($(filter $(OWN_TARGETS),$(MAKECMDGOALS)),)

# All tests, or some: make check TESTS="regress tap" REGRESS="query" PROVE_TESTS="test/t/001_x.pl"
check:
	@TESTS='$(TESTS)' REGRESS='$(REGRESS)' ISOLATION='$(ISOLATION)' PROVE_TESTS='$(PROVE_TESTS)' \
		ASSERT='$(ASSERT)' KEEP='$(KEEP)' exec bash test/run

# Takes the rules of the protocol out of the code, one after another: a test must notice each.
# make mutations MUTATIONS="03_clock_not_raised": some of them.  A quarter of an hour.
mutations:
	@MUTATIONS='$(MUTATIONS)' KEEP='$(KEEP)' exec bash test/mutations/run

# The rules of the source tree that a grep can check.
check-tree:
	@exec bash test/check_tree

# The same tests with the PostgreSQL, hiredis and Valkey of the next Debian.
check-matrix:
	@exec bash test/matrix

# PostgreSQL's own regression tests with every table tracked and cached, in a quarter of an hour.
# make check-postgres CONFIGURATIONS="tracked local": some of the configurations.
check-postgres:
	@CONFIGURATIONS='$(CONFIGURATIONS)' MAX_CONNECTIONS='$(MAX_CONNECTIONS)' KEEP='$(KEEP)' \
		exec bash test/postgres/run

# Random histories in sessions that have a twin without a cache, for a minute with each set of tiers.
# make differential SECONDS=600 TIERS=both WITHOUT=folding; a seed that it printed: SEED=7 HISTORIES=1
differential:
	@SECONDS_EACH='$(SECONDS)' HISTORIES='$(HISTORIES)' SEED='$(SEED)' STEPS='$(STEPS)' \
		TIERS='$(TIERS)' WITHOUT='$(WITHOUT)' VERBOSE='$(VERBOSE)' KEEP_GOING='$(KEEP_GOING)' \
		KEEP='$(KEEP)' exec bash test/differential/run

# The regression tests under Valgrind, in a few minutes: make valgrind REGRESS=query
valgrind:
	@REGRESS='$(REGRESS)' KEEP='$(KEEP)' exec bash test/valgrind

demo:
	@exec bash test/demo/run

# What hits and tracking cost, in about 20 minutes, and less with some of the groups of test/bench/run:
# make bench BENCH="hit zipf" SECONDS_EACH=1 ROUNDS=1 OUT=directory
bench:
	@BENCH='$(BENCH)' SECONDS_EACH='$(SECONDS_EACH)' ROUNDS='$(ROUNDS)' OUT='$(OUT)' KEEP='$(KEEP)' \
		exec bash test/bench/run

# RUNS executions, 300,000 by default; -1 goes on until something is found.
fuzz:
	@exec bash test/fuzz/run.sh $(RUNS)

lint:
	@exec bash test/lint

.PHONY: $(OWN_TARGETS)

else

# Every .c file below src is part of the library.  They are found from the Makefile's own directory: in a
# build elsewhere (make -f ../src/Makefile VPATH=../src) the current one has none.
top := $(dir $(lastword $(MAKEFILE_LIST)))
sources := $(patsubst $(top)%,%,$(sort $(wildcard $(top)src/*.c $(top)src/*/*.c)))
OBJS = $(sources:.c=.o)
ifneq ($(top),./)
$(shell mkdir -p $(sort $(dir $(OBJS))))
endif

# For `make installcheck` against a running server with the library preloaded.  `make check` needs
# no server.
REGRESS ?= $(patsubst $(top)expected/%.out,%,$(sort $(wildcard $(top)expected/*.out)))
ISOLATION ?= $(patsubst $(top)test/specs/%.spec,%,$(sort $(wildcard $(top)test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test
EXTRA_CLEAN = tmp_check tmp_check_iso output_iso $(sources:.c=.d)

PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config

MSGPACK := $(firstword $(foreach name,msgpack msgpack-c,\
	$(shell $(PKG_CONFIG) --exists $(name) && echo $(name))))

ifeq ($(MAKECMDGOALS),clean)
else ifeq ($(shell command -v $(PKG_CONFIG)),)
$(error $(PKG_CONFIG) not found: install the Debian package pkg-config)
else ifneq ($(shell $(PKG_CONFIG) --exists 'hiredis >= 0.14' && echo found),found)
$(error hiredis 0.14 or later not found by $(PKG_CONFIG): install the Debian package libhiredis-dev)
else ifeq ($(MSGPACK),)
$(error msgpack-c not found by $(PKG_CONFIG): install the Debian package libmsgpack-dev \
	(libmsgpack-c-dev from Debian 13 on))
endif

# TLS for rediss:// where OpenSSL's development files are installed (hiredis needs no part in it).
ifeq ($(shell $(PKG_CONFIG) --exists openssl && echo found),found)
TLS_CPPFLAGS = -DCX_WITH_TLS $(shell $(PKG_CONFIG) --cflags-only-I openssl)
TLS_LIBS = $(shell $(PKG_CONFIG) --libs openssl)
endif

PG_CPPFLAGS = -I$(top)src $(TLS_CPPFLAGS) $(shell $(PKG_CONFIG) --cflags-only-I hiredis $(MSGPACK))
# The tests build with WERROR=-Werror; a user's compiler may know warnings that ours doesn't.
PG_CFLAGS = -Wall -Wextra $(WERROR) -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers
PG_CFLAGS += -MMD -MP
SHLIB_LINK = $(shell $(PKG_CONFIG) --libs hiredis) $(TLS_LIBS)

# Named points where tests can stop a backend.  Release builds have none.  Nor do they show to other
# libraries what is not SQL's (from PostgreSQL 16 on), which modules of the tests call.
ifneq ($(STOP_POINTS),)
PG_CPPFLAGS += -DCX_STOP_POINTS
override CFLAGS_SL_MODULE :=
endif

# Our assertions (and those of PostgreSQL's inline functions), also on a server that has none.
ifneq ($(ASSERT),)
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error PGXS not found by $(PG_CONFIG): install the Debian package postgresql-server-dev-15 \
	(or of your version) and check PG_CONFIG)
endif
include $(PGXS)

# The headers that an object was made from.  Bitcode is made of the same files by another compiler.
-include $(OBJS:.o=.d)
$(OBJS:.o=.bc): %.bc: %.o

endif
