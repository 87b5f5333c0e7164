/*
 * plan/execution.h
 *		One execution of a cached statement: what its parts share.  For plan/ only.
 *
 * It begins before the executor starts: by then it is decided whether this is a hit (rows come from
 * an entry and the plan is not even initialised), a miss (the plan runs and its rows may be stored),
 * or a bypass (the plan just runs).
 */
#ifndef CX_PLAN_EXECUTION_H
#define CX_PLAN_EXECUTION_H

#include "postgres.h"

#include "core/account.h"
#include "core/entry.h"
#include "core/lease.h"
#include "core/local.h"
#include "core/redis_tier.h"
#include "plan/scan.h"
#include "query/row_codec.h"
#include "query/statement.h"

#include "access/htup.h"
#include "nodes/plannodes.h"
#include "portability/instr_time.h"
#include "utils/snapshot.h"

typedef struct cx_execution
{
	MemoryContext context;		/* of all that follows; pins go with it */
	PlannedStmt *plan;			/* as it was planned */
	const cx_statement *statement;
	Snapshot	snapshot;
	ParamListInfo params;

	cx_request	request;		/* as asked, or what the plan says */
	cx_request *answer;			/* the door's own, for what became of it; or NULL */
	cx_outcome	outcome;
	const char *reason;			/* of a bypass or a miss without a fill; constant text */

	cx_account	account;
	instr_time	begun;
	instr_time	own;			/* the part of a miss that only caching it costs */

	StringInfoData key;
	char	   *name;			/* in Redis; NULL until it is needed */
	cx_clocks	clocks;			/* of the tags; no slots before cx_execution_list_clocks() */
	uint64	   *spreads;		/* of the same tags, in the same order */
	cx_redis_budget budget;		/* of the whole execution */

	/* a hit: rows in an entry that is pinned, or decoded ones */
	const char *tier;
	bool		stale;			/* not exact: max_staleness allowed it */
	TimestampTz created;
	TimestampTz expires;		/* of a fill's entry too */
	TimestampTz looked_up;		/* when an entry was last found */
	uint64		row_count;
	cx_local_pin *pin;
	const char *body;			/* MinimalTuples, each on a MAXALIGN boundary */
	size_t		body_length;
	MinimalTuple *tuples;		/* used if not NULL */

	/* of those who miss the same key, this one fills */
	cx_flight  *flight;
	cx_lease   *lease;

	/* a fill under way */
	bool		filling;
	cx_stamp	stamp;
	XLogRecPtr	until;			/* a position after the snapshot */
	TimestampTz started;
	MemoryContext row_context;
	StringInfoData rows;		/* like body, for the local tier; data is NULL once they are too many */
	cx_row_codec *codec;		/* for Redis, or NULL */
	StringInfoData entry;
} cx_execution;

/*
 * begin.c: begins the execution of a wrapped plan, in a context below CurrentMemoryContext.  snapshot: NULL
 * if it has none yet; text: its source, or NULL.
 */
extern cx_execution *cx_execution_begin(PlannedStmt *plan, ParamListInfo params,
										Snapshot snapshot, const char *text, bool peek);

/*
 * begin.c: the same when the executor is started.  A plan that has nothing below its scan and is no hit is
 * planned first; NULL if it then turns out not to be cacheable any more.
 */
extern cx_execution *cx_execution_start(QueryDesc *query_desc, int eflags);

/* begin.c: adds what the execution took to its statement's account. */
extern void cx_execution_keep_account(const cx_execution *execution);

/*
 * lookup.c: decides, and gets the rows of a hit.  peek: say what would be, but don't fetch, fill or
 * count.
 */
extern void cx_execution_decide(cx_execution *execution, bool peek);

/* The reason of a bypass whose cost is wanted. */
extern const char *const cx_execution_does_not_pay;

/* lookup.c: may a hit that was found before its execution be served by it? */
extern bool cx_execution_still_hit(cx_execution *execution);

/* lookup.c: would the key still be the same?  A SET may come between the steps of an execution. */
extern bool cx_execution_same_session(cx_execution *execution);

/* lookup.c: who waits for this execution to fill goes on; the second: those in this server do. */
extern void cx_execution_end_flight(cx_execution *execution);
extern void cx_execution_end_flight_here(cx_execution *execution);

/* lookup.c: finds the tags, which a hit doesn't need: it is judged by its entry's. */
extern void cx_execution_list_clocks(cx_execution *execution);

/* lookup.c: the most that an entry may live, in microseconds. */
extern int64 cx_execution_ttl_us(const cx_execution *execution);

/* fill.c: rule 4 of the protocol; NULL, or why this execution can't fill. */
extern const char *cx_fill_begin(cx_execution *execution);

/* fill.c: a row passes; the plan has come to its end; it won't come to it. */
extern void cx_fill_add(cx_execution *execution, TupleTableSlot *slot);
extern void cx_fill_end(cx_execution *execution);
extern void cx_fill_abandon(cx_execution *execution, const char *reason);

/* fill.c: has this transaction written (rule 5)? */
extern bool cx_fill_has_written(void);

/* fill.c: stores the rows of a hit from Redis in the local tier as well. */
extern void cx_fill_promote(cx_execution *execution, const cx_entry *entry,
							const cx_clocks *clocks);

/* begin.c: settles what became of the execution, for counters and the door. */
extern void cx_execution_settle(cx_execution *execution, cx_outcome outcome);

#endif
