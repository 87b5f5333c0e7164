/*
 * test/fingerprint/trees.c
 *		Query trees of texts, described in two ways.
 *
 * SQL functions in a module of its own, into which query/fingerprint.c is compiled too.
 */
#include "postgres.h"

#include "query/fingerprint.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/readfuncs.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

/* How often tree_changes() changes a field that has the same value. */
#define ENOUGH_CHANGES 12

#define MAX_DEPTH 100

/* A field of a type of node with its value, as nodeToString() writes them: VAR.varno 1 */
typedef struct field_count
{
	char		name[NAMEDATALEN];	/* cut off where it is longer */
	int			changes;
	int			unnoticed;
} field_count;

/* A part of nodeToString()'s text: a token, or all of a node or list. */
typedef struct text_part
{
	const char *start;
	int			length;
} text_part;

static HTAB *counts = NULL;

/* As a planner gets it, parameters of types that follow from where they are used. */
static Query *
tree_of(const text *argument)
{
	char	   *sql = text_to_cstring(argument);
	List	   *statements = pg_parse_query(sql);
	Oid		   *types = NULL;
	int			type_count = 0;
	List	   *queries;

	if (list_length(statements) != 1)
		elog(ERROR, "not one statement");
	queries = pg_analyze_and_rewrite_varparams(linitial_node(RawStmt, statements), sql, &types,
											   &type_count, NULL);
	if (list_length(queries) != 1)
		elog(ERROR, "not one query");
	return linitial_node(Query, queries);
}

PG_FUNCTION_INFO_V1(tree_bytes);

/* tree_bytes(sql text) returns bytea: as cx_fingerprint_write() describes the tree */
Datum
tree_bytes(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	cx_fingerprint_write(tree_of(PG_GETARG_TEXT_PP(0)), &out);
	SET_VARSIZE(out.data, out.len);
	PG_RETURN_BYTEA_P(out.data);
}

/* Takes every number behind the label out of the text. */
static void
take_out(char *text, const char *label)
{
	size_t		length = strlen(label);
	char	   *from = text;
	char	   *to = text;
	char	   *found;

	while ((found = strstr(from, label)) != NULL)
	{
		found += length;
		memmove(to, from, found - from);
		to += found - from;
		from = found + strspn(found, "-0123456789");
	}
	memmove(to, from, strlen(from) + 1);
}

PG_FUNCTION_INFO_V1(tree_text);

/* tree_text(sql text) returns text: as nodeToString() does, but for positions */
Datum
tree_text(PG_FUNCTION_ARGS)
{
	char	   *tree = nodeToString(tree_of(PG_GETARG_TEXT_PP(0)));

	take_out(tree, " :location ");
	take_out(tree, " :stmt_location ");
	take_out(tree, " :stmt_len ");
	PG_RETURN_TEXT_P(cstring_to_text(tree));
}

/*
 * Changes of single fields
 */

static field_count *
count_of(const text_part *type, const text_part *field, const text_part *value)
{
	char		name[NAMEDATALEN] = "";
	bool		found;
	field_count *count;

	if (counts == NULL)
	{
		HASHCTL		control = {.keysize = NAMEDATALEN, .entrysize = sizeof(field_count)};

		counts = hash_create("changes", 256, &control, HASH_ELEM | HASH_STRINGS);
	}
	snprintf(name, sizeof(name), "%.*s.%.*s %.*s", type->length, type->start, field->length - 1,
			 field->start + 1, value->length, value->start);
	count = hash_search(counts, name, HASH_ENTER, &found);
	if (!found)
		count->changes = count->unnoticed = 0;
	return count;
}

static bool
token_is(const text_part *token, const char *text)
{
	return token->length == strlen(text) && strncmp(token->start, text, token->length) == 0;
}

/* Layouts of the text depend on these, and how much memory a value has. */
static bool
is_fixed(const text_part *field)
{
	return token_is(field, ":rtekind") || token_is(field, ":constisnull") ||
		token_is(field, ":constlen") || token_is(field, ":constbyval");
}

/* Another token in the place of this one. */
static char *
other_token(const text_part *token)
{
	char	   *other = psprintf("%.*sz", token->length, token->start);
	char	   *last = &other[token->length - 1];

	if (token_is(token, "true"))
		return "false";
	if (token_is(token, "false"))
		return "true";
	if (token_is(token, "<>"))
		return "z";
	if (*last == '"')
		strcpy(last, "z\"");
	else if (isdigit((unsigned char) *last))
	{
		*last = *last == '9' ? '1' : *last + 1;
		last[1] = '\0';
	}
	else if (token->length == 1)
	{
		(*last)++;
		last[1] = '\0';
	}
	return other;
}

static bool
same_bytes(const Query *one, const Query *other)
{
	StringInfoData one_out;
	StringInfoData other_out;

	initStringInfo(&one_out);
	initStringInfo(&other_out);
	cx_fingerprint_write(one, &one_out);
	cx_fingerprint_write(other, &other_out);
	return one_out.len == other_out.len && memcmp(one_out.data, other_out.data, one_out.len) == 0;
}

