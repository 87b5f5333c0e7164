/*
 * query/fingerprint.c
 *		The bytes that tell one query tree from another.
 *
 * Each statement of a session is described before it is planned, so this is made to be quick:
 * numbers are copied as they lie in memory, nothing is formatted.
 *
 * 1. The description could be read back: a node starts with its tag, which decides what follows; a
 *    list starts with its length; text ends with a zero byte; what may be missing says whether it
 *    is.  So two different trees never give the same bytes.
 * 2. What is not listed here is described by nodeToString(): other kinds of nodes and of range
 *    table entries, statements other than SELECT.  That is slow, and in versions that write
 *    positions the same query elsewhere in a text is another one, but it is never wrong.
 * 3. So is everything in a version whose nodes nobody has compared with this file: see
 *    CX_QUERY_TREES_KNOWN.
 *
 * These fields of the nodes listed here are left out:
 * - where in the text something stands: location, stmt_location, stmt_len;
 * - queryId, which other modules make of less than is described here;
 * - what only a kind of entry has that is not listed: tablefunc, enrname, enrtuples;
 * - what a SELECT doesn't have: utilityStmt, resultRelation, override, onConflict, returningList,
 *   withCheckOptions, mergeActionList, mergeUseOuterJoin, mergeTargetRelation, mergeJoinCondition;
 * - what only planning sets: aggtranstype, aggsplit, aggno, aggtransno, aggpresorted, runCondition,
 *   cols (of GroupingFunc), funcparams, extraUpdatedCols;
 * - what follows from a type or an operator: constlen, rctype, and opfuncid, hashfuncid, negfuncid,
 *   which are filled in at different times.
 * Aliases and the way in which a call or a cast was written are not: names and type modifiers of
 * columns follow from them.
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/fingerprint.h"

#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/value.h"
#include "utils/datum.h"

/* Enough for most queries, so that the buffer grows once. */
#define FIRST_SIZE 4096

/* In place of a tag: text of nodeToString() follows. */
#define TEXT_TAG PG_UINT16_MAX

/* Appends numbers of up to 32 bits. */
#define PUT(out, ...) \
	do { \
		const uint32 numbers_[] = {__VA_ARGS__}; \
		put(out, numbers_, sizeof(numbers_)); \
	} while (0)

/* The first number of a node: its tag, and up to 16 flags. */
#define TAG(node, flags) ((uint32) nodeTag(node) | (uint32) (flags) << 16)

static void put_node(StringInfo out, const void *node);

static inline void
put(StringInfo out, const void *bytes, int size)
{
	if (unlikely(out->maxlen - out->len <= size))
		enlargeStringInfo(out, size);
	memcpy(out->data + out->len, bytes, size);
	out->len += size;
}

/* Text that is there. */
static inline void
put_name(StringInfo out, const char *name)
{
	put(out, name, strlen(name) + 1);
}

static void
put_text(StringInfo out, const char *text)
{
	char		there = text != NULL;

	put(out, &there, sizeof(there));
	if (there)
		put_name(out, text);
}

/* A list of String nodes. */
static void
put_names(StringInfo out, const List *names)
{
	const ListCell *cell;

	PUT(out, list_length(names));
	foreach(cell, names)
		put_name(out, strVal(lfirst(cell)));
}

/* A list of integers or OIDs. */
static void
put_numbers(StringInfo out, const List *numbers)
{
	const ListCell *cell;

	PUT(out, list_length(numbers));
	foreach(cell, numbers)
		PUT(out, lfirst_int(cell));
}

static void
put_nodes(StringInfo out, const List *nodes)
{
	const ListCell *cell;

	PUT(out, list_length(nodes));
	foreach(cell, nodes)
		put_node(out, lfirst(cell));
}

static void
put_set(StringInfo out, const Bitmapset *set)
{
	int			words = set == NULL ? 0 : set->nwords;

	PUT(out, words);
	if (words > 0)
		put(out, set->words, sizeof(bitmapword) * words);
}

static void
put_as_text(StringInfo out, const void *node)
{
	char	   *text = nodeToString(node);

	PUT(out, TEXT_TAG);
	put_name(out, text);
	pfree(text);
}

