/*
 * core/messages.c
 *		What the current transaction has queued for Redis: for core/outbox.c only.
 *
 * A vector in the order of the calls.  The messages of a subtransaction are at its end when that ends,
 * so they are cut off or handed up there.  The entities of one key are chained by a hash of the key:
 * one takes the place of another of the same nesting level, others wait side by side for what becomes of
 * their subtransactions.
 */
#include "postgres.h"

#include "base/settings.h"
#include "core/entity.h"
#include "core/messages.h"
#include "core/sweeps.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/memutils.h"

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

cx_queued  *cx_messages = NULL;
int			cx_message_count = 0;
cx_target  *cx_targets = NULL;

static int	message_room = 0;
static key_table_hash *keys = NULL;

void
cx_messages_forget(void)
{
	cx_messages = NULL;
	cx_message_count = 0;
	cx_targets = NULL;
	message_room = 0;
	keys = NULL;
}

void *
cx_messages_copy(const char *bytes, size_t length)
{
	char	   *copy = MemoryContextAllocHuge(TopTransactionContext, Max(length, 1));

	if (length > 0)
		memcpy(copy, bytes, length);
	return copy;
}

void
cx_messages_check_key(size_t length)
{
	if (length == 0 || length > CX_OUTBOX_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key for Redis has %zu bytes, at most %d are possible", length,
						CX_OUTBOX_MAX_KEY)));
}

static cx_target *
find_target(const cx_outbox_target *wanted)
{
	uint64		hash;
	cx_target  *found;

	cx_messages_check_key(wanted->pattern_length);
	hash = cx_target_hash(wanted->pattern, wanted->pattern_length);
	for (found = cx_targets; found != NULL; found = found->next)
		if (found->hash == hash && found->length == wanted->pattern_length &&
			memcmp(found->pattern, wanted->pattern, found->length) == 0)
			break;
	if (found == NULL)
	{
		found = MemoryContextAllocZero(TopTransactionContext, sizeof(cx_target));
		found->hash = hash;
		found->pattern = cx_messages_copy(wanted->pattern, wanted->pattern_length);
		found->length = (uint32) wanted->pattern_length;
		found->next = cx_targets;
		cx_targets = found;
	}
	found->fence |= wanted->fence;
	return found;
}

cx_queued *
cx_messages_add(cx_message_kind kind, const char *key, size_t key_length, const char *value,
				size_t value_length, int64 ttl_ms)
{
	cx_queued  *new;

	if (cx_message_count == message_room)
	{
		int			room = Max(message_room * 2, 8);

		if (cx_messages == NULL)
			cx_messages = MemoryContextAllocHuge(TopTransactionContext, sizeof(cx_queued) * room);
		else
			cx_messages = repalloc_huge(cx_messages, sizeof(cx_queued) * room);
		message_room = room;
	}
	new = &cx_messages[cx_message_count];
	memset(new, 0, sizeof(*new));
	new->kind = kind;
	new->level = GetCurrentTransactionNestLevel();
	new->previous = -1;
	new->key_length = (uint32) key_length;
	new->value_length = (uint32) value_length;
	new->ttl_ms = ttl_ms;
	if (key_length > 0)
		new->key = cx_messages_copy(key, key_length);
	if (value != NULL)
	{
		new->has_value = true;
		new->value = cx_messages_copy(value, value_length);
	}
	cx_message_count++;
	return new;
}

void
cx_messages_add_sweep(const cx_outbox_target *wanted)
{
	cx_target  *found = find_target(wanted);

	cx_messages_add(CX_MESSAGE_SWEEP, NULL, 0, NULL, 0, 0)->target = found;
}

static bool
same_key(const cx_queued *one, const char *key, size_t length)
{
	return one->key_length == length && memcmp(one->key, key, length) == 0;
}

static void
replace_value(cx_queued *entity, const char *value, size_t value_length, int64 ttl_ms, uint32 order)
{
	char	   *old = entity->value;

	entity->value = value != NULL ? cx_messages_copy(value, value_length) : NULL;
	entity->has_value = value != NULL;
	entity->value_length = (uint32) value_length;
	entity->ttl_ms = ttl_ms;
	entity->order = order;
	if (old != NULL)
		pfree(old);
}

