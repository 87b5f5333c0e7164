/*
 * query/allowed.h
 *		The table cache_ext.allowed_functions: what cache_ext.allow_function() was told.
 *
 * It names functions and tables as text, so that a dump carries what is meant, and holds a hash
 * of each function's definition: an allowance is for the function as it was.
 */
#ifndef CX_QUERY_ALLOWED_H
#define CX_QUERY_ALLOWED_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef enum cx_allowed_layout
{
	CX_LAYOUT_OIDS,				/* of version 1.0 of the extension: function regprocedure, reads regclass[] */
	CX_LAYOUT_NAMES				/* function text, reads text[], settings text[], definition text */
} cx_allowed_layout;

/*
 * The extension's own table, whatever others are called so; InvalidOid if there is none of a known
 * layout.
 */
extern Oid	cx_allowed_table(cx_allowed_layout *layout);

/* Names as the table has them, palloc'd. */
extern char *cx_allowed_function_name(Oid function);
extern char *cx_allowed_relation_name(Oid relation);

/*
 * The hash of a function's definition: everything that its meaning follows from, but other
 * objects.
 */
extern char *cx_allowed_definition(Oid function);

/* The relation, or a member of its tree, that has row-level security; or InvalidOid. */
extern Oid	cx_relations_with_policies(Oid relation);

/*
 * Removes what is known of a function by this name (cx_allowed_function_name()), whatever the
 * caller may do.
 */
extern void cx_allowed_forget(const char *name);

/*
 * Looks into the body of a function as far as it can be read.  Returns what speaks against
 * caching its results: for good, or as long as nobody says what it reads; NULL if nothing does.
 * *settings: those that it was seen to read (String nodes).
 */
extern const char *cx_functions_examine(Oid function, List **settings, bool *for_good);

#endif
