/*
 * core/delivery.c
 *		Telling Redis what was committed: the background worker's part.
 *
 * Invariants (rule numbers of the protocol in core/clock.c):
 *
 *	1. What older eras left, and what a restarted Redis may have forgotten, is removed before anything is
 *	   delivered (16).
 *	2. Sweeps are done before messages of later commits.  What a message has for a target is not sent if
 *	   it is older than a sweep of it: it would bring back what the sweep removed.
 *	3. Of messages for one key the earlier in the ring goes first, also where it has to wait for its
 *	   transaction to end; the versions say the same, but a key may be gone by then, and its version.
 *	4. A message is over only when Redis has answered, on the connection that showed which Redis it is.
 *	   All may be sent twice; from the first that failed on, all are sent again in their order.
 *	5. Rows are sent only to a Redis that was looked at.  What one that has lost its memory since may have
 *	   been told is not told again: it may have been told of something newer too, which comes only later.
 *	   Nor is what was committed before then of rows that have fences: a newer row's fence may be what it
 *	   has lost.  Readers ask the table instead.
 *	6. A commit is told only when its record is on disk: no crash takes back what Redis knows.
 *	7. Rows are told by the owner of the key prefix only (core/owner.c).  While another server is the
 *	   owner everything stays in the ring; with share_prefix rows are passed over, and the rest is
 *	   told.
 *
 * One process, so no locks but those of the modules it uses.  Memory: a context that each batch resets.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "core/delivery.h"
#include "core/era.h"
#include "core/held.h"
#include "core/look.h"
#include "core/owner.h"
#include "core/outbox.h"
#include "core/removal.h"
#include "core/sweeps.h"
#include "redis/wait.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#define BATCH_MESSAGES 256
#define BATCH_BYTES (1024 * 1024)
#define ROUND_BATCHES 32

/* How long a command is of use once it is sent: after that it creates no key any more (14). */
#define DELAY_MS 60000

#define IDLE_MS 1000L
#define TROUBLE_MS 100L

typedef enum worker_doing
{
	DOING_NOTHING,				/* no worker */
	DOING_IDLE,
	DOING_STANDBY,
	DOING_WITHOUT_REDIS,
	DOING_WAITING,
	DOING_UNDECIDED,
	DOING_REFUSED,
	DOING_REMOVING,
	DOING_DELIVERING
} worker_doing;

static const char *const doing_names[] = {
	[DOING_NOTHING] = "not running",
	[DOING_IDLE] = "idle",
	[DOING_STANDBY] = "standby",
	[DOING_WITHOUT_REDIS] = "no redis_url",
	[DOING_WAITING] = "waiting for Redis",
	[DOING_UNDECIDED] = "another server may own the keys",
	[DOING_REFUSED] = "another server owns the keys",
	[DOING_REMOVING] = "removing old keys",
	[DOING_DELIVERING] = "delivering"
};

typedef struct delivery_state
{
	pg_atomic_uint32 doing;
	pg_atomic_uint64 delivered;
	pg_atomic_uint64 retried;
	pg_atomic_uint64 dropped;
} delivery_state;

/* One message of a batch. */
typedef struct item
{
	cx_record  *record;
	const cx_message *message;
	cx_entity_origin origin;
	bool		sent;			/* else a sweep covers it */
	bool		doubtful;		/* invariant 5 */
} item;

static delivery_state *state = NULL;

static MemoryContext batch_context = NULL;
static cx_held *held = NULL;
static item items[BATCH_MESSAGES];
static int	item_count;
static cx_redis_command commands[BATCH_MESSAGES];
static cx_redis_reply replies[BATCH_MESSAGES];
static int	command_count;

/* The last look at which Redis it is, and whose keys it has. */
static bool owner = false;
static uint64 looked_connection = 0;	/* cx_redis_connections() then; 0: none */
static int64 looked_at = 0;		/* cx_wait_clock() */

/*
 * Positions in the ring: the end of the batch, up to where messages may have been told without being
 * over, up to where to a Redis that has lost its memory since, and the end of the ring then (5).
 */
static uint64 batch_end = 0;
static uint64 told_end = 0;
static uint64 doubtful_end = 0;
static uint64 unfenced_end = 0;

/* The last pass over all sweeps: cx_sweeps_raised() and the insert position before it. */
static uint64 sweeps_seen = 0;
static XLogRecPtr sweeps_position = InvalidXLogRecPtr;
static int64 pause_until = 0;	/* cx_wait_clock() */

static Size
delivery_size(void)
{
	return sizeof(delivery_state);
}

static void
delivery_create(void *area)
{
	delivery_state *fresh = area;

	pg_atomic_init_u32(&fresh->doing, DOING_NOTHING);
	pg_atomic_init_u64(&fresh->delivered, 0);
	pg_atomic_init_u64(&fresh->retried, 0);
	pg_atomic_init_u64(&fresh->dropped, 0);
}

