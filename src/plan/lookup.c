/*
 * plan/lookup.c
 *		Hit, miss or bypass: the decision of one execution.
 *
 * Invariants (rule numbers of the protocol in core/clock.c):
 *
 *	1. A hit was valid by the clocks at an instant after the statement started (6), and the
 *	   transaction itself changed nothing that it depends on.  With max_staleness it may be older
 *	   than its tables' last changes, but never than its own age says, nor than a definition.
 *	2. A hit checks the rights that initialising the plan would check; relation rights are checked
 *	   by ExecutorStart as always.  Where any is missing the plan runs and raises its own error.
 *	3. What is pinned, and what others wait for, is let go with the execution's context at the latest.
 *
 * Locks: none is held while anything waits.
 */
#include "postgres.h"

#include <math.h>

#include "base/counters.h"
#include "base/settings.h"
#include "core/account.h"
#include "core/clock.h"
#include "core/dirty.h"
#include "core/prepared.h"
#include "plan/execution.h"
#include "plan/nesting.h"
#include "plan/wrap.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

const char *const cx_execution_does_not_pay = "caching it does not pay for now";
static const char *const own_changes = "the transaction has changed what the query reads";

/* Why the cache is not even asked, or NULL.  What costs least comes first. */
static const char *
bypass_reason(const cx_execution *execution)
{
	Snapshot	snapshot = execution->snapshot;

	if (!cx_enabled)
		return "cache_ext.enabled is off";
	if (!cx_local_available() && !cx_redis_tier_available())
		return "Redis is not available";
	if (IsolationUsesXactSnapshot())
		return "the isolation level keeps one snapshot";	/* rule 7 */
	if (RecoveryInProgress())
		return "the server is in recovery"; /* rule 7 */
	if (IsInParallelMode())
		return "in parallel mode";
	if (snapshot == NULL)
		return NULL;			/* not taken yet */
	if (!IsMVCCSnapshot(snapshot) || snapshot->takenDuringRecovery || HistoricSnapshotActive())
		return "the snapshot is not an ordinary one";
	return NULL;
}

void
cx_execution_list_clocks(cx_execution *execution)
{
	MemoryContext old;
	cx_tag	   *tags;
	cx_slot    *slots;
	int			count;
	int			definitions;

	if (execution->clocks.slots != NULL)
		return;
	old = MemoryContextSwitchTo(execution->context);
	count = cx_statement_tags(execution->statement, execution->params, &tags, &definitions);
	slots = palloc(sizeof(cx_slot) * count);
	execution->spreads = palloc(sizeof(uint64) * count);
	for (int i = 0; i < count; i++)
	{
		execution->spreads[i] = tags[i].spread != 0 ? tags[i].spread : cx_tag_spread(&tags[i]);
		slots[i] = cx_clock_slot_of_spread(execution->spreads[i]);
	}
	execution->clocks.slots = slots;
	execution->clocks.count = count;
	execution->clocks.definitions = definitions;
	pfree(tags);
	MemoryContextSwitchTo(old);
}

/*
 * Has the transaction itself changed what the query reads (rule 6)?  An entry's own tags are asked in
 * is_valid(); the question here, by the statement's, saves a transaction that wrote a look-up in vain.
 */
static bool
reads_own_changes(cx_execution *execution)
{
	if (!cx_dirty_any())
		return false;
	cx_execution_list_clocks(execution);
	return cx_dirty_touches(execution->clocks.slots, execution->clocks.count);
}

int64
cx_execution_ttl_us(const cx_execution *execution)
{
	int64		ms = execution->request.ttl_ms > 0 ? execution->request.ttl_ms :
		(int64) cx_ttl * 1000;

	return ms * 1000;
}

static int64
staleness_us(const cx_execution *execution)
{
	if (execution->request.staleness_ms < 0)
		return 0;
	return (execution->request.staleness_ms > 0 ? execution->request.staleness_ms :
			(int64) cx_max_staleness) * 1000;
}

/*
 * May an entry with this stamp be served?  Sets what hit it would be, or the reason that forbids a
 * fill.
 *
 * The clocks are those of the tags that the entry was filled with, not of this session's.  A session in
 * an open transaction reads no invalidation messages, so it may not know of a child, an index or a
 * function that was added; whoever filled the entry after that did.
 */
