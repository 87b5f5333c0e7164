/*
 * core/era.c
 *		Which versions of entities are of now: timeline, generation, and the Redis that holds them.
 *
 * Invariants (rules 13 and 16 of the protocol in core/clock.c):
 *
 *	1. Within an era LSNs only grow, and no commit that Redis was told of is lost.
 *	2. The era is on disk before any version carries it, so that no later start takes it again.  A
 *	   generation is also at least the time of the start in seconds: a data directory without the
 *	   file, or with an old one, takes no generation twice either.
 *	3. An era goes on over a restart only if the file says that everything was delivered when the
 *	   server shut down, and pg_control still shows that shutdown.
 *	4. Nor does it go on if the keys in Redis were somebody else's meanwhile: another server's, or those
 *	   of a later start that this directory, put back from a backup, knows nothing of
 *	   (core/owner.c).  Such a start may have used LSNs that come again here.
 *	5. A Redis with another run_id may have forgotten what it was told: it is treated as one that holds
 *	   what is older than now.
 *
 * What the file has is believed only with the right checksum and system identifier; else it counts as
 * missing.  No locks: the postmaster writes before there are other processes, then only the worker;
 * what backends read is atomic or set before ready is.
 */
#include "postgres.h"

#include "base/crc.h"
#include "base/shmem.h"
#include "core/era.h"
#include "core/owner.h"
#include "core/queue.h"

#include <time.h>
#include <unistd.h>

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#define ERA_FILE "pg_stat/cache_ext.era"
#define ERA_MAGIC 0x43584532	/* "CXE2"; a new format takes a new number */

typedef struct era_file
{
	uint32		magic;
	uint32		timeline;
	uint32		generation;
	uint32		unused;
	uint64		system_identifier;
	XLogRecPtr	checkpoint;		/* of the clean shutdown; invalid: the server was running */
	char		run_id[CX_RUN_ID_LENGTH];	/* zeros: not known */
	cx_incarnation incarnation; /* that wrote this */
	int64		checkpoint_time;
	uint32		checksum;		/* of all before it */
} era_file;

typedef struct era_state
{
	pg_atomic_uint32 in_use;
	pg_atomic_uint32 ready;		/* versions may be made: the file has the era, Redis nothing older */
	pg_atomic_uint64 clock_offset_ms;	/* Redis's clock less ours; signed */
	pg_atomic_uint32 clock_known;
	uint32		generation;
	uint32		timeline;		/* 0: not known yet */
	uint32		saved_timeline; /* of the file */
	bool		saved;			/* the file has this era */
	bool		removed;		/* nothing of an older era is left in the Redis of run_id */
	char		run_id[CX_RUN_ID_LENGTH];
} era_state;

/* A clean shutdown, as pg_control shows it.  Another history may have one at the same LSN. */
typedef struct shutdown_facts
{
	uint64		system_identifier;
	XLogRecPtr	checkpoint;
	int64		time;
} shutdown_facts;

static era_state *state = NULL;
static bool (*everything_delivered) (void) = NULL;

static Size
era_size(void)
{
	return sizeof(era_state);
}

static uint32
checksum(const era_file *file)
{
	return cx_crc32c(file, offsetof(era_file, checksum));
}

static bool
read_file(era_file *content)
{
	FILE	   *file = AllocateFile(ERA_FILE, PG_BINARY_R);
	bool		read;

	if (file == NULL)
		return false;
	read = fread(content, sizeof(*content), 1, file) == 1;
	FreeFile(file);
	return read && content->magic == ERA_MAGIC && EQ_CRC32C(content->checksum, checksum(content));
}

static bool
write_file(uint64 system_identifier, const shutdown_facts *shutdown)
{
	era_file	content;
	FILE	   *file;
	bool		written;

	memset(&content, 0, sizeof(content));
	content.magic = ERA_MAGIC;
	content.timeline = state->timeline;
	content.generation = state->generation;
	content.system_identifier = system_identifier;
	content.checkpoint = shutdown != NULL ? shutdown->checkpoint : InvalidXLogRecPtr;
	content.checkpoint_time = shutdown != NULL ? shutdown->time : 0;
	content.incarnation = cx_owner_incarnation();
	memcpy(content.run_id, state->run_id, CX_RUN_ID_LENGTH);
	content.checksum = checksum(&content);

	file = AllocateFile(ERA_FILE ".tmp", PG_BINARY_W);
	if (file != NULL)
	{
		written = fwrite(&content, sizeof(content), 1, file) == 1;
		if (FreeFile(file) == 0 && written &&
			durable_rename(ERA_FILE ".tmp", ERA_FILE, LOG) == 0)
			return true;
	}
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", ERA_FILE)));
	unlink(ERA_FILE ".tmp");
	return false;
}

/* pg_control's own checkpoint, if it says that the server is shut down. */
static bool
is_shut_down(shutdown_facts *shutdown)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		shut_down = crc_ok && control->state == DB_SHUTDOWNED;

	shutdown->system_identifier = control->system_identifier;
	shutdown->checkpoint = control->checkPoint;
	shutdown->time = (int64) control->checkPointCopy.time;
	pfree(control);
	return shut_down;
}

