/*
 * query/literals.c
 *		Parse analysis of a text that somebody else wrote, without running their code.
 *
 * Parse analysis converts a literal as soon as its type is known: '{a}' for a column whose type is an
 * array of a domain runs the domain's CHECK, with the rights of whoever analyses.  The body of a function
 * may have that in a branch that no call comes to, and EXPLAIN calls nothing at all.
 *
 * So each literal becomes a parameter of unknown type first.  PostgreSQL asks a hook to convert such a
 * parameter where it would have converted the literal itself; the hook does that if the type's input runs
 * trusted functions only.  What no type is found for stays a literal of unknown type.
 *
 * Memory: the caller's.  The literals of the analysis under way are in a static variable, since the hooks
 * share one argument with those of the function's language; an error leaves it to the next analysis.
 */
#include "postgres.h"

#include "query/literals.h"
#include "query/type_code.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Numbers that no parameter of a function has. */
#define FIRST_LITERAL 1000000

typedef struct literals
{
	ParseParamRefHook previous;
	List	   *values;			/* C strings */
} literals;

static literals *current = NULL;

static bool
take_literals(Node *node, void *context)
{
	literals   *taken = context;

	if (node == NULL)
		return false;
	if (IsA(node, A_Const))
	{
		A_Const    *constant = (A_Const *) node;
		ParamRef   *reference = (ParamRef *) node;
		int			location = constant->location;

		if (constant->isnull || nodeTag(&constant->val) != T_String)
			return false;

		/* in its place: a raw tree has no mutator, and the new node needs less room */
		StaticAssertStmt(sizeof(ParamRef) <= sizeof(A_Const), "a ParamRef fits into an A_Const");
		taken->values = lappend(taken->values, pstrdup(strVal(&constant->val)));
		reference->type = T_ParamRef;
		reference->number = FIRST_LITERAL + list_length(taken->values) - 1;
		reference->location = location;
		return false;
	}
	return raw_expression_tree_walker(node, take_literals, context);
}

static Const *
make_literal(const Param *param)
{
	const char *value = list_nth(current->values, param->paramid - FIRST_LITERAL);
	Const	   *literal = makeConst(UNKNOWNOID, -1, InvalidOid, -2, CStringGetDatum(value), false,
									false);

	literal->location = param->location;
	return literal;
}

static Node *
refer(ParseState *state, ParamRef *reference)
{
	Param	   *param;

	if (reference->number < FIRST_LITERAL)
		return current->previous != NULL ? current->previous(state, reference) : NULL;
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = reference->number;
	param->paramtype = UNKNOWNOID;
	param->paramtypmod = -1;
	param->location = reference->location;
	return (Node *) param;
}

static Node *
convert(ParseState *state, Param *param, Oid type, int32 typmod, int location)
{
	bool		has_rows;

	if (param->paramid < FIRST_LITERAL)
		return NULL;
	if (!cx_type_code_is_safe(getBaseType(type), &has_rows))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a literal of type %s may run code of its owner", format_type_be(type))));
	return coerce_type(state, (Node *) make_literal(param), UNKNOWNOID, type, typmod,
					   COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, location);
}

/* Literals that were left as they are, as arguments of format() are. */
static Node *
put_back(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
		((Param *) node)->paramid >= FIRST_LITERAL)
		return (Node *) make_literal((Param *) node);
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, put_back, context, 0);
	return expression_tree_mutator(node, put_back, context);
}

Query *
cx_literals_transform(ParseState *state, RawStmt *raw)
{
	literals	taken = {.previous = state->p_paramref_hook};
	literals   *outer = current;
	Query	   *query;

	/* what runs a query of its own (CALL, EXPLAIN) would have it analysed here */
	if (!IsA(raw->stmt, SelectStmt) && !IsA(raw->stmt, PLAssignStmt) && !IsA(raw->stmt, ReturnStmt) &&
		!IsA(raw->stmt, InsertStmt) && !IsA(raw->stmt, UpdateStmt) && !IsA(raw->stmt, DeleteStmt))
	{
		query = makeNode(Query);
		query->commandType = CMD_UTILITY;
		query->utilityStmt = raw->stmt;
		return query;
	}

	(void) take_literals(raw->stmt, &taken);
	state->p_paramref_hook = refer;
	state->p_coerce_param_hook = convert;
	current = &taken;
	query = transformTopLevelStmt(state, raw);
	query = (Query *) put_back((Node *) query, NULL);
	current = outer;
	return query;
}
