/*
 * query/key_template.c
 *		Key templates, such as user:{id}: parsing them, and the keys they give.
 *
 * A template is a list of segments between colons.  A segment is text, or one column with text before
 * and behind it.
 *
 * Invariants:
 * 1. A value never holds a colon: it is escaped, as %3A.  So the segments of a key are those of its
 *	  template, each holds one value at most, and the values can be told from the key.
 * 2. The text of a value depends on the value alone, and different values have different texts, as
 *	  long as the type's equality doesn't take them for the same; where it does (1 and 1.0), rows
 *	  with a unique index can't have both.
 *
 * Memory: a template is in the context of its parsing; rendering leaves nothing but out behind, as
 * far as the types' output functions don't.  No locks.
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/key_template.h"
#include "query/utf8.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

typedef struct template_segment
{
	const char *before;			/* UTF-8, like behind; without a column the whole text */
	size_t		before_length;
	int			column;			/* index, or -1 */
	const char *behind;
	size_t		behind_length;
} template_segment;

struct cx_key_template
{
	int			segment_count;
	template_segment *segments;
	int			column_count;
	const char *columns[CX_TEMPLATE_MAX_COLUMNS];	/* in the server's encoding */
};

/*
 * Parsing
 */

static bool
is_control(char c)
{
	return (unsigned char) c <= ' ' || c == 0x7f;
}

/* Text of a template, which lies between from and to, in UTF-8. */
static const char *
literal(const char *from, const char *to, const char **text, size_t *length)
{
	const char *converted;

	for (const char *at = from; at < to; at++)
	{
		if (is_control(*at))
			return "it holds a space or a control character";
		if (*at == '{' || *at == '}')
			return "a brace has no partner";
	}
	if (!cx_utf8_from_server(from, to - from, &converted, length))
		return "its text has no form in UTF-8";
	*text = pnstrdup(converted, *length);
	return NULL;
}

static const char *
add_column(cx_key_template *template, const char *name, int *index)
{
	for (*index = 0; *index < template->column_count; (*index)++)
		if (strcmp(template->columns[*index], name) == 0)
			return NULL;
	if (template->column_count == CX_TEMPLATE_MAX_COLUMNS)
		return "it names too many columns";
	template->columns[template->column_count++] = name;
	return NULL;
}

/* The end of a segment: a colon outside of braces, or the end of the text. */
static const char *
segment_end(const char *at)
{
	bool		inside = false;

	for (; *at != '\0' && (inside || *at != ':'); at++)
	{
		if (*at == '{')
			inside = true;
		else if (*at == '}')
			inside = false;
	}
	return at;
}

static const char *
parse_segment(cx_key_template *template, const char *from, const char *to)
{
	template_segment *segment = &template->segments[template->segment_count++];
	const char *open = memchr(from, '{', to - from);
	const char *close;
	const char *problem;

	segment->column = -1;
	if (open == NULL)
		return literal(from, to, &segment->before, &segment->before_length);

	problem = literal(from, open, &segment->before, &segment->before_length);
	if (problem != NULL)
		return problem;
	close = memchr(open, '}', to - open);
	if (close == NULL)
		return "a brace has no partner";
	if (close == open + 1)
		return "a column's name is empty";
	if (memchr(close, '{', to - close) != NULL)
		return "two columns have no colon between them";
	problem = add_column(template, pnstrdup(open + 1, close - open - 1), &segment->column);
	if (problem != NULL)
		return problem;
	return literal(close + 1, to, &segment->behind, &segment->behind_length);
}

cx_key_template *
cx_key_template_parse(const char *text, const char **problem)
{
	cx_key_template *template = palloc0(sizeof(cx_key_template));
	size_t		length = strlen(text);

	*problem = NULL;
	if (length == 0)
		*problem = "it is empty";
	else if (length > CX_TEMPLATE_MAX_LENGTH)
		*problem = "it is too long";
	if (*problem != NULL)
		return NULL;

	template->segments = palloc0(sizeof(template_segment) * (length + 1));
	for (const char *at = text;; at++)
	{
		const char *end = segment_end(at);

		*problem = parse_segment(template, at, end);
		if (*problem != NULL)
			return NULL;
		at = end;
		if (*end == '\0')
			break;
	}
	if (template->column_count == 0)
	{
		*problem = "it names no column";
		return NULL;
	}
	return template;
}

int
cx_key_template_column_count(const cx_key_template *template)
{
	return template->column_count;
}

const char *
cx_key_template_column(const cx_key_template *template, int index)
{
	Assert(index >= 0 && index < template->column_count);
	return template->columns[index];
}

/*
 * Overlapping
 */

static bool
starts_alike(const char *one, size_t one_length, const char *other, size_t other_length)
{
	return memcmp(one, other, Min(one_length, other_length)) == 0;
}

static bool
ends_alike(const char *one, size_t one_length, const char *other, size_t other_length)
{
	size_t		common = Min(one_length, other_length);

	return memcmp(one + one_length - common, other + other_length - common, common) == 0;
}

