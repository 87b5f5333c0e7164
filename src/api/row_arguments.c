/*
 * api/row_arguments.c
 *		The key that cache_ext.row() was called with, as values of the key's columns.
 *
 * Memory: CurrentMemoryContext.  Locks: none.
 */
#include "postgres.h"

#include "api/row_arguments.h"
#include "query/type_code.h"

#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

int
cx_row_arguments_list(FunctionCallInfo fcinfo, cx_row_argument **arguments)
{
	int			count = PG_NARGS() - 1;
	ArrayType  *array;
	Datum	   *elements;
	bool	   *nulls;
	int16		length;
	bool		by_value;
	char		align;

	if (!get_fn_expr_variadic(fcinfo->flinfo))
	{
		*arguments = palloc(sizeof(cx_row_argument) * Max(count, 1));
		for (int i = 0; i < count; i++)
		{
			(*arguments)[i].type = get_fn_expr_argtype(fcinfo->flinfo, i + 1);
			(*arguments)[i].value = PG_GETARG_DATUM(i + 1);
			(*arguments)[i].isnull = PG_ARGISNULL(i + 1);
		}
		return count;
	}
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "key")));
	array = PG_GETARG_ARRAYTYPE_P(1);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &elements, &nulls,
					  &count);
	*arguments = palloc(sizeof(cx_row_argument) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		(*arguments)[i].type = ARR_ELEMTYPE(array);
		(*arguments)[i].value = elements[i];
		(*arguments)[i].isnull = nulls[i];
	}
	return count;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static int64
integer_value(Oid type, Datum value)
{
	return type == INT2OID ? DatumGetInt16(value) :
		type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);
}

/* Any integer type does for another; false if no value of the column's is equal to it. */
static bool
convert_integer(Oid from, Oid to, Datum *value)
{
	int64		number = integer_value(from, *value);

	if (to == INT8OID)
		*value = Int64GetDatum(number);
	else if (to == INT4OID)
		*value = Int32GetDatum((int32) number);
	else
		*value = Int16GetDatum((int16) number);
	return integer_value(to, *value) == number;
}

static Datum
call_cast(Oid cast, Datum value)
{
	switch (get_func_nargs(cast))
	{
		case 1:
			return OidFunctionCall1(cast, value);
		case 2:
			return OidFunctionCall2(cast, value, Int32GetDatum(-1));
		default:
			return OidFunctionCall3(cast, value, Int32GetDatum(-1), BoolGetDatum(false));
	}
}

bool
cx_row_argument_convert(const cx_row_argument *given, Oid to, Datum *value)
{
	Oid			from = getBaseType(given->type);
	Oid			input;
	Oid			parameter;
	Oid			cast;

	*value = given->value;
	if (given->isnull)
		return false;
	if (from == UNKNOWNOID)
	{
		getTypeInputInfo(to, &input, &parameter);
		*value = OidInputFunctionCall(input, DatumGetCString(given->value), parameter, -1);
		return true;
	}
	if (from == to)
		return true;
	if (is_integer(from) && is_integer(to))
		return convert_integer(from, to, value);
	switch (find_coercion_pathway(to, from, COERCION_IMPLICIT, &cast))
	{
		case COERCION_PATH_RELABELTYPE:
			return true;
		case COERCION_PATH_FUNC:
			/* a cast of a user's is called where it is written, by whoever may execute it */
			if (!cx_type_code_trusts(cast))
				break;
			*value = call_cast(cast, given->value);
			return true;
		default:
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("a key of type %s does not fit a column of type %s",
					format_type_be(given->type), format_type_be(to)),
			 errhint("Cast it.")));
	return false;
}
