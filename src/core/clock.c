/*
 * core/clock.c
 *		The clocks in shared memory.
 *
 * A tag hashes to a slot; a slot says when something that hashes to it last changed (changed_at,
 * the LSN behind a commit record) and how many transactions are committing such a change right now
 * (writers).  An entry carries the epoch and E, the insert position read before its rows were, and
 * is exact while no slot of its tags moved past E.  The global slot is in every check.
 *
 * Invariants (rule numbers of the protocol in parentheses; each was shown to be needed by a
 * counterexample of the model):
 *
 *	1. writers is raised before the commit record of the change can exist (2) and lowered only
 *	   after changed_at is at least the end of that record (3).  So whoever sees writers == 0 and
 *	   then reads changed_at misses no change that anybody can have seen.
 *	2. changed_at never goes back.
 *	3. A fill reads the epoch, then E, then writers, then takes its snapshot (4): a change that its
 *	   snapshot misses either raised writers before the test, or commits later and so ends up
 *	   behind E.
 *	4. A hit reads writers and then changed_at, slot by slot (6).
 *	5. The epoch is random and new whenever this memory is created, so nothing from before a crash
 *	   is ever valid (8).  After a clean shutdown the handover file brings the clocks back, and
 *	   entries of that one previous epoch are accepted up to the shutdown checkpoint.
 *
 * Locks: none.  Slots are atomics; where order matters the barrier is named.  Nothing here can
 * raise an error, so all of it may run inside a commit.
 */
#include "postgres.h"

#include "base/counters.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "base/stop_point.h"
#include "core/clock.h"
#include "core/handover.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"

typedef struct clock_slot
{
	pg_atomic_uint64 changed_at;
	pg_atomic_uint32 writers;
} clock_slot;

typedef struct clock_state
{
	uint64		epoch;			/* set at creation, constant afterwards */
	uint64		previous_epoch; /* 0 unless a clean shutdown handed over */
	XLogRecPtr	previous_end;	/* the shutdown checkpoint */
	uint32		slot_count;
	clock_slot	slots[FLEXIBLE_ARRAY_MEMBER];	/* slot_count, then the global one */
} clock_state;

static clock_state *state = NULL;

static clock_slot *
slot_at(cx_slot slot)
{
	return &state->slots[slot == CX_SLOT_GLOBAL ? state->slot_count : slot];
}

/*
 * At the end of the postmaster: leave the clocks to the next start.  What makes the file
 * trustworthy is tested by handover.c.
 */
static void
hand_over(int code, Datum arg)
{
	cx_handover handover;

	if (code != 0 || IsUnderPostmaster || state == NULL)
		return;

	handover.epoch = state->epoch;
	handover.count = state->slot_count + 1;
	handover.changed_at = malloc(sizeof(uint64) * handover.count);
	if (handover.changed_at == NULL)
		return;
	for (uint32 i = 0; i < handover.count; i++)
		handover.changed_at[i] = pg_atomic_read_u64(&state->slots[i].changed_at);
	cx_handover_write(&handover);
	free(handover.changed_at);
}

static Size
clock_size(void)
{
	return add_size(offsetof(clock_state, slots),
					mul_size(sizeof(clock_slot), (Size) cx_clock_slots + 1));
}

