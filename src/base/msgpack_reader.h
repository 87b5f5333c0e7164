/*
 * base/msgpack_reader.h
 *		Reading MessagePack that may be hostile, in place and without allocating.
 *
 * Every function returns false when the next bytes are not what was asked for or do not fit the
 * buffer, and then leaves the reader where it was.  None raises an error.
 */
#ifndef CX_BASE_MSGPACK_READER_H
#define CX_BASE_MSGPACK_READER_H

#include "postgres.h"

typedef struct cx_msgpack_reader
{
	const uint8 *at;
	const uint8 *end;
} cx_msgpack_reader;

extern void cx_msgpack_reader_start(cx_msgpack_reader *reader, const void *data, size_t length);
extern bool cx_msgpack_reader_done(const cx_msgpack_reader *reader);

/*
 * Any width that holds the value is accepted: an integer from any of the integer formats, a string
 * or array with any size of length.  float32 and float64 are different things.  An array's count
 * never exceeds the bytes left, nor a map's half of them.
 */
extern bool cx_msgpack_read_array(cx_msgpack_reader *reader, uint32 *count);
extern bool cx_msgpack_read_map(cx_msgpack_reader *reader, uint32 *count);
extern bool cx_msgpack_read_nil(cx_msgpack_reader *reader);
extern bool cx_msgpack_read_bool(cx_msgpack_reader *reader, bool *value);
extern bool cx_msgpack_read_int(cx_msgpack_reader *reader, int64 *value);
extern bool cx_msgpack_read_uint(cx_msgpack_reader *reader, uint64 *value);
extern bool cx_msgpack_read_float32(cx_msgpack_reader *reader, float4 *value);
extern bool cx_msgpack_read_float64(cx_msgpack_reader *reader, float8 *value);

/* Points into the buffer. */
extern bool cx_msgpack_read_str(cx_msgpack_reader *reader, const char **data, uint32 *length);
extern bool cx_msgpack_read_bin(cx_msgpack_reader *reader, const char **data, uint32 *length);
extern bool cx_msgpack_read_ext(cx_msgpack_reader *reader, int8 *type, const char **data,
								uint32 *length);

/* What an extension of this type holds, since 1970; false if it is no right one. */
#define CX_MSGPACK_TIMESTAMP (-1)
extern bool cx_msgpack_timestamp(const char *data, uint32 length, int64 *seconds,
								 uint32 *nanoseconds);

#endif
