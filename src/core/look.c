/*
 * core/look.c
 *		Which Redis answers the worker, and whose keys it has.
 *
 * One pipeline, so that what is learnt of the Redis and the mark of the owner are of one server.
 */
#include "postgres.h"

#include "core/entity.h"
#include "core/look.h"
#include "core/removal.h"

#include "miscadmin.h"

/*
 * The run_id in what INFO says.  A server that does not tell is taken for another with every
 * connection.
 */
static void
find_run_id(const cx_redis_reply *info, char run_id[CX_RUN_ID_LENGTH])
{
	const char *found = info->type == CX_REDIS_TEXT ? strstr(info->data, "run_id:") : NULL;
	char		made_up[CX_RUN_ID_LENGTH + 1] = {0};

	snprintf(made_up, sizeof(made_up), "connection " UINT64_FORMAT " of %d",
			 cx_redis_connections(), MyProcPid);
	memcpy(run_id, made_up, CX_RUN_ID_LENGTH);
	if (found != NULL && strlen(found) >= strlen("run_id:") + CX_RUN_ID_LENGTH)
		memcpy(run_id, found + strlen("run_id:"), CX_RUN_ID_LENGTH);
}

static bool
find_clock(const cx_redis_reply *time, int64 *clock_ms)
{
	if (time->type != CX_REDIS_ARRAY || time->element_count != 2 ||
		time->elements[0].type != CX_REDIS_TEXT || time->elements[1].type != CX_REDIS_TEXT)
	{
		cx_delivery_log(time->type == CX_REDIS_ERROR ? time->data : "no answer to TIME");
		return false;
	}
	*clock_ms = strtoll(time->elements[0].data, NULL, 10) * 1000 +
		strtoll(time->elements[1].data, NULL, 10) / 1000;
	return true;
}

bool
cx_look_ask(cx_look *look)
{
	const char *info[] = {"INFO", "server"};
	const char *clock[] = {"TIME"};
	const size_t info_lengths[] = {4, 6};
	const size_t clock_lengths[] = {4};
	cx_redis_command asked[] = {{2, info, info_lengths}, {1, clock, clock_lengths},
	*cx_owner_command(cx_era_begun().generation)};
	cx_redis_reply said[lengthof(asked)];
	cx_redis_budget left = cx_delivery_budget();
	const char *problem;

	if (cx_entity_call(asked, lengthof(asked), said, &left) != CX_REDIS_OK ||
		!find_clock(&said[1], &look->clock_ms))
	{
		cx_owner_unreachable();
		return false;
	}
	find_run_id(&said[0], look->run_id);
	look->verdict = cx_owner_judge(&said[2], &look->generation, &problem);
	if (look->verdict == CX_OWNER_FAILED)
	{
		cx_delivery_log(problem);
		cx_owner_unreachable();
		return false;
	}
	return true;
}
