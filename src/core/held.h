/*
 * core/held.h
 *		Keys that something earlier, which can't be sent yet, has a message for.
 */
#ifndef CX_CORE_HELD_H
#define CX_CORE_HELD_H

#include "postgres.h"

#include "core/queue.h"

typedef struct cx_held cx_held;

/* Lives in CurrentMemoryContext. */
extern cx_held *cx_held_create(void);

/* Has the record a message for one of the keys?  Adds all of its keys. */
extern bool cx_held_names(const cx_held *held, const cx_record *record);
extern void cx_held_add(cx_held *held, const cx_record *record);

#endif
