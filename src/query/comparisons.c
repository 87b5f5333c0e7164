/*
 * query/comparisons.c
 *		The functions that PostgreSQL calls for an operator, a sort order or a comparison of rows
 *		besides those that the statement names.
 *
 * An operator that can be hashed is carried out by the hash functions of its operator family in a hash
 * join, one that can be merged by the family's ordering function; NOT (a = b) by the negator, b = a by the
 * commutator.  PostgreSQL believes the families' owners that all of them agree; none of them needs to
 * be IMMUTABLE.  What an index calls besides is left out: many support functions of indexes are VOLATILE for no
 * reason.
 *
 * PostgreSQL's own operators are taken to be in families of its own functions.
 */
#include "postgres.h"

#include "query/analysis.h"

#include "access/nbtree.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

static bool
review_if_valid(cx_analysis *analysis, Oid function)
{
	return !OidIsValid(function) || cx_functions_review_support(analysis, function);
}

static bool
review_function_of(cx_analysis *analysis, Oid operator)
{
	return !OidIsValid(operator) ||
		cx_functions_review_support(analysis, get_opcode(operator));
}

/* The functions by which a B-tree family orders values of these types. */
static bool
review_order(cx_analysis *analysis, Oid family, Oid left, Oid right)
{
	return review_if_valid(analysis, get_opfamily_proc(family, left, right, BTORDER_PROC)) &&
		review_if_valid(analysis, get_opfamily_proc(family, left, right, BTSORTSUPPORT_PROC));
}

static bool
review_hash(cx_analysis *analysis, Oid operator)
{
	RegProcedure left;
	RegProcedure right;

	return !get_op_hash_functions(operator, &left, &right) ||
		(review_if_valid(analysis, left) && review_if_valid(analysis, right));
}

bool
cx_comparisons_review_operator(cx_analysis *analysis, Oid operator)
{
	ListCell   *cell;

	if (operator < FirstNormalObjectId)
		return true;
	if (!review_function_of(analysis, get_negator(operator)) ||
		!review_function_of(analysis, get_commutator(operator)) ||
		!review_hash(analysis, operator))
		return false;
	foreach(cell, get_mergejoin_opfamilies(operator))
	{
		Oid			family = lfirst_oid(cell);
		int			strategy;
		Oid			left;
		Oid			right;

		get_op_opfamily_properties(operator, family, false, &strategy, &left, &right);
		if (!review_order(analysis, family, left, left) ||
			!review_order(analysis, family, left, right) ||
			!review_order(analysis, family, right, right))
			return false;
	}
	return true;
}

bool
cx_comparisons_review_sort(cx_analysis *analysis, const SortGroupClause *clause)
{
	Oid			family;
	Oid			type;
	int16		strategy;

	if (!review_function_of(analysis, clause->eqop) ||
		!review_function_of(analysis, clause->sortop))
		return false;
	if (clause->eqop >= FirstNormalObjectId && !review_hash(analysis, clause->eqop))
		return false;
	return clause->sortop < FirstNormalObjectId ||
		!get_ordering_op_properties(clause->sortop, &family, &type, &strategy) ||
		review_order(analysis, family, type, type);
}

/* Values of other pseudo-types are compared by nobody. */
static bool
review_values(cx_analysis *analysis, List *expressions)
{
	ListCell   *cell;

	foreach(cell, expressions)
	{
		Node	   *value = (Node *) lfirst(cell);
		Oid			type = exprType(value);

		if ((get_typtype(type) != TYPTYPE_PSEUDO || type == RECORDOID ||
			 type == RECORDARRAYOID) &&
			!cx_types_review_comparison(analysis, type, value))
			return false;
	}
	return true;
}

/* (a, b) < (c, d) is carried out by ordering functions alone. */
bool
cx_comparisons_review_rows(cx_analysis *analysis, const RowCompareExpr *comparison)
{
	ListCell   *operator;
	ListCell   *family;

	forboth(operator, comparison->opnos, family, comparison->opfamilies)
	{
		int			strategy;
		Oid			left;
		Oid			right;

		get_op_opfamily_properties(lfirst_oid(operator), lfirst_oid(family), false, &strategy,
								   &left, &right);
		if (!review_function_of(analysis, lfirst_oid(operator)) ||
			!review_order(analysis, lfirst_oid(family), left, right))
			return false;
	}
	return review_values(analysis, comparison->largs) &&
		review_values(analysis, comparison->rargs);
}