/*
 * Parts of expressions
 */

static void
put_var(StringInfo out, const Var *var)
{
	const Bitmapset *nulling_joins = cx_nulling_joins(var);
	bool		plain = var->varlevelsup == 0 && nulling_joins == NULL &&
		var->varnosyn == var->varno && var->varattnosyn == var->varattno;

	PUT(out, TAG(var, plain), var->varno, var->varattno, var->vartype, var->vartypmod,
		var->varcollid);
	if (!plain)
	{
		PUT(out, var->varlevelsup, var->varnosyn, var->varattnosyn);
		put_set(out, nulling_joins);
	}
}

/* makeConst() keeps no value that is only a reference to where the value is. */
static void
put_const(StringInfo out, const Const *constant)
{
	PUT(out, TAG(constant, constant->constisnull | constant->constbyval << 1), constant->consttype,
		constant->consttypmod, constant->constcollid);
	if (constant->constisnull)
		return;
	if (constant->constbyval)
		put(out, &constant->constvalue, sizeof(Datum));
	else
	{
		Size		size = datumGetSize(constant->constvalue, false, constant->constlen);

		Assert(constant->constlen != -1 ||
			   !VARATT_IS_EXTERNAL(DatumGetPointer(constant->constvalue)));
		PUT(out, size);
		put(out, DatumGetPointer(constant->constvalue), size);
	}
}

static void
put_aggregate(StringInfo out, const Aggref *aggregate)
{
	PUT(out, TAG(aggregate, aggregate->aggstar | aggregate->aggvariadic << 1), aggregate->aggfnoid,
		aggregate->aggtype, aggregate->aggcollid, aggregate->inputcollid, aggregate->aggkind,
		aggregate->agglevelsup);
	put_numbers(out, aggregate->aggargtypes);
	put_nodes(out, aggregate->aggdirectargs);
	put_nodes(out, aggregate->args);
	put_nodes(out, aggregate->aggorder);
	put_nodes(out, aggregate->aggdistinct);
	put_node(out, aggregate->aggfilter);
}

static void
put_window_call(StringInfo out, const WindowFunc *call)
{
	PUT(out, TAG(call, call->winstar | call->winagg << 1), call->winfnoid, call->wintype,
		call->wincollid, call->inputcollid, call->winref);
	put_nodes(out, call->args);
	put_node(out, call->aggfilter);
}

static void
put_sublink(StringInfo out, const SubLink *link)
{
	PUT(out, TAG(link, 0), link->subLinkType, link->subLinkId);
	put_node(out, link->testexpr);
	put_names(out, link->operName);
	put_node(out, link->subselect);
}

static void
put_subscript(StringInfo out, const SubscriptingRef *reference)
{
	PUT(out, TAG(reference, 0), reference->refcontainertype, reference->refelemtype,
		reference->refrestype, reference->reftypmod, reference->refcollid);
	put_nodes(out, reference->refupperindexpr);
	put_nodes(out, reference->reflowerindexpr);
	put_node(out, reference->refexpr);
	put_node(out, reference->refassgnexpr);
}

/* (a, b) < (c, d) */
static void
put_row_comparison(StringInfo out, const RowCompareExpr *comparison)
{
	PUT(out, TAG(comparison, 0));
	put_numbers(out, comparison->opnos);
	put_numbers(out, comparison->opfamilies);
	put_numbers(out, comparison->inputcollids);
	put_nodes(out, comparison->largs);
	put_nodes(out, comparison->rargs);
}

/*
 * Parts of a query
 */

static void
put_alias(StringInfo out, const Alias *alias)
{
	put_text(out, alias ? alias->aliasname : NULL);
	put_names(out, alias ? alias->colnames : NIL);
}

static void
put_rights(StringInfo out, const cx_rights *rights)
{
	uint64		required = rights->requiredPerms;

	PUT(out, rights->relid, rights->inh, required, required >> 32, rights->checkAsUser);
	put_set(out, rights->selectedCols);
	put_set(out, rights->insertedCols);
	put_set(out, rights->updatedCols);
}

