/*
 * core/redis_tier.c
 *		Entries in Redis, by the hash of their key.
 *
 * Redis may answer anything at any time: nothing, an entry from before a restart, another key's
 * entry, bytes that are no entry.  What is returned as found has a right checksum, this format and
 * exactly this key; whether it is still exact is for the clocks to say.
 *
 * Lock: none; the time of the last log message about bad bytes is an atomic in shared memory.
 */
#include "postgres.h"

#include "base/counters.h"
#include "base/crc.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "core/redis_tier.h"

#include "access/xlog.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LOG_EVERY_US (60 * USECS_PER_SEC)

#define HEX_LENGTH (PG_SHA256_DIGEST_LENGTH * 2)

/* To compute a digest takes as long as all the rest of asking Redis, so those of some keys are kept. */
#define KEPT 64

typedef struct kept_digest
{
	size_t		key_length;		/* 0: none */
	char		key[512];
	char		hex[HEX_LENGTH];
} kept_digest;

static pg_atomic_uint64 *last_logged = NULL;

static Size
tier_size(void)
{
	return sizeof(pg_atomic_uint64);
}

static void
tier_create(void *area)
{
	pg_atomic_init_u64(area, 0);
}

static void
tier_attach(void *area)
{
	last_logged = area;
}

static const cx_shmem_area tier_area = {
	"cache_ext redis tier", tier_size, tier_create, tier_attach
};

void
cx_redis_tier_init(void)
{
	cx_shmem_register(&tier_area);
}

/* The SHA-256 of a key, in hexadecimal digits. */
static void
digest_key(const char *key, size_t key_length, char hex[HEX_LENGTH])
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) key, key_length) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256 of a cache key");
	pg_cryptohash_free(context);

	hex_encode((const char *) digest, sizeof(digest), hex);
}

/* The same, found again for most of the keys that a session asks for again and again. */
static const char *
find_digest(const char *key, size_t key_length)
{
	static kept_digest *kept = NULL;
	kept_digest *place;

	if (kept == NULL)
		kept = MemoryContextAllocZero(TopMemoryContext, sizeof(kept_digest) * KEPT);
	place = &kept[cx_crc32c(key, key_length) % KEPT];
	if (place->key_length != key_length || key_length > sizeof(place->key) ||
		memcmp(place->key, key, key_length) != 0)
	{
		place->key_length = 0;
		digest_key(key, key_length, place->hex);
		if (key_length <= sizeof(place->key))
		{
			memcpy(place->key, key, key_length);
			place->key_length = key_length;
		}
	}
	return place->hex;
}

char *
cx_redis_tier_name(const char *key, size_t key_length)
{
	return psprintf("%s:" UINT64_FORMAT ":%u:q:%.*s", cx_key_prefix, GetSystemIdentifier(),
					MyDatabaseId, HEX_LENGTH, find_digest(key, key_length));
}

bool
cx_redis_tier_available(void)
{
	return cx_redis_available();
}

void
cx_redis_tier_report_bad(const char *name, const char *reason)
{
	uint64		now = (uint64) GetCurrentTimestamp();
	uint64		last = pg_atomic_read_u64(last_logged);

	cx_count(CX_COUNT_BAD_ENTRIES);
	if (now - last >= LOG_EVERY_US && pg_atomic_compare_exchange_u64(last_logged, &last, now))
		ereport(LOG,
				(errmsg("ignoring a cache entry in Redis that is not valid: %s", reason),
				 errdetail("The key is \"%s\". Further ones are not logged for a minute.", name)));
}

cx_tier_status
cx_redis_tier_get(const char *name, const char *key, size_t key_length, cx_redis_budget *budget,
				  cx_entry *entry)
{
	const char *argv[] = {"GET", name};
	size_t		lengths[] = {3, strlen(name)};
	cx_redis_command command = {2, argv, lengths};
	cx_redis_reply reply;

	if (cx_redis_call(&command, 1, &reply, budget) != CX_REDIS_OK)
		return CX_TIER_UNAVAILABLE;
	if (reply.type == CX_REDIS_NIL)
		return CX_TIER_ABSENT;
	if (reply.type == CX_REDIS_ERROR)
	{
		/* of another type under our name: like bad bytes, the next fill overwrites it */
		if (reply.length >= 9 && strncmp(reply.data, "WRONGTYPE", 9) == 0)
		{
			cx_redis_tier_report_bad(name, "not a string");
			return CX_TIER_ABSENT;
		}
		return CX_TIER_UNAVAILABLE;
	}
	if (reply.type != CX_REDIS_TEXT)
		return CX_TIER_UNAVAILABLE;

	if (!cx_entry_read(reply.data, reply.length, entry))
	{
		cx_redis_tier_report_bad(name, "not an entry of this format");
		return CX_TIER_ABSENT;
	}
	if (entry->key_length != key_length || memcmp(entry->key, key, key_length) != 0)
	{
		cx_redis_tier_report_bad(name, "made for another query");
		return CX_TIER_ABSENT;
	}
	return CX_TIER_FOUND;
}

cx_clocks
cx_redis_tier_clocks(const cx_entry *entry)
{
	int			count = entry->definition_count + entry->row_tag_count;
	uint64	   *spreads = palloc(sizeof(uint64) * count);
	cx_slot    *slots = palloc(sizeof(cx_slot) * count);
	cx_clocks	clocks = {slots, count, entry->definition_count};

	cx_entry_spreads(entry, spreads);
	for (int i = 0; i < count; i++)
		slots[i] = cx_clock_slot_of_spread(spreads[i]);
	pfree(spreads);
	return clocks;
}

bool
cx_redis_tier_put(const char *name, const char *data, size_t length, int64 ttl_ms,
				  cx_lease *lease, cx_redis_budget *budget)
{
	char		ttl[32];
	const char *argv[] = {"SET", name, data, "PX", ttl};
	size_t		lengths[] = {3, strlen(name), length, 2, 0};
	cx_redis_command commands[2] = {{5, argv, lengths}};
	cx_redis_reply replies[2];

	lengths[4] = snprintf(ttl, sizeof(ttl), INT64_FORMAT, ttl_ms);
	if (lease != NULL)
		commands[1] = *cx_lease_release(lease);
	if (cx_redis_call(commands, lease ? 2 : 1, replies, budget) != CX_REDIS_OK)
		return false;
	if (lease != NULL)
		cx_lease_released(lease, &replies[1]);
	return replies[0].type == CX_REDIS_TEXT;
}

cx_tier_status
cx_redis_tier_delete(const char *name, cx_redis_budget *budget)
{
	const char *argv[] = {"DEL", name};
	size_t		lengths[] = {3, strlen(name)};
	cx_redis_command command = {2, argv, lengths};
	cx_redis_reply reply;

	if (cx_redis_call(&command, 1, &reply, budget) != CX_REDIS_OK ||
		reply.type != CX_REDIS_INTEGER)
		return CX_TIER_UNAVAILABLE;
	return reply.integer > 0 ? CX_TIER_FOUND : CX_TIER_ABSENT;
}
