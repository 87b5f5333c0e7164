/*
 * test/load/load.c
 *		Writers and readers side by side, and an oracle that catches a stale read.
 *
 *	load CONNECTION SECONDS WRITERS READERS
 *
 * Every counter in the tables of schema.sql only grows, so three shared marks for each tell whether a
 * read was right, without stopping anybody:
 *
 *	acked		the highest value whose commit was acknowledged
 *	seen		the highest value that any reader got
 *	attempts	how many transactions may have raised it by one
 *
 * A reader notes acked and seen BEFORE it sends its query.  What it gets must not be below either
 * (that would be stale), nor above attempts AFTER it (that would be a change that nobody committed:
 * what is rolled back adds a million first).  Where rows belong together, they must fit together.
 *
 * Half of the readers use the cache; of the rest, half switch it off and half run the plain query.
 * Without these some races can't show, since only they see a commit as early as anybody can.
 *
 * Prints name=value lines; the exit status is 0 only if there was no violation and no error.
 */
#include <libpq-fe.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROWS 16
#define REFILLED_ROWS 8
#define AMOUNT 1000
#define ROLLED_BACK "1000000"
#define MAX_CLIENTS 64
#define MAX_REPORTS 20

enum family
{
	PLAIN, KEYED, PARTED,		/* simple counters, in this order */
	CASCADED, REFILLED, TRANSFERS, FAMILIES
};

static const char *const table_of[] = {"plain", "keyed", "parted", "cascaded", "refilled", "giver"};

typedef struct counter
{
	_Atomic int64_t acked;
	_Atomic int64_t seen;
	_Atomic int64_t attempts;
} counter;

static counter counters[FAMILIES][ROWS];

static const char *connection_string;
static _Atomic bool stopping;
static _Atomic int64_t cached_reads, plain_reads, commits, rollbacks, violations, errors, own_reads;

typedef enum reading
{
	FROM_CACHE, CACHE_OFF, PLAIN_QUERY
} reading;

typedef struct client
{
	int			number;
	bool		writes;
	reading		how;
	PGconn	   *conn;
	uint64_t	random;
	pthread_t	thread;
} client;

static uint64_t
random_below(client *c, uint64_t bound)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (c->random >> 11) % bound;
}

static void
raise_to(_Atomic int64_t *mark, int64_t value)
{
	int64_t		current = atomic_load(mark);

	while (current < value && !atomic_compare_exchange_weak(mark, &current, value))
		;
}

static int64_t
lowest(counter *one)
{
	int64_t		acked = atomic_load(&one->acked);
	int64_t		seen = atomic_load(&one->seen);

	return acked > seen ? acked : seen;
}

