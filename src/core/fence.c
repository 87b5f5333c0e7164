/*
 * core/fence.c
 *		Keys that nobody reads until their transaction's commit is told to Redis, or for a while (17).
 *
 * A fence is a version without a row.  Readers ask the table; a fill from before can't replace it,
 * since it is older, nor can one that begins now, since it sees the writers; the commit is newer.
 *
 * The era need not be on disk: should another start take it again, a fence still makes nobody read
 * what is wrong.
 *
 * Memory: a context below the transaction's, which goes with it after an error.
 */
#include "postgres.h"

#include "base/printable.h"
#include "core/era.h"
#include "core/fence.h"
#include "core/owner.h"
#include "core/scan.h"

#include "access/xlog.h"
#include "utils/memutils.h"

static void
fail(const char *said)
{
	char		detail[256];

	strlcpy(detail, said, sizeof(detail));
	cx_printable(detail);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not keep readers of Redis from rows that this transaction has changed"),
			 errdetail("%s", detail),
			 errhint("A table of this transaction is attached with on_redis_down => 'abort'.")));
}

void
cx_fence_start(cx_fence *fence)
{
	cx_owner	owner;

	cx_era_use();
	owner = cx_owner_await();
	if (owner == CX_OWNER_OTHER || owner == CX_OWNER_UNDECIDED)
		fail(psprintf("The keys in Redis belong to %s.", cx_owner_other()));
	if (owner == CX_OWNER_UNKNOWN)
		fail("It is not known yet whose the keys in Redis are.");
	fence->origin.era = cx_era_begun();
	fence->origin.era.timeline = GetWALInsertionTimeLine();
	fence->origin.lsn = GetXLogInsertRecPtr();
	fence->origin.sequence = PG_UINT32_MAX;
	cx_redis_budget_start(&fence->budget);
	fence->context = AllocSetContextCreate(TopTransactionContext, "cache_ext fence",
										   ALLOCSET_DEFAULT_SIZES);
	fence->count = 0;
}

static void
send_batch(cx_fence *fence)
{
	MemoryContext old = MemoryContextSwitchTo(fence->context);
	cx_redis_reply *replies = palloc(sizeof(cx_redis_reply) * CX_FENCE_BATCH);

	if (fence->count > 0 &&
		cx_entity_call(fence->commands, fence->count, replies, &fence->budget) != CX_REDIS_OK)
		fail(cx_redis_last_problem()->text);
	for (int i = 0; i < fence->count; i++)
	{
		if (replies[i].type == CX_REDIS_ERROR)
			fail(replies[i].data);
		if (replies[i].type != CX_REDIS_INTEGER || (replies[i].integer != CX_ENTITY_WAS_SET &&
													replies[i].integer != CX_ENTITY_WAS_SAME))
			fail("Redis has a version that is newer than this transaction.");
	}
	fence->count = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(fence->context);
}

void
cx_fence_key(cx_fence *fence, const char *key, size_t length)
{
	MemoryContext old = MemoryContextSwitchTo(fence->context);

	fence->commands[fence->count++] = *cx_entity_set(key, length, NULL, 0, CX_ENTITY_TOMBSTONE_MS,
													 &fence->origin, PG_INT64_MAX);
	MemoryContextSwitchTo(old);
	if (fence->count == CX_FENCE_BATCH)
		send_batch(fence);
}

/* All that is there; what is not can't be found, and a fill that comes now is taken back. */
void
cx_fence_pattern(cx_fence *fence, const char *pattern, size_t length)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "cache_ext fence keys",
												  ALLOCSET_DEFAULT_SIZES);
	cx_scan		scan;

	cx_scan_start(&scan, pattern, length);
	do
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		if (!cx_scan_next(&scan, &fence->budget))
			fail(scan.problem);
		MemoryContextSwitchTo(old);
		for (size_t i = 0; i < scan.key_count; i++)
			cx_fence_key(fence, scan.keys[i].data, scan.keys[i].length);
		send_batch(fence);
		MemoryContextReset(context);
	} while (!scan.complete);
	MemoryContextDelete(context);
}

void
cx_fence_finish(cx_fence *fence)
{
	send_batch(fence);
	MemoryContextDelete(fence->context);
}
