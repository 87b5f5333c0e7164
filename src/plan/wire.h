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
 * Can the rows of this hit go to the client as DataRow messages, passing by the receiver?  Then its
 * column formats are in *formats: one a column, in CurrentMemoryContext.
 */
extern bool cx_wire_possible(const QueryDesc *query_desc, const cx_execution *execution,
							 int16 **formats);

/*
 * Sends all rows.  The first time it makes the messages by the columns' output functions, row by row as the
 * receiver would, and leaves them with the entry; afterwards it only copies them.
 */
extern void cx_wire_send(cx_execution *execution, TupleTableSlot *slot, const int16 *formats);

#endif
