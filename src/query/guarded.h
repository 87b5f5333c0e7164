/*
 * query/guarded.h
 *		Running functions of types on bytes that may be hostile.
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

#endif
