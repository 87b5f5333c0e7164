/*
 * core/flight.h
 *		Single flight: of those who miss the same key at once, one fills.
 *
 * Rule 11 of the protocol: who waits joins the queue before testing whether somebody fills; the end of
 * a fill clears that first, then wakes.  Waiting is at most once a statement, for a bounded time,
 * interruptible, without any lock.
 */
#ifndef CX_CORE_FLIGHT_H
#define CX_CORE_FLIGHT_H

#include "postgres.h"

#include "redis/redis.h"

typedef struct cx_flight cx_flight;

typedef enum cx_flight_role
{
	CX_FLIGHT_LEADS,			/* nobody else fills: fill, then end the flight */
	CX_FLIGHT_WAITED,			/* somebody filled, gave up or took too long: look up once more */
	CX_FLIGHT_BUSY,				/* somebody fills, and wait_ms was 0 */
	CX_FLIGHT_ALONE				/* no place to agree at, or nothing to wait for: just run */
} cx_flight_role;

extern void cx_flight_init(void);

/*
 * Joins the fill of a key in this server.  Where this session leads, *flight is set and ends with
 * cx_flight_end() or when the context is reset or deleted, and in any case with the process.  Where
 * another leads, waits for it up to wait_ms.  Raises only interrupts.
 */
extern cx_flight_role cx_flight_join(const char *key, size_t key_length, int wait_ms,
									 MemoryContext context, cx_flight **flight);

/* The fill has ended, whatever came of it: wakes those who wait.  May run in any state. */
extern void cx_flight_end(cx_flight *flight);

/*
 * The same across servers, by a lease in Redis: SET {entry name}:lease {token} NX PX wait_ms, released by
 * compare (in one round trip with storing the entry where possible).  To be taken by who leads here.
 * WAITED means that the entry appeared, or the lease ended, or time is up; BUSY and ALONE as above (ALONE
 * when Redis does not answer).  name: the entry's in Redis.
 */
typedef struct cx_lease cx_lease;

extern cx_flight_role cx_lease_take(const char *name, int wait_ms, cx_redis_budget *budget,
									MemoryContext context, cx_lease **lease);
extern void cx_lease_end(cx_lease *lease, cx_redis_budget *budget);

/* For people and tests: flights under way, and sessions waiting for one. */
extern void cx_flight_read_state(int *flights, int *waiting);

#endif
