/*
 * core/scan.h
 *		Keys in Redis that match a pattern, some at a time.
 */
#ifndef CX_CORE_SCAN_H
#define CX_CORE_SCAN_H

#include "postgres.h"

#include "redis/redis.h"

typedef struct cx_scan
{
	const char *pattern;
	size_t		pattern_length;
	char		cursor[24];
	bool		complete;		/* there are no more */
	size_t		key_count;
	const cx_redis_reply *keys; /* texts, in the context that was current */
	const char *problem;		/* why it failed; the same */
} cx_scan;

/* The pattern stays the caller's. */
extern void cx_scan_start(cx_scan *scan, const char *pattern, size_t length);

/*
 * The next keys, none perhaps, some of them twice; every key that is there all the while comes at least
 * once.  False if Redis didn't answer as it should: the same may be asked again.
 */
extern bool cx_scan_next(cx_scan *scan, cx_redis_budget *budget);

#endif
