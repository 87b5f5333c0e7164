/*
 * core/entity.h
 *		Entities in Redis: what is stored, and setting a key only to what is newer.
 *
 * An entity is a MessagePack map {column: value} whose last pair is "_version": bin, of fixed size.
 * A map with nothing else (a deleted row, a fence, an absent row remembered) means that readers have
 * to ask the table.
 */
#ifndef CX_CORE_ENTITY_H
#define CX_CORE_ENTITY_H

#include "postgres.h"

#include "access/xlogdefs.h"

#include "core/era.h"
#include "redis/redis.h"

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
										size_t value_length, int64 ttl_ms, XLogRecPtr lsn,
										cx_redis_budget *budget);

/*
 * Reads the LSN of a stored entity's version.  False for what has none, and for versions of another
 * server or another era than that of now, whose LSNs tell nothing.
 */
extern bool cx_entity_read_lsn(const char *stored, size_t length, XLogRecPtr *lsn);

/* Takes back a fill: removes the key if what it holds is no newer than lsn. */
extern void cx_entity_take_back(const char *key, size_t key_length, XLogRecPtr lsn,
								cx_redis_budget *budget);

/*
 * For core/outbox.c and core/delivery.c.  Where a version is from: of one era the later LSN is newer,
 * of one LSN the higher sequence.
 */
typedef struct cx_entity_origin
{
	cx_era		era;
	XLogRecPtr	lsn;
	uint32		sequence;
} cx_entity_origin;

/* Is it a map that a version can be added to? */
extern bool cx_entity_is_map(const char *value, size_t length);

/* What nobody reads any more after this has no chance to come too late. */
#define CX_ENTITY_TOMBSTONE_MS INT64CONST(600000)

/* The same for a key that is removed with many others: longer than not_after_ms is ever set. */
#define CX_ENTITY_REMOVED_MS INT64CONST(120000)

/*
 * The commands, palloc'd; they point to key and value.  set: after not_after_ms of Redis's clock it
 * creates nothing any more.  remove: what is older, of which a version stays for a while; with all,
 * whatever is a row, but of another era or another server as well, and no version stays: what is of
 * before may still be to be told.
 */
extern cx_redis_command *cx_entity_set(const char *key, size_t key_length, const char *value,
									   size_t value_length, int64 ttl_ms,
									   const cx_entity_origin *origin, int64 not_after_ms);
extern cx_redis_command *cx_entity_remove(const char *key, size_t key_length, bool all,
										  const cx_entity_origin *origin);
extern cx_redis_command *cx_entity_unlock(const char *key, size_t key_length, const char *token,
										  size_t token_length);

/* What set answers with. */
#define CX_ENTITY_WAS_NEWER 0
#define CX_ENTITY_WAS_SET 1
#define CX_ENTITY_WAS_LATE 2
#define CX_ENTITY_WAS_SAME 3

/* cx_redis_call_once() and cx_redis_call_kept() for batches with such commands among them: gives Redis the scripts if it lacks any. */
extern cx_redis_status cx_entity_call_kept(const cx_redis_command *commands, int count,
										   cx_redis_reply *replies, cx_redis_budget *budget);
extern cx_redis_status cx_entity_call(const cx_redis_command *commands, int count,
									  cx_redis_reply *replies, cx_redis_budget *budget);

#endif
