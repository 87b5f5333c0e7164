/*
 * query/entity_value.c
 *		One value of a row in MessagePack as any language reads it, and back.
 *
 * What each type becomes is in query/entity_codec.h.  Text forms are those that PostgreSQL dumps and
 * restores, so what is written is read back as the same value; an array that doesn't count from 1 is
 * its text.
 *
 * No code of a user runs (query/type_code.h): types whose functions would call some are refused.
 * Domains on the outside and as elements of arrays are not, but their constraints aren't checked when
 * a value is read: it was in the table.  Of whoever can write to Redis that keeps nobody safe, as he
 * can write any other value.
 *
 * Memory: a value's functions keep what they keep in the context of its creation; all else is in the
 * current one.  No locks.
 */
#include "postgres.h"

#include "base/msgpack_writer.h"
#include "query/entity_value.h"
#include "query/type_code.h"
#include "query/utf8.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

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

struct cx_entity_value
{
	Oid			type;			/* as declared */
	Oid			base;			/* domains stripped */
	int32		typmod;
	value_form	form;
	bool		is_varlena;
	FmgrInfo	output;			/* FORM_OUTPUT and FORM_ARRAY */
	FmgrInfo	input;			/* of the base type, for whatever is not MessagePack's own */
	Oid			input_parameter;
	bool		has_rows;		/* whether its functions are safe can change */

	/* of an array */
	struct cx_entity_value *element;
	int16		element_length;
	bool		element_by_value;
	char		element_align;
};

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

cx_entity_value *
cx_entity_value_create(Oid type, int32 typmod, bool *uses_settings, const char **reason)
{
	cx_entity_value *value = palloc0(sizeof(cx_entity_value));
	Oid			output;
	Oid			input;
	Oid			element;

	value->type = type;
	value->typmod = typmod;
	value->base = getBaseTypeAndTypmod(type, &value->typmod);
	*reason = refusal_of(value->base);
	if (*reason != NULL)
		return NULL;

	value->form = form_of(value->base);
	getTypeOutputInfo(value->base, &output, &value->is_varlena);
	getTypeInputInfo(value->base, &input, &value->input_parameter);
	fmgr_info_cxt(output, &value->output, CurrentMemoryContext);
	fmgr_info_cxt(input, &value->input, CurrentMemoryContext);
	if (value->form != FORM_OUTPUT)
		return value;

	element = get_element_type(value->base);
	if (!OidIsValid(element))
	{
		if (!cx_type_code_is_safe(value->base, &value->has_rows))
		{
			*reason = "its type runs a user's function or constraint when it is read";
			return NULL;
		}
		*uses_settings |= follows_settings(value->base);
		return value;
	}
	value->form = FORM_ARRAY;
	*uses_settings = true;		/* for an array as text */
	get_typlenbyvalalign(element, &value->element_length, &value->element_by_value,
						 &value->element_align);
	value->element = cx_entity_value_create(element, value->typmod, uses_settings, reason);
	if (value->element == NULL)
		return NULL;
	/* as text its elements are read as what a domain is over: read_array_text() */
	value->input_parameter = value->element->base;
	value->has_rows = value->element->has_rows;
	return value;
}

/* May the functions be called now?  A composite type may have got other attributes. */
static inline bool
is_still_safe(const cx_entity_value *value)
{
	bool		has_rows;

	return !value->has_rows ||
		cx_type_code_is_safe(value->form == FORM_ARRAY ? value->element->base : value->base,
							 &has_rows);
}

/*
 * Writing
 */

typedef struct writing
{
	StringInfo	out;
	size_t		end;			/* the length that out may reach */
	msgpack_packer packer;
} writing;

static bool write_value(writing *w, cx_entity_value *value, Datum datum);

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
	msgpack_pack_ext_with_body(&w->packer, body, length, CX_MSGPACK_TIMESTAMP);
}

static bool
write_time(writing *w, cx_entity_value *value, Datum datum)
{
	char		text[MAXDATELEN + 1];

	JsonEncodeDateTime(text, datum, value->base, NULL);
	return write_text(w, text, strlen(text));
}

static bool
write_output(writing *w, cx_entity_value *value, Datum datum)
{
	char	   *text;

	if (!is_still_safe(value))
		return false;
	text = OutputFunctionCall(&value->output, datum);
	return write_text(w, text, strlen(text));
}

