/*
 * redis/address.h
 *		Where the host of redis_url is.
 */
#ifndef CX_REDIS_ADDRESS_H
#define CX_REDIS_ADDRESS_H

#include "postgres.h"

#include "base/redis_url.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define CX_MAX_ADDRESSES 8

typedef struct cx_address
{
	socklen_t	length;
	union
	{
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
		struct sockaddr_un socket;
	}			name;
} cx_address;

extern void cx_address_init(void);

/*
 * Fills in the addresses to try, in order, and returns how many there are: 0 means that the worker
 * has not resolved the name yet.  Never blocks.
 */
extern int	cx_address_find(const cx_redis_target *url, cx_address addresses[CX_MAX_ADDRESSES]);

/* Connecting to what cx_address_find() gave has failed: the name should be resolved again soon. */
extern void cx_address_doubt(void);

/* For the worker: see cx_redis_resolve().  reloaded: settings may have changed since last time. */
extern long cx_address_resolve(bool reloaded);

#endif
