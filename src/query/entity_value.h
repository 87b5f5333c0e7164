/*
 * query/entity_value.h
 *		One value of a row in MessagePack as any language reads it, and back.
 *
 * For query/entity_codec.c, which sets the settings aside that functions of types follow.
 */
#ifndef CX_QUERY_ENTITY_VALUE_H
#define CX_QUERY_ENTITY_VALUE_H

#include "postgres.h"

#include "base/msgpack_reader.h"

#include "lib/stringinfo.h"

typedef struct cx_entity_value cx_entity_value;

/*
 * How values of a type are written, in CurrentMemoryContext.  Sets *uses_settings if functions are
 * called that follow settings, else leaves it.  NULL where no form of the type is fixed: *reason
 * says why, in a constant text for users; else that is NULL.
 */
extern cx_entity_value *cx_entity_value_create(Oid type, int32 typmod, bool *uses_settings,
											   const char **reason);

/*
 * Appends a value that is not NULL.  False if out would grow longer than end, or nearly.  Raises what
 * the type's output functions raise.
 */
extern bool cx_entity_value_write(cx_entity_value *value, Datum datum, size_t end, StringInfo out);

/*
 * Reads a value that is not nil, in CurrentMemoryContext.  False, or an error of the type's functions,
 * when the bytes are not of the type.
 */
extern bool cx_entity_value_read(cx_entity_value *value, cx_msgpack_reader *reader, Datum *datum);

#endif
