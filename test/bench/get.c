/*
 * test/bench/get.c
 *		How long a bare GET takes: get SOCKET KEY SECONDS prints GETs a second of one connection.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	redisContext *redis;
	double		start,
				seconds;
	long		count = 0;

	if (argc != 4 || (redis = redisConnectUnix(argv[1])) == NULL || redis->err)
	{
		fprintf(stderr, "usage: get SOCKET KEY SECONDS, and a server at SOCKET\n");
		return 1;
	}
	seconds = atof(argv[3]);
	start = now();
	do
	{
		redisReply *reply = redisCommand(redis, "GET %s", argv[2]);

		if (reply == NULL || reply->type != REDIS_REPLY_STRING)
		{
			fprintf(stderr, "no string at %s\n", argv[2]);
			return 1;
		}
		freeReplyObject(reply);
		count++;
	} while (now() - start < seconds);
	printf("%f\n", count / (now() - start));
	return 0;
}
