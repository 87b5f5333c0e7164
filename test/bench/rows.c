/*
 * test/bench/rows.c
 *		What a cache without any checks costs: rows from the backend's own memory.
 *
 * bench_rows(n) returns what SELECT * FROM dashboard ORDER BY id LIMIT n returned when this backend was
 * asked for n rows first.  It does what a C function in FROM does that has its rows at hand: it copies
 * them to a tuplestore.  (One that returns a row a call gets them copied by its caller.)
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_MODULE_MAGIC;

static HeapTuple *kept = NULL;
static int	kept_rows = -1;

static void
keep_rows(int rows)
{
	Datum		limit = Int32GetDatum(rows);
	Oid			type = INT4OID;
	MemoryContext caller;

	SPI_connect();
	if (SPI_execute_with_args("SELECT * FROM dashboard ORDER BY id LIMIT $1",
							  1, &type, &limit, NULL, true, 0) != SPI_OK_SELECT ||
		(int64) SPI_processed != rows)
		elog(ERROR, "there are no %d rows", rows);
	caller = MemoryContextSwitchTo(TopMemoryContext);
	kept = palloc(sizeof(HeapTuple) * rows);
	for (int i = 0; i < rows; i++)
		kept[i] = heap_copytuple(SPI_tuptable->vals[i]);
	MemoryContextSwitchTo(caller);
	SPI_finish();
	kept_rows = rows;
}

PG_FUNCTION_INFO_V1(bench_rows);

Datum
bench_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (kept_rows != PG_GETARG_INT32(0))
		keep_rows(PG_GETARG_INT32(0));
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < kept_rows; i++)
		tuplestore_puttuple(result->setResult, kept[i]);
	return (Datum) 0;
}
