/*
 * api/row.c
 *		One row of an attached table by its key: from Redis, else from the table.
 *
 * What Redis has is the row as some transaction left it, with the version of that: the end C of its
 * commit record; or the row as a reader found it, with the insert position E of before.  Delivery
 * comes after the commit, so a version says how old a value is, and not that nothing came after it.
 * That is for the clocks to say:
 *
 * 1. A value of version L is exact if no clock that stands for the row has moved past L (rule 6 of the
 *	  protocol in core/clock.c, with L in the place of an entry's E).  A change of the row marks K of
 *	  each key column of the row as it was and as it is, so one such clock that did not move is
 *	  proof enough; without key columns it takes T.  D and G are in every check.
 * 2. Clocks know of changes since they began.  A version from before that, or of another era, proves
 *	  nothing: known_since is an insert position from after the clocks began.
 * 3. A deleted row, a row that others are to ask the table for, and a fence are versions without columns:
 *	  they mean "ask the table".  That there is no row is remembered only by a fill, as a map that says
 *	  so, and only for a short time: an insert's version is newer.
 * 4. A fill keeps rule 4: E, no writer committing, then the snapshot; a transaction that has written
 *	  neither fills nor asks Redis for what it changed (5, 6).  A sweep leaves no versions behind that
 *	  a late fill could be compared with: so who has stored a row looks at the clocks again, and takes
 *	  the row back if they moved.  A sweep that comes later finds it.
 * 5. Redis knows no rights: it is asked only for those who may read all of the table, without policies.
 *	  The others read the table as ever.
 *
 * Trouble with Redis is never the query's error.  Memory: the caller's.  Locks: the table's AccessShare
 * lock, as a SELECT takes it.
 */
#include "postgres.h"

#include "api/attachment.h"
#include "api/row.h"
#include "api/row_arguments.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "base/stop_point.h"
#include "core/clock.h"
#include "core/dirty.h"
#include "core/entity.h"
#include "core/owner.h"
#include "core/prepared.h"
#include "query/tracked.h"
#include "redis/redis.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* How long it is remembered that there is no row. */
#define ABSENT_TTL_MS 30000

PG_FUNCTION_INFO_V1(cache_ext_row);

typedef struct row_request
{
	Relation	relation;
	const cx_attachment *attachment;
	Datum		values[CX_TEMPLATE_MAX_COLUMNS];	/* of the key's columns, by the template's index */
	StringInfoData key;

	/* the clocks: any of the first stands for the row, the others count in any case */
	cx_slot		row_slots[CX_TEMPLATE_MAX_COLUMNS];
	int			row_slot_count;
	cx_slot		definition_slots[2];

	cx_redis_budget budget;
} row_request;

/*
 * Since when do clocks know? (2)
 */

static pg_atomic_uint64 *known_since = NULL;

static Size
rows_size(void)
{
	return sizeof(pg_atomic_uint64);
}

static void
rows_create(void *area)
{
	pg_atomic_init_u64(area, 0);
}

static void
rows_attach(void *area)
{
	known_since = area;
}

static const cx_shmem_area rows_area = {
	"cache_ext rows", rows_size, rows_create, rows_attach
};

void
cx_row_init(void)
{
	cx_shmem_register(&rows_area);
}

static bool
is_known(XLogRecPtr lsn)
{
	uint64		since = pg_atomic_read_u64(known_since);

	if (since == 0)
	{
		/* on failure the value of who was first comes back */
		uint64		now = GetXLogInsertRecPtr();

		if (pg_atomic_compare_exchange_u64(known_since, &since, now))
			since = now;
	}
	return lsn >= since;
}

/*
 * Which attachment
 */

static bool
is_primary_key(const cx_attachment *attachment, Relation relation)
{
	Bitmapset  *columns = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	bool		same = bms_num_members(columns) == attachment->key_count;

	for (int i = 0; i < attachment->key_count && same; i++)
		same = bms_is_member(attachment->keys[i] - FirstLowInvalidHeapAttributeNumber, columns);
	bms_free(columns);
	return same;
}

