/*
 * core/local_table.c
 *		The shared side of the local tier: which entries there are, and which go.
 *
 * A hash table of entries, all of which stand in one queue from the latest to the oldest.  Eviction
 * is SIEVE (NSDI '24): a hand goes from the oldest to the latest and takes the first entry that was
 * not visited since it came by last.  So a hit only has to leave a mark, and moves nothing.
 *
 * Invariants:
 *
 *	1. An entry is linked if it is in its bucket and in the queue.  Only then can it be found, and
 *	   get new pins, which happens under its partition's lock.
 *	2. While it is linked or pinned, an entry stays where it is and its bytes don't change;
 *	   renderings are only added.
 *	3. pins is the number of pins, with REMOVED added once the entry is not linked any more.  From
 *	   then on it only falls, so exactly one step takes it to REMOVED with no pins left: that of who
 *	   removed the entry, or of the last one who unpinned it.  Who took that step frees it.
 *	4. An entry without pins may also be freed at once by who unlinked it, if it was seen to have
 *	   none under its partition's exclusive lock.
 *	5. Memory is freed under the table's lock only.  So whoever has that may look at any piece in
 *	   use and ask its owner whether it is linked and pinned.
 *	6. The hands point to linked entries, or nowhere.
 *
 * Locks: the table's lock guards the queue, the memory and the numbers, a partition's lock the
 * buckets of that partition.  The table's lock comes first, then at most one partition's, and
 * nothing is waited for after that: so nobody waits in a circle.  A hit takes one partition's lock,
 * shared, and no other.  Unpinning takes none, or the table's alone for the last pin of a removed
 * entry.  While a lock is held, nothing raises an error and no interrupt is served.
 *
 * Memory: one area of local_memory kB that never grows, with this state, the buckets and the
 * entries.  Main shared memory is at the same address in every process, so pointers are good in all
 * of them.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "core/local_memory.h"
#include "core/local_table.h"

#include "port/pg_bitutils.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define PARTITIONS 128			/* a power of two */
#define BYTES_PER_BUCKET 1024	/* of local_memory */

/* No entry takes more than this part of the memory. */
#define SHARE 8

#define REMOVED ((uint32) 1 << 31)

/* At each eviction so many entries are looked at for those of no more use. */
#define SWEEP_LOOKS 32

/* The hand passes so many at most: where all were visited it hardly matters which one goes. */
#define HAND_LOOKS 1024

/*
 * SIEVE's choices lie scattered.  They make room for an entry like the others, but hardly for one
 * that is much larger.  So when they add up to this many times the wanted size, to an entry's share
 * of the memory, or to so many entries, the next choice goes together with its neighbours, visited
 * or not.  In all, the largest entry pushes out about a quarter of the memory.  (On sizes of 100 to
 * 20,000 bytes, 8 times gives more hits than 2 or 4: what is freed too much serves small entries.)
 */
#define SCATTERED_TIMES 8
#define SCATTERED_COUNT 256

/* So many places are tried; in some, a pinned entry may be in the way. */
#define PLACES 8

typedef union partition
{
	struct
	{
		LWLock		lock;
		pg_atomic_uint32 pins;	/* on its entries, removed ones included */
	}			part;
	char		pad[LWLOCK_PADDED_SIZE];	/* no two in one cache line */
} partition;

typedef struct table_state
{
	LWLock		lock;
	int			partition_tranche;
	dlist_head	queue;			/* latest first */
	cx_table_entry *hand;		/* the next to be looked at; NULL: the oldest */
	cx_table_entry *sweep_hand;
	uint64		last_serial;
	uint64		entries;		/* in the queue */
	uint64		evictions;
	uint64		discards;
} table_state;

/* The parts of the area.  state is NULL where there is no local tier. */
static table_state *state = NULL;
static partition *partitions;
static cx_table_entry **buckets;
static uint64 bucket_mask;
static cx_memory *memory;

/* When the eviction that is under way began. */
static TimestampTz eviction_time;

/*
 * The area
 */

static Size
area_size(void)
{
	return mul_size(cx_local_memory, 1024);
}

uint64
cx_table_bucket_count(void)
{
	return UINT64CONST(1) << pg_leftmost_one_pos64(area_size() / BYTES_PER_BUCKET);
}

