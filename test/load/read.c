/*
 * test/load/read.c
 *		Readers: queries of all kinds, each checked against the marks.
 */
#include "load.h"

#include <stdio.h>
#include <string.h>

#define AMOUNT 1000

/* Is a value that was read possible?  low was noted before the query was sent. */
static void
check_value(client *c, family family, int id, int64_t low, int64_t value)
{
	static const char *const names[] = {"from the cache", "with the cache off", "by a plain query"};
	counter    *one = &counters[family][id];
	int64_t		high = atomic_load(&one->attempts);

	if (value < low || value > high)
		report(&violations, "client %d %s: %s: %s %d is %" PRId64 ", must be %" PRId64 " to %" PRId64,
			   c->number, names[c->how], c->asked, table_of[family], id, value, low, high);
	raise_to(&one->seen, value);
}

static bool
has_rows(client *c, PGresult *result, int expected)
{
	if (PQntuples(result) == expected)
		return true;
	report(&violations, "client %d: %s: %d rows instead of %d", c->number, c->asked,
		   PQntuples(result), expected);
	return false;
}

/* A result of one value, that of a counter. */
static void
read_value(client *c, family family, int row, int id, const char *format, const char *of)
{
	int64_t		low = lowest(&counters[family][row]);
	PGresult   *result = ask(c, "value bigint", id, format, of);

	if (result != NULL && has_rows(c, result, 1))
		check_value(c, family, row, low, number_at(result, 0, 0));
	PQclear(result);
}

static void
read_row(client *c, family family)
{
	int			id = random_below(c, ROWS);

	read_value(c, family, id, id, "SELECT value FROM %s WHERE id = $1", table_of[family]);
}

static void
read_table(client *c, family family)
{
	int64_t		low[ROWS];
	PGresult   *result;

	for (int id = 0; id < ROWS; id++)
		low[id] = lowest(&counters[family][id]);
	result = ask(c, "id bigint, value bigint", 0, "SELECT id::bigint, value FROM %s ORDER BY id",
				 table_of[family]);
	if (result != NULL && has_rows(c, result, ROWS))
		for (int row = 0; row < ROWS; row++)
			check_value(c, family, row, low[row], number_at(result, row, 1));
	PQclear(result);
}

/*
 * Results that take room: entries have to go, perhaps while their rows are on their way.  Each repeats its
 * own value, so that bytes of another one would show.
 */
static void
read_wide(client *c)
{
	static const int repeats[] = {1, 100, 1000, 3000, 6000, 10000, 20000};
	int			times = repeats[random_below(c, sizeof(repeats) / sizeof(repeats[0]))];
	int			id = random_below(c, ROWS);
	int64_t		low = lowest(&counters[WIDE][id]);
	PGresult   *result = ask(c, "value bigint, repeated text", id,
							 "SELECT value, repeat(value::text || ' ', %d) FROM wide WHERE id = $1",
							 times);

	if (result != NULL && has_rows(c, result, 1))
	{
		const char *repeated = PQgetvalue(result, 0, 1);
		char		one[32];
		int			length = snprintf(one, sizeof(one), "%" PRId64 " ", number_at(result, 0, 0));
		bool		right = PQgetlength(result, 0, 1) == times * length;

		check_value(c, WIDE, id, low, number_at(result, 0, 0));
		for (int i = 0; right && i < times; i++)
			right = memcmp(repeated + i * length, one, length) == 0;
		if (!right)
			report(&violations, "client %d: %s: not %d times \"%s\", but %.100s", c->number, c->asked,
				   times, one, repeated);
	}
	PQclear(result);
}

/* Two tables in one query: both counters are of one instant. */
static void
read_cascade(client *c)
{
	int			id = random_below(c, ROWS);
	int64_t		low = lowest(&counters[CASCADED][id]);
	PGresult   *result = ask(c, "a bigint, b bigint", id,
							 "SELECT c.value, s.value FROM cascaded c JOIN source s ON s.id = c.id"
							 " WHERE c.id = $1");

	if (result != NULL && has_rows(c, result, 1))
	{
		check_value(c, CASCADED, id, low, number_at(result, 0, 0));
		if (number_at(result, 0, 0) != number_at(result, 0, 1))
			report(&violations, "client %d: %s: %" PRId64 " and %" PRId64, c->number, c->asked,
				   number_at(result, 0, 0), number_at(result, 0, 1));
	}
	PQclear(result);
}

static void
read_refilled(client *c)
{
	int64_t		low = lowest(&counters[REFILLED][0]);
	PGresult   *result = ask(c, "n bigint, lowest bigint, highest bigint", 0,
							 "SELECT count(*), min(value), max(value) FROM refilled");

	if (result != NULL && has_rows(c, result, 1))
	{
		if (number_at(result, 0, 0) != REFILLED_ROWS ||
			number_at(result, 0, 1) != number_at(result, 0, 2))
			report(&violations, "client %d: %s: %" PRId64 " rows of %" PRId64 " to %" PRId64,
				   c->number, c->asked, number_at(result, 0, 0), number_at(result, 0, 1),
				   number_at(result, 0, 2));
		else
			check_value(c, REFILLED, 0, low, number_at(result, 0, 1));
	}
	PQclear(result);
}

