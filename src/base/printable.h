/*
 * base/printable.h
 *		Text of others, made fit for messages.
 */
#ifndef CX_BASE_PRINTABLE_H
#define CX_BASE_PRINTABLE_H

/*
 * Puts a question mark in the place of every byte that isn't printable ASCII.  What a server says
 * gets into the log and into error messages: line breaks would forge lines of the log, escape
 * sequences move the cursor of whoever reads it, and bytes that are no text in the database's
 * encoding break the client.
 */
static inline void
cx_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

#endif
