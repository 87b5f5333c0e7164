# Single flight: one session fills, the others wait until it has, or has given up in whatever way.
# What is tested is the module itself, through the SQL functions of test/flight.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

# Longer than any test may take: who comes back from such a wait was woken.
my $long = 3_600_000;

my $redis = RedisServer->new('flight');
my $node = cache_node('one', $redis, 'restart_after_crash = on');
my $module = "$PostgreSQL::Test::Utils::tmp_check/server_flight";

system_or_bail('cc', '-g', '-O2', '-fPIC', '-shared', '-Wall', '-Wextra', '-Wno-unused-parameter',
	'-Wno-missing-field-initializers', '-Wno-sign-compare', '-Werror', '-Isrc',
	'-I' . $node->config_data('--includedir-server'), 'test/flight/server_flight.c', '-o',
	"$module.so");

sub create_functions
{
	my ($where) = @_;
	$where->safe_psql('postgres', slurp_file('test/flight/server_flight.sql'),
		extra_params => [ '-v', "module=$module" ]);
	return;
}
create_functions($node);
$node->safe_psql('postgres', slurp_file('test/stop_points.sql'));

my $watcher = Session->new($node);

# "FLIGHTS WAITING", as it is now, or soon.
sub state_is
{
	my ($expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($watcher->ok('SELECT flight_state()'), $expected, $name);
	return;
}

sub await_state
{
	my ($expected) = @_;
	wait_until("state $expected", sub { $watcher->ok('SELECT flight_state()') eq $expected });
	return;
}

sub await_gone
{
	my ($session) = @_;
	my $pid = $session->pid;
	wait_until('the process is gone', sub {
		$watcher->ok("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0';
	});
	return;
}

sub joining
{
	my ($key, $wait_ms, $lifetime) = @_;
	return "flight_join('$key', $wait_ms, '" . ($lifetime // 'session') . "')";
}

# A session that waits for the flight of the key.
sub waiter
{
	my ($key) = @_;
	my ($before) = $watcher->ok('SELECT flight_state()') =~ / (\d+)/;
	my $session = Session->new($node);
	$session->send('SELECT ' . joining($key, $long));
	wait_until('it waits',
		sub { ($watcher->ok('SELECT flight_state()') =~ / (\d+)/)[0] == $before + 1 });
	return $session;
}

# A session whose query leads the flight, and goes on to the given functions once it may.
sub leading_query
{
	my ($key, $then) = @_;
	my $session = Session->new($node);
	$watcher->ok('SELECT pg_advisory_lock(1)');
	$session->send('SELECT ' . joining($key, 0, 'query') . ", pg_advisory_xact_lock_shared(1)$then");
	await_state('1 0');
	return $session;
}

note '--- one leads';
my @sessions = map { Session->new($node) } 1 .. 8;
my ($s, $t) = @sessions;
for my $round (1 .. 5)
{
	$_->send('SELECT ' . joining('a', $long)) for @sessions;
	await_state('1 7');
	my @led = grep { !$_->running } @sessions;
	is(scalar @led, 1, 'of eight one leads');
	is($led[0]->finish, 'leads', 'and knows');
	$led[0]->ok($round % 2 ? q{SELECT flight_end('a')} : q{SELECT flight_drop('a')});
	is(join(' ', map { $_->finish } grep { $_ != $led[0] } @sessions),
		join(' ', ('waited') x 7), 'the others are woken');
	state_is('0 0', 'nobody is left');
}
is(counter($watcher, 'flight_waits'), 35, 'waits are counted');

is($s->ok('SELECT ' . joining('a', 0)), 'leads', 'a key is free again');
is($t->ok('SELECT ' . joining('a', 0)), 'busy', 'who must not wait does not');
is($t->ok('SELECT ' . joining('a', 1)), 'waited', 'who may wait a little comes back');
is($t->ok('SELECT ' . joining('a', $long, 'session') =~ s/\)$/, true)/r), 'busy',
	'nobody waits where interrupts are held off');
is($t->ok('SELECT ' . joining('b', $long)), 'leads', 'another key is another flight');
state_is('2 0', 'so there are two');

note '--- nobody waits for oneself, and none in a ring';
is($s->ok('SELECT ' . joining('a', $long)), 'alone', 'a key within itself');
is($s->ok('SELECT ' . joining('b', $long)), 'busy', 'who leads does not wait for another');
is($t->ok('SELECT ' . joining('a', $long)), 'busy', 'nor the other way round');
is($s->ok('SELECT ' . joining('c', $long)), 'leads', 'who leads can lead another one');
$s->ok("SELECT flight_end('a'), flight_end('c')");
$t->ok("SELECT flight_end('b')");
state_is('0 0', 'nobody is left');

note '--- the leader ends in every way';
my $leader = leading_query('a', '');
my $waiter = waiter('a');
$watcher->ok('SELECT pg_advisory_unlock(1)');
is($waiter->finish, 'waited', 'its query ends');
$leader->finish;

$leader = leading_query('a', ', fail()');
$waiter = waiter('a');
$watcher->ok('SELECT pg_advisory_unlock(1)');
is($waiter->finish, 'waited', 'its query fails');
like($leader->finish, qr/ERROR:  failed/, 'it does');

$s->ok(q{DO $$ BEGIN PERFORM } . joining('a', 0, 'query') . q{, fail(); EXCEPTION
	WHEN raise_exception THEN NULL; END $$});
state_is('0 0', 'its query fails inside another that goes on');

$leader = leading_query('a', '');
$waiter = waiter('a');
$watcher->ok('SELECT pg_cancel_backend(' . $leader->pid . ')');
is($waiter->finish, 'waited', 'its query is cancelled');
like($leader->finish, qr/ERROR:  canceling statement/, 'it is');

$leader = leading_query('a', '');
$waiter = waiter('a');
$watcher->ok('SELECT pg_terminate_backend(' . $leader->pid . ')');
is($waiter->finish, 'waited', 'it is terminated in its query');
$leader->finish;
$watcher->ok('SELECT pg_advisory_unlock_all()');

$leader = Session->new($node);
$leader->ok('SELECT ' . joining('a', 0) . ', ' . joining('b', 0) . ', ' . joining('c', 0));
$watcher->ok('SELECT pg_terminate_backend(' . $leader->pid . ')');
await_gone($leader);
state_is('0 0', 'it is terminated, with nothing to unwind');
$leader = Session->new($node);
$leader->ok('SELECT ' . joining('a', 0) . ', ' . joining('b', 0));
$waiter = waiter('b');
$leader->close;
is($waiter->finish, 'waited', 'it disconnects');

# Ended, its handle stays until the query ends: that must not end the next flight of the key.
$watcher->ok('SELECT pg_advisory_lock(1)');
$leader = Session->new($node);
$leader->send('SELECT ' . joining('a', 0, 'query') . ", flight_end('a'), flight_end('a'), "
	. joining('b', 0, 'query') . ', pg_advisory_xact_lock_shared(1)');
await_state('1 0');
is($s->ok('SELECT ' . joining('a', 0)), 'leads', 'it has ended before its query does');
$watcher->ok('SELECT pg_advisory_unlock(1)');
$leader->finish;
state_is('1 0', 'the end of its query ends the other one only');
is($t->ok('SELECT ' . joining('a', 0)), 'busy', 'the next flight of the key goes on');

note '--- the waiter ends in every way';
$waiter = waiter('a');
my $other = waiter('a');
$watcher->ok('SELECT pg_cancel_backend(' . $waiter->pid . ')');
like($waiter->finish, qr/ERROR:  canceling statement due to user request/, 'it is cancelled');
state_is('1 1', 'and has left the queue');
$watcher->ok('SELECT pg_terminate_backend(' . $other->pid . ')');
await_gone($other);
state_is('1 0', 'one that was terminated has as well');
like($t->query(q{SET statement_timeout = '10ms'; SELECT } . joining('a', $long)),
	qr/ERROR:  canceling statement due to statement timeout/, 'statement_timeout works');
$t->ok('RESET statement_timeout');
state_is('1 0', 'and has left the queue');

# An error that is caught leaves the session fit for the next wait.
$t->send(q{DO $$ BEGIN PERFORM } . joining('a', $long) . q{; EXCEPTION
	WHEN query_canceled THEN PERFORM set_config('application_name', 'caught', false); END $$;
	SELECT } . joining('a', $long));
await_state('1 1');
$watcher->ok('SELECT pg_cancel_backend(' . $t->pid . ')');
wait_until('it is caught', sub {
	$watcher->ok(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'caught'}) eq '1';
});
await_state('1 1');
$s->ok("SELECT flight_end('a')");
is($t->finish, 'waited', 'a session that was cancelled waits again, and is woken');
state_is('0 0', 'nobody is left');

