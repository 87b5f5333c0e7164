/*
 * test/churn/workload.c
 *		Many operations on the local tier: as sessions do them, and as a benchmark counts them.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/local.h"
#include "pattern.h"

#include <math.h>

#include "access/htup_details.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define KEY_LENGTH 32

/* From smallest to largest bytes, each order of magnitude as often as any other. */
static size_t
random_size(pg_prng_state *random, int smallest, int largest)
{
	return (size_t) (smallest * pow((double) largest / smallest, pg_prng_double(random)));
}

static Datum
make_row(FunctionCallInfo fcinfo, Datum *values)
{
	TupleDesc	desc;
	bool		nulls[8] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "not a row");
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * Churn
 */

#define CLOCKS 64				/* that the entries depend on */
#define HELD 8					/* pins kept over many operations */

typedef struct held_pin
{
	MemoryContext context;
	cx_local_pin *pin;			/* NULL: none */
	cx_local_entry entry;
	char		key[KEY_LENGTH];
} held_pin;

typedef struct churn
{
	pg_prng_state random;
	int			keys;
	int			largest;
	MemoryContext context;		/* reset now and then */
	held_pin	held[HELD];
	int64		gets;
	int64		hits;
	int64		stored;
	int64		refused;
} churn;

static uint32
below(churn *run, uint32 limit)
{
	return pg_prng_uint32(&run->random) % limit;
}

static bool
one_in(churn *run, uint32 times)
{
	return below(run, times) == 0;
}

/* In the place of the insert position of the WAL, which doesn't move here. */
static XLogRecPtr
position(void)
{
	return (XLogRecPtr) GetCurrentTimestamp();
}

static void
store_random(churn *run, const char *key)
{
	cx_slot		slots[3];
	cx_local_entry entry;
	char	   *body;

	describe(&entry, key, strlen(key), random_size(&run->random, 16, run->largest));
	entry.row_count = pg_prng_uint64(&run->random);
	entry.clocks.slots = slots;
	entry.clocks.count = (int) below(run, lengthof(slots) + 1);
	for (int i = 0; i < entry.clocks.count; i++)
		slots[i] = below(run, CLOCKS);
	if (!cx_clock_begin_fill(slots, entry.clocks.count, &entry.stamp))
		elog(ERROR, "a clock is pending");
	entry.stamp.lsn = position();
	if (one_in(run, 10))
		entry.expires = GetCurrentTimestamp() + below(run, 1000000);
	if (one_in(run, 50))
		(void) cx_local_reserve(&entry, &body); /* and an error comes before it is published */
	else if (store(&entry))
		run->stored++;
	else
		run->refused++;
}

/* Adds a rendering, or reads it if it is there. */
static void
render(churn *run, cx_local_pin *pin)
{
	char		name[2] = {(char) ('a' + below(run, 4)), '\0'};
	uint64		start = pattern_start(name, 1, 0);
	size_t		length;
	const char *data = cx_local_find_rendering(pin, name, 1, &length);

	if (data == NULL)
	{
		char	   *fresh;

		length = random_size(&run->random, 16, run->largest);
		fresh = MemoryContextAlloc(run->context, length + sizeof(uint64));
		write_pattern(start, fresh, length);
		cx_local_add_rendering(pin, name, 1, fresh, length);
		data = cx_local_find_rendering(pin, name, 1, &length);
	}
	if (data != NULL && !is_pattern(start, data, length))
		elog(ERROR, "rendering is damaged");
}

/* What it pinned long ago must still be what it was. */
static void
let_go(churn *run, held_pin *held)
{
	if (held->pin == NULL)
		return;
	verify(&held->entry, held->key, strlen(held->key));
	render(run, held->pin);
	if (one_in(run, 2))
		cx_local_release(held->pin);
	MemoryContextReset(held->context);
	held->pin = NULL;
}

static void
hold(churn *run, held_pin *held, const char *key)
{
	let_go(run, held);
	held->pin = cx_local_get(key, strlen(key), held->context, &held->entry);
	strlcpy(held->key, key, sizeof(held->key));
}

