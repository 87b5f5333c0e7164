/*
 * core/held.c
 *		Keys that something earlier, which can't be sent yet, has a message for.
 *
 * Known by a hash of 64 bits: two keys of one hash only wait for each other.
 */
#include "postgres.h"

#include "core/held.h"

#include "common/hashfn.h"

typedef struct held_key
{
	uint64		hash;
	char		status;
} held_key;

#define SH_PREFIX held_keys
#define SH_ELEMENT_TYPE held_key
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) ((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct cx_held
{
	held_keys_hash *keys;		/* NULL: none */
	MemoryContext context;
};

cx_held *
cx_held_create(void)
{
	cx_held    *held = palloc(sizeof(cx_held));

	held->keys = NULL;
	held->context = CurrentMemoryContext;
	return held;
}

static uint64
key_hash(const cx_message *message)
{
	return hash_bytes_extended((const unsigned char *) message->data, (int) message->key_length, 0);
}

bool
cx_held_names(const cx_held *held, const cx_record *record)
{
	const cx_message *message;
	uint32		sequence;

	if (held->keys == NULL)
		return false;
	for (uint32 left = cx_record_left(record, &message, &sequence); left > 0; left--)
	{
		if (held_keys_lookup(held->keys, key_hash(message)) != NULL)
			return true;
		message = cx_message_next(message);
	}
	return false;
}

void
cx_held_add(cx_held *held, const cx_record *record)
{
	const cx_message *message;
	uint32		sequence;
	bool		known;

	if (held->keys == NULL)
		held->keys = held_keys_create(held->context, 64, NULL);
	for (uint32 left = cx_record_left(record, &message, &sequence); left > 0; left--)
	{
		held_keys_insert(held->keys, key_hash(message), &known);
		message = cx_message_next(message);
	}
}
