/*
 * redis/login.h
 *		What a new connection says first.
 */
#ifndef CX_REDIS_LOGIN_H
#define CX_REDIS_LOGIN_H

#include "postgres.h"

#include "redis/connection.h"

/* Stands between what was refused and what the server said, in the text of the trouble. */
#define CX_LOGIN_REFUSED " refused: "

/*
 * Authenticates, selects the database and makes sure that the server serves.  Failing closes the
 * connection.  May raise an interrupt.
 */
extern bool cx_login(cx_connection *connection, const cx_redis_target *url, cx_deadline *deadline,
					 cx_trouble *trouble);

/* Does this error reply mean that the server serves nobody now, or not without logging in again? */
extern bool cx_login_needed(const cx_redis_reply *reply);

#endif
