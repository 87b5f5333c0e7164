/*
 * redis/stream.c
 *		A stream of bytes to a server, over TCP, a Unix socket or TLS, that never blocks.
 *
 * 1. A stream owns its socket, its waiter and its TLS state, and PostgreSQL knows of each file
 *	  descriptor (AcquireExternalFD; the wait event set accounts for its own).
 * 2. A stream that has failed, or was left by an interrupt, is only good for cx_stream_free().
 */
#include "postgres.h"

#include "redis/stream.h"
#include "redis/tls.h"

#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct cx_stream
{
	pgsocket	fd;
	bool		connecting;
	cx_waiter  *waiter;
	cx_tls	   *tls;			/* NULL without TLS */
};

static bool
not_reached(cx_trouble *trouble, int error)
{
	return cx_trouble_set(trouble, CX_TROUBLE_UNREACHABLE, "could not connect: %s",
						  strerror(error));
}

/* A socket that never blocks and that no child process inherits. */
static pgsocket
open_socket(int family)
{
	pgsocket	fd = socket(family, SOCK_STREAM, 0);
	int			on = 1;

	if (fd == PGINVALID_SOCKET)
		return PGINVALID_SOCKET;
	if (!pg_set_noblock(fd) || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
	{
		close(fd);
		return PGINVALID_SOCKET;
	}
	/* a request must not wait for the acknowledgement of the one before */
	if (family != AF_UNIX)
		(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

cx_stream *
cx_stream_start(const cx_address *address, cx_trouble *trouble)
{
	cx_stream  *stream;
	int			error;

	stream = MemoryContextAllocExtended(TopMemoryContext, sizeof(cx_stream),
										MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (stream == NULL)
	{
		cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
		return NULL;
	}
	if (!AcquireExternalFD())
	{
		pfree(stream);
		cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "too many open files");
		return NULL;
	}
	stream->fd = open_socket(address->name.any.sa_family);
	if (stream->fd == PGINVALID_SOCKET)
	{
		cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "could not open a socket: %s",
					   strerror(errno));
		cx_stream_free(stream);
		return NULL;
	}

	error = connect(stream->fd, &address->name.any, address->length) == 0 ? 0 : errno;
	stream->connecting = error == EINPROGRESS || error == EINTR;
	if (error != 0 && !stream->connecting)
	{
		not_reached(trouble, error);
		cx_stream_free(stream);
		return NULL;
	}

	stream->waiter = cx_waiter_create(stream->fd);
	if (stream->waiter == NULL)
	{
		cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "could not prepare waiting for a socket");
		cx_stream_free(stream);
		return NULL;
	}
	return stream;
}

static bool
finish_connecting(cx_stream *stream, cx_deadline *deadline, cx_trouble *trouble)
{
	int			error = 0;
	socklen_t	length = sizeof(error);

	if (!stream->connecting)
		return true;
	if (!cx_wait(stream->waiter, WL_SOCKET_CONNECTED, deadline))
		return cx_trouble_set(trouble, CX_TROUBLE_TIMEOUT, "could not connect in time");
	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		error = errno;
	if (error != 0)
		return not_reached(trouble, error);
	stream->connecting = false;
	return true;
}

#ifdef CX_WITH_TLS
static bool
start_tls(cx_stream *stream, const cx_redis_target *url, cx_deadline *deadline, cx_trouble *trouble)
{
	const char *problem;

	stream->tls = cx_tls_create(stream->fd, url, &problem);
	if (stream->tls == NULL)
		return cx_trouble_set(trouble, CX_TROUBLE_UNREACHABLE, "could not start TLS: %s", problem);
	for (;;)
	{
		uint32		events = 0;

		switch (cx_tls_handshake(stream->tls, &events))
		{
			case 0:
				return true;
			case CX_TLS_WOULD_BLOCK:
				if (!cx_wait(stream->waiter, events, deadline))
					return cx_trouble_set(trouble, CX_TROUBLE_TIMEOUT,
										  "no TLS handshake in time");
				break;
			case CX_TLS_CLOSED:
				return cx_trouble_set(trouble, CX_TROUBLE_UNREACHABLE,
									  "the server closed the connection in the TLS handshake");
			default:
				return cx_trouble_set(trouble, CX_TROUBLE_UNREACHABLE, "TLS handshake failed: %s",
									  cx_tls_problem(stream->tls));
		}
	}
}

/* The result of a step of TLS in the terms of this module. */
static ssize_t
tls_result(cx_stream *stream, ssize_t result, cx_trouble *trouble)
{
	if (result >= 0)
		return result;
	if (result == CX_TLS_WOULD_BLOCK)
		return 0;
	if (result == CX_TLS_CLOSED)
		cx_trouble_set(trouble, CX_TROUBLE_LOST, "the server closed the connection");
	else
		cx_trouble_set(trouble, CX_TROUBLE_PROTOCOL, "TLS failed: %s", cx_tls_problem(stream->tls));
	return -1;
}
#endif

bool
cx_stream_establish(cx_stream *stream, const cx_redis_target *url, cx_deadline *deadline,
					cx_trouble *trouble)
{
	if (!finish_connecting(stream, deadline, trouble))
		return false;
#ifdef CX_WITH_TLS
	if (url->tls)
		return start_tls(stream, url, deadline, trouble);
#endif
	return true;
}

void
cx_stream_free(cx_stream *stream)
{
#ifdef CX_WITH_TLS
	if (stream->tls != NULL)
		cx_tls_free(stream->tls);
#endif
	if (stream->waiter != NULL)
		cx_waiter_free(stream->waiter);
	if (stream->fd != PGINVALID_SOCKET)
		close(stream->fd);
	ReleaseExternalFD();
	pfree(stream);
}

/* The result of recv() or send() in the terms of this module. */
static ssize_t
socket_result(ssize_t result, uint32 wanted, uint32 *events, cx_trouble *trouble)
{
	if (result >= 0)
		return result;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
	{
		*events = wanted;
		return 0;
	}
	cx_trouble_set(trouble, CX_TROUBLE_LOST, "connection lost: %s", strerror(errno));
	return -1;
}

ssize_t
cx_stream_read(cx_stream *stream, char *buffer, size_t size, uint32 *events, cx_trouble *trouble)
{
	ssize_t		result;

#ifdef CX_WITH_TLS
	if (stream->tls != NULL)
		return tls_result(stream, cx_tls_read(stream->tls, buffer, size, events), trouble);
#endif
	result = recv(stream->fd, buffer, size, 0);
	if (result == 0)
	{
		cx_trouble_set(trouble, CX_TROUBLE_LOST, "the server closed the connection");
		return -1;
	}
	return socket_result(result, WL_SOCKET_READABLE, events, trouble);
}

ssize_t
cx_stream_write(cx_stream *stream, const char *bytes, size_t length, uint32 *events,
				cx_trouble *trouble)
{
#ifdef CX_WITH_TLS
	if (stream->tls != NULL)
		return tls_result(stream, cx_tls_write(stream->tls, bytes, length, events), trouble);
#endif
	/* PostgreSQL ignores SIGPIPE */
	return socket_result(send(stream->fd, bytes, length, 0), WL_SOCKET_WRITEABLE, events, trouble);
}

bool
cx_stream_wait(cx_stream *stream, uint32 events, cx_deadline *deadline, cx_trouble *trouble)
{
#ifdef CX_WITH_TLS
	if (stream->tls != NULL && cx_tls_pending(stream->tls))
		return true;
#endif
	if (!cx_wait(stream->waiter, events, deadline))
		return cx_trouble_set(trouble, CX_TROUBLE_TIMEOUT, "no answer in time");
	return true;
}
