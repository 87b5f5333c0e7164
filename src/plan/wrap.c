/*
 * plan/wrap.c
 *		Putting the cache scan on top of a plan.
 *
 * The real plan becomes the scan's outer plan.  The scan's own columns are the plan's without junk,
 * first as references to the plan's (custom_scan_tlist) and then to those (targetlist), which is
 * what EXPLAIN VERBOSE needs to name them.
 */
#include "postgres.h"

#include "base/compat.h"
#include "plan/scan.h"
#include "plan/wrap.h"

#include "access/tupdesc.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#define WRAPPING_NODE "cx_wrapping"

/* The scan's custom_private holds one. */
typedef struct wrapping
{
	ExtensibleNode node;
	cx_statement *statement;
	cx_wrap_options options;
	TupleDesc	row_type;		/* of the result: to look up types takes longer than a hit's look-up */
	char	   *session;		/* the session's part of the key at planning; NULL: nothing below */
	int			session_length;
	Query	   *query;			/* where nothing is below the scan */
	int			cursor_options;
} wrapping;

static wrapping *
make_wrapping(cx_statement *statement, const cx_wrap_options *options)
{
	wrapping   *made = palloc0(sizeof(wrapping));

	made->node.type = T_ExtensibleNode;
	made->node.extnodename = WRAPPING_NODE;
	made->statement = statement;
	made->options = *options;
	return made;
}

/*
 * Adds the columns of a target list to the scan; false where there is junk between the result's
 * columns, which is never seen.
 */
static bool
add_columns(CustomScan *scan, List *targets)
{
	AttrNumber	column = 0;
	ListCell   *cell;

	foreach(cell, targets)
	{
		TargetEntry *below = lfirst_node(TargetEntry, cell);
		Node	   *expr = (Node *) below->expr;
		TargetEntry *entry;

		if (below->resjunk)
			continue;
		if (below->resno != ++column)
			return false;

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
	return true;
}

List *
cx_wrap_columns(const PlannedStmt *plan)
{
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, plan->planTree->targetlist)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		TargetEntry *column;
		Node	   *expr = (Node *) target->expr;

		if (target->resjunk)
			continue;
		column = flatCopyTargetEntry(target);
		column->expr = (Expr *) makeVar(INDEX_VAR, target->resno, exprType(expr),
										exprTypmod(expr), exprCollation(expr), 0);
		column->resname = target->resname ? pstrdup(target->resname) : NULL;
		columns = lappend(columns, column);
	}
	return columns;
}

static CustomScan *
make_scan(wrapping *private)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.plan_node_id = -1;	/* no parallel worker ever sees this node */
	scan->custom_private = list_make1(private);
	scan->methods = &cx_scan_methods;
	return scan;
}

void
cx_wrap(PlannedStmt *plan, cx_statement *statement, const cx_wrap_options *options,
		const StringInfoData *session)
{
	Plan	   *child = plan->planTree;
	wrapping   *private;
	CustomScan *scan;

	if (plan->commandType != CMD_SELECT || plan->rowMarks != NIL || plan->hasModifyingCTE)
		return;

	private = make_wrapping(statement, options);
	private->session = session->data;
	private->session_length = session->len;
	scan = make_scan(private);
	if (!add_columns(scan, child->targetlist))
		return;
	private->row_type = ExecTypeFromTL(scan->scan.plan.targetlist);

	/* the same cost, or generic and custom plans would compare differently */
	scan->scan.plan.startup_cost = child->startup_cost;
	scan->scan.plan.total_cost = child->total_cost;
	scan->scan.plan.plan_rows = child->plan_rows;
	scan->scan.plan.plan_width = child->plan_width;
	scan->scan.plan.extParam = bms_copy(child->extParam);
	scan->scan.plan.allParam = bms_copy(child->allParam);
	scan->scan.plan.lefttree = child;
	plan->planTree = (Plan *) scan;

	/* what was found in the bodies of functions is for this user: a kept plan of another's is made anew */
	if (cx_statement_reads_bodies(statement))
		plan->dependsOnRole = true;
}

bool
cx_wrap_query(PlannedStmt *plan, cx_statement *statement, const cx_wrap_options *options,
			  List *columns, Query *query, int cursor_options)
{
	wrapping   *private = make_wrapping(statement, options);
	CustomScan *scan = make_scan(private);

	private->query = query;
	private->cursor_options = cursor_options;
	if (!add_columns(scan, columns))
		return false;
	private->row_type = ExecTypeFromTL(scan->scan.plan.targetlist);
	plan->planTree = (Plan *) scan;
	return true;
}

