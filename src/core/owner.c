/*
 * core/owner.c
 *		Which server the keys in Redis that begin with a key_prefix belong to.
 *
 * A copy of a server reads the same redis_url, and writes the same keys.  A backup that is put back
 * has forgotten what was stored after it was taken.  Nothing in a data directory tells either of
 * them: a copy of a disk or of a machine has all of it.  So the owner of a prefix is named outside, by
 * a mark in Redis, "{key_prefix}:owner": the incarnation that owns the prefix, the highest generation of
 * its rows, until when it counts as alive, and a description.  The worker renews it once a second.
 *
 * Invariants:
 *
 *	1. Each start of a server is an incarnation of its own, with a random name.  The directory is left
 *	   with the name of its last one.  If the mark still has that name, nobody has stored anything
 *	   since, and this start goes on where that one ended.  The name counts only if that one was
 *	   shut down, or if the directory is where it was while it ran: then it has ended, since no
 *	   two servers run in one directory.
 *	2. Who finds another name takes the prefix only if that owner is not alive, and then begins a new
 *	   generation, which is higher than all that the mark has seen.  What was there before is removed
 *	   before any of it is believed or added to (core/delivery.c).
 *	3. Who has seen another owner renew the mark doesn't become the owner by that one's going away: it may
 *	   be down for an hour.  It does by take_over(), by a new start, or if it was a standby: then the
 *	   other is what it was made to replace.
 *	4. Only Redis's clock and its order of commands count.
 *	5. Losing the mark loses nothing else: what is to be told stays in the ring.
 *
 * Locks: state->lock for other.  standing is set by the worker only; a backend believes it only if it
 * was found under the settings that the backend has.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/redis_url.h"
#include "base/shmem.h"
#include "core/era.h"
#include "core/owner.h"
#include "core/queue.h"
#include "redis/wait.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/postmaster.h"
#include "storage/condition_variable.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/spin.h"

/* An owner that has not renewed the mark for so long is taken for dead. */
#define ALIVE_MS 10000
#define RENEW_MS 1000

/* This server is certain to be the owner for less than that, since it reads another clock. */
#define CERTAIN_MS 8000

/* How long the worker is given for an answer; it is woken, and needs one round trip. */
#define LEAST_AWAIT_MS 250
#define TAKE_OVER_MS 10000

#define LONGEST_OTHER 160

typedef struct owner_state
{
	pg_atomic_uint32 standing;	/* a cx_owner */
	pg_atomic_uint64 settings;	/* hash of redis_url and key_prefix that it was found under */
	pg_atomic_uint64 certain_until; /* cx_wait_clock() */
	pg_atomic_uint32 take_over; /* asked for by somebody */
	pg_atomic_uint32 unanswered;	/* how often Redis did not tell */
	ConditionVariable found;
	bool		was_standby;	/* at the start */
	cx_incarnation own;
	cx_incarnation previous;	/* name empty: none that counts */
	uint64		place_in_redis; /* hash of database and prefix; 0: none yet */
	slock_t		lock;
	char		other[LONGEST_OTHER];
} owner_state;

static owner_state *state = NULL;

/*
 * ARGV: own name, previous name, generation, generation to begin with, whom to take the mark from
 * (nobody, dead, any), for how long it is to count, description.  A Redis without memory keeps the mark
 * as it is; nobody can take it then, and the owner still has rows to remove.
 */