static void
put_range_function(StringInfo out, const RangeTblFunction *function)
{
	PUT(out, TAG(function, 0), function->funccolcount);
	put_node(out, function->funcexpr);
	put_names(out, function->funccolnames);
	put_numbers(out, function->funccoltypes);
	put_numbers(out, function->funccoltypmods);
	put_numbers(out, function->funccolcollations);
}

/* A view keeps fields of a relation when it becomes a subquery: they are written for every kind. */
static void
put_range_entry(StringInfo out, const RangeTblEntry *rte)
{
	PUT(out, TAG(rte, rte->inh | rte->inFromCl << 1 | rte->lateral << 2 |
				 rte->security_barrier << 3 | rte->funcordinality << 4 | rte->self_reference << 5),
		rte->rtekind, rte->relid, rte->relkind, rte->rellockmode, cx_rights_index(rte));
	put_alias(out, rte->alias);
	put_alias(out, rte->eref);
	put_node(out, rte->tablesample);
	put_nodes(out, rte->securityQuals);

	switch (rte->rtekind)
	{
		case RTE_RELATION:
		case RTE_RESULT:
			break;

		case RTE_SUBQUERY:
			put_node(out, rte->subquery);
			break;

		case RTE_JOIN:
			PUT(out, rte->jointype, rte->joinmergedcols);
			put_nodes(out, rte->joinaliasvars);
			put_numbers(out, rte->joinleftcols);
			put_numbers(out, rte->joinrightcols);
			put_alias(out, rte->join_using_alias);
			break;

		case RTE_FUNCTION:
			put_nodes(out, rte->functions);
			break;

		case RTE_VALUES:
			put_nodes(out, rte->values_lists);
			put_numbers(out, rte->coltypes);
			put_numbers(out, rte->coltypmods);
			put_numbers(out, rte->colcollations);
			break;

		case RTE_CTE:
			put_name(out, rte->ctename);
			PUT(out, rte->ctelevelsup);
			put_numbers(out, rte->coltypes);
			put_numbers(out, rte->coltypmods);
			put_numbers(out, rte->colcollations);
			break;

		default:
			put_as_text(out, rte);
			break;
	}
}

static void
put_common_table(StringInfo out, const CommonTableExpr *table)
{
	PUT(out, TAG(table, table->cterecursive), table->ctematerialized, table->cterefcount);
	put_name(out, table->ctename);
	put_names(out, table->aliascolnames);
	put_node(out, table->ctequery);
	put_node(out, table->search_clause);
	put_node(out, table->cycle_clause);
	put_names(out, table->ctecolnames);
	put_numbers(out, table->ctecoltypes);
	put_numbers(out, table->ctecoltypmods);
	put_numbers(out, table->ctecolcollations);
}

static void
put_cycle(StringInfo out, const CTECycleClause *cycle)
{
	PUT(out, TAG(cycle, 0), cycle->cycle_mark_type, cycle->cycle_mark_typmod,
		cycle->cycle_mark_collation, cycle->cycle_mark_neop);
	put_names(out, cycle->cycle_col_list);
	put_text(out, cycle->cycle_mark_column);
	put_node(out, cycle->cycle_mark_value);
	put_node(out, cycle->cycle_mark_default);
	put_text(out, cycle->cycle_path_column);
}

static void
put_window(StringInfo out, const WindowClause *window)
{
	PUT(out, TAG(window, window->inRangeAsc | window->inRangeNullsFirst << 1 |
				 window->copiedOrder << 2),
		window->frameOptions, window->startInRangeFunc, window->endInRangeFunc,
		window->inRangeColl, window->winref);
	put_text(out, window->name);
	put_text(out, window->refname);
	put_nodes(out, window->partitionClause);
	put_nodes(out, window->orderClause);
	put_node(out, window->startOffset);
	put_node(out, window->endOffset);
}

static void
put_set_operation(StringInfo out, const SetOperationStmt *operation)
{
	PUT(out, TAG(operation, operation->all), operation->op);
	put_node(out, operation->larg);
	put_node(out, operation->rarg);
	put_numbers(out, operation->colTypes);
	put_numbers(out, operation->colTypmods);
	put_numbers(out, operation->colCollations);
	put_nodes(out, operation->groupClauses);
}

