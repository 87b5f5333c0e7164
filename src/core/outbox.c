/*
 * core/outbox.c
 *		What a transaction will tell Redis once it has committed.
 *
 * Invariants (rule numbers of the protocol in core/clock.c):
 *
 *	1. Messages go with the subtransaction that queued them (15); what only makes readers ask the
 *	   table may stay.
 *	2. Of several images of one row the one of the highest command counts, then the last (15): triggers
 *	   inside triggers queue out of order.
 *	3. Room in the ring is reserved, and sweeps expected, in PRE_COMMIT, after core/dirty.c has raised
 *	   the writers; from then on nothing can fail for want of room.  What is queued after that, by
 *	   another library's callback, gets a record of its own at once.
 *	4. A fence stands from before the commit record exists (17), and its version is older than the
 *	   commit's.
 *	5. COMMIT raises sweeps first and then publishes records, so that whoever sees a record sees the
 *	   sweeps of its commit.  ABORT cancels.  Neither allocates.
 *
 * Memory: TopTransactionContext.  Locks: none here but those of core/queue.c and core/sweeps.c.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/stop_point.h"
#include "core/entity.h"
#include "core/era.h"
#include "core/fence.h"
#include "core/outbox.h"
#include "core/prepared.h"
#include "core/queue.h"
#include "core/sweeps.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct target
{
	uint64		hash;
	char	   *pattern;
	uint32		length;
	bool		fence;
	bool		collapsed;		/* too many keys: a sweep instead */
	uint32		keys;			/* messages of it, gone ones included */
	int			last_sweep;		/* index + 1 of the last sweep that counts; set at the end */
	struct target *next;
} target;

typedef enum message_kind
{
	MESSAGE_SWEEP = CX_MESSAGE_UNLOCK + 1	/* else a cx_message_kind */
} message_kind;

typedef struct message
{
	int			kind;
	int			level;			/* of nesting; a transaction's own is 1 */
	uint32		order;			/* command id of an entity's change */
	bool		counts;			/* entities, at the end: the one to be sent for its key */
	bool		has_value;
	target	   *target;
	uint32		hash;			/* of an entity's key */
	int			previous;		/* entity of the same hash before it; -1: none */
	uint32		key_length;
	uint32		value_length;
	int64		ttl_ms;
	char	   *key;			/* the value has a piece of memory of its own */
	char	   *value;
} message;

typedef struct key_entry
{
	uint32		hash;
	char		status;
	int			last;			/* index of the last entity with this hash; -1: none */
} key_entry;

#define SH_PREFIX key_table
#define SH_ELEMENT_TYPE key_entry
#define SH_KEY_TYPE uint32
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Unlocking is not undone by subtransactions. */
typedef struct unlock
{
	char	   *key;
	char	   *token;
	uint32		key_length;
	uint32		token_length;
	struct unlock *next;
} unlock;

static bool any = false;		/* is there anything below to be looked at? */
static message *messages = NULL;
static int	message_count = 0;
static int	message_room = 0;
static key_table_hash *keys = NULL;
static target *targets = NULL;
static unlock *unlocks = NULL;

typedef enum transaction_phase
{
	PHASE_OPEN,					/* messages only collect */
	PHASE_COMMITTING,			/* a new one is reserved at once */
	PHASE_PREPARING				/* a new one's target is kept at once */
} transaction_phase;

static transaction_phase phase = PHASE_OPEN;
static cx_record **records = NULL;
static int	record_count = 0;
static int	record_room = 0;
static uint32 next_sequence = 1;
static bool late_sweep = false; /* of what this transaction has reserved, too */
static cx_sweep_set sweeps = 0;	/* expected here */
static cx_sweep_set handed_over = 0;	/* of them, to the prepared transaction */

static void
forget_all(void)
{
	any = false;
	messages = NULL;
	message_count = 0;
	message_room = 0;
	keys = NULL;
	targets = NULL;
	unlocks = NULL;
	phase = PHASE_OPEN;
	records = NULL;
	record_count = 0;
	record_room = 0;
	next_sequence = 1;
	late_sweep = false;
	sweeps = 0;
	handed_over = 0;
}

