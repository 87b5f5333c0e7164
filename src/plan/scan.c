/*
 * plan/scan.c
 *		The cache scan: the one place that looks up, fills and emits rows.
 *
 * A CustomScan on top of a finished plan, which stays below it as its outer plan.  When it is
 * started it decides, for the whole execution: a hit (rows come from the entry, the plan below is
 * never initialised), a miss (the plan runs, its rows pass through and are stored if they are
 * exact), or a bypass (the plan just runs).
 *
 * Invariants (rule numbers of the protocol in core/clock.c):
 *
 *	1. A hit was valid by the clocks at an instant after the statement started (6), and the
 *	   transaction itself changed nothing that it depends on.
 *	2. A fill holds the rows of a snapshot that was the latest one after E was read and the clocks
 *	   tested (4), made by a plan that no message known at E concerned, in a transaction that wrote
 *	   nothing, before or while the plan ran (5).
 *	3. A hit checks the rights that initialising the plan would check; relation rights are checked
 *	   by ExecutorStart as always.  Where any is missing the plan runs and raises its own error.
 *	4. Only the doors' plans are wrapped, and they run them once, to the end, inside one command,
 *	   with a snapshot taken for it: what a SET between two steps or a suspended portal would
 *	   change can't change here.
 *
 * PlannedStmt's subplans would be initialised by the executor before this node is asked, so
 * ExecutorStart sees a copy of the statement without them; a miss puts the original back and
 * initialises them itself.
 *
 * Memory: everything in the execution's own context (es_query_cxt).  Locks: none.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/counters.h"
#include "base/settings.h"
#include "base/stop_point.h"
#include "core/dirty.h"
#include "core/entry.h"
#include "core/prepared.h"
#include "core/redis_tier.h"
#include "plan/generation.h"
#include "plan/scan.h"
#include "plan/wrap.h"
#include "query/row_codec.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/explain.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

typedef struct cache_scan
{
	CustomScanState css;		/* must be first */

	const cx_statement *statement;
	uint64		generation;		/* when planning began */
	int			columns;		/* of the result; the plan below may have junk after them */
	int			eflags;

	cx_request	request;		/* as asked, or the defaults */
	cx_request *answer;			/* the door's own, for what became of it; or NULL */
	cx_outcome	outcome;
	const char *reason;			/* of a bypass or a miss without a fill; constant text */

	StringInfoData key;
	char	   *name;			/* in Redis */
	cx_slot    *slots;
	int			slot_count;
	cx_redis_budget budget;		/* of the whole execution */

	/* a hit */
	cx_row_codec *codec;
	MinimalTuple *tuples;
	uint64		tuple_count;
	uint64		next_tuple;
	TupleTableSlot *tuple_slot;
	TimestampTz created;

	/* a fill under way */
	bool		filling;
	cx_stamp	stamp;
	TimestampTz started;
	StringInfoData entry;
} cache_scan;

/*
 * The copy of a statement that ExecutorStart sees.
 */
typedef struct started_statement
{
	PlannedStmt copy;			/* without subplans */
	PlannedStmt *original;
} started_statement;

static cx_request *asked = NULL;
static ExecutorStart_hook_type prev_ExecutorStart_hook = NULL;

/*
 * Requests
 */

cx_request *
cx_scan_request(cx_request *request)
{
	cx_request *outer = asked;

	request->outcome = CX_OUTCOME_NONE;
	request->plan_is_old = false;
	asked = request;
	return outer;
}

void
cx_scan_withdraw(cx_request *outer)
{
	asked = outer;
}

bool
cx_scan_may_hit(void)
{
	return cx_enabled && cx_redis_tier_available();
}

/*
 * Starting
 */

static void
start_executor(QueryDesc *query_desc, int eflags)
{
	PlannedStmt *original = query_desc->plannedstmt;
	bool		wrapped = cx_wrap_is_wrapped(original);

	if (wrapped)
	{
		started_statement *started = palloc(sizeof(started_statement));

		started->copy = *original;
		started->copy.subplans = NIL;
		started->original = original;
		query_desc->plannedstmt = &started->copy;
	}

	if (prev_ExecutorStart_hook)
		prev_ExecutorStart_hook(query_desc, eflags);
	else
		standard_ExecutorStart(query_desc, eflags);

	if (wrapped)
	{
		/* EXPLAIN reads the lists */
		query_desc->plannedstmt = original;
		query_desc->estate->es_plannedstmt = original;
	}
}

