/*
 * api/session.c
 *		SQL functions for sessions that services share: session_create, session_get, session_update,
 *		session_rotate, session_destroy, session_destroy_user, session_list.
 *
 * A session has two keys in Redis, named with the SHA-256 of its token, in hexadecimal:
 *
 *	{prefix}:session:{hash}				array [user_id, ttl]: a signpost
 *	{prefix}:session_user:{user_id}		hash of {hash} -> array [created_at, expires_at, ttl, data]
 *
 * Times are microseconds since 1970 of Redis's clock, TTLs are milliseconds.
 *
 * 1. All that is true of a user's sessions is in one key, and each script works on one key.  So
 *	  each step is seen by all others as a whole, whatever commands come in between: of two keys, one with
 *	  the session and one with what revokes it, a reader could see one from before and one from after.
 *	  Ending a user's sessions is deleting the user's key.
 * 2. A signpost says where to look, and makes nothing valid.  It is written before the session that it
 *	  leads to, lives longer, and goes after it.  So a crash between two commands leaves a signpost that
 *	  leads nowhere; or, in session_create, a session whose token nobody knows.  Both expire.
 * 3. A token is 256 random bits as text.  Redis, the log and messages see no more than its hash.
 * 4. A token that is malformed, was never given, has ended or has expired makes the same calls and
 *	  gives the same result.  Where there is no signpost, the second call goes to the key of a user with
 *	  an empty name, whom nobody can be.
 * 5. A session ends at expires_at by Redis's clock, not when Redis gets around to expire a key.  Fields of a
 *	  hash don't expire: each new session looks at a few of the user's, taken by chance, and removes
 *	  those that have ended, so that their number stays a small part of all.
 * 6. session_update merges here, in jsonb: Lua would make doubles of large integers, and lose the
 *	  difference between 1 and 1.0.  It replaces what it has read only if that is still there, else begins
 *	  again with what is.  Each time it must, somebody else's change was made, so that the whole goes on.
 *
 * Locks: none.  Memory: the caller's; session_update reuses what one try needed for the next but one.
 */
#include "postgres.h"

#include "api/application.h"
#include "base/msgpack_writer.h"
#include "base/settings.h"
#include "core/pause.h"
#include "core/time_limit.h"
#include "query/json_codec.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#define TOKEN_BYTES 32
#define TOKEN_LENGTH 43			/* six bits a letter */
#define HASH_LENGTH (PG_SHA256_DIGEST_LENGTH * 2)

/* The longest time that an update tries, while others change the same session. */
#define UPDATE_LIMIT_MS 10000

/* From that many tries on it makes room for others by a pause. */
#define UPDATE_TRIES 3
#define LONGEST_PAUSE_MS 32

/*
 * How much longer than a session its keys live, in milliseconds.  The signpost is put off first, and
 * then the session: that takes redis_timeout at most, which is a minute at most.
 */
#define SIGNPOST_KEPT_MS "600000"
#define USER_KEPT_MS "60000"

/*
 * What the scripts on a user's key have in common: call() ends the script with an error of Redis,
 * read() takes a session apart, or gives nothing if it is none or has ended.
 */
#define BEGIN_SCRIPT \
	CX_SCRIPT_NOW \
	"local user = KEYS[1]\n" \
	"local function call(...)\n" \
	"	local answer = redis.pcall(...)\n" \
	"	if type(answer) == 'table' and answer.err then error(answer, 0) end\n" \
	"	return answer\n" \
	"end\n" \
	"local function is_number(n, most) return type(n) == 'number' and n >= 0 and n <= most end\n" \
	"local function parse(v)\n" \
	"	if not v or v:byte(1) ~= 0x94 then return end\n" \
	"	local ok, at, created, expires, ttl = pcall(cmsgpack.unpack_limit, v, 3, 1)\n" \
	"	if ok and at > 0 and is_number(created, 9e15) and is_number(expires, 9e15) and\n" \
	"		is_number(ttl, 4e12) then\n" \
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
	"if ok or type(answer) == 'table' then return answer end\n" \
	"return redis.error_reply('ERR ' .. tostring(answer))\n"

/* On a signpost.  ARGV: 1 to put its end off, else 0. */
static cx_script find_script = {
	"local v = redis.pcall('GET', KEYS[1])\n"
	"if not v or v.err or ARGV[1] == '0' then return v end\n"
	"local ok, sign = pcall(cmsgpack.unpack, v)\n"
	"local ttl = ok and type(sign) == 'table' and sign[2]\n"
	"if type(ttl) == 'number' and ttl >= 0 and ttl <= 4e12 then\n"
	"	local done = redis.pcall('PEXPIRE', KEYS[1], ttl + " SIGNPOST_KEPT_MS ")\n"
	"	if type(done) == 'table' then return done end\n"
	"end\n"
	"return v\n"
};