static bool
is_valid(cx_execution *execution, const cx_stamp *stamp, const cx_clocks *clocks,
		 TimestampTz created, TimestampTz expires)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		staleness;
	cx_clock_verdict verdict;

	if (created > now || now >= expires || now - created >= cx_execution_ttl_us(execution))
		return false;
	if (cx_dirty_touches(clocks->slots, clocks->count))
	{
		execution->reason = own_changes;
		return false;
	}

	verdict = cx_clock_check(stamp, clocks->slots, clocks->count);
	execution->looked_up = now;
	execution->created = created;
	execution->expires = expires;
	execution->stale = false;
	if (verdict == CX_CLOCK_VALID)
		return true;

	staleness = staleness_us(execution);
	if (staleness > 0 && now - created <= staleness &&
		cx_clock_check(stamp, clocks->slots, clocks->definitions) == CX_CLOCK_VALID)
	{
		execution->stale = true;
		return true;
	}
	if (verdict == CX_CLOCK_PENDING)
		execution->reason = "a change is being committed";
	return false;
}

static bool
look_up_local(cx_execution *execution)
{
	cx_local_entry entry;
	cx_local_pin *pin = cx_local_get(execution->key.data, execution->key.len, execution->context,
									 &entry);

	if (pin == NULL)
		return false;
	if (!is_valid(execution, &entry.stamp, &entry.clocks, entry.created, entry.expires))
	{
		cx_local_release(pin);
		return false;
	}
	execution->tier = "local";
	execution->pin = pin;
	execution->body = entry.body;
	execution->body_length = entry.body_length;
	execution->row_count = entry.row_count;
	return true;
}

static bool
look_up_redis(cx_execution *execution)
{
	cx_entry	entry;
	cx_clocks	clocks;
	const char *bad;

	if (execution->name == NULL)
		execution->name = cx_redis_tier_name(execution->key.data, execution->key.len);
	switch (cx_redis_tier_get(execution->name, execution->key.data, execution->key.len,
							  &execution->budget, &entry))
	{
		case CX_TIER_ABSENT:
			return false;
		case CX_TIER_UNAVAILABLE:
			if (!cx_local_available())
				execution->reason = "Redis is not available";
			return false;
		case CX_TIER_FOUND:
			break;
	}
	clocks = cx_redis_tier_clocks(&entry);
	if (!is_valid(execution, &entry.stamp, &clocks, entry.created, entry.expires))
		return false;

	if (!cx_row_codec_decode(execution->codec, entry.body, entry.body_length, &execution->tuples,
							 &execution->row_count, &bad))
	{
		cx_redis_tier_report_bad(execution->name, bad);
		return false;
	}
	execution->tier = "redis";
	cx_fill_promote(execution, &entry, &clocks);
	return true;
}

/*
 * Looks the entry up in the tiers; true for a hit, whose rows are ready then.  Otherwise a reason is
 * set where filling is not worth trying.
 */
static bool
look_up(cx_execution *execution)
{
	if (cx_local_available() && look_up_local(execution))
		return true;
	if (execution->reason != NULL || !cx_redis_tier_available())
		return false;

	/* made here, since a hit in the local tier needs none */
	execution->codec = cx_row_codec_create(cx_wrap_row_type(execution->plan), &execution->reason);
	if (execution->codec == NULL)
	{
		if (cx_local_available())
			execution->reason = NULL;
		return false;
	}
	return look_up_redis(execution);
}

bool
cx_execution_same_session(cx_execution *execution)
{
	StringInfo	key = &execution->key;
	int			length = key->len;
	int			now;
	bool		same;

	/* written behind the key, where there is room, and taken off again */
	cx_statement_session_key(execution->statement, key);
	now = key->len - length;
	same = now <= length && memcmp(key->data + length, key->data + length - now, now) == 0;
	key->len = length;
	key->data[length] = '\0';
	return same;
}

/*
 * Ordinary statements: were they planned to be cached with settings that still say so?
 */
static const char *
transparent_bypass_reason(const cx_execution *execution, bool peek)
{
	const cx_wrap_options *options = cx_wrap_options_of(execution->plan);

	if (cx_mode == CX_MODE_OFF)
		return "cache_ext.mode is off";
	if (cx_mode == CX_MODE_HINT && !options->hinted)
		return "cache_ext.mode is hint";
	if (!cx_nesting_outermost())
		return "a statement inside a function";
	if (!options->hinted && !peek && !cx_account_pays(execution->account))
		return cx_execution_does_not_pay;
	return NULL;
}

bool
cx_execution_still_hit(cx_execution *execution)
{
	return bypass_reason(execution) == NULL && transparent_bypass_reason(execution, true) == NULL;
}

/*
 * Single flight
 */

/* May this session wait for another?  Not while it holds what the other may need (rule 12). */
static int
flight_wait_ms(void)
{
	return cx_nesting_locked_table() ? 0 : cx_flight_wait;
}

/* A lease costs a round trip: where the query is known to cost less than this, it is not worth it. */
#define LEASE_WORTH_US 1000

