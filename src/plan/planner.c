/*
 * plan/planner.c
 *		Which statements are planned to be answered from the cache.
 *
 * The planner hook lets PostgreSQL plan as ever and then puts one node, the cache scan
 * (plan/scan.c), on top of an eligible plan.  Everything that PostgreSQL reads off a PlannedStmt
 * (range table, permissions, dependencies, subplans, cost) stays what it was.
 *
 * The statement is analysed before planning, since the planner scribbles on the Query.  What tells
 * its age and its settings is noted before that (begin_planning()), so that nothing the analysis or
 * the planner read can be older.
 *
 * Where the result of a statement that was planned before is there already, nothing is planned at all
 * (plan/known.c).
 *
 * Who asks: a SQL function by a bit of cursorOptions; else the mode, for a client's own SELECTs.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/stop_point.h"
#include "plan/generation.h"
#include "plan/hint.h"
#include "plan/kept_plans.h"
#include "plan/known.h"
#include "plan/nesting.h"
#include "plan/planner.h"
#include "plan/wrap.h"
#include "query/statement.h"

#include "miscadmin.h"
#include "optimizer/planner.h"
#include "utils/inval.h"

static planner_hook_type prev_planner_hook = NULL;

static PlannedStmt *
plan_as_ever(Query *query, const char *query_string, int cursor_options, ParamListInfo params)
{
	PlannedStmt *volatile plan;

	/* functions that are folded to constants may run statements */
	cx_nesting_enter();
	PG_TRY();
	{
		if (prev_planner_hook)
			plan = prev_planner_hook(query, query_string, cursor_options, params);
		else
			plan = standard_planner(query, query_string, cursor_options, params);
	}
	PG_FINALLY();
	{
		cx_nesting_leave();
	}
	PG_END_TRY();
	return plan;
}

/*
 * Could this be an ordinary statement that the mode lets be cached?  What costs least comes first.
 *
 * Without FROM, tables are read by subqueries: SELECT EXISTS (SELECT ...), SELECT ARRAY(SELECT ...).
 *
 * Cursors are left alone (WHERE CURRENT OF needs their plan as it is), and so is what runs as a
 * security-restricted operation: the queries of materialized views.
 */
static bool
is_candidate(const Query *query, const char *query_string, int cursor_options)
{
	return cx_mode != CX_MODE_OFF && cx_enabled &&
		query->commandType == CMD_SELECT && query->utilityStmt == NULL &&
		(query->rtable != NIL || query->hasSubLinks) &&
		query->rowMarks == NIL && !query->hasModifyingCTE &&
		(cursor_options & (CURSOR_OPT_FAST_PLAN | CURSOR_OPT_SCROLL | CURSOR_OPT_HOLD)) == 0 &&
		!InSecurityRestrictedOperation() && cx_nesting_outermost() &&
		cx_nesting_is_sent(query_string);
}

/* Does an ordinary statement ask to be cached, or need not ask? */
static bool
mode_allows(const Query *query, const char *query_string, cx_wrap_options *options)
{
	cx_hint		hint;
	int			location;
	int			length;

	cx_nesting_find_place(query, &location, &length);
	options->hinted = cx_hint_read(query_string, location, length, &hint);
	options->ttl_ms = hint.ttl_ms;
	options->staleness_ms = hint.staleness_ms;
	return options->hinted || (cx_mode == CX_MODE_AUTO && !hint.wrong);
}

static bool
is_dear_enough(double cost, const cx_wrap_options *options)
{
	return options->by_door || options->hinted || cost >= cx_min_cost;
}

/*
 * From here on the statement is analysed and planned.  PostgreSQL processes messages only when it takes a
 * lock that it doesn't hold: in an open transaction it may plan from definitions that were replaced
 * before.  The number is taken last: what was processed before it is what the plan is made from.
 */
static void
begin_planning(cx_wrap_options *options)
{
	cx_clock_begin_plan(&options->planned);
	AcceptInvalidationMessages();
	options->generation = cx_generation_now();
}

/* Planning may compute calls of functions, and the plan is to hold what a new session would get. */
static void
make_functions_ready(const cx_statement *statement, cx_wrap_options *options)
{
	const cx_tag *tags;
	cx_slot    *slots;
	int			count;

	if (!cx_statement_runs_bodies(statement) || !cx_statement_folds(statement))
		return;
	count = cx_statement_definitions(statement, &tags);
	slots = palloc(sizeof(cx_slot) * count);
	for (int i = 0; i < count; i++)
		slots[i] = cx_clock_slot(&tags[i]);
	if (!cx_kept_plans_renew(slots, count))
		options->planned.epoch = 0; /* such a plan fills nothing */
	pfree(slots);
}

/* The analysis of a query that is planned after it; NULL, with a reason, if it may not be cached. */
static cx_statement *
begin_with_analysis(Query *query, bool untracked_allowed, cx_wrap_options *options)
{
	const char *refused;
	cx_statement *statement;

	begin_planning(options);
	statement = cx_statement_analyze(query, untracked_allowed, &refused);
	if (statement != NULL)
		make_functions_ready(statement, options);
	return statement;
}

