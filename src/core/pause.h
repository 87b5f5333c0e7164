/*
 * core/pause.h
 *		Waiting between two looks at something that tells nobody when it changes.
 */
#ifndef CX_CORE_PAUSE_H
#define CX_CORE_PAUSE_H

#include "postgres.h"

/* Not for the network: redis/wait.c does that.  An interrupt ends it at once by an error. */
extern void cx_pause(int ms);

/* The same for a random time of half of that to all of it, so that those who wait don't march in step. */
extern void cx_pause_roughly(int ms);

#endif
