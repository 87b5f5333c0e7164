# Looking into the bodies of functions leaves no trace: no lock, no wait for one, no error, no message, no change
# of the function that is running.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('functions');
my $node = cache_node('functions', $redis);

$node->safe_psql('postgres', q{
	CREATE TABLE seen (id int);
	CREATE TABLE unseen (id int);
	INSERT INTO seen VALUES (1), (2);
	SELECT cache_ext.track('seen'), cache_ext.track('unseen');
	CREATE VIEW over_unseen AS SELECT * FROM unseen;
	CREATE FUNCTION branch(int) RETURNS int STABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 < 0 THEN
			RETURN (SELECT max(id) FROM unseen);
		ELSIF $1 < -1 THEN
			RETURN (SELECT max(id) FROM over_unseen);
		END IF;
		RETURN $1;
	END $$;
	CREATE FUNCTION wrong(int) RETURNS int STABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 < 0 THEN
			RETURN 'x'::int;
		END IF;
		RETURN $1;
	END $$;
	CREATE FUNCTION warns(int) RETURNS int STABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 < 0 THEN
			RETURN length('\\\\');
		END IF;
		RETURN $1;
	END $$;
	CREATE FUNCTION own(n int) RETURNS int STABLE LANGUAGE plpgsql AS $$
	DECLARE
		r record;
		m int := 0;
	BEGIN
		IF n = 0 THEN
			RETURN 0;
		ELSE
			FOR r IN SELECT id AS x FROM seen ORDER BY id LOOP
				m := m * 10 + r.x + (SELECT cache FROM cache_ext.query('SELECT own(0)') AS q (cache int));
			END LOOP;
		END IF;
		m := m + r.x * length(n::text) - 2;		-- is parsed when it is come to
		RETURN m;
	END $$});

my $locker = Session->new($node);
my $reader = Session->new($node);
$reader->ok('SET cache_ext.mode = auto');
$reader->ok('SET cache_ext.min_cost = 0');

# with a timeout, an error instead of a test that hangs
$reader->ok(q{SET statement_timeout = '60s'});
$locker->ok('BEGIN');
$locker->ok('LOCK TABLE unseen');
is($reader->query('SELECT branch(id) FROM seen ORDER BY id'), "1\n2", 'a table of a branch that is not taken is locked');
like($reader->query(q{SELECT reason FROM cache_ext.explain('SELECT branch(id) FROM seen')}),
	qr/^function branch\(integer\) was not allowed by cache_ext.allow_function\(\): it can't be analysed: canceling statement due to lock timeout$/,
	'which makes the function one that is not understood for now');
$locker->ok('ROLLBACK');
is($reader->query(q{SELECT cacheable FROM cache_ext.explain('SELECT branch(id) FROM seen')}), 't',
	'and understood later');

my $locks = q{SELECT count(*) FROM pg_locks WHERE relation IN ('unseen'::regclass, 'over_unseen'::regclass)};
$reader->ok('BEGIN');
is($reader->query('SELECT branch(id) FROM seen WHERE id < 10 ORDER BY id'), "1\n2", 'a miss');
is($reader->query($locks), '0', 'no lock is left of looking into a function');
is($reader->query('SELECT wrong(id) FROM seen ORDER BY id'), "1\n2", 'an error where a call does not come');
is($reader->query('SELECT 1'), '1', 'does not end the transaction');
$reader->ok('COMMIT');

$reader->ok('SET standard_conforming_strings = off');
$reader->ok('SET check_function_bodies = off');
is($reader->query('SELECT warns(id) FROM seen ORDER BY id'), "1\n2", 'no warning of a text that is not run');
$reader->ok('RESET standard_conforming_strings');

is($reader->query('SELECT own(1)'), '12', 'a function that is looked into while it runs');
is($reader->query('SELECT own(1)'), '12', 'goes on as if it were not');

$reader->close;
$locker->close;
$node->stop;
done_testing();
