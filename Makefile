EXTENSION = cache_ext
MODULE_big = cache_ext
DATA = sql/cache_ext--1.0.sql
PGFILEDESC = "cache_ext - read-through cache of query results"

# Every .c file below src is part of the library.
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard $(srcdir)src/*.c $(srcdir)src/*/*.c)))

PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config

MSGPACK := $(firstword $(foreach name,msgpack msgpack-c,$(shell $(PKG_CONFIG) --exists $(name) && echo $(name))))
ifeq ($(MSGPACK),)
$(error msgpack-c not found by $(PKG_CONFIG): install the Debian package libmsgpack-dev)
endif
ifneq ($(shell $(PKG_CONFIG) --exists hiredis && echo found),found)
$(error hiredis not found by $(PKG_CONFIG): install the Debian package libhiredis-dev)
endif

# TLS for rediss:// where OpenSSL's development files are installed (hiredis needs no part in it).
ifeq ($(shell $(PKG_CONFIG) --exists openssl && echo found),found)
TLS_CPPFLAGS = -DCX_WITH_TLS $(shell $(PKG_CONFIG) --cflags-only-I openssl)
TLS_LIBS = $(shell $(PKG_CONFIG) --libs openssl)
endif

PG_CPPFLAGS = -Isrc $(TLS_CPPFLAGS) $(shell $(PKG_CONFIG) --cflags-only-I hiredis $(MSGPACK))
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = $(shell $(PKG_CONFIG) --libs hiredis) $(TLS_LIBS)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