/* Initialises the plan below, as ExecutorStart would have done. */
static void
start_plan(cache_scan *scan)
{
	EState	   *estate = scan->css.ss.ps.state;
	PlannedStmt *original = ((started_statement *) estate->es_plannedstmt)->original;
	int			number = 0;
	ListCell   *cell;

	estate->es_plannedstmt = original;
	foreach(cell, original->subplans)
	{
		int			eflags = scan->eflags & ~(EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD |
											  EXEC_FLAG_MARK);

		if (bms_is_member(++number, original->rewindPlanIDs))
			eflags |= EXEC_FLAG_REWIND;
		estate->es_subplanstates = lappend(estate->es_subplanstates,
										   ExecInitNode(lfirst(cell), estate, eflags));
	}
	outerPlanState(scan) = ExecInitNode(outerPlan(scan->css.ss.ps.plan), estate, scan->eflags);
}

/* Why the cache is not even asked, or NULL.  What costs least comes first. */
static const char *
bypass_reason(const cache_scan *scan)
{
	Snapshot	snapshot = scan->css.ss.ps.state->es_snapshot;

	if (!cx_enabled)
		return "cache_ext.enabled is off";
	if (!cx_redis_tier_available())
		return "Redis is not available";
	if (IsolationUsesXactSnapshot())
		return "the isolation level keeps one snapshot";	/* rule 7 */
	if (RecoveryInProgress())
		return "the server is in recovery"; /* rule 7 */
	if (IsInParallelMode())
		return "in parallel mode";
	if (!IsMVCCSnapshot(snapshot) || snapshot->takenDuringRecovery || HistoricSnapshotActive())
		return "the snapshot is not an ordinary one";
	return NULL;
}

/* The entry's tags as slots; false if the transaction itself changed one (rule 6). */
static bool
list_slots(cache_scan *scan, ParamListInfo params)
{
	cx_tag	   *tags;
	int			count = cx_statement_tags(scan->statement, params, &tags);
	bool		clean = true;

	scan->slots = palloc(sizeof(cx_slot) * Max(count, 1));
	scan->slot_count = count;
	for (int i = 0; i < count; i++)
	{
		scan->slots[i] = cx_clock_slot(&tags[i]);
		clean &= !cx_dirty_names(&tags[i]);
	}
	pfree(tags);
	return clean;
}

static int64
ttl_ms(const cache_scan *scan)
{
	return scan->request.ttl_ms > 0 ? scan->request.ttl_ms : (int64) cx_ttl * 1000;
}

static bool
within_ttl(const cache_scan *scan, const cx_entry *entry)
{
	TimestampTz now = GetCurrentTimestamp();

	return entry->created <= now && now < entry->expires &&
		now - entry->created < ttl_ms(scan) * 1000;
}

/*
 * Looks the entry up; true for a hit, whose rows are ready then.  Otherwise *may_fill says whether
 * filling is worth trying.
 */
static bool
look_up(cache_scan *scan, bool *may_fill)
{
	cx_entry	entry;
	const char *bad;

	*may_fill = true;
	switch (cx_redis_tier_get(scan->name, scan->key.data, scan->key.len, &scan->budget, &entry))
	{
		case CX_TIER_ABSENT:
			return false;
		case CX_TIER_UNAVAILABLE:
			scan->reason = "Redis is not available";
			*may_fill = false;
			return false;
		case CX_TIER_FOUND:
			break;
	}

	if (!within_ttl(scan, &entry))
		return false;
	switch (cx_clock_check(&entry.stamp, scan->slots, scan->slot_count))
	{
		case CX_CLOCK_VALID:
			break;
		case CX_CLOCK_PENDING:
			scan->reason = "a change is being committed";
			*may_fill = false;
			return false;
		case CX_CLOCK_CHANGED:
		case CX_CLOCK_OTHER_EPOCH:
			return false;
	}

	if (!cx_row_codec_decode(scan->codec, entry.body, entry.body_length, &scan->tuples,
							 &scan->tuple_count, &bad))
	{
		cx_redis_tier_report_bad(scan->name, bad);
		return false;
	}
	scan->created = entry.created;
	return true;
}

/* Do two snapshots see the same?  Subtransactions follow from their parents. */
static bool
same_snapshot(Snapshot one, Snapshot other)
{
	return one->xmin == other->xmin && one->xmax == other->xmax && one->xcnt == other->xcnt &&
		(one->xcnt == 0 || memcmp(one->xip, other->xip, sizeof(TransactionId) * one->xcnt) == 0);
}

/* Rule 5. */
static bool
has_written(void)
{
	return cx_dirty_any() || TransactionIdIsValid(GetTopTransactionIdIfAny());
}

static bool
plan_is_old(const cache_scan *scan)
{
	const PlannedStmt *plan = ((started_statement *)
							   scan->css.ss.ps.state->es_plannedstmt)->original;

	return cx_generation_moved(scan->generation, plan->relationOids, NIL, plan->invalItems) ||
		cx_generation_moved(scan->generation, cx_statement_relations(scan->statement),
							cx_statement_functions(scan->statement), NIL);
}

