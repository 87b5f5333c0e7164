/*
 * plan/known.h
 *		Statements that this session has planned before, by what they are.
 */
#ifndef CX_PLAN_KNOWN_H
#define CX_PLAN_KNOWN_H

#include "postgres.h"

#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "plan/wrap.h"
#include "query/statement.h"

typedef struct cx_known cx_known;

/*
 * What is known of a query as the planner gets it, if that is still so; else NULL.
 * *description, in CurrentMemoryContext, is what to remember it by.
 */
extern cx_known *cx_known_find(const Query *query, StringInfo description);

/*
 * Remembers, with the plan that was made of it (not wrapped).  statement is NULL for one that may not be
 * cached.  options tell the age of the analysis.
 */
extern void cx_known_remember(const StringInfoData *description, const cx_statement *statement,
							  const cx_wrap_options *options, const PlannedStmt *plan);

/*
 * Forgets a query of which a definition has changed since it was analysed; true if it did.  A hit needs no
 * such test (it is judged by the entry's tags), a fill does: its tags would be the old ones.
 */
extern bool cx_known_forget_old(cx_known *known);

/*
 * A query that was known, and may not be any more, was planned again: remembers the costs, which are others
 * with other parameters, and which PostgreSQL compares when it chooses between generic and custom plans.
 */
extern void cx_known_planned_again(const StringInfoData *description, const PlannedStmt *plan);

/* NULL for a statement that may not be cached.  Belongs to the known one: copy it to keep it. */
extern const cx_statement *cx_known_statement(const cx_known *known);
extern double cx_known_cost(const cx_known *known);
extern cx_account cx_known_account(const cx_known *known);
extern void cx_known_set_account(cx_known *known, cx_account account);

/*
 * A plan for the query without anything below its cache scan, which holds the query to plan it if the
 * entry should be gone.  The query is kept in the plan as it is.  options->generation is set.  NULL where
 * there can be no such plan.
 */
extern PlannedStmt *cx_known_plan(const cx_known *known, Query *query, int cursor_options,
								  bool for_parameters, cx_wrap_options *options);

#endif
