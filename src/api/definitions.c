/*
 * api/definitions.c
 *		What DDL changes: marks D, G and the global clock; keeps partition trees tracked.
 *
 * Owns object_access_hook, ProcessUtility_hook and ExecutorStart_hook.
 *
 * Invariants:
 * 1. What changes how one relation is read marks D of it, and of the root of its partition tree: a
 *    reader of a partition names the root.
 * 2. What could change the result of any query marks G; what belongs to the whole server (roles,
 *    databases) marks the global clock.  A class of objects that is not listed below marks G.
 * 3. A relation that is new, dropped, or called something else marks D of no relation (base/tag.h):
 *	  another may answer to a name.  Its row type and toast table mark nothing.  An index is a part of
 *	  its table (api/indexes.c).  Temporary relations don't count.
 * 4. Objects are read with SnapshotSelf: the hooks are called before the command is over.
 * 5. What changes how a relation is read may change what its rows are as entities, or what they are
 *	  called: all keys of its attachments go.  Values of a type that changes may be in any row.
 * 6. Marks are made before the command runs or while it does; a failed command leaves too many.
 */
#include "postgres.h"

#include "api/attach.h"
#include "api/attachment.h"
#include "api/commit_net.h"
#include "api/definitions.h"
#include "api/indexes.h"
#include "api/track.h"
#include "base/shmem.h"
#include "core/dirty.h"
#include "core/prepared.h"
#include "plan/kept_plans.h"
#include "query/allowed.h"
#include "query/guarded.h"
#include "query/relation_facts.h"
#include "query/tracked.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
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
#include "catalog/pg_proc.h"
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
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "pgstat.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static object_access_hook_type prev_object_access_hook = NULL;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;
static ExecutorStart_hook_type prev_ExecutorStart_hook = NULL;

/* Relations that became partitions in this transaction and were not looked at yet. */
static List *new_partitions = NIL;

/* Initdb, single-user mode, and workers that can't change anything are left alone. */
static bool
watching(void)
{
	return cx_shmem_ready() && IsUnderPostmaster && !IsParallelWorker() && IsTransactionState();
}

/*
 * Marks
 */

static void
mark_relation(Oid relation)
{
	Oid			root = cx_tracked_root(relation);

	cx_dirty_mark_definition(relation);
	if (root != relation)
		cx_dirty_mark_definition(root);
	cx_attachment_sweep(relation);
}

/* A copy of a catalog row by its OID, or NULL. */
static HeapTuple
catalog_row(Oid catalog, Oid index, Oid object)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	/* "oid" is the first column of every catalog that has one */
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(relation, index, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return tuple;
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
		mark_relation(lfirst_oid(lc));
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
	HeapTuple	tuple = catalog_row(RelationRelationId, ClassOidIndexId, relation);
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
			cx_dirty_mark_database();
			if (access == OAT_POST_ALTER)
				cx_attachment_sweep_database();
			break;
		default:
			if (access != OAT_POST_CREATE || column != 0)
				mark_relation(relation);
			if (access == OAT_DROP && column == 0)
				mark_parents(relation);
			break;
	}
	heap_freetuple(tuple);
}

/*
 * A relation's row type changes with it, and arrays are what their elements are.  A composite type
 * of its own comes as a relation.
 */
static void
type_changed(ObjectAccessType access, Oid type)
{
	HeapTuple	tuple = catalog_row(TypeRelationId, TypeOidIndexId, type);

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_type form = (Form_pg_type) GETSTRUCT(tuple);
		bool		counts = form->typtype != TYPTYPE_COMPOSITE && !IsTrueArrayType(form);

		heap_freetuple(tuple);
		if (!counts)
			return;
	}
	cx_dirty_mark_database();
	if (access == OAT_POST_ALTER)
		cx_attachment_sweep_database();
}

static void
namespace_changed(Oid namespace)
{
	HeapTuple	tuple = catalog_row(NamespaceRelationId, NamespaceOidIndexId, namespace);

	if (HeapTupleIsValid(tuple))
	{
		const char *name = NameStr(((Form_pg_namespace) GETSTRUCT(tuple))->nspname);
		bool		temporary = strncmp(name, "pg_temp_", 8) == 0 ||
			strncmp(name, "pg_toast_temp_", 14) == 0;

		heap_freetuple(tuple);
		if (temporary)
			return;
	}
	cx_dirty_mark_database();
}