/* Rule 4, in this order: E, the clocks, then what has to be as fresh.  NULL if all is. */
static const char *
begin_fill(cache_scan *scan)
{
	CX_STOP(CX_STOP_LOOKUP_MISSED);

	if (has_written())
		return "the transaction has written";
	if (!cx_clock_begin_fill(scan->slots, scan->slot_count, &scan->stamp))
		return "a change is being committed";
	if (!same_snapshot(scan->css.ss.ps.state->es_snapshot, GetLatestSnapshot()))
		return "the snapshot is not the latest";
	CX_STOP(CX_STOP_FILL_FRESH);

	AcceptInvalidationMessages();
	if (plan_is_old(scan))
	{
		if (scan->answer)
			scan->answer->plan_is_old = true;
		return "the plan is older than a definition it uses";
	}

	scan->started = GetCurrentTimestamp();
	return NULL;
}

static void
begin_entry(cache_scan *scan)
{
	cx_entry	entry = {
		.stamp = scan->stamp,
		.created = scan->started,
		.expires = scan->started + ttl_ms(scan) * 1000,
		.key = scan->key.data,
		.key_length = scan->key.len
	};

	initStringInfo(&scan->entry);
	cx_entry_write_header(&scan->entry, &entry);
	cx_row_codec_begin(scan->codec, &scan->entry, (size_t) cx_max_entry_size * 1024);
}

/* Decides between hit, miss and bypass. */
static void
decide(cache_scan *scan)
{
	ParamListInfo params = scan->css.ss.ps.state->es_param_list_info;
	TupleDesc	desc = scan->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	bool		may_fill = true;

	scan->outcome = CX_OUTCOME_BYPASS;
	scan->reason = bypass_reason(scan);
	if (scan->reason != NULL)
		return;

	initStringInfo(&scan->key);
	if (!cx_statement_key(scan->statement, params, &scan->key, &scan->reason))
		return;
	if (!list_slots(scan, params))
	{
		scan->reason = "the transaction has changed what the query reads";
		return;
	}
	if (!cx_statement_permitted(scan->statement))
	{
		scan->reason = "a privilege is missing";
		return;
	}
	scan->codec = cx_row_codec_create(desc, &scan->reason);
	if (scan->codec == NULL)
		return;
	scan->name = cx_redis_tier_name(scan->key.data, scan->key.len);
	cx_prepared_settle_start();

	scan->outcome = CX_OUTCOME_NOT_FILLED;
	if (!scan->request.missed && look_up(scan, &may_fill))
	{
		scan->outcome = CX_OUTCOME_HIT;
		return;
	}
	if (scan->request.only_hit || !may_fill)
		return;

	scan->reason = begin_fill(scan);
	scan->filling = scan->reason == NULL;
	if (scan->filling)
		begin_entry(scan);
}

static void
count_outcome(const cache_scan *scan)
{
	switch (scan->outcome)
	{
		case CX_OUTCOME_HIT:
			cx_count(CX_COUNT_HITS);
			break;
		case CX_OUTCOME_FILLED:
			cx_count(CX_COUNT_MISSES);
			cx_count(CX_COUNT_FILLS);
			break;
		case CX_OUTCOME_NOT_FILLED:
			cx_count(CX_COUNT_MISSES);
			cx_count(CX_COUNT_FILLS_SKIPPED);
			break;
		case CX_OUTCOME_BYPASS:
			cx_count(CX_COUNT_BYPASSES);
			break;
		case CX_OUTCOME_NONE:
			break;
	}
}

