/*
 * base/compat.h
 *		Every difference between PostgreSQL versions, as a wrapper or a name.
 *
 * No other file tests PG_VERSION_NUM; .ci/run checks it.
 */
#ifndef CX_BASE_COMPAT_H
#define CX_BASE_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "cache_ext needs PostgreSQL 15 or newer"
#endif

#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "executor/functions.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Memory that a setting owns; 16 gave settings a memory context.  NULL where there is none. */
static inline void *
cx_guc_malloc(size_t size)
{
#if PG_VERSION_NUM >= 160000
	return guc_malloc(LOG, size);
#else
	return malloc(size);
#endif
}

/* This process's index into ProcGlobal->allProcs; 17 gave it a name. */
static inline int
cx_my_proc_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/*
 * Adds a relation of the query's range table to the plan's, so that the executor checks rights on
 * it and locks are taken for it.  Not for other kinds of entries, except views from 16 on, whose
 * entries are subqueries that name a relation.
 */
static inline void
cx_add_relation(PlannedStmt *plan, const Query *query, const RangeTblEntry *entry)
{
	RangeTblEntry *copy;

#if PG_VERSION_NUM >= 160000
	if (!OidIsValid(entry->relid))
		return;
#else
	if (entry->rtekind != RTE_RELATION)
		return;
#endif
	copy = makeNode(RangeTblEntry);
	*copy = *entry;
	copy->subquery = NULL;
	copy->tablesample = NULL;
	copy->securityQuals = NIL;
#if PG_VERSION_NUM >= 160000
	if (copy->perminfoindex != 0)
	{
		plan->permInfos = lappend(plan->permInfos,
								  list_nth(query->rteperminfos, copy->perminfoindex - 1));
		copy->perminfoindex = list_length(plan->permInfos);
	}
#endif
	plan->rtable = lappend(plan->rtable, copy);
#if PG_VERSION_NUM >= 180000
	plan->unprunableRelids = bms_add_member(plan->unprunableRelids, list_length(plan->rtable));
#endif
}

/* 18 prunes partitions when the executor starts, from a list of the statement. */
static inline void
cx_forget_pruning(PlannedStmt *plan)
{
#if PG_VERSION_NUM >= 180000
	plan->partPruneInfos = NIL;
#endif
}

/* ExecutorRun's arguments; 18 dropped the last one. */
#if PG_VERSION_NUM >= 180000
#define CX_EXECUTOR_RUN_PARAMETERS QueryDesc *query_desc, ScanDirection direction, uint64 count
#define CX_EXECUTOR_RUN_ARGUMENTS query_desc, direction, count
#else
#define CX_EXECUTOR_RUN_PARAMETERS \
	QueryDesc *query_desc, ScanDirection direction, uint64 count, bool execute_once
#define CX_EXECUTOR_RUN_ARGUMENTS query_desc, direction, count, execute_once
#endif

/* Has the current user the rights that running the plan checks on relations?  If not, an error if asked. */
static inline bool
cx_may_read(PlannedStmt *plan, bool error)
{
#if PG_VERSION_NUM >= 160000
	return ExecCheckPermissions(plan->rtable, plan->permInfos, error);
#else
	return ExecCheckRTPerms(plan->rtable, error);
#endif
}

/* Tells the executor of the plan's relations, none of which is opened. */
static inline void
cx_init_range_table(EState *estate, PlannedStmt *plan)
{
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(estate, plan->rtable, plan->permInfos, bms_copy(plan->unprunableRelids));
#elif PG_VERSION_NUM >= 160000
	ExecInitRangeTable(estate, plan->rtable, plan->permInfos);
#else
	ExecInitRangeTable(estate, plan->rtable);
#endif
}

/* Does the role own the relation?  16 made one function of those for each kind of object. */
static inline bool
cx_owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, role);
#else
	return pg_class_ownercheck(relation, role);
#endif
}

