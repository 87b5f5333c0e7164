/*
 * query/entity_codec.c
 *		A row as a MessagePack map that any language can read, and back.
 *
 * Invariants:
 * 1. A map depends on the row alone, not on settings: those that output functions follow are set
 *	  aside while functions run.  They are set in the variables themselves, since going through the
 *	  settings would cost more than the row.
 * 2. What is written is read back as the same row: text forms are those that PostgreSQL dumps and
 *	  restores, and an array that doesn't count from 1 is its text.
 * 3. Bytes that are read are hostile: no function of a type sees them outside a subtransaction.
 *
 * Memory: the codec, with what its functions keep, is in the context of create; what a row needs
 * meanwhile is in row_context, emptied after each.  No locks.
 */
#include "postgres.h"

#include "base/msgpack_reader.h"
#include "base/msgpack_writer.h"
#include "query/entity_codec.h"
#include "query/guarded.h"
#include "query/utf8.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TIMESTAMP_EXTENSION (-1)
#define UNIX_TO_POSTGRES_SECONDS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

typedef enum value_form
{
	FORM_BOOL,
	FORM_INT16,
	FORM_INT32,
	FORM_INT64,
	FORM_OID,
	FORM_FLOAT32,
	FORM_FLOAT64,
	FORM_TEXT,					/* a varlena of characters */
	FORM_BYTES,
	FORM_INSTANT,				/* timestamptz */
	FORM_TIME,					/* other dates and times */
	FORM_OUTPUT,				/* text by the type's functions */
	FORM_ARRAY
} value_form;

typedef struct value_codec
{
	Oid			type;			/* as declared */
	Oid			base;			/* domains stripped */
	int32		typmod;
	value_form	form;
	bool		is_varlena;
	FmgrInfo	output;			/* FORM_OUTPUT and FORM_ARRAY */
	FmgrInfo	input;			/* of the base type, for whatever is not MessagePack's own */
	Oid			input_parameter;

	/* of a domain */
	void	   *domain_checks;

	/* of an array */
	struct value_codec *element;
	int16		element_length;
	bool		element_by_value;
	char		element_align;
} value_codec;

typedef struct column_codec
{
	AttrNumber	number;
	const char *name;			/* UTF-8 */
	size_t		name_length;
	value_codec value;
} column_codec;

struct cx_entity_codec
{
	int			column_count;
	column_codec *columns;
	int			attribute_count;	/* of the descriptor */
	bool		uses_settings;
	MemoryContext row_context;
	MemoryContext context;
};

/*
 * Settings
 */

typedef struct saved_settings
{
	int			date_style;
	int			date_order;
	int			interval_style;
	int			float_digits;
	int			bytea_form;
	pg_tz	   *zone;
} saved_settings;

static void
set_aside_settings(saved_settings *saved)
{
	static pg_tz *utc = NULL;

	if (utc == NULL)
		utc = pg_tzset("GMT");
	saved->date_style = DateStyle;
	saved->date_order = DateOrder;
	saved->interval_style = IntervalStyle;
	saved->float_digits = extra_float_digits;
	saved->bytea_form = bytea_output;
	saved->zone = session_timezone;
	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_YMD;
	IntervalStyle = INTSTYLE_ISO_8601;
	extra_float_digits = 1;
	bytea_output = BYTEA_OUTPUT_HEX;
	session_timezone = utc;
}

static void
restore_settings(const saved_settings *saved)
{
	DateStyle = saved->date_style;
	DateOrder = saved->date_order;
	IntervalStyle = saved->interval_style;
	extra_float_digits = saved->float_digits;
	bytea_output = saved->bytea_form;
	session_timezone = saved->zone;
}

/*
 * What a column's type is
 */

/* Types whose text depends on what is looked up by name, or on a locale. */
static const char *
refusal_of(Oid base)
{
	switch (base)
	{
		case MONEYOID:
			return "the text of money depends on lc_monetary";
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return "the text of an object's name depends on search_path";
		default:
			return NULL;
	}
}

/* Output functions of PostgreSQL that follow none of the settings above. */
static bool
follows_settings(Oid base)
{
	switch (base)
	{
		case NUMERICOID:
		case UUIDOID:
		case JSONOID:
		case JSONBOID:
		case NAMEOID:
		case CHAROID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case TSVECTOROID:
		case XMLOID:
			return false;
		default:
			return get_typtype(base) != TYPTYPE_ENUM;
	}
}

