/*
 * core/delivery.c
 *		Entities in Redis: what is stored, and setting a key only to what is newer.
 */
#include "postgres.h"

#include "core/delivery.h"

void
cx_delivery_init(void)
{
}

cx_entity_verdict
cx_entity_fill(const char *key, size_t key_length, const char *value, size_t value_length,
			   int64 ttl_ms, XLogRecPtr lsn)
{
	return CX_ENTITY_FAILED;
}

void
cx_entity_take_back(const char *key, size_t key_length, XLogRecPtr lsn)
{
}
