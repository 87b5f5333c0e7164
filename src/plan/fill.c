/*
 * plan/fill.c
 *		Storing the rows of a miss while they pass.
 *
 * Invariants (rule numbers of the protocol in core/clock.c):
 *
 *	1. A fill holds the rows of a snapshot that was the latest one after E was read and the clocks
 *	   tested (4), made by a plan that no message known at E concerned, in a transaction that wrote
 *	   nothing, before or while the plan ran (5).  Its tags are those of an analysis that is as new.
 *	2. Only a plan that ran straight to its end, in one run of the executor, under the settings that
 *	   the key tells, from its first row to its last, is stored; if constants were folded into it, it
 *	   was made under them, too.
 *	3. Rows are stored detoasted: nothing in an entry points to a table.
 *
 * Locks: none.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/stop_point.h"
#include "core/clock.h"
#include "core/dirty.h"
#include "plan/execution.h"
#include "plan/generation.h"
#include "plan/kept_plans.h"
#include "plan/wrap.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/pg_prng.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Do two snapshots see the same?  Subtransactions follow from their parents. */
static bool
same_snapshot(Snapshot one, Snapshot other)
{
	return one->xmin == other->xmin && one->xmax == other->xmax && one->xcnt == other->xcnt &&
		(one->xcnt == 0 || memcmp(one->xip, other->xip, sizeof(TransactionId) * one->xcnt) == 0);
}

