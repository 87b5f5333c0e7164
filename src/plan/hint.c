/*
 * plan/hint.c
 *		A comment in a statement that asks for it to be cached.
 *
 * The text is scanned as PostgreSQL's lexer would as far as it takes to tell comments from quoted
 * text.  Only the statement's own part of the text is read: another statement sent in the same
 * message has hints of its own.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "plan/hint.h"

#include "parser/parser.h"
#include "utils/guc.h"

#define HINT_NAME "cache_ext"

/* The text that is left to scan. */
typedef struct scanner
{
	const char *at;
	const char *end;
} scanner;

static bool
looking_at(const scanner *text, const char *word)
{
	size_t		length = strlen(word);

	return text->end - text->at >= length && strncmp(text->at, word, length) == 0;
}

/* Past a quoted text that at points to; a doubled quote is two quoted texts. */
static void
skip_quoted(scanner *text, char quote, bool escapes)
{
	text->at++;
	while (text->at < text->end && *text->at != quote)
		text->at += escapes && *text->at == '\\' && text->at + 1 < text->end ? 2 : 1;
	if (text->at < text->end)
		text->at++;
}

static bool
is_word_start(char c)
{
	return isalpha((unsigned char) c) || c == '_' || IS_HIGHBIT_SET(c);
}

static bool
is_word_part(char c)
{
	return is_word_start(c) || isdigit((unsigned char) c);
}

/* Past $tag$...$tag$, or just past the dollar where it starts no such text. */
static void
skip_dollar(scanner *text)
{
	const char *tag = text->at++;
	size_t		length;

	while (text->at < text->end &&
		   (text->at == tag + 1 ? is_word_start(*text->at) : is_word_part(*text->at)))
		text->at++;
	if (text->at == text->end || *text->at != '$')
		return;
	length = ++text->at - tag;
	while (text->end - text->at >= length && strncmp(text->at, tag, length) != 0)
		text->at++;
	text->at = Min(text->at + length, text->end);
}

static void
skip_word(scanner *text)
{
	bool		escapes = (*text->at == 'e' || *text->at == 'E') &&
		text->at + 1 < text->end && text->at[1] == '\'';

	if (escapes)
	{
		text->at++;
		skip_quoted(text, '\'', true);
		return;
	}
	while (text->at < text->end && (is_word_part(*text->at) || *text->at == '$'))
		text->at++;
}

/* Past a comment that at points to, which may hold others; returns where its end mark begins. */
static const char *
skip_comment(scanner *text)
{
	int			depth = 0;

	do
	{
		if (looking_at(text, "/*"))
		{
			depth++;
			text->at += 2;
		}
		else if (looking_at(text, "*/"))
		{
			depth--;
			text->at += 2;
		}
		else
			text->at++;
	} while (depth > 0 && text->at < text->end);
	return depth > 0 ? text->end : text->at - 2;
}

static char *
next_part(char **rest, const char *separators)
{
	char	   *part = strsep(rest, separators);
	char	   *end;

	while (isspace((unsigned char) *part))
		part++;
	end = part + strlen(part);
	while (end > part && isspace((unsigned char) end[-1]))
		*--end = '\0';
	return part;
}

/* What the settings allow. */
#define LONGEST_TTL_S (365.0 * 24 * 3600)
#define LONGEST_STALENESS_MS PG_INT32_MAX

/* A number without a unit is in that of the setting of the same name. */
static bool
read_option(char *option, cx_hint *hint)
{
	char	   *name = next_part(&option, "=");
	char	   *value = option ? next_part(&option, "") : "";
	double		time;

	if (strcmp(name, "ttl") == 0)
	{
		if (!parse_real(value, &time, GUC_UNIT_S, NULL) || !(time >= 0.001) ||
			time > LONGEST_TTL_S)
			return false;
		hint->ttl_ms = (int64) rint(time * 1000);
		return true;
	}
	if (strcmp(name, "max_staleness") == 0)
	{
		if (!parse_real(value, &time, GUC_UNIT_MS, NULL) || !(time >= 0) ||
			time > LONGEST_STALENESS_MS)
			return false;
		hint->staleness_ms = time >= 1 ? (int64) rint(time) : -1;
		return true;
	}
	return false;
}

/* Reads what a comment says; false if it is no hint, or not a right one. */
static bool
read_comment(const char *comment, size_t length, cx_hint *hint)
{
	char	   *text = pnstrdup(comment, length);
	char	   *rest = text;
	char	   *name = next_part(&rest, ":");

	memset(hint, 0, sizeof(*hint));
	if (strcmp(name, HINT_NAME) != 0)
		return false;
	while (rest != NULL)
	{
		char	   *option = next_part(&rest, ",");
		char	   *copy = pstrdup(option);

		if (!read_option(option, hint))
		{
			ereport(WARNING,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized option in a cache_ext hint: \"%s\"", copy),
					 errdetail("The statement is not cached."),
					 errhint("Write /* cache_ext */ or /* cache_ext: ttl=30s, max_staleness=5s */.")));
			hint->wrong = true;
			return false;
		}
	}
	return true;
}

bool
cx_hint_read(const char *query_text, int location, int length, cx_hint *hint)
{
	scanner		text;

	memset(hint, 0, sizeof(*hint));
	if (query_text == NULL || strstr(query_text, HINT_NAME) == NULL)
		return false;
	text.at = query_text + Max(location, 0);
	text.end = length > 0 ? text.at + length : text.at + strlen(text.at);

	while (text.at < text.end && !hint->wrong)
	{
		const char *start = text.at;

		if (looking_at(&text, "/*"))
		{
			const char *end = skip_comment(&text);

			if (read_comment(start + 2, Max(end - (start + 2), 0), hint))
				return true;
		}
		else if (looking_at(&text, "--"))
		{
			while (text.at < text.end && *text.at != '\n' && *text.at != '\r')
				text.at++;
		}
		else if (*text.at == '\'')
			skip_quoted(&text, '\'', !standard_conforming_strings);
		else if (*text.at == '"')
			skip_quoted(&text, '"', false);
		else if (*text.at == '$')
			skip_dollar(&text);
		else if (is_word_part(*text.at))
			skip_word(&text);
		else
			text.at++;
	}
	return false;
}