/* The attachment whose key has that many columns; if there are several, that of the primary key. */
static const cx_attachment *
choose_attachment(Relation relation, int argument_count)
{
	const cx_attachment *chosen = NULL;
	List	   *attachments = cx_attachments_of(relation);
	bool		ambiguous = false;
	ListCell   *lc;

	foreach(lc, attachments)
	{
		const cx_attachment *attachment = lfirst(lc);

		if (attachment->columns != NIL ||
			cx_key_template_column_count(attachment->template) != argument_count)
			continue;
		if (attachment->problem == NULL && is_primary_key(attachment, relation))
		{
			chosen = attachment;
			ambiguous = false;
			break;
		}
		ambiguous = chosen != NULL;
		chosen = attachment;
	}
	if (chosen == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" is not attached with a key of %d columns",
						RelationGetRelationName(relation), argument_count),
				 errhint("Call cache_ext.attach() for it, without the argument \"columns\".")));
	if (ambiguous)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("table \"%s\" is attached with several keys of %d columns",
						RelationGetRelationName(relation), argument_count),
				 errdetail("None of them has the columns of the primary key.")));
	if (chosen->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" have no keys: %s",
						RelationGetRelationName(relation), chosen->problem)));
	return chosen;
}

static Relation
open_table(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument \"rowtype\" is not of the row type of a table"),
				 errhint("Write NULL::tablename.")));
	if (get_rel_relispartition(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition", get_rel_name(relid)),
				 errhint("Use the row type of \"%s\".", get_rel_name(cx_tracked_root(relid)))));
	return table_open(relid, AccessShareLock);
}

/*
 * Clocks
 */

static cx_slot
slot_of(cx_tag_kind kind, Oid relation, AttrNumber column, uint32 value_hash)
{
	cx_tag		tag = {kind, relation, column, value_hash};

	return cx_clock_slot(&tag);
}

/* False if the clocks can't tell, or not to this transaction. */
static bool
list_slots(row_request *request)
{
	const cx_tracked *tracked = cx_tracked_lookup(RelationGetRelid(request->relation));
	cx_tag		tag = {CX_TAG_TABLE};

	if (tracked == NULL || !tracked->tracked)
		return false;
	tag.relation = tracked->root;
	if (cx_dirty_names(&tag))
		return false;

	request->row_slot_count = 0;
	for (int i = 0; i < tracked->key_count; i++)
	{
		const cx_tracked_key *key = &tracked->keys[i];

		for (int j = 0; j < request->attachment->key_count; j++)
			if (request->attachment->keys[j] == key->column &&
				request->attachment->key_types[j] == key->type)
				request->row_slots[request->row_slot_count++] =
					slot_of(CX_TAG_KEY, tracked->root, key->root_column,
							cx_tracked_hash_value(key, request->values[j]));
	}
	if (request->row_slot_count == 0)
		request->row_slots[request->row_slot_count++] = cx_clock_slot(&tag);
	request->definition_slots[0] = slot_of(CX_TAG_DEFINITION, tracked->root, 0, 0);
	request->definition_slots[1] = slot_of(CX_TAG_DATABASE, InvalidOid, 0, 0);
	return true;
}

/* (1) */
static bool
is_exact(const row_request *request, const cx_stamp *stamp)
{
	if (cx_clock_check(stamp, request->definition_slots, lengthof(request->definition_slots)) !=
		CX_CLOCK_VALID)
		return false;
	for (int i = 0; i < request->row_slot_count; i++)
		if (cx_clock_check(stamp, &request->row_slots[i], 1) == CX_CLOCK_VALID)
			return true;
	return false;
}

/* Rule 4. */
static bool
begin_fill(const row_request *request, cx_stamp *stamp)
{
	cx_slot		slots[CX_TEMPLATE_MAX_COLUMNS + lengthof(request->definition_slots)];
	int			count = request->row_slot_count;

	memcpy(slots, request->row_slots, sizeof(cx_slot) * count);
	for (int i = 0; i < lengthof(request->definition_slots); i++)
		slots[count++] = request->definition_slots[i];
	return cx_clock_begin_fill(slots, count, stamp);
}

static bool
has_written(void)
{
	return cx_dirty_any() || TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/*
 * Redis
 */

/* (5) */
static bool
may_read_all(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);

	return check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED &&
		cx_may_use_schema(RelationGetNamespace(relation), GetUserId()) &&
		(pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ALL) == ACLCHECK_OK);
}

/* As in plan/lookup.c. */
static bool
may_use_redis(row_request *request)
{
	if (!cx_enabled || !cx_redis_available() || IsolationUsesXactSnapshot() ||
		RecoveryInProgress() || IsInParallelMode() || HistoricSnapshotActive())
		return false;
	if (cx_owner_get() == CX_OWNER_OTHER || cx_owner_get() == CX_OWNER_UNDECIDED)
		return false;
	if (!request->attachment->complete || request->attachment->codec == NULL ||
		!may_read_all(request->relation))
		return false;
	return list_slots(request);
}

