/*
 * redis/reply.h
 *		From bytes off the wire to replies, within limits.
 */
#ifndef CX_REDIS_REPLY_H
#define CX_REDIS_REPLY_H

#include "postgres.h"

#include "redis/redis.h"

typedef struct cx_reply_parser cx_reply_parser;

typedef enum cx_reply_state
{
	CX_REPLY_COMPLETE,
	CX_REPLY_INCOMPLETE,		/* more bytes are needed */
	CX_REPLY_TOO_LARGE,			/* larger than this session reads: nobody's fault */
	CX_REPLY_NO_MEMORY,
	CX_REPLY_MALFORMED			/* not the protocol */
} cx_reply_state;

/* NULL if there is no memory. */
extern cx_reply_parser *cx_reply_parser_create(void);
extern void cx_reply_parser_free(cx_reply_parser *parser);

/* Adds bytes that were received; false if there is no memory. */
extern bool cx_reply_feed(cx_reply_parser *parser, const char *bytes, size_t length);

/*
 * Takes the next reply out of what was fed.  *reply is filled and what it points to allocated in
 * CurrentMemoryContext, which must be the same until the reply is complete.  After the last three
 * states the parser is of no more use.
 */
extern cx_reply_state cx_reply_next(cx_reply_parser *parser, cx_redis_reply *reply);

/* Has it bytes that no reply was made of yet? */
extern bool cx_reply_pending(const cx_reply_parser *parser);

/* Gives back the memory that large replies took; false if then there is none for a new start. */
extern bool cx_reply_trim(cx_reply_parser *parser);

#endif
