/*
 * redis/wait.h
 *		Waiting for a socket: the one place in the tree that does.
 */
#ifndef CX_REDIS_WAIT_H
#define CX_REDIS_WAIT_H

#include "postgres.h"

typedef struct cx_waiter cx_waiter;

/* When to give up: a point of cx_wait_clock(). */
typedef struct cx_deadline
{
	int64		at_us;
	bool		passed;			/* private to cx_wait() */
} cx_deadline;

/* Microseconds of a clock that is never set back and is the same in all processes. */
extern int64 cx_wait_clock(void);

extern cx_deadline cx_wait_deadline(int64 from_now_us);

/* Prepares waiting for a socket.  NULL if the system has no file descriptor left for it. */
extern cx_waiter *cx_waiter_create(pgsocket fd);

/* To be called before the socket is closed. */
extern void cx_waiter_free(cx_waiter *waiter);

/*
 * Waits until the socket is ready for any of the events (WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE).
 * False if the deadline passes first.  Raises an error when the query is cancelled, times out or
 * the backend is terminated, and whatever else CHECK_FOR_INTERRUPTS() raises.
 */
extern bool cx_wait(cx_waiter *waiter, uint32 events, cx_deadline *deadline);

#endif
