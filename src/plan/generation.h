/*
 * plan/generation.h
 *		Has a plan become older than what it was made from?
 */
#ifndef CX_PLAN_GENERATION_H
#define CX_PLAN_GENERATION_H

#include "postgres.h"

#include "nodes/pg_list.h"

extern void cx_generation_init(void);

/* A number that any invalidation message this session has processed so far is below. */
extern uint64 cx_generation_now(void);

/*
 * Did a message since then concern one of these relations, functions (OIDs), or PlanInvalItems?
 * Only messages that were processed count: call AcceptInvalidationMessages() before.
 */
extern bool cx_generation_moved(uint64 since, const List *relations, const List *functions,
								const List *inval_items);

/* Moves whenever a name in a query text may mean something else than before, or to another user. */
extern uint64 cx_generation_names(void);

/* Has it moved since a number that cx_generation_now() returned? */
extern bool cx_generation_names_moved(uint64 since);

#endif