static value_form
form_of(Oid base)
{
	switch (base)
	{
		case BOOLOID:
			return FORM_BOOL;
		case INT2OID:
			return FORM_INT16;
		case INT4OID:
			return FORM_INT32;
		case INT8OID:
			return FORM_INT64;
		case OIDOID:
			return FORM_OID;
		case FLOAT4OID:
			return FORM_FLOAT32;
		case FLOAT8OID:
			return FORM_FLOAT64;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return FORM_TEXT;
		case BYTEAOID:
			return FORM_BYTES;
		case TIMESTAMPTZOID:
			return FORM_INSTANT;
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
			return FORM_TIME;
		default:
			return FORM_OUTPUT;
	}
}

static const char *
prepare_value(cx_entity_codec *codec, value_codec *value, Oid type, int32 typmod)
{
	Oid			output;
	Oid			input;
	Oid			element;
	const char *reason;

	value->type = type;
	value->typmod = typmod;
	value->base = getBaseTypeAndTypmod(type, &value->typmod);
	reason = refusal_of(value->base);
	if (reason != NULL)
		return reason;

	value->form = form_of(value->base);
	getTypeOutputInfo(value->base, &output, &value->is_varlena);
	getTypeInputInfo(value->base, &input, &value->input_parameter);
	fmgr_info_cxt(output, &value->output, codec->context);
	fmgr_info_cxt(input, &value->input, codec->context);
	if (value->form != FORM_OUTPUT)
		return NULL;

	element = get_element_type(value->base);
	if (!OidIsValid(element))
	{
		codec->uses_settings |= follows_settings(value->base);
		return NULL;
	}
	value->form = FORM_ARRAY;
	codec->uses_settings = true;	/* for an array as text */
	value->element = palloc0(sizeof(value_codec));
	get_typlenbyvalalign(element, &value->element_length, &value->element_by_value,
						 &value->element_align);
	return prepare_value(codec, value->element, element, value->typmod);
}

static bool
is_listed(const char *name, List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return columns == NIL;
}

/* Set for columns that are computed when they are read (from PostgreSQL 18 on). */
#define COMPUTED_ON_READ 'v'

static const char *
prepare_column(cx_entity_codec *codec, column_codec *column, Form_pg_attribute attribute)
{
	const char *name = NameStr(attribute->attname);
	const char *utf8;

	if (strcmp(name, CX_ENTITY_VERSION_NAME) == 0 || strcmp(name, CX_ENTITY_ABSENT_NAME) == 0)
		return "the name stands for something else in the map";
	if (attribute->attgenerated == COMPUTED_ON_READ)
		return "a virtual generated column has no value in the row";
	if (!cx_utf8_from_server(name, strlen(name), &utf8, &column->name_length))
		return "its name has no form in UTF-8";
	column->number = attribute->attnum;
	column->name = pnstrdup(utf8, column->name_length);
	return prepare_value(codec, &column->value, attribute->atttypid, attribute->atttypmod);
}

cx_entity_codec *
cx_entity_codec_create(TupleDesc desc, List *columns, AttrNumber *refused, const char **reason)
{
	cx_entity_codec *codec = palloc0(sizeof(cx_entity_codec));

	codec->context = CurrentMemoryContext;
	codec->attribute_count = desc->natts;
	codec->columns = palloc0(sizeof(column_codec) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || !is_listed(NameStr(attribute->attname), columns))
			continue;
		*reason = prepare_column(codec, &codec->columns[codec->column_count++], attribute);
		if (*reason != NULL)
		{
			*refused = attribute->attnum;
			return NULL;
		}
	}
	codec->row_context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext entity codec",
											   ALLOCSET_DEFAULT_SIZES);
	return codec;
}

/*
 * Writing
 */

typedef struct writing
{
	cx_entity_codec *codec;
	TupleTableSlot *slot;
	StringInfo	out;
	size_t		end;			/* the length that out may reach */
	msgpack_packer packer;
} writing;

static bool write_value(writing *w, value_codec *value, Datum datum);

/* Text of the server; false only for want of room. */
static bool
write_text(writing *w, const char *data, size_t length)
{
	const char *utf8;
	size_t		utf8_length;

	if (w->out->len + length > w->end)
		return false;
	if (cx_utf8_from_server(data, length, &utf8, &utf8_length))
		msgpack_pack_str_with_body(&w->packer, utf8, utf8_length);
	else
		msgpack_pack_bin_with_body(&w->packer, data, length);
	return true;
}