/* Reads the text with another part in the place of one, if that can be read. */
static void
try_change(const Query *query, const char *tree, const text_part *part, const char *other,
		   field_count *count)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *changed = psprintf("%.*s%s%s", (int) (part->start - tree), tree, other,
								   part->start + part->length);

	PG_TRY();
	{
		Query	   *result = stringToNode(changed);

		if (strcmp(nodeToString(result), tree) != 0)
		{
			count->changes++;
			count->unnoticed += same_bytes(query, result);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
}

/* The end of the node or list that starts here. */
static const char *
end_of(const char *start)
{
	int			depth = 0;

	for (;; start++)
	{
		if (*start == '\\')
			start++;
		else if (*start == '{' || *start == '(')
			depth++;
		else if ((*start == '}' || *start == ')') && --depth == 0)
			return start + 1;
	}
}

static text_part
next_token(const char *at)
{
	text_part	token = {at, 1};

	if (strchr("(){}", *at) == NULL)
		while (at[token.length] != '\0' && strchr(" \n\t(){}", at[token.length]) == NULL)
			token.length += at[token.length] == '\\' ? 2 : 1;
	return token;
}

static void
change_fields(const Query *query, const char *tree)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "change",
												  ALLOCSET_DEFAULT_SIZES);
	text_part	types[MAX_DEPTH];
	text_part	fields[MAX_DEPTH];
	int			depth = -1;
	bool		opened = false;		/* the token before this one was a parenthesis ... */
	bool		named = false;		/* ... or a field's name */
	int			value_length = 0;	/* typlen of the value that comes */
	int			bytes = -1;		/* of a value that come, or -1 outside of values */
	const char *at = tree;

	while (*at != '\0')
	{
		text_part	token = next_token(at);
		bool		first = opened;
		bool		whole = named;

		at += token.length;
		at += strspn(at, " \n\t");
		opened = token_is(&token, "(");
		named = *token.start == ':' && token.length > 1;

		if (token_is(&token, "{"))
		{
			if (++depth >= MAX_DEPTH)
				elog(ERROR, "too deep");
			types[depth] = next_token(at);
			at += types[depth].length + 1;
		}
		if (token_is(&token, "}"))
			depth--;
		else if (named)
			fields[depth] = token;
		else if (depth > 0 || fields[0].start != NULL)
		{
			/* the field that a node is the value of is one of the node around it */
			int			level = token_is(&token, "{") ? depth - 1 : depth;
			field_count *count;
			text_part	part = token;
			const char *other = whole ? "<>" : "";	/* no member of a list is missing */

			if (level < 0 || token_is(&token, ")"))
				continue;
			if (token_is(&token, "["))
			{
				bytes = 0;
				for (const char *byte = at; *byte != ']'; byte++)
					bytes += *byte == ' ';
				if (value_length == -1 && bytes <= VARHDRSZ)
					bytes = 0;	/* only how long it is */
				continue;
			}
			if (token_is(&token, "]"))
			{
				bytes = -1;
				continue;
			}
			/* the last byte of a value, but not the end of a string */
			if (bytes >= 0 && bytes-- != (value_length == -2 ? 2 : 1))
				continue;
			if (first && token.length == 1 && isalpha((unsigned char) *token.start))
				continue;		/* says what the list is of */
			if (token_is(&fields[level], ":constlen"))
				value_length = atoi(token.start);
			if (is_fixed(&fields[level]))
				continue;

			count = count_of(&types[level], &fields[level], &token);
			if (count->changes >= ENOUGH_CHANGES)
				continue;
			MemoryContextSwitchTo(context);
			if (token_is(&token, "{") || token_is(&token, "("))
				part.length = end_of(token.start) - token.start;
			else
				other = other_token(&token);
			try_change(query, tree, &part, other, count);
			MemoryContextSwitchTo(MemoryContextGetParent(context));
			MemoryContextReset(context);
		}
	}
	MemoryContextDelete(context);
}

PG_FUNCTION_INFO_V1(tree_changes);

/*
 * tree_changes(sql text) returns void
 *		Changes field after field of a query's tree, but for those that were changed often enough,
 *		and compares descriptions.
 */
Datum
tree_changes(PG_FUNCTION_ARGS)
{
	char	   *tree = nodeToString(tree_of(PG_GETARG_TEXT_PP(0)));
	Query	   *query = stringToNode(tree);

	change_fields(query, nodeToString(query));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(changed_fields);

/*
 * changed_fields() returns setof (field text, changes integer, unnoticed integer)
 *		What tree_changes() found in this session, for every field and value.
 */
Datum
changed_fields(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	HASH_SEQ_STATUS status;
	field_count *count;

	InitMaterializedSRF(fcinfo, 0);
	hash_seq_init(&status, counts);
	while ((count = hash_seq_search(&status)) != NULL)
	{
		Datum		values[] = {CStringGetTextDatum(count->name), Int32GetDatum(count->changes),
		Int32GetDatum(count->unnoticed)};
		bool		nulls[lengthof(values)] = {0};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
