/*
 * api/keys.c
 *		SQL functions about keys in Redis, whatever they hold, for applications: del, del_pattern,
 *		exists, expire, ttl; and keys as arguments.
 *
 * All commands have one key; those of several keys are sent in one batch, which is not atomic.
 */
#include "postgres.h"

#include "api/keys.h"
#include "core/outbox.h"
#include "redis/batch.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* How many keys del_pattern asks for at once, about. */
#define SCAN_COUNT "500"

static void
tell_progress(void *arg)
{
	cx_keys_progress *progress = arg;

	errcontext("%lld %s before this", (long long) progress->done, progress->what);
}

void
cx_keys_progress_begin(cx_keys_progress *progress)
{
	progress->callback.callback = tell_progress;
	progress->callback.arg = progress;
	progress->callback.previous = error_context_stack;
	error_context_stack = &progress->callback;
}

/* After an error, PostgreSQL has done it. */
void
cx_keys_progress_end(cx_keys_progress *progress)
{
	error_context_stack = progress->callback.previous;
}

cx_name
cx_keys_argument(FunctionCallInfo fcinfo, int number)
{
	return cx_application_name(CX_KIND_VALUE, PG_GETARG_TEXT_PP(number), "key");
}

int64
cx_keys_ttl(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? 0 :
		cx_application_ttl_ms(PG_GETARG_INTERVAL_P(number), "ttl");
}

int
cx_keys_elements(ArrayType *array, Oid type, Datum **values, bool **nulls)
{
	int			count;

	deconstruct_array(array, type, -1, false, TYPALIGN_INT, values, nulls, &count);
	return count;
}

cx_name *
cx_keys_names(ArrayType *keys, int *count)
{
	Datum	   *values;
	bool	   *nulls;
	cx_name    *names;

	*count = cx_keys_elements(keys, TEXTOID, &values, &nulls);
	names = palloc0(sizeof(cx_name) * (*count + 1));
	for (int i = 0; i < *count; i++)
		if (!nulls[i])
			names[i] = cx_application_name(CX_KIND_VALUE, DatumGetTextPP(values[i]), "keys");
	return names;
}

static int64
remove_keys(const cx_name *names, int count)
{
	cx_batch	batch;
	cx_redis_reply *replies;
	cx_redis_budget budget;
	cx_keys_progress so_far = {"keys were removed", 0};

	cx_application_start(&budget);
	cx_batch_init(&batch, count, 2);
	for (int i = 0; i < count; i++)
	{
		if (names[i].data == NULL)
			continue;
		cx_batch_command(&batch, "UNLINK");
		cx_batch_bytes(&batch, names[i].data, names[i].length);
	}
	if (batch.count == 0)
		return 0;
	replies = palloc_extended(sizeof(cx_redis_reply) * batch.count, MCXT_ALLOC_HUGE);
	/* sent twice, it would not count what it removed the first time */
	cx_application_call(batch.commands, batch.count, replies, CX_ONCE, &budget);

	for (int i = 0; i < batch.count; i++)
		if (replies[i].type == CX_REDIS_INTEGER)
			so_far.done += replies[i].integer;
	cx_keys_progress_begin(&so_far);
	for (int i = 0; i < batch.count; i++)
		(void) cx_application_integer(&replies[i]);
	cx_keys_progress_end(&so_far);
	return so_far.done;
}

PG_FUNCTION_INFO_V1(cache_ext_del);
Datum
cache_ext_del(PG_FUNCTION_ARGS)
{
	int			count;
	cx_name    *names = cx_keys_names(PG_GETARG_ARRAYTYPE_P(0), &count);

	PG_RETURN_INT64(remove_keys(names, count));
}

PG_FUNCTION_INFO_V1(cache_ext_del_at_commit);
Datum
cache_ext_del_at_commit(PG_FUNCTION_ARGS)
{
	int			count;
	cx_name    *names = cx_keys_names(PG_GETARG_ARRAYTYPE_P(0), &count);
	int64		noted = 0;

	if (!PG_GETARG_BOOL(1))
		PG_RETURN_INT64(remove_keys(names, count));
	PreventCommandDuringRecovery("cache_ext.del() at commit");
	cx_application_require();
	for (int i = 0; i < count; i++)
	{
		if (names[i].data == NULL)
			continue;
		cx_outbox_delete(names[i].data, names[i].length);
		noted++;
	}
	PG_RETURN_INT64(noted);
}

/* "SCAN {cursor} MATCH {pattern} COUNT n", behind the commands that remove what the last one found. */
static void
put_scan(cx_batch *batch, const char *cursor, const cx_name *pattern)
{
	cx_batch_command(batch, "SCAN");
	cx_batch_word(batch, cursor);
	cx_batch_word(batch, "MATCH");
	cx_batch_bytes(batch, pattern->data, pattern->length);
	cx_batch_word(batch, "COUNT");
	cx_batch_word(batch, SCAN_COUNT);
}

static bool
is_scan_reply(const cx_redis_reply *reply)
{
	if (reply->type != CX_REDIS_ARRAY || reply->element_count != 2 ||
		reply->elements[0].type != CX_REDIS_TEXT || reply->elements[1].type != CX_REDIS_ARRAY)
		return false;
	for (size_t i = 0; i < reply->elements[1].element_count; i++)
		if (reply->elements[1].elements[i].type != CX_REDIS_TEXT)
			return false;
	return true;
}

