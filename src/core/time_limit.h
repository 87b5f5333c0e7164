/*
 * core/time_limit.h
 *		How much of a wait is left, by a clock that is never set back.
 */
#ifndef CX_CORE_TIME_LIMIT_H
#define CX_CORE_TIME_LIMIT_H

#include "postgres.h"

#include "portability/instr_time.h"

typedef struct cx_time_limit
{
	instr_time	start;
	int			ms;
} cx_time_limit;

static inline cx_time_limit
cx_time_limit_start(int ms)
{
	cx_time_limit limit;

	limit.ms = ms;
	INSTR_TIME_SET_CURRENT(limit.start);
	return limit;
}

/* In milliseconds, rounded up; 0 once the time is over. */
static inline int
cx_time_limit_left(const cx_time_limit *limit)
{
	instr_time	passed;
	double		passed_ms;

	INSTR_TIME_SET_CURRENT(passed);
	INSTR_TIME_SUBTRACT(passed, limit->start);
	passed_ms = INSTR_TIME_GET_MILLISEC(passed);
	return passed_ms < limit->ms ? limit->ms - (int) passed_ms : 0;
}

#endif
