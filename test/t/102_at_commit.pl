# set and del with at_commit: sent after the commit and not at all without one.
use strict;
use warnings;

use Application;
use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('commit');
my $node = cache_node([ 'commit', allows_streaming => 1 ], $redis, 'max_prepared_transactions = 10', 'cache_ext.delivery_memory = 1MB');
my $s = Session->new($node);
create_result_of($s);
$s->ok('CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)');

# What has been committed is delivered.
sub settled
{
	wait_until('delivery', sub { $s->ok('SELECT backlog FROM cache_ext.delivery') eq '0' });
	return;
}

sub holds
{
	my ($expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	settled();
	is($s->ok(q{SELECT string_agg(key || '=' || value, ' ' ORDER BY key COLLATE "C")
		FROM cache_ext.mget('{a,b,c,d,e}') WHERE value IS NOT NULL}), $expected, $name);
	return;
}

sub reset_keys
{
	settled();
	$s->ok(q{SELECT cache_ext.del('a', 'b', 'c', 'd', 'e')});
	return;
}

note '--- commit and rollback';
returns($s, q{cache_ext.set('a', '1', at_commit => true)}, 'true', 'a transaction of its own');
holds('a=1', 'its key is set');
$s->ok('BEGIN');
returns($s, q{cache_ext.set('a', '{"x": [2, null]}', at_commit => true)}, 'true');
returns($s, q{cache_ext.set('b', '2', at_commit => true)}, 'true');
returns($s, q{cache_ext.del('{c,d,NULL}'::text[], true)}, '2', 'del says how many it will try');
returns($s, q{cache_ext.get('a')}, '1', 'not before the commit');
$s->ok('COMMIT');
holds('a={"x": [2, null]} b=2', 'after it');
$s->ok('BEGIN');
$s->ok(q{SELECT cache_ext.set('a', '3', at_commit => true), cache_ext.del('{b}'::text[], true)});
$s->ok('ROLLBACK');
holds('a={"x": [2, null]} b=2', 'a rollback takes it back');
$s->query(q{BEGIN; SELECT cache_ext.set('a', '4', at_commit => true); SELECT 1 / 0; COMMIT});
holds('a={"x": [2, null]} b=2', 'an error takes it back');
$s->ok('INSERT INTO t VALUES (1)');
$s->ok('BEGIN');
$s->ok(q{SELECT cache_ext.set('a', '5', at_commit => true); INSERT INTO t VALUES (1)});
like($s->query('COMMIT'), qr/duplicate key/, 'a constraint at the commit');
holds('a={"x": [2, null]} b=2', 'takes it back');

note '--- savepoints';
reset_keys();
$s->ok('BEGIN');
$s->ok(q{SELECT cache_ext.set('a', '1', at_commit => true); SAVEPOINT x});
$s->ok(q{SELECT cache_ext.set('a', '2', at_commit => true), cache_ext.set('b', '2', at_commit => true)});
$s->ok('ROLLBACK TO x');
$s->ok(q{SELECT cache_ext.set('c', '3', at_commit => true); SAVEPOINT y});
$s->ok(q{SELECT cache_ext.set('d', '4', at_commit => true); RELEASE y});
$s->ok('COMMIT');
holds('a=1 c=3 d=4', 'a savepoint that is rolled back takes back its own');
reset_keys();
$s->ok(q{DO $$ BEGIN
	PERFORM cache_ext.set('a', '1', at_commit => true);
	BEGIN
		PERFORM cache_ext.set('b', '1', at_commit => true);
		RAISE 'no';
	EXCEPTION WHEN OTHERS THEN
		PERFORM cache_ext.set('c', '1', at_commit => true);
	END;
END $$});
holds('a=1 c=1', 'a block with an exception');

note '--- order';
reset_keys();
$s->ok(q{BEGIN;
	SELECT cache_ext.set('a', to_jsonb(g), at_commit => true) FROM generate_series(1, 100) g;
	SELECT cache_ext.set('b', '1', at_commit => true), cache_ext.del('{b}'::text[], true);
	SELECT cache_ext.del('{c}'::text[], true), cache_ext.set('c', '1', at_commit => true);
	COMMIT});
holds('a=100 c=1', 'of one transaction');
$s->ok(qq{SELECT cache_ext.set('a', '$_', at_commit => true)}) for 1 .. 50;
holds('a=50 c=1', 'of one session');
$s->ok(q{SELECT cache_ext.set('a', to_jsonb('at once'::text)); BEGIN; SELECT cache_ext.set('a', '1', at_commit => true);
	SELECT cache_ext.set('a', '2'); COMMIT});
holds('a=1 c=1', 'at once comes before at commit');

note '--- expiry';
$s->ok(q{SELECT cache_ext.set('a', '1', '1 hour', true)});
settled();
returns($s, q{cache_ext.ttl('a') BETWEEN '59 min' AND '1 hour'}, 'true', 'a TTL');
$s->ok(q{SELECT cache_ext.set('a', '1', NULL, true)});
settled();
returns($s, q{cache_ext.ttl('a')}, 'NULL', 'none');

note '--- Redis down';
reset_keys();
$redis->kill9;
my $took = seconds(sub { $s->ok(q{SELECT cache_ext.set('a', '1', at_commit => true), cache_ext.del('{b}'::text[], true)}) });
cmp_ok($took, '<', 20, 'nobody waits for Redis');
refuses($s, q{cache_ext.set('c', '1')}, '08006', 'at once fails');
$redis->start;
redis_answers($s);
holds('a=1', 'delivered when Redis is back');

note '--- what does not fit';
refuses($s, q{cache_ext.set(repeat('x', 1024), '1', at_commit => true)}, '54000', 'a name of more than 1,024 bytes');
returns($s, q{cache_ext.set(repeat('x', 1000), '1', at_commit => true)}, 'true', 'one of less');
refuses($s, q{cache_ext.set('a', (repeat('[', 3001) || repeat(']', 3001))::jsonb, at_commit => true)}, '54000', 'a value nested too deeply');
$s->ok(q{BEGIN; SELECT cache_ext.set('a', to_jsonb(repeat('x', 1000000)), at_commit => true), cache_ext.set('b', to_jsonb(repeat('x', 1000000)), at_commit => true)});
like($s->query('COMMIT'), qr/ERROR/, 'more than delivery_memory holds makes the commit fail');
holds('a=1', 'and changes nothing');

note '--- two-phase commit';
$s->ok(q{BEGIN; SELECT cache_ext.set('b', '1', at_commit => true)});
like($s->query(q{PREPARE TRANSACTION 'p'}), qr/cannot PREPARE/, 'is refused');
holds('a=1', 'and changes nothing, either');
$s->ok(q{BEGIN; INSERT INTO t VALUES (2); SELECT cache_ext.set('b', '1'); PREPARE TRANSACTION 'p'});
$s->ok(q{COMMIT PREPARED 'p'});
holds('a=1 b=1', 'at once has nothing to do with it');

note '--- many sessions';
reset_keys();
{
	my @sessions = map { Session->new($node) } 1 .. 4;
	for my $i (1 .. 25)
	{
		for my $n (0 .. 3)
		{
			my $end = $i % 2 ? 'COMMIT' : 'ROLLBACK';
			$sessions[$n]->send("BEGIN; SELECT cache_ext.set('s$n', '$i', at_commit => true); $end");
		}
		$_->finish for @sessions;
	}
	settled();
	is($s->ok(q{SELECT string_agg(value::text, ' ') FROM cache_ext.mget('{s0,s1,s2,s3}')}), '25 25 25 25', 'each session has its last commit');
}

note '--- a standby';
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $other = Session->new($standby);
returns($other, q{cache_ext.set('a', '"standby"')}, 'true', 'at once');
returns($other, q{cache_ext.get('a')}, '"standby"');
refuses($other, q{cache_ext.set('a', '1', at_commit => true)}, '25006', 'no commit to wait for');
refuses($other, q{cache_ext.del('{a}'::text[], true)}, '25006', 'nor for del');
refuses($other, q{cache_ext.lock('l', '1 hour', release_at_end => true)}, '25006', 'nor for a lock');
returns($s, q{cache_ext.get('a')}, '"standby"', 'the primary sees the same');

done_testing();
