/*
 * api/application.c
 *		What the SQL functions share that give applications Redis: names, TTLs, calls, errors.
 *
 * 1. Names are "{key_prefix}:{database}:{kind}:{key}".  In the database's name '%', ':', '{' and '}'
 *	  are percent-encoded, so that no two databases share a name, and braces in a key are the user's:
 *	  Redis Cluster keeps keys with the same text in braces together.
 * 2. Keys are UTF-8 whatever the database's encoding is, so that other programs find them.
 * 3. An error tells whether the command may have been carried out: SQLSTATE 08007 if so, 08006 if
 *	  not.  An error reply means that the command which it answers wasn't.
 *
 * Memory: what is returned is palloc'd; the database's name is kept as long as the process.
 */
#include "postgres.h"

#include "api/application.h"

#include "base/printable.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "core/owner.h"
#include "query/json_codec.h"
#include "redis/batch.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define LONGEST_TTL_MS (INT64CONST(36500) * 24 * 3600 * 1000)

/* The longest part of an error reply that a message repeats. */
#define LONGEST_QUOTE 200

static char *
encode_database(const char *name)
{
	StringInfoData encoded;

	initStringInfo(&encoded);
	for (const char *c = name; *c != '\0'; c++)
	{
		if (strchr("%:{}", *c) != NULL)
			appendStringInfo(&encoded, "%%%02X", (unsigned char) *c);
		else
			appendStringInfoChar(&encoded, *c);
	}
	return encoded.data;
}

/* A database can't be renamed while somebody is connected to it. */
static const char *
database_part(void)
{
	static char *part = NULL;

	if (part == NULL)
	{
		char	   *name = get_database_name(MyDatabaseId);

		if (name == NULL)
			elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
		part = MemoryContextStrdup(TopMemoryContext, encode_database(name));
	}
	return part;
}

/* "{key_prefix}:{database}:{kind}:" and the part, without any formatting: mget makes thousands. */
static cx_name
build_name(const char *database, const char *kind, const char *part, size_t part_length)
{
	const char *words[3];
	size_t		lengths[lengthof(words)];
	cx_name		name;
	char	   *out;

	cx_shmem_require();			/* else there are no settings */
	words[0] = cx_key_prefix;
	words[1] = database;
	words[2] = kind;
	name.length = part_length;
	for (int i = 0; i < lengthof(words); i++)
	{
		lengths[i] = strlen(words[i]);
		name.length += lengths[i] + 1;
	}
	name.data = out = palloc(name.length + 1);
	for (int i = 0; i < lengthof(words); i++)
	{
		memcpy(out, words[i], lengths[i]);
		out += lengths[i];
		*out++ = ':';
	}
	memcpy(out, part, part_length);
	out[part_length] = '\0';
	return name;
}

cx_name
cx_application_prefix(const char *kind)
{
	return build_name(database_part(), kind, "", 0);
}

cx_name
cx_application_prefix_of(const char *database, const char *kind)
{
	return build_name(encode_database(database), kind, "", 0);
}

cx_name
cx_application_text(const text *value)
{
	char	   *own = text_to_cstring(value);
	cx_name		result;

	result.data = pg_server_to_any(own, VARSIZE_ANY_EXHDR(value), PG_UTF8);
	result.length = result.data == own ? VARSIZE_ANY_EXHDR(value) : strlen(result.data);
	return result;
}

cx_name
cx_application_name(const char *kind, const text *key, const char *argument)
{
	cx_name		part = cx_application_text(key);

	if (part.length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be empty", argument)));
	if (part.length > CX_LONGEST_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is too long", argument),
				 errdetail("It has %zu bytes; %d are allowed.", part.length, CX_LONGEST_KEY)));
	return build_name(database_part(), kind, part.data, part.length);
}

int64
cx_application_ttl_ms(const Interval *ttl, const char *argument)
{
	/* a month has 30 days; no sum of these overflows */
	int64		days = (int64) ttl->month * DAYS_PER_MONTH + ttl->day;
	int64		ms = days * SECS_PER_DAY * 1000 + ttl->time / 1000;

	if (ms < 1 || ms > LONGEST_TTL_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is out of range", argument),
				 errdetail("It is between one millisecond and 36500 days.")));
	return ms;
}

