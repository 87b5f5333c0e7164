/*
 * query/reviewed.c
 *		The STABLE built-in functions whose results may be cached.
 *
 * STABLE says that a function's result may differ from one statement to the next.  The ones below
 * were read, in PostgreSQL 15 to 17: theirs differs only with their arguments and with what is in
 * the key.  Whoever adds one reads its source and looks for: the clock, the catalogs (other than
 * those whose DDL marks G), the session's state, other settings, files.
 *
 * Not here, and why, since somebody will ask:
 * - now() and kin; age(timestamp): the clock;
 * - date_in, time_in, timestamp_in and kin: 'now' and 'today' are valid inputs;
 * - timetz(time), timezone(text, timetz), jsonb_path_*_tz: the time zone's offset as of today;
 * - regclass and kin, format_type, has_*_privilege, pg_*, obj_description: the catalogs;
 * - table_to_xml and kin: tables whose names are data;
 * - *sel and *joinsel, *_recv and *_send, *_typanalyze: no query has use for them.
 *
 * A function is compared by its name and its arguments' type names, both of pg_catalog: no OID that
 * another major version could change, no lookup before a function is met.
 */
#include "postgres.h"

#include "query/analysis.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "utils/syscache.h"

typedef struct reviewed_function
{
	cx_reviewed review;
	const char *signature;
} reviewed_function;

