/*
 * base/redis_url.c
 *		The setting redis_url, taken apart.
 *
 * A URL may hold a password, so nothing here copies a part of it into a message.  Results go to
 * arrays of fixed size: a check hook runs where memory must not be leaked and errors not raised.
 */
#include "postgres.h"

#include "base/redis_url.h"

#include <limits.h>

/* A piece of the URL text, not zero-terminated. */
typedef struct span
{
	const char *start;
	const char *end;
} span;

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes a piece into a zero-terminated array; false if malformed, too long or holding a zero. */
static bool
decode(span piece, char *target, size_t size)
{
	size_t		length = 0;

	for (const char *p = piece.start; p < piece.end; p++)
	{
		char		c = *p;

		if (c == '%')
		{
			int			high = piece.end - p > 2 ? hex_digit(p[1]) : -1;
			int			low = piece.end - p > 2 ? hex_digit(p[2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char) (high * 16 + low);
			if (c == '\0')
				return false;
			p += 2;
		}
		if (length + 1 >= size)
			return false;
		target[length++] = c;
	}
	target[length] = '\0';
	return true;
}

static bool
parse_number(span piece, int lowest, int highest, int *number)
{
	int			value = 0;

	if (piece.start == piece.end)
		return false;
	for (const char *p = piece.start; p < piece.end; p++)
	{
		if (*p < '0' || *p > '9' || value > (highest - (*p - '0')) / 10)
			return false;
		value = value * 10 + (*p - '0');
	}
	*number = value;
	return value >= lowest;
}

static const char *
find(span piece, char wanted)
{
	return memchr(piece.start, wanted, piece.end - piece.start);
}

/* [user][:password] */
static const char *
parse_credentials(span piece, cx_redis_target *url)
{
	const char *colon = find(piece, ':');
	span		user = {piece.start, colon ? colon : piece.end};

	if (!decode(user, url->user, sizeof(url->user)))
		return "The user name is too long or has a malformed percent-encoding.";
	url->has_user = user.start < user.end;
	if (colon != NULL)
	{
		span		password = {colon + 1, piece.end};

		if (!decode(password, url->password, sizeof(url->password)))
			return "The password is too long or has a malformed percent-encoding.";
		url->has_password = true;
	}
	return NULL;
}

/* host[:port], where a numeric IPv6 address is in brackets */
static const char *
parse_host(span piece, cx_redis_target *url)
{
	span		host = piece;
	const char *colon;

	if (piece.start < piece.end && *piece.start == '[')
	{
		const char *bracket = find(piece, ']');

		if (bracket == NULL)
			return "The closing bracket after the IPv6 address is missing.";
		host.start = piece.start + 1;
		host.end = bracket;
		colon = bracket + 1 < piece.end ? bracket + 1 : NULL;
		if (colon != NULL && *colon != ':')
			return "Only a colon and a port may follow the closing bracket.";
	}
	else
	{
		colon = find(piece, ':');
		if (colon != NULL)
			host.end = colon;
	}

	if (host.start == host.end)
		return "The host is missing.";
	if (!decode(host, url->host, sizeof(url->host)))
		return "The host is too long or has a malformed percent-encoding.";
	if (colon != NULL &&
		!parse_number((span){colon + 1, piece.end}, 1, 65535, &url->port))
		return "The port must be a number from 1 to 65535.";
	return NULL;
}

/* name=value[&name=value]... */
static const char *
parse_parameters(span piece, cx_redis_target *url)
{
	while (piece.start < piece.end)
	{
		const char *ampersand = find(piece, '&');
		span		parameter = {piece.start, ampersand ? ampersand : piece.end};
		const char *equals = find(parameter, '=');
		span		value = {equals ? equals + 1 : parameter.end, parameter.end};
		size_t		name_length = equals ? equals - parameter.start : 0;

		if (name_length == 2 && memcmp(parameter.start, "db", 2) == 0)
		{
			if (!parse_number(value, 0, INT_MAX, &url->database))
				return "The parameter db must be the number of a database.";
		}
		else if (name_length == 7 && memcmp(parameter.start, "ca_file", 7) == 0 && url->tls)
		{
			if (!decode(value, url->ca_file, sizeof(url->ca_file)) || url->ca_file[0] != '/')
				return "The parameter ca_file must be an absolute path.";
		}
		else
			return "The only parameters are db and, with rediss://, ca_file.";
		piece.start = ampersand ? ampersand + 1 : piece.end;
	}
	return NULL;
}

static const char *
parse_url(const char *text, cx_redis_target *url)
{
	bool		is_socket = false;
	span		authority;
	span		path;
	span		parameters;
	const char *problem = NULL;

	if (strncmp(text, "redis://", 8) == 0)
		text += 8;
	else if (strncmp(text, "rediss://", 9) == 0)
	{
		url->tls = true;
		text += 9;
	}
	else if (strncmp(text, "unix://", 7) == 0)
	{
		is_socket = true;
		text += 7;
	}
	else
		return "A URL must start with redis://, rediss:// or unix://.";

#ifndef CX_WITH_TLS
	if (url->tls)
		return "This build of cache_ext has no TLS: OpenSSL's development files were missing when "
			"it was compiled.";
#endif

	authority.start = text;
	authority.end = text + strcspn(text, "/?");
	path.start = authority.end;
	path.end = path.start + strcspn(path.start, "?");
	parameters.start = *path.end == '?' ? path.end + 1 : path.end;
	parameters.end = path.end + strlen(path.end);

	/* an unencoded @ in a password is common, and the last one is the separator all the same */
	for (const char *p = authority.end - 1; p >= authority.start; p--)
		if (*p == '@')
		{
			problem = parse_credentials((span){authority.start, p}, url);
			authority.start = p + 1;
			break;
		}
	if (problem != NULL)
		return problem;

	if (is_socket)
	{
		if (authority.start < authority.end)
			return "The path of the socket must be absolute: unix:///path.";
		if (path.end - path.start < 2)
			return "The path of the socket is missing.";
		if (!decode(path, url->socket_path, sizeof(url->socket_path)))
			return "The path of the socket is too long or has a malformed percent-encoding.";
	}
	else
	{
		problem = parse_host(authority, url);
		if (problem != NULL)
			return problem;
		if (path.end - path.start > 1 &&
			!parse_number((span){path.start + 1, path.end}, 0, INT_MAX, &url->database))
			return "After the host, only a slash and the number of a database may follow.";
	}
	return parse_parameters(parameters, url);
}

bool
cx_redis_url_parse(const char *text, cx_redis_target *url, const char **problem)
{
	memset(url, 0, sizeof(*url));
	url->port = CX_REDIS_DEFAULT_PORT;
	*problem = parse_url(text, url);
	return *problem == NULL;
}

/* As parse_url() takes it apart. */
bool
cx_redis_url_find_password(const char *text, size_t *from, size_t *length)
{
	const char *authority = strstr(text, "://");
	const char *end;
	const char *colon;

	if (authority == NULL)
		return false;
	authority += 3;
	end = authority + strcspn(authority, "/?");
	while (end > authority && *end != '@')
		end--;
	colon = memchr(authority, ':', end - authority);
	if (colon == NULL)
		return false;
	*from = colon + 1 - text;
	*length = end - (colon + 1);
	return true;
}
