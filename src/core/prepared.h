/*
 * core/prepared.h
 *		Two-phase commit: what prepared transactions will change when they commit (rules 9, 10).
 */
#ifndef CX_CORE_PREPARED_H
#define CX_CORE_PREPARED_H

#include "postgres.h"

#include "core/clock.h"
#include "core/sweeps.h"

extern void cx_prepared_init(void);

/*
 * For the utility hook.  PREPARE TRANSACTION is about to run under this gid.  The command only asks
 * for it: the transaction is prepared after the hook has returned, so call forget when the
 * transaction has ended, in whatever way.
 */
extern void cx_prepared_expect_gid(const char *gid);
extern void cx_prepared_forget_gid(void);

/*
 * For the utility hook.  COMMIT PREPARED: begin before the command runs, end after it, on success
 * and error alike (at process exit it is done here).  Not nested, not inside a transaction block.
 */
extern void cx_prepared_begin_commit(const char *gid);
extern void cx_prepared_end_commit(void);

/* For the utility hook: ROLLBACK PREPARED of this gid has succeeded. */
extern void cx_prepared_rolled_back(const char *gid);

/*
 * For core/dirty.c.  store: the transaction is going to be prepared and will change these slots
 * (and those of earlier calls), perhaps none.  stored: it is prepared.  abandon: it failed to be;
 * does nothing if nothing was stored.
 */
extern void cx_prepared_store(TransactionId xid, const cx_slot *slots, int count);
extern void cx_prepared_stored(void);
extern void cx_prepared_abandon(void);

/*
 * For core/outbox.c, before the prepare record is written: these sweeps are expected, and are the
 * prepared transaction's from now on.  Replaces what an earlier call said.  False: PREPARE will fail.
 */
extern bool cx_prepared_store_sweeps(TransactionId xid, cx_sweep_set sweeps);

/*
 * For the background worker, every second or so: looks after prepared transactions that no
 * utility command announces.  Cheap when there are none.
 */
extern void cx_prepared_sweep(void);

/*
 * Before a look-up: lets the cache be used after a start with prepared transactions, once it is
 * known that none of them can commit unannounced.  Costs one read unless that is open.
 */
extern void cx_prepared_settle_start(void);

#endif
