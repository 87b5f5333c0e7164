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

#include "base/shmem.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define POLL_US 500

typedef struct stop_state
{
	pg_atomic_uint32 reached[CX_STOP_POINTS_COUNT];
	pg_atomic_uint32 released[CX_STOP_POINTS_COUNT];
} stop_state;

static stop_state *state = NULL;
static int	stop_at = -1;

static const struct config_enum_entry point_names[] = {
	{"none", -1, false},
	{"writer_pre_commit", CX_STOP_WRITER_PRE_COMMIT, false},
	{"writer_committing", CX_STOP_WRITER_COMMITTING, false},
	{"writer_visible", CX_STOP_WRITER_VISIBLE, false},
	{"writer_raised", CX_STOP_WRITER_RAISED, false},
	{"writer_late", CX_STOP_WRITER_LATE, false},
	{"prepared_committed", CX_STOP_PREPARED_COMMITTED, false},
	{"lookup_missed", CX_STOP_LOOKUP_MISSED, false},
	{"fill_stamped", CX_STOP_FILL_STAMPED, false},
	{"fill_ready", CX_STOP_FILL_READY, false},
	{"hit_between", CX_STOP_HIT_BETWEEN, false},
	{NULL, 0, false}
};

static Size
stop_size(void)
{
	return sizeof(stop_state);
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
}

static void
stop_attach(void *area)
{
	state = area;
}

static const cx_shmem_area stop_area = {
	"cache_ext stop points", stop_size, stop_create, stop_attach
};

void
cx_stop_init(void)
{
	DefineCustomEnumVariable("cache_ext.stop_at", "Place where this session waits.", NULL,
							 &stop_at, -1, point_names, PGC_USERSET, 0, NULL, NULL, NULL);
	cx_shmem_register(&stop_area);
}

void
cx_stop_here(cx_stop_point point)
{
	uint32		ticket;

	if (stop_at != (int) point || state == NULL)
		return;
	ticket = pg_atomic_add_fetch_u32(&state->reached[point], 1);
	while (pg_atomic_read_u32(&state->released[point]) < ticket)
		pg_usleep(POLL_US);
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

#endif
