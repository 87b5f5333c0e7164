/*
 * query/row_codec.c
 *		Rows of a result to MessagePack and back, byte for byte.
 *
 * Invariants:
 * 1. A body is read only by a codec that would have written the same columns: they are compared as
 *	  bytes.
 * 2. What comes back is what went in.  Where a type's functions don't guarantee that (see type_io.c)
 *	  add reads back what it wrote and gives up at a difference.
 * 3. No type's function runs on hostile bytes outside a subtransaction: only rolling one back
 *	  cleans up whatever a function left behind when it raised an error.  A codec whose columns are
 *	  all native calls none and starts none.
 * 4. While functions run, client_encoding is the server's, so that none converts anything: bytes
 *	  must not depend on the session, and not every character can be converted.  SetClientEncoding
 *	  (not the setting) does that without telling the client; to the server's own encoding and back
 *	  to one that was active it can't fail.  Coding text inside arrays, rows, ranges and tsvectors
 *	  ourselves would be the same as writing their send and receive functions again.
 *
 * Memory: the codec and its row_context live in the context of create; the row_context is emptied
 * after each row.  Tuples go to the caller's context.
 */
#include "postgres.h"

#include "base/msgpack_reader.h"
#include "base/msgpack_writer.h"
#include "query/cell.h"
#include "query/guarded.h"
#include "query/row_codec.h"
#include "query/type_io.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

struct cx_row_codec
{
	TupleDesc	desc;
	StringInfoData columns;		/* the first half of every body */
	cx_type_io *types;			/* of the columns */
	bool		calls_functions;
	bool		exact;
	Datum	   *values;
	bool	   *isnull;
	MemoryContext row_context;

	/* the body being written */
	StringInfo	out;
	size_t		end;			/* the length that out may reach */
	bool		too_large;		/* it would have passed it */
	int			rows_at;
	uint32		rows;
};

/* What is done under the protections of invariants 3 and 4. */
typedef bool (*codec_action) (cx_row_codec *codec, void *arg);

typedef struct guarded_action
{
	codec_action action;
	cx_row_codec *codec;
	void	   *arg;
} guarded_action;

typedef struct decoding
{
	const char *data;
	size_t		length;
	MemoryContext result_context;
	MinimalTuple *tuples;
	uint64		count;
	const char *reason;
} decoding;

static void
write_columns(StringInfo out, TupleDesc desc)
{
	msgpack_packer packer;

	cx_msgpack_writer_start(&packer, out);
	msgpack_pack_array(&packer, desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		cx_cell		name = {
			.data = NameStr(attribute->attname),
			.length = strlen(NameStr(attribute->attname))
		};

		msgpack_pack_array(&packer, 3);
		cx_cell_write(out, CX_CELL_TEXT, &name);
		msgpack_pack_uint32(&packer, attribute->atttypid);
		msgpack_pack_int32(&packer, attribute->atttypmod);
	}
}

cx_row_codec *
cx_row_codec_create(TupleDesc desc, const char **refused)
{
	cx_row_codec *codec = palloc0(sizeof(cx_row_codec));

	codec->types = palloc0(desc->natts * sizeof(cx_type_io));
	codec->exact = true;
	for (int i = 0; i < desc->natts; i++)
	{
		cx_type_io *type = &codec->types[i];

		if (!cx_type_io_lookup(TupleDescAttr(desc, i)->atttypid, type, refused))
			return NULL;
		if (type->conversion == CX_CONVERT_BINARY || type->conversion == CX_CONVERT_TEXTUAL)
			codec->calls_functions = true;
		if (!type->exact)
			codec->exact = false;
	}

	codec->desc = desc;
	initStringInfo(&codec->columns);
	write_columns(&codec->columns, desc);
	codec->values = palloc(desc->natts * sizeof(Datum));
	codec->isnull = palloc(desc->natts * sizeof(bool));
	codec->row_context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext row codec",
											   ALLOCSET_DEFAULT_SIZES);
	return codec;
}

static bool
run_guarded_action(void *arg)
{
	const guarded_action *guarded = arg;

	return guarded->action(guarded->codec, guarded->arg);
}

/* Runs the action so that its errors are a result of false.  Invariant 3. */
static bool
run_in_subtransaction(codec_action action, cx_row_codec *codec, void *arg)
{
	guarded_action guarded = {action, codec, arg};

	return cx_guarded_run(run_guarded_action, &guarded);
}

/* Runs the action with client_encoding out of the way.  Invariant 4. */
static bool
run_unconverted(codec_action action, cx_row_codec *codec, void *arg)
{
	int			client_encoding = pg_get_client_encoding();
	volatile bool result = false;

	if (client_encoding == GetDatabaseEncoding())
		return action(codec, arg);

	SetClientEncoding(GetDatabaseEncoding());
	PG_TRY();
	{
		result = action(codec, arg);
	}
	PG_FINALLY();
	{
		SetClientEncoding(client_encoding);
	}
	PG_END_TRY();
	return result;
}

void
cx_row_codec_begin(cx_row_codec *codec, StringInfo out, size_t limit)
{
	MemoryContextReset(codec->row_context);
	codec->out = out;
	codec->end = out->len + limit;
	codec->too_large = false;
	codec->rows = 0;

	appendBinaryStringInfo(out, codec->columns.data, codec->columns.len);
	codec->rows_at = out->len;
	cx_rows_start(out);
}

/* Is there room for that many bytes more? */
static inline bool
fits(cx_row_codec *codec, size_t bytes)
{
	if (codec->out->len + bytes <= codec->end)
		return true;
	codec->too_large = true;
	return false;
}

