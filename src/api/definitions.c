/*
 * api/definitions.c
 *		Watches DDL, and has changes.c mark what it changes; keeps partition trees tracked.
 *
 * Owns object_access_hook, ProcessUtility_hook and ExecutorStart_hook.
 *
 * Marks are made before the command runs or while it does; a failed command leaves too many.
 */
#include "postgres.h"

#include "api/attach.h"
#include "api/attachment.h"
#include "api/changes.h"
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
#include "query/tracked.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "pgstat.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

static object_access_hook_type prev_object_access_hook = NULL;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;
static ExecutorStart_hook_type prev_ExecutorStart_hook = NULL;

/* Initdb, single-user mode, and workers that can't change anything are left alone. */
static bool
watching(void)
{
	return cx_shmem_ready() && IsUnderPostmaster && !IsParallelWorker() && IsTransactionState();
}

/*
 * object_access_hook
 */

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
				cx_changes_object(access, class, object, column, arg);
			break;
		case OAT_TRUNCATE:
			if (watching())
				cx_changes_object(access, RelationRelationId, object, 0, NULL);
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
			if (call->context != PROCESS_UTILITY_TOPLEVEL || IsTransactionBlock() ||
				IsSubTransaction())
			{
				run(call);		/* fails */
				break;
			}
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
		cx_changes_mark_relation(relation);
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

/*
 * GRANT and REVOKE on an object have no hook.  Rights on relations and functions are asked for at each
 * hit; what is left are those that opaque functions need.  Only DDL asks for rights on types and
 * languages.
 */
static void
before_grant(GrantStmt *statement)
{
	ListCell   *lc;
	bool		counts = statement->objtype != OBJECT_TYPE && statement->objtype != OBJECT_DOMAIN &&
		statement->objtype != OBJECT_LANGUAGE && statement->objtype != OBJECT_TABLESPACE;

	if (statement->objtype == OBJECT_TABLE && statement->targtype == ACL_TARGET_OBJECT)
	{
		counts = false;
		foreach(lc, statement->objects)
		{
			Oid			relation = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);

			/* one that isn't there makes the command fail */
			counts |= OidIsValid(relation) && !isAnyTempNamespace(get_rel_namespace(relation));
		}
	}
	if (counts)
		cx_dirty_mark_definition(InvalidOid);
}

/* ALTER GROUP ... ADD USER. */
static bool
changes_members(const AlterRoleStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, "rolemembers") == 0)
			return true;
	}
	return false;
}

static void
run_definition(const utility_call *call)
{
	Node	   *command = call->statement->utilityStmt;
	Oid			detached_from = InvalidOid;

	switch (nodeTag(command))
	{
		case T_GrantStmt:
			before_grant((GrantStmt *) command);
			break;
		case T_DropOwnedStmt:	/* revokes, and the hook is told of what it drops */
			cx_dirty_mark_definition(InvalidOid);
			break;
		case T_GrantRoleStmt:
			cx_dirty_mark_role(InvalidOid);
			break;
		case T_AlterRoleStmt:
			if (changes_members((AlterRoleStmt *) command))
				cx_dirty_mark_role(InvalidOid);
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
		cx_changes_mark_relation(detached_from);
	cx_changes_track_partitions();
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
	cx_changes_forget();
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