/* The timestamp extension in the smallest of its three forms. */
static void
write_instant(writing *w, TimestampTz instant)
{
	int64		seconds = instant / USECS_PER_SEC;
	int64		microseconds = instant % USECS_PER_SEC;
	uint64		nanoseconds;
	uint8		body[12];
	int			length;

	if (microseconds < 0)
	{
		microseconds += USECS_PER_SEC;
		seconds--;
	}
	seconds += UNIX_TO_POSTGRES_SECONDS;
	nanoseconds = (uint64) microseconds * 1000;

	if (nanoseconds == 0 && seconds >= 0 && seconds <= (int64) PG_UINT32_MAX)
	{
		uint32		small = pg_hton32((uint32) seconds);

		length = sizeof(small);
		memcpy(body, &small, length);
	}
	else if (seconds >= 0 && seconds < (INT64CONST(1) << 34))
	{
		uint64		both = pg_hton64((nanoseconds << 34) | (uint64) seconds);

		length = sizeof(both);
		memcpy(body, &both, length);
	}
	else
	{
		uint32		fraction = pg_hton32((uint32) nanoseconds);
		uint64		whole = pg_hton64((uint64) seconds);

		length = sizeof(fraction) + sizeof(whole);
		memcpy(body, &fraction, sizeof(fraction));
		memcpy(body + sizeof(fraction), &whole, sizeof(whole));
	}
	msgpack_pack_ext_with_body(&w->packer, body, length, TIMESTAMP_EXTENSION);
}

static bool
write_time(writing *w, value_codec *value, Datum datum)
{
	char		text[MAXDATELEN + 1];

	JsonEncodeDateTime(text, datum, value->base, NULL);
	return write_text(w, text, strlen(text));
}

static bool
write_output(writing *w, value_codec *value, Datum datum)
{
	char	   *text = OutputFunctionCall(&value->output, datum);

	return write_text(w, text, strlen(text));
}

/* One dimension of an array after another; elements are taken from *index on. */
static bool
write_dimension(writing *w, value_codec *value, const int *sizes, int dimensions,
				const Datum *elements, const bool *nulls, int *index)
{
	msgpack_pack_array(&w->packer, sizes[0]);
	for (int i = 0; i < sizes[0]; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (dimensions > 1)
		{
			if (!write_dimension(w, value, sizes + 1, dimensions - 1, elements, nulls, index))
				return false;
			continue;
		}
		if (nulls[*index])
			msgpack_pack_nil(&w->packer);
		else if (!write_value(w, value->element, elements[*index]))
			return false;
		(*index)++;
	}
	return true;
}

static bool
write_array(writing *w, value_codec *value, Datum datum)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			index = 0;

	for (int i = 0; i < ARR_NDIM(array); i++)
		if (ARR_LBOUND(array)[i] != 1)
			return write_output(w, value, PointerGetDatum(array));
	if (ARR_NDIM(array) == 0)
	{
		msgpack_pack_array(&w->packer, 0);
		return true;
	}
	deconstruct_array(array, ARR_ELEMTYPE(array), value->element_length, value->element_by_value,
					  value->element_align, &elements, &nulls, &count);
	return write_dimension(w, value, ARR_DIMS(array), ARR_NDIM(array), elements, nulls, &index);
}

static bool
write_value(writing *w, value_codec *value, Datum datum)
{
	struct varlena *bytes;

	/* before anything large is made of it */
	if (w->out->len > w->end ||
		(value->is_varlena && w->out->len + toast_raw_datum_size(datum) - VARHDRSZ > w->end))
		return false;

	switch (value->form)
	{
		case FORM_BOOL:
			if (DatumGetBool(datum))
				msgpack_pack_true(&w->packer);
			else
				msgpack_pack_false(&w->packer);
			return true;
		case FORM_INT16:
			msgpack_pack_int16(&w->packer, DatumGetInt16(datum));
			return true;
		case FORM_INT32:
			msgpack_pack_int32(&w->packer, DatumGetInt32(datum));
			return true;
		case FORM_INT64:
			msgpack_pack_int64(&w->packer, DatumGetInt64(datum));
			return true;
		case FORM_OID:
			msgpack_pack_uint32(&w->packer, DatumGetObjectId(datum));
			return true;
		case FORM_FLOAT32:
			msgpack_pack_float(&w->packer, DatumGetFloat4(datum));
			return true;
		case FORM_FLOAT64:
			msgpack_pack_double(&w->packer, DatumGetFloat8(datum));
			return true;
		case FORM_TEXT:
			bytes = PG_DETOAST_DATUM_PACKED(datum);
			return write_text(w, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
		case FORM_BYTES:
			bytes = PG_DETOAST_DATUM_PACKED(datum);
			msgpack_pack_bin_with_body(&w->packer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			return true;
		case FORM_INSTANT:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(datum)))
				return write_time(w, value, datum);
			write_instant(w, DatumGetTimestampTz(datum));
			return true;
		case FORM_TIME:
			return write_time(w, value, datum);
		case FORM_OUTPUT:
			return write_output(w, value, datum);
		case FORM_ARRAY:
			return write_array(w, value, datum);
	}
	return false;
}

