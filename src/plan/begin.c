/*
 * plan/begin.c
 *		The beginning of an execution, and its end: what was asked for, what was looked up before, what
 *		became of it.
 *
 * A statement may be looked up before it is planned (plan/known.c).  A hit then stands for its execution,
 * found again by its plan; of a miss its execution knows, and what is left of the time to wait for Redis,
 * so that one statement asks once and waits once.
 *
 * Invariants:
 *
 *	1. What was decided before planning holds for one execution only, the next one of that plan, and
 *	   only if nothing has run in between that could make a difference.
 *	2. An execution is settled once: counted, and told to the door that asked.
 *
 * Memory: an execution is in a context of its own, below the one that was current at its beginning.
 * Locks: none.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/counters.h"
#include "base/settings.h"
#include "core/account.h"
#include "core/local.h"
#include "core/redis_tier.h"
#include "plan/execution.h"
#include "plan/planner.h"
#include "plan/scan.h"
#include "plan/wrap.h"

#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"

static cx_request *asked = NULL;
static cx_execution *foreseen = NULL;	/* a hit that was found when its statement was planned */
static struct
{
	uint64		number;			/* 0: none, or an execution has taken it */
	cx_redis_budget budget;		/* what is left of it */
}			last_miss;			/* the last look-up for a plan that was not there yet */

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
	return cx_enabled && (cx_local_available() || cx_redis_tier_available());
}

