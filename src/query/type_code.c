/*
 * query/type_code.c
 *		Whose code runs when values of a type become bytes, or bytes values.
 *
 * A plain SELECT never calls a receive or input function on what it reads, and calls output functions
 * only for the client that asked.  What is stored in Redis calls them in sessions of anybody who
 * writes, reads, explains or warms, with that session's rights.  So only functions may be called that
 * no ordinary role can have made:
 *
 * 1. Functions of initdb, and functions of language internal or C, which take a superuser to create
 *	  (C is not a trusted language), as base types do.  The owner of such a function could put one in
 *	  PL/pgSQL in its place, at any moment after it was looked at, so the owner must be a superuser.
 * 2. No domain: domain_in and domain_recv run its CHECK constraints, which its owner wrote and may add
 *	  to while a query runs.  That a domain has none now proves nothing, so all are refused.
 * 3. A range calls its canonical function and the comparison of its subtype when it is read.  (The
 *	  subtype_diff function serves GiST only.)
 * 4. A composite type may get an attribute of any type while a query runs.  The lock that ALTER TYPE
 *	  and ALTER TABLE conflict with is taken before its attributes are looked at, and kept until the end
 *	  of the transaction, as locks on tables are.  Nobody waits for it: where it is not to be had at once
 *	  the type counts as unsafe.
 *
 * An enum's labels, an array's, a range's and a row's own functions are internal, and call those of
 * their parts.
 */
#include "postgres.h"

#include "query/type_code.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

bool
cx_type_code_trusts(Oid function)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	bool		trusted;

	if (function < FirstNormalObjectId)
		return true;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	trusted = (form->prolang == INTERNALlanguageId || form->prolang == ClanguageId) &&
		superuser_arg(form->proowner);
	ReleaseSysCache(tuple);
	return trusted;
}

static bool
is_safe_base(Oid type, bool *has_rows)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	FormData_pg_type form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = *(Form_pg_type) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);
	return cx_type_code_trusts(form.typinput) && cx_type_code_trusts(form.typoutput) &&
		cx_type_code_trusts(form.typreceive) && cx_type_code_trusts(form.typsend) &&
		(!OidIsValid(form.typelem) || cx_type_code_is_safe(form.typelem, has_rows));
}

static bool
is_safe_row(Oid type, bool *has_rows)
{
	Oid			relation = get_typ_typrelid(type);
	TupleDesc	desc;
	bool		safe = true;

	*has_rows = true;
	if (!ConditionalLockRelationOid(relation, AccessShareLock))
		return false;
	desc = lookup_rowtype_tupdesc_noerror(type, -1, true);
	if (desc == NULL)
		return false;
	for (int i = 0; i < desc->natts && safe; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			safe = cx_type_code_is_safe(attribute->atttypid, has_rows);
	}
	ReleaseTupleDesc(desc);
	return safe;
}

static bool
is_safe_range(Oid type, bool *has_rows)
{
	TypeCacheEntry *range = lookup_type_cache(type, TYPECACHE_RANGE_INFO);

	return range->rngelemtype != NULL &&
		cx_type_code_trusts(range->rng_canonical_finfo.fn_oid) &&
		cx_type_code_trusts(range->rng_cmp_proc_finfo.fn_oid) &&
		cx_type_code_is_safe(range->rngelemtype->type_id, has_rows);
}

bool
cx_type_code_is_safe(Oid type, bool *has_rows)
{
	check_stack_depth();

	switch (get_typtype(type))
	{
		case TYPTYPE_BASE:
			return is_safe_base(type, has_rows);
		case TYPTYPE_COMPOSITE:
			return is_safe_row(type, has_rows);
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_RANGE:
			return is_safe_range(type, has_rows);
		case TYPTYPE_MULTIRANGE:
			return cx_type_code_is_safe(get_multirange_range(type), has_rows);
		default:
			return false;
	}
}
