/*
 * query/occurrences.c
 *		Which rows of its tables does a query depend on?
 *
 * Every place where a query reads a table (an occurrence) is tagged T, any row, unless conditions
 * pin a key column of it to values: then K, rows with one of these values.
 *
 * A condition may be used for an occurrence only if rows of it that fail the condition have no
 * influence on the result.  Going down from WHERE, conditions are collected:
 * 1. WHERE, and ON of an inner join: for all occurrences below, since they are strict: whatever rows
 *    they hold for has a row of the occurrence in it, not NULLs made by an outer join.
 * 2. ON of an outer join: for the occurrences on its nullable side only.  A row of that side that
 *    fails ON joins with nothing.  A row of the other side comes through whatever ON says.
 * 3. ON of a full join: for none.
 * 4. Security conditions (row-level security, security_barrier): for their occurrence.
 * 5. What the query around says of a subquery's column: for all occurrences in the subquery, if its
 *    rows with other values of that column have no influence on those with these.  LIMIT and window
 *    functions do have.
 * Conditions from above may be combined with those from below, by equality of columns.  Say that
 * X.k = u.a (ON of u LEFT JOIN X) and u.a = 5 (WHERE): a row x with k = 7 can only join rows of u,
 * or keep them from being extended by NULLs, that WHERE drops in either case.
 *
 * When in doubt, T.
 */
#include "postgres.h"

#include "query/analysis.h"
#include "query/conditions.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

/* One query level. */
typedef struct occurrences
{
	cx_analysis *analysis;
	cx_level	level;
	Bitmapset  *visited;		/* range table indexes that were met in the join tree */
} occurrences;

/* What the query around knows of a column that a subquery returns. */
typedef struct known_output
{
	AttrNumber	number;
	cx_tracked_key key;			/* type and collation of the equality */
	cx_key_values values;
} known_output;

static void visit_query(cx_analysis *analysis, Query *query, List *known_outputs);

static const cx_tracked_key *
find_key(const cx_tracked *tracked, AttrNumber column)
{
	for (int i = 0; i < tracked->key_count; i++)
	{
		if (tracked->keys[i].column == column)
			return &tracked->keys[i];
	}
	return NULL;
}

/*
 * An inheritance child has the parent's column somewhere, by name; it may be no key column there.
 */
static void
add_member(cx_statement *statement, Oid parent, const cx_tracked_key *parent_key, Oid member,
		   const cx_key_values *found)
{
	cx_tracked	tracked;
	const cx_tracked_key *key = NULL;

	if (!cx_relations_copy(member, &tracked))
		return;
	if (parent_key != NULL)
		key = find_key(&tracked, get_attnum(member, get_attname(parent, parent_key->column, false)));
	if (key == NULL || key->type != parent_key->type || key->collation != parent_key->collation ||
		!cx_tags_add_values(statement, tracked.root, key, found))
		cx_tags_add(statement, CX_TAG_TABLE, tracked.root, 0, 0);
}

/* Do all partitions keep track of the key column? */
static bool
members_have_key(List *members, Oid root, const cx_tracked_key *key)
{
	ListCell   *cell;

	foreach(cell, members)
	{
		cx_tracked	tracked;
		bool		found = false;

		if (!cx_relations_copy(lfirst_oid(cell), &tracked) || tracked.root != root)
			return false;
		for (int i = 0; i < tracked.key_count; i++)
			found = found || tracked.keys[i].root_column == key->root_column;
		if (!found)
			return false;
	}
	return true;
}

static void
add_table(occurrences *query, int index, List *conditions)
{
	RangeTblEntry *rte = rt_fetch(index, query->level.range_table);
	cx_statement *statement = query->analysis->statement;
	cx_tracked	tracked;
	const cx_tracked_key *key = NULL;
	cx_key_values found = {NIL, false};
	List	   *members;
	ListCell   *cell;

	if (rte->relkind == RELKIND_VIEW || !cx_relations_copy(rte->relid, &tracked))
		return;

	for (int i = 0; i < tracked.key_count && key == NULL; i++)
	{
		if (cx_conditions_find(&query->level, index, &tracked.keys[i], conditions, &found))
			key = &tracked.keys[i];
	}

	members = rte->inh ? cx_tracked_members(rte->relid) : list_make1_oid(rte->relid);
	if (tracked.root != rte->relid || tracked.kind == RELKIND_PARTITIONED_TABLE)
	{
		/* part of a partition tree: one tag, the root's */
		if (key == NULL || !members_have_key(members, tracked.root, key) ||
			!cx_tags_add_values(statement, tracked.root, key, &found))
			cx_tags_add(statement, CX_TAG_TABLE, tracked.root, 0, 0);
		return;
	}
	foreach(cell, members)
		add_member(statement, rte->relid, key, lfirst_oid(cell), &found);
}

/*
 * What the conditions say of the columns that a subquery returns.
 */
