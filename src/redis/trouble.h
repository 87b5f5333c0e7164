/*
 * redis/trouble.h
 *		What went wrong between this backend and Redis.
 *
 * Whoever fails fills one in and returns false; nobody in this layer raises an error for it.
 */
#ifndef CX_REDIS_TROUBLE_H
#define CX_REDIS_TROUBLE_H

#include "postgres.h"

typedef enum cx_trouble_kind
{
	CX_TROUBLE_UNRESOLVED,		/* the worker has not resolved the host name yet */
	CX_TROUBLE_TIMEOUT,
	CX_TROUBLE_LOST,			/* the server closed the connection */
	CX_TROUBLE_UNREACHABLE,		/* no connection to be had */
	CX_TROUBLE_REFUSED,			/* the server talks but won't serve: password, loading, ... */
	CX_TROUBLE_PROTOCOL,		/* what came is not the protocol */
	CX_TROUBLE_TOO_LARGE,		/* a reply larger than this session reads */
	CX_TROUBLE_RESOURCES		/* this backend lacks memory or file descriptors */
} cx_trouble_kind;

typedef struct cx_trouble
{
	cx_trouble_kind kind;
	bool		for_log_only;	/* the text names what no user should see */
	bool		own_doing;		/* no fault of the server's: impatience, or a call that is large */
	char		text[256];		/* for the log: no password, no user's data, printable ASCII */
} cx_trouble;

/* Fills it in; always false, so that a function can fail with it. */
extern bool cx_trouble_set(cx_trouble *trouble, cx_trouble_kind kind, const char *format, ...)
			pg_attribute_printf(3, 4);

#endif