/* Finds out where the parts are; returns where the last of them, the memory, begins. */
static char *
place_parts(void *area)
{
	char	   *at = (char *) area + TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(table_state));

	partitions = (partition *) at;
	at += sizeof(partition) * PARTITIONS;
	buckets = (cx_table_entry **) at;
	bucket_mask = cx_table_bucket_count() - 1;
	return at + TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(cx_table_entry *) * cx_table_bucket_count());
}

static void
table_create(void *area)
{
	table_state *fresh = area;
	char	   *rest = place_parts(area);

	LWLockInitialize(&fresh->lock, LWLockNewTrancheId());
	fresh->partition_tranche = LWLockNewTrancheId();
	for (int i = 0; i < PARTITIONS; i++)
	{
		LWLockInitialize(&partitions[i].part.lock, fresh->partition_tranche);
		pg_atomic_init_u32(&partitions[i].part.pins, 0);
	}
	dlist_init(&fresh->queue);
	cx_memory_create(rest, (char *) area + area_size() - rest);
}

static void
table_attach(void *area)
{
	memory = (cx_memory *) place_parts(area);
	state = area;
	LWLockRegisterTranche(state->lock.tranche, "cache_ext local tier");
	LWLockRegisterTranche(state->partition_tranche, "cache_ext local partition");
}

static const cx_shmem_area table_area = {
	"cache_ext local tier", area_size, table_create, table_attach
};

void
cx_table_init(void)
{
	if (cx_local_memory > 0)
		cx_shmem_register(&table_area);
}

bool
cx_table_exists(void)
{
	return state != NULL;
}

Size
cx_table_share(void)
{
	return area_size() / SHARE;
}

void
cx_table_lock(void)
{
	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
}

void
cx_table_unlock(void)
{
	LWLockRelease(&state->lock);
}

void
cx_table_read_state(cx_local_state *result)
{
	LWLockAcquire(&state->lock, LW_SHARED);
	Assert(cx_memory_sound(memory));
	result->limit = area_size();
	result->used = ((char *) memory - (char *) state) + cx_memory_used(memory);
	result->entries = state->entries;
	result->evictions = state->evictions;
	result->discards = state->discards;
	result->pins = 0;
	for (int i = 0; i < PARTITIONS; i++)
		result->pins += pg_atomic_read_u32(&partitions[i].part.pins);
	LWLockRelease(&state->lock);
}

/*
 * Buckets
 */

static cx_table_entry **
bucket_of(uint32 hash)
{
	return &buckets[hash & bucket_mask];
}

static partition *
partition_of(uint32 hash)
{
	return &partitions[hash & bucket_mask & (PARTITIONS - 1)];
}

static LWLock *
lock_of(uint32 hash)
{
	return &partition_of(hash)->part.lock;
}

/* The partition's lock is held. */
static cx_table_entry *
find(uint32 hash, const char *key, size_t key_length)
{
	cx_table_entry *entry;

	for (entry = *bucket_of(hash); entry != NULL; entry = entry->next)
		if (entry->hash == hash && entry->facts.key_length == key_length &&
			memcmp(entry->facts.key, key, key_length) == 0)
			break;
	return entry;
}

static void
leave_bucket(cx_table_entry *entry)
{
	cx_table_entry **link = bucket_of(entry->hash);

	Assert(LWLockHeldByMeInMode(lock_of(entry->hash), LW_EXCLUSIVE));
	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
}

/*
 * The queue and the memory.  The table's lock is held, here and for eviction.
 */

/* The next one on the way of a hand. */
static cx_table_entry *
later(cx_table_entry *entry)
{
	return dlist_has_prev(&state->queue, &entry->node) ?
		dlist_container(cx_table_entry, node, dlist_prev_node(&state->queue, &entry->node)) : NULL;
}

cx_table_entry *
cx_table_oldest(void)
{
	return dlist_is_empty(&state->queue) ? NULL :
		dlist_tail_element(cx_table_entry, node, &state->queue);
}

cx_table_entry *
cx_table_latest(void)
{
	return dlist_is_empty(&state->queue) ? NULL :
		dlist_head_element(cx_table_entry, node, &state->queue);
}

static void
leave_queue(cx_table_entry *entry)
{
	if (state->hand == entry)
		state->hand = later(entry);
	if (state->sweep_hand == entry)
		state->sweep_hand = later(entry);
	dlist_delete(&entry->node);
	entry->linked = false;
	state->entries--;
}

