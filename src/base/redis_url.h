/*
 * base/redis_url.h
 *		The setting redis_url, taken apart.
 *
 * It is down here because the setting's check hook refuses what the redis layer could not use.
 */
#ifndef CX_BASE_REDIS_URL_H
#define CX_BASE_REDIS_URL_H

#include "postgres.h"

#include <sys/un.h>

#define CX_REDIS_DEFAULT_PORT 6379

/* Plain memory without pointers: copying it is enough.  An empty string stands for "not given". */
typedef struct cx_redis_target
{
	bool		tls;
	char		socket_path[sizeof(((struct sockaddr_un *) 0)->sun_path)];
	char		host[256];		/* name or numeric address without brackets, unless socket_path */
	int			port;
	int			database;
	bool		has_user;		/* a user may have an empty password, so their presence is told */
	bool		has_password;
	char		user[256];
	char		password[1024];
	char		ca_file[MAXPGPATH]; /* whom to trust instead of the system's authorities */
} cx_redis_target;

/*
 * Understands redis://[[user]:password@]host[:port][/db], the same with rediss:// (TLS), and
 * unix://[[user]:password@]/path.  Parameters: ?db=n, and ?ca_file=/path for rediss.  Everything
 * may be percent-encoded.  False: *problem, a constant sentence that repeats no part of the URL,
 * says what is wrong.  Does not allocate.
 */
extern bool cx_redis_url_parse(const char *text, cx_redis_target *url, const char **problem);

/* Where in a URL that was understood the password is, as it is written; false if there is none. */
extern bool cx_redis_url_find_password(const char *text, size_t *from, size_t *length);

#endif
