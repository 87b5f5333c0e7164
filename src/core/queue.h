/*
 * core/queue.h
 *		What committed transactions have for Redis: a ring in shared memory, read by the worker.
 *
 * A record is what one transaction has to tell: reserved and filled before its commit record exists,
 * published or cancelled when the transaction has ended, delivered by the worker.
 */
#ifndef CX_CORE_QUEUE_H
#define CX_CORE_QUEUE_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

extern void cx_queue_init(void);

typedef enum cx_message_kind
{
	CX_MESSAGE_ENTITY,			/* without value: nothing to be read there */
	CX_MESSAGE_SET,
	CX_MESSAGE_DELETE,
	CX_MESSAGE_UNLOCK			/* value: the token */
} cx_message_kind;

typedef struct cx_message
{
	uint64		size;			/* of all, aligned */
	cx_message_kind kind;
	bool		has_value;
	bool		fenced;			/* of a target with a fence: see core/delivery.c */
	uint32		key_length;
	uint32		value_length;
	uint64		target;			/* hash of an entity's target */
	int64		ttl_ms;			/* 0: none */
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* key, value */
} cx_message;

/* Bytes that a message takes in a record. */
extern uint64 cx_message_size(size_t key_length, size_t value_length);

typedef struct cx_record cx_record;

/*
 * Writer.  reserve: room for messages of so many bytes in all; NULL if there is none.  Short wait for
 * a lock.  Fill in *messages, then call reserved.  publish and cancel neither wait nor fail; logged: the
 * commit is the end of a commit record, not only a position.
 * first_sequence numbers the messages within their transaction.
 */
extern cx_record *cx_queue_reserve(uint64 size, uint32 count, uint32 first_sequence,
								   cx_message **messages);
extern void cx_queue_reserved(cx_record *record);
extern void cx_queue_publish(cx_record *record, XLogRecPtr commit, bool logged);
extern void cx_queue_cancel(cx_record *record);

/* Wakes the worker. */
extern void cx_queue_wake(void);

/*
 * The worker.  Positions grow for ever.  A record stays where it is until released.
 */
typedef enum cx_record_state
{
	CX_RECORD_FILLING,			/* reserved, its messages are still being copied */
	CX_RECORD_RESERVED,
	CX_RECORD_READY,
	CX_RECORD_OVER				/* cancelled or delivered */
} cx_record_state;

extern void cx_queue_attach_worker(void);
extern uint64 cx_queue_start(void);
extern uint64 cx_queue_end(void);
extern cx_record *cx_queue_at(uint64 position);
extern uint64 cx_record_next(uint64 position, const cx_record *record);

extern cx_record_state cx_record_state_of(const cx_record *record);
extern XLogRecPtr cx_record_commit(const cx_record *record);
extern bool cx_record_is_logged(const cx_record *record);

/* The messages that are not delivered yet, and the number of the first. */
extern uint32 cx_record_left(const cx_record *record, const cx_message **first, uint32 *sequence);
extern const cx_message *cx_message_next(const cx_message *message);

/* The next count messages of it are delivered. */
extern void cx_record_delivered(cx_record *record, uint32 count);

/* Gives back the room of records that are over. */
extern void cx_queue_release(void);

/* Is there nothing but what is over?  For the worker, and the postmaster at its end. */
extern bool cx_queue_is_empty(void);

/* For whoever watches. */
typedef struct cx_queue_status
{
	uint64		size;			/* bytes of the ring */
	uint64		used;			/* bytes taken, by transactions that have not ended too */
	uint64		published;		/* messages */
	uint64		delivered;		/* messages */
	TimestampTz oldest;			/* when the oldest record was reserved; 0: there is none */
} cx_queue_status;

extern void cx_queue_read_status(cx_queue_status *status);

#endif
