/*
 * base/compat.h
 *		Every difference between PostgreSQL versions, as a wrapper or a name.
 *
 * No other file tests PG_VERSION_NUM; .ci/run checks it.
 */
#ifndef CX_BASE_COMPAT_H
#define CX_BASE_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "cache_ext needs PostgreSQL 15 or newer"
#endif

#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"

/* This process's index into ProcGlobal->allProcs; 17 gave it a name. */
static inline int
cx_my_proc_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/* A set that lives until FreeWaitEventSet(); 17 has sets belong to a resource owner, or to none. */
static inline WaitEventSet *
cx_create_wait_event_set(int event_count)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, event_count);
#else
	return CreateWaitEventSet(TopMemoryContext, event_count);
#endif
}

#endif
