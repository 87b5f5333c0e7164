/*
 * core/dirty.c
 *		What the current transaction changed, and telling the clocks when it commits.
 *
 * Invariants (rule numbers of the protocol in core/clock.c):
 *
 *	1. A table is in the set before its first change (1), so the transaction's own statements know
 *	   that cached results are not theirs.  Nothing leaves the set before the end of the
 *	   transaction but marks that were shown to stand for no change; a subtransaction's abort
 *	   takes nothing out.
 *	2. At PRE_COMMIT every slot of the set gets writers + 1 (2).  From then on a new mark does that
 *	   at once: another library's callback may still write.
 *	3. The list of slots is allocated before the first writers + 1; the callbacks after commit and
 *	   abort allocate nothing and cannot fail (2).
 *	4. After the commit is visible: changed_at to the end of the commit record, then writers - 1
 *	   (3).  For D, O, R and G the whole of it waits until the invalidation messages are sent, so that a
 *	   reader who sees writers == 0 can learn of the new definition before it fills.
 *	5. After abort: writers - 1 only.
 *
 * All memory is in TopTransactionContext.  No locks.
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "base/stop_point.h"
#include "core/clock.h"
#include "core/dirty.h"
#include "core/prepared.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

typedef struct table_mark
{
	Oid			table;
	char		status;			/* of the hash entry */
	bool		rows;			/* T */
	bool		definition;		/* D */
	bool		retractable;	/* T may be taken back if nothing was counted */
} table_mark;

#define SH_PREFIX tables
#define SH_ELEMENT_TYPE table_mark
#define SH_KEY_TYPE Oid
#define SH_KEY table
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct key_value
{
	Oid			table;
	uint32		column;
	uint32		value_hash;
} key_value;

typedef struct key_mark
{
	key_value	value;
	char		status;
} key_mark;

#define SH_PREFIX keys
#define SH_ELEMENT_TYPE key_mark
#define SH_KEY_TYPE key_value
#define SH_KEY value
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(key))
#define SH_EQUAL(tb, a, b) (memcmp(&(a), &(b), sizeof(key_value)) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What is no table's: O, R, G of another database. */
typedef struct object_name
{
	uint32		kind;
	Oid			catalog;
	Oid			object;
} object_name;

typedef struct object_mark
{
	object_name name;
	cx_slot		slot;
	char		status;
} object_mark;

#define SH_PREFIX objects
#define SH_ELEMENT_TYPE object_mark
#define SH_KEY_TYPE object_name
#define SH_KEY name
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(key))
#define SH_EQUAL(tb, a, b) (memcmp(&(a), &(b), sizeof(object_name)) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef enum transaction_phase
{
	PHASE_OPEN,					/* marks only collect */
	PHASE_COMMITTING,			/* slots[] hold writers; a new mark raises at once */
	PHASE_PREPARING,			/* the set is in shared memory; a new mark goes there */
	PHASE_LATE					/* committed; the late slots wait for the messages */
} transaction_phase;

typedef struct pending_slot
{
	cx_slot		slot;
	bool		late;			/* neither T nor K: invariant 4 */
} pending_slot;

static tables_hash *tables = NULL;
static keys_hash *keys = NULL;
static objects_hash *objects = NULL;
static bool keys_collapsed = false;
static bool database_marked = false;
static bool any_mark = false;

static transaction_phase phase = PHASE_OPEN;
static pending_slot *slots = NULL;	/* those with writers raised */
static int	slot_count = 0;
static int	slot_room = 0;

static void
forget_marks(void)
{
	/* the memory goes with TopTransactionContext */
	tables = NULL;
	keys = NULL;
	objects = NULL;
	keys_collapsed = false;
	database_marked = false;
	any_mark = false;
}

static void
forget_all(void)
{
	forget_marks();
	phase = PHASE_OPEN;
	slots = NULL;
	slot_count = 0;
	slot_room = 0;
}

static cx_slot
slot_of(cx_tag_kind kind, Oid relation, AttrNumber column, uint32 value_hash)
{
	cx_tag		tag = {kind, relation, column, value_hash};

	return cx_clock_slot(&tag);
}

