/*
 * query/allowed.c
 *		What cache_ext.allow_function() was told, kept in the session.
 *
 * 1. The copy is of one moment: the table is read whole, under a fresh catalog snapshot, so that a
 *    statement sees what was committed before it began whatever its own snapshot is.
 * 2. It is dropped by a relcache invalidation of the table, which whoever changes the table has to
 *    send (CacheInvalidateRelcache); one that arrives while it is read voids what was read.
 * 3. The table is found as a member of the extension, and read only if its columns are what they
 *    should be.  Anybody may make a schema and a table of these names.
 * 4. Rows name functions and tables.  A name is resolved at each use; a function counts only with
 *    the definition that it was allowed with.  Where the extension was not updated yet, rows hold
 *    OIDs.
 *
 * Memory: allowed_context, thrown away whole.
 */
#include "postgres.h"

#include "query/allowed.h"
#include "query/analysis.h"
#include "query/bodies.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#define ALLOWED_TABLE "allowed_functions"

/* columns of the table */
#define COLUMN_FUNCTION 1
#define COLUMN_READS 2
#define COLUMN_SETTINGS 3
#define COLUMN_DEFINITION 4

typedef struct allowed_function
{
	Oid			function;		/* in layout CX_LAYOUT_OIDS ... */
	List	   *read_oids;

	char	   *name;			/* ... in layout CX_LAYOUT_NAMES */
	List	   *reads;			/* String nodes */
	List	   *settings;		/* String nodes */
	char	   *definition;
} allowed_function;

static MemoryContext allowed_context = NULL;
static Oid	allowed_table = InvalidOid;
static cx_allowed_layout allowed_layout;
static List *allowed_functions = NIL;	/* of allowed_function */
static bool allowed_valid = false;
static uint64 changes = 0;				/* invalidations seen */

static void
forget_allowed(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == allowed_table)
	{
		allowed_valid = false;
		changes++;
	}
}

/*
 * The table
 */

static bool
has_column(TupleDesc desc, AttrNumber number, const char *name, Oid type)
{
	Form_pg_attribute column;

	if (number > desc->natts)
		return false;
	column = TupleDescAttr(desc, number - 1);
	return !column->attisdropped && column->atttypid == type &&
		strcmp(NameStr(column->attname), name) == 0;
}

static bool
find_layout(TupleDesc desc, cx_allowed_layout *layout)
{
	if (has_column(desc, COLUMN_FUNCTION, "function", TEXTOID) &&
		has_column(desc, COLUMN_READS, "reads", TEXTARRAYOID) &&
		has_column(desc, COLUMN_SETTINGS, "settings", TEXTARRAYOID) &&
		has_column(desc, COLUMN_DEFINITION, "definition", TEXTOID))
	{
		*layout = CX_LAYOUT_NAMES;
		return true;
	}
	*layout = CX_LAYOUT_OIDS;
	return has_column(desc, COLUMN_FUNCTION, "function", REGPROCEDUREOID) &&
		has_column(desc, COLUMN_READS, "reads", REGCLASSARRAYOID);
}

/*
 * The member of the extension that is a table of this name: it has one schema, so there is one at
 * most.
 */
static Oid
find_member(Oid extension)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, lengthof(keys), keys);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend member = (Form_pg_depend) GETSTRUCT(tuple);
		char	   *name;

		if (member->deptype != DEPENDENCY_EXTENSION || member->classid != RelationRelationId ||
			get_rel_relkind(member->objid) != RELKIND_RELATION)
			continue;
		name = get_rel_name(member->objid);
		if (name != NULL && strcmp(name, ALLOWED_TABLE) == 0)
			found = member->objid;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

/* Opened, or NULL. */
static Relation
open_table(LOCKMODE lock, cx_allowed_layout *layout)
{
	Oid			extension = get_extension_oid("cache_ext", true);
	Oid			table = OidIsValid(extension) ? find_member(extension) : InvalidOid;
	Relation	relation = OidIsValid(table) ? try_table_open(table, lock) : NULL;

	if (relation != NULL && !find_layout(RelationGetDescr(relation), layout))
	{
		table_close(relation, lock);
		return NULL;
	}
	return relation;
}

Oid
cx_allowed_table(cx_allowed_layout *layout)
{
	Relation	table = open_table(AccessShareLock, layout);
	Oid			result = InvalidOid;

	if (table != NULL)
	{
		result = RelationGetRelid(table);
		table_close(table, AccessShareLock);
	}
	return result;
}

/*
 * What rows hold of functions and tables
 */

/*
 * With argument types, all qualified: the same whatever search_path is, and what
 * pg_identify_object() says.  NULL if there is no such function.  A type may be gone when this is
 * asked: that of an input function goes first.
 */
