/*
 * core/flight.c
 *		Single flight: of those who miss the same key at once, one fills.
 *
 * A flight is the fill of one key by one session, its leader.  It has a slot in shared memory until
 * the fill has ended, whatever came of it; who misses the key meanwhile can wait for that there.
 * Nothing is handed over: who waited looks up again as any reader does, and may find nothing.
 *
 * Invariants, the first of which is rule 11 of the protocol:
 *
 *	1. Who waits joins the queue before testing whether the flight is still under way; who ends it
 *	   frees the slot before waking the queue.  So either the test sees the end, or the end finds
 *	   the waiter in the queue.
 *	2. A flight ends at the latest when its leader's memory context does (error, cancel), or its
 *	   process (termination).  After a crash of any process this memory is made anew, without
 *	   flights.
 *	3. Who leads a flight waits for no other.  So no session waits for itself, and none wait in a
 *	   ring.
 *	4. A slot never has a flight of the same number again: who wakes late doesn't take the slot's
 *	   next flight for the one it waited for.
 *
 *	5. Nobody waits for a leader whose client doesn't take its rows: it may hang for ever.  PostgreSQL
 *	   says that a process waits for its client, in its wait event; who waits looks at it now and then.
 *
 * Keys are known by 128 bits of hash.  Should two have the same, somebody waits needlessly: nothing
 * else depends on it.  A key has a few places where its slot can be; when others are at all of them,
 * it has no flight, and whoever misses it just runs.
 *
 * Locks: a set's spinlock guards all of the set but the condition variables, which have their own,
 * never taken inside it.  Who waits holds neither.
 * Memory: a flight's handle is its leader's; no call allocates anything else.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/counters.h"
#include "base/shmem.h"
#include "base/stop_point.h"
#include "core/flight.h"
#include "core/time_limit.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define SETS 256
#define SLOTS_OF_SET 4			/* the places where a key's slot can be */

/* Who waits looks at the leader after these times, which double. */
#define FIRST_LOOK_MS 10
#define LAST_LOOK_MS 100

/* What a key is known by. */
typedef struct key_name
{
	uint64		parts[2];
} key_name;

typedef struct flight_slot
{
	uint64		number;			/* of the flight under way; 0: free */
	int			leader;			/* its process, by PGPROC number */
	key_name	name;
	ConditionVariable ended;
} flight_slot;

typedef struct flight_set
{
	slock_t		lock;
	uint64		last_number;
	flight_slot slots[SLOTS_OF_SET];
} flight_set;

typedef struct flight_state
{
	pg_atomic_uint32 waiting;	/* sessions */
	flight_set	sets[SETS];
} flight_state;

/* A flight, as anybody sees it. */
typedef struct flight_place
{
	flight_set *set;
	flight_slot *slot;
	uint64		number;
} flight_place;

/* A flight, as its leader does. */
struct cx_flight
{
	dlist_node	node;			/* in my_flights, unless ended */
	bool		ended;
	flight_place place;
	key_name	name;
	MemoryContextCallback callback;
};

static flight_state *state = NULL;

static dlist_head my_flights = DLIST_STATIC_INIT(my_flights);
static bool waiting = false;	/* is this session counted in state->waiting? */

static Size
flight_size(void)
{
	return sizeof(flight_state);
}

static void
flight_create(void *area)
{
	flight_state *fresh = area;

	pg_atomic_init_u32(&fresh->waiting, 0);
	for (int i = 0; i < SETS; i++)
	{
		SpinLockInit(&fresh->sets[i].lock);
		for (int j = 0; j < SLOTS_OF_SET; j++)
			ConditionVariableInit(&fresh->sets[i].slots[j].ended);
	}
}

static void
flight_attach(void *area)
{
	state = area;
}

static const cx_shmem_area flight_area = {
	"cache_ext flights", flight_size, flight_create, flight_attach
};

void
cx_flight_init(void)
{
	cx_shmem_register(&flight_area);
}

static key_name
name_of(const char *key, size_t length)
{
	key_name	name;

	for (int i = 0; i < lengthof(name.parts); i++)
		name.parts[i] = hash_bytes_extended((const unsigned char *) key, (int) length, i);
	return name;
}

static bool
same_name(const key_name *one, const key_name *other)
{
	return one->parts[0] == other->parts[0] && one->parts[1] == other->parts[1];
}

/*
 * Starts a flight where nobody has one of that name: LEADS.  BUSY where somebody has, ALONE where
 * there is no room for another.  But for ALONE, *place is where the flight is.
 */
static cx_flight_role
claim(const key_name *name, flight_place *place)
{
	flight_set *set = &state->sets[name->parts[0] % SETS];
	flight_slot *found = NULL;
	flight_slot *vacant = NULL;

	SpinLockAcquire(&set->lock);
	for (int i = 0; i < SLOTS_OF_SET; i++)
	{
		flight_slot *slot = &set->slots[i];

		if (slot->number == 0)
			vacant = slot;
		else if (same_name(&slot->name, name))
			found = slot;
	}
	if (found == NULL && vacant != NULL)
	{
		vacant->number = ++set->last_number;
		vacant->name = *name;
		vacant->leader = cx_my_proc_number();
	}
	place->set = set;
	place->slot = found != NULL ? found : vacant;
	place->number = place->slot != NULL ? place->slot->number : 0;
	SpinLockRelease(&set->lock);

	return found != NULL ? CX_FLIGHT_BUSY : vacant != NULL ? CX_FLIGHT_LEADS : CX_FLIGHT_ALONE;
}

