/*
 * api/session.c
 *		SQL functions for sessions that services share: session_create, session_get, session_update,
 *		session_rotate, session_destroy, session_destroy_user, session_list.
 *
 * What is in Redis: api/session_scripts.h.
 *
 * 1. All that is true of a user's sessions is in one key, and each script works on one key.  So
 *	  each step is seen by all others as a whole, whatever commands come in between: of two keys,
 *	  one with the session and one with what revokes it, a reader could see one from before and
 *	  one from after.  Ending a user's sessions is deleting the user's key.
 * 2. A signpost says where to look, and makes nothing valid.  It is written before the session
 *	  that it leads to, lives longer, and goes after it.  So a crash between two commands leaves a
 *	  signpost that leads nowhere; or, in session_create, a session whose token nobody knows.
 *	  Both expire.
 * 3. A token is 256 random bits as text.  Redis, the log and messages see no more than its hash.
 * 4. A token that is malformed, was never given, has ended or has expired makes the same calls
 *	  and gives the same result.  Where there is no signpost, the second call goes to the key of a
 *	  user with an empty name, whom nobody can be.
 * 5. A session ends at expires_at by Redis's clock, not when Redis gets around to expire a key.
 *	  Fields of a hash don't expire: each new session looks at a few of the user's, taken by
 *	  chance, and removes those that have ended, so that their number stays a small part of all.
 * 6. session_update merges here, in jsonb: Lua would make doubles of large integers, and what is
 *	  nested deeply it would drop.  It replaces what it has read only if that is still there, else
 *	  begins again with what is.  Each time it must, somebody else's change was made, so that the
 *	  whole goes on.
 *
 * Locks: none.  Memory: the caller's; session_update reuses what one try needed for the next but
 * one.
 */
#include "postgres.h"

#include "api/application.h"
#include "api/session_scripts.h"
#include "base/msgpack_reader.h"
#include "base/msgpack_writer.h"
#include "core/pause.h"
#include "core/time_limit.h"

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

/* Whose session a token may be of, and how long it may still be asked for. */
typedef struct place
{
	cx_redis_budget budget;
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
	const size_t *argvlen, cx_redis_reply *reply, cx_redis_budget *budget)
{
	cx_application_script(script, name, argc, argv, argvlen, reply, budget);
	cx_application_check(reply);
}

/* The same for arguments that are strings; the second may be NULL. */
static void
run_on(cx_script *script, const cx_name *name, const char *one, const char *other,
	   cx_redis_reply *reply, cx_redis_budget *budget)
{
	const char *argv[] = {one, other};
	size_t		argvlen[] = {strlen(one), other == NULL ? 0 : strlen(other)};

	run(script, name, other == NULL ? 1 : 2, argv, argvlen, reply, budget);
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
	cx_application_start(&place->budget);
	run_on(&cx_session_find, &place->signpost, slide ? "1" : "0", NULL, &reply, &place->budget);

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
put_signpost(const cx_name *name, const char *user_id, size_t user_id_length, int64 ttl_ms,
			 cx_redis_budget *budget)
{
	StringInfoData sign;
	msgpack_packer packer;
	char		kept[32];
	cx_redis_reply reply;

	initStringInfo(&sign);
	cx_msgpack_writer_start(&packer, &sign);
	msgpack_pack_array(&packer, 2);
	msgpack_pack_str(&packer, user_id_length);
	msgpack_pack_str_body(&packer, user_id, user_id_length);
	msgpack_pack_int64(&packer, ttl_ms);
	snprintf(kept, sizeof(kept), INT64_FORMAT, ttl_ms + atoi(CX_SESSION_SIGNPOST_KEPT_MS));
	{
		const char *argv[] = {"SET", name->data, sign.data, "PX", kept};
		size_t		argvlen[] = {3, name->length, sign.len, 2, strlen(kept)};
		cx_redis_command command = {lengthof(argv), argv, argvlen};

		cx_application_call(&command, 1, &reply, CX_REPEATABLE, budget);
	}
	cx_application_check(&reply);
}

/* Of a session that has ended: it expires by itself if that fails. */
static void
remove_signpost(place *place)
{
	const char *argv[] = {"DEL", place->signpost.data};
	size_t		argvlen[] = {3, place->signpost.length};
	cx_redis_command command = {lengthof(argv), argv, argvlen};
	cx_redis_reply reply;

	(void) cx_redis_call(&command, 1, &reply, &place->budget);
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

/* Others may have written anything. */
static Jsonb *
read_data(const cx_redis_reply *reply)
{
	Jsonb	   *data;

	if (reply->type != CX_REDIS_TEXT)
		cx_application_unexpected();
	data = cx_application_read_json(reply->data, reply->length);
	if (!JB_ROOT_IS_OBJECT(data))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the data of the session in Redis is not a map")));
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
	cx_redis_budget budget;
	cx_redis_reply reply;

	initStringInfo(&written);
	cx_application_write_json(data, &written);
	cx_application_start(&budget);
	hash_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), hash);
	signpost = name_with(CX_KIND_SESSION, hash, HASH_LENGTH);
	snprintf(ttl, sizeof(ttl), INT64_FORMAT, ttl_ms);
	put_signpost(&signpost, user_id.data, user_id.length, ttl_ms, &budget);
	{
		const char *argv[] = {hash, ttl, written.data};
		size_t		argvlen[] = {HASH_LENGTH, strlen(ttl), written.len};

		run(&cx_session_create, &user, lengthof(argv), argv, argvlen, &reply, &budget);
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
	run_on(&cx_session_get, &place.user, place.hash, slide ? "1" : "0", &reply,
		   &place.budget);
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
	cx_redis_budget budget;
	cx_redis_reply reply;

	initStringInfo(&written);
	cx_application_write_json(DatumGetJsonbP(merged), &written);
	cx_application_start(&budget);
	{
		const char *argv[] = {place->hash, current->data, written.data};
		size_t		argvlen[] = {HASH_LENGTH, current->length, written.len};

		run(&cx_session_replace, &place->user, lengthof(argv), argv, argvlen, &reply, &budget);
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
	run_on(&cx_session_get, &place.user, place.hash, "0", &reply, &place.budget);
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
					 errmsg("could not update the session because others keep changing it"),
					 errhint("Try again.")));
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
	run_on(&cx_session_ttl, &place.user, place.hash, NULL, &reply, &place.budget);
	if (reply.type == CX_REDIS_NIL)
		PG_RETURN_NULL();

	token = make_token();
	hash_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), hash);
	signpost = name_with(CX_KIND_SESSION, hash, HASH_LENGTH);
	put_signpost(&signpost, place.user_id, place.user_id_length, cx_application_integer(&reply),
				 &place.budget);
	run_on(&cx_session_rotate, &place.user, place.hash, hash, &reply, &place.budget);
	if (cx_application_integer(&reply) == 0)
		PG_RETURN_NULL();
	remove_signpost(&place);
	PG_RETURN_TEXT_P(token);
}

