/*
 * plan/scan.c
 *		The cache scan: the node that emits an entry's rows, or passes on the plan's and fills.
 *
 * A CustomScan on top of a finished plan, which stays below it as its outer plan.  What it does is
 * decided when the executor starts, once for the whole execution (plan/lookup.c).
 *
 * Invariants:
 *
 *	1. On a hit nothing of the plan is initialised.  It is started here, past the executor; where that
 *	   can't be (start_hit()), the executor gets a copy of the statement without the subplans, which it
 *	   would initialise before it asks this node.
 *	2. Before the first row the settings and the user that the key tells are compared once more: a
 *	   SET may come between Bind and Execute.  If they differ, the plan runs after all and nothing
 *	   is filled.
 *	3. A portal that stops after some rows keeps no pin: it gets a copy of the rows.
 *	4. A fill that was not run to its end by the first run of the executor is given up.
 *
 * Memory: everything in the execution's own context, below es_query_cxt.  Locks: none.
 */
#include "postgres.h"

#include "base/compat.h"
#include "plan/execution.h"
#include "plan/nesting.h"
#include "plan/planner.h"
#include "plan/rows.h"
#include "plan/scan.h"
#include "plan/wire.h"
#include "plan/wrap.h"

#include "access/htup_details.h"
#include "commands/explain.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "tcop/dest.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

typedef struct cache_scan
{
	CustomScanState css;		/* must be first */

	cx_execution *execution;
	int			columns;		/* of the result; the plan below may have junk after them */
	int			runs;			/* of the executor */
	bool		emitting;		/* the first row was asked for */

	/* a hit */
	TupleTableSlot *tuple_slot;
	cx_rows		rows;

	/* what runs in place of a hit that must not be served after all, started by who started the scan */
	QueryDesc  *instead;
	Oid			user;
	int			security_context;
} cache_scan;

static cx_execution *starting = NULL;	/* between ExecutorStart and the start of its scan */
static ExecutorStart_hook_type prev_ExecutorStart_hook = NULL;
static ExecutorRun_hook_type prev_ExecutorRun_hook = NULL;

static Node *create_scan_state(CustomScan *plan);
static TupleTableSlot *exec_hit(PlanState *node);

/*
 * Starting
 */

/* From now on the execution ends with the executor's state. */
static void
own_execution(cache_scan *scan, cx_execution *execution, EState *estate)
{
	CustomScan *plan = (CustomScan *) execution->plan->planTree;

	MemoryContextSetParent(execution->context, estate->es_query_cxt);
	scan->execution = execution;
	scan->columns = list_length(plan->custom_scan_tlist);
	GetUserIdAndSecContext(&scan->user, &scan->security_context);
}

static void
start_next(QueryDesc *query_desc, int eflags)
{
	cx_nesting_enter();
	PG_TRY();
	{
		if (prev_ExecutorStart_hook)
			prev_ExecutorStart_hook(query_desc, eflags);
		else
			standard_ExecutorStart(query_desc, eflags);
	}
	PG_FINALLY();
	{
		cx_nesting_leave();
	}
	PG_END_TRY();
}

/* Starts the scan of an execution that was begun. */
static void
start_scan(QueryDesc *query_desc, int eflags, cx_execution *execution)
{
	PlannedStmt *original = query_desc->plannedstmt;
	cx_execution *outer = starting;

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 &&
		(execution->outcome == CX_OUTCOME_HIT || execution->request.only_hit))
		query_desc->plannedstmt = cx_wrap_without_subplans(original);

	starting = execution;
	PG_TRY();
	{
		start_next(query_desc, eflags);
	}
	PG_FINALLY();
	{
		starting = outer;
	}
	PG_END_TRY();

	/* EXPLAIN reads the lists */
	query_desc->plannedstmt = original;
	query_desc->estate->es_plannedstmt = original;
}