note '--- between two steps';
$s->ok('SELECT ' . joining('a', 0));
$waiter = Session->new($node);
$waiter->ok('SET cache_ext.stop_at = flight_found');
$waiter->send('SELECT ' . joining('a', $long));
$watcher->ok(q{SELECT stop_await('flight_found')});
$s->ok("SELECT flight_end('a')");
$watcher->ok(q{SELECT stop_release('flight_found')});
is($waiter->finish, 'waited', 'the flight ends before the waiter is in the queue');

$s->ok('SELECT ' . joining('a', 0));
$waiter->send('SELECT ' . joining('a', $long));
$watcher->ok(q{SELECT stop_await('flight_found')});
$s->ok("SELECT flight_end('a')");
is($t->ok('SELECT ' . joining('a', 0)), 'leads', 'somebody else leads the key');
$watcher->ok(q{SELECT stop_release('flight_found')});
is($waiter->finish, 'waited', 'the next flight of the key is not the one it waits for');
$t->ok("SELECT flight_end('a')");

$s->ok('SELECT ' . joining('a', 0));
@sessions = map { waiter('a') } 1 .. 3;
$s->ok('SET cache_ext.stop_at = flight_vacated');
$s->send(q{SELECT flight_end('a')});
$watcher->ok(q{SELECT stop_await('flight_vacated')});
state_is('0 3', 'a flight has ended before anybody is woken');
is($t->ok('SELECT ' . joining('a', 0)), 'leads', 'who comes then leads');
push @sessions, waiter('a');
$watcher->ok(q{SELECT stop_release('flight_vacated')});
$s->finish;
is(join(' ', map { $_->finish } @sessions[0 .. 2]), 'waited waited waited', 'those before are woken');
state_is('1 1', 'one that waits for the next flight of the key goes on');
$t->ok("SELECT flight_end('a')");
is($sessions[3]->finish, 'waited', 'until that one ends');
$s->ok('RESET cache_ext.stop_at');

