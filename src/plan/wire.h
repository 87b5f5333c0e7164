/*
 * plan/wire.h
 *		Rows of a hit as the messages that a client gets.
 */
#ifndef CX_PLAN_WIRE_H
#define CX_PLAN_WIRE_H

#include "postgres.h"

#include "executor/execdesc.h"
#include "plan/execution.h"

/*
 * Sends all rows of a hit to the client as DataRow messages, past the receiver, and counts them for the
 * executor; false if they can't go that way, because they have another destination, or not all of them
 * are wanted, or top is not the top of what is run.  The first time it makes the messages by the
 * columns' output functions, row by row as the receiver would, and leaves them with the entry; afterwards
 * it only copies them.  slot: of the entry's columns, to work with.
 */
extern bool cx_wire_send(cx_execution *execution, PlanState *top, TupleTableSlot *slot);

#endif
