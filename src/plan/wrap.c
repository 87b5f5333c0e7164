/*
 * plan/wrap.c
 *		Putting the cache scan on top of a plan.
 *
 * The real plan becomes the scan's outer plan.  The scan's own columns are the plan's without junk,
 * first as references to the plan's (custom_scan_tlist) and then to those (targetlist), which is
 * what EXPLAIN VERBOSE needs to name them.
 */
#include "postgres.h"

#include "plan/scan.h"
#include "plan/wrap.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

void
cx_wrap(PlannedStmt *plan, cx_statement *statement, uint64 generation)
{
	Plan	   *child = plan->planTree;
	CustomScan *scan;
	AttrNumber	column = 0;
	ListCell   *cell;

	if (plan->commandType != CMD_SELECT || plan->rowMarks != NIL || plan->hasModifyingCTE)
		return;

	scan = makeNode(CustomScan);
	foreach(cell, child->targetlist)
	{
		TargetEntry *below = lfirst_node(TargetEntry, cell);
		Node	   *expr = (Node *) below->expr;
		TargetEntry *entry;

		if (below->resjunk)
			continue;
		if (below->resno != ++column)
			return;				/* junk between the result's columns: never seen */

		entry = makeTargetEntry((Expr *) makeVar(OUTER_VAR, column, exprType(expr),
												 exprTypmod(expr), exprCollation(expr), 0),
								column, below->resname, false);
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist, entry);

		entry = makeTargetEntry((Expr *) makeVar(INDEX_VAR, column, exprType(expr),
												 exprTypmod(expr), exprCollation(expr), 0),
								column, below->resname, false);
		entry->ressortgroupref = below->ressortgroupref;
		entry->resorigtbl = below->resorigtbl;
		entry->resorigcol = below->resorigcol;
		scan->scan.plan.targetlist = lappend(scan->scan.plan.targetlist, entry);
	}

	/* the same cost, or generic and custom plans would compare differently */
	scan->scan.plan.startup_cost = child->startup_cost;
	scan->scan.plan.total_cost = child->total_cost;
	scan->scan.plan.plan_rows = child->plan_rows;
	scan->scan.plan.plan_width = child->plan_width;
	scan->scan.plan.plan_node_id = -1;	/* no parallel worker ever sees this node */
	scan->scan.plan.extParam = bms_copy(child->extParam);
	scan->scan.plan.allParam = bms_copy(child->allParam);
	scan->scan.plan.lefttree = child;
	scan->custom_private = list_make2(statement,
									  makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
												Int64GetDatum((int64) generation), false,
												FLOAT8PASSBYVAL));
	scan->methods = &cx_scan_methods;
	plan->planTree = (Plan *) scan;
}

bool
cx_wrap_is_wrapped(const PlannedStmt *plan)
{
	return plan->planTree != NULL && IsA(plan->planTree, CustomScan) &&
		((CustomScan *) plan->planTree)->methods == &cx_scan_methods;
}

const cx_statement *
cx_wrap_statement(const CustomScan *scan)
{
	return linitial(scan->custom_private);
}

uint64
cx_wrap_generation(const CustomScan *scan)
{
	return (uint64) DatumGetInt64(lsecond_node(Const, scan->custom_private)->constvalue);
}