/* The row in a map that is exact, or that there is none; false if the bytes are something else. */
static bool
decode(const row_request *request, const char *data, size_t length, Datum *row, bool *absent)
{
	TupleDesc	desc = RelationGetDescr(request->relation);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	Datum		key_values[CX_TEMPLATE_MAX_COLUMNS];
	StringInfoData key;
	size_t		rest;

	*absent = cx_entity_absent_read(data, length, &rest);
	if (*absent)
		return rest + CX_ENTITY_SUFFIX_SIZE == length;
	if (!cx_entity_codec_read(request->attachment->codec, data, length, values, nulls, &rest) ||
		rest + CX_ENTITY_SUFFIX_SIZE != length)
		return false;

	/* somebody may have copied another key's value here */
	for (int i = 0; i < request->attachment->key_count; i++)
	{
		int			column = request->attachment->keys[i] - 1;

		if (nulls[column])
			return false;
		key_values[i] = values[column];
	}
	initStringInfo(&key);
	if (!cx_attachment_key_of(request->attachment, key_values, &key) ||
		key.len != request->key.len || memcmp(key.data, request->key.data, key.len) != 0)
		return false;
	*row = heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls), desc);
	return true;
}

static bool
look_up(row_request *request, Datum *row, bool *absent)
{
	const char *argv[] = {"GET", request->key.data};
	size_t		lengths[] = {3, request->key.len};
	cx_redis_command command = {2, argv, lengths};
	cx_redis_reply reply;
	cx_stamp	stamp = {.epoch = cx_clock_epoch()};

	return cx_redis_call(&command, 1, &reply, &request->budget) == CX_REDIS_OK &&
		reply.type == CX_REDIS_TEXT &&
		cx_entity_read_lsn(reply.data, reply.length, &stamp.lsn) &&
		is_known(stamp.lsn) && is_exact(request, &stamp) &&
		decode(request, reply.data, reply.length, row, absent);
}

/*
 * Stores the row, or that there is none.  Of a row that equals the key without being written as it is
 * (1 and 1.0) the key is another one.
 */
static void
fill(row_request *request, Datum row, bool absent, const cx_stamp *stamp)
{
	const cx_attachment *attachment = request->attachment;
	int64		ttl_ms = attachment->ttl_ms;
	StringInfoData map;
	cx_entity_verdict verdict;

	initStringInfo(&map);
	if (absent)
	{
		cx_entity_absent_write(&map);
		ttl_ms = Min(ttl_ms, ABSENT_TTL_MS);
	}
	else
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(row);
		HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
		TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(request->relation),
														&TTSOpsHeapTuple);
		StringInfoData key;
		bool		written;

		initStringInfo(&key);
		ExecStoreHeapTuple(&tuple, slot, false);
		written = cx_attachment_key(attachment, slot, &key) && key.len == request->key.len &&
			memcmp(key.data, request->key.data, key.len) == 0 &&
			cx_entity_codec_write(attachment->codec, slot, (size_t) cx_max_entry_size * 1024,
								  &map);
		ExecDropSingleTupleTableSlot(slot);
		if (!written)
			return;
	}
	CX_STOP(CX_STOP_FILL_FRESH);
	/* Redis may have forgotten the version of what came meanwhile */
	if (!is_exact(request, stamp))
		return;
	CX_STOP(CX_STOP_FILL_READY);
	verdict = cx_entity_fill(request->key.data, request->key.len, map.data, map.len, ttl_ms,
							 stamp->lsn, &request->budget);
	if (verdict == CX_ENTITY_STORED && !is_exact(request, stamp))
		cx_entity_take_back(request->key.data, request->key.len, stamp->lsn, &request->budget);
}

/*
 * The table
 */

typedef struct kept_plan
{
	Oid			trigger;		/* hash key */
	char	   *text;
	SPIPlanPtr	plan;
} kept_plan;

static HTAB *plans = NULL;

/* A name for the table that no column has: a column's would come before it. */
static const char *
table_alias(TupleDesc desc)
{
	char	   *alias = "cache_ext_row";

	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), alias) != 0)
			continue;
		alias = psprintf("%s_", alias);
		i = -1;
	}
	return alias;
}

