/*
 * query/relation_facts.h
 *		What the catalogs say of one relation by itself, for query/tracked.c.
 */
#ifndef CX_QUERY_RELATION_FACTS_H
#define CX_QUERY_RELATION_FACTS_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"

#include "query/tracked.h"

/* Compared with memcmp: every byte is set. */
typedef struct relation_facts
{
	char		kind;			/* 0: there is no such relation */
	char		persistence;
	bool		partition;
	bool		may_have_children;
	bool		inherits;		/* has parents that are not partitioned tables; known if triggered */
	bool		catalog;
	bool		heap;			/* rows in a heap of its own */
	bool		triggered;		/* at least one of our triggers, in whatever state */
	bool		statement_complete;
	bool		subscribed_complete;
	bool		subscribed;		/* a subscription feeds it; known if triggered */
	bool		keys_broken;	/* a row trigger is not complete, or names what is no key column */

	/* columns named by a complete row trigger, as far as they exist and can be hashed */
	int			key_count;
	AttrNumber	key_columns[CX_MAX_KEY_COLUMNS];
	Oid			key_types[CX_MAX_KEY_COLUMNS];	/* domains stripped */
	Oid			key_collations[CX_MAX_KEY_COLUMNS];
	NameData	key_names[CX_MAX_KEY_COLUMNS];
} relation_facts;

/*
 * Takes no lock: a descriptor is copied in one go, without a call that could let it be rebuilt.  A
 * lock that is released right away would prove no more, but could wait behind somebody's ALTER TABLE
 * on a partition that the caller has nothing to do with.
 */
extern void cx_relation_facts_read(Oid relation, relation_facts *facts);

/*
 * The relation's own reason for not being tracked, whatever its relatives are; NULL for none.
 * subscribed: a subscription feeds it or a partitioned table above it.
 */
extern const char *cx_relation_facts_problem(const relation_facts *facts, bool subscribed);

/* Leaves in facts only the keys that other has too. */
extern void cx_relation_facts_common_keys(relation_facts *facts, const relation_facts *other);

/* Moves when our trigger functions become others: all facts are void then. */
extern uint64 cx_relation_facts_generation(void);

/* pg_inherits: of a partition its parent; of other relations all parents; children of any kind. */
extern Oid	cx_relation_partition_parent(Oid relation);
extern List *cx_relation_parents(Oid relation);
extern List *cx_relation_children(Oid relation);

extern void cx_relation_facts_init(void);

#endif
