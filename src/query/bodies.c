/*
 * query/bodies.c
 *		What does the result of a SQL or PL/pgSQL function depend on?  The bodies of functions, read.
 *
 * The statements of a body are analysed as the function would do it, and walked as the statement
 * itself is (eligible.c): tables become tags, settings go into the key, functions are reviewed in
 * turn.
 *
 * 1. Nothing of a body is run, and nothing of it planned.  Parse analysis runs input functions of
 *    literals, but none of somebody else's code (query/literals.h).
 * 2. It is read under the function's own settings and, if it is SECURITY DEFINER, as its owner:
 *    what names stand for, and which policies apply, depends on both.
 * 3. A body may have statements that a call never comes to: an error in one, or a lock, must not
 *    be the caller's.  So all is done in a subtransaction that is rolled back, and an error makes
 *    the function one that can't be told.
 * 4. An argument is fixed by the expression that is passed, which is part of the statement
 *    around.  So $n pins no key column here: every table of a body is tagged T.
 * 5. What the body says holds for this user and search_path only: cx_statement_is_current().
 *
 * Memory: the analysis's.  No locks are left.
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/analysis.h"
#include "query/bodies.h"
#include "query/guarded.h"
#include "query/literals.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_type.h"
#include "executor/functions.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/*
 * A body, and what its meaning depends on besides definitions.  One that was looked into under
 * the same conditions is not looked into again, which ends recursion too: it is noted before it
 * is read.
 */
typedef struct seen_body
{
	Oid			function;
	Oid			user;
	bool		as_owner;
	bool		immutable;
	char	   *search_path;
	List	   *types;			/* OIDs: of the arguments passed, and of columns asked for */
	const char *opaque;			/* why it can't be told, or NULL */
} seen_body;

/* One look, as an argument of cx_guarded_look(). */
typedef struct look
{
	cx_analysis *analysis;
	HeapTuple	function;
	FuncExpr   *call;			/* NULL where nothing is known of the arguments */
	List	   *column_types;
	bool		fine;
} look;

void
cx_bodies_context(StringInfo out)
{
	Oid			user = GetUserId();
	char		flags = (row_security ? 1 : 0) | (standard_conforming_strings ? 2 : 0);
	Oid			few[16];
	Oid		   *schemas = few;
	int			count = fetch_search_path_array(few, lengthof(few));

	if (count > lengthof(few))
	{
		schemas = palloc(sizeof(Oid) * count);
		count = fetch_search_path_array(schemas, count);
	}
	appendBinaryStringInfo(out, (char *) &user, sizeof(user));
	appendBinaryStringInfo(out, &flags, sizeof(flags));
	appendBinaryStringInfo(out, (char *) schemas, sizeof(Oid) * count);
	if (schemas != few)
		pfree(schemas);
}

/*
 * Statements
 */

/*
 * T of every table that the rewritten query reads, at any depth, and the rights that its execution
 * asks for.
 */
static bool
add_reads(Node *node, void *context)
{
	cx_analysis *analysis = (cx_analysis *) context;
	Query	   *query = (Query *) node;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, add_reads, context);

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_RELATION && rte->relkind != RELKIND_VIEW)
			cx_relations_add_any_row(analysis, rte->relid);
	}

	/* those of a view's owner, or of the function's, change by DDL only */
	foreach(cell, cx_rights_list(query))
	{
		cx_rights  *rights = (cx_rights *) lfirst(cell);

		if (!analysis->as_owner && rights->requiredPerms != 0 &&
			!OidIsValid(rights->checkAsUser))
			analysis->statement->selected =
				list_append_unique_oid(analysis->statement->selected, rights->relid);
	}
	return query_tree_walker(query, add_reads, context, 0);
}

static bool
review_rewritten(cx_analysis *analysis, Query *query)
{
	List	   *levels = analysis->levels;
	bool		fine;

	analysis->levels = NIL;
	fine = cx_eligible_expression(analysis, (Node *) query);
	analysis->levels = levels;
	if (fine)
		(void) add_reads((Node *) query, analysis);
	return fine;
}

bool
cx_bodies_review_parsed(cx_analysis *analysis, Query *parsed)
{
	List	   *rewritten;
	ListCell   *cell;

	if (parsed->commandType != CMD_SELECT || parsed->utilityStmt != NULL)
		return cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD, "a command other than SELECT");

	rewritten = QueryRewrite(parsed);
	foreach(cell, rewritten)
	{
		if (!review_rewritten(analysis, lfirst_node(Query, cell)))
			return false;
	}
	return true;
}

/*
 * SQL functions
 */

/* Without post_parse_analyze_hook: to other modules this is no statement of the client's. */
static Query *
analyse(RawStmt *raw, const char *source, SQLFunctionParseInfo *info)
{
	ParseState *state = make_parsestate(NULL);
	Query	   *query;

	state->p_sourcetext = source;
	sql_fn_parser_setup(state, info);
	query = cx_literals_transform(state, raw);
	free_parsestate(state);
	return query;
}

