/*
 * redis/redis.c
 *		Speaking to Redis: the face of the layer.
 *
 *	cx_redis_call -> breaker -> login -> connection -> reply
 *										 connection -> stream -> wait, tls
 *										 connection -> address <- the worker
 *
 * 1. A backend has one connection.  It is opened when first needed, kept, and opened anew when the
 *	  settings it was made with have changed.  The kernel closes it when the process ends.
 * 2. When an interrupt ends a call, the connection is closed before the error leaves.
 * 3. Where interrupts can't be processed, nothing is tried: the wait could not be ended.
 * 4. All sessions suffer when the breaker opens, so one can't make it open: a timeout counts only if the
 *	  call had the time that the server's configuration gives, nothing of an answer had come, and what
 *	  was sent is small.  A Redis that is really down fails somebody's small call soon.  A probe takes the
 *	  server's time, whatever its session's settings are.
 * 5. A call on a kept connection that turns out to be dead is repeated on a new one only if the
 *	  caller said that sent twice it has the same effect as sent once.
 */
#include "postgres.h"

#include "redis/address.h"
#include "redis/breaker.h"
#include "redis/connection.h"
#include "redis/login.h"
#include "redis/redis.h"

#include "base/counters.h"
#include "base/settings.h"
#include "base/shmem.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Created, closed, by the first call. */
static cx_connection *connection = NULL;

/* The settings that connection is made with: their texts, and the URL taken apart. */
static char *current_url_text = NULL;
static char *current_password_file = NULL;
static cx_redis_target current_url;

/* How many were opened. */
static uint64 connections = 0;

/* Of the last call that failed. */
static cx_redis_problem last_problem;

void
cx_redis_init(void)
{
	cx_breaker_init();
	cx_address_init();
}

void
cx_redis_budget_start(cx_redis_budget *budget)
{
	budget->left_us = (int64) cx_redis_timeout * 1000;
}

uint64
cx_redis_connections(void)
{
	return connections;
}

bool
cx_redis_available(void)
{
	return cx_redis_url[0] != '\0' && cx_shmem_ready() && cx_breaker_passable();
}

/* Replaces a string that lives as long as the process; false if there is no memory. */
static bool
remember(char **kept, const char *value)
{
	size_t		size = strlen(value) + 1;
	char	   *copy = MemoryContextAllocExtended(TopMemoryContext, size, MCXT_ALLOC_NO_OOM);

	if (copy == NULL)
		return false;
	memcpy(copy, value, size);
	if (*kept != NULL)
		pfree(*kept);
	*kept = copy;
	return true;
}

/* Follows the settings: a connection made with others is closed. */
static bool
follow_settings(cx_trouble *trouble)
{
	const char *problem;

	if (connection != NULL &&
		strcmp(current_url_text, cx_redis_url) == 0 &&
		strcmp(current_password_file, cx_redis_password_file) == 0)
		return true;

	if (connection != NULL)
		cx_connection_close(connection);
	if (!cx_redis_url_parse(cx_redis_url, &current_url, &problem))
		return cx_trouble_set(trouble, CX_TROUBLE_UNREACHABLE, "%s", problem);
	if (!remember(&current_url_text, cx_redis_url) ||
		!remember(&current_password_file, cx_redis_password_file) ||
		(connection == NULL && (connection = cx_connection_create()) == NULL))
		return cx_trouble_set(trouble, CX_TROUBLE_RESOURCES, "out of memory");
	return true;
}

/* The time that a call has in all, and that of a connection. */
static int64
call_us(const cx_redis_budget *budget)
{
	return cx_breaker_probing() ? Max(budget->left_us, (int64) cx_server_redis_timeout * 1000) :
		budget->left_us;
}

static int64
connect_us(void)
{
	int			timeout = cx_breaker_probing() ?
		Max(cx_redis_connect_timeout, cx_server_redis_connect_timeout) : cx_redis_connect_timeout;

	return (int64) timeout * 1000;
}

static bool
open_connection(cx_deadline *deadline, cx_trouble *trouble)
{
	int64		left_us = deadline->at_us - cx_wait_clock();
	cx_deadline sooner = cx_wait_deadline(Min(left_us, connect_us()));

	connections++;
	if (cx_connection_open(connection, &current_url, &sooner, trouble) &&
		cx_login(connection, &current_url, &sooner, trouble))
		return true;
	trouble->own_doing = connect_us() < (int64) cx_server_redis_connect_timeout * 1000;
	return false;
}

