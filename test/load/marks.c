/*
 * test/load/marks.c
 *		The marks that tell whether a read was right; load.c says why.
 */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_REPORTS 20

const char *const table_of[FAMILIES] = {
	"plain", "keyed", "parted", "rewritten", "wide", "cascaded", "refilled", "giver", "shown", "called",
	"granted"
};
counter		counters[FAMILIES][ROWS];
_Atomic int64_t violations, errors;

void
raise_to(_Atomic int64_t *mark, int64_t value)
{
	int64_t		current = atomic_load(mark);

	while (current < value && !atomic_compare_exchange_weak(mark, &current, value))
		;
}

int64_t
lowest(counter *one)
{
	int64_t		acked = atomic_load(&one->acked);
	int64_t		seen = atomic_load(&one->seen);

	return acked > seen ? acked : seen;
}

void
report(_Atomic int64_t *kind, const char *format, ...)
{
	static _Atomic int reports;
	va_list		args;

	atomic_fetch_add(kind, 1);
	if (atomic_fetch_add(&reports, 1) >= MAX_REPORTS)
		return;
	va_start(args, format);
	flockfile(stderr);
	fprintf(stderr, "# ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	funlockfile(stderr);
	va_end(args);
}

void
read_marks(PGconn *conn)
{
	PQclear(PQexec(conn, "GRANT SELECT ON granted TO load"));
	for (int family = 0; family < GRANTED; family++)
	{
		char		sql[128];
		PGresult   *result;

		snprintf(sql, sizeof(sql), family == CALLED ? "SELECT 0, %s()" : "SELECT id, value FROM %s",
				 table_of[family]);
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
