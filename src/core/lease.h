/*
 * core/lease.h
 *		Single flight across servers: a lease in Redis on the fill of an entry.
 *
 * SET {entry name}:lease {token} NX PX {time}, taken by who leads in its own server (core/flight.h)
 * and released by compare.  Raises only interrupts, and out of memory.
 */
#ifndef CX_CORE_LEASE_H
#define CX_CORE_LEASE_H

#include "postgres.h"

#include "core/flight.h"
#include "redis/redis.h"

typedef struct cx_lease cx_lease;

/*
 * Takes the lease on the entry of that name in Redis.  It ends with cx_lease_end(), or by itself after
 * wait_ms; after flight_wait where wait_ms is 0, since who must not wait may fill nevertheless.
 *
 * LEADS: *lease is set, in the context's memory.  WAITED: another had it, and now another entry is
 * there than before, or the lease has ended, or wait_ms is up.  BUSY: another has it, and wait_ms is
 * 0 or this session leads flights in one another.  ALONE: Redis does not answer.
 */
extern cx_flight_role cx_lease_take(const char *name, int wait_ms, cx_redis_budget *budget,
									MemoryContext context, cx_lease **lease);

/*
 * Releases a lease, if it is still this session's.  Where that fails, and in an abort, which can't
 * speak to Redis, it is left to end by itself.
 */
extern void cx_lease_end(cx_lease *lease, cx_redis_budget *budget);

/*
 * The same in one round trip with storing the entry: the command to send behind it in the batch,
 * and what was replied to it.  Call cx_lease_end() nevertheless: most often nothing is left to do.
 */
extern const cx_redis_command *cx_lease_release(cx_lease *lease);
extern void cx_lease_released(cx_lease *lease, const cx_redis_reply *reply);

#endif
