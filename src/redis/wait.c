/*
 * redis/wait.c
 *		Waiting for a socket: the one place in the tree that does.
 *
 * 1. Nothing else in the tree waits for the network, and nothing in hiredis or OpenSSL may: the
 *	  sockets never block.
 * 2. An interrupt ends the wait at once by an error.  Who waits must leave nothing half done on a
 *	  connection that lives on: connection.c closes it first.
 * 3. A deadline is a point in time, so that answers trickling in don't put it off.
 *
 * The wait event set is kept as long as its socket: a round trip costs one epoll_wait(), where
 * WaitLatchOrSocket() would make and drop a set each time (seven system calls).
 */
#include "postgres.h"

#include "redis/wait.h"

#include "base/compat.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/latch.h"

struct cx_waiter
{
	WaitEventSet *set;
	int			position;		/* of the socket in the set */
	uint32		events;			/* what the set waits for on the socket now */
};

int64
cx_wait_clock(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

cx_deadline
cx_wait_deadline(int64 from_now_us)
{
	cx_deadline deadline = {cx_wait_clock() + from_now_us, false};

	return deadline;
}

cx_waiter *
cx_waiter_create(pgsocket fd)
{
	MemoryContext context = CurrentMemoryContext;
	cx_waiter  *volatile waiter = NULL;

	/*
	 * PostgreSQL raises an error if it can't have another file descriptor.  Such an error takes no
	 * lock and opens no transaction, so it can be dropped here: the cache is never in the way.
	 */
	PG_TRY();
	{
		waiter = MemoryContextAllocZero(TopMemoryContext, sizeof(cx_waiter));
		waiter->set = cx_create_wait_event_set(3);
		AddWaitEventToSet(waiter->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(waiter->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		waiter->events = WL_SOCKET_READABLE;
		waiter->position = AddWaitEventToSet(waiter->set, waiter->events, fd, NULL, NULL);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		if (waiter != NULL)
			cx_waiter_free(waiter);
		return NULL;
	}
	PG_END_TRY();

	return waiter;
}

void
cx_waiter_free(cx_waiter *waiter)
{
	if (waiter->set != NULL)
		FreeWaitEventSet(waiter->set);
	pfree(waiter);
}

bool
cx_wait(cx_waiter *waiter, uint32 events, cx_deadline *deadline)
{
	if (events != waiter->events)
	{
		ModifyWaitEvent(waiter->set, waiter->position, events, NULL);
		waiter->events = events;
	}

	for (;;)
	{
		WaitEvent	occurred[2];	/* latch and socket */
		bool		ready = false;
		int64		left_us;
		int			count;

		/* an interrupt may have come without a latch that is still set */
		CHECK_FOR_INTERRUPTS();

		/*
		 * Past the deadline, look once without waiting: if this process did not get to run for a
		 * while, the answer may be there.
		 */
		left_us = deadline->at_us - cx_wait_clock();
		if (left_us <= 0)
		{
			if (deadline->passed)
				return false;
			deadline->passed = true;
			left_us = 0;
		}

		count = WaitEventSetWait(waiter->set, (left_us + 999) / 1000, occurred, lengthof(occurred),
								 PG_WAIT_EXTENSION);
		for (int i = 0; i < count; i++)
		{
			if (occurred[i].events & WL_LATCH_SET)
				ResetLatch(MyLatch);
			else
				ready = true;
		}

		/* what the latch was set for comes before what the socket has */
		CHECK_FOR_INTERRUPTS();
		if (ready)
			return true;
	}
}
