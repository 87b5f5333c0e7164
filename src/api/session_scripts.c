/*
 * api/session_scripts.c
 *		What sessions are in Redis, and the scripts that read and change them; api/session.c calls them.
 *
 * Each does its work in one step on one key.  An error of Redis ends it, and is its reply.
 */
#include "postgres.h"

#include "api/session_scripts.h"

/* A user's key lives so much longer than the last session, in milliseconds. */
#define USER_KEPT_MS "60000"

/*
 * What the scripts on a user's key have in common: call() ends the script with an error of Redis,
 * read() takes a session apart, or gives nothing if it is none or has ended.
 */
#define BEGIN_SCRIPT \
	CX_SCRIPT_NOW \
	"local user, failed = KEYS[1], nil\n" \
	"local function call(...)\n" \
	"	local answer = redis.pcall(...)\n" \
	"	if type(answer) == 'table' and answer.err then\n" \
	"		failed = answer\n" \
	"		error('failed')\n" \
	"	end\n" \
	"	return answer\n" \
	"end\n" \
	"local function is_whole(n, most)\n" \
	"	return type(n) == 'number' and n >= 0 and n <= most and n % 1 == 0\n" \
	"end\n" \
	"local function parse(v)\n" \
	"	if not v or v:byte(1) ~= 0x94 then return end\n" \
	"	local ok, at, created, expires, ttl = pcall(cmsgpack.unpack_limit, v, 3, 1)\n" \
	"	if ok and at > 0 and is_whole(created, 9e15) and is_whole(expires, 9e15) and\n" \
	"		is_whole(ttl, 4e12) then\n" \
	"		return created, expires, ttl, v:sub(at + 1)\n" \
	"	end\n" \
	"end\n" \
	"local function read(v)\n" \
	"	local created, expires, ttl, data = parse(v)\n" \
	"	if created and expires > now then return created, expires, ttl, data end\n" \
	"end\n" \
	"local function write(hash, created, expires, ttl, data)\n" \
	"	call('HSET', user, hash, '\\148' .. cmsgpack.pack(created, expires, ttl) .. data)\n" \
	"	if call('PTTL', user) < ttl + " USER_KEPT_MS " then\n" \
	"		call('PEXPIRE', user, ttl + " USER_KEPT_MS ")\n" \
	"	end\n" \
	"end\n" \
	"local function remove_ended(fields)\n" \
	"	for i = 1, #fields, 2 do\n" \
	"		local _, expires = parse(fields[i + 1])\n" \
	"		if expires and expires <= now then call('HDEL', user, fields[i]) end\n" \
	"	end\n" \
	"end\n" \
	"local ok, answer = pcall(function()\n"
#define END_SCRIPT \
	"end)\n" \
	"if ok then return answer end\n" \
	"return failed or redis.error_reply('ERR ' .. tostring(answer))\n"

cx_script	cx_session_find = {
	"local v = redis.pcall('GET', KEYS[1])\n"
	"if not v or v.err or ARGV[1] == '0' then return v end\n"
	"local ok, sign = pcall(cmsgpack.unpack, v)\n"
	"local ttl = ok and type(sign) == 'table' and sign[2]\n"
	"if type(ttl) == 'number' and ttl >= 0 and ttl <= 4e12 and ttl % 1 == 0 then\n"
	"	local done = redis.pcall('PEXPIRE', KEYS[1], ttl + " CX_SESSION_SIGNPOST_KEPT_MS ")\n"
	"	if type(done) == 'table' then return done end\n"
	"end\n"
	"return v\n"
};

cx_script	cx_session_create = {
	BEGIN_SCRIPT
	"	local ttl = tonumber(ARGV[2])\n"
	"	local place = tonumber(ARGV[1]:sub(1, 8), 16)\n"
	"	remove_ended(call('HSCAN', user, place, 'COUNT', 16)[2])\n"
	"	write(ARGV[1], now, now + ttl * 1000, ttl, ARGV[3])\n"
	"	return 1\n"
	END_SCRIPT
};

cx_script	cx_session_get = {
	BEGIN_SCRIPT
	"	local created, expires, ttl, data = read(call('HGET', user, ARGV[1]))\n"
	"	if not created then return false end\n"
	"	if ARGV[2] == '1' then\n"
	"		expires = now + ttl * 1000\n"
	"		write(ARGV[1], created, expires, ttl, data)\n"
	"	end\n"
	"	return {created, expires, data}\n"
	END_SCRIPT
};

cx_script	cx_session_replace = {
	BEGIN_SCRIPT
	"	local created, expires, ttl, data = read(call('HGET', user, ARGV[1]))\n"
	"	if not created then return false end\n"
	"	if data ~= ARGV[2] then return data end\n"
	"	write(ARGV[1], created, expires, ttl, ARGV[3])\n"
	"	return 1\n"
	END_SCRIPT
};

cx_script	cx_session_ttl = {
	BEGIN_SCRIPT
	"	local _, _, ttl = read(call('HGET', user, ARGV[1]))\n"
	"	return ttl or false\n"
	END_SCRIPT
};

cx_script	cx_session_rotate = {
	BEGIN_SCRIPT
	"	local created, expires, ttl, data = read(call('HGET', user, ARGV[1]))\n"
	"	if not created then return 0 end\n"
	"	write(ARGV[2], created, expires, ttl, data)\n"
	"	call('HDEL', user, ARGV[1])\n"
	"	return 1\n"
	END_SCRIPT
};

cx_script	cx_session_destroy = {
	BEGIN_SCRIPT
	"	local created = read(call('HGET', user, ARGV[1]))\n"
	"	call('HDEL', user, ARGV[1])\n"
	"	return created and 1 or 0\n"
	END_SCRIPT
};

cx_script	cx_session_destroy_user = {
	BEGIN_SCRIPT
	"	local count = 0\n"
	"	for _, v in ipairs(call('HVALS', user)) do\n"
	"		if read(v) then count = count + 1 end\n"
	"	end\n"
	"	call('UNLINK', user)\n"
	"	return count\n"
	END_SCRIPT
};

cx_script	cx_session_list = {
	BEGIN_SCRIPT
	"	local fields = call('HGETALL', user)\n"
	"	local found = {}\n"
	"	for i = 1, #fields, 2 do\n"
	"		local created, expires, _, data = read(fields[i + 1])\n"
	"		if created then\n"
	"			found[#found + 1] = fields[i]\n"
	"			found[#found + 1] = created\n"
	"			found[#found + 1] = expires\n"
	"			found[#found + 1] = data\n"
	"		end\n"
	"	end\n"
	"	remove_ended(fields)\n"
	"	return found\n"
	END_SCRIPT
};
