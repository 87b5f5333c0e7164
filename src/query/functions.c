/*
 * query/functions.c
 *		May the result of a function be cached, and what does that put into key and tags?
 *
 * 1. VOLATILE never.
 * 2. A built-in function (its OID is below FirstNormalObjectId, so not an extension's): IMMUTABLE
 *    always, since every setting that one of them looks at is in every key, as far as it calls no
 *    others (query/comparisons.c); STABLE if query/reviewed.c knows it.
 * 3. Any other function: if it is written in SQL or PL/pgSQL, what its body says
 *    (query/bodies.c), whether it is declared IMMUTABLE or STABLE.  If that can't be told, or in
 *    other languages: IMMUTABLE by its owner's word, STABLE if cache_ext.allow_function() named
 *    what it reads.
 * 4. The key holds what can change the meaning of a body: search_path unless the function sets
 *    its own, and the user that statements in it run as.
 */
#include "postgres.h"

#include "query/allowed.h"
#include "query/analysis.h"
#include "query/bodies.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* Changes of pg_proc that this session was told of. */
static uint64 function_changes = 1;

/* Does the function run under a search_path of its own? */
static bool
sets_search_path(HeapTuple tuple)
{
	bool		isnull;
	Datum		config = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	Datum	   *items;
	int			count;
	bool		found = false;

	if (isnull)
		return false;
	deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT,
					  &items, NULL, &count);
	for (int i = 0; i < count && !found; i++)
	{
		char	   *item = TextDatumGetCString(items[i]);

		found = pg_strncasecmp(item, "search_path=", strlen("search_path=")) == 0;
		pfree(item);
	}
	return found;
}

/*
 * What text search functions do is defined by configurations, dictionaries, parsers and templates, which
 * refer to each other: one tag for all of them.  Is a built-in function one of these?
 */
static bool
uses_text_search(Form_pg_proc form)
{
	if (form->provolatile == PROVOLATILE_STABLE && form->pronamespace == PG_CATALOG_NAMESPACE &&
		cx_reviewed_find(form) == CX_REVIEWED_TEXT_SEARCH)
		return true;
	for (int i = 0; i < form->pronargs; i++)
	{
		if (form->proargtypes.values[i] == REGCONFIGOID ||
			form->proargtypes.values[i] == REGDICTIONARYOID)
			return true;
	}
	return false;
}

/* Dictionaries, parsers and their templates are functions too. */
static void
add_text_search(cx_analysis *analysis)
{
	analysis->statement->uses_libraries = true;
	cx_tags_add(analysis->statement, CX_TAG_OBJECT, InvalidOid, 0, TSConfigRelationId);
}

/* LANGUAGE internal: another name of a built-in function, with any signature. */
static bool
is_alias_of_text_search(HeapTuple alias)
{
	bool		isnull;
	Datum		source = SysCacheGetAttr(PROCOID, alias, Anum_pg_proc_prosrc, &isnull);
	Oid			function = fmgr_internal_function(TextDatumGetCString(source));
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		result = true;

	if (HeapTupleIsValid(tuple))
	{
		result = uses_text_search((Form_pg_proc) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	return result;
}

/*
 * What any body can depend on besides its arguments: what names stand for at each call, and rights.
 */
static void
add_opaque_body(cx_analysis *analysis, HeapTuple tuple)
{
	cx_statement *statement = analysis->statement;
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	/*
	 * A name in the body may be looked up at each call: search_path decides, a new object may
	 * shadow the old one, and temporary ones come before all others even if it sets search_path.
	 * What the names stand for may change, and so may the rights of those the body runs as: every
	 * change marks the tag of all names, or that of all roles.
	 */
	if (!sets_search_path(tuple))
		statement->needs_search_path = true;
	statement->resolves_names = true;
	cx_libraries_add(analysis, form->oid);
	cx_tags_add(statement, CX_TAG_DEFINITION, InvalidOid, 0, 0);
	cx_tags_add(statement, CX_TAG_ROLE, InvalidOid, 0, 0);

	/*
	 * Statements in the body run with the rights of the caller, which nobody checks on a hit: let
	 * users share entries only where that can't matter.  C code has no statements, as a rule.
	 */
	if (!form->prosecdef && form->prolang != ClanguageId)
		statement->needs_user = true;
}

static void
add_body(cx_analysis *analysis, HeapTuple tuple)
{
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang != INTERNALlanguageId)
		add_opaque_body(analysis, tuple);
	else if (is_alias_of_text_search(tuple))
		add_text_search(analysis);
}

bool
cx_functions_check_immutable(cx_analysis *analysis, const char *what)
{
	if (!OidIsValid(analysis->immutable))
		return true;
	(void) cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD,
								 "function %s is declared IMMUTABLE but reads %s; declare it STABLE",
								 format_procedure(analysis->immutable), what);
	analysis->refused_in_body = true;
	return false;
}

