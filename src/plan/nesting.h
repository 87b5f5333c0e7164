/*
 * plan/nesting.h
 *		Is this a client's own statement, or one that another runs?
 */
#ifndef CX_PLAN_NESTING_H
#define CX_PLAN_NESTING_H

#include "postgres.h"

#include "executor/execdesc.h"

extern void cx_nesting_init(void);

/*
 * True for what a client sent, also where EXPLAIN, EXECUTE, COPY or CREATE TABLE AS run it; false
 * inside a function, a trigger, a DO block, the planning or the start of another statement.
 */
extern bool cx_nesting_outermost(void);

/* Is it run by EXPLAIN? */
extern bool cx_nesting_explained(void);

/* Around work that may run statements of its own.  Leave is called on error too. */
extern void cx_nesting_enter(void);
extern void cx_nesting_leave(void);

/*
 * What the innermost run of an executor is of, if its top node is this one and it is to run to its
 * end; else NULL.
 */
extern const QueryDesc *cx_nesting_full_run(const PlanState *top);

/* Did this transaction take an explicit lock on a table? */
extern bool cx_nesting_locked_table(void);

#endif