/*
 * Plans, and puts a cache scan on top unless that is more than the statement is worth.  statement, which
 * the plan keeps: the analysis of a query that may be cached, else NULL.
 */
static PlannedStmt *
plan_and_wrap(Query *query, const char *query_string, int cursor_options, ParamListInfo params,
			  cx_statement *statement, const cx_wrap_options *options)
{
	StringInfoData session = {0};
	PlannedStmt *plan;

	/* before planning, since that is when constants are folded under these settings */
	if (statement != NULL)
	{
		initStringInfo(&session);
		cx_statement_session_key(statement, &session);
	}
	plan = plan_as_ever(query, query_string, cursor_options, params);
	if (statement != NULL && is_dear_enough(plan->planTree->total_cost, options))
		cx_wrap(plan, statement, options, &session);
	CX_STOP(CX_STOP_PLANNED);
	return plan;
}

static cx_account
open_account(const cx_statement *statement, const Query *query, const char *query_string,
			 bool by_door)
{
	int			location;
	int			length;

	if (statement == NULL)
		return (cx_account) {.valid = false};
	cx_nesting_find_place(query, &location, &length);
	return cx_wrap_open_account(statement, by_door, query_string, location, length,
								query->queryId);
}

static PlannedStmt *
plan_for_door(Query *query, const char *query_string, int cursor_options, ParamListInfo params)
{
	cx_wrap_options options = {.by_door = true};
	bool		untracked_allowed = (cursor_options & CX_CURSOR_OPT_UNTRACKED) != 0;
	cx_statement *statement = begin_with_analysis(query, untracked_allowed, &options);

	options.account = open_account(statement, query, query_string, true);
	return plan_and_wrap(query, query_string,
						 cursor_options & ~(CX_CURSOR_OPT_CACHE | CX_CURSOR_OPT_UNTRACKED), params,
						 statement, &options);
}

/* A query tree that was not planned in this session, or not since its tables were altered. */
static PlannedStmt *
plan_new(Query *query, const char *query_string, int cursor_options, ParamListInfo params,
		 const StringInfoData *description, cx_wrap_options *options)
{
	cx_statement *statement = begin_with_analysis(query, false, options);
	PlannedStmt *plan;

	options->account = open_account(statement, query, query_string, false);
	plan = plan_and_wrap(query, query_string, cursor_options, params, statement, options);
	cx_known_remember(description, statement, options, plan);
	return plan;
}

/* One that was: its result may be there, and then there is nothing to plan. */
static PlannedStmt *
plan_known(cx_known *known, Query *query, const char *query_string, int cursor_options,
		   ParamListInfo params, const StringInfoData *description, cx_wrap_options *options)
{
	const cx_statement *statement = cx_known_statement(known);
	PlannedStmt *plan;

	if (statement == NULL)
		return plan_as_ever(query, query_string, cursor_options, params);

	options->account = cx_known_account(known);
	if (is_dear_enough(cx_known_cost(known), options) && !cx_nesting_explained())
	{
		if (!cx_account_is_open(options->account))
		{
			options->account = open_account(statement, query, query_string, false);
			cx_known_set_account(known, options->account);
		}
		plan = cx_known_plan(known, query, cursor_options, params != NULL, options);
		if (plan != NULL && cx_scan_foresee(plan, params, &options->missed))
			return plan;
	}
	begin_planning(options);
	if (cx_known_forget_old(known))
		return plan_new(query, query_string, cursor_options, params, description, options);

	make_functions_ready(statement, options);

	/* copied first: planning may run statements, which may push this one out */
	plan = plan_and_wrap(query, query_string, cursor_options, params,
						 copyObject(unconstify(cx_statement *, statement)), options);
	cx_known_planned_again(description, plan);
	return plan;
}

static PlannedStmt *
plan_statement(Query *query, const char *query_string, int cursor_options, ParamListInfo params)
{
	cx_wrap_options options = {0};
	StringInfoData description;
	cx_known   *known;

	cx_kept_plans_session_starts();
	if ((cursor_options & CX_CURSOR_OPT_CACHE) != 0)
		return plan_for_door(query, query_string, cursor_options, params);
	if (!cx_nesting_outermost())
		cx_kept_plans_one_is_made();
	if (!is_candidate(query, query_string, cursor_options) ||
		 !mode_allows(query, query_string, &options))
		return plan_as_ever(query, query_string, cursor_options, params);

	known = cx_known_find(query, &description);
	if (known != NULL)
		return plan_known(known, query, query_string, cursor_options, params, &description,
						  &options);
	return plan_new(query, query_string, cursor_options, params, &description, &options);
}

PlannedStmt *
cx_planner_plan_after_all(const PlannedStmt *plan, const char *query_string, ParamListInfo params,
						  uint64 missed)
{
	cx_wrap_options options = *cx_wrap_options_of(plan);
	int			cursor_options;
	Query	   *query = copyObject(cx_wrap_query_of(plan, &cursor_options));

	options.missed = missed;
	return plan_and_wrap(query, query_string, cursor_options, params,
						 begin_with_analysis(query, false, &options), &options);
}

void
cx_planner_init(void)
{
	prev_planner_hook = planner_hook;
	planner_hook = plan_statement;
}
