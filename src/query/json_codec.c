/*
 * query/json_codec.c
 *		JSON values as MessagePack that any language reads, and back.
 *
 * 1. What was written and is read again is equal as jsonb: no number loses a digit that counts.
 * 2. Bytes to read are hostile.  No recursion follows them here, and the one that PostgreSQL makes of
 *	  the result is bounded by CX_JSON_MAX_DEPTH and its own check of the stack.
 * 3. A count is no more than the bytes that follow can hold, so that memory is bounded by their
 *	  number times a constant.
 *
 * Memory: everything is in CurrentMemoryContext; what is in between is left to it.
 */
#include "postgres.h"

#include "base/msgpack_writer.h"
#include "query/json_codec.h"
#include "query/utf8.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include <math.h>

/* Types of extensions. */
#define EXT_NUMBER 1

/* What type numeric holds, before and behind the point. */
#define MAX_DIGITS 131072
#define MAX_FRACTION 16383

static Numeric
numeric_of(const char *number)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(number),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/*
 * Writing
 */

static bool
write_integer(msgpack_packer *packer, const char *number)
{
	char	   *end;
	bool		negative = number[0] == '-';
	int64		as_signed = 0;
	uint64		as_unsigned = 0;

	errno = 0;
	if (negative)
		as_signed = strtoll(number, &end, 10);
	else
		as_unsigned = strtoull(number, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	if (negative)
		msgpack_pack_int64(packer, as_signed);
	else
		msgpack_pack_uint64(packer, as_unsigned);
	return true;
}

static bool
write_float(msgpack_packer *packer, Numeric value, const char *number)
{
	char		shortest[DOUBLE_SHORTEST_DECIMAL_LEN];
	double		as_float = strtod(number, NULL);

	if (isinf(as_float))
		return false;
	double_to_shortest_decimal_buf(as_float, shortest);
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(value),
										  NumericGetDatum(numeric_of(shortest)))))
		return false;
	msgpack_pack_double(packer, as_float);
	return true;
}

static void
write_number(msgpack_packer *packer, Numeric value)
{
	char	   *number = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
	size_t		length = strlen(number);

	if (write_integer(packer, number) || write_float(packer, value, number))
		return;
	msgpack_pack_ext(packer, length, EXT_NUMBER);
	msgpack_pack_ext_body(packer, number, length);
}

static cx_json_status
write_scalar(msgpack_packer *packer, const JsonbValue *value)
{
	const char *text;
	size_t		length;

	switch (value->type)
	{
		case jbvNull:
			msgpack_pack_nil(packer);
			break;
		case jbvBool:
			if (value->val.boolean)
				msgpack_pack_true(packer);
			else
				msgpack_pack_false(packer);
			break;
		case jbvNumeric:
			write_number(packer, value->val.numeric);
			break;
		case jbvString:
			if (!cx_utf8_from_server(value->val.string.val, value->val.string.len, &text, &length))
				return CX_JSON_UNSUPPORTED;
			msgpack_pack_str(packer, length);
			msgpack_pack_str_body(packer, text, length);
			break;
		default:
			elog(ERROR, "unexpected type of jsonb value: %d", (int) value->type);
	}
	return CX_JSON_OK;
}

cx_json_status
cx_json_write(const Jsonb *value, StringInfo out)
{
	int			start = out->len;
	int			depth = 0;
	msgpack_packer packer;
	JsonbIterator *iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &value->root));
	JsonbIteratorToken token;
	JsonbValue	part;
	cx_json_status status = CX_JSON_OK;

	cx_msgpack_writer_start(&packer, out);
	while (status == CX_JSON_OK &&
		   (token = JsonbIteratorNext(&iterator, &part, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				depth++;
				/* a value that is no array is kept as an array of one */
				if (!part.val.array.rawScalar)
					msgpack_pack_array(&packer, part.val.array.nElems);
				break;
			case WJB_BEGIN_OBJECT:
				depth++;
				msgpack_pack_map(&packer, part.val.object.nPairs);
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				depth--;
				break;
			default:
				status = write_scalar(&packer, &part);
				break;
		}
		if (depth > CX_JSON_MAX_DEPTH)
			status = CX_JSON_TOO_DEEP;
	}
	if (status != CX_JSON_OK)
	{
		out->len = start;
		out->data[start] = '\0';
	}
	return status;
}

/*
 * Reading
 */

/* An array or map that is being read. */
typedef struct frame
{
	uint32		left;			/* elements, or keys and values */
	bool		is_map;
} frame;

