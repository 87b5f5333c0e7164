/*
 * query/guarded.h
 *		Running what may raise an error that is nobody's business.
 */
#ifndef CX_QUERY_GUARDED_H
#define CX_QUERY_GUARDED_H

#include "postgres.h"

typedef bool (*cx_guarded_action) (void *arg);

/*
 * Runs the action in a subtransaction, so that its errors are a result of false: only rolling one
 * back cleans up whatever a function left behind.  Cancel, termination and out of memory pass
 * through.  False also in parallel mode, where there are no subtransactions.
 */
extern bool cx_guarded_run(cx_guarded_action action, void *arg);

/*
 * Looks at something that the statement itself may never look at, and leaves no trace: locks,
 * settings and the user are as before, a lock that isn't free is an error, the client gets no
 * messages.  After an error the result is false, with its text in *message.
 */
extern bool cx_guarded_look(cx_guarded_action action, void *arg, const char **message);

/* For hooks, before a function or a statement is executed: in a look that is an error, which ends it. */
extern void cx_guarded_forbid_execution(void);

#endif