static void
count_outcome(const cx_execution *execution)
{
	switch (execution->outcome)
	{
		case CX_OUTCOME_HIT:
			cx_count(CX_COUNT_HITS);
			if (execution->pin != NULL)
				cx_count(CX_COUNT_LOCAL_HITS);
			if (execution->stale)
				cx_count(CX_COUNT_STALE_HITS);
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

void
cx_execution_settle(cx_execution *execution, cx_outcome outcome)
{
	execution->outcome = outcome;
	cx_execution_end_flight(execution);
	if (execution->answer)
	{
		execution->answer->outcome = outcome;
		execution->answer->budget = execution->budget;
	}
	if (!(execution->request.only_hit && outcome != CX_OUTCOME_HIT))
		count_outcome(execution);	/* else the door's next plan is counted */
}

void
cx_execution_keep_account(const cx_execution *execution)
{
	cx_account	account = execution->account;
	instr_time	took;
	double		us;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, execution->begun);
	us = INSTR_TIME_GET_DOUBLE(took) * 1e6;
	switch (execution->outcome)
	{
		case CX_OUTCOME_HIT:
			cx_account_add_hit(account, us, execution->looked_up);
			break;
		case CX_OUTCOME_FILLED:
		case CX_OUTCOME_NOT_FILLED:
			if (!execution->request.only_hit)
				cx_account_add_miss(account, us, INSTR_TIME_GET_DOUBLE(execution->own) * 1e6,
									execution->outcome == CX_OUTCOME_FILLED);
			break;
		case CX_OUTCOME_BYPASS:
			if (execution->reason == cx_execution_does_not_pay)
				cx_account_add_plain(account, us);
			break;
		case CX_OUTCOME_NONE:
			break;
	}
}

/*
 * Beginning
 */

/* What to give the plan that is made because there was no hit. */
static uint64
note_miss(const cx_execution *execution)
{
	static uint64 misses = 0;

	if (execution->outcome != CX_OUTCOME_NOT_FILLED)
		return 0;
	last_miss.number = ++misses;
	last_miss.budget = execution->budget;
	return last_miss.number;
}

cx_execution *
cx_execution_begin(PlannedStmt *plan, ParamListInfo params, Snapshot snapshot, const char *text,
				   bool peek)
{
	/* large enough at once for a hit's key and what points into it */
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext execution",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	cx_execution *execution = palloc0(sizeof(cx_execution));
	const cx_wrap_options *options = cx_wrap_options_of(plan);
	int			cursor_options;

	INSTR_TIME_SET_CURRENT(execution->begun);
	execution->context = context;
	execution->plan = plan;
	execution->statement = cx_wrap_statement(plan);
	execution->account = cx_wrap_account(plan, text);
	execution->snapshot = snapshot;
	execution->params = params;
	if (options->by_door)
	{
		execution->answer = asked;
		asked = NULL;
	}
	if (execution->answer)
		execution->request = *execution->answer;
	else
	{
		execution->request.ttl_ms = options->ttl_ms;
		execution->request.staleness_ms = options->staleness_ms;
		execution->request.only_hit = cx_wrap_query_of(plan, &cursor_options) != NULL;
		if (options->missed != 0 && options->missed == last_miss.number && !peek)
		{
			last_miss.number = 0;
			execution->request.missed = true;
			execution->request.budget = last_miss.budget;
		}
	}

	cx_execution_decide(execution, peek);
	if (execution->outcome != CX_OUTCOME_HIT)
	{
		INSTR_TIME_SET_CURRENT(execution->own);
		INSTR_TIME_SUBTRACT(execution->own, execution->begun);
	}
	MemoryContextSwitchTo(old);
	return execution;
}

static void
forget_foreseen(void *arg)
{
	if (foreseen == arg)
		foreseen = NULL;
}

bool
cx_scan_foresee(PlannedStmt *plan, ParamListInfo params, uint64 *missed)
{
	cx_execution *execution = cx_execution_begin(plan, params, NULL, NULL, true);
	MemoryContextCallback *callback;

	if (execution->outcome != CX_OUTCOME_HIT)
	{
		*missed = note_miss(execution);
		MemoryContextDelete(execution->context);
		return false;
	}
	callback = MemoryContextAlloc(execution->context, sizeof(MemoryContextCallback));
	callback->func = forget_foreseen;
	callback->arg = execution;
	MemoryContextRegisterResetCallback(execution->context, callback);
	foreseen = execution;
	return true;
}

/* Is this the execution that a decision was made for?  The plan cache copies plans. */
static bool
is_foreseen(const cx_execution *execution, const QueryDesc *query_desc)
{
	int			cursor_options;

	if (execution->plan == query_desc->plannedstmt)
		return true;
	return execution->params != NULL && execution->params == query_desc->params &&
		cx_wrap_query_of(query_desc->plannedstmt, &cursor_options) != NULL &&
		equal(execution->statement, cx_wrap_statement(query_desc->plannedstmt));
}

/*
 * Of several statements that rules made of one, all are planned before the first has run, which may
 * change what the next one reads.
 */
static bool
others_have_run(void)
{
	return ActivePortal != NULL && list_length(ActivePortal->stmts) > 1;
}

/*
 * A plan with nothing below names every relation of the query, to check rights and take locks; PostgreSQL
 * checks rights only of those that planning leaves, not of a WITH query that nothing refers to.  Where a
 * right is missing the query is planned after all, and the executor raises an error or doesn't.
 */
static bool
lacks_rights(const cx_execution *execution)
{
	int			cursor_options;

	return cx_wrap_query_of(execution->plan, &cursor_options) != NULL &&
		!cx_may_read(execution->plan, false);
}

/* The decision that was made when the statement was planned, if this is its execution. */
static cx_execution *
take_foreseen(const QueryDesc *query_desc, int eflags)
{
	cx_execution *execution = foreseen;

	if (execution == NULL || (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0 ||
		!is_foreseen(execution, query_desc))
		return NULL;
	foreseen = NULL;
	execution->plan = query_desc->plannedstmt;
	execution->statement = cx_wrap_statement(execution->plan);
	execution->snapshot = query_desc->snapshot;
	if (others_have_run() || lacks_rights(execution) || !cx_execution_still_hit(execution))
	{
		MemoryContextDelete(execution->context);
		return NULL;
	}
	return execution;
}

cx_execution *
cx_execution_start(QueryDesc *query_desc, int eflags)
{
	cx_execution *execution = take_foreseen(query_desc, eflags);
	bool		peek = (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0;
	int			cursor_options;
	uint64		missed;

	if (execution != NULL)
		return execution;
	execution = cx_execution_begin(query_desc->plannedstmt, query_desc->params,
								   query_desc->snapshot, query_desc->sourceText, peek);
	if (cx_wrap_query_of(query_desc->plannedstmt, &cursor_options) == NULL ||
		(execution->outcome == CX_OUTCOME_HIT && !peek && !lacks_rights(execution)))
		return execution;

	missed = note_miss(execution);
	MemoryContextDelete(execution->context);
	query_desc->plannedstmt = cx_planner_plan_after_all(query_desc->plannedstmt,
														query_desc->sourceText,
														query_desc->params, missed);
	if (!cx_wrap_is_wrapped(query_desc->plannedstmt))
		return NULL;
	return cx_execution_begin(query_desc->plannedstmt, query_desc->params, query_desc->snapshot,
							  query_desc->sourceText, peek);
}
