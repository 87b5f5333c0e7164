/*
 * query/type_code.h
 *		Whose code runs when values of a type become bytes, or bytes values.
 */
#ifndef CX_QUERY_TYPE_CODE_H
#define CX_QUERY_TYPE_CODE_H

#include "postgres.h"

/*
 * Is the function one that only a superuser can have made and only a superuser can replace: of
 * language internal or C, and owned by a superuser?  True for InvalidOid, which is no function.
 */
extern bool cx_type_code_trusts(Oid function);

/*
 * Do input, output, send and receive of this type, and of all it is made of, run trusted functions only?
 * Never for a domain: strip one from the outside first.  If composite types are among its parts,
 * *has_rows is set (else left), and the answer holds until the end of the transaction only.
 */
extern bool cx_type_code_is_safe(Oid type, bool *has_rows);

#endif