/* ARGV: hash, ttl, data. */
static cx_script create_script = {
	BEGIN_SCRIPT
	"	local ttl = tonumber(ARGV[2])\n"
	"	local place = tonumber(ARGV[1]:sub(1, 8), 16)\n"
	"	remove_ended(call('HSCAN', user, place, 'COUNT', 16)[2])\n"
	"	write(ARGV[1], now, now + ttl * 1000, ttl, ARGV[3])\n"
	"	return 1\n"
	END_SCRIPT
};

/* ARGV: hash, and 1 to put its end off, else 0.  Nil, or created_at, expires_at, data. */
static cx_script get_script = {
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

/* ARGV: hash, data as it was read, new data.  Nil, or 1 if that was done, or what the data is now. */
static cx_script replace_script = {
	BEGIN_SCRIPT
	"	local created, expires, ttl, data = read(call('HGET', user, ARGV[1]))\n"
	"	if not created then return false end\n"
	"	if data ~= ARGV[2] then return data end\n"
	"	write(ARGV[1], created, expires, ttl, ARGV[3])\n"
	"	return 1\n"
	END_SCRIPT
};

/* ARGV: hash.  Nil, or the TTL. */
static cx_script ttl_script = {
	BEGIN_SCRIPT
	"	local _, _, ttl = read(call('HGET', user, ARGV[1]))\n"
	"	return ttl or false\n"
	END_SCRIPT
};

/* ARGV: hash, new hash.  1 if there was the session, else 0. */
static cx_script rotate_script = {
	BEGIN_SCRIPT
	"	local created, expires, ttl, data = read(call('HGET', user, ARGV[1]))\n"
	"	if not created then return 0 end\n"
	"	write(ARGV[2], created, expires, ttl, data)\n"
	"	call('HDEL', user, ARGV[1])\n"
	"	return 1\n"
	END_SCRIPT
};

/* ARGV: hash.  1 if there was the session, else 0. */
static cx_script destroy_script = {
	BEGIN_SCRIPT
	"	local created = read(call('HGET', user, ARGV[1]))\n"
	"	call('HDEL', user, ARGV[1])\n"
	"	return created and 1 or 0\n"
	END_SCRIPT
};

/* How many sessions there were. */
static cx_script destroy_user_script = {
	BEGIN_SCRIPT
	"	local count = 0\n"
	"	for _, v in ipairs(call('HVALS', user)) do\n"
	"		if read(v) then count = count + 1 end\n"
	"	end\n"
	"	call('UNLINK', user)\n"
	"	return count\n"
	END_SCRIPT
};

/* Of each session its hash, created_at, expires_at and data, one after another. */
static cx_script list_script = {
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

/* Whose session a token may be of. */
typedef struct place
{
	char		hash[HASH_LENGTH + 1];
	cx_name		signpost;
	cx_name		user;			/* the key of all of the user's sessions */
	const char *user_id;		/* UTF-8; empty if there is no signpost */
	size_t		user_id_length;
} place;

static void
hash_token(const char *token, size_t length, char *hash)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) token, length) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256 of a token");
	pg_cryptohash_free(context);
	hash[hex_encode((const char *) digest, sizeof(digest), hash)] = '\0';
}

