/*
 * core/account.c
 *		What each cached statement costs and gains: does caching it pay?
 *
 * Let r be the part of a statement's look-ups that hit, and hit, miss and plain what an execution
 * takes in each of these ways.  With the cache an execution takes r * hit + (1 - r) * miss, without
 * it plain.  So the cache loses as long as
 *
 *		r * (miss - hit) < miss - plain
 *
 * what a hit saves against a miss, as often as there is one, is less than what a miss costs beyond
 * a plain execution.  It breaks even at r = (miss - plain) / (miss - hit).
 *
 * Invariants:
 *
 *	1. An account belongs to one statement of one database until it makes room for another: of the
 *	   accounts that the statement's hash allows (a set), the one unused for longest.  Its generation
 *	   is raised before anything else of it changes, and a handle of an older generation does
 *	   nothing.  Who compared just before that may still add one execution to the next statement's
 *	   numbers: they are for people and for guesses, and one execution does no harm to either.
 *	2. No count is lost: counts are added to atomically.
 *	3. An average is the mean of its first SETTLED samples.  Each one afterwards moves it by
 *	   1 / SETTLED of the difference, and counts as OUTLIER times the average at most, so that one
 *	   stall decides nothing.  Of two samples at the same instant one may be lost.
 *	4. The decision falls at the end of a window of look-ups, from its hit ratio and the averages.
 *	   Against noise, the statement loses only if with the cache it takes MARGIN times plain:
 *
 *			r * (miss - hit) < miss - MARGIN * plain
 *
 *	   plain is what was measured; while nothing was, it is miss less the part of a miss that only
 *	   caching costs.  A window of hits alone never loses: nothing in it tells what a miss would
 *	   cost now.  One of misses alone loses only if what caching costs is more than noise: the keys
 *	   of a statement with many parameters may be asked for again later.
 *	5. A statement that loses rests: exactly its next FIRST_REST executions are told not to ask the
 *	   cache.  Then a shorter window, a trial, decides again.  Each trial that fails doubles the
 *	   rest, up to LAST_REST; after a window that pays it is FIRST_REST again.
 *	6. What was counted for the next decision, and the rest, are one word that is compared and
 *	   exchanged: all sessions together end a window once, and together use up a rest.  A look-up
 *	   that began before the rest and ends in it belongs to no window.
 *	7. Nobody is told to do without the cache but by 4: a new account pays, and so does a handle
 *	   that is of no use any more.
 *
 * Locks: each set has one.  It guards whose the accounts are, and is taken for opening (shared if
 * the account is there), visiting and forgetting.  The numbers are atomics: reading and adding take
 * no lock.
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>

#include "base/shmem.h"
#include "core/account.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define WAYS 8					/* accounts of a set */
#define SETS 256
#define ACCOUNTS (SETS * WAYS)

#define SETTLED 8
#define OUTLIER 8

#define WINDOW 64				/* look-ups */
#define TRIAL 32
#define MARGIN 1.1
#define FIRST_REST 128			/* executions */
#define LAST_REST 16384

typedef union average
{
	struct
	{
		float		us;
		uint32		samples;	/* SETTLED: that many, or more */
	}			is;
	uint64		word;
} average;

typedef union progress
{
	struct
	{
		uint16		lookups;	/* of the window under way */
		uint16		hits;
		uint16		rest;		/* executions that still have to do without the cache */
		uint16		next_rest;	/* how long if this trial fails; 0: this is no trial */
	}			is;
	uint64		word;
} progress;

StaticAssertDecl(sizeof(average) == sizeof(uint64), "an average is one word");
StaticAssertDecl(sizeof(progress) == sizeof(uint64), "the progress is one word");

/* What is added to and read without a lock: atomics, all zero at first. */
typedef enum account_number
{
	HITS,
	MISSES,
	STORED,
	PLAIN,
	HIT_US,						/* an average, as the next three */
	MISS_US,
	OWN_US,
	PLAIN_US,
	PROGRESS,
	LAST_USED,					/* a TimestampTz */
	NUMBERS
} account_number;

