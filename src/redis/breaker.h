/*
 * redis/breaker.h
 *		Not asking a Redis that doesn't answer: one state for all backends.
 */
#ifndef CX_REDIS_BREAKER_H
#define CX_REDIS_BREAKER_H

#include "postgres.h"

extern void cx_breaker_init(void);

/* Would cx_breaker_enter() let a call through right now? */
extern bool cx_breaker_passable(void);

/*
 * May a call be tried?  If true, exactly one of the three below must follow; a process that ends
 * without is forgiven after longest_us and a little.
 */
extern bool cx_breaker_enter(int64 longest_us);

/* Does the call that was let through decide for all whether Redis answers again? */
extern bool cx_breaker_probing(void);


extern void cx_breaker_succeeded(void);

/*
 * Redis did not do what it should.  certain: no other session could have fared better; otherwise
 * (a timeout, a lost connection) it takes several in a row to open the breaker.  problem goes to
 * the log, once a minute at most, and holds no secrets.
 */
extern void cx_breaker_failed(bool certain, const char *problem);

/* The call ended without telling anything about Redis. */
extern void cx_breaker_abandoned(void);

/* Settings were reloaded: what was learnt about Redis may be out of date. */
extern void cx_breaker_reset(void);

/* Logs a problem, once a minute at most over all processes. */
extern void cx_breaker_log(const char *problem);

#endif