bool
cx_wrap_is_wrapped(const PlannedStmt *plan)
{
	return plan->planTree != NULL && IsA(plan->planTree, CustomScan) &&
		((CustomScan *) plan->planTree)->methods == &cx_scan_methods;
}

static wrapping *
wrapping_of(const PlannedStmt *plan)
{
	return linitial(((CustomScan *) plan->planTree)->custom_private);
}

const cx_statement *
cx_wrap_statement(const PlannedStmt *plan)
{
	return wrapping_of(plan)->statement;
}

const cx_wrap_options *
cx_wrap_options_of(const PlannedStmt *plan)
{
	return &wrapping_of(plan)->options;
}

bool
cx_wrap_same_session(const PlannedStmt *plan, const char *key, size_t length)
{
	const wrapping *private = wrapping_of(plan);

	return private->session != NULL && private->session_length <= length &&
		memcmp(private->session, key + length - private->session_length,
			   private->session_length) == 0;
}

TupleDesc
cx_wrap_row_type(const PlannedStmt *plan)
{
	return wrapping_of(plan)->row_type;
}

Query *
cx_wrap_query_of(const PlannedStmt *plan, int *cursor_options)
{
	const wrapping *private = wrapping_of(plan);

	*cursor_options = private->cursor_options;
	return private->query;
}

cx_account
cx_wrap_open_account(const cx_statement *statement, bool by_door, const char *text, int location,
					 int length, uint64 query_id)
{
	uint8		name[CX_ACCOUNT_NAME_LENGTH];

	memcpy(name, cx_statement_fingerprint(statement), sizeof(name));
	name[sizeof(name) - 1] ^= by_door;
	if (text == NULL)
		text = "";
	else
		text += Max(location, 0);
	return cx_account_open(name, text, length > 0 ? length : strlen(text), (int64) query_id);
}

cx_account
cx_wrap_account(PlannedStmt *plan, const char *text)
{
	wrapping   *private = wrapping_of(plan);
	cx_wrap_options *options = &private->options;

	if (!cx_account_is_open(options->account))
		options->account = cx_wrap_open_account(private->statement, options->by_door, text,
												plan->stmt_location, plan->stmt_len,
												plan->queryId);
	return options->account;
}

PlannedStmt *
cx_wrap_without_subplans(const PlannedStmt *plan)
{
	PlannedStmt *copy = palloc(sizeof(PlannedStmt));

	*copy = *plan;
	copy->subplans = NIL;
	cx_forget_pruning(copy);
	return copy;
}

PlannedStmt *
cx_wrap_unwrapped(const PlannedStmt *plan)
{
	PlannedStmt *copy = palloc(sizeof(PlannedStmt));

	*copy = *plan;
	copy->planTree = outerPlan(plan->planTree);
	return copy;
}

/*
 * As a node
 */

static void
copy_wrapping(ExtensibleNode *new_node, const ExtensibleNode *old_node)
{
	wrapping   *copy = (wrapping *) new_node;
	const wrapping *old = (const wrapping *) old_node;

	copy->statement = copyObject(old->statement);
	copy->options = old->options;
	copy->row_type = CreateTupleDescCopy(old->row_type);
	if (old->session != NULL)
		copy->session = memcpy(palloc(old->session_length), old->session, old->session_length);
	copy->session_length = old->session_length;
	copy->query = copyObject(old->query);
	copy->cursor_options = old->cursor_options;
}

static bool
equal_wrapping(const ExtensibleNode *a, const ExtensibleNode *b)
{
	return equal(((const wrapping *) a)->statement, ((const wrapping *) b)->statement);
}

/* For debug_print_plan. */
static void
out_wrapping(StringInfo out, const ExtensibleNode *node)
{
	appendStringInfoString(out, " :statement ");
	outNode(out, ((const wrapping *) node)->statement);
}

/* Plans that hold one are not sent to parallel workers. */
static void
read_wrapping(ExtensibleNode *node)
{
	elog(ERROR, "a cx_wrapping can't be read back");
}

static const ExtensibleNodeMethods wrapping_methods = {
	.extnodename = WRAPPING_NODE,
	.node_size = sizeof(wrapping),
	.nodeCopy = copy_wrapping,
	.nodeEqual = equal_wrapping,
	.nodeOut = out_wrapping,
	.nodeRead = read_wrapping,
};

void
cx_wrap_init(void)
{
	RegisterExtensibleNodeMethods(&wrapping_methods);
}
