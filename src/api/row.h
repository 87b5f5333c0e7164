/*
 * api/row.h
 *		One row of an attached table by its key: from Redis, else from the table.
 */
#ifndef CX_API_ROW_H
#define CX_API_ROW_H

#include "postgres.h"

extern void cx_row_init(void);

#endif
