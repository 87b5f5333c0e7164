/*
 * query/eligible.c
 *		May the result of a query be cached?  The walk over all of it.
 *
 * 1. The default is no: every kind of node, range table entry and parameter that is let through is
 *    named here; what a new PostgreSQL version adds is refused until somebody has looked at it.
 * 2. Every function that the executor would call for the query is reviewed: see functions.c.
 * 3. The tree is not changed.  (So no check_functions_in_node(), which fills in opfuncid.)
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/analysis.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

static bool walk(Node *node, void *context);

static bool
refuse_part(cx_analysis *analysis, const char *what)
{
	return cx_analysis_refuse(analysis, "%s", what);
}

/*
 * Is a node's value decided by rows or parameters?  A column of what is no table counts as a constant:
 * planning may pull a subquery up, and its columns' expressions take their place.
 */
static bool
depends_on_rows(Node *node, void *context)
{
	cx_analysis *analysis = context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			{
				Var		   *var = (Var *) node;
				const Query *query;

				if (var->varlevelsup >= list_length(analysis->levels))
					return true;
				query = list_nth_node(Query, analysis->levels, var->varlevelsup);
				return rt_fetch(var->varno, query->rtable)->rtekind == RTE_RELATION;
			}
		case T_Param:
			/* an argument of the function around may be a constant, once the body is inlined */
			return !analysis->in_body;
		case T_Aggref:
		case T_WindowFunc:
		case T_GroupingFunc:
		case T_SubLink:
			return true;
		default:
			return expression_tree_walker(node, depends_on_rows, context);
	}
}

/*
 * Is the result of an IMMUTABLE function really fixed by its arguments, for built-in ones?  Output functions
 * and quote_ident() follow settings (extra_float_digits).  Text search reads its configurations, and
 * whatever takes arguments of any type reads what that type is made of.
 */
static bool
is_fixed(Oid function)
{
	Oid		   *types;
	int			count;
	bool		fixed = true;

	if (function >= FirstNormalObjectId || function == F_QUOTE_IDENT ||
		get_func_signature(function, &types, &count) == CSTRINGOID)
		return false;
	for (int i = 0; i < count && fixed; i++)
		fixed = types[i] != REGCONFIGOID && types[i] != REGDICTIONARYOID && types[i] != NAMEOID &&
			types[i] != RECORDOID && !IsPolymorphicType(types[i]);
	pfree(types);
	return fixed;
}

/*
 * Notes an expression that planning computes, since it has no rows to depend on, though settings or
 * catalogs decide its value: the plan keeps it.  function: InvalidOid for a cast by output and input.
 */
static void
note_folding(cx_analysis *analysis, Node *node, Oid function)
{
	cx_statement *statement = analysis->statement;

	/* contain_mutable_functions() fills in what the tree leaves open, hence the copy */
	if (!statement->folds && !(OidIsValid(function) && is_fixed(function)) &&
		!depends_on_rows(node, analysis))
		statement->folds = !contain_mutable_functions(copyObject(node));
}

static bool
review_operator(cx_analysis *analysis, Oid operator, List *arguments, Oid result_type)
{
	return cx_functions_review_call(analysis, get_opcode(operator), arguments, result_type, NIL) &&
		cx_comparisons_review_operator(analysis, operator);
}

static bool
review_window(cx_analysis *analysis, const WindowClause *window)
{
	return (!OidIsValid(window->startInRangeFunc) ||
			cx_functions_review_support(analysis, window->startInRangeFunc)) &&
		(!OidIsValid(window->endInRangeFunc) ||
		 cx_functions_review_support(analysis, window->endInRangeFunc));
}

