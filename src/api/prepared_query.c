/*
 * api/prepared_query.c
 *		A query text made ready to run through the cache, kept for the session.
 *
 * Parsing and planning cost more than a hit, so texts keep their SPI plans.
 *
 * Invariants:
 *
 *	1. A kept query is found by everything that decides what its text means: text, user,
 *	   search_path, the settings that literals are read with, row_security and whether untracked
 *	   tables are allowed.  All are dropped when a
 *	   message says that a name may mean something else, or that rights on a schema, which are
 *	   checked when a text is parsed only, or a role's memberships may have changed.
 *	2. Literals that are frozen when a text is parsed ('now' and the like) are never kept.
 *	3. A query with parameters has two plans.  The first, generic, is run only for a hit and so is
 *	   planned once; what it does not serve the second runs, which PostgreSQL plans for the
 *	   parameters' values where that pays.
 *	4. A query that is in use is not freed: users counts those who got it and whose memory context
 *	   still stands.
 *
 * Memory: each in a context of its own below TopMemoryContext, at most MAX_KEPT, the least recently
 * used one goes first.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/compat.h"
#include "api/prepared_query.h"
#include "plan/generation.h"
#include "plan/planner.h"
#include "plan/wrap.h"
#include "query/statement.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#define MAX_KEPT 256

struct cx_prepared_query
{
	dlist_node	node;			/* in kept, most recently used first */
	MemoryContext context;
	int			users;
	bool		listed;			/* in kept; else freed with its last user */

	uint32		hash;			/* of the following */
	char	   *sql;
	StringInfoData circumstances;	/* see describe_circumstances() */
	bool		untracked_allowed;

	int			param_count;
	Oid		   *param_types;
	Oid		   *param_inputs;	/* input functions and their argument */
	Oid		   *param_ioparams;

	SPIPlanPtr	hit_plan;		/* only with parameters */
	SPIPlanPtr	plan;
	bool		try_hit_plan;	/* did hit_plan turn out to be wrapped? */
};

static dlist_head kept = DLIST_STATIC_INIT(kept);
static int	kept_count = 0;
static uint64 kept_names = 0;	/* cx_generation_names() when they were made */

/*
 * Keeping
 */

static void
free_query(cx_prepared_query *query)
{
	if (query->hit_plan)
		SPI_freeplan(query->hit_plan);
	if (query->plan)
		SPI_freeplan(query->plan);
	MemoryContextDelete(query->context);
}

static void
unlist_query(cx_prepared_query *query)
{
	if (query->listed)
	{
		dlist_delete(&query->node);
		kept_count--;
		query->listed = false;
	}
	if (query->users == 0)
		free_query(query);
}

static void
unlist_all(void)
{
	dlist_mutable_iter at;

	dlist_foreach_modify(at, &kept)
		unlist_query(dlist_container(cx_prepared_query, node, at.cur));
}

/* A user's memory context is gone. */
static void
release_query(void *arg)
{
	cx_prepared_query *query = arg;

	query->users--;
	if (query->users == 0 && !query->listed)
		free_query(query);
}

static cx_prepared_query *
use_query(cx_prepared_query *query)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = release_query;
	callback->arg = query;
	query->users++;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return query;
}

/* All but the text that decides what it means (invariant 1). */
static void
describe_circumstances(StringInfo out, bool untracked_allowed)
{
	Oid			user = GetUserId();

	appendBinaryStringInfo(out, (char *) &user, sizeof(user));
	appendStringInfoChar(out, (row_security ? 1 : 0) | (untracked_allowed ? 2 : 0));
	cx_statement_parse_key(out);
	appendStringInfoString(out, namespace_search_path);
}

static uint32
hash_of(const char *sql, const StringInfoData *circumstances)
{
	return hash_combine(hash_bytes((const unsigned char *) sql, strlen(sql)),
						hash_bytes((const unsigned char *) circumstances->data,
								   circumstances->len));
}

static cx_prepared_query *
find_kept(uint32 hash, const char *sql, const StringInfoData *circumstances)
{
	dlist_iter	at;

	dlist_foreach(at, &kept)
	{
		cx_prepared_query *query = dlist_container(cx_prepared_query, node, at.cur);

		if (query->hash == hash && strcmp(query->sql, sql) == 0 &&
			query->circumstances.len == circumstances->len &&
			memcmp(query->circumstances.data, circumstances->data, circumstances->len) == 0)
		{
			dlist_move_head(&kept, &query->node);
			return query;
		}
	}
	return NULL;
}

static bool
is_word_part(char c)
{
	return isalnum((unsigned char) c) || c == '_';
}

/*
 * Does the text hold a word that date and time input turns into the time of parsing, anywhere?
 * Taking one for such a word costs a parse each time, so escapes that could hide one count too.
 */
