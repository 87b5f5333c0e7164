/*
 * plan/hit.h
 *		A hit outside of a cache scan: for a door whose own node emits the rows.
 */
#ifndef CX_PLAN_HIT_H
#define CX_PLAN_HIT_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
#include "plan/scan.h"

typedef struct cx_hit cx_hit;

/*
 * Looks up the result of a wrapped plan, as the cache scan would for that request with only_hit; NULL,
 * with the request's outcome, if it is no hit or the current user may not read what the plan reads.
 * In CurrentMemoryContext; ends with it, or by cx_hit_end().  The plan must last as long.
 */
extern cx_hit *cx_hit_find(PlannedStmt *plan, ParamListInfo params, cx_request *request);

/* Keeps the rows in memory of its own instead of where others need the room. */
extern void cx_hit_keep(cx_hit *hit);

/* The next row, in a slot for minimal tuples; an empty one at the end. */
extern TupleTableSlot *cx_hit_next(cx_hit *hit, TupleTableSlot *slot);
extern void cx_hit_rewind(cx_hit *hit);

/* All rows at once to the client, if top is all that is run: see plan/wire.h. */
extern bool cx_hit_send(cx_hit *hit, PlanState *top, TupleTableSlot *slot);

extern void cx_hit_end(cx_hit *hit);

#endif
