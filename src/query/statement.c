/*
 * query/statement.c
 *		Understanding a query: the analysis as a whole, and what it leaves behind.
 *
 * 1. An analysis either refuses, with a reason, or knows everything that can change the result:
 *    the contents of relations (tags), and the rest (key).
 * 2. A cx_statement is not changed once it was returned; plans hold it and copy it.
 *
 * Reads: eligible.c walks the query and calls relations.c, functions.c (with reviewed.c, allowed.c,
 * libraries.c), comparisons.c and types.c for what it meets; bodies.c and plpgsql.c walk the
 * statements of functions in the same way; occurrences.c and conditions.c find the rows that it depends on;
 * fingerprint.c tells one query from another; key.c and tags.c serve each execution.
 *
 * Memory: an analysis works in a context of its own; what it returns is in the caller's.
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/analysis.h"
#include "query/bodies.h"
#include "query/fingerprint.h"

#include "access/transam.h"
#include "common/cryptohash.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static void pg_attribute_printf(3, 0)
set_refused(cx_analysis *analysis, cx_refusal refusal, const char *format, va_list args)
{
	StringInfoData reason;

	if (analysis->refused != NULL)
		return;

	initStringInfo(&reason);
	for (;;)
	{
		va_list		copy;
		int			needed;

		va_copy(copy, args);
		needed = appendStringInfoVA(&reason, format, copy);
		va_end(copy);
		if (needed == 0)
			break;
		enlargeStringInfo(&reason, needed);
	}
	analysis->refused = reason.data;
	analysis->refusal = refusal;
	analysis->refused_in_body = false;
}

bool
cx_analysis_refuse(cx_analysis *analysis, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	set_refused(analysis, CX_REFUSED, format, args);
	va_end(args);
	return false;
}

bool
cx_analysis_refuse_as(cx_analysis *analysis, cx_refusal refusal, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	set_refused(analysis, refusal, format, args);
	va_end(args);
	return false;
}

static bool
make_fingerprint(cx_statement *statement, const Query *query)
{
	StringInfoData tree;
	pg_cryptohash_ctx *hash;
	bool		made;

	initStringInfo(&tree);
	cx_fingerprint_write(query, &tree);

	hash = pg_cryptohash_create(PG_SHA256);
	if (hash == NULL)
		return false;
	made = pg_cryptohash_init(hash) == 0 &&
		pg_cryptohash_update(hash, (const uint8 *) tree.data, tree.len) == 0 &&
		pg_cryptohash_final(hash, statement->fingerprint, sizeof(statement->fingerprint)) == 0;
	pg_cryptohash_free(hash);
	return made;
}

/*
 * Which columns can be rendered once for all.  That none can is no reason to refuse the statement,
 * so the review is an analysis of its own.
 */
static void
review_renderings(cx_statement *statement, const Query *query)
{
	ListCell   *cell;

	statement->renderings = palloc0(sizeof(uint8) * Max(list_length(query->targetList), 1));
	foreach(cell, query->targetList)
	{
		const TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Oid			type = exprType((Node *) entry->expr);
		Oid			element = get_base_element_type(type);
		uint8	   *rendering = &statement->renderings[statement->column_count];
		cx_analysis review = {.statement = palloc0(sizeof(cx_statement))};
		bool		fixed;

		if (entry->resjunk)
			continue;
		statement->column_count++;
		fixed = cx_types_review_output(&review, type, NULL, false);
		statement->uses_libraries |= review.statement->uses_libraries;
		statement->loads_libraries |= review.statement->loads_libraries;
		if (!fixed)
			continue;
		*rendering = CX_RENDERS_TEXT;
		if ((OidIsValid(element) ? element : getBaseType(type)) < FirstNormalObjectId)
			*rendering |= CX_RENDERS_BINARY;
	}
}

/*
 * What the bodies of functions say was found out for this user and this search_path: another
 * user's policies and rights, or other schemas, may make other tables and settings of the same
 * body.
 */
static void
note_context(cx_statement *statement)
{
	StringInfoData context;

	initStringInfo(&context);
	cx_bodies_context(&context);
	statement->context = context.data;
	statement->context_length = context.len;
}

bool
cx_statement_is_current(const cx_statement *statement)
{
	StringInfoData context;
	bool		same;

	if (statement->context_length == 0)
		return true;
	initStringInfo(&context);
	cx_bodies_context(&context);
	same = context.len == statement->context_length &&
		memcmp(context.data, statement->context, context.len) == 0;
	pfree(context.data);
	return same;
}

bool
cx_statement_reads_bodies(const cx_statement *statement)
{
	return statement->context_length > 0;
}

bool
cx_statement_keeps_types(const cx_statement *statement)
{
	return statement->keeps_types;
}

static List *
sorted_unique(List *oids)
{
	list_sort(oids, list_oid_cmp);
	list_deduplicate_oid(oids);
	return oids;
}