note '--- more flights than there is room for';
my $roles = $s->ok(q{SELECT role, count(*) FROM
	(SELECT flight_join('key ' || i, 0) AS role FROM generate_series(1, 3000) i) j GROUP BY 1 ORDER BY 1});
my ($alone, $leads) = $roles =~ /^alone\|(\d+)\nleads\|(\d+)$/;
ok($leads && $leads <= 1024, "$leads of 3000 flights fit") or diag $roles;
is($alone + $leads, 3000, 'whoever finds no room just runs');
state_is("$leads 0", 'the others are flights like any');
$s->close;
await_state('0 0');
is($t->ok('SELECT ' . joining('key 3000', 0)), 'leads', 'there is room again');
$t->ok("SELECT flight_end('key 3000')");

note '--- many at once';
@sessions = map { Session->new($node) } 1 .. 6;
for my $keys (1, 3)
{
	$sessions[$_]->send("SELECT flight_fly(3000, $keys, $_)") for 0 .. $#sessions;
	my @led = map { $_->finish } @sessions;
	is(scalar(grep { /^\d+$/ && $_ > 0 } @led), 6, "$keys at once: nobody hangs, never two lead one")
	  or diag "@led";
}
state_is('0 0', 'nobody is left');

note '--- leases';
my $two = cache_node('two', $redis, 'cache_ext.flight_wait = 59s');
create_functions($two);
($s, $t) = (Session->new($node), Session->new($two));
my $entry = 'cx:1:2:q:entry';
my $lease = "$entry:lease";