/* Takes back entities of a target that will be swept; the places in the vector stay. */
static void
collapse(cx_target *collapsing)
{
	collapsing->collapsed = true;
	for (int i = 0; i < cx_message_count; i++)
		if (cx_messages[i].kind == CX_MESSAGE_ENTITY && cx_messages[i].target == collapsing &&
			cx_messages[i].value != NULL)
		{
			pfree(cx_messages[i].value);
			cx_messages[i].value = NULL;
			cx_messages[i].has_value = false;
		}
}

void
cx_messages_add_entity(const cx_outbox_target *wanted, const char *key, size_t key_length,
					   const char *value, size_t value_length, uint32 order, bool ending)
{
	cx_target  *found;
	key_entry  *entry;
	bool		known;
	cx_queued  *new;
	int			level = GetCurrentTransactionNestLevel();

	cx_messages_check_key(key_length);
	if (value == NULL)
		value_length = 0;
	else if (value_length > CX_OUTBOX_MAX_VALUE || !cx_entity_is_map(value, value_length))
		elog(ERROR, "an entity has to be a map of at most %d bytes", CX_OUTBOX_MAX_VALUE);

	found = find_target(wanted);
	if (found->collapsed)
	{
		if (!found->fence)
			return;				/* what its sweep removes needs no more words */
		value = NULL;			/* but the fence needs the key */
		value_length = 0;
	}

	if (keys == NULL)
		keys = key_table_create(TopTransactionContext, 8, NULL);
	entry = key_table_insert(keys, hash_bytes((const unsigned char *) key, (int) key_length),
							 &known);
	if (!known)
		entry->last = -1;
	for (int at = entry->last; at >= 0 && !ending; at = cx_messages[at].previous)
	{
		cx_queued  *before = &cx_messages[at];

		if (before->target != found || before->level != level || !same_key(before, key, key_length))
			continue;
		if (order >= before->order)
			replace_value(before, value, value_length, wanted->ttl_ms, order);
		return;
	}

	new = cx_messages_add(CX_MESSAGE_ENTITY, key, key_length, value, value_length, wanted->ttl_ms);
	new->target = found;
	new->order = order;
	new->hash = entry->hash;
	new->previous = entry->last;
	entry->last = cx_message_count - 1;
	if (++found->keys > (uint32) cx_max_dirty_keys && !found->collapsed && !ending)
		collapse(found);
}

/*
 * Subtransactions
 */

void
cx_messages_forget_level(int level)
{
	while (cx_message_count > 0 && cx_messages[cx_message_count - 1].level >= level)
	{
		cx_queued  *gone = &cx_messages[--cx_message_count];

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

void
cx_messages_hand_up_level(int level)
{
	for (int i = cx_message_count - 1; i >= 0 && cx_messages[i].level >= level; i--)
		cx_messages[i].level = level - 1;
}

/*
 * The end
 */

/* Of those for one key, from this one back, only one counts: that of the highest command. */
static void
choose(int last)
{
	int			best = last;

	for (int at = cx_messages[last].previous; at >= 0; at = cx_messages[at].previous)
	{
		cx_queued  *other = &cx_messages[at];

		if (other->target != cx_messages[last].target ||
			!same_key(other, cx_messages[last].key, cx_messages[last].key_length))
			continue;
		if (other->order > cx_messages[best].order)
			best = at;
		other->counts = false;
	}
	cx_messages[last].counts = false;
	cx_messages[best].counts = true;
}

void
cx_messages_decide(int first)
{
	for (int i = first; i < cx_message_count; i++)
		if (cx_messages[i].kind == CX_MESSAGE_SWEEP)
			cx_messages[i].target->last_sweep = i + 1;
	for (int i = first; i < cx_message_count; i++)
		if (cx_messages[i].kind == CX_MESSAGE_ENTITY)
			choose(i);
	for (int i = first; i < cx_message_count; i++)
	{
		cx_queued  *one = &cx_messages[i];

		if (one->kind == CX_MESSAGE_ENTITY)
			one->counts &= !one->target->collapsed && i >= one->target->last_sweep;
		else
			one->counts = one->kind != CX_MESSAGE_SWEEP;
	}
}