/* An object that belongs to a relation: a policy, a rule, a trigger, a constraint. */
static void
part_changed(Oid catalog, Oid object)
{
	HeapTuple	tuple = NULL;
	Oid			relation = InvalidOid;

	switch (catalog)
	{
		case PolicyRelationId:
			tuple = catalog_row(catalog, PolicyOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
			break;
		case RewriteRelationId:
			tuple = catalog_row(catalog, RewriteOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
			break;
		case TriggerRelationId:
			tuple = catalog_row(catalog, TriggerOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
			break;
		case ConstraintRelationId:
			tuple = catalog_row(catalog, ConstraintOidIndexId, object);
			if (HeapTupleIsValid(tuple))
				relation = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
			break;
	}
	if (HeapTupleIsValid(tuple))
		heap_freetuple(tuple);

	if (OidIsValid(relation))
		relation_changed(OAT_POST_ALTER, relation, 0, NULL);
	else
		cx_dirty_mark_database();	/* of a domain, or not to be found */
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

/*
 * object_access_hook
 */

static void
object_changed(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
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
		case TypeRelationId:
			type_changed(access, object);
			break;
		case NamespaceRelationId:
			namespace_changed(object);
			break;
		case AuthIdRelationId:
		case AuthMemRelationId:
			cx_dirty_mark_global();
			break;
		case DatabaseRelationId:
			if (access != OAT_DROP) /* a new one may have the OID of one that was dropped */
				cx_dirty_mark_global();
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
			cx_dirty_mark_database();
			break;
	}
}

/* What allow_function() was told of a function goes with it. */
static void
forget_function(Oid function)
{
	char	   *name = cx_allowed_function_name(function);

	if (name != NULL)
		cx_allowed_forget(name);
}

static void
object_access(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, class, object, column, arg);

	switch (access)
	{
		case OAT_FUNCTION_EXECUTE:
			cx_guarded_forbid_execution();
			cx_kept_plans_session_starts();
			break;
		case OAT_DROP:
			if (class == ProcedureRelationId && watching())
				forget_function(object);
			/* FALLTHROUGH */
		case OAT_POST_CREATE:
		case OAT_POST_ALTER:
			if (watching())
				object_changed(access, class, object, column, arg);
			break;
		case OAT_TRUNCATE:
			if (watching())
				relation_changed(access, object, 0, NULL);
			break;
		default:
			break;				/* looked up: nothing changes */
	}
}

/*
 * ProcessUtility_hook
 */

typedef struct utility_call
{
	PlannedStmt *statement;
	const char *text;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} utility_call;

static void
run(const void *arg)
{
	const utility_call *call = arg;
	ProcessUtility_hook_type next = prev_ProcessUtility_hook ? prev_ProcessUtility_hook :
		standard_ProcessUtility;

	next(call->statement, call->text, call->read_only_tree, call->context, call->params,
		 call->environment, call->dest, call->completion);
}

/*
 * PREPARE TRANSACTION only asks for the end of the transaction, which comes after the command: the
 * gid is forgotten then, by on_transaction_event().
 */
static void
run_transaction_command(const utility_call *call)
{
	TransactionStmt *command = (TransactionStmt *) call->statement->utilityStmt;

	switch (command->kind)
	{
		case TRANS_STMT_PREPARE:
			cx_prepared_expect_gid(command->gid);
			run(call);
			break;
		case TRANS_STMT_COMMIT_PREPARED:
			cx_prepared_begin_commit(command->gid);
			PG_TRY();
			{
				run(call);
			}
			PG_FINALLY();
			{
				cx_prepared_end_commit();
			}
			PG_END_TRY();
			break;
		case TRANS_STMT_ROLLBACK_PREPARED:
			run(call);
			cx_prepared_rolled_back(command->gid);
			break;
		default:
			run(call);
			break;
	}
}

/*
 * Does what must be done before an ALTER TABLE that no object access hook tells enough of.  Takes the
 * lock that the command takes first, in the same way.  Returns the table if the command commits in
 * between (DETACH CONCURRENTLY), else InvalidOid.
 */
static Oid
before_alter_table(AlterTableStmt *statement)
{
	ListCell   *lc;

	if (statement->objtype != OBJECT_TABLE)
		return InvalidOid;
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);
		PartitionCmd *partition = (PartitionCmd *) command->def;
		Oid			relation;
		Oid			child;

		switch (command->subtype)
		{
			case AT_EnableRowSecurity:
			case AT_DisableRowSecurity:
			case AT_ForceRowSecurity:
			case AT_NoForceRowSecurity:
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				break;
			default:
				continue;
		}
		relation = AlterTableLookupRelation(statement, AlterTableGetLockLevel(statement->cmds));
		if (!OidIsValid(relation))
			return InvalidOid;
		mark_relation(relation);
		if (command->subtype == AT_AttachPartition)
		{
			child = RangeVarGetRelid(partition->name, NoLock, true);
			if (OidIsValid(child))
			{
				cx_track_make_way(child, relation);
				cx_attach_make_way(child, relation);
			}
		}
		else if (command->subtype == AT_DetachPartition && partition->concurrent)
			return relation;
	}
	return InvalidOid;
}

