/*
 * core/messages.h
 *		What the current transaction has queued for Redis: for core/outbox.c only.
 *
 * All of it is in TopTransactionContext and goes with it.
 */
#ifndef CX_CORE_MESSAGES_H
#define CX_CORE_MESSAGES_H

#include "postgres.h"

#include "core/outbox.h"
#include "core/queue.h"

/* Besides what cx_message_kind has. */
#define CX_MESSAGE_SWEEP ((cx_message_kind) (CX_MESSAGE_UNLOCK + 1))

typedef struct cx_target
{
	uint64		hash;
	char	   *pattern;
	uint32		length;
	bool		fence;
	bool		collapsed;		/* too many keys: a sweep instead */
	uint32		keys;			/* messages of it */
	int			last_sweep;		/* index + 1 of the last sweep that counts; set by decide */
	struct cx_target *next;
} cx_target;

typedef struct cx_queued
{
	cx_message_kind kind;
	int			level;			/* of nesting; a transaction's own is 1 */
	uint32		order;			/* command id of an entity's change */
	bool		counts;			/* is it to be sent; set by decide */
	bool		has_value;
	cx_target  *target;			/* of entities and sweeps */
	uint32		hash;			/* of an entity's key */
	int			previous;		/* entity of the same hash before it; -1: none */
	uint32		key_length;
	uint32		value_length;
	int64		ttl_ms;
	char	   *key;			/* the value has a piece of memory of its own */
	char	   *value;
} cx_queued;

/* In the order of the calls. */
extern cx_queued *cx_messages;
extern int	cx_message_count;
extern cx_target *cx_targets;

/* The transaction is over. */
extern void cx_messages_forget(void);

/* A copy in TopTransactionContext. */
extern void *cx_messages_copy(const char *bytes, size_t length);

/* Raises an error for a key that is empty or too long. */
extern void cx_messages_check_key(size_t length);

/*
 * Each adds one.  An entity may take the place of another, unless the transaction is ending, or be left
 * to a sweep of its target.
 */
extern cx_queued *cx_messages_add(cx_message_kind kind, const char *key, size_t key_length,
								  const char *value, size_t value_length, int64 ttl_ms);
extern void cx_messages_add_sweep(const cx_outbox_target *target);
extern void cx_messages_add_entity(const cx_outbox_target *target, const char *key,
								   size_t key_length, const char *value, size_t value_length,
								   uint32 order, bool ending);

/* A subtransaction of this nesting level is rolled back, or released. */
extern void cx_messages_forget_level(int level);
extern void cx_messages_hand_up_level(int level);

/*
 * The transaction ends: sets counts of the messages from first on.  Of entities it counts one for a key,
 * unless a later sweep removes it.  Sweeps don't.
 */
extern void cx_messages_decide(int first);

#endif