/* A new token, in base64url without padding. */
static text *
make_token(void)
{
	static const char letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8		random[TOKEN_BYTES + 1];
	char		token[TOKEN_LENGTH];

	if (!pg_strong_random(random, TOKEN_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random token")));
	random[TOKEN_BYTES] = 0;	/* the last letter has two bits more than are left */
	for (int i = 0; i < TOKEN_LENGTH; i++)
	{
		const uint8 *at = random + i * 6 / 8;

		token[i] = letters[((at[0] << 8 | at[1]) >> (10 - i * 6 % 8)) & 0x3f];
	}
	return cstring_to_text_with_len(token, TOKEN_LENGTH);
}

static cx_name
name_with(const char *kind, const char *data, size_t length)
{
	cx_name		prefix = cx_application_prefix(kind);
	cx_name		name = {palloc(prefix.length + length + 1), prefix.length + length};

	memcpy(name.data, prefix.data, prefix.length);
	memcpy(name.data + prefix.length, data, length);
	name.data[name.length] = '\0';
	return name;
}

static void
run(cx_script *script, const cx_name *name, int argc, const char *const *argv,
	const size_t *argvlen, cx_redis_reply *reply)
{
	cx_redis_budget budget;

	cx_application_start(&budget);
	cx_application_script(script, name, argc, argv, argvlen, reply, &budget);
	cx_application_check(reply);
}

/* The same for arguments that are strings; the second may be NULL. */
static void
run_on(cx_script *script, const cx_name *name, const char *one, const char *other,
	   cx_redis_reply *reply)
{
	const char *argv[] = {one, other};
	size_t		argvlen[] = {strlen(one), other == NULL ? 0 : strlen(other)};

	run(script, name, other == NULL ? 1 : 2, argv, argvlen, reply);
}

/* Follows the signpost.  What it says is anybody's until the user's key confirms it. */
static void
find(const text *token, bool slide, place *place)
{
	cx_redis_reply reply;
	cx_msgpack_reader reader;
	uint32		count;
	uint32		length;

	hash_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), place->hash);
	place->signpost = name_with(CX_KIND_SESSION, place->hash, HASH_LENGTH);
	run_on(&find_script, &place->signpost, slide ? "1" : "0", NULL, &reply);

	place->user_id = "";
	place->user_id_length = 0;
	if (reply.type == CX_REDIS_TEXT)
	{
		cx_msgpack_reader_start(&reader, reply.data, reply.length);
		if (cx_msgpack_read_array(&reader, &count) && count == 2 &&
			cx_msgpack_read_str(&reader, &place->user_id, &length) &&
			length <= CX_LONGEST_KEY)
			place->user_id_length = length;
	}
	else if (reply.type != CX_REDIS_NIL)
		cx_application_unexpected();
	place->user = name_with(CX_KIND_SESSION_USER, place->user_id, place->user_id_length);
}

static void
put_signpost(const cx_name *name, const char *user_id, size_t user_id_length, int64 ttl_ms)
{
	StringInfoData sign;
	msgpack_packer packer;
	char		kept[32];
	cx_redis_budget budget;
	cx_redis_reply reply;

	initStringInfo(&sign);
	cx_msgpack_writer_start(&packer, &sign);
	msgpack_pack_array(&packer, 2);
	msgpack_pack_str(&packer, user_id_length);
	msgpack_pack_str_body(&packer, user_id, user_id_length);
	msgpack_pack_int64(&packer, ttl_ms);
	snprintf(kept, sizeof(kept), INT64_FORMAT, ttl_ms + atoi(SIGNPOST_KEPT_MS));
	{
		const char *argv[] = {"SET", name->data, sign.data, "PX", kept};
		size_t		argvlen[] = {3, name->length, sign.len, 2, strlen(kept)};
		cx_redis_command command = {lengthof(argv), argv, argvlen};

		cx_application_start(&budget);
		cx_application_call(&command, 1, &reply, CX_REPEATABLE, &budget);
	}
	cx_application_check(&reply);
}

static void
remove_signpost(const cx_name *name)
{
	const char *argv[] = {"DEL", name->data};
	size_t		argvlen[] = {3, name->length};
	cx_redis_command command = {lengthof(argv), argv, argvlen};
	cx_redis_budget budget;
	cx_redis_reply reply;

	cx_application_start(&budget);
	cx_application_call(&command, 1, &reply, CX_REPEATABLE, &budget);
	(void) cx_application_integer(&reply);
}

static const Jsonb *
object_argument(FunctionCallInfo fcinfo, int number)
{
	Jsonb	   *data = PG_GETARG_JSONB_P(number);

	if (!JB_ROOT_IS_OBJECT(data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"data\" must be a JSON object")));
	return data;
}

