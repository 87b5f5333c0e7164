/*
 * base/msgpack_writer.h
 *		Writing MessagePack with msgpack-c into a StringInfo.
 *
 * Running out of memory is an error raised by the StringInfo, so the result of msgpack_pack_* needs
 * no look.
 */
#ifndef CX_BASE_MSGPACK_WRITER_H
#define CX_BASE_MSGPACK_WRITER_H

#include "postgres.h"

#include <msgpack.h>

#include "lib/stringinfo.h"

static inline int
cx_msgpack_append(void *out, const char *data, size_t length)
{
	appendBinaryStringInfo((StringInfo) out, data, (int) length);
	return 0;
}

static inline void
cx_msgpack_writer_start(msgpack_packer *packer, StringInfo out)
{
	msgpack_packer_init(packer, out, cx_msgpack_append);
}

#endif