static void
put_query(StringInfo out, const Query *query)
{
	const ListCell *cell;

	if (query->commandType != CMD_SELECT)
	{
		put_as_text(out, query);
		return;
	}

	PUT(out, TAG(query, query->canSetTag | query->hasAggs << 1 | query->hasWindowFuncs << 2 |
				 query->hasTargetSRFs << 3 | query->hasSubLinks << 4 | query->hasDistinctOn << 5 |
				 query->hasRecursive << 6 | query->hasModifyingCTE << 7 |
				 query->hasForUpdate << 8 | query->hasRowSecurity << 9 | query->isReturn << 10 |
				 query->groupDistinct << 11),
		query->querySource, query->limitOption);
	put_nodes(out, query->cteList);
	put_nodes(out, query->rtable);
	PUT(out, list_length(cx_rights_list(query)));
	foreach(cell, cx_rights_list(query))
		put_rights(out, lfirst(cell));
	put_node(out, query->jointree);
	put_nodes(out, query->targetList);
	put_nodes(out, query->groupClause);
	put_nodes(out, query->groupingSets);
	put_node(out, query->havingQual);
	put_nodes(out, query->windowClause);
	put_nodes(out, query->distinctClause);
	put_nodes(out, query->sortClause);
	put_node(out, query->limitOffset);
	put_node(out, query->limitCount);
	put_nodes(out, query->rowMarks);
	put_node(out, query->setOperations);
	put_numbers(out, query->constraintDeps);
}

/*
 * Nodes of all kinds
 */

static void
put_clause(StringInfo out, const Node *node)
{
	switch (nodeTag(node))
	{
		case T_Query:
			put_query(out, (const Query *) node);
			break;

		case T_RangeTblEntry:
			put_range_entry(out, (const RangeTblEntry *) node);
			break;

		case T_RangeTblFunction:
			put_range_function(out, (const RangeTblFunction *) node);
			break;

		case T_FromExpr:
			{
				const FromExpr *from = (const FromExpr *) node;

				PUT(out, TAG(from, 0));
				put_nodes(out, from->fromlist);
				put_node(out, from->quals);
				break;
			}

		case T_JoinExpr:
			{
				const JoinExpr *join = (const JoinExpr *) node;

				PUT(out, TAG(join, join->isNatural), join->jointype, join->rtindex);
				put_node(out, join->larg);
				put_node(out, join->rarg);
				put_names(out, join->usingClause);
				put_alias(out, join->join_using_alias);
				put_node(out, join->quals);
				put_alias(out, join->alias);
				break;
			}

		case T_SortGroupClause:
			{
				const SortGroupClause *clause = (const SortGroupClause *) node;

				PUT(out, TAG(clause, clause->nulls_first | clause->hashable << 1),
					clause->tleSortGroupRef, clause->eqop, clause->sortop);
				break;
			}

		case T_GroupingSet:
			{
				const GroupingSet *set = (const GroupingSet *) node;

				PUT(out, TAG(set, 0), set->kind);
				put_node(out, set->content);
				break;
			}

		case T_WindowClause:
			put_window(out, (const WindowClause *) node);
			break;

		case T_SetOperationStmt:
			put_set_operation(out, (const SetOperationStmt *) node);
			break;

		case T_CommonTableExpr:
			put_common_table(out, (const CommonTableExpr *) node);
			break;

		case T_CTESearchClause:
			{
				const CTESearchClause *search = (const CTESearchClause *) node;

				PUT(out, TAG(search, search->search_breadth_first));
				put_names(out, search->search_col_list);
				put_text(out, search->search_seq_column);
				break;
			}

		case T_CTECycleClause:
			put_cycle(out, (const CTECycleClause *) node);
			break;

		default:
			put_as_text(out, node);
			break;
	}
}

