/*
 * plan/kept_plans.c
 *		The plans that functions keep in a session: may a statement that runs them fill the cache?
 *
 * A PL/pgSQL function (or any that uses SPI) plans its statements at their first execution in a session
 * and keeps the plans.  PostgreSQL replans them when an object that they use changes, but not when a
 * name would now stand for another object: a better overload, a table in a schema that is earlier in
 * search_path.  Nor does it when a setting changes under which constants were computed.  A new session
 * gets the new result, this one the old one until it ends.  That is the session's own affair; an entry
 * that it fills would make its old answer everybody's.
 *
 * Invariants:
 *
 *	1. Each plan kept in this session was made, or marked to be made again, after the position
 *	   "renewed".  It is as new as a definition whose clock has not moved since.
 *	2. Unless "mixed", each was made under "settings", as far as any was made.
 *
 * Memory: two buffers in TopMemoryContext.  Locks: none.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "plan/kept_plans.h"
#include "query/statement.h"

#include "access/parallel.h"
#include "parser/parser.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

static cx_stamp began;			/* when the session had run nothing yet */
static cx_stamp renewed;		/* epoch 0: nothing is known of the session's plans */
static StringInfoData settings; /* no data before the first fill */
static bool mixed = false;
static int	lexing = -1;		/* how literals were read in the first of them; -1: there was none */
static bool lexing_changed = false;
static bool started = false;

/* A text is read into tokens once: not even a plan that is made again reads it anew. */
static void
note_lexing(void)
{
	int			now = (int) backslash_quote << 1 | (standard_conforming_strings ? 1 : 0);

	if (lexing < 0)
		lexing = now;
	else if (lexing != now)
		lexing_changed = true;
}

static bool
same_settings(void)
{
	static StringInfoData now;

	if (now.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&now);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&now);
	cx_statement_parse_key(&now);
	return now.len == settings.len && memcmp(now.data, settings.data, now.len) == 0;
}

static void
note_settings(void)
{
	if (settings.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&settings);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&settings);
	cx_statement_parse_key(&settings);
	mixed = false;
}

/* The order of cx_clock_begin_plan(): the position, then the messages, then the plans. */
static void
note_definitions(void)
{
	cx_clock_begin_plan(&renewed);
	AcceptInvalidationMessages();
}

/*
 * A session that has run nothing has kept nothing.  Every way into a function is watched, since one that
 * ran unseen might have kept a plan that is older: statements, utility commands (DO, CALL), and calls of
 * the fast-path protocol.
 */
void
cx_kept_plans_session_starts(void)
{
	if (likely(started) || !cx_shmem_ready() || IsParallelWorker())
		return;
	started = true;
	note_definitions();
	began = renewed;
}

/* Settings are compared only in sessions that fill with functions: the others pay for a test. */
void
cx_kept_plans_one_is_made(void)
{
	note_lexing();
	if (!mixed)
		mixed = settings.data == NULL || !same_settings();
}

/* PL/pgSQL compiles a function once, and nothing but a change of the function makes it do that again. */
bool
cx_kept_plans_types_hold(const cx_slot *definitions, int count)
{
	return cx_clock_check(&began, definitions, count) == CX_CLOCK_VALID;
}

bool
cx_kept_plans_renew(const cx_slot *definitions, int count)
{
	note_lexing();
	if (settings.data == NULL && !mixed)
		note_settings();		/* there is no plan yet */
	if (mixed || !same_settings() ||
		cx_clock_check(&renewed, definitions, count) != CX_CLOCK_VALID)
	{
		note_settings();
		note_definitions();
		ResetPlanCache();
	}
	return renewed.epoch != 0 && !lexing_changed;
}
