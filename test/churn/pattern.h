/*
 * test/churn/pattern.h
 *		Entries whose bytes tell what they are.
 *
 * The bytes of a body or a rendering follow from a name, a version and a length, so that whoever
 * reads them can tell whether they are what was stored.  An entry's name is its key, and its
 * version stands where the number of rows does.
 */
#ifndef CHURN_PATTERN_H
#define CHURN_PATTERN_H

#include "postgres.h"

#include "core/local.h"

#include "common/hashfn.h"
#include "utils/timestamp.h"

static inline uint64
pattern_start(const char *name, size_t length, uint64 version)
{
	return hash_bytes_extended((const unsigned char *) name, (int) length, version) | 1;
}

static inline uint64
pattern_word(uint64 start, size_t i)
{
	return start * (2 * i + 1);
}

static inline void
write_pattern(uint64 start, char *bytes, size_t length)
{
	size_t		i;
	uint64		word;

	for (i = 0; (i + 1) * sizeof(word) <= length; i++)
	{
		word = pattern_word(start, i);
		memcpy(bytes + i * sizeof(word), &word, sizeof(word));
	}
	word = pattern_word(start, i);
	memcpy(bytes + i * sizeof(word), &word, length % sizeof(word));
}

static inline bool
is_pattern(uint64 start, const char *bytes, size_t length)
{
	size_t		i;
	uint64		word;
	uint64		wrong = 0;

	for (i = 0; (i + 1) * sizeof(word) <= length; i++)
	{
		memcpy(&word, bytes + i * sizeof(word), sizeof(word));
		wrong |= word ^ pattern_word(start, i);
	}
	word = pattern_word(start, i);
	return wrong == 0 && memcmp(bytes + i * sizeof(word), &word, length % sizeof(word)) == 0;
}

/* Is the entry one that was stored under that key? */
static inline void
verify(const cx_local_entry *entry, const char *key, size_t key_length)
{
	if (entry->key_length != key_length || memcmp(entry->key, key, key_length) != 0)
		elog(ERROR, "another key's entry");
	if (entry->body != (const char *) MAXALIGN(entry->body))
		elog(ERROR, "body is not aligned");
	if (!is_pattern(pattern_start(key, key_length, entry->row_count), entry->body,
					entry->body_length))
		elog(ERROR, "entry is damaged");
}

static inline void
describe(cx_local_entry *entry, const char *key, size_t key_length, size_t body_length)
{
	memset(entry, 0, sizeof(*entry));
	entry->key = key;
	entry->key_length = (uint32) key_length;
	entry->body_length = body_length;
	entry->expires = DT_NOEND;
}

/* The body follows from the rest.  False: there was no room. */
static inline bool
store(const cx_local_entry *entry)
{
	char	   *body;
	void	   *reserved = cx_local_reserve(entry, &body);

	if (reserved == NULL)
		return false;
	write_pattern(pattern_start(entry->key, entry->key_length, entry->row_count), body,
				  entry->body_length);
	cx_local_publish(reserved);
	return true;
}

#endif
