/*
 * plan/wire.c
 *		Rows of a hit as the messages that a client gets.
 *
 * For many rows the output functions cost more than everything else, so an entry keeps the DataRow
 * messages that its rows became, one rendering for each list of column formats.
 *
 * Invariants:
 *
 *	1. A rendering is a function of the entry's rows, the column formats, client_encoding and the
 *	   settings that output functions look at.  All but the formats are in every key, so formats
 *	   alone name a rendering.  Only types whose output functions were reviewed have one.
 *	2. An error that an output function raises comes after the rows before it were sent, as ever.
 *
 * Memory: the messages are collected in the execution's context.  Locks: none.
 */
#include "postgres.h"

#include "plan/nesting.h"
#include "plan/wire.h"

#include "executor/tuptable.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * A rendering: for each row, the length of the message (host order, not aligned) and the message
 * without its type and length.
 */
typedef uint32 message_length;

/* Renderings only grow so far; what is larger is made anew for each client. */
#define MAX_RENDERING (64 * 1024 * 1024)

/* The formats of the columns if they can be sent this way, else NULL. */
static int16 *
find_formats(const cx_execution *execution, const PlanState *top)
{
	const QueryDesc *run = cx_nesting_full_run(top);
	int			columns;
	int16	   *formats;

	if (execution->pin == NULL || run == NULL || run->instrument_options != 0 ||
		(run->dest->mydest != DestRemote && run->dest->mydest != DestRemoteExecute) ||
		ActivePortal == NULL || ActivePortal->queryDesc != run)
		return NULL;

	columns = run->tupDesc->natts;
	formats = palloc0(sizeof(int16) * Max(columns, 1));
	if (ActivePortal->formats != NULL)
		memcpy(formats, ActivePortal->formats, sizeof(int16) * columns);
	for (int i = 0; i < columns; i++)
	{
		if (!cx_statement_renders(execution->statement, i, formats[i] == 1))
			return NULL;
	}
	return formats;
}

/* pqformat's way to a message whose bytes are complete; it changes none of them. */
static void
send_row(const char *bytes, message_length length)
{
	StringInfoData message = {
		.data = unconstify(char *, bytes),
		.len = length,
		.maxlen = length,
		.cursor = 'D'
	};

	pq_endmessage_reuse(&message);
}

/* Sends messages that were made before. */
static void
send_rendering(const char *rendering, size_t length)
{
	const char *end = rendering + length;

	while (rendering < end)
	{
		message_length message;

		memcpy(&message, rendering, sizeof(message));
		rendering += sizeof(message);
		send_row(rendering, message);
		rendering += message;
		CHECK_FOR_INTERRUPTS();
	}
}

/* How a column becomes bytes. */
typedef struct column_output
{
	FmgrInfo	function;
	bool		binary;
} column_output;

static column_output *
find_outputs(TupleDesc desc, const int16 *formats)
{
	column_output *outputs = palloc(sizeof(column_output) * Max(desc->natts, 1));

	for (int i = 0; i < desc->natts; i++)
	{
		Oid			type = TupleDescAttr(desc, i)->atttypid;
		Oid			function;
		bool		varlena;

		outputs[i].binary = formats[i] == 1;
		if (outputs[i].binary)
			getTypeBinaryOutputInfo(type, &function, &varlena);
		else
			getTypeOutputInfo(type, &function, &varlena);
		fmgr_info(function, &outputs[i].function);
	}
	return outputs;
}

/* Appends the columns of the row in the slot as a message body. */
static void
append_message(StringInfo out, TupleTableSlot *slot, column_output *outputs)
{
	int			columns = slot->tts_tupleDescriptor->natts;

	slot_getallattrs(slot);
	pq_sendint16(out, columns);
	for (int i = 0; i < columns; i++)
	{
		Datum		value = slot->tts_values[i];

		if (slot->tts_isnull[i])
			pq_sendint32(out, -1);
		else if (outputs[i].binary)
		{
			bytea	   *bytes = SendFunctionCall(&outputs[i].function, value);

			pq_sendint32(out, VARSIZE(bytes) - VARHDRSZ);
			pq_sendbytes(out, VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
		}
		else
		{
			char	   *text = OutputFunctionCall(&outputs[i].function, value);
			int			length = strlen(text);
			char	   *converted = pg_server_to_client(text, length);

			if (converted != text)
				length = strlen(converted);
			pq_sendint32(out, length);
			pq_sendbytes(out, converted, length);
		}
	}
}

/* Makes the messages, sends them, and keeps them if they are not too long. */
static void
render(cx_execution *execution, TupleTableSlot *slot, const int16 *formats)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	MemoryContext row_context = AllocSetContextCreate(execution->context, "cache_ext rendering",
													  ALLOCSET_DEFAULT_SIZES);
	column_output *outputs = find_outputs(desc, formats);
	const char *at = execution->body;
	bool		keep = true;
	StringInfoData rendering;
	StringInfoData message;

	initStringInfo(&rendering);
	initStringInfo(&message);
	for (uint64 row = 0; row < execution->row_count; row++)
	{
		MinimalTuple tuple = (MinimalTuple) unconstify(char *, at);
		message_length length;
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(tuple, slot, false);
		resetStringInfo(&message);
		old = MemoryContextSwitchTo(row_context);
		append_message(&message, slot, outputs);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
		send_row(message.data, message.len);

		length = message.len;
		keep = keep && rendering.len + sizeof(length) + length <= MAX_RENDERING;
		if (keep)
		{
			appendBinaryStringInfo(&rendering, (const char *) &length, sizeof(length));
			appendBinaryStringInfo(&rendering, message.data, message.len);
		}
		at += MAXALIGN(tuple->t_len);
	}
	ExecClearTuple(slot);
	if (keep && execution->row_count > 0)
		cx_local_add_rendering(execution->pin, (const char *) formats,
							   sizeof(int16) * desc->natts, rendering.data, rendering.len);
	MemoryContextDelete(row_context);
	pfree(rendering.data);
	pfree(message.data);
}

bool
cx_wire_send(cx_execution *execution, PlanState *top, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(execution->context);
	const int16 *formats = find_formats(execution, top);
	const char *rendering;
	size_t		length;

	if (formats != NULL)
	{
		rendering = cx_local_find_rendering(execution->pin, (const char *) formats,
											sizeof(int16) * slot->tts_tupleDescriptor->natts,
											&length);
		if (rendering != NULL)
			send_rendering(rendering, length);
		else
			render(execution, slot, formats);
		top->state->es_processed += execution->row_count;
	}
	MemoryContextSwitchTo(old);
	return formats != NULL;
}
