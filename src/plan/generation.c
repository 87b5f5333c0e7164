/*
 * plan/generation.c
 *		Has a plan become older than what it was made from?
 *
 * A session in an open transaction holds its locks and reads no invalidation messages when it
 * starts a statement, so its plan may be older than a DDL command that committed long ago.  Running
 * it is PostgreSQL's business; filling the cache with its rows for others is not allowed.
 *
 * Each invalidation message gets a number, and the last number of each object is kept.  A plan
 * notes the number when its planning begins.
 *
 * Invariant: an object that is not in the table had no message after number all_moved_at.
 *
 * Memory: a table in TopMemoryContext, emptied (raising all_moved_at) when it grows past MAX_OBJECTS.
 * Callbacks run in the middle of anything and must not touch catalogs; they may run out of memory
 * only by raising an error, like PostgreSQL's own.
 */
#include "postgres.h"

#include "plan/generation.h"

#include "common/hashfn.h"
#include "nodes/plannodes.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define MAX_OBJECTS 8192
#define RELATIONS (-1)			/* as a cache id: the relation cache */

typedef struct object_name
{
	int32		cache;			/* syscache id, or RELATIONS */
	uint32		value;			/* syscache hash value, or relation OID */
} object_name;

typedef struct object_moved
{
	object_name name;
	uint64		at;
	char		status;
} object_moved;

#define SH_PREFIX objects
#define SH_ELEMENT_TYPE object_moved
#define SH_KEY_TYPE object_name
#define SH_KEY name
#define SH_HASH_KEY(tb, key) hash_combine(murmurhash32((uint32) (key).cache), murmurhash32((key).value))
#define SH_EQUAL(tb, a, b) ((a).cache == (b).cache && (a).value == (b).value)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static objects_hash *objects = NULL;
static uint64 now = 1;			/* the next message's number */
static uint64 all_moved_at = 0;
static uint64 names = 1;
static uint64 names_moved_at = 0;

static void
note_moved(int32 cache, uint32 value)
{
	object_name name = {cache, value};
	bool		found;

	/* value 0 means all of them, and a full table is as good as all of them */
	if (value == 0 || objects->members >= MAX_OBJECTS)
	{
		objects_reset(objects);
		all_moved_at = now++;
	}
	else
		objects_insert(objects, name, &found)->at = now++;
}

static void
on_relcache_inval(Datum arg, Oid relation)
{
	note_moved(RELATIONS, relation);
}

static void
on_object_inval(Datum arg, int cache, uint32 value)
{
	note_moved(cache, value);
}

/* Every plan may use it, and no plan says so. */
static void
on_operator_inval(Datum arg, int cache, uint32 value)
{
	note_moved(cache, 0);
}

static void
on_names_inval(Datum arg, int cache, uint32 value)
{
	names++;
	names_moved_at = now++;
}

void
cx_generation_init(void)
{
	/* what a PlanInvalItem can name */
	static const int object_caches[] = {PROCOID, TYPEOID};

	/*
	 * A new object may shadow the one that a name stood for, a schema may have become readable or
	 * not, and a role's memberships decide which policies were put into a query.
	 */
	static const int name_caches[] = {
		RELNAMENSP, PROCNAMEARGSNSP, OPERNAMENSP, TYPENAMENSP, NAMESPACENAME, COLLNAMEENCNSP,
		CASTSOURCETARGET, AUTHMEMMEMROLE, AUTHOID
	};

	/* what an operator means to an index, a join or a comparison of rows */
	static const int operator_caches[] = {OPEROID, AMOPOPID, AMPROCNUM, CLAOID};

	objects = objects_create(TopMemoryContext, 256, NULL);
	CacheRegisterRelcacheCallback(on_relcache_inval, (Datum) 0);
	for (int i = 0; i < lengthof(object_caches); i++)
		CacheRegisterSyscacheCallback(object_caches[i], on_object_inval, (Datum) 0);
	for (int i = 0; i < lengthof(operator_caches); i++)
		CacheRegisterSyscacheCallback(operator_caches[i], on_operator_inval, (Datum) 0);
	for (int i = 0; i < lengthof(name_caches); i++)
		CacheRegisterSyscacheCallback(name_caches[i], on_names_inval, (Datum) 0);
}

uint64
cx_generation_now(void)
{
	return now;
}

uint64
cx_generation_names(void)
{
	return names;
}

bool
cx_generation_names_moved(uint64 since)
{
	return names_moved_at >= since;
}

static bool
object_moved_since(uint64 since, int32 cache, uint32 value)
{
	object_name name = {cache, value};
	object_moved *moved = objects_lookup(objects, name);

	return moved != NULL && moved->at >= since;
}

bool
cx_generation_moved(uint64 since, const List *relations, const List *functions,
					const List *inval_items)
{
	ListCell   *cell;

	if (now == since)
		return false;			/* no message at all: the usual case */
	if (all_moved_at >= since)
		return true;

	foreach(cell, relations)
		if (object_moved_since(since, RELATIONS, lfirst_oid(cell)))
			return true;
	foreach(cell, functions)
		if (object_moved_since(since, PROCOID,
							   GetSysCacheHashValue1(PROCOID,
													 ObjectIdGetDatum(lfirst_oid(cell)))))
			return true;
	foreach(cell, inval_items)
	{
		const PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);

		if (object_moved_since(since, item->cacheId, item->hashValue))
			return true;
	}
	return false;
}
