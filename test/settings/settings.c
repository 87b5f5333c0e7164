/*
 * test/settings/settings.c
 *		A library whose settings reach results: through functions and operators that are declared
 *		IMMUTABLE, through an index access method, and through the input and output of a type.
 *
 * One setting has no dot in its name, as those of some extensions.
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/hash.h"
#include "access/relscan.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static int	limit = 0;
static bool flag = false;
static double factor = 1;
static char *suffix = NULL;
static int	mode = 0;
static char *secret = NULL;

static const struct config_enum_entry modes[] = {
	{"plain", 0, false}, {"fancy", 1, false}, {NULL, 0, false}
};

void
_PG_init(void)
{
	DefineCustomIntVariable("cache_test_limit", "Rows that an index scan finds, 0 for all.", NULL,
							&limit, 0, 0, 1000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cache_test.flag", "Shown.", NULL, &flag, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomRealVariable("cache_test.factor", "Shown.", NULL, &factor, 1, 0, 1000, PGC_USERSET,
							 0, NULL, NULL, NULL);
	DefineCustomStringVariable("cache_test.suffix", "Shown.", NULL, &suffix, NULL, PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomEnumVariable("cache_test.mode", "Shown.", NULL, &mode, 0, modes, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("cache_test.secret", "Its length is shown.", NULL, &secret, "",
							   PGC_USERSET, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

PG_FUNCTION_INFO_V1(settings_shown);

/* settings_shown(text) returns text: the argument, and every setting. */
Datum
settings_shown(PG_FUNCTION_ARGS)
{
	char	   *shown = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s %d %d %g %s %d %d", shown, limit, flag, factor,
											  suffix ? suffix : "none", mode,
											  (int) strlen(secret))));
}

PG_FUNCTION_INFO_V1(settings_times);

/* settings_times(int, int) returns int: the operator's. */
Datum
settings_times(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) (PG_GETARG_INT32(0) * PG_GETARG_INT32(1) * factor));
}

PG_FUNCTION_INFO_V1(settings_in);

/* Of type shown, an int. */
Datum
settings_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) (atoi(PG_GETARG_CSTRING(0)) * factor));
}

PG_FUNCTION_INFO_V1(settings_out);
Datum
settings_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(psprintf("%d%s", PG_GETARG_INT32(0), flag ? "!" : ""));
}

/* A hash index that finds no more rows than the setting allows. */
static int	found = 0;

static void
limited_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	found = 0;
	hashrescan(scan, keys, nkeys, orderbys, norderbys);
}

static bool
limited_gettuple(IndexScanDesc scan, ScanDirection direction)
{
	return (limit == 0 || ++found <= limit) && hashgettuple(scan, direction);
}

PG_FUNCTION_INFO_V1(limited_handler);
Datum
limited_handler(PG_FUNCTION_ARGS)
{
	Datum		hash = DirectFunctionCall1(hashhandler, PG_GETARG_DATUM(0));
	IndexAmRoutine *routine = (IndexAmRoutine *) DatumGetPointer(hash);

	routine->amrescan = limited_rescan;
	routine->amgettuple = limited_gettuple;
	routine->amgetbitmap = NULL;
	PG_RETURN_POINTER(routine);
}
