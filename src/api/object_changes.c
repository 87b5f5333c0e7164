/*
 * api/object_changes.c
 *		What DDL changes besides relations: functions, types, operators, roles, databases.
 *
 * Invariants:
 * 1. What changes an object marks O of it, and D of no relation: the names that opaque functions look
 *    up, and what they may do with what they find.  A new object needs the latter only: no query tree
 *    has its OID.  src/README.md has the table of all classes, with why.
 * 2. What belongs to the whole server: a role whose name or rights change marks R of it and of any
 *    role; a new database marks its own G.
 * 3. G stands for what is left: built-in objects, which only superusers can change, functions that index
 *    access methods or types call, and classes of objects that nobody has thought of.
 * 4. What is temporary marks nothing: only its own session can use it, and nothing that does is cached
 *    (query/objects.c).
 * 5. Values of a type that changes may be in any row of a table with such a column: all keys of its
 *	  attachments go.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "api/object_changes.h"
#include "core/dirty.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_database.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_config_map.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* A copy of a catalog row by its OID, or NULL. */
HeapTuple
cx_object_changes_row(Oid catalog, Oid index, Oid object)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	/* "oid" is the first column of every catalog that has one */
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(relation, index, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return tuple;
}

/*
 * Objects that are no relations
 */

/* Marks what opaque functions may find or use. */
static void
mark_names(void)
{
	cx_dirty_mark_definition(InvalidOid);
}

static void
mark_object(Oid catalog, Oid object)
{
	if (object < FirstNormalObjectId)
		cx_dirty_mark_database();	/* readers have no tag for what is built in */
	else
		cx_dirty_mark_object(catalog, object);
	mark_names();
}

/* A type that something else is about.  What is built in has no tag. */
static void
mark_user_type(Oid type)
{
	if (type >= FirstNormalObjectId)
		cx_dirty_mark_object(TypeRelationId, type);
}

static bool
is_temporary_schema(Oid namespace)
{
	return isTempNamespace(namespace) || isAnyTempNamespace(namespace);
}

/* An object of a catalog with schemas: is it in a temporary one?  *found: is it there at all? */
static bool
is_temporary(Oid catalog, Oid object, bool *found)
{
	HeapTuple	tuple = cx_object_changes_row(catalog, get_object_oid_index(catalog), object);
	bool		temporary = false;

	*found = HeapTupleIsValid(tuple);
	if (*found)
	{
		Relation	relation = table_open(catalog, AccessShareLock);
		bool		isnull;
		Datum		namespace = heap_getattr(tuple, get_object_attnum_namespace(catalog),
											 RelationGetDescr(relation), &isnull);

		temporary = is_temporary_schema(DatumGetObjectId(namespace));
		table_close(relation, AccessShareLock);
		heap_freetuple(tuple);
	}
	return temporary;
}

static void
object_in_schema_changed(Oid catalog, Oid object)
{
	bool		found;

	if (is_temporary(catalog, object, &found))
		return;
	if (found)
		mark_object(catalog, object);
	else
		cx_dirty_mark_database();
}

/* Those of which readers have one tag for all. */
static void
group_changed(ObjectAccessType access, Oid catalog, Oid object, Oid group)
{
	bool		found;

	if (is_temporary(catalog, object, &found))
		return;
	if (object < FirstNormalObjectId || !found)
		cx_dirty_mark_database();
	else if (access != OAT_POST_CREATE || catalog == ConversionRelationId)
		cx_dirty_mark_object(group, InvalidOid);
	mark_names();
}

/*
 * Is the function called where no query tree shows it: by an index access method, a type, a language?
 * Only superusers, and the extensions that they trust, make such things.
 */
static bool
is_called_unseen(Oid function)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		unseen = false;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(function));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, SnapshotSelf, 2, keys);
	while (!unseen && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		switch (form->classid)
		{
			case TypeRelationId:
				/* a domain depends on what its default calls, a range on the difference that GiST asks for */
				unseen = get_typtype(form->objid) == TYPTYPE_BASE ||
					(get_typtype(form->objid) == TYPTYPE_RANGE &&
					 get_func_rettype(function) == form->objid);
				break;
			case ProcedureRelationId:
			case OperatorRelationId:
			case CastRelationId:
			case RelationRelationId:
			case RewriteRelationId:
			case TriggerRelationId:
			case ConstraintRelationId:
			case PolicyRelationId:
			case AttrDefaultRelationId:
			case StatisticExtRelationId:
			case PublicationRelRelationId:
			case EventTriggerRelationId:
				break;			/* in the tree, or of no query */
			default:
				unseen = true;
				break;
		}
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return unseen;
}

