/*
 * redis/reply.c
 *		From bytes off the wire to replies, within limits.
 *
 * hiredis parses; the functions below make the replies.  Its own would take whatever length a reply
 * claims, and 0.14 aborts the process where an allocation fails.
 *
 * 1. A reply, all its strings and elements together, takes at most max_entry_size plus SLACK.  A
 *	  string is allocated only once all its bytes are here, an array when its length is read.
 * 2. The unparsed bytes are bounded by the same limit plus one feed.
 * 3. A value is copied once: out of hiredis's buffer into the caller's memory context.
 * 4. The text of an error is printable ASCII from here on: all that is done with one is to compare its
 *	  first word, and to say it in a message.
 */
#include "postgres.h"

#include "redis/private.h"
#include "redis/reply.h"

#include "base/printable.h"
#include "base/settings.h"

#include "utils/memutils.h"

/* Room for what surrounds an entry, and for other small replies where max_entry_size is tiny. */
#define SLACK (64 * 1024)

/* Deeper arrays than any command's answer. */
#define MAX_DEPTH 7

/* A buffer that held more than this is not kept. */
#define KEPT_BUFFER (256 * 1024)

struct cx_reply_parser
{
	redisReader *reader;
	cx_redis_reply *target;		/* where the reply being parsed goes; NULL between replies */
	MemoryContext context;
	size_t		allowance;		/* bytes that the reply being parsed may still take */
	bool		too_large;		/* why a reply was refused; both false: its type */
	bool		no_memory;
	size_t		largest_buffer;
};

static size_t
reply_limit(void)
{
	return (size_t) cx_max_entry_size * 1024 + SLACK;
}

static void *
allocate(cx_reply_parser *parser, size_t size)
{
	void	   *memory;

	if (size > parser->allowance)
	{
		parser->too_large = true;
		return NULL;
	}
	parser->allowance -= size;
	memory = MemoryContextAllocExtended(parser->context, size, MCXT_ALLOC_NO_OOM);
	if (memory == NULL)
		parser->no_memory = true;
	return memory;
}

/* Where the reply of this task belongs: the caller's, or an element of the array around it. */
static cx_redis_reply *
place_of(const redisReadTask *task)
{
	cx_reply_parser *parser = task->privdata;
	cx_redis_reply *place;

	if (task->parent == NULL)
		place = parser->target;
	else
		place = &((cx_redis_reply *) task->parent->obj)->elements[task->idx];
	memset(place, 0, sizeof(*place));
	return place;
}

static void *
create_string(const redisReadTask *task, char *bytes, size_t length)
{
	cx_redis_reply *reply = place_of(task);
	char	   *data;

	switch (task->type)
	{
		case REDIS_REPLY_STRING:
		case REDIS_REPLY_STATUS:
			reply->type = CX_REDIS_TEXT;
			break;
		case REDIS_REPLY_ERROR:
			reply->type = CX_REDIS_ERROR;
			break;
		default:
			return NULL;
	}
	data = allocate(task->privdata, length + 1);
	if (data == NULL)
		return NULL;
	memcpy(data, bytes, length);
	data[length] = '\0';
	if (reply->type == CX_REDIS_ERROR)
		cx_printable(data);
	reply->data = data;
	reply->length = length;
	return reply;
}

static void *
create_array(const redisReadTask *task, cx_hiredis_count count)
{
	cx_redis_reply *reply = place_of(task);
	cx_reply_parser *parser = task->privdata;
	int			depth = 0;

	if (task->type != REDIS_REPLY_ARRAY)
		return NULL;
	for (const redisReadTask *outer = task->parent; outer != NULL; outer = outer->parent)
		depth++;
	if (depth >= MAX_DEPTH)
		return NULL;
	if ((size_t) count > reply_limit() / sizeof(cx_redis_reply))
	{
		parser->too_large = true;
		return NULL;
	}
	reply->type = CX_REDIS_ARRAY;
	if (count > 0)
	{
		reply->elements = allocate(parser, count * sizeof(cx_redis_reply));
		if (reply->elements == NULL)
			return NULL;
	}
	reply->element_count = count;
	return reply;
}

static void *
create_integer(const redisReadTask *task, long long value)
{
	cx_redis_reply *reply = place_of(task);

	reply->type = CX_REDIS_INTEGER;
	reply->integer = value;
	return reply;
}

static void *
create_nil(const redisReadTask *task)
{
	cx_redis_reply *reply = place_of(task);

	reply->type = CX_REDIS_NIL;
	return reply;
}

/* The caller's memory context frees what an unfinished reply took. */
static void
forget_reply(void *reply)
{
}

static redisReplyObjectFunctions reply_functions = {
	.createString = create_string,
	.createArray = create_array,
	.createInteger = create_integer,
	.createNil = create_nil,
	CX_HIREDIS_REFUSE_RESP3
	.freeObject = forget_reply,
};

static bool
start_reader(cx_reply_parser *parser)
{
	parser->reader = redisReaderCreateWithFunctions(&reply_functions);
	if (parser->reader == NULL)
		return false;
	parser->reader->privdata = parser;
	/* the buffer is cx_reply_trim()'s to drop, not hiredis's after each reply over 16 kB */
	parser->reader->maxbuf = 0;
	parser->largest_buffer = 0;
	return true;
}

cx_reply_parser *
cx_reply_parser_create(void)
{
	cx_reply_parser *parser;

	parser = MemoryContextAllocExtended(TopMemoryContext, sizeof(*parser),
										MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (parser != NULL && !start_reader(parser))
	{
		pfree(parser);
		return NULL;
	}
	return parser;
}

void
cx_reply_parser_free(cx_reply_parser *parser)
{
	if (parser->reader != NULL)
		redisReaderFree(parser->reader);
	pfree(parser);
}

bool
cx_reply_feed(cx_reply_parser *parser, const char *bytes, size_t length)
{
	if (redisReaderFeed(parser->reader, bytes, length) != REDIS_OK)
		return false;
	parser->largest_buffer = Max(parser->largest_buffer, parser->reader->len);
	return true;
}

cx_reply_state
cx_reply_next(cx_reply_parser *parser, cx_redis_reply *reply)
{
	void	   *made = NULL;

	if (parser->target == NULL)
	{
		parser->target = reply;
		parser->context = CurrentMemoryContext;
		parser->allowance = reply_limit();
	}
	Assert(parser->target == reply);

	if (redisReaderGetReply(parser->reader, &made) != REDIS_OK)
	{
		if (parser->too_large)
			return CX_REPLY_TOO_LARGE;
		return parser->no_memory ? CX_REPLY_NO_MEMORY : CX_REPLY_MALFORMED;
	}
	if (made == NULL)
	{
		if (parser->reader->len - parser->reader->pos > reply_limit())
			return CX_REPLY_TOO_LARGE;
		return CX_REPLY_INCOMPLETE;
	}
	parser->target = NULL;
	return CX_REPLY_COMPLETE;
}

bool
cx_reply_pending(const cx_reply_parser *parser)
{
	return parser->target != NULL || parser->reader->len > parser->reader->pos;
}

bool
cx_reply_trim(cx_reply_parser *parser)
{
	if (parser->largest_buffer <= KEPT_BUFFER)
		return true;
	redisReaderFree(parser->reader);
	return start_reader(parser);
}