cx_script cx_owner_claim = {
	"local mark = redis.pcall('GET', KEYS[1])\n"
	"if type(mark) == 'table' and mark.err then return mark end\n"
	"local time = redis.pcall('TIME')\n"
	"if time.err then return time end\n"
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
	"local name, generation, alive_until = string.match(mark or '', '^(%x+) (%d+) (%d+) ')\n"
	"generation = tonumber(generation or '0')\n"
	"local verdict\n"
	"if name and (name == ARGV[1] or name == ARGV[2]) then\n"
	"  verdict = 'kept'\n"
	"  generation = math.max(generation, tonumber(ARGV[3]))\n"
	"elseif ARGV[5] == 'any' or\n"
	"    ARGV[5] == 'dead' and (not name or tonumber(alive_until) <= now) then\n"
	"  verdict = 'taken'\n"
	"  generation = math.max(generation + 1, tonumber(ARGV[4]))\n"
	"else\n"
	"  return {'refused', 0, mark or ''}\n"
	"end\n"
	"local done = redis.pcall('SET', KEYS[1], string.format('%s %.0f %.0f %s', ARGV[1], generation,\n"
	"  now + ARGV[6], ARGV[7]))\n"
	"if done.err and not (verdict == 'kept' and string.find(done.err, 'OOM', 1, true)) then\n"
	"  return done\n"
	"end\n"
	"return {verdict, generation, ''}\n"
};

/*
 * At the start
 */

/*
 * Where a directory is: the file system and the inode of a file in it, on a running machine.  A copy
 * has another inode, a clone of the file system another device, a clone of the machine another boot.
 */
static uint64
find_place(void)
{
	char		boot[64] = {0};
	struct stat status;
	uint64		facts[2];
	FILE	   *file = AllocateFile("/proc/sys/kernel/random/boot_id", PG_BINARY_R);
	size_t		length;
	uint64		place;

	if (file == NULL)
		return 0;
	length = fread(boot, 1, sizeof(boot), file);
	FreeFile(file);
	if (length == 0 || stat("PG_VERSION", &status) != 0)
		return 0;
	facts[0] = (uint64) status.st_dev;
	facts[1] = (uint64) status.st_ino;
	place = hash_bytes_extended((unsigned char *) boot, (int) length, 0);
	place = hash_combine64(place, hash_bytes_extended((unsigned char *) facts, sizeof(facts), 0));
	return place != 0 ? place : 1;
}

static Size
owner_size(void)
{
	return sizeof(owner_state);
}

static void
owner_create(void *area)
{
	owner_state *fresh = area;
	uint8		random[CX_INCARNATION_LENGTH / 2];
	char		digits[CX_INCARNATION_LENGTH + 1];
	struct stat status;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random name for this start of cache_ext")));
	for (int i = 0; i < lengthof(random); i++)
		snprintf(digits + 2 * i, 3, "%02x", random[i]);
	memcpy(fresh->own.name, digits, CX_INCARNATION_LENGTH);
	fresh->own.place = find_place();

	pg_atomic_init_u32(&fresh->standing, CX_OWNER_UNKNOWN);
	pg_atomic_init_u64(&fresh->settings, 0);
	pg_atomic_init_u64(&fresh->certain_until, 0);
	pg_atomic_init_u32(&fresh->take_over, 0);
	pg_atomic_init_u32(&fresh->unanswered, 0);
	ConditionVariableInit(&fresh->found);
	fresh->was_standby = stat(STANDBY_SIGNAL_FILE, &status) == 0;
	SpinLockInit(&fresh->lock);
}

static void
owner_attach(void *area)
{
	state = area;
}

static const cx_shmem_area owner_area = {
	"cache_ext owner", owner_size, owner_create, owner_attach
};

void
cx_owner_init(void)
{
	cx_shmem_register(&owner_area);
}

cx_incarnation
cx_owner_incarnation(void)
{
	return state->own;
}

void
cx_owner_set_previous(const cx_incarnation *previous)
{
	state->previous = *previous;
}

/*
 * Backends
 */

static uint64
hash_settings(void)
{
	uint64		url = hash_bytes_extended((unsigned char *) cx_redis_url,
										  (int) strlen(cx_redis_url), 0);

	return hash_combine64(url, hash_bytes_extended((unsigned char *) cx_key_prefix,
												   (int) strlen(cx_key_prefix), 0));
}

