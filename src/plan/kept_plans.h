/*
 * plan/kept_plans.h
 *		The plans that functions keep in a session: may a statement that runs them fill the cache?
 */
#ifndef CX_PLAN_KEPT_PLANS_H
#define CX_PLAN_KEPT_PLANS_H

#include "postgres.h"

#include "core/clock.h"

/* Something is about to run in this session.  Costs a test after the first time. */
extern void cx_kept_plans_session_starts(void);

/*
 * May a statement fill that depends on these definitions?  Makes sure that every plan which a function of
 * the session runs from here on is as new as they are; false if that can't be.  planned: the age of the
 * statement's own plan if that holds what functions returned when it was made, which must be later; NULL
 * if it holds nothing of the kind.
 */
extern bool cx_kept_plans_are_current(const cx_stamp *planned, const cx_slot *definitions,
									  int count);

#endif
