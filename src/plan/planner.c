/*
 * plan/planner.c
 *		Which statements are planned to be answered from the cache.
 *
 * The planner hook lets PostgreSQL plan as ever and then puts one node, the cache scan
 * (plan/scan.c), on top of an eligible plan.  Everything that PostgreSQL reads off a PlannedStmt
 * (range table, permissions, dependencies, subplans, cost) stays what it was.
 *
 * The statement is analysed before planning, since the planner scribbles on the Query.  Its
 * generation is noted before that, so that nothing the analysis or the planner read can be older.
 */
#include "postgres.h"

#include "base/stop_point.h"
#include "plan/generation.h"
#include "plan/planner.h"
#include "plan/wrap.h"
#include "query/statement.h"

#include "optimizer/planner.h"

static planner_hook_type prev_planner_hook = NULL;

static PlannedStmt *
plan_as_ever(Query *query, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (prev_planner_hook)
		return prev_planner_hook(query, query_string, cursor_options, params);
	return standard_planner(query, query_string, cursor_options, params);
}

static PlannedStmt *
plan_statement(Query *query, const char *query_string, int cursor_options, ParamListInfo params)
{
	bool		untracked_allowed = (cursor_options & CX_CURSOR_OPT_UNTRACKED) != 0;
	uint64		generation;
	cx_statement *statement;
	const char *reason = NULL;
	PlannedStmt *plan;

	if ((cursor_options & CX_CURSOR_OPT_CACHE) == 0)
		return plan_as_ever(query, query_string, cursor_options, params);
	cursor_options &= ~(CX_CURSOR_OPT_CACHE | CX_CURSOR_OPT_UNTRACKED);

	generation = cx_generation_now();
	statement = cx_statement_analyze(query, untracked_allowed, &reason);
	plan = plan_as_ever(query, query_string, cursor_options, params);

	if (statement != NULL)
		cx_wrap(plan, statement, generation);
	CX_STOP(CX_STOP_PLANNED);
	return plan;
}

void
cx_planner_init(void)
{
	prev_planner_hook = planner_hook;
	planner_hook = plan_statement;
}
