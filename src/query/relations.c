/*
 * query/relations.c
 *		May what a relation holds be cached, and what do its definition's changes touch?
 *
 * Every relation adds D of itself or, in a partition tree, of the root; a partition that the query
 * names adds its own D too.  Which rows it depends on is query/tags.c's.
 */
#include "postgres.h"

#include "query/allowed.h"
#include "query/analysis.h"

#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static char *
relation_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name_or_temp(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

/* The lookup's answer lasts only until the next one: copies it. */
bool
cx_relations_copy(Oid relation, cx_tracked *copy)
{
	const cx_tracked *tracked = cx_tracked_lookup(relation);

	if (tracked == NULL)
		return false;
	*copy = *tracked;
	copy->descendants = NIL;
	return true;
}

static void
add_definition(cx_analysis *analysis, Oid relation)
{
	analysis->statement->relations = lappend_oid(analysis->statement->relations, relation);
	cx_tags_add(analysis->statement, CX_TAG_DEFINITION, relation, 0, 0);
}

/* A relation is tracked only while those above it are: a statement on them may change its rows. */
static void
add_ancestors(cx_analysis *analysis, Oid relation)
{
	List	   *ancestors = cx_tracked_ancestors(relation);
	ListCell   *cell;

	foreach(cell, ancestors)
		add_definition(analysis, lfirst_oid(cell));
}

/*
 * Is the relation, or one that is read with it, of a kind whose rows can be cached at all?
 */
static bool
check_kind(cx_analysis *analysis, Oid relation)
{
	/* those of information_schema have OIDs of initdb */
	if (relation < FirstNormalObjectId || IsCatalogRelationOid(relation))
		return cx_analysis_refuse(analysis, "%s is a system catalog or view", relation_name(relation));
	if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		return cx_analysis_refuse(analysis, "%s is temporary", relation_name(relation));

	switch (get_rel_relkind(relation))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_MATVIEW:
		case RELKIND_VIEW:
			return true;
		case RELKIND_FOREIGN_TABLE:
			return cx_analysis_refuse(analysis, "%s is a foreign table", relation_name(relation));
		case RELKIND_SEQUENCE:
			return cx_analysis_refuse(analysis, "%s is a sequence", relation_name(relation));
		default:
			return cx_analysis_refuse(analysis, "%s is not a table", relation_name(relation));
	}
}

static bool
check_tracked(cx_analysis *analysis, Oid relation, const cx_tracked *tracked)
{
	if (tracked->tracked)
		return true;
	if (analysis->untracked_allowed)
	{
		analysis->statement->untracked = true;
		return true;
	}
	return cx_analysis_refuse(analysis, "%s can't be cached: %s",
							  relation_name(relation), tracked->why_not);
}

/*
 * One relation and, with its children, the ones below it.
 */
static bool
add_tree(cx_analysis *analysis, Oid relation, bool with_children)
{
	cx_tracked	tracked;
	List	   *members;
	ListCell   *cell;

	if (!check_kind(analysis, relation))
		return false;
	if (!cx_relations_copy(relation, &tracked))
		return cx_analysis_refuse(analysis, "relation %u does not exist", relation);
	if (!check_tracked(analysis, relation, &tracked))
		return false;

	add_definition(analysis, relation);
	add_ancestors(analysis, relation);
	cx_libraries_add_relation(analysis, relation);
	if (!with_children)
		return true;

	members = cx_tracked_members(relation);
	foreach(cell, members)
	{
		Oid			member = lfirst_oid(cell);

		/* other sessions' temporary children are not read by anybody else */
		if (member == relation || isOtherTempNamespace(get_rel_namespace(member)))
			continue;
		if (!check_kind(analysis, member) || !cx_relations_copy(member, &tracked) ||
			!check_tracked(analysis, member, &tracked))
			return false;
		cx_libraries_add_relation(analysis, member);
		analysis->statement->relations = lappend_oid(analysis->statement->relations, member);
		if (tracked.root == member)
		{
			add_definition(analysis, member);
			add_ancestors(analysis, member);
		}
	}
	return true;
}

bool
cx_relations_add(cx_analysis *analysis, const RangeTblEntry *rte)
{
	if (OidIsValid(analysis->immutable) &&
		!cx_functions_check_immutable(analysis, relation_name(rte->relid)))
		return false;

	/*
	 * A view is here for its definition and its privileges only; PostgreSQL 15 keeps it as a
	 * relation without rows, 16 in the entry of the subquery it became.
	 */
	if (rte->relkind == RELKIND_VIEW)
	{
		if (!check_kind(analysis, rte->relid))
			return false;
		add_definition(analysis, rte->relid);
		return true;
	}
	return add_tree(analysis, rte->relid, rte->inh);
}

