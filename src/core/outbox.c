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

#include "base/stop_point.h"
#include "core/entity.h"
#include "core/era.h"
#include "core/fence.h"
#include "core/messages.h"
#include "core/outbox.h"
#include "core/prepared.h"
#include "core/queue.h"
#include "core/sweeps.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"

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
	cx_messages_forget();
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

/* What comes while the transaction ends already (invariant 3). */
static void
end_if_ending(void)
{
	if (phase == PHASE_COMMITTING)
		finish_messages(cx_message_count - 1);
	else if (phase == PHASE_PREPARING)
		keep_targets();
}

void
cx_outbox_entity(const cx_outbox_target *target, const char *key, size_t key_length,
				 const char *value, size_t value_length, uint32 order)
{
	int			before = cx_message_count;

	any = true;
	cx_messages_add_entity(target, key, key_length, value, value_length, order, phase != PHASE_OPEN);
	if (cx_message_count > before)
		end_if_ending();
}

void
cx_outbox_sweep(const cx_outbox_target *target)
{
	any = true;
	cx_messages_add_sweep(target);
	late_sweep |= phase == PHASE_COMMITTING;
	end_if_ending();
}

void
cx_outbox_set(const char *key, size_t key_length, const char *value, size_t value_length,
			  int64 ttl_ms)
{
	cx_messages_check_key(key_length);
	any = true;
	cx_messages_add(CX_MESSAGE_SET, key, key_length, value, value_length, ttl_ms);
	end_if_ending();
}

void
cx_outbox_delete(const char *key, size_t key_length)
{
	cx_messages_check_key(key_length);
	any = true;
	cx_messages_add(CX_MESSAGE_DELETE, key, key_length, NULL, 0, 0);
	end_if_ending();
}

void
cx_outbox_unlock(const char *key, size_t key_length, const char *token, size_t token_length)
{
	unlock	   *new;

	cx_messages_check_key(key_length);
	new = MemoryContextAlloc(TopTransactionContext, sizeof(unlock));
	new->key = cx_messages_copy(key, key_length);
	new->key_length = (uint32) key_length;
	new->token = cx_messages_copy(token, token_length);
	new->token_length = (uint32) token_length;
	new->next = unlocks;
	unlocks = new;
	any = true;
}

/*
 * Subtransactions (invariant 1)
 */

static void
on_subtransaction_event(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (cx_message_count == 0)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		cx_messages_forget_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		cx_messages_hand_up_level(GetCurrentTransactionNestLevel());
}

/*
 * The end of the transaction
 */

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
	for (int i = first; i < cx_message_count; i++)
	{
		if (!cx_messages[i].counts)
			continue;
		if (cx_messages[i].kind != CX_MESSAGE_ENTITY)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("no room to keep what Redis is to be told at commit"),
					 errhint("Redis may have been unreachable for long; see the view cache_ext.delivery. "
							 "cache_ext.delivery_memory may be too small.")));
		cx_sweeps_expect(&sweeps, cx_messages[i].target->pattern, cx_messages[i].target->length);
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

	for (int i = first; i < cx_message_count; i++)
		if (cx_messages[i].counts)
		{
			size += cx_message_size(cx_messages[i].key_length, cx_messages[i].value_length);
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
	for (int i = first; i < cx_message_count; i++)
	{
		const cx_queued *from = &cx_messages[i];
		cx_message *copy = out;

		if (!from->counts)
			continue;
		copy_message(&out, from->kind, from->key, from->key_length, from->value,
					 from->value_length);
		copy->has_value = from->has_value;
		copy->ttl_ms = from->ttl_ms;
		if (from->kind == CX_MESSAGE_ENTITY)
		{
			copy->target = from->target->hash;
			copy->fenced = from->target->fence;
		}
	}
	cx_queue_reserved(record);
}

/* Rule 17: nothing that a fence is for stays readable in Redis, or the transaction fails. */
static void
raise_fences(int first)
{
	cx_fence	fence;

	cx_fence_start(&fence);
	for (cx_target *one = cx_targets; one != NULL; one = one->next)
		if (one->fence && one->last_sweep > first)
			cx_fence_pattern(&fence, one->pattern, one->length);
	for (int i = first; i < cx_message_count; i++)
		if (cx_messages[i].kind == CX_MESSAGE_ENTITY && cx_messages[i].target->fence)
			cx_fence_key(&fence, cx_messages[i].key, cx_messages[i].key_length);
	cx_fence_finish(&fence);
}

static void
finish_messages(int first)
{
	bool		fences = false;

	cx_messages_decide(first);
	for (cx_target *one = cx_targets; one != NULL; one = one->next)
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
release_locks(XLogRecPtr commit, bool logged)
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
	cx_queue_publish(record, commit, logged);
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
	bool		logged = TransactionIdIsValid(GetTopTransactionIdIfAny());
	XLogRecPtr	commit = logged ? XactLastCommitEnd : GetXLogInsertRecPtr();

	CX_STOP(CX_STOP_OUTBOX_VISIBLE);
	cx_era_use();
	/* past the commit, and before any other: with what the transaction's own records have */
	cx_sweeps_raise(sweeps, late_sweep ? commit + 1 : commit);
	cx_sweeps_let_go(sweeps);
	for (int i = 0; i < record_count; i++)
		cx_queue_publish(records[i], commit, logged);
	release_locks(commit, logged);
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
		release_locks(InvalidXLogRecPtr, false);
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
	for (int i = 0; i < cx_message_count; i++)
		if (cx_messages[i].kind == CX_MESSAGE_SET || cx_messages[i].kind == CX_MESSAGE_DELETE)
			refuse_prepare("sets or deletes keys in Redis at commit");
	for (cx_target *one = cx_targets; one != NULL; one = one->next)
		if (one->fence)
			refuse_prepare("has changed a table attached with on_redis_down => 'abort'");
	for (cx_target *one = cx_targets; one != NULL; one = one->next)
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
