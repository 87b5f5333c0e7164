/*
 * core/removal.h
 *		Removing keys that are older than something, by the background worker.
 */
#ifndef CX_CORE_REMOVAL_H
#define CX_CORE_REMOVAL_H

#include "postgres.h"

#include "core/entity.h"

/*
 * Removes the keys that match and are older than the origin; all as in core/entity.h.  False: not
 * all of them.
 */
extern bool cx_removal_run(const char *pattern, size_t length, bool all,
						   const cx_entity_origin *origin);

/* What one call of the worker may take. */
extern cx_redis_budget cx_delivery_budget(void);

/* Why Redis can't be told, to the log, once a minute at most. */
extern void cx_delivery_log(const char *what);

#endif
