/*
 * query/tags.c
 *		Which rows does the result depend on?
 *
 * Every place where a query reads a table (an occurrence) is tagged T, any row, unless conditions
 * pin a key column of it to values: then K, rows with one of these values.
 *
 * A condition may be used for an occurrence only if rows of it that fail the condition have no
 * influence on the result.  Going down from WHERE, conditions are collected:
 * 1. WHERE, and ON of an inner join: for all occurrences below, since they are strict: whatever rows
 *    they hold for has a row of the occurrence in it, not NULLs made by an outer join.
 * 2. ON of an outer join: for the occurrences on its nullable side only.  A row of that side that
 *    fails ON joins with nothing.  A row of the other side comes through whatever ON says.
 * 3. ON of a full join: for none.
 * 4. Security conditions (row-level security, security_barrier): for their occurrence.
 * Conditions from above may be combined with those from below, by equality of columns.  Say that
 * X.k = u.a (ON of u LEFT JOIN X) and u.a = 5 (WHERE): a row x with k = 7 can only join rows of u,
 * or keep them from being extended by NULLs, that WHERE drops in either case.
 *
 * Both sides hash a value in the same way only under the same notion of equality: see
 * is_key_equality().  When in doubt, T.
 */
#include "postgres.h"

#include "query/private.h"

#include "access/hash.h"
#include "access/stratnum.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* One analysis of one query level. */
typedef struct occurrences
{
	cx_analysis *analysis;
	List	   *range_table;
	Bitmapset  *tagged;			/* range table indexes that were met in the join tree */
} occurrences;

/* What a key column is equal to. */
typedef struct key_values
{
	List	   *values;			/* of Const and Param; an array each, if is_array */
	bool		is_array;
} key_values;

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

/* Can values of this type, domains stripped, be compared with the key column as K understands it? */
static bool
is_key_type(const cx_tracked_key *key, Oid type)
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

static bool
same_collation(Oid left, Oid right)
{
	return left == right ||
		(OidIsValid(left) && OidIsValid(right) &&
		 get_collation_isdeterministic(left) && get_collation_isdeterministic(right));
}

/*
 * Is the operator, under the collation, the equality that the hash of the key column goes by?
 */
static bool
is_key_equality(const cx_tracked_key *key, Oid operator, Oid collation, Node *left, Node *right)
{
	TypeCacheEntry *entry = lookup_type_cache(key->type, TYPECACHE_HASH_OPFAMILY);

	return OidIsValid(entry->hash_opf) &&
		get_op_opfamily_strategy(operator, entry->hash_opf) == HTEqualStrategyNumber &&
		is_key_type(key, getBaseType(exprType(left))) &&
		is_key_type(key, getBaseType(exprType(right))) &&
		(!OidIsValid(key->collation) || same_collation(key->collation, collation)) &&
		func_strict(get_opcode(operator));
}

/*
 * Expressions
 */

/*
 * Strips what changes no value: COLLATE, casts of a domain to what it is made of and of varchar to
 * text, or arrays of it.
 */
static Node *
strip_relabel(Node *node)
{
	for (;;)
	{
		Node	   *argument;
		Oid			from;
		Oid			to;

		if (node == NULL)
			return NULL;
		if (IsA(node, RelabelType))
			argument = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr))
			argument = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else if (IsA(node, CollateExpr))
			argument = (Node *) ((CollateExpr *) node)->arg;
		else
			return node;

		from = getBaseType(exprType(argument));
		to = exprType(node);
		if (!(from == getBaseType(to) && !IsA(node, ArrayCoerceExpr)) &&
			!(from == VARCHAROID && to == TEXTOID) &&
			!(from == VARCHARARRAYOID && to == TEXTARRAYOID))
			return node;
		node = argument;
	}
}

/* The base column that an expression is, looked up through joins; NULL if it is anything else. */
static Var *
as_column(const occurrences *level, Node *node)
{
	node = strip_relabel(node);
	while (node != NULL && IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
		   ((Var *) node)->varattno > 0)
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte = rt_fetch(var->varno, level->range_table);

		if (rte->rtekind != RTE_JOIN)
			return var;
		node = strip_relabel((Node *) list_nth(rte->joinaliasvars, var->varattno - 1));
	}
	return NULL;
}

