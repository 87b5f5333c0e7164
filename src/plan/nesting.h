/*
 * plan/nesting.h
 *		Is this a client's own statement, or one that another runs?
 */
#ifndef CX_PLAN_NESTING_H
#define CX_PLAN_NESTING_H

#include "postgres.h"

#include "executor/execdesc.h"
#include "nodes/parsenodes.h"

extern void cx_nesting_init(void);

/*
 * True for what a client sent, also where EXPLAIN, EXECUTE, COPY or CREATE TABLE AS run it; false
 * inside a function, a trigger, a DO block, the planning or the start of another statement.
 */
extern bool cx_nesting_outermost(void);

/*
 * Is this (by its address) the text that the client sent, or prepared and executes now?  It tells the
 * client's statement from those of functions that run outside of any: for the arguments of EXECUTE, as
 * event triggers.
 */
extern bool cx_nesting_is_sent(const char *text);

/*
 * Where a client's statement stands in its text: with the command around it, whose text it is part of.
 */
extern void cx_nesting_find_place(const Query *query, int *location, int *length);

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
