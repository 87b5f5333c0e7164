/*
 * query/type_io.h
 *		How values of a type become bytes and values again.
 */
#ifndef CX_QUERY_TYPE_IO_H
#define CX_QUERY_TYPE_IO_H

#include "postgres.h"

#include "query/cell.h"

#include "fmgr.h"

typedef enum cx_type_conversion
{
	CX_CONVERT_NOTHING,			/* the value is the cell's */
	CX_CONVERT_VARLENA,			/* the cell holds a varlena's bytes as they are */
	CX_CONVERT_NAME,			/* the same for name */
	CX_CONVERT_BINARY,			/* send and receive functions */
	CX_CONVERT_TEXTUAL			/* output and input functions */
} cx_type_conversion;

typedef struct cx_type_io
{
	cx_cell_format format;
	cx_type_conversion conversion;
	bool		is_varlena;

	/* for the last two conversions */
	FmgrInfo	to_bytes;
	FmgrInfo	from_bytes;
	Oid			from_parameter;

	/*
	 * Are the functions known to give back every value as it was, and to raise no error when they
	 * make bytes of it?  If not, the caller has to compare.
	 */
	bool		exact;

	/* how to compare, for those two */
	bool		composite;
	bool		by_value;
	int16		length;
} cx_type_io;

/*
 * Looks a type up; what the functions keep goes to CurrentMemoryContext.  Domains count as what
 * they are over.  Where values of the type can't be read back, or not without a user's code, it
 * returns false and sets *refused to a constant text for users.
 */
extern bool cx_type_io_lookup(Oid type, cx_type_io *io, const char **refused);

/*
 * Fills a cell that isn't NULL; what it points to is in CurrentMemoryContext or the value itself.
 * Raises what the type's functions raise.
 */
extern void cx_type_io_to_cell(cx_type_io *io, Datum value, cx_cell *cell);

/*
 * The value of a cell that isn't NULL, as far as needed in CurrentMemoryContext.  False, or an
 * error of the type's functions, when the bytes are not of the type.
 */
extern bool cx_type_io_from_cell(cx_type_io *io, const cx_cell *cell, Datum *value);

/* Of a type that isn't exact: is it the same, to the last byte that anybody can observe? */
extern bool cx_type_io_same(cx_type_io *io, Datum one, Datum other);

#endif
