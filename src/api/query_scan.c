/*
 * api/query_scan.c
 *		FROM cache_ext.query(...) without a function call.
 *
 * A set-returning C function in FROM gives its rows through a tuplestore, which for thousands of rows
 * costs more than getting them from the cache.  So the planner replaces the scan of a call whose
 * arguments are constants or parameters by a node that emits a hit's rows where they lie.  What is no
 * hit goes through a tuplestore, as a call would.
 *
 * Invariant: the node gives the rows and errors of the call: the arguments are evaluated and the query
 * is run when the first row is asked for, once, and a rescan goes over the same rows again.
 *
 * Memory: all of it in the execution's context (es_query_cxt).
 */
#include "postgres.h"

#include "api/query.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "plan/nesting.h"

#include "access/sysattr.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define MAX_ARGUMENTS 6

typedef struct query_scan
{
	CustomScanState css;		/* must be first */

	List	   *arguments;		/* ExprStates */
	int			first;			/* number of the query text among them */
	bool		started;
	TupleTableSlot *slot;

	cx_hit	   *hit;
	CachedPlan *plan;			/* of the hit */
	ResourceOwner plan_owner;
	Tuplestorestate *rows;		/* where there is no hit */
} query_scan;

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

/*
 * Planning
 */

/* The number of the query text among the arguments of our functions; -1 for others. */
static int
first_argument(const FuncExpr *call)
{
	FmgrInfo	function;

	if (list_length(call->args) > MAX_ARGUMENTS)
		return -1;
	fmgr_info(call->funcid, &function);
	if (function.fn_addr == cache_ext_query)
		return 0;
	if (function.fn_addr == cache_ext_query_as)
		return 1;
	return -1;
}

/* Neither a column of another table nor what a subquery gives. */
static bool
is_variable(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubLink) || IsA(node, SubPlan) ||
		(IsA(node, Param) && ((Param *) node)->paramkind != PARAM_EXTERN))
		return true;
	return expression_tree_walker(node, is_variable, context);
}

/* Would rows of the call's type need another layout than the query's? */
static bool
has_dropped_columns(Oid type)
{
	TupleDesc	columns = cx_query_columns_of_type(type);

	for (int i = 0; i < columns->natts; i++)
	{
		if (TupleDescAttr(columns, i)->attisdropped)
			return true;
	}
	return false;
}

/* The call that can be replaced, or NULL. */
static FuncExpr *
replaceable_call(const RangeTblEntry *rte)
{
	FuncExpr   *call;
	int			first;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality || list_length(rte->functions) != 1)
		return NULL;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || (first = first_argument(call)) < 0 ||
		is_variable((Node *) call->args, NULL) ||
		contain_volatile_functions((Node *) call->args))
		return NULL;
	if (first == 1 && has_dropped_columns(exprType(linitial(call->args))))
		return NULL;
	return call;
}

/* Are rows wanted as values of their own (t in SELECT t)?  The node has only columns. */
static bool
wants_whole_rows(const RelOptInfo *rel)
{
	Bitmapset  *columns = NULL;
	ListCell   *cell;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &columns);
	foreach(cell, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause, rel->relid, &columns);
	return bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
}

/* The columns of the call as the rest of the query names them. */
static List *
column_targets(const RangeTblEntry *rte, Index rti)
{
	List	   *names;
	List	   *vars;
	List	   *targets = NIL;
	ListCell   *cell;

	expandRTE(unconstify(RangeTblEntry *, rte), rti, 0, -1, false, &names, &vars);
	foreach(cell, vars)
	{
		targets = lappend(targets, makeTargetEntry(lfirst(cell), list_length(targets) + 1,
												   strVal(list_nth(names, list_length(targets))),
												   false));
	}
	return targets;
}

static Node *create_query_scan(CustomScan *plan);

static const CustomScanMethods scan_methods = {
	.CustomName = "Cached Query",
	.CreateCustomScanState = create_query_scan
};

static Plan *
plan_query_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *targets,
				List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	FuncExpr   *call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;

	scan->flags = path->flags;
	scan->custom_exprs = call->args;
	scan->custom_private = list_make2(makeInteger(first_argument(call)),
									  makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
												ObjectIdGetDatum(call->funcid), false, true));
	scan->custom_scan_tlist = column_targets(rte, rel->relid);
	scan->scan.plan.targetlist = targets;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->methods = &scan_methods;
	record_plan_function_dependency(root, call->funcid);
	return (Plan *) scan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "Cached Query",
	.PlanCustomPath = plan_query_scan
};

static void
set_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	CustomPath *path;
	Path	   *scan;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);
	if (rte->rtekind != RTE_FUNCTION || !cx_shmem_ready() || rel->pathlist == NIL ||
		!bms_is_empty(rel->lateral_relids) || wants_whole_rows(rel) ||
		replaceable_call(rte) == NULL)
		return;

	scan = linitial(rel->pathlist);
	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.rows = scan->rows;
	path->path.startup_cost = scan->startup_cost;
	path->path.total_cost = scan->total_cost;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &path_methods;
	rel->pathlist = list_make1(path);
}

/*
 * Running
 */

