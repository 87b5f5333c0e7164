/*
 * query/types.c
 *		What turning values into text, JSON or back, and comparing them, can depend on.
 *
 * A cast to text, concat() or to_json() run the output function of whatever type they meet; that of
 * an array runs its elements', that of a row its columns'.  Most depend on settings, which are in
 * every key.  Those of regclass and kin read the catalogs, and date and time input reads the clock
 * ('now', 'today'): somewhere inside, they make the statement one that can't be cached.
 *
 * Comparing values that are made of others (arrays, rows, ranges) takes built-in functions that are
 * IMMUTABLE, but call what the default operator classes of the actual types name, which may be anybody's.
 *
 * A type that was found fine is remembered for the analysis, before its parts are looked at, so
 * that a type that holds itself ends there.
 */
#include "postgres.h"

#include "query/analysis.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* What a reviewer does with each part of a type. */
typedef bool (*part_reviewer) (cx_analysis *analysis, Oid type);

/* What is done with a value. */
typedef enum value_use
{
	USE_TEXT,
	USE_JSON,
	USE_COMPARISON
} value_use;

static bool review_value(cx_analysis *analysis, Oid type, Node *expression, value_use use);

/*
 * Calls reviewer for the types that values of a type are made of.  False as soon as it says so;
 * *scalar is set where there are none.
 */
static bool
review_parts(cx_analysis *analysis, Oid type, part_reviewer reviewer, bool *scalar)
{
	Oid			element = get_element_type(type);

	*scalar = type == UNKNOWNOID;	/* a literal that concat('x') and the like take as it is */
	if (*scalar)
		return true;
	if (OidIsValid(element))
		return reviewer(analysis, element);

	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return reviewer(analysis, getBaseType(type));

		case TYPTYPE_RANGE:
			return reviewer(analysis, get_range_subtype(type));

		case TYPTYPE_MULTIRANGE:
			return reviewer(analysis, get_multirange_range(type));

		case TYPTYPE_COMPOSITE:
			{
				TupleDesc	desc = cx_relations_row_type(analysis, type);

				if (desc == NULL)
					return false;
				for (int i = 0; i < desc->natts; i++)
				{
					if (!TupleDescAttr(desc, i)->attisdropped &&
						!reviewer(analysis, TupleDescAttr(desc, i)->atttypid))
						return false;
				}
				return true;
			}

		case TYPTYPE_ENUM:
			return true;		/* labels change by DDL only */

		case TYPTYPE_PSEUDO:
			return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
										 "values of pseudo-type %s turned into text",
										 format_type_be(type));

		default:
			*scalar = true;
			return true;
	}
}

static bool
review_output(cx_analysis *analysis, Oid type)
{
	bool		scalar;
	bool		varlena;
	Oid			function;

	check_stack_depth();
	if (list_member_oid(analysis->outputs, type))
		return true;
	analysis->outputs = lappend_oid(analysis->outputs, type);

	if (!review_parts(analysis, type, review_output, &scalar))
		return false;
	if (!scalar)
		return true;
	getTypeOutputInfo(type, &function, &varlena);
	return cx_functions_review_support(analysis, function);
}

/* JSON knows arrays, rows and some built-in types; for any other type it looks for a cast. */
static bool
review_json(cx_analysis *analysis, Oid type)
{
	bool		scalar;
	Oid			cast_function;

	check_stack_depth();
	if (list_member_oid(analysis->json_outputs, type))
		return true;
	analysis->json_outputs = lappend_oid(analysis->json_outputs, type);

	if (type >= FirstNormalObjectId &&
		find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &cast_function) ==
		COERCION_PATH_FUNC &&
		!cx_functions_review_support(analysis, cast_function))
		return false;
	if (!review_parts(analysis, type, review_json, &scalar))
		return false;
	return !scalar || review_output(analysis, type);
}

