/*
 * api/attach.c
 *		Creating and dropping the triggers of attached tables.
 *
 * An attachment is one trigger, cache_ext_entity_ and a hash of its template, on the table, or on the
 * root of a partition tree, from which PostgreSQL clones it.  It belongs to the table: pg_dump carries
 * it.  TRUNCATE comes through the object access hook, and where there is none (an apply worker)
 * through track's statement trigger.
 *
 * Invariants:
 * 1. An attached table is tracked, with the columns of its keys as key columns as far as there may be
 *	  any: row() needs the clocks.
 * 2. No two attachments of a database can give the same key.  Who attaches holds a lock, of which
 *	  there is one a database, until the end of the transaction.
 * 3. What Redis has under the keys of an attachment goes when it is made, changed or dropped: creating
 *	  and dropping a trigger comes through the object access hook (api/definitions.c), which sweeps.
 */
#include "postgres.h"

#include "api/application.h"
#include "api/arguments.h"
#include "api/attach.h"
#include "api/attachment.h"
#include "api/track.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "query/tracked.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

/* Where none is asked for: keys that nobody keeps right any more must not stay for ever. */
#define DEFAULT_TTL_MS (INT64CONST(24) * 3600 * 1000)

PG_FUNCTION_INFO_V1(cache_ext_attach);
PG_FUNCTION_INFO_V1(cache_ext_detach);
PG_FUNCTION_INFO_V1(cache_ext_attached);

static char *
trigger_name(const char *key)
{
	return psprintf("cache_ext_entity_%08x",
					hash_bytes((const unsigned char *) key, (int) strlen(key)));
}

/*
 * Checks
 */

static Oid
relation_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "relation")));
	return PG_GETARG_OID(0);
}

static void
require_attachable(Oid relation)
{
	char	   *name;
	char		kind;

	cx_track_require_owner(relation);
	name = get_rel_name(relation);
	kind = get_rel_relkind(relation);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", name)));
	if (IsCatalogRelationOid(relation) || get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a system catalog or a temporary table", name),
				 errdetail("Their rows have no keys in Redis.")));
	if (get_rel_relispartition(relation))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition", name),
				 errhint("Use \"%s\": the rows of its partitions have keys with it.",
						 get_rel_name(cx_tracked_root(relation)))));
	if (kind == RELKIND_RELATION && (has_superclass(relation) || has_subclass(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is part of an inheritance hierarchy", name),
				 errdetail("No unique index covers such tables.")));
}

typedef struct overlap_search
{
	Oid			relation;
	const char *key;
	cx_key_template *template;
} overlap_search;

static bool
must_not_overlap(Oid relation, const char *key, void *arg)
{
	const overlap_search *search = arg;
	const char *problem;
	cx_key_template *other = cx_key_template_parse(key, &problem);

	if (other == NULL || !cx_key_template_overlap(search->template, other))
		return true;
	if (relation == search->relation && strcmp(key, search->key) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is already attached with the key \"%s\"",
						get_rel_name(relation), key),
				 errhint("Call cache_ext.detach() first.")));
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("two attachments could have the same keys"),
			 errdetail("Table \"%s\" is attached with the key \"%s\".", get_rel_name(relation), key),
			 errhint("Let the keys begin with different words.")));
}

/*
 * Attaching
 */

static const char *
chosen(FunctionCallInfo fcinfo, int number, const char *name, const char *one, const char *other)
{
	char	   *value = cx_arg_text(fcinfo, number, name);

	if (strcmp(value, one) != 0 && strcmp(value, other) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", name, value),
				 errhint("Use \"%s\" or \"%s\".", one, other)));
	return value;
}

static List *
column_names(ArrayType *array)
{
	List	   *names = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(array, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &values, &nulls, &count);
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"columns\" must not be empty"),
				 errhint("NULL stands for all columns.")));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a column name must not be null")));
		names = lappend(names, makeString(pstrdup(NameStr(*DatumGetName(values[i])))));
	}
	return names;
}

