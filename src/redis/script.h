/*
 * redis/script.h
 *		Lua scripts that Redis runs in one step, each on one key.
 */
#ifndef CX_REDIS_SCRIPT_H
#define CX_REDIS_SCRIPT_H

#include "postgres.h"

#include "redis/redis.h"

/*
 * How scripts on a string begin: v is what stands under the key, false if nothing does; now is
 * Redis's clock in microseconds, for which a double is good enough until the year 2255.
 */
#define CX_SCRIPT_VALUE_AND_NOW \
	"local v = redis.pcall('GET', KEYS[1])\n" \
	"if type(v) == 'table' and v.err then return v end\n" \
	CX_SCRIPT_NOW
#define CX_SCRIPT_NOW \
	"local t = redis.pcall('TIME')\n" \
	"if t.err then return t end\n" \
	"local now = t[1] * 1000000 + t[2]\n"

/*
 * A script, in static memory: static cx_script add = {"return redis.call(...)"};
 *
 * What it calls, it should call with redis.pcall() and return an error of that as it is: otherwise
 * Redis wraps the error in another text.  Integers over 2^53 are exact as strings only.
 */
typedef struct cx_script
{
	const char *source;
	char		sha1[41];		/* empty until first needed; use cx_script_sha1() */
} cx_script;

/*
 * Runs a script on a key: by its hash, and by its text if Redis doesn't know that.  Like
 * cx_redis_call_once(), it never runs twice.  The reply may be an error.
 */
extern cx_redis_status cx_script_run(cx_script *script, const char *key, size_t key_length,
									 int argc, const char *const *argv, const size_t *argvlen,
									 cx_redis_reply *reply, cx_redis_budget *budget);

/* For batches: the hash to send with EVALSHA, and whether the reply says that Redis lacks it. */
extern const char *cx_script_sha1(cx_script *script);
extern bool cx_script_missing(const cx_redis_reply *reply);

#endif
