/*
 * test/protocol/local_state.c
 *		What the preloaded library's local tier holds, for SQL.
 */
#include "postgres.h"

#include "core/local.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(local_state);

/* local_state(): used, entries, pins, evictions */
Datum
local_state(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	cx_local_state state;
	Datum		values[4];
	bool		nulls[4] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "not a row");
	cx_local_read_state(&state);
	values[0] = Int64GetDatum(state.used);
	values[1] = Int64GetDatum(state.entries);
	values[2] = Int64GetDatum(state.pins);
	values[3] = Int64GetDatum(state.evictions);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

PG_FUNCTION_INFO_V1(local_clear);

Datum
local_clear(PG_FUNCTION_ARGS)
{
	cx_local_clear();
	PG_RETURN_VOID();
}