typedef struct state
{
	cx_msgpack_reader *reader;
	JsonbParseState *parse;
	JsonbValue *whole;			/* the last array or object that was ended */
	frame	   *frames;
	int			depth;			/* of them */
	int			room;
} state;

static void
set_string(JsonbValue *value, const char *data, size_t length)
{
	value->type = jbvString;
	value->val.string.val = unconstify(char *, data);
	value->val.string.len = (int) length;
}

static void
set_number(JsonbValue *value, const char *number)
{
	value->type = jbvNumeric;
	value->val.numeric = numeric_of(number);
}

static void
set_float(JsonbValue *value, double number, const char *shortest)
{
	if (isnan(number))
		set_string(value, "NaN", strlen("NaN"));
	else if (isinf(number))
	{
		const char *name = number > 0 ? "Infinity" : "-Infinity";

		set_string(value, name, strlen(name));
	}
	else
		set_number(value, shortest);
}

/* Our own extension: what numeric_out() makes, so that numeric_in() has nothing to complain of. */
static bool
is_number(const char *data, uint32 length)
{
	const char *end = data + length;
	const char *point;
	const char *behind;

	if (data < end && *data == '-')
		data++;
	for (point = data; point < end && isdigit((unsigned char) *point); point++)
		;
	if (point == data || point - data > MAX_DIGITS)
		return false;
	if (point == end)
		return true;
	if (*point != '.')
		return false;
	for (behind = point + 1; behind < end && isdigit((unsigned char) *behind); behind++)
		;
	return behind == end && behind > point + 1 && behind - point - 1 <= MAX_FRACTION;
}