/*
 * A constant or a parameter ($n), else NULL.  An integer's cast to a wider type, as in numeric = 5,
 * is done here: it can't fail, where others could raise an error that planning would not.
 */
static Node *
as_value(Node *node)
{
	node = strip_relabel(node);
	if (IsA(node, FuncExpr) &&
		(((FuncExpr *) node)->funcid == F_INT8_INT4 ||
		 ((FuncExpr *) node)->funcid == F_INT8_INT2 ||
		 ((FuncExpr *) node)->funcid == F_INT4_INT2 ||
		 ((FuncExpr *) node)->funcid == F_NUMERIC_INT8 ||
		 ((FuncExpr *) node)->funcid == F_NUMERIC_INT4 ||
		 ((FuncExpr *) node)->funcid == F_NUMERIC_INT2) &&
		IsA(linitial(((FuncExpr *) node)->args), Const))
		node = eval_const_expressions(NULL, node);
	if (IsA(node, Const))
		return node;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		return node;
	return NULL;
}

static List *
add_conditions(List *conditions, Node *node)
{
	ListCell   *cell;

	if (node == NULL)
		return conditions;
	if (IsA(node, List) || (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR))
	{
		foreach(cell, IsA(node, List) ? (List *) node : ((BoolExpr *) node)->args)
			conditions = add_conditions(conditions, (Node *) lfirst(cell));
		return conditions;
	}
	return lappend(conditions, node);
}

static bool
is_among(List *columns, const Var *column)
{
	ListCell   *cell;

	foreach(cell, columns)
	{
		Var		   *other = lfirst_node(Var, cell);

		if (other->varno == column->varno && other->varattno == column->varattno)
			return true;
	}
	return false;
}

/*
 * One condition, given columns that are known to equal the key column.  Returns true when it says
 * what value they have; appends to *columns when it equates them with one more.
 */
static bool
use_equality(const occurrences *level, const cx_tracked_key *key, OpExpr *condition,
			 List **columns, key_values *found)
{
	Node	   *left;
	Node	   *right;

	if (list_length(condition->args) != 2)
		return false;
	left = strip_relabel((Node *) linitial(condition->args));
	right = strip_relabel((Node *) lsecond(condition->args));
	if (!is_key_equality(key, condition->opno, condition->inputcollid, left, right))
		return false;

	for (int side = 0; side < 2; side++)
	{
		Var		   *column = as_column(level, side == 0 ? left : right);
		Node	   *other = side == 0 ? right : left;
		Node	   *value;
		Var		   *other_column;

		if (column == NULL || !is_among(*columns, column))
			continue;
		value = as_value(other);
		if (value != NULL)
		{
			found->values = list_make1(value);
			found->is_array = false;
			return true;
		}
		other_column = as_column(level, other);
		if (other_column != NULL && !is_among(*columns, other_column))
			*columns = lappend(*columns, other_column);
	}
	return false;
}

static bool
use_any(const occurrences *level, const cx_tracked_key *key, ScalarArrayOpExpr *condition,
		List *columns, key_values *found)
{
	Node	   *left = strip_relabel((Node *) linitial(condition->args));
	Node	   *array = strip_relabel((Node *) lsecond(condition->args));
	Var		   *column = as_column(level, left);
	Oid			element_type = get_element_type(getBaseType(exprType(array)));
	ListCell   *cell;

	if (!condition->useOr || column == NULL || !is_among(columns, column) ||
		!OidIsValid(element_type) ||
		!is_key_equality(key, condition->opno, condition->inputcollid, left,
						 (Node *) makeNullConst(element_type, -1, InvalidOid)))
		return false;

	found->values = NIL;
	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
	{
		foreach(cell, ((ArrayExpr *) array)->elements)
		{
			Node	   *value = as_value((Node *) lfirst(cell));

			if (value == NULL || !is_key_type(key, getBaseType(exprType(value))))
				return false;
			found->values = lappend(found->values, value);
		}
		found->is_array = false;
		return list_length(found->values) <= CX_MAX_KEY_VALUES;
	}

	array = as_value(array);
	if (array == NULL)
		return false;
	found->values = list_make1(array);
	found->is_array = true;
	return true;
}