static bool
lease_pays(const cx_execution *execution)
{
	double		cost = cx_account_miss_us(execution->account);

	return cx_redis_tier_available() && (cost == 0 || cost >= LEASE_WORTH_US);
}

/*
 * Of those who miss the same key at once one fills and the others wait for it, once.  True if there is
 * a hit after all.
 */
static bool
join_flight(cx_execution *execution)
{
	cx_flight_role role;

	if (cx_flight_wait == 0 || cx_fill_has_written())
		return false;
	role = cx_flight_join(execution->key.data, execution->key.len,
						  execution->request.refresh ? 0 : flight_wait_ms(), execution->context,
						  &execution->flight);

	/* another may have stored it since this one missed it */
	if (role == CX_FLIGHT_LEADS && !execution->request.refresh && cx_local_available() &&
		look_up_local(execution))
		return true;
	if (role == CX_FLIGHT_LEADS && lease_pays(execution))
	{
		if (execution->name == NULL)
			execution->name = cx_redis_tier_name(execution->key.data, execution->key.len);
		role = cx_lease_take(execution->name, flight_wait_ms(), &execution->budget,
							 execution->context, &execution->lease);
	}
	if (role == CX_FLIGHT_WAITED || (role == CX_FLIGHT_BUSY && execution->request.refresh))
		return look_up(execution);
	return false;
}

void
cx_execution_end_flight_here(cx_execution *execution)
{
	if (execution->flight != NULL)
		cx_flight_end(execution->flight);
	execution->flight = NULL;
}

void
cx_execution_end_flight(cx_execution *execution)
{
	cx_execution_end_flight_here(execution);
	if (execution->lease != NULL)
		cx_lease_end(execution->lease, &execution->budget);
	execution->lease = NULL;
}

/*
 * Should this session make a new entry ahead of the end of this one's TTL?  XFetch (Vattani and
 * others, VLDB 2015): the nearer the end and the dearer the query, the likelier; others are served
 * meanwhile.
 */
static bool
refreshes_ahead(cx_execution *execution)
{
	double		cost_us = cx_account_miss_us(execution->account);
	double		left_us = execution->expires - execution->looked_up;

	/* -ln(x) is practically never above 20 */
	if (cost_us <= 0 || left_us > 20 * cost_us || cx_flight_wait == 0 || cx_fill_has_written())
		return false;
	return -cost_us * log(pg_prng_double(&pg_global_prng_state)) >= left_us;
}

/* Lets a hit go. */
static void
let_go(cx_execution *execution)
{
	if (execution->pin != NULL)
		cx_local_release(execution->pin);
	execution->pin = NULL;
	execution->tuples = NULL;
	execution->row_count = 0;
	execution->stale = false;
}

/*
 * Looks up and, where it pays, waits; true for a hit.
 */
static bool
find(cx_execution *execution, bool peek)
{
	cx_request *request = &execution->request;

	if (!request->missed && look_up(execution))
	{
		if (peek || !refreshes_ahead(execution))
			return true;
		let_go(execution);
		request->refresh = true;
		if (execution->answer)
			execution->answer->refresh = true;
	}
	if (peek || request->only_hit || execution->reason != NULL)
		return false;
	if (join_flight(execution))
	{
		cx_execution_end_flight(execution);
		return true;
	}
	return false;
}

void
cx_execution_decide(cx_execution *execution, bool peek)
{
	execution->outcome = CX_OUTCOME_BYPASS;
	execution->reason = bypass_reason(execution);
	if (execution->reason == NULL && !cx_wrap_options_of(execution->plan)->by_door)
		execution->reason = transparent_bypass_reason(execution, peek);
	if (execution->reason != NULL)
		return;

	initStringInfo(&execution->key);
	if (!cx_statement_key(execution->statement, execution->params, &execution->key,
						  &execution->reason))
		return;
	if (reads_own_changes(execution))
	{
		execution->reason = own_changes;
		return;
	}
	if (!cx_statement_permitted(execution->statement))
	{
		execution->reason = "a privilege is missing";
		return;
	}
	cx_prepared_settle_start();

	execution->outcome = CX_OUTCOME_NOT_FILLED;
	if (execution->request.missed)
		execution->budget = execution->request.budget;
	else
		cx_redis_budget_start(&execution->budget);
	if (find(execution, peek))
		execution->outcome = CX_OUTCOME_HIT;
	else if (!peek && !execution->request.only_hit && execution->reason == NULL)
	{
		execution->reason = cx_fill_begin(execution);
		if (execution->filling && execution->request.refresh)
			cx_count(CX_COUNT_REFRESHES);
	}
	if (!execution->filling)
		cx_execution_end_flight(execution);
}
