/*
 * base/settings.h
 *		Every setting (GUC) of the extension.
 */
#ifndef CX_BASE_SETTINGS_H
#define CX_BASE_SETTINGS_H

#include "postgres.h"

/* Which ordinary statements are cached without being wrapped in cache_ext.query(). */
typedef enum cx_mode_value
{
	CX_MODE_OFF,				/* none */
	CX_MODE_HINT,				/* those that ask with a comment */
	CX_MODE_AUTO				/* those for which it pays */
} cx_mode_value;

extern int	cx_clock_slots;				/* postmaster: number of clocks */
extern int	cx_delivery_memory;			/* postmaster: kB for what Redis is still to be told */
extern bool cx_enabled;					/* session: off means that every query is a bypass */
extern int	cx_flight_wait;				/* session, up to the server's: ms a miss waits for another's fill */
extern char *cx_key_prefix;				/* sighup: first part of every Redis key */
extern int	cx_local_memory;			/* postmaster: kB of the local tier; 0: none */
extern int	cx_max_dirty_keys;			/* superuser: distinct keys a transaction marks before they collapse */
extern int	cx_max_entry_size;			/* session, up to the server's: kB, largest entry stored or read */
extern int	cx_max_staleness;			/* session: ms an entry may be older than a change; 0: exact */
extern double cx_min_cost;				/* session: planner cost below which auto caches nothing */
extern int	cx_mode;					/* session: a cx_mode_value */
extern int	cx_redis_connect_timeout;	/* session: ms */
extern char *cx_redis_password_file;	/* sighup: path, or empty */
extern int	cx_redis_timeout;			/* session: ms a query waits for Redis at most */
extern char *cx_redis_url;				/* sighup: empty means no Redis */
extern bool cx_share_prefix;			/* sighup: applications may use another server's keys */
extern int	cx_ttl;						/* session: s an entry lives */
extern double cx_ttl_jitter;			/* session: fraction of ttl taken off at random */

/* What the server's configuration says of these, whatever this session does. */
extern int	cx_server_redis_connect_timeout;
extern int	cx_server_redis_timeout;

extern void cx_settings_init(void);

#endif
