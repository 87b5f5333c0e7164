/*
 * api/commit_net.h
 *		At commit, what really changed: takes back marks of statements that changed nothing, and
 *		marks what no trigger saw.
 */
#ifndef CX_API_COMMIT_NET_H
#define CX_API_COMMIT_NET_H

#include "postgres.h"

#include "pgstat.h"

/* After cx_dirty_init(): callbacks registered last are called first. */
extern void cx_commit_net_init(void);

extern void cx_commit_net_distrust(void);

/* To be called when any statement or utility command starts. */
static inline void
cx_commit_net_statement_starts(void)
{
	if (unlikely(!pgstat_track_counts))
		cx_commit_net_distrust();
}

#endif