/* The trigger's arguments, as String nodes. */
static List *
definition_arguments(FunctionCallInfo fcinfo)
{
	int64		ttl_ms = DEFAULT_TTL_MS;
	List	   *arguments;

	arguments = list_make1(makeString(cx_arg_text(fcinfo, 1, "key")));
	arguments = lappend(arguments, makeString((char *) chosen(fcinfo, 2, "mode", "write_through",
															  "invalidate")));
	arguments = lappend(arguments, makeString((char *) chosen(fcinfo, 5, "on_redis_down", "proceed",
															  "abort")));
	if (!PG_ARGISNULL(4))
		ttl_ms = cx_application_ttl_ms(PG_GETARG_INTERVAL_P(4), "ttl");
	arguments = lappend(arguments, makeString(psprintf(INT64_FORMAT, ttl_ms)));
	if (!PG_ARGISNULL(3))
		arguments = list_concat(arguments, column_names(PG_GETARG_ARRAYTYPE_P(3)));
	return arguments;
}

/* Raises an error unless an attachment with these arguments can be served. */
static cx_attachment *
check_definition(Oid relid, List *arguments)
{
	int			count = list_length(arguments);
	char	  **texts = palloc(sizeof(char *) * count);
	Relation	relation = table_open(relid, NoLock);
	cx_attachment *attachment;
	const char *problem;

	for (int i = 0; i < count; i++)
		texts[i] = strVal(list_nth(arguments, i));
	attachment = cx_attachment_define(relation, count, texts, &problem);
	if (attachment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid key \"%s\": %s", texts[0], problem),
				 errhint("A key is text with columns in braces and colons between them, such as \"tenant:{tenant_id}:user:{id}\".")));
	if (attachment->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table \"%s\" cannot be attached with the key \"%s\": %s",
						RelationGetRelationName(relation), texts[0], attachment->problem),
				 attachment->ambiguous ?
				 errhint("The columns of a primary key, or of a unique index that is neither partial nor deferrable and whose columns are NOT NULL, must be in the key.") :
				 attachment->unmappable ?
				 errhint("Name the other columns in the argument \"columns\", or use the mode \"invalidate\".") : 0));
	table_close(relation, NoLock);
	return attachment;
}

Datum
cache_ext_attach(PG_FUNCTION_ARGS)
{
	Oid			relation;
	List	   *arguments;
	List	   *columns = NIL;
	cx_attachment *attachment;
	overlap_search search;

	cx_shmem_require();
	relation = relation_argument(fcinfo);
	arguments = definition_arguments(fcinfo);

	require_attachable(relation);
	LockRelationOid(relation, ShareRowExclusiveLock);
	require_attachable(relation);
	attachment = check_definition(relation, arguments);

	LockDatabaseObject(ProcedureRelationId, cx_tracked_entity_function(), 0,
					   ShareUpdateExclusiveLock);
	search.relation = relation;
	search.key = attachment->key;
	search.template = attachment->template;
	cx_attachment_each(must_not_overlap, &search);

	for (int i = 0; i < attachment->key_count; i++)
		columns = lappend(columns,
						  makeString((char *) cx_key_template_column(attachment->template, i)));
	cx_track_also(relation, columns);
	cx_track_create_trigger(relation, trigger_name(attachment->key), TRIGGER_TYPE_AFTER,
							TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE, true,
							cx_tracked_entity_function(), arguments);
	PG_RETURN_VOID();
}

/*
 * Detaching
 */

static bool
is_ours(const Trigger *trigger)
{
	return trigger->tgfoid == cx_tracked_entity_function() && !trigger->tgisclone;
}