static bool
review_parameter(cx_analysis *analysis, const Param *param)
{
	cx_statement *statement = analysis->statement;
	cx_parameter *parameter;
	int			i;

	if (param->paramkind == PARAM_SUBLINK)
		return true;			/* a column of the subquery, in x IN (SELECT ...) */
	if (param->paramkind == PARAM_EXTERN && analysis->in_body)
		return true;			/* an argument or a variable of the function, fixed by its arguments */
	if (param->paramkind != PARAM_EXTERN)
		return refuse_part(analysis, "a parameter of an enclosing plan");
	if (get_typtype(param->paramtype) == TYPTYPE_PSEUDO ||
		param->paramtype == RECORDARRAYOID)
		return cx_analysis_refuse(analysis, "parameter $%d has pseudo-type %s", param->paramid,
								  format_type_be(param->paramtype));

	for (i = 0; i < statement->parameter_count; i++)
	{
		if (statement->parameters[i].id == param->paramid)
			return statement->parameters[i].type == param->paramtype ||
				cx_analysis_refuse(analysis, "parameter $%d has two types", param->paramid);
		if (statement->parameters[i].id > param->paramid)
			break;
	}

	if (statement->parameters == NULL)
		statement->parameters = palloc(sizeof(cx_parameter));
	else
		statement->parameters = repalloc(statement->parameters, sizeof(cx_parameter) *
										 (statement->parameter_count + 1));
	memmove(&statement->parameters[i + 1], &statement->parameters[i],
			sizeof(cx_parameter) * (statement->parameter_count - i));
	statement->parameter_count++;

	parameter = &statement->parameters[i];
	memset(parameter, 0, sizeof(*parameter));
	parameter->id = param->paramid;
	parameter->type = param->paramtype;
	get_typlenbyval(parameter->type, &parameter->length, &parameter->by_value);
	return true;
}

static bool
review_user_function(cx_analysis *analysis, const SQLValueFunction *function)
{
	switch (function->op)
	{
		case SVFOP_CURRENT_ROLE:
		case SVFOP_CURRENT_USER:
		case SVFOP_USER:
			analysis->statement->needs_user = true;
			return cx_functions_check_immutable(analysis, "the current user");
		case SVFOP_SESSION_USER:
			analysis->statement->needs_session_user = true;
			return cx_functions_check_immutable(analysis, "the session's user");
		case SVFOP_CURRENT_CATALOG:
			return refuse_part(analysis, "current_catalog");
		case SVFOP_CURRENT_SCHEMA:
			return refuse_part(analysis, "current_schema");
		default:
			return cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD,
										 "the current date or time");
	}
}

static bool
review_xml(cx_analysis *analysis, const XmlExpr *expression)
{
	ListCell   *cell;

	foreach(cell, list_concat_copy(expression->named_args, expression->args))
	{
		Node	   *argument = (Node *) lfirst(cell);

		if (!cx_types_review_output(analysis, exprType(argument), argument, false))
			return false;
	}
	return true;
}

static bool
review_table_function(cx_analysis *analysis, const TableFunc *function)
{
	ListCell   *cell;

	foreach(cell, function->coltypes)
	{
		if (!cx_types_review_input(analysis, lfirst_oid(cell)) ||
			!cx_relations_add_row_types(analysis, lfirst_oid(cell)))
			return false;
	}
	return true;
}

/*
 * A function in FROM.  What json_to_record() and kin do is decided by the columns listed there, so
 * such a call is reviewed here and only its arguments are walked.
 */
static bool
walk_range_function(cx_analysis *analysis, const RangeTblFunction *function)
{
	FuncExpr   *call = (FuncExpr *) function->funcexpr;
	ListCell   *cell;

	if (function->funccoltypes == NIL || !IsA(call, FuncExpr))
		return walk((Node *) call, analysis);

	foreach(cell, function->funccoltypes)
	{
		if (!cx_relations_add_row_types(analysis, lfirst_oid(cell)))
			return true;
	}
	return !cx_functions_review_call(analysis, call->funcid, call->args, call->funcresulttype,
									 function->funccoltypes) ||
		walk((Node *) call->args, analysis);
}

static bool
review_range_entry(cx_analysis *analysis, const RangeTblEntry *rte)
{
	if (rte->rtekind == RTE_RELATION || rte->relkind == RELKIND_VIEW)
	{
		if (!cx_relations_add(analysis, rte))
			return false;
	}

	switch (rte->rtekind)
	{
		case RTE_RELATION:
		case RTE_SUBQUERY:
		case RTE_JOIN:
		case RTE_FUNCTION:
		case RTE_TABLEFUNC:
		case RTE_VALUES:
		case RTE_CTE:
		case RTE_RESULT:
			return true;
		case RTE_NAMEDTUPLESTORE:
			return refuse_part(analysis, "a transition table");
		default:
			return refuse_part(analysis, "an unknown kind of FROM item");
	}
}

/* What a call of a window function or of an aggregate holds as arguments. */
static bool
review_aggregate(cx_analysis *analysis, const Aggref *aggregate)
{
	return cx_functions_review_call(analysis, aggregate->aggfnoid,
									list_concat_copy(aggregate->aggdirectargs, aggregate->args),
									aggregate->aggtype, NIL);
}

