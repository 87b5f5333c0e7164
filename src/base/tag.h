/*
 * base/tag.h
 *		What an entry depends on and what a change touches: the word both sides share.
 *
 * A reader's statement is understood in query/, a writer's change is collected in core/; both name
 * what they mean with a tag and meet in the clock slot that the tag hashes to.
 */
#ifndef CX_BASE_TAG_H
#define CX_BASE_TAG_H

#include "postgres.h"

#include "access/attnum.h"
#include "common/hashfn.h"
#include "miscadmin.h"

typedef enum cx_tag_kind
{
	CX_TAG_TABLE = 'T',			/* any row of the table */
	CX_TAG_KEY = 'K',			/* rows whose column has a value */
	CX_TAG_DEFINITION = 'D',	/* definition, TRUNCATE, bulk change of the relation */
	CX_TAG_DATABASE = 'G'		/* definitions that are no relation's */
} cx_tag_kind;

/*
 * relation is the root of a partition tree, never a partition; InvalidOid for G.  D(InvalidOid)
 * stands for "a permanent relation was created, renamed, moved or dropped": a name inside a user's
 * function may mean another now.  column is the root's attribute number and value_hash the hash of
 * the value under the hash function and collation of that column; both 0 unless the kind is K.  Tags
 * are of MyDatabaseId.
 */
typedef struct cx_tag
{
	cx_tag_kind kind;
	Oid			relation;
	AttrNumber	column;
	uint32		value_hash;
	uint64		spread;			/* cx_tag_spread(), where it is known already; else 0 */
} cx_tag;

/* A tag of this database, spread over 64 bits; the same in every process. */
static inline uint64
cx_tag_spread(const cx_tag *tag)
{
	uint32		parts[5] = {(uint32) tag->kind, MyDatabaseId, tag->relation, (uint32) tag->column,
							tag->value_hash};

	return hash_bytes_extended((const unsigned char *) parts, sizeof(parts), 0);
}

#endif