/* Settles what became of the execution, for counters and the door. */
static void
settle(cache_scan *scan, cx_outcome outcome)
{
	scan->outcome = outcome;
	if (scan->answer)
		scan->answer->outcome = outcome;
	if (!(scan->request.only_hit && outcome != CX_OUTCOME_HIT))
		count_outcome(scan);	/* else the door's next plan is counted */
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	cache_scan *scan = (cache_scan *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;

	scan->statement = cx_wrap_statement(plan);
	scan->generation = cx_wrap_generation(plan);
	scan->columns = list_length(plan->custom_scan_tlist);
	scan->eflags = eflags;
	scan->answer = asked;
	asked = NULL;
	if (scan->answer)
		scan->request = *scan->answer;

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
	{
		start_plan(scan);
		return;
	}

	cx_redis_budget_start(&scan->budget);
	decide(scan);

	if (scan->outcome == CX_OUTCOME_HIT)
		scan->tuple_slot = ExecInitExtraTupleSlot(estate,
												  node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
												  &TTSOpsMinimalTuple);
	else if (!scan->request.only_hit)
		start_plan(scan);

	if (!scan->filling)
		settle(scan, scan->outcome);
}

/*
 * Running
 */

/* The plan below has come to its end: store what was collected, if it is still exact. */
static void
end_fill(cache_scan *scan)
{
	int64		ttl = ttl_ms(scan);
	bool		stored = false;

	scan->filling = false;
	CX_STOP(CX_STOP_FILL_READY);

	if (has_written())
		scan->reason = "the transaction has written";
	else
	{
		cx_row_codec_end(scan->codec);
		cx_entry_write_checksum(&scan->entry);
		ttl -= (int64) (ttl * cx_ttl_jitter * pg_prng_double(&pg_global_prng_state));
		stored = cx_redis_tier_put(scan->name, scan->entry.data, scan->entry.len, Max(ttl, 1),
								   &scan->budget);
		if (!stored)
			scan->reason = "Redis is not available";
	}
	settle(scan, stored ? CX_OUTCOME_FILLED : CX_OUTCOME_NOT_FILLED);
}

static void
abandon_fill(cache_scan *scan, const char *reason)
{
	scan->filling = false;
	scan->reason = reason;
	settle(scan, CX_OUTCOME_NOT_FILLED);
}

/* A row of the plan below without its junk columns, which come last. */
static TupleTableSlot *
without_junk(cache_scan *scan, TupleTableSlot *below)
{
	TupleTableSlot *slot = scan->css.ss.ss_ScanTupleSlot;

	if (below->tts_tupleDescriptor->natts == scan->columns)
		return below;

	slot_getsomeattrs(below, scan->columns);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, below->tts_values, sizeof(Datum) * scan->columns);
	memcpy(slot->tts_isnull, below->tts_isnull, sizeof(bool) * scan->columns);
	return ExecStoreVirtualTuple(slot);
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	cache_scan *scan = (cache_scan *) node;
	TupleTableSlot *slot;

	if (scan->outcome == CX_OUTCOME_HIT)
	{
		if (scan->next_tuple == scan->tuple_count)
			return ExecClearTuple(scan->tuple_slot);
		return ExecStoreMinimalTuple(scan->tuples[scan->next_tuple++], scan->tuple_slot, false);
	}
	if (outerPlanState(node) == NULL)
		return NULL;			/* only a hit was asked for */

	slot = ExecProcNode(outerPlanState(node));
	if (TupIsNull(slot))
	{
		if (scan->filling)
			end_fill(scan);
		return NULL;
	}
	slot = without_junk(scan, slot);
	if (scan->filling && !cx_row_codec_add(scan->codec, slot))
		abandon_fill(scan, cx_row_codec_refusal(scan->codec));
	return slot;
}

static void
rescan_scan(CustomScanState *node)
{
	cache_scan *scan = (cache_scan *) node;

	scan->next_tuple = 0;
	if (scan->filling)
		abandon_fill(scan, "the plan did not run straight to its end");
	if (outerPlanState(node) != NULL)
		ExecReScan(outerPlanState(node));
}

static void
end_scan(CustomScanState *node)
{
	if (outerPlanState(node) != NULL)
		ExecEndNode(outerPlanState(node));
}

static const char *
outcome_text(cx_outcome outcome)
{
	switch (outcome)
	{
		case CX_OUTCOME_HIT:
			return "hit";
		case CX_OUTCOME_FILLED:
			return "miss, stored";
		case CX_OUTCOME_NOT_FILLED:
			return "miss, not stored";
		case CX_OUTCOME_BYPASS:
			return "bypass";
		case CX_OUTCOME_NONE:
			break;
	}
	return "not looked up";
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	cache_scan *scan = (cache_scan *) node;
	const char *text = outcome_text(scan->outcome);

	if (scan->request.only_hit && scan->outcome == CX_OUTCOME_NOT_FILLED)
		text = "miss";			/* the door's next plan tells the rest */
	if (scan->reason != NULL)
		text = psprintf("%s: %s", text, scan->reason);
	ExplainPropertyText("Cache", text, es);
	if (scan->name != NULL && es->verbose)
		ExplainPropertyText("Cache Key", scan->name, es);
	if (scan->outcome == CX_OUTCOME_HIT)
	{
		ExplainPropertyText("Cache Tier", "redis", es);
		if (es->timing)
			ExplainPropertyInteger("Cache Age", "ms",
								   (GetCurrentTimestamp() - scan->created) / 1000, es);
	}
}

static const CustomExecMethods exec_methods = {
	.CustomName = "Cached Result",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
	.ExplainCustomScan = explain_scan
};

static Node *
create_scan_state(CustomScan *plan)
{
	cache_scan *scan = (cache_scan *) newNode(sizeof(cache_scan), T_CustomScanState);

	scan->css.methods = &exec_methods;
	return (Node *) scan;
}

const CustomScanMethods cx_scan_methods = {
	.CustomName = "Cached Result",
	.CreateCustomScanState = create_scan_state
};

void
cx_scan_init(void)
{
	RegisterCustomScanMethods(&cx_scan_methods);
	prev_ExecutorStart_hook = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
}