/* What changes the type of one value, or tests it. */
static void
put_conversion(StringInfo out, const Node *node)
{
	switch (nodeTag(node))
	{
		case T_FieldSelect:
			{
				const FieldSelect *select = (const FieldSelect *) node;

				PUT(out, TAG(select, 0), select->fieldnum, select->resulttype,
					select->resulttypmod, select->resultcollid);
				put_node(out, select->arg);
				break;
			}

		case T_CoerceViaIO:
			{
				const CoerceViaIO *cast = (const CoerceViaIO *) node;

				PUT(out, TAG(cast, 0), cast->resulttype, cast->resultcollid, cast->coerceformat);
				put_node(out, cast->arg);
				break;
			}

		case T_ArrayCoerceExpr:
			{
				const ArrayCoerceExpr *cast = (const ArrayCoerceExpr *) node;

				PUT(out, TAG(cast, 0), cast->resulttype, cast->resulttypmod, cast->resultcollid,
					cast->coerceformat);
				put_node(out, cast->arg);
				put_node(out, cast->elemexpr);
				break;
			}

		case T_ConvertRowtypeExpr:
			{
				const ConvertRowtypeExpr *cast = (const ConvertRowtypeExpr *) node;

				PUT(out, TAG(cast, 0), cast->resulttype, cast->convertformat);
				put_node(out, cast->arg);
				break;
			}

		case T_CoerceToDomain:
			{
				const CoerceToDomain *cast = (const CoerceToDomain *) node;

				PUT(out, TAG(cast, 0), cast->resulttype, cast->resulttypmod, cast->resultcollid,
					cast->coercionformat);
				put_node(out, cast->arg);
				break;
			}

		case T_CollateExpr:
			PUT(out, TAG(node, 0), ((const CollateExpr *) node)->collOid);
			put_node(out, ((const CollateExpr *) node)->arg);
			break;

		case T_NullTest:
			{
				const NullTest *test = (const NullTest *) node;

				PUT(out, TAG(test, test->argisrow), test->nulltesttype);
				put_node(out, test->arg);
				break;
			}

		case T_BooleanTest:
			PUT(out, TAG(node, 0), ((const BooleanTest *) node)->booltesttype);
			put_node(out, ((const BooleanTest *) node)->arg);
			break;

		default:
			put_clause(out, node);
			break;
	}
}

/* What makes a value of several, and what stands for one. */
static void
put_composition(StringInfo out, const Node *node)
{
	switch (nodeTag(node))
	{
		case T_CaseExpr:
			{
				const CaseExpr *choice = (const CaseExpr *) node;

				PUT(out, TAG(choice, 0), choice->casetype, choice->casecollid);
				put_node(out, choice->arg);
				put_nodes(out, choice->args);
				put_node(out, choice->defresult);
				break;
			}

		case T_CaseWhen:
			PUT(out, TAG(node, 0));
			put_node(out, ((const CaseWhen *) node)->expr);
			put_node(out, ((const CaseWhen *) node)->result);
			break;

		case T_CaseTestExpr:
			{
				const CaseTestExpr *value = (const CaseTestExpr *) node;

				PUT(out, TAG(value, 0), value->typeId, value->typeMod, value->collation);
				break;
			}

		case T_ArrayExpr:
			{
				const ArrayExpr *array = (const ArrayExpr *) node;

				PUT(out, TAG(array, array->multidims), array->array_typeid, array->array_collid,
					array->element_typeid);
				put_nodes(out, array->elements);
				break;
			}

		case T_RowExpr:
			{
				const RowExpr *row = (const RowExpr *) node;

				PUT(out, TAG(row, 0), row->row_typeid, row->row_format);
				put_nodes(out, row->args);
				put_names(out, row->colnames);
				break;
			}

		case T_CoalesceExpr:
			{
				const CoalesceExpr *choice = (const CoalesceExpr *) node;

				PUT(out, TAG(choice, 0), choice->coalescetype, choice->coalescecollid);
				put_nodes(out, choice->args);
				break;
			}

		case T_MinMaxExpr:
			{
				const MinMaxExpr *choice = (const MinMaxExpr *) node;

				PUT(out, TAG(choice, 0), choice->minmaxtype, choice->minmaxcollid,
					choice->inputcollid, choice->op);
				put_nodes(out, choice->args);
				break;
			}

		case T_SQLValueFunction:
			{
				const SQLValueFunction *value = (const SQLValueFunction *) node;

				PUT(out, TAG(value, 0), value->op, value->type, value->typmod);
				break;
			}

		case T_GroupingFunc:
			{
				const GroupingFunc *grouping = (const GroupingFunc *) node;

				PUT(out, TAG(grouping, 0), grouping->agglevelsup);
				put_nodes(out, grouping->args);
				put_numbers(out, grouping->refs);
				break;
			}

		case T_RowCompareExpr:
			put_row_comparison(out, (const RowCompareExpr *) node);
			break;

		case T_SubscriptingRef:
			put_subscript(out, (const SubscriptingRef *) node);
			break;

		default:
			put_conversion(out, node);
			break;
	}
}

