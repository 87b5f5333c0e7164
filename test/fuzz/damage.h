/*
 * test/fuzz/damage.h
 *		Damage to bytes that were good, for the fuzz targets that run in a server.
 */
#ifndef CX_FUZZ_DAMAGE_H
#define CX_FUZZ_DAMAGE_H

#include "postgres.h"

#include "common/pg_prng.h"

/* Changes a few bytes behind start, and now and then cuts the end off. */
static int
damage(pg_prng_state *random, char *data, int start, int length)
{
	static const uint8 telling[] = {0, 1, 0x7f, 0x80, 0xc0, 0xc1, 0xfe, 0xff};

	for (int left = 1 + pg_prng_uint32(random) % 4; left > 0 && length > start; left--)
	{
		int			at = start + pg_prng_uint32(random) % (length - start);
		int			from = start + pg_prng_uint32(random) % (length - start);

		switch (pg_prng_uint32(random) % 6)
		{
			case 0:
				data[at] ^= 1 << (pg_prng_uint32(random) % 8);
				break;
			case 1:
				data[at] = (char) pg_prng_uint32(random);
				break;
			case 2:
				data[at] = (char) telling[pg_prng_uint32(random) % lengthof(telling)];
				break;
			case 3:
				data[at] += (int) (pg_prng_uint32(random) % 5) - 2;
				break;
			case 4:
				memmove(data + at, data + from,
						Min((int) (pg_prng_uint32(random) % 9), length - Max(at, from)));
				break;
			case 5:
				if (pg_prng_uint32(random) % 8 == 0)
					length = at;
				break;
		}
	}
	return length;
}

#endif
