/*
 * core/sweeps.h
 *		Sweeps that are wanted: removing all keys of a target that are older than a commit.
 *
 * For TRUNCATE, bulk changes, a full ring and two-phase commit.  A sweep is expected before the
 * commit record exists, raised when the commit is visible, and let go in any case.
 */
#ifndef CX_CORE_SWEEPS_H
#define CX_CORE_SWEEPS_H

#include "postgres.h"

#include "access/xlogdefs.h"

extern void cx_sweeps_init(void);

/* A set of sweeps.  More targets than there are bits become a sweep of everything, the last bit. */
typedef uint64 cx_sweep_set;

#define CX_SWEEPS 64
#define CX_SWEEP_EVERYTHING ((cx_sweep_set) 1 << (CX_SWEEPS - 1))

/* Adds the target's sweep to the set.  Short wait for a lock; at most once a set and target. */
extern void cx_sweeps_expect(cx_sweep_set *set, const char *pattern, size_t length);
extern void cx_sweeps_expect_everything(cx_sweep_set *set);

/* Everything older than the commit is to be removed.  Neither waits nor fails, as the next. */
extern void cx_sweeps_raise(cx_sweep_set set, XLogRecPtr commit);

/* Exactly once for what was expected. */
extern void cx_sweeps_let_go(cx_sweep_set set);

/* The name of a target in messages. */
extern uint64 cx_target_hash(const char *pattern, size_t length);

/*
 * The worker.  next: the first sweep after *index (-1 at first) that is wanted and not done; pattern has room for CX_OUTBOX_MAX_KEY
 * bytes, and *length 0 stands for everything.
 */
extern bool cx_sweeps_next(int *index, char *pattern, size_t *length, XLogRecPtr *before);
extern void cx_sweeps_done(int index, XLogRecPtr before);

/* How often any was raised: when this has changed there may be a next. */
extern uint64 cx_sweeps_raised(void);

/* Is what the commit has for this target older than a sweep that is wanted or was done? */
extern bool cx_sweeps_cover(uint64 target, XLogRecPtr commit);

/* How many are wanted and not done. */
extern int	cx_sweeps_wanted(void);

#endif
