/*
 * api/entity_trigger.c
 *		The trigger function of attached tables: tells the outbox which keys a row had and has.
 *
 * Invariants:
 * 1. For each change of a row, the key it had and the key it has are told, under the command that made
 *	  the change: what a trigger of a trigger changed comes first here, although it is newer.
 * 2. A change of the user's never fails because of what Redis would be told: a row without a key, or
 *	  whose map would be too large, has no entity.
 * 3. Where the attachment has a problem, all its keys go.
 *
 * No network, no lock.  Memory: the per-tuple context the trigger is called in; the outbox copies.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "base/settings.h"
#include "base/shmem.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(cache_ext_entity_row);

/* The command that made this version of a row. */
static CommandId
command_that_made(TupleTableSlot *slot, HeapTuple tuple)
{
	if (!TTS_IS_BUFFERTUPLE(slot))
		return GetCurrentCommandId(false);
	if (HeapTupleHeaderXminFrozen(tuple->t_data))
		return HeapTupleHeaderGetRawCommandId(tuple->t_data);	/* COPY FREEZE */
	return HeapTupleHeaderGetCmin(tuple->t_data);
}

static CommandId
command_that_deleted(TupleTableSlot *slot, HeapTuple tuple)
{
	if (!TTS_IS_BUFFERTUPLE(slot))
		return GetCurrentCommandId(false);
	return HeapTupleHeaderGetCmax(tuple->t_data);
}

static void
remove_key(const cx_attachment *attachment, StringInfo key, CommandId command)
{
	cx_outbox_entity(&attachment->target, key->data, key->len, NULL, 0, command);
}

static void
set_key(const cx_attachment *attachment, StringInfo key, TupleTableSlot *slot, CommandId command)
{
	StringInfoData map;

	initStringInfo(&map);
	if (attachment->write_through &&
		cx_entity_codec_write(attachment->codec, slot, (size_t) cx_max_entry_size * 1024, &map))
		cx_outbox_entity(&attachment->target, key->data, key->len, map.data, map.len, command);
	else
		remove_key(attachment, key, command);
	pfree(map.data);
}

static void
row_updated(const cx_attachment *attachment, TriggerData *trigger, CommandId command)
{
	StringInfoData old_key;
	StringInfoData new_key;
	bool		had;
	bool		has;

	initStringInfo(&old_key);
	initStringInfo(&new_key);
	had = cx_attachment_key(attachment, trigger->tg_trigslot, &old_key);
	has = cx_attachment_key(attachment, trigger->tg_newslot, &new_key);
	if (had && !(has && old_key.len == new_key.len &&
				 memcmp(old_key.data, new_key.data, old_key.len) == 0))
		remove_key(attachment, &old_key, command);
	if (has)
		set_key(attachment, &new_key, trigger->tg_newslot, command);
}

static void
row_changed(const cx_attachment *attachment, TriggerData *trigger)
{
	TupleTableSlot *slot = trigger->tg_trigslot;
	StringInfoData key;

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		row_updated(attachment, trigger,
					command_that_made(trigger->tg_newslot, trigger->tg_newtuple));
		return;
	}
	initStringInfo(&key);
	if (!cx_attachment_key(attachment, slot, &key))
		return;
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		set_key(attachment, &key, slot, command_that_made(slot, trigger->tg_trigtuple));
	else
		remove_key(attachment, &key, command_that_deleted(slot, trigger->tg_trigtuple));
}

Datum
cache_ext_entity_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const cx_attachment *attachment;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired as an AFTER ROW trigger", "entity_row"),
				 errhint("Let cache_ext.attach() create the trigger.")));

	if (!cx_shmem_ready())
		PG_RETURN_POINTER(NULL);

	attachment = cx_attachment_get(trigger->tg_relation, trigger->tg_trigger);
	if (attachment->problem != NULL)
		cx_outbox_sweep(&attachment->target);
	else
		row_changed(attachment, trigger);
	PG_RETURN_POINTER(NULL);
}
