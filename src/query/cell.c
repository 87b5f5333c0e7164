/*
 * query/cell.c
 *		The bytes of rows: one value in MessagePack, and the frame of rows around values.
 *
 * Text is checked against the server's encoding on reading, in every encoding: PostgreSQL's own
 * functions step over characters by their first byte and rely on text being valid.
 */
#include "postgres.h"

#include "base/msgpack_writer.h"
#include "query/cell.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"

/* array32: the one form of an array's count whose size doesn't depend on the count */
#define ROW_COUNT_FIRST 0xdd

void
cx_cell_write(StringInfo out, cx_cell_format format, const cx_cell *cell)
{
	msgpack_packer packer;

	cx_msgpack_writer_start(&packer, out);
	if (cell->isnull)
	{
		msgpack_pack_nil(&packer);
		return;
	}

	switch (format)
	{
		case CX_CELL_BOOL:
			if (DatumGetBool(cell->value))
				msgpack_pack_true(&packer);
			else
				msgpack_pack_false(&packer);
			return;
		case CX_CELL_CHAR:
			msgpack_pack_uint8(&packer, DatumGetUInt8(cell->value));
			return;
		case CX_CELL_INT16:
			msgpack_pack_int16(&packer, DatumGetInt16(cell->value));
			return;
		case CX_CELL_INT32:
			msgpack_pack_int32(&packer, DatumGetInt32(cell->value));
			return;
		case CX_CELL_INT64:
			msgpack_pack_int64(&packer, DatumGetInt64(cell->value));
			return;
		case CX_CELL_UINT32:
			msgpack_pack_uint32(&packer, DatumGetUInt32(cell->value));
			return;
		case CX_CELL_FLOAT32:
			msgpack_pack_float(&packer, DatumGetFloat4(cell->value));
			return;
		case CX_CELL_FLOAT64:
			msgpack_pack_double(&packer, DatumGetFloat8(cell->value));
			return;
		case CX_CELL_TEXT:
			if (GetDatabaseEncoding() == PG_UTF8)
				msgpack_pack_str_with_body(&packer, cell->data, cell->length);
			else
				msgpack_pack_bin_with_body(&packer, cell->data, cell->length);
			return;
		case CX_CELL_BYTES:
			msgpack_pack_bin_with_body(&packer, cell->data, cell->length);
			return;
	}
}

static bool
read_signed(cx_msgpack_reader *reader, int64 min, int64 max, int64 *value)
{
	return cx_msgpack_read_int(reader, value) && *value >= min && *value <= max;
}

static bool
read_unsigned(cx_msgpack_reader *reader, uint64 max, uint64 *value)
{
	return cx_msgpack_read_uint(reader, value) && *value <= max;
}

static bool
read_text(cx_msgpack_reader *reader, cx_cell *cell)
{
	int			encoding = GetDatabaseEncoding();

	if (encoding == PG_UTF8
		? !cx_msgpack_read_str(reader, &cell->data, &cell->length)
		: !cx_msgpack_read_bin(reader, &cell->data, &cell->length))
		return false;

	/* also finds zero bytes, in any encoding */
	return cell->length <= PG_INT32_MAX &&
		pg_encoding_verifymbstr(encoding, cell->data, (int) cell->length) == (int) cell->length;
}

bool
cx_cell_read(cx_msgpack_reader *reader, cx_cell_format format, cx_cell *cell)
{
	int64		number = 0;
	uint64		count = 0;
	bool		truth;
	float4		single;
	float8		twice;

	cell->isnull = cx_msgpack_read_nil(reader);
	if (cell->isnull)
		return true;

	switch (format)
	{
		case CX_CELL_BOOL:
			if (!cx_msgpack_read_bool(reader, &truth))
				return false;
			cell->value = BoolGetDatum(truth);
			return true;
		case CX_CELL_CHAR:
			if (!read_unsigned(reader, PG_UINT8_MAX, &count))
				return false;
			cell->value = CharGetDatum((char) count);
			return true;
		case CX_CELL_INT16:
			if (!read_signed(reader, PG_INT16_MIN, PG_INT16_MAX, &number))
				return false;
			cell->value = Int16GetDatum((int16) number);
			return true;
		case CX_CELL_INT32:
			if (!read_signed(reader, PG_INT32_MIN, PG_INT32_MAX, &number))
				return false;
			cell->value = Int32GetDatum((int32) number);
			return true;
		case CX_CELL_INT64:
			if (!cx_msgpack_read_int(reader, &number))
				return false;
			cell->value = Int64GetDatum(number);
			return true;
		case CX_CELL_UINT32:
			if (!read_unsigned(reader, PG_UINT32_MAX, &count))
				return false;
			cell->value = UInt32GetDatum((uint32) count);
			return true;
		case CX_CELL_FLOAT32:
			if (!cx_msgpack_read_float32(reader, &single))
				return false;
			cell->value = Float4GetDatum(single);
			return true;
		case CX_CELL_FLOAT64:
			if (!cx_msgpack_read_float64(reader, &twice))
				return false;
			cell->value = Float8GetDatum(twice);
			return true;
		case CX_CELL_TEXT:
			return read_text(reader, cell);
		case CX_CELL_BYTES:
			return cx_msgpack_read_bin(reader, &cell->data, &cell->length);
	}
	return false;
}

void
cx_rows_start(StringInfo out)
{
	static const char place[5] = {(char) ROW_COUNT_FIRST};

	appendBinaryStringInfo(out, place, sizeof(place));
}

void
cx_rows_row(StringInfo out, int columns)
{
	msgpack_packer packer;

	cx_msgpack_writer_start(&packer, out);
	msgpack_pack_array(&packer, columns);
}

void
cx_rows_set_count(StringInfo out, int at, uint32 count)
{
	count = pg_hton32(count);
	memcpy(out->data + at + 1, &count, sizeof(count));
}

bool
cx_rows_read_count(cx_msgpack_reader *reader, int columns, uint32 *count)
{
	/* a row takes a byte for its header and one for each value at least */
	return cx_msgpack_read_array(reader, count) &&
		*count <= (size_t) (reader->end - reader->at) / (1 + (size_t) columns);
}

bool
cx_rows_read_row(cx_msgpack_reader *reader, int columns)
{
	uint32		count;

	return cx_msgpack_read_array(reader, &count) && count == columns;
}