Interval *
cx_application_interval(int64 ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = ms * 1000;
	return interval;
}

void
cx_application_write_json(const Jsonb *value, StringInfo out)
{
	int			start = out->len;

	switch (cx_json_write(value, out))
	{
		case CX_JSON_OK:
			break;
		case CX_JSON_TOO_DEEP:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the value is nested too deeply"),
					 errdetail("Arrays and objects may be nested %d deep.", CX_JSON_MAX_DEPTH)));
			break;
		case CX_JSON_MALFORMED:
		case CX_JSON_UNSUPPORTED:
			ereport(ERROR,
					(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
					 errmsg("the value has text that has no form in UTF-8")));
			break;
	}
	if (out->len - start > (int64) cx_max_entry_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the value is larger than cache_ext.max_entry_size allows"),
				 errdetail("It takes %d bytes; %lld are allowed.", out->len - start,
						   (long long) cx_max_entry_size * 1024)));
}

Jsonb *
cx_application_read_json(const char *data, size_t length)
{
	Jsonb	   *value = NULL;

	switch (cx_json_decode(data, length, &value))
	{
		case CX_JSON_OK:
			break;
		case CX_JSON_MALFORMED:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("the value in Redis is not MessagePack")));
			break;
		case CX_JSON_TOO_DEEP:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the value in Redis is nested too deeply"),
					 errdetail("Arrays and objects may be nested %d deep.", CX_JSON_MAX_DEPTH)));
			break;
		case CX_JSON_UNSUPPORTED:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("the value in Redis has no form in JSON"),
					 errdetail("It has an extension or a key of an unknown type, or text that this database can't hold.")));
			break;
	}
	return value;
}

static void
require_redis(void)
{
	cx_shmem_require();
	if (cx_redis_url[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no Redis to talk to"),
				 errhint("Set cache_ext.redis_url.")));
}

/*
 * Another server's sessions and values are not this one's to read or to change, unless its administrator
 * says so.  A standby's are its primary's.
 */
static void
require_owner(void)
{
	cx_owner	owner;

	if (cx_share_prefix || RecoveryInProgress())
		return;
	owner = cx_owner_await();
	if (owner == CX_OWNER_OTHER)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("another server owns the keys in Redis that begin with \"%s:\"",
						cx_key_prefix),
				 errdetail("It is %s.", cx_owner_other()),
				 errhint("Set another cache_ext.key_prefix for this server, set cache_ext.share_prefix if both shall use the same keys, or call cache_ext.take_over() if they are to be this server's.")));
	if (owner == CX_OWNER_UNDECIDED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("another server may own the keys in Redis that begin with \"%s:\"",
						cx_key_prefix),
				 errdetail("It is %s, and has not said that it ended.", cx_owner_other()),
				 errhint("This is decided in a few seconds.")));
	/* where Redis didn't tell, the caller's own commands will fail too, and say why */
	if (owner == CX_OWNER_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it is not known which server owns the keys in Redis that begin with \"%s:\"",
						cx_key_prefix),
				 errdetail("The background worker of cache_ext did not answer.")));
}

void
cx_application_require(void)
{
	require_redis();
	require_owner();
}

void
cx_application_start(cx_redis_budget *budget)
{
	cx_application_require();
	cx_redis_budget_start(budget);
}

void
cx_application_call(const cx_redis_command *commands, int count, cx_redis_reply *replies,
					cx_effect effect, cx_redis_budget *budget)
{
	cx_redis_status status;

	if (effect == CX_ONCE)
		status = cx_redis_call_once(commands, count, replies, budget);
	else
		status = cx_redis_call(commands, count, replies, budget);
	if (status != CX_REDIS_OK)
		cx_application_raise(effect);
}

void
cx_application_script(cx_script *script, const cx_name *name, int argc, const char *const *argv,
					  const size_t *argvlen, cx_redis_reply *reply, cx_redis_budget *budget)
{
	if (cx_script_run(script, name->data, name->length, argc, argv, argvlen, reply,
					  budget) != CX_REDIS_OK)
		cx_application_raise(CX_ONCE);
}

/* What error replies mean, by their first word. */
typedef struct reply_class
{
	const char *code;
	int			sqlstate;
	const char *hint;
} reply_class;

#define NOT_READY "Redis does not serve such commands at the moment."

