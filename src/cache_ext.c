/*
 * cache_ext.c
 *		What is loaded, in order.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "api/commit_net.h"
#include "api/definitions.h"
#include "api/query.h"
#include "api/row.h"
#include "base/counters.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "base/stop_point.h"
#include "core/account.h"
#include "core/clock.h"
#include "core/delivery.h"
#include "core/dirty.h"
#include "core/flight.h"
#include "core/local.h"
#include "core/outbox.h"
#include "core/prepared.h"
#include "core/redis_tier.h"
#include "plan/generation.h"
#include "plan/nesting.h"
#include "plan/planner.h"
#include "plan/scan.h"
#include "plan/wrap.h"
#include "query/statement.h"
#include "query/tracked.h"
#include "redis/redis.h"
#include "worker/worker.h"

#include "fmgr.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* without shared memory nothing can work; each SQL function says so itself */
	if (!process_shared_preload_libraries_in_progress)
		return;

	cx_settings_init();
	cx_shmem_init();
	cx_counters_init();
#ifdef CX_STOP_POINTS
	cx_stop_init();
#endif

	cx_redis_init();
	cx_tracked_init();
	cx_statement_init();

	cx_clock_init();
	cx_prepared_init();			/* after the clocks, which it raises */
	cx_outbox_init();			/* before the dirty set: called after it at commit */
	cx_delivery_init();
	cx_dirty_init();
	cx_local_init();
	cx_flight_init();
	cx_account_init();
	cx_redis_tier_init();

	cx_generation_init();
	cx_nesting_init();
	cx_wrap_init();
	cx_scan_init();
	cx_planner_init();

	cx_query_scan_init();
	cx_attachment_init();
	cx_row_init();
	cx_definitions_init();
	cx_commit_net_init();		/* after the dirty set: called before it at commit */
	cx_worker_init();
}
