/*
 * core/delivery.h
 *		Telling Redis what was committed: the background worker's part.
 */
#ifndef CX_CORE_DELIVERY_H
#define CX_CORE_DELIVERY_H

#include "postgres.h"

#include "core/entity.h"
#include "core/queue.h"

extern void cx_delivery_init(void);

/* At the start of the worker. */
extern void cx_delivery_start(void);

/*
 * Does what there is to do, for a moment: sweeps, then messages.  Returns the time after which to call
 * it again, in milliseconds, unless the latch is set before; 0: there is more.
 */
extern long cx_delivery_round(void);

/* Is there something left that might be delivered if the worker went on for a moment? */
extern bool cx_delivery_unfinished(void);

/* The worker ends: another server may have the keys in Redis. */
extern void cx_delivery_end(void);

/* For the view. */
typedef struct cx_delivery_status
{
	cx_queue_status queue;
	uint64		delivered;		/* messages that Redis has taken */
	uint64		retried;		/* messages sent again, or to be */
	uint64		dropped;		/* messages that Redis refused for good */
	int			sweeps_pending;
	uint32		generation;
	const char *worker;			/* what it does */
} cx_delivery_status;

extern void cx_delivery_read_status(cx_delivery_status *status);

#endif
