/*
 * api/explain.c
 *		SQL function explain: whether and how a query is cached.
 *
 * What the cache holds (tier, valid, age, ttl_left, size) is told only to those who may read what
 * the query reads.
 */
#include "postgres.h"

#include "api/arguments.h"
#include "api/prepared_query.h"
#include "base/shmem.h"
#include "core/local.h"
#include "plan/peek.h"
#include "query/row_codec.h"

#include "access/htup_details.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

enum explain_column
{
	CACHEABLE, REASON, KEY, TAGS, TIER, VALID, AGE, TTL_LEFT, SIZE, EXPLAIN_COLUMNS
};

/* For people: T(public.film), K(public.film.id, 0x1234abcd), D(view), O(type mood), R(role me), G. */
static char *
tag_text(const cx_tag *tag)
{
	char	   *relation;

	if (tag->kind == CX_TAG_DATABASE)
		return pstrdup("G");
	if (tag->kind == CX_TAG_OBJECT || tag->kind == CX_TAG_ROLE)
	{
		ObjectAddress object = {tag->kind == CX_TAG_ROLE ? AuthIdRelationId : tag->value_hash,
								tag->relation, 0};
		char	   *name = NULL;

		if (OidIsValid(tag->relation))
			name = getObjectDescription(&object, true);
		else if (tag->kind == CX_TAG_ROLE)
			name = "any role";
		else
			name = tag->value_hash == ConversionRelationId ? "any conversion" : "any text search object";
		return psprintf("%c(%s)", (char) tag->kind, name ? name : "dropped");
	}
	if (!OidIsValid(tag->relation))
		return psprintf("%c(any name)", (char) tag->kind);
	relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(tag->relation)),
										  get_rel_name(tag->relation));
	if (tag->kind == CX_TAG_KEY)
		return psprintf("K(%s, %s, 0x%08x)", relation,
						get_attname(tag->relation, tag->column, true), tag->value_hash);
	return psprintf("%c(%s)", (char) tag->kind, relation);
}

static int
compare_texts(const void *one, const void *other)
{
	return strcmp(*(char *const *) one, *(char *const *) other);
}

static Datum
tags_array(const cx_peek *peek)
{
	char	  **texts = palloc(sizeof(char *) * Max(peek->tag_count, 1));
	Datum	   *datums = palloc(sizeof(Datum) * Max(peek->tag_count, 1));

	for (int i = 0; i < peek->tag_count; i++)
		texts[i] = tag_text(&peek->tags[i]);
	qsort(texts, peek->tag_count, sizeof(char *), compare_texts);
	for (int i = 0; i < peek->tag_count; i++)
		datums[i] = CStringGetTextDatum(texts[i]);
	return PointerGetDatum(construct_array(datums, peek->tag_count, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

static Datum
microseconds_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}

PG_FUNCTION_INFO_V1(cache_ext_explain);
Datum
cache_ext_explain(PG_FUNCTION_ARGS)
{
	MemoryContext result_context = CurrentMemoryContext;
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS];
	TupleDesc	desc;
	cx_prepared_query *query;
	ParamListInfo params;
	cx_statement *statement;
	const char *reason;
	cx_peek		peek;
	HeapTuple	tuple;

	cx_shmem_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, true, sizeof(nulls));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	query = cx_prepared_query_get(cx_arg_text(fcinfo, 0, "sql"), cx_arg_untracked(fcinfo, 2));
	params = cx_prepared_query_params(query, PG_GETARG_ARRAYTYPE_P(1));
	reason = cx_prepared_query_describe(query, &statement);
	if (reason == NULL)
	{
		cx_peek_at(statement, params, cx_prepared_query_readable(query), &peek);
		reason = peek.refused;
	}
	if (reason == NULL && !cx_local_available())
		(void) cx_row_codec_create(cx_prepared_query_columns(query), &reason);

	/* the result must outlive SPI's memory */
	MemoryContextSwitchTo(result_context);
	values[CACHEABLE] = BoolGetDatum(reason == NULL);
	nulls[CACHEABLE] = false;
	if (reason != NULL)
	{
		values[REASON] = CStringGetTextDatum(reason);
		nulls[REASON] = false;
	}
	else
	{
		values[KEY] = CStringGetTextDatum(peek.name);
		values[TAGS] = tags_array(&peek);
		nulls[KEY] = nulls[TAGS] = false;
		if (peek.found)
		{
			TimestampTz now = GetCurrentTimestamp();

			values[TIER] = CStringGetTextDatum(peek.tier);
			values[VALID] = BoolGetDatum(peek.valid);
			values[AGE] = microseconds_interval(now - peek.created);
			values[TTL_LEFT] = microseconds_interval(Max(peek.expires - now, 0));
			values[SIZE] = Int64GetDatum((int64) peek.size);
			nulls[TIER] = nulls[VALID] = nulls[AGE] = nulls[TTL_LEFT] = nulls[SIZE] = false;
		}
	}
	tuple = heap_form_tuple(desc, values, nulls);
	SPI_finish();
	return HeapTupleGetDatum(tuple);
}
