/*
 * api/warm.c
 *		SQL functions that fill the cache ahead: warm, warm_from.
 */
#include "postgres.h"

#include "api/prepared_query.h"
#include "base/shmem.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Runs the query once; true if its result is cached afterwards. */
static bool
warm_one(cx_prepared_query *query, int count, const Datum *texts, const bool *nulls)
{
	cx_request	request = {0};

	cx_prepared_query_run(query, cx_prepared_query_params_from(query, count, texts, nulls),
						  &request, None_Receiver);
	return request.outcome == CX_OUTCOME_HIT || request.outcome == CX_OUTCOME_FILLED;
}

PG_FUNCTION_INFO_V1(cache_ext_warm);
Datum
cache_ext_warm(PG_FUNCTION_ARGS)
{
	ArrayType  *args = PG_GETARG_ARRAYTYPE_P(1);
	int64		cached = 0;
	cx_prepared_query *query;
	Datum	   *texts;
	bool	   *nulls;
	int			total;
	int			calls = 1;
	int			count;

	cx_shmem_require();
	if (ARR_NDIM(args) != 0 && ARR_NDIM(args) != 2)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arguments must be a two-dimensional array"),
				 errhint("Each row holds the arguments of one call, as in '{{1,a},{2,b}}'.")));
	deconstruct_array(args, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &total);
	if (ARR_NDIM(args) == 2)
		calls = ARR_DIMS(args)[0];
	count = total / calls;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	query = cx_prepared_query_get(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	for (int i = 0; i < calls; i++)
	{
		CHECK_FOR_INTERRUPTS();
		cached += warm_one(query, count, texts + i * count, nulls + i * count);
	}
	SPI_finish();
	PG_RETURN_INT64(cached);
}

PG_FUNCTION_INFO_V1(cache_ext_warm_from);
Datum
cache_ext_warm_from(PG_FUNCTION_ARGS)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *args_sql = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int64		cached = 0;
	cx_prepared_query *query;
	SPITupleTable *rows;
	uint64		row_count;
	int			count;
	Datum	   *texts;
	bool	   *nulls;
	MemoryContext call_context;

	cx_shmem_require();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(args_sql, false, 0) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query for the arguments must be a SELECT")));
	rows = SPI_tuptable;
	row_count = SPI_processed;
	count = rows->tupdesc->natts;
	texts = palloc(sizeof(Datum) * Max(count, 1));
	nulls = palloc(sizeof(bool) * Max(count, 1));

	query = cx_prepared_query_get(sql, false);
	call_context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext warm",
										 ALLOCSET_SMALL_SIZES);
	for (uint64 i = 0; i < row_count; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(call_context);

		CHECK_FOR_INTERRUPTS();
		for (int column = 0; column < count; column++)
		{
			char	   *value = SPI_getvalue(rows->vals[i], rows->tupdesc, column + 1);

			nulls[column] = value == NULL;
			texts[column] = value ? CStringGetTextDatum(value) : (Datum) 0;
		}
		cached += warm_one(query, count, texts, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(call_context);
	}
	SPI_finish();
	PG_RETURN_INT64(cached);
}
