/*
 * plan/nesting.c
 *		Is this a client's own statement, or one that another runs?
 *
 * Statements inside functions are not cached behind their back: a STABLE function sees the snapshot
 * of the statement around it, and a result from the cache may be newer.
 *
 * Invariants:
 *
 *	1. depth counts what is under way in this session: executor runs, utility commands that are no
 *	   mere wrapping of a statement, planning, executor starts.  It is lowered on errors too.
 *	2. Where functions run at depth 0 nevertheless (the arguments of EXECUTE, event triggers), their
 *	   statements have texts of their own, and so are not the one that the client sent.
 *
 * Memory, locks: none.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/stop_point.h"
#include "plan/nesting.h"

#include "access/xact.h"
#include "commands/prepare.h"
#include "executor/executor.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/fmgrprotos.h"

static int	depth = 0;
static int	explain_depth = 0;
static bool locked_table = false;

/* the statement that a command at depth 0 wraps */
typedef struct wrapped_statement
{
	bool		exists;
	const char *text;			/* that it is part of, which only its address tells; or NULL */
	const PlannedStmt *command;	/* where the text is the command's; else NULL */
} wrapped_statement;

static wrapped_statement wrapped = {0};

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
cx_nesting_is_sent(const char *text)
{
#ifdef CX_STOP_POINTS
	if (cx_stop_outermost)
		return true;
#endif
	return text != NULL && text == (wrapped.exists ? wrapped.text : debug_query_string);
}

void
cx_nesting_find_place(const Query *query, int *location, int *length)
{
	bool		in_command = depth == 0 && wrapped.command != NULL;

	*location = in_command ? wrapped.command->stmt_location : query->stmt_location;
	*length = in_command ? wrapped.command->stmt_len : query->stmt_len;
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

/* The EXECUTE in a command, or NULL. */
static const ExecuteStmt *
find_execute(const Node *command)
{
	while (command != NULL && !IsA(command, ExecuteStmt))
	{
		const Node *inner = NULL;

		if (IsA(command, ExplainStmt))
			inner = ((const ExplainStmt *) command)->query;
		else if (IsA(command, CreateTableAsStmt))
			inner = ((const CreateTableAsStmt *) command)->query;
		command = inner != NULL && IsA(inner, Query) ? ((const Query *) inner)->utilityStmt : NULL;
	}
	return (const ExecuteStmt *) command;
}

static wrapped_statement
find_wrapped(const PlannedStmt *command, const char *text)
{
	const ExecuteStmt *execute = find_execute(command->utilityStmt);
	wrapped_statement found = {.exists = true, .text = text, .command = command};
	PreparedStatement *prepared;

	if (execute != NULL)
	{
		prepared = FetchPreparedStatement(execute->name, false);
		found.text = prepared ? prepared->plansource->query_string : NULL;
		found.command = NULL;
	}
	return found;
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	volatile bool wrapping = is_wrapping(pstmt->utilityStmt);
	volatile bool explain = IsA(pstmt->utilityStmt, ExplainStmt);
	wrapped_statement outer = wrapped;

	if (IsA(pstmt->utilityStmt, LockStmt))
		locked_table = true;

	if (wrapping && depth == 0)
		wrapped = find_wrapped(pstmt, queryString);
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
		wrapped = outer;
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
