/*
 * query/cell.h
 *		The bytes of rows: one value in MessagePack, and the frame of rows around values.
 *
 * Knows bytes and their formats but no PostgreSQL type, catalog or memory context, so that all
 * parsing of hostile bytes that needs no server can be fuzzed without one.
 */
#ifndef CX_QUERY_CELL_H
#define CX_QUERY_CELL_H

#include "postgres.h"

#include "base/msgpack_reader.h"

#include "lib/stringinfo.h"

typedef enum cx_cell_format
{
	CX_CELL_BOOL,
	CX_CELL_CHAR,				/* "char", as a number from 0 to 255 */
	CX_CELL_INT16,
	CX_CELL_INT32,
	CX_CELL_INT64,
	CX_CELL_UINT32,				/* oid and kin */
	CX_CELL_FLOAT32,
	CX_CELL_FLOAT64,
	CX_CELL_TEXT,				/* characters in the server's encoding: str if that is UTF8, else bin */
	CX_CELL_BYTES				/* bin */
} cx_cell_format;

/* A value passed by value, or bytes somewhere else. */
typedef struct cx_cell
{
	bool		isnull;
	Datum		value;			/* up to CX_CELL_FLOAT64 */
	const char *data;			/* CX_CELL_TEXT, CX_CELL_BYTES */
	uint32		length;
} cx_cell;

extern void cx_cell_write(StringInfo out, cx_cell_format format, const cx_cell *cell);

/*
 * Reads one value.  False for anything that is not exactly of that format: wrong type, out of
 * range, not valid in the server's encoding, longer than what is there.
 */
extern bool cx_cell_read(cx_msgpack_reader *reader, cx_cell_format format, cx_cell *cell);

/*
 * The frame: an array of rows, each an array of columns.  The count of rows has a place of fixed
 * size, written when it is known; at is where start was.
 */
extern void cx_rows_start(StringInfo out);
extern void cx_rows_row(StringInfo out, int columns);
extern void cx_rows_set_count(StringInfo out, int at, uint32 count);

/* A count never promises more rows of that many columns than the bytes left can hold. */
extern bool cx_rows_read_count(cx_msgpack_reader *reader, int columns, uint32 *count);
extern bool cx_rows_read_row(cx_msgpack_reader *reader, int columns);

#endif
