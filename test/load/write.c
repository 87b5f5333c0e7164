/*
 * test/load/write.c
 *		Writers: every way to raise a counter by one.
 *
 * What is rolled back adds a million first, so that nobody can take it for what was committed.
 */
#include "load.h"

#include <stdio.h>

#define ROLLED_BACK "1000000"

static void
commit(client *c, counter *one, int64_t value)
{
	atomic_fetch_add(&one->attempts, 1);
	if (execute(c, "COMMIT"))
	{
		raise_to(&one->acked, value);
		atomic_fetch_add(&commits, 1);
	}
}

static void
roll_back(client *c)
{
	execute(c, "ROLLBACK");
	atomic_fetch_add(&rollbacks, 1);
}

/* What is added to a counter. */
static const char *
step(bool doomed)
{
	return doomed ? ROLLED_BACK : "1";
}

/*
 * Within a transaction its own changes are seen, through the cache too; the query is one that others
 * cache as well.
 */
static void
check_own(client *c, const char *table, int id, int64_t expected)
{
	PGresult   *result = ask(c, "value bigint", id, "SELECT value FROM %s WHERE id = $1", table);

	if (result != NULL && (PQntuples(result) != 1 || number_at(result, 0, 0) != expected))
		report(&violations, "client %d: own change: %s: not %" PRId64, c->number, c->asked,
			   expected);
	PQclear(result);
}

static void
write_prepared(client *c, counter *one, const char *table, int id)
{
	bool		doomed = random_below(c, 4) == 0;
	int64_t		value;

	execute(c, "BEGIN");
	value = fetch(c, "UPDATE %s SET value = value + %s WHERE id = %d RETURNING value", table,
				  step(doomed), id);
	if (!execute(c, "PREPARE TRANSACTION 'load %d'", c->number))
		return;
	if (doomed)
	{
		execute(c, "ROLLBACK PREPARED 'load %d'", c->number);
		atomic_fetch_add(&rollbacks, 1);
		return;
	}
	atomic_fetch_add(&one->attempts, 1);
	if (execute(c, "COMMIT PREPARED 'load %d'", c->number))
	{
		raise_to(&one->acked, value);
		atomic_fetch_add(&commits, 1);
	}
}

static void
write_counter(client *c, family family)
{
	const char *table = table_of[family];
	int			id = random_below(c, ROWS);
	counter    *one = &counters[family][id];
	char		member[32];
	int64_t		value;

	/* a partition as well as its root */
	snprintf(member, sizeof(member), "%s", table);
	if (family == PARTED && random_below(c, 2) == 0)
		snprintf(member, sizeof(member), "parted_%d", id / 8);

	switch (random_below(c, 10))
	{
		case 0:
			execute(c, "BEGIN");
			value = fetch(c, "UPDATE %s SET value = value + " ROLLED_BACK " WHERE id = %d"
						  " RETURNING value", member, id);
			check_own(c, table, id, value);
			roll_back(c);
			break;
		case 1:					/* a part that is undone, then one that stays */
			execute(c, "BEGIN");
			value = fetch(c, "SELECT value FROM %s WHERE id = %d FOR UPDATE", table, id);
			execute(c, "SAVEPOINT a");
			execute(c, "UPDATE %s SET value = value + " ROLLED_BACK " WHERE id = %d", member, id);
			execute(c, "ROLLBACK TO a");
			check_own(c, table, id, value);
			value = fetch(c, "UPDATE %s SET value = value + 1 WHERE id = %d RETURNING value",
						  member, id);
			execute(c, "RELEASE a");
			commit(c, one, value);
			break;
		case 2:					/* all of it in a part that is released */
			execute(c, "BEGIN; SAVEPOINT a; SAVEPOINT b");
			value = fetch(c, "UPDATE %s SET value = value + 1 WHERE id = %d RETURNING value",
						  member, id);
			execute(c, "RELEASE b; RELEASE a");
			check_own(c, table, id, value);
			commit(c, one, value);
			break;
		case 3:
			write_prepared(c, one, member, id);
			break;
		case 4:
			atomic_fetch_add(&one->attempts, 1);
			value = fetch(c, "SELECT bump_%s(%d)", table, id);
			raise_to(&one->acked, value);
			atomic_fetch_add(&commits, 1);
			break;
		case 5:
			atomic_fetch_add(&one->attempts, 1);
			value = fetch(c, "WITH written AS (UPDATE %s SET value = value + 1 WHERE id = %d"
						  " RETURNING value) SELECT value FROM written", member, id);
			raise_to(&one->acked, value);
			atomic_fetch_add(&commits, 1);
			break;
		case 6:					/* ON CONFLICT and COPY's kind of statement: an INSERT */
			atomic_fetch_add(&one->attempts, 1);
			value = fetch(c, "INSERT INTO %s AS t VALUES (%d, 0)"
						  " ON CONFLICT (id) DO UPDATE SET value = t.value + 1 RETURNING value",
						  member, id);
			raise_to(&one->acked, value);
			atomic_fetch_add(&commits, 1);
			break;
		default:
			atomic_fetch_add(&one->attempts, 1);
			value = fetch(c, "UPDATE %s SET value = value + 1 WHERE id = %d RETURNING value",
						  member, id);
			raise_to(&one->acked, value);
			atomic_fetch_add(&commits, 1);
	}
}

