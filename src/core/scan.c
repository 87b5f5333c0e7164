/*
 * core/scan.c
 *		Keys in Redis that match a pattern, some at a time.
 */
#include "postgres.h"

#include "core/scan.h"

#define KEYS_AT_A_TIME "1000"

void
cx_scan_start(cx_scan *scan, const char *pattern, size_t length)
{
	memset(scan, 0, sizeof(*scan));
	scan->pattern = pattern;
	scan->pattern_length = length;
	strcpy(scan->cursor, "0");
}

/* What answers may not be Redis: nothing is taken for granted. */
static bool
take(cx_scan *scan, const cx_redis_reply *reply)
{
	const cx_redis_reply *cursor;
	const cx_redis_reply *keys;

	if (reply->type != CX_REDIS_ARRAY || reply->element_count != 2)
		return false;
	cursor = &reply->elements[0];
	keys = &reply->elements[1];
	if (cursor->type != CX_REDIS_TEXT || cursor->length == 0 ||
		cursor->length >= sizeof(scan->cursor) || keys->type != CX_REDIS_ARRAY)
		return false;
	for (size_t i = 0; i < keys->element_count; i++)
		if (keys->elements[i].type != CX_REDIS_TEXT)
			return false;

	memcpy(scan->cursor, cursor->data, cursor->length);
	scan->cursor[cursor->length] = '\0';
	scan->complete = strcmp(scan->cursor, "0") == 0;
	scan->keys = keys->elements;
	scan->key_count = keys->element_count;
	return true;
}

bool
cx_scan_next(cx_scan *scan, cx_redis_budget *budget)
{
	const char *argv[] = {"SCAN", scan->cursor, "MATCH", scan->pattern, "COUNT", KEYS_AT_A_TIME};
	size_t		argvlen[lengthof(argv)];
	cx_redis_command command = {lengthof(argv), argv, argvlen};
	cx_redis_reply reply;

	for (int i = 0; i < lengthof(argv); i++)
		argvlen[i] = strlen(argv[i]);
	argvlen[3] = scan->pattern_length;
	scan->key_count = 0;
	if (cx_redis_call(&command, 1, &reply, budget) != CX_REDIS_OK)
	{
		scan->problem = pstrdup(cx_redis_last_problem()->text);
		return false;
	}
	if (reply.type == CX_REDIS_ERROR)
	{
		scan->problem = reply.data;
		return false;
	}
	scan->problem = "not an answer to SCAN";
	return take(scan, &reply);
}
