/*
 * core/outbox.c
 *		What a transaction will tell Redis once it has committed.
 */
#include "postgres.h"

#include "core/outbox.h"

void
cx_outbox_init(void)
{
}

void
cx_outbox_entity(const cx_outbox_target *target, const char *key, size_t key_length,
				 const char *value, size_t value_length, uint32 order)
{
}

void
cx_outbox_sweep(const cx_outbox_target *target)
{
}

void
cx_outbox_set(const char *key, size_t key_length, const char *value, size_t value_length,
			  int64 ttl_ms)
{
}

void
cx_outbox_delete(const char *key, size_t key_length)
{
}

void
cx_outbox_unlock(const char *key, size_t key_length, const char *token, size_t token_length)
{
}
