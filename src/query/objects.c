/*
 * query/objects.c
 *		What a result depends on besides relations: functions, types, operators, collations, languages.
 *
 * The query tree, and so the key, has their OIDs; what an OID stands for can change.  Each adds a tag of
 * its own, which ALTER, REPLACE and DROP mark (api/changes.c).  A new object needs no tag: it can't
 * change what a tree means that was made before it, only what a text means, or a name inside an
 * opaque function, which has a tag for all names.
 *
 * Built-in objects have none: only superusers can change them, and that marks G.
 *
 * Changes of temporary objects mark nothing, since nobody but their session can use them: so what
 * uses one is not cached.
 */
#include "postgres.h"

#include "query/analysis.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_language.h"
#include "utils/syscache.h"

static bool
is_temporary(Oid catalog, Oid object)
{
	AttrNumber	column = get_object_attnum_namespace(catalog);
	int			cache = get_object_catcache_oid(catalog);
	HeapTuple	tuple;
	Datum		namespace;
	bool		isnull;

	if (column == InvalidAttrNumber)
		return false;
	tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
	if (!HeapTupleIsValid(tuple))
		return false;			/* dropped: its drop marks the tag */
	namespace = SysCacheGetAttr(cache, tuple, column, &isnull);
	ReleaseSysCache(tuple);
	return isAnyTempNamespace(DatumGetObjectId(namespace));
}

bool
cx_objects_add(cx_analysis *analysis, Oid catalog, Oid object)
{
	ObjectAddress address = {catalog, object, 0};

	if (object < FirstNormalObjectId)
		return true;
	if (is_temporary(catalog, object))
		return cx_analysis_refuse(analysis, "%s is temporary",
								  getObjectDescription(&address, false));
	cx_tags_add(analysis->statement, CX_TAG_OBJECT, object, 0, catalog);
	return true;
}
