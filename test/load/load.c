/*
 * test/load/load.c
 *		Writers and readers side by side, and an oracle that catches a stale read.
 *
 *	load CONNECTION function|statement|both SECONDS WRITERS READERS
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
 * What definitions and rights say is checked by the same marks.
 *
 * Half of the readers use the cache; of the rest, half switch it off and half run a query that can't
 * be cached.  Without these some races can't show, since only they see a commit as early as anybody
 * can.
 *
 * Prints name=value lines; the exit status is 0 only if there was no violation and no error.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 64

/* Through the cache: on a slow machine it takes longer than SECONDS. */
#define MIN_READS 3000

/* Readers get a chance to hit, on a slow machine as on a fast one. */
static void
wait_for_readers(client *c)
{
	int64_t		enough = atomic_load(&cached_reads) + random_below(c, 24);

	while (atomic_load(&cached_reads) < enough && !atomic_load(&stopping))
		usleep(100);
}

static void *
run_client(void *argument)
{
	client	   *c = argument;

	while (!atomic_load(&stopping) && PQstatus(c->conn) == CONNECTION_OK)
	{
		if (c->writes)
		{
			write_once(c);
			wait_for_readers(c);
		}
		else
			read_once(c);
	}
	PQfinish(c->conn);
	return NULL;
}

int
main(int argc, char **argv)
{
	static client clients[MAX_CLIENTS];
	int			seconds;
	int			writers;
	int			count;

	if (argc != 6)
	{
		fprintf(stderr, "usage: load CONNECTION function|statement|both SECONDS WRITERS READERS\n");
		return 2;
	}
	by_statement = strcmp(argv[2], "function") != 0;
	by_function = strcmp(argv[2], "statement") != 0;
	seconds = atoi(argv[3]);
	writers = atoi(argv[4]);
	count = writers + atoi(argv[5]);
	if (count < 1 || count > MAX_CLIENTS || seconds <= 0)
		return 2;

	for (int i = 0; i < count; i++)
	{
		client	   *c = &clients[i];

		c->number = i;
		c->writes = i < writers;
		if (!c->writes)
			c->how = (i - writers) % 2 == 0 ? FROM_CACHE :
				(i - writers) % 4 == 1 ? CACHE_OFF : PLAIN_QUERY;
		c->random = (uint64_t) time(NULL) * 2654435761u + (uint64_t) i * 88172645463325252u + 1;
		c->conn = PQconnectdb(argv[1]);
		if (PQstatus(c->conn) != CONNECTION_OK)
		{
			fprintf(stderr, "# %s\n", PQerrorMessage(c->conn));
			return 2;
		}
		if (!set_up(c))
			return 2;
	}
	read_marks(clients[0].conn);

	for (int i = 0; i < count; i++)
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			return 2;
	sleep(seconds);
	while (atomic_load(&cached_reads) < MIN_READS && errors == 0 && violations == 0)
		usleep(10000);
	atomic_store(&stopping, true);
	for (int i = 0; i < count; i++)
		pthread_join(clients[i].thread, NULL);

	printf("cached_reads=%" PRId64 "\nplain_reads=%" PRId64 "\nown_reads=%" PRId64
		   "\ncommits=%" PRId64 "\nrollbacks=%" PRId64 "\ndefinitions=%" PRId64
		   "\nviolations=%" PRId64 "\nerrors=%" PRId64 "\n",
		   cached_reads, plain_reads, own_reads, commits, rollbacks, definitions, violations,
		   errors);
	return violations == 0 && errors == 0 ? 0 : 1;
}
