/*
 * api/query.c
 *		SQL functions that return the rows of a query: query, query_as.
 *
 * What may be cached is the engine's business (plan/): whatever it can't serve runs as the plain
 * query, with the rows and errors that gives.  In FROM, most calls never get here: query_scan.c.
 */
#include "postgres.h"

#include "api/arguments.h"
#include "api/query.h"
#include "base/shmem.h"

#include "access/tupconvert.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

void
cx_query_read_arguments(FunctionCallInfo fcinfo, int first, cx_query_arguments *arguments)
{
	memset(arguments, 0, sizeof(*arguments));
	arguments->sql = cx_arg_text(fcinfo, first, "sql");
	if (PG_ARGISNULL(first + 1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "args"),
				 errhint("Use '{}' for a query without parameters.")));
	arguments->args = PG_GETARG_ARRAYTYPE_P(first + 1);
	arguments->request.ttl_ms = cx_arg_ttl_ms(fcinfo, first + 2);
	arguments->request.staleness_ms = cx_arg_staleness_ms(fcinfo, first + 3);
	arguments->untracked_allowed = cx_arg_untracked(fcinfo, first + 4);
}

static ReturnSetInfo *
result_info(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	if (info == NULL || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	return info;
}

Tuplestorestate *
cx_query_collect(cx_prepared_query *query, ParamListInfo params, cx_request *request,
				 MemoryContext context, bool random_access)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Tuplestorestate *rows = tuplestore_begin_heap(random_access, false, work_mem);
	DestReceiver *dest;

	MemoryContextSwitchTo(old);
	dest = CreateTuplestoreDestReceiver();
	SetTuplestoreDestReceiverParams(dest, rows, context, false, NULL, NULL);
	cx_prepared_query_run(query, params, request, dest);
	return rows;
}

/*
 * Runs the query into a tuplestore of the caller's statement.  *columns describes the rows, in that
 * statement's memory.
 */
static Tuplestorestate *
collect_rows(cx_query_arguments *arguments, ReturnSetInfo *info, TupleDesc *columns)
{
	MemoryContext result_context = info->econtext->ecxt_per_query_memory;
	cx_prepared_query *query;
	Tuplestorestate *rows;
	MemoryContext old;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	query = cx_prepared_query_get(arguments->sql, arguments->untracked_allowed);
	rows = cx_query_collect(query, cx_prepared_query_params(query, arguments->args),
							&arguments->request, result_context,
							(info->allowedModes & SFRM_Materialize_Random) != 0);
	old = MemoryContextSwitchTo(result_context);
	*columns = cx_prepared_query_columns(query);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return rows;
}

static Datum
return_rows(ReturnSetInfo *info, Tuplestorestate *rows, TupleDesc columns)
{
	info->returnMode = SFRM_Materialize;
	info->setResult = rows;
	info->setDesc = columns;
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(cache_ext_query);
Datum
cache_ext_query(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = result_info(fcinfo);
	cx_query_arguments arguments;
	Tuplestorestate *rows;
	TupleDesc	columns;

	cx_shmem_require();
	cx_query_read_arguments(fcinfo, 0, &arguments);
	rows = collect_rows(&arguments, info, &columns);
	return return_rows(info, rows, columns);
}

TupleDesc
cx_query_columns_of_type(Oid type)
{
	TupleDesc	columns = lookup_rowtype_tupdesc_domain(type, -1, true);
	TupleDesc	copy;

	if (columns != NULL)
	{
		copy = CreateTupleDescCopy(columns);
		ReleaseTupleDesc(columns);
		return copy;
	}
	copy = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(copy, 1, "query_as", type, -1, 0);
	return copy;
}

PG_FUNCTION_INFO_V1(cache_ext_query_as);
Datum
cache_ext_query_as(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = result_info(fcinfo);
	MemoryContext old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	TupleDesc	wanted;
	cx_query_arguments arguments;
	Tuplestorestate *rows;
	Tuplestorestate *converted;
	TupleDesc	columns;
	TupleConversionMap *map;
	TupleTableSlot *in;

	cx_shmem_require();
	wanted = cx_query_columns_of_type(get_fn_expr_argtype(fcinfo->flinfo, 0));
	MemoryContextSwitchTo(old);
	cx_query_read_arguments(fcinfo, 1, &arguments);
	rows = collect_rows(&arguments, info, &columns);

	map = convert_tuples_by_position(columns, wanted,
									 gettext_noop("the query's columns are not those of the row type"));
	if (map == NULL)
		return return_rows(info, rows, wanted);

	/* the row type has dropped columns */
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	converted = tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false,
									  work_mem);
	MemoryContextSwitchTo(old);
	in = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, in))
	{
		HeapTuple	tuple = execute_attr_map_tuple(ExecFetchSlotHeapTuple(in, false, NULL), map);

		CHECK_FOR_INTERRUPTS();
		tuplestore_puttuple(converted, tuple);
		heap_freetuple(tuple);
	}
	ExecDropSingleTupleTableSlot(in);
	tuplestore_end(rows);
	return return_rows(info, converted, wanted);
}