/*
 * The functions that compare and hash values of a type, and of what it is made of.  PostgreSQL finds them in
 * its type cache, whatever function or operator they are called for.
 */
static bool
review_comparison(cx_analysis *analysis, Oid type)
{
	TypeCacheEntry *entry;
	bool		range = get_typtype(type) == TYPTYPE_RANGE;
	bool		scalar;

	check_stack_depth();
	if (type == UNKNOWNOID || list_member_oid(analysis->compared, type))
		return true;
	analysis->compared = lappend_oid(analysis->compared, type);
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		return cx_analysis_refuse(analysis, "values of pseudo-type %s compared",
								  format_type_be(type));

	entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR | TYPECACHE_GT_OPR |
							  TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC |
							  TYPECACHE_HASH_EXTENDED_PROC | (range ? TYPECACHE_RANGE_INFO : 0));
	{
		Oid			functions[] = {
			OidIsValid(entry->eq_opr) ? get_opcode(entry->eq_opr) : InvalidOid,
			OidIsValid(entry->lt_opr) ? get_opcode(entry->lt_opr) : InvalidOid,
			OidIsValid(entry->gt_opr) ? get_opcode(entry->gt_opr) : InvalidOid,
			entry->cmp_proc, entry->hash_proc, entry->hash_extended_proc,
			range ? entry->rng_cmp_proc_finfo.fn_oid : InvalidOid
		};

		for (int i = 0; i < lengthof(functions); i++)
		{
			if (OidIsValid(functions[i]) &&
				!cx_functions_review_support(analysis, functions[i]))
				return false;
		}
	}
	return review_parts(analysis, type, review_comparison, &scalar);
}

static bool
review_input(cx_analysis *analysis, Oid type)
{
	bool		scalar;
	Oid			function;
	Oid			parameter;

	check_stack_depth();
	if (list_member_oid(analysis->inputs, type))
		return true;
	analysis->inputs = lappend_oid(analysis->inputs, type);

	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
										 "text turned into type %s, which could mean the current time",
										 format_type_be(type));
	}

	if (get_typtype(type) == TYPTYPE_DOMAIN && !cx_types_review_domain(analysis, type))
		return false;
	if (get_typtype(type) == TYPTYPE_RANGE && !review_comparison(analysis, type))
		return false;			/* which bound is the lower one */
	if (!review_parts(analysis, type, review_input, &scalar))
		return false;
	if (!scalar)
		return true;
	getTypeInputInfo(type, &function, &parameter);
	return cx_functions_review_support(analysis, function);
}

static bool
refuse_record(cx_analysis *analysis, value_use use)
{
	return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE, use == USE_COMPARISON ?
								 "anonymous record compared" :
								 "anonymous record turned into text");
}

static bool review_columns(cx_analysis *analysis, Query *query, AttrNumber column,
						   List *levels_around, value_use use);

/*
 * A column of records in UNION and the like: each part has its own.
 */
static bool
review_column_of_parts(cx_analysis *analysis, Node *part, Query *query, AttrNumber column,
					   List *levels_around, value_use use)
{
	RangeTblEntry *rte;

	check_stack_depth();
	if (IsA(part, SetOperationStmt))
		return review_column_of_parts(analysis, ((SetOperationStmt *) part)->larg, query, column,
									  levels_around, use) &&
			review_column_of_parts(analysis, ((SetOperationStmt *) part)->rarg, query, column,
								   levels_around, use);
	rte = rt_fetch(castNode(RangeTblRef, part)->rtindex, query->rtable);
	return review_columns(analysis, rte->subquery, column,
						  lcons(query, list_copy(levels_around)), use);
}