static bool
has_frozen_literal(const char *sql)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	bool		escapes = strchr(sql, '\\') != NULL;

	for (const char *at = sql; *at; at++)
	{
		if (escapes && (pg_strncasecmp(at, "e'", 2) == 0 || pg_strncasecmp(at, "u&'", 3) == 0))
			return true;
		if (at > sql && is_word_part(at[-1]))
			continue;
		for (int i = 0; i < lengthof(words); i++)
			if (pg_strncasecmp(at, words[i], strlen(words[i])) == 0 &&
				!is_word_part(at[strlen(words[i])]))
				return true;
	}
	return false;
}

/*
 * Making ready
 */

/* Parses the text once to see what it is and which types its parameters have. */
static void
analyze_text(cx_prepared_query *query)
{
	List	   *parsed = pg_parse_query(query->sql);
	RawStmt    *raw;
	Query	   *analyzed;
	MemoryContext old;

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query text must hold exactly one statement")));
	raw = linitial_node(RawStmt, parsed);
	if (!IsA(raw->stmt, SelectStmt) || ((SelectStmt *) raw->stmt)->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("only a plain SELECT can be run through the cache"),
				 errhint("Run other statements directly.")));

	analyzed = parse_analyze_varparams(raw, query->sql, &query->param_types,
									   &query->param_count, NULL);
	if (analyzed->commandType != CMD_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("only a plain SELECT can be run through the cache"),
				 errhint("Run other statements directly.")));

	old = MemoryContextSwitchTo(query->context);
	if (query->param_count > 0)
	{
		Oid		   *types = palloc(sizeof(Oid) * query->param_count);

		memcpy(types, query->param_types, sizeof(Oid) * query->param_count);
		query->param_types = types;
		query->param_inputs = palloc(sizeof(Oid) * query->param_count);
		query->param_ioparams = palloc(sizeof(Oid) * query->param_count);
	}
	MemoryContextSwitchTo(old);

	for (int i = 0; i < query->param_count; i++)
	{
		if (query->param_types[i] == InvalidOid || query->param_types[i] == UNKNOWNOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine data type of parameter $%d", i + 1)));
		getTypeInputInfo(query->param_types[i], &query->param_inputs[i],
						 &query->param_ioparams[i]);
	}
}

static SPIPlanPtr
prepare(const cx_prepared_query *query, int extra_options)
{
	int			options = CURSOR_OPT_PARALLEL_OK | CX_CURSOR_OPT_CACHE | extra_options;
	SPIPlanPtr	plan;

	if (query->untracked_allowed)
		options |= CX_CURSOR_OPT_UNTRACKED;
	plan = SPI_prepare_cursor(query->sql, query->param_count, query->param_types, options);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

static cx_prepared_query *
make_query(const char *sql, const StringInfoData *circumstances, uint32 hash,
		   bool untracked_allowed)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cache_ext prepared query",
												  ALLOCSET_SMALL_SIZES);
	cx_prepared_query *query = MemoryContextAllocZero(context, sizeof(cx_prepared_query));
	MemoryContext old;

	query->context = context;
	query->hash = hash;
	query->sql = MemoryContextStrdup(context, sql);
	query->untracked_allowed = untracked_allowed;
	old = MemoryContextSwitchTo(context);
	initStringInfo(&query->circumstances);
	appendBinaryStringInfo(&query->circumstances, circumstances->data, circumstances->len);
	MemoryContextSwitchTo(old);

	analyze_text(query);
	query->plan = prepare(query, 0);
	if (query->param_count > 0)
	{
		query->hit_plan = prepare(query, CURSOR_OPT_GENERIC_PLAN);
		query->try_hit_plan = true;
	}

	/* from here nothing fails but for lack of memory */
	SPI_keepplan(query->plan);
	if (query->hit_plan)
		SPI_keepplan(query->hit_plan);
	MemoryContextSetParent(context, TopMemoryContext);
	return query;
}

cx_prepared_query *
cx_prepared_query_get(const char *sql, bool untracked_allowed)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData circumstances;
	uint32		hash;
	cx_prepared_query *query;

	/* a revoked right or a new name counts from here on, as it would if the text were parsed */
	AcceptInvalidationMessages();
	if (kept_names != cx_generation_names())
	{
		unlist_all();
		kept_names = cx_generation_names();
	}

	initStringInfo(&circumstances);
	describe_circumstances(&circumstances, untracked_allowed);
	hash = hash_of(sql, &circumstances);
	query = find_kept(hash, sql, &circumstances);
	if (query != NULL)
		return use_query(query);

	/* SPI leaves its own context behind as the current one */
	query = make_query(sql, &circumstances, hash, untracked_allowed);
	MemoryContextSwitchTo(caller);
	query = use_query(query);
	if (!has_frozen_literal(sql))
	{
		if (kept_count == MAX_KEPT)
			unlist_query(dlist_container(cx_prepared_query, node, dlist_tail_node(&kept)));
		dlist_push_head(&kept, &query->node);
		kept_count++;
		query->listed = true;
	}
	return query;
}

