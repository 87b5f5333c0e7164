/*
 * query/row_codec.h
 *		Rows of a result to MessagePack and back, byte for byte.
 */
#ifndef CX_QUERY_ROW_CODEC_H
#define CX_QUERY_ROW_CODEC_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"

typedef struct cx_row_codec cx_row_codec;

/*
 * A codec for rows of that descriptor, which has to live as long as the codec.  It is allocated in
 * CurrentMemoryContext, together with all it allocates later except results.  Where a column's type
 * can't be coded (a pseudo-type, say) it returns NULL and sets *refused to a constant text for
 * users.  Cheap enough to be made for every execution.
 */
extern cx_row_codec *cx_row_codec_create(TupleDesc desc, const char **refused);

/*
 * The body of an entry is two consecutive MessagePack values: the columns, an array of [name, type
 * oid, typmod], and the rows, an array of arrays.  begin starts a body in out (at its current end);
 * add appends one row and is O(row); end completes the row count.  add returns false (and the body
 * is spoilt) when the body would pass limit bytes, or a value would not come back as it is; refusal
 * then says which, in a constant text for users.  Errors of types of extensions count as the
 * latter, others (out of memory, say) pass through.
 */
extern void cx_row_codec_begin(cx_row_codec *codec, StringInfo out, size_t limit);
extern bool cx_row_codec_add(cx_row_codec *codec, TupleTableSlot *slot);
extern const char *cx_row_codec_refusal(const cx_row_codec *codec);
extern void cx_row_codec_end(cx_row_codec *codec);

/*
 * Decodes a whole body.  The tuples and the array are allocated in CurrentMemoryContext.  Returns
 * false, and a constant reason, for anything but an exact body of this codec's columns; raises no
 * error but cancel, termination and out of memory.  Hold no LWLock: columns of types that are not
 * native are read in a subtransaction.
 */
extern bool cx_row_codec_decode(cx_row_codec *codec, const char *data, size_t length,
								MinimalTuple **tuples, uint64 *count, const char **reason);

#endif
