/*
 * api/rate_limit.c
 *		SQL function that limits how often something may happen: rate_limit.
 *
 * GCRA, the generic cell rate algorithm, seen as a debt: each request that is allowed adds the
 * time in which its cost is earned, cost * per / max_requests, and time pays it off.  A request
 * is allowed if the debt stays within per.  So of the requests that begin and end within any time
 * t, no more are allowed than max_requests * (1 + t / per): all max_requests at once after a
 * pause, and then as they are earned.
 *
 * 1. One script on one key decides and counts in one step, by Redis's clock alone.
 * 2. Nothing is rounded.  The debt is kept as whole microseconds and a rest in parts of one
 *	  max_requests-th; every number in the script stays below 2^53, where doubles are exact.  What
 *	  can't (cost * per) is computed here, in integers.  So the error is that of the clock, a
 *	  microsecond.  Only where a key is asked with another max_requests than before is a rest
 *	  rounded up.
 * 3. Redis's clock set back: no debt is paid off for that step, and it is never more than per, so
 *	  nobody waits longer than per.  A debt from before per was made shorter is cut to per too.
 * 4. A request that is not allowed adds nothing.  It writes only where the clock was set back.
 * 5. Nothing is sent twice.  Where the answer is lost, a request may have been counted.
 *
 * What is stored: "{time} {debt} {rest} {max_requests}", decimal numbers, the first two in
 * microseconds.
 *
 * Locks: none.  Memory: the caller's.
 */
#include "postgres.h"

#include "api/application.h"
#include "api/arguments.h"

#include "access/htup_details.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "funcapi.h"

/* How often a session tells that its requests are not counted. */
#define WARN_EVERY_US (INT64CONST(60) * 1000 * 1000)

/* A debt may outlive its key by no clock's error. */
#define KEPT_LONGER_MS "1000"

/*
 * ARGV: max_requests, per, and what the request costs: whole microseconds and rest.  An array: 1 if
 * allowed, else 0; the debt that there is then, and its rest.
 */
static cx_script decide = {
	CX_SCRIPT_VALUE_AND_NOW
	"local most, per = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
	"local debt, rest, back = 0, 0, false\n"
	"if v then\n"
	"	local a, b, c, d = string.match(v, '^(%d+) (%d+) (%d+) (%d+)$')\n"
	"	local at, old, old_rest, parts = tonumber(a), tonumber(b), tonumber(c), tonumber(d)\n"
	"	if not at or math.max(at, old) >= 9e15 or old_rest >= parts or parts > 2147483647 then\n"
	"		return redis.error_reply('WRONGTYPE The value under the key is no rate limit')\n"
	"	end\n"
	"	if parts ~= most and old_rest > 0 then old, old_rest = old + 1, 0 end\n"
	"	back = at > now\n"
	"	if not back then old = old - (now - at) end\n"
	"	if old >= 0 then debt, rest = old, old_rest end\n"
	"	if debt >= per then debt, rest = per, 0 end\n"
	"end\n"
	"local cost, cost_rest = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
	"local sum, sum_rest = debt + cost, rest + cost_rest\n"
	"if sum_rest >= most then sum, sum_rest = sum + 1, sum_rest - most end\n"
	"local allowed = sum < per or (sum == per and sum_rest == 0)\n"
	"if allowed then debt, rest = sum, sum_rest end\n"
	"if back or (allowed and cost + cost_rest > 0) then\n"
	"	local value = string.format('%.0f %.0f %.0f %.0f', now, debt, rest, most)\n"
	"	local kept = math.ceil(debt / 1000) + " KEPT_LONGER_MS "\n"
	"	local done = redis.pcall('SET', KEYS[1], value, 'PX', kept)\n"
	"	if done.err then return done end\n"
	"end\n"
	"return {allowed and 1 or 0, debt, rest}\n"
};

typedef struct rate_limit
{
	int64		most;			/* max_requests */
	int64		per_us;
} rate_limit;

/* A time, exactly: parts of one most-th of a microsecond beside the whole ones. */
typedef struct exact_time
{
	int64		us;
	int64		rest;
} exact_time;

typedef struct answer
{
	bool		allowed;
	exact_time	debt;
} answer;

/* cost * per / max_requests, for a cost of max_requests at most: then nothing overflows. */
static exact_time
time_of(const rate_limit *limit, int64 cost)
{
	int64		parts = limit->per_us % limit->most * cost;
	exact_time	result = {limit->per_us / limit->most * cost + parts / limit->most,
	parts % limit->most};

	return result;
}

static exact_time
add(const rate_limit *limit, exact_time one, exact_time other)
{
	exact_time	sum = {one.us + other.us, one.rest + other.rest};

	if (sum.rest >= limit->most)
	{
		sum.us++;
		sum.rest -= limit->most;
	}
	return sum;
}

static int64
rounded_up(exact_time time)
{
	return time.us + (time.rest > 0);
}

/* The greatest cost that would be allowed now. */
static int64
remaining(const rate_limit *limit, exact_time debt)
{
	int64		fits = 0;
	int64		too_much = limit->most + 1;

	while (too_much - fits > 1)
	{
		int64		middle = fits + (too_much - fits) / 2;

		if (rounded_up(add(limit, debt, time_of(limit, middle))) <= limit->per_us)
			fits = middle;
		else
			too_much = middle;
	}
	return fits;
}

