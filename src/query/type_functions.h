/*
 * query/type_functions.h
 *		Whose code runs when values of a type become bytes, bytes values, or values hashes.
 */
#ifndef CX_QUERY_TYPE_FUNCTIONS_H
#define CX_QUERY_TYPE_FUNCTIONS_H

#include "postgres.h"

/*
 * Do the input, output, receive and send functions of the type, and all that they call, run nothing
 * but PostgreSQL's code and that of libraries which a superuser installed?
 */
extern bool cx_type_functions_trusted(Oid type);

/* The same of one function that PostgreSQL calls on its own, such as that of an operator class. */
extern bool cx_type_functions_trusts(Oid function);

#endif
