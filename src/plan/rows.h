/*
 * plan/rows.h
 *		Where in the rows of a hit an execution is.  For plan/ only.
 */
#ifndef CX_PLAN_ROWS_H
#define CX_PLAN_ROWS_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "plan/execution.h"

typedef struct cx_rows
{
	uint64		next;			/* number of the row */
	const char *tuple;			/* it, where rows lie one after another */
} cx_rows;

static inline void
cx_rows_rewind(cx_rows *rows, const cx_execution *execution)
{
	rows->next = 0;
	rows->tuple = execution->body;
}

/* The next row in a slot for minimal tuples, or an empty slot. */
static inline TupleTableSlot *
cx_rows_next(cx_rows *rows, const cx_execution *execution, TupleTableSlot *slot)
{
	MinimalTuple tuple;

	if (rows->next == execution->row_count)
		return ExecClearTuple(slot);
	if (execution->tuples != NULL)
		tuple = execution->tuples[rows->next];
	else
	{
		tuple = (MinimalTuple) unconstify(char *, rows->tuple);
		rows->tuple += MAXALIGN(tuple->t_len);
	}
	rows->next++;
	return ExecStoreMinimalTuple(tuple, slot, false);
}

/*
 * Copies the rows to the execution's own memory and lets their entry go.  No slot may hold one of
 * them.
 */
static inline void
cx_rows_keep(cx_rows *rows, cx_execution *execution)
{
	size_t		done = rows->tuple - execution->body;
	char	   *copy;

	if (execution->pin == NULL)
		return;
	copy = MemoryContextAllocHuge(execution->context, Max(execution->body_length, 1));
	memcpy(copy, execution->body, execution->body_length);
	cx_local_release(execution->pin);
	execution->pin = NULL;
	execution->body = copy;
	rows->tuple = copy + done;
}

#endif
