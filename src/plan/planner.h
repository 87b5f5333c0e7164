/*
 * plan/planner.h
 *		Which statements are planned to be answered from the cache.
 */
#ifndef CX_PLAN_PLANNER_H
#define CX_PLAN_PLANNER_H

#include "postgres.h"

#include "nodes/plannodes.h"
#include "query/statement.h"

/*
 * Private bits of cursorOptions.  They reach the planner hook on every replanning of a prepared
 * statement, and nested statements don't inherit them.  PostgreSQL's own bits end at 0x0800.
 */
#define CX_CURSOR_OPT_CACHE 0x01000000		/* wrap the plan if the statement may be cached */
#define CX_CURSOR_OPT_UNTRACKED 0x02000000	/* a TTL is enough for tables that aren't tracked */

extern void cx_planner_init(void);

/*
 * Why the statement last planned with CX_CURSOR_OPT_CACHE was not wrapped; NULL if it was.  Valid
 * until the next one is planned.
 */
extern const char *cx_planner_refusal(void);

/* What was found out about a wrapped plan's statement; NULL if the plan isn't wrapped. */
extern const cx_statement *cx_planner_statement(const PlannedStmt *plan);

#endif
