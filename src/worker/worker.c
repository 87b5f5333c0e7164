/*
 * worker/worker.c
 *		The background worker: what must happen though no backend asks for it.
 *
 * One process a server, without a database.  Once a second, or when told to, it
 * - resolves the host name of redis_url, which backends can't do without blocking;
 * - looks after prepared transactions that nobody announced;
 * - tells Redis what was committed (core/delivery.c).
 * Nothing depends on it for exactness in between: while it is away, names stay as they were
 * resolved, what is pending stays pending, and what is to be told stays in the ring.
 */
#include "postgres.h"

#include "core/delivery.h"
#include "core/prepared.h"
#include "redis/redis.h"
#include "redis/wait.h"
#include "worker/worker.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/resowner.h"

#define SWEEP_INTERVAL_MS 1000L
#define RESTART_SECONDS 5

/* What is ready when the server shuts down is delivered if that takes no longer than this. */
#define LAST_DELIVERY_US 2000000
#define LAST_PAUSE_MS 10L

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

/* Is the worker to go on?  Sessions that are ending may still reserve or cancel what they tell. */
static bool
goes_on(void)
{
	static int64 asked_to_end = 0;

	if (!ShutdownRequestPending)
		return true;
	if (asked_to_end == 0)
		asked_to_end = cx_wait_clock();
	return cx_delivery_unfinished() &&
		cx_wait_clock() < asked_to_end + LAST_DELIVERY_US;
}

void
cx_worker_main(Datum argument)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	limit_name_lookups();
	/* what is taken outside a transaction, as a hash is, belongs to somebody nevertheless */
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "cache_ext worker");
	cx_delivery_start();

	while (goes_on())
	{
		long		resolve_ms;
		long		pause_ms = SWEEP_INTERVAL_MS;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		cx_prepared_sweep();
		resolve_ms = cx_redis_resolve();
		if (resolve_ms >= 0)
			pause_ms = Min(pause_ms, resolve_ms);
		pause_ms = Min(pause_ms, cx_delivery_round());
		if (ShutdownRequestPending)
			pause_ms = Min(pause_ms, LAST_PAUSE_MS);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	cx_delivery_end();

	/* with 0 PostgreSQL would not start it again after pg_terminate_backend() */
	proc_exit(1);
}
