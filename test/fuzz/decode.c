/*
 * test/fuzz/decode.c
 *		libFuzzer target: everything that parses stored bytes and needs no server.
 *
 * Compiles base/msgpack_reader.c, core/entry.c and query/cell.c unchanged and links them with
 * PostgreSQL's libpgcommon and libpgport.  An input is
 *
 *		encoding, number of columns, their formats (a byte each), then an entry without checksum
 *
 * The target appends the right checksum, which no mutation would find, and decodes as a backend
 * would: the envelope, then rows of those formats.  Besides what the sanitizers see it checks that
 * nothing points outside the input, that text is valid, that no count makes more work than there
 * are bytes, and that writing what was read and reading that gives the same.
 *
 * Seeds are made by the writers: now and then the mutator starts afresh from a valid entry.
 */
#include "postgres.h"

#include "base/msgpack_reader.h"
#include "base/msgpack_writer.h"
#include "core/entry.h"
#include "query/cell.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"

#define MAX_COLUMNS 31
#define CELL_FORMATS (CX_CELL_BYTES + 1)

#define CHECK(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

typedef struct input
{
	int			encoding;
	int			columns;
	cx_cell_format formats[MAX_COLUMNS];
	const char *entry;
	size_t		length;
} input;

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);
extern size_t LLVMFuzzerCustomMutator(uint8 *data, size_t size, size_t max_size, unsigned int seed);
extern size_t LLVMFuzzerMutate(uint8 *data, size_t size, size_t max_size);

static int	database_encoding = PG_UTF8;

/* What the backend would know. */
int
GetDatabaseEncoding(void)
{
	return database_encoding;
}

static bool
parse_input(const uint8 *data, size_t size, input *in)
{
	if (size < 2)
		return false;
	in->encoding = data[0] % (PG_ENCODING_BE_LAST + 1);
	in->columns = data[1] % (MAX_COLUMNS + 1);
	if (size < 2 + (size_t) in->columns)
		return false;
	for (int i = 0; i < in->columns; i++)
		in->formats[i] = data[2 + i] % CELL_FORMATS;
	in->entry = (const char *) data + 2 + in->columns;
	in->length = size - 2 - in->columns;
	return true;
}

static void
check_inside(const char *data, size_t length, const char *start, const char *end)
{
	CHECK(data >= start && data <= end && length <= (size_t) (end - data));
}

static bool
has_bytes(cx_cell_format format)
{
	return format == CX_CELL_TEXT || format == CX_CELL_BYTES;
}

static void
check_same(cx_cell_format format, const cx_cell *one, const cx_cell *other)
{
	CHECK(one->isnull == other->isnull);
	if (one->isnull)
		return;
	if (has_bytes(format))
		CHECK(one->length == other->length && memcmp(one->data, other->data, one->length) == 0);
	else
		CHECK(one->value == other->value);
}

static void
check_cell(const input *in, cx_cell_format format, const cx_cell *cell, const char *start,
		   const char *end)
{
	StringInfoData out;
	cx_msgpack_reader reader;
	cx_cell		again = {0};

	if (!cell->isnull && has_bytes(format))
	{
		check_inside(cell->data, cell->length, start, end);
		if (format == CX_CELL_TEXT)
			CHECK(memchr(cell->data, 0, cell->length) == NULL &&
				  pg_encoding_verifymbstr(in->encoding, cell->data, cell->length) ==
				  cell->length);
	}

	initStringInfo(&out);
	cx_cell_write(&out, format, cell);
	cx_msgpack_reader_start(&reader, out.data, out.len);
	CHECK(cx_cell_read(&reader, format, &again) && cx_msgpack_reader_done(&reader));
	check_same(format, cell, &again);
	pfree(out.data);
}

static void
read_rows(const input *in, const char *body, size_t length)
{
	cx_msgpack_reader reader;
	uint32		rows;

	cx_msgpack_reader_start(&reader, body, length);
	if (!cx_rows_read_count(&reader, in->columns, &rows))
		return;
	CHECK((uint64) rows * (1 + in->columns) < length);

	for (uint32 row = 0; row < rows; row++)
	{
		if (!cx_rows_read_row(&reader, in->columns))
			return;
		for (int i = 0; i < in->columns; i++)
		{
			const uint8 *before = reader.at;
			cx_cell		cell = {0};

			if (!cx_cell_read(&reader, in->formats[i], &cell))
				return;
			CHECK(reader.at > before && reader.at <= reader.end);
			check_cell(in, in->formats[i], &cell, body, body + length);
		}
	}
}