static void finish_messages(int first);
static void keep_targets(void);

/*
 * Collecting
 */

static void *
copy_bytes(const char *bytes, size_t length)
{
	char	   *copy = MemoryContextAllocHuge(TopTransactionContext, Max(length, 1));

	memcpy(copy, bytes, length);
	return copy;
}

static void
check_key(size_t length)
{
	if (length == 0 || length > CX_OUTBOX_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key for Redis has %zu bytes, at most %d are possible", length,
						CX_OUTBOX_MAX_KEY)));
}

static target *
find_target(const cx_outbox_target *wanted)
{
	uint64		hash;
	target	   *found;

	check_key(wanted->pattern_length);
	hash = cx_target_hash(wanted->pattern, wanted->pattern_length);
	for (found = targets; found != NULL; found = found->next)
		if (found->hash == hash && found->length == wanted->pattern_length &&
			memcmp(found->pattern, wanted->pattern, found->length) == 0)
			break;
	if (found == NULL)
	{
		found = MemoryContextAllocZero(TopTransactionContext, sizeof(target));
		found->hash = hash;
		found->pattern = copy_bytes(wanted->pattern, wanted->pattern_length);
		found->length = (uint32) wanted->pattern_length;
		found->next = targets;
		targets = found;
	}
	found->fence |= wanted->fence;
	return found;
}

static message *
add_message(int kind, const char *key, size_t key_length, const char *value, size_t value_length,
			int64 ttl_ms)
{
	message    *new;

	if (message_count == message_room)
	{
		int			room = Max(message_room * 2, 8);

		if (messages == NULL)
			messages = MemoryContextAllocHuge(TopTransactionContext, sizeof(message) * room);
		else
			messages = repalloc_huge(messages, sizeof(message) * room);
		message_room = room;
	}
	new = &messages[message_count];
	memset(new, 0, sizeof(*new));
	new->kind = kind;
	new->level = GetCurrentTransactionNestLevel();
	new->previous = -1;
	new->key_length = (uint32) key_length;
	new->value_length = (uint32) value_length;
	new->ttl_ms = ttl_ms;
	if (key_length > 0)
		new->key = copy_bytes(key, key_length);
	if (value != NULL)
	{
		new->has_value = true;
		new->value = copy_bytes(value, value_length);
	}
	message_count++;
	any = true;
	return new;
}

/* What comes while the transaction ends already (invariant 3). */
static void
end_if_ending(void)
{
	if (phase == PHASE_COMMITTING)
		finish_messages(message_count - 1);
	else if (phase == PHASE_PREPARING)
		keep_targets();
}

static bool
same_key(const message *one, const char *key, size_t length)
{
	return one->key_length == length && memcmp(one->key, key, length) == 0;
}

static void
replace_value(message *entity, const char *value, size_t value_length, int64 ttl_ms, uint32 order)
{
	char	   *old = entity->value;

	entity->value = value != NULL ? copy_bytes(value, value_length) : NULL;
	entity->has_value = value != NULL;
	entity->value_length = (uint32) value_length;
	entity->ttl_ms = ttl_ms;
	entity->order = order;
	if (old != NULL)
		pfree(old);
}

/* Takes back entities of a target that will be swept; the places in the vector stay. */
static void
collapse(target *collapsing)
{
	collapsing->collapsed = true;
	for (int i = 0; i < message_count; i++)
		if (messages[i].kind == CX_MESSAGE_ENTITY && messages[i].target == collapsing &&
			messages[i].value != NULL)
		{
			pfree(messages[i].value);
			messages[i].value = NULL;
			messages[i].has_value = false;
		}
}

