/*
 * api/statements.c
 *		SQL functions about what caching each statement of this database costs and gains: statements,
 *		reset_statements.
 *
 * Whoever may read them sees the numbers; a statement's text and query ID only if it is the user's own
 * or the user reads all statistics, as in pg_stat_statements.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "core/account.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define COLUMNS 12

typedef struct reader
{
	ReturnSetInfo *result;
	Oid			role;
	bool		sees_all;
} reader;

static void
set_ms(Datum *value, bool *null, double us)
{
	*value = Float8GetDatum(us / 1000);
	*null = us == 0;
}

static void
add_row(const cx_account_facts *facts, void *arg)
{
	reader	   *me = arg;
	const char *role;
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {0};
	NameData	name;
	int			i = 0;

	if (facts->database != MyDatabaseId)
		return;

	role = GetUserNameFromId(facts->role, true);
	if (role != NULL)
		namestrcpy(&name, role);
	nulls[i] = role == NULL;
	values[i++] = NameGetDatum(&name);

	nulls[i] = nulls[i + 1] = !me->sees_all && facts->role != me->role;
	nulls[i] |= facts->query_id == 0;
	values[i++] = Int64GetDatum(facts->query_id);
	values[i++] = CStringGetTextDatum(facts->text);

	values[i++] = Int64GetDatum((int64) facts->hits);
	values[i++] = Int64GetDatum((int64) facts->misses);
	values[i++] = Int64GetDatum((int64) facts->stored);
	values[i++] = Int64GetDatum((int64) facts->plain);
	set_ms(&values[i], &nulls[i], facts->hit_us);
	i++;
	set_ms(&values[i], &nulls[i], facts->miss_us);
	i++;
	set_ms(&values[i], &nulls[i], facts->plain_us);
	i++;
	values[i++] = BoolGetDatum(facts->resting);
	values[i++] = TimestampTzGetDatum(facts->last_used);

	Assert(i == COLUMNS);
	tuplestore_putvalues(me->result->setResult, me->result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(cache_ext_statements);
Datum
cache_ext_statements(PG_FUNCTION_ARGS)
{
	reader		me = {(ReturnSetInfo *) fcinfo->resultinfo, GetUserId()};

	cx_shmem_require();
	me.sees_all = has_privs_of_role(me.role, ROLE_PG_READ_ALL_STATS);
	InitMaterializedSRF(fcinfo, 0);
	cx_account_visit(add_row, &me);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_ext_reset_statements);
Datum
cache_ext_reset_statements(PG_FUNCTION_ARGS)
{
	cx_shmem_require();
	cx_account_reset();
	PG_RETURN_VOID();
}
