/*
 * api/stats.c
 *		SQL functions stats and local_memory: the counters, and how full the local tier is.
 */
#include "postgres.h"

#include "base/counters.h"
#include "base/shmem.h"
#include "core/local.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

PG_FUNCTION_INFO_V1(cache_ext_stats);
Datum
cache_ext_stats(PG_FUNCTION_ARGS)
{
	uint64		totals[CX_COUNTERS];
	Datum	   *values;
	bool	   *nulls;
	TupleDesc	desc;

	cx_shmem_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	/* by name, so that an older view of them keeps its columns */
	cx_counters_read(totals);
	values = palloc0(sizeof(Datum) * desc->natts);
	nulls = palloc(sizeof(bool) * desc->natts);
	memset(nulls, true, sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
		for (int c = 0; c < CX_COUNTERS; c++)
			if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), cx_counter_name(c)) == 0)
			{
				values[i] = Int64GetDatum((int64) totals[c]);
				nulls[i] = false;
			}
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

PG_FUNCTION_INFO_V1(cache_ext_local_memory);
Datum
cache_ext_local_memory(PG_FUNCTION_ARGS)
{
	cx_local_state state;
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};

	cx_shmem_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	cx_local_read_state(&state);
	values[0] = Int64GetDatum((int64) state.limit);
	values[1] = Int64GetDatum((int64) state.used);
	values[2] = Int64GetDatum((int64) state.entries);
	values[3] = Int64GetDatum((int64) state.pins);
	values[4] = Int64GetDatum((int64) state.evictions);
	values[5] = Int64GetDatum((int64) state.discards);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
