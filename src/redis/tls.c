/*
 * redis/tls.c
 *		TLS on a socket that never blocks.
 *
 * 1. The server's certificate is always verified, for the very host of redis_url: a connection
 *	  that anybody on the way could take over is worse than none.
 * 2. OpenSSL's error queue is this thread's, and PostgreSQL's own connections use it too: it is
 *	  cleared before each step and read after a failing one only.
 */
#include "postgres.h"

#include "redis/tls.h"

#ifdef CX_WITH_TLS

#include "storage/latch.h"
#include "utils/memutils.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct cx_tls
{
	SSL_CTX    *context;
	SSL		   *ssl;
	char		problem[200];
};

static const char *
openssl_problem(void)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	return reason != NULL ? reason : "unknown TLS error";
}

/* Verify for a name, or for an address where the URL has one. */
static bool
expect_host(SSL *ssl, const char *host)
{
	char		address[16];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool
start(cx_tls *tls, pgsocket fd, const cx_redis_target *url)
{
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL ||
		SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1)
		return false;
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(tls->context,
					 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (url->ca_file[0] != '\0' ?
		SSL_CTX_load_verify_locations(tls->context, url->ca_file, NULL) != 1 :
		SSL_CTX_set_default_verify_paths(tls->context) != 1)
		return false;

	tls->ssl = SSL_new(tls->context);
	if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1 || !expect_host(tls->ssl, url->host))
		return false;
	SSL_set_connect_state(tls->ssl);
	return true;
}

cx_tls *
cx_tls_create(pgsocket fd, const cx_redis_target *url, const char **problem)
{
	cx_tls	   *tls = MemoryContextAllocExtended(TopMemoryContext, sizeof(cx_tls),
												 MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);

	*problem = "out of memory";
	if (tls == NULL)
		return NULL;
	ERR_clear_error();
	if (!start(tls, fd, url))
	{
		*problem = openssl_problem();
		ERR_clear_error();
		cx_tls_free(tls);
		return NULL;
	}
	return tls;
}

void
cx_tls_free(cx_tls *tls)
{
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->context);
	pfree(tls);
}

/* What a result of OpenSSL's means to the caller. */
static ssize_t
outcome(cx_tls *tls, int result, uint32 *events)
{
	int			saved_errno = errno;
	long		verified;

	if (result > 0)
		return result;
	switch (SSL_get_error(tls->ssl, result))
	{
		case SSL_ERROR_WANT_READ:
			*events = WL_SOCKET_READABLE;
			return CX_TLS_WOULD_BLOCK;
		case SSL_ERROR_WANT_WRITE:
			*events = WL_SOCKET_WRITEABLE;
			return CX_TLS_WOULD_BLOCK;
		case SSL_ERROR_ZERO_RETURN:
			return CX_TLS_CLOSED;
		case SSL_ERROR_SYSCALL:
			if (ERR_peek_error() == 0)
			{
				if (saved_errno == 0 || saved_errno == ECONNRESET || saved_errno == EPIPE)
					return CX_TLS_CLOSED;
				strlcpy(tls->problem, strerror(saved_errno), sizeof(tls->problem));
				return CX_TLS_FAILED;
			}
			/* FALLTHROUGH */
		default:
			verified = SSL_get_verify_result(tls->ssl);
			if (verified != X509_V_OK)
				strlcpy(tls->problem, X509_verify_cert_error_string(verified),
						sizeof(tls->problem));
			else
				strlcpy(tls->problem, openssl_problem(), sizeof(tls->problem));
			ERR_clear_error();
			return CX_TLS_FAILED;
	}
}

ssize_t
cx_tls_handshake(cx_tls *tls, uint32 *events)
{
	ssize_t		result;

	ERR_clear_error();
	errno = 0;
	result = outcome(tls, SSL_do_handshake(tls->ssl), events);
	return result > 0 ? 0 : result;
}

ssize_t
cx_tls_read(cx_tls *tls, char *buffer, size_t size, uint32 *events)
{
	ERR_clear_error();
	errno = 0;
	return outcome(tls, SSL_read(tls->ssl, buffer, (int) Min(size, INT_MAX)), events);
}

ssize_t
cx_tls_write(cx_tls *tls, const char *bytes, size_t length, uint32 *events)
{
	ERR_clear_error();
	errno = 0;
	return outcome(tls, SSL_write(tls->ssl, bytes, (int) Min(length, INT_MAX)), events);
}

bool
cx_tls_pending(cx_tls *tls)
{
	return SSL_pending(tls->ssl) > 0;
}

const char *
cx_tls_problem(cx_tls *tls)
{
	return tls->problem;
}

#endif
