/*
 * core/sweeps.c
 *		Sweeps that are wanted: removing all keys of a target that are older than a commit.
 *
 * Invariants:
 *
 *	1. A target has its place from when a sweep of it is expected until nobody expects one any more,
 *	   all that was wanted is done, and no record is in the ring that was there then: what such a
 *	   record has for the target may be older than the sweep, and must not bring back what it removed
 *	   (cx_sweeps_cover).
 *	2. Where there is no place left, the sweep is one of everything.
 *	3. wanted is raised before expected is lowered, so a place that nobody expects anything of shows
 *	   all that is wanted.
 *
 * Lock: state->lock, for finding and giving places.  wanted and expected are atomic: nothing is locked
 * after a commit.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "core/outbox.h"
#include "core/queue.h"
#include "core/sweeps.h"

#include "common/hashfn.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/lwlock.h"

#define EVERYTHING (CX_SWEEPS - 1)

typedef struct sweep_place
{
	uint64		target;			/* hash; changed under the lock, exclusive */
	uint32		length;			/* of pattern; 0: free, or everything */
	pg_atomic_uint32 expected;	/* transactions that may raise it */
	pg_atomic_uint64 wanted;	/* the latest commit that wants it; 0: none */
	pg_atomic_uint64 done;
	pg_atomic_uint64 done_at;	/* end of the ring then */
	char		pattern[CX_OUTBOX_MAX_KEY];
} sweep_place;

typedef struct sweep_state
{
	LWLock		lock;
	pg_atomic_uint64 raised;	/* how often */
	sweep_place places[CX_SWEEPS];
} sweep_state;

static sweep_state *state = NULL;

static Size
sweeps_size(void)
{
	return sizeof(sweep_state);
}

static void
sweeps_create(void *area)
{
	sweep_state *fresh = area;

	LWLockInitialize(&fresh->lock, LWLockNewTrancheId());
	pg_atomic_init_u64(&fresh->raised, 0);
	for (int i = 0; i < CX_SWEEPS; i++)
	{
		sweep_place *place = &fresh->places[i];

		pg_atomic_init_u32(&place->expected, 0);
		pg_atomic_init_u64(&place->wanted, 0);
		pg_atomic_init_u64(&place->done, 0);
		pg_atomic_init_u64(&place->done_at, 0);
	}
}

static void
sweeps_attach(void *area)
{
	state = area;
	LWLockRegisterTranche(state->lock.tranche, "cache_ext sweeps");
}

static const cx_shmem_area sweeps_area = {
	"cache_ext sweeps", sweeps_size, sweeps_create, sweeps_attach
};

void
cx_sweeps_init(void)
{
	cx_shmem_register(&sweeps_area);
}

uint64
cx_target_hash(const char *pattern, size_t length)
{
	return hash_bytes_extended((const unsigned char *) pattern, (int) length, 0);
}

/* Invariant 1. */
static bool
is_free(sweep_place *place)
{
	uint64		wanted;

	if (place->length == 0)
		return true;
	if (pg_atomic_read_u32(&place->expected) > 0)
		return false;
	pg_read_barrier();
	wanted = pg_atomic_read_u64(&place->wanted);
	return wanted == 0 ||
		(pg_atomic_read_u64(&place->done) >= wanted &&
		 cx_queue_start() >= pg_atomic_read_u64(&place->done_at));
}

static int
find_place(const char *pattern, size_t length)
{
	int			free = EVERYTHING;
	sweep_place *place;

	for (int i = 0; i < EVERYTHING; i++)
	{
		place = &state->places[i];
		if (place->length == length && memcmp(place->pattern, pattern, length) == 0)
			return i;
		if (free == EVERYTHING && is_free(place))
			free = i;
	}
	if (free == EVERYTHING)
		return EVERYTHING;

	place = &state->places[free];
	place->target = cx_target_hash(pattern, length);
	place->length = (uint32) length;
	memcpy(place->pattern, pattern, length);
	pg_atomic_write_u64(&place->wanted, 0);
	pg_atomic_write_u64(&place->done, 0);
	pg_atomic_write_u64(&place->done_at, 0);
	return free;
}

