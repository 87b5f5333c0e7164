/*
 * query/tracked.c
 *		Is a relation tracked, and what does a change of it touch?
 *
 * Invariants:
 * 1. An answer is a function of the catalogs alone, so that the session that writes and the one
 *    that reads name the same root and the same columns.  Therefore a partition being detached
 *    concurrently belongs to its tree until that is final: only then no writer can be under way
 *    that still takes it for a member.
 * 2. An answer depends on the facts of every relation of the partition tree, or of the
 *    inheritance descendants.  They are its home's "watched" entries; each of them lists in
 *    "watchers" the homes to tell.
 * 3. The invalidation callbacks only set flags.  Entries are changed and freed inside a lookup.
 * 4. A suspect leaf whose facts are read again and did not change leaves its tree as it was:
 *    autovacuum's invalidations must not cost a look at every partition.
 *
 * No locks: a descriptor is copied in one go, without a call that could let it be rebuilt.  A lock
 * that is released right away would prove no more, but could wait behind somebody's ALTER TABLE on a
 * partition that the caller has nothing to do with.
 *
 * Memory: everything is in cache_context, which is thrown away whole when it grew too large.
 */
#include "postgres.h"

#include "query/tracked.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#define MAX_ENTRIES 20000
#define MAX_ATTEMPTS 3

#define STATEMENT_TYPE \
	(TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE | \
	 TRIGGER_TYPE_TRUNCATE)
#define SUBSCRIBED_TYPE \
	(TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | \
	 TRIGGER_TYPE_DELETE)
#define ROW_TYPE \
	(TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

/* What the catalogs say of one relation by itself.  Compared with memcmp: zeroed before use. */
typedef struct relation_facts
{
	char		kind;			/* 0: there is no such relation */
	char		persistence;
	bool		partition;
	bool		may_have_children;
	bool		catalog;
	bool		heap;			/* rows in a heap of its own */
	bool		triggered;		/* at least one of our triggers, in whatever state */
	bool		statement_complete;
	bool		subscribed_complete;
	bool		subscribed;		/* named by pg_subscription_rel */
	bool		keys_broken;	/* a row trigger is not complete, or names what is no key column */

	/* columns named by a complete row trigger, as far as they exist and can be hashed */
	int			key_count;
	AttrNumber	key_columns[CX_MAX_KEY_COLUMNS];
	Oid			key_types[CX_MAX_KEY_COLUMNS];
	Oid			key_collations[CX_MAX_KEY_COLUMNS];
	NameData	key_names[CX_MAX_KEY_COLUMNS];
} relation_facts;

typedef struct relation_entry
{
	Oid			relation;		/* hash key */
	relation_facts facts;
	bool		suspect;		/* facts may have changed since they were read */
	List	   *watchers;		/* relation_entry *: homes whose answers depend on the facts */

	/* the answer, which holds while home is clean; home is NULL where there is none */
	struct relation_entry *home;
	cx_tracked	answer;
	Oid			parent;			/* the partitioned table right above, or InvalidOid */
	List	   *below;			/* OIDs of partitions or inheritance descendants, at any depth */

	/* of a home: the root of a partition tree, or any other relation */
	bool		clean;			/* no watched entry is suspect */
	bool		stale;			/* answers must be built again */
	List	   *watched;		/* relation_entry * */
} relation_entry;

/* What build_member() found out about a relation and all below it. */
typedef struct subtree
{
	relation_entry *entry;
	const char *why_not;
	bool		heap;
	bool		keys_broken;
	relation_facts common;		/* only the keys: those that all members have */
} subtree;

static HTAB *relations = NULL;
static MemoryContext cache_context = NULL;
static bool forget_everything = false;
static uint64 invalidations = 0;

static uint64 function_changes = 1;
static uint64 functions_known_at = 0;
static Oid	schema = InvalidOid;
static Oid	statement_function = InvalidOid;
static Oid	row_function = InvalidOid;

/*
 * Our trigger functions
 */

static Oid
trigger_function(const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)), ObjectIdGetDatum(schema));
}

