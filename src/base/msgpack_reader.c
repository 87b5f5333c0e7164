/*
 * base/msgpack_reader.c
 *		Reading MessagePack that may be hostile, in place and without allocating.
 *
 * msgpack-c writes for us, but its C interface reads by building a tree of the whole message, and
 * allocates what a count in the message claims before it has seen the elements.  Entries are large
 * and come from outside, so reading is ours: a cursor over the bytes.
 *
 * Invariants:
 * 1. at never passes end, and no byte at or after end is looked at.
 * 2. A reader moves only when a whole value (for arrays: the header) was read.
 * 3. Nothing is allocated, nothing raises an error, nothing is kept between calls.
 */
#include "postgres.h"

#include "base/msgpack_reader.h"

#include "port/pg_bswap.h"

/* First bytes of values, as the specification names them. */
#define FIXINT_MAX		0x7f
#define FIXMAP			0x80
#define FIXMAP_MAX		0x8f
#define FIXARRAY		0x90
#define FIXARRAY_MAX	0x9f
#define FIXSTR			0xa0
#define FIXSTR_MAX		0xbf
#define NIL_VALUE		0xc0
#define FALSE_VALUE		0xc2
#define TRUE_VALUE		0xc3
#define BIN8			0xc4
#define BIN16			0xc5
#define BIN32			0xc6
#define EXT8			0xc7
#define EXT32			0xc9
#define FLOAT32			0xca
#define FLOAT64			0xcb
#define UINT8			0xcc
#define UINT16			0xcd
#define UINT32			0xce
#define UINT64			0xcf
#define INT8			0xd0
#define INT16			0xd1
#define INT32			0xd2
#define INT64			0xd3
#define FIXEXT1			0xd4
#define FIXEXT16		0xd8
#define STR8			0xd9
#define STR16			0xda
#define STR32			0xdb
#define ARRAY16			0xdc
#define ARRAY32			0xdd
#define MAP16			0xde
#define MAP32			0xdf
#define NEGATIVE_FIXINT 0xe0

static inline size_t
bytes_left(const cx_msgpack_reader *reader)
{
	return reader->end - reader->at;
}

/* The big-endian number of width bytes behind the first byte; does not move the reader. */
static inline bool
number_behind_first(const cx_msgpack_reader *reader, int width, uint64 *value)
{
	const uint8 *bytes = reader->at + 1;

	if (bytes_left(reader) < 1 + (size_t) width)
		return false;

	switch (width)
	{
		case 1:
			*value = *bytes;
			return true;
		case 2:
			{
				uint16		number;

				memcpy(&number, bytes, sizeof(number));
				*value = pg_ntoh16(number);
				return true;
			}
		case 4:
			{
				uint32		number;

				memcpy(&number, bytes, sizeof(number));
				*value = pg_ntoh32(number);
				return true;
			}
		default:
			{
				uint64		number;

				memcpy(&number, bytes, sizeof(number));
				*value = pg_ntoh64(number);
				return true;
			}
	}
}

void
cx_msgpack_reader_start(cx_msgpack_reader *reader, const void *data, size_t length)
{
	reader->at = data;
	reader->end = reader->at + length;
}

bool
cx_msgpack_reader_done(const cx_msgpack_reader *reader)
{
	return reader->at == reader->end;
}

bool
cx_msgpack_read_array(cx_msgpack_reader *reader, uint32 *count)
{
	uint64		claimed;
	size_t		header;

	if (bytes_left(reader) == 0)
		return false;

	if (*reader->at >= FIXARRAY && *reader->at <= FIXARRAY_MAX)
	{
		claimed = *reader->at - FIXARRAY;
		header = 1;
	}
	else if (*reader->at == ARRAY16 && number_behind_first(reader, 2, &claimed))
		header = 3;
	else if (*reader->at == ARRAY32 && number_behind_first(reader, 4, &claimed))
		header = 5;
	else
		return false;

	/* every element takes a byte at least */
	if (claimed > bytes_left(reader) - header)
		return false;
	reader->at += header;
	*count = (uint32) claimed;
	return true;
}

