/*
 * api/key_value.c
 *		SQL functions that set and get values in Redis by key, for applications: set, get, mset, mget,
 *		set_nx, and the counters of incr.
 *
 * 1. A value is a string in Redis: the MessagePack of a JSON value (query/json_codec.h).  A counter
 *	  is a hash with the one field COUNTER_FIELD, an integer in decimal digits.  That tells them apart
 *	  whatever their bytes are, and any language can read, increase and remove a counter.
 * 2. All commands have one key.  What concerns many keys is one batch of such commands, sent in one
 *	  round trip; it is not atomic.
 * 3. A NULL argument makes the result NULL and sends nothing, as STRICT does, except for a ttl, which
 *	  is none then.  Of arrays, elements that are NULL are left out.
 */
#include "postgres.h"

#include "api/application.h"
#include "api/keys.h"
#include "core/outbox.h"
#include "redis/batch.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#define COUNTER_FIELD "n"

/* A counter in Redis.  Other programs may have put something else there. */
static int64
counter_of(const cx_redis_reply *reply)
{
	char	   *end;
	int64		number;

	if (reply->type != CX_REDIS_TEXT)
		cx_application_unexpected();
	errno = 0;
	number = strtoll(reply->data, &end, 10);
	if (reply->length == 0 || errno != 0 || end != reply->data + reply->length)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the key holds a hash that is no counter")));
	return number;
}

static Jsonb *
number_json(int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	return JsonbValueToJsonb(&value);
}

static bool
is_wrong_type(const cx_redis_reply *reply)
{
	return reply->type == CX_REDIS_ERROR && strncmp(reply->data, "WRONGTYPE", 9) == 0;
}

/*
 * Sends "{verb} {name} [{field}]" for the keys that still are wanted, in one batch, and takes their
 * replies; what is of another type stays wanted.  The first error of such a key is kept in *refused.
 */
static int
get_wanted(const cx_name *names, bool *wanted, int count, const char *field, Jsonb **values,
		   cx_redis_reply *refused, cx_redis_budget *budget)
{
	cx_batch	batch;
	cx_redis_reply *replies = palloc_extended(sizeof(cx_redis_reply) * (count + 1),
											  MCXT_ALLOC_HUGE);
	int			at = 0;
	int			left = 0;

	cx_batch_init(&batch, count, 3);
	for (int i = 0; i < count; i++)
	{
		if (!wanted[i])
			continue;
		cx_batch_command(&batch, field != NULL ? "HGET" : "GET");
		cx_batch_bytes(&batch, names[i].data, names[i].length);
		if (field != NULL)
			cx_batch_word(&batch, field);
	}
	if (batch.count == 0)
		return 0;
	cx_application_call(batch.commands, batch.count, replies, CX_READS, budget);

	for (int i = 0; i < count; i++)
	{
		cx_redis_reply *reply;

		if (!wanted[i])
			continue;
		reply = &replies[at++];
		if (is_wrong_type(reply) || (field != NULL && reply->type == CX_REDIS_NIL))
		{
			if (left++ == 0 && reply->type == CX_REDIS_ERROR)
				*refused = *reply;
			continue;
		}
		cx_application_check(reply);
		if (reply->type == CX_REDIS_TEXT)
			values[i] = field != NULL ? number_json(counter_of(reply)) :
				cx_application_read_json(reply->data, reply->length);
		else if (reply->type != CX_REDIS_NIL)
			cx_application_unexpected();
		wanted[i] = false;
	}
	return left;
}

/*
 * The values of keys, NULL where there is none: one round trip, a second one for counters, and then
 * others only if a key becomes one of another type in between.
 */
