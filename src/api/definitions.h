/*
 * api/definitions.h
 *		What DDL changes: marks D, G and the global clock; keeps partition trees tracked.
 */
#ifndef CX_API_DEFINITIONS_H
#define CX_API_DEFINITIONS_H

#include "postgres.h"

/* Installs the object access, utility and executor hooks. */
extern void cx_definitions_init(void);

#endif
