/*
 * query/relation_facts.c
 *		What the catalogs say of one relation by itself, for query/tracked.c.
 *
 * Keeps nothing but the OIDs of our trigger functions, which a syscache callback voids by a counter.
 */
#include "postgres.h"

#include "query/relation_facts.h"
#include "query/type_code.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#define STATEMENT_TYPE \
	(TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE | \
	 TRIGGER_TYPE_TRUNCATE)
#define SUBSCRIBED_TYPE \
	(TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | \
	 TRIGGER_TYPE_DELETE)
#define ROW_TYPE \
	(TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

static uint64 function_changes = 1;
static uint64 functions_known_at = 0;
static uint64 generation = 0;
static Oid	statement_function = InvalidOid;
static Oid	row_function = InvalidOid;
static Oid	entity_function = InvalidOid;

/*
 * Our trigger functions
 *
 * Found in the schema that the extension is in by its catalog row, whatever that is called now, and only
 * if they belong to the extension: the owner of a database may rename a schema and make another of its
 * name, and whoever may create in ours may put functions there.
 */

/* False where the extension is not installed. */
static bool
find_extension(Oid *extension, Oid *namespace)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("cache_ext"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		*extension = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		*namespace = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return found;
}

static Oid
trigger_function(Oid extension, Oid namespace, const char *name)
{
	Oid			function;

	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
							   PointerGetDatum(buildoidvector(NULL, 0)),
							   ObjectIdGetDatum(namespace));
	if (!OidIsValid(function) ||
		getExtensionOfObject(ProcedureRelationId, function) != extension)
		return InvalidOid;
	return function;
}

static void
learn_functions(void)
{
	uint64		changes = function_changes;
	Oid			extension;
	Oid			namespace = InvalidOid;
	Oid			statement = InvalidOid;
	Oid			row = InvalidOid;
	Oid			entity = InvalidOid;

	if (find_extension(&extension, &namespace))
	{
		statement = trigger_function(extension, namespace, "track_statement");
		row = trigger_function(extension, namespace, "track_row");
		entity = trigger_function(extension, namespace, "entity_row");
	}

	if (statement != statement_function || row != row_function)
		generation++;
	statement_function = statement;
	row_function = row;
	entity_function = entity;
	functions_known_at = changes;
}

uint64
cx_relation_facts_generation(void)
{
	if (functions_known_at != function_changes)
		learn_functions();
	return generation;
}

Oid
cx_tracked_statement_function(void)
{
	(void) cx_relation_facts_generation();
	return statement_function;
}

Oid
cx_tracked_row_function(void)
{
	(void) cx_relation_facts_generation();
	return row_function;
}

Oid
cx_tracked_entity_function(void)
{
	(void) cx_relation_facts_generation();
	return entity_function;
}

static void
function_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	function_changes++;
}

void
cx_relation_facts_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, function_changed, (Datum) 0);
}

/*
 * Triggers and key columns
 */

bool
cx_tracked_hashable(Oid type)
{
	char		typtype = get_typtype(type);
	Oid			hash;

	/*
	 * Whether a container can be hashed depends on what it contains and can change under ALTER TYPE,
	 * when a trigger could only fail.
	 */
	if ((typtype != TYPTYPE_BASE && typtype != TYPTYPE_ENUM) || type_is_array(type))
		return false;

	/* writers run it in the trigger and readers for a tag, with their own rights */
	hash = lookup_type_cache(type, TYPECACHE_HASH_PROC)->hash_proc;
	return OidIsValid(hash) && cx_type_code_trusts(hash);
}

/* Does this trigger fire on every such event, in every session, unconditionally? */
static bool
fires_always(const Trigger *trigger, int16 type)
{
	return trigger->tgtype == type &&
		trigger->tgenabled == TRIGGER_FIRES_ALWAYS &&
		trigger->tgqual == NULL &&
		trigger->tgnattr == 0 &&
		!trigger->tgdeferrable;
}

/* Adds the column that an argument of a row trigger names; false if there is none. */
static bool
add_key(TupleDesc desc, const char *name, relation_facts *facts)
{
	int			key = facts->key_count;

	for (int i = 0; i < desc->natts && key < CX_MAX_KEY_COLUMNS; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), name) != 0)
			continue;
		facts->key_columns[key] = attribute->attnum;
		facts->key_types[key] = attribute->atttypid;
		facts->key_collations[key] = attribute->attcollation;
		namestrcpy(&facts->key_names[key], name);
		facts->key_count++;
		return true;
	}
	return false;
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

