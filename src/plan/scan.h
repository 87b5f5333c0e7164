/*
 * plan/scan.h
 *		The cache scan: the one place that looks up, fills and emits rows.
 */
#ifndef CX_PLAN_SCAN_H
#define CX_PLAN_SCAN_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"

#include "core/clock.h"
#include "query/statement.h"

extern void cx_scan_init(void);

/*
 * Puts a cache scan on top of the plan of a cacheable statement whose planning began at that
 * generation.  Leaves a plan alone that can't carry one.
 */
extern void cx_scan_wrap(PlannedStmt *plan, cx_statement *statement, uint64 generation);

typedef enum cx_outcome
{
	CX_OUTCOME_NONE,			/* no cache scan was started */
	CX_OUTCOME_HIT,				/* rows came from the cache */
	CX_OUTCOME_FILLED,			/* the plan ran, its rows are stored */
	CX_OUTCOME_NOT_FILLED,		/* looked up, the plan ran, its rows are not stored */
	CX_OUTCOME_BYPASS			/* not looked up */
} cx_outcome;

/*
 * What a door asks of the next cache scan that is started, and what became of it.
 *
 * only_hit: where that is no hit, return no rows at all and don't start the plan.  The door then
 * runs another plan of the statement with missed = true, which saves it the look-up.
 */
typedef struct cx_request
{
	int64		ttl_ms;			/* of an entry stored, and the oldest one served; 0: the setting */
	bool		only_hit;
	bool		missed;
	bool		refresh;		/* don't look up: run and store */

	cx_outcome	outcome;
	bool		plan_is_old;	/* not filled because the plan is older than what it reads */
} cx_request;

/*
 * Asks; the request stays the caller's and must outlive the statement.  Returns the request that
 * waited before, which the caller puts back with withdraw, on error too.
 */
extern cx_request *cx_scan_request(cx_request *request);
extern void cx_scan_withdraw(cx_request *outer);

/* What is in the cache for a wrapped plan and parameters, without counting or filling. */
typedef struct cx_peek
{
	const char *refused;		/* why there is no key for these parameters; the rest is unset */
	StringInfoData key;
	char	   *name;			/* of the entry in Redis */
	cx_tag	   *tags;
	int			tag_count;
	bool		found;
	const char *tier;
	bool		valid;
	TimestampTz created;
	TimestampTz expires;
	size_t		size;			/* bytes stored */
} cx_peek;

extern void cx_scan_peek(const cx_statement *statement, ParamListInfo params, bool fetch,
						 cx_peek *peek);

#endif