static void
read_transfers(client *c)
{
	bool		one_row = random_below(c, 2) == 0;
	int			first = one_row ? random_below(c, ROWS) : 0;
	int			count = one_row ? 1 : ROWS;
	int64_t		low[ROWS];
	PGresult   *result;

	for (int id = 0; id < ROWS; id++)
		low[id] = lowest(&counters[TRANSFERS][id]);
	result = ask(c, "total bigint, given bigint, taken bigint", first,
				 "SELECT g.amount + t.amount, g.value, t.value FROM giver g JOIN taker t USING (id) %s",
				 one_row ? "WHERE id = $1" : "ORDER BY id");
	if (result != NULL && has_rows(c, result, count))
		for (int row = 0; row < count; row++)
		{
			check_value(c, TRANSFERS, first + row, low[first + row], number_at(result, row, 1));
			if (number_at(result, row, 0) != AMOUNT ||
				number_at(result, row, 1) != number_at(result, row, 2))
				report(&violations, "client %d: %s: row %d: sum %" PRId64 ", %" PRId64 " and %" PRId64
					   " transfers", c->number, c->asked, first + row, number_at(result, row, 0),
					   number_at(result, row, 1), number_at(result, row, 2));
		}
	PQclear(result);
}

/*
 * The right comes and goes.  Where it didn't while the query ran, it is known whether it had to be
 * refused.
 */
static void
read_granted(client *c)
{
	counter    *one = &counters[GRANTED][0];
	int64_t		low = atomic_load(&one->acked);
	PGresult   *result = ask_for_any(c, "value bigint", 0, "SELECT value FROM granted");
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	bool		refused = state != NULL && strcmp(state, "42501") == 0;

	if (!refused && (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1))
		report(&errors, "client %d: %s: %s", c->number, c->asked, PQerrorMessage(c->conn));
	else if (low == atomic_load(&one->attempts) && refused != (low % 2 == 1))
		report(&violations, "client %d: %s: %s", c->number, c->asked,
			   refused ? "refused after GRANT" : "answered after REVOKE");
	PQclear(result);
}

/* Several statements of one transaction, which may also see what others commit meanwhile. */
static void
read_in_transaction(client *c)
{
	family		family = random_below(c, CASCADED);

	execute(c, "BEGIN");
	for (int i = 0; i < 3; i++)
		if (random_below(c, 2) == 0)
			read_row(c, family);
		else
			read_table(c, family);
	execute(c, "COMMIT");
}

/*
 * In a transaction that has locked all it needs PostgreSQL goes on with the function that it knows.  So
 * what this returns tells nothing; but others must not get it once there is another function.
 */
static void
read_with_old_definitions(client *c)
{
	execute(c, "BEGIN");
	for (int i = 0; i < 5; i++)
		PQclear(ask(c, "value bigint", random_below(c, ROWS), "SELECT called() FROM wide WHERE id = $1"));
	execute(c, "COMMIT");
}

/* Several statements on their way at once; they are one transaction. */
static void
read_in_pipeline(client *c)
{
	family		family = random_below(c, CASCADED);
	int			ids[4];
	int64_t		low[4];
	PGresult   *results[4];

	for (int i = 0; i < 4; i++)
	{
		ids[i] = random_below(c, ROWS);
		low[i] = lowest(&counters[family][ids[i]]);
	}
	if (!ask_in_pipeline(c, 4, ids, "SELECT value FROM %s WHERE id = $1", table_of[family], results))
		report(&errors, "client %d: %s: %s", c->number, c->asked, PQerrorMessage(c->conn));
	for (int i = 0; i < 4; i++)
	{
		if (results[i] != NULL && has_rows(c, results[i], 1))
			check_value(c, family, ids[i], low[i], number_at(results[i], 0, 0));
		PQclear(results[i]);
	}
}

/* A transaction with one snapshot sees one state, whatever others commit meanwhile. */
static void
read_repeatedly(client *c)
{
	int			id = random_below(c, ROWS);
	int64_t		low = lowest(&counters[KEYED][id]);
	int64_t		first = -1;

	execute(c, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	for (int i = 0; i < 5; i++)
	{
		PGresult   *result = ask(c, "value bigint", id, "SELECT value FROM keyed WHERE id = $1");

		if (result != NULL && has_rows(c, result, 1))
		{
			int64_t		value = number_at(result, 0, 0);

			if (first == -1)
				check_value(c, KEYED, id, low, first = value);
			else if (value != first)
				report(&violations, "client %d: REPEATABLE READ: %s: %" PRId64 " then %" PRId64,
					   c->number, c->asked, first, value);
		}
		PQclear(result);
	}
	execute(c, "COMMIT");
}

void
read_once(client *c)
{
	uint64_t	chance = random_below(c, 100);

	if (chance < 2)
		read_repeatedly(c);
	else if (chance < 5)
		read_in_transaction(c);
	else if (chance < 6)
		read_with_old_definitions(c);
	else if (chance < 7)
		read_granted(c);
	else if (chance < 9)
		read_value(c, SHOWN, 0, random_below(c, ROWS), "SELECT value FROM %s WHERE id = $1", "shown");
	else if (chance < 11)
		read_value(c, CALLED, 0, random_below(c, ROWS), "SELECT %s() FROM wide WHERE id = $1",
				   "called");
	else if (chance < 15 && by_statement && c->how != PLAIN_QUERY)
		read_in_pipeline(c);
	else if (chance < 20)
		read_table(c, random_below(c, CASCADED));
	else if (chance < 30)
		read_wide(c);
	else if (chance < 40)
		read_cascade(c);
	else if (chance < 50)
		read_refilled(c);
	else if (chance < 65)
		read_transfers(c);
	else
		read_row(c, random_below(c, CASCADED + 1));
}
