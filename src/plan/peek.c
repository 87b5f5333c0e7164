/*
 * plan/peek.c
 *		What the cache holds for a statement, without counting, filling or serving it.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/entry.h"
#include "core/redis_tier.h"
#include "plan/peek.h"

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"

void
cx_peek_at(const cx_statement *statement, ParamListInfo params, bool fetch, cx_peek *peek)
{
	cx_redis_budget budget;
	cx_entry	entry;
	StringInfoData key;
	cx_slot    *slots;
	TimestampTz now;

	memset(peek, 0, sizeof(*peek));
	initStringInfo(&key);
	if (!cx_statement_key(statement, params, &key, &peek->refused))
		return;
	peek->name = cx_redis_tier_name(key.data, key.len);
	peek->tag_count = cx_statement_tags(statement, params, &peek->tags);
	if (!fetch)
		return;

	cx_redis_budget_start(&budget);
	if (cx_redis_tier_get(peek->name, key.data, key.len, &budget, &entry) !=
		CX_TIER_FOUND)
		return;
	slots = palloc(sizeof(cx_slot) * Max(peek->tag_count, 1));
	for (int i = 0; i < peek->tag_count; i++)
		slots[i] = cx_clock_slot(&peek->tags[i]);
	peek->found = true;
	peek->tier = "redis";
	peek->created = entry.created;
	peek->expires = entry.expires;
	peek->size = (entry.body + entry.body_length) - entry.key;
	now = GetCurrentTimestamp();
	peek->valid = !RecoveryInProgress() && entry.created <= now && now < entry.expires &&
		cx_clock_check(&entry.stamp, slots, peek->tag_count) == CX_CLOCK_VALID;
}
