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

int64
cx_arg_ttl_ms(FunctionCallInfo fcinfo, int number)
{
	const double limit_ms = 365.0 * 24 * 3600 * 1000;
	Interval   *ttl;
	double		ms;

	if (PG_ARGISNULL(number))
		return 0;
	ttl = PG_GETARG_INTERVAL_P(number);
	ms = ((double) ttl->month * DAYS_PER_MONTH + ttl->day) * SECS_PER_DAY * 1000.0 +
		(double) ttl->time / 1000.0;
	if (ms < 1 || ms > limit_ms)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"ttl\" is out of range"),
				 errdetail("A TTL is between one millisecond and 365 days.")));
	return (int64) ms;
}
