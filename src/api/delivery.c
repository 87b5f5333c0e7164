/*
 * api/delivery.c
 *		SQL functions delivery and take_over: what Redis is still to be told, how the worker gets on
 *		with it, and making this server the one that tells.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "core/delivery.h"
#include "core/owner.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static Datum
interval_since(TimestampTz since)
{
	Interval   *age = palloc0(sizeof(Interval));

	age->time = Max(GetCurrentTimestamp() - since, 0);
	return IntervalPGetDatum(age);
}

PG_FUNCTION_INFO_V1(cache_ext_delivery);
Datum
cache_ext_delivery(PG_FUNCTION_ARGS)
{
	cx_delivery_status status;
	TupleDesc	desc;
	Datum		values[10];
	bool		nulls[10] = {false};

	cx_shmem_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	cx_delivery_read_status(&status);
	values[0] = CStringGetTextDatum(status.worker);
	values[1] = Int64GetDatum((int64) (status.queue.published - status.queue.delivered));
	nulls[2] = status.queue.oldest == 0;
	values[2] = nulls[2] ? (Datum) 0 : interval_since(status.queue.oldest);
	values[3] = Int64GetDatum((int64) status.queue.size);
	values[4] = Int64GetDatum((int64) status.queue.used);
	values[5] = Int32GetDatum(status.sweeps_pending);
	values[6] = Int64GetDatum((int64) status.delivered);
	values[7] = Int64GetDatum((int64) status.retried);
	values[8] = Int64GetDatum((int64) status.dropped);
	values[9] = Int64GetDatum((int64) status.generation);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

PG_FUNCTION_INFO_V1(cache_ext_take_over);
Datum
cache_ext_take_over(PG_FUNCTION_ARGS)
{
	cx_shmem_require();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("a standby owns no keys in Redis")));
	if (cx_redis_url[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no Redis to talk to"),
				 errhint("Set cache_ext.redis_url.")));
	if (cx_owner_take_over() != CX_OWNER_SELF)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not take over the keys in Redis that begin with \"%s:\"",
						cx_key_prefix),
				 errhint("The server's log has what Redis said.")));
	PG_RETURN_VOID();
}
