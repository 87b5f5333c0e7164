/*
 * redis/breaker.c
 *		Not asking a Redis that doesn't answer: one state for all backends.
 *
 *	closed ------- a certain failure, or DOUBTFUL_FAILURES in a row --------> open
 *	open --------- the back-off has passed ---------------------------------> half-open
 *	half-open ---- its one call, the probe, succeeds -----------------------> closed
 *	half-open ---- the probe fails -----------------------------------------> open, for longer
 *
 * 1. The state is open_until (0: closed; in the future: open; past: half-open), so that time alone
 *	  makes open half-open and nobody needs to act for it.
 * 2. While closed, a call costs one atomic read before and three after; while open, one and a look
 *	  at the clock.  No locks; lost races cost a call too many or too few, never more.
 * 3. The right to probe is a lease that ends by itself: a prober may die.
 * 4. Any answer closes the breaker, also one to a call that began before it opened.
 *
 * A timeout may be an accident of one call: it takes several in a row, without an answer to anybody in
 * between, to keep others from Redis.  Those that a session brought about itself are no failures
 * (redis.c).
 */
#include "postgres.h"

#include "redis/breaker.h"
#include "redis/wait.h"

#include "base/shmem.h"

#include "common/pg_prng.h"
#include "port/atomics.h"

#define DOUBTFUL_FAILURES 3

/* The back-off doubles from the first to the last; each is shortened by up to a half at random. */
#define FIRST_BACKOFF_US INT64CONST(200000)
#define LAST_BACKOFF_US INT64CONST(10000000)

/* What a prober's lease adds to the longest time its call may take. */
#define LEASE_SLACK_US INT64CONST(1000000)

#define LOG_INTERVAL_US INT64CONST(60000000)

/* All times are of cx_wait_clock(). */
typedef struct breaker_state
{
	pg_atomic_uint64 open_until;
	pg_atomic_uint64 probe_until;	/* end of the prober's lease; 0 for none */
	pg_atomic_uint32 doubtful_failures; /* in a row, while closed */
	pg_atomic_uint32 openings;	/* in a row, without an answer in between */
	pg_atomic_uint64 logged_at;
	pg_atomic_uint32 recovery_unlogged;
} breaker_state;

static breaker_state *breaker = NULL;

/* The lease that this process holds, or 0. */
static uint64 my_probe = 0;

static Size
breaker_size(void)
{
	return sizeof(breaker_state);
}

static void
breaker_create(void *area)
{
	breaker_state *state = area;

	pg_atomic_init_u64(&state->open_until, 0);
	pg_atomic_init_u64(&state->probe_until, 0);
	pg_atomic_init_u32(&state->doubtful_failures, 0);
	pg_atomic_init_u32(&state->openings, 0);
	pg_atomic_init_u64(&state->logged_at, 0);
	pg_atomic_init_u32(&state->recovery_unlogged, 0);
}

static void
breaker_attach(void *area)
{
	breaker = area;
}

static const cx_shmem_area breaker_area = {
	"cache_ext breaker", breaker_size, breaker_create, breaker_attach
};

void
cx_breaker_init(void)
{
	cx_shmem_register(&breaker_area);
}

bool
cx_breaker_passable(void)
{
	uint64		open_until = pg_atomic_read_u64(&breaker->open_until);
	uint64		now;

	if (open_until == 0)
		return true;
	now = cx_wait_clock();
	return now >= open_until && now >= pg_atomic_read_u64(&breaker->probe_until);
}

bool
cx_breaker_enter(int64 longest_us)
{
	uint64		open_until = pg_atomic_read_u64(&breaker->open_until);
	uint64		lease;
	uint64		now;

	my_probe = 0;
	if (open_until == 0)
		return true;

	now = cx_wait_clock();
	if (now < open_until)
		return false;
	lease = pg_atomic_read_u64(&breaker->probe_until);
	if (now < lease)
		return false;
	my_probe = now + longest_us + LEASE_SLACK_US;
	if (pg_atomic_compare_exchange_u64(&breaker->probe_until, &lease, my_probe))
		return true;
	my_probe = 0;
	return false;
}

bool
cx_breaker_probing(void)
{
	return my_probe != 0;
}

/* Gives back the right to probe, unless it ran out and is another's now. */
static void
end_probe(void)
{
	uint64		lease = my_probe;

	if (my_probe != 0)
		pg_atomic_compare_exchange_u64(&breaker->probe_until, &lease, 0);
	my_probe = 0;
}

/* Opens the breaker if open_until still is what the caller saw. */
static bool
open_breaker(uint64 seen)
{
	uint32		openings = pg_atomic_read_u32(&breaker->openings);
	int64		backoff = Min(FIRST_BACKOFF_US << Min(openings, 16), LAST_BACKOFF_US);
	uint64		until;

	backoff -= (int64) (backoff * 0.5 * pg_prng_double(&pg_global_prng_state));
	until = cx_wait_clock() + backoff;
	if (!pg_atomic_compare_exchange_u64(&breaker->open_until, &seen, until))
		return false;
	pg_atomic_write_u32(&breaker->openings, openings + 1);
	pg_atomic_write_u32(&breaker->doubtful_failures, 0);
	return true;
}

static void
close_breaker(void)
{
	if (pg_atomic_read_u64(&breaker->open_until) != 0)
	{
		pg_atomic_write_u32(&breaker->openings, 0);
		pg_atomic_write_u64(&breaker->open_until, 0);
	}
	if (pg_atomic_read_u32(&breaker->doubtful_failures) != 0)
		pg_atomic_write_u32(&breaker->doubtful_failures, 0);
}

void
cx_breaker_succeeded(void)
{
	close_breaker();
	end_probe();
	if (pg_atomic_read_u32(&breaker->recovery_unlogged) != 0 &&
		pg_atomic_exchange_u32(&breaker->recovery_unlogged, 0) != 0)
		ereport(LOG_SERVER_ONLY,
				(errmsg("cache_ext uses Redis again"),
				 errhidestmt(true), errhidecontext(true)));
}

void
cx_breaker_failed(bool certain, const char *problem)
{
	uint64		open_until = pg_atomic_read_u64(&breaker->open_until);

	if (my_probe != 0)
		open_breaker(open_until);
	else if (open_until == 0 &&
			 (certain ||
			  pg_atomic_add_fetch_u32(&breaker->doubtful_failures, 1) >= DOUBTFUL_FAILURES))
		open_breaker(0);
	end_probe();
	cx_breaker_log(problem);
}

void
cx_breaker_abandoned(void)
{
	end_probe();
}

void
cx_breaker_reset(void)
{
	close_breaker();
	pg_atomic_write_u64(&breaker->probe_until, 0);
}

/*
 * To the server's log only: a client must not see where Redis is, nor the log the statement that
 * happened to be the first to notice.
 */
void
cx_breaker_log(const char *problem)
{
	uint64		logged_at = pg_atomic_read_u64(&breaker->logged_at);
	uint64		now = cx_wait_clock();

	if (logged_at != 0 && now < logged_at + LOG_INTERVAL_US)
		return;
	if (!pg_atomic_compare_exchange_u64(&breaker->logged_at, &logged_at, now))
		return;
	pg_atomic_write_u32(&breaker->recovery_unlogged, 1);
	ereport(LOG_SERVER_ONLY,
			(errmsg("cache_ext cannot use Redis: %s", problem),
			 errdetail("Queries run without it meanwhile.  This is logged once a minute at most."),
			 errhidestmt(true), errhidecontext(true)));
}