static void
write_data(const Jsonb *data, StringInfo out)
{
	initStringInfo(out);
	switch (cx_json_write(data, out))
	{
		case CX_JSON_OK:
			break;
		case CX_JSON_TOO_DEEP:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the data of the session is nested too deeply")));
		default:
			ereport(ERROR,
					(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
					 errmsg("the data of the session can't be converted to UTF-8")));
	}
	/* what is longer could not be read again */
	if (out->len / 1024 >= cx_max_entry_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the data of the session is larger than cache_ext.max_entry_size")));
}

/* Others may have written anything. */
static Jsonb *
read_data(const cx_redis_reply *reply)
{
	Jsonb	   *data;

	if (reply->type != CX_REDIS_TEXT)
		cx_application_unexpected();
	if (cx_json_decode(reply->data, reply->length, &data) != CX_JSON_OK ||
		!JB_ROOT_IS_OBJECT(data))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the data of the session in Redis is no MessagePack map that JSON could hold")));
	return data;
}

static Datum
time_of(const cx_redis_reply *reply)
{
	int64		us = cx_application_integer(reply);

	return TimestampTzGetDatum(us - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
}

PG_FUNCTION_INFO_V1(cache_ext_session_create);
Datum
cache_ext_session_create(PG_FUNCTION_ARGS)
{
	cx_name		user = cx_application_name(CX_KIND_SESSION_USER, PG_GETARG_TEXT_PP(0), "user_id");
	cx_name		user_id = cx_application_text(PG_GETARG_TEXT_PP(0));
	const Jsonb *data = object_argument(fcinfo, 1);
	int64		ttl_ms = cx_application_ttl_ms(PG_GETARG_INTERVAL_P(2), "ttl");
	text	   *token = make_token();
	char		hash[HASH_LENGTH + 1];
	char		ttl[32];
	StringInfoData written;
	cx_name		signpost;
	cx_redis_reply reply;

	write_data(data, &written);
	hash_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), hash);
	signpost = name_with(CX_KIND_SESSION, hash, HASH_LENGTH);
	snprintf(ttl, sizeof(ttl), INT64_FORMAT, ttl_ms);
	put_signpost(&signpost, user_id.data, user_id.length, ttl_ms);
	{
		const char *argv[] = {hash, ttl, written.data};
		size_t		argvlen[] = {HASH_LENGTH, strlen(ttl), written.len};

		run(&create_script, &user, lengthof(argv), argv, argvlen, &reply);
	}
	PG_RETURN_TEXT_P(token);
}

PG_FUNCTION_INFO_V1(cache_ext_session_get);
Datum
cache_ext_session_get(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		slide = PG_GETARG_BOOL(1);
	place		place;
	cx_redis_reply reply;
	Datum		values[4];
	bool		nulls[4] = {0};
	char	   *user_id;

	InitMaterializedSRF(fcinfo, 0);
	find(PG_GETARG_TEXT_PP(0), slide, &place);
	run_on(&get_script, &place.user, place.hash, slide ? "1" : "0", &reply);
	if (reply.type == CX_REDIS_NIL)
		return (Datum) 0;
	if (reply.type != CX_REDIS_ARRAY || reply.element_count != 3)
		cx_application_unexpected();

	user_id = pg_any_to_server(place.user_id, place.user_id_length, PG_UTF8);
	values[0] = PointerGetDatum(user_id == place.user_id ?
								cstring_to_text_with_len(user_id, place.user_id_length) :
								cstring_to_text(user_id));
	values[1] = JsonbPGetDatum(read_data(&reply.elements[2]));
	values[2] = time_of(&reply.elements[0]);
	values[3] = time_of(&reply.elements[1]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* What became of one try to replace the data. */
typedef enum attempt
{
	ATTEMPT_DONE,
	ATTEMPT_GONE,				/* there is no session */
	ATTEMPT_OVERTAKEN			/* by somebody else's change */
} attempt;

/* *current is the data as it was read; overtaken, it is what is there now. */
static attempt
try_update(const place *place, const Jsonb *change, cx_redis_reply *current)
{
	Datum		merged = DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(read_data(current)),
											 JsonbPGetDatum(change));
	StringInfoData written;
	cx_redis_reply reply;

	write_data(DatumGetJsonbP(merged), &written);
	{
		const char *argv[] = {place->hash, current->data, written.data};
		size_t		argvlen[] = {HASH_LENGTH, current->length, written.len};

		run(&replace_script, &place->user, lengthof(argv), argv, argvlen, &reply);
	}
	if (reply.type == CX_REDIS_NIL)
		return ATTEMPT_GONE;
	if (reply.type == CX_REDIS_INTEGER)
		return ATTEMPT_DONE;
	*current = reply;
	return ATTEMPT_OVERTAKEN;
}

PG_FUNCTION_INFO_V1(cache_ext_session_update);
Datum
cache_ext_session_update(PG_FUNCTION_ARGS)
{
	const Jsonb *change = object_argument(fcinfo, 1);
	cx_time_limit limit = cx_time_limit_start(UPDATE_LIMIT_MS);
	MemoryContext contexts[2];
	MemoryContext old;
	place		place;
	cx_redis_reply reply;
	cx_redis_reply current;
	attempt		attempt = ATTEMPT_OVERTAKEN;

	find(PG_GETARG_TEXT_PP(0), false, &place);
	run_on(&get_script, &place.user, place.hash, "0", &reply);
	if (reply.type == CX_REDIS_NIL)
		PG_RETURN_BOOL(false);
	if (reply.type != CX_REDIS_ARRAY || reply.element_count != 3)
		cx_application_unexpected();
	current = reply.elements[2];

	/* what one try has read is what the next one needs */
	for (int i = 0; i < 2; i++)
		contexts[i] = AllocSetContextCreate(CurrentMemoryContext, "cache_ext session",
											ALLOCSET_DEFAULT_SIZES);
	for (int tries = 0; attempt == ATTEMPT_OVERTAKEN; tries++)
	{
		if (cx_time_limit_left(&limit) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not update the session because others keep changing it")));
		if (tries >= UPDATE_TRIES)
			cx_pause_roughly(Min(tries - UPDATE_TRIES + 1, LONGEST_PAUSE_MS));
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(contexts[tries % 2]);
		old = MemoryContextSwitchTo(contexts[tries % 2]);
		attempt = try_update(&place, change, &current);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < 2; i++)
		MemoryContextDelete(contexts[i]);
	PG_RETURN_BOOL(attempt == ATTEMPT_DONE);
}

PG_FUNCTION_INFO_V1(cache_ext_session_rotate);
Datum
cache_ext_session_rotate(PG_FUNCTION_ARGS)
{
	place		place;
	text	   *token;
	char		hash[HASH_LENGTH + 1];
	cx_name		signpost;
	cx_redis_reply reply;

	find(PG_GETARG_TEXT_PP(0), false, &place);
	run_on(&ttl_script, &place.user, place.hash, NULL, &reply);
	if (reply.type == CX_REDIS_NIL)
		PG_RETURN_NULL();

	token = make_token();
	hash_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), hash);
	signpost = name_with(CX_KIND_SESSION, hash, HASH_LENGTH);
	put_signpost(&signpost, place.user_id, place.user_id_length, cx_application_integer(&reply));
	run_on(&rotate_script, &place.user, place.hash, hash, &reply);
	if (cx_application_integer(&reply) == 0)
		PG_RETURN_NULL();
	remove_signpost(&place.signpost);
	PG_RETURN_TEXT_P(token);
}

