/*
 * redis/login.c
 *		What a new connection says first: AUTH, SELECT, PING, in one batch.
 *
 * 1. The password is read when it is needed, kept nowhere, and no message repeats it.
 * 2. Nothing else is sent before the replies are in: a command must not run in another database
 *	  than the one asked for.
 */
#include "postgres.h"

#include "redis/login.h"

#include "base/settings.h"

#include "storage/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longer than any password or access token. */
#define PASSWORD_SIZE 8192

typedef struct login_batch
{
	cx_redis_command commands[3];
	const char *args[3][3];
	size_t		lengths[3][3];
	int			count;
} login_batch;

static void
add_command(login_batch *batch, const char *verb, const char *first, const char *second)
{
	int			at = batch->count++;
	int			argc = 0;
	const char *words[3] = {verb, first, second};

	for (int i = 0; i < 3; i++)
		if (words[i] != NULL)
		{
			batch->args[at][argc] = words[i];
			batch->lengths[at][argc] = strlen(words[i]);
			argc++;
		}
	batch->commands[at].argc = argc;
	batch->commands[at].argv = batch->args[at];
	batch->commands[at].argvlen = batch->lengths[at];
}

/* The first line of a regular file; opening anything else could block. */
static bool
read_password_file(const char *path, char password[PASSWORD_SIZE], cx_trouble *trouble)
{
	struct stat status;
	ssize_t		length = -1;
	int			fd = BasicOpenFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);

	if (fd >= 0)
	{
		errno = EINVAL;
		if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
			length = read(fd, password, PASSWORD_SIZE - 1);
		if (length < 0)
		{
			int			saved_errno = errno;

			close(fd);
			errno = saved_errno;
		}
		else
			close(fd);
	}
	if (length < 0)
	{
		cx_trouble_set(trouble, CX_TROUBLE_REFUSED,
					   "could not read the password file \"%s\": %s", path, strerror(errno));
		trouble->for_log_only = true;
		return false;
	}
	password[length] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	return true;
}

static bool
starts_with(const cx_redis_reply *reply, const char *code)
{
	size_t		length = strlen(code);

	return reply->length >= length && memcmp(reply->data, code, length) == 0;
}

bool
cx_login_needed(const cx_redis_reply *reply)
{
	return reply->type == CX_REDIS_ERROR &&
		(starts_with(reply, "LOADING") || starts_with(reply, "MASTERDOWN") ||
		 starts_with(reply, "NOAUTH") || starts_with(reply, "WRONGPASS"));
}

bool
cx_login(cx_connection *connection, const cx_redis_target *url, cx_deadline *deadline,
		 cx_trouble *trouble)
{
	char		password[PASSWORD_SIZE];
	char		database[16];
	login_batch batch = {.count = 0};
	cx_redis_reply replies[3];
	bool		has_password = url->has_password;
	cx_progress progress;
	bool		done;

	strlcpy(password, url->password, sizeof(password));
	if (cx_redis_password_file[0] != '\0')
	{
		if (!read_password_file(cx_redis_password_file, password, trouble))
		{
			cx_connection_close(connection);
			return false;
		}
		has_password = true;
	}

	/* a user without a password is still somebody else than the default user */
	if (url->has_user)
		add_command(&batch, "AUTH", url->user, password);
	else if (has_password)
		add_command(&batch, "AUTH", password, NULL);
	if (url->database != 0)
	{
		snprintf(database, sizeof(database), "%d", url->database);
		add_command(&batch, "SELECT", database, NULL);
	}
	/* unlike the others, this one is refused while the server loads, or asks for a password */
	add_command(&batch, "PING", NULL, NULL);

	done = cx_connection_exchange(connection, batch.commands, batch.count, replies, deadline,
								  trouble, &progress);
	explicit_bzero(password, sizeof(password));
	if (!done)
		return false;

	for (int i = 0; i < batch.count; i++)
	{
		bool		is_ping = i == batch.count - 1;

		/* who may not PING may still GET */
		if (replies[i].type != CX_REDIS_ERROR || (is_ping && starts_with(&replies[i], "NOPERM")))
			continue;
		cx_connection_close(connection);
		return cx_trouble_set(trouble, CX_TROUBLE_REFUSED, "%s" CX_LOGIN_REFUSED "%s",
							  batch.args[i][0], replies[i].data);
	}
	return true;
}
