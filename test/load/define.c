/*
 * test/load/define.c
 *		Definitions that change what a query returns, without a row being written.
 */
#include "load.h"

/* Every value of the table grows by one, as it is rewritten. */
static void
rewrite_table(client *c)
{
	bool		doomed = random_below(c, 2) == 0;
	PGresult   *result;

	execute(c, "BEGIN; ALTER TABLE rewritten ALTER value TYPE bigint USING value + %s",
			doomed ? "1000000" : "1");
	if (doomed)
	{
		execute(c, "ROLLBACK");
		return;
	}
	result = run(c, "SELECT id, value FROM rewritten");
	for (int id = 0; id < ROWS; id++)
		atomic_fetch_add(&counters[REWRITTEN][id].attempts, 1);
	if (execute(c, "COMMIT"))
		for (int row = 0; row < PQntuples(result); row++)
			raise_to(&counters[REWRITTEN][number_at(result, row, 0)].acked,
					 number_at(result, row, 1));
	PQclear(result);
}

/* Ends the transaction that raised a counter to a value, at once or prepared before. */
static void
finish(client *c, counter *one, int64_t value, bool doomed)
{
	bool		prepared = random_below(c, 3) == 0;
	const char *gid = prepared ? "PREPARED 'definition'" : "";

	if (prepared)
		execute(c, "PREPARE TRANSACTION 'definition'");
	if (!doomed)
		atomic_fetch_add(&one->attempts, 1);
	if (execute(c, "%s %s", doomed ? "ROLLBACK" : "COMMIT", gid) && !doomed)
		raise_to(&one->acked, value);
}

/* A definition that says the number itself. */
static void
replace(client *c, counter *one, const char *format)
{
	bool		doomed = random_below(c, 4) == 0;
	int64_t		value = atomic_load(&one->acked) + 1;

	execute(c, "BEGIN");
	execute(c, format, doomed ? value + 1000000 : value);
	finish(c, one, value, doomed);
}

/* Odd: nobody may read the table. */
static void
change_rights(client *c)
{
	counter    *one = &counters[GRANTED][0];
	int64_t		value = atomic_load(&one->acked) + 1;

	execute(c, "BEGIN");
	execute(c, value % 2 == 1 ? "REVOKE SELECT ON granted FROM load" :
			"GRANT SELECT ON granted TO load");
	finish(c, one, value, random_below(c, 4) == 0);
}

/* What changes no result, but plans, files or messages. */
static void
change_nothing(client *c)
{
	switch (random_below(c, 4))
	{
		case 0:
			execute(c, "CREATE INDEX keyed_value ON keyed (value)");
			execute(c, "DROP INDEX keyed_value");
			break;
		case 1:
			execute(c, "CLUSTER keyed USING keyed_pkey");
			break;
		case 2:
			execute(c, "ANALYZE plain");
			break;
		default:
			execute(c, "ALTER TABLE plain ALTER value SET STATISTICS %d", (int) random_below(c, 100));
	}
}

void
define_once(client *c)
{
	atomic_fetch_add(&definitions, 1);
	switch (random_below(c, 5))
	{
		case 0:
			rewrite_table(c);
			break;
		case 1:
			replace(c, &counters[SHOWN][0], "CREATE OR REPLACE VIEW shown AS"
					" SELECT id, %" PRId64 "::bigint AS value FROM wide");
			break;
		case 2:
			replace(c, &counters[CALLED][0], "CREATE OR REPLACE FUNCTION called() RETURNS bigint"
					" LANGUAGE sql IMMUTABLE AS 'SELECT %" PRId64 "::bigint'");
			break;
		case 3:
			change_rights(c);
			break;
		default:
			change_nothing(c);
	}
}