static int
find_key(const relation_facts *facts, const NameData *name)
{
	for (int i = 0; i < facts->key_count; i++)
		if (strcmp(NameStr(facts->key_names[i]), NameStr(*name)) == 0)
			return i;
	return -1;
}

void
cx_relation_facts_common_keys(relation_facts *facts, const relation_facts *other)
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
read_trigger(Relation relation, const Trigger *trigger, relation_facts *facts)
{
	if (OidIsValid(statement_function) && trigger->tgfoid == statement_function)
	{
		facts->triggered = true;
		facts->statement_complete |= fires_always(trigger, STATEMENT_TYPE);
		facts->subscribed_complete |= fires_always(trigger, SUBSCRIBED_TYPE);
	}
	else if (OidIsValid(row_function) && trigger->tgfoid == row_function)
	{
		facts->triggered = true;
		if (fires_always(trigger, ROW_TYPE))
		{
			for (int i = 0; i < trigger->tgnargs; i++)
				if (!add_key(RelationGetDescr(relation), trigger->tgargs[i], facts))
					facts->keys_broken = true;
		}
		else
			facts->keys_broken = true;
	}
}

/* Of key columns, what takes a look at other catalogs. */
static void
finish_keys(relation_facts *facts)
{
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

/*
 * pg_inherits
 */

/* The other side of all links of a relation, by an index on its own side. */
static List *
links(Oid relation, AttrNumber own_side, Oid index)
{
	List	   *others = NIL;
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, own_side, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(inherits, index, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_inherits form = (Form_pg_inherits) GETSTRUCT(tuple);

		others = lappend_oid(others, own_side == Anum_pg_inherits_inhrelid ?
							 form->inhparent : form->inhrelid);
	}
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return others;
}

List *
cx_relation_parents(Oid relation)
{
	return links(relation, Anum_pg_inherits_inhrelid, InheritsRelidSeqnoIndexId);
}

List *
cx_relation_children(Oid relation)
{
	return links(relation, Anum_pg_inherits_inhparent, InheritsParentIndexId);
}

Oid
cx_relation_partition_parent(Oid relation)
{
	List	   *parents;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) ||
		!get_rel_relispartition(relation))
		return InvalidOid;
	parents = cx_relation_parents(relation);
	return parents == NIL ? InvalidOid : linitial_oid(parents);
}

bool
cx_tracked_subscribed(Oid relation)
{
	CatCList   *list = SearchSysCacheList1(SUBSCRIPTIONRELMAP, ObjectIdGetDatum(relation));
	bool		found = list->n_members > 0;

	ReleaseSysCacheList(list);
	return found;
}

/*
 * All facts
 */

void
cx_relation_facts_read(Oid relid, relation_facts *facts)
{
	Relation	relation;
	Form_pg_class form;

	memset(facts, 0, sizeof(*facts));
	(void) cx_relation_facts_generation();
	relation = RelationIdGetRelation(relid);
	if (!RelationIsValid(relation))
		return;

	/* up to RelationClose() nothing may read a catalog: the descriptor could be rebuilt */
	form = relation->rd_rel;
	facts->kind = form->relkind;
	facts->persistence = form->relpersistence;
	facts->partition = form->relispartition;
	facts->may_have_children = form->relhassubclass;
	facts->catalog = IsSystemRelation(relation);
	facts->heap = RELKIND_HAS_TABLE_AM(form->relkind) && form->relam == HEAP_TABLE_AM_OID;
	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
		read_trigger(relation, &relation->trigdesc->triggers[i], facts);
	RelationClose(relation);

	if (!facts->triggered)
		return;
	facts->inherits = !facts->partition && has_superclass(relid);
	facts->subscribed = cx_tracked_subscribed(relid);
	finish_keys(facts);
}

const char *
cx_relation_facts_problem(const relation_facts *facts, bool subscribed)
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
		return "a trigger of cache_ext on it is missing, disabled or changed";
	if (subscribed && facts->kind == RELKIND_RELATION && !facts->subscribed_complete)
		return "a subscription feeds it since it was tracked";
	return NULL;
}
