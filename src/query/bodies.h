/*
 * query/bodies.h
 *		What the bodies of functions say, and what cache_ext.allow_function() was told of them.  For the
 *		parts of an analysis and statement.c only.
 */
#ifndef CX_QUERY_BODIES_H
#define CX_QUERY_BODIES_H

#include "postgres.h"

#include "query/analysis.h"

/*
 * bodies.c: reads the body of a SQL or PL/pgSQL function.  True if all that its result depends
 * on, besides its arguments, is in the statement now.  Otherwise what was met before the reason
 * is.
 */
extern bool cx_bodies_review(cx_analysis *analysis, HeapTuple function, List *arguments,
							 Oid result_type, List *column_types);

extern bool cx_bodies_readable(Oid language);

/* What the meaning of a body depends on besides definitions: see cx_statement_is_current(). */
extern void cx_bodies_context(StringInfo out);

/* A statement of a body, analysed and not rewritten yet. */
extern bool cx_bodies_review_parsed(cx_analysis *analysis, Query *parsed);

/*
 * plpgsql.c: the body of a PL/pgSQL function.  call is NULL where nothing is known of the
 * arguments.
 */
extern bool cx_plpgsql_review(cx_analysis *analysis, HeapTuple function, FuncExpr *call);

/*
 * allowed.c: what cache_ext.allow_function() was told of a function.  reads: OIDs, 0 for a table
 * that does not exist; settings: String nodes; allowed_by: the table that holds it.
 */
typedef enum cx_allowance
{
	CX_ALLOWED_NOT,
	CX_ALLOWED_ENDED,			/* the function was changed since */
	CX_ALLOWED
} cx_allowance;

extern void cx_allowed_init(void);
extern cx_allowance cx_allowed_find(Oid function, List **reads, List **settings, Oid *allowed_by);

#endif
