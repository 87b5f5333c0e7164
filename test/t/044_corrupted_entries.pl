# Ten thousand corrupted entries: every result is right, no error reaches the client, nothing crashes.
use strict;
use warnings;

use CacheTest;
use Corruption;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $wanted = 10_000;
my $redis = RedisServer->new('corrupted');
my $node = cache_node('corrupted', $redis, 'log_statement = none', 'cache_ext.local_memory = 0');
my $s = Session->new($node);

$s->ok(q{
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE TYPE pair AS (a int, b text);
	CREATE DOMAIN small AS int CHECK (VALUE < 100000);
	CREATE TABLE t (
		id int PRIMARY KEY, i2 smallint, i8 bigint, f4 real, f8 float8, n numeric, b boolean, c "char",
		x text, v varchar(50), y bytea, d date, ts timestamp, tz timestamptz, iv interval, u uuid,
		j json, jb jsonb, a int[], aa text[][], r int4range, m mood, p pair, s small, net inet,
		bits bit varying, pt point);
	INSERT INTO t SELECT g, g, g * 1e10, g / 3.0, g / 7.0, g ^ 7 / 11, g % 2 = 0, 'c',
		repeat(md5(g::text), g % 20), 'v' || g, decode(md5(g::text), 'hex'), '2020-01-01'::date + g,
		'2020-01-01'::timestamp + g * '1 hour'::interval, '2020-01-01 00:00+00'::timestamptz
			+ g * '1 s'::interval,
		g * '1 minute'::interval, md5(g::text)::uuid, json_build_object('g', g), jsonb_build_object('g', g),
		ARRAY[g, NULL, g + 1], ARRAY[ARRAY[g::text, 'a'], ARRAY['b', NULL]], int4range(g, g + 5),
		(ARRAY['sad', 'ok', 'happy', NULL])[1 + g % 4]::mood, ROW(g, 'p' || g)::pair, g,
		('10.0.0.' || g % 250)::inet, (g % 16)::bit(4), point(g, g)
	FROM generate_series(1, 100) g;
	SELECT cache_ext.track('t');

	CREATE TABLE queries (id serial, sql text, columns text, expected text)});

# Queries of every column, of one row, of many, of none.
$s->ok(q{
	INSERT INTO queries (sql, columns)
	SELECT format('SELECT id AS key, %I FROM t WHERE id %% 10 = %s ORDER BY id', attname, n),
		format('key int, %I %s', attname, format_type(atttypid, atttypmod))
	FROM pg_attribute, generate_series(0, 4) n
	WHERE attrelid = 't'::regclass AND attnum > 0;
	INSERT INTO queries (sql, columns)
	SELECT format('SELECT * FROM t WHERE id = %s', n), string_agg(format('%I %s', attname,
		format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	FROM pg_attribute, generate_series(1, 60) n
	WHERE attrelid = 't'::regclass AND attnum > 0 GROUP BY n;
	INSERT INTO queries (sql, columns)
	SELECT format('SELECT id, x FROM t WHERE id > %s ORDER BY id', n * 2 + 10), 'id int, x text'
	FROM generate_series(1, 45) n;

	-- Sets expected to what PostgreSQL gives.
	CREATE FUNCTION ask() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		q record;
		result text;
	BEGIN
		FOR q IN SELECT * FROM queries LOOP
			EXECUTE format('SELECT string_agg(r::text, chr(10)) FROM (%s) r', q.sql) INTO result;
			UPDATE queries SET expected = result WHERE id = q.id;
		END LOOP;
	END $$;

	-- Every query through the cache; returns what is not as expected.
	CREATE FUNCTION wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		q record;
		result text;
	BEGIN
		FOR q IN SELECT * FROM queries ORDER BY id LOOP
			EXECUTE format('SELECT string_agg(r::text, chr(10)) FROM cache_ext.query(%L) AS r(%s)',
						   q.sql, q.columns) INTO result;
			IF result IS DISTINCT FROM q.expected THEN
				RETURN NEXT format('%s: %s instead of %s', q.sql, result, q.expected);
			END IF;
		END LOOP;
	END $$;
	SELECT ask()});

my $count = $s->ok('SELECT count(*) FROM queries');
is($s->query('SELECT * FROM wrong()'), '', "$count queries are right at first");
my ($hits, $fills) = (counter($s, 'hits'), counter($s, 'fills'));
is($fills, $count, 'all of them are cached');
is($s->query('SELECT * FROM wrong()'), '', 'right from the cache');
is(counter($s, 'hits') - $hits, $count, 'all of them hit');

my $corruption = Corruption->new($redis->socket);
my ($corrupted, $wrong, $first_wrong) = (0, 0, '');
my $bad = counter($s, 'bad_entries');
$fills = counter($s, 'fills');
srand(my $seed = $ENV{CX_SEED} || time);
note "CX_SEED=$seed";
while ($corrupted < $wanted)
{
	my $now = $corruption->corrupt_all;
	cmp_ok($now, '>=', $count - 5, 'a round of corrupted entries') or last;
	$corrupted += $now;

	# Now and then the truth changes too.
	if (rand() < 0.3)
	{
		$corruption->remember;
		$s->ok('UPDATE t SET i8 = i8 + 1, x = md5(x) WHERE id % 3 = 0; SELECT ask()');
		$s->query('SELECT * FROM wrong()');
		$corruption->replay;
	}
	my $output = $s->query('SELECT * FROM wrong()');
	next if $output eq '';
	$wrong++;
	$first_wrong ||= $output;
}
is($wrong, 0, "$corrupted corrupted entries: every result is right and none is an error")
  or diag substr($first_wrong, 0, 3000);
my %done = $corruption->done;
note "$_: $done{$_}" for sort keys %done;
cmp_ok((sort { $a <=> $b } values %done)[0], '>', 500, 'in each of the ways');
cmp_ok(counter($s, 'bad_entries') - $bad, '>', $wanted / 2, 'most of them were noticed as such');
cmp_ok(counter($s, 'fills') - $fills, '>=', $corrupted, 'and all of them replaced');
is($s->query('SELECT * FROM wrong()'), '', 'right at the end');
is($s->pid, $s->ok('SELECT pg_backend_pid()'), 'all in one session');

done_testing();