/* Our triggers on a locked relation, those of one key or all. */
static List *
own_triggers(Oid relid, const char *key)
{
	Relation	relation = table_open(relid, NoLock);
	List	   *triggers = NIL;

	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (is_ours(trigger) &&
			(key == NULL || (trigger->tgnargs > 0 && strcmp(trigger->tgargs[0], key) == 0)))
			triggers = lappend_oid(triggers, trigger->tgoid);
	}
	table_close(relation, NoLock);
	return triggers;
}

static void
drop_triggers(List *triggers)
{
	ListCell   *lc;

	foreach(lc, triggers)
	{
		ObjectAddress address;

		ObjectAddressSet(address, TriggerRelationId, lfirst_oid(lc));
		performDeletion(&address, DROP_RESTRICT, 0);
		CommandCounterIncrement();
	}
}

Datum
cache_ext_detach(PG_FUNCTION_ARGS)
{
	Oid			relation;
	char	   *key = NULL;
	List	   *triggers;

	cx_shmem_require();
	relation = relation_argument(fcinfo);
	if (!PG_ARGISNULL(1))
		key = text_to_cstring(PG_GETARG_TEXT_PP(1));

	require_attachable(relation);
	LockRelationOid(relation, AccessExclusiveLock);
	require_attachable(relation);
	triggers = own_triggers(relation, key);
	if (key != NULL && triggers == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" is not attached with the key \"%s\"",
						get_rel_name(relation), key)));
	drop_triggers(triggers);
	PG_RETURN_INT64(list_length(triggers));
}

void
cx_attach_make_way(Oid relid, Oid parent)
{
	Relation	relation;
	List	   *in_the_way = NIL;

	char		kind = get_rel_relkind(relid);

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) ||
		get_rel_relispartition(relid) || !cx_owns_relation(relid, GetUserId()))
		return;
	relation = table_open(relid, AccessExclusiveLock);
	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (is_ours(trigger) && OidIsValid(get_trigger_oid(parent, trigger->tgname, true)))
			in_the_way = lappend_oid(in_the_way, trigger->tgoid);
	}
	table_close(relation, NoLock);
	drop_triggers(in_the_way);
}

/*
 * What the view attached shows of one relation.
 */

static Datum
column_array(List *columns)
{
	Datum	   *names = palloc(sizeof(Datum) * list_length(columns));
	ListCell   *lc;
	int			count = 0;

	foreach(lc, columns)
	{
		Name		name = palloc0(NAMEDATALEN);

		namestrcpy(name, lfirst(lc));
		names[count++] = NameGetDatum(name);
	}
	return PointerGetDatum(construct_array(names, count, NAMEOID, NAMEDATALEN, false,
										   TYPALIGN_CHAR));
}

static void
show(Relation relation, const Trigger *trigger, ReturnSetInfo *result)
{
	const cx_attachment *attachment = cx_attachment_get(relation, trigger);
	const char *problem = attachment->problem;
	Datum		values[7];
	bool		nulls[7] = {false};

	if (!attachment->complete)
		problem = "its trigger is not as attach() created it: detach and attach it again";
	values[0] = CStringGetTextDatum(attachment->key);
	values[1] = CStringGetTextDatum(attachment->write_through ? "write_through" : "invalidate");
	nulls[2] = attachment->columns == NIL;
	values[2] = nulls[2] ? (Datum) 0 : column_array(attachment->columns);
	values[3] = IntervalPGetDatum(cx_application_interval(attachment->ttl_ms));
	values[4] = CStringGetTextDatum(attachment->abort ? "abort" : "proceed");
	values[5] = CStringGetTextDatum(attachment->target.pattern);
	nulls[6] = problem == NULL;
	values[6] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
cache_ext_attached(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	relation;

	cx_shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	relation = try_table_open(PG_GETARG_OID(0), AccessShareLock);
	if (relation == NULL)
		PG_RETURN_VOID();
	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
		if (is_ours(&relation->trigdesc->triggers[i]))
			show(relation, &relation->trigdesc->triggers[i], result);
	table_close(relation, AccessShareLock);
	PG_RETURN_VOID();
}
