# A hot standby answers every query right, without the cache; promoted, it is a server like any other.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('standby');
my $primary = cache_node([ 'primary', allows_streaming => 1 ], $redis, 'max_prepared_transactions = 10');
my $p = Session->new($primary);
$p->ok(q{
	CREATE TABLE t (id int PRIMARY KEY, value int);
	CREATE TABLE u (id int PRIMARY KEY, value int);
	INSERT INTO t SELECT g, g FROM generate_series(1, 10) g;
	INSERT INTO u SELECT g, g FROM generate_series(1, 10) g;
	SELECT cache_ext.track('t', '{id}'), cache_ext.track('u')});
my @queries = ('SELECT value::text FROM t WHERE id = 1', 'SELECT sum(value)::text FROM t',
	'SELECT sum(t.value + u.value)::text FROM t JOIN u USING (id)');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $s = Session->new($standby);

sub catch_up { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); return; }

# Both servers share Redis, system identifier and database, so they share the names of entries too.
catch_up();
stores($p, $_, 'primary') for @queries;
hits($p, $_, 'primary') for @queries;
bypasses($s, $_, 'standby') for @queries;
bypasses($s, $_, 'standby again') for @queries;
hits($p, $_, 'primary, after the standby was asked') for @queries;

# It follows the primary, and what it sees is what it answers.
for my $round (1 .. 3)
{
	$p->ok('UPDATE t SET value = value + 1 WHERE id = 1');
	catch_up();
	bypasses($s, $_, "standby, after change $round") for @queries;
	is(cached($s, $queries[0]), 1 + $round, "standby sees change $round");
	not_hit($p, $_, "primary, after change $round") for @queries;
}
$p->ok('TRUNCATE u');
catch_up();
bypasses($s, $_, 'standby, after TRUNCATE') for @queries;
$p->ok('INSERT INTO u SELECT g, g FROM generate_series(1, 10) g');

# Replay is stopped: the standby stays right by what it has, the primary by what it did.
$s->ok('SELECT pg_wal_replay_pause()');
wait_until('replay is paused', sub { $s->ok('SELECT pg_get_wal_replay_pause_state()') eq 'paused' });
$p->ok('UPDATE t SET value = 100 WHERE id = 1');
is_exact($p, $_, 'primary, while replay is paused') for @queries;
bypasses($s, $_, 'standby, while replay is paused') for @queries;
is(cached($s, $queries[0]), '4', 'standby: not the row that it has not replayed');
$s->ok('SELECT pg_wal_replay_resume()');
catch_up();
is(cached($s, $queries[0]), '100', 'standby: and now it has');

# Other doors.
for ('cache_ext.invalidate_all()', q{cache_ext.invalidate('t')}, q{cache_ext.track('u', '{id}')})
{
	like($s->query("SELECT $_"), qr/ERROR:/, "standby refuses $_");
}
like($s->query("SELECT cacheable, coalesce(valid, false) FROM cache_ext.explain('$queries[0]')"),
	qr/^[tf]\|f$/, 'standby: explain calls nothing valid');
is($s->query("SELECT cache_ext.warm('$queries[0]')"), '0', 'standby: warm stores nothing');

# Entries of the primary, also of what it alone knew, and a transaction that was prepared there.
$p->ok("BEGIN; UPDATE t SET value = 7 WHERE id = 2; PREPARE TRANSACTION 'over'");
catch_up();
stores($p, 'SELECT value::text FROM t WHERE id = 2', 'primary, before the end');
my $open = Session->new($standby);
$open->ok('BEGIN; SELECT 1');
$primary->stop('immediate');
$standby->promote;

# Sessions from before the promotion, new ones, and a transaction that lasts through it.
is_exact($open, $_, 'a transaction from before the promotion') for @queries;
$open->ok('COMMIT');
for my $session ($s, $open, Session->new($standby))
{
	cached($session, $_) for @queries;
	is_exact($session, $_, 'promoted') for @queries;
}
not_hit($s, 'SELECT value::text FROM t WHERE id = 2', 'promoted: what the primary stored is not used');
hits($s, $_, 'promoted, stored by itself') for @queries;
$s->ok('UPDATE t SET value = 200 WHERE id = 1');
not_hit($s, $queries[0], 'promoted, after a change');
is(cached($open, $queries[0]), '200', 'promoted: another session sees it too');
cached($s, 'SELECT value::text FROM t WHERE id = 2');
hits($s, 'SELECT value::text FROM t WHERE id = 2', 'promoted: before COMMIT PREPARED');
$s->ok("COMMIT PREPARED 'over'");
not_hit($s, 'SELECT value::text FROM t WHERE id = 2', 'promoted: after COMMIT PREPARED');
is(cached($s, 'SELECT value::text FROM t WHERE id = 2'), '7', 'promoted: what was prepared on the primary');
cached($s, $queries[0]);
$standby->restart;
$s = Session->new($standby);
hits($s, $queries[0], 'promoted, after a clean restart');

# The old primary comes up alone, with all its entries still in Redis: it crashed, so none is used.
$primary->start;
$p = Session->new($primary);
not_hit($p, $_, 'the old primary, started again') for @queries;
is(cached($p, $queries[0]), '100', 'the old primary answers from its own tables');
is_exact($s, $_, 'the new one, after the old one stored its own') for @queries;

done_testing();
