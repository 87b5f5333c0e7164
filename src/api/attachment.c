/*
 * api/attachment.c
 *		The attachments of a table: one Redis key for each of its rows.
 *
 * Invariants:
 * 1. What an attachment means is a function of its trigger's arguments and of the relation's
 *	  descriptor; it is looked up again after each change of the relation.
 * 2. Rows of one table that have the same key are the same row: a unique index that is neither
 *	  partial nor deferrable covers columns of the template that can't be NULL.  Where that doesn't
 *	  hold any more, or a column is gone, the attachment has a problem, and who would send a row
 *	  sweeps instead.
 * 3. Whatever becomes of the definition, the pattern of its keys can be told from the arguments
 *	  alone: sweeping needs nothing but the catalog's row.
 *
 * Memory: what is kept is in a context for each attachment, below kept_context; one that is replaced
 * lives until the end of the transaction, since its user may still be at work.  No locks.
 */
#include "postgres.h"

#include "api/application.h"
#include "api/attachment.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "core/dirty.h"
#include "core/era.h"
#include "query/relation_facts.h"
#include "query/tracked.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define FIXED_ARGUMENTS 4

typedef struct kept_attachment
{
	Oid			trigger;		/* hash key */
	cx_attachment *attachment;
	MemoryContext context;
	const char *prefix;			/* key_prefix when it was made */
	bool		stale;
} kept_attachment;

static HTAB *kept = NULL;
static MemoryContext kept_context = NULL;

static bool
is_complete(const Trigger *trigger)
{
	return trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT |
							TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE) &&
		trigger->tgenabled == TRIGGER_FIRES_ALWAYS && trigger->tgnattr == 0 &&
		trigger->tgqual == NULL && !trigger->tgdeferrable;
}

/*
 * From arguments
 */

/* "{key_prefix}:{database}:row:", or the glob that matches it. */
static void
append_prefix(StringInfo out, bool glob)
{
	cx_name		prefix = cx_application_prefix(CX_KIND_ROW);

	if (glob)
		cx_key_template_quote_glob(prefix.data, prefix.length, out);
	else
		appendBinaryStringInfo(out, prefix.data, prefix.length);
	pfree(prefix.data);
}

static const char *
parse_definition(cx_attachment *attachment, int count, char *const *arguments)
{
	const char *problem;
	StringInfoData pattern;
	char	   *end;

	if (count < FIXED_ARGUMENTS)
		return "arguments are missing";
	attachment->key = pstrdup(arguments[0]);
	attachment->template = cx_key_template_parse(arguments[0], &problem);
	if (attachment->template == NULL)
		return problem;
	attachment->write_through = strcmp(arguments[1], "write_through") == 0;
	if (!attachment->write_through && strcmp(arguments[1], "invalidate") != 0)
		return "its mode is unknown";
	attachment->abort = strcmp(arguments[2], "abort") == 0;
	if (!attachment->abort && strcmp(arguments[2], "proceed") != 0)
		return "what to do when Redis is down is unknown";
	errno = 0;
	attachment->ttl_ms = strtoi64(arguments[3], &end, 10);
	if (errno != 0 || *end != '\0' || attachment->ttl_ms <= 0)
		return "its TTL is out of range";
	for (int i = FIXED_ARGUMENTS; i < count; i++)
		attachment->columns = lappend(attachment->columns, pstrdup(arguments[i]));

	initStringInfo(&pattern);
	append_prefix(&pattern, true);
	cx_key_template_pattern(attachment->template, &pattern);
	attachment->target.pattern = pattern.data;
	attachment->target.pattern_length = pattern.len;
	attachment->target.ttl_ms = attachment->ttl_ms;
	attachment->target.fence = attachment->abort;
	return NULL;
}

/*
 * In a relation
 */

