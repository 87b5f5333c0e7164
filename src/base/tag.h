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
	CX_TAG_OBJECT = 'O',		/* definition of a function, type, operator, ... */
	CX_TAG_ROLE = 'R',			/* name, rights and memberships of a role */
	CX_TAG_DATABASE = 'G'		/* definitions that nothing finer stands for */
} cx_tag_kind;

/*
 * relation is the root of a partition tree, never a partition; InvalidOid for G; for O and R the
 * object or role.  column is the root's attribute number and value_hash the hash of the value under the
 * hash function and collation of that column, or for O the OID of the object's catalog; both 0
 * otherwise.  Tags are of MyDatabaseId, R of all databases.
 *
 * InvalidOid stands for many: D(InvalidOid) for what a name inside a user's function may find or be
 * allowed to use, so whatever is created, renamed, moved, changed, dropped or granted; O(InvalidOid) for any object of that
 * catalog; R(InvalidOid) for any role.
 */
typedef struct cx_tag
{
	cx_tag_kind kind;
	Oid			relation;
	AttrNumber	column;
	uint32		value_hash;
	uint64		spread;			/* cx_tag_spread(), where it is known already; else 0 */
} cx_tag;

/* A tag, spread over 64 bits; the same in every process. */
static inline uint64
cx_tag_spread_of(const cx_tag *tag, Oid database)
{
	uint32		parts[5] = {(uint32) tag->kind, database, tag->relation, (uint32) tag->column,
							tag->value_hash};

	return hash_bytes_extended((const unsigned char *) parts, sizeof(parts), 0);
}

static inline uint64
cx_tag_spread(const cx_tag *tag)
{
	return cx_tag_spread_of(tag, tag->kind == CX_TAG_ROLE ? InvalidOid : MyDatabaseId);
}

#endif
