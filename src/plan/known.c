/*
 * plan/known.c
 *		Statements that this session has planned before, by what they are.
 *
 * Planning a join of several tables costs more than serving its result.  Where the same query tree
 * comes again, what its analysis found and what PostgreSQL would want to know of its plan (columns,
 * cost, dependencies) is remembered, and a plan with nothing below the cache scan will do.
 *
 * Invariants:
 *
 *	1. A query is found by a complete description of its tree (query/fingerprint.h) and by the user,
 *	   compared byte for byte.
 *	2. What is remembered is dropped when a message concerned a relation, function or type that the
 *	   query or its plan depends on; for a query that may not be cached, with any message at all.  So is
 *	   what was found out by looking into functions under another search_path.  An analysis that a fill
 *	   would use is dropped when the clock of any definition has moved.
 *
 * Memory: each in a context of its own below TopMemoryContext, at most MAX_KNOWN of at most
 * MAX_LENGTH bytes; the least recently used one goes first.  Locks: none.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/crc.h"
#include "plan/generation.h"
#include "plan/known.h"
#include "query/fingerprint.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

#define MAX_KNOWN 1000
#define MAX_LENGTH (64 * 1024)

typedef struct known_name
{
	const char *description;
	uint32		length;
	uint32		hash;
} known_name;

struct cx_known
{
	dlist_node	node;			/* in recent, most recently used first */
	MemoryContext context;
	known_name	name;

	cx_statement *statement;	/* NULL: may not be cached */
	uint64		generation;
	cx_stamp	planned;		/* when it was analysed */
	cx_account	account;

	/* of the plan */
	List	   *columns;
	Cost		startup_cost;
	Cost		total_cost;
	double		rows;
	int			width;
	bool		depends_on_role;
	List	   *relations;
	List	   *inval_items;
};

typedef struct known_element
{
	known_name	name;
	cx_known   *known;
	char		status;
} known_element;

