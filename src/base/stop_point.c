/*
 * base/stop_point.c
 *		Named places where a test can hold a session.  Empty in release builds.
 *
 * A session that arrives takes a ticket (reached) and polls until that many were let go
 * (released).  Polling, because the places lie where nothing else may be done.
 */
#include "postgres.h"

#include "base/stop_point.h"

#ifdef CX_STOP_POINTS

#include "base/compat.h"
#include "base/shmem.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "replication/syncrep.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#define POLL_US 500
#define STOP_LIMIT_US 20000000	/* a test that went wrong ends nevertheless */

/* Who waits, for isolationtester.  Each process has a place and is its only writer. */
typedef struct stop_waiter
{
	volatile int pid;			/* 0: nobody */
	volatile int point;
	volatile uint32 ticket;
} stop_waiter;

typedef struct stop_state
{
	pg_atomic_uint32 reached[CX_STOP_POINTS_COUNT];
	pg_atomic_uint32 released[CX_STOP_POINTS_COUNT];
	stop_waiter waiters[FLEXIBLE_ARRAY_MEMBER]; /* by PGPROC number */
} stop_state;

static stop_state *state = NULL;
bool		cx_stop_outermost = false;
static int	stop_at = -1;
static char *stop_write = NULL;

static const struct config_enum_entry point_names[] = {
	{"none", -1, false},
	{"writer_pre_commit", CX_STOP_WRITER_PRE_COMMIT, false},
	{"writer_committing", CX_STOP_WRITER_COMMITTING, false},
	{"writer_visible", CX_STOP_WRITER_VISIBLE, false},
	{"writer_raised", CX_STOP_WRITER_RAISED, false},
	{"writer_unsent", CX_STOP_WRITER_UNSENT, false},
	{"writer_late", CX_STOP_WRITER_LATE, false},
	{"prepared_begun", CX_STOP_PREPARED_BEGUN, false},
	{"prepared_committed", CX_STOP_PREPARED_COMMITTED, false},
	{"planned", CX_STOP_PLANNED, false},
	{"lookup_missed", CX_STOP_LOOKUP_MISSED, false},
	{"fill_stamped", CX_STOP_FILL_STAMPED, false},
	{"fill_fresh", CX_STOP_FILL_FRESH, false},
	{"fill_ready", CX_STOP_FILL_READY, false},
	{"hit_between", CX_STOP_HIT_BETWEEN, false},
	{"flight_found", CX_STOP_FLIGHT_FOUND, false},
	{"flight_vacated", CX_STOP_FLIGHT_VACATED, false},
	{"outbox_reserved", CX_STOP_OUTBOX_RESERVED, false},
	{"outbox_visible", CX_STOP_OUTBOX_VISIBLE, false},
	{NULL, 0, false}
};

static Size
stop_size(void)
{
	return offsetof(stop_state, waiters) + sizeof(stop_waiter) * MaxBackends;
}

static void
stop_create(void *area)
{
	stop_state *fresh = area;

	for (int i = 0; i < CX_STOP_POINTS_COUNT; i++)
	{
		pg_atomic_init_u32(&fresh->reached[i], 0);
		pg_atomic_init_u32(&fresh->released[i], 0);
	}
	memset(fresh->waiters, 0, sizeof(stop_waiter) * MaxBackends);
}

static void
stop_attach(void *area)
{
	state = area;
}

static const cx_shmem_area stop_area = {
	"cache_ext stop points", stop_size, stop_create, stop_attach
};

/*
 * As a library does that was loaded before this one, whose callback is called after this one's.
 */
