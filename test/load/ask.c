/*
 * test/load/ask.c
 *		Statements of a client, and the ways to ask for a result.
 *
 * Through cache_ext.query(), with the number in the text or as an argument; or as an ordinary statement,
 * with and without a comment that asks for it: by the simple protocol, by the extended one or prepared,
 * alone or in a pipeline, and with results as text or binary.  Each client uses all of them in turns, so
 * that they meet in the entries and in what a session remembers.
 */
#include "load.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool		by_statement;
bool		by_function;
_Atomic bool stopping;
_Atomic int64_t cached_reads, plain_reads, own_reads, commits, rollbacks, definitions;

uint64_t
random_below(client *c, uint64_t bound)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (c->random >> 11) % bound;
}

/* Texts of statements: MAX_SQL bytes, which is enough. */
static void
write_text_args(char *to, const char *format, va_list args)
{
	if (vsnprintf(to, MAX_SQL, format, args) < MAX_SQL)
		return;
	fprintf(stderr, "# too long: %s\n", to);
	exit(2);
}

static void write_text(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
write_text(char *to, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	write_text_args(to, format, args);
	va_end(args);
}

/* Returns the result; NULL if it is an error, which is reported. */
static PGresult *
unless_error(client *c, const char *sql, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	report(&errors, "client %d: %s: %s", c->number, sql, PQerrorMessage(c->conn));
	PQclear(result);
	return NULL;
}

PGresult *
run(client *c, const char *sql)
{
	return unless_error(c, sql, PQexec(c->conn, sql));
}

bool
execute(client *c, const char *format, ...)
{
	char		sql[MAX_SQL];
	va_list		args;
	PGresult   *result;

	va_start(args, format);
	write_text_args(sql, format, args);
	va_end(args);
	result = run(c, sql);
	PQclear(result);
	return result != NULL;
}

int64_t
number_at(PGresult *result, int row, int column)
{
	const char *value = PQgetvalue(result, row, column);

	if (PQgetisnull(result, row, column))
		return -1;
	if (PQfformat(result, column) == 1)
	{
		uint64_t	bytes;

		memcpy(&bytes, value, sizeof(bytes));
		return (int64_t) be64toh(bytes);
	}
	return strtoll(value, NULL, 10);
}

int64_t
fetch(client *c, const char *format, ...)
{
	char		sql[MAX_SQL];
	va_list		args;
	PGresult   *result;
	int64_t		value = -1;

	va_start(args, format);
	write_text_args(sql, format, args);
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

bool
set_up(client *c)
{
	return execute(c, "SET ROLE load") &&
		(!by_statement || execute(c, "SET cache_ext.mode = auto; SET cache_ext.min_cost = 0")) &&
		(c->how != CACHE_OFF || execute(c, "SET cache_ext.enabled = off"));
}

/* The query with the number itself in place of $1. */
static void
with_number(char *to, const char *query, int id)
{
	const char *place = strstr(query, "$1");

	if (place == NULL)
		write_text(to, "%s", query);
	else
		write_text(to, "%.*s%d%s", (int) (place - query), query, id, place + 2);
}

/* Prepared when it is asked for the first time. */
static PGresult *
execute_prepared(client *c, const char *sql, int count, const char *const *values, int binary)
{
	char		name[16];
	int			number = 0;

	while (number < MAX_QUERIES && c->prepared[number] != NULL &&
		   strcmp(c->prepared[number], sql) != 0)
		number++;
	if (number == MAX_QUERIES)
	{
		fprintf(stderr, "# too many queries\n");
		exit(2);
	}
	snprintf(name, sizeof(name), "q%d", number);
	if (c->prepared[number] == NULL)
	{
		PGresult   *result = PQprepare(c->conn, name, sql, 0, NULL);

		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			return result;
		PQclear(result);
		c->prepared[number] = strdup(sql);
	}
	return PQexecPrepared(c->conn, name, count, values, NULL, NULL, binary);
}

/* Without the comment, mode auto gives caching up for a while where it does not pay. */
static void
with_hint(client *c, char *to, const char *query)
{
	write_text(to, "%s%s", random_below(c, 2) == 0 ? "/* cache_ext */ " : "", query);
}

static PGresult *
ask_by_statement(client *c, int id, const char *query)
{
	char		value[16];
	const char *values[] = {value};
	int			count = strstr(query, "$1") != NULL ? 1 : 0;
	int			binary = random_below(c, 2);
	char		hinted[MAX_SQL];
	char		sql[MAX_SQL];

	with_hint(c, hinted, query);
	snprintf(value, sizeof(value), "%d", id);
	switch (random_below(c, 3))
	{
		case 0:
			with_number(sql, hinted, id);
			write_text(c->asked, "%s", sql);
			return PQexec(c->conn, sql);
		case 1:
			write_text(c->asked, "%s (extended, %d)", hinted, id);
			return PQexecParams(c->conn, hinted, count, NULL, values, NULL, NULL, binary);
		default:
			write_text(c->asked, "%s (prepared, %d)", hinted, id);
			return execute_prepared(c, hinted, count, values, binary);
	}
}

static PGresult *
ask_by_function(client *c, const char *columns, int id, const char *query)
{
	char		text[MAX_SQL];

	if (random_below(c, 2) == 0 && strstr(query, "$1") != NULL)
		write_text(c->asked, "SELECT * FROM cache_ext.query($q$%s$q$, '{%d}') AS (%s)", query, id,
				   columns);
	else
	{
		with_number(text, query, id);
		write_text(c->asked, "SELECT * FROM cache_ext.query($q$%s$q$) AS (%s)", text, columns);
	}
	return PQexec(c->conn, c->asked);
}

static void
count_read(client *c, int count)
{
	atomic_fetch_add(c->writes ? &own_reads : c->how == FROM_CACHE ? &cached_reads : &plain_reads,
					 count);
}

PGresult *
ask_for_any(client *c, const char *columns, int id, const char *query)
{
	char		sql[MAX_SQL];

	count_read(c, 1);
	if (c->how == PLAIN_QUERY)
	{
		/* VOLATILE: whatever the mode is, this can't be cached */
		write_text(sql, "SELECT * FROM (%s) AS q WHERE random() >= 0", query);
		return ask_by_statement(c, id, sql);
	}
	if (!by_function || (by_statement && random_below(c, 2) == 0))
		return ask_by_statement(c, id, query);
	return ask_by_function(c, columns, id, query);
}

PGresult *
ask(client *c, const char *columns, int id, const char *format, ...)
{
	char		query[MAX_SQL];
	va_list		args;

	va_start(args, format);
	write_text_args(query, format, args);
	va_end(args);
	return unless_error(c, query, ask_for_any(c, columns, id, query));
}

bool
ask_in_pipeline(client *c, int count, const int *ids, const char *format, const char *of,
				PGresult **results)
{
	char		query[MAX_SQL];
	char		hinted[MAX_SQL];
	char		value[16];
	const char *values[] = {value};
	bool		good = PQenterPipelineMode(c->conn) == 1;

	write_text(query, format, of);
	for (int i = 0; i < count; i++)
	{
		with_hint(c, hinted, query);
		snprintf(value, sizeof(value), "%d", ids[i]);
		good = PQsendQueryParams(c->conn, hinted, 1, NULL, values, NULL, NULL,
								 random_below(c, 2)) == 1 && good;
	}
	write_text(c->asked, "%s (in a pipeline)", query);
	count_read(c, count);
	good = PQpipelineSync(c->conn) == 1 && good;
	for (int i = 0; i < count; i++)
	{
		results[i] = unless_error(c, query, PQgetResult(c->conn));
		good = results[i] != NULL && good;
		PQclear(PQgetResult(c->conn));	/* NULL: the end of this one */
	}
	PQclear(PQgetResult(c->conn));	/* the end of the pipeline */
	return PQexitPipelineMode(c->conn) == 1 && good;
}