static void
visited(const cx_local_entry *entry, void *arg)
{
	verify(entry, entry->key, entry->key_length);
}

static void
operate(churn *run)
{
	double		skewed = pow(pg_prng_double(&run->random), 3);
	char		key[KEY_LENGTH];
	cx_local_entry entry;
	cx_local_pin *pin;

	snprintf(key, sizeof(key), "key %d", (int) (skewed * run->keys));
	if (one_in(run, 1000))
		cx_clock_raise(below(run, CLOCKS), position());
	if (one_in(run, 50))
		hold(run, &run->held[below(run, HELD)], key);
	if (one_in(run, 100000))
		cx_local_visit(visited, NULL);
	if (one_in(run, 200000))
		cx_local_clear();

	run->gets++;
	pin = cx_local_get(key, strlen(key), run->context, &entry);
	if (pin == NULL)
	{
		store_random(run, key);
		return;
	}
	run->hits++;
	verify(&entry, key, strlen(key));
	if (one_in(run, 20))
		render(run, pin);
	if (one_in(run, 50))
		store_random(run, key);
	if (cx_clock_check(&entry.stamp, entry.clocks.slots, entry.clocks.count) == CX_CLOCK_CHANGED)
		cx_local_drop(pin);
	verify(&entry, key, strlen(key));
	if (one_in(run, 2))
		cx_local_release(pin);	/* else with the context */
}

PG_FUNCTION_INFO_V1(churn_run);

/* run(operations bigint, keys int, largest int, seed bigint): gets, hits, stored, refused */
Datum
churn_run(PG_FUNCTION_ARGS)
{
	int64		operations = PG_GETARG_INT64(0);
	churn	   *run = palloc0(sizeof(churn));
	Datum		values[4];

	run->keys = PG_GETARG_INT32(1);
	run->largest = PG_GETARG_INT32(2);
	pg_prng_seed(&run->random, PG_GETARG_INT64(3));
	run->context = AllocSetContextCreate(CurrentMemoryContext, "churn", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < HELD; i++)
		run->held[i].context = AllocSetContextCreate(CurrentMemoryContext, "churn held",
													 ALLOCSET_SMALL_SIZES);
	for (int64 done = 0; done < operations; done++)
	{
		CHECK_FOR_INTERRUPTS();
		operate(run);
		if (done % 100 == 0)
			MemoryContextReset(run->context);
	}
	for (int i = 0; i < HELD; i++)
		let_go(run, &run->held[i]);
	MemoryContextReset(run->context);

	values[0] = Int64GetDatum(run->gets);
	values[1] = Int64GetDatum(run->hits);
	values[2] = Int64GetDatum(run->stored);
	values[3] = Int64GetDatum(run->refused);
	PG_RETURN_DATUM(make_row(fcinfo, values));
}

/*
 * Hit ratios
 */

/* The keys that LRU would keep, in a ring from the latest to the oldest. */
typedef struct lru
{
	int		   *next;			/* by key; [keys] is the ring's end */
	int		   *previous;		/* -1: not kept */
	int			keys;
	Size		used;
	Size		limit;
} lru;

static lru *
lru_create(int keys, Size limit)
{
	lru		   *ring = palloc(sizeof(lru));

	ring->next = palloc_extended(sizeof(int) * (keys + 1), MCXT_ALLOC_HUGE);
	ring->previous = palloc_extended(sizeof(int) * (keys + 1), MCXT_ALLOC_HUGE);
	for (int key = 0; key < keys; key++)
		ring->previous[key] = -1;
	ring->next[keys] = ring->previous[keys] = keys;
	ring->keys = keys;
	ring->used = 0;
	ring->limit = limit;
	return ring;
}

static void
lru_remove(lru *ring, int key)
{
	ring->next[ring->previous[key]] = ring->next[key];
	ring->previous[ring->next[key]] = ring->previous[key];
	ring->previous[key] = -1;
}

static void
lru_push(lru *ring, int key)
{
	ring->next[key] = ring->next[ring->keys];
	ring->previous[key] = ring->keys;
	ring->previous[ring->next[key]] = key;
	ring->next[ring->keys] = key;
}

