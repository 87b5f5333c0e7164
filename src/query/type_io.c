/*
 * query/type_io.c
 *		How values of a type become bytes and values again.
 *
 * Numbers, text and bytea are coded natively.  Everything else goes through the type's own send and
 * receive functions, because receive functions check what they get: PostgreSQL itself lets clients
 * send them anything.  Three things need care:
 *
 * 1. Send and receive functions of text in any depth (enum labels, text inside arrays and rows)
 *	  convert to and from client_encoding.  The caller sees to it that this converts nothing.
 * 2. No type modifier is passed to receive and input functions: the value has been through it, and
 *	  a second time must not change it.
 * 3. What a type's functions give back need not be what they were given: extensions may leave
 *	  something out, xml rewrites its declaration.  So only combinations of PostgreSQL's own types
 *	  count as exact, and for the others the caller compares.
 * 4. A function that an ordinary user may have written never runs (query/type_code.h).
 *
 * Exact means what a query can see.  What PostgreSQL itself doesn't keep may change: what a dropped
 * column of a row held, whether a value in a row is compressed, in which order a tsquery stores its
 * words.
 *
 * Memory: fn_extra of the functions lives in the context of the lookup, values in the current one.
 */
#include "postgres.h"

#include "query/type_code.h"
#include "query/type_io.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

typedef struct type_review
{
	bool		binary;			/* every part has send and receive functions */
	bool		exact;			/* every part is known to come back as it was */
} type_review;

static const char *const runs_users_code =
"a result column's type runs a user's function or constraint when it is read";

static const char *review_type(Oid type, type_review *review);

/* Types whose values are stored as they are. */
static bool
is_native(Oid type, cx_type_io *io)
{
	io->conversion = CX_CONVERT_NOTHING;
	io->is_varlena = false;
	switch (type)
	{
		case BOOLOID:
			io->format = CX_CELL_BOOL;
			return true;
		case CHAROID:
			io->format = CX_CELL_CHAR;
			return true;
		case INT2OID:
			io->format = CX_CELL_INT16;
			return true;
		case INT4OID:
			io->format = CX_CELL_INT32;
			return true;
		case INT8OID:
			io->format = CX_CELL_INT64;
			return true;
		case OIDOID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case XIDOID:
		case CIDOID:
			io->format = CX_CELL_UINT32;
			return true;
		case FLOAT4OID:
			io->format = CX_CELL_FLOAT32;
			return true;
		case FLOAT8OID:
			io->format = CX_CELL_FLOAT64;
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case XMLOID:			/* xml_send would rewrite the declaration */
			io->format = CX_CELL_TEXT;
			io->conversion = CX_CONVERT_VARLENA;
			io->is_varlena = true;
			return true;
		case NAMEOID:
			io->format = CX_CELL_TEXT;
			io->conversion = CX_CONVERT_NAME;
			return true;
		case BYTEAOID:
			io->format = CX_CELL_BYTES;
			io->conversion = CX_CONVERT_VARLENA;
			io->is_varlena = true;
			return true;
		default:
			return false;
	}
}

/* Types whose receive and input functions always fail. */
static bool
is_write_only(Oid type)
{
	switch (type)
	{
		case PG_NODE_TREEOID:
		case PG_NDISTINCTOID:
		case PG_DEPENDENCIESOID:
		case PG_MCV_LISTOID:
		case PG_BRIN_BLOOM_SUMMARYOID:
		case PG_BRIN_MINMAX_MULTI_SUMMARYOID:
		case GTSVECTOROID:
			return true;
		default:
			return false;
	}
}

/*
 * PostgreSQL's own types that may come back differently: xml loses its declaration; jsonpath goes
 * through its text; the bounding box of a polygon is computed again, from points where it may have
 * come from a box; an empty vector, or an array cast from one, has a dimension that is not received.
 */
static bool
is_inexact(Oid type)
{
	switch (type)
	{
		case XMLOID:
		case JSONPATHOID:
		case POLYGONOID:
		case INT2VECTOROID:
		case OIDVECTOROID:
		case INT2ARRAYOID:
		case OIDARRAYOID:
			return true;
		default:
			return false;
	}
}

static const char *
review_attributes(Oid type, type_review *review)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	const char *refused = NULL;

	for (int i = 0; i < desc->natts && refused == NULL; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			refused = review_type(attribute->atttypid, review);
	}
	ReleaseTupleDesc(desc);
	return refused;
}