static bool
review_subscript(cx_analysis *analysis, const SubscriptingRef *reference)
{
	Oid			element;
	RegProcedure handler = get_typsubscript(reference->refcontainertype, &element);

	return !OidIsValid(handler) || handler < FirstNormalObjectId ||
		cx_functions_review_support(analysis, handler);
}

/*
 * An expression that can be cached, as far as it itself goes: its arguments are walked after.
 */
static bool
review_expression(cx_analysis *analysis, Node *node)
{
	ListCell   *cell;
	List	   *rendered;
	Oid			returned;

	switch (nodeTag(node))
	{
		case T_Const:
		case T_GroupingFunc:
		case T_NamedArgExpr:
		case T_BoolExpr:
		case T_SubLink:
		case T_FieldSelect:
		case T_FieldStore:
		case T_RelabelType:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CoerceToDomainValue:
			return true;

		case T_Var:
			return ((Var *) node)->varattno >= 0 || refuse_part(analysis, "a system column");

		case T_Param:
			return review_parameter(analysis, (Param *) node);

		case T_Aggref:
			return review_aggregate(analysis, (Aggref *) node);

		case T_WindowFunc:
			{
				WindowFunc *call = (WindowFunc *) node;

				return cx_functions_review_call(analysis, call->winfnoid, call->args,
												call->wintype, NIL);
			}

		case T_FuncExpr:
			{
				FuncExpr   *call = (FuncExpr *) node;

				note_folding(analysis, node, call->funcid);
				return cx_functions_review_call(analysis, call->funcid, call->args,
												call->funcresulttype, NIL);
			}

		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			{
				OpExpr	   *call = (OpExpr *) node;

				note_folding(analysis, node, get_opcode(call->opno));
				return review_operator(analysis, call->opno, call->args, call->opresulttype);
			}

		case T_ScalarArrayOpExpr:
			{
				ScalarArrayOpExpr *call = (ScalarArrayOpExpr *) node;

				note_folding(analysis, node, get_opcode(call->opno));
				return review_operator(analysis, call->opno, call->args, BOOLOID);
			}

		case T_RowCompareExpr:
			return cx_comparisons_review_rows(analysis, (RowCompareExpr *) node);

		case T_SubscriptingRef:
			return review_subscript(analysis, (SubscriptingRef *) node);

		case T_CoerceViaIO:
			{
				CoerceViaIO *cast = (CoerceViaIO *) node;

				note_folding(analysis, node, InvalidOid);
				return cx_types_review_output(analysis, exprType((Node *) cast->arg),
											  (Node *) cast->arg, false) &&
					cx_types_review_input(analysis, cast->resulttype);
			}

		case T_MinMaxExpr:
			{
				MinMaxExpr *choice = (MinMaxExpr *) node;

				return cx_types_review_comparison(analysis, choice->minmaxtype,
												  (Node *) linitial(choice->args));
			}

		case T_SQLValueFunction:
			return review_user_function(analysis, (SQLValueFunction *) node);

		case T_XmlExpr:
			return review_xml(analysis, (XmlExpr *) node);

		case T_CoerceToDomain:
			return cx_types_review_domain(analysis, ((CoerceToDomain *) node)->resulttype);

		case T_NextValueExpr:
			return refuse_part(analysis, "the next value of a sequence");

		default:
			break;
	}

	if (!cx_json_expression(node, &rendered, &returned))
		return refuse_part(analysis, "an unknown kind of expression");
	if (OidIsValid(returned) && !cx_types_review_input(analysis, returned))
		return false;
	foreach(cell, rendered)
	{
		Node	   *argument = (Node *) lfirst(cell);

		if (!cx_types_review_output(analysis, exprType(argument), argument, true))
			return false;
	}
	return true;
}

/* Duplicates are found by comparing rows. */
static bool
review_set_operation(cx_analysis *analysis, const SetOperationStmt *operation)
{
	ListCell   *cell;

	foreach(cell, operation->groupClauses)
	{
		if (!cx_comparisons_review_sort(analysis, lfirst_node(SortGroupClause, cell)))
			return false;
	}
	if (operation->groupClauses == NIL)
		return true;
	foreach(cell, operation->colTypes)
	{
		Oid			type = lfirst_oid(cell);

		if (type == RECORDOID || type == RECORDARRAYOID)
		{
			/* SEARCH and CYCLE make such columns */
			if (!cx_types_review_set_operation(analysis, operation, foreach_current_index(cell)))
				return false;
		}
		else if (!cx_types_review_comparison(analysis, type, NULL))
			return false;
	}
	return true;
}

