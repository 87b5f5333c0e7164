-- test/account/account.sql: the functions of account.c.  MODULE stands for its file.
CREATE FUNCTION account_open(name text, query text DEFAULT 'some query', query_id bigint DEFAULT 0)
RETURNS bigint AS 'MODULE' LANGUAGE C STRICT;
CREATE FUNCTION account_is_open(account bigint) RETURNS boolean AS 'MODULE' LANGUAGE C STRICT;
CREATE FUNCTION account_miss_us(account bigint) RETURNS float8 AS 'MODULE' LANGUAGE C STRICT;
CREATE FUNCTION account_refusals(account bigint, times int DEFAULT 1, misses boolean DEFAULT false)
RETURNS bigint AS 'MODULE' LANGUAGE C STRICT;
CREATE FUNCTION account_hit(account bigint, us float8, times int DEFAULT 1) RETURNS void
AS 'MODULE' LANGUAGE C STRICT;
CREATE FUNCTION account_miss(account bigint, us float8, own_us float8, stored boolean,
	times int DEFAULT 1)
RETURNS void AS 'MODULE' LANGUAGE C STRICT;
CREATE FUNCTION account_plain(account bigint, us float8, times int DEFAULT 1) RETURNS void
AS 'MODULE' LANGUAGE C STRICT;
-- with these times the cache breaks even at a hit ratio of 40 %, and loses by a tenth at 33 %
CREATE FUNCTION account_run(account bigint, executions int, hits int, hit_us float8 DEFAULT 1,
	miss_us float8 DEFAULT 16, own_us float8 DEFAULT 6, plain_us float8 DEFAULT 10)
RETURNS text AS 'MODULE' LANGUAGE C STRICT;