/*
 * What do the conditions say that the key column of the occurrence equals?
 */
static bool
find_values(const occurrences *level, int occurrence, const cx_tracked_key *key,
			List *conditions, key_values *found)
{
	List	   *columns = list_make1(makeVar(occurrence, key->column, key->type, -1,
											 key->collation, 0));
	int			known;
	ListCell   *cell;

	do
	{
		known = list_length(columns);
		foreach(cell, conditions)
		{
			Node	   *condition = (Node *) lfirst(cell);

			if (IsA(condition, OpExpr) &&
				use_equality(level, key, (OpExpr *) condition, &columns, found))
				return true;
		}
	} while (list_length(columns) > known);

	foreach(cell, conditions)
	{
		Node	   *condition = (Node *) lfirst(cell);

		if (IsA(condition, ScalarArrayOpExpr) &&
			use_any(level, key, (ScalarArrayOpExpr *) condition, columns, found))
			return true;
	}
	return false;
}

/*
 * Calls add(value) for each element of an array that the key column can have.  False if it takes
 * too many tags.
 */
static bool
hash_array(const cx_tracked_key *key, Oid element_type, Datum array, uint32 *hashes, int *count)
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
 * Tags one relation (the table, or a member by itself) by the values.  False if one can't be.
 */
static bool
add_values(cx_statement *statement, Oid relation, const cx_tracked_key *key,
		   const key_values *found)
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
		if (!is_key_type(key, type))
			return false;

		if (IsA(node, Param))
		{
			cx_pin		pin = {relation, *key, ((Param *) node)->paramid,
							   ((Param *) node)->paramtype, type, found->is_array};

			add_pin(statement, &pin);
			continue;
		}

		if (((Const *) node)->constisnull)
			return false;
		if (found->is_array)
		{
			if (!hash_array(key, type, ((Const *) node)->constvalue, hashes, &count))
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

static const cx_tracked_key *
find_key(const cx_tracked *tracked, AttrNumber column)
{
	for (int i = 0; i < tracked->key_count; i++)
	{
		if (tracked->keys[i].column == column)
			return &tracked->keys[i];
	}
	return NULL;
}

/*
 * An inheritance child has the parent's column somewhere, by name; it may be no key column there.
 */
static void
add_member(cx_statement *statement, Oid parent, const cx_tracked_key *parent_key, Oid member,
		   const key_values *found)
{
	cx_tracked	tracked;
	const cx_tracked_key *key = NULL;

	if (!cx_relations_copy(member, &tracked))
		return;
	if (parent_key != NULL)
		key = find_key(&tracked, get_attnum(member, get_attname(parent, parent_key->column, false)));
	if (key == NULL || key->type != parent_key->type || key->collation != parent_key->collation ||
		!add_values(statement, tracked.root, key, found))
		cx_tags_add(statement, CX_TAG_TABLE, tracked.root, 0, 0);
}

/* Do all partitions keep track of the key column? */
static bool
members_have_key(List *members, Oid root, const cx_tracked_key *key)
{
	ListCell   *cell;

	foreach(cell, members)
	{
		cx_tracked	tracked;
		bool		found = false;

		if (!cx_relations_copy(lfirst_oid(cell), &tracked) || tracked.root != root)
			return false;
		for (int i = 0; i < tracked.key_count; i++)
			found = found || tracked.keys[i].root_column == key->root_column;
		if (!found)
			return false;
	}
	return true;
}

static void
add_occurrence(occurrences *level, int occurrence, List *conditions)
{
	RangeTblEntry *rte = rt_fetch(occurrence, level->range_table);
	cx_statement *statement = level->analysis->statement;
	cx_tracked	tracked;
	const cx_tracked_key *key = NULL;
	key_values	found = {NIL, false};
	List	   *members;
	ListCell   *cell;

	level->tagged = bms_add_member(level->tagged, occurrence);
	if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW ||
		!cx_relations_copy(rte->relid, &tracked))
		return;

	conditions = add_conditions(list_copy(conditions), (Node *) rte->securityQuals);
	for (int i = 0; i < tracked.key_count && key == NULL; i++)
	{
		if (find_values(level, occurrence, &tracked.keys[i], conditions, &found))
			key = &tracked.keys[i];
	}

	members = rte->inh ? cx_tracked_members(rte->relid) : list_make1_oid(rte->relid);
	if (tracked.root != rte->relid || tracked.kind == RELKIND_PARTITIONED_TABLE)
	{
		/* part of a partition tree: one tag, the root's */
		if (key == NULL || !members_have_key(members, tracked.root, key) ||
			!add_values(statement, tracked.root, key, &found))
			cx_tags_add(statement, CX_TAG_TABLE, tracked.root, 0, 0);
		return;
	}
	foreach(cell, members)
		add_member(statement, rte->relid, key, lfirst_oid(cell), &found);
}

