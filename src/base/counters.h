/*
 * base/counters.h
 *		What happened, counted: one slot of plain counters a backend, summed on read.
 */
#ifndef CX_BASE_COUNTERS_H
#define CX_BASE_COUNTERS_H

#include "postgres.h"

typedef enum cx_counter
{
	CX_COUNT_HITS,				/* results served from the cache */
	CX_COUNT_LOCAL_HITS,		/* of those, from shared memory */
	CX_COUNT_STALE_HITS,		/* of those, not exact, by max_staleness */
	CX_COUNT_MISSES,			/* looked up, not found or not valid */
	CX_COUNT_BYPASSES,			/* eligible statements that did not look up */
	CX_COUNT_FILLS,				/* entries stored */
	CX_COUNT_FILLS_SKIPPED,		/* misses whose result could not be stored exactly */
	CX_COUNT_FLIGHT_WAITS,		/* misses that waited for another session's fill */
	CX_COUNT_REFRESHES,			/* fills ahead of the end of a TTL */
	CX_COUNT_BAD_ENTRIES,		/* bytes from Redis that were not a valid entry */
	CX_COUNT_REDIS_COMMANDS,	/* commands sent */
	CX_COUNT_REDIS_ERRORS,		/* connections lost, refused or timed out; error replies */
	CX_COUNT_REDIS_SKIPPED,		/* calls not tried because the breaker was open */
	CX_COUNT_INVALIDATIONS,		/* clocks moved by commits */
	CX_COUNTERS
} cx_counter;

extern void cx_counters_init(void);

/* Adds one to this backend's counter.  Never fails, takes no lock, may run anywhere. */
extern void cx_count(cx_counter counter);

/* Sums all backends' counters since the server started.  Not a snapshot of one instant. */
extern void cx_counters_read(uint64 totals[CX_COUNTERS]);

/* The column name of a counter in the view stats. */
extern const char *cx_counter_name(cx_counter counter);

#endif
