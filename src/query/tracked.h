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

	/* At least one of our triggers is on it, in whatever state. */
	bool		triggered;

	/*
	 * Key columns by the trigger's arguments: those that every partition of the relation has a
	 * complete row trigger for.  keys_broken: a row trigger is there that fell short of that.
	 */
	int			key_count;
	cx_tracked_key keys[CX_MAX_KEY_COLUMNS];
	bool		keys_broken;

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
 * What is known of a relation.  Takes no lock.  NULL when there is no such relation.  The result
 * is valid until the next call: copy what has to last.
 */
extern const cx_tracked *cx_tracked_lookup(Oid relation);

/*
 * All relations whose rows a reader of this relation with its children gets: partitions or
 * inheritance descendants and itself.  In CurrentMemoryContext.
 */
extern List *cx_tracked_members(Oid relation);

/*
 * The partitioned tables above a relation, from the nearest to the root, or the tables it inherits
 * from at any depth: whether it is tracked depends on their triggers too.
 */
extern List *cx_tracked_ancestors(Oid relation);

/* The root of a relation's partition tree, or itself: from the catalogs, nothing kept. */
extern Oid	cx_tracked_root(Oid relation);

/* Does a subscription feed the relation? */
extern bool cx_tracked_subscribed(Oid relation);

/* May a column of this type (domains stripped) be a key column? */
extern bool cx_tracked_hashable(Oid type);

/*
 * The OIDs of our trigger functions, which are members of the extension, whatever else has their
 * names.  InvalidOid when it is not installed.
 */
extern Oid	cx_tracked_statement_function(void);
extern Oid	cx_tracked_row_function(void);
extern Oid	cx_tracked_entity_function(void);

/* The hash that tags use for a value (not NULL) of a key column. */
extern uint32 cx_tracked_hash_value(const cx_tracked_key *key, Datum value);

#endif