static void
delivery_attach(void *area)
{
	state = area;
}

static const cx_shmem_area delivery_area = {
	"cache_ext delivery worker", delivery_size, delivery_create, delivery_attach
};

static bool
everything_delivered(void)
{
	return cx_queue_is_empty() && cx_sweeps_wanted() == 0;
}

void
cx_delivery_init(void)
{
	cx_owner_init();			/* before the era, which tells it what it was */
	cx_era_init();
	cx_queue_init();
	cx_sweeps_init();
	cx_shmem_register(&delivery_area);
	cx_era_set_empty_check(everything_delivered);
}

static void
begin_doing(worker_doing what)
{
	pg_atomic_write_u32(&state->doing, what);
}

static void
worker_gone(int code, Datum arg)
{
	begin_doing(DOING_NOTHING);
}

void
cx_delivery_start(void)
{
	batch_context = AllocSetContextCreate(TopMemoryContext, "cache_ext delivery",
										  ALLOCSET_DEFAULT_SIZES);
	before_shmem_exit(worker_gone, (Datum) 0);
	cx_queue_attach_worker();
	told_end = cx_queue_end();	/* by a worker before this one, perhaps */
	begin_doing(DOING_IDLE);
}

void
cx_delivery_read_status(cx_delivery_status *status)
{
	cx_queue_read_status(&status->queue);
	status->delivered = pg_atomic_read_u64(&state->delivered);
	status->retried = pg_atomic_read_u64(&state->retried);
	status->dropped = pg_atomic_read_u64(&state->dropped);
	status->sweeps_pending = cx_sweeps_wanted();
	status->generation = cx_era_begun().generation;
	status->worker = doing_names[pg_atomic_read_u32(&state->doing)];
}

/* Returns false, for who found the trouble to return. */
static bool
trouble(void)
{
	begin_doing(DOING_WAITING);
	pause_until = cx_wait_clock() + TROUBLE_MS * 1000;
	return false;
}

/*
 * Which Redis it is (invariant 1)
 */

/* The last version before an LSN: what is read or changed at it is newer than what is removed. */
static cx_entity_origin
just_before(XLogRecPtr lsn)
{
	cx_entity_origin origin = {cx_era_begun(), lsn - 1, PG_UINT32_MAX};

	return origin;
}

static bool
remove_all_older(XLogRecPtr lsn)
{
	cx_entity_origin origin = just_before(lsn);
	char	   *pattern = psprintf("%s:*:row:*", cx_key_prefix);

	return cx_removal_run(pattern, strlen(pattern), true, &origin);
}

/* Invariant 1.  Another Redis may be behind a new connection; a clock may be set. */
static bool
look_at_redis(void)
{
	cx_look		look;

	if (looked_connection == cx_redis_connections() && looked_connection != 0 &&
		cx_wait_clock() < looked_at + IDLE_MS * 1000 && !cx_owner_is_asked())
		return true;

	looked_connection = 0;
	if (!cx_look_ask(&look))
		return false;
	looked_connection = cx_redis_connections();
	looked_at = cx_wait_clock();
	owner = look.verdict != CX_OWNER_REFUSED;
	if (!owner)
	{
		cx_era_distrust();
		return true;
	}
	if (look.verdict == CX_OWNER_TAKEN && !cx_era_renew(look.generation))
		return false;
	if (cx_era_redis(look.run_id, look.clock_ms))
		return true;

	begin_doing(DOING_REMOVING);
	if (!remove_all_older(GetXLogInsertRecPtr()))
	{
		looked_connection = 0;
		return false;
	}
	cx_era_removed(look.run_id);
	doubtful_end = told_end;
	unfenced_end = cx_queue_end();
	return true;
}

/*
 * What was queued under another key_prefix, and could not be told before that was changed, is not told
 * any more (7): those keys may be another server's, and that may be why the prefix was changed.
 */
static bool
is_of_prefix(const char *key, size_t length)
{
	size_t		prefix_length = strlen(cx_key_prefix);

	return length > prefix_length && memcmp(key, cx_key_prefix, prefix_length) == 0 &&
		key[prefix_length] == ':';
}

/*
 * Sweeps (invariant 2)
 */

/*
 * Each that is wanted, once: while targets are swept all the time, messages have their turn in between.
 */
static bool
do_sweeps(void)
{
	XLogRecPtr	position = GetXLogInsertRecPtr();
	uint64		raised = cx_sweeps_raised();
	char		pattern[CX_OUTBOX_MAX_KEY];
	size_t		length;
	cx_entity_origin origin;
	XLogRecPtr	lsn;
	int			index = -1;

	while (cx_sweeps_next(&index, pattern, &length, &lsn))
	{
		begin_doing(DOING_REMOVING);
		origin = just_before(lsn);
		if (owner && (length == 0 || is_of_prefix(pattern, length)) &&
			!(length == 0 ? remove_all_older(lsn) :
			  cx_removal_run(pattern, length, false, &origin)))
			return false;
		cx_sweeps_done(index, lsn);
	}
	sweeps_seen = raised;
	sweeps_position = position;
	return true;
}

