# Changes that an apply worker commits are never missed: at the moment that anybody sees them, and
# where a two-phase transaction is committed after a restart of the subscriber.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('subscription');
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$publisher->start;
my $subscriber = cache_node([ 'subscriber', allows_streaming => 'logical' ], $redis,
	'max_prepared_transactions = 10');

my $tables = q{
	CREATE TABLE keyed (id int PRIMARY KEY, value int);
	CREATE TABLE plain (id int PRIMARY KEY, value int)};
my $p = Session->new($publisher);
my $s = Session->new($subscriber);
$p->ok("$tables; INSERT INTO keyed VALUES (1, 0), (2, 0); INSERT INTO plain VALUES (1, 0), (2, 0);"
	. 'CREATE PUBLICATION pub FOR TABLE keyed, plain');
$s->ok("$tables; CREATE TABLE own (value int); INSERT INTO own VALUES (5)");
$s->ok(q{SELECT cache_ext.track('own')});
my $connection = $publisher->connstr . ' dbname=postgres';
$s->ok("CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub WITH (two_phase = true)");
$s->ok(q{SELECT cache_ext.track('keyed', '{id}'), cache_ext.track('plain')});
wait_until('the tables are copied', sub {
	$s->ok(q{SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'}) eq '0'
	  && $s->ok('SELECT subtwophasestate FROM pg_subscription') eq 'e' });
is($s->ok('SELECT bool_and(complete) FROM cache_ext.tracked'), 't', 'the tables are tracked');

my %queries = (
	key => 'SELECT value::text FROM keyed WHERE id = 1',
	'other key' => 'SELECT value::text FROM keyed WHERE id = 2',
	table => 'SELECT sum(value)::text FROM keyed',
	plain => 'SELECT sum(value)::text FROM plain');
my $own = 'SELECT value::text FROM own';

# Until all of them hit: the worker's own transactions may keep a fill from being the latest.
sub warm
{
	for my $sql ($own, values %queries)
	{
		wait_until("a hit of $sql", sub { outcome($s, $sql) eq 'hit' });
	}
	return;
}

# As soon as the plain query sees a change the cached one does, alone or with others.
my $stale = 0;
for my $round (1 .. 50)
{
	cached($s, $_) for values %queries;
	$p->ok("BEGIN; UPDATE keyed SET value = $round WHERE id = 1; UPDATE plain SET value = $round WHERE id = 1;"
		. ($round % 2 ? 'COMMIT' : "PREPARE TRANSACTION 'r$round'; COMMIT PREPARED 'r$round'"));
	wait_until("change $round is seen", sub {
		cached($s, $_) for $queries{key}, $queries{plain};
		return $s->ok($queries{key}) eq $round });
	$stale += cached($s, $queries{$_}) ne $round for qw(key table plain);
}
is($stale, 0, 'what was seen without the cache is seen with it');
warm();
pass('and everything is cached again');

# Prepared by the worker, ended after what happens to the subscriber meanwhile.
for my $meanwhile ('nothing', 'restart', 'immediate shutdown')
{
	for my $ending (qw(COMMIT ROLLBACK))
	{
		warm();
		$p->ok('BEGIN; UPDATE keyed SET value = value + 1 WHERE id = 1;'
			. " UPDATE plain SET value = value + 1; PREPARE TRANSACTION 'two'");
		wait_until('it is prepared', sub { $s->ok('SELECT count(*) FROM pg_prepared_xacts') eq '1' });
		my $before = $s->ok($queries{key});
		if ($meanwhile ne 'nothing')
		{
			$s->close;
			$subscriber->stop($meanwhile eq 'restart' ? 'fast' : 'immediate');
			$subscriber->start;
			$s = Session->new($subscriber);
			is_exact($s, $_, "$meanwhile while prepared") for values %queries;
			not_hit($s, $queries{$_}, "$meanwhile while prepared") for qw(key table plain);
		}
		else
		{
			hits($s, $own, 'prepared: what it does not concern');
			misses($s, $queries{$_}, 'prepared: what it concerns is pending') for qw(key table plain);
		}

		$p->ok("$ending PREPARED 'two'");
		wait_until('it has ended', sub {
			cached($s, $_) for values %queries;
			return $s->ok('SELECT count(*) FROM pg_prepared_xacts') eq '0' });
		is_exact($s, $_, "$ending PREPARED after $meanwhile") for values %queries;
		is(cached($s, $queries{key}), $ending eq 'COMMIT' ? $before + 1 : $before,
			"$ending PREPARED after $meanwhile: what came of it");
		warm();
		hits($s, $_, "$ending PREPARED after $meanwhile: not pending for ever") for values %queries;
	}
}

done_testing();
