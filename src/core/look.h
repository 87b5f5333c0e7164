/*
 * core/look.h
 *		Which Redis answers the worker, and whose keys it has.
 */
#ifndef CX_CORE_LOOK_H
#define CX_CORE_LOOK_H

#include "postgres.h"

#include "core/era.h"
#include "core/owner.h"

typedef struct cx_look
{
	char		run_id[CX_RUN_ID_LENGTH];
	int64		clock_ms;		/* Redis's */
	cx_owner_verdict verdict;	/* never FAILED */
	uint32		generation;		/* if TAKEN */
} cx_look;

/* One round trip.  False: no answer, or none that makes sense; the latter is logged. */
extern bool cx_look_ask(cx_look *look);

#endif