bool
cx_msgpack_read_map(cx_msgpack_reader *reader, uint32 *count)
{
	uint64		claimed;
	size_t		header;

	if (bytes_left(reader) == 0)
		return false;

	if (*reader->at >= FIXMAP && *reader->at <= FIXMAP_MAX)
	{
		claimed = *reader->at - FIXMAP;
		header = 1;
	}
	else if (*reader->at == MAP16 && number_behind_first(reader, 2, &claimed))
		header = 3;
	else if (*reader->at == MAP32 && number_behind_first(reader, 4, &claimed))
		header = 5;
	else
		return false;

	/* every pair takes two bytes at least */
	if (claimed > (bytes_left(reader) - header) / 2)
		return false;
	reader->at += header;
	*count = (uint32) claimed;
	return true;
}

bool
cx_msgpack_read_nil(cx_msgpack_reader *reader)
{
	if (bytes_left(reader) == 0 || *reader->at != NIL_VALUE)
		return false;
	reader->at++;
	return true;
}

bool
cx_msgpack_read_bool(cx_msgpack_reader *reader, bool *value)
{
	if (bytes_left(reader) == 0 || (*reader->at != FALSE_VALUE && *reader->at != TRUE_VALUE))
		return false;
	*value = *reader->at == TRUE_VALUE;
	reader->at++;
	return true;
}

/*
 * Any integer, as its 64 bits of two's complement and its sign.  Moves the reader.
 */
static inline bool
read_integer(cx_msgpack_reader *reader, uint64 *bits, bool *negative)
{
	uint8		first;
	int			width;

	if (bytes_left(reader) == 0)
		return false;

	first = *reader->at;
	if (first <= FIXINT_MAX || first >= NEGATIVE_FIXINT)
	{
		*bits = (uint64) (int64) (int8) first;
		*negative = first >= NEGATIVE_FIXINT;
		reader->at++;
		return true;
	}
	if (first < UINT8 || first > INT64)
		return false;

	/* 1, 2, 4, 8 bytes unsigned, then the same signed */
	width = 1 << ((first - UINT8) & 3);
	if (!number_behind_first(reader, width, bits))
		return false;
	switch (first)
	{
		case INT8:
			*bits = (uint64) (int64) (int8) *bits;
			break;
		case INT16:
			*bits = (uint64) (int64) (int16) *bits;
			break;
		case INT32:
			*bits = (uint64) (int64) (int32) *bits;
			break;
	}
	*negative = first >= INT8 && (int64) *bits < 0;
	reader->at += 1 + width;
	return true;
}

bool
cx_msgpack_read_int(cx_msgpack_reader *reader, int64 *value)
{
	cx_msgpack_reader before = *reader;
	uint64		bits;
	bool		negative;

	if (!read_integer(reader, &bits, &negative))
		return false;
	if (!negative && bits > (uint64) PG_INT64_MAX)
	{
		*reader = before;
		return false;
	}
	*value = (int64) bits;
	return true;
}

bool
cx_msgpack_read_uint(cx_msgpack_reader *reader, uint64 *value)
{
	cx_msgpack_reader before = *reader;
	uint64		bits;
	bool		negative;

	if (!read_integer(reader, &bits, &negative))
		return false;
	if (negative)
	{
		*reader = before;
		return false;
	}
	*value = bits;
	return true;
}

bool
cx_msgpack_read_float32(cx_msgpack_reader *reader, float4 *value)
{
	uint64		number;
	uint32		bits;

	if (bytes_left(reader) == 0 || *reader->at != FLOAT32 ||
		!number_behind_first(reader, sizeof(bits), &number))
		return false;
	bits = (uint32) number;
	memcpy(value, &bits, sizeof(bits));
	reader->at += 1 + sizeof(bits);
	return true;
}