static const reviewed_function reviewed_functions[] = {
	/* TimeZone: between timestamptz and types without a zone, in pieces, day by day */
	{CX_REVIEWED_FIXED, "date(timestamptz)"},
	{CX_REVIEWED_FIXED, "time(timestamptz)"},
	{CX_REVIEWED_FIXED, "timetz(timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp(timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamptz(date)"},
	{CX_REVIEWED_FIXED, "timestamptz(date,time)"},
	{CX_REVIEWED_FIXED, "timestamptz(timestamp)"},
	{CX_REVIEWED_FIXED, "timezone(timestamp)"},
	{CX_REVIEWED_FIXED, "timezone(timestamptz)"},
	{CX_REVIEWED_FIXED, "date_part(text,timestamptz)"},
	{CX_REVIEWED_FIXED, "extract(text,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_trunc(text,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_trunc(text,timestamptz,text)"},
	{CX_REVIEWED_FIXED, "make_timestamptz(int4,int4,int4,int4,int4,float8)"},
	{CX_REVIEWED_FIXED, "make_timestamptz(int4,int4,int4,int4,int4,float8,text)"},
	{CX_REVIEWED_FIXED, "timestamptz_pl_interval(timestamptz,interval)"},
	{CX_REVIEWED_FIXED, "timestamptz_mi_interval(timestamptz,interval)"},
	{CX_REVIEWED_FIXED, "interval_pl_timestamptz(interval,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_add(timestamptz,interval)"},
	{CX_REVIEWED_FIXED, "date_add(timestamptz,interval,text)"},
	{CX_REVIEWED_FIXED, "date_subtract(timestamptz,interval)"},
	{CX_REVIEWED_FIXED, "date_subtract(timestamptz,interval,text)"},
	{CX_REVIEWED_FIXED, "generate_series(timestamptz,timestamptz,interval)"},
	{CX_REVIEWED_FIXED, "generate_series(timestamptz,timestamptz,interval,text)"},
	{CX_REVIEWED_FIXED, "in_range(timestamptz,timestamptz,interval,bool,bool)"},
	{CX_REVIEWED_FIXED, "overlaps(timestamptz,interval,timestamptz,interval)"},
	{CX_REVIEWED_FIXED, "overlaps(timestamptz,interval,timestamptz,timestamptz)"},
	{CX_REVIEWED_FIXED, "overlaps(timestamptz,timestamptz,timestamptz,interval)"},

	/* TimeZone: comparisons across types */
	{CX_REVIEWED_FIXED, "date_cmp_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_eq_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_ge_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_gt_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_le_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_lt_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "date_ne_timestamptz(date,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_cmp_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_eq_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_ge_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_gt_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_le_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_lt_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamp_ne_timestamptz(timestamp,timestamptz)"},
	{CX_REVIEWED_FIXED, "timestamptz_cmp_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_eq_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_ge_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_gt_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_le_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_lt_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_ne_date(timestamptz,date)"},
	{CX_REVIEWED_FIXED, "timestamptz_cmp_timestamp(timestamptz,timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_eq_timestamp(timestamptz,timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_ge_timestamp(timestamptz,timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_gt_timestamp(timestamptz,timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_le_timestamp(timestamptz,timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_lt_timestamp(timestamptz,timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_ne_timestamp(timestamptz,timestamp)"},

	/* DateStyle, IntervalStyle, lc_time, lc_numeric; a missing year is a constant, not this year */
	{CX_REVIEWED_FIXED, "to_char(float4,text)"},
	{CX_REVIEWED_FIXED, "to_char(float8,text)"},
	{CX_REVIEWED_FIXED, "to_char(int4,text)"},
	{CX_REVIEWED_FIXED, "to_char(int8,text)"},
	{CX_REVIEWED_FIXED, "to_char(interval,text)"},
	{CX_REVIEWED_FIXED, "to_char(numeric,text)"},
	{CX_REVIEWED_FIXED, "to_char(timestamp,text)"},
	{CX_REVIEWED_FIXED, "to_char(timestamptz,text)"},
	{CX_REVIEWED_FIXED, "to_date(text,text)"},
	{CX_REVIEWED_FIXED, "to_number(text,text)"},
	{CX_REVIEWED_FIXED, "to_timestamp(text,text)"},
	{CX_REVIEWED_FIXED, "date_out(date)"},
	{CX_REVIEWED_FIXED, "interval_in(cstring,oid,int4)"},
	{CX_REVIEWED_FIXED, "interval_out(interval)"},
	{CX_REVIEWED_FIXED, "timestamp_out(timestamp)"},
	{CX_REVIEWED_FIXED, "timestamptz_out(timestamptz)"},

	/* lc_monetary */
	{CX_REVIEWED_FIXED, "cash_in(cstring)"},
	{CX_REVIEWED_FIXED, "cash_out(money)"},
	{CX_REVIEWED_FIXED, "money(int4)"},
	{CX_REVIEWED_FIXED, "money(int8)"},
	{CX_REVIEWED_FIXED, "money(numeric)"},
	{CX_REVIEWED_FIXED, "numeric(money)"},

	/* xmloption */
	{CX_REVIEWED_FIXED, "xml(text)"},
	{CX_REVIEWED_FIXED, "xml_in(cstring)"},
	{CX_REVIEWED_FIXED, "xml_is_well_formed(text)"},

	/* pg_enum, whose changes are DDL */
	{CX_REVIEWED_FIXED, "enum_first(anyenum)"},
	{CX_REVIEWED_FIXED, "enum_last(anyenum)"},
	{CX_REVIEWED_FIXED, "enum_range(anyenum)"},
	{CX_REVIEWED_FIXED, "enum_range(anyenum,anyenum)"},

	/* output functions of whatever the arguments are */
	{CX_REVIEWED_OUTPUT, "anytextcat(anynonarray,text)"},
	{CX_REVIEWED_OUTPUT, "textanycat(text,anynonarray)"},
	{CX_REVIEWED_OUTPUT, "array_to_string(anyarray,text)"},
	{CX_REVIEWED_OUTPUT, "array_to_string(anyarray,text,text)"},
	{CX_REVIEWED_OUTPUT, "concat(any)"},
	{CX_REVIEWED_OUTPUT, "concat_ws(text,any)"},
	{CX_REVIEWED_OUTPUT, "format(text)"},
	{CX_REVIEWED_OUTPUT, "format(text,any)"},
	{CX_REVIEWED_OUTPUT, "quote_literal(anyelement)"},
	{CX_REVIEWED_OUTPUT, "quote_nullable(anyelement)"},

	/* the same as JSON, where casts to json count too */
	{CX_REVIEWED_JSON, "array_to_json(anyarray)"},
	{CX_REVIEWED_JSON, "array_to_json(anyarray,bool)"},
	{CX_REVIEWED_JSON, "row_to_json(record)"},
	{CX_REVIEWED_JSON, "row_to_json(record,bool)"},
	{CX_REVIEWED_JSON, "to_json(anyelement)"},
	{CX_REVIEWED_JSON, "to_jsonb(anyelement)"},
	{CX_REVIEWED_JSON, "json_agg(anyelement)"},
	{CX_REVIEWED_JSON, "json_agg_strict(anyelement)"},
	{CX_REVIEWED_JSON, "json_object_agg(any,any)"},
	{CX_REVIEWED_JSON, "json_object_agg_strict(any,any)"},
	{CX_REVIEWED_JSON, "json_object_agg_unique(any,any)"},
	{CX_REVIEWED_JSON, "json_object_agg_unique_strict(any,any)"},
	{CX_REVIEWED_JSON, "jsonb_agg(anyelement)"},
	{CX_REVIEWED_JSON, "jsonb_agg_strict(anyelement)"},
	{CX_REVIEWED_JSON, "jsonb_object_agg(any,any)"},
	{CX_REVIEWED_JSON, "jsonb_object_agg_strict(any,any)"},
	{CX_REVIEWED_JSON, "jsonb_object_agg_unique(any,any)"},
	{CX_REVIEWED_JSON, "jsonb_object_agg_unique_strict(any,any)"},
	{CX_REVIEWED_JSON, "json_build_array()"},
	{CX_REVIEWED_JSON, "json_build_array(any)"},
	{CX_REVIEWED_JSON, "json_build_object()"},
	{CX_REVIEWED_JSON, "json_build_object(any)"},
	{CX_REVIEWED_JSON, "jsonb_build_array()"},
	{CX_REVIEWED_JSON, "jsonb_build_array(any)"},
	{CX_REVIEWED_JSON, "jsonb_build_object()"},
	{CX_REVIEWED_JSON, "jsonb_build_object(any)"},

	/* from JSON: input functions of the columns */
	{CX_REVIEWED_INPUT, "json_populate_record(anyelement,json,bool)"},
	{CX_REVIEWED_INPUT, "json_populate_recordset(anyelement,json,bool)"},
	{CX_REVIEWED_INPUT, "json_to_record(json)"},
	{CX_REVIEWED_INPUT, "json_to_recordset(json)"},
	{CX_REVIEWED_INPUT, "jsonb_populate_record(anyelement,jsonb)"},
	{CX_REVIEWED_INPUT, "jsonb_populate_recordset(anyelement,jsonb)"},
	{CX_REVIEWED_INPUT, "jsonb_to_record(jsonb)"},
	{CX_REVIEWED_INPUT, "jsonb_to_recordset(jsonb)"},

	/* a configuration's parser and dictionaries change by DDL only */
	{CX_REVIEWED_TEXT_SEARCH, "get_current_ts_config()"},
	{CX_REVIEWED_TEXT_SEARCH, "json_to_tsvector(json,jsonb)"},
	{CX_REVIEWED_TEXT_SEARCH, "jsonb_to_tsvector(jsonb,jsonb)"},
	{CX_REVIEWED_TEXT_SEARCH, "phraseto_tsquery(text)"},
	{CX_REVIEWED_TEXT_SEARCH, "plainto_tsquery(text)"},
	{CX_REVIEWED_TEXT_SEARCH, "to_tsquery(text)"},
	{CX_REVIEWED_TEXT_SEARCH, "to_tsvector(json)"},
	{CX_REVIEWED_TEXT_SEARCH, "to_tsvector(jsonb)"},
	{CX_REVIEWED_TEXT_SEARCH, "to_tsvector(text)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_headline(json,tsquery)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_headline(json,tsquery,text)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_headline(jsonb,tsquery)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_headline(jsonb,tsquery,text)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_headline(text,tsquery)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_headline(text,tsquery,text)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_match_tq(text,tsquery)"},
	{CX_REVIEWED_TEXT_SEARCH, "ts_match_tt(text,text)"},
	{CX_REVIEWED_TEXT_SEARCH, "websearch_to_tsquery(text)"},

	/* the default conversion between two encodings is found along search_path */
	{CX_REVIEWED_SEARCH_PATH, "convert(bytea,name,name)"},
	{CX_REVIEWED_SEARCH_PATH, "convert_from(bytea,name)"},
	{CX_REVIEWED_SEARCH_PATH, "convert_to(text,name)"},
	{CX_REVIEWED_SEARCH_PATH, "length(bytea,name)"},

	/* fixed by the setting that a constant names: its value goes into the key */
	{CX_REVIEWED_SETTING, "current_setting(text)"},
	{CX_REVIEWED_SETTING, "current_setting(text,bool)"},
};

static void
append_type_name(StringInfo out, Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	appendStringInfoString(out, NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
}

cx_reviewed
cx_reviewed_find(Form_pg_proc function)
{
	cx_reviewed review = CX_REVIEWED_NOT;
	StringInfoData signature;

	Assert(function->pronamespace == PG_CATALOG_NAMESPACE);

	initStringInfo(&signature);
	appendStringInfo(&signature, "%s(", NameStr(function->proname));
	for (int i = 0; i < function->pronargs; i++)
	{
		if (i > 0)
			appendStringInfoChar(&signature, ',');
		append_type_name(&signature, function->proargtypes.values[i]);
	}
	appendStringInfoChar(&signature, ')');

	for (int i = 0; i < lengthof(reviewed_functions); i++)
	{
		if (strcmp(reviewed_functions[i].signature, signature.data) == 0)
		{
			review = reviewed_functions[i].review;
			break;
		}
	}
	pfree(signature.data);
	return review;
}
