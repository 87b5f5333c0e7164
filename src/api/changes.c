/*
 * api/changes.c
 *		What DDL changes: from an object of a catalog to the marks that its change needs.
 *
 * Relations and their parts are here, all else is in api/object_changes.c.
 *
 * Invariants:
 * 1. What changes how one relation is read marks D of it, and of the root of its partition tree: a
 *    reader of a partition names the root.
 * 2. A relation that is new, dropped, or called something else marks D of no relation (base/tag.h):
 *	  another may answer to a name.  Its row type and toast table mark nothing.  An index is a part of
 *	  its table (api/indexes.c).  Temporary relations don't count.
 * 3. Objects are read with SnapshotSelf: the hooks are called before the command is over.
 * 4. What changes how a relation is read may change what its rows are as entities, or what they are
 *	  called: all keys of its attachments go.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "api/changes.h"
#include "api/indexes.h"
#include "api/object_changes.h"
#include "api/track.h"
#include "core/dirty.h"
#include "query/relation_facts.h"
#include "query/tracked.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_parameter_acl.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_tablespace.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Relations that became partitions in this transaction and were not looked at yet. */
static List *new_partitions = NIL;

void
cx_changes_mark_relation(Oid relation)
{
	Oid			root = cx_tracked_root(relation);

	cx_dirty_mark_definition(relation);
	if (root != relation)
		cx_dirty_mark_definition(root);
	cx_attachment_sweep(relation);
}

/*
 * Whoever reads a table reads its children, and finds out which these are each time: when they become
 * fewer or more, that is a change of the parent.
 */
static void
mark_parents(Oid relation)
{
	List	   *parents = cx_relation_parents(relation);
	ListCell   *lc;

	foreach(lc, parents)
		cx_changes_mark_relation(lfirst_oid(lc));
	list_free(parents);
}

/*
 * Has the relation become another that names can mean?  One that is created, or that a command gives
 * another name or schema, may shadow what a name meant before; one that is dropped or goes away may
 * uncover another.  The catalog cache still has the row that the command found.
 */
static bool
changes_names(ObjectAccessType access, Form_pg_class form, int column, void *arg)
{
	HeapTuple	before;
	Form_pg_class old;
	bool		renamed;

	if (column != 0)
		return false;
	if (access == OAT_DROP)
	{
		/* a rewrite's table, an index that is made again; but also an identity column's sequence */
		return form->relkind == RELKIND_SEQUENCE ||
			(((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) == 0;
	}
	if (access == OAT_POST_CREATE)
		return !((ObjectAccessPostCreate *) arg)->is_internal;
	if (access != OAT_POST_ALTER)
		return false;

	before = SearchSysCache1(RELOID, ObjectIdGetDatum(form->oid));
	if (!HeapTupleIsValid(before))
		return true;
	old = (Form_pg_class) GETSTRUCT(before);
	renamed = old->relnamespace != form->relnamespace ||
		strcmp(NameStr(old->relname), NameStr(form->relname)) != 0;
	ReleaseSysCache(before);
	return renamed;
}

static void
relation_changed(ObjectAccessType access, Oid relation, int column, void *arg)
{
	HeapTuple	tuple = cx_object_changes_row(RelationRelationId, ClassOidIndexId, relation);
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
	{
		cx_dirty_mark_definition(relation);
		cx_dirty_mark_database();
		return;
	}
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relnamespace == PG_TOAST_NAMESPACE ||
		form->relpersistence == RELPERSISTENCE_TEMP)
	{
		heap_freetuple(tuple);
		return;
	}
	if (changes_names(access, form, column, arg))
		cx_dirty_mark_definition(InvalidOid);
	switch (form->relkind)
	{
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			cx_indexes_changed(relation);
			break;
		case RELKIND_COMPOSITE_TYPE:
			cx_object_changes_composite(access, form->reltype, form->relnamespace);
			break;
		default:
			if (access != OAT_POST_CREATE || column != 0)
				cx_changes_mark_relation(relation);
			if (access == OAT_DROP && column == 0)
				mark_parents(relation);
			break;
	}
	heap_freetuple(tuple);
}

/*
 * Parts of relations
 */

/* An object that belongs to a relation: a policy, a rule, a trigger, a constraint. */
static void
part_changed(Oid catalog, Oid object)
{
	HeapTuple	tuple = NULL;
	Oid			relation = InvalidOid;
	Oid			type = InvalidOid;

	switch (catalog)
	{
		case PolicyRelationId:
			tuple = cx_object_changes_row(catalog, PolicyOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
			break;
		case RewriteRelationId:
			tuple = cx_object_changes_row(catalog, RewriteOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
			break;
		case TriggerRelationId:
			tuple = cx_object_changes_row(catalog, TriggerOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
			break;
		case ConstraintRelationId:
			tuple = cx_object_changes_row(catalog, ConstraintOidIndexId, object);
			if (HeapTupleIsValid(tuple))
			{
				relation = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
				type = ((Form_pg_constraint) GETSTRUCT(tuple))->contypid;
			}
			break;
	}
	if (HeapTupleIsValid(tuple))
		heap_freetuple(tuple);

	if (OidIsValid(relation))
		relation_changed(OAT_POST_ALTER, relation, 0, NULL);
	else if (OidIsValid(type))
		cx_object_changes(OAT_POST_ALTER, TypeRelationId, type);
	else
		cx_dirty_mark_database();	/* not to be found */
}

/* pg_inherits: child was attached to parent, or detached from it. */
static void
inheritance_changed(Oid child, Oid parent)
{
	MemoryContext old;

	relation_changed(OAT_POST_ALTER, child, 0, NULL);
	if (!OidIsValid(parent))
	{
		cx_dirty_mark_database();
		return;
	}
	relation_changed(OAT_POST_ALTER, parent, 0, NULL);

	old = MemoryContextSwitchTo(TopTransactionContext);
	new_partitions = list_append_unique_oid(new_partitions, child);
	MemoryContextSwitchTo(old);
}

void
cx_changes_object(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	switch (class)
	{
		case RelationRelationId:
			relation_changed(access, object, column, arg);
			break;
		case InheritsRelationId:
			inheritance_changed(object, access == OAT_POST_ALTER && arg != NULL ?
								((ObjectAccessPostAlter *) arg)->auxiliary_id : InvalidOid);
			break;
		case PolicyRelationId:
		case RewriteRelationId:
		case TriggerRelationId:
		case ConstraintRelationId:
			part_changed(class, object);
			break;
			/* these can't change a result that may be cached */
		case AttrDefaultRelationId:
		case DbRoleSettingRelationId:
		case DefaultAclRelationId:
		case EventTriggerRelationId:
		case ForeignDataWrapperRelationId:
		case ForeignServerRelationId:
		case ForeignTableRelationId:
		case IndexRelationId:
		case LargeObjectRelationId:
		case ParameterAclRelationId:
		case PublicationNamespaceRelationId:
		case PublicationRelationId:
		case PublicationRelRelationId:
		case StatisticExtRelationId:
		case SubscriptionRelationId:
		case TableSpaceRelationId:
		case UserMappingRelationId:
			break;
		default:
			cx_object_changes(access, class, object);
			break;
	}
}

void
cx_changes_track_partitions(void)
{
	if (new_partitions == NIL)
		return;
	CommandCounterIncrement();
	while (new_partitions != NIL)
	{
		Oid			relation = linitial_oid(new_partitions);

		new_partitions = list_delete_first(new_partitions);
		cx_track_new_partition(relation);
	}
}

void
cx_changes_forget(void)
{
	new_partitions = NIL;		/* its memory goes with the transaction */
}
