/*
 * query/entity_codec.h
 *		A row as a MessagePack map that any language can read, and back.
 *
 * Numbers, booleans, text, bytea, NULL are MessagePack's own; timestamptz is its timestamp (infinity
 * as text); arrays are arrays, in each other where they have several dimensions (as text where they
 * don't count from 1); all else is text in a form that no setting changes: ISO 8601 for dates,
 * times and intervals.  Text is UTF-8; what has no form in it is bin.
 */
#ifndef CX_QUERY_ENTITY_CODEC_H
#define CX_QUERY_ENTITY_CODEC_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* The pairs of a map that are no column. */
#define CX_ENTITY_VERSION_NAME "_version"
#define CX_ENTITY_ABSENT_NAME "_absent"

typedef struct cx_entity_codec cx_entity_codec;

/*
 * A codec for rows of that descriptor, in CurrentMemoryContext; it needs the descriptor no longer.
 * columns: their names (char *), all if NIL.  NULL if a column can't be coded: *refused then tells
 * its number, and *reason why, in a constant text for users.
 */
extern cx_entity_codec *cx_entity_codec_create(TupleDesc desc, List *columns,
											   AttrNumber *refused, const char **reason);

/*
 * Appends the map, without a version.  False if it would pass limit bytes: what was appended is of no
 * use then.  Raises what the types' output functions raise.
 */
extern bool cx_entity_codec_write(cx_entity_codec *codec, TupleTableSlot *slot, size_t limit,
								  StringInfo out);

/*
 * Reads a map into values and isnull of all columns of the descriptor, in CurrentMemoryContext.  The
 * map holds exactly the codec's columns, in any order, and one more pair at its end, the version:
 * *rest is where that begins.  False for anything else.  Raises no error but cancel, termination and
 * out of memory.
 */
extern bool cx_entity_codec_read(cx_entity_codec *codec, const char *data, size_t length,
								 Datum *values, bool *isnull, size_t *rest);

/* The map of a row that does not exist, and whether a map is that but for a version at its end. */
extern void cx_entity_absent_write(StringInfo out);
extern bool cx_entity_absent_read(const char *data, size_t length, size_t *rest);

#endif