static void
function_changed(ObjectAccessType access, Oid function)
{
	object_in_schema_changed(ProcedureRelationId, function);

	/* what calls a function that is dropped is dropped too */
	if (access != OAT_DROP && is_called_unseen(function))
		cx_dirty_mark_database();
}

/*
 * A relation's row type changes with it, and arrays are what their elements are.  A composite type
 * of its own comes as a relation.
 */
static void
type_changed(ObjectAccessType access, Oid type)
{
	HeapTuple	tuple = cx_object_changes_row(TypeRelationId, TypeOidIndexId, type);

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_type form = (Form_pg_type) GETSTRUCT(tuple);
		bool		counts = form->typtype != TYPTYPE_COMPOSITE && !IsTrueArrayType(form) &&
			!is_temporary_schema(form->typnamespace);

		heap_freetuple(tuple);
		if (!counts)
			return;
		mark_object(TypeRelationId, type);
	}
	else
		cx_dirty_mark_database();
	if (access == OAT_POST_ALTER)
		cx_attachment_sweep_type(type);
}

void
cx_object_changes_composite(ObjectAccessType access, Oid type, Oid namespace)
{
	if (is_temporary_schema(namespace))
		return;
	mark_object(TypeRelationId, type);
	if (access == OAT_POST_ALTER)
		cx_attachment_sweep_type(type);
}

/* Casts to JSON are looked for by the type's OID when a value is rendered. */
static void
cast_changed(Oid cast)
{
	HeapTuple	tuple = cx_object_changes_row(CastRelationId, CastOidIndexId, cast);
	Form_pg_cast form;

	if (!HeapTupleIsValid(tuple))
	{
		cx_dirty_mark_database();
		return;
	}
	form = (Form_pg_cast) GETSTRUCT(tuple);
	mark_user_type(form->castsource);
	mark_user_type(form->casttarget);
	mark_names();
	heap_freetuple(tuple);
}

/*
 * Classes of operators say how values of a type are compared, also where no query tree does (in arrays,
 * rows, ranges); those of other access methods only which index may be used.
 */
static void
comparison_changed(Oid method, Oid left, Oid right)
{
	mark_names();
	if (method != BTREE_AM_OID && method != HASH_AM_OID)
		return;
	mark_user_type(left);
	mark_user_type(right);
	if (left < FirstNormalObjectId && right < FirstNormalObjectId)
		cx_dirty_mark_database();
}

static void
operator_class_changed(Oid catalog, Oid object)
{
	HeapTuple	tuple = cx_object_changes_row(catalog, get_object_oid_index(catalog), object);

	if (!HeapTupleIsValid(tuple))
	{
		cx_dirty_mark_database();
		return;
	}
	if (catalog == OperatorClassRelationId)
	{
		Form_pg_opclass form = (Form_pg_opclass) GETSTRUCT(tuple);

		comparison_changed(form->opcmethod, form->opcintype, form->opcintype);
	}
	else if (catalog == AccessMethodOperatorRelationId)
	{
		Form_pg_amop form = (Form_pg_amop) GETSTRUCT(tuple);

		comparison_changed(form->amopmethod, form->amoplefttype, form->amoprighttype);
	}
	else
	{
		Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(tuple);
		HeapTuple	family = cx_object_changes_row(OperatorFamilyRelationId, OpfamilyOidIndexId,
										 form->amprocfamily);

		comparison_changed(HeapTupleIsValid(family) ?
						   ((Form_pg_opfamily) GETSTRUCT(family))->opfmethod : BTREE_AM_OID,
						   form->amproclefttype, form->amprocrighttype);
	}
	heap_freetuple(tuple);
}

/* An empty schema hides nothing; what is created in it comes by itself. */
static void
namespace_changed(ObjectAccessType access, Oid namespace)
{
	if (access != OAT_POST_CREATE && !is_temporary_schema(namespace))
		mark_names();
}

/*
 * The whole server's
 */

