/*
 * worker/worker.c
 *		The background worker: what must happen though no backend asks for it.
 *
 * One process a server, without a database.  Once a second, or when told to, it
 * - resolves the host name of redis_url, which backends can't do without blocking;
 * - looks after prepared transactions that nobody announced.
 * Nothing depends on it for exactness in between: while it is away, names stay as they were
 * resolved and what is pending stays pending.
 */
#include "postgres.h"

#include "core/prepared.h"
#include "redis/redis.h"
#include "worker/worker.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"

#define SWEEP_INTERVAL_MS 1000L
#define RESTART_SECONDS 5

void
cx_worker_init(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "cache_ext worker", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "cache_ext worker", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_library_name, "cache_ext", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "cx_worker_main", sizeof(worker.bgw_function_name));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/*
 * A fast shutdown waits for this process, and looking up a name can't be interrupted: bound it to
 * about a second a name server, unless the administrator has said otherwise.
 */
static void
limit_name_lookups(void)
{
	setenv("RES_OPTIONS", "timeout:1 attempts:1", 0);
}

void
cx_worker_main(Datum argument)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	limit_name_lookups();

	while (!ShutdownRequestPending)
	{
		long		resolve_ms;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		cx_prepared_sweep();
		resolve_ms = cx_redis_resolve();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 resolve_ms < 0 ? SWEEP_INTERVAL_MS : Min(resolve_ms, SWEEP_INTERVAL_MS),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	/* with 0 PostgreSQL would not start it again after pg_terminate_backend() */
	proc_exit(1);
}