void
cx_functions_add_setting(cx_statement *statement, const char *name)
{
	Node	   *setting = (Node *) makeString(pstrdup(name));

	/* list_member() compares String nodes by value */
	if (!list_member(statement->settings, setting))
		statement->settings = lappend(statement->settings, setting);
}

static bool
review_setting(cx_analysis *analysis, List *arguments)
{
	Node	   *name = arguments == NIL ? NULL : (Node *) linitial(arguments);
	char	   *setting;

	if (name == NULL || !IsA(name, Const) || ((Const *) name)->constisnull ||
		((Const *) name)->consttype != TEXTOID)
		return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
									 "current_setting() of a name that is not a constant");

	setting = TextDatumGetCString(((Const *) name)->constvalue);
	if (GetConfigOptionFlags(setting, true) & GUC_SUPERUSER_ONLY)
		return cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD,
									 "setting \"%s\" is for privileged roles only", setting);
	if (!cx_functions_check_immutable(analysis, psprintf("setting \"%s\"", setting)))
		return false;
	cx_functions_add_setting(analysis->statement, setting);
	return true;
}

static bool
review_arguments(cx_analysis *analysis, List *arguments, bool json)
{
	ListCell   *cell;

	foreach(cell, arguments)
	{
		Node	   *argument = (Node *) lfirst(cell);

		if (IsA(argument, TargetEntry))
			argument = (Node *) ((TargetEntry *) argument)->expr;
		if (!cx_types_review_output(analysis, exprType(argument), argument, json))
			return false;
	}
	return true;
}

static bool
review_built_in(cx_analysis *analysis, Form_pg_proc form, List *arguments, Oid result_type,
				List *column_types)
{
	cx_reviewed review;
	ListCell   *cell;

	if (uses_text_search(form))
		add_text_search(analysis);
	if (form->provolatile == PROVOLATILE_IMMUTABLE)
		return cx_comparisons_review_arguments(analysis, form, arguments);

	review = form->pronamespace == PG_CATALOG_NAMESPACE ? cx_reviewed_find(form) :
		CX_REVIEWED_NOT;
	switch (review)
	{
		case CX_REVIEWED_NOT:
			break;
		case CX_REVIEWED_FIXED:
			return true;
		case CX_REVIEWED_OUTPUT:
			return review_arguments(analysis, arguments, false);
		case CX_REVIEWED_JSON:
			return review_arguments(analysis, arguments, true);
		case CX_REVIEWED_INPUT:
			if (column_types == NIL)
				return cx_types_review_input(analysis, result_type);
			foreach(cell, column_types)
			{
				if (!cx_types_review_input(analysis, lfirst_oid(cell)))
					return false;
			}
			return true;
		case CX_REVIEWED_TEXT_SEARCH:
			analysis->statement->needs_text_search = true;
			return true;
		case CX_REVIEWED_SEARCH_PATH:
			analysis->statement->needs_search_path = true;
			cx_tags_add(analysis->statement, CX_TAG_OBJECT, InvalidOid, 0, ConversionRelationId);
			return true;
		case CX_REVIEWED_SETTING:
			return review_setting(analysis, arguments);
	}
	return cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD,
								 "result of STABLE function %s is not fixed by its arguments",
								 format_procedure(form->oid));
}