/* At the end of the postmaster: may the era go on (invariant 3)? */
static void
end_era(int code, Datum arg)
{
	shutdown_facts shutdown;

	if (code != 0 || IsUnderPostmaster || state == NULL)
		return;
	if (state->saved && pg_atomic_read_u32(&state->ready) != 0 && everything_delivered != NULL &&
		everything_delivered() && is_shut_down(&shutdown))
		(void) write_file(shutdown.system_identifier, &shutdown);
}

static void
era_create(void *area)
{
	era_state  *fresh = area;
	era_file	file;
	shutdown_facts shutdown;
	bool		shut_down = is_shut_down(&shutdown);
	bool		known = read_file(&file) && file.system_identifier == shutdown.system_identifier;

	pg_atomic_init_u32(&fresh->in_use, known ? 1 : 0);
	pg_atomic_init_u32(&fresh->ready, 0);
	pg_atomic_init_u64(&fresh->clock_offset_ms, 0);
	pg_atomic_init_u32(&fresh->clock_known, 0);
	fresh->timeline = 0;
	fresh->saved = false;
	fresh->removed = false;
	fresh->saved_timeline = 0;
	memset(fresh->run_id, 0, CX_RUN_ID_LENGTH);
	fresh->generation = (uint32) time(NULL);
	if (known)
	{
		uint64		place = cx_owner_incarnation().place;

		if (shut_down && file.checkpoint == shutdown.checkpoint &&
			file.checkpoint_time == shutdown.time)
		{
			cx_owner_set_previous(&file.incarnation);
			fresh->generation = file.generation;
			fresh->saved_timeline = file.timeline;
			memcpy(fresh->run_id, file.run_id, CX_RUN_ID_LENGTH);
		}
		else
		{
			/* a crash, where it happened; what is a copy of a running server is not that server */
			if (place != 0 && place == file.incarnation.place)
				cx_owner_set_previous(&file.incarnation);
			fresh->generation = Max(fresh->generation, file.generation + 1);
		}
	}

	if (!IsUnderPostmaster)
		on_shmem_exit(end_era, (Datum) 0);
}

static void
era_attach(void *area)
{
	state = area;
}

static const cx_shmem_area era_area = {
	"cache_ext era", era_size, era_create, era_attach
};

void
cx_era_init(void)
{
	cx_shmem_register(&era_area);
}

void
cx_era_set_empty_check(bool (*empty) (void))
{
	everything_delivered = empty;
}

void
cx_era_use(void)
{
	if (pg_atomic_read_u32(&state->in_use) != 0)
		return;
	pg_atomic_write_u32(&state->in_use, 1);
	cx_queue_wake();
}

bool
cx_era_in_use(void)
{
	return pg_atomic_read_u32(&state->in_use) != 0;
}

bool
cx_era_get(cx_era *era)
{
	if (pg_atomic_read_u32(&state->ready) == 0 || !cx_owner_is_certain())
		return false;
	pg_read_barrier();
	*era = cx_era_begun();
	return true;
}

cx_era
cx_era_begun(void)
{
	cx_era		era = {state->timeline, state->generation};

	return era;
}

static int64
own_clock(void)
{
	return GetCurrentTimestamp() / 1000;
}

int64
cx_era_redis_clock(void)
{
	if (pg_atomic_read_u32(&state->clock_known) == 0)
		return 0;
	return own_clock() + (int64) pg_atomic_read_u64(&state->clock_offset_ms);
}

/*
 * The worker
 */

/*
 * The end of recovery, other than from a crash, may have begun a new timeline, and a primary's last
 * commits may be missing here: all that Redis holds is of an older era, even if nobody here has
 * used entities yet.
 */
bool
cx_era_begin(void)
{
	if (state->saved)
		return true;
	if (RecoveryInProgress())
	{
		cx_era_use();
		return false;
	}
	if (!cx_era_in_use())
		return false;

	state->timeline = GetWALInsertionTimeLine();
	state->removed = state->saved_timeline == state->timeline;
	if (!state->removed)
	{
		memset(state->run_id, 0, CX_RUN_ID_LENGTH);
		state->generation = Max(state->generation, (uint32) time(NULL));
	}
	state->saved = write_file(GetSystemIdentifier(), NULL);
	return state->saved;
}

/* Invariant 4: from now on nothing in Redis is believed before it has been looked through. */
void
cx_era_distrust(void)
{
	pg_atomic_write_u32(&state->ready, 0);
	pg_write_barrier();
	state->removed = false;
}

bool
cx_era_renew(uint32 generation)
{
	cx_era_distrust();
	state->generation = generation;
	return write_file(GetSystemIdentifier(), NULL);
}

/* Invariant 5. */
bool
cx_era_redis(const char *run_id, int64 clock_ms)
{
	pg_atomic_write_u64(&state->clock_offset_ms, (uint64) (clock_ms - own_clock()));
	pg_atomic_write_u32(&state->clock_known, 1);

	if (!state->removed || memcmp(state->run_id, run_id, CX_RUN_ID_LENGTH) != 0)
	{
		pg_atomic_write_u32(&state->ready, 0);
		state->removed = false;
		return false;
	}
	pg_write_barrier();
	pg_atomic_write_u32(&state->ready, 1);
	return true;
}

void
cx_era_removed(const char *run_id)
{
	memcpy(state->run_id, run_id, CX_RUN_ID_LENGTH);
	if (!write_file(GetSystemIdentifier(), NULL))
		return;
	state->removed = true;
	pg_write_barrier();
	pg_atomic_write_u32(&state->ready, 1);
}
