/*
 * api/allow.c
 *		SQL functions allow_function and disallow_function, and what tells one definition from another.
 *
 * What they know is in the table cache_ext.allowed_functions (query/allowed.h), which pg_dump
 * carries.  A change of it may make results cacheable or not, so it counts as a change of the
 * database's definitions.
 *
 * What the body of a function is seen to do is compared with what its owner says of it: an
 * allowance that would give one user's rows to another is an error here, not a surprise later.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "core/dirty.h"
#include "query/allowed.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

static Oid
require_table(cx_allowed_layout *layout)
{
	Oid			table = cx_allowed_table(layout);

	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"cache_ext\" has no table of allowed functions"),
				 errhint("Create the extension anew, or update it with ALTER EXTENSION cache_ext UPDATE.")));
	return table;
}

/*
 * Runs a statement that changes the table, whose name takes the place of %s, and tells all
 * sessions.
 */
static uint64
change_table(Oid table, const char *sql, int count, Oid *types, Datum *values)
{
	uint64		changed;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(psprintf(sql, cx_allowed_relation_name(table)), count, types, values,
							  NULL, false, 0) < 0)
		elog(ERROR, "could not change the table of allowed functions");
	changed = SPI_processed;
	SPI_finish();

	CacheInvalidateRelcacheByRelid(table);
	cx_dirty_mark_database();
	return changed;
}

/*
 * What the caller says
 */

static void
check_function(Oid function)
{
	if (get_func_name(function) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (func_volatile(function) == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function %s is volatile", format_procedure(function)),
				 errhint("Only results of STABLE and IMMUTABLE functions can be cached.")));
}

static void
check_no_nulls(ArrayType *array, const char *argument)
{
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not contain nulls", argument)));
}

static void
check_read(Oid function, Oid relation)
{
	Oid			with_policies;

	if (get_rel_name(relation) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (func_volatile(function) == PROVOLATILE_IMMUTABLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function %s is declared IMMUTABLE but reads tables",
						format_procedure(function)),
				 errhint("Declare it STABLE.")));

	with_policies = cx_relations_with_policies(relation);
	if (OidIsValid(with_policies))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s has row-level security", cx_allowed_relation_name(with_policies)),
				 errdetail("What the function gets from it depends on policies that can't be seen in a query that calls the function."),
				 errhint("Results that use a SQL or PL/pgSQL function without EXECUTE, cursors and exception handlers can be cached without this.")));
}

/* A word of a setting's name, as PostgreSQL wants those of extensions: its length, or 0. */
static size_t
word_length(const char *text)
{
	size_t		length = 0;

	while ((text[length] >= 'a' && text[length] <= 'z') ||
		   (text[length] >= 'A' && text[length] <= 'Z') ||
		   text[length] == '_' || IS_HIGHBIT_SET(text[length]) ||
		   (length > 0 && ((text[length] >= '0' && text[length] <= '9') || text[length] == '$')))
		length++;
	return length;
}

/* May somebody set a setting of that name, which this session doesn't know? */
static bool
may_be_setting(const char *name)
{
	size_t		length = word_length(name);
	int			words = 0;

	while (length > 0)
	{
		words++;
		if (name[length] == '\0')
			return words > 1;
		if (name[length] != '.')
			return false;
		name += length + 1;
		length = word_length(name);
	}
	return false;
}

static void
check_setting(const char *name)
{
	if (GetConfigOptionFlags(name, true) & GUC_SUPERUSER_ONLY)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("setting \"%s\" is for privileged roles only", name),
				 errdetail("Its value can't become part of the key of a result.")));
	if (GetConfigOptionByName(name, NULL, true) == NULL && !may_be_setting(name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("unrecognized configuration parameter \"%s\"", name)));
}

static List *
check_settings(ArrayType *array)
{
	List	   *settings = NIL;
	Datum	   *items;
	int			count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *name = TextDatumGetCString(items[i]);

		check_setting(name);
		settings = lappend(settings, name);
	}
	return settings;
}

