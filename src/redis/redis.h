/*
 * redis/redis.h
 *		Speaking to Redis: the whole outside face of the layer.
 *
 * Nothing here raises an error because of Redis.  The only way out by ereport is an interrupt
 * (cancel, statement_timeout, termination) or out of memory; the connection is closed by then.
 */
#ifndef CX_REDIS_REDIS_H
#define CX_REDIS_REDIS_H

#include "postgres.h"

typedef enum cx_redis_status
{
	CX_REDIS_OK,				/* every reply arrived; single replies may still be errors */
	CX_REDIS_UNCONFIGURED,		/* redis_url is empty */
	CX_REDIS_DOWN,				/* nothing was tried: breaker open, host name not resolved yet,
								 * budget used up, or interrupts held */
	CX_REDIS_FAILED				/* connecting, sending or receiving failed or took too long */
} cx_redis_status;

typedef enum cx_redis_reply_type
{
	CX_REDIS_NIL,
	CX_REDIS_TEXT,				/* status or bulk string: data, length */
	CX_REDIS_INTEGER,			/* integer */
	CX_REDIS_ERROR,				/* data, length: what the server said */
	CX_REDIS_ARRAY				/* elements, element_count */
} cx_redis_reply_type;

typedef struct cx_redis_reply
{
	cx_redis_reply_type type;
	int64		integer;
	const char *data;			/* zero-terminated for convenience; may hold zero bytes */
	size_t		length;
	struct cx_redis_reply *elements;
	size_t		element_count;
} cx_redis_reply;

typedef struct cx_redis_command
{
	int			argc;
	const char *const *argv;
	const size_t *argvlen;
} cx_redis_command;

/*
 * The time that one query may still wait for Redis, in microseconds.  Every call takes what it
 * waited off it, so that a query waits redis_timeout once, however many calls it makes.
 */
typedef struct cx_redis_budget
{
	int64		left_us;
} cx_redis_budget;

/* Why a call was not CX_REDIS_OK. */
typedef enum cx_redis_cause
{
	CX_REDIS_UNREACHABLE,		/* or silent, or not tried */
	CX_REDIS_REFUSED,			/* an error reply that means everybody: a password, loading, ... */
	CX_REDIS_TOO_LARGE			/* a reply over max_entry_size plus slack */
} cx_redis_cause;

typedef struct cx_redis_problem
{
	cx_redis_cause cause;
	bool		maybe_done;		/* some of the commands may have been carried out */
	char		text[256];		/* for users and the log; printable ASCII; what the server said,
								 * code first, if it refused */
} cx_redis_problem;

extern void cx_redis_init(void);

/* Fills the budget with redis_timeout. */
extern void cx_redis_budget_start(cx_redis_budget *budget);

/*
 * Sends count commands in one batch and waits for all replies, connecting first where needed.
 * replies[] is the caller's; what it points to is allocated in CurrentMemoryContext.  Unless the
 * status is CX_REDIS_OK, replies[] is undefined and the connection is closed or never was open.
 * A reply over max_entry_size plus slack counts as CX_REDIS_FAILED.
 *
 * On a kept connection that turns out to be dead the batch is sent once more on a new one: only
 * commands whose effect is the same sent twice may be passed.
 */
extern cx_redis_status cx_redis_call(const cx_redis_command *commands, int count,
									 cx_redis_reply *replies, cx_redis_budget *budget);

/*
 * The same for commands whose effect differs when sent twice: the batch is sent once at most.  A
 * failure leaves open what was carried out; cx_redis_last_problem() tells where nothing was.
 */
extern cx_redis_status cx_redis_call_once(const cx_redis_command *commands, int count,
										  cx_redis_reply *replies, cx_redis_budget *budget);

/*
 * The same, but only over the connection of this process's last call, so to the same server; where it
 * is closed nothing is sent, and the status is CX_REDIS_FAILED.
 */
extern cx_redis_status cx_redis_call_kept(const cx_redis_command *commands, int count,
										  cx_redis_reply *replies, cx_redis_budget *budget);

/* What became of this process's last call, if its status was not CX_REDIS_OK. */
extern const cx_redis_problem *cx_redis_last_problem(void);

/* Grows when a call opens a connection: what answers may be another server than before. */
extern uint64 cx_redis_connections(void);

/* Could a call be tried right now?  Takes no lock and does no I/O. */
extern bool cx_redis_available(void);

/*
 * Host names, for the background worker: resolves the host of redis_url where it is a name and
 * publishes the addresses to backends.  Blocks.  Returns the time after which to call it again,
 * in milliseconds, or -1 when nothing needs resolving until the settings are reloaded.
 */
extern long cx_redis_resolve(void);

#endif
