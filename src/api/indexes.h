/*
 * api/indexes.h
 *		What changes an index, and so may change what its table's readers get.
 */
#ifndef CX_API_INDEXES_H
#define CX_API_INDEXES_H

#include "postgres.h"

#include "nodes/parsenodes.h"

extern void cx_indexes_init(void);

/* An index was created, altered or is being dropped: marks D of its table. */
extern void cx_indexes_changed(Oid index);

/*
 * Runs a REINDEX or a CREATE INDEX, by the function given, and marks D of the tables whose indexes it
 * makes, also where the command commits in between.
 */
extern void cx_indexes_run(Node *command, void (*run) (const void *call), const void *call);

#endif
