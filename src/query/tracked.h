/*
 * query/tracked.h
 *		Is a relation tracked, and what does a change of it touch?
 *
 * The answer is read off relation descriptors (their triggers), kept in the session and dropped by
 * relcache invalidation.  No side catalog.
 */
#ifndef CX_QUERY_TRACKED_H
#define CX_QUERY_TRACKED_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"

#define CX_MAX_KEY_COLUMNS 8

typedef struct cx_tracked_key
{
	AttrNumber	column;			/* in the relation asked for */
	AttrNumber	root_column;	/* in its root: what tags name */
	Oid			type;			/* of the column, domains stripped */
	Oid			collation;
} cx_tracked_key;

typedef struct cx_tracked
{
	Oid			relation;
	Oid			root;			/* of its partition tree, or itself */
	char		kind;			/* relkind */

	/*
	 * Does every change of what a reader of this relation (alone, without children it doesn't name)
	 * gets pass our triggers?  For a member of a partition tree that takes all its ancestors too;
	 * a materialized view counts as tracked.  If not, why: a constant text.
	 */
	bool		tracked;
	const char *why_not;

	/* key columns by the trigger's arguments; none unless the row trigger is complete too */
	int			key_count;
	cx_tracked_key keys[CX_MAX_KEY_COLUMNS];

	/*
	 * All of the partition tree's storage (for others: its own) is heap, so that pgstat's counts
	 * tell whether a transaction changed it.
	 */
	bool		counted;

	/* inheritance children at any depth (never partitions), by OID */
	List	   *descendants;
} cx_tracked;

extern void cx_tracked_init(void);

/*
 * What is known of a relation.  Locks it (and members of its tree) with AccessShareLock for the
 * time of a first look.  NULL when there is no such relation.  The result is valid until the next
 * call or the next invalidation message: copy what has to last.
 */
extern const cx_tracked *cx_tracked_lookup(Oid relation);

/*
 * All relations whose rows a reader of this relation with its children gets: partitions or
 * inheritance descendants and itself.  In CurrentMemoryContext.
 */
extern List *cx_tracked_members(Oid relation);

/* The function OIDs of our trigger functions, InvalidOid when the extension is not installed. */
extern Oid	cx_tracked_statement_function(void);
extern Oid	cx_tracked_row_function(void);
extern Oid	cx_tracked_schema(void);

/* The hash that tags use for a value (not NULL) of a key column. */
extern uint32 cx_tracked_hash_value(const cx_tracked_key *key, Datum value);

#endif