#define SH_PREFIX table
#define SH_ELEMENT_TYPE known_element
#define SH_KEY_TYPE known_name
#define SH_KEY name
#define SH_HASH_KEY(tb, key) ((key).hash)
#define SH_EQUAL(tb, a, b) \
	((a).length == (b).length && memcmp((a).description, (b).description, (a).length) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, element) ((element)->name.hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static table_hash *table = NULL;
static dlist_head recent = DLIST_STATIC_INIT(recent);

static void
forget(cx_known *known)
{
	table_delete(table, known->name);
	dlist_delete(&known->node);
	MemoryContextDelete(known->context);
}

static bool
is_outdated(const cx_known *known)
{
	if (known->statement == NULL)
		return cx_generation_now() != known->generation;
	if (cx_statement_reads_bodies(known->statement) &&
		(cx_generation_names_moved(known->generation) ||
		 !cx_statement_is_current(known->statement)))
		return true;
	return 		cx_generation_moved(known->generation, known->relations, NIL, known->inval_items) ||
		cx_generation_moved(known->generation, cx_statement_relations(known->statement),
							cx_statement_functions(known->statement), NIL);
}

static known_name
name_of(const StringInfoData *description)
{
	known_name	name = {
		description->data, description->len,
		cx_crc32c(description->data, description->len)
	};

	return name;
}

cx_known *
cx_known_find(const Query *query, StringInfo description)
{
	known_element *element;
	Oid			user = GetUserId();

	/* in the bodies of functions the same tree may mean something else to another user */
	initStringInfo(description);
	cx_fingerprint_write(query, description);
	appendBinaryStringInfo(description, (char *) &user, sizeof(user));
	if (table == NULL)
		return NULL;
	element = table_lookup(table, name_of(description));
	if (element == NULL)
		return NULL;
	if (is_outdated(element->known))
	{
		forget(element->known);
		return NULL;
	}
	dlist_move_head(&recent, &element->known->node);
	return element->known;
}

static void
note_costs(cx_known *known, const PlannedStmt *plan)
{
	known->startup_cost = plan->planTree->startup_cost;
	known->total_cost = plan->planTree->total_cost;
	known->rows = plan->planTree->plan_rows;
	known->width = plan->planTree->plan_width;
}

void
cx_known_remember(const StringInfoData *description, const cx_statement *statement,
				  const cx_wrap_options *options, const PlannedStmt *plan)
{
	MemoryContext context;
	MemoryContext old;
	cx_known   *known;
	known_element *element;
	bool		found;

	if (description->len > MAX_LENGTH)
		return;
	if (table == NULL)
		table = table_create(TopMemoryContext, 64, NULL);
	else if (table->members >= MAX_KNOWN)
		forget(dlist_container(cx_known, node, dlist_tail_node(&recent)));

	/* a child of the caller's until it is complete, should memory run out */
	context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext known statement",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	known = palloc0(sizeof(cx_known));
	known->context = context;
	known->name = name_of(description);
	known->name.description = memcpy(palloc(description->len), description->data,
									 description->len);
	known->statement = copyObject(unconstify(cx_statement *, statement));
	known->generation = options->generation;
	known->planned = options->planned;
	known->account = options->account;
	known->columns = cx_wrap_columns(plan);
	note_costs(known, plan);
	known->depends_on_role = plan->dependsOnRole;
	known->relations = list_copy(plan->relationOids);
	known->inval_items = copyObject(plan->invalItems);
	MemoryContextSwitchTo(old);

	element = table_insert(table, known->name, &found);
	if (found)
	{
		/* a statement inside the planning of this one was the same */
		MemoryContextDelete(context);
		return;
	}
	element->known = known;
	dlist_push_head(&recent, &known->node);
	MemoryContextSetParent(context, TopMemoryContext);
}

void
cx_known_planned_again(const StringInfoData *description, const PlannedStmt *plan)
{
	known_element *element = table_lookup(table, name_of(description));

	if (element != NULL)
		note_costs(element->known, plan);
}

static bool
definitions_moved(const cx_known *known)
{
	const cx_tag *tags;
	int			count = cx_statement_definitions(known->statement, &tags);

	for (int i = 0; i < count; i++)
	{
		cx_slot		slot = cx_clock_slot(&tags[i]);

		if (cx_clock_check(&known->planned, &slot, 1) != CX_CLOCK_VALID)
			return true;
	}
	return false;
}

bool
cx_known_forget_old(cx_known *known)
{
	if (!definitions_moved(known) && !is_outdated(known))
		return false;
	forget(known);
	return true;
}

const cx_statement *
cx_known_statement(const cx_known *known)
{
	return known->statement;
}

cx_account
cx_known_account(const cx_known *known)
{
	return known->account;
}

void
cx_known_set_account(cx_known *known, cx_account account)
{
	known->account = account;
}

double
cx_known_cost(const cx_known *known)
{
	return known->total_cost;
}

/* Every relation of the query, at whatever depth: rights are checked and locks taken on them. */
static bool
add_relations(Node *node, PlannedStmt *plan)
{
	Query	   *query = (Query *) node;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, add_relations, plan);
	foreach(cell, query->rtable)
		cx_add_relation(plan, query, lfirst_node(RangeTblEntry, cell));
	return query_tree_walker(query, add_relations, plan, 0);
}

PlannedStmt *
cx_known_plan(const cx_known *known, Query *query, int cursor_options, bool for_parameters,
			  cx_wrap_options *options)
{
	PlannedStmt *plan = makeNode(PlannedStmt);

	plan->commandType = CMD_SELECT;
	plan->queryId = query->queryId;
	plan->canSetTag = query->canSetTag;
	plan->dependsOnRole = known->depends_on_role;
	plan->stmt_location = query->stmt_location;
	plan->stmt_len = query->stmt_len;
	plan->relationOids = list_copy(known->relations);
	plan->invalItems = copyObject(known->inval_items);

	/*
	 * Without parameters this may become the plan of a prepared statement, which had better have
	 * a real one: PostgreSQL plans again soon.
	 */
	plan->transientPlan = !for_parameters;
	(void) add_relations((Node *) query, plan);

	options->generation = known->generation;
	if (!cx_wrap_query(plan, copyObject(known->statement), options,
					   copyObject(known->columns), query, cursor_options))
		return NULL;
	plan->planTree->startup_cost = known->startup_cost;
	plan->planTree->total_cost = known->total_cost;
	plan->planTree->plan_rows = known->rows;
	plan->planTree->plan_width = known->width;
	return plan;
}
