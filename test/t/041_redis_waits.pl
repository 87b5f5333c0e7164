# Waiting for a Redis that doesn't answer ends at once when it is told to, and what Redis says later
# answers nothing.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('waits');

# A minute, so that an end before that comes from what ended it.
my $node = cache_node('waits', $redis, 'cache_ext.redis_timeout = 60s',
	'cache_ext.redis_connect_timeout = 60s', 'cache_ext.local_memory = 0');
my $control = Session->new($node);
my $minute = 50;

$control->ok(q{
	CREATE TABLE t (id int PRIMARY KEY, value int);
	INSERT INTO t SELECT g, g * 1000 FROM generate_series(1, 1000) g;
	SELECT cache_ext.track('t')});

$control->ok(slurp_file('test/stop_points.sql'));

my @queries = map { "SELECT value::text FROM t WHERE id = $_" } 1 .. 10;

# Answers to questions in another order than those that were cut short: none may get another's.
sub answers_are_right
{
	my ($s, $name) = @_;
	my @wrong = grep { cached($s, $queries[$_]) ne 1000 * ($_ + 1) } reverse 0 .. 9;
	is("@wrong", '', "$name: the next answers are right");
	my @outcomes = map { scalar outcome($s, $_) } @queries;
	is(scalar(grep { $_ eq 'hit' } @outcomes), 10, "$name: and come from the cache");
	return;
}

# Waits until a session waits for Redis.
sub await_wait
{
	my ($s) = @_;
	my $pid = $s->pid;
	wait_until('a wait for Redis', sub {
		$control->ok("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") eq 'Extension' });
	return;
}

# Kinds of wait: each returns a statement that will wait for a Redis that is paused by then.
my %kinds = (
	'GET' => sub {
		my ($s) = @_;
		cached($s, $_) for @queries;
		$redis->pause;
		return through_cache($queries[4]);
	},
	'connecting' => sub { $redis->pause; return through_cache($queries[4]); },
	'a second GET in a statement' => sub {
		my ($s) = @_;
		cached($s, $queries[1]);
		$redis->pause;
		return "SELECT (SELECT cache_ext.query_as(NULL::text, '$queries[1]')),"
		  . " (SELECT cache_ext.query_as(NULL::text, '$queries[2]'))";
	});

for my $kind (sort keys %kinds)
{
	# pg_cancel_backend
	my $s = Session->new($node);
	my $sql = $kinds{$kind}->($s);
	my $took = seconds(sub {
		$s->send($sql);
		await_wait($s);
		$control->ok('SELECT pg_cancel_backend(' . $s->pid . ')');
		like($s->finish, qr/canceling statement due to user request/, "$kind: canceled");
	});
	cmp_ok($took, '<', $minute, "$kind: without waiting for Redis");
	$redis->resume;
	answers_are_right($s, "$kind, canceled");

	# in a subtransaction, whose error is caught
	$s->ok('BEGIN');
	$kinds{$kind}->($s);
	$s->ok('SAVEPOINT a');
	$s->send($sql);
	await_wait($s);
	$control->ok('SELECT pg_cancel_backend(' . $s->pid . ')');
	like($s->finish, qr/canceling statement due to user request/, "$kind: canceled in a subtransaction");
	$redis->resume;
	$s->ok('ROLLBACK TO a');
	answers_are_right($s, "$kind, canceled in a subtransaction");
	$s->ok('COMMIT');

	# statement_timeout
	$kinds{$kind}->($s);
	$s->ok(q{SET statement_timeout = '100ms'});
	$took = seconds(sub {
		like($s->query($sql), qr/canceling statement due to statement timeout/, "$kind: statement_timeout") });
	cmp_ok($took, '<', $minute, "$kind: statement_timeout without waiting for Redis");
	$redis->resume;
	$s->ok('RESET statement_timeout');
	answers_are_right($s, "$kind, statement_timeout");

	# pg_terminate_backend
	$kinds{$kind}->($s);
	$took = seconds(sub {
		$s->send($sql);
		await_wait($s);
		$control->ok('SELECT pg_terminate_backend(' . $s->pid . ')');
		like($s->finish, qr/terminating connection due to administrator command/, "$kind: terminated");
	});
	cmp_ok($took, '<', $minute, "$kind: terminated without waiting for Redis");
	$redis->resume;
	$s->close;
}

