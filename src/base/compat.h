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
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"

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

/* Has the current user the rights that running the plan checks on relations? */
static inline bool
cx_may_read(PlannedStmt *plan)
{
#if PG_VERSION_NUM >= 160000
	return ExecCheckPermissions(plan->rtable, plan->permInfos, false);
#else
	return ExecCheckRTPerms(plan->rtable, false);
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
 * Is this one of the SQL/JSON nodes that 16 brought, whose value is fixed by what it holds if
 * rendering *rendered (a list of expressions) as JSON is?
 */
static inline bool
cx_json_expression(Node *node, List **rendered)
{
	*rendered = NIL;
#if PG_VERSION_NUM >= 160000
	switch (nodeTag(node))
	{
		case T_JsonConstructorExpr:
			*rendered = ((JsonConstructorExpr *) node)->args;
			return true;
		case T_JsonValueExpr:
		case T_JsonIsPredicate:
#if PG_VERSION_NUM >= 170000
		case T_JsonBehavior:
#endif
			return true;
		default:
			return false;
	}
#else
	return false;
#endif
}

/*
 * Is this JSON_VALUE, JSON_QUERY or JSON_EXISTS of 17, with a path that looks at neither clock nor
 * time zone tables, whose value is then fixed if the input function of type *returned is?
 */
static inline bool
cx_json_query(Node *node, Oid *returned)
{
#if PG_VERSION_NUM >= 170000
	JsonExpr   *query = (JsonExpr *) node;
	Const	   *path;

	if (!IsA(node, JsonExpr) || query->op == JSON_TABLE_OP)
		return false;
	path = (Const *) query->path_spec;
	*returned = query->returning->typid;
	return IsA(path, Const) && !path->constisnull &&
		!jspIsMutable(DatumGetJsonPathP(path->constvalue), query->passing_names,
					  query->passing_values);
#else
	return false;
#endif
}

#endif
