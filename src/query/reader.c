/*
 * query/reader.c
 *		Expressions and variables of a PL/pgSQL function.
 *
 * PL/pgSQL itself compiles the body and resolves variables in expressions; its header has what a
 * compiled function is made of.
 *
 * 1. The compiled function may be one that is running: what running changes (values of variables,
 *    the state of an execution, plans) is copied.
 * 2. PL/pgSQL converts values at each assignment; casts that may be a user's are reviewed with it.
 * 3. A variable of type record has the columns of the one query that is assigned to it.
 *
 * Memory: the caller's.  What PL/pgSQL compiles it keeps for the session, as ever.
 */
#include "postgres.h"

#include "query/bodies.h"
#include "query/literals.h"
#include "query/reader.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Functions of the PL/pgSQL library. */
static PLpgSQL_function *(*compile) (FunctionCallInfo call, bool for_validator) = NULL;
static void (*parser_setup) (ParseState *state, PLpgSQL_expr *expression) = NULL;
static Oid	(*get_type) (PLpgSQL_execstate *state, PLpgSQL_datum *datum) = NULL;

static void
load_library(void)
{
	const char *library = "$libdir/plpgsql";

	if (get_type != NULL)
		return;
	compile = load_external_function(library, "plpgsql_compile", true, NULL);
	parser_setup = load_external_function(library, "plpgsql_parser_setup", true, NULL);
	get_type = load_external_function(library, "plpgsql_exec_get_datum_type", true, NULL);
}

/* A field of a record comes without its modifier: which function converts to it doesn't depend on that. */
static void
find_type(cx_reader *this, PLpgSQL_datum *datum, Oid *type, int32 *typmod)
{
	*type = get_type(&this->state, datum);
	*typmod = datum->dtype == PLPGSQL_DTYPE_VAR || datum->dtype == PLPGSQL_DTYPE_PROMISE ?
		((PLpgSQL_var *) datum)->datatype->atttypmod : -1;
}

bool
cx_reader_refuse(cx_reader *this, const char *what)
{
	return cx_analysis_refuse_as(this->analysis, CX_REFUSED_OPAQUE, "%s", what);
}

/*
 * Conversions, as exec_cast_value() does them
 */

static bool
is_row_type(Oid type)
{
	return type == RECORDOID || type_is_rowtype(type);
}

/* Is it a literal of that type that doesn't read the clock?  The zone of a time may do that. */
static bool
is_plain_literal(const char *literal, Oid type)
{
	static const char *const clock_words[] = {"now", "today", "tomorrow", "yesterday"};
	char	   *lower;

	if (literal == NULL || (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID))
		return false;
	lower = asc_tolower(literal, strlen(literal));
	for (int i = 0; i < lengthof(clock_words); i++)
	{
		if (strstr(lower, clock_words[i]) != NULL)
			return false;
	}
	return true;
}

bool
cx_reader_review_cast(cx_reader *this, Oid from, int32 from_typmod, Oid to, int32 to_typmod)
{
	CaseTestExpr *value;
	Node	   *cast;

	if (from == to && (to_typmod < 0 || from_typmod == to_typmod))
		return true;
	if (!OidIsValid(from))		/* NULL, about which only a domain is asked */
		return get_typtype(to) != TYPTYPE_DOMAIN || cx_types_review_domain(this->analysis, to);
	if (from == VOIDOID || to == VOIDOID)
		return true;			/* no value */
	if (from == TEXTOID && is_plain_literal(this->literal, to))
		return true;
	if (is_row_type(from) || is_row_type(to))
		return to == RECORDOID || cx_reader_refuse(this, "it converts rows of one type to another");

	value = makeNode(CaseTestExpr);
	value->typeId = from;
	value->typeMod = from_typmod;
	value->collation = get_typcollation(from);
	cast = coerce_to_target_type(NULL, (Node *) value, from, to, to_typmod, COERCION_PLPGSQL,
								 COERCE_IMPLICIT_CAST, -1);
	if (cast != NULL)
		return cx_eligible_expression(this->analysis, cast);
	return cx_types_review_output(this->analysis, from, NULL, false) &&
		cx_types_review_input(this->analysis, to);
}

bool
cx_reader_review_cast_to(cx_reader *this, Oid from, int32 from_typmod, int variable)
{
	PLpgSQL_datum *datum = this->state.datums[variable];
	Oid			type;
	int32		typmod;

	if (datum->dtype == PLPGSQL_DTYPE_REC && ((PLpgSQL_rec *) datum)->rectypeid == RECORDOID)
		return cx_reader_refuse(this, "it assigns a row to a record");
	find_type(this, datum, &type, &typmod);
	return cx_reader_review_cast(this, from, from_typmod, type, typmod);
}

