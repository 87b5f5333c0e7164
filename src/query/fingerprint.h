/*
 * query/fingerprint.h
 *		The bytes that tell one query tree from another.
 */
#ifndef CX_QUERY_FINGERPRINT_H
#define CX_QUERY_FINGERPRINT_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"

/*
 * Appends an exact description of a rewritten Query: every field that can reach the result, its
 * columns' names and types, or the rights that are checked; nothing that can't (locations, query ids).
 * Two queries with the same bytes are the same query; bytes are only compared within one server
 * version.  Fast: no text is formatted for the node types it knows; others are described by
 * nodeToString().
 */
extern void cx_fingerprint_write(const Query *query, StringInfo out);

#endif