static void
learn_functions(void)
{
	uint64		changes = function_changes;
	Oid			old_statement = statement_function;
	Oid			old_row = row_function;

	statement_function = InvalidOid;
	row_function = InvalidOid;
	schema = InvalidOid;
	if (OidIsValid(get_extension_oid("cache_ext", true)))
		schema = get_namespace_oid("cache_ext", true);
	if (OidIsValid(schema))
	{
		statement_function = trigger_function("track_statement");
		row_function = trigger_function("track_row");
	}
	if (statement_function != old_statement || row_function != old_row)
		forget_everything = true;
	functions_known_at = changes;
}

static inline void
know_functions(void)
{
	if (functions_known_at != function_changes)
		learn_functions();
}

Oid
cx_tracked_statement_function(void)
{
	know_functions();
	return statement_function;
}

Oid
cx_tracked_row_function(void)
{
	know_functions();
	return row_function;
}

Oid
cx_tracked_schema(void)
{
	know_functions();
	return schema;
}

/*
 * The facts of one relation
 */

bool
cx_tracked_hashable(Oid type)
{
	char		typtype = get_typtype(type);

	/*
	 * Whether a container can be hashed depends on what it contains and can change under ALTER TYPE,
	 * when a trigger could only fail.
	 */
	if ((typtype != TYPTYPE_BASE && typtype != TYPTYPE_ENUM) || type_is_array(type))
		return false;
	return OidIsValid(lookup_type_cache(type, TYPECACHE_HASH_PROC)->hash_proc);
}

/* Would this trigger fire on every such event, in every session, unconditionally? */
static bool
fires_always(const Trigger *trigger, int16 type)
{
	return trigger->tgtype == type &&
		trigger->tgenabled == TRIGGER_FIRES_ALWAYS &&
		trigger->tgqual == NULL &&
		trigger->tgnattr == 0 &&
		!trigger->tgdeferrable;
}

/* The columns that a row trigger's arguments name. */
static void
read_key_columns(Relation relation, const Trigger *trigger, relation_facts *facts)
{
	TupleDesc	desc = RelationGetDescr(relation);

	facts->key_count = 0;
	facts->keys_broken |= trigger->tgnargs > CX_MAX_KEY_COLUMNS;
	for (int arg = 0; arg < Min(trigger->tgnargs, CX_MAX_KEY_COLUMNS); arg++)
	{
		int			before = facts->key_count;

		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(desc, i);
			int			key = facts->key_count;

			if (attribute->attisdropped ||
				strcmp(NameStr(attribute->attname), trigger->tgargs[arg]) != 0)
				continue;
			facts->key_columns[key] = attribute->attnum;
			facts->key_types[key] = attribute->atttypid;
			facts->key_collations[key] = attribute->attcollation;
			namestrcpy(&facts->key_names[key], trigger->tgargs[arg]);
			facts->key_count++;
			break;
		}
		facts->keys_broken |= facts->key_count == before;
	}
}

static void
read_triggers(Relation relation, relation_facts *facts)
{
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgfoid == statement_function && OidIsValid(statement_function))
		{
			facts->triggered = true;
			if (fires_always(trigger, STATEMENT_TYPE))
				facts->statement_complete = true;
			else if (fires_always(trigger, SUBSCRIBED_TYPE))
				facts->subscribed_complete = true;
		}
		else if (trigger->tgfoid == row_function && OidIsValid(row_function))
		{
			facts->triggered = true;
			if (fires_always(trigger, ROW_TYPE))
				read_key_columns(relation, trigger, facts);
			else
				facts->keys_broken = true;
		}
	}
}

static void
drop_key(relation_facts *facts, int key)
{
	int			last = --facts->key_count;

	for (int i = key; i < last; i++)
	{
		facts->key_columns[i] = facts->key_columns[i + 1];
		facts->key_types[i] = facts->key_types[i + 1];
		facts->key_collations[i] = facts->key_collations[i + 1];
		facts->key_names[i] = facts->key_names[i + 1];
	}
	facts->key_columns[last] = InvalidAttrNumber;
	facts->key_types[last] = InvalidOid;
	facts->key_collations[last] = InvalidOid;
	memset(&facts->key_names[last], 0, sizeof(NameData));
}