char *
cx_allowed_function_name(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	StringInfoData name;
	char	   *schema;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	schema = get_namespace_name(form->pronamespace);
	initStringInfo(&name);
	appendStringInfo(&name, "%s(", quote_qualified_identifier(schema ? schema : "???",
															  NameStr(form->proname)));
	for (int i = 0; i < form->pronargs; i++)
		appendStringInfo(&name, "%s%s", i > 0 ? "," : "",
						 format_type_extended(form->proargtypes.values[i], -1,
											  FORMAT_TYPE_FORCE_QUALIFY |
											  FORMAT_TYPE_ALLOW_INVALID));
	appendStringInfoChar(&name, ')');
	ReleaseSysCache(tuple);
	return name.data;
}

char *
cx_allowed_relation_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

/* InvalidOid if there is none by that name. */
static Oid
relation_by_name(const char *name)
{
	List	   *names;
	Oid			schema;

	if (!SplitIdentifierString(pstrdup(name), '.', &names) || list_length(names) != 2)
		return InvalidOid;
	schema = get_namespace_oid((char *) linitial(names), true);
	return OidIsValid(schema) ? get_relname_relid((char *) lsecond(names), schema) : InvalidOid;
}

static void
put_text(StringInfo out, const char *text)
{
	if (text == NULL)
		appendStringInfoChar(out, '-');
	else
		appendStringInfo(out, "%zu:%s", strlen(text), text);
}

static void
put_attribute(StringInfo out, HeapTuple tuple, AttrNumber number)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(PROCOID, tuple, number, &isnull);

	put_text(out, isnull ? NULL : TextDatumGetCString(value));
}

/*
 * A body that was parsed at creation, as text again: the tree holds OIDs, which a restored
 * function has others of.  Names come out qualified.
 */
static void
put_parsed_body(StringInfo out, HeapTuple tuple)
{
	Oid			function = ((Form_pg_proc) GETSTRUCT(tuple))->oid;
	int			nest;

	if (heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL))
	{
		put_text(out, NULL);
		return;
	}
	nest = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	put_text(out, TextDatumGetCString(DirectFunctionCall1(pg_get_function_sqlbody,
														  ObjectIdGetDatum(function))));
	AtEOXact_GUC(true, nest);
}

static void
put_signature(StringInfo out, HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			count = get_func_arg_info(tuple, &types, &names, &modes);

	appendStringInfo(out, "%d", count);
	for (int i = 0; i < count; i++)
	{
		put_text(out, format_type_be_qualified(types[i]));
		put_text(out, names ? names[i] : NULL);
		appendStringInfoChar(out, modes ? modes[i] : 'i');
	}
	put_text(out, format_type_be_qualified(form->prorettype));
	appendStringInfo(out, "%c%d%d%d%c", form->prokind, form->proretset, form->proisstrict,
					 form->prosecdef, form->provolatile);
}

static void
put_settings(StringInfo out, HeapTuple tuple)
{
	bool		isnull;
	Datum		config = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	Datum	   *items = NULL;
	int			count = 0;

	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT,
						  &items, NULL, &count);
	appendStringInfo(out, "%d", count);
	for (int i = 0; i < count; i++)
		put_text(out, TextDatumGetCString(items[i]));
}

static char *
hash_text(const char *text, size_t length)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	char	   *result = palloc0(2 * sizeof(digest) + 1);

	if (hash == NULL || pg_cryptohash_init(hash) != 0 ||
		pg_cryptohash_update(hash, (const uint8 *) text, length) != 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) != 0)
		elog(ERROR, "SHA-256 is not available");
	pg_cryptohash_free(hash);
	(void) hex_encode((const char *) digest, sizeof(digest), result);
	return result;
}

char *
cx_allowed_definition(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	StringInfoData text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	initStringInfo(&text);
	put_signature(&text, tuple);
	put_text(&text, get_language_name(form->prolang, true));
	put_text(&text, GetUserNameFromId(form->proowner, true));
	put_attribute(&text, tuple, Anum_pg_proc_prosrc);
	put_attribute(&text, tuple, Anum_pg_proc_probin);
	put_parsed_body(&text, tuple);
	put_settings(&text, tuple);
	ReleaseSysCache(tuple);
	return hash_text(text.data, text.len);
}

/*
 * The copy
 */

static List *
read_texts(Datum array)
{
	List	   *texts = NIL;
	Datum	   *items;
	bool	   *nulls;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &items, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			texts = lappend(texts, makeString(TextDatumGetCString(items[i])));
	}
	return texts;
}

