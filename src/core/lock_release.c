/*
 * core/lock_release.c
 *		Ending a lock that was taken in Redis by api/lock.c: for its holder, and for the background
 *		worker when the holder's transaction has ended.
 *
 * Where Redis is full it takes no value, but lets keys be removed.  Then the last token is
 * forgotten, and the next one is greater because it is later; that is better than a lock that
 * stays, or a worker that waits for room to release it.
 */
#include "postgres.h"

#include "core/lock_release.h"

cx_script	cx_lock_release = {
	CX_SCRIPT_VALUE_AND_NOW
	CX_LOCK_READ
	"if string.format('%.0f', token) ~= ARGV[1] or expires <= now then return 0 end\n"
	"local done = redis.pcall('SET', KEYS[1], ARGV[1] .. ' 0', 'PX', " CX_LOCK_KEPT_MS ")\n"
	"if done.err then done = redis.pcall('DEL', KEYS[1]) end\n"
	"if type(done) == 'table' and done.err then return done end\n"
	"return 1\n"
};