/* The columns of a query, or one of them, whose expressions are in the query itself. */
static bool
review_columns(cx_analysis *analysis, Query *query, AttrNumber column, List *levels_around,
			   value_use use)
{
	List	   *levels = analysis->levels;
	ListCell   *cell;
	bool		fine = true;

	check_stack_depth();
	analysis->levels = lcons(query, list_copy(levels_around));
	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		Oid			type;

		if (target->resjunk || (column != 0 && target->resno != column))
			continue;
		type = exprType((Node *) target->expr);
		if (query->setOperations != NULL && (type == RECORDOID || type == RECORDARRAYOID))
			fine = review_column_of_parts(analysis, query->setOperations, query, target->resno,
										  levels_around, use);
		else
			fine = review_value(analysis, type, (Node *) target->expr, use);
		if (!fine)
			break;
	}
	analysis->levels = levels;
	return fine;
}

/* The query of a CTE, and the queries around it; NULL if not to be found. */
static Query *
find_common_table(cx_analysis *analysis, const RangeTblEntry *rte, int level, List **around)
{
	ListCell   *cell;

	level += rte->ctelevelsup;
	if (level >= list_length(analysis->levels))
		return NULL;
	*around = list_copy_tail(analysis->levels, level);
	foreach(cell, linitial_node(Query, *around)->cteList)
	{
		CommonTableExpr *table = lfirst_node(CommonTableExpr, cell);

		if (strcmp(table->ctename, rte->ctename) == 0 && IsA(table->ctequery, Query))
			return (Query *) table->ctequery;
	}
	return NULL;
}

/*
 * A column of a FROM item that holds an anonymous record, or, for attribute 0, the row of one.
 */
static bool
review_record_var(cx_analysis *analysis, Var *var, value_use use)
{
	RangeTblEntry *rte;
	ListCell   *cell;

	if (var->varattno < 0 || var->varlevelsup >= list_length(analysis->levels))
		return refuse_record(analysis, use);
	rte = rt_fetch(var->varno, ((Query *) list_nth(analysis->levels, var->varlevelsup))->rtable);

	if (rte->rtekind == RTE_SUBQUERY)
		return review_columns(analysis, rte->subquery, var->varattno,
							  list_copy_tail(analysis->levels, var->varlevelsup), use);

	if (rte->rtekind == RTE_CTE)
	{
		List	   *around;
		Query	   *query;

		/* where a recursive one reads itself: it is being reviewed, with all its parts */
		if (rte->self_reference)
			return true;
		query = find_common_table(analysis, rte, var->varlevelsup, &around);
		return query == NULL ? refuse_record(analysis, use) :
			review_columns(analysis, query, var->varattno, around, use);
	}

	if (var->varattno == 0 && (rte->rtekind == RTE_VALUES || rte->rtekind == RTE_TABLEFUNC))
	{
		List	   *types = rte->rtekind == RTE_TABLEFUNC ? rte->tablefunc->coltypes :
			rte->coltypes;

		foreach(cell, types)
		{
			if (!review_value(analysis, lfirst_oid(cell), NULL, use))
				return false;
		}
		return true;
	}

	if (var->varattno == 0 && rte->rtekind == RTE_FUNCTION)
	{
		ListCell   *column;

		foreach(cell, rte->functions)
		{
			RangeTblFunction *function = lfirst_node(RangeTblFunction, cell);
			Oid			type = exprType(function->funcexpr);

			if (type != RECORDOID)
			{
				if (!review_value(analysis, type, NULL, use))
					return false;
				continue;
			}
			if (function->funccoltypes == NIL)
				return refuse_record(analysis, use);
			foreach(column, function->funccoltypes)
			{
				if (!review_value(analysis, lfirst_oid(column), NULL, use))
					return false;
			}
		}
		return true;
	}

	return refuse_record(analysis, use);
}

