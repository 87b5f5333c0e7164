/*
 * query/statement.h
 *		Understanding a query: may it be cached, under which key, depending on what?
 */
#ifndef CX_QUERY_STATEMENT_H
#define CX_QUERY_STATEMENT_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/extensible.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"

#include "base/tag.h"

/*
 * What planning found out about a cacheable statement.  An ExtensibleNode, so that it lives in a
 * plan's custom_private, is copied with it and is never changed afterwards.
 */
typedef struct cx_statement cx_statement;

extern void cx_statement_init(void);

/*
 * Analyses a rewritten Query, as the planner gets it, without changing it.  Returns NULL where
 * the statement may not be cached, with *refused a text for users (palloc'd or constant) that
 * names the culprit: a function, a relation, a clause.  untracked_allowed admits untracked
 * ordinary tables, views' tables and the like (never catalogs, temporary or foreign tables) whose
 * changes only the TTL bounds; the key says so, such entries are never shared with exact ones.
 */
extern cx_statement *cx_statement_analyze(Query *query, bool untracked_allowed,
										  const char **refused);

/*
 * Appends the key material: everything that can change the result except table contents, length
 * delimited.  Returns false, and a constant reason, when a parameter can't be part of a key.
 */
extern bool cx_statement_key(const cx_statement *statement, ParamListInfo params, StringInfo out,
							 const char **refused);

/*
 * Appends only what a SET between two steps of one execution can change: settings and user.
 */
extern void cx_statement_session_key(const cx_statement *statement, StringInfo out);

/*
 * Appends every setting that decides what a query text means when it is parsed: how literals are
 * read, besides what names stand for.  For those who keep texts parsed.
 */
extern void cx_statement_parse_key(StringInfo out);

/*
 * The tags with their values for these parameters, palloc'd in CurrentMemoryContext.  Always holds
 * G and a D for every relation: the definitions are first, cx_statement_definitions() counts them.
 * Never fails: a value that can't be hashed makes the tag T.
 */
extern int	cx_statement_tags(const cx_statement *statement, ParamListInfo params, cx_tag **tags);
extern int	cx_statement_definitions(const cx_statement *statement, const cx_tag **tags);

/*
 * Has the current user the rights that initialising the plan would check (EXECUTE on functions,
 * SELECT on the tables that an allowed SECURITY INVOKER function reads)?  If not, run the plan and
 * let PostgreSQL raise its own error.
 */
extern bool cx_statement_permitted(const cx_statement *statement);

/*
 * Were the bodies of functions looked into?  What they mean depends on what names stand for, while the
 * query tree has them resolved: on definitions that the tree doesn't know of, on the user, search_path
 * and row_security.  is_current: are the latter still the same?  cx_statement_key() refuses a statement
 * that isn't current.
 */
extern bool cx_statement_reads_bodies(const cx_statement *statement);
extern bool cx_statement_is_current(const cx_statement *statement);

/*
 * Does a PL/pgSQL function declare a variable by another object's type (%TYPE, %ROWTYPE)?  A
 * session that has compiled it keeps the type of then, whatever becomes of that object.
 */
extern bool cx_statement_keeps_types(const cx_statement *statement);

/*
 * Is what the column's output function (or send function) makes of a value fixed by the value and
 * by what is in every key?
 */
extern bool cx_statement_renders(const cx_statement *statement, int column, bool binary);

/*
 * Does it call functions whose bodies were not looked into?  What a name in them stands for is found
 * when they run, and the plans of their statements may be kept in the session.
 */
extern bool cx_statement_runs_bodies(const cx_statement *statement);

/*
 * Does planning compute values that settings or catalogs decide, and keep them?  Such a plan is one of
 * the settings and the catalogs under which it was made.
 */
extern bool cx_statement_folds(const cx_statement *statement);

/* What the statement is known by: 32 bytes. */
extern const uint8 *cx_statement_fingerprint(const cx_statement *statement);

/* OIDs of all relations and functions the result depends on, members of trees too. */
extern List *cx_statement_relations(const cx_statement *statement);
extern List *cx_statement_functions(const cx_statement *statement);

#endif
