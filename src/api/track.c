/*
 * api/track.c
 *		Creating and dropping the triggers of tracked tables.
 *
 * A table's triggers: cache_ext_statement on every member of its partition tree; where there are key
 * columns, cache_ext_row on the root, which PostgreSQL clones to the partitions; where a subscription
 * feeds a member, cache_ext_subscribed on the root likewise (an apply worker fires row triggers
 * only).  They depend on the extension's functions and belong to the table: pg_dump carries them.
 *
 * Invariants:
 * 1. A tree that is tracked as asked for is left alone; any other loses all its triggers and gets new
 *    ones.
 * 2. What the transaction did to the table before the triggers were there is marked here.
 * 3. Members are locked before they are looked at, the root first, as PostgreSQL locks them.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "api/track.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "core/dirty.h"
#include "query/tracked.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define STATEMENT_TRIGGER "cache_ext_statement"
#define ROW_TRIGGER "cache_ext_row"
#define SUBSCRIBED_TRIGGER "cache_ext_subscribed"

#define ROW_EVENTS (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

PG_FUNCTION_INFO_V1(cache_ext_track);
PG_FUNCTION_INFO_V1(cache_ext_untrack);
PG_FUNCTION_INFO_V1(cache_ext_track_schema);
PG_FUNCTION_INFO_V1(cache_ext_tracked);

/*
 * Single triggers
 */

void
cx_track_create_trigger(Oid relation, const char *name, int16 timing, int16 events, bool row,
						Oid function, List *arguments)
{
	CreateTrigStmt *statement = makeNode(CreateTrigStmt);

	statement->trigname = pstrdup(name);
	statement->relation = makeRangeVar(get_namespace_name(get_rel_namespace(relation)),
									   get_rel_name(relation), -1);
	statement->timing = timing;
	statement->events = events;
	statement->row = row;
	statement->args = arguments;
	CreateTriggerFiringOn(statement, NULL, relation, InvalidOid, InvalidOid, InvalidOid, function,
						  InvalidOid, NULL, false, false, TRIGGER_FIRES_ALWAYS);
	CommandCounterIncrement();
}

static void
create_statement_trigger(Oid relation)
{
	cx_track_create_trigger(relation, STATEMENT_TRIGGER, TRIGGER_TYPE_BEFORE,
							ROW_EVENTS | TRIGGER_TYPE_TRUNCATE, false,
							cx_tracked_statement_function(), NIL);
}

static bool
is_ours(const Trigger *trigger)
{
	return trigger->tgfoid == cx_tracked_statement_function() ||
		trigger->tgfoid == cx_tracked_row_function();
}

/*
 * Drops our triggers on a locked relation, or only that of a name.  Clones go with the trigger they
 * were cloned from.
 */
static void
drop_triggers(Oid relid, const char *name)
{
	Relation	relation = table_open(relid, NoLock);
	List	   *triggers = NIL;
	ListCell   *lc;

	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (is_ours(trigger) && !trigger->tgisclone &&
			(name == NULL || strcmp(trigger->tgname, name) == 0))
			triggers = lappend_oid(triggers, trigger->tgoid);
	}
	table_close(relation, NoLock);

	foreach(lc, triggers)
	{
		ObjectAddress address;

		ObjectAddressSet(address, TriggerRelationId, lfirst_oid(lc));
		performDeletion(&address, DROP_RESTRICT, 0);
		CommandCounterIncrement();
	}
}

/*
 * One partition tree, or one table
 */

static bool
can_be_tracked(Oid relation)
{
	char		kind = get_rel_relkind(relation);

	return (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
		get_rel_persistence(relation) != RELPERSISTENCE_TEMP;
}

static void
mark_changed(Oid root)
{
	cx_dirty_mark_table(root, false);
	cx_dirty_mark_definition(root);
}

static void
check_key_column(Oid relation, List *before, const char *name)
{
	AttrNumber	column = get_attnum(relation, name);
	Oid			type;
	ListCell   *lc;

	if (column == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, get_rel_name(relation))));
	if (column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("system column \"%s\" cannot be a key column", name)));
	foreach(lc, before)
	{
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("key column \"%s\" is named twice", name)));
	}
	type = getBaseType(get_atttype(relation, column));
	if (!cx_tracked_hashable(type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s cannot be a key column",
						name, format_type_be(type)),
				 errdetail("A key column needs a base type or enum with a default hash operator class."),
				 errhint("Track the table without this column: any change of the table then invalidates what reads it.")));
}