static void
get_values(const cx_name *names, int count, Jsonb **values)
{
	bool	   *wanted = palloc(sizeof(bool) * (count + 1));
	cx_redis_reply refused = {CX_REDIS_NIL};
	cx_redis_budget budget;

	for (int i = 0; i < count; i++)
		wanted[i] = names[i].data != NULL;
	cx_application_start(&budget);
	for (int tries = 0; tries < 2; tries++)
	{
		if (get_wanted(names, wanted, count, NULL, values, &refused, &budget) == 0 ||
			get_wanted(names, wanted, count, COUNTER_FIELD, values, &refused, &budget) == 0)
			return;
	}
	cx_application_check(&refused);
	cx_application_unexpected();
}

PG_FUNCTION_INFO_V1(cache_ext_get);
Datum
cache_ext_get(PG_FUNCTION_ARGS)
{
	cx_name		name = cx_keys_argument(fcinfo, 0);
	Jsonb	   *value = NULL;

	get_values(&name, 1, &value);
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value);
}

PG_FUNCTION_INFO_V1(cache_ext_mget);
Datum
cache_ext_mget(PG_FUNCTION_ARGS)
{
	ArrayType  *keys = PG_GETARG_ARRAYTYPE_P(0);
	int			count;
	cx_name    *names = cx_keys_names(keys, &count);
	Jsonb	  **values = palloc0(sizeof(Jsonb *) * (count + 1));
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum	   *texts;
	bool	   *nulls;

	get_values(names, count, values);
	InitMaterializedSRF(fcinfo, 0);
	(void) cx_keys_elements(keys, TEXTOID, &texts, &nulls);
	for (int i = 0; i < count; i++)
	{
		Datum		row[2] = {texts[i], PointerGetDatum(values[i])};
		bool		row_nulls[2] = {nulls[i], values[i] == NULL};

		tuplestore_putvalues(result->setResult, result->setDesc, row, row_nulls);
	}
	return (Datum) 0;
}

static void
put_set(cx_batch *batch, const cx_name *name, const char *value, int length, int64 ttl_ms)
{
	cx_batch_command(batch, "SET");
	cx_batch_bytes(batch, name->data, name->length);
	cx_batch_bytes(batch, value, length);
	if (ttl_ms != 0)
	{
		cx_batch_word(batch, "PX");
		cx_batch_integer(batch, ttl_ms);
	}
}

