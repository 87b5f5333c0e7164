/*
 * api/session_scripts.h
 *		What sessions are in Redis, and the scripts that read and change them.
 *
 * A session has two keys, named with the SHA-256 of its token, in hexadecimal:
 *
 *	{prefix}:session:{hash}				array [user_id, ttl]: a signpost
 *	{prefix}:session_user:{user_id}		hash of {hash} -> array [created_at, expires_at, ttl, data]
 *
 * All in MessagePack.  Times are microseconds since 1970 of Redis's clock, TTLs are milliseconds.
 */
#ifndef CX_API_SESSION_SCRIPTS_H
#define CX_API_SESSION_SCRIPTS_H

#include "postgres.h"

#include "redis/script.h"

/*
 * A signpost lives so much longer than its session, in milliseconds.  Its end is put off first and
 * then the session's: between the two lies redis_timeout at most, which is a minute at most.
 */
#define CX_SESSION_SIGNPOST_KEPT_MS "600000"

/* On a signpost.  Arguments: 1 to put its end off, else 0.  What it holds, or nil. */
extern cx_script cx_session_find;

/* The others work on a user's key.  A session that has ended counts as none. */

/* Arguments: hash, ttl, data.  Also removes some of the user's sessions that have ended. */
extern cx_script cx_session_create;

/* Arguments: hash, and 1 to put its end off, else 0.  Nil, or created_at, expires_at, data. */
extern cx_script cx_session_get;

/* Arguments: hash, data as it was read, new data.  Nil, or 1 if done, or the data as it is now. */
extern cx_script cx_session_replace;

/* Arguments: hash.  Nil, or its TTL. */
extern cx_script cx_session_ttl;

/* Arguments: hash, new hash.  1 if there was the session, else 0. */
extern cx_script cx_session_rotate;

/* Arguments: hash.  1 if there was the session, else 0. */
extern cx_script cx_session_destroy;

/* No arguments.  How many sessions there were. */
extern cx_script cx_session_destroy_user;

/* No arguments.  Of each session its hash, created_at, expires_at and data, one after another. */
extern cx_script cx_session_list;

#endif
