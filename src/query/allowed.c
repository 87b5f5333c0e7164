/*
 * query/allowed.c
 *		What cache_ext.allow_function() was told, kept in the session.
 *
 * 1. The copy is of one moment: the table is read whole, under a fresh catalog snapshot, so that a
 *    statement sees what was committed before it began whatever its own snapshot is.
 * 2. It is dropped by a relcache invalidation of the table, which whoever changes the table has to
 *    send (CacheInvalidateRelcache); one that arrives while it is read voids what was read.
 *
 * Memory: allowed_context, thrown away whole.
 */
#include "postgres.h"

#include "query/analysis.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define ALLOWED_TABLE "allowed_functions"

/* columns of the table */
#define COLUMN_FUNCTION 1
#define COLUMN_READS 2

typedef struct allowed_function
{
	Oid			function;
	List	   *reads;			/* OIDs */
} allowed_function;

static MemoryContext allowed_context = NULL;
static Oid	allowed_table = InvalidOid;
static List *allowed_functions = NIL;	/* of allowed_function */
static bool allowed_valid = false;
static uint64 changes = 0;				/* invalidations seen */

static void
forget_allowed(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == allowed_table)
	{
		allowed_valid = false;
		changes++;
	}
}

static void
add_allowed(Relation table, HeapTuple tuple)
{
	allowed_function *allowed = palloc(sizeof(allowed_function));
	bool		isnull;
	Datum		reads;
	Datum	   *items;
	bool	   *nulls;
	int			count;

	allowed->function = DatumGetObjectId(heap_getattr(tuple, COLUMN_FUNCTION,
													  RelationGetDescr(table), &isnull));
	allowed->reads = NIL;
	reads = heap_getattr(tuple, COLUMN_READS, RelationGetDescr(table), &isnull);
	deconstruct_array(DatumGetArrayTypeP(reads), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT,
					  &items, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			allowed->reads = lappend_oid(allowed->reads, DatumGetObjectId(items[i]));
	}
	allowed_functions = lappend(allowed_functions, allowed);
}

static void
read_allowed(void)
{
	uint64		changes_before;
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;

	MemoryContextReset(allowed_context);
	allowed_functions = NIL;

	table = try_relation_open(allowed_table, AccessShareLock);
	if (table == NULL)
		return;
	changes_before = changes;

	/* not a catalog: the snapshot is taken anew */
	scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	old = MemoryContextSwitchTo(allowed_context);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		add_allowed(table, tuple);
	MemoryContextSwitchTo(old);
	systable_endscan(scan);

	relation_close(table, AccessShareLock);
	allowed_valid = changes == changes_before;
}

void
cx_allowed_init(void)
{
	CacheRegisterRelcacheCallback(forget_allowed, (Datum) 0);
}

bool
cx_allowed_find(Oid function, List **reads, Oid *allowed_by)
{
	Oid			schema = cx_tracked_schema();
	Oid			table = OidIsValid(schema) ? get_relname_relid(ALLOWED_TABLE, schema) : InvalidOid;
	ListCell   *cell;

	if (allowed_context == NULL)
		allowed_context = AllocSetContextCreate(CacheMemoryContext, "cache_ext allowed functions",
												ALLOCSET_SMALL_SIZES);
	if (table != allowed_table)
	{
		allowed_table = table;
		allowed_valid = false;
	}
	if (!OidIsValid(allowed_table))
		return false;
	if (!allowed_valid)
		read_allowed();

	foreach(cell, allowed_functions)
	{
		allowed_function *allowed = (allowed_function *) lfirst(cell);

		if (allowed->function == function)
		{
			*reads = list_copy(allowed->reads);
			*allowed_by = allowed_table;
			return true;
		}
	}
	return false;
}