/* An expression of type record or record[]. */
static bool
review_record(cx_analysis *analysis, Node *expression, value_use use)
{
	ListCell   *cell;

	check_stack_depth();

	if (expression != NULL && IsA(expression, RowExpr))
	{
		foreach(cell, ((RowExpr *) expression)->args)
		{
			if (!review_value(analysis, exprType((Node *) lfirst(cell)),
										(Node *) lfirst(cell), use))
				return false;
		}
		return true;
	}
	if (expression != NULL &&
		(IsA(expression, ArrayExpr) ||
		 (IsA(expression, FuncExpr) && ((FuncExpr *) expression)->funcid == F_ARRAY_CAT)))
	{
		List	   *parts = IsA(expression, ArrayExpr) ? ((ArrayExpr *) expression)->elements :
			((FuncExpr *) expression)->args;

		foreach(cell, parts)
		{
			if (!review_record(analysis, (Node *) lfirst(cell), use))
				return false;
		}
		return true;
	}
	if (expression != NULL && IsA(expression, Var))
		return review_record_var(analysis, (Var *) expression, use);
	if (expression != NULL && IsA(expression, Aggref) &&
		((Aggref *) expression)->aggfnoid == F_ARRAY_AGG_ANYNONARRAY)
	{
		TargetEntry *argument = linitial_node(TargetEntry, ((Aggref *) expression)->args);

		return review_record(analysis, (Node *) argument->expr, use);
	}
	return refuse_record(analysis, use);
}

static bool
review_value(cx_analysis *analysis, Oid type, Node *expression, value_use use)
{
	if (type == RECORDOID || type == RECORDARRAYOID)
		return review_record(analysis, expression, use);
	switch (use)
	{
		case USE_TEXT:
			return review_output(analysis, type);
		case USE_JSON:
			return review_json(analysis, type);
		case USE_COMPARISON:
			break;
	}
	return review_comparison(analysis, type);
}

bool
cx_types_review_output(cx_analysis *analysis, Oid type, Node *expression, bool json)
{
	return review_value(analysis, type, expression, json ? USE_JSON : USE_TEXT);
}

bool
cx_types_review_set_operation(cx_analysis *analysis, const SetOperationStmt *operation, int column)
{
	return review_column_of_parts(analysis, (Node *) unconstify(SetOperationStmt *, operation),
								  linitial_node(Query, analysis->levels), column + 1,
								  list_copy_tail(analysis->levels, 1), USE_COMPARISON);
}

bool
cx_types_review_comparison(cx_analysis *analysis, Oid type, Node *expression)
{
	return review_value(analysis, type, expression, USE_COMPARISON);
}

bool
cx_types_review_input(cx_analysis *analysis, Oid type)
{
	return review_input(analysis, type);
}

/* What a domain is over: another domain, or its base type. */
static Oid
domain_base(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			base;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	base = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
	ReleaseSysCache(tuple);
	return base;
}

/*
 * The CHECK constraints of a domain and of the domains below it, as they are stored.  The type cache has
 * them planned, and planning them computes IMMUTABLE calls of constants: code of the domain's owner, which
 * a statement that only casts text to an array of the domain runs for its first row, if it has one.
 */
static List *
list_constraints(Oid type)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	List	   *expressions = NIL;

	for (; get_typtype(type) == TYPTYPE_DOMAIN; type = domain_base(type))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(type));
		scan = systable_beginscan(constraints, ConstraintTypidIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			bool		isnull;
			Datum		stored = heap_getattr(tuple, Anum_pg_constraint_conbin,
											  RelationGetDescr(constraints), &isnull);

			if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK && !isnull)
				expressions = lappend(expressions, stringToNode(TextDatumGetCString(stored)));
		}
		systable_endscan(scan);
	}
	table_close(constraints, AccessShareLock);
	return expressions;
}

bool
cx_types_review_domain(cx_analysis *analysis, Oid type)
{
	ListCell   *cell;

	if (list_member_oid(analysis->domains, type))
		return true;
	analysis->domains = lappend_oid(analysis->domains, type);

	foreach(cell, list_constraints(type))
	{
		if (!cx_eligible_expression(analysis, (Node *) lfirst(cell)))
			return false;
	}
	return true;
}