/*
 * A function of which nobody can tell what it does, for this reason: was it allowed?
 */
static bool
review_allowed(cx_analysis *analysis, Form_pg_proc form, const char *why_opaque)
{
	cx_statement *statement = analysis->statement;
	List	   *reads;
	List	   *settings;
	Oid			allowed_by;
	ListCell   *cell;

	switch (cx_allowed_find(form->oid, &reads, &settings, &allowed_by))
	{
		case CX_ALLOWED_NOT:
			return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
										 "function %s was not allowed by cache_ext.allow_function(): %s",
										 format_procedure(form->oid), why_opaque);
		case CX_ALLOWED_ENDED:
			return cx_analysis_refuse_as(analysis, CX_REFUSED_OPAQUE,
										 "function %s was changed after cache_ext.allow_function() allowed it",
										 format_procedure(form->oid));
		case CX_ALLOWED:
			break;
	}

	/* a plan made before disallow_function() must not fill after it */
	statement->relations = lappend_oid(statement->relations, allowed_by);
	if (form->provolatile == PROVOLATILE_IMMUTABLE && reads != NIL)
		return cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD,
									 "function %s is declared IMMUTABLE but reads tables; declare it STABLE",
									 format_procedure(form->oid));
	foreach(cell, reads)
	{
		if (!cx_functions_check_immutable(analysis, "tables") ||
			!cx_relations_add_read(analysis, form->oid, lfirst_oid(cell)))
			return false;
		if (!form->prosecdef && !analysis->as_owner)
			statement->selected = list_append_unique_oid(statement->selected, lfirst_oid(cell));
	}
	if (settings != NIL && !cx_functions_check_immutable(analysis, "settings"))
		return false;
	foreach(cell, settings)
		cx_functions_add_setting(statement, strVal(lfirst(cell)));
	if (!form->prosecdef)
		statement->needs_user = true;
	return true;
}

/*
 * A function of a user: what its body says, and else what its owner says.
 */
static bool
review_body(cx_analysis *analysis, HeapTuple tuple, List *arguments, Oid result_type,
			List *column_types)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	const char *why_opaque;

	add_body(analysis, tuple);
	if (cx_bodies_review(analysis, tuple, arguments, result_type, column_types))
		return true;
	if (analysis->refusal != CX_REFUSED_OPAQUE)
	{
		if (!analysis->refused_in_body)
			analysis->refused = psprintf("%s, in function %s", analysis->refused,
										 format_procedure(form->oid));
		analysis->refused_in_body = true;
		return false;
	}
	why_opaque = analysis->refused;
	analysis->refused = NULL;
	return review_allowed(analysis, form, why_opaque);
}

/* What allow_function() was told of a function that needs no allowance. */
static void
add_allowed_settings(cx_statement *statement, Oid function)
{
	List	   *reads;
	List	   *settings;
	Oid			allowed_by;
	ListCell   *cell;

	if (cx_allowed_find(function, &reads, &settings, &allowed_by) != CX_ALLOWED)
		return;
	statement->relations = lappend_oid(statement->relations, allowed_by);
	foreach(cell, settings)
		cx_functions_add_setting(statement, strVal(lfirst(cell)));
}

/* A language whose functions nobody looks into: what they are declared as is believed. */
static bool
is_believed(Form_pg_proc form)
{
	return form->provolatile == PROVOLATILE_IMMUTABLE && !cx_bodies_readable(form->prolang);
}

static bool review_function(cx_analysis *analysis, Oid function, bool called, List *arguments,
							Oid result_type, List *column_types);