/*
 * Expressions
 */

/*
 * A query or an expression, analysed with the function's variables, and reviewed.  *columns,
 * where asked for: its target list.
 */
bool
cx_reader_review_query(cx_reader *this, PLpgSQL_expr *expression, List **columns)
{
	PLpgSQL_expr copy = *expression;
	ParseState *state;
	List	   *raw;
	Query	   *query;

	/* what parsing notes in it is for executions */
	copy.func = this->function;
	copy.paramnos = NULL;
	this->literal = NULL;

	raw = raw_parser(copy.query, copy.parseMode);
	if (list_length(raw) != 1)
		return cx_reader_refuse(this, "it has an expression that is no single statement");
	state = make_parsestate(NULL);
	state->p_sourcetext = copy.query;
	parser_setup(state, &copy);
	query = cx_literals_transform(state, linitial_node(RawStmt, raw));
	free_parsestate(state);
	if (columns != NULL)
		*columns = copyObject(query->targetList);
	return cx_bodies_review_parsed(this->analysis, query);
}

/* An expression, of one column.  A mere NULL has no type. */
bool
cx_reader_review_value(cx_reader *this, PLpgSQL_expr *expression, Oid *type, int32 *typmod)
{
	List	   *columns;
	TargetEntry *first;

	if (!cx_reader_review_query(this, expression, &columns))
		return false;
	if (columns == NIL)
		return cx_reader_refuse(this, "it has an expression without a value");
	first = linitial_node(TargetEntry, columns);
	*type = exprType((Node *) first->expr);
	*typmod = exprTypmod((Node *) first->expr);
	if (IsA(first->expr, Const))
	{
		Const	   *value = (Const *) first->expr;

		if (value->constisnull)
			*type = InvalidOid;
		else if (value->consttype == TEXTOID)
			this->literal = TextDatumGetCString(value->constvalue);
	}
	return true;
}

bool
cx_reader_review_unused(cx_reader *this, PLpgSQL_expr *expression)
{
	return expression == NULL || cx_reader_review_query(this, expression, NULL);
}

bool
cx_reader_review_as(cx_reader *this, PLpgSQL_expr *expression, Oid wanted)
{
	Oid			type;
	int32		typmod;

	return expression == NULL ||
		(cx_reader_review_value(this, expression, &type, &typmod) &&
		 cx_reader_review_cast(this, type, typmod, wanted, -1));
}

bool
cx_reader_review_into(cx_reader *this, PLpgSQL_expr *expression, int variable)
{
	Oid			type;
	int32		typmod;

	return expression == NULL ||
		(cx_reader_review_value(this, expression, &type, &typmod) &&
		 cx_reader_review_cast_to(this, type, typmod, variable));
}

/* Expressions of what can't be told anyway. */
bool
cx_reader_review_list(cx_reader *this, List *expressions)
{
	ListCell   *cell;

	foreach(cell, expressions)
	{
		if (!cx_reader_review_unused(this, (PLpgSQL_expr *) lfirst(cell)))
			return false;
	}
	return true;
}

/*
 * Variables that rows are assigned to
 */

/* Gives a variable of type record the columns of a query, which no other one may change. */
static bool
assign_record(cx_reader *this, PLpgSQL_rec *record, List *columns)
{
	TupleDesc	desc = ExecCleanTypeFromTL(columns);

	if (record->erh != NULL)
	{
		TupleDesc	known = expanded_record_get_tupdesc(record->erh);

		if (known->natts != desc->natts)
			return cx_reader_refuse(this, "it assigns rows of several types to a record");
		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute one = TupleDescAttr(known, i);
			Form_pg_attribute other = TupleDescAttr(desc, i);

			if (one->atttypid != other->atttypid || one->atttypmod != other->atttypmod ||
				one->attcollation != other->attcollation ||
				strcmp(NameStr(one->attname), NameStr(other->attname)) != 0)
				return cx_reader_refuse(this, "it assigns rows of several types to a record");
		}
		return true;
	}
	record->erh = make_expanded_record_from_tupdesc(desc, CurrentMemoryContext);
	return true;
}

