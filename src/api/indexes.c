/*
 * api/indexes.c
 *		What changes an index, and so may change what its table's readers get.
 *
 * An index should not decide what a query returns, but two kinds do: one that is broken (a collation
 * or a function that it was built with has changed, or its pages were damaged), which REINDEX or DROP
 * INDEX corrects; and an approximate one, such as those of pgvector, which gives other rows than a
 * sequential scan.  So making, altering, rebuilding and dropping an index is a change of its table's
 * definition.
 *
 * Invariants:
 * 1. What a command marks belongs to the transaction that it commits last, if it commits in between
 *	  (CONCURRENTLY; REINDEX of several tables): only that one's end is what the client is told.
 * 2. Where such a command fails after it has committed something, no transaction is left to carry the
 *	  marks.  The clocks are raised at once then: what it has done so far is visible already.
 * 3. A command that was not allowed marks nothing.
 *
 * Indexes of TOAST tables count only for the database as a whole: nobody keeps a clock for those.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "api/indexes.h"
#include "core/clock.h"
#include "core/dirty.h"
#include "query/tracked.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

/* The tables whose indexes a command makes. */
typedef struct index_targets
{
	MemoryContext context;		/* outlives the command's transactions */
	List	   *tables;			/* OIDs */
	bool		database;		/* any of this database */
} index_targets;

static uint64 commits = 0;		/* of this session */

static void
mark_table(Oid table)
{
	Oid			root = cx_tracked_root(table);

	cx_dirty_mark_definition(table);
	if (root != table)
		cx_dirty_mark_definition(root);
}

void
cx_indexes_changed(Oid index)
{
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	/* the command that made it may not be over */
	ScanKeyInit(&key, Anum_pg_index_indexrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(index));
	scan = systable_beginscan(catalog, IndexRelidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		mark_table(((Form_pg_index) GETSTRUCT(tuple))->indrelid);
	else
		cx_dirty_mark_database();
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_table(index_targets *targets, Oid table)
{
	MemoryContext old;

	if (!OidIsValid(table))
		return;					/* PostgreSQL will say that it doesn't exist */
	if (IsCatalogRelationOid(table) || get_rel_namespace(table) == PG_TOAST_NAMESPACE)
	{
		targets->database = true;
		return;
	}
	if (get_rel_persistence(table) == RELPERSISTENCE_TEMP)
		return;
	old = MemoryContextSwitchTo(targets->context);
	targets->tables = lappend_oid(targets->tables, table);
	MemoryContextSwitchTo(old);
}

static void
add_schema(index_targets *targets, const char *name)
{
	Oid			schema = get_namespace_oid(name, true);
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	catalog = table_open(RelationRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_MATVIEW)
			add_table(targets, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_reindexed(index_targets *targets, const ReindexStmt *command)
{
	Oid			relation;

	switch (command->kind)
	{
		case REINDEX_OBJECT_INDEX:
			relation = RangeVarGetRelid(command->relation, NoLock, true);
			if (OidIsValid(relation))
				add_table(targets, IndexGetRelation(relation, true));
			break;
		case REINDEX_OBJECT_TABLE:
			add_table(targets, RangeVarGetRelid(command->relation, NoLock, true));
			break;
		case REINDEX_OBJECT_SCHEMA:
			add_schema(targets, command->name);
			break;
		default:
			targets->database = true;
			break;
	}
}

static void
mark_targets(const index_targets *targets, bool rebuilt)
{
	ListCell   *cell;

	if (targets->tables == NIL && !targets->database)
		return;

	/* the last of several transactions may have changed nothing, and its marks would not count */
	(void) GetTopTransactionId();
	if (targets->database)
		cx_dirty_mark_database();
	foreach(cell, targets->tables)
	{
		mark_table(lfirst_oid(cell));
		if (rebuilt)
			cx_attachment_sweep(lfirst_oid(cell));
	}
}

/* Invariant 2: whoever reads E after this sees what was committed. */
static void
raise_clocks(const index_targets *targets)
{
	XLogRecPtr	now = GetXLogInsertRecPtr();
	cx_tag		tag = {.kind = CX_TAG_DATABASE};
	ListCell   *cell;

	if (targets->database)
		cx_clock_raise(cx_clock_slot(&tag), now);
	tag.kind = CX_TAG_DEFINITION;
	foreach(cell, targets->tables)
	{
		tag.relation = lfirst_oid(cell);
		cx_clock_raise(cx_clock_slot(&tag), now);
	}
}

/* A reader of a partition names the root, and what is raised must not look into catalogs. */
static void
add_roots(index_targets *targets)
{
	List	   *roots = NIL;
	ListCell   *cell;

	foreach(cell, targets->tables)
		roots = list_append_unique_oid(roots, cx_tracked_root(lfirst_oid(cell)));
	foreach(cell, roots)
	{
		if (!list_member_oid(targets->tables, lfirst_oid(cell)))
			add_table(targets, lfirst_oid(cell));
	}
}

void
cx_indexes_run(Node *command, void (*run) (const void *call), const void *call)
{
	bool		rebuilt = IsA(command, ReindexStmt);
	uint64		commits_before = commits;
	index_targets targets = {0};

	if (!IsTransactionState() || (!rebuilt && !castNode(IndexStmt, command)->concurrent))
	{
		run(call);
		return;
	}

	targets.context = AllocSetContextCreate(PortalContext ? PortalContext : TopMemoryContext,
											"cache_ext indexes", ALLOCSET_SMALL_SIZES);
	if (rebuilt)
		add_reindexed(&targets, (ReindexStmt *) command);
	else
		add_table(&targets, RangeVarGetRelid(((IndexStmt *) command)->relation, NoLock, true));
	add_roots(&targets);

	PG_TRY();
	{
		run(call);
	}
	PG_CATCH();
	{
		if (commits != commits_before)
			raise_clocks(&targets);
		MemoryContextDelete(targets.context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	mark_targets(&targets, rebuilt);
	MemoryContextDelete(targets.context);
}

static void
on_transaction_event(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		commits++;
}

void
cx_indexes_init(void)
{
	RegisterXactCallback(on_transaction_event, NULL);
}