/* The types of an aggregate's arguments, as OIDs: not of what only its ORDER BY needs. */
static List *
argument_types(List *arguments)
{
	List	   *types = NIL;
	ListCell   *cell;

	foreach(cell, arguments)
	{
		Node	   *argument = (Node *) lfirst(cell);

		if (IsA(argument, TargetEntry))
		{
			if (((TargetEntry *) argument)->resjunk)
				continue;
			argument = (Node *) ((TargetEntry *) argument)->expr;
		}
		types = lappend_oid(types, exprType(argument));
	}
	return types;
}

/*
 * A function of an aggregate.  If it is polymorphic, its types follow from those of the call: a
 * stand-in for each argument has them.
 */
static bool
review_part(cx_analysis *analysis, Oid function, List *types, Oid result_type)
{
	List	   *arguments = NIL;
	ListCell   *cell;

	if (!OidIsValid(function))
		return true;
	if (function < FirstNormalObjectId)
		return cx_functions_review_support(analysis, function);
	foreach(cell, types)
	{
		CaseTestExpr *argument = makeNode(CaseTestExpr);

		argument->typeId = lfirst_oid(cell);
		argument->typeMod = -1;
		arguments = lappend(arguments, argument);
	}
	return review_function(analysis, function, false, arguments, result_type, NIL);
}

/*
 * pg_proc calls every user's aggregate IMMUTABLE; what its parts are is in pg_aggregate.
 */
static bool
review_aggregate_parts(cx_analysis *analysis, Oid aggregate, List *arguments, Oid result_type)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Form_pg_aggregate form;
	List	   *types = argument_types(arguments);
	Oid			input_types[FUNC_MAX_ARGS];
	Oid			state_type;
	ListCell   *cell;
	bool		fine = true;
	bool		no_initial_value;
	bool		no_moving_initial_value;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);

	state_type = form->aggtranstype;
	if (IsPolymorphicType(state_type) && list_length(types) <= FUNC_MAX_ARGS)
	{
		foreach(cell, types)
			input_types[foreach_current_index(cell)] = lfirst_oid(cell);
		state_type = resolve_aggregate_transtype(aggregate, state_type, input_types,
												 list_length(types));
	}

	{
		Oid			parts[] = {form->aggcombinefn, form->aggserialfn, form->aggdeserialfn,
							   form->aggmtransfn, form->aggminvtransfn, form->aggmfinalfn};

		fine = review_part(analysis, form->aggtransfn, lcons_oid(state_type, list_copy(types)),
						   state_type) &&
			review_part(analysis, form->aggfinalfn,
						form->aggfinalextra ? lcons_oid(state_type, list_copy(types)) :
						list_make1_oid(state_type), result_type);
		for (int i = 0; i < lengthof(parts) && fine; i++)
			fine = !OidIsValid(parts[i]) || cx_functions_review_support(analysis, parts[i]);
	}

	/* initial values are kept as text and go through the input function at each execution */
	(void) SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &no_initial_value);
	(void) SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_aggminitval,
						   &no_moving_initial_value);
	if (fine && !no_initial_value)
		fine = cx_types_review_input(analysis, state_type);
	if (fine && !no_moving_initial_value)
		fine = cx_types_review_input(analysis, form->aggmtranstype);
	fine = fine && cx_relations_add_row_types(analysis, state_type) &&
		cx_relations_add_row_types(analysis, form->aggmtranstype);

	ReleaseSysCache(tuple);
	return fine;
}

