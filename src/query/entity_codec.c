/*
 * query/entity_codec.c
 *		A row as a MessagePack map that any language can read, and back.
 *
 * Invariants:
 * 1. A map depends on the row alone, not on settings: those that output functions follow are set
 *	  aside while functions run.  They are set in the variables themselves, since going through the
 *	  settings would cost more than the row.
 * 2. What is written is read back as the same row: text forms are those that PostgreSQL dumps and
 *	  restores, and an array that doesn't count from 1 is its text.
 * 3. Bytes that are read are hostile: no function of a type sees them outside a subtransaction.
 *
 * Memory: the codec, with what its functions keep, is in the context of create; what a row needs
 * meanwhile is in row_context, emptied after each.  No locks.
 */
#include "postgres.h"

#include "base/msgpack_reader.h"
#include "base/msgpack_writer.h"
#include "query/entity_codec.h"
#include "query/entity_value.h"
#include "query/guarded.h"
#include "query/utf8.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/memutils.h"

typedef struct column_codec
{
	AttrNumber	number;
	const char *name;			/* UTF-8 */
	size_t		name_length;
	cx_entity_value *value;
} column_codec;

struct cx_entity_codec
{
	int			column_count;
	column_codec *columns;
	int			attribute_count;	/* of the descriptor */
	bool		uses_settings;
	MemoryContext row_context;
};

/*
 * Settings
 */

typedef struct saved_settings
{
	int			date_style;
	int			date_order;
	int			interval_style;
	int			float_digits;
	int			bytea_form;
	pg_tz	   *zone;
} saved_settings;

static void
set_aside_settings(saved_settings *saved)
{
	static pg_tz *utc = NULL;

	if (utc == NULL)
		utc = pg_tzset("GMT");
	saved->date_style = DateStyle;
	saved->date_order = DateOrder;
	saved->interval_style = IntervalStyle;
	saved->float_digits = extra_float_digits;
	saved->bytea_form = bytea_output;
	saved->zone = session_timezone;
	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_YMD;
	IntervalStyle = INTSTYLE_ISO_8601;
	extra_float_digits = 1;
	bytea_output = BYTEA_OUTPUT_HEX;
	session_timezone = utc;
}

static void
restore_settings(const saved_settings *saved)
{
	DateStyle = saved->date_style;
	DateOrder = saved->date_order;
	IntervalStyle = saved->interval_style;
	extra_float_digits = saved->float_digits;
	bytea_output = saved->bytea_form;
	session_timezone = saved->zone;
}

/*
 * What a column's type is
 */

static bool
is_listed(const char *name, List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return columns == NIL;
}

/* Set for columns that are computed when they are read (from PostgreSQL 18 on). */
#define COMPUTED_ON_READ 'v'

static const char *
prepare_column(cx_entity_codec *codec, column_codec *column, Form_pg_attribute attribute)
{
	const char *name = NameStr(attribute->attname);
	const char *utf8;
	const char *reason;

	if (strcmp(name, CX_ENTITY_VERSION_NAME) == 0 || strcmp(name, CX_ENTITY_ABSENT_NAME) == 0)
		return "the name stands for something else in the map";
	if (attribute->attgenerated == COMPUTED_ON_READ)
		return "a virtual generated column has no value in the row";
	if (!cx_utf8_from_server(name, strlen(name), &utf8, &column->name_length))
		return "its name has no form in UTF-8";
	column->number = attribute->attnum;
	column->name = pnstrdup(utf8, column->name_length);
	column->value = cx_entity_value_create(attribute->atttypid, attribute->atttypmod,
										   &codec->uses_settings, &reason);
	return reason;
}

cx_entity_codec *
cx_entity_codec_create(TupleDesc desc, List *columns, AttrNumber *refused, const char **reason)
{
	cx_entity_codec *codec = palloc0(sizeof(cx_entity_codec));

	codec->attribute_count = desc->natts;
	codec->columns = palloc0(sizeof(column_codec) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || !is_listed(NameStr(attribute->attname), columns))
			continue;
		*reason = prepare_column(codec, &codec->columns[codec->column_count++], attribute);
		if (*reason != NULL)
		{
			*refused = attribute->attnum;
			return NULL;
		}
	}
	codec->row_context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext entity codec",
											   ALLOCSET_DEFAULT_SIZES);
	return codec;
}

/*
 * Writing
 */

typedef struct writing
{
	cx_entity_codec *codec;
	TupleTableSlot *slot;
	StringInfo	out;
	size_t		end;			/* the length that out may reach */
	msgpack_packer packer;
} writing;

