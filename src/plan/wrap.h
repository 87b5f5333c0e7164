/*
 * plan/wrap.h
 *		Putting the cache scan on top of a plan.
 */
#ifndef CX_PLAN_WRAP_H
#define CX_PLAN_WRAP_H

#include "postgres.h"

#include "nodes/plannodes.h"
#include "query/statement.h"

/*
 * Puts a cache scan on top of the plan of a cacheable statement whose planning began at that
 * generation (plan/generation.h).  Leaves a plan alone that can't carry one.
 */
extern void cx_wrap(PlannedStmt *plan, cx_statement *statement, uint64 generation);

extern bool cx_wrap_is_wrapped(const PlannedStmt *plan);

/* What was given to cx_wrap(). */
extern const cx_statement *cx_wrap_statement(const CustomScan *scan);
extern uint64 cx_wrap_generation(const CustomScan *scan);

#endif
