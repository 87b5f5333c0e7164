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

/* A plan is about to be made that a function may keep. */
extern void cx_kept_plans_one_is_made(void);

/*
 * Makes sure that every plan which a function of the session runs from here on is as new as these
 * definitions, and was made under the session's settings of now; false if that can't be now.
 */
extern bool cx_kept_plans_renew(const cx_slot *definitions, int count);

/* Do names of types stand for what they did when the session began, as far as these definitions tell? */
extern bool cx_kept_plans_types_hold(const cx_slot *definitions, int count);

#endif