bool
cx_tracked_subscribed(Oid relation)
{
	CatCList   *list = SearchSysCacheList1(SUBSCRIPTIONRELMAP, ObjectIdGetDatum(relation));
	bool		found = list->n_members > 0;

	ReleaseSysCacheList(list);
	return found;
}

static void
read_facts(Oid relid, relation_facts *facts)
{
	Relation	relation;
	Form_pg_class form;

	memset(facts, 0, sizeof(*facts));
	relation = RelationIdGetRelation(relid);
	if (!RelationIsValid(relation))
		return;

	/* up to RelationClose() nothing may read a catalog: see above */
	form = relation->rd_rel;
	facts->kind = form->relkind;
	facts->persistence = form->relpersistence;
	facts->partition = form->relispartition;
	facts->may_have_children = form->relhassubclass;
	facts->catalog = IsSystemRelation(relation);
	facts->heap = RELKIND_HAS_TABLE_AM(form->relkind) && form->relam == HEAP_TABLE_AM_OID;
	read_triggers(relation, facts);
	RelationClose(relation);

	if (facts->triggered)
		facts->subscribed = cx_tracked_subscribed(relid);
	for (int key = facts->key_count - 1; key >= 0; key--)
	{
		facts->key_types[key] = getBaseType(facts->key_types[key]);
		if (!cx_tracked_hashable(facts->key_types[key]))
		{
			drop_key(facts, key);
			facts->keys_broken = true;
		}
	}
}

/* The relation's own reason for not being tracked, whatever its relatives are; NULL for none. */
static const char *
own_problem(const relation_facts *facts, bool subscribed)
{
	switch (facts->kind)
	{
		case 0:
			return "it does not exist";
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_MATVIEW:
			break;
		case RELKIND_VIEW:
			return "it is a view";
		case RELKIND_FOREIGN_TABLE:
			return "it is a foreign table";
		default:
			return "it is not a table";
	}
	if (facts->catalog)
		return "it is a system catalog";
	if (facts->persistence == RELPERSISTENCE_TEMP)
		return "it is a temporary table";
	if (facts->kind == RELKIND_MATVIEW)
		return NULL;
	if (!OidIsValid(statement_function))
		return "extension cache_ext is not installed in this database";
	if (!facts->triggered)
		return "it is not tracked";
	if (!facts->statement_complete)
		return "a trigger of cache_ext is missing, disabled or changed";
	if (subscribed && facts->kind == RELKIND_RELATION && !facts->subscribed_complete)
		return "a subscription feeds it since it was tracked";
	return NULL;
}

/*
 * pg_inherits
 */

/* Of a partition, its parent, even while it is being detached; else InvalidOid. */
static Oid
partition_parent(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		partition;
	Relation	inherits;
	SysScanDesc scan;
	ScanKeyData key;
	Oid			parent = InvalidOid;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	partition = ((Form_pg_class) GETSTRUCT(tuple))->relispartition;
	ReleaseSysCache(tuple);
	if (!partition)
		return InvalidOid;

	inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return parent;
}

Oid
cx_tracked_root(Oid relation)
{
	Oid			parent;

	while (OidIsValid(parent = partition_parent(relation)))
		relation = parent;
	return relation;
}

static List *
children_of(Oid parent)
{
	List	   *children = NIL;
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(parent));
	scan = systable_beginscan(inherits, InheritsParentIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		children = lappend_oid(children, ((Form_pg_inherits) GETSTRUCT(tuple))->inhrelid);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return children;
}

/*
 * Entries
 */

