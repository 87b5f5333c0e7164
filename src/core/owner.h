/*
 * core/owner.h
 *		Which server the keys in Redis that begin with a key_prefix belong to.
 *
 * One server at a time stores rows, sessions, limits, locks and values under a prefix.  Results need
 * no owner: their keys and stamps tell servers apart.
 */
#ifndef CX_CORE_OWNER_H
#define CX_CORE_OWNER_H

#include "postgres.h"

#include "redis/redis.h"
#include "redis/script.h"

extern void cx_owner_init(void);

/*
 * A start of a server, as the data directory has it (core/era.c keeps it there): a random name that
 * no copy and no later start has, and the place that the directory was in.
 */
#define CX_INCARNATION_LENGTH 32

typedef struct cx_incarnation
{
	char		name[CX_INCARNATION_LENGTH];	/* hexadecimal digits */
	uint64		place;			/* 0: not known */
} cx_incarnation;

extern cx_incarnation cx_owner_incarnation(void);

/* While shared memory is created: the owner that this directory was, if it is known for sure. */
extern void cx_owner_set_previous(const cx_incarnation *previous);

typedef enum cx_owner
{
	CX_OWNER_UNKNOWN,			/* the worker has not told yet */
	CX_OWNER_UNREACHABLE,		/* Redis did not tell */
	CX_OWNER_SELF,
	CX_OWNER_UNDECIDED,			/* another was, and may have ended without saying so */
	CX_OWNER_OTHER				/* another is, and is alive */
} cx_owner;

/* What the worker found last; await: gives it a moment where it has found nothing yet. */
extern cx_owner cx_owner_get(void);
extern cx_owner cx_owner_await(void);

/* Is it this server, and has it been lately enough that no other can have become the owner? */
extern bool cx_owner_is_certain(void);

/* The other, for messages; palloc'd. */
extern char *cx_owner_other(void);

/* Makes this server the owner, whoever is.  Waits for the worker; what came of it. */
extern cx_owner cx_owner_take_over(void);

/*
 * The worker.  settings: redis_url or key_prefix may have been changed; true if the keys are others
 * than before.  command: renews the mark in Redis or claims it; judge: what Redis answered to it.
 */
extern bool cx_owner_settings(void);
extern bool cx_owner_is_asked(void);	/* does somebody wait for what the next look finds? */
extern cx_redis_command *cx_owner_command(uint32 generation);

typedef enum cx_owner_verdict
{
	CX_OWNER_KEPT,				/* this server's, and nobody else's since it left the mark */
	CX_OWNER_TAKEN,				/* this server's from now on */
	CX_OWNER_REFUSED,
	CX_OWNER_FAILED				/* the reply is none: *problem, or NULL, says more */
} cx_owner_verdict;

extern cx_owner_verdict cx_owner_judge(const cx_redis_reply *reply, uint32 *generation,
									   const char **problem);
extern void cx_owner_unreachable(void);

/* The script of the command, for those who send it with others. */
extern cx_script cx_owner_claim;

/* Renews the mark within something that takes long; false if this server is not the owner any more. */
extern bool cx_owner_renew(cx_redis_budget *budget);

/* The server ends: others need not wait to see that it is gone. */
extern void cx_owner_release(cx_redis_budget *budget);

#endif
