/*
 * plan/kept_plans.c
 *		The plans that functions keep in a session: may a statement that runs them fill the cache?
 *
 * A PL/pgSQL function (or any that uses SPI) plans its statements at their first execution in a session
 * and keeps the plans.  PostgreSQL replans them when an object that they use changes, but not when a
 * name would now stand for another object: a better overload, a table in a schema that is earlier in
 * search_path.  A new session gets the new object, this one the old one until it ends.  That is the
 * session's own affair; an entry that it fills would make its old answer everybody's.
 *
 * Invariant: each plan kept in this session was made, or marked to be made again, after the position
 * "renewed".  It is as new as a definition whose clock has not moved since.
 *
 * Memory: static.  Locks: none.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "plan/kept_plans.h"

#include "access/parallel.h"
#include "utils/inval.h"
#include "utils/plancache.h"

static cx_stamp renewed;		/* epoch 0: nothing is known of the session's plans */
static bool started = false;

/* The order of cx_clock_begin_plan(): the position, then the messages, then the plans. */
static void
renew(void)
{
	cx_clock_begin_plan(&renewed);
	AcceptInvalidationMessages();
}

/*
 * A session that has run nothing has kept nothing.  Every way into a function is watched, since one that
 * ran unseen might have kept a plan that is older: statements, utility commands (DO, CALL), and calls of
 * the fast-path protocol.
 */
void
cx_kept_plans_session_starts(void)
{
	if (likely(started) || !cx_shmem_ready() || IsParallelWorker())
		return;
	started = true;
	renew();
}

bool
cx_kept_plans_renew(const cx_slot *definitions, int count)
{
	if (cx_clock_check(&renewed, definitions, count) != CX_CLOCK_VALID)
	{
		renew();
		ResetPlanCache();
	}
	return renewed.epoch != 0;
}
