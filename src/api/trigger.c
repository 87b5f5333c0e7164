/*
 * api/trigger.c
 *		The trigger functions of tracked tables: what a statement and a row change.
 *
 * Invariants:
 * 1. The table is in the dirty set before the first change of the statement (rule 1 of the protocol).
 * 2. Tags name the root of a partition tree and its columns, whichever member the trigger is on.
 * 3. They mark whether or not the table counts as tracked right now: it may be half tracked, or have
 *    been so when an entry was made.
 *
 * They run for every statement and every row: no catalog access once the relation is known, no lock,
 * no network.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "base/shmem.h"
#include "core/dirty.h"
#include "query/tracked.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "pgstat.h"
#include "utils/datum.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(cache_ext_track_statement);
PG_FUNCTION_INFO_V1(cache_ext_track_row);

static void
mark_table(Oid relation, bool counting)
{
	const cx_tracked *tracked = cx_tracked_lookup(relation);

	if (tracked == NULL)
		cx_dirty_mark_table(cx_tracked_root(relation), false);
	else
		cx_dirty_mark_table(tracked->root, counting && tracked->counted);
}

/*
 * A statement on an inheritance parent changes rows of its descendants too, without firing their
 * statement triggers.
 */
static void
mark_descendants(Oid relation, bool counting)
{
	const cx_tracked *tracked = cx_tracked_lookup(relation);
	List	   *descendants;
	ListCell   *lc;

	if (tracked == NULL || tracked->descendants == NIL)
		return;
	descendants = list_copy(tracked->descendants);
	foreach(lc, descendants)
		mark_table(lfirst_oid(lc), counting);
	list_free(descendants);
}

Datum
cache_ext_track_statement(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Oid			relation;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired as a BEFORE trigger", "track_statement"),
				 errhint("Let cache_ext.track() create the triggers.")));

	if (cx_shmem_ready())
	{
		/* of a relation that was opened while counting was off, nothing is counted */
		bool		counting = pgstat_track_counts && trigger->tg_relation->pgstat_enabled;

		relation = RelationGetRelid(trigger->tg_relation);
		mark_table(relation, counting);
		mark_descendants(relation, counting);
		if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		{
			cx_dirty_mark_definition(cx_tracked_root(relation));
			cx_attachment_sweep(relation);
		}
	}

	/* An apply worker fires no statement triggers: there it stands before each row. */
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		PG_RETURN_POINTER(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		PG_RETURN_POINTER(trigger->tg_newtuple);
	PG_RETURN_POINTER(trigger->tg_trigtuple);
}

static void
mark_value(const cx_tracked *tracked, const cx_tracked_key *key, Datum value)
{
	cx_dirty_mark_key(tracked->root, key->root_column, cx_tracked_hash_value(key, value));
}

Datum
cache_ext_track_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const cx_tracked *tracked;
	TupleTableSlot *other = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired as an AFTER ROW trigger", "track_row"),
				 errhint("Let cache_ext.track() create the triggers.")));

	if (!cx_shmem_ready())
		PG_RETURN_POINTER(NULL);

	/*
	 * Without usable keys there is nothing to do: no reader takes K for what this table has no
	 * complete row trigger for, and T was marked before the statement.
	 */
	tracked = cx_tracked_lookup(RelationGetRelid(trigger->tg_relation));
	if (tracked == NULL)
		PG_RETURN_POINTER(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		other = trigger->tg_newslot;

	for (int i = 0; i < tracked->key_count; i++)
	{
		const cx_tracked_key *key = &tracked->keys[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(trigger->tg_relation),
													key->column - 1);
		bool		isnull;
		bool		other_isnull = true;
		Datum		value = slot_getattr(trigger->tg_trigslot, key->column, &isnull);
		Datum		other_value = 0;

		if (other != NULL)
			other_value = slot_getattr(other, key->column, &other_isnull);

		/* NULL is equal to nothing, so no K stands for it */
		if (!isnull)
			mark_value(tracked, key, value);
		if (!other_isnull &&
			(isnull || !datum_image_eq(value, other_value, attribute->attbyval,
									   attribute->attlen)))
			mark_value(tracked, key, other_value);
	}
	PG_RETURN_POINTER(NULL);
}
