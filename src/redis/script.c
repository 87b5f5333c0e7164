/*
 * redis/script.c
 *		Lua scripts that Redis runs in one step, each on one key.
 *
 * 1. EVALSHA first; NOSCRIPT means that nothing ran, so that EVAL with the text may follow.  It makes
 *	  Redis keep the script, until it restarts or is told to forget its scripts.
 * 2. One key each, so that a script runs on a cluster too.
 *
 * Memory: what a call needs is palloc'd and freed; the hash stays with the script.
 */
#include "postgres.h"

#include "redis/script.h"

#include "common/cryptohash.h"
#include "common/sha1.h"
#include "utils/builtins.h"

const char *
cx_script_sha1(cx_script *script)
{
	uint8		digest[SHA1_DIGEST_LENGTH];
	pg_cryptohash_ctx *context;

	if (script->sha1[0] != '\0')
		return script->sha1;

	context = pg_cryptohash_create(PG_SHA1);
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) script->source,
							 strlen(script->source)) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-1 of a script");
	pg_cryptohash_free(context);
	script->sha1[hex_encode((const char *) digest, sizeof(digest), script->sha1)] = '\0';
	return script->sha1;
}

bool
cx_script_missing(const cx_redis_reply *reply)
{
	return reply->type == CX_REDIS_ERROR && strncmp(reply->data, "NOSCRIPT", 8) == 0;
}

cx_redis_status
cx_script_run(cx_script *script, const char *key, size_t key_length, int argc,
			  const char *const *argv, const size_t *argvlen, cx_redis_reply *reply,
			  cx_redis_budget *budget)
{
	const char **words = palloc(sizeof(char *) * (argc + 4));
	size_t	   *lengths = palloc(sizeof(size_t) * (argc + 4));
	cx_redis_command command = {argc + 4, words, lengths};
	cx_redis_status status;

	words[0] = "EVALSHA";
	words[1] = cx_script_sha1(script);
	words[2] = "1";
	for (int i = 0; i < 3; i++)
		lengths[i] = strlen(words[i]);
	words[3] = key;
	lengths[3] = key_length;
	for (int i = 0; i < argc; i++)
	{
		words[4 + i] = argv[i];
		lengths[4 + i] = argvlen[i];
	}

	status = cx_redis_call_once(&command, 1, reply, budget);
	if (status == CX_REDIS_OK && cx_script_missing(reply))
	{
		words[0] = "EVAL";
		words[1] = script->source;
		lengths[0] = strlen(words[0]);
		lengths[1] = strlen(words[1]);
		status = cx_redis_call_once(&command, 1, reply, budget);
	}
	pfree(words);
	pfree(lengths);
	return status;
}
