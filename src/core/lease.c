/*
 * core/lease.c
 *		Single flight across servers: a lease in Redis on the fill of an entry.
 *
 * Invariants:
 *
 *	1. A lease is somebody's if its value is their token.  What the reply to SET says does not count: a
 *	   batch may be sent twice (redis/redis.h), and then the second SET finds the first one's lease.
 *	2. It is released by who holds it only: compared and deleted in one step.
 *	3. It ends by itself.  Who holds it may fail to release it: in an abort nothing can be sent, and
 *	   its server may die.
 *	4. A wait has an end: wait_ms, an interrupt, or a Redis that doesn't answer.  Who leads flights
 *	   in one another does not wait: others may be waiting for the outer one.
 *
 * Who waits looks at the lease and at the first bytes of the entry now and then.  These have the time
 * it was made at (core/entry.h), so they tell a new entry from an old one that is not valid any
 * more.  Both are read by GETRANGE: of whatever else may stand there no more is fetched.
 *
 * Locks: none.  Memory: a lease lives in the context that its holder names; what is needed to take it
 * goes away at once.
 */
#include "postgres.h"

#include "base/counters.h"
#include "base/settings.h"
#include "core/lease.h"
#include "core/pause.h"
#include "core/time_limit.h"
#include "redis/script.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#define TOKEN_BYTES 16			/* random; twice as many hexadecimal digits */
#define TOKEN_LENGTH (TOKEN_BYTES * 2)

/* The time between two looks, in milliseconds: doubles from the first to the last. */
#define FIRST_PAUSE_MS 5
#define LAST_PAUSE_MS 50

#define SEEN_LENGTH 64			/* of a value; SEEN_RANGE in Redis's terms */
#define SEEN_RANGE "63"

static cx_script release_script = {
	"if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end"
};

struct cx_lease
{
	char	   *name;			/* in Redis */
	char		token[TOKEN_LENGTH + 1];
	bool		released;

	const char *argv[5];		/* of the command that releases it */
	size_t		argvlen[5];
	cx_redis_command release;
};

/* The beginning of a value in Redis; nothing if there is none. */
typedef struct seen_value
{
	size_t		length;
	char		data[SEEN_LENGTH];
} seen_value;

typedef struct seen_state
{
	seen_value	lease;
	seen_value	entry;
} seen_state;

/* Does Redis have the script, as far as this process knows? */
static bool script_loaded = false;

/* Fills a command's lengths in. */
static cx_redis_command
make_command(int argc, const char *const *argv, size_t *argvlen)
{
	cx_redis_command command = {argc, argv, argvlen};

	for (int i = 0; i < argc; i++)
		argvlen[i] = strlen(argv[i]);
	return command;
}

/* What is no text counts as nothing. */
static void
keep_value(const cx_redis_reply *reply, seen_value *value)
{
	value->length = reply->type == CX_REDIS_TEXT ? Min(reply->length, SEEN_LENGTH) : 0;
	if (value->length > 0)
		memcpy(value->data, reply->data, value->length);
}

static bool
same_value(const seen_value *one, const seen_value *other)
{
	return one->length == other->length && memcmp(one->data, other->data, one->length) == 0;
}

/*
 * Looks at lease and entry, having tried to take the lease first unless ttl_ms is 0.  False if Redis
 * doesn't answer, or not as it should.
 */
static bool
look(const cx_lease *lease, const char *entry_name, int ttl_ms, cx_redis_budget *budget,
	 seen_state *seen)
{
	char		ttl[16];
	const char *set_argv[] = {"SET", lease->name, lease->token, "NX", "PX", ttl};
	const char *lease_argv[] = {"GETRANGE", lease->name, "0", SEEN_RANGE};
	const char *entry_argv[] = {"GETRANGE", entry_name, "0", SEEN_RANGE};
	size_t		set_argvlen[lengthof(set_argv)];
	size_t		lease_argvlen[lengthof(lease_argv)];
	size_t		entry_argvlen[lengthof(entry_argv)];
	cx_redis_command commands[3];
	cx_redis_reply replies[3];
	int			first = ttl_ms > 0 ? 0 : 1;

	snprintf(ttl, sizeof(ttl), "%d", ttl_ms);
	commands[0] = make_command(lengthof(set_argv), set_argv, set_argvlen);
	commands[1] = make_command(lengthof(lease_argv), lease_argv, lease_argvlen);
	commands[2] = make_command(lengthof(entry_argv), entry_argv, entry_argvlen);

	if (cx_redis_call(commands + first, 3 - first, replies + first, budget) != CX_REDIS_OK)
		return false;
	/* an entry of another type is none, as for core/redis_tier.c */
	for (int i = first; i < 2; i++)
		if (replies[i].type == CX_REDIS_ERROR)
			return false;
	keep_value(&replies[1], &seen->lease);
	keep_value(&replies[2], &seen->entry);
	return true;
}

