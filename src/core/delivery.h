/*
 * core/delivery.h
 *		Entities in Redis: what is stored, and setting a key only to what is newer.
 *
 * An entity is a MessagePack map {column: value} whose last pair is "_version": bin, of fixed size.
 * A map with nothing else (a deleted row, a fence, an absent row remembered) means that readers have
 * to ask the table.
 */
#ifndef CX_CORE_DELIVERY_H
#define CX_CORE_DELIVERY_H

#include "postgres.h"

#include "access/xlogdefs.h"

extern void cx_delivery_init(void);

/* The last pair of the map: fixstr "_version", bin 8 header, and the version's bytes. */
#define CX_ENTITY_VERSION_SIZE 28
#define CX_ENTITY_SUFFIX_SIZE (9 + 2 + CX_ENTITY_VERSION_SIZE)

typedef enum cx_entity_verdict
{
	CX_ENTITY_STORED,			/* it was the newest */
	CX_ENTITY_OLDER,			/* Redis has what is as new or newer */
	CX_ENTITY_FAILED			/* not tried, not reached, or answered with an error */
} cx_entity_verdict;

/*
 * A fill by a reader: stores the row that was read under rule 4 with insert position lsn, unless the
 * key holds something newer.  value: a map without version; NULL: there is no such row.  ttl_ms 0:
 * none.  The caller tests before and after that the table's clock has not moved past lsn, and takes
 * back what it stored if it has.  Only an interrupt raises an error.
 */
extern cx_entity_verdict cx_entity_fill(const char *key, size_t key_length, const char *value,
										size_t value_length, int64 ttl_ms, XLogRecPtr lsn);

/* Takes back a fill: removes the key if what it holds is no newer than lsn. */
extern void cx_entity_take_back(const char *key, size_t key_length, XLogRecPtr lsn);

#endif