static bool
add_value(cx_row_codec *codec, cx_type_io *type, Datum value)
{
	cx_cell		cell;
	Datum		back;

	/* before anything large is made of it */
	if (type->is_varlena && !fits(codec, toast_raw_datum_size(value) - VARHDRSZ))
		return false;

	cx_type_io_to_cell(type, value, &cell);
	if (type->format >= CX_CELL_TEXT && !fits(codec, cell.length))
		return false;
	if (!type->exact &&
		!(cx_type_io_from_cell(type, &cell, &back) && cx_type_io_same(type, value, back)))
		return false;
	cx_cell_write(codec->out, type->format, &cell);
	return true;
}

static bool
add_row(cx_row_codec *codec, void *arg)
{
	static const cx_cell null_cell = {.isnull = true};
	TupleTableSlot *slot = arg;
	MemoryContext context = MemoryContextSwitchTo(codec->row_context);
	int			columns = codec->desc->natts;
	bool		added = true;

	cx_rows_row(codec->out, columns);
	for (int i = 0; i < columns && added; i++)
	{
		if (slot->tts_isnull[i])
			cx_cell_write(codec->out, codec->types[i].format, &null_cell);
		else
			added = add_value(codec, &codec->types[i], slot->tts_values[i]);
	}
	MemoryContextSwitchTo(context);
	return added && fits(codec, 0);
}

static bool
try_add_row(cx_row_codec *codec, void *arg)
{
	return run_in_subtransaction(add_row, codec, arg);
}

bool
cx_row_codec_add(cx_row_codec *codec, TupleTableSlot *slot)
{
	bool		added;

	Assert(slot->tts_tupleDescriptor->natts == codec->desc->natts);

	slot_getallattrs(slot);
	if (codec->calls_functions)
		added = run_unconverted(codec->exact ? add_row : try_add_row, codec, slot);
	else
		added = add_row(codec, slot);
	MemoryContextReset(codec->row_context);
	codec->rows++;
	return added;
}

const char *
cx_row_codec_refusal(const cx_row_codec *codec)
{
	return codec->too_large ? "the result is larger than cache_ext.max_entry_size" :
		"a value of the result would not come back from the cache as it is";
}

void
cx_row_codec_end(cx_row_codec *codec)
{
	cx_rows_set_count(codec->out, codec->rows_at, codec->rows);
	codec->out = NULL;
}

static bool
decode_row(cx_row_codec *codec, cx_msgpack_reader *reader, const char **reason)
{
	int			columns = codec->desc->natts;

	if (!cx_rows_read_row(reader, columns))
	{
		*reason = "a row has another number of columns";
		return false;
	}
	for (int i = 0; i < columns; i++)
	{
		cx_type_io *type = &codec->types[i];
		cx_cell		cell;

		if (!cx_cell_read(reader, type->format, &cell))
		{
			*reason = "a value has another format";
			return false;
		}
		codec->isnull[i] = cell.isnull;
		if (!cell.isnull && !cx_type_io_from_cell(type, &cell, &codec->values[i]))
		{
			*reason = "a value is not of its column's type";
			return false;
		}
	}
	return true;
}

static bool
decode_body(cx_row_codec *codec, void *arg)
{
	decoding   *body = arg;
	cx_msgpack_reader reader;
	uint32		rows;

	if (body->length < codec->columns.len ||
		memcmp(body->data, codec->columns.data, codec->columns.len) != 0)
	{
		body->reason = "it has other columns";
		return false;
	}
	cx_msgpack_reader_start(&reader, body->data + codec->columns.len,
							body->length - codec->columns.len);
	if (!cx_rows_read_count(&reader, codec->desc->natts, &rows))
	{
		body->reason = "it claims more rows than it has";
		return false;
	}

	body->tuples = MemoryContextAllocHuge(body->result_context, rows * sizeof(MinimalTuple));
	while (body->count < rows)
	{
		MemoryContext context;
		bool		decoded;

		CHECK_FOR_INTERRUPTS();

		/* a function's error is about a value, too */
		body->reason = "a value is not of its column's type";
		context = MemoryContextSwitchTo(codec->row_context);
		decoded = decode_row(codec, &reader, &body->reason);
		MemoryContextSwitchTo(context);
		if (!decoded)
			return false;

		context = MemoryContextSwitchTo(body->result_context);
		body->tuples[body->count++] = heap_form_minimal_tuple(codec->desc, codec->values,
															  codec->isnull);
		MemoryContextSwitchTo(context);
		MemoryContextReset(codec->row_context);
	}
	if (!cx_msgpack_reader_done(&reader))
	{
		body->reason = "bytes follow its rows";
		return false;
	}
	return true;
}

static bool
try_decode_body(cx_row_codec *codec, void *arg)
{
	return run_in_subtransaction(decode_body, codec, arg);
}

bool
cx_row_codec_decode(cx_row_codec *codec, const char *data, size_t length,
					MinimalTuple **tuples, uint64 *count, const char **reason)
{
	decoding	body = {
		.data = data,
		.length = length,
		.result_context = CurrentMemoryContext,
		.reason = "its values can't be read in parallel mode"
	};
	bool		decoded;

	MemoryContextReset(codec->row_context);
	if (codec->calls_functions)
		decoded = run_unconverted(try_decode_body, codec, &body);
	else
		decoded = decode_body(codec, &body);
	MemoryContextReset(codec->row_context);

	if (!decoded)
	{
		for (uint64 i = 0; i < body.count; i++)
			pfree(body.tuples[i]);
		if (body.tuples != NULL)
			pfree(body.tuples);
		*reason = body.reason;
		return false;
	}
	*tuples = body.tuples;
	*count = body.count;
	return true;
}
