/*
 * core/local_table.h
 *		The shared side of the local tier: which entries there are, and which go.
 *
 * Private to core/local.c.  Invariants and locks are in core/local_table.c.  Nothing here raises an
 * error.
 */
#ifndef CX_CORE_LOCAL_TABLE_H
#define CX_CORE_LOCAL_TABLE_H

#include "postgres.h"

#include "core/local.h"

#include "lib/ilist.h"
#include "port/atomics.h"

typedef struct cx_table_rendering
{
	struct cx_table_rendering *next;
	size_t		name_length;
	size_t		length;
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* what is rendered, then the name */
} cx_table_rendering;

/* The user sets hash, facts and what they point to, and owns taken and renderings. */
typedef struct cx_table_entry
{
	struct cx_table_entry *next;	/* in its bucket; its partition's lock */
	dlist_node	node;			/* in the queue; the table's lock */
	bool		linked;			/* is it in bucket and queue?  the table's lock */
	Size		taken;			/* of the memory, with renderings; the table's lock */
	cx_table_rendering *volatile renderings;	/* added to with the table's lock, read without */

	pg_atomic_uint32 pins;		/* invariant 3 */
	pg_atomic_uint32 visited;	/* since the hand came by last */

	/* constant once it is linked */
	uint64		serial;
	uint32		hash;
	cx_local_entry facts;
} cx_table_entry;

extern void cx_table_init(void);
extern bool cx_table_exists(void);

/* The most that an entry may take, with its renderings. */
extern Size cx_table_share(void);

/* Finds the entry of exactly this key, pins it and counts a visit; NULL if there is none. */
extern cx_table_entry *cx_table_pin(uint32 hash, const char *key, size_t key_length);

/* Pins the latest entry of a bucket among those whose serial number is smaller. */
extern cx_table_entry *cx_table_pin_before(uint64 bucket, uint64 serial);
extern uint64 cx_table_bucket_count(void);

extern void cx_table_unpin(cx_table_entry *entry);

extern void cx_table_read_state(cx_local_state *result);

/* The table's lock.  No process waits for anything while it has it, but for partitions' locks. */
extern void cx_table_lock(void);
extern void cx_table_unlock(void);

/*
 * The rest is called with the lock held.
 *
 * allocate evicts what it takes to get a piece of memory; NULL if that is too much.  The piece is
 * the caller's until it is freed, or becomes an entry by link, or a rendering by add_rendering.
 */
extern void *cx_table_allocate(Size size);
extern void cx_table_free(void *piece);

/* False, and nothing is done: there is a later one of the same key. */
extern bool cx_table_link(cx_table_entry *entry);
extern void cx_table_add_rendering(cx_table_entry *entry, cx_table_rendering *rendering);

/* Nobody finds it any more.  It is freed now, or by the last one who unpins it. */
extern void cx_table_remove(cx_table_entry *entry);

/* The same for an entry of no more use, if nobody has removed it yet. */
extern void cx_table_discard(cx_table_entry *entry);

/* The one that was linked before all others; the one linked last.  NULL if there is none. */
extern cx_table_entry *cx_table_oldest(void);
extern cx_table_entry *cx_table_latest(void);

#endif