/* The queries of the body, analysed and rewritten: a list of lists, as PostgreSQL has them. */
static List *
read_sql(look *this)
{
	SQLFunctionParseInfo *info = prepare_sql_fn_parse_info(this->function, (Node *) this->call,
														   InvalidOid);
	List	   *queries = NIL;
	bool		no_tree;
	Datum		tree = SysCacheGetAttr(PROCOID, this->function, Anum_pg_proc_prosqlbody, &no_tree);
	bool		no_text;
	Datum		prosrc = SysCacheGetAttr(PROCOID, this->function, Anum_pg_proc_prosrc, &no_text);
	ListCell   *cell;

	if (!no_tree)
	{
		/* a query, or a list that holds the list of them */
		Node	   *node = stringToNode(TextDatumGetCString(tree));
		List	   *stored = IsA(node, List) ? linitial_node(List, (List *) node) : list_make1(node);

		foreach(cell, stored)
		{
			Query	   *query = lfirst_node(Query, cell);

			AcquireRewriteLocks(query, true, false);
			queries = lappend(queries, query->commandType == CMD_SELECT ?
							  QueryRewrite(query) : list_make1(query));
		}
	}
	else
	{
		char	   *source = TextDatumGetCString(prosrc);

		foreach(cell, raw_parser(source, RAW_PARSE_DEFAULT))
		{
			Query	   *query = analyse(lfirst_node(RawStmt, cell), source, info);

			queries = lappend(queries, query->commandType == CMD_SELECT && !query->utilityStmt ?
							  QueryRewrite(query) : list_make1(query));
		}
	}
	return queries;
}

/* The last query returns the function's result after a cast, maybe of a user's. */
static void
coerce_result(look *this, List *queries)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(this->function);
	Oid			type;
	TupleDesc	desc = NULL;
	ListCell   *cell;

	if (this->call != NULL)
		(void) get_expr_result_type((Node *) this->call, &type, &desc);
	else
		(void) get_func_result_type(form->oid, &type, &desc);
	if (type == RECORDOID && desc == NULL && this->column_types != NIL)
	{
		desc = CreateTemplateTupleDesc(list_length(this->column_types));
		foreach(cell, this->column_types)
			TupleDescInitEntry(desc, foreach_current_index(cell) + 1, NULL, lfirst_oid(cell), -1, 0);
	}
	cx_coerce_function_result(queries, type, desc);
}

static bool
review_sql(look *this)
{
	List	   *queries = read_sql(this);
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, queries)
	{
		foreach(inner, lfirst_node(List, cell))
		{
			if (lfirst_node(Query, inner)->commandType != CMD_SELECT)
				return cx_analysis_refuse_as(this->analysis, CX_REFUSED_FOR_GOOD,
											 "a command other than SELECT");
		}
	}
	coerce_result(this, queries);

	foreach(cell, queries)
	{
		foreach(inner, lfirst_node(List, cell))
		{
			if (!review_rewritten(this->analysis, lfirst_node(Query, inner)))
				return false;
		}
	}
	return true;
}

/*
 * Bodies in general
 */

bool
cx_bodies_readable(Oid language)
{
	return language == SQLlanguageId ||
		strcmp(get_language_name(language, false), "plpgsql") == 0;
}

/* Is it a body of which nothing can be told, whatever it says? */
static bool
check_readable(cx_analysis *analysis, HeapTuple function, FuncExpr *call)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	bool		isnull;
	Datum		config = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proconfig, &isnull);
	Datum	   *items;
	int			count;

	if (!cx_bodies_readable(form->prolang))
		return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE, "it is written in language %s",
									 get_language_name(form->prolang, false));
	if (form->prokind != PROKIND_FUNCTION)
		return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE, "it is no plain function");

	if (call == NULL)
	{
		for (int i = 0; i < form->pronargs; i++)
		{
			if (IsPolymorphicType(form->proargtypes.values[i]))
				return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
											 "the types of its arguments are not known here");
		}
	}

	if (isnull)
		return true;
	deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT,
					  &items, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *item = TextDatumGetCString(items[i]);

		if (pg_strncasecmp(item, "role=", strlen("role=")) == 0 ||
			pg_strncasecmp(item, "session_authorization=", strlen("session_authorization=")) == 0)
			return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE, "it changes the role");
	}
	return true;
}

/*
 * What was found under these conditions, or is just being; NULL, and a new one in *body, if
 * nothing.
 */
