/*
 * api/attachment.h
 *		The attachments of a table: one Redis key for each of its rows.
 *
 * The definition of an attachment is the arguments of its trigger: template, mode, on_redis_down,
 * TTL in milliseconds, and the columns of the map where they are limited.  No side catalog.
 */
#ifndef CX_API_ATTACHMENT_H
#define CX_API_ATTACHMENT_H

#include "postgres.h"

#include "core/outbox.h"
#include "query/entity_codec.h"
#include "query/key_template.h"

#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

typedef struct cx_attachment
{
	Oid			trigger;
	Oid			relation;
	bool		complete;		/* the trigger sees every change, as attach() made it */

	/* as defined */
	const char *key;			/* the template's text */
	cx_key_template *template;
	bool		write_through;
	bool		abort;			/* on_redis_down */
	int64		ttl_ms;
	List	   *columns;		/* char *, or NIL for all */

	/*
	 * In the relation as it is: what keeps rows from having keys now, a text for users, or NULL, and
	 * then the rest is set.
	 */
	const char *problem;
	bool		ambiguous;		/* the problem is that no unique index covers the key */
	bool		unmappable;		/* because a column cannot be part of a map */
	int			key_count;
	AttrNumber	keys[CX_TEMPLATE_MAX_COLUMNS];	/* by the template's index */
	Oid			key_types[CX_TEMPLATE_MAX_COLUMNS]; /* domains stripped */
	cx_entity_codec *codec;		/* NULL: invalidates, and has a column that no map can hold */

	cx_outbox_target target;
} cx_attachment;

extern void cx_attachment_init(void);

/*
 * The attachment that a trigger of the relation stands for; an error if its arguments are none that
 * attach() makes.  Valid until the relation changes and it is asked for again, or the end of the
 * transaction.
 */
extern const cx_attachment *cx_attachment_get(Relation relation, const Trigger *trigger);

/* Those of a relation: cx_attachment *. */
extern List *cx_attachments_of(Relation relation);

/*
 * For attach(): all as cx_attachment_get() tells of a trigger with these arguments, in
 * CurrentMemoryContext.  NULL if they are none: *problem says why.
 */
extern cx_attachment *cx_attachment_define(Relation relation, int argument_count,
										   char *const *arguments, const char **problem);

/*
 * Appends the key of a row to out.  False if it has none: a column of the key is NULL, it would be
 * too long, or has no form in UTF-8.
 */
extern bool cx_attachment_key(const cx_attachment *attachment, TupleTableSlot *slot,
							  StringInfo out);
extern bool cx_attachment_key_of(const cx_attachment *attachment, const Datum *values,
								 StringInfo out);

/*
 * Every key of a relation's attachments, or of those that have a column with values of a type at any
 * depth, is to go at commit.
 */
extern void cx_attachment_sweep(Oid relation);
extern void cx_attachment_sweep_type(Oid type);

/* The same of another database, which is dropped or gets another name. */
extern void cx_attachment_sweep_other_database(const char *database);

/*
 * Templates that are in use in the database: calls the function with each attachment's relation and
 * template until one returns false.
 */
extern void cx_attachment_each(bool (*each) (Oid relation, const char *key, void *arg), void *arg);

#endif
