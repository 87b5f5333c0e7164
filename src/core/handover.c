/*
 * core/handover.c
 *		The clocks' way over a clean restart (rule 8).
 *
 * The file is a header, the clocks, and a CRC-32C of both.  It is written by the postmaster at its
 * end, only if pg_control says that the shutdown checkpoint is done (an immediate shutdown exits
 * with 0 as well), and carries that checkpoint's LSN.  It is believed only if at the next start
 * pg_control still shows the same state and LSN: a start without the library, a crash or a restored
 * backup in between would show another.  It must also come from the same server version, number of
 * clocks and libraries that define text order and time zones, or a query's result may have changed
 * without any table changing.  And this start must not begin with recovery: a primary that comes
 * back as a standby replays changes that raise no clock here, and may be promoted later.
 *
 * Nothing here is trusted to exist: whatever is missing or odd means a cold start.
 */
#include "postgres.h"

#include "core/handover.h"

#include <link.h>
#include <unistd.h>
#include <sys/stat.h>

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/guc.h"

#define HANDOVER_FILE "pg_stat/cache_ext.clocks"
#define HANDOVER_MAGIC 0x43584331	/* "CXC1"; a new format takes a new number */

typedef struct handover_header
{
	uint32		magic;
	uint32		count;
	uint64		system_identifier;
	uint64		environment;	/* hash over server, library and time zone versions */
	XLogRecPtr	checkpoint;
	uint64		epoch;
} handover_header;

/*
 * Adds a loaded library's file to the hash if results depend on it.  The real path names the full
 * version (libicui18n.so.72.1), size and time catch a rebuild under the same name.
 */
static int
hash_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint64	   *hash = arg;
	char	   *path;
	struct stat status;

	if (strstr(info->dlpi_name, "/libc.so") == NULL && strstr(info->dlpi_name, "/libicu") == NULL)
		return 0;

	path = realpath(info->dlpi_name, NULL);
	if (path != NULL && stat(path, &status) == 0)
	{
		uint64		facts[2] = {(uint64) status.st_size, (uint64) status.st_mtime};

		*hash = hash_combine64(*hash, hash_bytes_extended((unsigned char *) path, strlen(path), 0));
		*hash = hash_combine64(*hash,
							   hash_bytes_extended((unsigned char *) facts, sizeof(facts), 0));
	}
	free(path);
	return 0;
}

/* Where Debian and others keep what pg_tzset reads, and PostgreSQL's own copy. */
static uint64
hash_time_zones(uint64 hash)
{
	static const char *const paths[] = {"/usr/share/zoneinfo/tzdata.zi",
										"/usr/share/zoneinfo/Europe/Berlin",
										"/usr/share/zoneinfo/America/New_York"};
	struct stat status;

	for (int i = 0; i < lengthof(paths); i++)
	{
		uint64		facts[2] = {0, 0};

		if (stat(paths[i], &status) == 0)
		{
			facts[0] = (uint64) status.st_size;
			facts[1] = (uint64) status.st_mtime;
		}
		hash = hash_combine64(hash, hash_bytes_extended((unsigned char *) facts, sizeof(facts), 0));
	}
	return hash;
}

static uint64
environment_hash(void)
{
	const char *server = GetConfigOption("server_version", false, false);
	uint64		hash = hash_bytes_extended((const unsigned char *) server, strlen(server), 0);

	dl_iterate_phdr(hash_library, &hash);
	return hash_time_zones(hash);
}

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
		header->environment = environment_hash();
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

	if (!describe_shutdown(handover->count, &header))
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
