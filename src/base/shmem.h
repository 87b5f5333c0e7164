/*
 * base/shmem.h
 *		Shared memory, one named area a module.
 */
#ifndef CX_BASE_SHMEM_H
#define CX_BASE_SHMEM_H

#include "postgres.h"

/*
 * Registers an area, to be called from a module's init inside _PG_init.  size() is asked once all
 * settings have their values; init() runs in the postmaster when the memory is created, and again
 * in it after a crash restart, with zeroed memory.  attach() runs in every process afterwards
 * (under EXEC_BACKEND too) and keeps the pointer.
 */
typedef struct cx_shmem_area
{
	const char *name;
	Size		(*size)(void);
	void		(*init)(void *area);
	void		(*attach)(void *area);
} cx_shmem_area;

extern void cx_shmem_init(void);
extern void cx_shmem_register(const cx_shmem_area *area);

/* Was the library preloaded, so that shared memory and hooks exist? */
extern bool cx_shmem_ready(void);

/* Raises ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE with a hint unless it was. */
extern void cx_shmem_require(void);

#endif
