/*
 * core/redis_tier.h
 *		Entries in Redis, by the hash of their key.
 */
#ifndef CX_CORE_REDIS_TIER_H
#define CX_CORE_REDIS_TIER_H

#include "postgres.h"

#include "core/entry.h"
#include "core/lease.h"
#include "redis/redis.h"

typedef enum cx_tier_status
{
	CX_TIER_FOUND,
	CX_TIER_ABSENT,				/* nothing there, or what was there is no entry of this key */
	CX_TIER_UNAVAILABLE			/* no Redis, or not now */
} cx_tier_status;

extern void cx_redis_tier_init(void);

/*
 * The Redis key of an entry: {key_prefix}:{system id}:{db oid}:q:{SHA-256 of the key material}.
 * palloc'd.
 */
extern char *cx_redis_tier_name(const char *key, size_t key_length);

/* Could a get be tried right now? */
extern bool cx_redis_tier_available(void);

/*
 * Fetches and checks everything about an entry but its clocks and its body.  The entry points into
 * memory palloc'd in CurrentMemoryContext.  Bad bytes are counted, logged once a minute at most,
 * and absent.
 */
extern cx_tier_status cx_redis_tier_get(const char *name, const char *key, size_t key_length,
										cx_redis_budget *budget, cx_entry *entry);

/* The clocks of such an entry's tags, palloc'd in CurrentMemoryContext. */
extern cx_clocks cx_redis_tier_clocks(const cx_entry *entry);

/* Says that an entry's body was bad after all: counts and logs as get does. */
extern void cx_redis_tier_report_bad(const char *name, const char *reason);

/*
 * Stores an encoded entry; false if Redis did not take it.  In the same round trip the lease is released,
 * if there is one.
 */
extern bool cx_redis_tier_put(const char *name, const char *data, size_t length, int64 ttl_ms,
							  cx_lease *lease, cx_redis_budget *budget);

/* Removes an entry.  CX_TIER_FOUND if there was one. */
extern cx_tier_status cx_redis_tier_delete(const char *name, cx_redis_budget *budget);

#endif