PG_FUNCTION_INFO_V1(cache_ext_session_destroy);
Datum
cache_ext_session_destroy(PG_FUNCTION_ARGS)
{
	place		place;
	cx_redis_reply reply;

	find(PG_GETARG_TEXT_PP(0), false, &place);
	run_on(&cx_session_destroy, &place.user, place.hash, NULL, &reply, &place.budget);
	remove_signpost(&place);
	PG_RETURN_BOOL(cx_application_integer(&reply) == 1);
}

PG_FUNCTION_INFO_V1(cache_ext_session_destroy_user);
Datum
cache_ext_session_destroy_user(PG_FUNCTION_ARGS)
{
	cx_name		user = cx_application_name(CX_KIND_SESSION_USER, PG_GETARG_TEXT_PP(0), "user_id");
	cx_redis_budget budget;
	cx_redis_reply reply;

	cx_application_start(&budget);
	run(&cx_session_destroy_user, &user, 0, NULL, NULL, &reply, &budget);
	PG_RETURN_INT64(cx_application_integer(&reply));
}

PG_FUNCTION_INFO_V1(cache_ext_session_list);
Datum
cache_ext_session_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	cx_name		user = cx_application_name(CX_KIND_SESSION_USER, PG_GETARG_TEXT_PP(0), "user_id");
	cx_redis_budget budget;
	cx_redis_reply reply;

	InitMaterializedSRF(fcinfo, 0);
	cx_application_start(&budget);
	run(&cx_session_list, &user, 0, NULL, NULL, &reply, &budget);
	if (reply.type != CX_REDIS_ARRAY || reply.element_count % 4 != 0)
		cx_application_unexpected();

	for (int i = 0; i < reply.element_count; i += 4)
	{
		const cx_redis_reply *session = reply.elements + i;
		Datum		values[4];
		bool		nulls[4] = {0};

		/* a field of another name belongs to no token */
		if (session[0].type != CX_REDIS_TEXT || session[0].length != HASH_LENGTH ||
			strspn(session[0].data, "0123456789abcdef") != HASH_LENGTH)
			continue;
		values[0] = PointerGetDatum(cstring_to_text_with_len(session[0].data, HASH_LENGTH));
		values[1] = JsonbPGetDatum(read_data(&session[3]));
		values[2] = time_of(&session[1]);
		values[3] = time_of(&session[2]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