typedef struct account_state
{
	pg_atomic_uint32 generation;	/* changed under the set's lock, read without */
	pg_atomic_uint64 numbers[NUMBERS];

	/* guarded by the set's lock */
	bool		open;
	Oid			database;
	Oid			role;
	uint8		fingerprint[CX_ACCOUNT_NAME_LENGTH];
	int64		query_id;
	char		text[CX_ACCOUNT_TEXT_LENGTH];
} account_state;

typedef struct account_set
{
	LWLock		lock;
	account_state accounts[WAYS];
} account_set;

static account_set *sets = NULL;

static Size
account_size(void)
{
	return mul_size(sizeof(account_set), SETS);
}

static void
account_create(void *area)
{
	account_set *fresh = area;
	int			tranche = LWLockNewTrancheId();

	for (int s = 0; s < SETS; s++)
	{
		LWLockInitialize(&fresh[s].lock, tranche);
		for (int way = 0; way < WAYS; way++)
		{
			pg_atomic_init_u32(&fresh[s].accounts[way].generation, 0);
			for (int number = 0; number < NUMBERS; number++)
				pg_atomic_init_u64(&fresh[s].accounts[way].numbers[number], 0);
		}
	}
}

static void
account_attach(void *area)
{
	sets = area;
	LWLockRegisterTranche(sets[0].lock.tranche, "cache_ext accounts");
}

static const cx_shmem_area account_area = {
	"cache_ext accounts", account_size, account_create, account_attach
};

void
cx_account_init(void)
{
	cx_shmem_register(&account_area);
}

/*
 * Opening
 */

/* Invariant 1: whoever still has a handle is out before anything else changes. */
static void
close_account(account_state *state)
{
	pg_atomic_write_u32(&state->generation, pg_atomic_read_u32(&state->generation) + 1);
	pg_write_barrier();
	state->open = false;
	for (int number = 0; number < NUMBERS; number++)
		pg_atomic_write_u64(&state->numbers[number], 0);
}

static account_state *
find_account(account_set *set, const uint8 *fingerprint)
{
	for (int way = 0; way < WAYS; way++)
	{
		account_state *state = &set->accounts[way];

		if (state->open && state->database == MyDatabaseId &&
			memcmp(state->fingerprint, fingerprint, CX_ACCOUNT_NAME_LENGTH) == 0)
			return state;
	}
	return NULL;
}

/* One that is free, or the one unused for longest. */
static account_state *
make_room(account_set *set)
{
	account_state *oldest = &set->accounts[0];

	for (int way = 0; way < WAYS; way++)
	{
		account_state *state = &set->accounts[way];

		if (!state->open)
			return state;
		if (pg_atomic_read_u64(&state->numbers[LAST_USED]) <
			pg_atomic_read_u64(&oldest->numbers[LAST_USED]))
			oldest = state;
	}
	close_account(oldest);
	return oldest;
}

static void
note_use(account_state *state, TimestampTz when)
{
	pg_atomic_write_u64(&state->numbers[LAST_USED], (uint64) when);
}