void
cx_relations_add_any_row(cx_analysis *analysis, Oid relation)
{
	List	   *members = cx_tracked_members(relation);
	ListCell   *cell;

	foreach(cell, members)
	{
		cx_tracked	tracked;

		if (cx_relations_copy(lfirst_oid(cell), &tracked))
			cx_tags_add(analysis->statement, CX_TAG_TABLE, tracked.root, 0, 0);
	}
}

Oid
cx_relations_with_policies(Oid relation)
{
	List	   *members = cx_tracked_members(relation);
	ListCell   *cell;

	foreach(cell, members)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
		bool		row_security;

		if (!HeapTupleIsValid(tuple))
			continue;
		row_security = ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;
		ReleaseSysCache(tuple);
		if (row_security)
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/*
 * A relation that an allowed function reads, we don't see how: all of it.
 */
bool
cx_relations_add_read(cx_analysis *analysis, Oid function, Oid relation)
{
	Oid			with_policies;

	if (get_rel_name(relation) == NULL)
		return cx_analysis_refuse(analysis, "function %s reads a table that does not exist any more",
								  format_procedure(function));
	if (get_rel_relkind(relation) == RELKIND_VIEW)
		return cx_analysis_refuse(analysis,
								  "function %s reads view %s: allow it to read the view's tables",
								  format_procedure(function), relation_name(relation));
	if (!add_tree(analysis, relation, true))
		return false;

	/* whoever sees the policies' conditions can put what they read into the key; here nobody does */
	with_policies = cx_relations_with_policies(relation);
	if (OidIsValid(with_policies))
		return cx_analysis_refuse(analysis, "function %s reads %s, which has row-level security",
								  format_procedure(function), relation_name(with_policies));
	cx_relations_add_any_row(analysis, relation);
	return true;
}

/*
 * The type cache locks a composite type's relation to read its columns.  The plain statement may have no
 * use for them, so the analysis must not wait for an ALTER TYPE that it would never meet.
 */
TupleDesc
cx_relations_row_type(cx_analysis *analysis, Oid type)
{
	Oid			relation = get_typ_typrelid(type);
	TupleDesc	desc;

	if (!ConditionalLockRelationOid(relation, AccessShareLock))
	{
		cx_analysis_refuse(analysis, "type %s is being altered", format_type_be(type));
		return NULL;
	}
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	UnlockRelationOid(relation, AccessShareLock);
	return desc;
}

/*
 * A value of a table's row type follows the table's definition: ADD COLUMN makes it longer.  So do
 * values of the types made from it.  Other types of users have tags of their own: an enum's labels, a
 * domain's constraints, a composite's attributes change.
 */
bool
cx_relations_add_row_types(cx_analysis *analysis, Oid type)
{
	Oid			element;

	check_stack_depth();

	/* no built-in type is made from a user's table */
	if (type < FirstNormalObjectId || list_member_oid(analysis->row_types, type))
		return true;
	analysis->row_types = lappend_oid(analysis->row_types, type);

	element = get_element_type(type);
	if (OidIsValid(element))
		return cx_relations_add_row_types(analysis, element);

	if (get_rel_relkind(get_typ_typrelid(type)) == RELKIND_COMPOSITE_TYPE ||
		get_typtype(type) != TYPTYPE_COMPOSITE)
	{
		if (!cx_objects_add(analysis, TypeRelationId, type))
			return false;
	}

	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return cx_relations_add_row_types(analysis, getBaseType(type));

		case TYPTYPE_RANGE:
			return cx_relations_add_row_types(analysis, get_range_subtype(type));

		case TYPTYPE_MULTIRANGE:
			return cx_relations_add_row_types(analysis, get_multirange_range(type));

		case TYPTYPE_COMPOSITE:
			{
				Oid			relation = get_typ_typrelid(type);
				TupleDesc	desc = cx_relations_row_type(analysis, type);
				cx_tracked	tracked;

				if (desc == NULL)
					return false;
				if (get_rel_relkind(relation) != RELKIND_COMPOSITE_TYPE)
				{
					if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
						return cx_analysis_refuse(analysis, "%s is temporary",
												  relation_name(relation));
					add_definition(analysis, relation);
					if (cx_relations_copy(relation, &tracked) && tracked.root != relation)
						add_definition(analysis, tracked.root);
				}
				for (int i = 0; i < desc->natts; i++)
				{
					if (!TupleDescAttr(desc, i)->attisdropped &&
						!cx_relations_add_row_types(analysis, TupleDescAttr(desc, i)->atttypid))
						return false;
				}
				return true;
			}

		default:
			return true;
	}
}