static void
write_cascade(client *c)
{
	int			id = random_below(c, ROWS);
	counter    *one = &counters[CASCADED][id];
	bool		doomed = random_below(c, 4) == 0;
	int64_t		value;

	execute(c, "BEGIN");
	value = fetch(c, "UPDATE source SET value = value + %s WHERE id = %d RETURNING value",
				  step(doomed), id);
	if (doomed)
		roll_back(c);
	else
		commit(c, one, value);
}

static void
write_refill(client *c)
{
	counter    *one = &counters[REFILLED][0];
	bool		truncate = random_below(c, 2) == 0;
	bool		doomed = random_below(c, 4) == 0;
	int64_t		value;

	/* one at a time: who deletes while another inserts would see none of both */
	execute(c, "BEGIN; LOCK TABLE refilled IN %s MODE",
			truncate ? "ACCESS EXCLUSIVE" : "SHARE ROW EXCLUSIVE");
	value = fetch(c, "SELECT max(value) + %s FROM refilled", step(doomed));
	execute(c, truncate ? "TRUNCATE refilled" : "DELETE FROM refilled");
	execute(c, "INSERT INTO refilled SELECT id, %" PRId64 " FROM generate_series(0, %d) id", value,
			REFILLED_ROWS - 1);
	if (doomed)
		roll_back(c);
	else
		commit(c, one, value);
}

static void
write_transfer(client *c)
{
	int			id = random_below(c, ROWS);
	counter    *one = &counters[TRANSFERS][id];
	bool		doomed = random_below(c, 4) == 0;
	int64_t		value;

	execute(c, "BEGIN");
	value = fetch(c, "UPDATE giver SET amount = amount - 1, value = value + %s WHERE id = %d"
				  " RETURNING value", step(doomed), id);
	execute(c, "UPDATE taker SET amount = amount + 1, value = value + %s WHERE id = %d",
			step(doomed), id);
	if (doomed)
		roll_back(c);
	else
		commit(c, one, value);
}

void
write_once(client *c)
{
	family		family = random_below(c, SHOWN);

	if (c->number == 0 && random_below(c, 50) == 0)
	{
		define_once(c);
		return;
	}

	switch (family)
	{
		case WIDE:
			if (random_below(c, 16) == 0)
				write_counter(c, family);
			break;
		case CASCADED:
			write_cascade(c);
			break;
		case REFILLED:
			if (random_below(c, 4) == 0)
				write_refill(c);
			break;
		case TRANSFERS:
			write_transfer(c);
			break;
		default:
			write_counter(c, family);
	}
}

