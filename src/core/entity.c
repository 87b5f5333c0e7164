/*
 * core/entity.c
 *		Entities in Redis: what is stored, and setting a key only to what is newer.
 *
 * A version is 28 bytes, numbers with the highest byte first: system identifier (8), timeline (4),
 * generation (4), LSN (8), sequence (4).  What has none, or another system's, counts as older.
 *
 * Invariants (rules 13 and 14 of the protocol in core/clock.c):
 *
 *	1. Comparing and setting is one step, a script of one key.  Bytes are compared, as numbers: Lua has
 *	   no integers of 64 bits, and compares strings as the locale says.
 *	2. Whatever is sent twice has the effect of what is sent once.
 *	3. A deleted row leaves a version for longer than anything older can come after it, and so does a
 *	   key that a sweep removes: what is on its way to Redis twice must not bring it back.  What comes
 *	   too late never creates a key; newer than what is there, it removes that.
 */
#include "postgres.h"

#include "core/entity.h"
#include "core/lock_release.h"
#include "core/owner.h"

#include "access/xlog.h"
#include "port/pg_bswap.h"
#include "redis/script.h"

#define SUFFIX_HEAD "\xa8_version\xc4\x1c"
#define SUFFIX_HEAD_LENGTH 11

/* The time that a command may take from being made to being run. */
#define FILL_DELAY_MS 60000

/* The same bytes in Lua; reads what the key has and takes it apart. */
#define READ_OLD \
	"local old = redis.pcall('GETRANGE', KEYS[1], -39, -1)\n" \
	"local function is_version()\n" \
	"  return type(old) == 'string' and #old == 39" \
	" and string.sub(old, 1, 11) == '\\168_version\\196\\028'\n" \
	"end\n" \
	"local function compare(new)\n" \
	"  if not is_version() or string.sub(old, 12, 19) ~= string.sub(new, 1, 8)" \
	" then return nil end\n" \
	"  for i = 9, 28 do\n" \
	"    local difference = string.byte(old, 11 + i) - string.byte(new, i)\n" \
	"    if difference ~= 0 then return difference end\n" \
	"  end\n" \
	"  return 0\n" \
	"end\n"

static cx_script set_script = {
	READ_OLD
	"local difference = compare(string.sub(ARGV[1], -28))\n"
	"if difference and difference > 0 then return 0 end\n"
	"if difference == 0 then return 3 end\n"
	"local now = redis.call('TIME')\n"
	"if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[3]) then\n"
	"  redis.pcall('UNLINK', KEYS[1])\n"
	"  return 2\n"
	"end\n"
	"local done\n"
	"if ARGV[2] == '0' then done = redis.pcall('SET', KEYS[1], ARGV[1])\n"
	"else done = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end\n"
	"if done.err then return done end\n"
	"return 1\n"
};

static cx_script remove_script = {
	READ_OLD
	"local difference = compare(ARGV[1])\n"
	"if ARGV[2] == 'all' then\n"
	"  if not is_version() then return 0 end\n"
	"  if not difference or string.sub(old, 20, 27) ~= string.sub(ARGV[1], 9, 16) then\n"
	"    difference = -1\n"
	"  end\n"
	"end\n"
	"if difference and difference >= 0 then return 0 end\n"
	"if ARGV[2] == 'all' then return redis.pcall('UNLINK', KEYS[1]) end\n"
	"local done = redis.pcall('SET', KEYS[1], '\\129\\168_version\\196\\028' .. ARGV[1], 'PX', ARGV[3])\n"
	"if done.err then return redis.pcall('UNLINK', KEYS[1]) end\n"
	"return 1\n"
};

static char *
put(char *out, const void *bytes, size_t length)
{
	memcpy(out, bytes, length);
	return out + length;
}

static char *
put_32(char *out, uint32 number)
{
	number = pg_hton32(number);
	return put(out, &number, sizeof(number));
}

static char *
put_64(char *out, uint64 number)
{
	number = pg_hton64(number);
	return put(out, &number, sizeof(number));
}

static char *
put_version(char *out, const cx_entity_origin *origin)
{
	out = put_64(out, GetSystemIdentifier());
	out = put_32(out, origin->era.timeline);
	out = put_32(out, origin->era.generation);
	out = put_64(out, origin->lsn);
	return put_32(out, origin->sequence);
}