/* Of a hit nothing has to be initialised, unless somebody looks at how it runs or is asked before us. */
static bool
starts_at_once(const QueryDesc *query_desc, int eflags, const cx_execution *execution)
{
	return execution->outcome == CX_OUTCOME_HIT && prev_ExecutorStart_hook == NULL &&
		(eflags & ~EXEC_FLAG_SKIP_TRIGGERS) == 0 && query_desc->instrument_options == 0;
}

/*
 * What standard_ExecutorStart() would do for a hit and nothing more: rights are checked, and the state is
 * what the executor's other functions, EXPLAIN and those who hook them find for any plan.  The scan gets
 * one slot and no projection: to find out that it needs none takes as long as all the rest.
 */
static void
start_hit(QueryDesc *query_desc, int eflags, cx_execution *execution)
{
	PlannedStmt *plan = query_desc->plannedstmt;
	EState	   *estate = CreateExecutorState();
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	cache_scan *scan = (cache_scan *) create_scan_state(NULL);
	PlanState  *state = &scan->css.ss.ps;
	int			cursor_options;

	estate->es_param_list_info = query_desc->params;
	estate->es_sourceText = query_desc->sourceText;
	estate->es_queryEnv = query_desc->queryEnv;
	estate->es_snapshot = RegisterSnapshot(query_desc->snapshot);
	estate->es_crosscheck_snapshot = RegisterSnapshot(query_desc->crosscheck_snapshot);
	estate->es_top_eflags = eflags;
	estate->es_plannedstmt = plan;
	if ((eflags & EXEC_FLAG_SKIP_TRIGGERS) == 0)
		AfterTriggerBeginQuery();
	if (cx_wrap_query_of(plan, &cursor_options) == NULL)
		(void) cx_may_read(plan, true); /* else they were checked: lacks_rights() */
	cx_init_range_table(estate, plan);

	state->plan = plan->planTree;
	state->state = estate;
	state->ExecProcNode = exec_hit;
	state->ps_ResultTupleDesc = cx_wrap_row_type(plan);
	state->ps_ResultTupleSlot = ExecInitExtraTupleSlot(estate, state->ps_ResultTupleDesc,
													   &TTSOpsMinimalTuple);
	scan->css.ss.ss_ScanTupleSlot = state->ps_ResultTupleSlot;
	own_execution(scan, execution, estate);
	scan->tuple_slot = state->ps_ResultTupleSlot;
	cx_rows_rewind(&scan->rows, execution);
	cx_execution_settle(execution, CX_OUTCOME_HIT);

	query_desc->estate = estate;
	query_desc->planstate = state;
	query_desc->tupDesc = state->ps_ResultTupleDesc;
	MemoryContextSwitchTo(old);
}