/*
 * Removes what the last SCAN found and scans on, in one round trip; returns the new reply.  found is
 * NULL the first time.
 */
static cx_redis_reply *
remove_and_scan(const cx_redis_reply *found, const cx_name *pattern, cx_keys_progress *so_far)
{
	const char *cursor = found != NULL ? found->elements[0].data : "0";
	const cx_redis_reply *keys = found != NULL ? &found->elements[1] : NULL;
	int			count = keys != NULL ? (int) keys->element_count : 0;
	bool		at_end = found != NULL && strcmp(cursor, "0") == 0;
	cx_batch	batch;
	cx_redis_reply *replies;
	cx_redis_budget budget;

	cx_batch_init(&batch, count + 1, 6);
	for (int i = 0; i < count; i++)
	{
		cx_batch_command(&batch, "UNLINK");
		cx_batch_bytes(&batch, keys->elements[i].data, keys->elements[i].length);
	}
	if (!at_end)
		put_scan(&batch, cursor, pattern);
	if (batch.count == 0)
		return NULL;

	/* each step waits for redis_timeout at most, not all of them together */
	cx_application_start(&budget);
	replies = palloc_extended(sizeof(cx_redis_reply) * batch.count, MCXT_ALLOC_HUGE);
	cx_application_call(batch.commands, batch.count, replies, CX_ONCE, &budget);
	for (int i = 0; i < count; i++)
		if (replies[i].type == CX_REDIS_INTEGER)
			so_far->done += replies[i].integer;
	for (int i = 0; i < count; i++)
		(void) cx_application_integer(&replies[i]);
	if (at_end)
		return NULL;
	cx_application_check(&replies[count]);
	if (!is_scan_reply(&replies[count]))
		cx_application_unexpected();
	return &replies[count];
}

/* The user's pattern below our prefix, which matches nothing but itself. */
static cx_name
pattern_below_prefix(const text *pattern)
{
	cx_name		prefix = cx_application_prefix(CX_KIND_VALUE);
	cx_name		whole = cx_application_name(CX_KIND_VALUE, pattern, "pattern");
	StringInfoData escaped;
	cx_name		result;

	initStringInfo(&escaped);
	for (size_t i = 0; i < whole.length; i++)
	{
		if (i < prefix.length && strchr("*?[]\\^-", whole.data[i]) != NULL)
			appendStringInfoChar(&escaped, '\\');
		appendStringInfoChar(&escaped, whole.data[i]);
	}
	result.data = escaped.data;
	result.length = escaped.len;
	return result;
}

PG_FUNCTION_INFO_V1(cache_ext_del_pattern);
Datum
cache_ext_del_pattern(PG_FUNCTION_ARGS)
{
	cx_name		pattern = pattern_below_prefix(PG_GETARG_TEXT_PP(0));
	cx_redis_reply *found = NULL;
	cx_keys_progress so_far = {"keys were removed", 0};
	MemoryContext old = CurrentMemoryContext;
	MemoryContext steps[2];

	/* a step reads what the step before found */
	for (int i = 0; i < 2; i++)
		steps[i] = AllocSetContextCreate(CurrentMemoryContext, "cache_ext del_pattern",
										 ALLOCSET_DEFAULT_SIZES);
	cx_keys_progress_begin(&so_far);
	for (int i = 0;; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(steps[i % 2]);
		MemoryContextSwitchTo(steps[i % 2]);
		found = remove_and_scan(found, &pattern, &so_far);
		if (found == NULL)
			break;
	}
	cx_keys_progress_end(&so_far);
	MemoryContextSwitchTo(old);
	PG_RETURN_INT64(so_far.done);
}

/* Sends "{verb} {key} [{number}]", whose reply is an integer. */
static int64
ask_integer(const char *verb, const cx_name *name, const int64 *number, cx_effect effect)
{
	cx_batch	batch;
	cx_redis_reply reply;
	cx_redis_budget budget;

	cx_application_start(&budget);
	cx_batch_init(&batch, 1, 3);
	cx_batch_command(&batch, verb);
	cx_batch_bytes(&batch, name->data, name->length);
	if (number != NULL)
		cx_batch_integer(&batch, *number);
	cx_application_call(batch.commands, batch.count, &reply, effect, &budget);
	return cx_application_integer(&reply);
}

PG_FUNCTION_INFO_V1(cache_ext_exists);
Datum
cache_ext_exists(PG_FUNCTION_ARGS)
{
	cx_name		name = cx_keys_argument(fcinfo, 0);

	PG_RETURN_BOOL(ask_integer("EXISTS", &name, NULL, CX_READS) > 0);
}

PG_FUNCTION_INFO_V1(cache_ext_expire);
Datum
cache_ext_expire(PG_FUNCTION_ARGS)
{
	cx_name		name = cx_keys_argument(fcinfo, 0);
	int64		ttl_ms = cx_keys_ttl(fcinfo, 1);

	PG_RETURN_BOOL(ask_integer("PEXPIRE", &name, &ttl_ms, CX_REPEATABLE) > 0);
}

PG_FUNCTION_INFO_V1(cache_ext_ttl);
Datum
cache_ext_ttl(PG_FUNCTION_ARGS)
{
	cx_name		name = cx_keys_argument(fcinfo, 0);
	int64		ms = ask_integer("PTTL", &name, NULL, CX_READS);

	/* -2: no such key; -1: it does not expire */
	if (ms < 0)
		PG_RETURN_NULL();
	PG_RETURN_INTERVAL_P(cx_application_interval(ms));
}