static List *
read_oids(Datum array)
{
	List	   *oids = NIL;
	Datum	   *items;
	bool	   *nulls;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(array), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT,
					  &items, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			oids = lappend_oid(oids, DatumGetObjectId(items[i]));
	}
	return oids;
}

static void
add_allowed(Relation table, HeapTuple tuple)
{
	allowed_function *allowed = palloc0(sizeof(allowed_function));
	int			count = allowed_layout == CX_LAYOUT_NAMES ? COLUMN_DEFINITION : COLUMN_READS;
	Datum		values[COLUMN_DEFINITION];
	bool		isnull;

	for (int i = 0; i < count; i++)
	{
		values[i] = heap_getattr(tuple, i + 1, RelationGetDescr(table), &isnull);
		if (isnull)
			return;				/* only its owner can have done that */
	}
	if (allowed_layout == CX_LAYOUT_OIDS)
	{
		allowed->function = DatumGetObjectId(values[COLUMN_FUNCTION - 1]);
		allowed->read_oids = read_oids(values[COLUMN_READS - 1]);
	}
	else
	{
		allowed->name = TextDatumGetCString(values[COLUMN_FUNCTION - 1]);
		allowed->reads = read_texts(values[COLUMN_READS - 1]);
		allowed->settings = read_texts(values[COLUMN_SETTINGS - 1]);
		allowed->definition = TextDatumGetCString(values[COLUMN_DEFINITION - 1]);
	}
	allowed_functions = lappend(allowed_functions, allowed);
}

static void
read_allowed(void)
{
	uint64		changes_before;
	Relation	table;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;

	if (allowed_context == NULL)
		allowed_context = AllocSetContextCreate(CacheMemoryContext, "cache_ext allowed functions",
												ALLOCSET_SMALL_SIZES);
	MemoryContextReset(allowed_context);
	allowed_functions = NIL;

	table = open_table(AccessShareLock, &allowed_layout);
	allowed_table = table ? RelationGetRelid(table) : InvalidOid;
	if (table == NULL)
		return;
	changes_before = changes;

	/* not a catalog: the snapshot is taken anew */
	scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	old = MemoryContextSwitchTo(allowed_context);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		add_allowed(table, tuple);
	MemoryContextSwitchTo(old);
	systable_endscan(scan);

	table_close(table, AccessShareLock);
	allowed_valid = changes == changes_before;
}

void
cx_allowed_init(void)
{
	CacheRegisterRelcacheCallback(forget_allowed, (Datum) 0);
}

cx_allowance
cx_allowed_find(Oid function, List **reads, List **settings, Oid *allowed_by)
{
	char	   *name;
	ListCell   *cell;
	ListCell   *read;

	*reads = *settings = NIL;
	if (!allowed_valid)
		read_allowed();
	*allowed_by = allowed_table;
	if (allowed_functions == NIL)
		return CX_ALLOWED_NOT;
	name = cx_allowed_function_name(function);
	if (name == NULL)
		return CX_ALLOWED_NOT;

	foreach(cell, allowed_functions)
	{
		allowed_function *allowed = (allowed_function *) lfirst(cell);

		if (allowed_layout == CX_LAYOUT_OIDS)
		{
			if (allowed->function != function)
				continue;
			*reads = list_copy(allowed->read_oids);
			return CX_ALLOWED;
		}
		if (strcmp(allowed->name, name) != 0)
			continue;
		if (strcmp(allowed->definition, cx_allowed_definition(function)) != 0)
			return CX_ALLOWED_ENDED;
		*settings = copyObject(allowed->settings);
		foreach(read, allowed->reads)
			*reads = lappend_oid(*reads, relation_by_name(strVal(lfirst(read))));
		return CX_ALLOWED;
	}
	return CX_ALLOWED_NOT;
}

/*
 * Rows go with their functions.  By access method, since whoever drops a function need not have
 * any right on the table.  A row that another transaction is just removing is left to it.
 */
void
cx_allowed_forget(const char *name)
{
	cx_allowed_layout layout;
	Relation	table = open_table(RowExclusiveLock, &layout);
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (table == NULL)
		return;
	scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	while (layout == CX_LAYOUT_NAMES && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		function = heap_getattr(tuple, COLUMN_FUNCTION, RelationGetDescr(table), &isnull);
		TM_FailureData failure;

		if (isnull || strcmp(TextDatumGetCString(function), name) != 0)
			continue;
		(void) table_tuple_delete(table, &tuple->t_self, GetCurrentCommandId(true),
								  InvalidSnapshot, InvalidSnapshot, true, &failure, false);
		found = true;
	}
	systable_endscan(scan);
	if (found)
		CacheInvalidateRelcache(table);
	table_close(table, RowExclusiveLock);
}