sub taking { return "SELECT lease_take('$entry', $_[0])"; }

# A session of the other server, which has looked at the lease a few times.
my $lease_waiters = 0;
sub lease_waiter
{
	my $session = Session->new($two);
	my $before = counter($t, 'redis_commands');
	# as whoever takes a lease does
	is($session->ok('SELECT ' . joining('key ' . ++$lease_waiters, 0)), 'leads', 'one leads');
	$session->send(taking($long));
	wait_until('it looks', sub { counter($t, 'redis_commands') >= $before + 9 });
	ok($session->running, 'the other server waits');
	return $session;
}

is($s->ok(taking($long)), 'leads', 'one server takes the lease');
cmp_ok($redis->cli('PTTL', $lease), '>', 0, 'which ends by itself');
cmp_ok($redis->cli('PTTL', $lease), '<=', $long, 'in time');
is($t->ok(taking(0)), 'busy', 'who must not wait does not');
is($t->ok(taking(1)), 'waited', 'who may wait a little comes back');
$t->ok('SELECT ' . joining('outer', 0) . ', ' . joining('inner', 0));
is($t->ok(taking($long)), 'busy', 'who leads flights in one another does not wait');
$t->ok("SELECT flight_end('outer'), flight_end('inner')");
$waiter = lease_waiter();
$s->ok("SELECT lease_end('$entry')");
is($waiter->finish, 'waited', 'until it is released');
is($redis->cli('EXISTS', $lease), 0, 'a lease that is released is gone');

$s->ok(taking($long));
$waiter = lease_waiter();
$redis->cli('PEXPIRE', $lease, 1);
is($waiter->finish, 'waited', 'until it has expired');
is($t->ok(taking(0)), 'leads', 'the other server takes it');
my $token = $redis->cli('GET', $lease);
cmp_ok($redis->cli('PTTL', $lease), '<=', 59_000, 'for flight_wait, as it must not wait itself');
$redis->cli('PERSIST', $lease);
$s->ok("SELECT lease_end('$entry')");
is($redis->cli('GET', $lease), $token, 'who had it does not release it');
$t->ok("SELECT lease_end('$entry')");
is($redis->cli('EXISTS', $lease), 0, 'who has it does');

$s->ok(taking($long));
$waiter = lease_waiter();
$redis->cli('SET', $lease, 'of a third server');
is($waiter->finish, 'waited', 'until it is taken by another');
$s->ok("SELECT lease_end('$entry')");
is($redis->cli('GET', $lease), 'of a third server', 'whose it stays');
$redis->cli('DEL', $lease);

$s->ok(taking($long));
$waiter = lease_waiter();
$redis->cli('SET', $entry, 'new');
is($waiter->finish, 'waited', 'until the entry is there');
$waiter = lease_waiter();
$redis->cli('SET', $entry, 'newer');
is($waiter->finish, 'waited', 'until another entry is there than was before');
$waiter = lease_waiter();
$s->ok("SELECT lease_store('$entry', 'newest')");
is($waiter->finish, 'waited', 'until it is stored and released at once');
is($redis->cli('GET', $entry), 'newest', 'it is stored');
is($redis->cli('EXISTS', $lease), 0, 'and released');
is($redis->cli('SCRIPT', 'EXISTS', 'b998f9dfb154cdbea8cda65ad5177aadf0e945a2'), '1',
	'by a script that is kept');
like($redis->cli('INFO', 'commandstats'), qr/cmdstat_evalsha:/, 'and named by its hash');