/* The names in an array as a List of String nodes, checked against the table. */
static List *
key_column_list(Oid relation, ArrayType *array)
{
	List	   *columns = NIL;
	Datum	   *names;
	bool	   *nulls;
	int			count;

	deconstruct_array(array, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &names, &nulls, &count);
	if (count > CX_MAX_KEY_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a table can have at most %d key columns", CX_MAX_KEY_COLUMNS),
				 errhint("Choose the columns that queries compare with a constant or a parameter.")));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a key column name must not be null")));
		check_key_column(relation, columns, NameStr(*DatumGetName(names[i])));
		columns = lappend(columns, makeString(pstrdup(NameStr(*DatumGetName(names[i])))));
	}
	return columns;
}

/* Is the tree tracked, with exactly these key columns? */
static bool
tracked_as_asked(Oid root, List *key_columns)
{
	const cx_tracked *tracked = cx_tracked_lookup(root);
	ListCell   *lc;
	int			i = 0;

	if (tracked == NULL || !tracked->tracked || tracked->keys_broken ||
		tracked->key_count != list_length(key_columns))
		return false;
	foreach(lc, key_columns)
	{
		if (tracked->keys[i++].column != get_attnum(root, strVal(lfirst(lc))))
			return false;
	}
	return true;
}

static void
lock_members(List *members, LOCKMODE mode)
{
	ListCell   *lc;

	foreach(lc, members)
		LockRelationOid(lfirst_oid(lc), mode);
}

/* Members are the root and its partitions, locked. */
static void
create_all(Oid root, List *members, List *key_columns)
{
	bool		subscribed = false;
	ListCell   *lc;

	foreach(lc, members)
	{
		Oid			member = lfirst_oid(lc);

		subscribed |= cx_tracked_subscribed(member);
		if (can_be_tracked(member))
			create_statement_trigger(member);
	}
	if (subscribed)
		cx_track_create_trigger(root, SUBSCRIBED_TRIGGER, TRIGGER_TYPE_BEFORE, ROW_EVENTS, true,
								cx_tracked_statement_function(), NIL);
	if (key_columns != NIL)
		cx_track_create_trigger(root, ROW_TRIGGER, TRIGGER_TYPE_AFTER, ROW_EVENTS, true,
								cx_tracked_row_function(), key_columns);
}

static void
drop_all(List *members)
{
	ListCell   *lc;

	foreach(lc, members)
		if (can_be_tracked(lfirst_oid(lc)))
			drop_triggers(lfirst_oid(lc), NULL);
}

static List *
tree_members(Oid root)
{
	/* not from the session's memory: what was attached since must be among them */
	if (get_rel_relkind(root) == RELKIND_PARTITIONED_TABLE)
		return find_all_inheritors(root, NoLock, NULL);
	return list_make1_oid(root);
}

static void
track_tree(Oid root, List *key_columns)
{
	const cx_tracked *tracked = cx_tracked_lookup(root);
	bool		replace = tracked != NULL && tracked->triggered;
	LOCKMODE	mode = replace ? AccessExclusiveLock : ShareRowExclusiveLock;
	List	   *members;

	if (tracked_as_asked(root, key_columns))
		return;

	LockRelationOid(root, mode);
	members = tree_members(root);
	lock_members(members, mode);
	if (tracked_as_asked(root, key_columns))
		return;

	/* a member that was attached with triggers of its own needs it even if the root has none */
	drop_all(members);
	create_all(root, members, key_columns);
	mark_changed(root);
}

static void
untrack_tree(Oid root)
{
	List	   *members;

	LockRelationOid(root, AccessExclusiveLock);
	members = tree_members(root);
	lock_members(members, AccessExclusiveLock);
	drop_all(members);
	mark_changed(root);
}

/*
 * Which relations a call is for
 */

void
cx_track_require_owner(Oid relation)
{
	if (get_rel_name(relation) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (!cx_owns_relation(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relation)),
					   get_rel_name(relation));
}

