/*
 * redis/tls.h
 *		TLS on a socket that never blocks.
 *
 * Where the build has no OpenSSL, redis_url refuses rediss://, so a cx_tls never comes to be and
 * none of this is called.
 */
#ifndef CX_REDIS_TLS_H
#define CX_REDIS_TLS_H

#include "postgres.h"

#include "base/redis_url.h"

typedef struct cx_tls cx_tls;

/* Results beside a count of bytes. */
#define CX_TLS_FAILED (-1)
#define CX_TLS_WOULD_BLOCK (-2)
#define CX_TLS_CLOSED (-3)

#ifdef CX_WITH_TLS

/*
 * Makes the client's end of a TLS connection over a connected socket.  The server must show a
 * certificate for the URL's host that one of the trusted authorities has signed.  NULL: *problem.
 */
extern cx_tls *cx_tls_create(pgsocket fd, const cx_redis_target *url, const char **problem);
extern void cx_tls_free(cx_tls *tls);

/*
 * One step each, as far as it goes without blocking; *events is what to wait for after
 * CX_TLS_WOULD_BLOCK.  The handshake returns 0 when it is complete.
 */
extern ssize_t cx_tls_handshake(cx_tls *tls, uint32 *events);
extern ssize_t cx_tls_read(cx_tls *tls, char *buffer, size_t size, uint32 *events);
extern ssize_t cx_tls_write(cx_tls *tls, const char *bytes, size_t length, uint32 *events);

/* Are there received bytes that the socket no longer shows? */
extern bool cx_tls_pending(cx_tls *tls);

/* Why the last step failed; no secrets. */
extern const char *cx_tls_problem(cx_tls *tls);

#endif
#endif
