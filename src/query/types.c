/*
 * query/types.c
 *		What turning values into text, JSON or back can depend on.
 *
 * A cast to text, concat() or to_json() run the output function of whatever type they meet; that of
 * an array runs its elements', that of a row its columns'.  Most depend on settings, which are in
 * every key.  Those of regclass and kin read the catalogs, and date and time input reads the clock
 * ('now', 'today'): somewhere inside, they make the statement one that can't be cached.
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

static bool review_record(cx_analysis *analysis, Node *expression, bool json);

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
				TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);

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
			return cx_analysis_refuse(analysis, "values of pseudo-type %s turned into text",
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
			return cx_analysis_refuse(analysis,
									  "text turned into type %s, which could mean the current time",
									  format_type_be(type));
	}

	if (get_typtype(type) == TYPTYPE_DOMAIN && !cx_types_review_domain(analysis, type))
		return false;
	if (!review_parts(analysis, type, review_input, &scalar))
		return false;
	if (!scalar)
		return true;
	getTypeInputInfo(type, &function, &parameter);
	return cx_functions_review_support(analysis, function);
}

/*
 * A column of a FROM item that holds an anonymous record, or, for attribute 0, the row of one.
 */
static bool
review_record_var(cx_analysis *analysis, Var *var, bool json)
{
	List	   *range_table;
	RangeTblEntry *rte;
	ListCell   *cell;

	if (var->varattno < 0 || var->varlevelsup >= list_length(analysis->levels))
		return cx_analysis_refuse(analysis, "anonymous record turned into text");
	range_table = (List *) list_nth(analysis->levels, var->varlevelsup);
	rte = rt_fetch(var->varno, range_table);

	if (rte->rtekind == RTE_SUBQUERY)
	{
		List	   *levels = analysis->levels;
		bool		fine = true;

		/* the expressions below are those of the subquery, one level further in */
		analysis->levels = lcons(rte->subquery->rtable,
								 list_copy_tail(levels, var->varlevelsup));
		foreach(cell, rte->subquery->targetList)
		{
			TargetEntry *target = lfirst_node(TargetEntry, cell);

			if (target->resjunk || (var->varattno != 0 && target->resno != var->varattno))
				continue;
			fine = cx_types_review_output(analysis, exprType((Node *) target->expr),
										  (Node *) target->expr, json);
			if (!fine)
				break;
		}
		analysis->levels = levels;
		return fine;
	}

	if (var->varattno == 0 && (rte->rtekind == RTE_CTE || rte->rtekind == RTE_VALUES ||
							   rte->rtekind == RTE_TABLEFUNC))
	{
		List	   *types = rte->rtekind == RTE_TABLEFUNC ? rte->tablefunc->coltypes :
			rte->coltypes;

		foreach(cell, types)
		{
			if (!cx_types_review_output(analysis, lfirst_oid(cell), NULL, json))
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
				if (!cx_types_review_output(analysis, type, NULL, json))
					return false;
				continue;
			}
			if (function->funccoltypes == NIL)
				return cx_analysis_refuse(analysis, "anonymous record turned into text");
			foreach(column, function->funccoltypes)
			{
				if (!cx_types_review_output(analysis, lfirst_oid(column), NULL, json))
					return false;
			}
		}
		return true;
	}

	return cx_analysis_refuse(analysis, "anonymous record turned into text");
}

/* An expression of type record or record[]. */
static bool
review_record(cx_analysis *analysis, Node *expression, bool json)
{
	ListCell   *cell;

	check_stack_depth();

	if (expression != NULL && IsA(expression, RowExpr))
	{
		foreach(cell, ((RowExpr *) expression)->args)
		{
			if (!cx_types_review_output(analysis, exprType((Node *) lfirst(cell)),
										(Node *) lfirst(cell), json))
				return false;
		}
		return true;
	}
	if (expression != NULL && IsA(expression, Var))
		return review_record_var(analysis, (Var *) expression, json);
	if (expression != NULL && IsA(expression, Aggref) &&
		((Aggref *) expression)->aggfnoid == F_ARRAY_AGG_ANYNONARRAY)
	{
		TargetEntry *argument = linitial_node(TargetEntry, ((Aggref *) expression)->args);

		return review_record(analysis, (Node *) argument->expr, json);
	}
	return cx_analysis_refuse(analysis, "anonymous record turned into text");
}

bool
cx_types_review_output(cx_analysis *analysis, Oid type, Node *expression, bool json)
{
	if (type == RECORDOID || type == RECORDARRAYOID)
		return review_record(analysis, expression, json);
	return json ? review_json(analysis, type) : review_output(analysis, type);
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