static void
start_executor(QueryDesc *query_desc, int eflags)
{
	cx_execution *execution = NULL;

	if (cx_wrap_is_wrapped(query_desc->plannedstmt))
		execution = cx_execution_start(query_desc, eflags);
	if (execution == NULL)
		start_next(query_desc, eflags);
	else if (starts_at_once(query_desc, eflags, execution))
		start_hit(query_desc, eflags, execution);
	else
		start_scan(query_desc, eflags, execution);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	cache_scan *scan = (cache_scan *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	cx_execution *execution = starting;

	Assert(execution != NULL && execution->plan->planTree == (Plan *) plan);
	own_execution(scan, execution, estate);

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
	{
		outerPlanState(node) = ExecInitNode(outerPlan(plan), estate, eflags);
		return;
	}

	if (execution->outcome == CX_OUTCOME_HIT)
	{
		scan->tuple_slot = ExecInitExtraTupleSlot(estate,
												  node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
												  &TTSOpsMinimalTuple);
		cx_rows_rewind(&scan->rows, execution);
	}
	else if (!execution->request.only_hit)
		outerPlanState(node) = ExecInitNode(outerPlan(plan), estate, eflags);

	if (!execution->filling)
		cx_execution_settle(execution, execution->outcome);
}

/*
 * Running
 */

static cache_scan *
scan_of(const QueryDesc *query_desc)
{
	PlanState  *top = query_desc->planstate;

	if (top != NULL && IsA(top, CustomScanState) &&
		((CustomScanState *) top)->methods->BeginCustomScan == begin_scan)
		return (cache_scan *) top;
	return NULL;
}

static void
run_executor(CX_EXECUTOR_RUN_PARAMETERS)
{
	cache_scan *scan = scan_of(query_desc);

	if (scan != NULL)
	{
		cx_execution *execution = scan->execution;

		if (execution->filling && scan->runs > 0)
			cx_fill_abandon(execution, "the plan did not run straight to its end");
		if (execution->pin != NULL && count != 0 && count <= execution->row_count)
		{
			ExecClearTuple(scan->tuple_slot);
			cx_rows_keep(&scan->rows, execution);
		}
		if (count != 0)
			cx_execution_end_flight(execution);	/* it may take any time to go on */
		scan->runs++;
	}

	if (prev_ExecutorRun_hook)
		prev_ExecutorRun_hook(CX_EXECUTOR_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(CX_EXECUTOR_RUN_ARGUMENTS);
}

/*
 * A plan that was started keeps its tables open, so that its own transaction can't take them away.  A
 * hit keeps none, and the plan would find another table, without the rows of its snapshot.
 */
static void
check_storage(const cx_statement *statement)
{
	ListCell   *cell;

	foreach(cell, cx_statement_relations(statement))
	{
		Relation	relation = RelationIdGetRelation(lfirst_oid(cell));

		if (relation == NULL || cx_has_new_storage(relation))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("a table that the statement reads was rewritten, truncated or dropped after the statement was bound")));
		RelationClose(relation);
	}
}

/*
 * Runs the plan after all, in an executor of its own.  It is planned and started with the rights of the
 * user that started the scan, as it would have been without a cache; an error puts the present one back.
 */
