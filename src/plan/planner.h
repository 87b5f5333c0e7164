/*
 * plan/planner.h
 *		Which statements are planned to be answered from the cache.
 */
#ifndef CX_PLAN_PLANNER_H
#define CX_PLAN_PLANNER_H

#include "postgres.h"

#include "nodes/params.h"
#include "nodes/plannodes.h"

/*
 * Private bits of cursorOptions.  They reach the planner hook on every replanning of a prepared
 * statement, and nested statements don't inherit them.  PostgreSQL's own bits end at 0x0800.
 */
#define CX_CURSOR_OPT_CACHE 0x01000000		/* wrap the plan if the statement may be cached */
#define CX_CURSOR_OPT_UNTRACKED 0x02000000	/* a TTL is enough for tables that aren't tracked */

extern void cx_planner_init(void);

/*
 * Plans the query of a plan that has nothing below its cache scan, because its entry is gone.  missed as
 * in the plan's options.  In CurrentMemoryContext.
 */
extern PlannedStmt *cx_planner_plan_after_all(const PlannedStmt *plan, const char *query_string,
											  ParamListInfo params,
											  uint64 missed);

#endif