bool
cx_msgpack_read_float64(cx_msgpack_reader *reader, float8 *value)
{
	uint64		bits;

	if (bytes_left(reader) == 0 || *reader->at != FLOAT64 ||
		!number_behind_first(reader, sizeof(bits), &bits))
		return false;
	memcpy(value, &bits, sizeof(bits));
	reader->at += 1 + sizeof(bits);
	return true;
}

/* The bytes behind a header, whose size and claimed length are known; moves the reader. */
static inline bool
take_bytes(cx_msgpack_reader *reader, size_t header, uint64 claimed, const char **data,
		   uint32 *length)
{
	if (claimed > bytes_left(reader) - header)
		return false;
	*data = (const char *) reader->at + header;
	*length = (uint32) claimed;
	reader->at += header + claimed;
	return true;
}

bool
cx_msgpack_read_str(cx_msgpack_reader *reader, const char **data, uint32 *length)
{
	uint64		claimed;

	if (bytes_left(reader) == 0)
		return false;

	if (*reader->at >= FIXSTR && *reader->at <= FIXSTR_MAX)
		return take_bytes(reader, 1, *reader->at - FIXSTR, data, length);
	if (*reader->at == STR8 && number_behind_first(reader, 1, &claimed))
		return take_bytes(reader, 2, claimed, data, length);
	if (*reader->at == STR16 && number_behind_first(reader, 2, &claimed))
		return take_bytes(reader, 3, claimed, data, length);
	if (*reader->at == STR32 && number_behind_first(reader, 4, &claimed))
		return take_bytes(reader, 5, claimed, data, length);
	return false;
}

bool
cx_msgpack_read_bin(cx_msgpack_reader *reader, const char **data, uint32 *length)
{
	uint64		claimed;

	if (bytes_left(reader) == 0)
		return false;

	if (*reader->at == BIN8 && number_behind_first(reader, 1, &claimed))
		return take_bytes(reader, 2, claimed, data, length);
	if (*reader->at == BIN16 && number_behind_first(reader, 2, &claimed))
		return take_bytes(reader, 3, claimed, data, length);
	if (*reader->at == BIN32 && number_behind_first(reader, 4, &claimed))
		return take_bytes(reader, 5, claimed, data, length);
	return false;
}

bool
cx_msgpack_read_ext(cx_msgpack_reader *reader, int8 *type, const char **data, uint32 *length)
{
	uint8		first;
	uint64		claimed;
	size_t		header;

	if (bytes_left(reader) == 0)
		return false;

	/* the extension's type comes last in the header */
	first = *reader->at;
	if (first >= FIXEXT1 && first <= FIXEXT16)
	{
		claimed = (uint64) 1 << (first - FIXEXT1);
		header = 2;
	}
	else if (first >= EXT8 && first <= EXT32 &&
			 number_behind_first(reader, 1 << (first - EXT8), &claimed))
		header = 2 + (1 << (first - EXT8));
	else
		return false;
	if (bytes_left(reader) < header)
		return false;
	*type = (int8) reader->at[header - 1];
	return take_bytes(reader, header, claimed, data, length);
}

bool
cx_msgpack_timestamp(const char *data, uint32 length, int64 *seconds, uint32 *nanoseconds)
{
	uint32		small = 0;
	uint64		large = 0;

	switch (length)
	{
		case 4:
			memcpy(&small, data, 4);
			*nanoseconds = 0;
			*seconds = pg_ntoh32(small);
			break;
		case 8:
			memcpy(&large, data, 8);
			*nanoseconds = (uint32) (pg_ntoh64(large) >> 34);
			*seconds = (int64) (pg_ntoh64(large) & ((UINT64CONST(1) << 34) - 1));
			break;
		case 12:
			memcpy(&small, data, 4);
			memcpy(&large, data + 4, 8);
			*nanoseconds = pg_ntoh32(small);
			*seconds = (int64) pg_ntoh64(large);
			break;
		default:
			return false;
	}
	return *nanoseconds < 1000000000;
}