/* What takes longer than a round trip to send. */
#define LARGE_REQUEST (64 * 1024)

static bool
is_large(const cx_redis_command *commands, int count)
{
	size_t		size = 0;

	for (int i = 0; i < count; i++)
		for (int arg = 0; arg < commands[i].argc; arg++)
			size += commands[i].argvlen[arg];
	return size > LARGE_REQUEST;
}

typedef enum call_kind
{
	CALL_REPEATABLE,			/* once more on a new connection where the kept one is dead */
	CALL_ONCE,					/* the same, unless something may have been carried out */
	CALL_KEPT					/* no new connection */
} call_kind;

/* *maybe_done: false if the server can't have seen any of the commands. */
static bool
exchange(const cx_redis_command *commands, int count, cx_redis_reply *replies, call_kind kind,
		 cx_deadline *deadline, cx_trouble *trouble, bool *maybe_done)
{
	cx_progress progress;
	bool		done;

	*maybe_done = false;
	if (cx_connection_is_open(connection))
		cx_connection_check_idle(connection);
	if (cx_connection_is_open(connection))
	{
		done = cx_connection_exchange(connection, commands, count, replies, deadline, trouble,
									  &progress);
		if (done)
			return true;
		trouble->own_doing = progress == CX_ANSWER_BEGAN || is_large(commands, count);
		*maybe_done = progress != CX_NOTHING_SENT;
		/* the server may have closed it between the check and the request: once more, then */
		if (trouble->kind != CX_TROUBLE_LOST || progress == CX_ANSWER_BEGAN ||
			(*maybe_done && kind != CALL_REPEATABLE))
			return false;
	}
	if (kind == CALL_KEPT)
		return cx_trouble_set(trouble, CX_TROUBLE_LOST, "the server has closed the connection");
	if (!open_connection(deadline, trouble))
		return false;
	done = cx_connection_exchange(connection, commands, count, replies, deadline, trouble,
								  &progress);
	if (!done)
		trouble->own_doing = progress == CX_ANSWER_BEGAN || is_large(commands, count);
	*maybe_done |= progress != CX_NOTHING_SENT;
	return done;
}

/*
 * A server that answers everybody with such an error is as good as down.  *maybe_done: has it carried
 * out what was sent before?
 */
static bool
is_served(const cx_redis_reply *replies, int count, cx_trouble *trouble, bool *maybe_done)
{
	for (int i = 0; i < count; i++)
	{
		if (replies[i].type == CX_REDIS_ERROR)
			cx_count(CX_COUNT_REDIS_ERRORS);
		if (cx_login_needed(&replies[i]))
		{
			cx_connection_close(connection);
			*maybe_done = i > 0;
			return cx_trouble_set(trouble, CX_TROUBLE_REFUSED, "%s", replies[i].data);
		}
	}
	return true;
}

/* What a failed call means for all backends; hurried: it had less time than the server's settings give. */
static void
tell_breaker(const cx_trouble *trouble, bool hurried)
{
	char		problem[sizeof(trouble->text) + sizeof(current_url.host) + 32];

	if (current_url.socket_path[0] != '\0')
		snprintf(problem, sizeof(problem), "\"%s\": %s", current_url.socket_path, trouble->text);
	else
		snprintf(problem, sizeof(problem), "\"%s\" port %d: %s", current_url.host,
				 current_url.port, trouble->text);

	switch (trouble->kind)
	{
		case CX_TROUBLE_UNRESOLVED:
		case CX_TROUBLE_TOO_LARGE:
			cx_breaker_abandoned();
			break;
		case CX_TROUBLE_RESOURCES:
			cx_breaker_abandoned();
			cx_breaker_log(problem);
			break;
		case CX_TROUBLE_TIMEOUT:
			if (hurried || trouble->own_doing)
			{
				cx_breaker_abandoned();
				break;
			}
			/* FALLTHROUGH */
		case CX_TROUBLE_LOST:
			cx_breaker_failed(false, problem);
			break;
		case CX_TROUBLE_UNREACHABLE:
		case CX_TROUBLE_REFUSED:
		case CX_TROUBLE_PROTOCOL:
			cx_breaker_failed(true, problem);
			break;
	}
}

static void
note_problem(cx_redis_cause cause, bool maybe_done, const char *text)
{
	last_problem.cause = cause;
	last_problem.maybe_done = maybe_done;
	strlcpy(last_problem.text, text, sizeof(last_problem.text));
}

