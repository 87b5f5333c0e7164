/*
 * query/private.h
 *		What the parts of understanding a query share.  For them only: eligible.c (the walk),
 *		relations.c, functions.c, reviewed.c, types.c, allowed.c, occurrences.c, conditions.c, tags.c,
 *		key.c, statement.c.
 */
#ifndef CX_QUERY_PRIVATE_H
#define CX_QUERY_PRIVATE_H

#include "postgres.h"

#include "query/conditions.h"
#include "query/statement.h"
#include "query/tracked.h"

#include "catalog/pg_proc.h"
#include "common/sha2.h"

#define CX_STATEMENT_NODE "cx_statement"

/* More elements of an ANY (array) than this are tagged as any row of the table. */
#define CX_MAX_KEY_VALUES 16

/* A parameter ($n) that the statement uses. */
typedef struct cx_parameter
{
	int			id;
	Oid			type;
	int16		length;			/* typlen, typbyval of the type */
	bool		by_value;
} cx_parameter;

/* A K tag whose value is a parameter's, or those of its elements, or a setting's. */
typedef struct cx_pin
{
	Oid			relation;		/* to be named by the tag: a root */
	cx_tracked_key key;
	int			parameter;		/* $n, or 0 */
	Oid			parameter_type;
	Oid			value_type;		/* of the value, or of its elements; domains stripped */
	bool		is_array;
	int			setting;		/* index in the statement's settings, unless there is a parameter */
} cx_pin;

/* Flat, but for lists of OIDs and of String nodes: see copy_statement(). */
struct cx_statement
{
	ExtensibleNode node;
	uint8		fingerprint[PG_SHA256_DIGEST_LENGTH];

	/* what the key needs besides fingerprint, parameters and the settings that are always in it */
	bool		untracked;		/* reads a relation whose changes nobody reports */
	bool		needs_user;
	bool		needs_session_user;
	bool		needs_row_security;
	bool		needs_search_path;
	bool		needs_text_search;	/* what default_text_search_config resolves to */
	bool		resolves_names; /* a user's function may find temporary tables by name */
	List	   *settings;		/* String nodes: read by current_setting('name') */

	int			parameter_count;
	cx_parameter *parameters;	/* by id */

	int			tag_count;
	cx_tag	   *tags;			/* those that no parameter decides */
	int			pin_count;
	cx_pin	   *pins;

	List	   *relations;		/* OIDs */
	List	   *functions;		/* OIDs: what cx_statement_functions() promises */
	List	   *executed;		/* OIDs: the current user needs EXECUTE */
	List	   *open_to_all;	/* OIDs: too, but nobody had revoked it from PUBLIC ... */
	uint64		function_changes;	/* ... when cx_functions_changes() was this */
	List	   *selected;		/* OIDs: the current user needs SELECT */
};

/*
 * One analysis.  The functions below that return bool return false once a reason to refuse is
 * set; they may be called for the same thing again.
 */
typedef struct cx_analysis
{
	cx_statement *statement;	/* what is being built */
	bool		untracked_allowed;
	const char *refused;		/* the first reason, or NULL */
	List	   *levels;			/* range tables of the queries around, the innermost first */
	List	   *row_types;		/* OIDs of types that cx_relations_add_row_types() has seen */
	List	   *outputs;		/* OIDs of types whose output, ... */
	List	   *json_outputs;	/* ... rendering as JSON, ... */
	List	   *inputs;			/* ... input, ... */
	List	   *domains;		/* ... constraints were reviewed */
} cx_analysis;

/* statement.c: sets the reason and returns false. */
extern bool cx_analysis_refuse(cx_analysis *analysis, const char *format,...)
	pg_attribute_printf(2, 3);

/* eligible.c: a whole query; an expression of a domain's constraint. */
extern bool cx_eligible_query(cx_analysis *analysis, Query *query);
extern bool cx_eligible_expression(cx_analysis *analysis, Node *expression);

/* relations.c */
extern bool cx_relations_add(cx_analysis *analysis, const RangeTblEntry *rte);
extern bool cx_relations_add_read(cx_analysis *analysis, Oid function, Oid relation);
extern bool cx_relations_add_row_types(cx_analysis *analysis, Oid type);
extern bool cx_relations_copy(Oid relation, cx_tracked *copy);

/*
 * functions.c: a call of a function, with the expressions of its arguments, its type in this call
 * and, for one that returns RECORD in FROM, the types of the columns that its caller lists.
 */
extern bool cx_functions_review_call(cx_analysis *analysis, Oid function, List *arguments,
									 Oid result_type, List *column_types);

extern void cx_functions_init(void);

/* Moves when a function was changed, GRANT and REVOKE included. */
extern uint64 cx_functions_changes(void);

/* One that PostgreSQL calls on its own, without asking for EXECUTE: of an operator class, say. */
extern bool cx_functions_review_support(cx_analysis *analysis, Oid function);

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
 * types.c: are the functions that turn values of a type into text, into JSON, and text into values,
 * fixed by their arguments?  expression, where there is one, tells what an anonymous record holds.
 */
extern bool cx_types_review_output(cx_analysis *analysis, Oid type, Node *expression, bool json);
extern bool cx_types_review_input(cx_analysis *analysis, Oid type);
extern bool cx_types_review_domain(cx_analysis *analysis, Oid type);

/* allowed.c: what cache_ext.allow_function() was told, and the table it is in; false if nothing. */
extern void cx_allowed_init(void);
extern bool cx_allowed_find(Oid function, List **reads, Oid *allowed_by);

/* tags.c */
extern void cx_tags_add(cx_statement *statement, cx_tag_kind kind, Oid relation,
						AttrNumber column, uint32 value_hash);

/* K for each of the values of the relation's key column; false if one can't be. */
extern bool cx_tags_add_values(cx_statement *statement, Oid relation, const cx_tracked_key *key,
							   const cx_key_values *values);

/* Can values of this type, domains stripped, equal those of the key column as K understands it? */
extern bool cx_tags_is_key_type(const cx_tracked_key *key, Oid type);

/* Drops what other tags make pointless. */
extern void cx_tags_finish(cx_statement *statement);

/* occurrences.c: T or K of every table that an eligible query reads, at whatever depth. */
extern void cx_occurrences_add(cx_analysis *analysis, Query *query);

/* key.c: a parameter (its value may be NULL); NULL where there is none of that type. */
extern ParamExternData *cx_key_parameter(ParamListInfo params, int id, Oid type,
										 ParamExternData *workspace);

#endif
