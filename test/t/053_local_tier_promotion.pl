# A standby has shared memory of its own: it keeps nothing there before it is promoted, and afterwards it
# serves what it stored itself.  Sessions, prepared statements and transactions that were there before go
# on.  Nor does a primary that became a standby bring anything back.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my @settings = ('max_prepared_transactions = 10', 'cache_ext.mode = auto', 'cache_ext.min_cost = 0');
my $one = cache_node([ 'one', allows_streaming => 1 ], undef, @settings);
my $p = Session->new($one);
$p->ok(q{
	CREATE TABLE t (id int PRIMARY KEY, value int);
	INSERT INTO t SELECT g, 0 FROM generate_series(1, 10) g;
	SELECT cache_ext.track('t', '{id}')});
$one->backup('base');
my $two = PostgreSQL::Test::Cluster->new('two');
$two->init_from_backup($one, 'base', has_streaming => 1);
$two->start;

my $sql = 'SELECT value::text FROM t WHERE id = ';
my @ways = (through_cache("${sql}1"), "${sql}2", 'EXECUTE q', 'EXECUTE q_of(4)');

sub prepare
{
	my ($s) = @_;
	$s->ok("PREPARE q AS ${sql}3; PREPARE q_of(int) AS $sql\$1");
	return $s;
}

# Each way of asking, in a session: the value, and how often it came from the cache.
sub all_are
{
	my ($s, $value, $hits, $name) = @_;
	my $counter = 'SELECT hits FROM cache_ext.stats()';
	my $before = $s->ok($counter);
	my @values = map { $s->query($_) } @ways;
	my $after = $s->ok($counter);
	is("@values", join(' ', ($value) x @ways), "$name: right");
	is($after - $before, $hits, "$name: hits");
	return;
}

sub catch_up
{
	my ($from, $to) = @_;
	$from->wait_for_catchup($to, 'replay', $from->lsn('insert'));
	return;
}

my $s = prepare(Session->new($two));
my $in_transaction = prepare(Session->new($two));
my $one_snapshot = prepare(Session->new($two));
prepare($p);

catch_up($one, $two);
all_are($p, 0, 0, 'primary, first');
all_are($p, 0, 4, 'primary, again');
all_are($s, 0, 0, 'standby, first');
for my $round (1 .. 7)
{
	# Long enough for a generic plan.
	$p->ok('UPDATE t SET value = value + 1');
	catch_up($one, $two);
	all_are($s, $round, 0, "standby, after change $round");
	all_are($p, $round, 0, "primary, after change $round");
	all_are($p, $round, 4, "primary, after change $round, again");
}

# What was prepared for commit is known to the new one as to the old one.
$p->ok("BEGIN; UPDATE t SET value = value + 1; PREPARE TRANSACTION 'over'");
catch_up($one, $two);
$in_transaction->ok('BEGIN');
$one_snapshot->ok('BEGIN ISOLATION LEVEL REPEATABLE READ');
all_are($_, 7, 0, 'standby, in a transaction') for $in_transaction, $one_snapshot;
$p->close;
$one->stop('fast');
$two->promote;

# The first of them to ask may store, but not who keeps a snapshot from before.
all_are($one_snapshot, 7, 0, 'promoted, with the snapshot from before');
all_are($in_transaction, 7, 0, 'promoted, in a transaction from before');
all_are($in_transaction, 7, 4, 'promoted, in a transaction from before, again');
all_are($one_snapshot, 7, 0, 'promoted, with the snapshot from before, again');
all_are($s, 7, 4, 'promoted, a session from before');
all_are(prepare(Session->new($two)), 7, 4, 'promoted, a new session');
my $value = 7;
for my $change ("COMMIT PREPARED 'over'", 'UPDATE t SET value = value + 1')
{
	$s->ok($change);
	$value++;
	all_are($in_transaction, $value, 0, "promoted, after $change");
	all_are($in_transaction, $value, 4, "promoted, after $change, again");
	all_are($one_snapshot, 7, 0, "promoted, with the snapshot from before, after $change");
	all_are($s, $value, 4, "promoted, a session from before, after $change");
}
$_->close for $s, $in_transaction, $one_snapshot;

note '--- the old primary as standby of the new one, then promoted';
$one->enable_streaming($two);
$one->start;
catch_up($two, $one);
$s = prepare(Session->new($one));
all_are($s, 9, 0, 'primary before, now standby') for 1 .. 2;
$two->safe_psql('postgres', 'UPDATE t SET value = value + 1');
catch_up($two, $one);
all_are($s, 10, 0, 'primary before, now standby, after a change') for 1 .. 2;
$two->stop('fast');
$one->promote;
all_are($s, 10, 0, 'primary before, promoted');
all_are($s, 10, 4, 'primary before, promoted, again');

done_testing();