/* Is the column part of the key, and never NULL? */
static bool
is_sure_key(const cx_attachment *attachment, TupleDesc desc, AttrNumber column)
{
	if (column <= 0 || !TupleDescAttr(desc, column - 1)->attnotnull)
		return false;
	for (int i = 0; i < attachment->key_count; i++)
		if (attachment->keys[i] == column)
			return true;
	return false;
}

static bool
index_determines(const cx_attachment *attachment, TupleDesc desc, Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	bool		determines;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	determines = form->indisunique && form->indimmediate && form->indisvalid &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
	for (int i = 0; i < form->indnkeyatts && determines; i++)
		determines = is_sure_key(attachment, desc, form->indkey.values[i]);
	ReleaseSysCache(tuple);
	return determines;
}

static bool
key_is_unique(const cx_attachment *attachment, Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *lc;
	bool		unique = false;

	foreach(lc, indexes)
		unique = unique || index_determines(attachment, RelationGetDescr(relation),
											lfirst_oid(lc));
	list_free(indexes);
	return unique;
}

static AttrNumber
column_number(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute->attnum;
	}
	return InvalidAttrNumber;
}

static const char *
bind_to_relation(cx_attachment *attachment, Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	AttrNumber	refused;
	const char *reason;
	ListCell   *lc;

	attachment->key_count = cx_key_template_column_count(attachment->template);
	for (int i = 0; i < attachment->key_count; i++)
	{
		const char *name = cx_key_template_column(attachment->template, i);
		AttrNumber	column = column_number(desc, name);

		if (column == InvalidAttrNumber)
			return psprintf("column \"%s\" of the key does not exist", name);
		attachment->keys[i] = column;
		attachment->key_types[i] = getBaseType(TupleDescAttr(desc, column - 1)->atttypid);
		if (!cx_key_template_type(attachment->key_types[i]))
			return psprintf("column \"%s\" of type %s cannot be part of a key", name,
							format_type_be(attachment->key_types[i]));
	}
	attachment->ambiguous = !key_is_unique(attachment, relation);
	if (attachment->ambiguous)
		return "no unique index makes sure that two rows never have the same key";

	foreach(lc, attachment->columns)
		if (column_number(desc, lfirst(lc)) == InvalidAttrNumber)
			return psprintf("column \"%s\" does not exist", (char *) lfirst(lc));
	attachment->codec = cx_entity_codec_create(desc, attachment->columns, &refused, &reason);
	attachment->unmappable = attachment->codec == NULL && attachment->write_through;
	if (attachment->unmappable)
		return psprintf("column \"%s\" cannot be part of the map: %s",
						NameStr(TupleDescAttr(desc, refused - 1)->attname), reason);
	return NULL;
}

cx_attachment *
cx_attachment_define(Relation relation, int argument_count, char *const *arguments,
					 const char **problem)
{
	cx_attachment *attachment = palloc0(sizeof(cx_attachment));

	attachment->relation = RelationGetRelid(relation);
	*problem = parse_definition(attachment, argument_count, arguments);
	if (*problem != NULL)
		return NULL;
	attachment->problem = bind_to_relation(attachment, relation);
	return attachment;
}

/*
 * Keeping them
 */

static kept_attachment *
keep(Relation relation, const Trigger *trigger)
{
	bool		found;
	kept_attachment *entry;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext attachment",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const char *prefix = pstrdup(cx_key_prefix);
	const char *problem;
	cx_attachment *attachment = cx_attachment_define(relation, trigger->tgnargs, trigger->tgargs,
													 &problem);

	MemoryContextSwitchTo(old);
	if (attachment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" is not one that cache_ext.attach() created: %s",
						trigger->tgname, problem)));
	attachment->trigger = trigger->tgoid;
	attachment->complete = is_complete(trigger);
	entry = hash_search(kept, &trigger->tgoid, HASH_ENTER, &found);
	MemoryContextSetParent(context, kept_context);
	entry->attachment = attachment;
	entry->context = context;
	entry->prefix = prefix;
	entry->stale = false;
	return entry;
}

