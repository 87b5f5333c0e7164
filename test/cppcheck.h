/* What cppcheck (make lint) has to know of PostgreSQL's macros, since it doesn't read its headers. */
#define PG_VERSION_NUM 150000
#define PG_FUNCTION_INFO_V1(f) extern int f##_info
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define lfirst_node(type, cell) ((type *) lfirst(cell))
#define linitial_node(type, list) ((type *) linitial(list))
#define castNode(type, node) ((type *) (node))
#define makeNode(type) ((type *) newNode(sizeof(type)))
#define IsA(node, type) (nodeTag(node) == T_##type)
#define foreach(cell, list) for (cell = list_head(list); cell != 0; cell = lnext(list, cell))
#define dlist_foreach(iter, head) for (iter.cur = (head)->head.next; iter.cur; iter.cur = iter.cur->next)
#define dlist_foreach_modify(iter, head) dlist_foreach(iter, head)
#define dlist_container(type, member, node) ((type *) (node))
#define PG_TRY() if (setjmp_()) {
#define PG_CATCH() } else {
#define PG_FINALLY() } else abort(); {
#define PG_END_TRY() }
#define pg_attribute_noreturn()
#define ereport(level, ...) ereport_(level)
#define elog(level, ...) ereport_(level)
#define PGDLLEXPORT
#define Min(a, b) ((a) < (b) ? (a) : (b))
#define Max(a, b) ((a) > (b) ? (a) : (b))
