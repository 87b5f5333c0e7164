# The outbox: what a transaction tells Redis, from the queueing to the key.
# What is tested are the modules themselves, through the SQL functions of test/outbox.
use strict;
use warnings;

use CacheTest;
use Outbox;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('outbox');
my $node = cache_node('one', $redis, 'max_prepared_transactions = 10');
create_outbox($node);
my $client = Resp->connect($redis->socket);
my $s = Session->new($node);
my $t = Session->new($node);
my $row = 'cache_ext:db:row:t:';

# Runs statements; when all is delivered, rows of t are in Redis as expected: [ id, v, id, v... ], '' for a
# key without a row, undef for none.
# Empties Redis, but for the owner's mark: without it everything would be removed once more.
sub forget
{
	my @keys = grep { $_ ne 'cache_ext:owner' } $redis->keys;
	$client->call('DEL', @keys) if @keys;
	return;
}

sub tells
{
	my ($name, $sql, @expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$s->query($sql);
	settled($node);
	while (my ($id, $v) = splice(@expected, 0, 2))
	{
		is(seen($redis, $id), $v, "$name: row $id");
	}
	return;
}

sub entity
{
	my ($id, $v, $command, $pattern) = @_;
	return "outbox_entity('" . ($pattern // "$row*") . "', '$row$id', "
	  . (defined $v ? "image($v)" : 'NULL') . ', ' . ($command // 1) . ')';
}

note '--- rows';
tells('an inserted row', 'INSERT INTO t VALUES (1, 10), (2, 20)', 1, 10, 2, 20);
tells('an updated row', 'UPDATE t SET v = 11 WHERE id = 1', 1, 11, 2, 20);
tells('a deleted row', 'DELETE FROM t WHERE id = 1', 1, '', 2, 20);
cmp_ok($client->call('PTTL', "${row}1"), '>', 500_000, 'what is left of it stays for long');
cmp_ok($client->call('PTTL', "${row}1"), '<=', 600_000, 'and not for ever');
is($client->call('PTTL', "${row}2"), -1, 'a row without TTL has none');
tells('a row inserted again', 'INSERT INTO t VALUES (1, 12)', 1, 12);
tells('a changed key', 'UPDATE t SET id = 3 WHERE id = 1', 1, '', 3, 12);
tells('several changes of one row',
	'BEGIN; UPDATE t SET v = 21 WHERE id = 2; UPDATE t SET v = 22 WHERE id = 2; COMMIT', 2, 22);
tells('deleted and inserted again',
	'BEGIN; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 23); COMMIT', 2, 23);
tells('inserted and deleted again',
	'BEGIN; INSERT INTO t VALUES (4, 40); DELETE FROM t WHERE id = 4; COMMIT', 4, '');
tells('a rollback', 'BEGIN; UPDATE t SET v = 99; DELETE FROM t; ROLLBACK', 2, 23, 3, 12);
$s->ok("BEGIN; SELECT txid_current(), outbox_entity('$row*', '${row}5', image(1), 1, false, 9000000); COMMIT");
settled($node);
cmp_ok($client->call('PTTL', "${row}5"), '>', 8_000_000, 'a TTL');
cmp_ok($client->call('PTTL', "${row}5"), '<=', 9_000_000, 'is kept');
is(join(' ', map { version($redis, 2)->[$_] } 0, 1),
	$node->safe_psql('postgres', 'SELECT (SELECT system_identifier FROM pg_control_system()), '
	. '(SELECT timeline_id FROM pg_control_checkpoint())') =~ s/\|/ /r, 'a version names system and timeline');
is(version($redis, 2)->[2], delivery($s, 'generation'), 'and the generation of the view');

note '--- the order of commands';
tells('of several images that of the last command counts',
	'BEGIN; SELECT txid_current(); SELECT ' . join(', ', entity(2, 1, 7), entity(2, 2, 9), entity(2, 3, 8)) . '; COMMIT',
	2, 2);
tells('of one command the last call counts',
	'BEGIN; SELECT txid_current(); SELECT ' . join(', ', entity(2, 4, 7), entity(2, 5, 7)) . '; COMMIT', 2, 5);
tells('also over subtransactions', 'BEGIN; SELECT txid_current(); SELECT ' . entity(2, 6, 9)
	. '; SAVEPOINT a; SELECT ' . entity(2, 7, 8) . '; RELEASE a; SELECT ' . entity(2, 8, 7) . '; COMMIT', 2, 6);

note '--- subtransactions';
tells('a subtransaction that is rolled back',
	'BEGIN; UPDATE t SET v = 30 WHERE id = 2; SAVEPOINT a; UPDATE t SET v = 31 WHERE id IN (2, 3); '
	. 'ROLLBACK TO a; COMMIT', 2, 30, 3, 12);
tells('and goes on',
	'BEGIN; UPDATE t SET v = 32 WHERE id = 2; SAVEPOINT a; UPDATE t SET v = 33 WHERE id IN (2, 3); '
	. 'ROLLBACK TO a; UPDATE t SET v = 34 WHERE id = 3; COMMIT', 2, 32, 3, 34);
tells('nested ones, the inner one rolled back',
	'BEGIN; SAVEPOINT a; UPDATE t SET v = 35 WHERE id = 2; SAVEPOINT b; UPDATE t SET v = 36 WHERE id IN (2, 3); '
	. 'ROLLBACK TO b; RELEASE a; COMMIT', 2, 35, 3, 34);
tells('nested ones, the outer one rolled back',
	'BEGIN; UPDATE t SET v = 37 WHERE id = 3; SAVEPOINT a; SAVEPOINT b; UPDATE t SET v = 38 WHERE id IN (2, 3); '
	. 'RELEASE b; ROLLBACK TO a; COMMIT', 2, 35, 3, 37);
tells('all released', 'BEGIN; SAVEPOINT a; UPDATE t SET v = 39 WHERE id = 2; SAVEPOINT b; '
	. 'UPDATE t SET v = 40 WHERE id = 3; RELEASE b; UPDATE t SET v = 41 WHERE id = 3; RELEASE a; COMMIT', 2, 39, 3, 41);
tells('one released, the next one rolled back',
	'BEGIN; SAVEPOINT a; UPDATE t SET v = 44 WHERE id = 2; RELEASE a; SAVEPOINT b; UPDATE t SET v = 45 WHERE id = 3; '
	. 'ROLLBACK TO b; COMMIT', 2, 44, 3, 41);
tells('an exception in a function', q{DO $$BEGIN UPDATE t SET v = 42 WHERE id = 2;
	BEGIN UPDATE t SET v = 43; RAISE 'x'; EXCEPTION WHEN OTHERS THEN NULL; END; END$$}, 2, 42, 3, 41);

# What is removed leaves a version for a while.
sub rows_left { return grep { (stored($redis, $_) // '') !~ /^\x81\xa8_version/ } $redis->keys('*:row:*'); }

note '--- sweeps';
tells('TRUNCATE', 'TRUNCATE t', 2, '', 3, '');
$s->ok('INSERT INTO t SELECT i, i FROM generate_series(1, 20) i');
tells('TRUNCATE and new rows', 'BEGIN; UPDATE t SET v = 1 WHERE id = 1; TRUNCATE t; INSERT INTO t VALUES (2, 50); COMMIT',
	1, '', 2, 50, 3, '');
tells('rows and TRUNCATE', 'BEGIN; INSERT INTO t VALUES (3, 51); TRUNCATE t; COMMIT', 2, '', 3, '');
tells('TRUNCATE rolled back', 'INSERT INTO t VALUES (1, 52); BEGIN; SAVEPOINT a; TRUNCATE t; ROLLBACK TO a; '
	. 'INSERT INTO t VALUES (2, 53); COMMIT', 1, 52, 2, 53);
$s->ok('SET cache_ext.max_dirty_keys = 10');
tells('as many rows as may be', 'INSERT INTO t SELECT i, i FROM generate_series(101, 110) i', 1, 52, 101, 101, 110, 110);
tells('one more', 'INSERT INTO t SELECT i, i FROM generate_series(201, 211) i', 1, '', 101, '', 201, undef);
tells('rolled back ones don\'t count', 'BEGIN; SAVEPOINT a; INSERT INTO t SELECT i, i FROM generate_series(301, 309) i; '
	. 'ROLLBACK TO a; INSERT INTO t SELECT i, i FROM generate_series(401, 409) i; COMMIT', 401, 401);
$s->ok('RESET cache_ext.max_dirty_keys');
$client->call('SET', "${row}2", 'x');
$client->call('SET', 'cache_ext:db:row:u:1', 'x');
$client->call('SET', 'cache_ext:other:row:t:1', 'x');
tells('a sweep removes what others stored too', 'TRUNCATE t', 2, '');
is(join(' ', rows_left()), 'cache_ext:db:row:u:1 cache_ext:other:row:t:1', 'but no key of another target');
forget();

# More targets than there is room for: everything goes.
$s->ok('INSERT INTO t SELECT i, i FROM generate_series(1, 100) i');
settled($node);
$client->call('SET', 'cache_ext:db:row:u:1', 'x');
$s->ok("BEGIN; SELECT txid_current(); SELECT outbox_sweep('cache_ext:db:row:t' || i || ':*') FROM generate_series(1, 100) i; COMMIT");
settled($node);
is(join(' ', rows_left()), 'cache_ext:db:row:u:1', 'sweeps of many targets remove every row of this server');
tells('and again there is room', 'INSERT INTO t VALUES (101, 1)', 101, 1);
tells('for sweeps', "INSERT INTO t VALUES (102, 1); BEGIN; SELECT txid_current(), outbox_sweep('${row}101*'); COMMIT", 101, '', 102, 1);
forget();

note '--- keys that are set and deleted at commit';
sub value { return $client->call('GET', $_[0]); }
$s->ok("SELECT outbox_set('k', 'one')");
settled($node);
is(value('k'), 'one', 'set, without a transaction ID');
# At the start of a segment the insert position is past what can be flushed.
my $worker = worker_pid($node);
$s->ok("SELECT txid_current(); SELECT pg_switch_wal(); SELECT outbox_set('k', 'switched')");
settled($node);
is(value('k'), 'switched', 'set at the start of a segment');
is(worker_pid($node), $worker, 'by the same worker');
$s->ok("BEGIN; SELECT outbox_set('k', 'two'), outbox_set('l', 'l', 9000000); SELECT outbox_set('k', 'three'); COMMIT");
settled($node);
is(value('k') . value('l'), 'threel', 'in the order of the calls');
cmp_ok($client->call('PTTL', 'l'), '>', 8_000_000, 'with a TTL');
$s->ok("BEGIN; SELECT outbox_delete('k'), outbox_set('k', 'four'); SELECT outbox_set('l', 'm'), outbox_delete('l'); COMMIT");
settled($node);
is(value('k'), 'four', 'deleted and set');
is(value('l'), undef, 'set and deleted');
$s->ok("BEGIN; SELECT outbox_set('k', 'five'); ROLLBACK; "
	. "BEGIN; SAVEPOINT a; SELECT outbox_delete('k'); ROLLBACK TO a; SELECT outbox_set('l', ''); COMMIT");
settled($node);
is(value('k'), 'four', 'what is rolled back is not done');
is(value('l'), '', 'what is not, is');

note '--- locks';
# A token, and the time until which it holds the lock.
my $held = '7 8000000000000000';
my $released = '7 0';
sub unlocks
{
	my ($name, $expected, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$client->call('SET', 'lock', $held);
	$s->query($sql);
	settled($node);
	is(value('lock'), $expected, $name);
	return;
}
unlocks('released at commit', $released, "SELECT outbox_unlock('lock', '7')");
unlocks('released at rollback', $released, "BEGIN; SELECT outbox_unlock('lock', '7'); ROLLBACK");
unlocks('released after an error', $released, "BEGIN; SELECT outbox_unlock('lock', '7'); SELECT 1/0; COMMIT");
unlocks('released though its subtransaction was rolled back', $released,
	"BEGIN; SAVEPOINT a; SELECT outbox_unlock('lock', '7'); ROLLBACK TO a; COMMIT");
unlocks('not if it is another\'s', $held, "SELECT outbox_unlock('lock', '6')");
$s->ok("BEGIN; SELECT outbox_unlock('lock', '7')");
is(value('lock'), $held, 'held as long as the transaction');
my $ended = Session->new($node);
$ended->ok("BEGIN; SELECT outbox_unlock('lock', '7')");
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $ended->pid . ')');
wait_until('released by a session that ends', sub { value('lock') eq $released });
$s->ok('ROLLBACK');
$client->call('SET', 'lock', $held);
$s->ok("BEGIN; SELECT outbox_unlock('lock', '7'), outbox_set('k', 'done'); COMMIT");
settled($node);
is(value('k'), 'done', 'what a transaction sets is set before its locks are released');
$client->call('SET', 'lock', 'not a lock');
$s->ok("BEGIN; SELECT outbox_unlock('lock', '7'); SELECT outbox_set('k', 'after'); COMMIT");
settled($node);
is(value('lock'), 'not a lock', 'what is no lock stays');
is(delivery($s, 'dropped'), 1, 'the message for it is dropped');
$s->ok("SELECT outbox_set('k', 'later')");
settled($node);
is(value('k'), 'later', 'and others go on');

note '--- what is refused';
like($s->query("SELECT outbox_set(repeat('x', 1025), 'x')"), qr/1025 bytes, at most 1024/, 'long keys');
like($s->query("SELECT outbox_set('', 'x')"), qr/0 bytes, at most 1024/, 'empty keys');
like($s->query("SELECT outbox_entity('p', 'k', '\\x01')"), qr/has to be a map/, 'what is no map');
is($s->ok("SELECT outbox_set(repeat('x', 1024), 'x')"), '', 'the longest key');
settled($node);
is(value('x' x 1024), 'x', 'is set');
forget();

note '--- maps of all sizes';
for my $pairs (0, 1, 14, 15, 16, 1000, 65535)
{
	my $head = $pairs < 16 ? sprintf('8%x', $pairs) : sprintf('de%04x', $pairs);
	$s->ok("BEGIN; SELECT txid_current(), outbox_entity('cache_ext:p', 'cache_ext:map', decode('$head' || repeat('a178c0', $pairs), 'hex')); COMMIT");
	settled($node);
	my $bytes = stored($redis, 'cache_ext:map');
	my $grown = $pairs + 1;
	my $expected = pack('H*', ($grown < 16 ? sprintf('8%x', $grown) : $grown < 65536 ? sprintf('de%04x', $grown) : sprintf('df%08x', $grown))
		. 'a178c0' x $pairs);
	ok(substr($bytes, 0, -39) eq $expected, "a map of $pairs columns has one more");
}

note '--- what is queued while the transaction ends';
$s->ok('TRUNCATE t; INSERT INTO t VALUES (1, 1), (2, 2)');
settled($node);
tells('a change in PRE_COMMIT after all others', q{BEGIN; SET LOCAL cache_ext.stop_write = 'UPDATE t SET v = 61 WHERE id = 1'; }
	. 'UPDATE t SET v = 60; COMMIT', 1, 61, 2, 60);
tells('and without others', q{BEGIN; SET LOCAL cache_ext.stop_write = 'UPDATE t SET v = 62 WHERE id = 1'; COMMIT}, 1, 62);
tells('TRUNCATE in PRE_COMMIT', q{BEGIN; SET LOCAL cache_ext.stop_write = 'TRUNCATE t'; UPDATE t SET v = 63; COMMIT},
	1, '', 2, '');
$s->ok('INSERT INTO t VALUES (1, 1), (2, 2)');
settled($node);
$client->call('DEL', "${row}1");
tells('an error in PRE_COMMIT', q{BEGIN; SET LOCAL cache_ext.stop_write = 'SELECT 1/0'; UPDATE t SET v = 64; COMMIT},
	1, undef, 2, 2);
is(delivery($s, 'memory_used'), 0, 'leaves nothing behind');

note '--- order in the ring';
# The first transaction is visible, but the worker is not told; the second changes the same row.
sub overtake
{
	my ($first, $second) = @_;
	$s->ok("SET cache_ext.stop_at = outbox_visible");
	$s->send($first);
	$t->ok("SELECT stop_await('outbox_visible')");
	$t->ok($second);
	$t->ok('UPDATE t SET v = v + 1 WHERE id = 2');
	my $v = $t->ok('SELECT v FROM t WHERE id = 2');
	wait_until('what came later is delivered', sub { (seen($redis, 2) // '') eq $v });
	return;
}

sub release
{
	my ($sql) = @_;
	$t->ok("SELECT stop_release('outbox_visible')");
	$s->finish;
	$s->ok('SET cache_ext.stop_at = none');
	settled($node);
	return;
}
overtake('UPDATE t SET v = 70 WHERE id = 1', 'UPDATE t SET v = 71 WHERE id = 1');
is(seen($redis, 1), undef, 'the second waits for the first');
wait_until('it is the only one that waits', sub { delivery($t, 'backlog') eq '1' });
cmp_ok(delivery($t, 'extract(epoch FROM oldest_age)'), '>', 0, 'and its age is known');
$client->call('DEL', "${row}1");
release();
is(seen($redis, 1), 71, 'and comes after it, though Redis had forgotten the row');
overtake("SELECT outbox_set('k', 'first')", "SELECT outbox_set('k', 'second')");
release();
is(value('k'), 'second', 'the same for keys');

# A sweep can't wait for what is in the ring.
overtake('UPDATE t SET v = 72 WHERE id = 1',
	"BEGIN; SELECT txid_current(), outbox_sweep('$row*'); COMMIT");
is(seen($redis, 1), '', 'a sweep overtakes');
$client->call('DEL', "${row}1");
release();
is(seen($redis, 1), undef, 'and what it has overtaken brings nothing back');
tells('what comes later does', 'UPDATE t SET v = 73 WHERE id = 1', 1, 73);

# Reserved, and not committed yet.
$s->ok("SET cache_ext.stop_at = outbox_reserved");
$s->send('UPDATE t SET v = 74 WHERE id = 1');
$t->ok("SELECT stop_await('outbox_reserved')");
$t->ok('UPDATE t SET v = 75 WHERE id = 2');
wait_until('another row is delivered', sub { (seen($redis, 2) // '') eq '75' });
is(seen($redis, 1), 73, 'nothing is told before the commit');
$t->ok("SELECT stop_release('outbox_reserved')");
$s->finish;
$s->ok('SET cache_ext.stop_at = none');
settled($node);
is(seen($redis, 1), 74, 'but after it');

note '--- versions';
my $late = 9_000_000_000_000_000;
my ($system, $timeline, $generation, $lsn) = @{ version($redis, 1) };

# Each: [ timeline, generation, lsn, sequence, v, expected verdict, expected v ].
sub compare
{
	my ($name, @steps) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$client->call('DEL', "${row}9");
	for (@steps)
	{
		my ($timeline, $generation, $lsn, $sequence, $v, $verdict, $expected) = @$_;
		my $image = defined $v ? "image($v)" : 'NULL';
		is($s->ok("SELECT entity_set('${row}9', $image, $timeline, $generation, '$lsn', $sequence, $late)"), $verdict,
			"$name: $timeline, $generation, $lsn, $sequence");
		is(seen($redis, 9), $expected, "$name: leaves the newest");
	}
	return;
}
compare('LSNs', [ 1, 1, '0/100', 1, 1, 1, 1 ], [ 1, 1, '0/FF', 9, 2, 0, 1 ], [ 1, 1, '0/101', 1, 3, 1, 3 ], [ 1, 1, '0/100', 1, 1, 0, 3 ]);
compare('numbers, not text', [ 1, 1, '0/7FFFFFFF', 1, 1, 1, 1 ], [ 1, 1, '0/80000000', 1, 2, 1, 2 ], [ 1, 1, '1/0', 1, 3, 1, 3 ],
	[ 1, 1, '0/FFFFFFFF', 1, 4, 0, 3 ], [ 1, 1, '80000000/1', 1, 5, 1, 5 ], [ 1, 1, '7FFFFFFF/FFFFFFFF', 1, 6, 0, 5 ]);
compare('beyond a double', [ 1, 1, '800000/2', 1, 1, 1, 1 ], [ 1, 1, '800000/1', 1, 2, 0, 1 ], [ 1, 1, '800000/3', 1, 3, 1, 3 ]);
compare('sequences', [ 1, 1, '0/1', 255, 1, 1, 1 ], [ 1, 1, '0/1', 256, 2, 1, 2 ], [ 1, 1, '0/1', 255, 3, 0, 2 ]);
compare('duplicates', [ 1, 1, '0/1', 1, 1, 1, 1 ], [ 1, 1, '0/1', 1, 2, 3, 1 ]);
compare('generations', [ 1, 2, '0/1', 1, 1, 1, 1 ], [ 1, 1, '9/1', 9, 2, 0, 1 ], [ 1, 3, '0/0', 0, 3, 1, 3 ]);
compare('timelines', [ 2, 1, '0/1', 1, 1, 1, 1 ], [ 1, 9, '9/1', 9, 2, 0, 1 ], [ 3, 0, '0/0', 0, 3, 1, 3 ]);
compare('deleted rows', [ 1, 1, '0/5', 1, undef, 1, '' ], [ 1, 1, '0/4', 1, 2, 0, '' ], [ 1, 1, '0/6', 1, 3, 1, 3 ],
	[ 1, 1, '0/5', 1, undef, 0, 3 ], [ 1, 1, '0/7', 1, undef, 1, '' ]);

# Every order of four versions, each sent twice, ends with the newest.
my @versions = ([ '0/10', 1 ], [ '0/20', 2 ], [ '0/20000000', undef ], [ '1/5', 4 ]);
my $wrong = 0;
for my $seed (1 .. 60)
{
	my @order = map { $_->[0] } sort { $a->[1] <=> $b->[1] } map { [ $_, rand ] } (0 .. 3, 0 .. 3);
	my $newest = -1;
	$client->call('DEL', "${row}9");
	$s->ok(join '; ', map { "SELECT entity_set('${row}9', " . (defined $versions[$_][1] ? "image($versions[$_][1])" : 'NULL')
		. ", 1, 1, '$versions[$_][0]', 1, $late)" } @order);
	$wrong++ if seen($redis, 9) ne '4';
}
is($wrong, 0, 'in whatever order, the newest stays');

# What is not ours.
my $other = pack('H*', '82a176cd0063') . "\xa8_version\xc4\x1c" . pack('Q> N N Q> N', 1, 99, 99, 99, 99);
for my $foreign ('', 'x', 'y' x 39, $other)
{
	$client->call('SET', "${row}9", $foreign);
	is($s->ok("SELECT entity_set('${row}9', image(1), 1, 1, '0/1', 1, $late)"), 1, 'what has no version of this system is older');
	is(seen($redis, 9), 1, 'and replaced');
}
$client->call('DEL', "${row}9");
$client->call('LPUSH', "${row}9", 'x');
is($s->ok("SELECT entity_set('${row}9', image(1), 1, 1, '0/1', 1, $late)"), 1, 'as is a key of another type');
is(seen($redis, 9), 1, 'and replaced');

note '--- what comes too late';
$client->call('DEL', "${row}9");
my $clock = $s->ok('SELECT redis_clock()');
my $redis_clock = $client->call('TIME')->[0] * 1000;
cmp_ok(abs($clock - $redis_clock), '<', 60_000, 'Redis\'s clock is known');
is($s->ok("SELECT entity_set('${row}9', image(1), 1, 1, '0/5', 1, 1)"), 2, 'creates nothing');
is(seen($redis, 9), undef, 'at all');
$s->ok("SELECT entity_set('${row}9', image(1), 1, 1, '0/5', 1, $late)");
is($s->ok("SELECT entity_set('${row}9', image(2), 1, 1, '0/4', 1, 1)"), 0, 'older, it changes nothing');
is(seen($redis, 9), 1, 'at all');
is($s->ok("SELECT entity_set('${row}9', image(2), 1, 1, '0/6', 1, 1)"), 2, 'newer, it removes');
is(seen($redis, 9), undef, 'what is older');

note '--- removal';
sub removes
{
	my ($name, $all, $version, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = rows_left();
	$s->ok("SELECT entity_remove('${row}9', $all, $version)");
	is($before - rows_left(), $expected, $name);
	return;
}
for my $all ('false', 'true')
{
	$s->ok("SELECT entity_set('${row}9', image(1), 5, 5, '0/5', 5, $late)");
	removes('what is newer stays', $all, "5, 5, '0/4', 9", 0);
	removes('what is as new stays', $all, "5, 5, '0/5', 5", 0);
	removes('what is older goes', $all, "5, 5, '0/6', 0", 1);
	is($s->ok("SELECT entity_set('${row}9', image(1), 5, 5, '0/5', 5, $late)"), $all eq 'true' ? 1 : 0,
		$all eq 'true' ? 'and may be told again' : 'and does not come back');
	$client->call('DEL', "${row}9");
	$s->ok("SELECT entity_set('${row}9', image(1), 5, 5, '0/5', 5, $late)");
	removes('of a newer era', $all, "5, 4, '0/5', 5", $all eq 'true' ? 1 : 0);
	for my $foreign ('x', $other)
	{
		$client->call('SET', "${row}9", $foreign);
		removes('what is not ours', $all, "5, 5, '0/6', 0", $all eq 'false' || $foreign eq $other ? 1 : 0);
	}
	$client->call('DEL', "${row}9");
}

note '--- fills by readers';
sub fill
{
	my ($v, $lsn) = @_;
	return $s->ok("SELECT entity_fill('${row}9', " . (defined $v ? "image($v)" : 'NULL') . ", 9000000, $lsn)");
}
my $now = 'pg_current_wal_insert_lsn()';
is(fill(1, $now), 'stored', 'a fill');
is(seen($redis, 9), 1, 'is stored');
cmp_ok($client->call('PTTL', "${row}9"), '>', 8_000_000, 'with its TTL');
is(fill(2, "'0/1'"), 'older', 'one from before');
is(seen($redis, 9), 1, 'is not');
$s->ok("BEGIN; SELECT txid_current(); SELECT " . entity(9, 3) . '; COMMIT');
settled($node);
is(seen($redis, 9), 3, 'a commit after it replaces it');
$s->ok('SELECT txid_current()');
is(fill(undef, $now), 'stored', 'an absent row');
is(seen($redis, 9), '', 'is remembered');
$s->ok("SELECT entity_take_back('${row}9', '0/1')");
is(seen($redis, 9), '', 'what is newer is not taken back');
$s->ok("SELECT entity_take_back('${row}9', $now)");
is(seen($redis, 9), '', 'what is not, is');

note '--- two-phase commit';
forget();
$s->ok('TRUNCATE t; INSERT INTO t VALUES (1, 1), (2, 2)');
settled($node);
$client->call('SET', 'cache_ext:db:row:u:1', $other);
tells('prepared', "BEGIN; UPDATE t SET v = 80 WHERE id = 1; PREPARE TRANSACTION 'p'", 1, 1, 2, 2);
tells('rolled back', "ROLLBACK PREPARED 'p'", 1, 1, 2, 2);
tells('prepared and committed', "BEGIN; UPDATE t SET v = 81 WHERE id = 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'",
	1, '', 2, '');
tells('later changes', 'UPDATE t SET v = 82', 1, 82, 2, 82);
tells('prepared with a late change',
	q{BEGIN; SELECT txid_current(), outbox_entity('cache_ext:db:row:w:*', 'cache_ext:db:row:w:9', NULL); SET LOCAL cache_ext.stop_write = 'UPDATE t SET v = 83'; }
	. q{PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'}, 1, '', 2, '');
$s->ok("UPDATE t SET v = 84; BEGIN; UPDATE t SET v = 85; PREPARE TRANSACTION 'p'");
settled($node);
$t->ok("COMMIT PREPARED 'p'");
settled($node);
is(seen($redis, 1), '', 'committed by another session');
like($s->query("BEGIN; UPDATE t SET v = 86; SELECT outbox_set('k', 'x'); PREPARE TRANSACTION 'p'"),
	qr/cannot PREPARE a transaction that sets or deletes keys/, 'keys can\'t wait that long');
like($s->query("BEGIN; UPDATE t SET v = 86; SELECT outbox_delete('k'); PREPARE TRANSACTION 'p'"),
	qr/cannot PREPARE a transaction that sets or deletes keys/, 'nor can deleting them');
like($s->query("BEGIN; UPDATE t SET v = 86; SELECT outbox_unlock('k', 'x'); PREPARE TRANSACTION 'p'"),
	qr/cannot PREPARE a transaction that releases a lock/, 'nor can locks');
like($s->query("BEGIN; SELECT txid_current(), outbox_entity('p', 'k', NULL, 1, true); PREPARE TRANSACTION 'p'"),
	qr/cannot PREPARE a transaction that has changed a table attached/, 'nor can fences');
$s->query('ROLLBACK');
is($s->ok('SELECT count(*) FROM pg_prepared_xacts'), 0, 'nothing is prepared then');
settled($node);
$s->ok("UPDATE t SET v = 87; BEGIN; UPDATE t SET v = 88 WHERE id = 1; PREPARE TRANSACTION 'p'");
settled($node);
is(seen($redis, 1), 87, 'prepared before a restart');
$_->close for $s, $t;
$node->restart;
($s, $t) = map { Session->new($node) } 1, 2;
is(seen($redis, 1), 87, 'nothing happened yet');
$s->ok("COMMIT PREPARED 'p'");
settled($node);
is(seen($redis, 1), undef, 'committed after it: every row may be meant');
is(seen($redis, 2), undef, 'also others');
is(value('cache_ext:db:row:u:1'), undef, 'of another system too: nobody else has rows here');

note '--- fences';
$s->ok(q{CREATE TABLE fenced (id integer PRIMARY KEY, v integer);
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON fenced FOR EACH ROW EXECUTE FUNCTION tell('true');
CREATE TRIGGER tell_all AFTER TRUNCATE ON fenced FOR EACH STATEMENT EXECUTE FUNCTION tell('true')});
forget();
tells('behind a fence', 'INSERT INTO fenced VALUES (1, 1), (2, 2)', 1, 1, 2, 2);
my $before = $s->ok("SELECT $now");

sub during
{
	my ($name, $sql, @expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$s->ok('SET cache_ext.stop_at = outbox_reserved');
	$s->send($sql);
	$t->ok("SELECT stop_await('outbox_reserved')");
	while (my ($id, $v) = splice(@expected, 0, 2))
	{
		is(seen($redis, $id), $v, "$name: row $id before the commit");
	}
	is($t->ok("SELECT entity_fill('${row}1', image(9), 0, '$before')"), 'older', "$name: a fill from before is refused");
	$t->ok("SELECT stop_release('outbox_reserved')");
	$s->finish;
	$s->ok('SET cache_ext.stop_at = none');
	settled($node);
	return;
}
during('an update', 'UPDATE fenced SET v = 3 WHERE id = 1', 1, '', 2, 2);
is(seen($redis, 1), 3, 'then it is told');
during('a delete', 'DELETE FROM fenced WHERE id = 1', 1, '', 2, 2);
during('many', 'INSERT INTO fenced SELECT i, 5 FROM generate_series(1, 600) i WHERE i <> 2', 1, '');
is(seen($redis, 1), 5, 'then all are told');
is(seen($redis, 600), 5, 'one by one');
$s->ok('SET cache_ext.max_dirty_keys = 10');
during('more than are marked', 'UPDATE fenced SET v = 6', 1, '', 2, '', 600, '');
is(seen($redis, 1), '', 'then they are swept');
$s->ok('RESET cache_ext.max_dirty_keys; UPDATE fenced SET v = 7');
settled($node);
during('TRUNCATE', 'TRUNCATE fenced', 1, '', 2, '', 600, '');
is(seen($redis, 1), '', 'then all are swept');
tells('rolled back behind a fence',
	q{INSERT INTO fenced VALUES (1, 1); BEGIN; UPDATE fenced SET v = 8; SET LOCAL cache_ext.stop_write = 'SELECT 1/0'; COMMIT}, 1, '');
is(fill(1, $now), 'stored', 'a fill');
$s->ok("SELECT entity_fill('${row}1', image(1), 0, $now)");
is(seen($redis, 1), 1, 'ends the fence that was for nothing');

$s->ok("SET cache_ext.redis_timeout = '100ms'");
$redis->kill9;
like($s->query('UPDATE fenced SET v = 9'), qr/could not keep readers of Redis from rows/, 'without Redis it fails');
is($s->ok('SELECT v FROM fenced WHERE id = 1'), 1, 'and changes nothing');
like($s->query('TRUNCATE fenced'), qr/could not keep readers of Redis from rows/, 'TRUNCATE too');
is($s->ok('UPDATE t SET v = 90 WHERE id = 1; SELECT v FROM t WHERE id = 1'), 90, 'others go on');
$redis->start;
$s->ok("SET cache_ext.redis_timeout = '30s'; SELECT pg_reload_conf()");
wait_until('it works again', sub { $s->query('UPDATE fenced SET v = 10') !~ /ERROR/ });
settled($node);
$s->ok('UPDATE fenced SET v = 10');
settled($node);
is(seen($redis, 1), 10, 'and is told');
$redis->pause;
$s->send('UPDATE fenced SET v = 11');
wait_until('it waits for Redis', sub {
	$t->ok('SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $s->pid) eq 'Extension';
});
$t->ok('SELECT pg_cancel_backend(' . $s->pid . ')');
like($s->finish, qr/canceling statement/, 'the wait can be cancelled');
$redis->resume;
is($s->ok('SELECT v FROM fenced WHERE id = 1'), 10, 'then nothing is changed');

done_testing();