/* Looks at a type and all it is made of.  Returns why it can't be coded, or NULL. */
static const char *
review_type(Oid type, type_review *review)
{
	HeapTuple	tuple;
	Form_pg_type form;
	char		kind;
	Oid			part;

	check_stack_depth();

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return "a result column's type does not exist";
	form = (Form_pg_type) GETSTRUCT(tuple);
	kind = form->typtype;
	if (!OidIsValid(form->typsend) || !OidIsValid(form->typreceive))
		review->binary = false;
	ReleaseSysCache(tuple);

	switch (kind)
	{
		case TYPTYPE_BASE:
			if (is_write_only(type))
				return "a result column's type has no working input function";
			if (is_inexact(type))
				review->exact = false;
			part = get_element_type(type);
			if (OidIsValid(part))
				return review_type(part, review);
			if (type >= FirstNormalObjectId)
				review->exact = false;
			return NULL;
		case TYPTYPE_COMPOSITE:
			return review_attributes(type, review);
		case TYPTYPE_DOMAIN:
			return runs_users_code;
		case TYPTYPE_ENUM:
			return NULL;
		case TYPTYPE_RANGE:
			/* a canonical function of an extension may do anything */
			if (type >= FirstNormalObjectId)
				review->exact = false;
			return review_type(get_range_subtype(type), review);
		case TYPTYPE_MULTIRANGE:
			return review_type(get_multirange_range(type), review);
		default:
			return "a result column has a pseudo-type such as record";
	}
}

bool
cx_type_io_lookup(Oid type, cx_type_io *io, const char **refused)
{
	type_review review = {.binary = true, .exact = true};
	bool		has_rows = false;	/* locked until the transaction ends: the codec goes before */
	Oid			output;
	Oid			input;

	/* the usual types without a look into a catalog: this is done for every hit */
	io->exact = true;
	if (is_native(type, io))
		return true;
	type = getBaseType(type);
	if (is_native(type, io))
		return true;

	*refused = review_type(type, &review);
	if (*refused == NULL && !cx_type_code_is_safe(type, &has_rows))
		*refused = runs_users_code;
	if (*refused != NULL)
		return false;

	get_typlenbyval(type, &io->length, &io->by_value);
	io->composite = type_is_rowtype(type);
	if (review.binary)
	{
		io->format = CX_CELL_BYTES;
		io->conversion = CX_CONVERT_BINARY;
		io->exact = review.exact;
		getTypeBinaryOutputInfo(type, &output, &io->is_varlena);
		getTypeBinaryInputInfo(type, &input, &io->from_parameter);
	}
	else
	{
		io->format = CX_CELL_TEXT;
		io->conversion = CX_CONVERT_TEXTUAL;
		io->exact = false;
		getTypeOutputInfo(type, &output, &io->is_varlena);
		getTypeInputInfo(type, &input, &io->from_parameter);
	}
	fmgr_info(output, &io->to_bytes);
	fmgr_info(input, &io->from_bytes);
	return true;
}

void
cx_type_io_to_cell(cx_type_io *io, Datum value, cx_cell *cell)
{
	struct varlena *bytes;

	cell->isnull = false;
	switch (io->conversion)
	{
		case CX_CONVERT_NOTHING:
			cell->value = value;
			return;
		case CX_CONVERT_VARLENA:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			cell->data = VARDATA_ANY(bytes);
			cell->length = VARSIZE_ANY_EXHDR(bytes);
			return;
		case CX_CONVERT_NAME:
			cell->data = NameStr(*DatumGetName(value));
			cell->length = strlen(cell->data);
			return;
		case CX_CONVERT_BINARY:
			bytes = SendFunctionCall(&io->to_bytes, value);
			cell->data = VARDATA(bytes);
			cell->length = VARSIZE(bytes) - VARHDRSZ;
			return;
		case CX_CONVERT_TEXTUAL:
			cell->data = OutputFunctionCall(&io->to_bytes, value);
			cell->length = strlen(cell->data);
			return;
	}
}

bool
cx_type_io_from_cell(cx_type_io *io, const cx_cell *cell, Datum *value)
{
	StringInfoData bytes;
	Name		name;

	switch (io->conversion)
	{
		case CX_CONVERT_NOTHING:
			*value = cell->value;
			return true;
		case CX_CONVERT_VARLENA:
			*value = PointerGetDatum(cstring_to_text_with_len(cell->data, cell->length));
			return true;
		case CX_CONVERT_NAME:
			if (cell->length >= NAMEDATALEN)
				return false;
			name = palloc0(NAMEDATALEN);
			memcpy(NameStr(*name), cell->data, cell->length);
			*value = NameGetDatum(name);
			return true;
		case CX_CONVERT_BINARY:
			/* receive functions want a zero byte behind, and write into the buffer */
			bytes.maxlen = (int) cell->length + 1;
			bytes.data = palloc(bytes.maxlen);
			memcpy(bytes.data, cell->data, cell->length);
			bytes.data[cell->length] = '\0';
			bytes.len = (int) cell->length;
			bytes.cursor = 0;
			*value = ReceiveFunctionCall(&io->from_bytes, &bytes, io->from_parameter, -1);
			return bytes.cursor == bytes.len;
		case CX_CONVERT_TEXTUAL:
			*value = InputFunctionCall(&io->from_bytes, pnstrdup(cell->data, cell->length),
									   io->from_parameter, -1);
			return true;
	}
	return false;
}

bool
cx_type_io_same(cx_type_io *io, Datum one, Datum other)
{
	/* the headers of rows may differ where the rows don't */
	if (io->composite)
		return DatumGetBool(OidFunctionCall2(F_RECORD_IMAGE_EQ, one, other));
	return datum_image_eq(one, other, io->by_value, io->length);
}