/* Takes the lease if nobody has it.  BUSY: *seen is how things stood when somebody had. */
static cx_flight_role
take(const cx_lease *lease, const char *entry_name, int ttl_ms, cx_redis_budget *budget,
	 seen_state *seen)
{
	if (ttl_ms == 0 || !look(lease, entry_name, ttl_ms, budget, seen))
		return CX_FLIGHT_ALONE;
	return seen->lease.length == TOKEN_LENGTH &&
		memcmp(seen->lease.data, lease->token, TOKEN_LENGTH) == 0 ? CX_FLIGHT_LEADS : CX_FLIGHT_BUSY;
}

static cx_flight_role
wait_for_end(const cx_lease *lease, const char *entry_name, int wait_ms, cx_redis_budget *budget,
			 const seen_state *first)
{
	cx_time_limit limit = cx_time_limit_start(wait_ms);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext look",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	seen_state	now = *first;
	int			pause_ms = FIRST_PAUSE_MS;
	int			left_ms;
	bool		answered = true;

	cx_count(CX_COUNT_FLIGHT_WAITS);
	while (answered && now.lease.length > 0 && same_value(&now.lease, &first->lease) &&
		   same_value(&now.entry, &first->entry) && (left_ms = cx_time_limit_left(&limit)) > 0)
	{
		cx_pause(Min(pause_ms, left_ms));
		pause_ms = Min(pause_ms * 2, LAST_PAUSE_MS);
		answered = look(lease, entry_name, 0, budget, &now);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return answered ? CX_FLIGHT_WAITED : CX_FLIGHT_ALONE;
}

static cx_lease *
create_lease(const char *entry_name, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	cx_lease   *lease = palloc(sizeof(cx_lease));
	char		random[TOKEN_BYTES];

	lease->name = psprintf("%s:lease", entry_name);
	lease->released = false;
	MemoryContextSwitchTo(old);
	if (!pg_strong_random(random, sizeof(random)))
	{
		pfree(lease->name);
		pfree(lease);
		return NULL;
	}
	lease->token[hex_encode(random, sizeof(random), lease->token)] = '\0';
	return lease;
}

cx_flight_role
cx_lease_take(const char *name, int wait_ms, cx_redis_budget *budget, MemoryContext context,
			  cx_lease **lease)
{
	cx_lease   *mine;
	seen_state	seen;
	cx_flight_role role;

	*lease = NULL;
	if (!cx_redis_available() || (mine = create_lease(name, context)) == NULL)
		return CX_FLIGHT_ALONE;

	role = take(mine, name, wait_ms > 0 ? wait_ms : cx_flight_wait, budget, &seen);
	if (role == CX_FLIGHT_BUSY && wait_ms > 0 && !cx_flight_nested())
		role = wait_for_end(mine, name, wait_ms, budget, &seen);

	if (role == CX_FLIGHT_LEADS)
		*lease = mine;
	else
	{
		pfree(mine->name);
		pfree(mine);
	}
	return role;
}

/* The script's text makes Redis keep it; from then on its hash is enough. */
const cx_redis_command *
cx_lease_release(cx_lease *lease)
{
	lease->argv[0] = script_loaded ? "EVALSHA" : "EVAL";
	lease->argv[1] = script_loaded ? cx_script_sha1(&release_script) : release_script.source;
	lease->argv[2] = "1";
	lease->argv[3] = lease->name;
	lease->argv[4] = lease->token;
	lease->release = make_command(lengthof(lease->argv), lease->argv, lease->argvlen);
	return &lease->release;
}

void
cx_lease_released(cx_lease *lease, const cx_redis_reply *reply)
{
	script_loaded = reply->type == CX_REDIS_INTEGER;
	lease->released = !cx_script_missing(reply);
}

void
cx_lease_end(cx_lease *lease, cx_redis_budget *budget)
{
	cx_redis_reply reply;

	/* a second time if Redis has forgotten the script */
	for (int tries = 0; tries < 2 && !lease->released; tries++)
	{
		if (cx_redis_call(cx_lease_release(lease), 1, &reply, budget) != CX_REDIS_OK)
			return;
		cx_lease_released(lease, &reply);
	}
}
