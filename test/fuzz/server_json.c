/*
 * test/fuzz/server_json.c
 *		Damaged MessagePack of JSON values against query/json_codec.c in a running server.
 *
 * The target needs jsonb and numeric, so it is an SQL function like that of server_decode.c.  Where
 * damaged bytes still are a value, its text is made, and writing it and reading that again must give
 * an equal one.  The same arguments do the same.
 */
#include "postgres.h"

#include "damage.h"
#include "query/json_codec.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

static void
use_value(Jsonb *value)
{
	StringInfoData written;
	Jsonb	   *again;

	(void) JsonbToCString(NULL, &value->root, VARSIZE(value));
	initStringInfo(&written);
	if (cx_json_write(value, &written) != CX_JSON_OK)
		elog(ERROR, "what was read could not be written");
	if (cx_json_decode(written.data, written.len, &again) != CX_JSON_OK)
		elog(ERROR, "what was written could not be read");
	if (compareJsonbContainers(&value->root, &again->root) != 0)
		elog(ERROR, "what was written was read as something else");
}

PG_FUNCTION_INFO_V1(fuzz_json);

/*
 * fuzz_json(value bytea, runs integer, seed bigint) returns bigint
 *		Returns how many of the damaged values were still valid ones.
 */
Datum
fuzz_json(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	int			length = VARSIZE_ANY_EXHDR(bytes);
	int			runs = PG_GETARG_INT32(1);
	int64		decoded = 0;
	pg_prng_state random;
	MemoryContext run_context;

	pg_prng_seed(&random, PG_GETARG_INT64(2));
	run_context = AllocSetContextCreate(CurrentMemoryContext, "fuzz run", ALLOCSET_DEFAULT_SIZES);
	for (int run = 0; run < runs; run++)
	{
		MemoryContext context = MemoryContextSwitchTo(run_context);
		char	   *damaged = palloc(Max(length, 1));
		int			left = length;
		Jsonb	   *value;

		CHECK_FOR_INTERRUPTS();
		memcpy(damaged, VARDATA_ANY(bytes), length);
		/* the first run is whole */
		if (run > 0)
			left = damage(&random, damaged, 0, length);
		/* in memory of its own, so that Valgrind and sanitizers see its end */
		if (cx_json_decode(memcpy(palloc(Max(left, 1)), damaged, left), left, &value) == CX_JSON_OK)
		{
			use_value(value);
			decoded++;
		}
		else if (run == 0)
			elog(ERROR, "not decoded");
		MemoryContextSwitchTo(context);
		MemoryContextReset(run_context);
	}
	PG_RETURN_INT64(decoded);
}

PG_FUNCTION_INFO_V1(json_bytes);

/* json_bytes(value jsonb) returns bytea: its MessagePack. */
Datum
json_bytes(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	if (cx_json_write(PG_GETARG_JSONB_P(0), &out) != CX_JSON_OK)
		elog(ERROR, "not written");
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(out.data, out.len));
}