static bool
set_timestamp(JsonbValue *value, const char *data, uint32 length)
{
	int64		seconds;
	uint32		nanoseconds;
	Timestamp	timestamp;
	int			zone = 0;
	char	   *text;

	if (!cx_msgpack_timestamp(data, length, &seconds, &nanoseconds) ||
		seconds > END_TIMESTAMP / USECS_PER_SEC ||
		seconds < MIN_TIMESTAMP / USECS_PER_SEC)
		return false;
	timestamp = (seconds - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
		USECS_PER_SEC + nanoseconds / 1000;
	if (!IS_VALID_TIMESTAMP(timestamp))
		return false;
	text = palloc(MAXDATELEN + 1);
	JsonEncodeDateTime(text, TimestampGetDatum(timestamp), TIMESTAMPTZOID, &zone);
	set_string(value, text, strlen(text));
	return true;
}

static void
set_bytes(JsonbValue *value, const char *data, uint32 length)
{
	char	   *text = palloc((Size) length * 2 + 2);

	text[0] = '\\';
	text[1] = 'x';
	set_string(value, text, hex_encode(data, length, text + 2) + 2);
}

static cx_json_status
read_extension(JsonbValue *value, int8 type, const char *data, uint32 length)
{
	if (type == EXT_NUMBER && is_number(data, length))
	{
		set_number(value, pnstrdup(data, length));
		return CX_JSON_OK;
	}
	return type == CX_MSGPACK_TIMESTAMP && set_timestamp(value, data, length) ?
		CX_JSON_OK : CX_JSON_UNSUPPORTED;
}

static cx_json_status
read_text(JsonbValue *value, const char *data, uint32 length)
{
	const char *text;
	size_t		text_length;

	if (!cx_utf8_to_server(data, length, &text, &text_length))
		return CX_JSON_UNSUPPORTED;
	set_string(value, text, text_length);
	return CX_JSON_OK;
}

static cx_json_status
read_scalar(cx_msgpack_reader *reader, JsonbValue *value)
{
	char		number[DOUBLE_SHORTEST_DECIMAL_LEN];
	const char *data;
	uint32		length;
	int64		as_signed;
	uint64		as_unsigned;
	float4		single;
	float8		twofold;
	int8		type;

	if (cx_msgpack_read_nil(reader))
		value->type = jbvNull;
	else if (cx_msgpack_read_bool(reader, &value->val.boolean))
		value->type = jbvBool;
	else if (cx_msgpack_read_int(reader, &as_signed))
	{
		value->type = jbvNumeric;
		value->val.numeric = int64_to_numeric(as_signed);
	}
	else if (cx_msgpack_read_uint(reader, &as_unsigned))
	{
		snprintf(number, sizeof(number), UINT64_FORMAT, as_unsigned);
		set_number(value, number);
	}
	else if (cx_msgpack_read_float64(reader, &twofold))
	{
		double_to_shortest_decimal_buf(twofold, number);
		set_float(value, twofold, number);
	}
	else if (cx_msgpack_read_float32(reader, &single))
	{
		float_to_shortest_decimal_buf(single, number);
		set_float(value, single, number);
	}
	else if (cx_msgpack_read_str(reader, &data, &length))
		return read_text(value, data, length);
	else if (cx_msgpack_read_bin(reader, &data, &length))
		set_bytes(value, data, length);
	else if (cx_msgpack_read_ext(reader, &type, &data, &length))
		return read_extension(value, type, data, length);
	else
		return CX_JSON_MALFORMED;
	return CX_JSON_OK;
}

/* The keys of JSON are strings. */
static cx_json_status
read_key(cx_msgpack_reader *reader, JsonbValue *value)
{
	const char *data;
	uint32		length;
	int64		as_signed;
	uint64		as_unsigned;
	char	   *digits;

	if (cx_msgpack_read_str(reader, &data, &length))
		return read_text(value, data, length);
	if (cx_msgpack_read_int(reader, &as_signed))
		digits = psprintf(INT64_FORMAT, as_signed);
	else if (cx_msgpack_read_uint(reader, &as_unsigned))
		digits = psprintf(UINT64_FORMAT, as_unsigned);
	else
		return CX_JSON_UNSUPPORTED;
	set_string(value, digits, strlen(digits));
	return CX_JSON_OK;
}

static cx_json_status
begin(state *reading, uint32 count, bool is_map)
{
	if (reading->depth == CX_JSON_MAX_DEPTH)
		return CX_JSON_TOO_DEEP;
	if (reading->depth == reading->room)
	{
		reading->room *= 2;
		reading->frames = repalloc(reading->frames, sizeof(frame) * reading->room);
	}
	reading->frames[reading->depth].left = is_map ? count * 2 : count;
	reading->frames[reading->depth].is_map = is_map;
	reading->depth++;
	(void) pushJsonbValue(&reading->parse, is_map ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	return CX_JSON_OK;
}

/* Ends what is complete. */
static void
end_complete(state *reading)
{
	while (reading->depth > 0 && reading->frames[reading->depth - 1].left == 0)
	{
		reading->depth--;
		reading->whole = pushJsonbValue(&reading->parse, reading->frames[reading->depth].is_map ?
										WJB_END_OBJECT : WJB_END_ARRAY, NULL);
	}
}

/* The next part of the array or map that is being read. */
static cx_json_status
read_part(state *reading)
{
	frame	   *inner = &reading->frames[reading->depth - 1];
	bool		is_key = inner->is_map && inner->left % 2 == 0;
	JsonbIteratorToken token;
	JsonbValue	value;
	uint32		count;
	cx_json_status status;

	inner->left--;
	if (is_key)
	{
		token = WJB_KEY;
		status = read_key(reading->reader, &value);
	}
	else
	{
		if (cx_msgpack_read_array(reading->reader, &count))
			return begin(reading, count, false);
		if (cx_msgpack_read_map(reading->reader, &count))
			return begin(reading, count, true);
		token = inner->is_map ? WJB_VALUE : WJB_ELEM;
		status = read_scalar(reading->reader, &value);
	}
	if (status == CX_JSON_OK)
		(void) pushJsonbValue(&reading->parse, token, &value);
	return status;
}

cx_json_status
cx_json_read(cx_msgpack_reader *reader, Jsonb **value)
{
	state		reading = {.reader = reader};
	JsonbValue	scalar;
	uint32		count;
	cx_json_status status;

	reading.room = 16;
	reading.frames = palloc(sizeof(frame) * reading.room);
	if (cx_msgpack_read_array(reader, &count))
		status = begin(&reading, count, false);
	else if (cx_msgpack_read_map(reader, &count))
		status = begin(&reading, count, true);
	else
	{
		status = read_scalar(reader, &scalar);
		reading.whole = &scalar;
	}

	for (;;)
	{
		if (status != CX_JSON_OK)
			return status;
		end_complete(&reading);
		if (reading.depth == 0)
			break;
		status = read_part(&reading);
	}
	*value = JsonbValueToJsonb(reading.whole);
	return CX_JSON_OK;
}

cx_json_status
cx_json_decode(const char *data, size_t length, Jsonb **value)
{
	cx_msgpack_reader reader;
	cx_json_status status;

	cx_msgpack_reader_start(&reader, data, length);
	status = cx_json_read(&reader, value);
	if (status == CX_JSON_OK && !cx_msgpack_reader_done(&reader))
		status = CX_JSON_MALFORMED;
	return status;
}
