/*
 * core/flight.h
 *		Single flight: of those who miss the same key at once, one fills.
 *
 * Rule 11 of the protocol: who waits joins the queue before testing whether somebody fills; the end
 * of a fill clears that first, then wakes.  Waiting is for a bounded time, interruptible, without
 * any lock.  Whether a session may wait (rule 12), and only once a statement, is the caller's to say.
 */
#ifndef CX_CORE_FLIGHT_H
#define CX_CORE_FLIGHT_H

#include "postgres.h"

typedef struct cx_flight cx_flight;

typedef enum cx_flight_role
{
	CX_FLIGHT_LEADS,			/* nobody else fills: fill, then end the flight */
	CX_FLIGHT_WAITED,			/* somebody filled, gave up or took too long: look up once more */
	CX_FLIGHT_BUSY,				/* somebody fills, and this session must not wait: just run */
	CX_FLIGHT_ALONE				/* no place to agree at, or nothing to wait for: just run */
} cx_flight_role;

extern void cx_flight_init(void);

/*
 * Joins the fill of a key in this server.  Where this session leads, *flight is set and ends with
 * cx_flight_end() or when the context is reset or deleted, and in any case with the process.  Where
 * another leads, waits for it up to wait_ms; not at all with 0, where interrupts are held off, or
 * while this session leads another flight.  Raises only interrupts.
 */
extern cx_flight_role cx_flight_join(const char *key, size_t key_length, int wait_ms,
									 MemoryContext context, cx_flight **flight);

/*
 * The fill has ended, whatever came of it: wakes those who wait.  May run in any state; a second
 * time it does nothing.
 */
extern void cx_flight_end(cx_flight *flight);

/* Does this session lead more than one flight?  Then it must not wait for anybody. */
extern bool cx_flight_nested(void);

/* For people and tests: flights under way, and sessions waiting for one. */
extern void cx_flight_read_state(int *flights, int *waiting);

#endif
