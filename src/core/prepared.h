/*
 * core/prepared.h
 *		Two-phase commit: what prepared transactions will change when they commit (rules 9, 10).
 */
#ifndef CX_CORE_PREPARED_H
#define CX_CORE_PREPARED_H

#include "postgres.h"

extern void cx_prepared_init(void);

/*
 * PREPARE TRANSACTION is about to run under this gid: its dirty set is stored under it before the
 * prepare record is written.  Call before the command runs, and cx_prepared_forget_gid() after it,
 * whether it failed or not.
 */
extern void cx_prepared_expect_gid(const char *gid);
extern void cx_prepared_forget_gid(void);

/*
 * COMMIT PREPARED: begin before the command runs, end after it, on success, error and exit alike.
 * Nothing in between may begin another.
 */
extern void cx_prepared_begin_commit(const char *gid);
extern void cx_prepared_end_commit(void);

/* ROLLBACK PREPARED of this gid has succeeded. */
extern void cx_prepared_rolled_back(const char *gid);

/*
 * Looks after prepared transactions that no utility command announced (an apply worker with
 * two_phase): releases the writers marks of those no longer running.  For the background worker;
 * cheap when there are none.
 */
extern void cx_prepared_sweep(void);

#endif
