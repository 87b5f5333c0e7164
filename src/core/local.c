/*
 * core/local.c
 *		Entries in shared memory: the local tier.
 *
 * What a process does with the shared table of core/local_table.c, where the locks and the life of
 * an entry are described.
 *
 *	1. A pin is known to the process, and to the memory context that it was made in.  Whichever ends
 *	   first releases it, unless cx_local_release() did; the entry is unpinned once.
 *	2. A process has one entry reserved at most, which no other knows of, and gives it back when it
 *	   reserves the next one or ends.
 *	3. A process that is killed leaves nothing to clean up: shared memory is made anew.
 *
 * A pin takes memory of its context until that is reset, also after its release: a callback of a
 * context can't be taken back.
 */
#include "postgres.h"

#include "base/crc.h"
#include "core/local.h"
#include "core/local_table.h"

#include "storage/ipc.h"
#include "utils/memutils.h"

#define CLEAR_STEP 256			/* entries removed while the table is locked once */

struct cx_local_pin
{
	dlist_node	node;			/* in my_pins */
	cx_table_entry *entry;		/* NULL: released */
	MemoryContextCallback callback;
};

static dlist_head my_pins = DLIST_STATIC_INIT(my_pins);
static cx_table_entry *my_reserved = NULL;
static bool exit_registered = false;

void
cx_local_init(void)
{
	cx_table_init();
}

bool
cx_local_available(void)
{
	return cx_table_exists();
}

/* The lock is held. */
static void
give_back_reserved(void)
{
	if (my_reserved != NULL)
		cx_table_free(my_reserved);
	my_reserved = NULL;
}

static void
release_at_exit(int code, Datum arg)
{
	while (!dlist_is_empty(&my_pins))
		cx_local_release(dlist_head_element(cx_local_pin, node, &my_pins));
	if (my_reserved != NULL)
	{
		cx_table_lock();
		give_back_reserved();
		cx_table_unlock();
	}
}

static void
register_exit(void)
{
	if (!exit_registered)
		on_shmem_exit(release_at_exit, (Datum) 0);
	exit_registered = true;
}

/*
 * Pins
 */

static void
release_at_reset(void *pin)
{
	cx_local_release(pin);
}

/* Makes a pin of the context's that was put on an entry just now. */
static void
own_pin(cx_local_pin *pin, cx_table_entry *entry, MemoryContext context)
{
	pin->entry = entry;
	dlist_push_head(&my_pins, &pin->node);
	pin->callback.func = release_at_reset;
	pin->callback.arg = pin;
	MemoryContextRegisterResetCallback(context, &pin->callback);
}

cx_local_pin *
cx_local_get(const char *key, size_t key_length, MemoryContext context, cx_local_entry *facts)
{
	cx_local_pin *pin;
	cx_table_entry *entry;

	if (!cx_table_exists())
		return NULL;
	register_exit();

	/* whatever can fail comes before the entry is pinned */
	pin = MemoryContextAlloc(context, sizeof(cx_local_pin));
	entry = cx_table_pin(cx_crc32c(key, key_length), key, key_length);
	if (entry == NULL)
	{
		pfree(pin);
		return NULL;
	}
	own_pin(pin, entry, context);
	*facts = entry->facts;
	return pin;
}

void
cx_local_release(cx_local_pin *pin)
{
	cx_table_entry *entry = pin->entry;

	if (entry == NULL)
		return;
	pin->entry = NULL;
	dlist_delete(&pin->node);
	cx_table_unpin(entry);
}

void
cx_local_drop(cx_local_pin *pin)
{
	if (pin->entry == NULL)
		return;
	cx_table_lock();
	cx_table_discard(pin->entry);
	cx_table_unlock();
}

/*
 * Storing
 */

/* What an entry is to take, or more than its share if that is too much. */
static Size
entry_size(size_t key_length, int slot_count, size_t body_length)
{
	if (key_length > cx_table_share() || body_length > cx_table_share())
		return cx_table_share() + 1;
	return MAXALIGN(sizeof(cx_table_entry)) +
		MAXALIGN(sizeof(cx_slot) * (Size) slot_count + key_length) + body_length;
}

bool
cx_local_fits(size_t key_length, size_t body_length)
{
	return cx_table_exists() && entry_size(key_length, 0, body_length) <= cx_table_share();
}

/* Writes everything but the body, for which it returns the place. */
static char *
fill_entry(cx_table_entry *entry, const cx_local_entry *facts)
{
	cx_slot    *slots = (cx_slot *) ((char *) entry + MAXALIGN(sizeof(cx_table_entry)));
	char	   *key = (char *) (slots + facts->clocks.count);
	char	   *body = (char *) MAXALIGN(key + facts->key_length);

	if (facts->clocks.count > 0)
		memcpy(slots, facts->clocks.slots, sizeof(cx_slot) * facts->clocks.count);
	memcpy(key, facts->key, facts->key_length);

	entry->renderings = NULL;
	entry->hash = cx_crc32c(key, facts->key_length);
	entry->facts = *facts;
	entry->facts.clocks.slots = slots;
	entry->facts.key = key;
	entry->facts.body = body;
	return body;
}

