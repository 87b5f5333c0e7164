/*
 * plan/wrap.h
 *		Putting the cache scan on top of a plan.
 */
#ifndef CX_PLAN_WRAP_H
#define CX_PLAN_WRAP_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "core/account.h"
#include "core/clock.h"
#include "nodes/plannodes.h"
#include "plan/scan.h"
#include "query/statement.h"

/* What a wrapped plan carries besides its statement. */
typedef struct cx_wrap_options
{
	uint64		generation;		/* when planning began (plan/generation.h) */
	cx_stamp	planned;		/* the same for all sessions (core/clock.h) */
	cx_account	account;		/* the statement's */
	bool		by_door;		/* made for a SQL function, which passes a request */
	bool		hinted;			/* an ordinary statement that asks to be cached */
	uint64		missed;			/* of cx_scan_foresee(), or 0 */
	int64		ttl_ms;			/* as in cx_request */
	int64		staleness_ms;
} cx_wrap_options;

extern void cx_wrap_init(void);

/*
 * Puts a cache scan on top of the plan of a cacheable statement.  Leaves a plan alone that can't carry
 * one.  session: what cx_statement_session_key() wrote before the statement was planned.
 */
extern void cx_wrap(PlannedStmt *plan, cx_statement *statement, const cx_wrap_options *options,
					const StringInfoData *session);

/* What clients are told of the columns of a plan's result, in CurrentMemoryContext. */
extern List *cx_wrap_columns(const PlannedStmt *plan);

/*
 * Makes a cache scan with nothing below it the plan of a query, which it keeps, to be planned with
 * these options when it is needed.  columns are those of a plan of that query: they may be known more
 * precisely than the query says.  The costs are the caller's to set.  False where that can't be.
 */
extern bool cx_wrap_query(PlannedStmt *plan, cx_statement *statement,
						  const cx_wrap_options *options, List *columns, Query *query,
						  int cursor_options);

/* The query of a plan with nothing below, not to be changed; else NULL. */
extern Query *cx_wrap_query_of(const PlannedStmt *plan, int *cursor_options);

extern bool cx_wrap_is_wrapped(const PlannedStmt *plan);

/* What was given to cx_wrap(). */
extern const cx_statement *cx_wrap_statement(const PlannedStmt *plan);
extern const cx_wrap_options *cx_wrap_options_of(const PlannedStmt *plan);

/*
 * Was the statement planned under the settings and the user that this key material ends with
 * (cx_statement_session_key())?
 */
extern bool cx_wrap_same_session(const PlannedStmt *plan, const char *key, size_t length);

/* The columns of the result, which live as long as the plan. */
extern TupleDesc cx_wrap_row_type(const PlannedStmt *plan);

/*
 * The account of a statement with this text (length 0: up to its end).  What doors ask for has accounts of
 * its own: it is always cached, so it says nothing of what pays.
 */
extern cx_account cx_wrap_open_account(const cx_statement *statement, bool by_door,
									   const char *text, int location, int length, uint64 query_id);

/* The account of a plan's statement, opened again where the one that it had made room for others. */
extern cx_account cx_wrap_account(PlannedStmt *plan, const char *text);

/*
 * Shallow copies of a wrapped plan, in CurrentMemoryContext: one whose subplans the executor won't
 * start, and the plan below the scan as if it had never been wrapped.
 */
extern PlannedStmt *cx_wrap_without_subplans(const PlannedStmt *plan);
extern PlannedStmt *cx_wrap_unwrapped(const PlannedStmt *plan);

#endif
