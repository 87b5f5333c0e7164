/*
 * api/keys.h
 *		Keys of values as arguments of SQL functions, for applications.
 */
#ifndef CX_API_KEYS_H
#define CX_API_KEYS_H

#include "postgres.h"

#include "api/application.h"

#include "fmgr.h"
#include "utils/array.h"

/* The argument of that number, a key, as its name in Redis. */
extern cx_name cx_keys_argument(FunctionCallInfo fcinfo, int number);

/* A ttl argument in milliseconds, 0 for NULL. */
extern int64 cx_keys_ttl(FunctionCallInfo fcinfo, int number);

/* The elements of an array of a type of variable length, whatever its dimensions, and how many. */
extern int	cx_keys_elements(ArrayType *array, Oid type, Datum **values, bool **nulls);

/* Keys as their names, in the same order; where one is NULL, data is NULL. */
extern cx_name *cx_keys_names(ArrayType *keys, int *count);

/* How much was done, for errors raised between begin and end: "5 keys were set before this". */
typedef struct cx_keys_progress
{
	const char *what;
	int64		done;
	ErrorContextCallback callback;	/* private */
} cx_keys_progress;

extern void cx_keys_progress_begin(cx_keys_progress *progress);
extern void cx_keys_progress_end(cx_keys_progress *progress);

#endif
