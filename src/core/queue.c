/*
 * core/queue.c
 *		What committed transactions have for Redis: a ring in shared memory, read by the worker.
 *
 *	reserve ----> FILLING ----> RESERVED ----> READY ----> OVER
 *									  \--(abort)-------------^
 *
 * Invariants:
 *
 *	1. Between start and end the ring is a sequence of whole records.  A record is in one piece: what
 *	   would not fit before the end of the memory begins at its front again, behind a record that is
 *	   over from the first.
 *	2. Two transactions that change the same row have their records in the order of their commits:
 *	   the second can't change it before the first has committed, and that reserved before.
 *	3. Who reserved a record ends it, by COMMIT or ABORT; neither takes a lock or memory.
 *	4. Only the worker moves start, and changes a record that is ready.
 *
 * Lock: state->lock, for reserving and for moving start; both take the time of some assignments.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "core/queue.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

/* Sizes are multiples of it, so that every rest of the memory has room for a record's head. */
#define UNIT 64

struct cx_record
{
	uint64		size;			/* in the ring */
	pg_atomic_uint32 state;		/* a cx_record_state */
	bool		logged;			/* commit is the end of a commit record */
	uint32		count;			/* of messages */
	uint32		delivered;		/* of them */
	uint32		first_sequence;
	XLogRecPtr	commit;			/* once ready */
	TimestampTz reserved_at;
	uint64		done_bytes;		/* of the delivered messages */
};

StaticAssertDecl(sizeof(cx_record) <= UNIT, "a record's head fits a unit");

typedef struct queue_state
{
	LWLock		lock;
	uint64		size;
	pg_atomic_uint64 start;
	pg_atomic_uint64 end;
	pg_atomic_uint64 published; /* messages */
	pg_atomic_uint64 delivered;
	Latch	   *volatile worker;
	char		ring[FLEXIBLE_ARRAY_MEMBER];
} queue_state;

static queue_state *state = NULL;
static char *ring = NULL;		/* its first unit */

static uint64
ring_size(void)
{
	return TYPEALIGN_DOWN(UNIT, (uint64) cx_delivery_memory * 1024);
}

static Size
queue_size(void)
{
	return add_size(offsetof(queue_state, ring) + UNIT, ring_size());
}

static void
queue_create(void *area)
{
	queue_state *fresh = area;

	LWLockInitialize(&fresh->lock, LWLockNewTrancheId());
	fresh->size = ring_size();
	pg_atomic_init_u64(&fresh->start, 0);
	pg_atomic_init_u64(&fresh->end, 0);
	pg_atomic_init_u64(&fresh->published, 0);
	pg_atomic_init_u64(&fresh->delivered, 0);
	fresh->worker = NULL;
}

static void
queue_attach(void *area)
{
	state = area;
	ring = (char *) TYPEALIGN(UNIT, state->ring);
	LWLockRegisterTranche(state->lock.tranche, "cache_ext delivery");
}

static const cx_shmem_area queue_area = {
	"cache_ext delivery", queue_size, queue_create, queue_attach
};

void
cx_queue_init(void)
{
	cx_shmem_register(&queue_area);
}

uint64
cx_message_size(size_t key_length, size_t value_length)
{
	return MAXALIGN(offsetof(cx_message, data) + key_length + value_length);
}

cx_record *
cx_queue_at(uint64 position)
{
	return (cx_record *) (ring + position % state->size);
}

/* A record that begins at end; it counts once end has moved.  Caller holds the lock. */
static cx_record *
begin_record(uint64 end, uint64 size, cx_record_state first_state)
{
	cx_record  *record = cx_queue_at(end);

	memset(record, 0, sizeof(*record));
	record->size = size;
	record->reserved_at = GetCurrentTimestamp();
	pg_atomic_init_u32(&record->state, first_state);
	return record;
}

/* Invariant 1. */
cx_record *
cx_queue_reserve(uint64 size, uint32 count, uint32 first_sequence, cx_message **messages)
{
	uint64		needed = TYPEALIGN(UNIT, UNIT + size);
	cx_record  *record = NULL;
	uint64		end;
	uint64		rest;

	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	end = pg_atomic_read_u64(&state->end);
	rest = state->size - end % state->size;
	if (rest >= needed)
		rest = 0;
	if (needed <= state->size &&
		rest + needed <= state->size - (end - pg_atomic_read_u64(&state->start)))
	{
		if (rest > 0)
			begin_record(end, rest, CX_RECORD_OVER);
		record = begin_record(end + rest, needed, CX_RECORD_FILLING);
		record->count = count;
		record->first_sequence = first_sequence;
		*messages = (cx_message *) ((char *) record + UNIT);
		pg_write_barrier();		/* the heads before the worker finds them */
		pg_atomic_write_u64(&state->end, end + rest + needed);
	}
	LWLockRelease(&state->lock);
	return record;
}

