/*
 * base/shmem.c
 *		Shared memory, one named area a module.
 *
 * Owns shmem_request_hook and shmem_startup_hook.  Areas are created under AddinShmemInitLock and
 * never move or grow.
 */
#include "postgres.h"

#include "base/shmem.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define MAX_AREAS 24

static const cx_shmem_area *areas[MAX_AREAS];
static int	area_count = 0;
static bool ready = false;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_areas(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	for (int i = 0; i < area_count; i++)
		RequestAddinShmemSpace(areas[i]->size());
}

static void
start_areas(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < area_count; i++)
	{
		Size		size = areas[i]->size();
		bool		found;
		void	   *area = ShmemInitStruct(areas[i]->name, size, &found);

		/* fresh shared memory is zero, and had better not be touched in full */
		if (!found)
			areas[i]->init(area);
		areas[i]->attach(area);
	}
	LWLockRelease(AddinShmemInitLock);
	ready = true;
}

void
cx_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_areas;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_areas;
}

void
cx_shmem_register(const cx_shmem_area *area)
{
	Assert(process_shared_preload_libraries_in_progress);
	if (area_count == MAX_AREAS)
		elog(ERROR, "too many shared memory areas");
	areas[area_count++] = area;
}

bool
cx_shmem_ready(void)
{
	return ready;
}

void
cx_shmem_require(void)
{
	if (!ready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cache_ext is not loaded"),
				 errhint("Add cache_ext to shared_preload_libraries and restart the server.")));
}
