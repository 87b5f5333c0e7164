/*
 * redis/trouble.c
 *		What went wrong between this backend and Redis.
 */
#include "postgres.h"

#include "base/printable.h"
#include "redis/trouble.h"

bool
cx_trouble_set(cx_trouble *trouble, cx_trouble_kind kind, const char *format, ...)
{
	va_list		args;

	trouble->kind = kind;
	trouble->for_log_only = false;
	trouble->own_doing = false;
	va_start(args, format);
	vsnprintf(trouble->text, sizeof(trouble->text), format, args);
	va_end(args);

	cx_printable(trouble->text);
	return false;
}
