/*
 * query/plpgsql.c
 *		What does the result of a PL/pgSQL function depend on?  Its statements, read.
 *
 * Each expression in them is a query like any other (query/reader.c, query/bodies.c).
 *
 * 1. Every kind of statement that is let through is named here.  What depends on more than
 *    arguments, tables and settings (text made at run time, cursors, caught errors) makes the
 *    function one that can't be told.
 * 2. The rest of the body is read all the same: what else is in it can speak against the
 *    function, and the settings that it reads belong to the key even if the function is allowed.
 * 3. A name must not mean a variable and a column: then plpgsql.variable_conflict, which a
 *    compiled function keeps as it was, makes no difference.
 *
 * Memory: the caller's.
 */
#include "postgres.h"

#include "query/analysis.h"
#include "query/bodies.h"
#include "query/reader.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static bool review_statements(cx_reader *this, List *statements);

/*
 * Statements
 */

static bool
review_block(cx_reader *this, PLpgSQL_stmt_block *block)
{
	ListCell   *cell;
	bool		fine = true;

	for (int i = 0; i < block->n_initvars; i++)
	{
		PLpgSQL_datum *datum = this->state.datums[block->initvarnos[i]];
		PLpgSQL_variable *variable = (PLpgSQL_variable *) datum;

		if (datum->dtype == PLPGSQL_DTYPE_VAR || datum->dtype == PLPGSQL_DTYPE_REC)
		{
			if (!cx_reader_review_into(this, variable->default_val, datum->dno))
				return false;
		}
		else if (datum->dtype == PLPGSQL_DTYPE_PROMISE)
			return cx_reader_refuse(this, "it is a trigger function");
	}
	fine = review_statements(this, block->body);
	if (block->exceptions == NULL)
		return fine;

	/* lock timeouts and lack of memory are errors that a handler may catch */
	if (!fine && this->analysis->refusal != CX_REFUSED_OPAQUE)
		return false;
	this->analysis->refused = NULL;
	foreach(cell, block->exceptions->exc_list)
	{
		if (!review_statements(this, ((PLpgSQL_exception *) lfirst(cell))->action) &&
			this->analysis->refusal != CX_REFUSED_OPAQUE)
			return false;
		this->analysis->refused = NULL;
	}
	return cx_reader_refuse(this, "it catches errors");
}

static bool
review_if(cx_reader *this, PLpgSQL_stmt_if *statement)
{
	ListCell   *cell;

	if (!cx_reader_review_as(this, statement->cond, BOOLOID))
		return false;
	foreach(cell, statement->elsif_list)
	{
		if (!cx_reader_review_as(this, ((PLpgSQL_if_elsif *) lfirst(cell))->cond, BOOLOID))
			return false;
	}
	if (!review_statements(this, statement->then_body))
		return false;
	foreach(cell, statement->elsif_list)
	{
		if (!review_statements(this, ((PLpgSQL_if_elsif *) lfirst(cell))->stmts))
			return false;
	}
	return review_statements(this, statement->else_body);
}

/*
 * The value that is compared is kept in a variable, whose type becomes that of the value at run
 * time.
 */
static bool
review_case(cx_reader *this, PLpgSQL_stmt_case *statement)
{
	ListCell   *cell;

	if (statement->t_expr != NULL)
	{
		PLpgSQL_var *variable = (PLpgSQL_var *) this->state.datums[statement->t_varno];
		PLpgSQL_type *type = palloc(sizeof(PLpgSQL_type));

		*type = *variable->datatype;
		if (!cx_reader_review_value(this, statement->t_expr, &type->typoid, &type->atttypmod))
			return false;
		if (!OidIsValid(type->typoid))
			type->typoid = TEXTOID;
		type->collation = get_typcollation(type->typoid);
		variable->datatype = type;
	}
	foreach(cell, statement->case_when_list)
	{
		PLpgSQL_case_when *when = (PLpgSQL_case_when *) lfirst(cell);

		if (!cx_reader_review_as(this, when->expr, BOOLOID) || !review_statements(this, when->stmts))
			return false;
	}
	return review_statements(this, statement->else_stmts);
}

static bool
review_foreach(cx_reader *this, PLpgSQL_stmt_foreach_a *statement)
{
	Oid			array;
	int32		typmod;
	Oid			element;

	if (!cx_reader_review_value(this, statement->expr, &array, &typmod))
		return false;
	element = OidIsValid(array) ? get_element_type(getBaseType(array)) : InvalidOid;
	if (!OidIsValid(element))
		return cx_reader_refuse(this, "it goes through what is no array");
	return cx_reader_review_cast_to(this, statement->slice > 0 ? array : element, typmod,
						  statement->varno) &&
		review_statements(this, statement->body);
}