static void
report(_Atomic int64_t *kind, const char *format, ...)
{
	static _Atomic int reports;
	va_list		args;

	atomic_fetch_add(kind, 1);
	if (atomic_fetch_add(&reports, 1) >= MAX_REPORTS)
		return;
	va_start(args, format);
	fprintf(stderr, "# ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
}

/*
 * Statements
 */

/* NULL: it failed, and the reason was reported. */
static PGresult *
run(client *c, const char *sql)
{
	PGresult   *result = PQexec(c->conn, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	report(&errors, "client %d: %s: %s", c->number, sql, PQerrorMessage(c->conn));
	PQclear(result);
	return NULL;
}

static bool
execute(client *c, const char *format, ...)
{
	char		sql[1024];
	va_list		args;
	PGresult   *result;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	result = run(c, sql);
	PQclear(result);
	return result != NULL;
}

static int64_t
number_at(PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? -1 :
		strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* The one value that a statement returns, or -1. */
static int64_t
fetch(client *c, const char *format, ...)
{
	char		sql[1024];
	va_list		args;
	PGresult   *result;
	int64_t		value = -1;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	result = run(c, sql);
	if (result != NULL)
	{
		if (PQntuples(result) == 1)
			value = number_at(result, 0, 0);
		else
			report(&errors, "client %d: %s: %d rows", c->number, sql, PQntuples(result));
	}
	PQclear(result);
	return value;
}

/* Commits what raised a counter to a value. */
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

/*
 * Writers
 */

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
	int64_t		value = fetch(c, "SELECT * FROM cache_ext.query("
							  "'SELECT value FROM %s WHERE id = %d') AS (value bigint)", table, id);

	atomic_fetch_add(&own_reads, 1);
	if (value != expected)
		report(&violations, "client %d: own change of %s %d: %" PRId64 " instead of %" PRId64,
			   c->number, table, id, value, expected);
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
write_counter(client *c, enum family family)
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

static void
write_once(client *c)
{
	enum family family = random_below(c, FAMILIES);

	switch (family)
	{
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

/* Readers get a chance to hit, on a slow machine as on a fast one. */
static void
wait_for_readers(client *c)
{
	int64_t		enough = atomic_load(&cached_reads) + random_below(c, 24);

	while (atomic_load(&cached_reads) < enough && !atomic_load(&stopping))
		usleep(100);
}

/*
 * Readers
 */

/* Runs a query of columns bigint, as this reader does. */
static PGresult *
read_query(client *c, int columns, const char *format, ...)
{
	static const char *const definitions[] = {"a bigint", "a bigint, b bigint",
											  "a bigint, b bigint, c bigint"};
	char		query[512];
	char		sql[1024];
	va_list		args;

	va_start(args, format);
	vsnprintf(query, sizeof(query), format, args);
	va_end(args);
	atomic_fetch_add(c->how == FROM_CACHE ? &cached_reads : &plain_reads, 1);
	if (c->how == PLAIN_QUERY)
		return run(c, query);
	snprintf(sql, sizeof(sql), "SELECT * FROM cache_ext.query('%s') AS (%s)", query,
			 definitions[columns - 1]);
	return run(c, sql);
}

/* Is a value that was read possible?  low was noted before the query was sent. */
static void
check_value(client *c, enum family family, int id, int64_t low, int64_t value)
{
	static const char *const names[] = {"from the cache", "with the cache off", "by a plain query"};
	counter    *one = &counters[family][id];
	int64_t		high = atomic_load(&one->attempts);

	if (value < low || value > high)
		report(&violations, "client %d %s: %s %d is %" PRId64 ", must be %" PRId64 " to %" PRId64,
			   c->number, names[c->how], table_of[family], id, value, low, high);
	raise_to(&one->seen, value);
}

static void
check_rows(client *c, const char *query, PGresult *result, int expected)
{
	if (PQntuples(result) != expected)
		report(&violations, "client %d: %s: %d rows instead of %d", c->number, query,
			   PQntuples(result), expected);
}

static void
read_row(client *c, enum family family)
{
	int			id = random_below(c, ROWS);
	int64_t		low = lowest(&counters[family][id]);
	PGresult   *result = read_query(c, 1, "SELECT value FROM %s WHERE id = %d", table_of[family],
									id);

	if (result == NULL)
		return;
	check_rows(c, table_of[family], result, 1);
	if (PQntuples(result) == 1)
		check_value(c, family, id, low, number_at(result, 0, 0));
	PQclear(result);
}

static void
read_table(client *c, enum family family)
{
	int64_t		low[ROWS];
	PGresult   *result;

	for (int id = 0; id < ROWS; id++)
		low[id] = lowest(&counters[family][id]);
	result = read_query(c, 2, "SELECT id::bigint, value FROM %s ORDER BY id", table_of[family]);
	if (result == NULL)
		return;
	check_rows(c, table_of[family], result, ROWS);
	for (int row = 0; row < PQntuples(result); row++)
		check_value(c, family, (int) number_at(result, row, 0), low[number_at(result, row, 0)],
					number_at(result, row, 1));
	PQclear(result);
}

/* Two tables in one query: both counters are of one instant. */
static void
read_cascade(client *c)
{
	int			id = random_below(c, ROWS);
	int64_t		low = lowest(&counters[CASCADED][id]);
	PGresult   *result = read_query(c, 2, "SELECT c.value, s.value FROM cascaded c"
									" JOIN source s ON s.id = c.id WHERE c.id = %d", id);

	if (result == NULL)
		return;
	check_rows(c, "cascade", result, 1);
	if (PQntuples(result) == 1)
	{
		check_value(c, CASCADED, id, low, number_at(result, 0, 0));
		if (number_at(result, 0, 0) != number_at(result, 0, 1))
			report(&violations, "client %d: cascade %d: %s and %s", c->number, id,
				   PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	}
	PQclear(result);
}

static void
read_refilled(client *c)
{
	int64_t		low = lowest(&counters[REFILLED][0]);
	PGresult   *result = read_query(c, 3, "SELECT count(*), min(value), max(value) FROM refilled");

	if (result == NULL)
		return;
	if (number_at(result, 0, 0) != REFILLED_ROWS ||
		number_at(result, 0, 1) != number_at(result, 0, 2))
		report(&violations, "client %d: refilled has %s rows of %s to %s", c->number,
			   PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2));
	else
		check_value(c, REFILLED, 0, low, number_at(result, 0, 1));
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
	if (one_row)
		result = read_query(c, 3, "SELECT g.amount + t.amount, g.value, t.value FROM giver g"
							" JOIN taker t USING (id) WHERE id = %d", first);
	else
		result = read_query(c, 3, "SELECT g.amount + t.amount, g.value, t.value FROM giver g"
							" JOIN taker t USING (id) ORDER BY id");
	if (result == NULL)
		return;
	check_rows(c, "transfers", result, count);
	for (int row = 0; row < PQntuples(result); row++)
	{
		check_value(c, TRANSFERS, first + row, low[first + row], number_at(result, row, 1));
		if (number_at(result, row, 0) != AMOUNT ||
			number_at(result, row, 1) != number_at(result, row, 2))
			report(&violations, "client %d: transfers %d: sum %s, %s and %s transfers", c->number,
				   first + row, PQgetvalue(result, row, 0), PQgetvalue(result, row, 1),
				   PQgetvalue(result, row, 2));
	}
	PQclear(result);
}

/* A transaction with one snapshot sees one state, whatever others commit meanwhile. */
static void
read_repeatedly(client *c)
{
	int			id = random_below(c, ROWS);
	int64_t		low = lowest(&counters[KEYED][id]);
	int64_t		values[5];

	execute(c, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	for (int i = 0; i < 5; i++)
		values[i] = fetch(c, "SELECT * FROM cache_ext.query("
						  "'SELECT value FROM keyed WHERE id = %d') AS (value bigint)", id);
	execute(c, "COMMIT");
	check_value(c, KEYED, id, low, values[0]);
	for (int i = 1; i < 5; i++)
		if (values[i] != values[0])
			report(&violations, "client %d: REPEATABLE READ: %" PRId64 " then %" PRId64, c->number,
				   values[0], values[i]);
}

static void
read_once(client *c)
{
	switch (random_below(c, 10))
	{
		case 0:
			read_table(c, random_below(c, CASCADED));
			break;
		case 1:
			read_cascade(c);
			break;
		case 2:
			read_refilled(c);
			break;
		case 3:
		case 4:
			read_transfers(c);
			break;
		case 5:
			if (random_below(c, 5) == 0)
			{
				read_repeatedly(c);
				break;
			}
			/* fall through */
		default:
			read_row(c, random_below(c, REFILLED));
	}
}

/*
 * Clients
 */

static void *
run_client(void *argument)
{
	client	   *c = argument;

	if (c->how == CACHE_OFF)
		execute(c, "SET cache_ext.enabled = off");
	while (!atomic_load(&stopping))
	{
		if (c->writes)
		{
			write_once(c);
			wait_for_readers(c);
		}
		else
			read_once(c);
		if (PQstatus(c->conn) != CONNECTION_OK)
			break;
	}
	PQfinish(c->conn);
	return NULL;
}

/* Before anybody writes: whatever is in the tables was committed. */
static void
read_marks(PGconn *conn)
{
	for (int family = 0; family < FAMILIES; family++)
	{
		char		sql[128];
		PGresult   *result;

		snprintf(sql, sizeof(sql), "SELECT id, value FROM %s", table_of[family]);
		result = PQexec(conn, sql);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			fprintf(stderr, "# %s: %s\n", sql, PQerrorMessage(conn));
			exit(2);
		}
		for (int row = 0; row < PQntuples(result); row++)
		{
			counter    *one = &counters[family][number_at(result, row, 0)];

			atomic_store(&one->acked, number_at(result, row, 1));
			atomic_store(&one->attempts, number_at(result, row, 1));
		}
		PQclear(result);
	}
}

int
main(int argc, char **argv)
{
	client		clients[MAX_CLIENTS];
	int			seconds;
	int			writers;
	int			count;

	if (argc != 5)
	{
		fprintf(stderr, "usage: load CONNECTION SECONDS WRITERS READERS\n");
		return 2;
	}
	connection_string = argv[1];
	seconds = atoi(argv[2]);
	writers = atoi(argv[3]);
	count = writers + atoi(argv[4]);
	if (count > MAX_CLIENTS || seconds <= 0)
		return 2;

	memset(clients, 0, sizeof(clients));
	for (int i = 0; i < count; i++)
	{
		clients[i].number = i;
		clients[i].writes = i < writers;
		if (!clients[i].writes)
			clients[i].how = (i - writers) % 2 == 0 ? FROM_CACHE :
				(i - writers) % 4 == 1 ? CACHE_OFF : PLAIN_QUERY;
		clients[i].random = (uint64_t) time(NULL) * 2654435761u + (uint64_t) i * 88172645463325252u + 1;
		clients[i].conn = PQconnectdb(connection_string);
		if (PQstatus(clients[i].conn) != CONNECTION_OK)
		{
			fprintf(stderr, "# %s\n", PQerrorMessage(clients[i].conn));
			return 2;
		}
	}
	read_marks(clients[0].conn);

	for (int i = 0; i < count; i++)
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			return 2;
	sleep(seconds);
	atomic_store(&stopping, true);
	for (int i = 0; i < count; i++)
		pthread_join(clients[i].thread, NULL);

	printf("cached_reads=%" PRId64 "\nplain_reads=%" PRId64 "\nown_reads=%" PRId64
		   "\ncommits=%" PRId64 "\nrollbacks=%" PRId64 "\nviolations=%" PRId64 "\nerrors=%" PRId64
		   "\n", cached_reads, plain_reads, own_reads, commits, rollbacks, violations, errors);
	return violations == 0 && errors == 0 ? 0 : 1;
}