void *
cx_local_reserve(const cx_local_entry *facts, char **body)
{
	Size		size;

	if (!cx_table_exists())
		return NULL;
	size = entry_size(facts->key_length, facts->clocks.count, facts->body_length);
	if (size > cx_table_share())
		return NULL;
	register_exit();

	cx_table_lock();
	give_back_reserved();
	my_reserved = cx_table_allocate(size);
	cx_table_unlock();
	if (my_reserved != NULL)
		*body = fill_entry(my_reserved, facts);
	return my_reserved;
}

void
cx_local_publish(void *reserved)
{
	Assert(reserved != NULL && reserved == my_reserved);
	cx_table_lock();
	if (cx_table_link(my_reserved))
		my_reserved = NULL;
	else
		give_back_reserved();
	cx_table_unlock();
}

/*
 * Renderings
 */

/* Needs no lock: see cx_table_add_rendering(). */
static const cx_table_rendering *
find_rendering(const cx_table_entry *entry, const char *name, size_t name_length)
{
	const cx_table_rendering *at = entry->renderings;

	pg_read_barrier();
	while (at != NULL && (at->name_length != name_length ||
						  memcmp(at->data + at->length, name, name_length) != 0))
		at = at->next;
	return at;
}

const char *
cx_local_find_rendering(cx_local_pin *pin, const char *name, size_t name_length, size_t *length)
{
	const cx_table_rendering *found = NULL;

	if (pin->entry != NULL)
		found = find_rendering(pin->entry, name, name_length);
	if (found == NULL)
		return NULL;
	*length = found->length;
	return found->data;
}

/* The lock is held. */
static bool
may_add_rendering(const cx_table_entry *entry, const char *name, size_t name_length, Size size)
{
	return entry->linked && entry->taken + size <= cx_table_share() &&
		find_rendering(entry, name, name_length) == NULL;
}

void
cx_local_add_rendering(cx_local_pin *pin, const char *name, size_t name_length,
					   const char *data, size_t length)
{
	cx_table_entry *entry = pin->entry;
	cx_table_rendering *rendering = NULL;
	Size		size = offsetof(cx_table_rendering, data) + name_length;

	if (entry == NULL || name_length > cx_table_share() || length > cx_table_share())
		return;
	size += length;

	cx_table_lock();
	if (may_add_rendering(entry, name, name_length, size))
		rendering = cx_table_allocate(size);
	cx_table_unlock();
	if (rendering == NULL)
		return;

	rendering->name_length = name_length;
	rendering->length = length;
	memcpy(rendering->data, data, length);
	memcpy(rendering->data + length, name, name_length);

	cx_table_lock();
	if (may_add_rendering(entry, name, name_length, size))
		cx_table_add_rendering(entry, rendering);
	else
		cx_table_free(rendering);
	cx_table_unlock();
}

/*
 * All entries
 */

/* In steps, so that others get their turn.  What they store meanwhile stays. */
void
cx_local_clear(void)
{
	uint64		last = 0;
	bool		more = true;

	if (!cx_table_exists())
		return;
	while (more)
	{
		cx_table_lock();
		if (last == 0 && cx_table_latest() != NULL)
			last = cx_table_latest()->serial;
		for (int i = 0; i < CLEAR_STEP && more; i++)
		{
			cx_table_entry *oldest = cx_table_oldest();

			more = oldest != NULL && oldest->serial <= last;
			if (more)
				cx_table_remove(oldest);
		}
		cx_table_unlock();
	}
}

void
cx_local_read_state(cx_local_state *result)
{
	memset(result, 0, sizeof(*result));
	if (cx_table_exists())
		cx_table_read_state(result);
}

/* Where others change the bucket meanwhile, serial numbers tell what was visited already. */
static void
visit_bucket(uint64 bucket, void (*visitor) (const cx_local_entry *entry, void *arg), void *arg,
			 MemoryContext context)
{
	uint64		serial = PG_UINT64_MAX;

	for (;;)
	{
		cx_local_pin *pin = MemoryContextAlloc(context, sizeof(cx_local_pin));
		cx_table_entry *entry = cx_table_pin_before(bucket, serial);

		if (entry == NULL)
			break;
		own_pin(pin, entry, context);
		visitor(&entry->facts, arg);
		serial = entry->serial;
		MemoryContextReset(context);	/* which releases the pin */
	}
	MemoryContextReset(context);
}

void
cx_local_visit(void (*visitor) (const cx_local_entry *entry, void *arg), void *arg)
{
	MemoryContext context;

	if (!cx_table_exists())
		return;
	register_exit();
	context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext local visit",
									ALLOCSET_SMALL_SIZES);
	for (uint64 bucket = 0; bucket < cx_table_bucket_count(); bucket++)
		visit_bucket(bucket, visitor, arg, context);
	MemoryContextDelete(context);
}
