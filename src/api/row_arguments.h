/*
 * api/row_arguments.h
 *		The key that cache_ext.row() was called with, as values of the key's columns.
 */
#ifndef CX_API_ROW_ARGUMENTS_H
#define CX_API_ROW_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"

typedef struct cx_row_argument
{
	Oid			type;
	Datum		value;
	bool		isnull;
} cx_row_argument;

/*
 * All arguments but the first, or the elements of the one that is marked VARIADIC; returns how many.  An
 * error if that is NULL.
 */
extern int	cx_row_arguments_list(FunctionCallInfo fcinfo, cx_row_argument **arguments);

/*
 * The value that an implicit cast to a column's type makes of it; false if no row can have it.  An error
 * if there is no such cast, or if it raises one.
 */
extern bool cx_row_argument_convert(const cx_row_argument *given, Oid to, Datum *value);

#endif