/*
 * Writers
 */

static void
make_room(int more)
{
	if (slot_count + more <= slot_room)
		return;
	slot_room = Max(slot_room * 2, slot_count + more);
	if (slots == NULL)
		slots = MemoryContextAllocHuge(TopTransactionContext, sizeof(pending_slot) * slot_room);
	else
		slots = repalloc_huge(slots, sizeof(pending_slot) * slot_room);
}

/* Room must have been made. */
static void
note_slot(cx_slot slot, bool late)
{
	Assert(slot_count < slot_room);
	slots[slot_count].slot = slot;
	slots[slot_count].late = late;
	slot_count++;
}

/* A mark that may come while the transaction is committing already (invariant 2). */
static void
mark_slot(cx_slot slot, bool late)
{
	if (phase == PHASE_COMMITTING)
	{
		make_room(1);
		cx_clock_writers_add(slot);
		note_slot(slot, late);
	}
	else if (phase == PHASE_PREPARING)
		cx_prepared_store(GetTopTransactionId(), &slot, 1);
}

/* Lists the slots of all marks, raising nothing yet. */
static void
list_slots(void)
{
	tables_iterator table_at;
	keys_iterator key_at;
	objects_iterator object_at;
	table_mark *table;
	key_mark   *key;
	object_mark *object;

	if (!any_mark)
		return;
	make_room((tables ? (int) tables->members * 2 : 0) + (keys ? (int) keys->members : 0) +
			  (objects ? (int) objects->members : 0) + 1);

	if (database_marked)
		note_slot(slot_of(CX_TAG_DATABASE, InvalidOid, 0, 0), true);
	if (objects != NULL)
	{
		objects_start_iterate(objects, &object_at);
		while ((object = objects_iterate(objects, &object_at)) != NULL)
			note_slot(object->slot, true);
	}
	if (tables != NULL)
	{
		tables_start_iterate(tables, &table_at);
		while ((table = tables_iterate(tables, &table_at)) != NULL)
		{
			if (table->rows)
				note_slot(slot_of(CX_TAG_TABLE, table->table, 0, 0), false);
			if (table->definition)
				note_slot(slot_of(CX_TAG_DEFINITION, table->table, 0, 0), true);
		}
	}
	if (keys != NULL)
	{
		keys_start_iterate(keys, &key_at);
		while ((key = keys_iterate(keys, &key_at)) != NULL)
			note_slot(slot_of(CX_TAG_KEY, key->value.table, (AttrNumber) key->value.column,
							  key->value.value_hash), false);
	}
}

/* Rule 2. */
static void
begin_commit(void)
{
	if (any_mark)
		CX_STOP(CX_STOP_WRITER_PRE_COMMIT);

	/* Without a transaction ID nothing was written; whoever still writes has to mark again. */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		list_slots();
	else
		forget_marks();

	phase = PHASE_COMMITTING;
	for (int i = 0; i < slot_count; i++)
		cx_clock_writers_add(slots[i].slot);

	if (slot_count > 0)
		CX_STOP(CX_STOP_WRITER_COMMITTING);
}

/* Rule 3, for the slots that are late or those that are not. */
static void
publish(bool late)
{
	XLogRecPtr	commit_end = XactLastCommitEnd;

	for (int i = 0; i < slot_count; i++)
	{
		if (slots[i].late != late)
			continue;
		cx_clock_raise(slots[i].slot, commit_end);
		CX_STOP(CX_STOP_WRITER_RAISED);
		cx_clock_writers_remove(slots[i].slot);
	}
}

static void
end_commit(void)
{
	bool		any_late = false;

	if (slot_count > 0)
		CX_STOP(CX_STOP_WRITER_VISIBLE);

	publish(false);
	for (int i = 0; i < slot_count; i++)
		any_late |= slots[i].late;

	if (any_late)
		phase = PHASE_LATE;
	else
		forget_all();
}

