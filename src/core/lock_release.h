/*
 * core/lock_release.h
 *		Ending a lock that was taken in Redis by api/lock.c.
 */
#ifndef CX_CORE_LOCK_RELEASE_H
#define CX_CORE_LOCK_RELEASE_H

#include "postgres.h"

#include "redis/script.h"

/*
 * What is stored under a lock's key: its last token and the time until which its holder has it, in
 * microseconds of Redis's clock, 0 if nobody has; as decimal numbers with a space between.  A
 * script that reads it has token and expires then.
 */
#define CX_LOCK_READ \
	"local token, expires = 0, 0\n" \
	"if v then\n" \
	"	local a, b = string.match(v, '^(%d+) (%d+)$')\n" \
	"	token, expires = tonumber(a), tonumber(b)\n" \
	"	if not token or math.max(token, expires) >= 9e15 then\n" \
	"		return redis.error_reply('WRONGTYPE The value under the key is no lock')\n" \
	"	end\n" \
	"end\n"

/* A key is kept for a day longer than the lock is held: the tokens grow from what it says. */
#define CX_LOCK_KEPT_MS "86400000"

/* Ends the lock if its holder has this token, ARGV[1]; 1 if so, else 0. */
extern cx_script cx_lock_release;

#endif
