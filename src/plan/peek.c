/*
 * plan/peek.c
 *		What the cache holds for a statement, without counting, filling or serving it.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/entry.h"
#include "core/local.h"
#include "core/redis_tier.h"
#include "plan/peek.h"

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"

/* As a look-up would: by the entry's own tags. */
static void
judge(cx_peek *peek, const cx_stamp *stamp, const cx_clocks *clocks, TimestampTz created,
	  TimestampTz expires)
{
	TimestampTz now = GetCurrentTimestamp();

	peek->found = true;
	peek->created = created;
	peek->expires = expires;
	peek->valid = !RecoveryInProgress() && created <= now && now < expires &&
		cx_clock_check(stamp, clocks->slots, clocks->count) == CX_CLOCK_VALID;
}

static void
peek_at_local(cx_peek *peek)
{
	cx_local_entry entry;
	cx_local_pin *pin = cx_local_get(peek->key.data, peek->key.len, CurrentMemoryContext, &entry);

	if (pin == NULL)
		return;
	peek->tier = "local";
	peek->size = entry.key_length + entry.body_length;
	judge(peek, &entry.stamp, &entry.clocks, entry.created, entry.expires);
	cx_local_release(pin);
}

static void
peek_at_redis(cx_peek *peek)
{
	cx_redis_budget budget;
	cx_entry	entry;
	cx_clocks	clocks;

	cx_redis_budget_start(&budget);
	if (cx_redis_tier_get(peek->name, peek->key.data, peek->key.len, &budget, &entry) !=
		CX_TIER_FOUND)
		return;
	peek->tier = "redis";
	peek->size = (entry.body + entry.body_length) - entry.key;
	clocks = cx_redis_tier_clocks(&entry);
	judge(peek, &entry.stamp, &clocks, entry.created, entry.expires);
}

void
cx_peek_at(const cx_statement *statement, ParamListInfo params, bool fetch, cx_peek *peek)
{
	int			definitions;

	memset(peek, 0, sizeof(*peek));
	initStringInfo(&peek->key);
	if (!cx_statement_key(statement, params, &peek->key, &peek->refused))
		return;
	peek->name = cx_redis_tier_name(peek->key.data, peek->key.len);
	peek->tag_count = cx_statement_tags(statement, params, &peek->tags, &definitions);
	if (!fetch)
		return;

	/* as a look-up would: what is valid in the nearer tier first */
	peek_at_local(peek);
	if (!peek->valid)
		peek_at_redis(peek);
}
