/*
 * query/json_codec.h
 *		JSON values as MessagePack that any language reads, and back.
 *
 *	JSON			MessagePack
 *	null, booleans	nil, bool
 *	numbers			integers that fit as integers; others as float64 if that is exact, so that the
 *					shortest decimal number which reads as it is the same; else extension 1, whose
 *					bytes are the decimal number as text
 *	strings			str, in UTF-8
 *	arrays, objects	array, map
 *
 * What only others write is read like this:
 *	float32			the shortest decimal number which reads as it
 *	NaN, infinities	the strings "NaN", "Infinity" and "-Infinity"
 *	bin				a string as bytea has it: "\x00ff"
 *	timestamps		(extension -1) a string: "2026-01-31T12:00:00.123456+00:00", without nanoseconds
 *	integers as keys of maps are their digits
 */
#ifndef CX_QUERY_JSON_CODEC_H
#define CX_QUERY_JSON_CODEC_H

#include "postgres.h"

#include "base/msgpack_reader.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* Arrays and objects in one another. */
#define CX_JSON_MAX_DEPTH 3000

typedef enum cx_json_status
{
	CX_JSON_OK,
	CX_JSON_MALFORMED,			/* not MessagePack, or not all of it */
	CX_JSON_UNSUPPORTED,		/* other extensions and keys; text that is not UTF-8, has a zero
								 * byte, or no form in the encoding of the other side */
	CX_JSON_TOO_DEEP
} cx_json_status;

/* Appends the value.  Anything but CX_JSON_OK leaves *out as long as it was. */
extern cx_json_status cx_json_write(const Jsonb *value, StringInfo out);

/*
 * Reads one value, palloc'd; more bytes may follow.  The bytes may be anything: all that is raised is
 * what jsonb raises for values of a size that it can't hold, and out of memory.
 */
extern cx_json_status cx_json_read(cx_msgpack_reader *reader, Jsonb **value);

/* The same, for bytes that are one value and nothing else. */
extern cx_json_status cx_json_decode(const char *data, size_t length, Jsonb **value);

#endif