static void
expect(cx_sweep_set *set, int index)
{
	if ((*set & ((cx_sweep_set) 1 << index)) == 0)
		pg_atomic_fetch_add_u32(&state->places[index].expected, 1);
	*set |= (cx_sweep_set) 1 << index;
}

void
cx_sweeps_expect(cx_sweep_set *set, const char *pattern, size_t length)
{
	Assert(length > 0 && length <= CX_OUTBOX_MAX_KEY);
	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	expect(set, find_place(pattern, length));
	LWLockRelease(&state->lock);
}

void
cx_sweeps_expect_everything(cx_sweep_set *set)
{
	expect(set, EVERYTHING);
}

/* Invariant 3: the atomic addition is a full barrier. */
void
cx_sweeps_raise(cx_sweep_set set, XLogRecPtr commit)
{
	if (set == 0)
		return;
	for (cx_sweep_set rest = set; rest != 0; rest &= rest - 1)
	{
		pg_atomic_uint64 *wanted = &state->places[pg_rightmost_one_pos64(rest)].wanted;
		uint64		current = pg_atomic_read_u64(wanted);

		while (current < commit && !pg_atomic_compare_exchange_u64(wanted, &current, commit))
			;
	}
	pg_atomic_fetch_add_u64(&state->raised, 1);
}

void
cx_sweeps_let_go(cx_sweep_set set)
{
	for (cx_sweep_set rest = set; rest != 0; rest &= rest - 1)
		pg_atomic_fetch_sub_u32(&state->places[pg_rightmost_one_pos64(rest)].expected, 1);
}

/*
 * The worker
 */

static bool
is_wanted(sweep_place *place)
{
	return pg_atomic_read_u64(&place->wanted) > pg_atomic_read_u64(&place->done);
}

/* What is wanted keeps its place, so nothing of it changes but wanted. */
bool
cx_sweeps_next(int *index, char *pattern, size_t *length, XLogRecPtr *before)
{
	bool		found = false;

	LWLockAcquire(&state->lock, LW_SHARED);
	for (int i = *index + 1; i < CX_SWEEPS && !found; i++)
	{
		sweep_place *place = &state->places[i];

		if (!is_wanted(place))
			continue;
		found = true;
		*index = i;
		*length = place->length;
		memcpy(pattern, place->pattern, place->length);
		*before = pg_atomic_read_u64(&place->wanted);
	}
	LWLockRelease(&state->lock);
	return found;
}

void
cx_sweeps_done(int index, XLogRecPtr before)
{
	pg_atomic_write_u64(&state->places[index].done_at, cx_queue_end());
	pg_write_barrier();
	pg_atomic_write_u64(&state->places[index].done, before);
}

uint64
cx_sweeps_raised(void)
{
	uint64		raised = pg_atomic_read_u64(&state->raised);

	pg_read_barrier();
	return raised;
}

bool
cx_sweeps_cover(uint64 target, XLogRecPtr commit)
{
	bool		covered;

	if (pg_atomic_read_u64(&state->raised) == 0)
		return false;
	covered = commit < pg_atomic_read_u64(&state->places[EVERYTHING].wanted);
	LWLockAcquire(&state->lock, LW_SHARED);
	for (int i = 0; i < EVERYTHING && !covered; i++)
	{
		sweep_place *place = &state->places[i];

		covered = place->length > 0 && place->target == target &&
			commit < pg_atomic_read_u64(&place->wanted);
	}
	LWLockRelease(&state->lock);
	return covered;
}

int
cx_sweeps_wanted(void)
{
	int			wanted = 0;

	for (int i = 0; i < CX_SWEEPS; i++)
		wanted += is_wanted(&state->places[i]);
	return wanted;
}
