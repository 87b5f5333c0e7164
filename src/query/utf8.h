/*
 * query/utf8.h
 *		Text between the server's encoding and UTF-8, without errors.
 *
 * Applications read UTF-8.  Text that has no form in it is left to the caller: a change of a row must
 * not fail because of it.
 */
#ifndef CX_QUERY_UTF8_H
#define CX_QUERY_UTF8_H

#include "postgres.h"

/*
 * Text in the other encoding: the data itself where both are the same, else in CurrentMemoryContext.
 * False when it has no form there (or, from UTF-8, isn't valid), and then *result is undefined.
 * *result is not terminated.
 */
extern bool cx_utf8_from_server(const char *data, size_t length, const char **result,
								size_t *result_length);
extern bool cx_utf8_to_server(const char *data, size_t length, const char **result,
							  size_t *result_length);

#endif