void
cx_outbox_entity(const cx_outbox_target *wanted, const char *key, size_t key_length,
				 const char *value, size_t value_length, uint32 order)
{
	target	   *found;
	key_entry  *entry;
	bool		known;
	message    *new;
	int			level = GetCurrentTransactionNestLevel();

	check_key(key_length);
	if (value == NULL)
		value_length = 0;
	else if (value_length > CX_OUTBOX_MAX_VALUE || !cx_entity_is_map(value, value_length))
		elog(ERROR, "an entity has to be a map of at most %d bytes", CX_OUTBOX_MAX_VALUE);

	found = find_target(wanted);
	any = true;
	if (found->collapsed)
	{
		if (!found->fence)
			return;				/* what its sweep removes needs no more words */
		value = NULL;			/* but the fence needs the key */
	}

	if (keys == NULL)
		keys = key_table_create(TopTransactionContext, 8, NULL);
	entry = key_table_insert(keys, hash_bytes((const unsigned char *) key, (int) key_length),
							 &known);
	if (!known)
		entry->last = -1;
	for (int at = entry->last; at >= 0 && phase == PHASE_OPEN; at = messages[at].previous)
	{
		message    *before = &messages[at];

		if (before->target != found || before->level != level || !same_key(before, key, key_length))
			continue;
		if (order >= before->order)
			replace_value(before, value, value_length, wanted->ttl_ms, order);
		return;
	}

	new = add_message(CX_MESSAGE_ENTITY, key, key_length, value, value_length, wanted->ttl_ms);
	new->target = found;
	new->order = order;
	new->hash = entry->hash;
	new->previous = entry->last;
	entry->last = message_count - 1;
	if (++found->keys > (uint32) cx_max_dirty_keys && !found->collapsed && phase == PHASE_OPEN)
		collapse(found);
	end_if_ending();
}

void
cx_outbox_sweep(const cx_outbox_target *wanted)
{
	target	   *found = find_target(wanted);
	message    *new = add_message(MESSAGE_SWEEP, NULL, 0, NULL, 0, 0);

	new->target = found;
	late_sweep = phase == PHASE_COMMITTING;
	end_if_ending();
}

void
cx_outbox_set(const char *key, size_t key_length, const char *value, size_t value_length,
			  int64 ttl_ms)
{
	check_key(key_length);
	add_message(CX_MESSAGE_SET, key, key_length, value, value_length, ttl_ms);
	end_if_ending();
}

void
cx_outbox_delete(const char *key, size_t key_length)
{
	check_key(key_length);
	add_message(CX_MESSAGE_DELETE, key, key_length, NULL, 0, 0);
	end_if_ending();
}

void
cx_outbox_unlock(const char *key, size_t key_length, const char *token, size_t token_length)
{
	unlock	   *new;

	check_key(key_length);
	new = MemoryContextAlloc(TopTransactionContext, sizeof(unlock));
	new->key = copy_bytes(key, key_length);
	new->key_length = (uint32) key_length;
	new->token = copy_bytes(token, token_length);
	new->token_length = (uint32) token_length;
	new->next = unlocks;
	unlocks = new;
	any = true;
}

/*
 * Subtransactions (invariant 1)
 */

static void
forget_level(int level)
{
	while (message_count > 0 && messages[message_count - 1].level >= level)
	{
		message    *gone = &messages[--message_count];

		if (gone->kind == CX_MESSAGE_ENTITY)
		{
			key_table_lookup(keys, gone->hash)->last = gone->previous;
			gone->target->keys--;
		}
		if (gone->key != NULL)
			pfree(gone->key);
		if (gone->value != NULL)
			pfree(gone->value);
	}
}

static void
hand_up_level(int level)
{
	for (int i = message_count - 1; i >= 0 && messages[i].level >= level; i--)
		messages[i].level = level - 1;
}

static void
on_subtransaction_event(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (message_count == 0)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		hand_up_level(GetCurrentTransactionNestLevel());
}

/*
 * The end of the transaction
 */

/* Of those for one key, from this one on, the one that counts (invariant 2). */
static void
choose(int last)
{
	int			best = last;

	for (int at = messages[last].previous; at >= 0; at = messages[at].previous)
	{
		message    *other = &messages[at];

		if (other->target != messages[last].target ||
			!same_key(other, messages[last].key, messages[last].key_length))
			continue;
		if (other->order > messages[best].order)
			best = at;
		other->counts = false;
	}
	messages[last].counts = false;
	messages[best].counts = true;
}