static void
start_over(void)
{
	HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(relation_entry)};

	if (cache_context != NULL)
		MemoryContextReset(cache_context);
	else
		cache_context = AllocSetContextCreate(CacheMemoryContext, "cache_ext tracked relations",
											  ALLOCSET_DEFAULT_SIZES);
	relations = NULL;
	info.hcxt = cache_context;
	relations = hash_create("cache_ext tracked relations", 64, &info,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	forget_everything = false;
}

/*
 * Reads an entry's facts again.  Where they changed, or could have changed in what pg_inherits says,
 * all that depend on them must be built again.
 */
static void
refresh(relation_entry *entry)
{
	relation_facts facts;
	ListCell   *lc;

	entry->suspect = false;
	read_facts(entry->relation, &facts);
	if (!facts.may_have_children && memcmp(&facts, &entry->facts, sizeof(facts)) == 0)
		return;
	entry->facts = facts;
	foreach(lc, entry->watchers)
	{
		relation_entry *home = lfirst(lc);

		home->stale = true;
		home->clean = false;
	}
}

/* The entry of a relation, with its facts, on which home's answers (or its own) depend from now on. */
static relation_entry *
watch(relation_entry *home, Oid relid)
{
	bool		found;
	relation_entry *entry = hash_search(relations, &relid, HASH_ENTER, &found);

	if (!found)
	{
		memset(entry, 0, sizeof(*entry));
		entry->relation = relid;
		entry->suspect = true;
	}
	if (entry->suspect)
		refresh(entry);			/* first, so that it doesn't make stale what is being built */
	if (home == NULL)
		home = entry;
	if (!list_member_ptr(entry->watchers, home))
	{
		MemoryContext old = MemoryContextSwitchTo(cache_context);

		entry->watchers = lappend(entry->watchers, home);
		home->watched = lappend(home->watched, entry);
		MemoryContextSwitchTo(old);
	}
	return entry;
}

static void
clear_answer(relation_entry *entry)
{
	entry->home = NULL;
	entry->parent = InvalidOid;
	list_free(entry->below);
	entry->below = NIL;
	list_free(entry->answer.descendants);
	memset(&entry->answer, 0, sizeof(entry->answer));
}

/* Takes back all answers of a home. */
static void
unwatch_all(relation_entry *home)
{
	List	   *watched = home->watched;
	ListCell   *lc;

	home->watched = NIL;
	home->clean = false;
	foreach(lc, watched)
	{
		relation_entry *entry = lfirst(lc);

		entry->watchers = list_delete_ptr(entry->watchers, home);
		if (entry->home == home)
			clear_answer(entry);
		if (entry->watchers == NIL && entry->watched == NIL && entry != home)
			hash_search(relations, &entry->relation, HASH_REMOVE, NULL);
	}
	list_free(watched);
}

/*
 * Building answers
 */

static int
find_key(const relation_facts *facts, const NameData *name)
{
	for (int i = 0; i < facts->key_count; i++)
		if (strcmp(NameStr(facts->key_names[i]), NameStr(*name)) == 0)
			return i;
	return -1;
}

/* Leaves in facts only the keys that other has too. */
static void
keep_common_keys(relation_facts *facts, const relation_facts *other)
{
	for (int key = facts->key_count - 1; key >= 0; key--)
	{
		int			match = find_key(other, &facts->key_names[key]);

		if (match < 0 ||
			other->key_types[match] != facts->key_types[key] ||
			other->key_collations[match] != facts->key_collations[key])
			drop_key(facts, key);
	}
}

static void
set_keys(cx_tracked *answer, const relation_facts *facts)
{
	answer->key_count = 0;
	for (int i = 0; i < facts->key_count; i++)
	{
		cx_tracked_key *key = &answer->keys[answer->key_count];
		AttrNumber	root_column = facts->key_columns[i];

		if (answer->root != answer->relation)
			root_column = get_attnum(answer->root, NameStr(facts->key_names[i]));
		if (root_column <= 0)
			continue;
		key->column = facts->key_columns[i];
		key->root_column = root_column;
		key->type = facts->key_types[i];
		key->collation = facts->key_collations[i];
		answer->key_count++;
	}
}