static void
require_table(Oid relation)
{
	char	   *name;
	char		kind;

	cx_track_require_owner(relation);
	name = get_rel_name(relation);
	kind = get_rel_relkind(relation);
	if (kind == RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("materialized view \"%s\" needs no tracking", name),
				 errdetail("Refreshing it invalidates what reads it.")));
	if (kind == RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a view", name),
				 errhint("Track the tables that the view reads.")));
	if (kind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a foreign table", name),
				 errdetail("Changes of foreign tables cannot be noticed."),
				 errhint("Cache a materialized view of it instead.")));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", name)));
	if (IsCatalogRelationOid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a system catalog", name),
				 errhint("Queries of system catalogs are not cached.")));
	if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a temporary table", name),
				 errhint("Queries of temporary tables are not cached.")));
	if (get_rel_relispartition(relation))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition", name),
				 errhint("Use \"%s\": its partitions are tracked with it.",
						 get_rel_name(cx_tracked_root(relation)))));
}

/*
 * The table and its inheritance descendants, as far as these can be tracked.  Partitions are left
 * to their root.
 */
static List *
hierarchy(Oid relation)
{
	List	   *tables = list_make1_oid(relation);
	List	   *all;
	ListCell   *lc;

	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		return tables;
	all = find_all_inheritors(relation, NoLock, NULL);
	for_each_from(lc, all, 1)
	{
		if (!can_be_tracked(lfirst_oid(lc)))
			continue;
		cx_track_require_owner(lfirst_oid(lc));
		tables = lappend_oid(tables, lfirst_oid(lc));
	}
	return tables;
}

static List *
present_key_columns(Oid relation)
{
	const cx_tracked *tracked = cx_tracked_lookup(relation);
	List	   *columns = NIL;
	AttrNumber	numbers[CX_MAX_KEY_COLUMNS];
	int			count = tracked ? tracked->key_count : 0;

	for (int i = 0; i < count; i++)
		numbers[i] = tracked->keys[i].column;
	for (int i = 0; i < count; i++)
		columns = lappend(columns, makeString(get_attname(relation, numbers[i], false)));
	return columns;
}

void
cx_track_also(Oid relation, List *columns)
{
	List	   *key_columns = present_key_columns(relation);
	ListCell   *lc;

	foreach(lc, columns)
	{
		Oid			type = get_atttype(relation, get_attnum(relation, strVal(lfirst(lc))));

		if (list_length(key_columns) < CX_MAX_KEY_COLUMNS &&
			!list_member(key_columns, lfirst(lc)) && cx_tracked_hashable(getBaseType(type)))
			key_columns = lappend(key_columns, lfirst(lc));
	}
	track_tree(relation, key_columns);
}

Datum
cache_ext_track(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	ArrayType  *key_columns = PG_GETARG_ARRAYTYPE_P(1);
	List	   *tables;
	ListCell   *lc;

	cx_shmem_require();
	require_table(relation);
	tables = hierarchy(relation);
	foreach(lc, tables)
	{
		Oid			table = lfirst_oid(lc);
		List	   *columns = key_column_list(table, key_columns);

		/* a descendant may have been given key columns of its own */
		if (columns == NIL && table != relation)
			columns = present_key_columns(table);
		track_tree(table, columns);
	}
	PG_RETURN_VOID();
}

/* The keys of an attached table's rows need its clocks, and its statement triggers for TRUNCATE. */
static void
require_detached(Oid relid)
{
	Relation	relation = table_open(relid, AccessExclusiveLock);

	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
		if (relation->trigdesc->triggers[i].tgfoid == cx_tracked_entity_function())
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table \"%s\" is attached", RelationGetRelationName(relation)),
					 errhint("Call cache_ext.detach() first.")));
	table_close(relation, NoLock);
}

Datum
cache_ext_untrack(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	List	   *tables;
	ListCell   *lc;

	cx_shmem_require();
	require_table(relation);
	tables = hierarchy(relation);
	foreach(lc, tables)
	{
		require_detached(lfirst_oid(lc));
		untrack_tree(lfirst_oid(lc));
	}
	PG_RETURN_VOID();
}