static void
run_instead(cache_scan *scan)
{
	EState	   *estate = scan->css.ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	PlannedStmt *plan = scan->execution->plan;
	int			cursor_options;
	Oid			user;
	int			security_context;

	check_storage(scan->execution->statement);
	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(scan->user, scan->security_context);
	if (cx_wrap_query_of(plan, &cursor_options) != NULL)
		plan = cx_planner_plan_after_all(plan, estate->es_sourceText, estate->es_param_list_info,
										 0);
	if (cx_wrap_is_wrapped(plan))
		plan = cx_wrap_unwrapped(plan);
	scan->execution->outcome = CX_OUTCOME_BYPASS;
	scan->execution->reason = "settings were changed after the statement was bound";
	scan->css.ss.ss_ScanTupleSlot = ExecInitExtraTupleSlot(estate,
														   scan->css.ss.ps.ps_ResultTupleDesc,
														   &TTSOpsVirtual);
	scan->instead = CreateQueryDesc(plan, estate->es_sourceText,
									estate->es_snapshot, InvalidSnapshot, None_Receiver,
									estate->es_param_list_info, estate->es_queryEnv, 0);
	ExecutorStart(scan->instead, 0);
	SetUserIdAndSecContext(user, security_context);
	MemoryContextSwitchTo(old);
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

/* The first row is asked for: is the session still the one that the key tells of? */
static void
begin_emitting(cache_scan *scan)
{
	cx_execution *execution = scan->execution;

	scan->emitting = true;
	if ((execution->outcome != CX_OUTCOME_HIT && !execution->filling) ||
		cx_execution_same_session(execution))
		return;
	if (execution->filling)
		cx_fill_abandon(execution, "settings were changed after the statement was bound");
	else
		run_instead(scan);
}

static void
end_fill(cx_execution *execution)
{
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	cx_fill_end(execution);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_ACCUM_DIFF(execution->own, end, start);
}

/* The first row was asked for: all of them may go to the client at once. */
static TupleTableSlot *
first_row_of_hit(cache_scan *scan)
{
	if (cx_wire_send(scan->execution, &scan->css.ss.ps, scan->tuple_slot))
		scan->rows.next = scan->execution->row_count;
	return cx_rows_next(&scan->rows, scan->execution, scan->tuple_slot);
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	cache_scan *scan = (cache_scan *) node;
	cx_execution *execution = scan->execution;
	TupleTableSlot *slot;

	if (unlikely(!scan->emitting))
	{
		begin_emitting(scan);
		if (execution->outcome == CX_OUTCOME_HIT)
			return first_row_of_hit(scan);
	}
	if (execution->outcome == CX_OUTCOME_HIT)
		return cx_rows_next(&scan->rows, execution, scan->tuple_slot);

	if (outerPlanState(node) != NULL)
		slot = ExecProcNode(outerPlanState(node));
	else if (scan->instead != NULL)
		slot = ExecProcNode(scan->instead->planstate);
	else
		return NULL;			/* only a hit was asked for */

	if (TupIsNull(slot))
	{
		if (execution->filling)
			end_fill(execution);
		return NULL;
	}
	slot = without_junk(scan, slot);
	if (execution->filling)
		cx_fill_add(execution, slot);
	return slot;
}

/* The executor's way to a scan that start_hit() made. */
static TupleTableSlot *
exec_hit(PlanState *node)
{
	CHECK_FOR_INTERRUPTS();
	return exec_scan((CustomScanState *) node);
}

static void
rescan_scan(CustomScanState *node)
{
	cache_scan *scan = (cache_scan *) node;

	if (scan->execution->filling)
		cx_fill_abandon(scan->execution, "the plan did not run straight to its end");
	cx_rows_rewind(&scan->rows, scan->execution);
	if (scan->instead != NULL)
		ExecutorRewind(scan->instead);
	if (outerPlanState(node) != NULL)
		ExecReScan(outerPlanState(node));
}

static void
end_scan(CustomScanState *node)
{
	cache_scan *scan = (cache_scan *) node;

	if (scan->execution->filling)
		cx_fill_abandon(scan->execution, "the plan did not run straight to its end");
	if (scan->emitting)
		cx_execution_keep_account(scan->execution);

	if (outerPlanState(node) != NULL)
		ExecEndNode(outerPlanState(node));
	if (scan->instead != NULL)
	{
		ExecutorFinish(scan->instead);
		ExecutorEnd(scan->instead);
		FreeQueryDesc(scan->instead);
	}
	if (scan->tuple_slot != NULL)	/* EXPLAIN needs none */
		ExecClearTuple(scan->tuple_slot);
	if (scan->execution->pin != NULL)
		cx_local_release(scan->execution->pin);
	scan->execution->pin = NULL;
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
	const cx_execution *execution = ((cache_scan *) node)->execution;
	const char *text = outcome_text(execution->outcome);

	if (execution->outcome == CX_OUTCOME_NOT_FILLED &&
		(execution->request.only_hit || outerPlanState(node)->instrument == NULL))
		text = "miss";			/* what becomes of it shows in the door's next plan, or not at all */
	if (execution->reason != NULL)
		text = psprintf("%s: %s", text, execution->reason);
	ExplainPropertyText("Cache", text, es);
	if (es->verbose && execution->key.len > 0)
		ExplainPropertyText("Cache Key",
							cx_redis_tier_name(execution->key.data, execution->key.len), es);
	if (execution->outcome == CX_OUTCOME_HIT)
	{
		ExplainPropertyText("Cache Tier", execution->tier, es);
		if (es->timing)
			ExplainPropertyInteger("Cache Age", "ms",
								   (GetCurrentTimestamp() - execution->created) / 1000, es);
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
	prev_ExecutorRun_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_executor;
}