bool
cx_fill_has_written(void)
{
	return cx_dirty_any() || TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/*
 * Is the plan older than a definition that it was made from?  Messages tell of relations, functions, types
 * and operators; clocks of everything else that planning folds into constants, of which PostgreSQL sends
 * a plan no message (text search configurations, say), and of what names in bodies stand for.
 */
static bool
plan_is_old(const cx_execution *execution)
{
	const PlannedStmt *plan = execution->plan;
	const cx_wrap_options *options = cx_wrap_options_of(plan);

	return cx_generation_moved(options->generation, plan->relationOids, NIL, plan->invalItems) ||
		cx_generation_moved(options->generation, cx_statement_relations(execution->statement),
							cx_statement_functions(execution->statement), NIL) ||
		((cx_statement_folds(execution->statement) ||
		  cx_statement_reads_bodies(execution->statement)) &&
		 cx_clock_check(&options->planned, execution->clocks.slots,
						execution->clocks.definitions) != CX_CLOCK_VALID);
}

/* The longest bytes that the rows of an entry may take. */
static size_t
size_limit(void)
{
	return (size_t) cx_max_entry_size * 1024;
}

static void
begin_redis_entry(cx_execution *execution)
{
	cx_entry	entry = {
		.stamp = execution->stamp,
		.until = execution->until,
		.created = execution->started,
		.expires = execution->expires,
		.key = execution->key.data,
		.key_length = execution->key.len
	};
	const char *refused;

	if (execution->codec == NULL)
		execution->codec = cx_row_codec_create(cx_wrap_row_type(execution->plan), &refused);
	if (execution->codec == NULL)
		return;
	initStringInfo(&execution->entry);
	cx_entry_write_header(&execution->entry, &entry, execution->spreads,
						  execution->clocks.definitions,
						  execution->clocks.count - execution->clocks.definitions);
	cx_row_codec_begin(execution->codec, &execution->entry, size_limit());
}

/* Rule 4, in this order: E, the clocks, then what has to be as fresh. */
const char *
cx_fill_begin(cx_execution *execution)
{
	int64		ttl_us = cx_execution_ttl_us(execution);

	CX_STOP(CX_STOP_LOOKUP_MISSED);

	if (cx_fill_has_written())
		return "the transaction has written";
	cx_execution_list_clocks(execution);
	if (!cx_clock_begin_fill(execution->clocks.slots, execution->clocks.count, &execution->stamp))
		return "a change is being committed";
	if (!same_snapshot(execution->snapshot, GetLatestSnapshot()))
		return "the snapshot is not the latest";
	execution->until = GetXLogInsertRecPtr();
	CX_STOP(CX_STOP_FILL_FRESH);

	AcceptInvalidationMessages();
	if (plan_is_old(execution))
	{
		/* the door drops its plan; for others PostgreSQL had better plan again */
		if (execution->answer)
			execution->answer->plan_is_old = true;
		else
			ResetPlanCache();
		return "the plan is older than a definition it uses";
	}
	if (cx_statement_folds(execution->statement) &&
		!cx_wrap_same_session(execution->plan, execution->key.data, execution->key.len))
	{
		/*
		 * Constants were folded under settings that the key doesn't name.  PostgreSQL goes on with such a
		 * plan, so the session may; making it anew at each SET would cost more than what it fills.
		 */
		if (execution->answer)
			execution->answer->plan_is_old = true;
		return "the plan was made under other settings";
	}
	if (cx_statement_keeps_types(execution->statement) &&
		!cx_kept_plans_types_hold(execution->clocks.slots, execution->clocks.definitions))
		return "functions of this session may use types older than a definition";

	/* where planning computed a call, the planner saw to it then */
	if (cx_statement_runs_bodies(execution->statement) &&
		!cx_kept_plans_renew(execution->clocks.slots, execution->clocks.definitions))
		return "functions of this session may use plans older than a definition";

	/* entries made together had better not expire together */
	ttl_us -= (int64) (ttl_us * cx_ttl_jitter * pg_prng_double(&pg_global_prng_state));
	execution->started = GetCurrentTimestamp();
	execution->expires = execution->started + Max(ttl_us, 1000);
	execution->row_context = AllocSetContextCreate(execution->context, "cache_ext row",
												   ALLOCSET_DEFAULT_SIZES);
	if (cx_local_available())
		initStringInfo(&execution->rows);
	if (cx_redis_tier_available())
		begin_redis_entry(execution);
	else
		execution->codec = NULL;
	if (execution->rows.data == NULL && execution->codec == NULL)
		return "no tier can hold rows of these types";
	execution->filling = true;
	return NULL;
}

/* The row as a tuple of its own, in CurrentMemoryContext. */
static MinimalTuple
plain_tuple(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	Datum	   *values;

	slot_getallattrs(slot);
	values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	memcpy(values, slot->tts_values, sizeof(Datum) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attlen == -1 && !slot->tts_isnull[i] &&
			VARATT_IS_EXTENDED(DatumGetPointer(values[i])) &&
			!VARATT_IS_SHORT(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(detoast_attr((struct varlena *)
													 DatumGetPointer(values[i])));
	}
	return heap_form_minimal_tuple(desc, values, slot->tts_isnull);
}

/* False when the rows have become too many for the local tier. */
static bool
add_local_row(cx_execution *execution, TupleTableSlot *slot)
{
	StringInfo	rows = &execution->rows;
	MemoryContext old = MemoryContextSwitchTo(execution->row_context);
	MinimalTuple tuple = plain_tuple(slot);
	size_t		length = rows->len + MAXALIGN(tuple->t_len);
	bool		fits = length <= size_limit() && length < MaxAllocSize &&
		cx_local_fits(execution->key.len, length);

	if (fits)
	{
		enlargeStringInfo(rows, MAXALIGN(tuple->t_len));
		memcpy(rows->data + rows->len, tuple, tuple->t_len);
		memset(rows->data + rows->len + tuple->t_len, 0,
			   MAXALIGN(tuple->t_len) - tuple->t_len);
		rows->len = length;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(execution->row_context);
	return fits;
}

void
cx_fill_add(cx_execution *execution, TupleTableSlot *slot)
{
	const char *refusal = "the result is larger than an entry may be";

	execution->row_count++;
	if (execution->rows.data != NULL && !add_local_row(execution, slot))
	{
		pfree(execution->rows.data);
		execution->rows.data = NULL;
	}
	if (execution->codec != NULL && !cx_row_codec_add(execution->codec, slot))
	{
		refusal = cx_row_codec_refusal(execution->codec);
		execution->codec = NULL;
	}
	if (execution->rows.data == NULL && execution->codec == NULL)
		cx_fill_abandon(execution, refusal);
}

/* Copies rows of either form into the local tier.  facts: its stamp, times and clocks. */
static bool
store_local(cx_execution *execution, const cx_local_entry *facts, size_t length)
{
	cx_local_entry entry = *facts;
	char	   *body;
	void	   *reserved;

	entry.fill_us = execution->started > 0 ? GetCurrentTimestamp() - execution->started : 0;
	entry.row_count = execution->row_count;
	entry.key = execution->key.data;
	entry.key_length = execution->key.len;
	entry.body_length = length;
	reserved = cx_local_reserve(&entry, &body);

	if (reserved == NULL)
		return false;
	if (execution->tuples == NULL)
		memcpy(body, execution->rows.data, length);
	else
	{
		for (uint64 i = 0; i < execution->row_count; i++)
		{
			MinimalTuple tuple = execution->tuples[i];

			memcpy(body, tuple, tuple->t_len);
			memset(body + tuple->t_len, 0, MAXALIGN(tuple->t_len) - tuple->t_len);
			body += MAXALIGN(tuple->t_len);
		}
	}
	cx_local_publish(reserved);
	return true;
}

void
cx_fill_promote(cx_execution *execution, const cx_entry *entry, const cx_clocks *clocks)
{
	size_t		length = 0;

	if (!cx_local_available())
		return;
	for (uint64 i = 0; i < execution->row_count; i++)
		length += MAXALIGN(execution->tuples[i]->t_len);
	if (cx_local_fits(execution->key.len, length))
	{
		cx_local_entry facts = {
			.stamp = entry->stamp,
			.created = entry->created,
			.expires = entry->expires,
			.clocks = *clocks
		};

		(void) store_local(execution, &facts, length);
	}
}

static bool
store_redis(cx_execution *execution)
{
	int64		ttl_us = execution->expires - GetCurrentTimestamp();

	if (ttl_us < 1000)
		return false;			/* running the query took longer */
	cx_row_codec_end(execution->codec);
	cx_entry_write_checksum(&execution->entry);
	if (execution->name == NULL)
		execution->name = cx_redis_tier_name(execution->key.data, execution->key.len);
	return cx_redis_tier_put(execution->name, execution->entry.data, execution->entry.len,
							 ttl_us / 1000, execution->lease, &execution->budget);
}

void
cx_fill_end(cx_execution *execution)
{
	bool		stored = false;

	execution->filling = false;
	CX_STOP(CX_STOP_FILL_READY);

	if (cx_fill_has_written())
		execution->reason = "the transaction has written";
	else if (!cx_execution_same_session(execution))
		execution->reason = "running it has loaded a library or changed a setting";
	else
	{
		execution->reason = "there is no room";
		if (execution->rows.data != NULL)
		{
			cx_local_entry facts = {
				.stamp = execution->stamp,
				.created = execution->started,
				.expires = execution->expires,
				.clocks = execution->clocks
			};

			stored = store_local(execution, &facts, execution->rows.len);
		}
		if (stored)
			cx_execution_end_flight_here(execution);
		if (execution->codec != NULL)
		{
			execution->reason = "Redis is not available";
			stored |= store_redis(execution);
		}
		if (stored)
			execution->reason = NULL;
	}
	cx_execution_settle(execution, stored ? CX_OUTCOME_FILLED : CX_OUTCOME_NOT_FILLED);
}

void
cx_fill_abandon(cx_execution *execution, const char *reason)
{
	execution->filling = false;
	execution->reason = reason;
	cx_execution_settle(execution, CX_OUTCOME_NOT_FILLED);
}
