/*
 * redis/address.c
 *		Where the host of redis_url is.
 *
 * Resolving a name can take seconds and can't be interrupted, so backends never do it.  The
 * background worker does, and publishes what it found in shared memory.
 *
 * 1. A backend uses published addresses only if they are of the very name in its redis_url: after a
 *	  reload, worker and backends see the new URL at different times.
 * 2. If resolving fails, the addresses found before stay: a name server's trouble is not Redis's.
 *
 * A spinlock guards the published addresses; it is taken when connecting and by the worker, for the
 * time of copying less than 2 kB.
 */
#include "postgres.h"

#include "redis/address.h"
#include "redis/breaker.h"
#include "redis/wait.h"

#include "base/settings.h"
#include "base/shmem.h"

#include "port/atomics.h"
#include "storage/spin.h"

#include <arpa/inet.h>
#include <netdb.h>

#define RESOLVE_INTERVAL_MS 30000

/* How soon a name is resolved again that can't be, or whose addresses didn't serve. */
#define RETRY_INTERVAL_MS 1000

typedef struct address_state
{
	slock_t		lock;
	char		host[sizeof(((cx_redis_target *) 0)->host)];
	int			count;
	cx_address	addresses[CX_MAX_ADDRESSES];	/* without the port */
	pg_atomic_uint32 doubted;
} address_state;

static address_state *published = NULL;

static Size
address_size(void)
{
	return sizeof(address_state);
}

static void
address_create(void *area)
{
	address_state *state = area;

	SpinLockInit(&state->lock);
	pg_atomic_init_u32(&state->doubted, 0);
}

static void
address_attach(void *area)
{
	published = area;
}

static const cx_shmem_area address_area = {
	"cache_ext addresses", address_size, address_create, address_attach
};

void
cx_address_init(void)
{
	cx_shmem_register(&address_area);
}

/* False if the host is a name and not a numeric address. */
static bool
numeric_address(const char *host, cx_address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &address->name.ipv4.sin_addr) == 1)
	{
		address->name.ipv4.sin_family = AF_INET;
		address->length = sizeof(address->name.ipv4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &address->name.ipv6.sin6_addr) == 1)
	{
		address->name.ipv6.sin6_family = AF_INET6;
		address->length = sizeof(address->name.ipv6);
		return true;
	}
	return false;
}

static void
set_port(cx_address *address, int port)
{
	if (address->name.any.sa_family == AF_INET)
		address->name.ipv4.sin_port = htons(port);
	else
		address->name.ipv6.sin6_port = htons(port);
}

int
cx_address_find(const cx_redis_target *url, cx_address addresses[CX_MAX_ADDRESSES])
{
	int			count = 0;

	if (url->socket_path[0] != '\0')
	{
		memset(&addresses[0], 0, sizeof(addresses[0]));
		addresses[0].name.socket.sun_family = AF_UNIX;
		strlcpy(addresses[0].name.socket.sun_path, url->socket_path,
				sizeof(addresses[0].name.socket.sun_path));
		addresses[0].length = sizeof(addresses[0].name.socket);
		return 1;
	}

	if (numeric_address(url->host, &addresses[0]))
		count = 1;
	else
	{
		SpinLockAcquire(&published->lock);
		if (strcmp(published->host, url->host) == 0)
		{
			count = published->count;
			memcpy(addresses, published->addresses, count * sizeof(cx_address));
		}
		SpinLockRelease(&published->lock);
	}
	for (int i = 0; i < count; i++)
		set_port(&addresses[i], url->port);
	return count;
}

void
cx_address_doubt(void)
{
	pg_atomic_write_u32(&published->doubted, 1);
}

/* Blocks for as long as the name servers take. */
static bool
resolve(const char *host)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	cx_address	addresses[CX_MAX_ADDRESSES];
	int			count = 0;
	int			error = getaddrinfo(host, NULL, &hints, &found);

	if (error != 0)
	{
		char	   *problem = psprintf("could not resolve host name \"%s\": %s", host,
									   gai_strerror(error));

		cx_breaker_log(problem);
		pfree(problem);
		return false;
	}

	memset(addresses, 0, sizeof(addresses));
	for (struct addrinfo *one = found; one != NULL && count < CX_MAX_ADDRESSES; one = one->ai_next)
	{
		if (one->ai_family != AF_INET && one->ai_family != AF_INET6)
			continue;
		memcpy(&addresses[count].name, one->ai_addr, one->ai_addrlen);
		addresses[count].length = one->ai_addrlen;
		count++;
	}
	freeaddrinfo(found);

	SpinLockAcquire(&published->lock);
	strlcpy(published->host, host, sizeof(published->host));
	published->count = count;
	memcpy(published->addresses, addresses, sizeof(addresses));
	SpinLockRelease(&published->lock);
	return count > 0;
}

long
cx_address_resolve(bool reloaded)
{
	static int64 resolved_at = 0;
	static bool resolved = false;

	cx_redis_target url;
	const char *problem;
	cx_address	address;
	bool		doubted;
	int64		age_ms;

	if (cx_redis_url[0] == '\0' || !cx_redis_url_parse(cx_redis_url, &url, &problem) ||
		url.socket_path[0] != '\0' || numeric_address(url.host, &address))
		return -1;

	doubted = pg_atomic_read_u32(&published->doubted) != 0;
	age_ms = (cx_wait_clock() - resolved_at) / 1000;
	if (reloaded || resolved_at == 0 ||
		age_ms >= (resolved && !doubted ? RESOLVE_INTERVAL_MS : RETRY_INTERVAL_MS))
	{
		pg_atomic_write_u32(&published->doubted, 0);
		resolved = resolve(url.host);
		resolved_at = cx_wait_clock();
	}

	/* a backend may come to doubt at any time */
	return RETRY_INTERVAL_MS;
}
