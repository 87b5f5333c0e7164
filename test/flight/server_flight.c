/*
 * test/flight/server_flight.c
 *		Single flight for SQL: a session that joins, leads and ends flights and leases as it is told.
 *
 * SQL functions in a module of its own, which call those inside the preloaded library.  The flights and
 * leases that a session leads are known here by their keys.
 */
#include "postgres.h"

#include "core/flight.h"
#include "core/lease.h"

#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

/* Leaves the list when its context goes, as what it holds does. */
typedef struct held
{
	dlist_node	node;
	char	   *key;
	cx_flight  *flight;			/* or */
	cx_lease   *lease;
	MemoryContextCallback callback;
} held;

static dlist_head all_held = DLIST_STATIC_INIT(all_held);

static const char *const roles[] = {
	[CX_FLIGHT_LEADS] = "leads",
	[CX_FLIGHT_WAITED] = "waited",
	[CX_FLIGHT_BUSY] = "busy",
	[CX_FLIGHT_ALONE] = "alone"
};

static void
let_go(void *arg)
{
	dlist_delete(&((held *) arg)->node);
}

static void
hold(const char *key, cx_flight *flight, cx_lease *lease, MemoryContext context)
{
	held	   *one = MemoryContextAlloc(context, sizeof(held));

	one->key = MemoryContextStrdup(context, key);
	one->flight = flight;
	one->lease = lease;
	one->callback.func = let_go;
	one->callback.arg = one;
	dlist_push_head(&all_held, &one->node);
	MemoryContextRegisterResetCallback(context, &one->callback);
}

static held *
find(const char *key)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all_held)
	{
		held	   *one = dlist_container(held, node, iter.cur);

		if (strcmp(one->key, key) == 0)
			return one;
	}
	elog(ERROR, "this session has no \"%s\"", key);
}

/* A context that goes with the one that is named: 'query' or 'session'. */
static MemoryContext
named_context(FunctionCallInfo fcinfo, const char *name)
{
	return AllocSetContextCreate(strcmp(name, "query") == 0 ? fcinfo->flinfo->fn_mcxt :
								 TopMemoryContext, "flight test", ALLOCSET_SMALL_SIZES);
}

PG_FUNCTION_INFO_V1(flight_join);

/*
 * flight_join(key text, wait_ms integer, lifetime text, held_off boolean) returns text
 *		held_off: with interrupts held off.
 */
Datum
flight_join(PG_FUNCTION_ARGS)
{
	char	   *key = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext context = named_context(fcinfo, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	cx_flight  *flight;
	cx_flight_role role;

	if (PG_GETARG_BOOL(3))
		HOLD_INTERRUPTS();
	role = cx_flight_join(key, strlen(key), PG_GETARG_INT32(1), context, &flight);
	if (PG_GETARG_BOOL(3))
		RESUME_INTERRUPTS();
	if ((role == CX_FLIGHT_LEADS) != (flight != NULL))
		elog(ERROR, "a flight without leading, or the other way round");
	if (role == CX_FLIGHT_LEADS)
		hold(key, flight, NULL, context);
	else
		MemoryContextDelete(context);
	PG_RETURN_TEXT_P(cstring_to_text(roles[role]));
}

PG_FUNCTION_INFO_V1(flight_end);

/* flight_end(key text) returns void: the flight's context stays. */
Datum
flight_end(PG_FUNCTION_ARGS)
{
	cx_flight_end(find(text_to_cstring(PG_GETARG_TEXT_PP(0)))->flight);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(flight_drop);

/* flight_drop(key text) returns void: the flight's context goes. */
Datum
flight_drop(PG_FUNCTION_ARGS)
{
	MemoryContextDelete(GetMemoryChunkContext(find(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(flight_state);

/* flight_state() returns text: flights under way and sessions waiting */
Datum
flight_state(PG_FUNCTION_ARGS)
{
	int			flights;
	int			waiting;

	cx_flight_read_state(&flights, &waiting);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%d %d", flights, waiting)));
}

PG_FUNCTION_INFO_V1(flight_fly);

/*
 * flight_fly(rounds integer, keys integer, seed bigint) returns bigint
 *		Joins flights of random keys, waiting for as long as can be, and leads where it can; fails if
 *		another leads the same key meanwhile.  Returns how often it led.
 */
Datum
flight_fly(PG_FUNCTION_ARGS)
{
	int64		led = 0;
	pg_prng_state random;

	pg_prng_seed(&random, PG_GETARG_INT64(2));
	for (int round = 0; round < PG_GETARG_INT32(0); round++)
	{
		int32		key = pg_prng_uint32(&random) % PG_GETARG_INT32(1);
		Datum		number = Int32GetDatum(key);
		Datum		family = Int32GetDatum(92);
		cx_flight  *flight;

		CHECK_FOR_INTERRUPTS();
		if (cx_flight_join((char *) &key, sizeof(key), INT_MAX, CurrentMemoryContext, &flight) !=
			CX_FLIGHT_LEADS)
			continue;
		led++;
		if (!DatumGetBool(DirectFunctionCall2(pg_try_advisory_lock_int4, family, number)))
			elog(ERROR, "two lead the same key");
		DirectFunctionCall2(pg_advisory_unlock_int4, family, number);
		cx_flight_end(flight);
	}
	PG_RETURN_INT64(led);
}

PG_FUNCTION_INFO_V1(lease_take);

/* lease_take(name text, wait_ms integer) returns text */
Datum
lease_take(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext context = named_context(fcinfo, "session");
	cx_redis_budget budget;
	cx_lease   *lease;
	cx_flight_role role;

	cx_redis_budget_start(&budget);
	role = cx_lease_take(name, PG_GETARG_INT32(1), &budget, context, &lease);
	if ((role == CX_FLIGHT_LEADS) != (lease != NULL))
		elog(ERROR, "a lease without leading, or the other way round");
	if (role == CX_FLIGHT_LEADS)
		hold(name, NULL, lease, context);
	else
		MemoryContextDelete(context);
	PG_RETURN_TEXT_P(cstring_to_text(roles[role]));
}

PG_FUNCTION_INFO_V1(lease_end);

/* lease_end(name text) returns void */
Datum
lease_end(PG_FUNCTION_ARGS)
{
	held	   *one = find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	cx_redis_budget budget;

	cx_redis_budget_start(&budget);
	cx_lease_end(one->lease, &budget);
	MemoryContextDelete(GetMemoryChunkContext(one));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(lease_store);

/* lease_store(name text, value text) returns void: stores the entry and ends the lease in one batch */
Datum
lease_store(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(1));
	held	   *one = find(name);
	const char *argv[] = {"SET", name, value};
	size_t		lengths[] = {3, strlen(name), strlen(value)};
	cx_redis_command commands[] = {{3, argv, lengths}, *cx_lease_release(one->lease)};
	cx_redis_reply replies[2];
	cx_redis_budget budget;

	cx_redis_budget_start(&budget);
	if (cx_redis_call(commands, 2, replies, &budget) != CX_REDIS_OK)
		elog(ERROR, "Redis does not answer");
	cx_lease_released(one->lease, &replies[1]);
	cx_lease_end(one->lease, &budget);
	MemoryContextDelete(GetMemoryChunkContext(one));
	PG_RETURN_VOID();
}
