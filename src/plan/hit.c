/*
 * plan/hit.c
 *		The rows of a hit, one after another, inside a cache scan or outside.
 */
#include "postgres.h"

#include "base/compat.h"
#include "plan/execution.h"
#include "plan/hit.h"
#include "plan/rows.h"
#include "plan/wire.h"

#include "executor/executor.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

struct cx_hit
{
	cx_execution *execution;
	cx_rows		rows;
};

cx_hit *
cx_hit_find(PlannedStmt *plan, ParamListInfo params, cx_request *request)
{
	cx_request *outer;
	cx_execution *volatile execution;
	cx_hit	   *hit;

	request->only_hit = true;
	outer = cx_scan_request(request);
	PG_TRY();
	{
		execution = cx_execution_begin(plan, params, GetActiveSnapshot(), NULL, false);
	}
	PG_FINALLY();
	{
		cx_scan_withdraw(outer);
		request->only_hit = false;
	}
	PG_END_TRY();

	if (execution->outcome == CX_OUTCOME_HIT && !cx_may_read(plan, false))
		execution->outcome = CX_OUTCOME_NOT_FILLED;	/* the plan raises the error */
	cx_execution_settle(execution, execution->outcome);
	if (execution->outcome != CX_OUTCOME_HIT)
	{
		MemoryContextDelete(execution->context);
		return NULL;
	}
	hit = MemoryContextAllocZero(execution->context, sizeof(cx_hit));
	hit->execution = execution;
	cx_rows_rewind(&hit->rows, execution);
	return hit;
}

void
cx_hit_keep(cx_hit *hit)
{
	cx_rows_keep(&hit->rows, hit->execution);
}

TupleTableSlot *
cx_hit_next(cx_hit *hit, TupleTableSlot *slot)
{
	return cx_rows_next(&hit->rows, hit->execution, slot);
}

void
cx_hit_rewind(cx_hit *hit)
{
	cx_rows_rewind(&hit->rows, hit->execution);
}

bool
cx_hit_send(cx_hit *hit, PlanState *top, TupleTableSlot *slot)
{
	return cx_wire_send(hit->execution, top, slot);
}

void
cx_hit_end(cx_hit *hit)
{
	cx_execution_keep_account(hit->execution);
	MemoryContextDelete(hit->execution->context);
}
