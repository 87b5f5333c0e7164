/*
 * query/key.c
 *		The key material: everything that can change a result except what tables hold.
 *
 * Everything of varying length has its length in front, everything optional a flag, so that two
 * different contents never give the same bytes.  The settings that may reach a result or its
 * rendering are in every key, whether the statement uses them or not: to find out which ones a
 * function looks at is more than their dozen of bytes are worth.
 *
 * This runs at each execution, on a hit too: variables are read where PostgreSQL keeps them, not
 * asked for by name.
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/custom_settings.h"
#include "query/private.h"

#include "access/gin.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "pgtime.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "tsearch/ts_cache.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pg_locale.h"
#include "utils/rls.h"
#include "utils/xml.h"

/* Whatever changes in this file, or in what a fingerprint covers, takes a new one. */
#define KEY_FORMAT 4

/* How many settings are in every key. */
#define NUMBERS 13
#define TEXTS 5

static void
put_uint32(StringInfo out, uint32 value)
{
	appendBinaryStringInfo(out, (char *) &value, sizeof(value));
}

static void
put_bytes(StringInfo out, const void *bytes, uint32 length)
{
	put_uint32(out, length);
	appendBinaryStringInfo(out, bytes, length);
}

/* No text at all differs from an empty one. */
static void
put_text(StringInfo out, const char *text)
{
	if (text == NULL)
		put_uint32(out, PG_UINT32_MAX);
	else
		put_bytes(out, text, strlen(text));
}

/*
 * The value without anything that only tells how it is stored.
 */