/* Is a sweep to be done before this is told? */
static bool
is_sweep_first(XLogRecPtr commit)
{
	return commit > sweeps_position && cx_sweeps_raised() != sweeps_seen;
}

/*
 * Messages
 */

/* A command of plain words; palloc'd. */
static cx_redis_command
plain_command(const char *name, const cx_message *message, bool with_value)
{
	const char **argv = palloc(sizeof(char *) * 5);
	size_t	   *argvlen = palloc(sizeof(size_t) * 5);
	cx_redis_command command = {2, argv, argvlen};

	argv[0] = name;
	argvlen[0] = strlen(name);
	argv[1] = message->data;
	argvlen[1] = message->key_length;
	if (with_value)
	{
		argv[2] = message->data + message->key_length;
		argvlen[2] = message->value_length;
		command.argc = 3;
		if (message->ttl_ms > 0)
		{
			argv[3] = "PX";
			argvlen[3] = 2;
			argv[4] = psprintf(INT64_FORMAT, message->ttl_ms);
			argvlen[4] = strlen(argv[4]);
			command.argc = 5;
		}
	}
	return command;
}

static cx_redis_command
make_command(const item *one)
{
	const cx_message *message = one->message;
	const char *value = message->data + message->key_length;
	bool		has_value = message->has_value && !one->doubtful;
	cx_redis_command none = {0};

	switch (message->kind)
	{
		case CX_MESSAGE_ENTITY:
			return *cx_entity_set(message->data, message->key_length,
								  has_value ? value : NULL, message->value_length,
								  has_value ? message->ttl_ms : CX_ENTITY_TOMBSTONE_MS,
								  &one->origin, cx_era_redis_clock() + DELAY_MS);
		case CX_MESSAGE_SET:
			return plain_command("SET", message, true);
		case CX_MESSAGE_DELETE:
			return plain_command("DEL", message, false);
		case CX_MESSAGE_UNLOCK:
			return *cx_entity_unlock(message->data, message->key_length, value,
									 message->value_length);
	}
	return none;
}

/* Adds what is left of a record; returns the bytes of it. */
static size_t
add_record(cx_record *record, uint64 position, size_t bytes)
{
	const cx_message *message;
	uint32		sequence;

	for (uint32 left = cx_record_left(record, &message, &sequence);
		 left > 0 && item_count < BATCH_MESSAGES && bytes < BATCH_BYTES; left--)
	{
		item	   *one = &items[item_count++];

		one->record = record;
		one->doubtful = position < doubtful_end || (message->fenced && position < unfenced_end);
		one->message = message;
		one->origin.era = cx_era_begun();
		one->origin.lsn = cx_record_commit(record);
		one->origin.sequence = sequence++;
		one->sent = message->kind != CX_MESSAGE_ENTITY ||
			(owner && is_of_prefix(message->data, message->key_length) &&
			 !cx_sweeps_cover(message->target, one->origin.lsn));
		if (one->sent)
		{
			commands[command_count++] = make_command(one);
			bytes += message->size;
		}
		message = cx_message_next(message);
	}
	return bytes;
}

/* Fills the batch with what can be sent. */
static void
fill_batch(void)
{
	uint64		end = cx_queue_end();
	uint64		position = cx_queue_start();
	XLogRecPtr	latest = InvalidXLogRecPtr;
	size_t		bytes = 0;

	item_count = 0;
	command_count = 0;
	held = cx_held_create();
	while (position < end && item_count < BATCH_MESSAGES && bytes < BATCH_BYTES)
	{
		cx_record  *record = cx_queue_at(position);
		uint64		start = position;

		position = cx_record_next(position, record);
		switch (cx_record_state_of(record))
		{
			case CX_RECORD_FILLING:
				position = end;			/* nobody knows yet what for */
				break;
			case CX_RECORD_RESERVED:
				cx_held_add(held, record);
				break;
			case CX_RECORD_READY:
				if (is_sweep_first(cx_record_commit(record)))
					position = end;
				else if (cx_held_names(held, record))
					cx_held_add(held, record);
				else
				{
					bytes = add_record(record, start, bytes);
					batch_end = position;
					if (cx_record_is_logged(record))
						latest = Max(latest, cx_record_commit(record));
				}
				break;
			case CX_RECORD_OVER:
				break;
		}
	}

	if (latest > GetFlushRecPtr(NULL))
		XLogFlush(latest);
}