/* Was it kept?  Now it is. */
static bool
lru_get(lru *ring, int key, const Size *sizes)
{
	bool		hit = ring->previous[key] >= 0;

	if (hit)
		lru_remove(ring, key);
	else
		ring->used += sizes[key];
	lru_push(ring, key);
	while (ring->used > ring->limit)
	{
		int			oldest = ring->previous[ring->keys];

		ring->used -= sizes[oldest];
		lru_remove(ring, oldest);
	}
	return hit;
}

/* Was the tier's entry of that key there?  Now it is, if there is room. */
static bool
tier_get(int number, size_t body_length, MemoryContext context)
{
	char		key[KEY_LENGTH];
	cx_local_entry entry;
	cx_local_pin *pin;

	snprintf(key, sizeof(key), "key %d", number);
	pin = cx_local_get(key, strlen(key), context, &entry);
	if (pin != NULL)
	{
		cx_local_release(pin);
		return true;
	}
	describe(&entry, key, strlen(key), body_length);
	if (!cx_clock_begin_fill(NULL, 0, &entry.stamp))
		elog(ERROR, "a clock is pending");
	store(&entry);
	return false;
}

static Size
tier_used(void)
{
	cx_local_state state;

	cx_local_read_state(&state);
	return state.used;
}

/* Probabilities of keys 0 to n, added up: that of rank r is as 1 / r. */
static double *
zipf_sums(int keys)
{
	double	   *sums = palloc_extended(sizeof(double) * keys, MCXT_ALLOC_HUGE);
	double		sum = 0;

	for (int key = 0; key < keys; key++)
		sums[key] = sum += 1.0 / (key + 1);
	return sums;
}

static int
zipf_key(pg_prng_state *random, const double *sums, int keys)
{
	double		at = pg_prng_double(random) * sums[keys - 1];
	int			low = 0;
	int			high = keys - 1;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (sums[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

PG_FUNCTION_INFO_V1(churn_zipf);

/*
 * zipf(operations bigint, keys int, smallest int, largest int, seed bigint): tier, lru
 *		Hit ratios of an empty tier and of LRU in as much memory, on a Zipf(1.0) workload.
 */
Datum
churn_zipf(PG_FUNCTION_ARGS)
{
	int64		operations = PG_GETARG_INT64(0);
	int			keys = PG_GETARG_INT32(1);
	int			smallest = PG_GETARG_INT32(2);
	int			largest = PG_GETARG_INT32(3);
	Size	   *sizes = palloc_extended(sizeof(Size) * keys, MCXT_ALLOC_HUGE);
	double	   *sums = zipf_sums(keys);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "zipf",
												  ALLOCSET_DEFAULT_SIZES);
	int64		tier_hits = 0;
	int64		lru_hits = 0;
	pg_prng_state random;
	cx_local_state state;
	Size		overhead;
	lru		   *ring;
	Datum		values[2];

	pg_prng_seed(&random, PG_GETARG_INT64(4));
	cx_local_clear();
	cx_local_read_state(&state);
	tier_get(0, 0, context);
	overhead = tier_used() - state.used;
	cx_local_clear();
	ring = lru_create(keys, state.limit - state.used);
	for (int key = 0; key < keys; key++)
		sizes[key] = random_size(&random, smallest, largest);

	/* sizes of LRU include what the tier adds to a body */
	for (int key = 0; key < keys; key++)
		sizes[key] += overhead;
	for (int64 done = 0; done < operations; done++)
	{
		int			key = zipf_key(&random, sums, keys);

		CHECK_FOR_INTERRUPTS();
		tier_hits += tier_get(key, sizes[key] - overhead, context);
		lru_hits += lru_get(ring, key, sizes);
		MemoryContextReset(context);
	}
	values[0] = Float8GetDatum((double) tier_hits / operations);
	values[1] = Float8GetDatum((double) lru_hits / operations);
	PG_RETURN_DATUM(make_row(fcinfo, values));
}