const cx_attachment *
cx_attachment_get(Relation relation, const Trigger *trigger)
{
	kept_attachment *entry;

	if (kept == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(kept_attachment)};

		if (kept_context == NULL)
			kept_context = AllocSetContextCreate(CacheMemoryContext, "cache_ext attachments",
												 ALLOCSET_DEFAULT_SIZES);
		info.hcxt = kept_context;
		kept = hash_create("cache_ext attachments", 16, &info,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(kept, &trigger->tgoid, HASH_FIND, NULL);
	if (entry != NULL && (entry->stale || strcmp(entry->prefix, cx_key_prefix) != 0))
	{
		MemoryContextSetParent(entry->context, TopTransactionContext);
		hash_search(kept, &trigger->tgoid, HASH_REMOVE, NULL);
		entry = NULL;
	}
	if (entry == NULL)
		entry = keep(relation, trigger);
	return entry->attachment;
}

static void
forget(Oid relation)
{
	HASH_SEQ_STATUS at;
	kept_attachment *entry;

	if (kept == NULL)
		return;
	hash_seq_init(&at, kept);
	while ((entry = hash_seq_search(&at)) != NULL)
		if (!OidIsValid(relation) || entry->attachment->relation == relation)
			entry->stale = true;
}

static void
relation_changed(Datum arg, Oid relation)
{
	forget(relation);
}

static void
catalog_changed(Datum arg, int cache, uint32 hash)
{
	forget(InvalidOid);
}

void
cx_attachment_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, catalog_changed, (Datum) 0);
}

List *
cx_attachments_of(Relation relation)
{
	List	   *attachments = NIL;

	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (trigger->tgfoid == cx_tracked_entity_function())
			attachments = lappend(attachments, (void *) cx_attachment_get(relation, trigger));
	}
	return attachments;
}

/*
 * Keys
 */

bool
cx_attachment_key_of(const cx_attachment *attachment, const Datum *values, StringInfo out)
{
	int			start = out->len;

	append_prefix(out, false);
	return cx_key_template_render(attachment->template, attachment->key_types, values, out) &&
		out->len - start <= CX_OUTBOX_MAX_KEY;
}

bool
cx_attachment_key(const cx_attachment *attachment, TupleTableSlot *slot, StringInfo out)
{
	Datum		values[CX_TEMPLATE_MAX_COLUMNS];
	bool		isnull;

	for (int i = 0; i < attachment->key_count; i++)
	{
		values[i] = slot_getattr(slot, attachment->keys[i], &isnull);
		if (isnull)
			return false;
	}
	return cx_attachment_key_of(attachment, values, out);
}

/*
 * From the catalog alone
 */

/* The arguments of a row of pg_trigger; zero-terminated texts in a row. */
static char **
trigger_arguments(Relation triggers, HeapTuple tuple, int *count)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, Anum_pg_trigger_tgargs, RelationGetDescr(triggers),
									 &isnull);
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(datum);
	const char *at = VARDATA_ANY(bytes);
	char	  **arguments;

	*count = ((Form_pg_trigger) GETSTRUCT(tuple))->tgnargs;
	arguments = palloc(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		arguments[i] = pstrdup(at);
		at += strlen(at) + 1;
	}
	return arguments;
}

/* Calls a function for the type of each column, until one returns true. */
static bool
any_column(Oid relation, bool (*test) (Oid type, Oid wanted), Oid wanted)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(attributes, AttributeRelidNumIndexId, true, SnapshotSelf, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);

		found = form->attnum > 0 && !form->attisdropped && test(form->atttypid, wanted);
	}
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return found;
}

/* Calls a function for each type that values of a type are made of, until one returns true. */
static bool
any_part(Oid type, bool (*test) (Oid type, Oid wanted), Oid wanted)
{
	Oid			element = get_element_type(type);

	check_stack_depth();
	if (OidIsValid(element))
		return test(element, wanted);
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return test(getBaseType(type), wanted);
		case TYPTYPE_RANGE:
			return test(get_range_subtype(type), wanted);
		case TYPTYPE_MULTIRANGE:
			return test(get_multirange_range(type), wanted);
		case TYPTYPE_COMPOSITE:
			return any_column(get_typ_typrelid(type), test, wanted);
		default:
			return false;
	}
}

