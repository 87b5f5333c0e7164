/*
 * core/prepared.c
 *		Two-phase commit: what prepared transactions will change when they commit.
 *
 * A prepared transaction commits in another session, perhaps after a restart, so its slots wait in
 * shared memory under its gid.
 *
 * Invariants (rules 9 and 10 of the protocol in core/clock.c):
 *
 *	1. A set is in the list before the prepare record is written, and leaves it only when its
 *	   transaction is seen to run no more.  There is room for every transaction that can be prepared
 *	   or preparing, so the list never overflows.
 *	2. writers is not raised while a transaction is prepared (it may stay so for days) but around
 *	   COMMIT PREPARED: writers + 1, the command, changed_at to the insert position, writers - 1, in
 *	   this order on error and exit too.
 *	3. A transaction that is not in the list (it was prepared before this start) and a set with too
 *	   many slots count as the global slot.  Whether there is such a transaction is looked up: what
 *	   was prepared before the start can only become fewer, and everything prepared since has a set,
 *	   an empty one if it changed nothing.  So a gid that nobody prepared moves nothing.
 *	4. Where no utility command tells the gid (an apply worker with two_phase) nothing will tell of
 *	   the commit either: writers is raised at once and stays so until the background worker sees
 *	   that the transaction is over.  Those prepared before the start keep the global slot pending
 *	   until a backend sees that they are gone.
 *	5. The sweeps of a set (core/sweeps.h) are expected as long as it is in the list, and raised when its
 *	   transaction is over, unless it is known to be rolled back.  For a transaction that is not in
 *	   the list, everything is swept.
 *	6. COMMIT PREPARED by a role that may not end the transaction, or in another database, fails in
 *	   LockGXact() and moves nothing.  Owner and database of a prepared transaction never change.
 *
 * Lock: state->lock guards the list; clocks are moved outside it.  It is taken in transactions only
 * before their commit record exists or after they ended.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "base/stop_point.h"
#include "core/era.h"
#include "core/prepared.h"
#include "core/queue.h"

#include <dirent.h>

#include "access/htup_details.h"
#include "access/twophase.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_SLOTS 64			/* of one prepared transaction; more count as the global one */
#define APPLY_WORKER_GID "pg_gid_"	/* what TwoPhaseTransactionGid() makes */
#define START_CHECK_US USECS_PER_SEC	/* how often at most the start is looked at */

typedef struct prepared_set
{
	TransactionId xid;			/* invalid: free */
	char		gid[GIDSIZE];	/* empty: not announced, writers is raised (invariant 4) */
	Oid			owner;			/* who may end it, besides superusers ... */
	Oid			database;		/* ... and where */
	cx_sweep_set sweeps;
	int			slot_count;
	cx_slot		slots[MAX_SLOTS];
} prepared_set;

typedef struct prepared_state
{
	LWLock		lock;
	pg_atomic_uint32 start_pending; /* is the global slot raised since the start? */
	TimestampTz start_checked;	/* when that was last looked at */
	int			room;
	prepared_set sets[FLEXIBLE_ARRAY_MEMBER];
} prepared_state;

static prepared_state *state = NULL;
static uint32 *gids_committing = NULL;	/* gid_hash(), by PGPROC number; 0: none.  Behind the sets. */

static char expected_gid[GIDSIZE];	/* of the PREPARE TRANSACTION being run, or empty */
static prepared_set *my_set = NULL; /* stored, not prepared yet */

/* the COMMIT PREPARED being run */
static bool committing = false;
static bool committing_as_superuser;
static char committing_gid[GIDSIZE];
static cx_slot *committing_slots = NULL;	/* TopMemoryContext, reused */
static int	committing_room = 0;
static int	committing_count = 0;
static cx_sweep_set committing_sweeps = 0;	/* of the sets */
static cx_sweep_set unknown_sweeps = 0; /* for a transaction that is not in the list */

static int
set_room(void)
{
	return max_prepared_xacts > 0 ? max_prepared_xacts + MaxBackends : 0;
}

static Size
prepared_size(void)
{
	return add_size(add_size(offsetof(prepared_state, sets),
							 mul_size(sizeof(prepared_set), set_room())),
					mul_size(sizeof(uint32), MaxBackends));
}

/*
 * Is it known that nothing is prepared?  A clean shutdown has written every prepared transaction to
 * a file of its own; after a crash some are in the WAL only.
 */
static bool
nothing_prepared(void)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		clean = crc_ok && control->state == DB_SHUTDOWNED;
	DIR		   *dir;
	struct dirent *file;

	pfree(control);
	if (!clean)
		return false;
	dir = AllocateDir("pg_twophase");
	while ((file = ReadDirExtended(dir, "pg_twophase", LOG)) != NULL)
		if (file->d_name[0] != '.')
			clean = false;
	FreeDir(dir);
	return clean;
}