static char *
query_text(const row_request *request)
{
	Relation	relation = request->relation;
	TupleDesc	desc = RelationGetDescr(relation);
	const char *alias = table_alias(desc);
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "SELECT %s FROM %s%s AS %s", alias,
					 relation->rd_rel->relkind == RELKIND_RELATION ? "ONLY " : "",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												RelationGetRelationName(relation)), alias);
	for (int i = 0; i < request->attachment->key_count; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, request->attachment->keys[i] - 1);

		appendStringInfo(&text, " %s %s.%s OPERATOR(pg_catalog.=) $%d", i == 0 ? "WHERE" : "AND",
						 alias, quote_identifier(NameStr(column->attname)), i + 1);
	}
	return text.data;
}

static SPIPlanPtr
find_plan(const row_request *request)
{
	char	   *text = query_text(request);
	Oid			types[CX_TEMPLATE_MAX_COLUMNS];
	kept_plan  *kept;
	SPIPlanPtr	plan;
	bool		found;

	if (plans == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(kept_plan)};

		plans = hash_create("cache_ext plans of rows", 16, &info, HASH_ELEM | HASH_BLOBS);
	}
	kept = hash_search(plans, &request->attachment->trigger, HASH_FIND, NULL);
	if (kept != NULL && strcmp(kept->text, text) == 0)
		return kept->plan;
	if (kept != NULL)
	{
		SPI_freeplan(kept->plan);
		pfree(kept->text);
		hash_search(plans, &request->attachment->trigger, HASH_REMOVE, NULL);
	}

	memcpy(types, request->attachment->key_types, sizeof(types));
	plan = SPI_prepare(text, request->attachment->key_count, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	text = MemoryContextStrdup(TopMemoryContext, text);
	kept = hash_search(plans, &request->attachment->trigger, HASH_ENTER, &found);
	kept->text = text;
	kept->plan = plan;
	return plan;
}

/* False if there is no such row. */
static bool
read_table(row_request *request, Datum *row)
{
	bool		isnull;
	int			status;
	bool		found;

	/* a plan that is kept was parsed for whoever was first */
	if (!cx_may_use_schema(RelationGetNamespace(request->relation), GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA,
					   get_namespace_name(RelationGetNamespace(request->relation)));

	SPI_connect();
	status = SPI_execute_plan(find_plan(request), request->values, NULL, false, 2);
	if (status != SPI_OK_SELECT)
		elog(ERROR, "could not read a row: %s", SPI_result_code_string(status));
	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("more than one row of table \"%s\" has this key",
						RelationGetRelationName(request->relation))));
	found = SPI_processed == 1;
	if (found)
		*row = SPI_datumTransfer(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
											   &isnull), false, -1);
	SPI_finish();
	return found;
}

/* What was looked up of the table may be older than a definition that E covers. */
static bool
is_still_so(row_request *request)
{
	AcceptInvalidationMessages();
	return choose_attachment(request->relation, request->attachment->key_count) ==
		request->attachment && may_use_redis(request);
}

static bool
read_and_fill(row_request *request, Datum *row)
{
	cx_stamp	stamp;
	bool		filling = !has_written() && begin_fill(request, &stamp) && is_still_so(request);
	bool		found = read_table(request, row);

	if (filling && !has_written())
		fill(request, found ? *row : (Datum) 0, !found, &stamp);
	return found;
}

Datum
cache_ext_row(PG_FUNCTION_ARGS)
{
	row_request request = {0};
	cx_row_argument *arguments;
	int			count;
	Datum		row = (Datum) 0;
	bool		absent = false;
	bool		redis;

	cx_shmem_require();
	count = cx_row_arguments_list(fcinfo, &arguments);
	request.relation = open_table(fcinfo);
	request.attachment = choose_attachment(request.relation, count);
	for (int i = 0; i < count && !absent; i++)
		absent = !cx_row_argument_convert(&arguments[i], request.attachment->key_types[i],
										  &request.values[i]);

	if (!absent)
	{
		initStringInfo(&request.key);
		redis = cx_attachment_key_of(request.attachment, request.values, &request.key) &&
			may_use_redis(&request);
		if (redis)
		{
			cx_prepared_settle_start();
			cx_redis_budget_start(&request.budget);
		}
		if (!redis)
			absent = !read_table(&request, &row);
		else if (!look_up(&request, &row, &absent))
			absent = !read_and_fill(&request, &row);
	}
	table_close(request.relation, NoLock);
	if (absent)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(row);
}