static bool
review_for_query(cx_reader *this, PLpgSQL_stmt_fors *statement)
{
	List	   *columns;

	return cx_reader_review_query(this, statement->query, &columns) &&
		cx_reader_assign_columns(this, statement->var, columns) &&
		review_statements(this, statement->body);
}

/*
 * A row goes out as it is, or is an error if it is of another type; a value is converted.
 */
static bool
review_result(cx_reader *this, PLpgSQL_expr *expression, int variable)
{
	PLpgSQL_function *function = this->function;
	Oid			type = function->fn_rettype;
	int32		typmod;

	if (expression != NULL)
	{
		if (!cx_reader_review_value(this, expression, &type, &typmod))
			return false;
	}
	else if (variable < 0)
		return true;
	else if (this->state.datums[variable]->dtype != PLPGSQL_DTYPE_VAR)
		return function->fn_retistuple || cx_reader_refuse(this, "it returns a row as a value");
	else
		cx_reader_variable_type(this, variable, &type, &typmod);
	return function->fn_retistuple ||
		cx_reader_review_cast(this, type, typmod, function->fn_rettype, -1);
}

static bool
review_raise(cx_reader *this, PLpgSQL_stmt_raise *statement)
{
	ListCell   *cell;

	if (!cx_reader_review_list(this, statement->params))
		return false;
	foreach(cell, statement->options)
	{
		if (!cx_reader_review_unused(this, ((PLpgSQL_raise_option *) lfirst(cell))->expr))
			return false;
	}
	return true;				/* nobody promises that a hit repeats messages */
}

static bool
review_sql(cx_reader *this, PLpgSQL_stmt_execsql *statement)
{
	List	   *columns;

	return cx_reader_review_query(this, statement->sqlstmt, &columns) &&
		(!statement->into || cx_reader_assign_columns(this, statement->target, columns));
}

static bool
review_statement(cx_reader *this, PLpgSQL_stmt *statement)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();

	switch (statement->cmd_type)
	{
		case PLPGSQL_STMT_BLOCK:
			return review_block(this, (PLpgSQL_stmt_block *) statement);

		case PLPGSQL_STMT_ASSIGN:
			return cx_reader_review_into(this, ((PLpgSQL_stmt_assign *) statement)->expr,
							   ((PLpgSQL_stmt_assign *) statement)->varno);

		case PLPGSQL_STMT_IF:
			return review_if(this, (PLpgSQL_stmt_if *) statement);

		case PLPGSQL_STMT_CASE:
			return review_case(this, (PLpgSQL_stmt_case *) statement);

		case PLPGSQL_STMT_LOOP:
			return review_statements(this, ((PLpgSQL_stmt_loop *) statement)->body);

		case PLPGSQL_STMT_WHILE:
			return cx_reader_review_as(this, ((PLpgSQL_stmt_while *) statement)->cond, BOOLOID) &&
				review_statements(this, ((PLpgSQL_stmt_while *) statement)->body);

		case PLPGSQL_STMT_FORI:
			{
				PLpgSQL_stmt_fori *loop = (PLpgSQL_stmt_fori *) statement;

				return cx_reader_review_as(this, loop->lower, INT4OID) &&
					cx_reader_review_as(this, loop->upper, INT4OID) &&
					cx_reader_review_as(this, loop->step, INT4OID) &&
					review_statements(this, loop->body);
			}

		case PLPGSQL_STMT_FORS:
			return review_for_query(this, (PLpgSQL_stmt_fors *) statement);

		case PLPGSQL_STMT_FOREACH_A:
			return review_foreach(this, (PLpgSQL_stmt_foreach_a *) statement);

		case PLPGSQL_STMT_EXIT:
			return cx_reader_review_as(this, ((PLpgSQL_stmt_exit *) statement)->cond, BOOLOID);

		case PLPGSQL_STMT_RETURN:
			return review_result(this, ((PLpgSQL_stmt_return *) statement)->expr,
								 ((PLpgSQL_stmt_return *) statement)->retvarno);

		case PLPGSQL_STMT_RETURN_NEXT:
			return review_result(this, ((PLpgSQL_stmt_return_next *) statement)->expr,
								 ((PLpgSQL_stmt_return_next *) statement)->retvarno);

		case PLPGSQL_STMT_RETURN_QUERY:
			{
				PLpgSQL_stmt_return_query *query = (PLpgSQL_stmt_return_query *) statement;

				return cx_reader_review_unused(this, query->query) &&
					cx_reader_review_unused(this, query->dynquery) && cx_reader_review_list(this, query->params) &&
					(query->dynquery == NULL || cx_reader_refuse(this, "it executes a text"));
			}

		case PLPGSQL_STMT_RAISE:
			return review_raise(this, (PLpgSQL_stmt_raise *) statement);

		case PLPGSQL_STMT_EXECSQL:
			return review_sql(this, (PLpgSQL_stmt_execsql *) statement);

		case PLPGSQL_STMT_PERFORM:
			return cx_reader_review_unused(this, ((PLpgSQL_stmt_perform *) statement)->expr);

			/* what follows can't be told, but what is in it can speak against the function */

		case PLPGSQL_STMT_ASSERT:
			return cx_reader_review_as(this, ((PLpgSQL_stmt_assert *) statement)->cond, BOOLOID) &&
				cx_reader_review_unused(this, ((PLpgSQL_stmt_assert *) statement)->message) &&
				cx_reader_refuse(this, "it has an ASSERT, which a setting disables");

		case PLPGSQL_STMT_DYNEXECUTE:
			return cx_reader_review_unused(this, ((PLpgSQL_stmt_dynexecute *) statement)->query) &&
				cx_reader_review_list(this, ((PLpgSQL_stmt_dynexecute *) statement)->params) &&
				cx_reader_refuse(this, "it executes a text");

		case PLPGSQL_STMT_DYNFORS:
			{
				PLpgSQL_stmt_dynfors *loop = (PLpgSQL_stmt_dynfors *) statement;

				if (!cx_reader_review_unused(this, loop->query) || !cx_reader_review_list(this, loop->params) ||
					(!review_statements(this, loop->body) &&
					 this->analysis->refusal != CX_REFUSED_OPAQUE))
					return false;
				this->analysis->refused = NULL;
				return cx_reader_refuse(this, "it executes a text");
			}

		case PLPGSQL_STMT_FORC:
		case PLPGSQL_STMT_OPEN:
		case PLPGSQL_STMT_FETCH:
		case PLPGSQL_STMT_CLOSE:
			return cx_reader_refuse(this, "it uses a cursor");

		case PLPGSQL_STMT_GETDIAG:
			return cx_reader_refuse(this, "it uses GET DIAGNOSTICS");

		default:
			return cx_reader_refuse(this, "it has a statement of an unknown kind");
	}
}