static void
prepared_create(void *area)
{
	prepared_state *fresh = area;

	LWLockInitialize(&fresh->lock, LWLockNewTrancheId());
	fresh->room = set_room();
	for (int i = 0; i < fresh->room; i++)
		fresh->sets[i].xid = InvalidTransactionId;
	memset(&fresh->sets[fresh->room], 0, sizeof(uint32) * MaxBackends);

	/* until a backend has looked at what was prepared before this start */
	pg_atomic_init_u32(&fresh->start_pending, 0);
	if (fresh->room > 0 && !nothing_prepared())
	{
		pg_atomic_write_u32(&fresh->start_pending, 1);
		cx_clock_writers_add(CX_SLOT_GLOBAL);
	}
}

static void
prepared_attach(void *area)
{
	state = area;
	gids_committing = (uint32 *) &state->sets[state->room];
	LWLockRegisterTranche(state->lock.tranche, "cache_ext prepared");
}

static const cx_shmem_area prepared_area = {
	"cache_ext prepared transactions", prepared_size, prepared_create, prepared_attach
};

void
cx_prepared_init(void)
{
	cx_shmem_register(&prepared_area);
}

/*
 * PREPARE TRANSACTION
 */

void
cx_prepared_expect_gid(const char *gid)
{
	strlcpy(expected_gid, gid, sizeof(expected_gid));
}

void
cx_prepared_forget_gid(void)
{
	expected_gid[0] = '\0';
}

/* What became of the set's transaction is not known, or it is committed (invariant 5). */
static void
raise_sweeps(cx_sweep_set sweeps)
{
	if (sweeps == 0)
		return;
	cx_sweeps_raise(sweeps, GetXLogInsertRecPtr());
	cx_queue_wake();
}

/* Takes a set out of the list.  Caller holds the lock. */
static void
remove_set(prepared_set *set)
{
	cx_sweeps_let_go(set->sweeps);
	set->sweeps = 0;
	set->xid = InvalidTransactionId;
}

/* Frees what is over.  Caller holds the lock. */
static prepared_set *
free_set(void)
{
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < state->room; i++)
		{
			prepared_set *set = &state->sets[i];

			if (pass == 1 && set->gid[0] != '\0' && TransactionIdIsValid(set->xid) &&
				!TransactionIdIsInProgress(set->xid))
			{
				raise_sweeps(set->sweeps);
				remove_set(set);
			}
			if (!TransactionIdIsValid(set->xid))
				return set;
		}
	}
	return NULL;
}

static void
add_slot(prepared_set *set, cx_slot slot)
{
	if (set->slot_count == MAX_SLOTS)
		slot = CX_SLOT_GLOBAL;

	/* raised one by one: each that is in the list is raised exactly once */
	if (set->gid[0] == '\0')
		cx_clock_writers_add(slot);

	if (set->slot_count == MAX_SLOTS)
	{
		if (set->slots[0] == CX_SLOT_GLOBAL)
		{
			if (set->gid[0] == '\0')
				cx_clock_writers_remove(slot);
			return;
		}
		/* the global slot takes the first one's place */
		if (set->gid[0] == '\0')
			cx_clock_writers_remove(set->slots[0]);
		set->slots[0] = CX_SLOT_GLOBAL;
		return;
	}
	set->slots[set->slot_count++] = slot;
}

/* A gid with who may end its transaction; InvalidOid for a superuser, who may end anybody's. */
static uint32
gid_hash(const char *gid, Oid user)
{
	uint32		hash = hash_bytes((const unsigned char *) gid, strlen(gid));

	hash = hash_combine(hash, murmurhash32(MyDatabaseId));
	return Max(hash_combine(hash, murmurhash32(user)), 1);
}

/* By a session that may end what this one prepares? */
static bool
is_being_committed(const char *gid)
{
	uint32		by_owner = gid_hash(gid, GetUserId());
	uint32		by_superuser = gid_hash(gid, InvalidOid);

	for (int i = 0; i < MaxBackends; i++)
		if (gids_committing[i] == by_owner || gids_committing[i] == by_superuser)
			return true;
	return false;
}

/* The set of the transaction that is being prepared.  Caller holds the lock. */
static prepared_set *
use_my_set(TransactionId xid)
{
	if (my_set != NULL)
		return my_set;
	my_set = free_set();
	if (my_set == NULL)
	{
		LWLockRelease(&state->lock);
		elog(ERROR, "no room for another prepared transaction");
	}
	strlcpy(my_set->gid, is_being_committed(expected_gid) ? "" : expected_gid, GIDSIZE);
	my_set->owner = GetUserId();
	my_set->database = MyDatabaseId;
	my_set->sweeps = 0;
	my_set->slot_count = 0;
	my_set->xid = xid;
	return my_set;
}

