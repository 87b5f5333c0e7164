/*
 * core/entry.h
 *		The stored form of an entry: what says whose it is and how old, around rows of any form.
 *
 * MessagePack, an array of twelve: [format, epoch, lsn, until, created, expires, key, definition tags,
 * row tags, columns, rows, checksum].  lsn is the insert position before the clocks were read (E in
 * the protocol), until the one after the snapshot: nothing that the rows hold was written later.
 * created and expires are microseconds since 1970 (UTC), key is bin.  The tags are those of the
 * statement that filled the entry, each as its spread (base/tag.h) in eight bytes, most significant
 * first, in one bin for definitions and one for rows.  columns and rows are the body, two values
 * that query/row_codec.h knows about and nothing here looks into.
 * checksum is the CRC-32C of every byte before it, always as a uint32 of five bytes: a stamp with
 * one wrong bit would serve a stale result, a number with one wrong bit is still a number.
 */
#ifndef CX_CORE_ENTRY_H
#define CX_CORE_ENTRY_H

#include "postgres.h"

#include "core/clock.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

typedef struct cx_entry
{
	cx_stamp	stamp;
	XLogRecPtr	until;
	TimestampTz created;		/* finite */
	TimestampTz expires;		/* finite */
	const char *key;
	uint32		key_length;
	const char *definition_tags;	/* as stored: see cx_entry_spreads() */
	uint32		definition_count;
	const char *row_tags;
	uint32		row_tag_count;
	const char *body;
	size_t		body_length;
} cx_entry;

/*
 * Writing: the header (everything up to the body) into an empty out, then the body by its owner,
 * then the checksum.  The entry's tags and body fields are not looked at: spreads are the tags', those
 * of definitions first.
 */
extern void cx_entry_write_header(StringInfo out, const cx_entry *entry, const uint64 *spreads,
								  int definition_count, int row_tag_count);
extern void cx_entry_write_checksum(StringInfo out);

/*
 * Reading bytes that may be hostile: true only if header and checksum are right.  The entry points
 * into data.  Allocates nothing, raises no error.
 */
extern bool cx_entry_read(const char *data, size_t length, cx_entry *entry);

/* The tags of an entry that was read, as they were written: definition_count + row_tag_count of them. */
extern void cx_entry_spreads(const cx_entry *entry, uint64 *spreads);

#endif