static const reply_class reply_classes[] = {
	{"READONLY", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"cache_ext.redis_url names a replica: let it name the master."},
	{"MOVED", ERRCODE_FEATURE_NOT_SUPPORTED,
	"cache_ext.redis_url names a node of a Redis Cluster, which is not supported."},
	{"ASK", ERRCODE_FEATURE_NOT_SUPPORTED,
	"cache_ext.redis_url names a node of a Redis Cluster, which is not supported."},
	{"NOAUTH", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"Check cache_ext.redis_url and cache_ext.redis_password_file."},
	{"WRONGPASS", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"Check cache_ext.redis_url and cache_ext.redis_password_file."},
	{"NOPERM", ERRCODE_INSUFFICIENT_PRIVILEGE,
	"The user of Redis in cache_ext.redis_url lacks rights on the command or the key."},
	{"OOM", ERRCODE_OUT_OF_MEMORY,
	"Redis has reached its maxmemory, and its maxmemory-policy lets it evict nothing."},
	{"LOADING", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"BUSY", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"MASTERDOWN", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"CLUSTERDOWN", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"TRYAGAIN", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"MISCONF", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"NOREPLICAS", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NOT_READY},
	{"WRONGTYPE", ERRCODE_WRONG_OBJECT_TYPE,
	"The key holds a value of another type."},
};

char *
cx_application_quote(const char *said)
{
	char	   *copy = pnstrdup(said, LONGEST_QUOTE);

	cx_printable(copy);
	return copy;
}

static void pg_attribute_noreturn()
raise_refusal(const char *said)
{
	size_t		length = strcspn(said, " ");

	for (int i = 0; i < lengthof(reply_classes); i++)
	{
		const reply_class *class = &reply_classes[i];

		if (strlen(class->code) == length && strncmp(class->code, said, length) == 0)
			ereport(ERROR,
					(errcode(class->sqlstate),
					 errmsg("Redis refused: %s", cx_application_quote(said)),
					 errhint("%s", class->hint)));
	}
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("Redis refused: %s", cx_application_quote(said))));
}

void
cx_application_raise(cx_effect effect)
{
	const cx_redis_problem *problem = cx_redis_last_problem();
	bool		maybe_done = problem->maybe_done && effect != CX_READS;

	if (problem->cause == CX_REDIS_REFUSED && !maybe_done)
		raise_refusal(problem->text);
	if (problem->cause == CX_REDIS_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an answer of Redis is larger than cache_ext.max_entry_size allows")));
	if (maybe_done)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("Redis did not answer: %s", problem->text),
				 errdetail("What it was asked may have been carried out, or not.")));
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("Redis is not available: %s", problem->text)));
}

void
cx_application_check(const cx_redis_reply *reply)
{
	if (reply->type == CX_REDIS_ERROR)
		raise_refusal(reply->data);
}

void
cx_application_unexpected(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("Redis gave an answer that does not fit the command")));
}

int64
cx_application_integer(const cx_redis_reply *reply)
{
	cx_application_check(reply);
	if (reply->type != CX_REDIS_INTEGER)
		cx_application_unexpected();
	return reply->integer;
}

void
cx_application_check_text(const cx_redis_reply *reply)
{
	cx_application_check(reply);
	if (reply->type != CX_REDIS_TEXT)
		cx_application_unexpected();
}

PG_FUNCTION_INFO_V1(cache_ext_ping);
Datum
cache_ext_ping(PG_FUNCTION_ARGS)
{
	cx_batch	batch;
	cx_redis_reply reply;
	cx_redis_budget budget;
	instr_time	start;
	instr_time	end;
	Interval   *took = palloc0(sizeof(Interval));

	require_redis();
	cx_redis_budget_start(&budget);
	cx_batch_init(&batch, 1, 1);
	cx_batch_command(&batch, "PING");
	INSTR_TIME_SET_CURRENT(start);
	cx_application_call(batch.commands, batch.count, &reply, CX_READS, &budget);
	INSTR_TIME_SET_CURRENT(end);
	cx_application_check_text(&reply);
	INSTR_TIME_SUBTRACT(end, start);
	took->time = INSTR_TIME_GET_MICROSEC(end);
	PG_RETURN_INTERVAL_P(took);
}