static void
read_entry(const input *in)
{
	StringInfoData with_checksum;
	StringInfoData again;
	char	   *exact;
	cx_entry	entry;
	cx_entry	entry_again;
	uint64	   *spreads;

	initStringInfo(&with_checksum);
	appendBinaryStringInfo(&with_checksum, in->entry, in->length);
	cx_entry_write_checksum(&with_checksum);

	/* a block of exactly that size, so that the sanitizer sees a byte too far */
	exact = malloc(with_checksum.len);
	memcpy(exact, with_checksum.data, with_checksum.len);
	if (cx_entry_read(exact, with_checksum.len, &entry))
	{
		check_inside(entry.key, entry.key_length, exact, exact + in->length);
		check_inside(entry.body, entry.body_length, exact, exact + in->length);
		check_inside(entry.definition_tags, sizeof(uint64) * entry.definition_count, exact,
					 exact + in->length);
		check_inside(entry.row_tags, sizeof(uint64) * entry.row_tag_count, exact,
					 exact + in->length);
		CHECK(entry.body + entry.body_length == exact + in->length);
		read_rows(in, entry.body, entry.body_length);

		initStringInfo(&again);
		spreads = palloc(sizeof(uint64) * (entry.definition_count + entry.row_tag_count));
		cx_entry_spreads(&entry, spreads);
		cx_entry_write_header(&again, &entry, spreads, entry.definition_count,
							  entry.row_tag_count);
		pfree(spreads);
		appendBinaryStringInfo(&again, entry.body, entry.body_length);
		cx_entry_write_checksum(&again);
		CHECK(cx_entry_read(again.data, again.len, &entry_again));
		CHECK(entry.stamp.epoch == entry_again.stamp.epoch &&
			  entry.stamp.lsn == entry_again.stamp.lsn &&
			  entry.until == entry_again.until &&
			  entry.definition_count == entry_again.definition_count &&
			  entry.row_tag_count == entry_again.row_tag_count &&
			  memcmp(entry.definition_tags, entry_again.definition_tags,
					 sizeof(uint64) * entry.definition_count) == 0 &&
			  memcmp(entry.row_tags, entry_again.row_tags,
					 sizeof(uint64) * entry.row_tag_count) == 0 &&
			  entry.created == entry_again.created && entry.expires == entry_again.expires &&
			  entry.key_length == entry_again.key_length &&
			  memcmp(entry.key, entry_again.key, entry.key_length) == 0 &&
			  entry.body_length == entry_again.body_length);

		/* any one wrong bit is seen */
		again.data[entry.stamp.lsn % again.len] ^= 1 << (entry.stamp.epoch % 8);
		CHECK(!cx_entry_read(again.data, again.len, &entry_again));
		pfree(again.data);
	}
	free(exact);
	pfree(with_checksum.data);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	cx_entry	entry;
	input		in;

	if (!parse_input(data, size, &in))
		return 0;
	database_encoding = in.encoding;

	(void) cx_entry_read(in.entry, in.length, &entry);
	read_entry(&in);
	read_rows(&in, in.entry, in.length);
	return 0;
}

static void
random_cell(pg_prng_state *random, cx_cell_format format, cx_cell *cell, char *bytes)
{
	cell->isnull = pg_prng_uint32(random) % 8 == 0;
	cell->data = bytes;
	cell->length = 0;
	cell->value = 0;
	if (has_bytes(format))
	{
		cell->length = pg_prng_uint32(random) % 48;
		memset(bytes, 'a' + pg_prng_uint32(random) % 26, cell->length);
	}
	else if (format == CX_CELL_BOOL)
		cell->value = BoolGetDatum(pg_prng_uint32(random) & 1);
	else
		cell->value = (Datum) (pg_prng_uint64(random) >> (pg_prng_uint32(random) % 64));
}

/* A valid input, of at most max_size bytes if it fits; else what fits of it. */
static size_t
make_seed(uint8 *data, size_t max_size, unsigned int seed)
{
	pg_prng_state random;
	StringInfoData out;
	StringInfoData head;
	cx_entry	entry = {.key = "key material", .key_length = 12};
	uint64		spreads[8];
	char		bytes[64];
	int			columns;
	int			rows;
	int			rows_at;
	size_t		size;

	pg_prng_seed(&random, seed);
	columns = pg_prng_uint32(&random) % 6;
	rows = pg_prng_uint32(&random) % 4;
	entry.stamp.epoch = pg_prng_uint64(&random);
	entry.stamp.lsn = pg_prng_uint64(&random) >> (pg_prng_uint32(&random) % 64);
	entry.created = pg_prng_uint64(&random) >> 14;
	entry.expires = entry.created + 1;

	initStringInfo(&head);
	appendStringInfoChar(&head, pg_prng_uint32(&random) % (PG_ENCODING_BE_LAST + 1));
	appendStringInfoChar(&head, columns);
	for (int i = 0; i < columns; i++)
		appendStringInfoChar(&head, pg_prng_uint32(&random) % CELL_FORMATS);
	database_encoding = head.data[0];

	initStringInfo(&out);
	entry.until = entry.stamp.lsn | pg_prng_uint32(&random);
	for (int i = 0; i < lengthof(spreads); i++)
		spreads[i] = pg_prng_uint64(&random);
	cx_entry_write_header(&out, &entry, spreads, 1 + pg_prng_uint32(&random) % 4,
						  pg_prng_uint32(&random) % 5);
	rows_at = out.len;
	cx_rows_start(&out);
	for (int row = 0; row < rows; row++)
	{
		cx_rows_row(&out, columns);
		for (int i = 0; i < columns; i++)
		{
			cx_cell		cell;

			random_cell(&random, head.data[2 + i], &cell, bytes);
			cx_cell_write(&out, head.data[2 + i], &cell);
		}
	}
	cx_rows_set_count(&out, rows_at, rows);

	appendBinaryStringInfo(&head, out.data, out.len);
	size = Min((size_t) head.len, max_size);
	memcpy(data, head.data, size);
	pfree(out.data);
	pfree(head.data);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8 *data, size_t size, size_t max_size, unsigned int seed)
{
	if (seed % 16 == 0)
		size = make_seed(data, max_size, seed);
	if (seed % 64 == 0)
		return size;
	return LLVMFuzzerMutate(data, size, max_size);
}