static bool
write_columns(writing *w)
{
	cx_entity_codec *codec = w->codec;

	cx_msgpack_writer_start(&w->packer, w->out);
	msgpack_pack_map(&w->packer, codec->column_count);
	for (int i = 0; i < codec->column_count; i++)
	{
		column_codec *column = &codec->columns[i];
		bool		isnull;
		Datum		datum = slot_getattr(w->slot, column->number, &isnull);

		msgpack_pack_str_with_body(&w->packer, column->name, column->name_length);
		if (isnull)
			msgpack_pack_nil(&w->packer);
		else if (!write_value(w, &column->value, datum))
			return false;
	}
	return w->out->len <= w->end;
}

bool
cx_entity_codec_write(cx_entity_codec *codec, TupleTableSlot *slot, size_t limit, StringInfo out)
{
	writing		w = {.codec = codec, .slot = slot, .out = out, .end = out->len + limit};
	MemoryContext context = MemoryContextSwitchTo(codec->row_context);
	saved_settings settings;
	volatile bool written = false;

	if (!codec->uses_settings)
		written = write_columns(&w);
	else
	{
		set_aside_settings(&settings);
		PG_TRY();
		{
			written = write_columns(&w);
		}
		PG_FINALLY();
		{
			restore_settings(&settings);
		}
		PG_END_TRY();
	}
	MemoryContextSwitchTo(context);
	MemoryContextReset(codec->row_context);
	return written;
}

/*
 * Reading
 */

typedef struct reading
{
	cx_entity_codec *codec;
	cx_msgpack_reader reader;
	Datum	   *values;
	bool	   *isnull;
} reading;

static bool read_value(reading *r, value_codec *value, Datum *datum);

static bool
read_integer(reading *r, int64 min, int64 max, int64 *number)
{
	return cx_msgpack_read_int(&r->reader, number) && *number >= min && *number <= max;
}

/* str in UTF-8, or bin in the server's encoding; terminated. */
static bool
read_text(reading *r, char **text, size_t *length)
{
	const char *data;
	const char *converted;
	uint32		size;

	if (cx_msgpack_read_str(&r->reader, &data, &size))
	{
		if (!cx_utf8_to_server(data, size, &converted, length))
			return false;
	}
	else
	{
		if (!cx_msgpack_read_bin(&r->reader, &data, &size) || size > MaxAllocSize ||
			pg_encoding_verifymbstr(GetDatabaseEncoding(), data, (int) size) != (int) size)
			return false;
		converted = data;
		*length = size;
	}
	if (*length >= MaxAllocSize)
		return false;
	*text = palloc(*length + 1);
	memcpy(*text, converted, *length);
	(*text)[*length] = '\0';
	return true;
}

static bool
read_by_input(reading *r, value_codec *value, int32 typmod, Datum *datum)
{
	char	   *text;
	size_t		length;

	if (!read_text(r, &text, &length))
		return false;
	*datum = InputFunctionCall(&value->input, text, value->input_parameter, typmod);
	return true;
}

static bool
read_instant(reading *r, value_codec *value, Datum *datum)
{
	const char *data;
	uint32		length;
	int8		type;
	uint64		both;
	uint32		small;
	int64		seconds;
	uint64		nanoseconds = 0;
	TimestampTz instant;

	if (!cx_msgpack_read_ext(&r->reader, &type, &data, &length))
		return read_by_input(r, value, -1, datum);	/* infinity */
	if (type != TIMESTAMP_EXTENSION)
		return false;
	switch (length)
	{
		case 4:
			memcpy(&small, data, 4);
			seconds = pg_ntoh32(small);
			break;
		case 8:
			memcpy(&both, data, 8);
			both = pg_ntoh64(both);
			seconds = (int64) (both & ((UINT64CONST(1) << 34) - 1));
			nanoseconds = both >> 34;
			break;
		case 12:
			memcpy(&small, data, 4);
			memcpy(&both, data + 4, 8);
			nanoseconds = pg_ntoh32(small);
			seconds = (int64) pg_ntoh64(both);
			break;
		default:
			return false;
	}
	if (nanoseconds >= 1000000000 || nanoseconds % 1000 != 0 ||
		pg_sub_s64_overflow(seconds, UNIX_TO_POSTGRES_SECONDS, &seconds) ||
		pg_mul_s64_overflow(seconds, USECS_PER_SEC, &instant) ||
		pg_add_s64_overflow(instant, (int64) nanoseconds / 1000, &instant) ||
		!IS_VALID_TIMESTAMP(instant))
		return false;
	*datum = TimestampTzGetDatum(instant);
	return true;
}

