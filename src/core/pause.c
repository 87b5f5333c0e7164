/*
 * core/pause.c
 *		Waiting between two looks at something that tells nobody when it changes.
 */
#include "postgres.h"

#include "core/pause.h"
#include "core/time_limit.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

void
cx_pause(int ms)
{
	cx_time_limit limit = cx_time_limit_start(ms);
	int			left_ms;

	CHECK_FOR_INTERRUPTS();
	while ((left_ms = cx_time_limit_left(&limit)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
cx_pause_roughly(int ms)
{
	cx_pause(ms - (int) (ms * 0.5 * pg_prng_double(&pg_global_prng_state)));
}
