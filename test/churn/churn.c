/*
 * test/churn/churn.c
 *		The local tier by itself: SQL functions that call cx_local_*().
 *
 * A module of its own, with the sources of the tier and of what is below it linked in: it is
 * preloaded in the place of the extension, whose functions other libraries can't see from
 * PostgreSQL 16 on.
 */
#include "postgres.h"

#include "base/counters.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "core/clock.h"
#include "core/local.h"
#include "pattern.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	cx_settings_init();
	cx_shmem_init();
	cx_counters_init();
	cx_clock_init();
	cx_local_init();
}

/*
 * Storing
 */

static cx_slot
slot_of(Oid table)
{
	cx_tag		tag = {CX_TAG_TABLE, table, 0, 0};

	return cx_clock_slot(&tag);
}

PG_FUNCTION_INFO_V1(churn_put);

/*
 * put(key text, size bigint, version bigint, depends_on oid, expires timestamptz, lsn pg_lsn,
 *		other_epoch boolean): was there room?
 */
Datum
churn_put(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	cx_slot		slot = slot_of(PG_GETARG_OID(3));
	cx_local_entry entry;

	describe(&entry, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), PG_GETARG_INT64(1));
	entry.row_count = PG_GETARG_INT64(2);
	entry.clocks.slots = &slot;
	entry.clocks.count = 1;
	if (!cx_clock_begin_fill(&slot, 1, &entry.stamp))
		elog(ERROR, "a clock is pending");
	entry.expires = PG_GETARG_TIMESTAMPTZ(4);
	entry.stamp.lsn = PG_GETARG_LSN(5);
	if (PG_GETARG_BOOL(6))
		entry.stamp.epoch++;
	PG_RETURN_BOOL(store(&entry));
}

PG_FUNCTION_INFO_V1(churn_reserve);

/* reserve(key text, size bigint): and nothing more */
Datum
churn_reserve(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	cx_local_entry entry;
	char	   *body;

	describe(&entry, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), PG_GETARG_INT64(1));
	PG_RETURN_BOOL(cx_local_reserve(&entry, &body) != NULL);
}

PG_FUNCTION_INFO_V1(churn_touch);

/* touch(depends_on oid): as a commit does that changed it */
Datum
churn_touch(PG_FUNCTION_ARGS)
{
	cx_clock_raise(slot_of(PG_GETARG_OID(0)), GetXLogInsertRecPtr() + 1);
	PG_RETURN_VOID();
}

/*
 * Finding
 */

/* Finds the entry of the key, and verifies it. */
static cx_local_pin *
get(text *key, MemoryContext context, cx_local_entry *entry)
{
	cx_local_pin *pin = cx_local_get(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), context, entry);

	if (pin != NULL)
		verify(entry, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	return pin;
}

PG_FUNCTION_INFO_V1(churn_get);

/* get(key text): its version, or NULL */
Datum
churn_get(PG_FUNCTION_ARGS)
{
	cx_local_entry entry;
	cx_local_pin *pin = get(PG_GETARG_TEXT_PP(0), CurrentMemoryContext, &entry);

	if (pin == NULL)
		PG_RETURN_NULL();
	cx_local_release(pin);
	cx_local_release(pin);
	PG_RETURN_INT64(entry.row_count);
}

PG_FUNCTION_INFO_V1(churn_drop);

/* drop(key text): was it there? */
Datum
churn_drop(PG_FUNCTION_ARGS)
{
	cx_local_entry entry;
	cx_local_pin *pin = get(PG_GETARG_TEXT_PP(0), CurrentMemoryContext, &entry);

	if (pin == NULL)
		PG_RETURN_BOOL(false);
	cx_local_drop(pin);
	cx_local_drop(pin);
	verify(&entry, entry.key, entry.key_length);
	cx_local_release(pin);
	PG_RETURN_BOOL(true);
}

/* The pin that hold() has for the session. */
static cx_local_pin *held = NULL;
static cx_local_entry held_entry;

PG_FUNCTION_INFO_V1(churn_hold);