static void
on_transaction_event(XactEvent event, void *arg)
{
	if ((event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) ||
		stop_write == NULL || stop_write[0] == '\0')
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(stop_write, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", stop_write);
	SPI_finish();
	PopActiveSnapshot();
}

void
cx_stop_init(void)
{
	DefineCustomEnumVariable("cache_ext.stop_at", "Place where this session waits.", NULL,
							 &stop_at, -1, point_names, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cache_ext.stop_outermost",
							 "Takes statements inside functions for a client's own.", NULL,
							 &cx_stop_outermost, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("cache_ext.stop_write", "Command to run late in PRE_COMMIT.", NULL,
							   &stop_write, "", PGC_USERSET, 0, NULL, NULL, NULL);
	RegisterXactCallback(on_transaction_event, NULL);
	cx_shmem_register(&stop_area);
}

static bool
released(int point, uint32 ticket)
{
	return pg_atomic_read_u32(&state->released[point]) >= ticket;
}

void
cx_stop_here(cx_stop_point point)
{
	stop_waiter *me;
	uint32		ticket;

	if (stop_at != (int) point || state == NULL || cx_my_proc_number() >= MaxBackends)
		return;
	me = &state->waiters[cx_my_proc_number()];
	ticket = pg_atomic_add_fetch_u32(&state->reached[point], 1);
	me->point = point;
	me->ticket = ticket;
	pg_write_barrier();
	me->pid = MyProcPid;
	for (int waited = 0; !released(point, ticket) && waited < STOP_LIMIT_US; waited += POLL_US)
		pg_usleep(POLL_US);
	me->pid = 0;
}

static cx_stop_point
named_point(text *name)
{
	char	   *wanted = text_to_cstring(name);

	for (const struct config_enum_entry *entry = point_names; entry->name != NULL; entry++)
		if (entry->val >= 0 && strcmp(entry->name, wanted) == 0)
			return (cx_stop_point) entry->val;
	elog(ERROR, "no stop point \"%s\"", wanted);
}

/* Returns once a session waits at the point. */
PG_FUNCTION_INFO_V1(cache_ext_stop_await);
Datum
cache_ext_stop_await(PG_FUNCTION_ARGS)
{
	cx_stop_point point = named_point(PG_GETARG_TEXT_PP(0));

	while (pg_atomic_read_u32(&state->reached[point]) <=
		   pg_atomic_read_u32(&state->released[point]))
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(POLL_US);
	}
	PG_RETURN_VOID();
}

/* Lets the longest waiting session go on. */
PG_FUNCTION_INFO_V1(cache_ext_stop_release);
Datum
cache_ext_stop_release(PG_FUNCTION_ARGS)
{
	cx_stop_point point = named_point(PG_GETARG_TEXT_PP(0));

	pg_atomic_add_fetch_u32(&state->released[point], 1);
	PG_RETURN_VOID();
}

/* Lets everybody go and forgets releases that nobody took. */
PG_FUNCTION_INFO_V1(cache_ext_stop_reset);
Datum
cache_ext_stop_reset(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < CX_STOP_POINTS_COUNT; i++)
		pg_atomic_write_u32(&state->released[i], pg_atomic_read_u32(&state->reached[i]));
	PG_RETURN_VOID();
}

/* Does a session wait at the point right now? */
PG_FUNCTION_INFO_V1(cache_ext_stop_waiting);
Datum
cache_ext_stop_waiting(PG_FUNCTION_ARGS)
{
	cx_stop_point point = named_point(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(pg_atomic_read_u32(&state->reached[point]) >
				   pg_atomic_read_u32(&state->released[point]));
}

/*
 * In the place of pg_isolation_test_session_is_blocked(), which isolationtester asks whether a step
 * waits: at a stop point, or for a standby to confirm a commit, it does as well as for a lock.
 */
PG_FUNCTION_INFO_V1(cache_ext_stop_blocked);
Datum
cache_ext_stop_blocked(PG_FUNCTION_ARGS)
{
	int			pid = PG_GETARG_INT32(0);
	PGPROC	   *process = BackendPidGetProc(pid);

	if (process != NULL && process->syncRepState == SYNC_REP_WAITING)
		PG_RETURN_BOOL(true);
	for (int i = 0; i < MaxBackends; i++)
	{
		const stop_waiter *waiter = &state->waiters[i];

		if (waiter->pid == pid)
		{
			pg_read_barrier();
			if (!released(waiter->point, waiter->ticket))
				PG_RETURN_BOOL(true);
		}
	}
	return DirectFunctionCall2(pg_isolation_test_session_is_blocked, PG_GETARG_DATUM(0),
							   PG_GETARG_DATUM(1));
}

#endif
