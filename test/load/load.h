/*
 * test/load/load.h
 *		What the parts of the load test share; load.c says how it works.
 */
#ifndef CX_LOAD_H
#define CX_LOAD_H

#include <libpq-fe.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ROWS 16
#define REFILLED_ROWS 8
#define MAX_QUERIES 128
#define MAX_SQL 1024

/*
 * Oracle: marks.c
 */

typedef enum family
{
	PLAIN, KEYED, PARTED, REWRITTEN, WIDE,	/* simple counters, one a row of a table */
	CASCADED, REFILLED, TRANSFERS,
	SHOWN, CALLED, GRANTED,		/* of definitions */
	FAMILIES
} family;

typedef struct counter
{
	_Atomic int64_t acked;
	_Atomic int64_t seen;
	_Atomic int64_t attempts;
} counter;

extern const char *const table_of[FAMILIES];
extern counter counters[FAMILIES][ROWS];
extern _Atomic int64_t violations, errors;

extern void raise_to(_Atomic int64_t *mark, int64_t value);
extern int64_t lowest(counter *one);

/* Counts a violation or an error, and tells of the first ones. */
extern void report(_Atomic int64_t *kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Before anybody writes: whatever is in the tables was committed. */
extern void read_marks(PGconn *conn);

/*
 * Clients and their statements: ask.c
 */

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

	char		asked[MAX_SQL];	/* what was asked last, for reports */
	char	   *prepared[MAX_QUERIES];	/* text of the prepared statement of that number */
} client;

/* Are results asked for by ordinary statements, through cache_ext.query(), or now so, now so? */
extern bool by_statement;
extern bool by_function;

extern _Atomic bool stopping;
extern _Atomic int64_t cached_reads, plain_reads, own_reads, commits, rollbacks, definitions;

extern uint64_t random_below(client *c, uint64_t bound);

/* NULL, false or -1: it failed, and the reason was reported. */
extern PGresult *run(client *c, const char *sql);
extern bool execute(client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern int64_t fetch(client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the session needs before it asks anything. */
extern bool set_up(client *c);

/*
 * Asks for the result of a query in one of the ways that this client reads in.  $1 in it stands for
 * id; columns is the column definition list.  ask_for_any returns errors as well.
 */
extern PGresult *ask(client *c, const char *columns, int id, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
extern PGresult *ask_for_any(client *c, const char *columns, int id, const char *query);

/*
 * The results of one query of a table for several numbers, sent at once; NULL for those that failed.  For
 * ordinary statements only.  False if anything failed.
 */
extern bool ask_in_pipeline(client *c, int count, const int *ids, const char *format,
							const char *of, PGresult **results);

extern int64_t number_at(PGresult *result, int row, int column);

/*
 * What they do: write.c, define.c, read.c
 */

extern void write_once(client *c);

/* Changes a definition.  For one client only: PostgreSQL has errors for two. */
extern void define_once(client *c);

extern void read_once(client *c);

#endif
