# A statement that was not planned because its result was there, when the result is gone at its execution: it is
# planned then, and everything is as without the cache.
#
# The plan of a prepared statement without parameters stays in the plan cache with nothing below its cache scan,
# until the oldest running transaction is another one.  So a transaction that stays open keeps such plans.
use strict;
use warnings;

use CacheTest;
use LocalState;
use PostgreSQL::Test::Utils;
use Protocol;
use Session;
use Test::More;

my $node = cache_node('vanished', undef,
	'cache_ext.mode = auto', 'cache_ext.min_cost = 0', "TimeZone = 'UTC'");
$node->safe_psql('postgres', slurp_file('test/stop_points.sql'));
$node->safe_psql('postgres', <<'EOS');
CREATE ROLE member;
CREATE ROLE reader;
GRANT reader TO member;
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
INSERT INTO t SELECT i, i * 10 FROM generate_series(1, 10) i;
SELECT cache_ext.track('t');
GRANT SELECT ON t TO reader;
CREATE TABLE parted (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (5);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (5) TO (100);
INSERT INTO parted SELECT * FROM t;
SELECT cache_ext.track('parted');
CREATE VIEW doubled AS SELECT id, 2 * v AS v FROM t;
GRANT SELECT ON doubled TO reader;
CREATE FUNCTION next_to(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 1; END';
EOS
my $tier = LocalState->new($node);
my $admin = Protocol->connect($node);
my $watcher = Session->new($node);

# Keeps the oldest running transaction what it is.
my $holder = Protocol->connect($node);
$holder->rows('BEGIN');
$holder->rows('SELECT pg_current_xact_id()');

sub run { my ($c, $sql) = @_; return [ Protocol::shown($c->query($sql)->answers) ]; }

sub counted
{
	my ($row) = $admin->rows('SELECT hits, fills, misses FROM cache_ext.stats()');
	return @$row;
}

# A connection with a statement, prepared as kept, whose plan has nothing below: EXPLAIN says what it would do.
sub with_childless_plan
{
	my ($sql, $role) = @_;
	my $c = Protocol->connect($node);
	$c->rows("SET ROLE $role") if $role;
	$admin->rows('SELECT cache_ext.reset_statements()');
	$c->rows($sql) for 1, 2;
	$c->rows("PREPARE kept AS $sql");
	$c->rows('EXECUTE kept');
	return $c;
}

# What EXECUTE gives after something happened is what the statement gives without the cache; it is planned
# once more, and then it is a hit again.
sub is_planned_after
{
	my ($name, $sql, $event) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $c = with_childless_plan($sql);
	my $uncached = Protocol->connect($node);
	$uncached->rows('SET cache_ext.enabled = off');
	$uncached->rows("PREPARE kept AS $sql");

	$event->();
	my @before = counted();
	my $plain = run($uncached, 'EXECUTE kept');
	is_deeply(run($c, 'EXECUTE kept'), $plain, "$name: the same, $sql");
	my @after = counted();
	is(join(' ', map { $after[$_] - $before[$_] } 0 .. 2), '0 1 1', "$name: a miss, that fills, $sql");
	is_deeply(run($c, 'EXECUTE kept'), $plain, "$name: and once more, $sql");
	is((counted())[0], $after[0] + 1, "$name: a hit then, $sql");
	unlike(join("\n", map { $_->[0] } $c->rows('EXPLAIN (ANALYZE, COSTS off) EXECUTE kept')), qr/->/,
		"$name: with nothing below, $sql");
	like(join("\n", map { $_->[0] } $c->rows('EXPLAIN (COSTS off) EXECUTE kept')), qr/->/,
		"$name: EXPLAIN alone shows a plan, $sql");
	return;
}

my %events = (
	'changed' => sub { $admin->rows('UPDATE t SET v = v + 1'); $admin->rows('UPDATE parted SET v = v + 1') },
	'called invalid' => sub { $admin->rows(q{SELECT cache_ext.invalidate('t'), cache_ext.invalidate('parted')}) },
	'cleared' => sub { $tier->clear },
);
my @queries = (
	'SELECT sum(v) FROM t',
	'SELECT id, v FROM t ORDER BY v DESC',
	'SELECT id FROM t ORDER BY v DESC',
	'SELECT FROM t',
	'SELECT id, (SELECT max(v) FROM t b WHERE b.id < a.id) FROM t a WHERE v > (SELECT avg(v) FROM t) ORDER BY 1',
	'WITH b AS MATERIALIZED (SELECT * FROM t) SELECT count(*) FROM b x, b y',
	'WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < (SELECT count(*) FROM t)) SELECT * FROM up',
	'SELECT id, sum(v) OVER (ORDER BY id) FROM t',
	'SELECT v FROM t UNION SELECT v FROM parted ORDER BY 1',
	'SELECT sum(v) FROM parted',
	'SELECT v FROM parted WHERE id = 7',
	'SELECT * FROM doubled ORDER BY id',
	'SELECT id, next_to(v) FROM t ORDER BY id',
	'SELECT id, generate_series(1, v) FROM t WHERE id = 1 LIMIT 3',
	'SELECT a.id, b.v FROM t a LEFT JOIN parted b ON a.id = b.id + 5 ORDER BY 1',
	'SELECT t, ROW(id, v) = ROW(1, 2) FROM t ORDER BY id',
);
for my $event (sort keys %events)
{
	is_planned_after($event, $_, $events{$event}) for @queries;
}

# In parallel, as far as PostgreSQL does it.
$admin->rows(q{ALTER SYSTEM SET force_parallel_mode = on}) if $node->pg_version < 16;
$admin->rows(q{ALTER SYSTEM SET debug_parallel_query = on}) if $node->pg_version >= 16;
$admin->rows('SELECT pg_reload_conf()');
is_planned_after('changed, in parallel', $_, $events{changed}) for 'SELECT sum(v) FROM t', 'SELECT id, v FROM t ORDER BY v';
$admin->rows('ALTER SYSTEM RESET ALL');
$admin->rows('SELECT pg_reload_conf()');

note '--- commands around it';
my $c = with_childless_plan('SELECT sum(v) FROM t');
$admin->rows('UPDATE t SET v = v + 1');
my $sum = $admin->value('SELECT sum(v) FROM t WHERE random() >= 0');
is($c->value('EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) EXECUTE kept'),
	'Custom Scan (Cached Result) (actual rows=1 loops=1)', 'EXPLAIN ANALYZE');
$tier->clear;
$c->rows('CREATE TABLE made AS EXECUTE kept');
is($c->value('TABLE made'), $sum, 'CREATE TABLE AS');
$tier->clear;
$c->rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($c->value('EXECUTE kept'), $sum, 'in a transaction that bypasses the cache');
$c->rows('COMMIT');
$c->rows('BEGIN');
$c->rows('UPDATE t SET v = v + 1 WHERE id = 1');
is($c->value('EXECUTE kept'), $sum + 1, 'in a transaction that has changed the table');
$c->rows('ROLLBACK');
is($c->value('EXECUTE kept'), $sum, 'which is rolled back');

# By messages, in parts.
$c = Protocol->connect($node);
my $parts = 'SELECT id FROM t ORDER BY id';
$c->rows($parts) for 1, 2;
$c->parse('s', $parts)->bind('', 's', [])->execute('')->sync->answers;
$tier->clear;
my @messages = $c->bind('p', 's', [])->describe('P', 'p')->execute('p', 4)->execute('p', 4)->execute('p')->sync->answers;
is(join(' ', map { $_->[0] } @messages), '2 T D D D D s D D D D s D D C Z', 'a portal, in parts');

note '--- rights';
for my $taken (
	[ 'a membership', 'REVOKE reader FROM member', 'GRANT reader TO member' ],
	[ 'the right itself', 'REVOKE SELECT ON t FROM reader', 'GRANT SELECT ON t TO reader' ],
	[ 'a right on a function', 'REVOKE EXECUTE ON FUNCTION next_to FROM PUBLIC',
		'GRANT EXECUTE ON FUNCTION next_to TO PUBLIC' ])
{
	my ($what, $revoke, $grant) = @$taken;
	my $sql = $what =~ /function/ ? 'SELECT next_to(v) FROM t WHERE id = 1' : 'SELECT v FROM t WHERE id = 1';
	$c = with_childless_plan($sql, 'member');
	$admin->rows($revoke);
	like(join(' ', @{ run($c, 'EXECUTE kept') }), qr/C42501.*permission denied for (table t|function next_to)/,
		"$what was taken away");
	like(join(' ', @{ run($c, $sql) }), qr/C42501/, "$what: as for the statement itself");
	$admin->rows($grant);
	is($c->value('EXECUTE kept'), $c->value($sql), "$what was given back");
	$tier->clear;
	$admin->rows($revoke);
	like(join(' ', @{ run($c, 'EXECUTE kept') }), qr/C42501/, "$what was taken away, and the entry is gone");
	$admin->rows($grant);
}
$c = with_childless_plan('SELECT v FROM doubled WHERE id = 1', 'member');
$admin->rows('REVOKE SELECT ON doubled FROM reader');
like(join(' ', @{ run($c, 'EXECUTE kept') }), qr/permission denied for view doubled/, 'a right on a view');

note '--- definitions';
$c = with_childless_plan('SELECT * FROM t WHERE id = 1');
$admin->rows('ALTER TABLE t ADD COLUMN more int');
like(join(' ', @{ run($c, 'EXECUTE kept') }), qr/cached plan must not change result type/, 'a column more');
$admin->rows('ALTER TABLE t DROP COLUMN more');
is($c->value('EXECUTE kept'), 1, 'and no more');
$admin->rows(q{SELECT cache_ext.untrack('t')});
my @before = counted();
is($c->value('EXECUTE kept'), 1, 'untracked');
is_deeply([ counted() ], \@before, 'it is not cached then');
$admin->rows(q{SELECT cache_ext.track('t')});

note '--- locks';
for my $locked ('parted', 'parted_1')
{
	$c = with_childless_plan('SELECT sum(v) FROM parted');
	$admin->rows('UPDATE parted SET v = v + 1');
	my $expected = $admin->value('SELECT sum(v) FROM parted WHERE random() >= 0');
	my $locker = Session->new($node);
	$locker->ok("BEGIN; LOCK TABLE ONLY $locked IN ACCESS EXCLUSIVE MODE");

	my $waits = sub {
		wait_until('it waits for the lock', sub {
			$watcher->ok('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $c->pid) eq 'Lock';
		});
	};
	$c->query('EXECUTE kept')->send;
	$waits->();
	$c->cancel;
	like(join(' ', Protocol::shown($c->answers)), qr/C57014/, "$locked: cancelled while it waits for a lock");

	$c->rows(q{SET lock_timeout = '10ms'});
	like(join(' ', @{ run($c, 'EXECUTE kept') }), qr/C55P03/, "$locked: lock_timeout");
	$c->rows('RESET lock_timeout');
	$c->rows(q{SET statement_timeout = '10ms'});
	like(join(' ', @{ run($c, 'EXECUTE kept') }), qr/C57014/, "$locked: statement_timeout");
	$c->rows('RESET statement_timeout');

	$c->query('EXECUTE kept')->send;
	$waits->();
	$locker->ok('COMMIT');
	like(join(' ', Protocol::shown($c->answers)), qr/D \\00\\01\\00\\00\\00.{0,3}$expected/, "$locked: it gets the lock");
	$locker->ok("BEGIN; LOCK TABLE ONLY $locked IN ACCESS EXCLUSIVE MODE");
	$tier->clear;
	$c->query('EXECUTE kept')->send;
	$waits->();
	$watcher->ok('SELECT pg_terminate_backend(' . $c->pid . ')');
	like(join(' ', Protocol::shown($c->receive_until('Z'))), qr/C57P01/, "$locked: terminated while it waits");
	$locker->close;
}

note '--- stopped while it is planned';
$c = with_childless_plan('SELECT sum(v) FROM t');
$admin->rows('UPDATE t SET v = v + 1');
$c->rows(q{SET cache_ext.stop_at = 'planned'});
$c->query('EXECUTE kept')->send;
$watcher->ok(q{SELECT stop_await('planned')});
ok(!$c->readable, 'it is held');
$admin->rows('UPDATE t SET v = v + 1');
$watcher->ok(q{SELECT stop_release('planned')});
my ($row) = grep { $_->[0] eq 'D' } $c->answers;
is((Protocol::columns($row->[1]))[0], $admin->value('SELECT sum(v) - 10 FROM t WHERE random() >= 0'),
	'the rows are those of its snapshot');
$c->rows(q{SET cache_ext.stop_at = 'none'});
is($c->value('EXECUTE kept'), $admin->value('SELECT sum(v) FROM t WHERE random() >= 0'), 'which are not stored');

$tier->clear;
$c->rows(q{SET cache_ext.stop_at = 'planned'});
$c->query('EXECUTE kept')->send;
$watcher->ok(q{SELECT stop_await('planned')});
$c->cancel;
$watcher->ok(q{SELECT stop_release('planned')});
like(join(' ', Protocol::shown($c->answers)), qr/C57014/, 'it is cancelled');
$c->rows(q{SET cache_ext.stop_at = 'none'});
is($c->value('EXECUTE kept'), $admin->value('SELECT sum(v) FROM t WHERE random() >= 0'), 'and works afterwards');

note '--- another session is filling';
$c = with_childless_plan('SELECT sum(v) FROM t');
$admin->rows('UPDATE t SET v = v + 1');
my $filler = Session->new($node);
$filler->ok(q{SET cache_ext.mode = auto; SET cache_ext.min_cost = 0; SET cache_ext.stop_at = 'fill_ready'});
$filler->send('SELECT sum(v) FROM t');
$watcher->ok(q{SELECT stop_await('fill_ready')});
$c->rows(q{SET cache_ext.flight_wait = '100ms'});
my $waits = counter($watcher, 'flight_waits');
$sum = $admin->value('SELECT sum(v) FROM t WHERE random() >= 0');
is($c->value('EXECUTE kept'), $sum, 'it runs the query itself');
is(counter($watcher, 'flight_waits'), $waits + 1, 'having waited once');
$watcher->ok(q{SELECT stop_release('fill_ready')});
is($filler->finish, $sum, 'the other one goes on');
$filler->ok(q{SET cache_ext.stop_at = 'none'});

$tier->unpinned_is('nothing is left pinned');

done_testing();
