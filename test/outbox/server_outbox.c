/*
 * test/outbox/server_outbox.c
 *		The outbox for SQL: transactions that tell Redis what they are told to.
 *
 * SQL functions in a module of its own, which call those inside the preloaded library.
 */
#include "postgres.h"

#include "base/compat.h"
#include "core/entity.h"
#include "core/outbox.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

PG_MODULE_MAGIC;

static const char *
bytes_of(FunctionCallInfo fcinfo, int argument, size_t *length)
{
	bytea	   *value;

	*length = 0;
	if (PG_ARGISNULL(argument))
		return NULL;
	value = PG_GETARG_BYTEA_PP(argument);
	*length = VARSIZE_ANY_EXHDR(value);
	return VARDATA_ANY(value);
}

static cx_outbox_target
target_of(FunctionCallInfo fcinfo, int pattern, int fence)
{
	cx_outbox_target target = {0};

	target.pattern = bytes_of(fcinfo, pattern, &target.pattern_length);
	target.fence = PG_GETARG_BOOL(fence);
	return target;
}

PG_FUNCTION_INFO_V1(outbox_entity);

/* outbox_entity(pattern, key, value bytea, command integer, fence boolean, ttl_ms bigint) */
Datum
outbox_entity(PG_FUNCTION_ARGS)
{
	cx_outbox_target target = target_of(fcinfo, 0, 4);
	size_t		key_length;
	size_t		value_length;
	const char *key = bytes_of(fcinfo, 1, &key_length);
	const char *value = bytes_of(fcinfo, 2, &value_length);

	target.ttl_ms = PG_GETARG_INT64(5);
	cx_outbox_entity(&target, key, key_length, value, value_length, PG_GETARG_INT32(3));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(outbox_sweep);

/* outbox_sweep(pattern, fence boolean) */
Datum
outbox_sweep(PG_FUNCTION_ARGS)
{
	cx_outbox_target target = target_of(fcinfo, 0, 1);

	cx_outbox_sweep(&target);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(outbox_set);

/* outbox_set(key, value bytea, ttl_ms bigint) */
Datum
outbox_set(PG_FUNCTION_ARGS)
{
	size_t		key_length;
	size_t		value_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);
	const char *value = bytes_of(fcinfo, 1, &value_length);

	cx_outbox_set(key, key_length, value, value_length, PG_GETARG_INT64(2));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(outbox_delete);

/* outbox_delete(key) */
Datum
outbox_delete(PG_FUNCTION_ARGS)
{
	size_t		key_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);

	cx_outbox_delete(key, key_length);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(outbox_unlock);

/* outbox_unlock(key, token) */
Datum
outbox_unlock(PG_FUNCTION_ARGS)
{
	size_t		key_length;
	size_t		token_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);
	const char *token = bytes_of(fcinfo, 1, &token_length);

	cx_outbox_unlock(key, key_length, token, token_length);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(entity_fill);

/* entity_fill(key, value bytea, ttl_ms bigint, lsn pg_lsn) returns text */
Datum
entity_fill(PG_FUNCTION_ARGS)
{
	static const char *const verdicts[] = {
		[CX_ENTITY_STORED] = "stored",
		[CX_ENTITY_OLDER] = "older",
		[CX_ENTITY_FAILED] = "failed"
	};
	size_t		key_length;
	size_t		value_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);
	const char *value = bytes_of(fcinfo, 1, &value_length);
	cx_redis_budget budget;

	cx_redis_budget_start(&budget);
	PG_RETURN_TEXT_P(cstring_to_text(verdicts[cx_entity_fill(key, key_length, value, value_length,
															 PG_GETARG_INT64(2), PG_GETARG_LSN(3),
															 &budget)]));
}

PG_FUNCTION_INFO_V1(entity_take_back);

/* entity_take_back(key, lsn pg_lsn) */
Datum
entity_take_back(PG_FUNCTION_ARGS)
{
	size_t		key_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);
	cx_redis_budget budget;

	cx_redis_budget_start(&budget);
	cx_entity_take_back(key, key_length, PG_GETARG_LSN(1), &budget);
	PG_RETURN_VOID();
}

/* The one reply to a command, as text. */
static Datum
answer(const cx_redis_command *command)
{
	cx_redis_budget budget;
	cx_redis_reply reply;

	cx_redis_budget_start(&budget);
	if (cx_entity_call(command, 1, &reply, &budget) != CX_REDIS_OK)
		elog(ERROR, "Redis does not answer");
	if (reply.type != CX_REDIS_INTEGER)
		elog(ERROR, "Redis said: %s", reply.data);
	return Int64GetDatum(reply.integer);
}

static cx_entity_origin
origin_of(FunctionCallInfo fcinfo, int first)
{
	cx_entity_origin origin;

	origin.era.timeline = PG_GETARG_INT32(first);
	origin.era.generation = PG_GETARG_INT64(first + 1);
	origin.lsn = PG_GETARG_LSN(first + 2);
	origin.sequence = PG_GETARG_INT64(first + 3);
	return origin;
}

PG_FUNCTION_INFO_V1(entity_set);

/*
 * entity_set(key, value bytea, timeline integer, generation bigint, lsn pg_lsn, sequence bigint,
 *		not_after bigint, ttl_ms bigint) returns bigint
 */
Datum
entity_set(PG_FUNCTION_ARGS)
{
	size_t		key_length;
	size_t		value_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);
	const char *value = bytes_of(fcinfo, 1, &value_length);
	cx_entity_origin origin = origin_of(fcinfo, 2);

	return answer(cx_entity_set(key, key_length, value, value_length, PG_GETARG_INT64(7), &origin,
								PG_GETARG_INT64(6)));
}

PG_FUNCTION_INFO_V1(entity_remove);

/*
 * entity_remove(key, all boolean, timeline integer, generation bigint, lsn pg_lsn,
 *		sequence bigint) returns bigint
 */
Datum
entity_remove(PG_FUNCTION_ARGS)
{
	size_t		key_length;
	const char *key = bytes_of(fcinfo, 0, &key_length);
	cx_entity_origin origin = origin_of(fcinfo, 2);

	return answer(cx_entity_remove(key, key_length, PG_GETARG_BOOL(1), &origin));
}

PG_FUNCTION_INFO_V1(redis_clock);

/* redis_clock() returns bigint: Redis's clock in ms as far as known here; 0: not known */
Datum
redis_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(cx_era_redis_clock());
}
