/*
 * api/allow.c
 *		SQL functions allow_function and disallow_function.
 *
 * What they know is in the table cache_ext.allowed_functions, which pg_dump carries.  A change of
 * it may make results cacheable or not, so it counts as a change of the database's definitions.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "core/dirty.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

/* Runs a statement that changes the table, and tells this and other sessions. */
static uint64
change_table(const char *sql, int count, Oid *types, Datum *values)
{
	Oid			table;
	uint64		changed;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, count, types, values, NULL, false, 0) < 0)
		elog(ERROR, "could not change cache_ext.allowed_functions");
	changed = SPI_processed;
	SPI_finish();

	table = get_relname_relid("allowed_functions", get_namespace_oid("cache_ext", false));
	CacheInvalidateRelcacheByRelid(table);
	cx_dirty_mark_database();
	return changed;
}

PG_FUNCTION_INFO_V1(cache_ext_allow_function);
Datum
cache_ext_allow_function(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	ArrayType  *reads = PG_GETARG_ARRAYTYPE_P(1);
	Oid			types[] = {REGPROCEDUREOID, REGCLASSARRAYOID};
	Datum		values[] = {ObjectIdGetDatum(function), PointerGetDatum(reads)};

	cx_shmem_require();
	if (get_func_name(function) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (func_volatile(function) == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function %s is volatile", format_procedure(function)),
				 errhint("Only results of STABLE and IMMUTABLE functions can be cached.")));
	if (array_contains_nulls(reads))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not contain nulls", "reads")));

	change_table("INSERT INTO cache_ext.allowed_functions VALUES ($1, $2) "
				 "ON CONFLICT (function) DO UPDATE SET reads = excluded.reads",
				 lengthof(types), types, values);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_ext_disallow_function);
Datum
cache_ext_disallow_function(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	Oid			types[] = {REGPROCEDUREOID};
	Datum		values[] = {ObjectIdGetDatum(function)};

	cx_shmem_require();
	if (change_table("DELETE FROM cache_ext.allowed_functions WHERE function = $1",
					 lengthof(types), types, values) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("function %s is not allowed", format_procedure(function))));
	PG_RETURN_VOID();
}
