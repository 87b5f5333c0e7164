/*
 * plan/peek.h
 *		What the cache holds for a statement, without counting, filling or serving it.
 */
#ifndef CX_PLAN_PEEK_H
#define CX_PLAN_PEEK_H

#include "postgres.h"

#include "base/tag.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "nodes/params.h"
#include "query/statement.h"

typedef struct cx_peek
{
	const char *refused;		/* why there is no key for these parameters; the rest is unset */
	StringInfoData key;
	char	   *name;			/* of the entry in Redis */
	cx_tag	   *tags;
	int			tag_count;

	bool		found;			/* never without fetch; the rest is unset if not */
	const char *tier;			/* "local" or "redis" */
	bool		valid;
	TimestampTz created;
	TimestampTz expires;
	size_t		size;			/* bytes of key material and rows */
} cx_peek;

/* All of it in CurrentMemoryContext.  fetch: look at the tiers too. */
extern void cx_peek_at(const cx_statement *statement, ParamListInfo params, bool fetch,
					   cx_peek *peek);

#endif
