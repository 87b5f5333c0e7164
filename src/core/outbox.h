/*
 * core/outbox.h
 *		What a transaction will tell Redis once it has committed.
 *
 * Anything may be queued at any time in a transaction that is not aborted, up to the deferred
 * triggers.  It goes with the subtransaction that queued it.  Nothing here talks to Redis, but for
 * the fence at PRE_COMMIT.  Keys and patterns are those in Redis, complete with their prefix.
 */
#ifndef CX_CORE_OUTBOX_H
#define CX_CORE_OUTBOX_H

#include "postgres.h"

extern void cx_outbox_init(void);

/* An attachment, as far as the outbox is concerned.  All is copied. */
typedef struct cx_outbox_target
{
	const char *pattern;		/* glob that matches all its keys; names the target */
	size_t		pattern_length;
	int64		ttl_ms;			/* 0: none */
	bool		fence;			/* on_redis_down = abort */
} cx_outbox_target;

/* The longest key and pattern, the longest value; longer ones raise an error. */
#define CX_OUTBOX_MAX_KEY 1024
#define CX_OUTBOX_MAX_VALUE (512 * 1024 * 1024)

/*
 * The row under this key now is value, a MessagePack map without version; NULL: it is gone, or
 * readers had better ask the table.  order is the command id of the change: of several for one key
 * the highest counts, of equal ones the last call.  Many for one target become a sweep.
 */
extern void cx_outbox_entity(const cx_outbox_target *target, const char *key, size_t key_length,
							 const char *value, size_t value_length, uint32 order);

/* All keys of the target go: TRUNCATE, or what can't be told row by row. */
extern void cx_outbox_sweep(const cx_outbox_target *target);

/* kv.set and kv.del at commit: in the order of the calls.  ttl_ms 0: none. */
extern void cx_outbox_set(const char *key, size_t key_length, const char *value,
						  size_t value_length, int64 ttl_ms);
extern void cx_outbox_delete(const char *key, size_t key_length);

/*
 * When the top-level transaction ends, in whatever way, and whatever becomes of the subtransaction:
 * ends the lock of this key if its holder has this token, a decimal number (core/lock_release.h).
 */
extern void cx_outbox_unlock(const char *key, size_t key_length, const char *token,
							 size_t token_length);

#endif
