/*
 * base/crc.h
 *		The CRC-32C of some bytes, for which processors have an instruction.
 *
 * As a checksum, and as the hash of long keys: it takes a tenth of what hash_bytes() does.
 */
#ifndef CX_BASE_CRC_H
#define CX_BASE_CRC_H

#include "postgres.h"

#include "port/pg_crc32c.h"

static inline uint32
cx_crc32c(const void *bytes, size_t length)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, bytes, length);
	FIN_CRC32C(crc);
	return crc;
}

#endif