/* Takes a map's head apart: the number of pairs, and how long it is.  0: it is none. */
static size_t
map_head(const char *value, size_t length, uint64 *pairs)
{
	const uint8 *bytes = (const uint8 *) value;

	if (length >= 1 && (bytes[0] & 0xf0) == 0x80)
	{
		*pairs = bytes[0] & 0x0f;
		return 1;
	}
	if (length >= 3 && bytes[0] == 0xde)
	{
		*pairs = (uint64) bytes[1] << 8 | bytes[2];
		return 3;
	}
	if (length >= 5 && bytes[0] == 0xdf)
	{
		*pairs = (uint64) bytes[1] << 24 | (uint64) bytes[2] << 16 | (uint64) bytes[3] << 8 |
			bytes[4];
		return *pairs < PG_UINT32_MAX ? 5 : 0;
	}
	return 0;
}

bool
cx_entity_is_map(const char *value, size_t length)
{
	uint64		pairs;

	return map_head(value, length, &pairs) > 0;
}

/* The map with its version, palloc'd. */
static char *
with_version(const char *value, size_t length, const cx_entity_origin *origin, size_t *size)
{
	char	   *stored = palloc_extended(length + 5 + CX_ENTITY_SUFFIX_SIZE, MCXT_ALLOC_HUGE);
	char	   *out = stored;
	uint64		pairs = 0;
	size_t		head = value == NULL ? 0 : map_head(value, length, &pairs);

	pairs++;
	if (pairs < 16)
		*out++ = (char) (0x80 | pairs);
	else if (pairs <= PG_UINT16_MAX)
	{
		*out++ = (char) 0xde;
		*out++ = (char) (pairs >> 8);
		*out++ = (char) pairs;
	}
	else
	{
		*out++ = (char) 0xdf;
		out = put_32(out, (uint32) pairs);
	}
	if (value != NULL)
		out = put(out, value + head, length - head);
	out = put(out, SUFFIX_HEAD, SUFFIX_HEAD_LENGTH);
	out = put_version(out, origin);
	*size = out - stored;
	return stored;
}

/* EVALSHA of a script: room for its arguments is left empty. */
static cx_redis_command *
make_command(cx_script *script, const char *key, size_t key_length, int arguments)
{
	cx_redis_command *command = palloc(sizeof(cx_redis_command));
	const char **argv = palloc(sizeof(char *) * (4 + arguments));
	size_t	   *argvlen = palloc(sizeof(size_t) * (4 + arguments));

	argv[0] = "EVALSHA";
	argv[1] = cx_script_sha1(script);
	argv[2] = "1";
	for (int i = 0; i < 3; i++)
		argvlen[i] = strlen(argv[i]);
	argv[3] = key;
	argvlen[3] = key_length;
	command->argc = 4;
	command->argv = argv;
	command->argvlen = argvlen;
	return command;
}

static void
add_argument(cx_redis_command *command, const char *argument, size_t length)
{
	((const char **) command->argv)[command->argc] = argument;
	((size_t *) command->argvlen)[command->argc] = length;
	command->argc++;
}

static void
add_number(cx_redis_command *command, int64 number)
{
	char	   *text = psprintf(INT64_FORMAT, number);

	add_argument(command, text, strlen(text));
}

cx_redis_command *
cx_entity_set(const char *key, size_t key_length, const char *value, size_t value_length,
			  int64 ttl_ms, const cx_entity_origin *origin, int64 not_after_ms)
{
	cx_redis_command *command = make_command(&set_script, key, key_length, 3);
	size_t		size;
	char	   *stored = with_version(value, value_length, origin, &size);

	add_argument(command, stored, size);
	add_number(command, ttl_ms);
	add_number(command, not_after_ms);
	return command;
}

cx_redis_command *
cx_entity_remove(const char *key, size_t key_length, bool all, const cx_entity_origin *origin)
{
	cx_redis_command *command = make_command(&remove_script, key, key_length, 3);
	char	   *version = palloc(CX_ENTITY_VERSION_SIZE);

	put_version(version, origin);
	add_argument(command, version, CX_ENTITY_VERSION_SIZE);
	add_argument(command, all ? "all" : "any", 3);
	add_number(command, CX_ENTITY_REMOVED_MS);
	return command;
}

cx_redis_command *
cx_entity_unlock(const char *key, size_t key_length, const char *token, size_t token_length)
{
	cx_redis_command *command = make_command(&cx_lock_release, key, key_length, 1);

	add_argument(command, token, token_length);
	return command;
}

typedef cx_redis_status (*call_function) (const cx_redis_command *commands, int count,
										  cx_redis_reply *replies, cx_redis_budget *budget);

