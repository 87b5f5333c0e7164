/*
 * query/tags.c
 *		The tags of a statement: adding them, and K tags for values.
 *
 * The hash in a K tag is that of the column's own type.  A value of another type is made one of it
 * first, which cx_tags_is_key_type() allows only where equal values stay equal.  Where a value can't be
 * used (NULL, too many elements), the tag is T: any row.
 */
#include "postgres.h"

#include "query/conditions.h"
#include "query/private.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

static bool
same_tag(const cx_tag *tag, cx_tag_kind kind, Oid relation, AttrNumber column, uint32 value_hash)
{
	return tag->kind == kind && tag->relation == relation && tag->column == column &&
		tag->value_hash == value_hash;
}

void
cx_tags_add(cx_statement *statement, cx_tag_kind kind, Oid relation, AttrNumber column,
			uint32 value_hash)
{
	cx_tag	   *tag;

	for (int i = 0; i < statement->tag_count; i++)
	{
		if (same_tag(&statement->tags[i], kind, relation, column, value_hash))
			return;
	}

	/* doubles whenever the count is a power of two */
	if (statement->tags == NULL)
		statement->tags = palloc(sizeof(cx_tag));
	else if ((statement->tag_count & (statement->tag_count - 1)) == 0)
		statement->tags = repalloc(statement->tags, sizeof(cx_tag) * 2 * statement->tag_count);

	tag = &statement->tags[statement->tag_count++];
	memset(tag, 0, sizeof(*tag));
	tag->kind = kind;
	tag->relation = relation;
	tag->column = column;
	tag->value_hash = value_hash;
}

static void
add_pin(cx_statement *statement, const cx_pin *pin)
{
	if (statement->pins == NULL)
		statement->pins = palloc(sizeof(cx_pin));
	else
		statement->pins = repalloc(statement->pins, sizeof(cx_pin) * (statement->pin_count + 1));
	statement->pins[statement->pin_count++] = *pin;
}

/*
 * Values of a key column's type
 */

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

bool
cx_tags_is_key_type(const cx_tracked_key *key, Oid type)
{
	return type == key->type || (key->type == VARCHAROID && type == TEXTOID) ||
		(is_integer(key->type) && is_integer(type));
}

/* Turns a value of such a type into one of the column's.  False if the column can't have it. */
static bool
to_key_type(const cx_tracked_key *key, Oid type, Datum value, Datum *result)
{
	int64		integer;

	*result = value;
	if (type == key->type || !is_integer(type))
		return true;

	integer = type == INT2OID ? DatumGetInt16(value) :
		type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);
	switch (key->type)
	{
		case INT2OID:
			*result = Int16GetDatum((int16) integer);
			return integer >= PG_INT16_MIN && integer <= PG_INT16_MAX;
		case INT4OID:
			*result = Int32GetDatum((int32) integer);
			return integer >= PG_INT32_MIN && integer <= PG_INT32_MAX;
		default:
			*result = Int64GetDatum(integer);
			return true;
	}
}

/*
 * Hashes the elements of an array that the key column can have.  False if there are too many.
 */
static bool
hash_elements(const cx_tracked_key *key, Oid element_type, Datum array, uint32 *hashes, int *count)
{
	ArrayType  *elements = DatumGetArrayTypeP(array);
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *items;
	bool	   *nulls;
	int			item_count;

	*count = 0;
	if (ArrayGetNItems(ARR_NDIM(elements), ARR_DIMS(elements)) > CX_MAX_KEY_VALUES)
		return false;
	get_typlenbyvalalign(ARR_ELEMTYPE(elements), &length, &by_value, &align);
	deconstruct_array(elements, ARR_ELEMTYPE(elements), length, by_value, align,
					  &items, &nulls, &item_count);
	for (int i = 0; i < item_count; i++)
	{
		Datum		value;

		/* NULL equals nothing; so does what no row can hold */
		if (!nulls[i] && to_key_type(key, element_type, items[i], &value))
			hashes[(*count)++] = cx_tracked_hash_value(key, value);
	}
	return true;
}

