/*
 * core/account.h
 *		What each cached statement costs and gains: does caching it pay?
 *
 * A fixed table in shared memory, one account a statement (database, fingerprint); the one unused for
 * longest makes room.  Adding takes no lock.  Nothing here raises an error.
 */
#ifndef CX_CORE_ACCOUNT_H
#define CX_CORE_ACCOUNT_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define CX_ACCOUNT_NAME_LENGTH 32
#define CX_ACCOUNT_TEXT_LENGTH 512

/* A handle: stays safe to use when the account has made room for another (then nothing is added). */
typedef struct cx_account
{
	uint32		index;
	uint32		generation;
	bool		valid;			/* false: there is no shared memory */
} cx_account;

extern void cx_account_init(void);

/*
 * Finds or opens the account of a statement of this database: fingerprint is
 * CX_ACCOUNT_NAME_LENGTH bytes.  text (cut short) and the current user are kept for people.
 */
extern cx_account cx_account_open(const uint8 *fingerprint, const char *text, size_t length,
								  int64 query_id);

/*
 * Does the handle still stand for its statement?  If not (it made room, or was forgotten), nothing more
 * is learnt of the statement until it is opened again.
 */
extern bool cx_account_is_open(cx_account account);

/*
 * Should this execution ask the cache?  False while the statement loses by it; it is tried again after
 * a number of executions that grows with each trial that fails.  An execution that was told false
 * reports cx_account_add_plain().
 */
extern bool cx_account_pays(cx_account account);

/*
 * What an execution took, in microseconds, from its start to its end.  own_us is the part of a miss that
 * only caching it cost (looking up, storing), so that the difference estimates a plain execution as long
 * as none was measured.  when: about now; who had a hit knows, and need not ask the clock again.
 */
extern void cx_account_add_hit(cx_account account, double us, TimestampTz when);
extern void cx_account_add_miss(cx_account account, double us, double own_us, bool stored);
extern void cx_account_add_plain(cx_account account, double us);

/* The usual cost of a miss, in microseconds; 0 if not known. */
extern double cx_account_miss_us(cx_account account);

typedef struct cx_account_facts
{
	Oid			database;
	Oid			role;			/* who opened it */
	uint8		fingerprint[CX_ACCOUNT_NAME_LENGTH];
	int64		query_id;
	char		text[CX_ACCOUNT_TEXT_LENGTH];	/* zero-terminated, cut at a character of the
												 * database's encoding */
	uint64		hits;
	uint64		misses;
	uint64		stored;			/* of the misses */
	uint64		plain;			/* executions without the cache because it does not pay */
	double		hit_us;			/* moving averages; 0 if not known */
	double		miss_us;
	double		plain_us;
	bool		resting;		/* not cached for now */
	TimestampTz last_used;
} cx_account_facts;

/* Calls the visitor with a copy of each account in use. */
extern void cx_account_visit(void (*visitor) (const cx_account_facts *facts, void *arg), void *arg);

/* Forgets the accounts of this database. */
extern void cx_account_reset(void);

#endif
