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
#define ENTRY_FORMAT 1

#define ENTRY_FIELDS 9
#define BODY_FIELDS 2			/* of a byte each at least */

/* uint32 in the one format of a fixed size: a first byte and four more */
#define CHECKSUM_FIRST 0xce
#define CHECKSUM_SIZE (1 + sizeof(uint32))

#define UNIX_EPOCH_OFFSET \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

void
cx_entry_write_header(StringInfo out, const cx_entry *entry)
{
	msgpack_packer packer;

	Assert(out->len == 0);
	Assert(!TIMESTAMP_NOT_FINITE(entry->created) && !TIMESTAMP_NOT_FINITE(entry->expires));

	cx_msgpack_writer_start(&packer, out);
	msgpack_pack_array(&packer, ENTRY_FIELDS);
	msgpack_pack_uint32(&packer, ENTRY_FORMAT);
	msgpack_pack_uint64(&packer, entry->stamp.epoch);
	msgpack_pack_uint64(&packer, entry->stamp.lsn);
	msgpack_pack_int64(&packer, entry->created + UNIX_EPOCH_OFFSET);
	msgpack_pack_int64(&packer, entry->expires + UNIX_EPOCH_OFFSET);
	msgpack_pack_bin_with_body(&packer, entry->key, entry->key_length);
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
		!read_timestamp(&reader, &entry->created) ||
		!read_timestamp(&reader, &entry->expires) ||
		!cx_msgpack_read_bin(&reader, &entry->key, &entry->key_length))
		return false;

	entry->body = (const char *) reader.at;
	entry->body_length = reader.end - reader.at;
	return entry->body_length >= BODY_FIELDS;
}
