/*
 * core/fence.h
 *		Keys that nobody reads until their transaction's commit is told to Redis, or for a while (17).
 */
#ifndef CX_CORE_FENCE_H
#define CX_CORE_FENCE_H

#include "postgres.h"

#include "core/entity.h"

#define CX_FENCE_BATCH 256

typedef struct cx_fence
{
	cx_entity_origin origin;
	cx_redis_budget budget;
	MemoryContext context;		/* of the batch */
	int			count;
	cx_redis_command commands[CX_FENCE_BATCH];
} cx_fence;

/*
 * To be called in PRE_COMMIT with writers raised.  Raises an error unless all keys are fenced: Redis
 * was not reached in time, or did not do it.  The caller need not clean up after one.
 */
extern void cx_fence_start(cx_fence *fence);
extern void cx_fence_key(cx_fence *fence, const char *key, size_t length);
extern void cx_fence_pattern(cx_fence *fence, const char *pattern, size_t length);
extern void cx_fence_finish(cx_fence *fence);

#endif