/* Invariant 5. */
static void
abandon(void)
{
	if (phase == PHASE_COMMITTING)
		for (int i = 0; i < slot_count; i++)
			cx_clock_writers_remove(slots[i].slot);
	forget_all();
}

/*
 * Rule 9: the set goes to shared memory before the prepare record is written.  An empty one too: a
 * transaction without a set is taken for one from before the start.
 */
static void
begin_prepare(void)
{
	cx_slot    *plain;

	if (any_mark)
		CX_STOP(CX_STOP_WRITER_PRE_COMMIT);

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		list_slots();
	else
		forget_marks();
	plain = palloc(sizeof(cx_slot) * Max(slot_count, 1));
	for (int i = 0; i < slot_count; i++)
		plain[i] = slots[i].slot;

	/* PREPARE gives a transaction ID to those that have none a little later */
	cx_prepared_store(GetTopTransactionId(), plain, slot_count);
	pfree(plain);
	phase = PHASE_PREPARING;
}

static void
on_transaction_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			begin_commit();
			break;
		case XACT_EVENT_COMMIT:
			end_commit();
			break;
		case XACT_EVENT_ABORT:
			cx_prepared_abandon();
			abandon();
			break;
		case XACT_EVENT_PRE_PREPARE:
			begin_prepare();
			break;
		case XACT_EVENT_PREPARE:
			cx_prepared_stored();
			forget_all();
			break;
		default:
			break;				/* parallel workers change nothing */
	}
}

