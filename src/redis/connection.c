/*
 * redis/connection.c
 *		One connection to a server: requests out, replies in, in step.
 *
 * 1. Between two exchanges nothing is under way: every byte asked for has come and been used, and
 *	  none else.  Whatever breaks that closes the connection, so that a late reply never answers
 *	  another command: an error, a deadline, an interrupt, a byte too many.
 * 2. While sending, replies are read as they come: with a large batch, server and client could
 *	  otherwise both wait for the other to read.
 * 3. Nothing is left to be closed in a local variable: cx_connection_close() finds it all.
 */
#include "postgres.h"

#include "redis/address.h"
#include "redis/connection.h"
#include "redis/reply.h"
#include "redis/stream.h"

#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* One read takes at most this much; not on the stack, where it would cost touching it each time. */
#define INPUT_SIZE (64 * 1024)

/* Enough for '*' or '$', a number and the line's end. */
#define HEADER_SIZE 32

struct cx_connection
{
	cx_stream  *stream;			/* NULL: closed, and parser is NULL too */
	cx_reply_parser *parser;
};

static char input[INPUT_SIZE];

cx_connection *
cx_connection_create(void)
{
	return MemoryContextAllocExtended(TopMemoryContext, sizeof(cx_connection),
									  MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
}

bool
cx_connection_is_open(const cx_connection *connection)
{
	return connection->stream != NULL;
}

void
cx_connection_close(cx_connection *connection)
{
	if (connection->stream != NULL)
		cx_stream_free(connection->stream);
	connection->stream = NULL;
	if (connection->parser != NULL)
		cx_reply_parser_free(connection->parser);
	connection->parser = NULL;
}

static bool
connect_to(cx_connection *connection, const cx_address *address, const cx_redis_target *url,
		   cx_deadline *deadline, cx_trouble *trouble)
{
	connection->stream = cx_stream_start(address, trouble);
	return connection->stream != NULL &&
		cx_stream_establish(connection->stream, url, deadline, trouble);
}

bool
cx_connection_open(cx_connection *connection, const cx_redis_target *url, cx_deadline *deadline,
				   cx_trouble *trouble)
{
	cx_address	addresses[CX_MAX_ADDRESSES];
	int			count = cx_address_find(url, addresses);

	Assert(!cx_connection_is_open(connection));
	if (count == 0)
		return cx_trouble_set(trouble, CX_TROUBLE_UNRESOLVED, "host name not resolved yet");

	for (int i = 0; i < count; i++)
	{
		/* an address that does not answer must leave time for the others */
		int64		left_us = Max(deadline->at_us - cx_wait_clock(), 0);
		cx_deadline share = cx_wait_deadline(left_us / (count - i));

		if (connect_to(connection, &addresses[i], url, &share, trouble))
		{
			connection->parser = cx_reply_parser_create();
			if (connection->parser != NULL)
				return true;
			cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
		}
		cx_connection_close(connection);
	}
	cx_address_doubt();
	return false;
}

void
cx_connection_check_idle(cx_connection *connection)
{
	cx_trouble	trouble;
	uint32		events;
	char		byte;

	if (cx_stream_read(connection->stream, &byte, 1, &events, &trouble) != 0)
		cx_connection_close(connection);
}

/* Writes "<mark><number>\r\n" and returns what follows it. */
static char *
put_header(char *out, char mark, uint64 number)
{
	*out++ = mark;
	out += pg_ulltoa_n(number, out);
	*out++ = '\r';
	*out++ = '\n';
	return out;
}

/*
 * The commands as bytes, palloc'd; NULL if there is no memory.  hiredis would give one malloc'd
 * buffer a command: a batch would be copied once more to be sent in one piece, and an interrupt
 * would leak it.
 */
static char *
format_request(const cx_redis_command *commands, int count, size_t *length)
{
	size_t		size = 0;
	char	   *request;
	char	   *out;

	for (int i = 0; i < count; i++)
	{
		size += HEADER_SIZE;
		for (int arg = 0; arg < commands[i].argc; arg++)
			size += HEADER_SIZE + commands[i].argvlen[arg] + 2;
	}

	request = MemoryContextAllocExtended(CurrentMemoryContext, size,
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (request == NULL)
		return NULL;

	out = request;
	for (int i = 0; i < count; i++)
	{
		out = put_header(out, '*', commands[i].argc);
		for (int arg = 0; arg < commands[i].argc; arg++)
		{
			size_t		arg_length = commands[i].argvlen[arg];

			out = put_header(out, '$', arg_length);
			memcpy(out, commands[i].argv[arg], arg_length);
			out += arg_length;
			*out++ = '\r';
			*out++ = '\n';
		}
	}
	*length = out - request;
	return request;
}

/* Parses what has come; false: trouble. */
static bool
take_replies(cx_connection *connection, cx_redis_reply *replies, int count, int *received,
			 cx_trouble *trouble)
{
	while (*received < count)
	{
		switch (cx_reply_next(connection->parser, &replies[*received]))
		{
			case CX_REPLY_COMPLETE:
				(*received)++;
				break;
			case CX_REPLY_INCOMPLETE:
				return true;
			case CX_REPLY_TOO_LARGE:
				return cx_trouble_set(trouble, CX_TROUBLE_TOO_LARGE,
									  "a reply is larger than cache_ext.max_entry_size");
			case CX_REPLY_NO_MEMORY:
				return cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
			case CX_REPLY_MALFORMED:
				return cx_trouble_set(trouble, CX_TROUBLE_PROTOCOL,
									  "what answers does not speak the protocol of Redis");
		}
	}
	return true;
}

static bool
exchange_bytes(cx_connection *connection, const char *request, size_t length,
			   cx_redis_reply *replies, int count, cx_deadline *deadline, cx_trouble *trouble,
			   cx_progress *progress)
{
	size_t		sent = 0;
	int			received = 0;

	while (received < count)
	{
		uint32		events = WL_SOCKET_READABLE;
		ssize_t		done;

		if (sent < length)
		{
			uint32		wanted = WL_SOCKET_WRITEABLE;

			done = cx_stream_write(connection->stream, request + sent, length - sent, &wanted,
								   trouble);
			if (done < 0)
				return false;
			sent += done;
			if (sent > 0 && *progress == CX_NOTHING_SENT)
				*progress = CX_NOTHING_ANSWERED;
			if (sent < length)
				events |= wanted;
		}

		if (!cx_stream_wait(connection->stream, events, deadline, trouble))
			return false;
		done = cx_stream_read(connection->stream, input, sizeof(input), &events, trouble);
		if (done < 0)
			return false;
		if (done == 0)
			continue;
		*progress = CX_ANSWER_BEGAN;
		if (!cx_reply_feed(connection->parser, input, done))
			return cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
		if (!take_replies(connection, replies, count, &received, trouble))
			return false;
	}

	if (sent < length || cx_reply_pending(connection->parser))
		return cx_trouble_set(trouble, CX_TROUBLE_PROTOCOL,
							  "the server sent more than it was asked for");
	if (!cx_reply_trim(connection->parser))
		return cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
	return true;
}

bool
cx_connection_exchange(cx_connection *connection, const cx_redis_command *commands, int count,
					   cx_redis_reply *replies, cx_deadline *deadline, cx_trouble *trouble,
					   cx_progress *progress)
{
	size_t		length = 0;
	char	   *request = format_request(commands, count, &length);
	bool		done;

	*progress = CX_NOTHING_SENT;
	if (request == NULL)
		done = cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
	else
	{
		done = exchange_bytes(connection, request, length, replies, count, deadline, trouble,
							  progress);
		pfree(request);
	}
	if (!done)
		cx_connection_close(connection);
	return done;
}
