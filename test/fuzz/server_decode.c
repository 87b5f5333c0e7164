/*
 * test/fuzz/server_decode.c
 *		Damaged rows against a running server: what decode.c can't reach without one.
 *
 * Receive functions of types need a backend, so this is an SQL function in a module of its own that
 * calls the codec inside the preloaded library.  It damages a query's rows, decodes them, and where
 * that succeeds makes text of every value: a value that was let in must be safe to use.  The same
 * arguments do the same.
 */
#include "postgres.h"

#include "damage.h"
#include "query/row_codec.h"

#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

/* The rows' count stands here behind the columns; what comes before is compared as bytes. */
#define ROW_COUNT_SIZE 5

static cx_row_codec *
make_codec(TupleDesc desc)
{
	const char *refused;
	cx_row_codec *codec = cx_row_codec_create(desc, &refused);

	if (codec == NULL)
		elog(ERROR, "no codec: %s", refused);
	return codec;
}

/* The body of the query's rows.  *fixed is the size of an empty one without its row count. */
static void
encode(cx_row_codec *codec, StringInfo out, int *fixed)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(SPI_tuptable->tupdesc, &TTSOpsHeapTuple);

	cx_row_codec_begin(codec, out, MaxAllocSize / 2);
	*fixed = out->len - ROW_COUNT_SIZE;
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		ExecStoreHeapTuple(SPI_tuptable->vals[row], slot, false);
		if (!cx_row_codec_add(codec, slot))
			elog(ERROR, "row not added: %s", cx_row_codec_refusal(codec));
	}
	cx_row_codec_end(codec);
	ExecDropSingleTupleTableSlot(slot);
}

static void
show(TupleTableSlot *slot, MinimalTuple tuple)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;

	ExecStoreMinimalTuple(tuple, slot, false);
	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			output;
		bool		is_varlena;

		if (slot->tts_isnull[i])
			continue;
		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid, &output, &is_varlena);
		(void) OidOutputFunctionCall(output, slot->tts_values[i]);
	}
	ExecClearTuple(slot);
}

PG_FUNCTION_INFO_V1(fuzz_decode);

/*
 * fuzz_decode(query text, runs integer, seed bigint) returns bigint
 *		Returns how many damaged bodies were still valid ones.
 */
Datum
fuzz_decode(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			runs = PG_GETARG_INT32(1);
	int			client_encoding = pg_get_client_encoding();
	int64		decoded = 0;
	pg_prng_state random;
	cx_row_codec *codec;
	StringInfoData body;
	TupleTableSlot *slot;
	MemoryContext run_context;
	int			fixed;

	pg_prng_seed(&random, PG_GETARG_INT64(2));
	SPI_connect();
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "not a SELECT");
	codec = make_codec(SPI_tuptable->tupdesc);
	initStringInfo(&body);
	encode(codec, &body, &fixed);
	slot = MakeSingleTupleTableSlot(SPI_tuptable->tupdesc, &TTSOpsMinimalTuple);
	run_context = AllocSetContextCreate(CurrentMemoryContext, "fuzz run", ALLOCSET_DEFAULT_SIZES);

	for (int run = 0; run < runs; run++)
	{
		MemoryContext context = MemoryContextSwitchTo(run_context);
		char	   *damaged = palloc(body.len);
		const char *reason = NULL;
		MinimalTuple *tuples;
		uint64		count;
		int			length;

		CHECK_FOR_INTERRUPTS();
		memcpy(damaged, body.data, body.len);
		/* the first run is whole; the columns have been compared enough after a few */
		length = run == 0 ? body.len : damage(&random, damaged, run < 100 ? 0 : fixed, body.len);
		if (cx_row_codec_decode(codec, damaged, length, &tuples, &count, &reason))
		{
			decoded++;
			for (uint64 row = 0; row < count; row++)
				show(slot, tuples[row]);
		}
		else if (run == 0 || reason == NULL)
			elog(ERROR, "not decoded: %s", reason ? reason : "no reason");
		if (pg_get_client_encoding() != client_encoding)
			elog(ERROR, "client_encoding was not put back");
		MemoryContextSwitchTo(context);
		MemoryContextReset(run_context);
	}
	SPI_finish();
	PG_RETURN_INT64(decoded);
}