cx_statement *
cx_statement_analyze(Query *query, bool untracked_allowed, const char **refused)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "cache_ext analysis",
												  ALLOCSET_DEFAULT_SIZES);
	cx_analysis analysis = {0};
	cx_statement *result = NULL;

	MemoryContextSwitchTo(scratch);
	analysis.untracked_allowed = untracked_allowed;
	analysis.statement = palloc0(sizeof(cx_statement));
	analysis.statement->node.type = T_ExtensibleNode;
	analysis.statement->node.extnodename = CX_STATEMENT_NODE;
	analysis.statement->function_changes = cx_functions_changes();
	cx_tags_add(analysis.statement, CX_TAG_DATABASE, InvalidOid, 0, 0);

	if (cx_eligible_query(&analysis, query) &&
		(make_fingerprint(analysis.statement, query) ||
		 cx_analysis_refuse(&analysis, "SHA-256 is not available")))
	{
		cx_occurrences_add(&analysis, query);
		cx_tags_finish(analysis.statement);
		review_renderings(analysis.statement, query);
		if (analysis.looked_into)
			note_context(analysis.statement);
		analysis.statement->relations = sorted_unique(analysis.statement->relations);
		MemoryContextSwitchTo(caller);
		result = copyObject(analysis.statement);
	}
	else
	{
		Assert(analysis.refused != NULL);
		MemoryContextSwitchTo(caller);
		*refused = pstrdup(analysis.refused);
	}

	MemoryContextDelete(scratch);
	return result;
}

static bool
may_execute_all(List *functions, Oid user)
{
	ListCell   *cell;

	foreach(cell, functions)
	{
		if (!cx_may_execute(lfirst_oid(cell), user))
			return false;
	}
	return true;
}

bool
cx_statement_permitted(const cx_statement *statement)
{
	Oid			user = GetUserId();
	ListCell   *cell;

	if (!may_execute_all(statement->executed, user))
		return false;
	if (statement->function_changes != cx_functions_changes() &&
		!may_execute_all(statement->open_to_all, user))
		return false;
	foreach(cell, statement->selected)
	{
		if (pg_class_aclcheck(lfirst_oid(cell), user, ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

bool
cx_statement_renders(const cx_statement *statement, int column, bool binary)
{
	return column < statement->column_count &&
		(statement->renderings[column] & (binary ? CX_RENDERS_BINARY : CX_RENDERS_TEXT)) != 0;
}

bool
cx_statement_runs_bodies(const cx_statement *statement)
{
	return statement->resolves_names;
}

bool
cx_statement_folds(const cx_statement *statement)
{
	return statement->folds;
}

const uint8 *
cx_statement_fingerprint(const cx_statement *statement)
{
	return statement->fingerprint;
}

List *
cx_statement_relations(const cx_statement *statement)
{
	return list_copy(statement->relations);
}

List *
cx_statement_functions(const cx_statement *statement)
{
	return list_copy(statement->functions);
}

/*
 * As a node
 */

static void *
copy_array(const void *array, size_t size)
{
	return size == 0 ? NULL : memcpy(palloc(size), array, size);
}

static void
copy_statement(ExtensibleNode *new_node, const ExtensibleNode *old_node)
{
	cx_statement *copy = (cx_statement *) new_node;
	const cx_statement *old = (const cx_statement *) old_node;
	ExtensibleNode header = *new_node;

	*copy = *old;
	copy->node = header;
	copy->settings = copyObject(old->settings);
	copy->parameters = copy_array(old->parameters, sizeof(cx_parameter) * old->parameter_count);
	copy->tags = copy_array(old->tags, sizeof(cx_tag) * old->tag_count);
	copy->pins = copy_array(old->pins, sizeof(cx_pin) * old->pin_count);
	copy->context = copy_array(old->context, old->context_length);
	copy->renderings = copy_array(old->renderings, sizeof(uint8) * old->column_count);
	copy->relations = list_copy(old->relations);
	copy->functions = list_copy(old->functions);
	copy->executed = list_copy(old->executed);
	copy->open_to_all = list_copy(old->open_to_all);
	copy->selected = list_copy(old->selected);
}

/* The rest follows from the query that the fingerprint is of. */
static bool
equal_statement(const ExtensibleNode *a, const ExtensibleNode *b)
{
	return memcmp(((const cx_statement *) a)->fingerprint, ((const cx_statement *) b)->fingerprint,
				  PG_SHA256_DIGEST_LENGTH) == 0;
}

/* For debug_print_plan. */
static void
out_statement(StringInfo out, const ExtensibleNode *node)
{
	const cx_statement *statement = (const cx_statement *) node;

	appendStringInfoString(out, " :fingerprint ");
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		appendStringInfo(out, "%02x", statement->fingerprint[i]);
}

/* Plans that hold one are not sent to parallel workers. */
static void
read_statement(ExtensibleNode *node)
{
	elog(ERROR, "a cx_statement can't be read back");
}

static const ExtensibleNodeMethods statement_methods = {
	.extnodename = CX_STATEMENT_NODE,
	.node_size = sizeof(cx_statement),
	.nodeCopy = copy_statement,
	.nodeEqual = equal_statement,
	.nodeOut = out_statement,
	.nodeRead = read_statement,
};

void
cx_statement_init(void)
{
	RegisterExtensibleNodeMethods(&statement_methods);
	cx_functions_init();
	cx_allowed_init();
}
