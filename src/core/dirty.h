/*
 * core/dirty.h
 *		What the current transaction changed, and telling the clocks when it commits.
 *
 * Marking may be done at any time in a transaction that is not aborted, by any module, before or
 * inside PRE_COMMIT; it does no I/O and takes no lock.
 */
#ifndef CX_CORE_DIRTY_H
#define CX_CORE_DIRTY_H

#include "postgres.h"

#include "base/tag.h"
#include "core/clock.h"

extern void cx_dirty_init(void);

/*
 * T(table): rows are about to change.  retractable says that the pgstat counts will tell whether
 * they really did; the mark is retractable only if every call for that table says so.
 */
extern void cx_dirty_mark_table(Oid table, bool retractable);

/* K: a row with this value was there or is there now.  Collapses into D past max_dirty_keys. */
extern void cx_dirty_mark_key(Oid table, AttrNumber column, uint32 value_hash);

/* D, O, R (InvalidOid: see base/tag.h), G. */
extern void cx_dirty_mark_definition(Oid relation);
extern void cx_dirty_mark_object(Oid catalog, Oid object);
extern void cx_dirty_mark_role(Oid role);
extern void cx_dirty_mark_database(void);

/* G of a database that is being created: it may have the OID of one that was dropped. */
extern void cx_dirty_mark_new_database(Oid database);

/* Did this transaction change anything; what an entry with this tag depends on (rule 6)? */
extern bool cx_dirty_any(void);
extern bool cx_dirty_names(const cx_tag *tag);

/*
 * The same for an entry that is known by its clocks (those of a statement's tags: D of every relation and
 * O of every object are among them).  Tags that share a clock give a true too many.
 */
extern bool cx_dirty_touches(const cx_slot *slots, int count);

/*
 * For the one who knows what really changed, at PRE_COMMIT and PRE_PREPARE, before this module's
 * own callback: calls changed() for each retractable T mark and takes back those it says false of.
 */
extern void cx_dirty_retract_unchanged(bool (*changed) (Oid table, void *arg), void *arg);

#endif
