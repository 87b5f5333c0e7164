/*
 * api/arguments.h
 *		Arguments that several SQL functions share.
 */
#ifndef CX_API_ARGUMENTS_H
#define CX_API_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"

/* The untracked argument: true for 'ttl', false for 'bypass', an error for anything else. */
extern bool cx_arg_untracked(FunctionCallInfo fcinfo, int number);

/* A ttl argument in milliseconds, 0 for NULL; an error unless it is positive and finite. */
extern int64 cx_arg_ttl_ms(FunctionCallInfo fcinfo, int number);

/*
 * A max_staleness argument in milliseconds: 0 for NULL, -1 for no staleness at all; an error if it is
 * negative or infinite.
 */
extern int64 cx_arg_staleness_ms(FunctionCallInfo fcinfo, int number);

/* A text that must not be NULL, palloc'd. */
extern char *cx_arg_text(FunctionCallInfo fcinfo, int number, const char *name);

#endif