static seen_body *
find_seen(look *this, seen_body **body)
{
	cx_analysis *analysis = this->analysis;
	seen_body	now = {
		.function = ((Form_pg_proc) GETSTRUCT(this->function))->oid,
		.user = GetUserId(),
		.as_owner = analysis->as_owner,
		.immutable = OidIsValid(analysis->immutable),
		.types = list_copy(this->column_types)
	};
	ListCell   *cell;

	if (this->call != NULL)
	{
		foreach(cell, this->call->args)
			now.types = lappend_oid(now.types, exprType((Node *) lfirst(cell)));
		now.types = lappend_oid(now.types, this->call->funcresulttype);
	}
	foreach(cell, analysis->bodies)
	{
		seen_body  *seen = (seen_body *) lfirst(cell);

		if (seen->function == now.function && seen->user == now.user &&
			seen->as_owner == now.as_owner && seen->immutable == now.immutable &&
			strcmp(seen->search_path, namespace_search_path) == 0 &&
			equal(seen->types, now.types))
			return seen;
	}

	now.search_path = pstrdup(namespace_search_path);
	*body = palloc(sizeof(seen_body));
	**body = now;
	analysis->bodies = lappend(analysis->bodies, *body);
	return NULL;
}

static bool
review_here(look *this)
{
	cx_analysis *analysis = this->analysis;
	seen_body  *body;
	seen_body  *seen = find_seen(this, &body);
	bool		fine;
	bool		folds;

	if (seen != NULL)
		return seen->opaque == NULL ||
			cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE, "%s", seen->opaque);

	if (((Form_pg_proc) GETSTRUCT(this->function))->prolang == SQLlanguageId)
		fine = review_sql(this);
	else
	{
		/* what is computed in these is in plans of the function's own: plan/kept_plans.h */
		folds = analysis->statement->folds;
		fine = cx_plpgsql_review(analysis, this->function, this->call);
		analysis->statement->folds = folds;
	}
	if (!fine)
		body->opaque = analysis->refused;
	return fine;
}

/*
 * As fmgr_security_definer() sets the scene for the call.  After an error the subtransaction
 * around puts user and settings back, and cx_bodies_review() the rest.
 */
static bool
look_into(void *arg)
{
	look	   *this = (look *) arg;
	cx_analysis *analysis = this->analysis;
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(this->function);
	bool		as_owner = analysis->as_owner;
	Oid			immutable = analysis->immutable;
	bool		no_config;
	Datum		config = SysCacheGetAttr(PROCOID, this->function, Anum_pg_proc_proconfig, &no_config);
	int			nest = no_config ? 0 : NewGUCNestLevel();
	Oid			user;
	int			security;

	check_stack_depth();
	GetUserIdAndSecContext(&user, &security);
	if (form->prosecdef)
	{
		SetUserIdAndSecContext(form->proowner, security | SECURITY_LOCAL_USERID_CHANGE);
		analysis->as_owner = true;
	}
	if (!no_config)
		ProcessGUCArray(DatumGetArrayTypeP(config), superuser() ? PGC_SUSET : PGC_USERSET,
						PGC_S_SESSION, GUC_ACTION_SAVE);
	if (form->provolatile == PROVOLATILE_IMMUTABLE && !OidIsValid(immutable))
		analysis->immutable = form->oid;

	this->fine = review_here(this);

	analysis->as_owner = as_owner;
	analysis->immutable = immutable;
	if (!no_config)
		AtEOXact_GUC(true, nest);
	SetUserIdAndSecContext(user, security);
	return true;
}

/* What is noted of types that are fine. */
static void
copy_type_notes(cx_analysis *to, const cx_analysis *from)
{
	to->outputs = list_copy(from->outputs);
	to->json_outputs = list_copy(from->json_outputs);
	to->inputs = list_copy(from->inputs);
	to->compared = list_copy(from->compared);
	to->domains = list_copy(from->domains);
}

bool
cx_bodies_review(cx_analysis *analysis, HeapTuple function, List *arguments, Oid result_type,
				 List *column_types)
{
	static const cx_analysis nothing = {0};

	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	look		this = {analysis, function};
	const char *message;
	cx_analysis before = *analysis;
	bool		apart = (form->prosecdef && !before.as_owner) ||
		(form->provolatile == PROVOLATILE_IMMUTABLE && !OidIsValid(before.immutable));

	if (OidIsValid(result_type))
		this.call = makeFuncExpr(form->oid, result_type, arguments, InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
	this.column_types = column_types;
	if (!check_readable(analysis, function, this.call))
		return false;

	/* where other rights hold, or nothing may be read, types are looked at anew */
	copy_type_notes(&before, analysis);
	if (apart)
		copy_type_notes(analysis, &nothing);

	if (before.in_body)
		(void) look_into(&this);
	else
	{
		before.bodies = list_copy(before.bodies);
		analysis->looked_into = analysis->in_body = true;
		if (!cx_guarded_look(look_into, &this, &message))
		{
			/* what was noted on the way here says nothing: the error ended it */
			analysis->bodies = before.bodies;
			analysis->refused = NULL;
			this.fine = cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
											  "it can't be analysed: %s", message);
		}
		analysis->in_body = false;
		analysis->as_owner = before.as_owner;
		analysis->immutable = before.immutable;
		analysis->levels = before.levels;
	}

	/* a type is noted before it is reviewed, which may have ended before it was done */
	if (apart || !this.fine)
		copy_type_notes(analysis, &before);
	return this.fine;
}