/* Of the built-in functions that take values of any type, those that only pass them on or count them. */
static bool
compares_nothing(Oid function)
{
	switch (function)
	{
		case F_ARRAY_AGG_ANYARRAY:
		case F_ARRAY_AGG_ANYNONARRAY:
		case F_ARRAY_APPEND:
		case F_ARRAY_CAT:
		case F_ARRAY_DIMS:
		case F_ARRAY_FILL_ANYELEMENT__INT4:
		case F_ARRAY_FILL_ANYELEMENT__INT4__INT4:
		case F_ARRAY_LENGTH:
		case F_ARRAY_LOWER:
		case F_ARRAY_NDIMS:
		case F_ARRAY_PREPEND:
		case F_ARRAY_UPPER:
		case F_CARDINALITY:
		case F_COUNT_ANY:
		case F_FIRST_VALUE:
		case F_GENERATE_SUBSCRIPTS_ANYARRAY_INT4:
		case F_GENERATE_SUBSCRIPTS_ANYARRAY_INT4_BOOL:
		case F_ISEMPTY_ANYMULTIRANGE:
		case F_ISEMPTY_ANYRANGE:
		case F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
		case F_LAG_ANYELEMENT:
		case F_LAG_ANYELEMENT_INT4:
		case F_LAST_VALUE:
		case F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
		case F_LEAD_ANYELEMENT:
		case F_LEAD_ANYELEMENT_INT4:
		case F_LOWER_ANYMULTIRANGE:
		case F_LOWER_ANYRANGE:
		case F_NTH_VALUE:
		case F_NUM_NONNULLS:
		case F_NUM_NULLS:
		case F_TRIM_ARRAY:
		case F_UNNEST_ANYARRAY:
		case F_UNNEST_ANYMULTIRANGE:
		case F_UPPER_ANYMULTIRANGE:
		case F_UPPER_ANYRANGE:
			return true;
		default:
			return false;
	}
}

static bool
takes_any_type(Form_pg_proc function)
{
	for (int i = 0; i < function->pronargs; i++)
	{
		Oid			type = function->proargtypes.values[i];

		if (IsPolymorphicType(type) || type == ANYOID || type == RECORDOID ||
			type == RECORDARRAYOID)
			return true;
	}
	return false;
}

/*
 * Any other may compare them.  Two anonymous records are compared only if their columns have the same
 * types, so one whose columns are known tells of the others.
 */
bool
cx_comparisons_review_arguments(cx_analysis *analysis, Form_pg_proc function, List *arguments)
{
	bool		row_known = false;
	ListCell   *cell;

	if (arguments == NIL || !takes_any_type(function) || compares_nothing(function->oid))
		return true;
	foreach(cell, arguments)
	{
		Node	   *argument = (Node *) lfirst(cell);

		row_known |= IsA(argument, RowExpr);
	}
	foreach(cell, arguments)
	{
		Node	   *argument = (Node *) lfirst(cell);
		Oid			type;

		if (IsA(argument, TargetEntry))
			argument = (Node *) ((TargetEntry *) argument)->expr;
		type = exprType(argument);
		if (row_known && !IsA(argument, RowExpr) &&
			(type == RECORDOID || type == RECORDARRAYOID))
			continue;
		if (!cx_types_review_comparison(analysis, type, argument))
			return false;
	}
	return true;
}

/* Making a range compares its bounds. */
bool
cx_comparisons_review_values(cx_analysis *analysis, List *arguments, Oid result_type)
{
	char		kind = OidIsValid(result_type) ? get_typtype(result_type) : TYPTYPE_BASE;

	return review_values(analysis, arguments) &&
		((kind != TYPTYPE_RANGE && kind != TYPTYPE_MULTIRANGE) ||
		 cx_types_review_comparison(analysis, result_type, NULL));
}
