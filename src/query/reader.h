/*
 * query/reader.h
 *		What reads the body of a PL/pgSQL function: its expressions and variables.  For plpgsql.c.
 *
 * The functions below that return bool return false once the analysis has a reason to refuse.
 */
#ifndef CX_QUERY_READER_H
#define CX_QUERY_READER_H

#include "postgres.h"

#include "query/analysis.h"

#include "plpgsql.h"

typedef struct cx_reader
{
	cx_analysis *analysis;
	PLpgSQL_function *function;
	PLpgSQL_execstate state;	/* as of an execution that has just begun */
	const char *literal;		/* the value of the expression reviewed last, if a text in it */
} cx_reader;

/*
 * Compiles the function as its first call would, if it isn't, and gives the variables their types.
 */
extern void cx_reader_compile(cx_reader *this, Oid function, FuncExpr *call);
extern bool cx_reader_begin(cx_reader *this);

/* Nobody can tell what the function does, because ...  Returns false. */
extern bool cx_reader_refuse(cx_reader *this, const char *what);

/*
 * A query, with its target list where asked for; an expression, with its type (0 for a mere NULL).
 */
extern bool cx_reader_review_query(cx_reader *this, PLpgSQL_expr *expression, List **columns);
extern bool cx_reader_review_value(cx_reader *this, PLpgSQL_expr *expression, Oid *type,
								   int32 *typmod);

/*
 * Expressions that may be missing: of whatever type, of a wanted one, assigned to a variable;
 * several.
 */
extern bool cx_reader_review_unused(cx_reader *this, PLpgSQL_expr *expression);
extern bool cx_reader_review_as(cx_reader *this, PLpgSQL_expr *expression, Oid wanted);
extern bool cx_reader_review_into(cx_reader *this, PLpgSQL_expr *expression, int variable);
extern bool cx_reader_review_list(cx_reader *this, List *expressions);

/* Conversions: to a type, to that of a variable. */
extern bool cx_reader_review_cast(cx_reader *this, Oid from, int32 from_typmod, Oid to,
								  int32 to_typmod);
extern bool cx_reader_review_cast_to(cx_reader *this, Oid from, int32 from_typmod, int variable);
extern void cx_reader_variable_type(cx_reader *this, int variable, Oid *type, int32 *typmod);

/* Rows of a query, assigned to a variable or several. */
extern bool cx_reader_assign_columns(cx_reader *this, PLpgSQL_variable *target, List *columns);

#endif