/* May the role use the schema? */
static inline bool
cx_may_use_schema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* May the role execute the function? */
static inline bool
cx_may_execute(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/*
 * Makes the last query of a SQL function return what the function does: adds casts.  17 asks for the kind of
 * function, 18 has no list of columns to give back.
 */
static inline void
cx_coerce_function_result(List *query_lists, Oid type, TupleDesc desc)
{
#if PG_VERSION_NUM >= 180000
	(void) check_sql_fn_retval(query_lists, type, desc, PROKIND_FUNCTION, false);
#elif PG_VERSION_NUM >= 170000
	(void) check_sql_fn_retval(query_lists, type, desc, PROKIND_FUNCTION, false, NULL);
#else
	(void) check_sql_fn_retval(query_lists, type, desc, false, NULL);
#endif
}

/* Has this transaction given the relation new storage, by TRUNCATE or by rewriting it? */
static inline bool
cx_has_new_storage(Relation relation)
{
#if PG_VERSION_NUM >= 160000
	return relation->rd_newRelfilelocatorSubid != InvalidSubTransactionId;
#else
	return relation->rd_newRelfilenodeSubid != InvalidSubTransactionId;
#endif
}

/* The table that a change in pgstat's transactional stack is of. */
static inline Oid
cx_counted_table(const PgStat_TableXactStatus *changes)
{
#if PG_VERSION_NUM >= 160000
	return changes->parent->id;
#else
	return changes->parent->t_id;
#endif
}

/* Has somebody compared query/fingerprint.c with the nodes of this version? */
#define CX_QUERY_TREES_KNOWN (PG_VERSION_NUM < 180000)

/*
 * The rights that a query asks for, by entries of its range table until 16 gave them a list of
 * their own, and the outer joins that make NULLs of a column, noted since 16.
 */
#if PG_VERSION_NUM >= 160000
typedef RTEPermissionInfo cx_rights;
#define cx_rights_list(query) ((query)->rteperminfos)
#define cx_rights_index(rte) ((rte)->perminfoindex)
#define cx_nulling_joins(var) ((var)->varnullingrels)
#else
typedef RangeTblEntry cx_rights;
#define cx_rights_list(query) ((query)->rtable)
#define cx_rights_index(rte) 0
#define cx_nulling_joins(var) ((Bitmapset *) NULL)
#endif

/* Where PostgreSQL keeps the value of a setting of its own that is a text. */
static inline char **
cx_text_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return ((struct config_string *) find_option(name, false, false, ERROR))->variable;
#else
	struct config_generic **all = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (strcmp(all[i]->name, name) == 0)
			return ((struct config_string *) all[i])->variable;
	elog(ERROR, "unrecognized configuration parameter \"%s\"", name);
#endif
}

/* No header of these versions has it. */
extern PGDLLIMPORT bool ignore_checksum_failure;

/* All settings; 16 copies their list to the current memory context. */
static inline struct config_generic **
cx_all_settings(int *count)
{
#if PG_VERSION_NUM >= 160000
	return get_guc_variables(count);
#else
	*count = GetNumConfigOptions();
	return get_guc_variables();
#endif
}

/* A set that lives until FreeWaitEventSet(); 17 has sets belong to a resource owner, or to none. */
static inline WaitEventSet *
cx_create_wait_event_set(int event_count)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, event_count);
#else
	return CreateWaitEventSet(TopMemoryContext, event_count);
#endif
}

/*
 * Is this an SQL/JSON expression (constructors came with 16, queries with 17) whose value is fixed if
 * rendering *rendered, a list, as JSON is, and the input function of type *returned, unless 0?
 */
static inline bool
cx_json_expression(Node *node, List **rendered, Oid *returned)
{
	*rendered = NIL;
	*returned = InvalidOid;
#if PG_VERSION_NUM >= 160000
	if (IsA(node, JsonConstructorExpr))
		*rendered = ((JsonConstructorExpr *) node)->args;
	else
#endif
#if PG_VERSION_NUM >= 170000
	if (IsA(node, JsonExpr))
	{
		JsonExpr   *query = (JsonExpr *) node;
		Const	   *path = (Const *) query->path_spec;

		*returned = query->returning->typid;
		return query->op != JSON_TABLE_OP && IsA(path, Const) && !path->constisnull &&
			!jspIsMutable(DatumGetJsonPathP(path->constvalue), query->passing_names,
						  query->passing_values);
	}
	else if (!IsA(node, JsonBehavior))
#endif
#if PG_VERSION_NUM >= 160000
		return IsA(node, JsonValueExpr) || IsA(node, JsonIsPredicate);
	return true;
#else
	return false;
#endif
}

#endif
