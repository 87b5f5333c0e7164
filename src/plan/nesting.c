/*
 * plan/nesting.c
 *		Is this a client's own statement, or one that another runs?
 *
 * Statements inside functions are not cached behind their back: a STABLE function sees the snapshot
 * of the statement around it, and a result from the cache may be newer.
 *
 * Invariant: depth counts what is under way in this session: executor runs, utility commands that
 * are no mere wrapping of a statement, planning, executor starts.  It is lowered on errors too.
 *
 * Memory, locks: none.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/stop_point.h"
#include "plan/nesting.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "tcop/utility.h"
#include "utils/fmgrprotos.h"

static int	depth = 0;
static int	explain_depth = 0;
static bool locked_table = false;

/* the innermost run of an executor, and the most rows it may return (0: all) */
static const QueryDesc *running = NULL;
static uint64 running_count = 0;

static ExecutorRun_hook_type prev_ExecutorRun_hook = NULL;
static ExecutorFinish_hook_type prev_ExecutorFinish_hook = NULL;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

/* Deferred triggers run in no executor and no command. */
bool
cx_nesting_outermost(void)
{
#ifdef CX_STOP_POINTS
	if (cx_stop_outermost)
		return true;
#endif
	return depth == 0 && DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) == 0;
}

bool
cx_nesting_explained(void)
{
	return explain_depth > 0;
}

void
cx_nesting_enter(void)
{
	depth++;
}

void
cx_nesting_leave(void)
{
	depth--;
}

bool
cx_nesting_locked_table(void)
{
	return locked_table;
}

const QueryDesc *
cx_nesting_full_run(const PlanState *top)
{
	if (running == NULL || running->planstate != top || running_count != 0)
		return NULL;
	return running;
}

static void
run_executor(CX_EXECUTOR_RUN_PARAMETERS)
{
	const QueryDesc *volatile outer = running;
	volatile uint64 outer_count = running_count;

	depth++;
	running = query_desc;
	running_count = count;
	PG_TRY();
	{
		if (prev_ExecutorRun_hook)
			prev_ExecutorRun_hook(CX_EXECUTOR_RUN_ARGUMENTS);
		else
			standard_ExecutorRun(CX_EXECUTOR_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		running = outer;
		running_count = outer_count;
		depth--;
	}
	PG_END_TRY();
}

static void
finish_executor(QueryDesc *query_desc)
{
	depth++;
	PG_TRY();
	{
		if (prev_ExecutorFinish_hook)
			prev_ExecutorFinish_hook(query_desc);
		else
			standard_ExecutorFinish(query_desc);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

/* Commands that run the one statement they hold and nothing else. */
static bool
is_wrapping(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_ExplainStmt:
		case T_ExecuteStmt:
		case T_CreateTableAsStmt:
		case T_FetchStmt:
		case T_PrepareStmt:
			return true;
		case T_CopyStmt:
			/* COPY FROM calls triggers and functions by itself */
			return ((const CopyStmt *) statement)->query != NULL;
		default:
			return false;
	}
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	volatile bool wrapping = is_wrapping(pstmt->utilityStmt);
	volatile bool explain = IsA(pstmt->utilityStmt, ExplainStmt);

	if (IsA(pstmt->utilityStmt, LockStmt))
		locked_table = true;

	depth += !wrapping;
	explain_depth += explain;
	PG_TRY();
	{
		if (prev_ProcessUtility_hook)
			prev_ProcessUtility_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv,
									 dest, qc);
		else
			standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv,
									dest, qc);
	}
	PG_FINALLY();
	{
		depth -= !wrapping;
		explain_depth -= explain;
	}
	PG_END_TRY();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		locked_table = false;
}

void
cx_nesting_init(void)
{
	prev_ExecutorRun_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_executor;
	prev_ExecutorFinish_hook = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_executor;
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(at_transaction_end, NULL);
}