static List *
find_known_outputs(occurrences *query, int index, Query *subquery, List *conditions)
{
	List	   *known = NIL;
	ListCell   *cell;

	if (conditions == NIL && query->level.known == NIL)
		return NIL;
	foreach(cell, subquery->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		known_output *output;

		if (target->resjunk)
			continue;
		output = palloc0(sizeof(known_output));
		output->number = target->resno;
		output->key.column = target->resno;
		output->key.type = getBaseType(exprType((Node *) target->expr));
		output->key.collation = exprCollation((Node *) target->expr);
		if (cx_conditions_find(&query->level, index, &output->key, conditions, &output->values))
			known = lappend(known, output);
	}
	return known;
}

static void
visit_entry(occurrences *query, int index, List *conditions)
{
	RangeTblEntry *rte = rt_fetch(index, query->level.range_table);

	query->visited = bms_add_member(query->visited, index);
	conditions = cx_conditions_add(list_copy(conditions), (Node *) rte->securityQuals);
	if (rte->rtekind == RTE_RELATION)
		add_table(query, index, conditions);
	else if (rte->rtekind == RTE_SUBQUERY)
		visit_query(query->analysis, rte->subquery,
					find_known_outputs(query, index, rte->subquery, conditions));
}

static void
visit_join_tree(occurrences *query, Node *node, List *conditions)
{
	ListCell   *cell;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
		visit_entry(query, ((RangeTblRef *) node)->rtindex, conditions);
	else if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		conditions = cx_conditions_add(list_copy(conditions), from->quals);
		foreach(cell, from->fromlist)
			visit_join_tree(query, (Node *) lfirst(cell), conditions);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		List	   *with_on = cx_conditions_add(list_copy(conditions), join->quals);
		bool		left = join->jointype == JOIN_INNER || join->jointype == JOIN_RIGHT;
		bool		right = join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT;

		visit_join_tree(query, join->larg, left ? with_on : conditions);
		visit_join_tree(query, join->rarg, right ? with_on : conditions);
	}
}

/*
 * UNION, INTERSECT and EXCEPT compare whole rows: what holds for the result holds for each arm.
 */
static void
visit_arms(occurrences *query, Node *node, List *known_outputs)
{
	check_stack_depth();
	if (IsA(node, RangeTblRef))
	{
		int			index = ((RangeTblRef *) node)->rtindex;

		query->visited = bms_add_member(query->visited, index);
		visit_query(query->analysis, rt_fetch(index, query->level.range_table)->subquery,
					known_outputs);
	}
	else
	{
		SetOperationStmt *operation = castNode(SetOperationStmt, node);

		visit_arms(query, operation->larg, known_outputs);
		visit_arms(query, operation->rarg, known_outputs);
	}
}

/*
 * Can rows with one value of the column have no influence on rows with another value?
 */
static bool
is_independent(const Query *query, const TargetEntry *target)
{
	ListCell   *cell;

	if (query->limitCount != NULL || query->limitOffset != NULL || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->hasDistinctOn || query->groupingSets != NIL)
		return false;
	if (query->groupClause == NIL)
		return !query->hasAggs && query->havingQual == NULL;
	foreach(cell, query->groupClause)
	{
		if (lfirst_node(SortGroupClause, cell)->tleSortGroupRef == target->ressortgroupref)
			return true;
	}
	return false;
}

/* Turns what is known of the columns returned into what is known of columns in the query. */
static void
use_known_outputs(occurrences *query, const Query *node, List *known_outputs)
{
	ListCell   *cell;

	foreach(cell, known_outputs)
	{
		known_output *output = (known_output *) lfirst(cell);
		TargetEntry *target = get_tle_by_resno(node->targetList, output->number);
		Var		   *column;
		cx_known_column *known;

		if (target == NULL || !is_independent(node, target))
			continue;
		column = cx_conditions_column(&query->level, (Node *) target->expr);
		if (column == NULL)
			continue;
		known = palloc0(sizeof(cx_known_column));
		known->column = column;
		known->key = output->key;
		known->values = output->values;
		query->level.known = lappend(query->level.known, known);
	}
}

/* Queries in expressions and WITH. */
static bool
visit_subqueries(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		visit_query((cx_analysis *) context, (Query *) node, NIL);
		return false;
	}
	return expression_tree_walker(node, visit_subqueries, context);
}

static void
visit_query(cx_analysis *analysis, Query *node, List *known_outputs)
{
	occurrences query = {analysis, {node->rtable, NIL}, NULL};

	check_stack_depth();
	if (node->setOperations == NULL)
		use_known_outputs(&query, node, known_outputs);
	else if (node->limitCount != NULL || node->limitOffset != NULL)
		known_outputs = NIL;

	if (node->setOperations != NULL)
		visit_arms(&query, node->setOperations, known_outputs);
	visit_join_tree(&query, (Node *) node->jointree, NIL);

	/* what is in the range table only is not read, or not in a way known here */
	for (int i = 1; i <= list_length(node->rtable); i++)
	{
		if (!bms_is_member(i, query.visited))
			visit_entry(&query, i, NIL);
	}
	(void) query_tree_walker(node, visit_subqueries, analysis, QTW_IGNORE_RT_SUBQUERIES);
}

void
cx_occurrences_add(cx_analysis *analysis, Query *query)
{
	visit_query(analysis, query, NIL);
}