static void
track_new_partitions(void)
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

static void
run_definition(const utility_call *call)
{
	Node	   *command = call->statement->utilityStmt;
	Oid			detached_from = InvalidOid;

	switch (nodeTag(command))
	{
		case T_GrantStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
			cx_dirty_mark_database();
			break;
		case T_GrantRoleStmt:
			cx_dirty_mark_global();
			break;
		case T_DropdbStmt:
			cx_attachment_sweep_other_database(((DropdbStmt *) command)->dbname);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				cx_attachment_sweep_other_database(((RenameStmt *) command)->subname);
			break;
		case T_AlterTableStmt:
			detached_from = before_alter_table((AlterTableStmt *) command);
			break;
		case T_IndexStmt:
		case T_ReindexStmt:
			cx_indexes_run(command, run, call);
			return;
		default:
			break;
	}

	run(call);

	/* What was marked before was for the transaction that has ended meanwhile. */
	if (OidIsValid(detached_from))
		mark_relation(detached_from);
	track_new_partitions();
}

static void
process_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	const utility_call call = {statement, text, read_only_tree, context, params, environment, dest,
							   completion};

	cx_guarded_forbid_execution();
	cx_kept_plans_session_starts();
	cx_commit_net_statement_starts();
	if (!cx_shmem_ready() || !IsUnderPostmaster || IsParallelWorker())
		run(&call);
	else if (IsA(statement->utilityStmt, TransactionStmt))
		run_transaction_command(&call);
	else
		run_definition(&call);
}

/*
 * ExecutorStart_hook: REFRESH MATERIALIZED VIEW CONCURRENTLY writes rows of a relation that can't
 * have triggers.
 */
static void
mark_materialized_views(PlannedStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->resultRelations)
	{
		RangeTblEntry *entry = rt_fetch(lfirst_int(lc), statement->rtable);
		const cx_tracked *tracked;

		if (entry->relkind != RELKIND_MATVIEW)
			continue;
		tracked = cx_tracked_lookup(entry->relid);
		cx_dirty_mark_table(entry->relid,
							pgstat_track_counts && tracked != NULL && tracked->counted);
	}
}

static void
executor_start(QueryDesc *query, int flags)
{
	cx_guarded_forbid_execution();
	cx_commit_net_statement_starts();
	if (query->plannedstmt->resultRelations != NIL && watching())
		mark_materialized_views(query->plannedstmt);

	if (prev_ExecutorStart_hook)
		prev_ExecutorStart_hook(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

static void
on_transaction_event(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	new_partitions = NIL;		/* its memory goes with the transaction */
	cx_prepared_forget_gid();
}

void
cx_definitions_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	prev_ExecutorStart_hook = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	RegisterXactCallback(on_transaction_event, NULL);
	cx_indexes_init();
}
