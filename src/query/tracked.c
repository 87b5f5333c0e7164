/*
 * query/tracked.c
 *		Is a relation tracked, and what does a change of it touch?
 *
 * Invariants:
 * 1. An answer is a function of the catalogs alone, so that the session that writes and the one
 *    that reads name the same root and the same columns.  Therefore a partition being detached
 *    concurrently belongs to its tree until that is final: only then no writer can be under way
 *    that still takes it for a member.
 * 2. An answer depends on the facts of every relation of the partition tree, or of the inheritance
 *    parents and descendants.  They are its home's "watched" entries; each of them lists in
 *    "watchers" the homes to tell.
 * 3. The invalidation callbacks only set flags.  Entries are changed and freed inside a lookup.
 * 4. A suspect leaf whose facts are read again and did not change leaves its tree as it was:
 *    autovacuum's invalidations must not cost a look at every partition.
 *
 * No locks (query/relation_facts.h).  Memory: everything is in cache_context, which is thrown away
 * whole when it grew too large.
 */
#include "postgres.h"

#include "query/relation_facts.h"
#include "query/tracked.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#define MAX_ENTRIES 20000
#define MAX_ATTEMPTS 3

typedef struct relation_entry
{
	Oid			relation;		/* hash key */
	relation_facts facts;
	uint64		changes;		/* invalidations of the relation */
	uint64		known_at;		/* changes when the facts were read */
	List	   *watchers;		/* relation_entry *: homes whose answers depend on the facts */

	/* the answer, which holds while home is clean; home is NULL where there is none */
	struct relation_entry *home;
	cx_tracked	answer;
	Oid			parent;			/* the partitioned table right above, or InvalidOid */
	List	   *above;			/* OIDs of inheritance ancestors, as far as they were looked at */
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
static uint64 facts_generation = 0;

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

static inline bool
is_suspect(const relation_entry *entry)
{
	return entry->known_at != entry->changes;
}

/*
 * Reads an entry's facts again.  Where they changed, or could have changed in what pg_inherits says,
 * all that depend on them must be built again.
 */
static void
refresh(relation_entry *entry)
{
	uint64		changes = entry->changes;
	relation_facts facts;
	ListCell   *lc;

	cx_relation_facts_read(entry->relation, &facts);
	entry->known_at = changes;
	if (!facts.may_have_children && !facts.inherits &&
		memcmp(&facts, &entry->facts, sizeof(facts)) == 0)
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
		entry->changes = 1;
	}
	if (is_suspect(entry))
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
	list_free(entry->above);
	entry->above = NIL;
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
	own = cx_relation_facts_problem(&entry->facts, subscribed);

	result->entry = entry;
	result->common = entry->facts;
	result->keys_broken = entry->facts.keys_broken;
	result->heap = entry->facts.heap || entry->facts.kind == RELKIND_PARTITIONED_TABLE;
	if (entry->facts.kind == RELKIND_PARTITIONED_TABLE)
	{
		List	   *children = cx_relation_children(relid);
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
			cx_relation_facts_common_keys(&result->common, &child.common);
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

/*
 * Inheritance parents: a statement on one of them changes rows of its descendants, and only its own
 * statement triggers fire.
 */
static void
build_parents(relation_entry *home)
{
	List	   *found = list_make1_oid(home->relation);
	MemoryContext old;

	for (int i = 0; i < list_length(found); i++)
	{
		const relation_facts *facts = &watch(home, list_nth_oid(found, i))->facts;

		if (i > 0 && cx_relation_facts_problem(facts, false) != NULL)
		{
			home->answer.tracked = false;
			home->answer.why_not = "a table it inherits from is not tracked";
			break;
		}
		if (facts->inherits)
			found = list_concat_unique_oid(found, cx_relation_parents(list_nth_oid(found, i)));
	}
	found = list_delete_first(found);
	old = MemoryContextSwitchTo(cache_context);
	home->above = list_copy(found);
	MemoryContextSwitchTo(old);
}

static void
build_descendants(relation_entry *home)
{
	List	   *found = list_make1_oid(home->relation);
	MemoryContext old;

	for (int i = 0; i < list_length(found); i++)
	{
		Oid			relid = list_nth_oid(found, i);

		if (watch(home, relid)->facts.may_have_children)
			found = list_concat_unique_oid(found, cx_relation_children(relid));
	}
	found = list_delete_first(found);
	list_sort(found, list_oid_cmp);
	old = MemoryContextSwitchTo(cache_context);
	home->below = list_copy(found);
	home->answer.descendants = list_copy(found);
	MemoryContextSwitchTo(old);
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
	if (home->answer.tracked && home->facts.inherits)
		build_parents(home);
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
		if (is_suspect(entry))
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

/* Facts were read with other trigger functions in mind. */
static inline void
notice_functions(void)
{
	uint64		now = cx_relation_facts_generation();

	if (now != facts_generation)
	{
		facts_generation = now;
		forget_everything = true;
	}
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

		before = invalidations;
		notice_functions();
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
	notice_functions();
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

Oid
cx_tracked_root(Oid relation)
{
	Oid			parent;

	while (OidIsValid(parent = cx_relation_partition_parent(relation)))
		relation = parent;
	return relation;
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
	if (entry != NULL)
		ancestors = list_copy(entry->above);
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
	entry->changes++;
	foreach(lc, entry->watchers)
		((relation_entry *) lfirst(lc))->clean = false;
}

static void
subscription_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
	forget_everything = true;
}

void
cx_tracked_init(void)
{
	cx_relation_facts_init();
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, subscription_changed, (Datum) 0);
}