static bool
write_columns(writing *w)
{
	cx_entity_codec *codec = w->codec;

	cx_msgpack_writer_start(&w->packer, w->out);
	msgpack_pack_map(&w->packer, codec->column_count);
	for (int i = 0; i < codec->column_count; i++)
	{
		column_codec *column = &codec->columns[i];
		bool		isnull;
		Datum		datum = slot_getattr(w->slot, column->number, &isnull);

		msgpack_pack_str_with_body(&w->packer, column->name, column->name_length);
		if (isnull)
			msgpack_pack_nil(&w->packer);
		else if (!cx_entity_value_write(column->value, datum, w->end, w->out))
			return false;
	}
	return w->out->len <= w->end;
}

bool
cx_entity_codec_write(cx_entity_codec *codec, TupleTableSlot *slot, size_t limit, StringInfo out)
{
	writing		w = {.codec = codec, .slot = slot, .out = out, .end = out->len + limit};
	MemoryContext context = MemoryContextSwitchTo(codec->row_context);
	saved_settings settings;
	volatile bool written = false;

	if (!codec->uses_settings)
		written = write_columns(&w);
	else
	{
		set_aside_settings(&settings);
		PG_TRY();
		{
			written = write_columns(&w);
		}
		PG_FINALLY();
		{
			restore_settings(&settings);
		}
		PG_END_TRY();
	}
	MemoryContextSwitchTo(context);
	MemoryContextReset(codec->row_context);
	return written;
}

/*
 * Reading
 */

typedef struct reading
{
	cx_entity_codec *codec;
	cx_msgpack_reader reader;
	Datum	   *values;
	bool	   *isnull;
} reading;

/* The column that a pair's name means: most often the one at its place. */
static column_codec *
named_column(cx_entity_codec *codec, int place, const char *name, uint32 length)
{
	for (int i = 0; i < codec->column_count; i++)
	{
		column_codec *column = &codec->columns[(place + i) % codec->column_count];

		if (column->name_length == length && memcmp(column->name, name, length) == 0)
			return column;
	}
	return NULL;
}

static bool
read_columns(void *arg)
{
	reading    *r = arg;
	cx_entity_codec *codec = r->codec;
	bool	   *seen = palloc0(sizeof(bool) * (codec->attribute_count + 1));

	for (int i = 0; i < codec->column_count; i++)
	{
		column_codec *column;
		const char *name;
		uint32		length;
		Datum		datum = (Datum) 0;

		if (!cx_msgpack_read_str(&r->reader, &name, &length))
			return false;
		column = named_column(codec, i, name, length);
		if (column == NULL || seen[column->number])
			return false;
		seen[column->number] = true;
		if (!cx_msgpack_read_nil(&r->reader))
		{
			if (!cx_entity_value_read(column->value, &r->reader, &datum))
				return false;
			r->values[column->number - 1] = datum;
			r->isnull[column->number - 1] = false;
		}
	}
	return true;
}

static bool
read_with_settings_aside(void *arg)
{
	saved_settings settings;
	volatile bool read = false;

	set_aside_settings(&settings);
	PG_TRY();
	{
		read = read_columns(arg);
	}
	PG_FINALLY();
	{
		restore_settings(&settings);
	}
	PG_END_TRY();
	return read;
}

bool
cx_entity_codec_read(cx_entity_codec *codec, const char *data, size_t length, Datum *values,
					 bool *isnull, size_t *rest)
{
	reading		r = {.codec = codec, .values = values, .isnull = isnull};
	uint32		count;

	cx_msgpack_reader_start(&r.reader, data, length);
	if (!cx_msgpack_read_map(&r.reader, &count) || count != codec->column_count + 1)
		return false;
	memset(isnull, true, sizeof(bool) * codec->attribute_count);
	memset(values, 0, sizeof(Datum) * codec->attribute_count);
	if (!cx_guarded_run(read_with_settings_aside, &r))
		return false;
	*rest = (const char *) r.reader.at - data;
	return true;
}

/*
 * Absent rows
 */

void
cx_entity_absent_write(StringInfo out)
{
	msgpack_packer packer;

	cx_msgpack_writer_start(&packer, out);
	msgpack_pack_map(&packer, 1);
	msgpack_pack_str_with_body(&packer, CX_ENTITY_ABSENT_NAME, strlen(CX_ENTITY_ABSENT_NAME));
	msgpack_pack_true(&packer);
}

bool
cx_entity_absent_read(const char *data, size_t length, size_t *rest)
{
	cx_msgpack_reader reader;
	const char *name;
	uint32		name_length;
	uint32		count;
	bool		absent;

	cx_msgpack_reader_start(&reader, data, length);
	if (!cx_msgpack_read_map(&reader, &count) || count != 2 ||
		!cx_msgpack_read_str(&reader, &name, &name_length) ||
		name_length != strlen(CX_ENTITY_ABSENT_NAME) ||
		memcmp(name, CX_ENTITY_ABSENT_NAME, name_length) != 0 ||
		!cx_msgpack_read_bool(&reader, &absent) || !absent)
		return false;
	*rest = (const char *) reader.at - data;
	return true;
}
