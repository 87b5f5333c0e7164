/*
 * base/settings.c
 *		Every setting (GUC) of the extension, in alphabetical order.
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>

#include "base/redis_url.h"
#include "base/settings.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/plancache.h"

int			cx_clock_slots = 65536;
int			cx_delivery_memory = 16384;
bool		cx_enabled = true;
int			cx_flight_wait = 1000;
char	   *cx_key_prefix = NULL;
int			cx_local_memory = 65536;
int			cx_max_dirty_keys = 1000;
int			cx_max_entry_size = 8192;
int			cx_max_staleness = 0;
double		cx_min_cost = 100;
int			cx_mode = CX_MODE_OFF;
int			cx_redis_connect_timeout = 100;
char	   *cx_redis_password_file = NULL;
int			cx_redis_timeout = 50;
char	   *cx_redis_url = NULL;
bool		cx_share_prefix = false;
int			cx_ttl = 3600;
double		cx_ttl_jitter = 0.1;

int			cx_server_redis_connect_timeout = 100;
int			cx_server_redis_timeout = 50;

static const struct config_enum_entry modes[] = {
	{"off", CX_MODE_OFF, false},
	{"hint", CX_MODE_HINT, false},
	{"auto", CX_MODE_AUTO, false},
	{NULL, 0, false}
};

/*
 * What decides whether a plan gets a cache scan: prepared statements have to be planned again.
 */
static void
assign_enabled(bool newval, void *extra)
{
	if (newval != cx_enabled)
		ResetPlanCache();
}

static void
assign_min_cost(double newval, void *extra)
{
	if (newval != cx_min_cost)
		ResetPlanCache();
}

static void
assign_mode(int newval, void *extra)
{
	if (newval != cx_mode)
		ResetPlanCache();
}

/*
 * Settings that a session makes for itself though others feel it: it may go down from what the
 * administrator has set, not up.  What comes from the configuration file or the command line is the
 * server's value.  What is kept for a role or a database was checked as a test when ALTER ROLE or ALTER
 * DATABASE was run, under the rights of who ran it, so it needs no second check and may be a wider limit.
 */
typedef struct setting_limit
{
	int			server;
	int			session;		/* kept for the role or the database */
} setting_limit;

static setting_limit flight_wait_limit;
static setting_limit max_entry_size_limit;

static bool
check_limit(int value, GucSource source, setting_limit *limit)
{
	if (source <= PGC_S_ARGV)
		limit->server = value;
	else if (source <= PGC_S_DATABASE_USER)
		limit->session = value;
	else if (value > Max(limit->server, limit->session) && IsTransactionState() &&
			 !IsParallelWorker() && !superuser())
	{
		GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
		GUC_check_errdetail("Only superusers may set it higher than the server's configuration does.");
		return false;
	}
	return true;
}

static bool
check_flight_wait(int *newval, void **extra, GucSource source)
{
	return check_limit(*newval, source, &flight_wait_limit);
}

static bool
check_max_entry_size(int *newval, void **extra, GucSource source)
{
	return check_limit(*newval, source, &max_entry_size_limit);
}

/* What a session may set as it likes, but others have to know what the server's value is. */
static bool
check_redis_connect_timeout(int *newval, void **extra, GucSource source)
{
	if (source <= PGC_S_ARGV)
		cx_server_redis_connect_timeout = *newval;
	return true;
}

static bool
check_redis_timeout(int *newval, void **extra, GucSource source)
{
	if (source <= PGC_S_ARGV)
		cx_server_redis_timeout = *newval;
	return true;
}

#define MIN_LOCAL_MEMORY 1024
#define MAX_SHOWN_URL 4096

static bool
check_local_memory(int *newval, void **extra, GucSource source)
{
	if (*newval == 0 || *newval >= MIN_LOCAL_MEMORY)
		return true;
	GUC_check_errdetail("It must be 0, for none, or at least %d kB.", MIN_LOCAL_MEMORY);
	return false;
}

/*
 * The prefix is the first part of keys that are built with ':' between parts and that people type
 * in redis-cli, so it is limited to what needs no quoting there.
 */
static bool
check_key_prefix(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || strlen(*newval) > 64 ||
		strspn(*newval, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
		strlen(*newval))
	{
		GUC_check_errdetail("A key prefix is 1 to 64 letters, digits, underscores, hyphens or dots.");
		return false;
	}
	return true;
}

/* The URL may hold a password, so the message does not repeat it as PostgreSQL's own would. */
static bool
check_redis_url(char **newval, void **extra, GucSource source)
{
	cx_redis_target url;
	const char *problem;

	if (**newval == '\0' || cx_redis_url_parse(*newval, &url, &problem))
		return true;
	GUC_check_errmsg("invalid value for parameter \"%s\"", "cache_ext.redis_url");
	GUC_check_errdetail("%s", problem);
	GUC_check_errhint("Write redis://[[user]:password@]host[:port][/db] or unix:///path[?db=n], with "
					  "\":\", \"/\", \"?\" and \"@\" in user and password percent-encoded.");
	return false;
}

/*
 * SHOW and current_setting(), which roles with pg_read_all_settings (pg_monitor) may use too, get stars
 * for the password.  pg_settings would tell it in reset_val and boot_val, so it leaves the setting out.
 */
