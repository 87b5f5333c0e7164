# A client that asks for much and reads nothing holds up its own session and nobody else: who misses the
# same result neither waits for it nor goes on waiting.
use strict;
use warnings;

use CacheTest;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

# Longer than the test may take: who comes back did not wait to the end.
my $node = cache_node('hanging', undef, 'cache_ext.flight_wait = 60s', 'cache_ext.mode = hint');
$node->safe_psql('postgres', slurp_file('test/stop_points.sql'));
my $s = Session->new($node);
my $t = Session->new($node);
my $watcher = Session->new($node);

# More than the buffers of a socket take, and less than an entry may have.
$s->ok(q{CREATE TABLE t AS SELECT i, repeat('x', 10000) AS v FROM generate_series(1, 300) i;
	SELECT cache_ext.track('t')});
my $rows = '/* cache_ext */ SELECT v FROM t';

# A connection in the raw, whose answers nobody reads after the first.
sub deaf_client
{
	my ($setting, $query) = @_;
	my $socket = IO::Socket::UNIX->new($node->host . '/.s.PGSQL.' . $node->port)
	  or die "cannot connect: $!";
	my $user = $s->ok('SELECT session_user');
	my $start = pack('N', 3 << 16)
	  . join("\0", 'user', $user, 'database', 'postgres', 'application_name', 'deaf', '', '');
	syswrite($socket, pack('N', 4 + length $start) . $start);
	for my $sql ($setting, $query)
	{
		syswrite($socket, 'Q' . pack('N', 5 + length $sql) . "$sql\0");
	}
	return $socket;
}

sub await_hanging
{
	wait_until('its session waits for its client', sub {
		$watcher->ok(q{SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'deaf' AND wait_event = 'ClientWrite'}) eq '1';
	});
	return;
}

note '--- one that hangs already';
my $client = deaf_client('SET cache_ext.stop_at = none', $rows);
await_hanging();
my $waits = counter($watcher, 'flight_waits');
is(length $s->ok($rows), 300 * 10001 - 1, 'all rows are there');
is(counter($watcher, 'flight_waits'), $waits, 'and nobody has waited');
is(counter($watcher, 'fills'), 1, 'what was read meanwhile is stored');
my $hits = counter($watcher, 'hits');
$s->ok($rows);
is(counter($watcher, 'hits'), $hits + 1, 'so the next one hits');
close $client;

note '--- one that hangs while another waits for it';
$s->ok('UPDATE t SET v = v WHERE i = 1');
$client = deaf_client('SET cache_ext.stop_at = fill_fresh', $rows);
$watcher->ok(q{SELECT stop_await('fill_fresh')});
$t->send($rows);
wait_until('it waits', sub { counter($watcher, 'flight_waits') == $waits + 1 });
ok($t->running, 'another waits for its fill');
$watcher->ok(q{SELECT stop_release('fill_fresh')});
await_hanging();
is(length $t->finish, 300 * 10001 - 1, 'and goes on when it hangs');
close $client;

done_testing();