/* Between AtEOXact_Inval and the client's answer: the place for the late slots (invariant 4). */
static void
on_resource_release(ResourceReleasePhase release_phase, bool is_commit, bool is_top_level,
					void *arg)
{
	if (release_phase == RESOURCE_RELEASE_BEFORE_LOCKS && is_commit && is_top_level &&
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		CX_STOP(CX_STOP_WRITER_UNSENT);
	if (phase != PHASE_LATE || release_phase != RESOURCE_RELEASE_LOCKS || !is_top_level)
		return;
	CX_STOP(CX_STOP_WRITER_LATE);
	publish(true);
	forget_all();
}

void
cx_dirty_init(void)
{
	RegisterXactCallback(on_transaction_event, NULL);
	RegisterResourceReleaseCallback(on_resource_release, NULL);
}

/*
 * Marks
 */

static table_mark *
table_entry(Oid table, bool *found)
{
	table_mark *entry;

	if (tables == NULL)
		tables = tables_create(TopTransactionContext, 8, NULL);
	entry = tables_insert(tables, table, found);
	if (!*found)
	{
		entry->rows = false;
		entry->definition = false;
		entry->retractable = true;
	}
	any_mark = true;
	return entry;
}

void
cx_dirty_mark_table(Oid table, bool retractable)
{
	bool		found;
	table_mark *entry = table_entry(table, &found);

	entry->retractable &= retractable;
	if (!entry->rows)
	{
		entry->rows = true;
		mark_slot(slot_of(CX_TAG_TABLE, table, 0, 0), false);
	}
}

void
cx_dirty_mark_definition(Oid relation)
{
	bool		found;
	table_mark *entry = table_entry(relation, &found);

	if (!entry->definition)
	{
		entry->definition = true;
		mark_slot(slot_of(CX_TAG_DEFINITION, relation, 0, 0), true);
	}
}

/* Past the limit, D of each table stands for all its keys, those to come included. */
static void
collapse_keys(void)
{
	keys_iterator at;
	key_mark   *key;

	keys_collapsed = true;
	keys_start_iterate(keys, &at);
	while ((key = keys_iterate(keys, &at)) != NULL)
		cx_dirty_mark_definition(key->value.table);

	/* what is raised already stays raised: slots[] knows it */
	keys_destroy(keys);
	keys = NULL;
}

void
cx_dirty_mark_key(Oid table, AttrNumber column, uint32 value_hash)
{
	key_value	value = {table, (uint32) (uint16) column, value_hash};
	bool		found;

	if (keys_collapsed)
	{
		cx_dirty_mark_definition(table);
		return;
	}
	if (keys == NULL)
		keys = keys_create(TopTransactionContext, 8, NULL);
	keys_insert(keys, value, &found);
	any_mark = true;
	if (!found)
	{
		mark_slot(slot_of(CX_TAG_KEY, table, column, value_hash), false);
		if (keys->members > (uint32) cx_max_dirty_keys)
			collapse_keys();
	}
}

void
cx_dirty_mark_database(void)
{
	any_mark = true;
	if (!database_marked)
	{
		database_marked = true;
		mark_slot(slot_of(CX_TAG_DATABASE, InvalidOid, 0, 0), true);
	}
}

static void
mark_object(const cx_tag *tag)
{
	object_name name = {(uint32) tag->kind, tag->value_hash, tag->relation};
	object_mark *mark;
	bool		found;

	if (objects == NULL)
		objects = objects_create(TopTransactionContext, 8, NULL);
	mark = objects_insert(objects, name, &found);
	any_mark = true;
	if (!found)
	{
		mark->slot = cx_clock_slot(tag);
		mark_slot(mark->slot, true);
	}
}

void
cx_dirty_mark_object(Oid catalog, Oid object)
{
	cx_tag		tag = {CX_TAG_OBJECT, object, 0, catalog};

	mark_object(&tag);
}

void
cx_dirty_mark_role(Oid role)
{
	cx_tag		tag = {CX_TAG_ROLE, role};

	mark_object(&tag);
}

void
cx_dirty_mark_new_database(Oid database)
{
	cx_tag		named = {CX_TAG_DATABASE, database};
	cx_tag		tag = {CX_TAG_DATABASE};

	/* readers there know the tag without a name; here it tells one database from another */
	named.spread = cx_tag_spread_of(&tag, database);
	mark_object(&named);
}

bool
cx_dirty_any(void)
{
	return any_mark;
}

bool
cx_dirty_names(const cx_tag *tag)
{
	if (!any_mark)
		return false;
	if (database_marked)
		return true;			/* every entry depends on it */
	switch (tag->kind)
	{
		case CX_TAG_DATABASE:
			return false;
		case CX_TAG_OBJECT:
		case CX_TAG_ROLE:
			{
				object_name name = {(uint32) tag->kind, tag->value_hash, tag->relation};

				return objects != NULL && objects_lookup(objects, name) != NULL;
			}
		default:
			return tables != NULL && tables_lookup(tables, tag->relation) != NULL;
	}
}

static bool
is_among(cx_slot slot, const cx_slot *slots, int count)
{
	for (int i = 0; i < count; i++)
		if (slots[i] == slot)
			return true;
	return false;
}

bool
cx_dirty_touches(const cx_slot *entry_slots, int count)
{
	tables_iterator at;
	objects_iterator object_at;
	const table_mark *entry;
	const object_mark *object;

	if (!any_mark)
		return false;
	if (database_marked)
		return true;			/* every entry depends on it */
	if (objects != NULL)
	{
		objects_start_iterate(objects, &object_at);
		while ((object = objects_iterate(objects, &object_at)) != NULL)
			if (is_among(object->slot, entry_slots, count))
				return true;
	}
	if (tables == NULL)
		return false;

	/*
	 * A transaction's marks of a table's keys say nothing here: rows are written before the triggers
	 * that mark their keys run, and the table itself was marked before both.
	 */
	tables_start_iterate(tables, &at);
	while ((entry = tables_iterate(tables, &at)) != NULL)
		if (is_among(slot_of(CX_TAG_TABLE, entry->table, 0, 0), entry_slots, count) ||
			is_among(slot_of(CX_TAG_DEFINITION, entry->table, 0, 0), entry_slots, count))
			return true;
	return false;
}

void
cx_dirty_retract_unchanged(bool (*changed) (Oid table, void *arg), void *arg)
{
	tables_iterator at;
	table_mark *entry;

	if (tables == NULL)
		return;
	tables_start_iterate(tables, &at);
	while ((entry = tables_iterate(tables, &at)) != NULL)
		if (entry->rows && entry->retractable && !changed(entry->table, arg))
			entry->rows = false;
}
