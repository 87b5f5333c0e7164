/*
 * core/environment.h
 *		What outside the data directory decides results: one number for all of it.
 */
#ifndef CX_CORE_ENVIRONMENT_H
#define CX_CORE_ENVIRONMENT_H

#include "postgres.h"

/*
 * A hash over the server and its libraries, the files that extensions and text search read, locales
 * and time zones, as they are on disk now.  For the postmaster: takes some milliseconds, raises no error.
 */
extern uint64 cx_environment_hash(void);

#endif