cx_owner
cx_owner_get(void)
{
	cx_owner	standing = (cx_owner) pg_atomic_read_u32(&state->standing);

	pg_read_barrier();
	return pg_atomic_read_u64(&state->settings) == hash_settings() ? standing : CX_OWNER_UNKNOWN;
}

bool
cx_owner_is_certain(void)
{
	return cx_owner_get() == CX_OWNER_SELF &&
		(uint64) cx_wait_clock() < pg_atomic_read_u64(&state->certain_until);
}

/* Until the worker has answered or failed to; UNKNOWN if it did neither. */
static cx_owner
wait_for_worker(int64 for_ms, bool (*is_found) (cx_owner))
{
	int64		end = cx_wait_clock() + for_ms * 1000;
	uint32		unanswered = pg_atomic_read_u32(&state->unanswered);
	cx_owner	owner;

	cx_era_use();
	cx_queue_wake();
	ConditionVariablePrepareToSleep(&state->found);
	for (;;)
	{
		int64		left_ms = (end - cx_wait_clock()) / 1000;

		owner = cx_owner_get();
		if (is_found(owner))
			break;
		if (pg_atomic_read_u32(&state->unanswered) != unanswered)
		{
			owner = CX_OWNER_UNREACHABLE;
			break;
		}
		if (left_ms <= 0)
		{
			owner = CX_OWNER_UNKNOWN;
			break;
		}
		ConditionVariableTimedSleep(&state->found, left_ms, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return owner;
}

static bool
is_known(cx_owner owner)
{
	return owner != CX_OWNER_UNKNOWN;
}

cx_owner
cx_owner_await(void)
{
	cx_owner	owner = cx_owner_get();

	if (owner != CX_OWNER_UNKNOWN)
		return owner;
	if (!cx_redis_available())
		return CX_OWNER_UNREACHABLE;
	return wait_for_worker(Max(cx_redis_timeout, LEAST_AWAIT_MS), is_known);
}

static bool
is_taken(cx_owner owner)
{
	return owner == CX_OWNER_SELF && pg_atomic_read_u32(&state->take_over) == 0;
}

cx_owner
cx_owner_take_over(void)
{
	cx_owner	owner;

	pg_atomic_write_u32(&state->take_over, 1);
	owner = wait_for_worker(TAKE_OVER_MS, is_taken);
	pg_atomic_write_u32(&state->take_over, 0);
	return owner;
}

char *
cx_owner_other(void)
{
	char		copy[LONGEST_OTHER];

	SpinLockAcquire(&state->lock);
	memcpy(copy, state->other, sizeof(copy));
	SpinLockRelease(&state->lock);
	return pstrdup(copy);
}

/*
 * The worker
 */

static uint64
hash_place(void)
{
	static cx_redis_target target;
	const char *problem;
	uint64		place = hash_bytes_extended((unsigned char *) cx_key_prefix,
											(int) strlen(cx_key_prefix), 0);

	if (cx_redis_url_parse(cx_redis_url, &target, &problem))
		place = hash_combine64(place, (uint64) target.database);
	return place != 0 ? place : 1;
}

/*
 * Another user or password is no other place.  Nor is another server, here: that it is another is seen
 * by its run_id (core/era.c).
 */
bool
cx_owner_settings(void)
{
	uint64		settings = hash_settings();
	uint64		place = hash_place();
	bool		moved = state->place_in_redis != 0 && place != state->place_in_redis;

	if (settings == pg_atomic_read_u64(&state->settings))
		return false;
	state->place_in_redis = place;
	pg_atomic_write_u32(&state->standing, CX_OWNER_UNKNOWN);
	pg_write_barrier();
	pg_atomic_write_u64(&state->settings, settings);
	return moved;
}

bool
cx_owner_is_asked(void)
{
	uint32		standing = pg_atomic_read_u32(&state->standing);

	return standing == CX_OWNER_UNKNOWN || standing == CX_OWNER_UNREACHABLE ||
		pg_atomic_read_u32(&state->take_over) != 0;
}

static const char *
may_take_from(void)
{
	if (pg_atomic_read_u32(&state->take_over) != 0)
		return "any";
	if (pg_atomic_read_u32(&state->standing) == CX_OWNER_OTHER && !state->was_standby)
		return "nobody";		/* (3) */
	return "dead";
}

static const char *
describe(void)
{
	static char text[LONGEST_OTHER];
	char		host[64] = "";

	(void) gethostname(host, sizeof(host) - 1);
	for (char *c = host; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	snprintf(text, sizeof(text), "server " UINT64_FORMAT " on host \"%s\", port %d",
			 GetSystemIdentifier(), host, PostPortNumber);
	return text;
}

static cx_redis_command *
make_claim(uint32 generation, const char *take_from, int64 alive_ms)
{
	cx_redis_command *command = palloc(sizeof(cx_redis_command));
	const char **argv = palloc(sizeof(char *) * 11);
	size_t	   *argvlen = palloc(sizeof(size_t) * 11);
	uint32		now = (uint32) time(NULL);

	argv[0] = "EVALSHA";
	argv[1] = cx_script_sha1(&cx_owner_claim);
	argv[2] = "1";
	argv[3] = psprintf("%s:owner", cx_key_prefix);
	argv[4] = pnstrdup(state->own.name, CX_INCARNATION_LENGTH);
	argv[5] = pnstrdup(state->previous.name, CX_INCARNATION_LENGTH);
	argv[6] = psprintf("%u", generation);
	argv[7] = psprintf("%u", Max(now, generation + 1));
	argv[8] = take_from;
	argv[9] = psprintf(INT64_FORMAT, alive_ms);
	argv[10] = describe();
	for (int i = 0; i < 11; i++)
		argvlen[i] = strlen(argv[i]);
	command->argc = 11;
	command->argv = argv;
	command->argvlen = argvlen;
	return command;
}

/* When the command that was sent last was made, and what it said. */
static int64 claimed_at = 0;
static uint32 claimed_generation = 0;

cx_redis_command *
cx_owner_command(uint32 generation)
{
	claimed_at = cx_wait_clock();
	claimed_generation = generation;
	return make_claim(generation, may_take_from(), ALIVE_MS);
}

static void
publish(cx_owner standing)
{
	cx_owner	before = (cx_owner) pg_atomic_read_u32(&state->standing);

	if (standing == CX_OWNER_SELF)
		pg_atomic_write_u64(&state->certain_until,
							(uint64) (claimed_at + CERTAIN_MS * INT64CONST(1000)));
	else
		pg_atomic_write_u64(&state->certain_until, 0);
	pg_write_barrier();
	pg_atomic_write_u32(&state->standing, standing);
	ConditionVariableBroadcast(&state->found);

	if (standing == CX_OWNER_OTHER && before != CX_OWNER_OTHER)
		ereport(LOG,
				(errmsg("cache_ext is refused key prefix \"%s\" in Redis", cx_key_prefix),
				 errdetail("It belongs to %s, which is alive.", state->other),
				 errhint("Set another cache_ext.key_prefix for this server, or call cache_ext.take_over() if it is to own these keys.")));
	else if (standing == CX_OWNER_UNDECIDED && before != CX_OWNER_UNDECIDED)
		ereport(LOG,
				(errmsg("cache_ext waits for key prefix \"%s\" in Redis", cx_key_prefix),
				 errdetail("It belongs to %s, which may have ended.", state->other)));
	else if ((before == CX_OWNER_OTHER || before == CX_OWNER_UNDECIDED) &&
			 standing == CX_OWNER_SELF)
		ereport(LOG,
				(errmsg("cache_ext owns key prefix \"%s\" in Redis", cx_key_prefix)));
}

/* What the mark says of another; it may be anybody's text. */
static void
remember_other(const char *mark)
{
	const char *text = mark;
	char		clean[LONGEST_OTHER];

	if (*mark == '\0')
		return;					/* Redis has lost it: what was known still holds */
	for (int i = 0; i < 3 && text != NULL; i++)
	{
		text = strchr(text, ' ');
		text = text == NULL ? NULL : text + 1;
	}
	strlcpy(clean, text != NULL && *text != '\0' ? text : "a server that is not known",
			sizeof(clean));
	for (char *c = clean; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	SpinLockAcquire(&state->lock);
	memcpy(state->other, clean, sizeof(clean));
	SpinLockRelease(&state->lock);
}

/* Has the owner that was there at the last look renewed its mark since? */
static bool
is_renewed(const char *mark)
{
	static char seen[CX_INCARNATION_LENGTH + 64];
	bool		same_owner = strncmp(seen, mark, CX_INCARNATION_LENGTH) == 0;
	bool		renewed = same_owner && strncmp(seen, mark, sizeof(seen) - 1) != 0;

	strlcpy(seen, mark, sizeof(seen));
	return renewed;
}

cx_owner_verdict
cx_owner_judge(const cx_redis_reply *reply, uint32 *generation, const char **problem)
{
	const cx_redis_reply *parts = reply->elements;

	*problem = reply->type == CX_REDIS_ERROR ? reply->data : "no answer to a script";
	if (reply->type != CX_REDIS_ARRAY || reply->element_count != 3 ||
		parts[0].type != CX_REDIS_TEXT || parts[1].type != CX_REDIS_INTEGER ||
		parts[2].type != CX_REDIS_TEXT)
		return CX_OWNER_FAILED;
	*generation = (uint32) parts[1].integer;

	if (strcmp(parts[0].data, "refused") == 0)
	{
		bool		alive = is_renewed(parts[2].data) ||
			pg_atomic_read_u32(&state->standing) == CX_OWNER_OTHER;

		remember_other(parts[2].data);
		publish(alive ? CX_OWNER_OTHER : CX_OWNER_UNDECIDED);
		return CX_OWNER_REFUSED;
	}
	pg_atomic_write_u32(&state->take_over, 0);
	publish(CX_OWNER_SELF);
	/* a higher generation: the mark was taken before, and the answer to that was lost */
	return strcmp(parts[0].data, "kept") == 0 && *generation == claimed_generation ?
		CX_OWNER_KEPT : CX_OWNER_TAKEN;
}

void
cx_owner_unreachable(void)
{
	uint32		unknown = CX_OWNER_UNKNOWN;

	(void) pg_atomic_compare_exchange_u32(&state->standing, &unknown, CX_OWNER_UNREACHABLE);
	pg_atomic_fetch_add_u32(&state->unanswered, 1);
	ConditionVariableBroadcast(&state->found);
}

/* What became of the mark otherwise is for the next look to find. */
bool
cx_owner_renew(cx_redis_budget *budget)
{
	cx_redis_command *command;
	cx_redis_reply reply;

	int64		now = cx_wait_clock();

	if (now < claimed_at + RENEW_MS * INT64CONST(1000))
		return true;
	command = make_claim(0, "nobody", ALIVE_MS);
	if (cx_redis_call(command, 1, &reply, budget) != CX_REDIS_OK ||
		reply.type != CX_REDIS_ARRAY || reply.element_count != 3 ||
		reply.elements[0].type != CX_REDIS_TEXT || strcmp(reply.elements[0].data, "kept") != 0)
		return false;
	claimed_at = now;
	publish(CX_OWNER_SELF);
	return true;
}

void
cx_owner_release(cx_redis_budget *budget)
{
	cx_redis_reply reply;

	if (pg_atomic_read_u32(&state->standing) == CX_OWNER_SELF)
		(void) cx_redis_call(make_claim(0, "nobody", 0), 1, &reply, budget);
}
