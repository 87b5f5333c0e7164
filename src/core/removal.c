/*
 * core/removal.c
 *		Removing keys that are older than something, by the background worker.
 *
 * SCAN finds every key that is there all the while.  What comes meanwhile is newer, or a reader's fill
 * that the reader takes back.
 *
 * Memory: a context that goes away at the end.
 */
#include "postgres.h"

#include "base/printable.h"
#include "base/settings.h"
#include "core/owner.h"
#include "core/removal.h"
#include "core/scan.h"

#include "postmaster/interrupt.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define BATCH_KEYS 256
#define LEAST_BUDGET_MS 1000
#define LOG_INTERVAL_MS 60000

void
cx_delivery_log(const char *what)
{
	static TimestampTz logged_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	char		said[256];

	if (logged_at != 0 && !TimestampDifferenceExceeds(logged_at, now, LOG_INTERVAL_MS))
		return;
	logged_at = now;
	strlcpy(said, what, sizeof(said));
	cx_printable(said);
	ereport(LOG,
			(errmsg("cache_ext cannot tell Redis what was committed: %s", said),
			 errdetail("It is kept and tried again.  This is logged once a minute at most.")));
}

cx_redis_budget
cx_delivery_budget(void)
{
	cx_redis_budget fresh = {(int64) Max(cx_redis_timeout, LEAST_BUDGET_MS) * 1000};

	return fresh;
}

static bool
remove_keys(const cx_redis_reply *keys, int count, bool all, const cx_entity_origin *origin)
{
	cx_redis_command *commands = palloc(sizeof(cx_redis_command) * count);
	cx_redis_reply *replies = palloc(sizeof(cx_redis_reply) * count);
	cx_redis_budget left = cx_delivery_budget();

	for (int i = 0; i < count; i++)
		commands[i] = *cx_entity_remove(keys[i].data, keys[i].length, all, origin);
	if (cx_entity_call(commands, count, replies, &left) != CX_REDIS_OK)
		return false;
	for (int i = 0; i < count; i++)
		if (replies[i].type == CX_REDIS_ERROR)
		{
			cx_delivery_log(replies[i].data);
			return false;
		}
	return true;
}

/* The next keys of the scan. */
static bool
remove_some(cx_scan *scan, bool all, const cx_entity_origin *origin)
{
	cx_redis_budget left = cx_delivery_budget();

	/* a look at Redis is due after each call, and this may take minutes */
	if (ShutdownRequestPending || !cx_owner_renew(&left))
		return false;
	left = cx_delivery_budget();
	if (!cx_scan_next(scan, &left))
	{
		cx_delivery_log(scan->problem);
		return false;
	}
	for (size_t next = 0; next < scan->key_count; next += BATCH_KEYS)
		if (!remove_keys(scan->keys + next, (int) Min(scan->key_count - next, BATCH_KEYS), all,
						 origin))
			return false;
	return true;
}

bool
cx_removal_run(const char *pattern, size_t length, bool all, const cx_entity_origin *origin)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext removal",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	uint64		connection = cx_redis_connections();
	bool		done = true;
	cx_scan		scan;

	cx_scan_start(&scan, pattern, length);
	while (done && !scan.complete)
	{
		done = remove_some(&scan, all, origin);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	/* a cursor is of no use to another server */
	return done && cx_redis_connections() == connection;
}
