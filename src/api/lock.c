/*
 * api/lock.c
 *		SQL functions for locks in Redis that end by themselves: lock, unlock.
 *
 * 1. One key holds a lock's last token and the time until which somebody holds it (see
 *	  core/lock_release.h), so that one script on that key decides.  Redis's clock counts, nobody
 *	  else's.
 * 2. A token is greater than every token of that name before: one more than the last, or the time
 *	  in microseconds if that is greater.  So the numbers grow on from where they were although
 *	  the key is gone, be it a day after the last lock or because Redis lost its data, unless its
 *	  clock was set back meanwhile.  While there is the key they grow in any case.
 * 3. A lock is ended by who has its token, compared and changed in one step, or by the time.
 * 4. Nothing is sent twice.  If an answer is lost, or its reader interrupted, the lock may be
 *	  held with a token that nobody knows: it ends by itself.
 * 5. Asked to, the worker ends it after the end of the top-level transaction, whatever became of
 *	  the subtransaction that took it: who rolls back to a savepoint may go on to use what the
 *	  lock guards.
 *
 * Who waits asks again and again, with pauses that grow, differ by chance and don't outlast the
 * holder's time by much.  There is no queue: of those who wait, anybody may be next.
 *
 * Locks: none.  Memory: what a try needs goes away before the next.
 */
#include "postgres.h"

#include "api/application.h"
#include "core/lock_release.h"
#include "core/outbox.h"
#include "core/pause.h"
#include "core/time_limit.h"

#include "common/int.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define MOST_WAIT_DAYS 7

/* The time between two tries, in milliseconds: doubles from the first to the last. */
#define FIRST_PAUSE_MS 4
#define LAST_PAUSE_MS 256

/* ARGV: the time to hold it and to keep the key, in microseconds and milliseconds.  An array: the
 * token, or 0 and for how many microseconds another holds it. */
static cx_script take_script = {
	CX_SCRIPT_VALUE_AND_NOW
	CX_LOCK_READ
	"if expires > now then return {0, expires - now} end\n"
	"token = math.max(token + 1, now)\n"
	"local value = string.format('%.0f %.0f', token, now + ARGV[1])\n"
	"local done = redis.pcall('SET', KEYS[1], value, 'PX', ARGV[2] + " CX_LOCK_KEPT_MS ")\n"
	"if done.err then return done end\n"
	"return {token, 0}\n"
};

/* None, or a time that a client might wait for an answer. */
static int
wait_ms_of(const Interval *wait)
{
	int64		days = (int64) wait->month * DAYS_PER_MONTH + wait->day;
	int64		us;

	if (days > MOST_WAIT_DAYS || days < -MOST_WAIT_DAYS ||
		pg_add_s64_overflow(wait->time, days * USECS_PER_DAY, &us) ||
		us < 0 || us > MOST_WAIT_DAYS * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"wait\" is out of range"),
				 errdetail("It is between 0 and %d days.", MOST_WAIT_DAYS)));
	return (int) ((us + 999) / 1000);
}

/* The token; or 0, and for how long somebody else holds the lock. */
static int64
try_lock(const cx_name *name, int64 ttl_ms, int64 *held_us)
{
	char		us[32];
	char		ms[32];
	const char *argv[] = {us, ms};
	size_t		argvlen[lengthof(argv)];
	cx_redis_budget budget;
	cx_redis_reply reply;

	argvlen[0] = snprintf(us, sizeof(us), INT64_FORMAT, ttl_ms * 1000);
	argvlen[1] = snprintf(ms, sizeof(ms), INT64_FORMAT, ttl_ms);
	cx_application_start(&budget);
	cx_application_script(&take_script, name, lengthof(argv), argv, argvlen, &reply, &budget);
	cx_application_check(&reply);
	if (reply.type != CX_REDIS_ARRAY || reply.element_count != 2 ||
		cx_application_integer(&reply.elements[0]) < 0 ||
		cx_application_integer(&reply.elements[1]) < 0)
		cx_application_unexpected();
	*held_us = reply.elements[1].integer;
	return reply.elements[0].integer;
}

/* The token, or 0 if somebody else holds the lock all the time. */
static int64
lock_within(const cx_name *name, int64 ttl_ms, int wait_ms)
{
	cx_time_limit limit = cx_time_limit_start(wait_ms);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext lock",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			pause_ms = FIRST_PAUSE_MS;
	int64		held_us;
	int64		token;
	int			left_ms;

	while ((token = try_lock(name, ttl_ms, &held_us)) == 0 &&
		   (left_ms = cx_time_limit_left(&limit)) > 0)
	{
		if (held_us / 1000 < Min(pause_ms, left_ms))
			cx_pause((int) (held_us / 1000) + 1);
		else if (left_ms <= pause_ms)
			cx_pause(left_ms);
		else
			cx_pause_roughly(pause_ms);
		pause_ms = Min(pause_ms * 2, LAST_PAUSE_MS);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return token;
}

PG_FUNCTION_INFO_V1(cache_ext_lock);
Datum
cache_ext_lock(PG_FUNCTION_ARGS)
{
	cx_name		name = cx_application_name(CX_KIND_LOCK, PG_GETARG_TEXT_PP(0), "name");
	int64		ttl_ms = cx_application_ttl_ms(PG_GETARG_INTERVAL_P(1), "ttl");
	int			wait_ms = wait_ms_of(PG_GETARG_INTERVAL_P(2));
	bool		release_at_end = PG_GETARG_BOOL(3);
	int64		token;

	if (release_at_end)
	{
		PreventCommandDuringRecovery("cache_ext.lock() with release_at_end");
		if (name.length > CX_OUTBOX_MAX_KEY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"name\" is too long for a lock that is released at the end of the transaction"),
					 errdetail("The key in Redis has %zu bytes; %d are allowed.", name.length,
							   CX_OUTBOX_MAX_KEY)));
	}
	token = lock_within(&name, ttl_ms, wait_ms);
	if (token == 0)
		PG_RETURN_NULL();
	if (release_at_end)
	{
		char		digits[32];
		int			length = snprintf(digits, sizeof(digits), INT64_FORMAT, token);

		cx_outbox_unlock(name.data, name.length, digits, length);
	}
	PG_RETURN_INT64(token);
}

PG_FUNCTION_INFO_V1(cache_ext_unlock);
Datum
cache_ext_unlock(PG_FUNCTION_ARGS)
{
	cx_name		name = cx_application_name(CX_KIND_LOCK, PG_GETARG_TEXT_PP(0), "name");
	char		digits[32];
	const char *argv[] = {digits};
	size_t		argvlen[] = {snprintf(digits, sizeof(digits), INT64_FORMAT, PG_GETARG_INT64(1))};
	cx_redis_budget budget;
	cx_redis_reply reply;

	cx_application_start(&budget);
	cx_application_script(&cx_lock_release, &name, 1, argv, argvlen, &reply, &budget);
	PG_RETURN_BOOL(cx_application_integer(&reply) == 1);
}