static bool
has_code(const cx_redis_reply *reply, const char *code)
{
	return strncmp(reply->data, code, strlen(code)) == 0;
}

/* What Redis refuses for lack of memory or for good may at least be removed. */
static bool
settle_refused(const item *one, const cx_redis_reply *refusal, bool *dropped)
{
	cx_redis_budget left = cx_delivery_budget();
	cx_redis_reply reply = *refusal;

	*dropped = false;
	if (one->message->kind == CX_MESSAGE_ENTITY &&
		(has_code(refusal, "OOM") || has_code(refusal, "ERR")))
	{
		cx_redis_command *removal = cx_entity_remove(one->message->data, one->message->key_length,
													 false, &one->origin);

		if (cx_entity_call(removal, 1, &reply, &left) != CX_REDIS_OK)
			return false;
		if (reply.type != CX_REDIS_ERROR)
			return true;
	}
	cx_delivery_log(reply.data);
	*dropped = has_code(&reply, "ERR") || has_code(&reply, "WRONGTYPE");
	return *dropped;
}

/* Invariant 4: ends the messages up to the first that failed. */
static bool
end_batch(void)
{
	int			next_reply = 0;

	for (int i = 0; i < item_count; i++)
	{
		bool		dropped = false;

		if (items[i].sent)
		{
			const cx_redis_reply *reply = &replies[next_reply++];

			if (reply->type == CX_REDIS_ERROR && !settle_refused(&items[i], reply, &dropped))
			{
				pg_atomic_fetch_add_u64(&state->retried, command_count - (next_reply - 1));
				return false;
			}
			pg_atomic_fetch_add_u64(dropped ? &state->dropped : &state->delivered, 1);
		}
		cx_record_delivered(items[i].record, 1);
	}
	return true;
}

/* False: trouble.  *more: it is worth while to go on at once. */
static bool
deliver_batch(bool *more)
{
	cx_redis_budget left = cx_delivery_budget();
	bool		done;

	*more = true;
	fill_batch();
	if (item_count == 0)
	{
		cx_queue_release();
		if (cx_sweeps_raised() != sweeps_seen)
			return do_sweeps();
		*more = false;
		return true;
	}
	begin_doing(DOING_DELIVERING);
	if (command_count > 0 &&
		cx_entity_call_kept(commands, command_count, replies, &left) != CX_REDIS_OK)
	{
		pg_atomic_fetch_add_u64(&state->retried, command_count);
		if (cx_redis_last_problem()->maybe_done)
			told_end = Max(told_end, batch_end);
		looked_connection = 0;
		return false;
	}
	done = end_batch();
	if (!done)
		told_end = Max(told_end, batch_end);
	cx_queue_release();
	return done;
}

static bool
run_batches(bool *more)
{
	*more = true;
	for (int i = 0; i < ROUND_BATCHES && *more; i++)
	{
		MemoryContextReset(batch_context);
		if (!look_at_redis())
			return false;
		if (!owner && !cx_share_prefix)
			*more = false;		/* (7) */
		else if (!deliver_batch(more))
			return false;
	}
	return true;
}

static worker_doing
doing_at_rest(void)
{
	if (owner || cx_share_prefix)
		return DOING_IDLE;
	return cx_owner_get() == CX_OWNER_OTHER ? DOING_REFUSED : DOING_UNDECIDED;
}

long
cx_delivery_round(void)
{
	MemoryContext old;
	int64		now = cx_wait_clock();
	bool		more;
	bool		done;

	if (!cx_era_begin())
	{
		begin_doing(RecoveryInProgress() ? DOING_STANDBY : DOING_IDLE);
		return IDLE_MS;
	}
	if (cx_redis_url[0] == '\0')
	{
		begin_doing(DOING_WITHOUT_REDIS);
		return IDLE_MS;
	}
	if (cx_owner_settings())
		cx_era_distrust();
	if (now < pause_until)
		return (long) ((pause_until - now) / 1000) + 1;

	old = MemoryContextSwitchTo(batch_context);
	done = run_batches(&more) || trouble();
	MemoryContextSwitchTo(old);
	if (!done)
		return TROUBLE_MS;
	if (!more)
		begin_doing(doing_at_rest());
	return more ? 0 : IDLE_MS;
}

void
cx_delivery_end(void)
{
	cx_redis_budget left = cx_delivery_budget();

	if (cx_redis_url[0] != '\0')
		cx_owner_release(&left);
}

bool
cx_delivery_unfinished(void)
{
	uint32		doing = pg_atomic_read_u32(&state->doing);

	return doing != DOING_WAITING && doing != DOING_UNDECIDED && doing != DOING_REFUSED &&
		cx_era_in_use() && cx_redis_url[0] != '\0' && !RecoveryInProgress() &&
		!everything_delivered();
}