static void
clock_create(void *area)
{
	clock_state *fresh = area;
	cx_handover handover;

	/* Rule 8.  Without random bytes no epoch is safe, so the server had better not start. */
	do
	{
		if (!pg_strong_random(&fresh->epoch, sizeof(fresh->epoch)))
			ereport(FATAL,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random epoch for cache_ext")));
	} while (fresh->epoch == 0);

	fresh->slot_count = cx_clock_slots;
	for (uint32 i = 0; i <= fresh->slot_count; i++)
	{
		pg_atomic_init_u64(&fresh->slots[i].changed_at, 0);
		pg_atomic_init_u32(&fresh->slots[i].writers, 0);
	}

	if (cx_handover_read(fresh->slot_count + 1, &handover))
	{
		fresh->previous_epoch = handover.epoch;
		fresh->previous_end = handover.end;
		for (uint32 i = 0; i <= fresh->slot_count; i++)
			pg_atomic_write_u64(&fresh->slots[i].changed_at, handover.changed_at[i]);
		pfree(handover.changed_at);
	}

	if (!IsUnderPostmaster)
		on_shmem_exit(hand_over, (Datum) 0);
}

static void
clock_attach(void *area)
{
	state = area;
}

static const cx_shmem_area clock_area = {
	"cache_ext clocks", clock_size, clock_create, clock_attach
};

void
cx_clock_init(void)
{
	cx_shmem_register(&clock_area);
}

uint64
cx_clock_epoch(void)
{
	return state->epoch;
}

cx_slot
cx_clock_slot_of_spread(uint64 spread)
{
	return (cx_slot) (spread % state->slot_count);
}

cx_slot
cx_clock_slot(const cx_tag *tag)
{
	return cx_clock_slot_of_spread(tag->spread != 0 ? tag->spread : cx_tag_spread(tag));
}

/* Rule 2.  The fetch-and-add is a full barrier: no later store (the commit) can pass it. */
void
cx_clock_writers_add(cx_slot slot)
{
	pg_atomic_fetch_add_u32(&slot_at(slot)->writers, 1);
}

/* Rule 3, first half: never lowers. */
void
cx_clock_raise(cx_slot slot, XLogRecPtr changed_at)
{
	pg_atomic_uint64 *clock = &slot_at(slot)->changed_at;
	uint64		current = pg_atomic_read_u64(clock);

	while (current < changed_at)
	{
		if (pg_atomic_compare_exchange_u64(clock, &current, changed_at))
		{
			cx_count(CX_COUNT_INVALIDATIONS);
			break;
		}
	}
}

/* Rule 3, second half.  The full barrier of the subtraction releases the raise before it. */
void
cx_clock_writers_remove(cx_slot slot)
{
	pg_atomic_fetch_sub_u32(&slot_at(slot)->writers, 1);
}

static bool
slot_pending(const clock_slot *slot)
{
	return pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &slot->writers)) != 0;
}

/* Reads epoch and position; false if somebody is committing on one of the slots, or the global one. */
static bool
begin(const cx_slot *slots, int count, cx_stamp *stamp)
{
	stamp->epoch = state->epoch;
	stamp->lsn = GetXLogInsertRecPtr();
	pg_memory_barrier();		/* E before the test for writers */

	if (slot_pending(slot_at(CX_SLOT_GLOBAL)))
		return false;
	for (int i = 0; i < count; i++)
		if (slot_pending(slot_at(slots[i])))
			return false;
	pg_memory_barrier();		/* the test before what the caller then looks at */
	return true;
}

/* Rule 4. */
bool
cx_clock_begin_fill(const cx_slot *slots, int count, cx_stamp *stamp)
{
	if (!begin(slots, count, stamp))
		return false;
	CX_STOP(CX_STOP_FILL_STAMPED);
	return true;
}

/*
 * Whoever changes a definition keeps its slot pending until the invalidation messages are out (rule 3),
 * so a change that this stamp covers is one whose messages the caller can process now.  What is planned
 * isn't known yet, but few slots stand for all of it: whatever marks an object marks names too, and what
 * marks a role marks any role.  D of a relation needs no test: its messages are looked at when the plan
 * fills.
 */
void
cx_clock_begin_plan(cx_stamp *stamp)
{
	static const cx_tag tags[] = {{CX_TAG_DATABASE}, {CX_TAG_DEFINITION}, {CX_TAG_ROLE}};
	cx_slot		slots[lengthof(tags)];

	for (int i = 0; i < lengthof(tags); i++)
		slots[i] = cx_clock_slot(&tags[i]);
	if (!begin(slots, lengthof(tags), stamp))
		stamp->epoch = 0;
}

static cx_clock_verdict
check_slot(const cx_stamp *stamp, cx_slot index)
{
	clock_slot *slot = slot_at(index);

	if (slot_pending(slot))
		return CX_CLOCK_PENDING;
	pg_read_barrier();			/* writers and THEN changed_at */
	CX_STOP(CX_STOP_HIT_BETWEEN);
	if (pg_atomic_read_u64(&slot->changed_at) > stamp->lsn)
		return CX_CLOCK_CHANGED;
	return CX_CLOCK_VALID;
}

/* Rule 6. */
cx_clock_verdict
cx_clock_check(const cx_stamp *stamp, const cx_slot *slots, int count)
{
	cx_clock_verdict verdict;

	if (stamp->epoch != state->epoch &&
		(stamp->epoch == 0 || stamp->epoch != state->previous_epoch ||
		 stamp->lsn > state->previous_end))
		return CX_CLOCK_OTHER_EPOCH;

	verdict = check_slot(stamp, CX_SLOT_GLOBAL);
	for (int i = 0; i < count && verdict == CX_CLOCK_VALID; i++)
		verdict = check_slot(stamp, slots[i]);
	return verdict;
}