/* Of one query, at whatever depth: what is no expression. */
static bool
review_query(cx_analysis *analysis, const Query *query)
{
	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL ||
		query->hasModifyingCTE || query->returningList != NIL)
		return refuse_part(analysis, "not a plain SELECT");
	if (query->rowMarks != NIL || query->hasForUpdate)
		return refuse_part(analysis, "FOR UPDATE or FOR SHARE");
	if (query->hasRowSecurity)
	{
		analysis->statement->needs_user = true;
		analysis->statement->needs_row_security = true;
	}
	return true;
}

static bool
walk_query(cx_analysis *analysis, Query *query)
{
	bool		stopped;
	ListCell   *cell;

	check_stack_depth();
	if (!review_query(analysis, query))
		return true;

	/* first, since most of what is refused reads a table that is not tracked */
	foreach(cell, query->rtable)
	{
		if (!review_range_entry(analysis, lfirst_node(RangeTblEntry, cell)))
			return true;
	}

	analysis->levels = lcons(query, analysis->levels);
	stopped = query_tree_walker(query, walk, analysis, QTW_EXAMINE_SORTGROUP);
	analysis->levels = list_delete_first(analysis->levels);
	return stopped;
}

/* For expression_tree_walker(): true stops. */
static bool
walk(Node *node, void *context)
{
	cx_analysis *analysis = (cx_analysis *) context;

	if (node == NULL)
		return false;
	check_stack_depth();

	switch (nodeTag(node))
	{
		case T_Query:
			return walk_query(analysis, (Query *) node);

		case T_RangeTblFunction:
			return walk_range_function(analysis, (RangeTblFunction *) node);

		case T_TableFunc:
			if (!review_table_function(analysis, (TableFunc *) node))
				return true;
			return expression_tree_walker(node, walk, context);

		case T_SortGroupClause:
			return !cx_comparisons_review_sort(analysis, (SortGroupClause *) node);

		case T_WindowClause:
			if (!review_window(analysis, (WindowClause *) node))
				return true;
			return expression_tree_walker(node, walk, context);

		case T_SetOperationStmt:
			if (!review_set_operation(analysis, (SetOperationStmt *) node))
				return true;
			return expression_tree_walker(node, walk, context);

		case T_CTECycleClause:
			if (!cx_functions_review_support(analysis,
											 get_opcode(((CTECycleClause *) node)->cycle_mark_neop)))
				return true;
			return expression_tree_walker(node, walk, context);

		case T_TargetEntry:
			{
				TargetEntry *target = (TargetEntry *) node;

				/* of ORDER BY, GROUP BY, DISTINCT, a window or an aggregate */
				if (target->ressortgroupref != 0 &&
					!cx_types_review_comparison(analysis, exprType((Node *) target->expr),
												(Node *) target->expr))
					return true;
				return expression_tree_walker(node, walk, context);
			}

		case T_TableSampleClause:
			refuse_part(analysis, "TABLESAMPLE");
			return true;

		case T_List:
		case T_FromExpr:
		case T_JoinExpr:
		case T_RangeTblRef:
		case T_CommonTableExpr:
		case T_CTESearchClause:
		case T_CaseWhen:
			return expression_tree_walker(node, walk, context);

		default:
			if (!review_expression(analysis, node) ||
				!cx_relations_add_row_types(analysis, exprType(node)))
				return true;
			return expression_tree_walker(node, walk, context);
	}
}

/* The columns that the client gets. */
static bool
review_result(cx_analysis *analysis, const Query *query)
{
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		Oid			type = exprType((Node *) target->expr);

		if (!target->resjunk &&
			(get_typtype(type) == TYPTYPE_PSEUDO || type == RECORDARRAYOID))
			return cx_analysis_refuse(analysis, "column \"%s\" has pseudo-type %s",
									  target->resname ? target->resname : "?column?",
									  format_type_be(type));
	}
	return true;
}

bool
cx_eligible_query(cx_analysis *analysis, Query *query)
{
	return !walk((Node *) query, analysis) &&
		review_result(analysis, query);
}

bool
cx_eligible_expression(cx_analysis *analysis, Node *expression)
{
	return !walk(expression, analysis);
}
