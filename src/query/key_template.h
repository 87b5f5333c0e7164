/*
 * query/key_template.h
 *		Key templates, such as user:{id}: parsing them, and the keys they give.
 *
 * Keys are UTF-8.  Two rows that differ in a key column never get the same key.
 */
#ifndef CX_QUERY_KEY_TEMPLATE_H
#define CX_QUERY_KEY_TEMPLATE_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define CX_TEMPLATE_MAX_COLUMNS 8
#define CX_TEMPLATE_MAX_LENGTH 256

typedef struct cx_key_template cx_key_template;

/*
 * Parses a text in the server's encoding; the result is in CurrentMemoryContext.  NULL when it is no
 * template: *problem then says why, in a constant text for users.
 */
extern cx_key_template *cx_key_template_parse(const char *text, const char **problem);

/* The columns it names, each once, in the order in which they come. */
extern int	cx_key_template_column_count(const cx_key_template *template);
extern const char *cx_key_template_column(const cx_key_template *template, int index);

/* Could a row of one and a row of the other get the same key? */
extern bool cx_key_template_overlap(const cx_key_template *one, const cx_key_template *other);

/*
 * May a column of this type (domains stripped) stand in a key?  Its text must not depend on
 * settings, and not be the same for different values.
 */
extern bool cx_key_template_type(Oid type);

/*
 * Appends a key to out.  types and values are those of the columns, by index; none is NULL.  False
 * if a value has no form in UTF-8, and then what was appended is of no use.
 */
extern bool cx_key_template_render(const cx_key_template *template, const Oid *types,
								   const Datum *values, StringInfo out);

/* Appends the glob that matches all its keys, or a text as one that matches only itself. */
extern void cx_key_template_pattern(const cx_key_template *template, StringInfo out);
extern void cx_key_template_quote_glob(const char *data, size_t length, StringInfo out);

#endif