/* Answers for a member of home's partition tree, or its only member, and for all below it. */
static void
build_member(relation_entry *home, Oid relid, Oid parent, const char *above, bool subscribed,
			 subtree *result)
{
	relation_entry *entry;
	const char *own;
	const char *below = NULL;
	List	   *descendants = NIL;

	check_stack_depth();
	entry = watch(home, relid);
	subscribed |= entry->facts.subscribed;
	own = own_problem(&entry->facts, subscribed);

	result->entry = entry;
	result->common = entry->facts;
	result->keys_broken = entry->facts.keys_broken;
	result->heap = entry->facts.heap || entry->facts.kind == RELKIND_PARTITIONED_TABLE;
	if (entry->facts.kind == RELKIND_PARTITIONED_TABLE)
	{
		List	   *children = children_of(relid);
		ListCell   *lc;

		foreach(lc, children)
		{
			subtree		child;

			build_member(home, lfirst_oid(lc), relid,
						 own || above ? "a partitioned table above it is not tracked" : NULL,
						 subscribed, &child);
			if (child.why_not != NULL)
				below = "a partition of it is not tracked";
			result->heap &= child.heap;
			keep_common_keys(&result->common, &child.common);
			result->keys_broken |= child.keys_broken;
			descendants = lappend_oid(descendants, lfirst_oid(lc));
			descendants = list_concat(descendants, child.entry->below);
		}
	}

	clear_answer(entry);
	entry->parent = parent;
	entry->answer.relation = relid;
	entry->answer.root = home->relation;
	entry->answer.kind = entry->facts.kind;
	entry->answer.triggered = entry->facts.triggered;
	entry->answer.why_not = own ? own : above ? above : below;
	entry->answer.tracked = entry->answer.why_not == NULL;
	set_keys(&entry->answer, &result->common);
	entry->answer.keys_broken = result->keys_broken ||
		entry->answer.key_count < entry->facts.key_count;
	result->why_not = own ? own : below;

	if (descendants != NIL)
	{
		MemoryContext old = MemoryContextSwitchTo(cache_context);

		entry->below = list_copy(descendants);
		MemoryContextSwitchTo(old);
	}
	entry->home = home;
}

/* Finds the inheritance descendants of a home that is not partitioned. */
static void
build_descendants(relation_entry *home)
{
	List	   *found = list_make1_oid(home->relation);
	MemoryContext old;

	for (int i = 0; i < list_length(found); i++)
	{
		Oid			relid = list_nth_oid(found, i);

		if (watch(home, relid)->facts.may_have_children)
			found = list_concat_unique_oid(found, children_of(relid));
	}
	found = list_delete_first(found);
	old = MemoryContextSwitchTo(cache_context);
	home->below = list_copy(found);
	home->answer.descendants = list_copy(found);
	MemoryContextSwitchTo(old);
	list_sort(home->answer.descendants, list_oid_cmp);
}

static void
build(Oid root)
{
	relation_entry *home = watch(NULL, root);
	subtree		all;
	ListCell   *lc;

	unwatch_all(home);
	home->stale = true;			/* until all is done: an error may end it half way */
	build_member(home, root, InvalidOid, NULL, false, &all);
	if (home->facts.kind != RELKIND_PARTITIONED_TABLE && home->facts.may_have_children)
		build_descendants(home);
	foreach(lc, home->watched)
	{
		relation_entry *entry = lfirst(lc);

		if (entry->home == home)
			entry->answer.counted = all.heap;
	}
	home->stale = false;
}

/* Do a home's answers still hold, after a second look at what is suspect? */
static bool
still_holds(relation_entry *home)
{
	ListCell   *lc;

	foreach(lc, home->watched)
	{
		relation_entry *entry = lfirst(lc);

		if (home->stale)
			return false;
		if (entry->suspect)
			refresh(entry);
	}
	return !home->stale;
}