/* Asks Redis.  False if that can't be done now: *reason says why. */
static bool
ask(const cx_name *name, const rate_limit *limit, int64 cost, answer *answer, const char **reason)
{
	exact_time	price = time_of(limit, cost);
	char		words[4][32];
	const char *argv[] = {words[0], words[1], words[2], words[3]};
	int64		numbers[] = {limit->most, limit->per_us, price.us, price.rest};
	size_t		argvlen[lengthof(argv)];
	cx_redis_budget budget;
	cx_redis_reply reply;

	for (int i = 0; i < lengthof(argv); i++)
		argvlen[i] = snprintf(words[i], sizeof(words[i]), INT64_FORMAT, numbers[i]);
	cx_application_start(&budget);
	if (cx_script_run(&decide, name->data, name->length, lengthof(argv), argv, argvlen, &reply,
					  &budget) != CX_REDIS_OK)
	{
		*reason = cx_redis_last_problem()->text;
		return false;
	}
	/* something else under this key is the application's mistake, and lasts */
	if (reply.type == CX_REDIS_ERROR && strncmp(reply.data, "WRONGTYPE", 9) != 0)
	{
		*reason = cx_application_quote(reply.data);
		return false;
	}
	cx_application_check(&reply);
	if (reply.type != CX_REDIS_ARRAY || reply.element_count != 3)
		cx_application_unexpected();
	answer->allowed = cx_application_integer(&reply.elements[0]) == 1;
	answer->debt.us = cx_application_integer(&reply.elements[1]);
	answer->debt.rest = cx_application_integer(&reply.elements[2]);
	if (answer->debt.us < 0 || answer->debt.us > limit->per_us || answer->debt.rest < 0 ||
		answer->debt.rest >= limit->most)
		cx_application_unexpected();
	return true;
}

/* Nobody should be limited, or not, by a policy that is in force unnoticed. */
static void
warn(bool open, const char *reason)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (last != 0 && now >= last && now - last < WARN_EVERY_US)
		return;
	last = now;
	ereport(WARNING,
			(errmsg(open ? "a rate limit lets everything pass" : "a rate limit lets nothing pass"),
			 errdetail("Redis was not able to decide: %s", reason),
			 errhint("This session does not say it again for a minute.")));
}

static void
refuse_null(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

/* An argument of type integer, no less than least. */
static int
count_of(FunctionCallInfo fcinfo, int number, const char *name, int least)
{
	refuse_null(fcinfo, number, name);
	if (PG_GETARG_INT32(number) < least)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be at least %d", name, least)));
	return PG_GETARG_INT32(number);
}

static bool
is_open(FunctionCallInfo fcinfo, int number)
{
	char	   *value = cx_arg_text(fcinfo, number, "fail");

	if (strcmp(value, "open") != 0 && strcmp(value, "closed") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"fail\": \"%s\"", value),
				 errhint("Use \"open\" to allow requests while Redis is not available, or \"closed\" to refuse them.")));
	return strcmp(value, "open") == 0;
}

static Interval *
interval_of(int64 us)
{
	Interval   *result = palloc0(sizeof(Interval));

	result->time = us;
	return result;
}

PG_FUNCTION_INFO_V1(cache_ext_rate_limit);
Datum
cache_ext_rate_limit(PG_FUNCTION_ARGS)
{
	cx_name		name;
	rate_limit	limit;
	Interval   *per;
	int64		cost;
	bool		open;
	bool		possible;
	answer		answer;
	const char *reason;
	TupleDesc	columns;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, true, true, true};

	refuse_null(fcinfo, 0, "key");
	name = cx_application_name(CX_KIND_LIMIT, PG_GETARG_TEXT_PP(0), "key");
	limit.most = count_of(fcinfo, 1, "max_requests", 1);
	refuse_null(fcinfo, 2, "per");
	per = PG_GETARG_INTERVAL_P(2);
	limit.per_us = cx_application_ttl_ms(per, "per") * 1000 + per->time % 1000;
	cost = count_of(fcinfo, 3, "cost", 0);
	open = is_open(fcinfo, 4);
	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	/* what can never be allowed is not counted: only how things stand is asked */
	possible = cost <= limit.most;
	if (ask(&name, &limit, possible ? cost : 0, &answer, &reason))
	{
		values[0] = BoolGetDatum(possible && answer.allowed);
		values[1] = Int32GetDatum((int32) remaining(&limit, answer.debt));
		nulls[1] = false;
		if (possible && !answer.allowed)
		{
			exact_time	after = add(&limit, answer.debt, time_of(&limit, cost));

			values[2] = IntervalPGetDatum(interval_of(rounded_up(after) - limit.per_us));
			nulls[2] = false;
		}
		values[3] = IntervalPGetDatum(interval_of(rounded_up(answer.debt)));
		nulls[3] = false;
	}
	else
	{
		warn(open, reason);
		values[0] = BoolGetDatum(open && possible);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}