/* Rule 9. */
void
cx_prepared_store(TransactionId xid, const cx_slot *slots, int count)
{
	prepared_set *set;

	if (state->room == 0)
		return;					/* PREPARE is about to fail */
	if (count == 0 && expected_gid[0] == '\0')
		return;					/* an apply worker's, which nobody looks for */

	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	set = use_my_set(xid);
	for (int i = 0; i < count; i++)
		add_slot(set, slots[i]);
	LWLockRelease(&state->lock);
}

bool
cx_prepared_store_sweeps(TransactionId xid, cx_sweep_set sweeps)
{
	if (state->room == 0)
		return false;

	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	use_my_set(xid)->sweeps = sweeps;
	LWLockRelease(&state->lock);
	return true;
}

void
cx_prepared_stored(void)
{
	my_set = NULL;
}

/* A failed PREPARE removes its own set only, not another's under the same gid. */
void
cx_prepared_abandon(void)
{
	if (my_set == NULL)
		return;
	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	if (my_set->gid[0] == '\0')
		for (int i = 0; i < my_set->slot_count; i++)
			cx_clock_writers_remove(my_set->slots[i]);
	remove_set(my_set);
	LWLockRelease(&state->lock);
	my_set = NULL;
}

/*
 * What PostgreSQL knows of prepared transactions
 */

typedef struct prepared_transaction
{
	TransactionId xid;
	char	   *gid;
	Oid			owner;
	Oid			database;
} prepared_transaction;

/*
 * Is there one that the function says true of?  The list of prepared transactions is private to
 * twophase.c; the function behind pg_prepared_xacts is the way to it.
 */