static void
free_renderings(cx_table_entry *entry)
{
	for (cx_table_rendering *rendering = entry->renderings; rendering != NULL;)
	{
		cx_table_rendering *next = rendering->next;

		cx_memory_free(memory, rendering);
		rendering = next;
	}
}

static void
free_entry(cx_table_entry *entry)
{
	Assert(!entry->linked);
	free_renderings(entry);
	cx_memory_free(memory, entry);
}

/* For an entry that has left bucket and queue: invariant 3. */
static void
retire(cx_table_entry *entry)
{
	if (pg_atomic_fetch_or_u32(&entry->pins, REMOVED) == 0)
		free_entry(entry);
}

void
cx_table_remove(cx_table_entry *entry)
{
	LWLockAcquire(lock_of(entry->hash), LW_EXCLUSIVE);
	leave_bucket(entry);
	LWLockRelease(lock_of(entry->hash));
	leave_queue(entry);
	retire(entry);
}

void
cx_table_discard(cx_table_entry *entry)
{
	if (!entry->linked)
		return;
	cx_table_remove(entry);
	state->discards++;
}

/* Puts the entry into its bucket, unless it must not replace *old, the one of its key there. */
static bool
enter_bucket(cx_table_entry *entry, cx_table_entry **old)
{
	const cx_stamp *stamp = &entry->facts.stamp;
	bool		enters;

	LWLockAcquire(lock_of(entry->hash), LW_EXCLUSIVE);
	*old = find(entry->hash, entry->facts.key, entry->facts.key_length);
	enters = *old == NULL || stamp->epoch != (*old)->facts.stamp.epoch ||
		stamp->lsn >= (*old)->facts.stamp.lsn;
	if (enters)
	{
		if (*old != NULL)
			leave_bucket(*old);
		entry->next = *bucket_of(entry->hash);
		*bucket_of(entry->hash) = entry;
	}
	LWLockRelease(lock_of(entry->hash));
	return enters;
}

bool
cx_table_link(cx_table_entry *entry)
{
	cx_table_entry *old;

	pg_atomic_init_u32(&entry->pins, 0);
	pg_atomic_init_u32(&entry->visited, 0);
	entry->serial = ++state->last_serial;
	if (!enter_bucket(entry, &old))
		return false;

	if (old != NULL)
	{
		/* whether the key is asked for again and again is known already */
		if (pg_atomic_read_u32(&old->visited) != 0)
			pg_atomic_write_u32(&entry->visited, 1);
		leave_queue(old);
		retire(old);
	}
	dlist_push_head(&state->queue, &entry->node);
	state->entries++;
	entry->linked = true;
	entry->taken = cx_memory_taken(entry);
	cx_memory_set_owner(entry, entry);
	return true;
}

/* A reader without a lock finds it whole, or not at all. */
void
cx_table_add_rendering(cx_table_entry *entry, cx_table_rendering *rendering)
{
	rendering->next = entry->renderings;
	pg_write_barrier();
	entry->renderings = rendering;
	entry->taken += cx_memory_taken(rendering);
	cx_memory_set_owner(rendering, entry);
}

/*
 * Eviction
 */

/* May it go, as far as can be told without its partition's lock? */
static bool
evictable(void *owner)
{
	cx_table_entry *entry = owner;

	return entry->linked && pg_atomic_read_u32(&entry->pins) == 0;
}

/* Expired, or something it depends on has changed. */
static bool
useless(const cx_table_entry *entry)
{
	const cx_local_entry *facts = &entry->facts;
	cx_clock_verdict verdict;

	if (facts->expires <= eviction_time)
		return true;
	verdict = cx_clock_check(&facts->stamp, facts->clocks.slots, facts->clocks.count);
	return verdict == CX_CLOCK_CHANGED || verdict == CX_CLOCK_OTHER_EPOCH;
}

/* Takes the entry out of bucket and queue, unless it isn't there or is pinned: invariant 4. */
static bool
unlink_unpinned(cx_table_entry *entry)
{
	LWLock	   *lock = lock_of(entry->hash);
	bool		unpinned;

	if (!entry->linked)
		return false;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	unpinned = pg_atomic_read_u32(&entry->pins) == 0;
	if (unpinned)
		leave_bucket(entry);
	LWLockRelease(lock);
	if (!unpinned)
		return false;

	if (useless(entry))
		state->discards++;
	else
		state->evictions++;
	leave_queue(entry);
	return true;
}

