/*
 * worker/worker.h
 *		The background worker: what must happen though no backend asks for it.
 */
#ifndef CX_WORKER_WORKER_H
#define CX_WORKER_WORKER_H

#include "postgres.h"

/* Registers the worker, to be started with the server; only while preloading. */
extern void cx_worker_init(void);

/* Where the worker starts; PostgreSQL finds it by name. */
extern PGDLLEXPORT void cx_worker_main(Datum argument) pg_attribute_noreturn();

#endif
