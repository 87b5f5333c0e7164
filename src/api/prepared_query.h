/*
 * api/prepared_query.h
 *		A query text made ready to run through the cache, kept for the session.
 */
#ifndef CX_API_PREPARED_QUERY_H
#define CX_API_PREPARED_QUERY_H

#include "postgres.h"

#include "executor/spi.h"
#include "nodes/params.h"
#include "plan/hit.h"
#include "plan/scan.h"
#include "query/statement.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/plancache.h"

typedef struct cx_prepared_query cx_prepared_query;

/*
 * Finds or makes ready the statement of a text for the current user and settings; the caller is
 * connected to SPI.  Raises the errors of parsing it, and one for anything but a single SELECT.
 * Valid until CurrentMemoryContext is reset.
 */
extern cx_prepared_query *cx_prepared_query_get(const char *sql, bool untracked_allowed);

/* The column names and types of the rows of its last run, in CurrentMemoryContext. */
extern TupleDesc cx_prepared_query_columns(cx_prepared_query *query);

/*
 * Parameters from their texts, as a client library passes them: one for each the text names, NULL
 * elements as NULLs.  Raises an error for another number of them and for bad input.
 */
extern ParamListInfo cx_prepared_query_params(cx_prepared_query *query, ArrayType *args);

/* The same from values of an array that is known to have no more dimensions. */
extern ParamListInfo cx_prepared_query_params_from(cx_prepared_query *query, int count,
												   const Datum *texts, const bool *nulls);

/* Runs it, from the cache where that is exact.  request: ttl_ms is asked. */
extern void cx_prepared_query_run(cx_prepared_query *query, ParamListInfo params,
								  cx_request *request, DestReceiver *dest);

/*
 * Its rows from the cache without running anything, or NULL: then run it with the same request, which
 * knows what was looked up.  *plan is to be released, with the owner that was current, after cx_hit_end().
 */
extern cx_hit *cx_prepared_query_hit(cx_prepared_query *query, ParamListInfo params,
									 cx_request *request, CachedPlan **plan);

/*
 * What is found out about it: *statement in CurrentMemoryContext, or NULL and the reason why it may
 * not be cached.
 */
extern const char *cx_prepared_query_describe(cx_prepared_query *query,
											  cx_statement **statement);

/* May the current user read all it reads? */
extern bool cx_prepared_query_readable(cx_prepared_query *query);

#endif
