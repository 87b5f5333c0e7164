/*
 * redis/stream.h
 *		A stream of bytes to a server, over TCP, a Unix socket or TLS, that never blocks.
 */
#ifndef CX_REDIS_STREAM_H
#define CX_REDIS_STREAM_H

#include "postgres.h"

#include "redis/address.h"
#include "redis/trouble.h"
#include "redis/wait.h"

#include "base/redis_url.h"

typedef struct cx_stream cx_stream;

/* Starts connecting; NULL and trouble if that fails at once. */
extern cx_stream *cx_stream_start(const cx_address *address, cx_trouble *trouble);

/* Waits until the connection stands, with TLS if the URL asks for it.  May raise an interrupt. */
extern bool cx_stream_establish(cx_stream *stream, const cx_redis_target *url,
								cx_deadline *deadline, cx_trouble *trouble);

extern void cx_stream_free(cx_stream *stream);

/*
 * Reads or writes what is possible now and returns how many bytes that was.  0: nothing, and
 * *events says what to wait for.  -1: trouble.
 */
extern ssize_t cx_stream_read(cx_stream *stream, char *buffer, size_t size,
							  uint32 *events, cx_trouble *trouble);
extern ssize_t cx_stream_write(cx_stream *stream, const char *bytes, size_t length,
							   uint32 *events, cx_trouble *trouble);

/* Waits for the events, unless received bytes are at hand already.  May raise an interrupt. */
extern bool cx_stream_wait(cx_stream *stream, uint32 events, cx_deadline *deadline,
						   cx_trouble *trouble);

#endif
