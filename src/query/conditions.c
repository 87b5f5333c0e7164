/*
 * query/conditions.c
 *		What do conditions say that a column equals?
 *
 * Only conditions of the form column = value, column = ANY (values) and column = other column are
 * understood, with the equality that the hash of the key column goes by: see is_key_equality().
 * These are strict: a row that they hold for has a value there.
 */
#include "postgres.h"

#include "query/conditions.h"
#include "query/private.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Does the collation tell the same values apart as the column's? */
static bool
same_key_collation(const cx_tracked_key *key, Oid collation)
{
	return key->collation == collation ||
		(OidIsValid(key->collation) && OidIsValid(collation) &&
		 get_collation_isdeterministic(key->collation) &&
		 get_collation_isdeterministic(collation));
}

/*
 * Is the operator, under the collation, the equality that the hash of the key column goes by?
 */
static bool
is_key_equality(const cx_tracked_key *key, Oid operator, Oid collation, Node *left, Node *right)
{
	TypeCacheEntry *entry = lookup_type_cache(key->type, TYPECACHE_HASH_OPFAMILY);

	return OidIsValid(entry->hash_opf) &&
		get_op_opfamily_strategy(operator, entry->hash_opf) == HTEqualStrategyNumber &&
		cx_tags_is_key_type(key, getBaseType(exprType(left))) &&
		cx_tags_is_key_type(key, getBaseType(exprType(right))) &&
		(!OidIsValid(key->collation) || same_key_collation(key, collation)) &&
		func_strict(get_opcode(operator));
}

/*
 * Strips what changes no value: COLLATE, casts of a domain to what it is made of and of varchar to
 * text, or arrays of it.
 */
static Node *
strip_relabel(Node *node)
{
	for (;;)
	{
		Node	   *argument;
		Oid			from;
		Oid			to;

		if (node == NULL)
			return NULL;
		if (IsA(node, RelabelType))
			argument = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr))
			argument = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else if (IsA(node, CollateExpr))
			argument = (Node *) ((CollateExpr *) node)->arg;
		else
			return node;

		from = getBaseType(exprType(argument));
		to = exprType(node);
		if (!(from == getBaseType(to) && !IsA(node, ArrayCoerceExpr)) &&
			!(from == VARCHAROID && to == TEXTOID) &&
			!(from == VARCHARARRAYOID && to == TEXTARRAYOID))
			return node;
		node = argument;
	}
}

Var *
cx_conditions_column(const cx_level *level, Node *node)
{
	node = strip_relabel(node);
	while (node != NULL && IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
		   ((Var *) node)->varattno > 0)
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte = rt_fetch(var->varno, level->range_table);

		if (rte->rtekind != RTE_JOIN)
			return var;
		node = strip_relabel((Node *) list_nth(rte->joinaliasvars, var->varattno - 1));
	}
	return NULL;
}

/*
 * current_setting('name'), as text or cast through it, as policies of row-level security have it;
 * also NULLIF(current_setting('name', true), '').
 */
char *
cx_conditions_setting(Node *node)
{
	FuncExpr   *call;
	Const	   *name;

	if (IsA(node, CoerceViaIO))
		node = (Node *) ((CoerceViaIO *) node)->arg;
	if (IsA(node, NullIfExpr) && IsA(lsecond(((NullIfExpr *) node)->args), Const))
		node = (Node *) linitial(((NullIfExpr *) node)->args);
	if (!IsA(node, FuncExpr))
		return NULL;
	call = (FuncExpr *) node;
	if (call->funcid != F_CURRENT_SETTING_TEXT && call->funcid != F_CURRENT_SETTING_TEXT_BOOL)
		return NULL;
	name = (Const *) linitial(call->args);
	return IsA(name, Const) && !name->constisnull ? TextDatumGetCString(name->constvalue) : NULL;
}

/*
 * A constant, a parameter ($n) or a setting, else NULL.  An integer's cast to a wider type, as in numeric = 5,
 * is done here: it can't fail, where others could raise an error that planning would not.
 */
static Node *
as_value(Node *node)
{
	node = strip_relabel(node);
	if (IsA(node, FuncExpr) &&
		(((FuncExpr *) node)->funcid == F_INT8_INT4 ||
		 ((FuncExpr *) node)->funcid == F_INT8_INT2 ||
		 ((FuncExpr *) node)->funcid == F_INT4_INT2 ||
		 ((FuncExpr *) node)->funcid == F_NUMERIC_INT8 ||
		 ((FuncExpr *) node)->funcid == F_NUMERIC_INT4 ||
		 ((FuncExpr *) node)->funcid == F_NUMERIC_INT2) &&
		IsA(linitial(((FuncExpr *) node)->args), Const))
		node = eval_const_expressions(NULL, node);
	if (IsA(node, Const))
		return node;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		return node;
	if (cx_conditions_setting(node) != NULL)
		return node;
	return NULL;
}

