/*
 * query/literals.h
 *		Parse analysis of a text that somebody else wrote, without running their code.
 */
#ifndef CX_QUERY_LITERALS_H
#define CX_QUERY_LITERALS_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/*
 * As transformTopLevelStmt(), for a state whose hooks are set.  Raises an error where a literal would be
 * converted to a type whose input runs code that is not trusted (query/type_code.h).  Changes raw.
 */
extern Query *cx_literals_transform(ParseState *state, RawStmt *raw);

#endif
