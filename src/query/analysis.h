/*
 * query/analysis.h
 *		What the parts of an analysis share: eligible.c (the walk), relations.c, functions.c, reviewed.c,
 *		bodies.c, plpgsql.c, types.c, libraries.c, allowed.c, occurrences.c.  For them and statement.c
 *		only.
 */
#ifndef CX_QUERY_ANALYSIS_H
#define CX_QUERY_ANALYSIS_H

#include "postgres.h"

#include "query/private.h"

#include "catalog/pg_proc.h"

/* Why something is refused: what could help. */
typedef enum cx_refusal
{
	CX_REFUSED,					/* a change of the query, or of a table */
	CX_REFUSED_OPAQUE,			/* allow_function(): nobody can tell what a function does */
	CX_REFUSED_FOR_GOOD			/* a change of the function only: it can't be allowed */
} cx_refusal;

/*
 * One analysis.  The functions below that return bool return false once a reason to refuse is
 * set; they may be called for the same thing again.
 */
typedef struct cx_analysis
{
	cx_statement *statement;	/* what is being built */
	bool		untracked_allowed;
	const char *refused;		/* the first reason, or NULL */
	cx_refusal	refusal;		/* what it is */
	bool		refused_in_body;	/* it names the function that it was met in */
	List	   *levels;			/* the queries around, the innermost first */
	List	   *row_types;		/* OIDs of types that cx_relations_add_row_types() has seen */
	List	   *outputs;		/* OIDs of types whose output, ... */
	List	   *json_outputs;	/* ... rendering as JSON, ... */
	List	   *inputs;			/* ... input, ... */
	List	   *compared;		/* ... comparison, ... */
	List	   *domains;		/* ... constraints were reviewed */
	List	   *bodies;			/* bodies.c: what it has looked into */

	bool		looked_into;	/* any of them */

	/* where the walk is, if in the body of a function */
	bool		in_body;		/* $n is an argument of the function */
	bool		as_owner;		/* it or one around it is SECURITY DEFINER */
	Oid			immutable;		/* it or one around it that is declared IMMUTABLE, or InvalidOid */
} cx_analysis;

/* statement.c: sets the reason and returns false. */
extern bool cx_analysis_refuse(cx_analysis *analysis, const char *format,...)
	pg_attribute_printf(2, 3);
extern bool cx_analysis_refuse_as(cx_analysis *analysis, cx_refusal refusal, const char *format,...)
	pg_attribute_printf(3, 4);

/* eligible.c: a whole query; an expression of a domain's constraint. */
extern bool cx_eligible_query(cx_analysis *analysis, Query *query);
extern bool cx_eligible_expression(cx_analysis *analysis, Node *expression);

/* relations.c */
extern bool cx_relations_add(cx_analysis *analysis, const RangeTblEntry *rte);
extern bool cx_relations_add_read(cx_analysis *analysis, Oid function, Oid relation);
extern void cx_relations_add_any_row(cx_analysis *analysis, Oid relation);
extern bool cx_relations_add_row_types(cx_analysis *analysis, Oid type);

/* relations.c: the columns of a composite type, copied; NULL, with a reason, if it is being altered. */
extern TupleDesc cx_relations_row_type(cx_analysis *analysis, Oid type);
extern bool cx_relations_copy(Oid relation, cx_tracked *copy);

/*
 * objects.c: adds O of a function, type, operator, collation or language that the result depends on;
 * nothing for InvalidOid and for what is built in.  Refuses what is temporary.
 */
extern bool cx_objects_add(cx_analysis *analysis, Oid catalog, Oid object);

/*
 * functions.c: a call of a function, with the expressions of its arguments, its type in this call
 * and, for one that returns RECORD in FROM, the types of the columns that its caller lists.
 */
extern bool cx_functions_review_call(cx_analysis *analysis, Oid function, List *arguments,
									 Oid result_type, List *column_types);

extern void cx_functions_init(void);

/*
 * What was met changes while definitions don't: refused in a body that is declared IMMUTABLE,
 * whose result a plan may hold from when it was made.
 */
extern bool cx_functions_check_immutable(cx_analysis *analysis, const char *what);

/* Puts the value of a setting into the key. */
extern void cx_functions_add_setting(cx_statement *statement, const char *name);

/* One that PostgreSQL calls on its own, without asking for EXECUTE: of an operator class, say. */
extern bool cx_functions_review_support(cx_analysis *analysis, Oid function);

/*
 * libraries.c: a function that is not PostgreSQL's own; a relation whose indexes, or itself, may be of
 * access methods and operator classes that are not.
 */
extern void cx_libraries_add(cx_analysis *analysis, Oid function);
extern void cx_libraries_add_relation(cx_analysis *analysis, Oid relation);

/* comparisons.c: what else than its own function PostgreSQL may call for an operator, for sorting and so on. */
extern bool cx_comparisons_review_operator(cx_analysis *analysis, Oid operator);
extern bool cx_comparisons_review_sort(cx_analysis *analysis, const SortGroupClause *clause);
extern bool cx_comparisons_review_rows(cx_analysis *analysis, const RowCompareExpr *comparison);

/* comparisons.c: an operator that PostgreSQL picks, and its function; InvalidOid is fine. */
extern bool cx_comparisons_review_picked(cx_analysis *analysis, Oid operator);

/* comparisons.c: the arguments of a built-in function that takes them of any type. */
extern bool cx_comparisons_review_arguments(cx_analysis *analysis, Form_pg_proc function,
											List *arguments);

/* comparisons.c: what a built-in function under another name, of these arguments, may compare. */
extern bool cx_comparisons_review_values(cx_analysis *analysis, List *arguments, Oid result_type);

/* reviewed.c: what is known of a built-in STABLE function. */
typedef enum cx_reviewed
{
	CX_REVIEWED_NOT,			/* nothing: refuse */
	CX_REVIEWED_FIXED,			/* fixed by arguments and the settings that are in every key */
	CX_REVIEWED_OUTPUT,			/* so, if the output functions of its arguments' types are */
	CX_REVIEWED_JSON,			/* so, if rendering its arguments' types as JSON is */
	CX_REVIEWED_INPUT,			/* so, if the input functions of its result's columns are */
	CX_REVIEWED_TEXT_SEARCH,	/* uses default_text_search_config */
	CX_REVIEWED_SEARCH_PATH,	/* looks a name up */
	CX_REVIEWED_SETTING			/* current_setting */
} cx_reviewed;

extern cx_reviewed cx_reviewed_find(Form_pg_proc function);

/*
 * types.c: are the functions that turn values of a type into text, into JSON, and text into values, and
 * that compare values, fixed by their arguments?  expression, where there is one, tells what an anonymous record holds.
 */
extern bool cx_types_review_output(cx_analysis *analysis, Oid type, Node *expression, bool json);
extern bool cx_types_review_input(cx_analysis *analysis, Oid type);
extern bool cx_types_review_comparison(cx_analysis *analysis, Oid type, Node *expression);
extern bool cx_types_review_set_operation(cx_analysis *analysis, const SetOperationStmt *operation,
										  int column);
extern bool cx_types_review_domain(cx_analysis *analysis, Oid type);

/* occurrences.c: T or K of every table that an eligible query reads, at whatever depth. */
extern void cx_occurrences_add(cx_analysis *analysis, Query *query);

#endif