/* Goes on after what can't be told: see the file's comment. */
static bool
review_statements(cx_reader *this, List *statements)
{
	cx_analysis *analysis = this->analysis;
	const char *opaque = NULL;
	ListCell   *cell;

	foreach(cell, statements)
	{
		if (review_statement(this, (PLpgSQL_stmt *) lfirst(cell)))
			continue;
		if (analysis->refusal != CX_REFUSED_OPAQUE)
			return false;
		if (opaque == NULL)
			opaque = analysis->refused;
		analysis->refused = NULL;
	}
	return opaque == NULL || cx_reader_refuse(this, opaque);
}

/*
 * Functions
 */

static bool
review_function(cx_reader *this)
{
	bool		fine = cx_reader_begin(this);

	if (this->function->fn_retisdomain &&
		!cx_types_review_domain(this->analysis, this->function->fn_rettype))
		return false;
	return fine && review_statement(this, (PLpgSQL_stmt *) this->function->action);
}

/* x%TYPE and x%ROWTYPE, or what could be one. */
static bool
copies_types(const char *source)
{
	for (const char *at = strchr(source, '%'); at != NULL; at = strchr(at, '%'))
	{
		at++;
		at += strspn(at, " \t\n\r\f\v");
		if (pg_strncasecmp(at, "type", 4) == 0 || pg_strncasecmp(at, "rowtype", 7) == 0 ||
			strncmp(at, "--", 2) == 0 || strncmp(at, "/*", 2) == 0)
			return true;
	}
	return false;
}

bool
cx_plpgsql_review(cx_analysis *analysis, HeapTuple function, FuncExpr *call)
{
	cx_reader	this = {analysis};
	PLpgSQL_execstate *running;
	PLpgSQL_resolve_option resolve_option;
	Datum		source;
	bool		isnull;
	volatile bool fine = false;

	source = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &isnull);
	if (!isnull && copies_types(TextDatumGetCString(source)))
		analysis->statement->keeps_types = true;

	cx_reader_compile(&this, ((Form_pg_proc) GETSTRUCT(function))->oid, call);
	if (this.function->fn_prokind != PROKIND_FUNCTION)
		return cx_reader_refuse(&this, "it is no plain function");

	/* names of variables are looked up in the current execution */
	running = this.function->cur_estate;
	resolve_option = this.function->resolve_option;
	PG_TRY();
	{
		this.function->cur_estate = &this.state;
		this.function->resolve_option = PLPGSQL_RESOLVE_ERROR;
		fine = review_function(&this);
	}
	PG_FINALLY();
	{
		this.function->cur_estate = running;
		this.function->resolve_option = resolve_option;
	}
	PG_END_TRY();
	return fine;
}