/* The elements of one array after another, all of one shape, which the first ones tell. */
static bool
read_dimension(reading *r, value_codec *value, int depth, int *dimensions, int *sizes,
			   ArrayBuildState **built)
{
	cx_msgpack_reader before;
	uint32		count;
	uint32		ignored;

	if (!cx_msgpack_read_array(&r->reader, &count) || count == 0)
		return false;
	before = r->reader;
	if (sizes[depth] == 0)
	{
		sizes[depth] = (int) Min(count, (uint32) PG_INT32_MAX);
		if (cx_msgpack_read_array(&r->reader, &ignored))
		{
			if (depth + 1 == MAXDIM)
				return false;
			*dimensions = depth + 2;
		}
		r->reader = before;
	}
	if (sizes[depth] != count)
		return false;

	for (uint32 i = 0; i < count; i++)
	{
		Datum		element = (Datum) 0;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (depth + 1 < *dimensions)
		{
			if (!read_dimension(r, value, depth + 1, dimensions, sizes, built))
				return false;
			continue;
		}
		isnull = cx_msgpack_read_nil(&r->reader);
		if (!isnull && !read_value(r, value->element, &element))
			return false;
		*built = accumArrayResult(*built, element, isnull, value->element->type,
								  CurrentMemoryContext);
	}
	return true;
}

static bool
read_array(reading *r, value_codec *value, Datum *datum)
{
	cx_msgpack_reader before = r->reader;
	ArrayBuildState *built = NULL;
	int			dimensions = 1;
	int			sizes[MAXDIM] = {0};
	int			bounds[MAXDIM];
	uint32		count;

	if (!cx_msgpack_read_array(&r->reader, &count))
		return read_by_input(r, value, value->typmod, datum);
	if (count == 0)
	{
		*datum = PointerGetDatum(construct_empty_array(value->element->type));
		return true;
	}
	r->reader = before;
	if (!read_dimension(r, value, 0, &dimensions, sizes, &built))
		return false;
	for (int i = 0; i < MAXDIM; i++)
		bounds[i] = 1;
	*datum = makeMdArrayResult(built, dimensions, sizes, bounds, CurrentMemoryContext, true);
	return true;
}

static bool
read_base_value(reading *r, value_codec *value, Datum *datum)
{
	const char *data;
	char	   *text;
	size_t		text_length;
	uint32		length;
	int64		number;
	bool		truth;
	float4		single;
	float8		twice;

	switch (value->form)
	{
		case FORM_BOOL:
			if (!cx_msgpack_read_bool(&r->reader, &truth))
				return false;
			*datum = BoolGetDatum(truth);
			return true;
		case FORM_INT16:
			if (!read_integer(r, PG_INT16_MIN, PG_INT16_MAX, &number))
				return false;
			*datum = Int16GetDatum((int16) number);
			return true;
		case FORM_INT32:
			if (!read_integer(r, PG_INT32_MIN, PG_INT32_MAX, &number))
				return false;
			*datum = Int32GetDatum((int32) number);
			return true;
		case FORM_INT64:
			if (!cx_msgpack_read_int(&r->reader, &number))
				return false;
			*datum = Int64GetDatum(number);
			return true;
		case FORM_OID:
			if (!read_integer(r, 0, (int64) PG_UINT32_MAX, &number))
				return false;
			*datum = ObjectIdGetDatum((Oid) number);
			return true;
		case FORM_FLOAT32:
			if (!cx_msgpack_read_float32(&r->reader, &single))
				return false;
			*datum = Float4GetDatum(single);
			return true;
		case FORM_FLOAT64:
			if (!cx_msgpack_read_float64(&r->reader, &twice))
				return false;
			*datum = Float8GetDatum(twice);
			return true;
		case FORM_TEXT:
			if (value->typmod >= 0)
				return read_by_input(r, value, value->typmod, datum);
			if (!read_text(r, &text, &text_length))
				return false;
			*datum = PointerGetDatum(cstring_to_text_with_len(text, (int) text_length));
			return true;
		case FORM_BYTES:
			if (!cx_msgpack_read_bin(&r->reader, &data, &length) ||
				length > MaxAllocSize - VARHDRSZ)
				return false;
			*datum = PointerGetDatum(cstring_to_text_with_len(data, (int) length));
			return true;
		case FORM_INSTANT:
			return read_instant(r, value, datum);
		case FORM_TIME:
		case FORM_OUTPUT:
			return read_by_input(r, value, value->typmod, datum);
		case FORM_ARRAY:
			return read_array(r, value, datum);
	}
	return false;
}