static void
change_state(cx_record *record, cx_record_state new_state)
{
	pg_write_barrier();			/* what the record says before what it is */
	pg_atomic_write_u32(&record->state, new_state);
}

void
cx_queue_reserved(cx_record *record)
{
	change_state(record, CX_RECORD_RESERVED);
}

void
cx_queue_publish(cx_record *record, XLogRecPtr commit, bool logged)
{
	record->commit = commit;
	record->logged = logged;
	pg_atomic_fetch_add_u64(&state->published, record->count);
	change_state(record, CX_RECORD_READY);
}

void
cx_queue_cancel(cx_record *record)
{
	change_state(record, CX_RECORD_OVER);
}

/* The latch is one of a PGPROC, which stays where it is when its process has gone. */
void
cx_queue_wake(void)
{
	Latch	   *worker = state->worker;

	if (worker != NULL)
		SetLatch(worker);
}

/*
 * The worker
 */

void
cx_queue_attach_worker(void)
{
	state->worker = MyLatch;
}

uint64
cx_queue_start(void)
{
	return pg_atomic_read_u64(&state->start);
}

uint64
cx_queue_end(void)
{
	uint64		end = pg_atomic_read_u64(&state->end);

	pg_read_barrier();
	return end;
}

uint64
cx_record_next(uint64 position, const cx_record *record)
{
	return position + record->size;
}

cx_record_state
cx_record_state_of(const cx_record *record)
{
	cx_record_state found =
		pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &record->state));

	pg_read_barrier();			/* what it is before what it says */
	return found;
}

XLogRecPtr
cx_record_commit(const cx_record *record)
{
	return record->commit;
}

bool
cx_record_is_logged(const cx_record *record)
{
	return record->logged;
}

uint32
cx_record_left(const cx_record *record, const cx_message **first, uint32 *sequence)
{
	*first = (const cx_message *) ((const char *) record + UNIT + record->done_bytes);
	*sequence = record->first_sequence + record->delivered;
	return record->count - record->delivered;
}

const cx_message *
cx_message_next(const cx_message *message)
{
	return (const cx_message *) ((const char *) message + message->size);
}

void
cx_record_delivered(cx_record *record, uint32 count)
{
	const cx_message *message;
	uint32		sequence;

	Assert(cx_record_left(record, &message, &sequence) >= count);
	(void) cx_record_left(record, &message, &sequence);
	for (uint32 i = 0; i < count; i++)
	{
		record->done_bytes += message->size;
		message = cx_message_next(message);
	}
	record->delivered += count;
	pg_atomic_fetch_add_u64(&state->delivered, count);
	if (record->delivered == record->count)
		change_state(record, CX_RECORD_OVER);
}

/* Where the first record is that is not over. */
static uint64
first_open(void)
{
	uint64		end = cx_queue_end();
	uint64		position = cx_queue_start();

	while (position < end && cx_record_state_of(cx_queue_at(position)) == CX_RECORD_OVER)
		position = cx_record_next(position, cx_queue_at(position));
	return position;
}

bool
cx_queue_is_empty(void)
{
	return first_open() == cx_queue_end();
}

void
cx_queue_release(void)
{
	uint64		position = first_open();

	if (position == cx_queue_start())
		return;
	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	pg_atomic_write_u64(&state->start, position);
	LWLockRelease(&state->lock);
}

/* The lock keeps the oldest record from being overwritten meanwhile. */
void
cx_queue_read_status(cx_queue_status *status)
{
	uint64		start;
	uint64		end;

	memset(status, 0, sizeof(*status));
	LWLockAcquire(&state->lock, LW_SHARED);
	start = pg_atomic_read_u64(&state->start);
	end = pg_atomic_read_u64(&state->end);
	status->size = state->size;
	status->used = end - start;
	if (start != end)
		status->oldest = cx_queue_at(start)->reserved_at;
	LWLockRelease(&state->lock);
	status->delivered = pg_atomic_read_u64(&state->delivered);
	status->published = pg_atomic_read_u64(&state->published);
}
