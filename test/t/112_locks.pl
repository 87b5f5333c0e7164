# Locks in Redis: who gets them and with which token, waiting, release at the end of a transaction, wrong input, many
# clients at once.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisMonitor;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('locks');
my $node = cache_node('locks', $redis, 'max_prepared_transactions = 2');
my $s = Session->new($node);
my $other = Session->new($node);
my $client = Resp->connect($redis->socket);
my $day_ms = 86_400_000;

sub key { return "cache_ext:postgres:lock:$_[0]"; }
sub lock { return $s->query("SELECT cache_ext.lock($_[0])"); }
sub unlock { return $s->query("SELECT cache_ext.unlock('$_[0]', $_[1])"); }
sub is_free { return ($client->call('GET', key($_[0])) // ' 0') =~ / 0$/; }
sub redis_us
{
	my ($seconds, $us) = @{ $client->call('TIME') };
	return $seconds * 1_000_000 + $us;
}

note '--- results';
my $before = redis_us();
my $token = lock(q('a', '1 h'));
cmp_ok($token, '>=', $before, 'a token is a time at first');
cmp_ok($token, '<=', redis_us(), 'namely that at which the lock was taken');
is($client->call('GET', key('a')), $token . ' ' . ($token + 3_600_000_000), 'what Redis holds');
cmp_ok($client->call('PTTL', key('a')), '>', $day_ms + 3_500_000, 'for a day longer than the lock');
is(lock(q('a', '1 h')), '', 'not twice');
is($other->query(q{SELECT cache_ext.lock('a', '1 h')}), '', 'nor by another session');
like(lock(q('b', '1 h')), qr/^\d+$/, 'another name is another lock');
is(unlock('a', $token + 1), 'f', 'not ended with a later token');
is(unlock('a', $token - 1), 'f', 'nor with an earlier one');
is(unlock('a', $_), 'f', "nor with $_") for 0, -1, '9223372036854775807', '-9223372036854775808';
is($other->query("SELECT cache_ext.unlock('a', $token)"), 't', 'ended by whoever has the token');
is(unlock('a', $token), 'f', 'once');
cmp_ok($client->call('PTTL', key('a')), '>', $day_ms - 60_000, 'what was the last token is still known');
is(unlock('never', $token), 'f', 'nobody ever had it');
is($client->call('EXISTS', key('never')), 0, 'and nothing is left of asking');

note '--- tokens grow';
sub takes
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $new = lock(q('a', '1 h'));
	cmp_ok($new, '>', $token, $name);
	$token = $new;
	return;
}
takes('after it was ended');
$client->call('SET', key('a'), "$token " . (redis_us() - 1));
is(unlock('a', $token), 'f', 'a lock that has expired is nobody\'s');
takes('after it has expired');
$client->call('DEL', key('a'));
takes('after its key was removed');
$redis->restart_from_dump($redis->save_dump);
$client = Resp->connect($redis->socket);
$s->ok('SELECT pg_reload_conf()');
wait_until('Redis is used', sub { $s->query(q{SELECT cache_ext.unlock('x', 1)}) eq 'f' });
is(lock(q('a', '1 h')), '', 'a Redis that kept its data kept the lock');
$redis->stop;
$redis->start;
$client = Resp->connect($redis->socket);
$s->ok('SELECT pg_reload_conf()');
wait_until('Redis is used again', sub { $s->query(q{SELECT cache_ext.unlock('x', 1)}) eq 'f' });
takes('after Redis lost its data, and the lock');
my $future = redis_us() + 3_600_000_000;
$client->call('SET', key('a'), "$future 0");
is(lock(q('a', '1 h')), $future + 1, 'also after the clock was set back');
$token = $future + 1;
unlock('a', $token);
$s->ok(<<'EOS');
CREATE FUNCTION many_times(n int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	last bigint = 0;
	token bigint;
BEGIN
	FOR i IN 1 .. n LOOP
		token = cache_ext.lock('again', '1 h');
		IF token <= last OR NOT cache_ext.unlock('again', token) THEN
			RETURN false;
		END IF;
		last = token;
	END LOOP;
	RETURN true;
END $$;
EOS
is($s->ok('SELECT many_times(1000)'), 't', '1,000 times');

note '--- waiting';
$token = lock(q('w', '1 h'));
$other->send(q{SELECT cache_ext.lock('w', '1 h', '1 h')});
wait_until('it waits', sub {
	$s->ok('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $other->pid) eq 'Extension' });
ok($other->running, 'one waits while another holds it');
unlock('w', $token);
cmp_ok($other->finish, '>', $token, 'and gets it when that ends it');
$token = lock(q('short', '300 ms'));
my ($ends) = $client->call('GET', key('short')) =~ / (\d+)/;
my $next = $other->query(q{SELECT cache_ext.lock('short', '1 h', '1 h')});
cmp_ok($next, '>=', $ends, 'or when it has expired, and not before');
$token = lock(q('w2', '1 h'));
my $began = $other->ok('SELECT clock_timestamp()');
is($other->query(q{SELECT cache_ext.lock('w2', '1 h', '300 ms')}), '', 'or not at all');
is($other->ok("SELECT clock_timestamp() - '$began' >= '300 ms'"), 't', 'when the time is over, not before');
my $monitor = RedisMonitor->new($redis);
$other->ok(q{SELECT cache_ext.lock('w2', '1 h', '1 s')});
my $asked = grep { !/ lua\]/ && /EVALSHA/ } $monitor->stop;
cmp_ok($asked, '>', 1, 'who waits asks more than once');
cmp_ok($asked, '<', 25, "but not all the time: $asked times in a second");
for my $end ([ sub { $s->ok('SELECT pg_cancel_backend(' . $other->pid . ')') }, qr/canceling statement due to user request/ ],
	[ sub { $s->ok('SELECT pg_terminate_backend(' . $other->pid . ')') }, qr/terminating connection/ ])
{
	$other->send(q{SELECT cache_ext.lock('w2', '1 h', '1 h')});
	wait_until('it waits', sub {
		$s->ok('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $other->pid) eq 'Extension' });
	$end->[0]->();
	like($other->finish, $end->[1], 'who waits can be interrupted');
}
$other = Session->new($node);
like($other->query(q{SET statement_timeout = '100 ms'; SELECT cache_ext.lock('w2', '1 h', '1 h')}),
	qr/canceling statement due to statement timeout/, 'statement_timeout');
$other->ok('RESET statement_timeout');
$other->send(q{SELECT cache_ext.lock('w2', '1 h', '1 h')});
wait_until('it waits', sub {
	$s->ok('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $other->pid) eq 'Extension' });
$redis->stop;
like($other->finish, qr/^ERROR:  Redis (is not available|did not answer)/, 'Redis ends while somebody waits');
$redis->start;
$client = Resp->connect($redis->socket);
$s->ok('SELECT pg_reload_conf()');
wait_until('Redis is used once more', sub { $s->query(q{SELECT cache_ext.unlock('x', 1)}) eq 'f' });

note '--- wrong input';
is($s->ok(q{SELECT cache_ext.lock(NULL, '1 s') IS NULL, cache_ext.lock('n', NULL) IS NULL, cache_ext.lock('n', '1 s', NULL) IS NULL,
	cache_ext.lock('n', '1 s', '0', NULL) IS NULL, cache_ext.unlock(NULL, 1) IS NULL, cache_ext.unlock('n', NULL) IS NULL}),
	't|t|t|t|t|t', 'NULL does nothing');
is($client->call('EXISTS', key('n')), 0, 'really nothing');
for my $ttl ('0', '-1 s', '999 us', '-1 month', '36501 d', '178000000 years', '-178000000 years')
{
	like(lock("'n', '$ttl'"), qr/^ERROR:  argument "ttl" is out of range/, "ttl $ttl");
}
for my $wait ('-1 us', '-1 s', '8 d', '1 month', '178000000 years', '-178000000 years', '1 day -25 h')
{
	like(lock("'n', '1 s', '$wait'"), qr/^ERROR:  argument "wait" is out of range/, "wait $wait");
}
for my $text ('infinity', '-infinity', '')
{
	like(lock("'n', '$text'"), qr/^ERROR/, "ttl $text");
	like(lock("'n', '1 s', '$text'"), qr/^ERROR/, "wait $text");
}
like(lock(q('longest', '36500 d', '7 d')), qr/^\d+$/, 'the longest times');
is($client->call('GET', key('longest')) =~ /^(\d+) (\d+)$/ && $2 - $1, 36500 * 86_400_000_000, 'are exact');
for my $function (q(lock(%s, '1 s')), q(unlock(%s, 1)))
{
	like($s->query('SELECT cache_ext.' . sprintf $function, q('')), qr/^ERROR:  argument "name" must not be empty/, "$function: no name");
	like($s->query('SELECT cache_ext.' . sprintf $function, q(repeat('x', 1025))), qr/^ERROR:  argument "name" is too long/,
		"$function: too long a name");
	like($s->query('SELECT cache_ext.' . sprintf $function, q(repeat('x', 1024))), qr/^(\d+|t)$/, "$function: the longest name")
	  unless $function =~ /^unlock/;
	like($s->query('SELECT cache_ext.' . sprintf $function, q(E'\x01\n{}*%:\u00e9')), qr/^(\d+|f)$/, "$function: any letters");
}
for my $value ('', 'x', '1', '1 2 3', ' 1 2', '1 2 ', '-1 2', '1.5 2', '1 0x2', 'nan 0', '9' x 30 . ' 0', '1 ' . '9' x 30, "1 2\n", 'x' x 100_000)
{
	$client->call('SET', key('bad'), $value);
	like(lock(q('bad', '1 s')), qr/^ERROR:  Redis refused: WRONGTYPE/, 'no lock: ' . substr($value, 0, 40));
	like(unlock('bad', 1), qr/^ERROR:  Redis refused: WRONGTYPE/, 'nor one to end');
}
$client->call('DEL', key('bad'));
$client->call('RPUSH', key('bad'), 'x');
like(lock(q('bad', '1 s')), qr/^ERROR:  Redis refused: WRONGTYPE/, 'something else');
like(unlock('bad', 1), qr/^ERROR:  Redis refused: WRONGTYPE/, 'ended neither');

note '--- release at the end of the transaction';
sub ends_free { my ($name) = @_; wait_until("$name is free", sub { is_free($name) }); return pass("released: $_[1]"); }
my $at_end = q{'1 h', release_at_end => true};
like(lock("'auto', $at_end"), qr/^\d+$/, 'a transaction of its own');
ends_free('auto', 'at once');
for my $end ('COMMIT', 'ROLLBACK', 'SELECT 1 / 0; ROLLBACK', 'COMMIT AND CHAIN; COMMIT')
{
	$s->ok("BEGIN; SELECT cache_ext.lock('e1', $at_end), cache_ext.lock('e2', $at_end), cache_ext.lock('e3', '1 h')");
	ok(!is_free($_), 'held until then') for qw(e1 e2);
	$s->query($end);
	ends_free($_, $end) for qw(e1 e2);
	ok(!is_free('e3'), 'the one that was not asked for is not');
	$client->call('DEL', key('e3'));
}
$s->ok(qq{BEGIN; SAVEPOINT a; SELECT cache_ext.lock('sub', $at_end); ROLLBACK TO a; RELEASE a});
# A lock of another transaction that ended later is free already.
$other->ok("SELECT cache_ext.lock('later', $at_end)");
ends_free('later', 'by another session');
ok(!is_free('sub'), 'not with a savepoint');
$s->ok('COMMIT');
ends_free('sub', 'but with the transaction');
$s->ok(qq{BEGIN; SELECT cache_ext.unlock('early', cache_ext.lock('early', $at_end))});
$token = $other->ok(q{SELECT cache_ext.lock('early', '1 h')});
$s->ok(qq{SELECT cache_ext.lock('last', $at_end); COMMIT});
ends_free('last', 'after the other');
ok(!is_free('early'), 'what was ended by hand and is another\'s now stays');
$other->ok("SELECT cache_ext.unlock('early', $token)");
$other->ok(qq{BEGIN; SELECT cache_ext.lock('gone', $at_end)});
$s->ok('SELECT pg_terminate_backend(' . $other->pid . ')');
$other->close;
ends_free('gone', 'by a session that ended');
$other = Session->new($node);
$s->ok(qq{BEGIN; SELECT cache_ext.lock('slow', $at_end)});
$redis->pause;
$s->ok('COMMIT');
pass('a commit does not wait for Redis');
$redis->resume;
ends_free('slow', 'when Redis answers again');
$token = lock(q('full', '1 h'));
$s->ok(qq{BEGIN; SELECT cache_ext.lock('full at end', $at_end)});
$redis->config('maxmemory-policy', 'noeviction');
$redis->config('maxmemory', '1');
like($other->query(q{SELECT cache_ext.lock('n', '1 h')}), qr/^ERROR:  Redis refused: OOM/, 'Redis is full: no lock');
is($other->query("SELECT cache_ext.unlock('full', $token)"), 't', 'but one can be ended');
$s->ok('ROLLBACK');
ends_free('full at end', 'although Redis is full');
is(scalar(() = $redis->keys('*:lock:full*')), 0, 'by forgetting its last token');
$redis->config('maxmemory', '0');
cmp_ok(lock(q('full', '1 h')), '>', $token, 'and the next is greater all the same');
like($s->query(qq{BEGIN; SELECT cache_ext.lock('two', $at_end); PREPARE TRANSACTION 'two'}),
	qr/^ERROR:  cannot PREPARE a transaction that releases a lock in Redis at its end/m, 'two-phase commit is refused');
$s->query('ROLLBACK');
ends_free('two', 'which ends the transaction');
like(lock("repeat('y', 1020), $at_end"), qr/^ERROR:  argument "name" is too long/, 'too long a name for that');
is(scalar(() = $redis->keys('*yyyyyyyy*')), 0, 'and it is not taken');

note '--- many clients';
my $times = 40;
$s->ok(q{CREATE TABLE guarded (value int, fence bigint); INSERT INTO guarded VALUES (0, 0);
	CREATE TABLE passed (id serial, token bigint)});
my $script = "$PostgreSQL::Test::Utils::tmp_check/lock.sql";
append_to_file($script, <<'EOS');
SELECT cache_ext.lock('guard', '1 h', '1 h') AS token \gset
SELECT value AS seen FROM guarded \gset
INSERT INTO passed (token) VALUES (:token);
UPDATE guarded SET value = :seen + 1, fence = :token WHERE fence < :token;
SELECT cache_ext.unlock('guard', :token)::int AS mine \gset
\if :mine != 1
SELECT 'it was not mine' / 0;
\endif
EOS
$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $times, '-f', $script, $node->connstr('postgres') ], '8 clients');
is($s->ok('SELECT value FROM guarded'), 8 * $times, 'one at a time: no change was lost');
is($s->ok('SELECT count(*), count(DISTINCT token), bool_and(token > before) FROM
	(SELECT token, lag(token, 1, 0::bigint) OVER (ORDER BY id) AS before FROM passed) x'), 8 * $times . '|' . 8 * $times . '|t',
	'each with a greater token than all before');

note '--- privileges';
$s->ok('CREATE ROLE web; SET ROLE web');
like(lock(q('p', '1 s')), qr/^ERROR:  permission denied for function lock/, 'not for everybody');
like(unlock('p', 1), qr/^ERROR:  permission denied for function unlock/, 'nor to end one');
$s->ok('RESET ROLE; GRANT EXECUTE ON FUNCTION cache_ext.lock(text, interval, interval, boolean) TO web; SET ROLE web');
like(lock(q('p', '1 s')), qr/^\d+$/, 'for who may');
$s->ok('RESET ROLE; GRANT EXECUTE ON FUNCTION cache_ext.unlock(text, bigint) TO web; SET ROLE web');
is(unlock('p', 1), 'f', 'and to end one');

done_testing();