/*
 * A script that is missing did nothing, and what others did they can do again (invariant 2).  Nothing
 * is sent once more on a new connection, behind which there may be a Redis that has lost its memory.
 */
static cx_redis_status
call_with_scripts(call_function call, const cx_redis_command *commands, int count,
				  cx_redis_reply *replies, cx_redis_budget *budget)
{
	cx_script  *scripts[] = {&set_script, &remove_script, &cx_lock_release, &cx_owner_claim};
	cx_redis_status status = call(commands, count, replies, budget);
	cx_redis_command loads[lengthof(scripts)];
	cx_redis_reply loaded[lengthof(scripts)];
	const char *argv[lengthof(scripts)][3];
	size_t		argvlen[lengthof(scripts)][3];
	bool		missing = false;

	if (status != CX_REDIS_OK)
		return status;
	for (int i = 0; i < count; i++)
		missing |= cx_script_missing(&replies[i]);
	if (!missing)
		return status;

	for (int i = 0; i < lengthof(scripts); i++)
	{
		argv[i][0] = "SCRIPT";
		argv[i][1] = "LOAD";
		argv[i][2] = scripts[i]->source;
		for (int word = 0; word < 3; word++)
			argvlen[i][word] = strlen(argv[i][word]);
		loads[i].argc = 3;
		loads[i].argv = argv[i];
		loads[i].argvlen = argvlen[i];
	}
	status = call(loads, lengthof(loads), loaded, budget);
	if (status != CX_REDIS_OK)
		return status;
	return call(commands, count, replies, budget);
}

cx_redis_status
cx_entity_call(const cx_redis_command *commands, int count, cx_redis_reply *replies,
			   cx_redis_budget *budget)
{
	return call_with_scripts(cx_redis_call_once, commands, count, replies, budget);
}

cx_redis_status
cx_entity_call_kept(const cx_redis_command *commands, int count, cx_redis_reply *replies,
					cx_redis_budget *budget)
{
	return call_with_scripts(cx_redis_call_kept, commands, count, replies, budget);
}

cx_entity_verdict
cx_entity_fill(const char *key, size_t key_length, const char *value, size_t value_length,
			   int64 ttl_ms, XLogRecPtr lsn, cx_redis_budget *budget)
{
	cx_entity_origin origin = {.lsn = lsn};
	int64		now_ms = cx_era_redis_clock();
	cx_redis_reply reply;

	Assert(value == NULL || cx_entity_is_map(value, value_length));
	cx_era_use();
	if (!cx_era_get(&origin.era) || now_ms == 0)
		return CX_ENTITY_FAILED;
	if (cx_entity_call(cx_entity_set(key, key_length, value, value_length, ttl_ms, &origin,
									 now_ms + FILL_DELAY_MS), 1, &reply, budget) != CX_REDIS_OK ||
		reply.type != CX_REDIS_INTEGER)
		return CX_ENTITY_FAILED;
	return reply.integer == CX_ENTITY_WAS_SET ? CX_ENTITY_STORED : CX_ENTITY_OLDER;
}

void
cx_entity_take_back(const char *key, size_t key_length, XLogRecPtr lsn, cx_redis_budget *budget)
{
	cx_entity_origin origin = {cx_era_begun(), lsn, 1};
	cx_redis_reply reply;

	(void) cx_entity_call(cx_entity_remove(key, key_length, false, &origin), 1, &reply, budget);
}

static uint64
get_64(const char *bytes)
{
	uint64		number;

	memcpy(&number, bytes, sizeof(number));
	return pg_ntoh64(number);
}

static uint32
get_32(const char *bytes)
{
	uint32		number;

	memcpy(&number, bytes, sizeof(number));
	return pg_ntoh32(number);
}

bool
cx_entity_read_lsn(const char *stored, size_t length, XLogRecPtr *lsn)
{
	const char *version = stored + length - CX_ENTITY_VERSION_SIZE;
	cx_era		era;

	if (length <= CX_ENTITY_SUFFIX_SIZE ||
		memcmp(version - SUFFIX_HEAD_LENGTH, SUFFIX_HEAD, SUFFIX_HEAD_LENGTH) != 0 ||
		!cx_era_get(&era) || get_64(version) != GetSystemIdentifier() ||
		get_32(version + 8) != era.timeline || get_32(version + 12) != era.generation)
		return false;
	*lsn = get_64(version + 16);
	return true;
}
