/*
 * api/application.h
 *		What the SQL functions share that give applications Redis: names, TTLs, calls, errors.
 *
 * They talk to Redis at once, and where that fails they raise an error: the user asked for it.
 */
#ifndef CX_API_APPLICATION_H
#define CX_API_APPLICATION_H

#include "postgres.h"

#include "redis/redis.h"
#include "redis/script.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* Kinds of names: the part behind the database's name. */
#define CX_KIND_VALUE "kv"
#define CX_KIND_SESSION "session"
#define CX_KIND_SESSION_USER "session_user"
#define CX_KIND_LIMIT "limit"
#define CX_KIND_LOCK "lock"
#define CX_KIND_ROW "row"

/* The longest key that a user may choose, in bytes of UTF-8. */
#define CX_LONGEST_KEY 1024

/* A key in Redis, palloc'd and zero-terminated. */
typedef struct cx_name
{
	char	   *data;
	size_t		length;
} cx_name;

/* "{key_prefix}:{database}:{kind}:"; an error if the library is not preloaded. */
extern cx_name cx_application_prefix(const char *kind);
extern cx_name cx_application_prefix_of(const char *database, const char *kind);

/*
 * That and the user's key, in UTF-8.  Raises an error for an empty key, one that is too long, and
 * one that UTF-8 lacks; argument is what to call it.
 */
extern cx_name cx_application_name(const char *kind, const text *key, const char *argument);

/* A text of the user in UTF-8, palloc'd and zero-terminated; raises an error if that can't be. */
extern cx_name cx_application_text(const text *value);

/* In milliseconds, at least one; an error for what is none, negative, or longer than 100 years. */
extern int64 cx_application_ttl_ms(const Interval *ttl, const char *argument);

extern Interval *cx_application_interval(int64 ms);

/*
 * JSON values as MessagePack (query/json_codec.h), appended to *out, and back.  An error where there
 * is no such form; one that was written takes max_entry_size at most, since a larger one could not be
 * read.
 */
extern void cx_application_write_json(const Jsonb *value, StringInfo out);
extern Jsonb *cx_application_read_json(const char *data, size_t length);

/* What a failed call may have left behind. */
typedef enum cx_effect
{
	CX_READS,					/* nothing: commands that only read */
	CX_REPEATABLE,				/* the same sent twice as sent once */
	CX_ONCE						/* must not be sent twice */
} cx_effect;

/* An error unless the library is preloaded and there is a Redis to talk to. */
extern void cx_application_require(void);

/* That, and starts the time that the function may wait. */
extern void cx_application_start(cx_redis_budget *budget);

/* Raises an error unless all replies came.  Each may still be an error reply. */
extern void cx_application_call(const cx_redis_command *commands, int count,
								cx_redis_reply *replies, cx_effect effect,
								cx_redis_budget *budget);
extern void cx_application_script(cx_script *script, const cx_name *name, int argc,
								  const char *const *argv, const size_t *argvlen,
								  cx_redis_reply *reply, cx_redis_budget *budget);

/* The error that tells of the last call, whose status was not CX_REDIS_OK. */
extern void cx_application_raise(cx_effect effect) pg_attribute_noreturn();

/* What the server said is anything: printable ASCII is left of it, and not too much. */
extern char *cx_application_quote(const char *said);

/* Raises an error for an error reply. */
extern void cx_application_check(const cx_redis_reply *reply);

/* The error for a reply that no Redis gives to this command. */
extern void cx_application_unexpected(void) pg_attribute_noreturn();

/* For a reply that is some text. */
extern void cx_application_check_text(const cx_redis_reply *reply);

/* The integer in a reply that has to be one. */
extern int64 cx_application_integer(const cx_redis_reply *reply);

#endif