/* To variable i of a row the value of column i, and so for the columns of a composite type. */
bool
cx_reader_assign_columns(cx_reader *this, PLpgSQL_variable *target, List *columns)
{
	PLpgSQL_datum *datum = this->state.datums[target->dno];
	TupleDesc	desc = NULL;
	int			position = 0;
	int			count;

	/* too few or too many columns, or too many rows: an error, or not, by a setting */
	cx_functions_add_setting(this->analysis->statement, "plpgsql.extra_errors");

	if (datum->dtype == PLPGSQL_DTYPE_REC)
	{
		PLpgSQL_rec *record = (PLpgSQL_rec *) datum;

		if (record->rectypeid == RECORDOID)
			return assign_record(this, record, columns);
		desc = lookup_rowtype_tupdesc_copy(record->rectypeid, -1);
		count = desc->natts;
	}
	else
		count = ((PLpgSQL_row *) datum)->nfields;

	for (int i = 0; i < count; i++)
	{
		TargetEntry *column = NULL;

		if (desc != NULL && TupleDescAttr(desc, i)->attisdropped)
			continue;
		while (position < list_length(columns) &&
			   list_nth_node(TargetEntry, columns, position)->resjunk)
			position++;
		if (position < list_length(columns))
			column = list_nth_node(TargetEntry, columns, position++);
		if (desc == NULL && ((PLpgSQL_row *) datum)->varnos[i] < 0)
			continue;			/* a column that was dropped */
		if (column == NULL)
			break;				/* NULL, or an error */
		if (desc != NULL)
		{
			Form_pg_attribute field = TupleDescAttr(desc, i);

			if (!cx_reader_review_cast(this, exprType((Node *) column->expr),
							 exprTypmod((Node *) column->expr), field->atttypid, field->atttypmod))
				return false;
		}
		else if (!cx_reader_review_cast_to(this, exprType((Node *) column->expr),
								 exprTypmod((Node *) column->expr),
								 ((PLpgSQL_row *) datum)->varnos[i]))
			return false;
	}
	return true;
}

/*
 * Functions
 */

/* Variables: their types, and copies of those that an execution gives values to. */
bool
cx_reader_begin(cx_reader *this)
{
	PLpgSQL_function *function = this->function;

	this->state.func = function;
	this->state.ndatums = function->ndatums;
	this->state.datums = palloc(sizeof(PLpgSQL_datum *) * Max(function->ndatums, 1));
	this->state.datum_context = CurrentMemoryContext;
	for (int i = 0; i < function->ndatums; i++)
	{
		PLpgSQL_datum *datum = function->datums[i];
		Oid			type = InvalidOid;

		if (datum->dtype == PLPGSQL_DTYPE_VAR || datum->dtype == PLPGSQL_DTYPE_PROMISE)
		{
			PLpgSQL_var *copy = palloc(sizeof(PLpgSQL_var));

			*copy = *(PLpgSQL_var *) datum;
			datum = (PLpgSQL_datum *) copy;
			type = copy->datatype->typoid;
		}
		else if (datum->dtype == PLPGSQL_DTYPE_REC)
		{
			PLpgSQL_rec *copy = palloc(sizeof(PLpgSQL_rec));

			*copy = *(PLpgSQL_rec *) datum;
			copy->erh = NULL;
			datum = (PLpgSQL_datum *) copy;
			type = copy->rectypeid;
		}
		this->state.datums[i] = datum;

		if (!OidIsValid(type) || type == RECORDOID)
			continue;
		if (!cx_relations_add_row_types(this->analysis, type))
			return false;
		if (get_typtype(type) != TYPTYPE_DOMAIN)
			continue;

		/* a variable is NULL at first, which the domain is asked about */
		if (type_is_rowtype(type))
			return cx_reader_refuse(this, "it has a variable of a domain over a row type");
		if (!cx_types_review_domain(this->analysis, type))
			return false;
	}
	return true;
}

void
cx_reader_variable_type(cx_reader *this, int variable, Oid *type, int32 *typmod)
{
	this->literal = NULL;
	find_type(this, this->state.datums[variable], type, typmod);
}

void
cx_reader_compile(cx_reader *this, Oid function, FuncExpr *call)
{
	FmgrInfo	info = {
		.fn_oid = function, .fn_mcxt = CurrentMemoryContext, .fn_expr = (fmNodePtr) call
	};
	LOCAL_FCINFO(call_info, 0);

	load_library();
	InitFunctionCallInfoData(*call_info, &info, 0, InvalidOid, NULL, NULL);
	this->function = compile(call_info, false);
}