/* Can a value make the segment this text? */
static bool
gives_text(const template_segment *segment, const char *text, size_t length)
{
	return length >= segment->before_length + segment->behind_length &&
		starts_alike(segment->before, segment->before_length, text, length) &&
		ends_alike(segment->behind, segment->behind_length, text, length);
}

static bool
segments_overlap(const template_segment *one, const template_segment *other)
{
	if (one->column < 0 && other->column < 0)
		return one->before_length == other->before_length &&
			memcmp(one->before, other->before, one->before_length) == 0;
	if (one->column < 0)
		return gives_text(other, one->before, one->before_length);
	if (other->column < 0)
		return gives_text(one, other->before, other->before_length);
	return starts_alike(one->before, one->before_length, other->before, other->before_length) &&
		ends_alike(one->behind, one->behind_length, other->behind, other->behind_length);
}

bool
cx_key_template_overlap(const cx_key_template *one, const cx_key_template *other)
{
	if (one->segment_count != other->segment_count)
		return false;
	for (int i = 0; i < one->segment_count; i++)
		if (!segments_overlap(&one->segments[i], &other->segments[i]))
			return false;
	return true;
}

/*
 * Rendering
 */

/* What could be taken for part of a template, of a glob, or for something else by a person. */
static bool
must_be_escaped(char c)
{
	return is_control(c) || strchr("%:{}*?[]\\", c) != NULL;
}

static void
append_escaped(const char *data, size_t length, StringInfo out)
{
	for (size_t i = 0; i < length; i++)
	{
		if (must_be_escaped(data[i]))
			appendStringInfo(out, "%%%02X", (unsigned char) data[i]);
		else
			appendStringInfoCharMacro(out, data[i]);
	}
}

bool
cx_key_template_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case BYTEAOID:
		case UUIDOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return get_typtype(type) == TYPTYPE_ENUM;
	}
}

static bool
append_text(const char *data, size_t length, StringInfo out)
{
	const char *text;
	size_t		text_length;

	if (!cx_utf8_from_server(data, length, &text, &text_length))
		return false;
	append_escaped(text, text_length, out);
	return true;
}

static bool
append_value(Oid type, Datum value, StringInfo out)
{
	char		time[MAXDATELEN + 1];
	int			utc = 0;
	struct varlena *bytes;
	Oid			output;
	bool		is_varlena;
	char	   *text;

	switch (type)
	{
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			return true;
		case INT2OID:
			appendStringInfo(out, "%d", DatumGetInt16(value));
			return true;
		case INT4OID:
			appendStringInfo(out, "%d", DatumGetInt32(value));
			return true;
		case INT8OID:
			appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
			return true;
		case OIDOID:
			appendStringInfo(out, "%u", DatumGetObjectId(value));
			return true;
		case NAMEOID:
			return append_text(NameStr(*DatumGetName(value)), strlen(NameStr(*DatumGetName(value))),
							   out);
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			JsonEncodeDateTime(time, value, type, type == TIMESTAMPTZOID ? &utc : NULL);
			append_escaped(time, strlen(time), out);
			return true;
		case TEXTOID:
		case VARCHAROID:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			return append_text(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), out);
		case BPCHAROID:
			/* as equality sees it: without the blanks at its end */
			bytes = PG_DETOAST_DATUM_PACKED(value);
			return append_text(VARDATA_ANY(bytes),
							   bpchartruelen(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)), out);
		case BYTEAOID:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			for (int i = 0; i < VARSIZE_ANY_EXHDR(bytes); i++)
				appendStringInfo(out, "%02x", (unsigned char) VARDATA_ANY(bytes)[i]);
			return true;
		default:
			getTypeOutputInfo(type, &output, &is_varlena);
			text = OidOutputFunctionCall(output, value);
			return append_text(text, strlen(text), out);
	}
}

bool
cx_key_template_render(const cx_key_template *template, const Oid *types, const Datum *values,
					   StringInfo out)
{
	for (int i = 0; i < template->segment_count; i++)
	{
		const template_segment *segment = &template->segments[i];

		if (i > 0)
			appendStringInfoCharMacro(out, ':');
		appendBinaryStringInfo(out, segment->before, segment->before_length);
		if (segment->column < 0)
			continue;
		if (!append_value(types[segment->column], values[segment->column], out))
			return false;
		appendBinaryStringInfo(out, segment->behind, segment->behind_length);
	}
	return true;
}

void
cx_key_template_quote_glob(const char *data, size_t length, StringInfo out)
{
	for (size_t i = 0; i < length; i++)
	{
		if (data[i] != '\0' && strchr("*?[]\\^-", data[i]) != NULL)
			appendStringInfoCharMacro(out, '\\');
		appendStringInfoCharMacro(out, data[i]);
	}
}

void
cx_key_template_pattern(const cx_key_template *template, StringInfo out)
{
	for (int i = 0; i < template->segment_count; i++)
	{
		const template_segment *segment = &template->segments[i];

		if (i > 0)
			appendStringInfoCharMacro(out, ':');
		cx_key_template_quote_glob(segment->before, segment->before_length, out);
		if (segment->column < 0)
			continue;
		appendStringInfoCharMacro(out, '*');
		cx_key_template_quote_glob(segment->behind, segment->behind_length, out);
	}
}
