/*
 * plan/hint.h
 *		A comment in a statement that asks for it to be cached.
 */
#ifndef CX_PLAN_HINT_H
#define CX_PLAN_HINT_H

#include "postgres.h"

typedef struct cx_hint
{
	int64		ttl_ms;			/* 0: none given */
	int64		staleness_ms;	/* 0: none given; -1: given as 0, exact */
	bool		wrong;			/* there is one, but not a right one */
} cx_hint;

/*
 * Looks for a comment cache_ext or cache_ext: ttl=30s, max_staleness=5s (between the usual comment
 * marks) in that part of the text: length 0 means up to its end.  False if there is none, or if it holds
 * anything else: then a WARNING says so, and that the statement is not cached.
 */
extern bool cx_hint_read(const char *text, int location, int length, cx_hint *hint);

#endif
