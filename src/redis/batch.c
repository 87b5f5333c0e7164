/*
 * redis/batch.c
 *		Commands put together word by word.
 *
 * Memory: all of a batch is in the context that it was made in.
 */
#include "postgres.h"

#include "redis/batch.h"

void
cx_batch_init(cx_batch *batch, int commands, int words)
{
	Size		room = (Size) commands * words;

	batch->commands = palloc_extended(sizeof(cx_redis_command) * commands, MCXT_ALLOC_HUGE);
	batch->words = palloc_extended(sizeof(char *) * room, MCXT_ALLOC_HUGE);
	batch->lengths = palloc_extended(sizeof(size_t) * room, MCXT_ALLOC_HUGE);
	batch->count = 0;
	batch->used = 0;
	batch->room = (int) room;
}

void
cx_batch_command(cx_batch *batch, const char *verb)
{
	cx_redis_command *command = &batch->commands[batch->count++];

	command->argc = 0;
	command->argv = batch->words + batch->used;
	command->argvlen = batch->lengths + batch->used;
	cx_batch_word(batch, verb);
}

void
cx_batch_word(cx_batch *batch, const char *word)
{
	cx_batch_bytes(batch, word, strlen(word));
}

void
cx_batch_bytes(cx_batch *batch, const char *data, size_t length)
{
	Assert(batch->count > 0 && batch->used < batch->room);
	batch->words[batch->used] = data;
	batch->lengths[batch->used] = length;
	batch->used++;
	batch->commands[batch->count - 1].argc++;
}

void
cx_batch_integer(cx_batch *batch, int64 number)
{
	cx_batch_word(batch, psprintf(INT64_FORMAT, number));
}