static bool
names_setting(List *settings, const char *name)
{
	ListCell   *cell;

	foreach(cell, settings)
	{
		if (pg_strcasecmp((char *) lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/*
 * What its body says
 */
static void
check_body(Oid function, bool reads_any, List *settings)
{
	List	   *seen;
	bool		for_good;
	const char *refused = cx_functions_examine(function, &seen, &for_good);
	ListCell   *cell;

	if (refused != NULL && for_good)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("results that use function %s can't be cached", format_procedure(function)),
				 errdetail("Its body has: %s.", refused)));
	foreach(cell, seen)
	{
		const char *name = strVal(lfirst(cell));

		/* those that PL/pgSQL itself reads are put into the key without asking anybody */
		if (strncmp(name, "plpgsql.", strlen("plpgsql.")) != 0 && !names_setting(settings, name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("function %s reads setting \"%s\"", format_procedure(function), name),
					 errhint("Name each setting that it reads in argument \"%s\".", "settings")));
	}
	if (refused != NULL && !reads_any && settings == NIL)
		ereport(NOTICE,
				(errmsg("function %s is believed to read no table and no setting",
						format_procedure(function)),
				 errdetail("What it does can't be seen: %s.", refused),
				 errhint("If it does read any, name them in arguments \"%s\" and \"%s\", or results will be wrong.",
						 "reads", "settings")));
}

/*
 * The rows
 */

static Datum
text_array(Datum *texts, int count)
{
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The names of relations, as an array of texts. */
static Datum
relation_names(Oid function, ArrayType *reads)
{
	Datum	   *items;
	int			count;

	deconstruct_array(reads, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &items, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		Oid			relation = DatumGetObjectId(items[i]);

		check_read(function, relation);
		items[i] = CStringGetTextDatum(cx_allowed_relation_name(relation));
	}
	return text_array(items, count);
}

/* A database whose extension was not updated calls with two arguments, and has a table of OIDs. */
PG_FUNCTION_INFO_V1(cache_ext_allow_function);
Datum
cache_ext_allow_function(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	ArrayType  *reads = PG_GETARG_ARRAYTYPE_P(1);
	ArrayType  *settings = PG_NARGS() > 2 ? PG_GETARG_ARRAYTYPE_P(2) :
		construct_empty_array(TEXTOID);
	Datum		names;
	cx_allowed_layout layout;
	Oid			table;

	cx_shmem_require();
	check_function(function);
	check_no_nulls(reads, "reads");
	check_no_nulls(settings, "settings");
	table = require_table(&layout);
	check_body(function, ArrayGetNItems(ARR_NDIM(reads), ARR_DIMS(reads)) > 0,
			   check_settings(settings));
	names = relation_names(function, reads);

	if (layout == CX_LAYOUT_OIDS)
	{
		Oid			types[] = {REGPROCEDUREOID, REGCLASSARRAYOID};
		Datum		values[] = {ObjectIdGetDatum(function), PointerGetDatum(reads)};

		change_table(table, "INSERT INTO %s (function, reads) VALUES ($1, $2) "
					 "ON CONFLICT (function) DO UPDATE SET reads = excluded.reads",
					 lengthof(types), types, values);
	}
	else
	{
		Oid			types[] = {TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID};
		Datum		values[] = {
			CStringGetTextDatum(cx_allowed_function_name(function)), names,
			PointerGetDatum(settings), CStringGetTextDatum(cx_allowed_definition(function))
		};

		change_table(table, "INSERT INTO %s (function, reads, settings, definition) "
					 "VALUES ($1, $2, $3, $4) ON CONFLICT (function) DO UPDATE "
					 "SET reads = excluded.reads, settings = excluded.settings, "
					 "definition = excluded.definition",
					 lengthof(types), types, values);
	}
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_ext_disallow_function);
Datum
cache_ext_disallow_function(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	char	   *name = cx_allowed_function_name(function);
	cx_allowed_layout layout;
	Oid			table;
	Oid			type;
	Datum		value;

	cx_shmem_require();
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	table = require_table(&layout);
	type = layout == CX_LAYOUT_OIDS ? REGPROCEDUREOID : TEXTOID;
	value = layout == CX_LAYOUT_OIDS ? ObjectIdGetDatum(function) : CStringGetTextDatum(name);
	if (change_table(table, layout == CX_LAYOUT_OIDS ?
					 "DELETE FROM %s WHERE function::pg_catalog.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid" :
					 "DELETE FROM %s WHERE function OPERATOR(pg_catalog.=) $1",
					 1, &type, &value) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("function %s is not allowed", format_procedure(function))));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_ext_function_definition);
Datum
cache_ext_function_definition(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);

	if (get_func_name(function) == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(cx_allowed_definition(function)));
}