/* Tables of a schema that are no partitions, and that the user owns. */
static List *
own_tables(Oid namespace)
{
	List	   *tables = NIL;
	Relation	classes = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(namespace));
	scan = systable_beginscan(classes, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if ((form->relkind == RELKIND_RELATION || form->relkind == RELKIND_PARTITIONED_TABLE) &&
			form->relpersistence != RELPERSISTENCE_TEMP && !form->relispartition &&
			cx_owns_relation(form->oid, GetUserId()))
			tables = lappend_oid(tables, form->oid);
	}
	systable_endscan(scan);
	table_close(classes, AccessShareLock);

	/* in one order for all, so that two calls don't lock each other out */
	list_sort(tables, list_oid_cmp);
	return tables;
}

Datum
cache_ext_track_schema(PG_FUNCTION_ARGS)
{
	Name		name = PG_GETARG_NAME(0);
	Oid			namespace;
	int64		count = 0;
	List	   *tables;
	ListCell   *lc;

	cx_shmem_require();
	namespace = get_namespace_oid(NameStr(*name), false);
	if (IsCatalogNamespace(namespace) || IsToastNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("schema \"%s\" holds system catalogs", NameStr(*name)),
				 errhint("Queries of system catalogs are not cached.")));

	tables = own_tables(namespace);
	foreach(lc, tables)
	{
		Oid			relation = lfirst_oid(lc);
		const cx_tracked *tracked = cx_tracked_lookup(relation);

		if (tracked == NULL || tracked->tracked)
			continue;
		track_tree(relation, present_key_columns(relation));
		count++;
	}
	PG_RETURN_INT64(count);
}

/*
 * What the view tracked shows of one relation.
 */
Datum
cache_ext_tracked(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	const cx_tracked *tracked;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};
	Datum		names[CX_MAX_KEY_COLUMNS];
	List	   *columns;
	ListCell   *lc;
	const char *problem;
	bool		complete;
	int			count = 0;

	cx_shmem_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tracked = cx_tracked_lookup(relation);
	if (tracked == NULL)
		PG_RETURN_NULL();
	complete = tracked->tracked;
	problem = tracked->why_not;
	if (problem == NULL && tracked->keys_broken)
		problem = "a key column is not served by all its triggers: track it again";

	columns = present_key_columns(relation);
	foreach(lc, columns)
	{
		Name		column = palloc0(sizeof(NameData));

		namestrcpy(column, strVal(lfirst(lc)));
		names[count++] = NameGetDatum(column);
	}
	values[0] = PointerGetDatum(construct_array(names, count, NAMEOID, NAMEDATALEN, false,
												TYPALIGN_CHAR));
	values[1] = BoolGetDatum(complete);
	nulls[2] = problem == NULL;
	values[2] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	values[3] = Int32GetDatum(list_length(cx_tracked_members(relation)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * For DDL on partitions
 */

/* May the user create our triggers?  An owner can take these rights from himself. */
static bool
may_create_triggers(Oid relation)
{
	return pg_class_aclcheck(relation, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK &&
		cx_may_execute(cx_tracked_statement_function(), GetUserId());
}

void
cx_track_new_partition(Oid relation)
{
	Oid			root;
	const cx_tracked *tracked;
	List	   *members;
	ListCell   *lc;

	if (!get_rel_relispartition(relation))
		return;
	root = cx_tracked_root(relation);
	tracked = cx_tracked_lookup(root);
	if (tracked == NULL || !tracked->triggered || !OidIsValid(cx_tracked_statement_function()))
		return;

	/* the command that made it a partition holds the locks */
	members = tree_members(relation);
	foreach(lc, members)
	{
		Oid			member = lfirst_oid(lc);

		if (can_be_tracked(member) && may_create_triggers(member) &&
			!OidIsValid(get_trigger_oid(member, STATEMENT_TRIGGER, true)))
			create_statement_trigger(member);
	}
}

void
cx_track_make_way(Oid relation, Oid parent)
{
	static const char *const cloned[] = {ROW_TRIGGER, SUBSCRIBED_TRIGGER};

	if (!can_be_tracked(relation) || !cx_owns_relation(relation, GetUserId()) ||
		get_rel_relispartition(relation))
		return;
	for (int i = 0; i < lengthof(cloned); i++)
	{
		if (!OidIsValid(get_trigger_oid(parent, cloned[i], true)) ||
			!OidIsValid(get_trigger_oid(relation, cloned[i], true)))
			continue;
		LockRelationOid(relation, AccessExclusiveLock);
		if (get_rel_name(relation) != NULL)
			drop_triggers(relation, cloned[i]);
	}
}
