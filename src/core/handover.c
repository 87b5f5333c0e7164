/*
 * core/handover.c
 *		The clocks' way over a clean restart (rule 8).
 *
 * The file is a header, the clocks, and a CRC-32C of both.  It is written by the postmaster at its
 * end, only if pg_control says that the shutdown checkpoint is done (an immediate shutdown exits
 * with 0 as well), and carries that checkpoint's LSN.  It is believed only if at the next start
 * pg_control still shows the same state and LSN: a start without the library, a crash or a restored
 * backup in between would show another.  It must also come from the same number of clocks and the same
 * environment (core/environment.c), or a query's result may have changed without any table changing.
 * An upgrade replaces files while the server still runs, so the environment must not have changed
 * between start and shutdown either.  And this start must not begin with recovery: a primary that comes
 * back as a standby replays changes that raise no clock here, and may be promoted later.
 *
 * Nothing here is trusted to exist: whatever is missing or odd means a cold start.
 */
#include "postgres.h"

#include "core/environment.h"
#include "core/handover.h"

#include <unistd.h>
#include <sys/stat.h>

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"

#define HANDOVER_FILE "pg_stat/cache_ext.clocks"
#define HANDOVER_MAGIC 0x43584331	/* "CXC1"; a new format takes a new number */

typedef struct handover_header
{
	uint32		magic;
	uint32		count;
	uint64		system_identifier;
	uint64		environment;	/* cx_environment_hash() */
	XLogRecPtr	checkpoint;
	uint64		epoch;
} handover_header;

/* The environment that this server has run in: what it loaded may have been replaced on disk since. */
static uint64 environment_at_start = 0;

/* What makes the server go into recovery whatever pg_control says. */
static bool
recovery_requested(void)
{
	static const char *const files[] = {STANDBY_SIGNAL_FILE, RECOVERY_SIGNAL_FILE,
										BACKUP_LABEL_FILE};
	struct stat status;

	for (int i = 0; i < lengthof(files); i++)
		if (stat(files[i], &status) == 0 || errno != ENOENT)
			return true;
	return false;
}

/* Fills the part of the header that must be the same at both ends; false if not shut down. */
static bool
describe_shutdown(uint32 count, handover_header *header)
{
	ControlFileData *control;
	bool		crc_ok;
	bool		clean;

	control = get_controlfile(DataDir, &crc_ok);
	clean = crc_ok && control->state == DB_SHUTDOWNED;
	if (clean)
	{
		memset(header, 0, sizeof(*header));
		header->magic = HANDOVER_MAGIC;
		header->count = count;
		header->system_identifier = control->system_identifier;
		header->environment = cx_environment_hash();
		header->checkpoint = control->checkPoint;
	}
	pfree(control);
	return clean;
}

static pg_crc32c
checksum(const handover_header *header, const uint64 *changed_at)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, sizeof(*header));
	COMP_CRC32C(crc, changed_at, sizeof(uint64) * header->count);
	FIN_CRC32C(crc);
	return crc;
}

void
cx_handover_write(const cx_handover *handover)
{
	handover_header header;
	pg_crc32c	crc;
	FILE	   *file;
	bool		written;

	if (!describe_shutdown(handover->count, &header) ||
		header.environment != environment_at_start)
		return;
	header.epoch = handover->epoch;
	crc = checksum(&header, handover->changed_at);

	file = AllocateFile(HANDOVER_FILE ".tmp", PG_BINARY_W);
	if (file != NULL)
	{
		written = fwrite(&header, sizeof(header), 1, file) == 1 &&
			fwrite(handover->changed_at, sizeof(uint64), handover->count, file) ==
			handover->count &&
			fwrite(&crc, sizeof(crc), 1, file) == 1;
		if (FreeFile(file) == 0 && written &&
			durable_rename(HANDOVER_FILE ".tmp", HANDOVER_FILE, LOG) == 0)
			return;
	}
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", HANDOVER_FILE),
			 errdetail("cache_ext will start with a cold cache.")));
	unlink(HANDOVER_FILE ".tmp");
}

bool
cx_handover_read(uint32 count, cx_handover *handover)
{
	handover_header expected;
	handover_header header;
	pg_crc32c	crc;
	FILE	   *file;
	bool		good = false;

	environment_at_start = cx_environment_hash();
	file = AllocateFile(HANDOVER_FILE, PG_BINARY_R);
	if (file == NULL)
		return false;

	handover->changed_at = palloc_extended(sizeof(uint64) * count,
										   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (handover->changed_at != NULL &&
		!recovery_requested() &&
		describe_shutdown(count, &expected) &&
		fread(&header, sizeof(header), 1, file) == 1)
	{
		/* all but the epoch has to be what this start finds itself */
		expected.epoch = header.epoch;
		good = memcmp(&header, &expected, sizeof(header)) == 0 &&
			fread(handover->changed_at, sizeof(uint64), count, file) == count &&
			fread(&crc, sizeof(crc), 1, file) == 1 &&
			EQ_CRC32C(crc, checksum(&header, handover->changed_at));
	}
	FreeFile(file);

	/*
	 * A leftover could be believed only if pg_control showed this very shutdown again, and then it
	 * would be right; removing it is tidiness, so a failure is no matter.
	 */
	unlink(HANDOVER_FILE);

	if (!good)
	{
		if (handover->changed_at != NULL)
			pfree(handover->changed_at);
		return false;
	}
	handover->epoch = header.epoch;
	handover->end = header.checkpoint;
	handover->count = count;
	return true;
}
