/*
 * api/query.h
 *		What query() and query_as() are asked for.  For query.c and query_scan.c.
 */
#ifndef CX_API_QUERY_H
#define CX_API_QUERY_H

#include "postgres.h"

#include "api/prepared_query.h"

#include "fmgr.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

/* Arguments of the two functions, from the query text on. */
typedef struct cx_query_arguments
{
	char	   *sql;
	ArrayType  *args;
	bool		untracked_allowed;
	cx_request	request;
} cx_query_arguments;

/* The functions themselves, to be known by their addresses. */
extern Datum cache_ext_query(PG_FUNCTION_ARGS);
extern Datum cache_ext_query_as(PG_FUNCTION_ARGS);

/* Reads them; first is the number of the query text.  Raises errors. */
extern void cx_query_read_arguments(FunctionCallInfo fcinfo, int first,
									cx_query_arguments *arguments);

/*
 * Runs the query into a tuplestore in the context.  The caller is connected to SPI.
 */
extern Tuplestorestate *cx_query_collect(cx_prepared_query *query, ParamListInfo params,
										 cx_request *request, MemoryContext context,
										 bool random_access);

/* The columns that a row type asks for, in the current context. */
extern TupleDesc cx_query_columns_of_type(Oid type);

/* query_scan.c */
extern void cx_query_scan_init(void);

#endif
