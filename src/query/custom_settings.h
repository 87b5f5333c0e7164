/*
 * query/custom_settings.h
 *		The settings that loaded libraries have defined, as a part of the key.
 */
#ifndef CX_QUERY_CUSTOM_SETTINGS_H
#define CX_QUERY_CUSTOM_SETTINGS_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * Appends name and value of each that differs from its default, and, if the names count, something that
 * only sessions with the same libraries' settings have in common.
 */
extern void cx_custom_settings_put(StringInfo out, bool names);

#endif
