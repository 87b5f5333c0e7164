/*
 * redis/connection.h
 *		One connection to a server: requests out, replies in, in step.
 */
#ifndef CX_REDIS_CONNECTION_H
#define CX_REDIS_CONNECTION_H

#include "postgres.h"

#include "redis/redis.h"
#include "redis/trouble.h"
#include "redis/wait.h"

#include "base/redis_url.h"

typedef struct cx_connection cx_connection;

/* How far an exchange came. */
typedef enum cx_progress
{
	CX_NOTHING_SENT,
	CX_NOTHING_ANSWERED,
	CX_ANSWER_BEGAN
} cx_progress;

/* Makes a closed connection that lives as long as the process; NULL if there is no memory. */
extern cx_connection *cx_connection_create(void);

/* Connects; logging in is login.c's.  May raise an interrupt. */
extern bool cx_connection_open(cx_connection *connection, const cx_redis_target *url,
							   cx_deadline *deadline, cx_trouble *trouble);

extern bool cx_connection_is_open(const cx_connection *connection);

/* Closes an open connection if the server has closed it, or sent what nobody asked for. */
extern void cx_connection_check_idle(cx_connection *connection);

/*
 * Sends the commands and waits for all their replies.  Failing closes the connection; *progress
 * tells when.  May raise an interrupt: then the caller must close the connection before the error
 * leaves this layer.
 */
extern bool cx_connection_exchange(cx_connection *connection, const cx_redis_command *commands,
								   int count, cx_redis_reply *replies, cx_deadline *deadline,
								   cx_trouble *trouble, cx_progress *progress);

/* Does nothing to a closed one. */
extern void cx_connection_close(cx_connection *connection);

#endif