static bool
reaches_type(Oid type, Oid wanted)
{
	return type == wanted || any_part(type, reaches_type, wanted);
}

/*
 * ALTER TYPE looks for the tables with such columns; one that doesn't see this table yet has ended after
 * this.  It locks enums and the relations of composite types against us until then.
 */
static bool
lock_type(Oid type, Oid unused)
{
	if (type >= FirstNormalObjectId && get_typtype(type) == TYPTYPE_ENUM)
		LockDatabaseObject(TypeRelationId, type, 0, RowShareLock);
	else if (type >= FirstNormalObjectId && get_typtype(type) == TYPTYPE_COMPOSITE)
		LockRelationOid(get_typ_typrelid(type), AccessShareLock);
	return any_part(type, lock_type, unused);
}

/* False if the relation has no attachments. */
static bool
sweep(Oid relation)
{
	Oid			ours = cx_tracked_entity_function();
	Relation	triggers;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (!OidIsValid(ours))
		return false;
	triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, SnapshotSelf, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		cx_attachment attachment = {0};
		char	  **arguments;
		int			count;

		if (((Form_pg_trigger) GETSTRUCT(tuple))->tgfoid != ours)
			continue;
		found = true;
		arguments = trigger_arguments(triggers, tuple, &count);
		if (parse_definition(&attachment, count, arguments) == NULL)
			cx_outbox_sweep(&attachment.target);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return found;
}

void
cx_attachment_sweep(Oid relation)
{
	if (sweep(relation))
		(void) any_column(relation, lock_type, InvalidOid);
}

void
cx_attachment_sweep_type(Oid type)
{
	Oid			ours = cx_tracked_entity_function();
	Relation	triggers;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *relations = NIL;
	ListCell   *lc;

	if (!OidIsValid(ours))
		return;
	triggers = table_open(TriggerRelationId, AccessShareLock);
	scan = systable_beginscan(triggers, InvalidOid, false, SnapshotSelf, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (((Form_pg_trigger) GETSTRUCT(tuple))->tgfoid == ours)
			relations = list_append_unique_oid(relations,
											   ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid);
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);

	foreach(lc, relations)
	{
		Oid			relation = lfirst_oid(lc);

		if (!any_column(relation, reaches_type, type))
			continue;
		(void) sweep(relation);
		/* row() asks this clock */
		cx_dirty_mark_definition(relation);
		cx_dirty_mark_definition(cx_tracked_root(relation));
	}
}

static void
sweep_prefix(cx_name prefix)
{
	StringInfoData pattern;
	cx_outbox_target target = {0};

	initStringInfo(&pattern);
	cx_key_template_quote_glob(prefix.data, prefix.length, &pattern);
	appendStringInfoChar(&pattern, '*');
	target.pattern = pattern.data;
	target.pattern_length = pattern.len;
	cx_outbox_sweep(&target);
	pfree(pattern.data);
}

/* Whether the extension is installed there can't be told from here. */
void
cx_attachment_sweep_other_database(const char *database)
{
	if (cx_era_in_use())
		sweep_prefix(cx_application_prefix_of(database, CX_KIND_ROW));
}

void
cx_attachment_each(bool (*each) (Oid relation, const char *key, void *arg), void *arg)
{
	Oid			ours = cx_tracked_entity_function();
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(triggers, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		char	  **arguments;
		int			count;

		if (form->tgfoid != ours || OidIsValid(form->tgparentid))
			continue;
		arguments = trigger_arguments(triggers, tuple, &count);
		if (count > 0 && !each(form->tgrelid, arguments[0], arg))
			break;
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
}