/* hold(key text, scope text): until the end of the statement, (sub)transaction or session */
Datum
churn_hold(PG_FUNCTION_ARGS)
{
	char	   *scope = text_to_cstring(PG_GETARG_TEXT_PP(1));
	cx_local_entry entry;
	MemoryContext context =
		strcmp(scope, "statement") == 0 ? fcinfo->flinfo->fn_mcxt :
		strcmp(scope, "transaction") == 0 ? CurTransactionContext : TopMemoryContext;
	cx_local_pin *pin = get(PG_GETARG_TEXT_PP(0), context, &entry);

	if (pin == NULL)
		elog(ERROR, "no such entry");
	if (context == TopMemoryContext)
	{
		held = pin;
		held_entry = entry;
	}
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(churn_let_go);

/* let_go(): of what is held for the session, which must be what it was */
Datum
churn_let_go(PG_FUNCTION_ARGS)
{
	verify(&held_entry, held_entry.key, held_entry.key_length);
	cx_local_release(held);
	cx_local_release(held);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(churn_add_rendering);

/* add_rendering(key text, name text, size bigint) */
Datum
churn_add_rendering(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(1);
	size_t		size = PG_GETARG_INT64(2);
	char	   *data = palloc_extended(Max(size, 1), MCXT_ALLOC_HUGE);
	cx_local_entry entry;
	cx_local_pin *pin = get(PG_GETARG_TEXT_PP(0), CurrentMemoryContext, &entry);

	if (pin == NULL)
		elog(ERROR, "no such entry");
	write_pattern(pattern_start(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), 0), data, size);
	cx_local_add_rendering(pin, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), data, size);
	cx_local_release(pin);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(churn_find_rendering);

/* find_rendering(key text, name text): its length, or NULL */
Datum
churn_find_rendering(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(1);
	cx_local_entry entry;
	cx_local_pin *pin = get(PG_GETARG_TEXT_PP(0), CurrentMemoryContext, &entry);
	const char *data;
	size_t		length;

	if (pin == NULL)
		elog(ERROR, "no such entry");
	data = cx_local_find_rendering(pin, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &length);
	if (data == NULL)
		PG_RETURN_NULL();
	if (!is_pattern(pattern_start(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), 0), data, length))
		elog(ERROR, "rendering is damaged");
	cx_local_release(pin);
	PG_RETURN_INT64(length);
}

/*
 * All entries
 */

PG_FUNCTION_INFO_V1(churn_clear);

Datum
churn_clear(PG_FUNCTION_ARGS)
{
	cx_local_clear();
	PG_RETURN_VOID();
}

static void
add_key(const cx_local_entry *entry, void *arg)
{
	StringInfo	keys = arg;

	verify(entry, entry->key, entry->key_length);
	if (keys->len > 0)
		appendStringInfoChar(keys, ',');
	appendBinaryStringInfo(keys, entry->key, (int) entry->key_length);
}

PG_FUNCTION_INFO_V1(churn_keys);

/* keys(): of all entries, in no order, between commas */
Datum
churn_keys(PG_FUNCTION_ARGS)
{
	StringInfoData keys;

	initStringInfo(&keys);
	cx_local_visit(add_key, &keys);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(keys.data, keys.len));
}

static void
fail_visit(const cx_local_entry *entry, void *arg)
{
	elog(ERROR, "visited");
}

PG_FUNCTION_INFO_V1(churn_fail_visit);

/* fail_visit(): an error at the first entry */
Datum
churn_fail_visit(PG_FUNCTION_ARGS)
{
	cx_local_visit(fail_visit, NULL);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(churn_state);

/* state(): limit, used, entries, pins, evictions, discards */
Datum
churn_state(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	cx_local_state state;
	Datum		values[6];
	bool		nulls[6] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "not a row");
	cx_local_read_state(&state);
	values[0] = Int64GetDatum(state.limit);
	values[1] = Int64GetDatum(state.used);
	values[2] = Int64GetDatum(state.entries);
	values[3] = Int64GetDatum(state.pins);
	values[4] = Int64GetDatum(state.evictions);
	values[5] = Int64GetDatum(state.discards);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

PG_FUNCTION_INFO_V1(churn_available);

Datum
churn_available(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cx_local_available());
}

PG_FUNCTION_INFO_V1(churn_fits);

/* fits(key_length bigint, body_length bigint) */
Datum
churn_fits(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cx_local_fits(PG_GETARG_INT64(0), PG_GETARG_INT64(1)));
}