PG_FUNCTION_INFO_V1(cache_ext_session_destroy);
Datum
cache_ext_session_destroy(PG_FUNCTION_ARGS)
{
	place		place;
	cx_redis_reply reply;

	find(PG_GETARG_TEXT_PP(0), false, &place);
	run_on(&destroy_script, &place.user, place.hash, NULL, &reply);
	remove_signpost(&place.signpost);
	PG_RETURN_BOOL(cx_application_integer(&reply) == 1);
}

PG_FUNCTION_INFO_V1(cache_ext_session_destroy_user);
Datum
cache_ext_session_destroy_user(PG_FUNCTION_ARGS)
{
	cx_name		user = cx_application_name(CX_KIND_SESSION_USER, PG_GETARG_TEXT_PP(0), "user_id");
	cx_redis_reply reply;

	run(&destroy_user_script, &user, 0, NULL, NULL, &reply);
	PG_RETURN_INT64(cx_application_integer(&reply));
}

PG_FUNCTION_INFO_V1(cache_ext_session_list);
Datum
cache_ext_session_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	cx_name		user = cx_application_name(CX_KIND_SESSION_USER, PG_GETARG_TEXT_PP(0), "user_id");
	cx_redis_reply reply;

	InitMaterializedSRF(fcinfo, 0);
	run(&list_script, &user, 0, NULL, NULL, &reply);
	if (reply.type != CX_REDIS_ARRAY || reply.element_count % 4 != 0)
		cx_application_unexpected();

	for (int i = 0; i < reply.element_count; i += 4)
	{
		const cx_redis_reply *session = reply.elements + i;
		Datum		values[4];
		bool		nulls[4] = {0};

		/* fields of other names were not made by a token */
		if (session[0].type != CX_REDIS_TEXT || session[0].length != HASH_LENGTH)
			continue;
		pg_verify_mbstr(PG_UTF8, session[0].data, HASH_LENGTH, false);
		values[0] = PointerGetDatum(cstring_to_text_with_len(session[0].data, HASH_LENGTH));
		values[1] = JsonbPGetDatum(read_data(&session[3]));
		values[2] = time_of(&session[1]);
		values[3] = time_of(&session[2]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
