/*
 * api/commit_net.c
 *		At commit, what really changed: takes back marks of statements that changed nothing, and
 *		marks what no trigger saw.
 *
 * pgstat counts every row that a transaction inserts, updates or deletes, whoever does it, so at
 * the end of the transaction its list of tables is complete.
 *
 * Invariants:
 * 1. It runs before core/dirty.c's own callback, since transaction callbacks are called in the
 *    reverse order of their registration.
 * 2. A mark is taken back only if counting was on whenever a statement of the transaction started
 *    and is on now, and no relation with the marked root has counts.  A statement that runs while
 *    it is off may leave the relations it opens uncounted for the statements around it.
 * 3. A relation that was dropped or moved to another root since it was changed has D marked by that.
 * 4. What has any of our triggers is marked if it changed, tracked or not: entries made while it was
 *    tracked may still be there.
 */
#include "postgres.h"

#include "api/commit_net.h"
#include "base/compat.h"
#include "core/dirty.h"
#include "query/tracked.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "utils/pgstat_internal.h"

static bool distrusted = false;

/* Roots of the relations that changed, sorted. */
typedef struct changed_roots
{
	Oid		   *roots;
	int			count;
} changed_roots;

static bool
has_changes(const PgStat_TableXactStatus *changes)
{
	return changes->truncdropped ||
		changes->tuples_inserted > 0 || changes->tuples_updated > 0 ||
		changes->tuples_deleted > 0 || changes->inserted_pre_truncdrop > 0 ||
		changes->updated_pre_truncdrop > 0 || changes->deleted_pre_truncdrop > 0;
}

static void
mark_if_missed(const cx_tracked *tracked)
{
	cx_tag		tag = {CX_TAG_TABLE, tracked->root, 0, 0};

	if (!tracked->triggered && tracked->kind != RELKIND_MATVIEW)
		return;

	/* Its keys were not marked either, and D stands for all of them. */
	if (!cx_dirty_names(&tag))
		cx_dirty_mark_definition(tracked->root);
	cx_dirty_mark_table(tracked->root, true);
}

static int
compare_oids(const void *a, const void *b)
{
	Oid			left = *(const Oid *) a;
	Oid			right = *(const Oid *) b;

	return left < right ? -1 : left > right;
}

static bool
root_changed(Oid table, void *arg)
{
	const changed_roots *changed = arg;

	return changed->count > 0 &&
		bsearch(&table, changed->roots, changed->count, sizeof(Oid), compare_oids) != NULL;
}

static void
reconcile(void)
{
	changed_roots changed = {NULL, 0};
	int			room = 0;

	/* core/dirty.c knows that nothing was written */
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;

	/* what subtransactions did was added to level 1 when they ended, unless they were rolled back */
	for (PgStat_TableXactStatus *changes = pgstat_get_xact_stack_level(1)->first;
		 changes != NULL; changes = changes->next)
	{
		const cx_tracked *tracked;

		if (cx_counted_table(changes) < FirstNormalObjectId || !has_changes(changes))
			continue;
		tracked = cx_tracked_lookup(cx_counted_table(changes));
		if (tracked == NULL)
			continue;			/* dropped */
		mark_if_missed(tracked);

		if (changed.count == room)
		{
			room = Max(16, room * 2);
			changed.roots = changed.roots ? repalloc(changed.roots, room * sizeof(Oid)) :
				palloc(room * sizeof(Oid));
		}
		changed.roots[changed.count++] = tracked->root;
	}

	if (cx_dirty_any() && pgstat_track_counts && !distrusted)
	{
		if (changed.count > 1)
			qsort(changed.roots, changed.count, sizeof(Oid), compare_oids);
		cx_dirty_retract_unchanged(root_changed, &changed);
	}
	if (changed.roots != NULL)
		pfree(changed.roots);
}

static void
on_transaction_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			reconcile();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			distrusted = false;
			break;
		default:
			break;
	}
}

void
cx_commit_net_distrust(void)
{
	distrusted = true;
}

void
cx_commit_net_init(void)
{
	RegisterXactCallback(on_transaction_event, NULL);
}