/* What most queries consist of. */
static void
put_node(StringInfo out, const void *pointer)
{
	const Node *node = (const Node *) pointer;

	if (node == NULL)
	{
		PUT(out, 0);
		return;
	}

	switch (nodeTag(node))
	{
		case T_Var:
			put_var(out, (const Var *) node);
			return;

		case T_Const:
			put_const(out, (const Const *) node);
			return;

		case T_Param:
			{
				const Param *param = (const Param *) node;

				PUT(out, TAG(param, 0), param->paramkind, param->paramid, param->paramtype,
					param->paramtypmod, param->paramcollid);
				return;
			}

		case T_RangeTblRef:
			PUT(out, TAG(node, 0), ((const RangeTblRef *) node)->rtindex);
			return;

		default:
			break;
	}

	check_stack_depth();
	switch (nodeTag(node))
	{
		case T_List:
			PUT(out, TAG(node, 0));
			put_nodes(out, (const List *) node);
			break;

		case T_IntList:
		case T_OidList:
			PUT(out, TAG(node, 0));
			put_numbers(out, (const List *) node);
			break;

		case T_TargetEntry:
			{
				const TargetEntry *target = (const TargetEntry *) node;

				PUT(out, TAG(target, target->resjunk), target->resno, target->ressortgroupref,
					target->resorigtbl, target->resorigcol);
				put_text(out, target->resname);
				put_node(out, target->expr);
				break;
			}

		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			{
				const OpExpr *call = (const OpExpr *) node;

				PUT(out, TAG(call, call->opretset), call->opno, call->opresulttype, call->opcollid,
					call->inputcollid);
				put_nodes(out, call->args);
				break;
			}

		case T_ScalarArrayOpExpr:
			{
				const ScalarArrayOpExpr *call = (const ScalarArrayOpExpr *) node;

				PUT(out, TAG(call, call->useOr), call->opno, call->inputcollid);
				put_nodes(out, call->args);
				break;
			}

		case T_FuncExpr:
			{
				const FuncExpr *call = (const FuncExpr *) node;

				PUT(out, TAG(call, call->funcretset | call->funcvariadic << 1), call->funcid,
					call->funcresulttype, call->funcformat, call->funccollid, call->inputcollid);
				put_nodes(out, call->args);
				break;
			}

		case T_NamedArgExpr:
			{
				const NamedArgExpr *argument = (const NamedArgExpr *) node;

				PUT(out, TAG(argument, 0), argument->argnumber);
				put_name(out, argument->name);
				put_node(out, argument->arg);
				break;
			}

		case T_BoolExpr:
			PUT(out, TAG(node, 0), ((const BoolExpr *) node)->boolop);
			put_nodes(out, ((const BoolExpr *) node)->args);
			break;

		case T_RelabelType:
			{
				const RelabelType *cast = (const RelabelType *) node;

				PUT(out, TAG(cast, 0), cast->resulttype, cast->resulttypmod, cast->resultcollid,
					cast->relabelformat);
				put_node(out, cast->arg);
				break;
			}

		case T_Aggref:
			put_aggregate(out, (const Aggref *) node);
			break;

		case T_WindowFunc:
			put_window_call(out, (const WindowFunc *) node);
			break;

		case T_SubLink:
			put_sublink(out, (const SubLink *) node);
			break;

		default:
			put_composition(out, node);
			break;
	}
}

void
cx_fingerprint_write(const Query *query, StringInfo out)
{
	if (out->maxlen - out->len < FIRST_SIZE)
		enlargeStringInfo(out, FIRST_SIZE);
	if (CX_QUERY_TREES_KNOWN)
		put_node(out, query);
	else
		put_as_text(out, query);
	out->data[out->len] = '\0';
}
