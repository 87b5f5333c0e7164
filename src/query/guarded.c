/*
 * query/guarded.c
 *		Running what may raise an error that is nobody's business: functions of types on bytes that
 *		may be hostile, the analysis of texts that the statement may never come to.
 *
 * Memory: the action runs in the caller's context, and what it allocates there stays.  No locks.
 */
#include "postgres.h"

#include "query/guarded.h"

#include "access/xact.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

static bool looking = false;

/*
 * Errors that are no verdict on a value: someone wants the session to stop, or it can't go on.
 */
static bool
must_pass(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		error->sqlerrcode == ERRCODE_OUT_OF_MEMORY;
}

static bool
run(cx_guarded_action action, void *arg, bool keep, const char **message)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool result = false;

	if (IsInParallelMode())
	{
		*message = "in parallel mode";
		return false;
	}

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		result = action(arg);

		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		if (must_pass(error))
			ReThrowError(error);
		*message = error->message ? pstrdup(error->message) : "an error without a text";
		FreeErrorData(error);
		result = false;
	}
	PG_END_TRY();
	return result;
}

bool
cx_guarded_run(cx_guarded_action action, void *arg)
{
	const char *message;

	return run(action, arg, true, &message);
}

bool
cx_guarded_look(cx_guarded_action action, void *arg, const char **message)
{
	int			saved_lock_timeout = LockTimeout;
	int			saved_client_min_messages = client_min_messages;
	int			saved_log_min_messages = log_min_messages;
	bool		saved_looking = looking;
	volatile bool result = false;

	/*
	 * The variables, not the settings: nothing else sees them meanwhile.  Who holds a lock that the
	 * statement wouldn't take must not make it wait, and scanning a text may raise warnings.
	 */
	looking = true;
	PG_TRY();
	{
		LockTimeout = 1;
		client_min_messages = log_min_messages = ERROR;
		result = run(action, arg, false, message);
	}
	PG_FINALLY();
	{
		LockTimeout = saved_lock_timeout;
		looking = saved_looking;
		client_min_messages = saved_client_min_messages;
		log_min_messages = saved_log_min_messages;
	}
	PG_END_TRY();
	return result;
}

/*
 * Parse analysis makes values of constants, by the input functions of their types.  That of an array or
 * a row calls those of what is inside, the one of a domain runs its constraints, and a range's its
 * canonical function: code of some role, in a text that the statement may never come to.  What such
 * code calls may well be PostgreSQL's own, with the rights of whoever looks, so nothing is executed.
 */
void
cx_guarded_forbid_execution(void)
{
	if (looking)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("reading a constant runs code of its type's owner")));
}
