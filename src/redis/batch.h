/*
 * redis/batch.h
 *		Commands put together word by word.
 */
#ifndef CX_REDIS_BATCH_H
#define CX_REDIS_BATCH_H

#include "postgres.h"

#include "redis/redis.h"

/* commands and count are what cx_redis_call() takes; the rest is private. */
typedef struct cx_batch
{
	cx_redis_command *commands;
	int			count;

	const char **words;
	size_t	   *lengths;
	int			used;
	int			room;			/* for words */
} cx_batch;

/* Room for so many commands of so many words each, in CurrentMemoryContext. */
extern void cx_batch_init(cx_batch *batch, int commands, int words);

/* Begins a command; what follows are its further words.  They are not copied. */
extern void cx_batch_command(cx_batch *batch, const char *verb);
extern void cx_batch_word(cx_batch *batch, const char *word);
extern void cx_batch_bytes(cx_batch *batch, const char *data, size_t length);

/* As decimal digits. */
extern void cx_batch_integer(cx_batch *batch, int64 number);

#endif