static bool
under_way(const flight_place *place)
{
	bool		result;

	SpinLockAcquire(&place->set->lock);
	result = place->slot->number == place->number;
	SpinLockRelease(&place->set->lock);
	return result;
}

/*
 * Does the leader wait for its client?  It may be over in a moment, but nobody can tell, and to run the
 * query is what would be done without a cache.  A look at another process can be wrong by the time it
 * returns: somebody then waits a look longer, or not at all.
 */
static bool
hangs(const flight_place *place)
{
	const volatile PGPROC *leader = &ProcGlobal->allProcs[place->slot->leader];

	return leader->wait_event_info == WAIT_EVENT_CLIENT_WRITE;
}

/* Rule 11, the leader's half. */
static void
vacate(const flight_place *place)
{
	SpinLockAcquire(&place->set->lock);
	Assert(place->slot->number == place->number);
	place->slot->number = 0;
	SpinLockRelease(&place->set->lock);

	CX_STOP(CX_STOP_FLIGHT_VACATED);
	ConditionVariableBroadcast(&place->slot->ended);
}

static void
leave_queue(void)
{
	ConditionVariableCancelSleep();
	if (waiting)
		pg_atomic_fetch_sub_u32(&state->waiting, 1);
	waiting = false;
}

/* A process that is terminated unwinds nothing: what it leads and waits for ends here. */
static void
end_at_exit(int code, Datum arg)
{
	leave_queue();
	while (!dlist_is_empty(&my_flights))
		cx_flight_end(dlist_head_element(cx_flight, node, &my_flights));
}

static void
ensure_end_at_exit(void)
{
	static bool ensured = false;

	if (!ensured)
		on_shmem_exit(end_at_exit, (Datum) 0);
	ensured = true;
}

/* Rule 11, the waiter's half. */
static void
wait_for_end(const flight_place *place, int wait_ms)
{
	cx_time_limit limit = cx_time_limit_start(wait_ms);
	int			left_ms;

	cx_count(CX_COUNT_FLIGHT_WAITS);
	pg_atomic_fetch_add_u32(&state->waiting, 1);
	waiting = true;
	PG_TRY();
	{
		int			look_ms = FIRST_LOOK_MS;
		bool		hung = false;

		CX_STOP(CX_STOP_FLIGHT_FOUND);
		ConditionVariablePrepareToSleep(&place->slot->ended);
		while (!hung && under_way(place) && (left_ms = cx_time_limit_left(&limit)) > 0)
		{
			/* an interrupt may have come without a latch that is still set */
			CHECK_FOR_INTERRUPTS();
			while (!hung && left_ms > 0 &&
				   ConditionVariableTimedSleep(&place->slot->ended, Min(left_ms, look_ms),
											   PG_WAIT_EXTENSION))
			{
				/* not woken: a look at the leader, not at the flight, whose end wakes */
				hung = hangs(place);
				look_ms = Min(look_ms * 2, LAST_LOOK_MS);
				left_ms = cx_time_limit_left(&limit);
			}
		}
	}
	PG_FINALLY();
	{
		leave_queue();
	}
	PG_END_TRY();
}

static bool
leads(const key_name *name)
{
	dlist_iter	iter;

	dlist_foreach(iter, &my_flights)
		if (same_name(&dlist_container(cx_flight, node, iter.cur)->name, name))
			return true;
	return false;
}

static void
end_with_context(void *flight)
{
	cx_flight_end(flight);
}

cx_flight_role
cx_flight_join(const char *key, size_t key_length, int wait_ms, MemoryContext context,
			   cx_flight **flight)
{
	key_name	name = name_of(key, key_length);
	flight_place place;
	cx_flight  *mine;
	cx_flight_role role;

	*flight = NULL;
	if (!cx_shmem_ready() || leads(&name))
		return CX_FLIGHT_ALONE;
	ensure_end_at_exit();

	role = claim(&name, &place);
	if (role == CX_FLIGHT_BUSY && wait_ms > 0 && dlist_is_empty(&my_flights) &&
		INTERRUPTS_CAN_BE_PROCESSED() && !hangs(&place))
	{
		wait_for_end(&place, wait_ms);
		return CX_FLIGHT_WAITED;
	}
	if (role != CX_FLIGHT_LEADS)
		return role;

	mine = MemoryContextAllocExtended(context, sizeof(cx_flight), MCXT_ALLOC_NO_OOM);
	if (mine == NULL)
	{
		vacate(&place);
		return CX_FLIGHT_ALONE;
	}
	mine->ended = false;
	mine->place = place;
	mine->name = name;
	mine->callback.func = end_with_context;
	mine->callback.arg = mine;
	dlist_push_head(&my_flights, &mine->node);
	MemoryContextRegisterResetCallback(context, &mine->callback);
	*flight = mine;
	return CX_FLIGHT_LEADS;
}

void
cx_flight_end(cx_flight *flight)
{
	if (flight->ended)
		return;
	flight->ended = true;
	dlist_delete(&flight->node);
	vacate(&flight->place);
}

bool
cx_flight_nested(void)
{
	return !dlist_is_empty(&my_flights) &&
		dlist_has_next(&my_flights, dlist_head_node(&my_flights));
}

void
cx_flight_read_state(int *flights, int *waiting_sessions)
{
	*flights = 0;
	for (int i = 0; i < SETS; i++)
	{
		flight_set *set = &state->sets[i];

		SpinLockAcquire(&set->lock);
		for (int j = 0; j < SLOTS_OF_SET; j++)
			*flights += set->slots[j].number != 0;
		SpinLockRelease(&set->lock);
	}
	*waiting_sessions = (int) pg_atomic_read_u32(&state->waiting);
}