/*
 * A setting's text as a value of the key column's type: only for types whose texts can be checked
 * here, since an input function would raise an error.
 */
static bool
hash_setting(const cx_tracked_key *key, Oid type, const char *text, uint32 *hash)
{
	Datum		value;
	size_t		digits = strlen(text);

	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			value = CStringGetTextDatum(text);
			break;

		case INT2OID:
		case INT4OID:
		case INT8OID:
			/* 18 digits fit */
			if (digits == 0 || digits > 18 || strspn(text, "0123456789") != digits)
				return false;
			if (!to_key_type(key, INT8OID, Int64GetDatum(strtoll(text, NULL, 10)), &value))
				return false;
			break;

		case UUIDOID:
			if (digits != 36 || strspn(text, "0123456789abcdefABCDEF-") != 36 ||
				text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' ||
				strchr(text + 24, '-') != NULL || memchr(text, '-', 8) != NULL ||
				memchr(text + 9, '-', 4) != NULL || memchr(text + 14, '-', 4) != NULL ||
				memchr(text + 19, '-', 4) != NULL)
				return false;
			value = DirectFunctionCall1(uuid_in, CStringGetDatum(text));
			break;

		default:
			return false;
	}
	*hash = cx_tracked_hash_value(key, value);
	return true;
}

static int
find_setting(const cx_statement *statement, const char *name)
{
	for (int i = 0; i < list_length(statement->settings); i++)
	{
		if (strcmp(strVal(list_nth(statement->settings, i)), name) == 0)
			return i;
	}
	return -1;
}

bool
cx_tags_add_values(cx_statement *statement, Oid relation, const cx_tracked_key *key,
				   const cx_key_values *found)
{
	ListCell   *cell;
	uint32		hashes[CX_MAX_KEY_VALUES];
	int			count;

	foreach(cell, found->values)
	{
		Node	   *node = (Node *) lfirst(cell);
		Oid			type = getBaseType(exprType(node));
		Datum		value;

		if (found->is_array)
			type = getBaseType(get_element_type(type));
		if (!cx_tags_is_key_type(key, type))
			return false;

		if (IsA(node, Param))
		{
			cx_pin		pin = {relation, *key, ((Param *) node)->paramid,
							   ((Param *) node)->paramtype, type, found->is_array, -1};

			add_pin(statement, &pin);
			continue;
		}
		if (!IsA(node, Const))
		{
			cx_pin		pin = {relation, *key, 0, InvalidOid, type, false,
							   find_setting(statement, cx_conditions_setting(node))};

			if (found->is_array || pin.setting < 0)
				return false;
			add_pin(statement, &pin);
			continue;
		}

		if (((Const *) node)->constisnull)
			return false;
		if (found->is_array)
		{
			if (!hash_elements(key, type, ((Const *) node)->constvalue, hashes, &count))
				return false;
		}
		else
		{
			count = 0;
			if (to_key_type(key, type, ((Const *) node)->constvalue, &value))
				hashes[count++] = cx_tracked_hash_value(key, value);
		}
		for (int i = 0; i < count; i++)
			cx_tags_add(statement, CX_TAG_KEY, relation, key->root_column, hashes[i]);
	}
	return true;
}

static bool
is_definition(const cx_tag *tag)
{
	return tag->kind != CX_TAG_TABLE && tag->kind != CX_TAG_KEY;
}

static bool
has_table_tag(const cx_tag *tags, int count, Oid relation)
{
	for (int i = 0; i < count; i++)
	{
		if (same_tag(&tags[i], CX_TAG_TABLE, relation, 0, 0))
			return true;
	}
	return false;
}

/*
 * T of a table makes K of it pointless.  What remains is put in order and spread here, once for all
 * executions.
 */