# Redis forgets its scripts when it is started anew.
for my $way ("lease_end('$entry')", "lease_store('$entry', 'again')")
{
	$s->ok(taking($long));
	$redis->cli('SCRIPT', 'FLUSH');
	$s->ok("SELECT $way");
	is($redis->cli('EXISTS', $lease), 0, "released without a script: $way");
}
$redis->cli('DEL', $entry);
$redis->cli('RPUSH', $entry, 'a list');
is($s->ok(taking($long)), 'leads', 'an entry of another type is none');
$s->ok("SELECT lease_end('$entry')");
$redis->cli('RPUSH', $lease, 'a list');
is($s->ok(taking($long)), 'alone', 'a lease of another type is nothing to wait for');
$redis->flush;

$s->ok(taking($long));
$waiter = lease_waiter();
$two->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $waiter->pid . ')');
like($waiter->finish, qr/ERROR:  canceling statement due to user request/, 'a waiter is cancelled');
$waiter->close;
$waiter = lease_waiter();
$two->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $waiter->pid . ')');
like($waiter->finish, qr/FATAL:  terminating/, 'a waiter is terminated');
$redis->pause;
is($t->ok(q{SET cache_ext.redis_timeout = '100ms'; SELECT lease_take('other', 0)}), 'alone',
	'Redis says nothing');
$redis->resume;
$t->ok('RESET cache_ext.redis_timeout');
$waiter = lease_waiter();
$redis->stop;
is($waiter->finish, 'alone', 'Redis goes away: nobody waits');
is($s->ok(taking($long)), 'alone', 'and nobody begins to');
$s->ok("SELECT lease_end('$entry')");
$redis->start;
$watcher->ok('SELECT pg_reload_conf()');
wait_until('Redis is used', sub { $s->ok(taking(1)) eq 'leads' });
$s->ok("SELECT lease_end('$entry')");

# What a Redis may say: that SET did nothing though it did, as when the batch is sent twice; or that it
# takes no more.
my $fake_token = '';
my $fake = Resp::FakeServer->new(sub {
	my ($command, $key, $value) = @_;
	return "+PONG\r\n" if $command eq 'PING';
	return "-OOM command not allowed\r\n" if $command eq 'SET' && $key =~ /full/;
	if ($command eq 'SET')
	{
		$fake_token = $value;
		return "\$-1\r\n";
	}
	my $shown = $command eq 'GETRANGE' && $key =~ /:lease$/ && $key !~ /full/ ? $fake_token : '';
	return '$' . length($shown) . "\r\n$shown\r\n";
});

# Another Redis for the second server.  What was learnt about the last one is forgotten a little later.
sub use_redis
{
	my ($url) = @_;
	$two->append_conf('postgresql.conf', "cache_ext.redis_url = '$url'");
	$two->safe_psql('postgres', 'SELECT pg_reload_conf()');
	wait_until('it is set',
		sub { $t->ok("SELECT current_setting('cache_ext.redis_url')") eq $url });
	return;
}
use_redis($fake->url);
wait_until('the fake is used', sub { $t->ok("SELECT lease_take('one', 1)") eq 'leads' });
is($t->ok("SELECT lease_take('twice', $long)"), 'leads', 'SET was sent twice: the lease is ours');
is($t->ok("SELECT lease_take('full', $long)"), 'alone', 'SET is refused: nobody waits');
use_redis('');
is($t->ok(taking($long)), 'alone', 'without Redis nobody waits');

note '--- kill -9 of the leader';
$leader = Session->new($node);
$leader->ok('SELECT ' . joining('a', 0));
@sessions = map { waiter('a') } 1 .. 3;
kill 'KILL', $leader->pid;
$_->finish for @sessions;
is(scalar(grep { $_->closed } @sessions), 3, 'the server ends every session');
$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'no restart after a crash';
$watcher = Session->new($node);
state_is('0 0', 'and starts without flights');
$s = Session->new($node);
is($s->ok('SELECT ' . joining('a', $long)), 'leads', 'that can be led');
$waiter = waiter('a');
$s->ok("SELECT flight_end('a')");
is($waiter->finish, 'waited', 'and waited for');

done_testing();