static const char *
show_redis_url(void)
{
	static char shown[MAX_SHOWN_URL];
	size_t		from;
	size_t		length;

	if (!cx_redis_url_find_password(cx_redis_url, &from, &length))
		return cx_redis_url;
	snprintf(shown, sizeof(shown), "%.*s***%s", (int) from, cx_redis_url,
			 cx_redis_url + from + length);
	return shown;
}

void
cx_settings_init(void)
{
	DefineCustomIntVariable("cache_ext.clock_slots",
							"Number of clocks in shared memory that tables and keys hash to.",
							"Two tags on one clock invalidate each other's entries; 16 bytes each.",
							&cx_clock_slots, 65536, 64, 16 * 1024 * 1024, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cache_ext.delivery_memory",
							"Shared memory for what committed transactions have to tell Redis.",
							"What does not fit makes the worker remove all keys of the table.",
							&cx_delivery_memory, 16384, 64, INT_MAX, PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("cache_ext.enabled",
							 "Lets this session's queries use the cache.",
							 "Writes keep invalidating what they change, whatever this says.",
							 &cx_enabled, true, PGC_USERSET, 0, NULL, assign_enabled, NULL);
	DefineCustomIntVariable("cache_ext.flight_wait",
							"Longest time that a miss waits for another session to fill the same result.",
							"0 means that every session runs the query itself.",
							&cx_flight_wait, 1000, 0, 60000, PGC_USERSET, GUC_UNIT_MS,
							check_flight_wait, NULL, NULL);
	DefineCustomStringVariable("cache_ext.key_prefix",
							   "First part of every key in Redis.", NULL,
							   &cx_key_prefix, "cache_ext", PGC_SIGHUP, 0,
							   check_key_prefix, NULL, NULL);
	DefineCustomIntVariable("cache_ext.local_memory",
							"Shared memory for cached results.",
							"0 means that only Redis holds them.",
							&cx_local_memory, 65536, 0, INT_MAX, PGC_POSTMASTER, GUC_UNIT_KB,
							check_local_memory, NULL, NULL);
	DefineCustomIntVariable("cache_ext.max_dirty_keys",
							"Distinct key values that a transaction marks one by one.",
							"A transaction that changes more marks the whole table.",
							&cx_max_dirty_keys, 1000, 0, 1000000, PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cache_ext.max_entry_size",
							"Largest cached result.", NULL,
							&cx_max_entry_size, 8192, 1, 512 * 1024, PGC_USERSET, GUC_UNIT_KB,
							check_max_entry_size, NULL, NULL);
	DefineCustomIntVariable("cache_ext.max_staleness",
							"Age up to which a result may be served although its tables have changed.",
							"0 means never. A transaction's own changes are always seen.",
							&cx_max_staleness, 0, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomRealVariable("cache_ext.min_cost",
							 "Planner's cost from which on mode \"auto\" caches a statement.", NULL,
							 &cx_min_cost, 100, 0, DBL_MAX, PGC_USERSET, 0, NULL,
							 assign_min_cost, NULL);
	DefineCustomEnumVariable("cache_ext.mode",
							 "Which ordinary statements are cached.",
							 "\"hint\" caches those with a comment /* cache_ext */, \"auto\" those for which it pays.",
							 &cx_mode, CX_MODE_OFF, modes, PGC_USERSET, 0, NULL, assign_mode,
							 NULL);
	DefineCustomIntVariable("cache_ext.redis_connect_timeout",
							"Longest wait for a connection to Redis.", NULL,
							&cx_redis_connect_timeout, 100, 1, 60000, PGC_USERSET, GUC_UNIT_MS,
							check_redis_connect_timeout, NULL, NULL);
	DefineCustomStringVariable("cache_ext.redis_password_file",
							   "File whose first line is the password for Redis.", NULL,
							   &cx_redis_password_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("cache_ext.redis_timeout",
							"Longest time a query waits for answers from Redis.", NULL,
							&cx_redis_timeout, 50, 1, 60000, PGC_USERSET, GUC_UNIT_MS,
							check_redis_timeout, NULL, NULL);
	DefineCustomStringVariable("cache_ext.redis_url",
							   "Where Redis is: redis://, rediss:// or unix:// URL; empty for none.",
							   NULL,
							   &cx_redis_url, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL,
							   check_redis_url, NULL, show_redis_url);
	DefineCustomBoolVariable("cache_ext.share_prefix",
							 "Lets applications use keys in Redis that another server owns.",
							 "Values, sessions, limits and locks are shared then; rows never are.",
							 &cx_share_prefix, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cache_ext.ttl",
							"Time after which a cached result expires.",
							"Results are exact without it; it bounds what unused entries occupy.",
							&cx_ttl, 3600, 1, 365 * 24 * 3600, PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomRealVariable("cache_ext.ttl_jitter",
							 "Largest fraction of the TTL taken off at random.",
							 "Keeps entries made together from expiring together.",
							 &cx_ttl_jitter, 0.1, 0.0, 1.0, PGC_USERSET, 0, NULL, NULL, NULL);

	MarkGUCPrefixReserved("cache_ext");
}
