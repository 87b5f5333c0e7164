/*
 * api/arguments.c
 *		Arguments that several SQL functions share.
 */
#include "postgres.h"

#include "api/arguments.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

char *
cx_arg_text(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

bool
cx_arg_untracked(FunctionCallInfo fcinfo, int number)
{
	char	   *value = cx_arg_text(fcinfo, number, "untracked");

	if (strcmp(value, "ttl") != 0 && strcmp(value, "bypass") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"untracked\": \"%s\"", value),
				 errhint("Use \"bypass\" to cache tracked tables only, or \"ttl\" to cache others until their entries expire.")));
	return strcmp(value, "ttl") == 0;
}

/* An interval in milliseconds; a month has 30 days. */
static double
milliseconds(const Interval *interval)
{
	return ((double) interval->month * DAYS_PER_MONTH + interval->day) * SECS_PER_DAY * 1000.0 +
		(double) interval->time / 1000.0;
}

#define LONGEST_MS (365.0 * 24 * 3600 * 1000)

int64
cx_arg_ttl_ms(FunctionCallInfo fcinfo, int number)
{
	double		ms;

	if (PG_ARGISNULL(number))
		return 0;
	ms = milliseconds(PG_GETARG_INTERVAL_P(number));
	if (ms < 1 || ms > LONGEST_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"ttl\" is out of range"),
				 errdetail("A TTL is between one millisecond and 365 days.")));
	return (int64) ms;
}

int64
cx_arg_staleness_ms(FunctionCallInfo fcinfo, int number)
{
	double		ms;

	if (PG_ARGISNULL(number))
		return 0;
	ms = milliseconds(PG_GETARG_INTERVAL_P(number));
	if (ms < 0 || ms > LONGEST_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_staleness\" is out of range"),
				 errdetail("It is between 0, for exact results only, and 365 days.")));
	return ms < 1 ? -1 : (int64) ms;
}