# While a big entry is sent, more than the kernel takes at once.
my $big = q{SELECT string_agg(repeat(md5(g::text), 3000), '') FROM generate_series(1, 60) g, t WHERE id = 1};
for my $how (qw(cancel terminate))
{
	my $s = Session->new($node);
	$s->ok('BEGIN; SET cache_ext.stop_at = fill_ready');
	$s->send('SELECT length(query_as) FROM (' . through_cache($big) . ') q');
	$control->ok(q{SELECT stop_await('fill_ready')});
	$redis->pause;
	$control->ok(q{SELECT stop_release('fill_ready')});
	await_wait($s);
	my $took = seconds(sub {
		$control->ok("SELECT pg_${how}_backend(" . $s->pid . ')');
		like($s->finish, qr/canceling statement|terminating connection/, "storing: $how");
	});
	cmp_ok($took, '<', $minute, "storing: $how without waiting for Redis");
	$redis->resume;
	if ($how eq 'cancel')
	{
		$s->ok('ROLLBACK');
		answers_are_right($s, 'storing, canceled');
	}
	$s->close;
	is(outcome($control, $big), 'stored', 'storing: half an entry is none');
	is(outcome($control, $big), 'hit', 'storing: a whole one is');
	cached($control, $queries[0]);
	$redis->flush;
}

# A fast shutdown in the middle of it.
my $s = Session->new($node);
cached($s, $_) for @queries;
$redis->pause;
$s->send(through_cache($queries[0]));
await_wait($s);
cmp_ok(seconds(sub { $node->stop('fast') }), '<', $minute, 'a fast shutdown does not wait for Redis');
$s->finish;
$redis->resume;
$node->start;
$control = Session->new($node);

# A timeout is no error, and the reply that comes after it is nobody's answer.
$s = Session->new($node);
$s->ok(q{SET cache_ext.redis_timeout = '20ms'; SET cache_ext.redis_connect_timeout = '30s'});
my $errors = counter($s, 'redis_errors');
for my $round (0 .. 19)
{
	my $asked = $round % 10;
	wait_until('Redis is used', sub { outcome($s, $queries[$asked]) eq 'hit' });
	$redis->pause;
	is(cached($s, $queries[$asked]), 1000 * ($asked + 1), "round $round: right without an answer");
	$redis->resume;
	my @got = map { cached($s, $queries[$_]) } reverse 0 .. 9;
	is("@got", join(' ', map { 1000 * $_ } reverse 1 .. 10), "round $round: right after a late one");
}
cmp_ok(counter($s, 'redis_errors') - $errors, '>=', 20, 'each of them was a timeout');

# A query waits for redis_timeout once, though its cache may be asked before it is planned and again
# when it starts; and what was missed before planning is not asked for again.
$s->ok(q{SET cache_ext.mode = auto; SET cache_ext.min_cost = 0; SET cache_ext.flight_wait = 0;
	SET plan_cache_mode = force_custom_plan;
	PREPARE of_id(int) AS SELECT value FROM t WHERE id = $1 AND value > 0});
my $with_argument = 'SELECT value::text FROM t WHERE id = $1::int';
my %doors = (
	'a statement' => sub { $s->ok('SELECT value FROM t WHERE id = 500 AND value > 0') },
	'a prepared one' => sub { $s->ok('EXECUTE of_id(500)') },
	'the function' => sub { cached($s, $with_argument, 500) },
	'the function in a query' => sub { $s->ok("SELECT max(v) || '' FROM " .
		"cache_ext.query('SELECT value FROM t WHERE id = \$1 AND value > 1', ARRAY['500']) AS (v int)") });
for my $door (sort keys %doors)
{
	my $run = $doors{$door};
	$s->ok('RESET cache_ext.redis_timeout');
	wait_until('Redis is used', sub { my $hits = counter($s, 'hits'); $run->(); counter($s, 'hits') > $hits });
	$errors = counter($s, 'redis_errors');
	$redis->pause;
	$s->ok(q{SET cache_ext.redis_timeout = '20ms'});
	is($run->(), 500_000, "$door: right without an answer");
	is(counter($s, 'redis_errors') - $errors, 1, "$door: waited for once");
	$redis->resume;
	$s->ok('RESET cache_ext.redis_timeout');

	wait_until('Redis is used', sub { my $hits = counter($s, 'hits'); $run->(); counter($s, 'hits') > $hits });
	$control->ok('UPDATE t SET value = value');
	my $commands = counter($s, 'redis_commands');
	is($run->(), 500_000, "$door: right after a change");
	is(counter($s, 'redis_commands') - $commands, 2, "$door: a look-up and a store");
}

done_testing();
