/*
 * query/private.h
 *		What is inside a cx_statement.  For query/ only.
 */
#ifndef CX_QUERY_PRIVATE_H
#define CX_QUERY_PRIVATE_H

#include "postgres.h"

#include "query/conditions.h"
#include "query/statement.h"
#include "query/tracked.h"

#include "common/sha2.h"

#define CX_STATEMENT_NODE "cx_statement"

/* More elements of an ANY (array) than this are tagged as any row of the table. */
#define CX_MAX_KEY_VALUES 16

#define CX_RENDERS_TEXT 1
#define CX_RENDERS_BINARY 2

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
	bool		folds; /* planning computes a value that settings or catalogs decide */
	bool		uses_libraries; /* settings of libraries may reach the result */
	bool		loads_libraries;	/* running it may load some that analysing it did not */
	bool		keeps_types;	/* see cx_statement_keeps_types() */
	List	   *settings;		/* String nodes: read by current_setting('name') */

	int			context_length; /* see cx_statement_is_current(); 0 if no body was looked into */
	char	   *context;

	int			parameter_count;
	cx_parameter *parameters;	/* by id */

	int			tag_count;
	cx_tag	   *tags;			/* those that no parameter decides, definitions first */
	int			definition_count;	/* of them */
	int			pin_count;
	cx_pin	   *pins;

	int			column_count;
	uint8	   *renderings;		/* of each column: CX_RENDERS_TEXT, CX_RENDERS_BINARY */

	List	   *relations;		/* OIDs */
	List	   *functions;		/* OIDs: what cx_statement_functions() promises */
	List	   *executed;		/* OIDs: the current user needs EXECUTE */
	List	   *open_to_all;	/* OIDs: too, but nobody had revoked it from PUBLIC ... */
	uint64		function_changes;	/* ... when cx_functions_changes() was this */
	List	   *selected;		/* OIDs: the current user needs SELECT */
};

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

/* functions.c: moves when a function was changed, GRANT and REVOKE included. */
extern uint64 cx_functions_changes(void);

/* key.c: a parameter (its value may be NULL); NULL where there is none of that type. */
extern ParamExternData *cx_key_parameter(ParamListInfo params, int id, Oid type,
										 ParamExternData *workspace);

#endif
