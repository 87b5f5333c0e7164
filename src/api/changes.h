/*
 * api/changes.h
 *		What DDL changes: from an object of a catalog to the marks that its change needs.
 *
 * To be called in a transaction, before the command that makes the change is over.
 */
#ifndef CX_API_CHANGES_H
#define CX_API_CHANGES_H

#include "postgres.h"

#include "catalog/objectaccess.h"

/* What object_access_hook is told of: created, altered, dropped, truncated. */
extern void cx_changes_object(ObjectAccessType access, Oid class, Oid object, int column,
							  void *arg);

/* How the relation is read changes. */
extern void cx_changes_mark_relation(Oid relation);

/* After a command: tracks what it made a partition of a tracked table. */
extern void cx_changes_track_partitions(void);

/* At the end of a transaction. */
extern void cx_changes_forget(void);

#endif