void
cx_tags_finish(cx_statement *statement)
{
	cx_tag	   *tags = palloc(sizeof(cx_tag) * Max(statement->tag_count, 1));
	int			kept = 0;

	for (int i = 0; i < statement->tag_count; i++)
		if (is_definition(&statement->tags[i]))
			tags[kept++] = statement->tags[i];
	statement->definition_count = kept;
	for (int i = 0; i < statement->tag_count; i++)
	{
		cx_tag	   *tag = &statement->tags[i];

		if (!is_definition(tag) &&
			(tag->kind != CX_TAG_KEY ||
			 !has_table_tag(statement->tags, statement->tag_count, tag->relation)))
			tags[kept++] = *tag;
	}
	for (int i = 0; i < kept; i++)
		tags[i].spread = cx_tag_spread(&tags[i]);
	statement->tags = tags;
	statement->tag_count = kept;

	kept = 0;
	for (int i = 0; i < statement->pin_count; i++)
	{
		if (!has_table_tag(statement->tags, statement->tag_count, statement->pins[i].relation))
			statement->pins[kept++] = statement->pins[i];
	}
	statement->pin_count = kept;
}

/* The values of one pin, hashed.  False if they can't be used. */
static bool
resolve_pin(const cx_statement *statement, const cx_pin *pin, ParamListInfo params,
			uint32 *hashes, int *count)
{
	ParamExternData workspace;
	ParamExternData *parameter;
	Datum		value;

	if (pin->parameter == 0)
	{
		char	   *text = GetConfigOptionByName(strVal(list_nth(statement->settings, pin->setting)),
												 NULL, true);

		*count = 1;
		return text != NULL && hash_setting(&pin->key, pin->value_type, text, hashes);
	}

	parameter = cx_key_parameter(params, pin->parameter, pin->parameter_type, &workspace);
	if (parameter == NULL || parameter->isnull)
		return false;
	if (pin->is_array)
		return hash_elements(&pin->key, pin->value_type, parameter->value, hashes, count);
	*count = 0;
	if (to_key_type(&pin->key, pin->value_type, parameter->value, &value))
		hashes[(*count)++] = cx_tracked_hash_value(&pin->key, value);
	return true;
}

int
cx_statement_definitions(const cx_statement *statement, const cx_tag **tags)
{
	*tags = statement->tags;
	return statement->definition_count;
}

int
cx_statement_tags(const cx_statement *statement, ParamListInfo params, cx_tag **tags,
				  int *definitions)
{
	int			count = statement->definition_count;
	int			row_count = statement->tag_count - count;

	*tags = palloc(sizeof(cx_tag) *
				   (statement->tag_count + statement->pin_count * CX_MAX_KEY_VALUES + 2));
	memcpy(*tags, statement->tags, sizeof(cx_tag) * count);

	/* the key has the OID: a role may get another name, or its OID be another's after it was dropped */
	if (statement->needs_user)
	{
		cx_tag		tag = {CX_TAG_ROLE, GetUserId()};

		(*tags)[count++] = tag;
	}
	if (statement->needs_session_user)
	{
		cx_tag		tag = {CX_TAG_ROLE, GetSessionUserId()};

		(*tags)[count++] = tag;
	}
	*definitions = count;

	memcpy(*tags + count, statement->tags + statement->definition_count,
		   sizeof(cx_tag) * row_count);
	count += row_count;

	for (int i = 0; i < statement->pin_count; i++)
	{
		const cx_pin *pin = &statement->pins[i];
		uint32		hashes[CX_MAX_KEY_VALUES];
		int			hash_count;

		if (resolve_pin(statement, pin, params, hashes, &hash_count))
		{
			for (int j = 0; j < hash_count; j++)
			{
				cx_tag		tag = {CX_TAG_KEY, pin->relation, pin->key.root_column, hashes[j]};

				(*tags)[count++] = tag;
			}
		}
		else if (!has_table_tag(*tags, count, pin->relation))
		{
			cx_tag		tag = {CX_TAG_TABLE, pin->relation, 0, 0};

			(*tags)[count++] = tag;
		}
	}
	return count;
}
