/*
 * api/track.h
 *		Creating and dropping the triggers of tracked tables.
 */
#ifndef CX_API_TRACK_H
#define CX_API_TRACK_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Raises an error unless the relation exists and belongs to the user. */
extern void cx_track_require_owner(Oid relation);

/*
 * Tracks a table that the caller checked, or a partition tree by its root, with these columns (String
 * nodes) as key columns besides those it has; without those of them that can't be any.
 */
extern void cx_track_also(Oid relation, List *columns);

/* A trigger that fires always, on a relation that is locked. */
extern void cx_track_create_trigger(Oid relation, const char *name, int16 timing, int16 events,
									bool row, Oid function, List *arguments);

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