static void
descend(occurrences *level, Node *node, List *conditions)
{
	ListCell   *cell;

	if (IsA(node, RangeTblRef))
		add_occurrence(level, ((RangeTblRef *) node)->rtindex, conditions);
	else if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		conditions = add_conditions(list_copy(conditions), from->quals);
		foreach(cell, from->fromlist)
			descend(level, (Node *) lfirst(cell), conditions);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		List	   *with_on = add_conditions(list_copy(conditions), join->quals);

		switch (join->jointype)
		{
			case JOIN_INNER:
				descend(level, join->larg, with_on);
				descend(level, join->rarg, with_on);
				break;
			case JOIN_LEFT:
				descend(level, join->larg, conditions);
				descend(level, join->rarg, with_on);
				break;
			case JOIN_RIGHT:
				descend(level, join->larg, with_on);
				descend(level, join->rarg, conditions);
				break;
			default:
				descend(level, join->larg, conditions);
				descend(level, join->rarg, conditions);
				break;
		}
	}
}

/*
 * Called for each query level once it was found eligible.
 */
void
cx_tags_add_query(cx_analysis *analysis, Query *query)
{
	occurrences level = {analysis, query->rtable, NULL};

	descend(&level, (Node *) query->jointree, NIL);

	/* what is in the range table only is not read, or not in a way known here */
	for (int i = 1; i <= list_length(query->rtable); i++)
	{
		if (!bms_is_member(i, level.tagged))
			add_occurrence(&level, i, NIL);
	}
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
 * T of a table makes K of it pointless.
 */
void
cx_tags_finish(cx_statement *statement)
{
	int			kept = 0;

	for (int i = 0; i < statement->tag_count; i++)
	{
		cx_tag	   *tag = &statement->tags[i];

		if (tag->kind != CX_TAG_KEY ||
			!has_table_tag(statement->tags, statement->tag_count, tag->relation))
			statement->tags[kept++] = *tag;
	}
	statement->tag_count = kept;

	kept = 0;
	for (int i = 0; i < statement->pin_count; i++)
	{
		if (!has_table_tag(statement->tags, statement->tag_count, statement->pins[i].relation))
			statement->pins[kept++] = statement->pins[i];
	}
	statement->pin_count = kept;
}

/* The tags of one pin.  False if the value can't be used. */
static bool
resolve_pin(const cx_pin *pin, ParamListInfo params, uint32 *hashes, int *count)
{
	ParamExternData workspace;
	ParamExternData *parameter = cx_key_parameter(params, pin->parameter, pin->parameter_type,
												  &workspace);
	Datum		value;

	if (parameter == NULL || parameter->isnull)
		return false;
	if (pin->is_array)
		return hash_array(&pin->key, pin->value_type, parameter->value, hashes, count);
	*count = 0;
	if (to_key_type(&pin->key, pin->value_type, parameter->value, &value))
		hashes[(*count)++] = cx_tracked_hash_value(&pin->key, value);
	return true;
}

int
cx_statement_tags(const cx_statement *statement, ParamListInfo params, cx_tag **tags)
{
	int			count = statement->tag_count;

	*tags = palloc(sizeof(cx_tag) * (count + statement->pin_count * CX_MAX_KEY_VALUES));
	memcpy(*tags, statement->tags, sizeof(cx_tag) * count);

	for (int i = 0; i < statement->pin_count; i++)
	{
		const cx_pin *pin = &statement->pins[i];
		uint32		hashes[CX_MAX_KEY_VALUES];
		int			hash_count;

		if (resolve_pin(pin, params, hashes, &hash_count))
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
