/*
 * base/printable.h
 *		Text from elsewhere, for the log and for messages.
 */
#ifndef CX_BASE_PRINTABLE_H
#define CX_BASE_PRINTABLE_H

#include "postgres.h"

/*
 * Replaces, in place, each byte that is not printable ASCII by a question mark.  Whoever answers in
 * Redis's place could otherwise begin lines of his own in the log, send escape sequences to the
 * terminal that shows it, or bytes that are no characters of the client's encoding.
 */
static inline void
cx_printable(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

#endif