cx_account
cx_account_open(const uint8 *fingerprint, const char *text, size_t length, int64 query_id)
{
	cx_account	account = {0};
	uint32		hash;
	account_set *set;
	account_state *state;

	if (sets == NULL)
		return account;
	hash = hash_combine(hash_bytes(fingerprint, CX_ACCOUNT_NAME_LENGTH),
						murmurhash32(MyDatabaseId));
	set = &sets[hash % SETS];

	LWLockAcquire(&set->lock, LW_SHARED);
	state = find_account(set, fingerprint);
	if (state == NULL)
	{
		/* another may open it between the two locks */
		LWLockRelease(&set->lock);
		LWLockAcquire(&set->lock, LW_EXCLUSIVE);
		state = find_account(set, fingerprint);
	}
	if (state == NULL)
	{
		int			kept = pg_mbcliplen(text, (int) Min(length, INT_MAX),
										CX_ACCOUNT_TEXT_LENGTH - 1);

		state = make_room(set);
		state->database = MyDatabaseId;
		state->role = GetUserId();
		memcpy(state->fingerprint, fingerprint, CX_ACCOUNT_NAME_LENGTH);
		state->query_id = query_id;
		memcpy(state->text, text, kept);
		state->text[kept] = '\0';
		state->open = true;
	}
	note_use(state, GetCurrentTimestamp());
	account.index = (uint32) ((set - sets) * WAYS + (state - set->accounts));
	account.generation = pg_atomic_read_u32(&state->generation);
	account.valid = true;
	LWLockRelease(&set->lock);
	return account;
}

/* NULL if the handle is of no use (any more). */
static account_state *
state_of(cx_account account)
{
	account_state *state;

	if (!account.valid || sets == NULL)
		return NULL;
	Assert(account.index < ACCOUNTS);
	state = &sets[account.index / WAYS].accounts[account.index % WAYS];
	return pg_atomic_read_u32(&state->generation) == account.generation ? state : NULL;
}

bool
cx_account_is_open(cx_account account)
{
	return state_of(account) != NULL;
}

/*
 * Averages
 */

static average
read_average(account_state *state, account_number which)
{
	return (average) {.word = pg_atomic_read_u64(&state->numbers[which])};
}

/* Invariant 3.  What is no time, by whatever mistake of a clock, is left out. */
static void
add_sample(account_state *state, account_number which, double us)
{
	average		seen = read_average(state, which);
	average		next = seen;

	if (!(us >= 0 && us <= FLT_MAX))
		return;
	if (seen.is.samples < SETTLED)
		next.is.samples++;
	else
		us = Min(us, OUTLIER * Max((double) seen.is.us, 1.0));	/* or 0 would stay 0 */
	next.is.us += (float) ((us - seen.is.us) / next.is.samples);
	pg_atomic_compare_exchange_u64(&state->numbers[which], &seen.word, next.word);
}

/*
 * The decision
 */

/* Invariant 4, with the hits and look-ups of a window. */
static bool
loses(account_state *state, int hits, int lookups)
{
	double		miss = read_average(state, MISS_US).is.us;
	double		hit = read_average(state, HIT_US).is.us;
	average		measured = read_average(state, PLAIN_US);
	double		plain = measured.is.samples > 0 ? measured.is.us :
		miss - read_average(state, OWN_US).is.us;

	if (hits == lookups)
		return false;
	return (double) hits / lookups * (miss - hit) < miss - MARGIN * plain;
}

/* Invariant 5: what follows a window. */
static progress
end_window(account_state *state, progress window)
{
	progress	next = {.word = 0};

	if (loses(state, window.is.hits, window.is.lookups))
	{
		next.is.rest = Max(window.is.next_rest, FIRST_REST);
		next.is.next_rest = Min(next.is.rest * 2, LAST_REST);
	}
	return next;
}

/* Invariant 6. */
static void
count_lookup(account_state *state, bool hit)
{
	progress	seen = {.word = pg_atomic_read_u64(&state->numbers[PROGRESS])};
	progress	next;

	do
	{
		next = seen;
		if (next.is.rest > 0)
			return;
		next.is.lookups++;
		if (hit)
			next.is.hits++;
		if (next.is.lookups == (next.is.next_rest == 0 ? WINDOW : TRIAL))
			next = end_window(state, next);
	} while (!pg_atomic_compare_exchange_u64(&state->numbers[PROGRESS], &seen.word, next.word));
}

bool
cx_account_pays(cx_account account)
{
	account_state *state = state_of(account);
	progress	seen;
	progress	next;

	if (state == NULL)
		return true;
	seen.word = pg_atomic_read_u64(&state->numbers[PROGRESS]);
	do
	{
		next = seen;
		if (next.is.rest == 0)
			return true;
		next.is.rest--;
	} while (!pg_atomic_compare_exchange_u64(&state->numbers[PROGRESS], &seen.word, next.word));
	return false;
}

