/*
 * core/handover.h
 *		The clocks' way over a clean restart: a file in the data directory.
 */
#ifndef CX_CORE_HANDOVER_H
#define CX_CORE_HANDOVER_H

#include "postgres.h"

#include "access/xlogdefs.h"

typedef struct cx_handover
{
	uint64		epoch;			/* of the server that shut down */
	XLogRecPtr	end;			/* its shutdown checkpoint; set by reading */
	uint32		count;			/* of changed_at */
	uint64	   *changed_at;		/* by reading: palloc'd */
} cx_handover;

/*
 * At the end of the postmaster.  Writes nothing unless the server was shut down cleanly; a failure
 * is logged and means a cold start.
 */
extern void cx_handover_write(const cx_handover *handover);

/*
 * At the start.  True if a file of that many clocks is there and everything about this start shows
 * that nothing happened since it was written.  Removes the file in any case.
 */
extern bool cx_handover_read(uint32 count, cx_handover *handover);

#endif