static bool
read_value(reading *r, value_codec *value, Datum *datum)
{
	if (!read_base_value(r, value, datum))
		return false;
	if (value->type != value->base)
		domain_check(*datum, false, value->type, &value->domain_checks, r->codec->context);
	return true;
}

/* The column that a pair's name means: most often the one at its place. */
static column_codec *
named_column(cx_entity_codec *codec, int place, const char *name, uint32 length)
{
	for (int i = 0; i < codec->column_count; i++)
	{
		column_codec *column = &codec->columns[(place + i) % codec->column_count];

		if (column->name_length == length && memcmp(column->name, name, length) == 0)
			return column;
	}
	return NULL;
}

static bool
read_columns(void *arg)
{
	reading    *r = arg;
	cx_entity_codec *codec = r->codec;
	bool	   *seen = palloc0(sizeof(bool) * (codec->attribute_count + 1));

	for (int i = 0; i < codec->column_count; i++)
	{
		column_codec *column;
		const char *name;
		uint32		length;
		Datum		datum = (Datum) 0;

		if (!cx_msgpack_read_str(&r->reader, &name, &length))
			return false;
		column = named_column(codec, i, name, length);
		if (column == NULL || seen[column->number])
			return false;
		seen[column->number] = true;
		if (!cx_msgpack_read_nil(&r->reader))
		{
			if (!read_value(r, &column->value, &datum))
				return false;
			r->values[column->number - 1] = datum;
			r->isnull[column->number - 1] = false;
		}
	}
	return true;
}

static bool
read_with_settings_aside(void *arg)
{
	saved_settings settings;
	volatile bool read = false;

	set_aside_settings(&settings);
	PG_TRY();
	{
		read = read_columns(arg);
	}
	PG_FINALLY();
	{
		restore_settings(&settings);
	}
	PG_END_TRY();
	return read;
}

bool
cx_entity_codec_read(cx_entity_codec *codec, const char *data, size_t length, Datum *values,
					 bool *isnull, size_t *rest)
{
	reading		r = {.codec = codec, .values = values, .isnull = isnull};
	uint32		count;

	cx_msgpack_reader_start(&r.reader, data, length);
	if (!cx_msgpack_read_map(&r.reader, &count) || count != codec->column_count + 1)
		return false;
	memset(isnull, true, sizeof(bool) * codec->attribute_count);
	memset(values, 0, sizeof(Datum) * codec->attribute_count);
	if (!cx_guarded_run(read_with_settings_aside, &r))
		return false;
	*rest = (const char *) r.reader.at - data;
	return true;
}

/*
 * Absent rows
 */

void
cx_entity_absent_write(StringInfo out)
{
	msgpack_packer packer;

	cx_msgpack_writer_start(&packer, out);
	msgpack_pack_map(&packer, 1);
	msgpack_pack_str_with_body(&packer, CX_ENTITY_ABSENT_NAME, strlen(CX_ENTITY_ABSENT_NAME));
	msgpack_pack_true(&packer);
}

bool
cx_entity_absent_read(const char *data, size_t length, size_t *rest)
{
	cx_msgpack_reader reader;
	const char *name;
	uint32		name_length;
	uint32		count;
	bool		absent;

	cx_msgpack_reader_start(&reader, data, length);
	if (!cx_msgpack_read_map(&reader, &count) || count != 2 ||
		!cx_msgpack_read_str(&reader, &name, &name_length) ||
		name_length != strlen(CX_ENTITY_ABSENT_NAME) ||
		memcmp(name, CX_ENTITY_ABSENT_NAME, name_length) != 0 ||
		!cx_msgpack_read_bool(&reader, &absent) || !absent)
		return false;
	*rest = (const char *) reader.at - data;
	return true;
}