/*
 * Adding: times first, for a window that ends with this execution
 */

void
cx_account_add_hit(cx_account account, double us, TimestampTz when)
{
	account_state *state = state_of(account);

	if (state == NULL)
		return;
	note_use(state, when);
	pg_atomic_fetch_add_u64(&state->numbers[HITS], 1);
	add_sample(state, HIT_US, us);
	count_lookup(state, true);
}

void
cx_account_add_miss(cx_account account, double us, double own_us, bool stored)
{
	account_state *state = state_of(account);

	if (state == NULL)
		return;
	note_use(state, GetCurrentTimestamp());
	pg_atomic_fetch_add_u64(&state->numbers[MISSES], 1);
	if (stored)
		pg_atomic_fetch_add_u64(&state->numbers[STORED], 1);
	add_sample(state, MISS_US, us);
	add_sample(state, OWN_US, own_us);
	count_lookup(state, false);
}

void
cx_account_add_plain(cx_account account, double us)
{
	account_state *state = state_of(account);

	if (state == NULL)
		return;
	note_use(state, GetCurrentTimestamp());
	pg_atomic_fetch_add_u64(&state->numbers[PLAIN], 1);
	add_sample(state, PLAIN_US, us);
}

double
cx_account_miss_us(cx_account account)
{
	account_state *state = state_of(account);

	return state == NULL ? 0 : read_average(state, MISS_US).is.us;
}

/*
 * For people
 */

static void
read_facts(account_state *state, cx_account_facts *facts)
{
	progress	now = {.word = pg_atomic_read_u64(&state->numbers[PROGRESS])};

	facts->database = state->database;
	facts->role = state->role;
	memcpy(facts->fingerprint, state->fingerprint, CX_ACCOUNT_NAME_LENGTH);
	facts->query_id = state->query_id;
	memcpy(facts->text, state->text, CX_ACCOUNT_TEXT_LENGTH);
	facts->hits = pg_atomic_read_u64(&state->numbers[HITS]);
	facts->misses = pg_atomic_read_u64(&state->numbers[MISSES]);
	facts->stored = pg_atomic_read_u64(&state->numbers[STORED]);
	facts->plain = pg_atomic_read_u64(&state->numbers[PLAIN]);
	facts->hit_us = read_average(state, HIT_US).is.us;
	facts->miss_us = read_average(state, MISS_US).is.us;
	facts->plain_us = read_average(state, PLAIN_US).is.us;
	facts->resting = now.is.rest > 0;
	facts->last_used = (TimestampTz) pg_atomic_read_u64(&state->numbers[LAST_USED]);
}

/* The visitor may do what it likes: it is called without the lock. */
void
cx_account_visit(void (*visitor) (const cx_account_facts *facts, void *arg), void *arg)
{
	cx_account_facts facts[WAYS];

	for (int s = 0; sets != NULL && s < SETS; s++)
	{
		int			count = 0;

		LWLockAcquire(&sets[s].lock, LW_SHARED);
		for (int way = 0; way < WAYS; way++)
			if (sets[s].accounts[way].open)
				read_facts(&sets[s].accounts[way], &facts[count++]);
		LWLockRelease(&sets[s].lock);

		for (int i = 0; i < count; i++)
			visitor(&facts[i], arg);
	}
}

void
cx_account_reset(void)
{
	for (int s = 0; sets != NULL && s < SETS; s++)
	{
		LWLockAcquire(&sets[s].lock, LW_EXCLUSIVE);
		for (int way = 0; way < WAYS; way++)
		{
			account_state *state = &sets[s].accounts[way];

			if (state->open && state->database == MyDatabaseId)
				close_account(state);
		}
		LWLockRelease(&sets[s].lock);
	}
}
