/*
 * core/entry.c
 *		The stored form of an entry.
 *
 * The checksum is there for accidents (a damaged dump, a truncated or mixed up value), not against
 * an attacker: whoever can write to Redis can write whole entries.  What an attacker can't do is
 * make reading go wrong, here or in the body.
 */
#include "postgres.h"

#include "base/crc.h"
#include "base/msgpack_reader.h"
#include "base/msgpack_writer.h"
#include "core/entry.h"

#include "common/int.h"
#include "port/pg_bswap.h"

/* Raise it with any change to what is stored, the body included; other formats are not read. */
#define ENTRY_FORMAT 2

#define ENTRY_FIELDS 12
#define BODY_FIELDS 2			/* of a byte each at least */

/* uint32 in the one format of a fixed size: a first byte and four more */
#define CHECKSUM_FIRST 0xce
#define CHECKSUM_SIZE (1 + sizeof(uint32))

#define UNIX_EPOCH_OFFSET \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static void
write_tags(msgpack_packer *packer, StringInfo out, const uint64 *spreads, int count)
{
	msgpack_pack_bin(packer, sizeof(uint64) * count);
	for (int i = 0; i < count; i++)
	{
		uint64		stored = pg_hton64(spreads[i]);

		appendBinaryStringInfo(out, (char *) &stored, sizeof(stored));
	}
}

void
cx_entry_write_header(StringInfo out, const cx_entry *entry, const uint64 *spreads,
					  int definition_count, int row_tag_count)
{
	msgpack_packer packer;

	Assert(out->len == 0);
	Assert(!TIMESTAMP_NOT_FINITE(entry->created) && !TIMESTAMP_NOT_FINITE(entry->expires));

	cx_msgpack_writer_start(&packer, out);
	msgpack_pack_array(&packer, ENTRY_FIELDS);
	msgpack_pack_uint32(&packer, ENTRY_FORMAT);
	msgpack_pack_uint64(&packer, entry->stamp.epoch);
	msgpack_pack_uint64(&packer, entry->stamp.lsn);
	msgpack_pack_uint64(&packer, entry->until);
	msgpack_pack_int64(&packer, entry->created + UNIX_EPOCH_OFFSET);
	msgpack_pack_int64(&packer, entry->expires + UNIX_EPOCH_OFFSET);
	msgpack_pack_bin_with_body(&packer, entry->key, entry->key_length);
	write_tags(&packer, out, spreads, definition_count);
	write_tags(&packer, out, spreads + definition_count, row_tag_count);
}

void
cx_entry_write_checksum(StringInfo out)
{
	uint32		checksum = pg_hton32(cx_crc32c(out->data, out->len));

	appendStringInfoCharMacro(out, (char) CHECKSUM_FIRST);
	appendBinaryStringInfo(out, (char *) &checksum, sizeof(checksum));
}

static bool
read_timestamp(cx_msgpack_reader *reader, TimestampTz *value)
{
	int64		unix_microseconds;

	return cx_msgpack_read_int(reader, &unix_microseconds) &&
		!pg_sub_s64_overflow(unix_microseconds, UNIX_EPOCH_OFFSET, value) &&
		IS_VALID_TIMESTAMP(*value);
}

static bool
read_tags(cx_msgpack_reader *reader, const char **tags, uint32 *count)
{
	uint32		length;

	if (!cx_msgpack_read_bin(reader, tags, &length) || length % sizeof(uint64) != 0)
		return false;
	*count = length / sizeof(uint64);
	return true;
}

bool
cx_entry_read(const char *data, size_t length, cx_entry *entry)
{
	cx_msgpack_reader reader;
	uint32		checksum;
	uint32		fields;
	uint64		format;

	if (length < CHECKSUM_SIZE)
		return false;
	length -= CHECKSUM_SIZE;

	/* the format first: another one may have its checksum elsewhere, or none */
	cx_msgpack_reader_start(&reader, data, length);
	if (!cx_msgpack_read_array(&reader, &fields) || fields != ENTRY_FIELDS ||
		!cx_msgpack_read_uint(&reader, &format) || format != ENTRY_FORMAT)
		return false;

	memcpy(&checksum, data + length + 1, sizeof(checksum));
	if ((uint8) data[length] != CHECKSUM_FIRST ||
		pg_ntoh32(checksum) != cx_crc32c(data, length))
		return false;

	if (!cx_msgpack_read_uint(&reader, &entry->stamp.epoch) ||
		!cx_msgpack_read_uint(&reader, &entry->stamp.lsn) ||
		!cx_msgpack_read_uint(&reader, &entry->until) ||
		entry->until < entry->stamp.lsn ||
		!read_timestamp(&reader, &entry->created) ||
		!read_timestamp(&reader, &entry->expires) ||
		!cx_msgpack_read_bin(&reader, &entry->key, &entry->key_length) ||
		!read_tags(&reader, &entry->definition_tags, &entry->definition_count) ||
		!read_tags(&reader, &entry->row_tags, &entry->row_tag_count))
		return false;

	/* every entry depends on the definitions of its database, so one without any is not ours */
	if (entry->definition_count == 0)
		return false;

	entry->body = (const char *) reader.at;
	entry->body_length = reader.end - reader.at;
	return entry->body_length >= BODY_FIELDS;
}

static void
add_spreads(const char *tags, uint32 count, uint64 *spreads)
{
	memcpy(spreads, tags, sizeof(uint64) * count);
	for (uint32 i = 0; i < count; i++)
		spreads[i] = pg_ntoh64(spreads[i]);
}

void
cx_entry_spreads(const cx_entry *entry, uint64 *spreads)
{
	add_spreads(entry->definition_tags, entry->definition_count, spreads);
	add_spreads(entry->row_tags, entry->row_tag_count, spreads + entry->definition_count);
}