static relation_entry *
find_or_build(Oid relation)
{
	relation_entry *entry = hash_search(relations, &relation, HASH_FIND, NULL);

	if (entry != NULL && entry->home != NULL && still_holds(entry->home))
		return entry;

	build(cx_tracked_root(relation));
	entry = hash_search(relations, &relation, HASH_FIND, NULL);
	return entry != NULL && entry->home != NULL ? entry : NULL;
}

/*
 * An answer put together while invalidation messages came in is right as of the call, but kept only
 * as one to look at again.
 */
static relation_entry *
look_again(Oid relation)
{
	relation_entry *entry = NULL;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "cache_ext looking at a relation",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		uint64		before;

		know_functions();
		before = invalidations;
		if (relations == NULL || forget_everything ||
			hash_get_num_entries(relations) > MAX_ENTRIES)
			start_over();
		entry = find_or_build(relation);
		if (invalidations == before)
		{
			if (entry != NULL)
				entry->home->clean = true;
			break;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return entry;
}

static inline relation_entry *
known_entry(Oid relation)
{
	relation_entry *entry;

	Assert(IsTransactionState());
	know_functions();
	if (relations == NULL || forget_everything)
		return NULL;
	entry = hash_search(relations, &relation, HASH_FIND, NULL);
	return entry != NULL && entry->home != NULL && entry->home->clean ? entry : NULL;
}

/* Sessions make any number of temporary tables: nothing is kept of them. */
static const cx_tracked *
temporary_answer(Oid relation, char kind)
{
	static cx_tracked answer;

	memset(&answer, 0, sizeof(answer));
	answer.relation = relation;
	answer.root = relation;
	answer.kind = kind;
	answer.why_not = "it is temporary";
	return &answer;
}

const cx_tracked *
cx_tracked_lookup(Oid relation)
{
	relation_entry *entry = known_entry(relation);
	HeapTuple	tuple;
	char		kind;
	char		persistence;

	if (entry != NULL)
		return &entry->answer;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	kind = ((Form_pg_class) GETSTRUCT(tuple))->relkind;
	persistence = ((Form_pg_class) GETSTRUCT(tuple))->relpersistence;
	ReleaseSysCache(tuple);
	if (persistence == RELPERSISTENCE_TEMP)
		return temporary_answer(relation, kind);

	entry = look_again(relation);
	return entry != NULL && entry->facts.kind != 0 ? &entry->answer : NULL;
}

List *
cx_tracked_members(Oid relation)
{
	relation_entry *entry = known_entry(relation);

	if (entry == NULL)
		entry = look_again(relation);
	if (entry == NULL)
		return list_make1_oid(relation);
	return lcons_oid(relation, list_copy(entry->below));
}

List *
cx_tracked_ancestors(Oid relation)
{
	List	   *ancestors = NIL;
	relation_entry *entry = known_entry(relation);

	if (entry == NULL)
		entry = look_again(relation);
	while (entry != NULL && OidIsValid(entry->parent))
	{
		ancestors = lappend_oid(ancestors, entry->parent);
		entry = hash_search(relations, &entry->parent, HASH_FIND, NULL);
	}
	return ancestors;
}

uint32
cx_tracked_hash_value(const cx_tracked_key *key, Datum value)
{
	TypeCacheEntry *type = lookup_type_cache(key->type, TYPECACHE_HASH_PROC_FINFO);

	return DatumGetUInt32(FunctionCall1Coll(&type->hash_proc_finfo, key->collation, value));
}

/*
 * Invalidation: flags only
 */

static void
relation_changed(Datum arg, Oid relid)
{
	relation_entry *entry;
	ListCell   *lc;

	invalidations++;
	if (!OidIsValid(relid))
	{
		forget_everything = true;
		return;
	}
	if (relations == NULL)
		return;
	entry = hash_search(relations, &relid, HASH_FIND, NULL);
	if (entry == NULL)
		return;
	entry->suspect = true;
	foreach(lc, entry->watchers)
		((relation_entry *) lfirst(lc))->clean = false;
}

static void
subscription_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
	forget_everything = true;
}

static void
function_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	function_changes++;
}

void
cx_tracked_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, subscription_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, function_changed, (Datum) 0);
}
