/*
 * core/local.h
 *		Entries in shared memory: the local tier.
 *
 * Knows bytes: a key, a body, and what the clocks need.  Nothing here raises an error, but for out
 * of backend memory in cx_local_get(); cx_local_release() may run in any state of a transaction.
 */
#ifndef CX_CORE_LOCAL_H
#define CX_CORE_LOCAL_H

#include "postgres.h"

#include "core/clock.h"
#include "datatype/timestamp.h"

/* A pin on an entry: it stays where it is, whatever becomes of it for others. */
typedef struct cx_local_pin cx_local_pin;

typedef struct cx_local_entry
{
	cx_stamp	stamp;
	TimestampTz created;
	TimestampTz expires;
	int64		fill_us;		/* what it took to fill it, in microseconds; 0 if not known */
	uint64		row_count;
	cx_clocks	clocks;			/* of the tags that it was filled with */
	const char *key;
	uint32		key_length;
	const char *body;			/* MAXALIGNed; the owner's business */
	size_t		body_length;
} cx_local_entry;

extern void cx_local_init(void);

/* Is there a local tier (local_memory > 0)? */
extern bool cx_local_available(void);

/* Could a body of that length be stored at all? */
extern bool cx_local_fits(size_t key_length, size_t body_length);

/*
 * Finds the entry of exactly this key and pins it: until cx_local_release(), or until the context is
 * reset or deleted.  NULL if there is none.  Says nothing about the clocks and the time, but counts as
 * a use for the eviction.  *entry points into shared memory, and is readable while pinned.
 */
extern cx_local_pin *cx_local_get(const char *key, size_t key_length, MemoryContext context,
								  cx_local_entry *entry);
extern void cx_local_release(cx_local_pin *pin);

/* The entry is of no more use to anybody (its pins keep their bytes). */
extern void cx_local_drop(cx_local_pin *pin);

/*
 * Storing, in two steps: room for an entry with a body of entry->body_length (entry->body is not
 * looked at; clocks and key are copied), then the caller writes the body, then the entry is published and
 * replaces what had its key.  Nothing that can raise an error may come between.  NULL when there is no
 * room, after evicting what SIEVE lets go.  No entry may take more than its share of the memory.
 */
extern void *cx_local_reserve(const cx_local_entry *entry, char **body);
extern void cx_local_publish(void *reserved);

/*
 * Renderings of an entry's rows, named by the caller; stored once, freed with the entry, counted to
 * its size.  find returns NULL where there is none of that name; what it returns is readable while
 * pinned.  add may be refused, and two who add the same one leave one of them.
 */
extern const char *cx_local_find_rendering(cx_local_pin *pin, const char *name, size_t name_length,
										   size_t *length);
extern void cx_local_add_rendering(cx_local_pin *pin, const char *name, size_t name_length,
								   const char *data, size_t length);

/* Removes every entry that is not pinned; those that are can't be found any more. */
extern void cx_local_clear(void);

/* The state, for people and tests. */
typedef struct cx_local_state
{
	uint64		limit;			/* bytes */
	uint64		used;			/* bytes that can't be used for a new entry without evicting */
	uint64		entries;
	uint64		pins;
	uint64		evictions;		/* of entries that were still of use */
	uint64		discards;		/* of expired and invalid ones */
} cx_local_state;

extern void cx_local_read_state(cx_local_state *result);

/*
 * Calls the visitor for the entries one after another, each pinned meanwhile, no lock held.  Entries that
 * come and go meanwhile may be missed.
 */
extern void cx_local_visit(void (*visitor) (const cx_local_entry *entry, void *arg), void *arg);

#endif