static bool
find_prepared(bool (*wanted) (const prepared_transaction *transaction, const char *gid),
			  const char *gid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext prepared",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ExprContext *econtext = CreateStandaloneExprContext();
	ReturnSetInfo result = {.type = T_ReturnSetInfo, .econtext = econtext,
							.allowedModes = SFRM_ValuePerCall};
	FmgrInfo	function;
	bool		found = false;

	LOCAL_FCINFO(fcinfo, 0);

	memset(&function, 0, sizeof(function));
	function.fn_addr = pg_prepared_xact;
	function.fn_strict = true;
	function.fn_retset = true;
	function.fn_mcxt = context;
	InitFunctionCallInfoData(*fcinfo, &function, 0, InvalidOid, NULL, (Node *) &result);

	for (;;)
	{
		Datum		row;
		HeapTupleHeader tuple;
		bool		isnull;
		prepared_transaction transaction;

		fcinfo->isnull = false;
		row = FunctionCallInvoke(fcinfo);
		if (result.isDone == ExprEndResult)
			break;
		tuple = DatumGetHeapTupleHeader(row);
		transaction.xid = DatumGetTransactionId(GetAttributeByNum(tuple, 1, &isnull));
		transaction.gid = TextDatumGetCString(GetAttributeByNum(tuple, 2, &isnull));
		transaction.owner = DatumGetObjectId(GetAttributeByNum(tuple, 4, &isnull));
		transaction.database = DatumGetObjectId(GetAttributeByNum(tuple, 5, &isnull));
		found |= wanted(&transaction, gid);
	}

	FreeExprContext(econtext, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return found;
}

static bool
is_listed(TransactionId xid)
{
	bool		found = false;

	LWLockAcquire(&state->lock, LW_SHARED);
	for (int i = 0; i < state->room && !found; i++)
		found = TransactionIdEquals(state->sets[i].xid, xid);
	LWLockRelease(&state->lock);
	return found;
}

/*
 * COMMIT PREPARED, ROLLBACK PREPARED
 */

static void
end_commit_at_exit(int code, Datum arg)
{
	cx_prepared_end_commit();
}

/* LockGXact() refuses others the end of such a transaction. */
static bool
may_end(Oid owner, Oid database)
{
	return database == MyDatabaseId && (owner == GetUserId() || committing_as_superuser);
}

static bool
is_from_before_start(const prepared_transaction *transaction, const char *gid)
{
	return strcmp(transaction->gid, gid) == 0 &&
		may_end(transaction->owner, transaction->database) && !is_listed(transaction->xid);
}

/*
 * Rule 10.  What is prepared under this gid from now on sees it among gids_committing, and raises its own
 * writers: so the list may be read before the command decides which transaction it ends.
 */
void
cx_prepared_begin_commit(const char *gid)
{
	static bool at_exit = false;
	int			count = 0;

	if (state->room == 0 || strlen(gid) >= GIDSIZE)
		return;					/* nothing has this gid */
	if (!at_exit)
	{
		before_shmem_exit(end_commit_at_exit, (Datum) 0);
		at_exit = true;
	}
	if (committing_slots == NULL)
	{
		committing_room = state->room * MAX_SLOTS + 1;
		committing_slots = MemoryContextAllocHuge(TopMemoryContext,
												  sizeof(cx_slot) * committing_room);
	}
	strlcpy(committing_gid, gid, GIDSIZE);
	committing_as_superuser = superuser();
	committing_sweeps = 0;
	unknown_sweeps = 0;
	committing_count = 0;
	committing = true;

	LWLockAcquire(&state->lock, LW_SHARED);
	gids_committing[cx_my_proc_number()] = gid_hash(committing_gid, committing_as_superuser ?
													InvalidOid : GetUserId());
	for (int i = 0; i < state->room; i++)
	{
		const prepared_set *set = &state->sets[i];

		if (!TransactionIdIsValid(set->xid) || strcmp(set->gid, committing_gid) != 0 ||
			!may_end(set->owner, set->database))
			continue;
		memcpy(committing_slots + count, set->slots, sizeof(cx_slot) * set->slot_count);
		count += set->slot_count;
		committing_sweeps |= set->sweeps;
	}
	LWLockRelease(&state->lock);

	if (find_prepared(is_from_before_start, committing_gid))
	{
		committing_slots[count++] = CX_SLOT_GLOBAL;
		if (cx_era_in_use())
			cx_sweeps_expect_everything(&unknown_sweeps);
	}

	for (; committing_count < count; committing_count++)
		cx_clock_writers_add(committing_slots[committing_count]);
	CX_STOP(CX_STOP_PREPARED_BEGUN);
}

void
cx_prepared_end_commit(void)
{
	XLogRecPtr	now;

	if (!committing)
		return;
	committing = false;
	CX_STOP(CX_STOP_PREPARED_COMMITTED);

	now = GetXLogInsertRecPtr();
	for (int i = 0; i < committing_count; i++)
	{
		cx_clock_raise(committing_slots[i], now);
		cx_clock_writers_remove(committing_slots[i]);
	}
	raise_sweeps(committing_sweeps | unknown_sweeps);
	cx_sweeps_let_go(unknown_sweeps);
	gids_committing[cx_my_proc_number()] = 0;
	cx_prepared_rolled_back(committing_gid);
}

/* Forgets the sets of a gid whose transactions are over. */
void
cx_prepared_rolled_back(const char *gid)
{
	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	for (int i = 0; i < state->room; i++)
	{
		prepared_set *set = &state->sets[i];

		if (TransactionIdIsValid(set->xid) && strncmp(set->gid, gid, GIDSIZE - 1) == 0 &&
			!TransactionIdIsInProgress(set->xid))
			remove_set(set);
	}
	LWLockRelease(&state->lock);
}

/*
 * What no utility command announces (invariant 4)
 */

/* Releases the sets of apply workers whose transactions are over. */
static void
release_unannounced(void)
{
	LWLockAcquire(&state->lock, LW_EXCLUSIVE);
	for (int i = 0; i < state->room; i++)
	{
		prepared_set *set = &state->sets[i];
		XLogRecPtr	now;

		if (!TransactionIdIsValid(set->xid) || set->gid[0] != '\0' ||
			TransactionIdIsInProgress(set->xid))
			continue;
		now = GetXLogInsertRecPtr();
		for (int s = 0; s < set->slot_count; s++)
		{
			cx_clock_raise(set->slots[s], now);
			cx_clock_writers_remove(set->slots[s]);
		}
		raise_sweeps(set->sweeps);
		remove_set(set);
	}
	LWLockRelease(&state->lock);
}

static bool
is_left_by_apply_worker(const prepared_transaction *transaction, const char *gid)
{
	return strncmp(transaction->gid, APPLY_WORKER_GID, strlen(APPLY_WORKER_GID)) == 0 &&
		!is_listed(transaction->xid);
}

void
cx_prepared_sweep(void)
{
	if (state->room > 0 && !RecoveryInProgress())
		release_unannounced();
}

void
cx_prepared_settle_start(void)
{
	TimestampTz now;

	if (pg_atomic_read_u32(&state->start_pending) == 0)
		return;
	now = GetCurrentTimestamp();
	if (now - state->start_checked < START_CHECK_US)
		return;
	state->start_checked = now; /* two at once do no harm */
	if (RecoveryInProgress() || find_prepared(is_left_by_apply_worker, NULL))
		return;

	/* whoever lowers the flag lowers the slot; what is gone may have committed unannounced */
	if (pg_atomic_exchange_u32(&state->start_pending, 0) == 1)
	{
		cx_clock_raise(CX_SLOT_GLOBAL, GetXLogInsertRecPtr());
		cx_clock_writers_remove(CX_SLOT_GLOBAL);
	}
}
