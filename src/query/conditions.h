/*
 * query/conditions.h
 *		What do conditions say that a column equals?  For query/ only.
 */
#ifndef CX_QUERY_CONDITIONS_H
#define CX_QUERY_CONDITIONS_H

#include "postgres.h"

#include "query/tracked.h"

#include "nodes/primnodes.h"

/* What a column equals: one of these. */
typedef struct cx_key_values
{
	List	   *values;			/* Const, Param, or an expression that cx_conditions_setting() knows */
	bool		is_array;		/* each of them is an array, whose elements are meant */
} cx_key_values;

/* Somebody else (a query further out) knows what a column equals. */
typedef struct cx_known_column
{
	Var		   *column;
	cx_tracked_key key;			/* type and collation under which it equals them */
	cx_key_values values;
} cx_known_column;

/* The query level that conditions are of. */
typedef struct cx_level
{
	List	   *range_table;
	List	   *known;			/* of cx_known_column */
} cx_level;

/* Appends the conditions that node, an expression or a list of them, is the AND of. */
extern List *cx_conditions_add(List *conditions, Node *node);

/* The column of a table or subquery that an expression is, looked up through joins; or NULL. */
extern Var *cx_conditions_column(const cx_level *level, Node *node);

/* What must column key->column of that range table entry equal, for all conditions to hold? */
extern bool cx_conditions_find(const cx_level *level, int entry, const cx_tracked_key *key,
							   List *conditions, cx_key_values *found);

/* The name of the setting that an expression is the value of, cast to some type; or NULL. */
extern char *cx_conditions_setting(Node *node);

#endif