static bool
evict(void *owner)
{
	if (!unlink_unpinned(owner))
		return false;
	free_entry(owner);
	return true;
}

/* A few steps of the second hand, which takes nothing but what is of no use. */
static void
sweep(void)
{
	for (int looks = 0; looks < SWEEP_LOOKS; looks++)
	{
		cx_table_entry *entry = state->sweep_hand ? state->sweep_hand : cx_table_oldest();

		if (entry == NULL)
			break;
		state->sweep_hand = later(entry);
		if (useless(entry))
			evict(entry);
	}
}

/* SIEVE's next choice, which its hand has passed.  NULL: all that it saw were pinned. */
static cx_table_entry *
next_victim(void)
{
	cx_table_entry *visited = NULL;

	for (int looks = 0; looks < HAND_LOOKS; looks++)
	{
		cx_table_entry *entry = state->hand ? state->hand : cx_table_oldest();

		if (entry == NULL)
			break;
		state->hand = later(entry);
		if (!evictable(entry))
			continue;
		if (pg_atomic_read_u32(&entry->visited) == 0 || useless(entry))
			return entry;
		pg_atomic_write_u32(&entry->visited, 0);
		visited = entry;
	}
	return visited;
}

/* Makes one piece of SIEVE's next choice and what is around it, unless too much there is pinned. */
static void *
clear_place(Size size)
{
	cx_table_entry *entry = next_victim();

	if (entry == NULL || !cx_memory_can_widen(memory, entry, size, evictable) ||
		!unlink_unpinned(entry))
		return NULL;
	free_renderings(entry);
	return cx_memory_widen(memory, entry, size, evict);
}

void *
cx_table_allocate(Size size)
{
	void	   *piece = cx_memory_allocate(memory, size);
	cx_table_entry *victim;
	Size		scattered = 0;

	if (piece != NULL)
		return piece;
	eviction_time = GetCurrentTimestamp();
	sweep();

	for (int count = 0; (piece = cx_memory_allocate(memory, size)) == NULL; count++)
	{
		if (count == SCATTERED_COUNT || scattered >= size * SCATTERED_TIMES ||
			scattered >= cx_table_share() || (victim = next_victim()) == NULL)
			break;
		scattered += victim->taken;
		evict(victim);
	}
	for (int place = 0; piece == NULL && place < PLACES; place++)
		piece = clear_place(size);
	return piece;
}

void
cx_table_free(void *piece)
{
	cx_memory_free(memory, piece);
}

/*
 * Pins
 */

/* The partition's lock is held. */
static void
pin(cx_table_entry *entry)
{
	pg_atomic_fetch_add_u32(&entry->pins, 1);
	pg_atomic_fetch_add_u32(&partition_of(entry->hash)->part.pins, 1);
}

cx_table_entry *
cx_table_pin(uint32 hash, const char *key, size_t key_length)
{
	cx_table_entry *entry;

	LWLockAcquire(lock_of(hash), LW_SHARED);
	entry = find(hash, key, key_length);
	if (entry != NULL)
	{
		pin(entry);
		/* not written again, so that it stays in the caches of all processors */
		if (pg_atomic_read_u32(&entry->visited) == 0)
			pg_atomic_write_u32(&entry->visited, 1);
	}
	LWLockRelease(lock_of(hash));
	return entry;
}

/* A bucket has the same order as the queue. */
cx_table_entry *
cx_table_pin_before(uint64 bucket, uint64 serial)
{
	cx_table_entry *entry;

	LWLockAcquire(lock_of(bucket), LW_SHARED);
	for (entry = *bucket_of(bucket); entry != NULL; entry = entry->next)
		if (entry->serial < serial)
		{
			pin(entry);
			break;
		}
	LWLockRelease(lock_of(bucket));
	return entry;
}

/* Invariant 3.  The subtraction is a full barrier: what was read of the entry was read before. */
void
cx_table_unpin(cx_table_entry *entry)
{
	pg_atomic_fetch_sub_u32(&partition_of(entry->hash)->part.pins, 1);
	if (pg_atomic_sub_fetch_u32(&entry->pins, 1) == REMOVED)
	{
		cx_table_lock();
		free_entry(entry);
		cx_table_unlock();
	}
}
