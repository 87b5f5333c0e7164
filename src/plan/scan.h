/*
 * plan/scan.h
 *		The cache scan: the one place that looks up, fills and emits rows.
 */
#ifndef CX_PLAN_SCAN_H
#define CX_PLAN_SCAN_H

#include "postgres.h"

#include "nodes/extensible.h"
#include "nodes/plannodes.h"
#include "redis/redis.h"

extern void cx_scan_init(void);

/* The node's methods, for plan/wrap.c to put it into plans. */
extern const CustomScanMethods cx_scan_methods;

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
	int64		staleness_ms;	/* age up to which one may be inexact; 0: the setting, -1: none */
	bool		only_hit;
	bool		missed;			/* looked up already, and this is left of the time to wait for Redis */
	cx_redis_budget budget;
	bool		refresh;		/* there was an entry, but this session is to make a new one */

	cx_outcome	outcome;
	bool		plan_is_old;	/* not filled because the plan is older than what it reads */
} cx_request;

/*
 * Is there a hit for a plan that is about to be started?  If so the decision stands for its next
 * execution, as long as the plan's memory.  If not, *missed is for the options of the plan that is made
 * instead, whose first execution then doesn't look up again.
 */
extern bool cx_scan_foresee(PlannedStmt *plan, ParamListInfo params, uint64 *missed);

/* Is a look-up worth trying right now?  If not, a scan would bypass the cache. */
extern bool cx_scan_may_hit(void);

/*
 * Asks; the request stays the caller's and must outlive the statement.  Returns the request that
 * waited before, which the caller puts back with withdraw, on error too.
 */
extern cx_request *cx_scan_request(cx_request *request);
extern void cx_scan_withdraw(cx_request *outer);

#endif