List *
cx_conditions_add(List *conditions, Node *node)
{
	ListCell   *cell;

	if (node == NULL)
		return conditions;
	if (IsA(node, List) || (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR))
	{
		foreach(cell, IsA(node, List) ? (List *) node : ((BoolExpr *) node)->args)
			conditions = cx_conditions_add(conditions, (Node *) lfirst(cell));
		return conditions;
	}
	return lappend(conditions, node);
}

static bool
is_among(List *columns, const Var *column)
{
	ListCell   *cell;

	foreach(cell, columns)
	{
		Var		   *other = lfirst_node(Var, cell);

		if (other->varno == column->varno && other->varattno == column->varattno)
			return true;
	}
	return false;
}

/*
 * One condition, given columns that are known to equal the key column.  Returns true when it says
 * what value they have; appends to *columns when it equates them with one more.
 */
static bool
use_equality(const cx_level *level, const cx_tracked_key *key, OpExpr *condition,
			 List **columns, cx_key_values *found)
{
	Node	   *left;
	Node	   *right;

	if (list_length(condition->args) != 2)
		return false;
	left = strip_relabel((Node *) linitial(condition->args));
	right = strip_relabel((Node *) lsecond(condition->args));
	if (!is_key_equality(key, condition->opno, condition->inputcollid, left, right))
		return false;

	for (int side = 0; side < 2; side++)
	{
		Var		   *column = cx_conditions_column(level, side == 0 ? left : right);
		Node	   *other = side == 0 ? right : left;
		Node	   *value;
		Var		   *other_column;

		if (column == NULL || !is_among(*columns, column))
			continue;
		value = as_value(other);
		if (value != NULL)
		{
			found->values = list_make1(value);
			found->is_array = false;
			return true;
		}
		other_column = cx_conditions_column(level, other);
		if (other_column != NULL && !is_among(*columns, other_column))
			*columns = lappend(*columns, other_column);
	}
	return false;
}

static bool
use_any(const cx_level *level, const cx_tracked_key *key, ScalarArrayOpExpr *condition,
		List *columns, cx_key_values *found)
{
	Node	   *left = strip_relabel((Node *) linitial(condition->args));
	Node	   *array = strip_relabel((Node *) lsecond(condition->args));
	Var		   *column = cx_conditions_column(level, left);
	Oid			element_type = get_element_type(getBaseType(exprType(array)));
	ListCell   *cell;

	if (!condition->useOr || column == NULL || !is_among(columns, column) ||
		!OidIsValid(element_type) ||
		!is_key_equality(key, condition->opno, condition->inputcollid, left,
						 (Node *) makeNullConst(element_type, -1, InvalidOid)))
		return false;

	found->values = NIL;
	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
	{
		foreach(cell, ((ArrayExpr *) array)->elements)
		{
			Node	   *value = as_value((Node *) lfirst(cell));

			if (value == NULL || !cx_tags_is_key_type(key, getBaseType(exprType(value))))
				return false;
			found->values = lappend(found->values, value);
		}
		found->is_array = false;
		return list_length(found->values) <= CX_MAX_KEY_VALUES;
	}

	array = as_value(array);
	if (array == NULL)
		return false;
	found->values = list_make1(array);
	found->is_array = true;
	return true;
}

bool
cx_conditions_find(const cx_level *level, int entry, const cx_tracked_key *key,
				   List *conditions, cx_key_values *found)
{
	List	   *columns = list_make1(makeVar(entry, key->column, key->type, -1,
											 key->collation, 0));
	int			known;
	ListCell   *cell;

	do
	{
		known = list_length(columns);
		foreach(cell, conditions)
		{
			Node	   *condition = (Node *) lfirst(cell);

			if (IsA(condition, OpExpr) &&
				use_equality(level, key, (OpExpr *) condition, &columns, found))
				return true;
		}
	} while (list_length(columns) > known);

	foreach(cell, level->known)
	{
		cx_known_column *other = (cx_known_column *) lfirst(cell);

		if (is_among(columns, other->column) && cx_tags_is_key_type(key, other->key.type) &&
			same_key_collation(key, other->key.collation))
		{
			*found = other->values;
			return true;
		}
	}

	foreach(cell, conditions)
	{
		Node	   *condition = (Node *) lfirst(cell);

		if (IsA(condition, ScalarArrayOpExpr) &&
			use_any(level, key, (ScalarArrayOpExpr *) condition, columns, found))
			return true;
	}
	return false;
}