static void
note_trouble(const cx_trouble *trouble, bool maybe_done)
{
	const char *text = trouble->text;
	const char *said;

	switch (trouble->kind)
	{
		case CX_TROUBLE_TOO_LARGE:
			note_problem(CX_REDIS_TOO_LARGE, maybe_done, text);
			break;
		case CX_TROUBLE_REFUSED:
			if (trouble->for_log_only)
			{
				note_problem(CX_REDIS_UNREACHABLE, maybe_done, "see the server log");
				break;
			}
			said = strstr(text, CX_LOGIN_REFUSED);
			note_problem(CX_REDIS_REFUSED, maybe_done,
						 said != NULL ? said + strlen(CX_LOGIN_REFUSED) : text);
			break;
		default:
			note_problem(CX_REDIS_UNREACHABLE, maybe_done, text);
			break;
	}
}

static cx_redis_status
call(const cx_redis_command *commands, int count, cx_redis_reply *replies, call_kind kind,
	 cx_redis_budget *budget)
{
	cx_deadline deadline;
	cx_trouble	trouble;
	bool		hurried;
	bool		maybe_done;
	bool		done;

	if (cx_redis_url[0] == '\0' || !cx_shmem_ready())
	{
		note_problem(CX_REDIS_UNREACHABLE, false, "cache_ext.redis_url is empty");
		return CX_REDIS_UNCONFIGURED;
	}
	if (budget->left_us <= 0 || !INTERRUPTS_CAN_BE_PROCESSED() ||
		!cx_breaker_enter(Max(budget->left_us, (int64) cx_server_redis_timeout * 1000)))
	{
		note_problem(CX_REDIS_UNREACHABLE, false, budget->left_us <= 0 ? "no answer in time" :
					 "not tried, since it did not answer a moment ago");
		cx_count(CX_COUNT_REDIS_SKIPPED);
		return CX_REDIS_DOWN;
	}

	hurried = call_us(budget) < (int64) cx_server_redis_timeout * 1000;
	deadline = cx_wait_deadline(call_us(budget));
	PG_TRY();
	{
		maybe_done = false;
		done = follow_settings(&trouble) &&
			exchange(commands, count, replies, kind, &deadline, &trouble, &maybe_done) &&
			is_served(replies, count, &trouble, &maybe_done);
	}
	PG_CATCH();
	{
		if (connection != NULL)
			cx_connection_close(connection);
		cx_breaker_abandoned();
		PG_RE_THROW();
	}
	PG_END_TRY();
	budget->left_us = deadline.at_us - cx_wait_clock();

	if (done)
	{
		cx_breaker_succeeded();
		for (int i = 0; i < count; i++)
			cx_count(CX_COUNT_REDIS_COMMANDS);
		return CX_REDIS_OK;
	}
	note_trouble(&trouble, maybe_done);
	tell_breaker(&trouble, hurried);
	if (trouble.kind == CX_TROUBLE_UNRESOLVED)
	{
		cx_count(CX_COUNT_REDIS_SKIPPED);
		return CX_REDIS_DOWN;
	}
	cx_count(CX_COUNT_REDIS_ERRORS);
	return CX_REDIS_FAILED;
}

cx_redis_status
cx_redis_call(const cx_redis_command *commands, int count, cx_redis_reply *replies,
			  cx_redis_budget *budget)
{
	return call(commands, count, replies, CALL_REPEATABLE, budget);
}

cx_redis_status
cx_redis_call_once(const cx_redis_command *commands, int count, cx_redis_reply *replies,
				   cx_redis_budget *budget)
{
	return call(commands, count, replies, CALL_ONCE, budget);
}

cx_redis_status
cx_redis_call_kept(const cx_redis_command *commands, int count, cx_redis_reply *replies,
				   cx_redis_budget *budget)
{
	return call(commands, count, replies, CALL_KEPT, budget);
}

const cx_redis_problem *
cx_redis_last_problem(void)
{
	return &last_problem;
}

long
cx_redis_resolve(void)
{
	static TimestampTz last_reload = 0;
	bool		reloaded = PgReloadTime != last_reload;

	/* the reload may have brought another URL or a new password: try it at once */
	if (reloaded)
		cx_breaker_reset();
	last_reload = PgReloadTime;
	return cx_address_resolve(reloaded);
}
