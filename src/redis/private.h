/*
 * redis/private.h
 *		hiredis, with the differences between its versions; for this layer's files only.
 *
 * Of hiredis the layer uses the protocol parser (read.h).  Sockets, waiting and TLS are its own,
 * because hiredis resolves names, blocks and copies in ways that a backend can't afford.
 */
#ifndef CX_REDIS_PRIVATE_H
#define CX_REDIS_PRIVATE_H

#include "postgres.h"

#include <hiredis/hiredis.h>

/*
 * 1.0 widened the element count and brought the types of RESP3.  No server sends those unless
 * asked with HELLO 3; the parser must be told to refuse them all the same.
 */
#if HIREDIS_MAJOR >= 1
typedef size_t cx_hiredis_count;

static inline void *
cx_hiredis_refuse_double(const redisReadTask *task, double value, char *text, size_t length)
{
	return NULL;
}

static inline void *
cx_hiredis_refuse_bool(const redisReadTask *task, int value)
{
	return NULL;
}

#define CX_HIREDIS_REFUSE_RESP3 \
	.createDouble = cx_hiredis_refuse_double, \
	.createBool = cx_hiredis_refuse_bool,
#else
typedef int cx_hiredis_count;

#define CX_HIREDIS_REFUSE_RESP3
#endif

#endif
