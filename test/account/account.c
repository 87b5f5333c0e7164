/*
 * test/account/account.c
 *		The accounts of statements, called from SQL with times that are made up.
 *
 * A module of its own with its own copy of core/account.c: preloaded after cache_ext it attaches to the
 * same table in shared memory, so that cache_ext.statements shows what it does.  That works however
 * the library hides its symbols.
 *
 * A handle is a bigint here.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "core/account.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	cx_shmem_init();
	cx_account_init();
}

static cx_account
get_handle(int64 value)
{
	return (cx_account) {(uint32) value, (uint32) (value >> 32), true};
}

PG_FUNCTION_INFO_V1(account_open);

/*
 * account_open(name text, query text, query_id bigint) returns bigint
 *		The name stands for the fingerprint.
 */
Datum
account_open(PG_FUNCTION_ARGS)
{
	const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	uint8		fingerprint[CX_ACCOUNT_NAME_LENGTH] = {0};
	TimestampTz start = GetCurrentTimestamp();
	cx_account	account;

	memcpy(fingerprint, name, Min(strlen(name), sizeof(fingerprint)));
	account = cx_account_open(fingerprint, query, strlen(query), PG_GETARG_INT64(2));
	if (!account.valid)
		elog(ERROR, "no account");

	/* what is opened next is used later, by the clock too */
	while (GetCurrentTimestamp() - start < 2)
		;
	PG_RETURN_INT64((int64) account.generation << 32 | account.index);
}

PG_FUNCTION_INFO_V1(account_is_open);
Datum
account_is_open(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cx_account_is_open(get_handle(PG_GETARG_INT64(0))));
}

PG_FUNCTION_INFO_V1(account_miss_us);
Datum
account_miss_us(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cx_account_miss_us(get_handle(PG_GETARG_INT64(0))));
}

PG_FUNCTION_INFO_V1(account_refusals);

/*
 * account_refusals(account bigint, times integer, misses boolean) returns bigint
 *		How many of that many executions are told not to ask the cache.  The others miss, or report
 *		nothing at all.
 */
Datum
account_refusals(PG_FUNCTION_ARGS)
{
	cx_account	account = get_handle(PG_GETARG_INT64(0));
	bool		misses = PG_GETARG_BOOL(2);
	int64		refusals = 0;

	for (int i = 0; i < PG_GETARG_INT32(1); i++)
	{
		if (!cx_account_pays(account))
			refusals++;
		else if (misses)
			cx_account_add_miss(account, 100, 1, true);
	}
	PG_RETURN_INT64(refusals);
}

PG_FUNCTION_INFO_V1(account_hit);

/* account_hit(account bigint, us float8, times integer) */
Datum
account_hit(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < PG_GETARG_INT32(2); i++)
		cx_account_add_hit(get_handle(PG_GETARG_INT64(0)), PG_GETARG_FLOAT8(1),
						   GetCurrentTimestamp());
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(account_miss);

/* account_miss(account bigint, us float8, own_us float8, stored boolean, times integer) */
Datum
account_miss(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < PG_GETARG_INT32(4); i++)
		cx_account_add_miss(get_handle(PG_GETARG_INT64(0)), PG_GETARG_FLOAT8(1),
							PG_GETARG_FLOAT8(2), PG_GETARG_BOOL(3));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(account_plain);

/* account_plain(account bigint, us float8, times integer) */
Datum
account_plain(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < PG_GETARG_INT32(2); i++)
		cx_account_add_plain(get_handle(PG_GETARG_INT64(0)), PG_GETARG_FLOAT8(1));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(account_run);

/*
 * account_run(account bigint, executions integer, hits integer, hit_us float8, miss_us float8,
 *			   own_us float8, plain_us float8) returns text
 *		Executions as the cache runs them: those that ask it hit hits times in 64, evenly spread, the
 *		first being a miss.  Returns how many in a row asked (+) and how many did without (-).
 */
Datum
account_run(PG_FUNCTION_ARGS)
{
	cx_account	account = get_handle(PG_GETARG_INT64(0));
	int			hits = PG_GETARG_INT32(2);
	int			lookups = 0;
	int			in_a_row = 0;
	bool		asked = false;
	StringInfoData log;

	initStringInfo(&log);
	for (int i = 0; i < PG_GETARG_INT32(1); i++)
	{
		bool		asks = cx_account_pays(account);

		if (in_a_row > 0 && asks != asked)
		{
			appendStringInfo(&log, "%c%d ", asked ? '+' : '-', in_a_row);
			in_a_row = 0;
		}
		asked = asks;
		in_a_row++;
		if (!asks)
			cx_account_add_plain(account, PG_GETARG_FLOAT8(6));
		else if ((lookups + 1) * hits / 64 > lookups * hits / 64)
			cx_account_add_hit(account, PG_GETARG_FLOAT8(3), GetCurrentTimestamp());
		else
			cx_account_add_miss(account, PG_GETARG_FLOAT8(4), PG_GETARG_FLOAT8(5), true);
		if (asks)
			lookups++;
	}
	appendStringInfo(&log, "%c%d", asked ? '+' : '-', in_a_row);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(log.data, log.len));
}