/* One dimension of an array after another; elements are taken from *index on. */
static bool
write_dimension(writing *w, cx_entity_value *value, const int *sizes, int dimensions,
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
write_array(writing *w, cx_entity_value *value, Datum datum)
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
write_value(writing *w, cx_entity_value *value, Datum datum)
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

bool
cx_entity_value_write(cx_entity_value *value, Datum datum, size_t end, StringInfo out)
{
	writing		w = {.out = out, .end = end};

	cx_msgpack_writer_start(&w.packer, out);
	return write_value(&w, value, datum);
}

/*
 * Reading
 */

static bool
read_integer(cx_msgpack_reader *r, int64 min, int64 max, int64 *number)
{
	return cx_msgpack_read_int(r, number) && *number >= min && *number <= max;
}

/* str in UTF-8, or bin in the server's encoding; terminated. */
static bool
read_text(cx_msgpack_reader *r, char **text, size_t *length)
{
	const char *data;
	const char *converted;
	uint32		size;

	if (cx_msgpack_read_str(r, &data, &size))
	{
		if (!cx_utf8_to_server(data, size, &converted, length))
			return false;
	}
	else
	{
		if (!cx_msgpack_read_bin(r, &data, &size) || size > MaxAllocSize ||
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
read_by_input(cx_msgpack_reader *r, cx_entity_value *value, int32 typmod, Datum *datum)
{
	char	   *text;
	size_t		length;

	if (!read_text(r, &text, &length) || !is_still_safe(value))
		return false;
	*datum = InputFunctionCall(&value->input, text, value->input_parameter, typmod);
	return true;
}

static bool
read_instant(cx_msgpack_reader *r, cx_entity_value *value, Datum *datum)
{
	const char *data;
	uint32		length;
	int8		type;
	int64		seconds;
	uint32		nanoseconds;
	TimestampTz instant;

	if (!cx_msgpack_read_ext(r, &type, &data, &length))
		return read_by_input(r, value, -1, datum);	/* infinity */
	if (type != CX_MSGPACK_TIMESTAMP || !cx_msgpack_timestamp(data, length, &seconds, &nanoseconds))
		return false;
	if (nanoseconds % 1000 != 0 ||
		pg_sub_s64_overflow(seconds, UNIX_TO_POSTGRES_SECONDS, &seconds) ||
		pg_mul_s64_overflow(seconds, USECS_PER_SEC, &instant) ||
		pg_add_s64_overflow(instant, nanoseconds / 1000, &instant) ||
		!IS_VALID_TIMESTAMP(instant))
		return false;
	*datum = TimestampTzGetDatum(instant);
	return true;
}

/* The elements of one array after another, all of one shape, which the first ones tell. */
static bool
read_dimension(cx_msgpack_reader *r, cx_entity_value *value, int depth, int *dimensions, int *sizes,
			   ArrayBuildState **built)
{
	cx_msgpack_reader before;
	uint32		count;
	uint32		ignored;

	if (!cx_msgpack_read_array(r, &count) || count == 0)
		return false;
	before = *r;
	if (sizes[depth] == 0)
	{
		sizes[depth] = (int) Min(count, (uint32) PG_INT32_MAX);
		if (cx_msgpack_read_array(r, &ignored))
		{
			if (depth + 1 == MAXDIM)
				return false;
			*dimensions = depth + 2;
		}
		*r = before;
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
		isnull = cx_msgpack_read_nil(r);
		if (!isnull && !cx_entity_value_read(value->element, r, &element))
			return false;
		*built = accumArrayResult(*built, element, isnull, value->element->type,
								  CurrentMemoryContext);
	}
	return true;
}

/* array_in would have domain_in called for elements of a domain: it gets what that is over. */
static bool
read_array_text(cx_msgpack_reader *r, cx_entity_value *value, Datum *datum)
{
	if (value->element->form == FORM_ARRAY ||	/* its elements may be of a domain again */
		!read_by_input(r, value, value->element->typmod, datum))
		return false;
	DatumGetArrayTypeP(*datum)->elemtype = value->element->type;
	return true;
}

static bool
read_array(cx_msgpack_reader *r, cx_entity_value *value, Datum *datum)
{
	cx_msgpack_reader before = *r;
	ArrayBuildState *built = NULL;
	int			dimensions = 1;
	int			sizes[MAXDIM] = {0};
	int			bounds[MAXDIM];
	uint32		count;

	if (!cx_msgpack_read_array(r, &count))
		return read_array_text(r, value, datum);
	if (count == 0)
	{
		*datum = PointerGetDatum(construct_empty_array(value->element->type));
		return true;
	}
	*r = before;
	if (!read_dimension(r, value, 0, &dimensions, sizes, &built))
		return false;
	for (int i = 0; i < MAXDIM; i++)
		bounds[i] = 1;
	*datum = makeMdArrayResult(built, dimensions, sizes, bounds, CurrentMemoryContext, true);
	return true;
}

bool
cx_entity_value_read(cx_entity_value *value, cx_msgpack_reader *r, Datum *datum)
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
			if (!cx_msgpack_read_bool(r, &truth))
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
			if (!cx_msgpack_read_int(r, &number))
				return false;
			*datum = Int64GetDatum(number);
			return true;
		case FORM_OID:
			if (!read_integer(r, 0, (int64) PG_UINT32_MAX, &number))
				return false;
			*datum = ObjectIdGetDatum((Oid) number);
			return true;
		case FORM_FLOAT32:
			if (!cx_msgpack_read_float32(r, &single))
				return false;
			*datum = Float4GetDatum(single);
			return true;
		case FORM_FLOAT64:
			if (!cx_msgpack_read_float64(r, &twice))
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
			if (!cx_msgpack_read_bin(r, &data, &length) ||
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
