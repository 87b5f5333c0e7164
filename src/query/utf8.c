/*
 * query/utf8.c
 *		Text between the server's encoding and UTF-8, without errors.
 *
 * In a database whose encoding is SQL_ASCII nothing is known of the bytes: they count as UTF-8 where
 * they are valid in it.  Memory: results are in CurrentMemoryContext.  No locks.
 */
#include "postgres.h"

#include "query/utf8.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

/* Conversions grow text by this factor at most. */
#define MAX_GROWTH MAX_CONVERSION_GROWTH

static bool
convert(const char *data, size_t length, int from, int to, const char **result,
		size_t *result_length)
{
	Oid			conversion;
	char	   *room;

	if (length == 0)
	{
		*result = data;
		*result_length = 0;
		return true;
	}
	if (length >= MaxAllocSize / MAX_GROWTH)
		return false;
	conversion = FindDefaultConversionProc(from, to);
	if (!OidIsValid(conversion))
		return false;
	room = palloc(length * MAX_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(conversion, from, to, (unsigned char *) data, (int) length,
									  (unsigned char *) room, (int) (length * MAX_GROWTH + 1),
									  true) != (int) length)
	{
		pfree(room);
		return false;
	}
	*result = room;
	*result_length = strlen(room);
	return true;
}

static bool
is_valid(int encoding, const char *data, size_t length)
{
	return length <= MaxAllocSize &&
		pg_encoding_verifymbstr(encoding, data, (int) length) == (int) length;
}

bool
cx_utf8_from_server(const char *data, size_t length, const char **result, size_t *result_length)
{
	int			encoding = GetDatabaseEncoding();

	if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
		return convert(data, length, encoding, PG_UTF8, result, result_length);
	if (encoding == PG_SQL_ASCII && !is_valid(PG_UTF8, data, length))
		return false;
	*result = data;
	*result_length = length;
	return true;
}

bool
cx_utf8_to_server(const char *data, size_t length, const char **result, size_t *result_length)
{
	int			encoding = GetDatabaseEncoding();

	if (!is_valid(PG_UTF8, data, length))
		return false;
	if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
		return convert(data, length, PG_UTF8, encoding, result, result_length);
	*result = data;
	*result_length = length;
	return true;
}