static void
put_value(StringInfo out, const cx_parameter *parameter, Datum value)
{
	if (parameter->by_value)
		put_bytes(out, &value, sizeof(value));
	else if (parameter->length > 0)
		put_bytes(out, DatumGetPointer(value), parameter->length);
	else if (parameter->length == -1)
	{
		struct varlena *plain = PG_DETOAST_DATUM_PACKED(value);

		put_bytes(out, VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
		if ((Pointer) plain != DatumGetPointer(value))
			pfree(plain);
	}
	else
		put_text(out, DatumGetCString(value));
}

ParamExternData *
cx_key_parameter(ParamListInfo params, int id, Oid type, ParamExternData *workspace)
{
	ParamExternData *parameter;

	if (params == NULL || id < 1 || id > params->numParams)
		return NULL;
	if (params->paramFetch != NULL)
		parameter = params->paramFetch(params, id, false, workspace);
	else
		parameter = &params->params[id - 1];
	return parameter->ptype == type ? parameter : NULL;
}

/*
 * The text for who reads the setting, the schemas for who looks up a name.  Temporary schemas are
 * not among them: see cx_statement_key().
 */
static void
put_search_path(StringInfo out)
{
	Oid			few[16];
	Oid		   *schemas = few;
	int			count = fetch_search_path_array(few, lengthof(few));

	put_text(out, namespace_search_path);
	if (count > lengthof(few))
	{
		schemas = palloc(sizeof(Oid) * count);
		count = fetch_search_path_array(schemas, count);
	}
	put_bytes(out, schemas, sizeof(Oid) * count);
	if (schemas != few)
		pfree(schemas);
}

/* Where this session's temporary tables are, InvalidOid until it makes one. */
static Oid
temporary_schema(void)
{
	Oid			tables;
	Oid			toast_tables;

	GetTempNamespaceState(&tables, &toast_tables);
	return tables;
}

/*
 * The ways that the planner may take: another plan gives rows in another order where no ORDER BY says
 * which, takes others for a LIMIT without one, and adds floats up in another order.
 */
static int32
plan_settings(void)
{
	return enable_seqscan | enable_indexscan << 1 | enable_indexonlyscan << 2 |
		enable_bitmapscan << 3 | enable_tidscan << 4 | enable_sort << 5 |
		enable_incremental_sort << 6 | enable_hashagg << 7 | enable_nestloop << 8 |
		enable_material << 9 | enable_memoize << 10 | enable_mergejoin << 11 |
		enable_hashjoin << 12 | enable_gathermerge << 13 | enable_partitionwise_join << 14 |
		enable_partitionwise_aggregate << 15 | enable_parallel_append << 16 |
		enable_parallel_hash << 17 | enable_partition_pruning << 18 |
		synchronize_seqscans << 19;
}

/* Those for salvaging damaged data: who sets them gets rows where others get an error. */
static int32
salvage_settings(void)
{
	return zero_damaged_pages | ignore_checksum_failure << 1 | IgnoreSystemIndexes << 2;
}

static void
list_numbers(int32 numbers[NUMBERS])
{
	const int32 now[NUMBERS] = {
		DateStyle, DateOrder, IntervalStyle, extra_float_digits, bytea_output, xmlbinary, xmloption,
		pg_get_client_encoding(), Array_nulls, quote_all_identifiers, GinFuzzySearchLimit,
		plan_settings(), salvage_settings()
	};

	memcpy(numbers, now, sizeof(now));
}

static void
list_texts(const char *texts[TEXTS])
{
	static char **abbreviations = NULL;

	if (abbreviations == NULL)
		abbreviations = cx_text_setting("timezone_abbreviations");
	texts[0] = *abbreviations;
	texts[1] = locale_monetary;
	texts[2] = locale_numeric;
	texts[3] = locale_time;
	texts[4] = TSCurrentConfig;
}

/* The end of what put_text() wrote of this text, or NULL if these bytes are another's. */
static const char *
skip_text(const char *bytes, const char *text)
{
	uint32		length;

	memcpy(&length, bytes, sizeof(length));
	bytes += sizeof(length);
	if (length == PG_UINT32_MAX)
		return text == NULL ? bytes : NULL;
	if (text == NULL || strncmp(text, bytes, length) != 0 || text[length] != '\0')
		return NULL;
	return bytes + length;
}

/*
 * The settings are asked for twice in each hit: what was written is kept, since comparing it costs less
 * than writing it.
 */
static void
put_settings(StringInfo out)
{
	static StringInfoData kept; /* in TopMemoryContext; no data before the first time */
	static int32 kept_numbers[NUMBERS];
	static const pg_tz *kept_timezone;

	int32		numbers[NUMBERS];
	const char *texts[TEXTS];
	const char *same = kept.data;

	list_numbers(numbers);
	list_texts(texts);
	if (memcmp(numbers, kept_numbers, sizeof(numbers)) != 0 || session_timezone != kept_timezone)
		same = NULL;
	for (int i = 0; i < TEXTS && same != NULL; i++)
		same = skip_text(same, texts[i]);

	if (same == NULL)
	{
		kept_timezone = NULL;	/* nothing is kept if memory runs out */
		if (kept.data == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			initStringInfo(&kept);
			MemoryContextSwitchTo(old);
		}
		resetStringInfo(&kept);
		for (int i = 0; i < TEXTS; i++)
			put_text(&kept, texts[i]);
		appendBinaryStringInfo(&kept, (char *) numbers, sizeof(numbers));
		put_text(&kept, pg_get_timezone_name(session_timezone));
		memcpy(kept_numbers, numbers, sizeof(numbers));
		kept_timezone = session_timezone;
	}
	appendBinaryStringInfo(out, kept.data, kept.len);
}

/* How a text is read when it is parsed. */
static void
put_parse_settings(StringInfo out)
{
	appendStringInfoChar(out, (standard_conforming_strings ? 1 : 0) |
						 (Transform_null_equals ? 2 : 0));
	put_uint32(out, backslash_quote);
}

/*
 * What else a body that nobody looked into can depend on: how its texts are parsed, whether policies
 * filter rows or raise an error, and the language of the messages that it catches.
 */
static void
put_body_settings(StringInfo out)
{
	put_parse_settings(out);
	appendStringInfoChar(out, row_security ? 1 : 0);
	put_text(out, locale_messages);
}

void
cx_statement_session_key(const cx_statement *statement, StringInfo out)
{
	ListCell   *cell;

	/* which of the following parts are there */
	appendStringInfoChar(out, (statement->needs_user ? 1 : 0) |
						 (statement->needs_session_user ? 2 : 0) |
						 (statement->needs_row_security ? 4 : 0) |
						 (statement->needs_search_path ? 8 : 0) |
						 (statement->needs_text_search ? 16 : 0) |
						 (statement->resolves_names ? 32 : 0) |
						 (statement->uses_libraries ? 64 : 0) |
						 (statement->loads_libraries ? 128 : 0));
	if (statement->needs_user)
		put_uint32(out, GetUserId());
	if (statement->needs_session_user)
		put_uint32(out, GetSessionUserId());
	if (statement->needs_row_security)
		appendStringInfoChar(out, row_security ? 1 : 0);
	if (statement->needs_search_path)
		put_search_path(out);
	if (statement->needs_text_search)
		put_uint32(out, getTSCurrentConfig(false));
	if (statement->resolves_names)
	{
		put_uint32(out, temporary_schema());
		put_body_settings(out);
	}

	put_settings(out);

	put_uint32(out, list_length(statement->settings));
	foreach(cell, statement->settings)
	{
		char	   *name = strVal(lfirst(cell));
		char	   *value = GetConfigOptionByName(name, NULL, true);

		put_text(out, name);
		put_text(out, value);
	}

	if (statement->uses_libraries)
		cx_custom_settings_put(out, statement->loads_libraries);
}

void
cx_statement_parse_key(StringInfo out)
{
	put_settings(out);
	put_parse_settings(out);

	/* input functions of extensions' types make constants of literals */
	cx_custom_settings_put(out, false);
}

bool
cx_statement_key(const cx_statement *statement, ParamListInfo params, StringInfo out,
				 const char **refused)
{
	if (GinFuzzySearchLimit != 0)
	{
		*refused = "gin_fuzzy_search_limit is set";
		return false;
	}

	if (statement->resolves_names && OidIsValid(temporary_schema()))
	{
		*refused = "temporary tables of this session could shadow names in a function";
		return false;
	}

	if (!cx_statement_is_current(statement))
	{
		*refused = "a function of the query was looked into for another user or search_path";
		return false;
	}

	put_uint32(out, KEY_FORMAT);
	put_uint32(out, MyDatabaseId);
	appendBinaryStringInfo(out, (const char *) statement->fingerprint,
						   sizeof(statement->fingerprint));
	appendStringInfoChar(out, statement->untracked ? 1 : 0);

	put_uint32(out, statement->parameter_count);
	for (int i = 0; i < statement->parameter_count; i++)
	{
		const cx_parameter *parameter = &statement->parameters[i];
		ParamExternData workspace;
		ParamExternData *value = cx_key_parameter(params, parameter->id, parameter->type,
												  &workspace);

		if (value == NULL)
		{
			*refused = "a parameter has no value, or one of another type";
			return false;
		}
		put_uint32(out, parameter->id);
		put_uint32(out, parameter->type);
		appendStringInfoChar(out, value->isnull ? 1 : 0);
		if (!value->isnull)
			put_value(out, parameter, value->value);
	}

	cx_statement_session_key(statement, out);
	return true;
}
