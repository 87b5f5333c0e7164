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

#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "storage/proc.h"

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

/* Has the current user the rights that running the plan checks on relations? */
static inline bool
cx_may_read(PlannedStmt *plan)
{
#if PG_VERSION_NUM >= 160000
	return ExecCheckPermissions(plan->rtable, plan->permInfos, false);
#else
	return ExecCheckRTPerms(plan->rtable, false);
#endif
}

#endif