/* Decides what is sent: entities that a later sweep does not remove, one for a key. */
static void
decide(int first)
{
	for (int i = first; i < message_count; i++)
		if (messages[i].kind == MESSAGE_SWEEP)
			messages[i].target->last_sweep = i + 1;
	for (int i = first; i < message_count; i++)
		if (messages[i].kind == CX_MESSAGE_ENTITY)
			choose(i);
	for (int i = first; i < message_count; i++)
		if (messages[i].kind == CX_MESSAGE_ENTITY &&
			(messages[i].target->collapsed || i < messages[i].target->last_sweep))
			messages[i].counts = false;
		else if (messages[i].kind == MESSAGE_SWEEP)
			messages[i].counts = false;
		else if (messages[i].kind != CX_MESSAGE_ENTITY)
			messages[i].counts = true;
}

static void
copy_message(cx_message **out, int kind, const char *key, uint32 key_length, const char *value,
			 uint32 value_length)
{
	cx_message *copy = *out;

	memset(copy, 0, offsetof(cx_message, data));
	copy->size = cx_message_size(key_length, value_length);
	copy->kind = kind;
	copy->key_length = key_length;
	copy->value_length = value_length;
	memcpy(copy->data, key, key_length);
	if (value_length > 0)
		memcpy(copy->data + key_length, value, value_length);
	*out = (cx_message *) ((char *) copy + copy->size);
}

static void
note_record(cx_record *record)
{
	Assert(record_count < record_room);
	records[record_count++] = record;
}

static void
make_record_room(void)
{
	if (record_count < record_room)
		return;
	record_room = record_room * 2 + 4;
	if (records == NULL)
		records = MemoryContextAlloc(TopTransactionContext, sizeof(cx_record *) * record_room);
	else
		records = repalloc(records, sizeof(cx_record *) * record_room);
}

/* Where the ring has no room, readers have to ask the table. */
static void
give_up(int first)
{
	late_sweep |= record_count > 0;
	for (int i = first; i < message_count; i++)
	{
		if (!messages[i].counts)
			continue;
		if (messages[i].kind != CX_MESSAGE_ENTITY)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("no room to keep what Redis is to be told at commit"),
					 errhint("Redis may have been unreachable for long; see the view cache_ext.delivery. "
							 "cache_ext.delivery_memory may be too small.")));
		cx_sweeps_expect(&sweeps, messages[i].target->pattern, messages[i].target->length);
	}
}

/* Invariant 3, for the messages from first on. */
static void
reserve(int first)
{
	uint64		size = 0;
	uint32		count = 0;
	cx_record  *record;
	cx_message *out;

	for (int i = first; i < message_count; i++)
		if (messages[i].counts)
		{
			size += cx_message_size(messages[i].key_length, messages[i].value_length);
			count++;
		}
	if (count == 0)
		return;
	make_record_room();
	record = cx_queue_reserve(size, count, next_sequence, &out);
	if (record == NULL)
	{
		give_up(first);
		return;
	}
	note_record(record);
	next_sequence += count;
	for (int i = first; i < message_count; i++)
	{
		const message *from = &messages[i];
		cx_message *copy = out;

		if (!from->counts)
			continue;
		copy_message(&out, from->kind, from->key, from->key_length, from->value,
					 from->value_length);
		copy->has_value = from->has_value;
		copy->ttl_ms = from->ttl_ms;
		if (from->kind == CX_MESSAGE_ENTITY)
			copy->target = from->target->hash;
	}
	cx_queue_reserved(record);
}

/* Rule 17: nothing that a fence is for stays readable in Redis, or the transaction fails. */
static void
raise_fences(int first)
{
	cx_fence	fence;

	cx_fence_start(&fence);
	for (target *one = targets; one != NULL; one = one->next)
		if (one->fence && one->last_sweep > first)
			cx_fence_pattern(&fence, one->pattern, one->length);
	for (int i = first; i < message_count; i++)
		if (messages[i].kind == CX_MESSAGE_ENTITY && messages[i].target->fence)
			cx_fence_key(&fence, messages[i].key, messages[i].key_length);
	cx_fence_finish(&fence);
}

