/*
 * core/clock.h
 *		The clocks in shared memory: when did what a tag names last change?
 *
 * The protocol and its rule numbers are in core/clock.c.
 */
#ifndef CX_CORE_CLOCK_H
#define CX_CORE_CLOCK_H

#include "postgres.h"

#include "access/xlogdefs.h"

#include "base/tag.h"

/* Index of a clock; CX_SLOT_GLOBAL is the one that everything depends on. */
typedef uint32 cx_slot;
#define CX_SLOT_GLOBAL ((cx_slot) PG_UINT32_MAX)

/* What an entry carries: it is valid while no clock of its tags is later. */
typedef struct cx_stamp
{
	uint64		epoch;
	XLogRecPtr	lsn;
} cx_stamp;

/* The clocks of an entry's tags: those of definitions first, then those of rows. */
typedef struct cx_clocks
{
	const cx_slot *slots;
	int			count;
	int			definitions;
} cx_clocks;

extern void cx_clock_init(void);

/* The epoch of now. */
extern uint64 cx_clock_epoch(void);

/* The clock of a tag of the current database, and of its spread (base/tag.h). */
extern cx_slot cx_clock_slot(const cx_tag *tag);
extern cx_slot cx_clock_slot_of_spread(uint64 spread);

/* Writer: rules 2, 3, 10. */
extern void cx_clock_writers_add(cx_slot slot);
extern void cx_clock_raise(cx_slot slot, XLogRecPtr changed_at);
extern void cx_clock_writers_remove(cx_slot slot);

/*
 * Fill, rule 4: reads epoch and E, then tests that no writer is committing on the slots or the
 * global one.  False: don't fill.  The caller takes its fresh snapshot after this.
 */
extern bool cx_clock_begin_fill(const cx_slot *slots, int count, cx_stamp *stamp);

/*
 * A plan is as old as this: made from definitions as they were then.  Called before planning looks at
 * any; the caller then processes invalidation messages.  The epoch is 0, which nothing accepts, where a
 * definition that is no relation's is being committed.
 */
extern void cx_clock_begin_plan(cx_stamp *stamp);

typedef enum cx_clock_verdict
{
	CX_CLOCK_VALID,
	CX_CLOCK_CHANGED,			/* something changed since: the entry is of no more use */
	CX_CLOCK_PENDING,			/* a writer is committing: run the query, don't fill */
	CX_CLOCK_OTHER_EPOCH		/* written before a crash, or by another server */
} cx_clock_verdict;

/* Hit, rule 6. */
extern cx_clock_verdict cx_clock_check(const cx_stamp *stamp, const cx_slot *slots, int count);

#endif