/* Does a role's new row differ in what a result may depend on? */
static bool
same_role(Form_pg_authid one, Form_pg_authid other)
{
	return strcmp(NameStr(one->rolname), NameStr(other->rolname)) == 0 &&
		one->rolsuper == other->rolsuper && one->rolinherit == other->rolinherit &&
		one->rolcreaterole == other->rolcreaterole && one->rolcreatedb == other->rolcreatedb &&
		one->rolcanlogin == other->rolcanlogin && one->rolreplication == other->rolreplication &&
		one->rolbypassrls == other->rolbypassrls;
}

/*
 * The caches have the row from before the command, which is not over.  Should they show the new one
 * already, the row is taken for changed.
 */
static bool
role_differs(Oid role)
{
	HeapTuple	new = cx_object_changes_row(AuthIdRelationId, AuthIdOidIndexId, role);
	HeapTuple	old = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		same = HeapTupleIsValid(new) && HeapTupleIsValid(old) &&
		!ItemPointerEquals(&new->t_self, &old->t_self) &&
		same_role((Form_pg_authid) GETSTRUCT(old), (Form_pg_authid) GETSTRUCT(new));

	if (HeapTupleIsValid(old))
		ReleaseSysCache(old);
	if (HeapTupleIsValid(new))
		heap_freetuple(new);
	return !same;
}

static void
role_changed(ObjectAccessType access, Oid role)
{
	if (access == OAT_POST_CREATE)
		return;					/* it owns nothing and is a member of nothing that counts */
	if (access == OAT_POST_ALTER && !role_differs(role))
		return;					/* password, its end, connections */
	cx_dirty_mark_role(role);
	cx_dirty_mark_role(InvalidOid);
}

/*
 * Keys and tags have the database's OID, which may be that of one that was dropped.  An owner is a member
 * of pg_database_owner, and the name of a database is what current_database() says in a function.
 */
static void
database_changed(ObjectAccessType access, Oid database)
{
	HeapTuple	new;
	HeapTuple	old;
	bool		same;

	if (access == OAT_POST_CREATE)
		cx_dirty_mark_new_database(database);
	if (access != OAT_POST_ALTER)
		return;
	new = cx_object_changes_row(DatabaseRelationId, DatabaseOidIndexId, database);
	old = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	same = HeapTupleIsValid(new) && HeapTupleIsValid(old) &&
		!ItemPointerEquals(&new->t_self, &old->t_self) &&
		((Form_pg_database) GETSTRUCT(new))->datdba == ((Form_pg_database) GETSTRUCT(old))->datdba &&
		strcmp(NameStr(((Form_pg_database) GETSTRUCT(new))->datname),
			   NameStr(((Form_pg_database) GETSTRUCT(old))->datname)) == 0;
	if (HeapTupleIsValid(old))
		ReleaseSysCache(old);
	if (HeapTupleIsValid(new))
		heap_freetuple(new);
	if (!same)
		cx_dirty_mark_role(InvalidOid);
}

void
cx_object_changes(ObjectAccessType access, Oid class, Oid object)
{
	switch (class)
	{
		case TypeRelationId:
			type_changed(access, object);
			break;
		case ProcedureRelationId:
			function_changed(access, object);
			break;
		case OperatorRelationId:
		case CollationRelationId:
			object_in_schema_changed(class, object);
			break;
		case LanguageRelationId:
			mark_object(class, object);
			break;
		case CastRelationId:
			cast_changed(object);
			break;
		case OperatorClassRelationId:
		case AccessMethodOperatorRelationId:
		case AccessMethodProcedureRelationId:
			operator_class_changed(class, object);
			break;
		case ConversionRelationId:
			group_changed(access, class, object, ConversionRelationId);
			break;
		case TSConfigRelationId:
		case TSDictionaryRelationId:
		case TSParserRelationId:
		case TSTemplateRelationId:
			group_changed(access, class, object, TSConfigRelationId);
			break;
		case TSConfigMapRelationId:
			group_changed(access, TSConfigRelationId, object, TSConfigRelationId);
			break;
		case NamespaceRelationId:
			namespace_changed(access, object);
			break;
		case AuthIdRelationId:
			role_changed(access, object);
			break;
		case AuthMemRelationId:
			cx_dirty_mark_role(InvalidOid);
			break;
		case DatabaseRelationId:
			database_changed(access, object);
			break;

			/* what they hold comes by itself; a transform is of opaque functions */
		case ExtensionRelationId:
		case OperatorFamilyRelationId:
		case TransformRelationId:
			mark_names();
			break;
		default:
			cx_dirty_mark_database();
			break;
	}
}
