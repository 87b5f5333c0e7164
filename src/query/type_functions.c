/*
 * query/type_functions.c
 *		Whose code runs when values of a type become bytes, bytes values, or values hashes.
 *
 * A SELECT sends its columns to a client: it never calls an input or receive function on them.
 * Reading an entry from Redis does, with the rights of whoever reads.  The input and receive
 * functions of a domain run its CHECK constraints, those of an array, a row or a range call those of
 * what is inside, and those of a range call its canonical function.  All of this may be anybody's:
 * CREATE DOMAIN takes no privilege but CREATE on a schema.  So values are coded only where every
 * function on the way passes two tests:
 *
 * 1. Its language is internal or C.  CREATE FUNCTION takes a superuser for both, so the code is as
 *	  trustworthy as the server's own libraries.
 * 2. It has no SECURITY DEFINER and no SET clause, with which an owner who isn't a superuser may
 *	  change as whom and under which settings the code runs.
 *
 * A domain fails whether it has constraints or not: its owner may add one between this look and the
 * conversion, since no lock keeps him from it.  A row type may change as well, but receiving a row
 * compares the number and types of its columns with what the bytes say first.
 *
 * What PostgreSQL calls but not for these conversions doesn't matter: the subtype_diff function of a
 * range, type modifiers' functions, casts, subscripting.
 */
#include "postgres.h"

#include "query/type_functions.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Types inside each other deeper than this aren't looked at: a multirange may hold itself. */
#define MAX_DEPTH 32

static bool trusted_at(Oid type, int depth);

bool
cx_type_functions_trusts(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		trusted;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	trusted = (form->prolang == INTERNALlanguageId || form->prolang == ClanguageId) &&
		!form->prosecdef && heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL);
	ReleaseSysCache(tuple);
	return trusted;
}

/* A base type that isn't an array. */
static bool
trusts_base(Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	bool		trusted = true;

	/* as it comes with PostgreSQL */
	if (type < FirstNormalObjectId)
		return true;

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	{
		Oid			functions[] = {form->typinput, form->typoutput, form->typreceive,
								   form->typsend};

		for (int i = 0; i < lengthof(functions) && trusted; i++)
			trusted = !OidIsValid(functions[i]) || cx_type_functions_trusts(functions[i]);
	}
	ReleaseSysCache(tuple);
	return trusted;
}

static bool
trusts_row(Oid type, int depth)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_noerror(type, -1, true);
	bool		trusted = true;

	if (desc == NULL)
		return false;
	for (int i = 0; i < desc->natts && trusted; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		trusted = attribute->attisdropped || trusted_at(attribute->atttypid, depth);
	}
	ReleaseTupleDesc(desc);
	return trusted;
}

/* Reading a range compares its bounds, and makes its form canonical. */
static bool
trusts_range(Oid type, int depth)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range form;
	Oid			subtype;
	Oid			canonical;
	Oid			class;
	Oid			class_type;
	Oid			comparison;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_range) GETSTRUCT(tuple);
	subtype = form->rngsubtype;
	canonical = form->rngcanonical;
	class = form->rngsubopc;
	ReleaseSysCache(tuple);

	class_type = get_opclass_input_type(class);
	comparison = get_opfamily_proc(get_opclass_family(class), class_type, class_type,
								   BTORDER_PROC);
	return (!OidIsValid(canonical) || cx_type_functions_trusts(canonical)) &&
		OidIsValid(comparison) && cx_type_functions_trusts(comparison) &&
		trusted_at(subtype, depth);
}

static bool
trusted_at(Oid type, int depth)
{
	Oid			element;

	if (depth++ == MAX_DEPTH)
		return false;
	switch (get_typtype(type))
	{
		case TYPTYPE_BASE:
			element = get_element_type(type);
			return OidIsValid(element) ? trusted_at(element, depth) : trusts_base(type);
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_COMPOSITE:
			return trusts_row(type, depth);
		case TYPTYPE_RANGE:
			return trusts_range(type, depth);
		case TYPTYPE_MULTIRANGE:
			return trusted_at(get_multirange_range(type), depth);
		default:
			return false;
	}
}

bool
cx_type_functions_trusted(Oid type)
{
	return trusted_at(type, 0);
}
