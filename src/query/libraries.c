/*
 * query/libraries.c
 *		Does a statement use anything that is not PostgreSQL's own?
 *
 * A function in C, the handler of a procedural language, an index or table access method, an operator
 * class: whatever has an OID that initdb did not give may come from a library with settings of its
 * own, which then count (query/custom_settings.c).
 *
 * A library is loaded when a function of it is first called, and only then are the settings defined.  So
 * that the first execution in a session has the same key as later ones, what the statement calls
 * itself is loaded when it is analysed.  What can't be loaded now, or is called by bodies that nobody
 * looks into, is noted as something that running the statement may load.
 */
#include "postgres.h"

#include "query/analysis.h"
#include "query/guarded.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static List *loaded = NIL;		/* String nodes: files that this session has loaded, in TopMemoryContext */

typedef struct library
{
	char	   *file;
	char	   *symbol;
} library;

/* As fmgr_info() does it for a function without settings of its own; the symbol needs not be there. */
static bool
load_library(void *arg)
{
	const library *wanted = arg;

	(void) load_external_function(wanted->file, wanted->symbol, false, NULL);
	return true;
}

/* False if it can't be loaded: whether that makes the statement fail will be seen when it runs. */
static bool
load(library *wanted)
{
	MemoryContext old;

	if (list_member(loaded, makeString(wanted->file)))
		return true;
	if (!cx_guarded_run(load_library, wanted))
		return false;
	old = MemoryContextSwitchTo(TopMemoryContext);
	loaded = lappend(loaded, makeString(pstrdup(wanted->file)));
	MemoryContextSwitchTo(old);
	return true;
}

/* Where a function in C is; false for any other. */
static bool
find_library(HeapTuple function, library *found)
{
	bool		no_file;
	bool		no_symbol;
	Datum		file = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_probin, &no_file);
	Datum		symbol = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &no_symbol);

	if (((Form_pg_proc) GETSTRUCT(function))->prolang != ClanguageId || no_file || no_symbol)
		return false;
	found->file = TextDatumGetCString(file);
	found->symbol = TextDatumGetCString(symbol);
	return true;
}

/* The function that runs functions of a language, or InvalidOid. */
static Oid
language_handler(Oid language)
{
	HeapTuple	tuple = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
	Oid			handler;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	handler = ((Form_pg_language) GETSTRUCT(tuple))->lanplcallfoid;
	ReleaseSysCache(tuple);
	return handler;
}

/* Loads the library that a function is in.  False if calling it may load another one. */
static bool
load_library_of(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	library		wanted;
	Oid			language;
	bool		in_c;

	if (!HeapTupleIsValid(tuple))
		return false;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	in_c = find_library(tuple, &wanted);
	ReleaseSysCache(tuple);
	if (in_c)
		return load(&wanted);
	if (language == INTERNALlanguageId)
		return true;

	/* a body: what it calls is loaded when it runs */
	if (language != SQLlanguageId && language != ClanguageId)
		(void) load_library_of(language_handler(language));
	return false;
}

void
cx_libraries_add(cx_analysis *analysis, Oid function)
{
	analysis->statement->uses_libraries = true;
	if (!load_library_of(function))
		analysis->statement->loads_libraries = true;
}

/* An operator class: the functions by which the index calls what it is for. */
static void
add_operator_class(cx_analysis *analysis, Oid operator_class)
{
	CatCList   *list;

	if (operator_class < FirstNormalObjectId)
		return;
	analysis->statement->uses_libraries = true;
	list = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(get_opclass_family(operator_class)));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(&list->members[i]->tuple);

		if (form->amproc >= FirstNormalObjectId)
			cx_libraries_add(analysis, form->amproc);
	}
	ReleaseSysCacheList(list);
}

/* Opening an index or a table loads the library of its access method, before there is a key. */
static void
add_access_method(cx_analysis *analysis, Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

	if (!HeapTupleIsValid(tuple))
		return;
	if (((Form_pg_class) GETSTRUCT(tuple))->relam >= FirstNormalObjectId)
		analysis->statement->uses_libraries = true;
	ReleaseSysCache(tuple);
}

void
cx_libraries_add_relation(cx_analysis *analysis, Oid relation)
{
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	add_access_method(analysis, relation);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		bool		isnull;
		oidvector  *classes = (oidvector *)
			DatumGetPointer(heap_getattr(tuple, Anum_pg_index_indclass,
										 RelationGetDescr(catalog), &isnull));

		add_access_method(analysis, form->indexrelid);
		for (int i = 0; i < form->indnkeyatts; i++)
			add_operator_class(analysis, classes->values[i]);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}