/*
 * Parameters
 */

ParamListInfo
cx_prepared_query_params_from(cx_prepared_query *query, int count, const Datum *texts,
							  const bool *nulls)
{
	ParamListInfo params;

	if (count != query->param_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wrong number of arguments for the query: expected %d, got %d",
						query->param_count, count)));
	if (count == 0)
		return NULL;

	params = makeParamList(count);
	for (int i = 0; i < count; i++)
	{
		ParamExternData *param = &params->params[i];
		char	   *input = nulls[i] ? NULL : TextDatumGetCString(texts[i]);

		param->ptype = query->param_types[i];
		param->pflags = PARAM_FLAG_CONST;
		param->isnull = nulls[i];
		/* called for a NULL too: a domain may refuse it */
		param->value = OidInputFunctionCall(query->param_inputs[i], input,
											query->param_ioparams[i], -1);
	}
	return params;
}

ParamListInfo
cx_prepared_query_params(cx_prepared_query *query, ArrayType *args)
{
	Datum	   *texts;
	bool	   *nulls;
	int			count;

	if (ARR_NDIM(args) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arguments must be a one-dimensional array")));
	deconstruct_array(args, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
	return cx_prepared_query_params_from(query, count, texts, nulls);
}

/*
 * Running
 */

static void
run_plan(SPIPlanPtr plan, ParamListInfo params, cx_request *request, DestReceiver *dest)
{
	SPIExecuteOptions options = {.params = params, .read_only = false, .dest = dest};
	cx_request *outer = cx_scan_request(request);
	int			result;

	PG_TRY();
	{
		result = SPI_execute_plan_extended(plan, &options);
		if (result < 0)
			elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(result));
	}
	PG_FINALLY();
	{
		cx_scan_withdraw(outer);
	}
	PG_END_TRY();
}

void
cx_prepared_query_run(cx_prepared_query *query, ParamListInfo params, cx_request *request,
					  DestReceiver *dest)
{
	if (query->hit_plan && query->try_hit_plan && !request->missed && cx_scan_may_hit())
	{
		request->only_hit = true;
		run_plan(query->hit_plan, params, request, dest);
		request->only_hit = false;
		switch (request->outcome)
		{
			case CX_OUTCOME_HIT:
				return;
			case CX_OUTCOME_NONE:
				/* not wrapped, so these are the rows; the next time the other plan is better */
				query->try_hit_plan = false;
				return;
			default:
				request->missed = request->outcome != CX_OUTCOME_BYPASS;
		}
	}

	run_plan(query->plan, params, request, dest);
	request->missed = false;
	if (request->outcome != CX_OUTCOME_NONE)
		query->try_hit_plan = true;
	if (request->plan_is_old)
		unlist_query(query);	/* so that the next one can fill; it is in use here */
}

cx_hit *
cx_prepared_query_hit(cx_prepared_query *query, ParamListInfo params, cx_request *request,
					  CachedPlan **plan)
{
	cx_hit	   *hit = NULL;

	*plan = NULL;
	if (cx_scan_may_hit() && (query->hit_plan == NULL || query->try_hit_plan))
		*plan = SPI_plan_get_cached_plan(query->hit_plan ? query->hit_plan : query->plan);
	if (*plan == NULL)
		return NULL;
	if (cx_wrap_is_wrapped(linitial_node(PlannedStmt, (*plan)->stmt_list)))
	{
		hit = cx_hit_find(linitial_node(PlannedStmt, (*plan)->stmt_list), params, request);
		request->missed = request->outcome == CX_OUTCOME_NOT_FILLED;
	}
	if (hit == NULL)
	{
		ReleaseCachedPlan(*plan, CurrentResourceOwner);
		*plan = NULL;
	}
	return hit;
}

/*
 * Describing
 */

TupleDesc
cx_prepared_query_columns(cx_prepared_query *query)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(query->plan));

	return CreateTupleDescCopy(source->resultDesc);
}

const char *
cx_prepared_query_describe(cx_prepared_query *query, cx_statement **statement)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(query->plan));
	CachedPlan *cached = SPI_plan_get_cached_plan(query->plan);
	const char *refusal = NULL;

	/* the plan was wanted for its locks and for a Query that is up to date */
	if (cached == NULL || list_length(source->query_list) != 1)
		elog(ERROR, "no plan for a query of one statement");
	*statement = cx_statement_analyze(copyObject(linitial_node(Query, source->query_list)),
									  query->untracked_allowed, &refusal);
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return refusal;
}

bool
cx_prepared_query_readable(cx_prepared_query *query)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(query->plan);
	bool		readable;

	if (cached == NULL)
		elog(ERROR, "no plan for a query of one statement");
	readable = cx_may_read(linitial_node(PlannedStmt, cached->stmt_list), false);
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return readable;
}
