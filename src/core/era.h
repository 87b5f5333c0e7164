/*
 * core/era.h
 *		Which versions of entities are of now: timeline, generation, and the Redis that holds them.
 *
 * Versions of one era are ordered by LSN.  A crash may lose commits that Redis was told of, so each
 * start but after a clean shutdown begins a new era, as does a promotion.
 */
#ifndef CX_CORE_ERA_H
#define CX_CORE_ERA_H

#include "postgres.h"

extern void cx_era_init(void);

typedef struct cx_era
{
	uint32		timeline;
	uint32		generation;
} cx_era;

/* Entities are in use: from now on the worker looks after Redis.  Neither waits nor fails. */
extern void cx_era_use(void);
extern bool cx_era_in_use(void);

/*
 * The era that versions carry.  False as long as it is not on disk, or Redis may hold what is of an
 * older one or of before its own restart: then nobody stores anything.
 */
extern bool cx_era_get(cx_era *era);

/* Redis's own clock in ms, as far as known here; 0: not known. */
extern int64 cx_era_redis_clock(void);

/*
 * The worker.  begin: decides about the era where this start or the end of recovery has left that
 * open, and has it on disk; false: not yet.
 */
extern bool cx_era_begin(void);

/* The same, before what older eras left has been removed. */
extern cx_era cx_era_begun(void);

/*
 * Another server owned the keys in Redis, or may have: distrust them all; or begin a new generation
 * besides, false if it can't be brought to disk.
 */
extern void cx_era_distrust(void);
extern bool cx_era_renew(uint32 generation);

#define CX_RUN_ID_LENGTH 40

/*
 * Which Redis answers, and what its clock says.  False: it may hold what must be removed before
 * anything is delivered; call removed when that is done.
 */
extern bool cx_era_redis(const char *run_id, int64 clock_ms);
extern void cx_era_removed(const char *run_id);

/* Is all that was published delivered, asked when the server ends? */
extern void cx_era_set_empty_check(bool (*empty) (void));

#endif
