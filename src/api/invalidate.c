/*
 * api/invalidate.c
 *		SQL functions that make cached results invalid: invalidate, invalidate_all,
 *		invalidate_query.
 */
#include "postgres.h"

#include "api/prepared_query.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "core/dirty.h"
#include "core/local.h"
#include "core/redis_tier.h"
#include "plan/peek.h"
#include "query/tracked.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(cache_ext_invalidate);
Datum
cache_ext_invalidate(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	const cx_tracked *tracked;

	cx_shmem_require();
	tracked = cx_tracked_lookup(relation);
	if (tracked == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (tracked->root != relation)
		cx_dirty_mark_definition(tracked->root);
	cx_dirty_mark_definition(relation);

	/* a commit record, whose end is later than every entry so far */
	(void) GetTopTransactionId();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_ext_invalidate_all);
Datum
cache_ext_invalidate_all(PG_FUNCTION_ARGS)
{
	cx_shmem_require();
	cx_dirty_mark_database();
	(void) GetTopTransactionId();
	PG_RETURN_VOID();
}

static bool
remove_local(const cx_peek *peek)
{
	cx_local_entry entry;
	cx_local_pin *pin = cx_local_get(peek->key.data, peek->key.len, CurrentMemoryContext, &entry);

	if (pin == NULL)
		return false;
	cx_local_drop(pin);
	cx_local_release(pin);
	return true;
}

PG_FUNCTION_INFO_V1(cache_ext_invalidate_query);
Datum
cache_ext_invalidate_query(PG_FUNCTION_ARGS)
{
	bool		removed = false;

	cx_shmem_require();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	/* with and without untracked tables are two entries */
	for (int untracked = 0; untracked <= 1; untracked++)
	{
		cx_prepared_query *query = cx_prepared_query_get(text_to_cstring(PG_GETARG_TEXT_PP(0)),
														 untracked);
		ParamListInfo params = cx_prepared_query_params(query, PG_GETARG_ARRAYTYPE_P(1));
		cx_statement *statement;
		cx_peek		peek;
		cx_redis_budget budget;

		(void) cx_prepared_query_describe(query, &statement);
		if (statement == NULL)
			continue;
		cx_peek_at(statement, params, false, &peek);
		if (peek.refused != NULL)
			continue;
		removed |= remove_local(&peek);
		if (cx_redis_url[0] == '\0')
			continue;
		cx_redis_budget_start(&budget);
		switch (cx_redis_tier_delete(peek.name, &budget))
		{
			case CX_TIER_FOUND:
				removed = true;
				break;
			case CX_TIER_ABSENT:
				break;
			case CX_TIER_UNAVAILABLE:
				ereport(ERROR,
						(errcode(ERRCODE_CONNECTION_FAILURE),
						 errmsg("could not remove the cached result: Redis is not available"),
						 errhint("Use cache_ext.invalidate() for a table, which needs no Redis.")));
		}
	}
	SPI_finish();
	PG_RETURN_BOOL(removed);
}