static void
finish_messages(int first)
{
	bool		fences = false;

	decide(first);
	for (target *one = targets; one != NULL; one = one->next)
	{
		if (one->collapsed || one->last_sweep > first)
			cx_sweeps_expect(&sweeps, one->pattern, one->length);
		fences |= one->fence;
	}
	if (fences)
		raise_fences(first);
	reserve(first);
}

/* Without memory and without waiting for long; where there is no room, the lock's TTL ends it. */
static void
release_locks(XLogRecPtr position)
{
	uint64		size = 0;
	uint32		count = 0;
	cx_record  *record;
	cx_message *out;

	for (unlock *one = unlocks; one != NULL; one = one->next)
	{
		size += cx_message_size(one->key_length, one->token_length);
		count++;
	}
	if (count == 0)
		return;
	record = cx_queue_reserve(size, count, next_sequence, &out);
	if (record == NULL)
		return;
	for (unlock *one = unlocks; one != NULL; one = one->next)
		copy_message(&out, CX_MESSAGE_UNLOCK, one->key, one->key_length, one->token,
					 one->token_length);
	cx_queue_publish(record, position);
}

static void
begin_commit(void)
{
	phase = PHASE_COMMITTING;
	if (!any)
		return;
	finish_messages(0);
	CX_STOP(CX_STOP_OUTBOX_RESERVED);
}

/* Invariant 5.  Without a transaction ID there is no commit record: what counts is that it is now. */
static void
end_commit(void)
{
	XLogRecPtr	commit = TransactionIdIsValid(GetTopTransactionIdIfAny()) ? XactLastCommitEnd :
		GetXLogInsertRecPtr();

	CX_STOP(CX_STOP_OUTBOX_VISIBLE);
	cx_era_use();
	/* past the commit, and before any other: with what the transaction's own records have */
	cx_sweeps_raise(sweeps, late_sweep ? commit + 1 : commit);
	cx_sweeps_let_go(sweeps);
	for (int i = 0; i < record_count; i++)
		cx_queue_publish(records[i], commit);
	release_locks(commit);
	cx_queue_wake();
}

static void
abandon(void)
{
	cx_sweeps_let_go(sweeps & ~handed_over);
	for (int i = 0; i < record_count; i++)
		cx_queue_cancel(records[i]);
	if (unlocks != NULL)
	{
		cx_era_use();
		release_locks(InvalidXLogRecPtr);
		cx_queue_wake();
	}
}

/*
 * Two-phase commit: which rows were changed is not kept, but which targets; they are swept when the
 * transaction commits.
 */

static void
refuse_prepare(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that %s", what)));
}

static void
keep_targets(void)
{
	if (unlocks != NULL)
		refuse_prepare("releases a lock in Redis at its end");
	for (int i = 0; i < message_count; i++)
		if (messages[i].kind == CX_MESSAGE_SET || messages[i].kind == CX_MESSAGE_DELETE)
			refuse_prepare("sets or deletes keys in Redis at commit");
	for (target *one = targets; one != NULL; one = one->next)
		if (one->fence)
			refuse_prepare("has changed a table attached with on_redis_down => 'abort'");
	for (target *one = targets; one != NULL; one = one->next)
		cx_sweeps_expect(&sweeps, one->pattern, one->length);
	if (cx_prepared_store_sweeps(GetTopTransactionId(), sweeps))
		handed_over = sweeps;
}

static void
begin_prepare(void)
{
	phase = PHASE_PREPARING;
	if (any)
		keep_targets();
}

static void
on_transaction_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			begin_commit();
			break;
		case XACT_EVENT_COMMIT:
			if (any)
				end_commit();
			forget_all();
			break;
		case XACT_EVENT_ABORT:
			if (any)
				abandon();
			forget_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			begin_prepare();
			break;
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;				/* parallel workers change nothing */
	}
}

void
cx_outbox_init(void)
{
	RegisterXactCallback(on_transaction_event, NULL);
	RegisterSubXactCallback(on_subtransaction_event, NULL);
}
