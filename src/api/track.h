/*
 * api/track.h
 *		Creating and dropping the triggers of tracked tables.
 */
#ifndef CX_API_TRACK_H
#define CX_API_TRACK_H

#include "postgres.h"

/*
 * A relation has become a partition: where the tree above it is tracked, gives it and what is below
 * it the statement triggers that PostgreSQL doesn't clone.  Does nothing where the user may not.
 */
extern void cx_track_new_partition(Oid relation);

/*
 * A relation is about to become a partition of parent: drops its own row trigger where that would
 * be in the way of the clone of the parent's.  The caller checked that the user owns both.
 */
extern void cx_track_make_way(Oid relation, Oid parent);

#endif
