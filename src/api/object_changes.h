/*
 * api/object_changes.h
 *		What DDL changes besides relations.  For api/changes.c.
 */
#ifndef CX_API_OBJECT_CHANGES_H
#define CX_API_OBJECT_CHANGES_H

#include "postgres.h"

#include "access/htup.h"
#include "catalog/objectaccess.h"

/* An object of a class that belongs to no relation was created, is being altered or dropped. */
extern void cx_object_changes(ObjectAccessType access, Oid class, Oid object);

/* So was a composite type, which comes as a relation. */
extern void cx_object_changes_composite(ObjectAccessType access, Oid type, Oid namespace);

/* A copy of a catalog row by its OID, as the command that runs has left it, or NULL. */
extern HeapTuple cx_object_changes_row(Oid catalog, Oid index, Oid object);

#endif