/* The columns of the query must be those that the statement expects, as for any function. */
static void
check_columns(const query_scan *scan, TupleDesc returned)
{
	TupleDesc	expected = scan->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	if (returned->natts != expected->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function return row and query-specified return row do not match"),
				 errdetail_plural("Returned row contains %d attribute, but query expects %d.",
								  "Returned row contains %d attributes, but query expects %d.",
								  returned->natts, returned->natts, expected->natts)));
	for (int i = 0; i < expected->natts; i++)
	{
		Oid			type = TupleDescAttr(returned, i)->atttypid;
		Oid			wanted = TupleDescAttr(expected, i)->atttypid;

		if (type != wanted)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("function return row and query-specified return row do not match"),
					 errdetail("Returned type %s at ordinal position %d, but query expects %s.",
							   format_type_be(type), i + 1, format_type_be(wanted))));
	}
}

static void
read_arguments(query_scan *scan, cx_query_arguments *arguments)
{
	LOCAL_FCINFO(fcinfo, MAX_ARGUMENTS);
	ListCell   *cell;
	int			number = 0;

	InitFunctionCallInfoData(*fcinfo, NULL, list_length(scan->arguments), InvalidOid, NULL, NULL);
	foreach(cell, scan->arguments)
	{
		NullableDatum *argument = &fcinfo->args[number++];

		argument->value = ExecEvalExpr((ExprState *) lfirst(cell), scan->css.ss.ps.ps_ExprContext,
									   &argument->isnull);
	}
	cx_query_read_arguments(fcinfo, scan->first, arguments);
}

/* Gets the rows, from the cache or by running the query. */
static void
start(query_scan *scan)
{
	MemoryContext context = scan->css.ss.ps.state->es_query_cxt;
	MemoryContext old = MemoryContextSwitchTo(context);
	cx_query_arguments arguments;
	cx_prepared_query *query;
	ParamListInfo params;

	scan->started = true;
	read_arguments(scan, &arguments);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);		/* not SPI's: what follows outlives it */
	query = cx_prepared_query_get(arguments.sql, arguments.untracked_allowed);
	check_columns(scan, cx_prepared_query_columns(query));
	params = cx_prepared_query_params(query, arguments.args);

	scan->hit = cx_prepared_query_hit(query, params, &arguments.request, &scan->plan);
	scan->plan_owner = CurrentResourceOwner;
	if (scan->hit == NULL)
		scan->rows = cx_query_collect(query, params, &arguments.request, context, true);
	else if (cx_nesting_full_run(&scan->css.ss.ps) == NULL)
		cx_hit_keep(scan->hit);	/* a portal may stop here for long */
	SPI_finish();
	MemoryContextSwitchTo(old);
}

static TupleTableSlot *
next_row(ScanState *node)
{
	query_scan *scan = (query_scan *) node;

	if (!scan->started)
	{
		start(scan);
		if (scan->hit != NULL && node->ps.qual == NULL && node->ps.ps_ProjInfo == NULL &&
			cx_hit_send(scan->hit, &node->ps, scan->slot))
			return ExecClearTuple(scan->slot);
	}
	if (scan->hit != NULL)
		return cx_hit_next(scan->hit, scan->slot);
	(void) tuplestore_gettupleslot(scan->rows, true, false, scan->slot);
	return scan->slot;
}

static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *
exec_query_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

/* As initialising the call would have done. */
static void
check_right(Oid function)
{
	if (!cx_may_execute(function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

static void
begin_query_scan(CustomScanState *node, EState *estate, int eflags)
{
	query_scan *scan = (query_scan *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	TupleDesc	columns = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	check_right(DatumGetObjectId(lsecond_node(Const, plan->custom_private)->constvalue));
	scan->first = intVal(linitial(plan->custom_private));
	scan->arguments = ExecInitExprList(plan->custom_exprs, &node->ss.ps);

	/* rows come as minimal tuples, so what was prepared for virtual ones is prepared again */
	ExecInitScanTupleSlot(estate, &node->ss, columns, &TTSOpsMinimalTuple);
	scan->slot = node->ss.ss_ScanTupleSlot;
	ExecAssignScanProjectionInfoWithVarno(&node->ss, INDEX_VAR);
	node->ss.ps.qual = ExecInitQual(plan->scan.plan.qual, &node->ss.ps);
}

static void
rescan_query_scan(CustomScanState *node)
{
	query_scan *scan = (query_scan *) node;

	ExecScanReScan(&node->ss);
	if (scan->hit != NULL)
		cx_hit_rewind(scan->hit);
	if (scan->rows != NULL)
		tuplestore_rescan(scan->rows);
}

static void
end_query_scan(CustomScanState *node)
{
	query_scan *scan = (query_scan *) node;

	ExecClearTuple(scan->slot);
	if (scan->hit != NULL)
	{
		cx_hit_end(scan->hit);
		ReleaseCachedPlan(scan->plan, scan->plan_owner);
	}
	if (scan->rows != NULL)
		tuplestore_end(scan->rows);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "Cached Query",
	.BeginCustomScan = begin_query_scan,
	.ExecCustomScan = exec_query_scan,
	.EndCustomScan = end_query_scan,
	.ReScanCustomScan = rescan_query_scan
};

static Node *
create_query_scan(CustomScan *plan)
{
	query_scan *scan = (query_scan *) newNode(sizeof(query_scan), T_CustomScanState);

	scan->css.methods = &exec_methods;
	return (Node *) scan;
}

void
cx_query_scan_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_paths;
}
