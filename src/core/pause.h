/*
 * core/pause.h
 *		Waiting between two looks at something that tells nobody when it changes.
 */
#ifndef CX_CORE_PAUSE_H
#define CX_CORE_PAUSE_H

#include "postgres.h"

/* Not for the network: redis/wait.c does that.  An interrupt ends it at once by an error. */
extern void cx_pause(int ms);

/* The same for a random part of that, at least half: those who wait should not march in step. */
extern void cx_pause_roughly(int ms);

#endif