PG_FUNCTION_INFO_V1(cache_ext_set);
Datum
cache_ext_set(PG_FUNCTION_ARGS)
{
	cx_name		name;
	StringInfoData value;
	int64		ttl_ms;
	cx_batch	batch;
	cx_redis_reply reply;
	cx_redis_budget budget;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	name = cx_keys_argument(fcinfo, 0);
	ttl_ms = cx_keys_ttl(fcinfo, 2);
	initStringInfo(&value);
	(void) cx_application_write_json(PG_GETARG_JSONB_P(1), &value);

	if (PG_GETARG_BOOL(3))
	{
		cx_application_require();
		PreventCommandDuringRecovery("cache_ext.set() at commit");
		cx_outbox_set(name.data, name.length, value.data, value.len, ttl_ms);
		PG_RETURN_BOOL(true);
	}
	cx_application_start(&budget);
	cx_batch_init(&batch, 1, 5);
	put_set(&batch, &name, value.data, value.len, ttl_ms);
	cx_application_call(batch.commands, batch.count, &reply, CX_REPEATABLE, &budget);
	cx_application_check_text(&reply);
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(cache_ext_set_nx);
Datum
cache_ext_set_nx(PG_FUNCTION_ARGS)
{
	cx_name		name;
	StringInfoData value;
	int64		ttl_ms;
	cx_batch	batch;
	cx_redis_reply reply;
	cx_redis_budget budget;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	name = cx_keys_argument(fcinfo, 0);
	ttl_ms = cx_keys_ttl(fcinfo, 2);
	initStringInfo(&value);
	(void) cx_application_write_json(PG_GETARG_JSONB_P(1), &value);

	cx_application_start(&budget);
	cx_batch_init(&batch, 1, 6);
	put_set(&batch, &name, value.data, value.len, ttl_ms);
	cx_batch_word(&batch, "NX");
	/* sent twice, it would find its own value */
	cx_application_call(batch.commands, batch.count, &reply, CX_ONCE, &budget);
	if (reply.type == CX_REDIS_NIL)
		PG_RETURN_BOOL(false);
	cx_application_check_text(&reply);
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(cache_ext_mset);
Datum
cache_ext_mset(PG_FUNCTION_ARGS)
{
	int			count;
	cx_name    *names;
	Datum	   *values;
	bool	   *nulls;
	int		   *starts;
	int64		ttl_ms;
	StringInfoData bytes;
	cx_batch	batch;
	cx_redis_reply *replies;
	cx_redis_budget budget;
	cx_keys_progress so_far = {"keys were set", 0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	names = cx_keys_names(PG_GETARG_ARRAYTYPE_P(0), &count);
	if (cx_keys_elements(PG_GETARG_ARRAYTYPE_P(1), JSONBOID, &values, &nulls) != count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arguments \"keys\" and \"vals\" must have the same number of elements")));
	ttl_ms = cx_keys_ttl(fcinfo, 2);

	cx_application_start(&budget);
	initStringInfo(&bytes);
	starts = palloc(sizeof(int) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		starts[i] = bytes.len;
		if (names[i].data != NULL && !nulls[i])
			(void) cx_application_write_json(DatumGetJsonbP(values[i]), &bytes);
	}
	starts[count] = bytes.len;

	cx_batch_init(&batch, count, 5);
	for (int i = 0; i < count; i++)
		if (names[i].data != NULL && !nulls[i])
			put_set(&batch, &names[i], bytes.data + starts[i], starts[i + 1] - starts[i], ttl_ms);
	if (batch.count == 0)
		PG_RETURN_INT64(0);
	replies = palloc_extended(sizeof(cx_redis_reply) * batch.count, MCXT_ALLOC_HUGE);
	cx_application_call(batch.commands, batch.count, replies, CX_REPEATABLE, &budget);

	/* behind one that was refused, others may have been set */
	for (int i = 0; i < batch.count; i++)
		so_far.done += replies[i].type == CX_REDIS_TEXT;
	cx_keys_progress_begin(&so_far);
	for (int i = 0; i < batch.count; i++)
		cx_application_check_text(&replies[i]);
	cx_keys_progress_end(&so_far);
	PG_RETURN_INT64(so_far.done);
}

/* The sum comes back as text: Lua's numbers hold integers up to 2^53 only. */
static cx_script incr_script = {
	"local new = redis.pcall('EXISTS', KEYS[1]) == 0\n"
	"local sum = redis.pcall('HINCRBY', KEYS[1], '" COUNTER_FIELD "', ARGV[1])\n"
	"if type(sum) == 'table' then return sum end\n"
	"if new and ARGV[2] ~= '0' then redis.pcall('PEXPIRE', KEYS[1], ARGV[2]) end\n"
	"return redis.pcall('HGET', KEYS[1], '" COUNTER_FIELD "')"
};

PG_FUNCTION_INFO_V1(cache_ext_incr);
Datum
cache_ext_incr(PG_FUNCTION_ARGS)
{
	cx_name		name;
	int64		ttl_ms;
	char		by[24];
	char		ttl[24];
	const char *argv[] = {by, ttl};
	size_t		argvlen[2];
	cx_redis_reply reply;
	cx_redis_budget budget;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	name = cx_keys_argument(fcinfo, 0);
	ttl_ms = cx_keys_ttl(fcinfo, 2);
	argvlen[0] = snprintf(by, sizeof(by), INT64_FORMAT, PG_GETARG_INT64(1));
	argvlen[1] = snprintf(ttl, sizeof(ttl), INT64_FORMAT, ttl_ms);

	cx_application_start(&budget);
	cx_application_script(&incr_script, &name, lengthof(argv), argv, argvlen, &reply, &budget);
	if (reply.type == CX_REDIS_ERROR && strstr(reply.data, "overflow") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the counter would be out of range")));
	cx_application_check(&reply);
	PG_RETURN_INT64(counter_of(&reply));
}

