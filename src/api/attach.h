/*
 * api/attach.h
 *		Creating and dropping the triggers of attached tables.
 */
#ifndef CX_API_ATTACH_H
#define CX_API_ATTACH_H

#include "postgres.h"

/*
 * A relation is about to become a partition of parent: drops its own triggers where these would be in
 * the way of the clones of the parent's.  The caller checked that the user owns both.
 */
extern void cx_attach_make_way(Oid relation, Oid parent);

#endif
