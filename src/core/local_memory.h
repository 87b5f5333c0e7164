/*
 * core/local_memory.h
 *		Pieces of a fixed area of shared memory.  Private to core/local.c.
 *
 * Knows nothing of entries: a piece has an owner, which is a pointer that means something to the
 * caller, or NULL for none.  The caller holds one exclusive lock around every call but
 * cx_memory_used(), for which a shared one does.  Nothing here raises an error.
 */
#ifndef CX_CORE_LOCAL_MEMORY_H
#define CX_CORE_LOCAL_MEMORY_H

#include "postgres.h"

typedef struct cx_memory cx_memory;

/* Of an area that is MAXALIGNed, and has room for the bookkeeping: some kB. */
extern cx_memory *cx_memory_create(void *area, Size size);

/* A MAXALIGNed piece without an owner; NULL where no free place is large enough. */
extern void *cx_memory_allocate(cx_memory *memory, Size size);
extern void cx_memory_free(cx_memory *memory, void *piece);

extern void cx_memory_set_owner(void *piece, void *owner);

/* What the piece takes of the area. */
extern Size cx_memory_taken(const void *piece);

/*
 * Making room at a place: the piece grows into its neighbours, as far as these are free or their
 * owners let them go.  can_widen asks may_go of those it would need, and changes nothing.  widen
 * calls let_go for them, which must free all pieces of that owner, or return false.  It returns
 * what has become of the piece, then without an owner and of that size; or NULL after freeing it.
 */
typedef bool (*cx_memory_question) (void *owner);

extern bool cx_memory_can_widen(cx_memory *memory, void *piece, Size size,
								cx_memory_question may_go);
extern void *cx_memory_widen(cx_memory *memory, void *piece, Size size,
							 cx_memory_question let_go);

/* Bytes of the area that are not free: pieces, and the bookkeeping. */
extern Size cx_memory_used(const cx_memory *memory);

#ifdef USE_ASSERT_CHECKING
/* Is the bookkeeping consistent?  Reads all of it. */
extern bool cx_memory_sound(const cx_memory *memory);
#endif

#endif
