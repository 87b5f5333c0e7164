/*
 * base/counters.c
 *		What happened, counted.
 *
 * Each process owns the slot of its PGPROC number and is its only writer, so adding is a plain
 * store; a slot keeps its sums when its process ends and the next one goes on from them.  Readers
 * add up all slots without a lock: they may miss the last few additions, and 64-bit loads do not
 * tear on the platforms PostgreSQL supports with 8-byte atomics.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/counters.h"
#include "base/shmem.h"

#include "miscadmin.h"
#include "storage/proc.h"

typedef struct counter_slot
{
	volatile uint64 counts[CX_COUNTERS];
} counter_slot;

static counter_slot *slots = NULL;

static const char *const counter_names[CX_COUNTERS] = {
	[CX_COUNT_HITS] = "hits",
	[CX_COUNT_LOCAL_HITS] = "local_hits",
	[CX_COUNT_STALE_HITS] = "stale_hits",
	[CX_COUNT_MISSES] = "misses",
	[CX_COUNT_BYPASSES] = "bypasses",
	[CX_COUNT_FILLS] = "fills",
	[CX_COUNT_FILLS_SKIPPED] = "fills_skipped",
	[CX_COUNT_FLIGHT_WAITS] = "flight_waits",
	[CX_COUNT_REFRESHES] = "refreshes",
	[CX_COUNT_BAD_ENTRIES] = "bad_entries",
	[CX_COUNT_REDIS_COMMANDS] = "redis_commands",
	[CX_COUNT_REDIS_ERRORS] = "redis_errors",
	[CX_COUNT_REDIS_SKIPPED] = "redis_skipped",
	[CX_COUNT_INVALIDATIONS] = "invalidations",
};

/* Auxiliary processes have no slot: they run no statements. */
static int
slot_count(void)
{
	return MaxBackends;
}

static Size
counters_size(void)
{
	return mul_size(slot_count(), sizeof(counter_slot));
}

static void
counters_create(void *area)
{
	/* zeroed memory is the initial state */
}

static void
counters_attach(void *area)
{
	slots = area;
}

static const cx_shmem_area counters_area = {
	"cache_ext counters", counters_size, counters_create, counters_attach
};

void
cx_counters_init(void)
{
	cx_shmem_register(&counters_area);
}

void
cx_count(cx_counter counter)
{
	int			me;

	if (slots == NULL || MyProc == NULL)
		return;
	me = cx_my_proc_number();
	if (me >= 0 && me < slot_count())
		slots[me].counts[counter]++;
}

void
cx_counters_read(uint64 totals[CX_COUNTERS])
{
	memset(totals, 0, sizeof(uint64) * CX_COUNTERS);
	for (int i = 0; i < slot_count(); i++)
		for (int c = 0; c < CX_COUNTERS; c++)
			totals[c] += slots[i].counts[c];
}

const char *
cx_counter_name(cx_counter counter)
{
	return counter_names[counter];
}