static bool
review_function(cx_analysis *analysis, Oid function, bool called, List *arguments,
				Oid result_type, List *column_types)
{
	cx_statement *statement = analysis->statement;
	HeapTuple	tuple;
	Form_pg_proc form;
	bool		built_in = function < FirstNormalObjectId;
	bool		fine = true;

	check_stack_depth();

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);

	if (!built_in)
		statement->functions = list_append_unique_oid(statement->functions, function);
	if (analysis->as_owner)
		called = false;			/* those rights are not the current user's, and change by DDL only */
	if (called && (!built_in || !heap_attisnull(tuple, Anum_pg_proc_proacl, NULL)))
		statement->executed = list_append_unique_oid(statement->executed, function);
	else if (called)
		statement->open_to_all = list_append_unique_oid(statement->open_to_all, function);

	if (form->provolatile == PROVOLATILE_VOLATILE)
		fine = cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD, "function %s is VOLATILE",
									 format_procedure(function));
	else if (!cx_objects_add(analysis, ProcedureRelationId, function) ||
			 !cx_objects_add(analysis, ProcedureRelationId, form->prosupport) ||
			 !cx_objects_add(analysis, LanguageRelationId, form->prolang))
		fine = false;
	else if (built_in)
		fine = review_built_in(analysis, form, arguments, result_type, column_types);
	else if (form->prokind == PROKIND_AGGREGATE)
		fine = review_aggregate_parts(analysis, function, arguments, result_type);
	else if (is_believed(form))
	{
		add_body(analysis, tuple);
		if (form->prolang == INTERNALlanguageId)
			fine = cx_comparisons_review_values(analysis, arguments, result_type);
		add_allowed_settings(statement, function);
	}
	else
		fine = review_body(analysis, tuple, arguments, result_type, column_types);

	ReleaseSysCache(tuple);
	return fine;
}

/*
 * What a call leaves to the defaults of arguments: planning puts their expressions into it, and the
 * function's owner wrote them.  Which ones, takes PostgreSQL's rules for named arguments, so all of
 * the function count.
 */
static bool
review_defaults(cx_analysis *analysis, Oid function, List *arguments)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Datum		defaults;
	bool		isnull = true;
	bool		fine = true;
	ListCell   *cell;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	if (list_length(arguments) < ((Form_pg_proc) GETSTRUCT(tuple))->pronargs)
		defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &isnull);
	if (!isnull)
	{
		foreach(cell, (List *) stringToNode(TextDatumGetCString(defaults)))
			fine = fine && cx_eligible_expression(analysis, lfirst(cell));
	}
	ReleaseSysCache(tuple);
	return fine;
}

bool
cx_functions_review_call(cx_analysis *analysis, Oid function, List *arguments, Oid result_type,
						 List *column_types)
{
	return review_function(analysis, function, true, arguments, result_type, column_types) &&
		review_defaults(analysis, function, arguments);
}

/*
 * Without expressions to look at, a built-in that depends on its arguments' types can't be judged.
 */
bool
cx_functions_review_support(cx_analysis *analysis, Oid function)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	bool		fine = true;

	if (function < FirstNormalObjectId)
	{
		tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for function %u", function);
		form = (Form_pg_proc) GETSTRUCT(tuple);
		if (form->provolatile == PROVOLATILE_STABLE &&
			form->pronamespace == PG_CATALOG_NAMESPACE)
		{
			cx_reviewed review = cx_reviewed_find(form);

			if (review != CX_REVIEWED_FIXED && review != CX_REVIEWED_TEXT_SEARCH)
				fine = cx_analysis_refuse_as(analysis, CX_REFUSED_FOR_GOOD,
											 "result of STABLE function %s is not fixed by its arguments",
											 format_procedure(function));
		}
		ReleaseSysCache(tuple);
	}
	return fine && review_function(analysis, function, false, NIL, InvalidOid, NIL);
}

const char *
cx_functions_examine(Oid function, List **settings, bool *for_good)
{
	cx_analysis analysis = {.statement = palloc0(sizeof(cx_statement)), .untracked_allowed = true};
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	(void) cx_bodies_review(&analysis, tuple, NIL, InvalidOid, NIL);
	ReleaseSysCache(tuple);
	*settings = analysis.statement->settings;
	*for_good = analysis.refusal == CX_REFUSED_FOR_GOOD;
	return analysis.refusal == CX_REFUSED ? NULL : analysis.refused;
}

static void
note_function_change(Datum arg, int cache, uint32 hash)
{
	function_changes++;
}

void
cx_functions_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, note_function_change, (Datum) 0);
}

uint64
cx_functions_changes(void)
{
	return function_changes;
}
