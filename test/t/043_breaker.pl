# The breaker: while it is open nobody tries to connect, then one session probes, and an answer closes
# it for all.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

# What the fake Redis does is written in a file: "good", "silent" or "loading".
my $mode_file = "$PostgreSQL::Test::Utils::tmp_check/mode";
sub mode
{
	unlink $mode_file;
	append_to_file($mode_file, $_[0]);
	return;
}
mode('loading');
my $fake = Resp::FakeServer->new(sub {
	my $mode = slurp_file($mode_file);
	return '' if $mode eq 'silent';
	return "-LOADING Redis is loading the dataset in memory\r\n" if $mode eq 'loading';
	return $_[0] eq 'PING' ? "+PONG\r\n" : $_[0] eq 'GET' ? "\$-1\r\n" : "+OK\r\n";
});

my $node = cache_node('breaker', undef, "cache_ext.redis_url = '" . $fake->url . "'",
	'cache_ext.redis_timeout = 60s', 'cache_ext.redis_connect_timeout = 60s',
	'cache_ext.local_memory = 0');
my @sessions = map { Session->new($node) } 1 .. 4;
my ($s, $prober) = @sessions;
my $query = 'SELECT value::text FROM t';

# Until the back-off is over, a query just runs.
sub await_probe
{
	my $pid = $prober->pid;
	my $seen;
	wait_until('a session probes', sub {
		$seen = $fake->connections + $fake->commands;
		$prober->send(through_cache($query));
		while ($prober->running)
		{
			return 1 if $s->ok("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") eq 'Extension';
		}
		$prober->finish;
		return 0;
	});

	# the kernel takes what it sends before the fake Redis does, which counts it
	wait_until('the probe is counted', sub { $fake->connections + $fake->commands > $seen });
	return;
}

$s->ok(q{CREATE TABLE t (value int); INSERT INTO t VALUES (7); SELECT cache_ext.track('t')});

# Thousands of queries of four sessions, and a handful of attempts: one opens the breaker, then one at
# the end of each back-off, which doubles.  However slow this machine is, forty would take hours.
my $wrong = 0;
for (1 .. 500)
{
	$_->send(through_cache($query)) for @sessions;
	$wrong += $_->finish ne '7' for @sessions;
}
is($wrong, 0, 'every answer is right');
my $connections = $fake->connections;
cmp_ok($connections, '>=', 1, 'a connection was tried');
cmp_ok($connections, '<', 40, 'and not by every query');
is(counter($s, 'redis_errors'), $connections, 'each attempt is counted');
is(counter($s, 'hits') + counter($s, 'fills'), 0, 'nothing was cached');
is(counter($s, 'bypasses') + counter($s, 'misses'), 2000, 'the others did not ask');

# One probes, and is kept waiting by a server that says nothing.
mode('silent');
await_probe();
$connections = $fake->connections;
for (1 .. 200)
{
	for my $session (grep { $_ != $prober } @sessions)
	{
		$wrong += cached($session, $query) ne '7';
	}
}
is($wrong, 0, 'every answer is right while one probes');
is($fake->connections, $connections, 'nobody else connects meanwhile');
bypasses($s, $query, 'while another probes');

# A prober that is cancelled gives the right to probe back; one whose probe is answered closes the
# breaker.
$s->ok('SELECT pg_cancel_backend(' . $prober->pid . ')');
like($prober->finish, qr/canceling statement/, 'the probe is cancelled');
mode('good');
wait_until('the breaker closes', sub { outcome($s, $query) eq 'stored' });
stores($_, $query, 'closed for all') for @sessions;

# A prober that dies does not keep the others from probing for ever: its right ends a second after its
# timeout.
$prober->ok(q{SET cache_ext.redis_timeout = '5s'});
mode('loading');
wait_until('the breaker opens', sub { outcome($s, $query) eq 'bypass' });
mode('silent');
await_probe();
$s->ok('SELECT pg_terminate_backend(' . $prober->pid . ')');
$prober->finish;
mode('good');
wait_until('the breaker closes', sub { outcome($s, $query) eq 'stored' });
stores($s, $query, 'closed after a prober was terminated');

# A reload closes it at once, whatever the back-off was.
mode('loading');
wait_until('the breaker opens', sub { outcome($s, $query) eq 'bypass' });
mode('good');
$s->ok('SELECT pg_reload_conf()');
wait_until('the breaker closes', sub { outcome($s, $query) eq 'stored' });
stores($s, $query, 'closed by a reload');

# Timeouts open it only if there are several in a row: a session may set its own timeout too low.
mode('silent');
my $hasty = Session->new($node);
$hasty->ok(q{SET cache_ext.redis_timeout = '1ms'});
is(cached($hasty, $query), '7', 'a session with too short a timeout');
mode('good');
stores($s, $query, 'keeps nobody else from Redis');

# A real Redis, gone and back.
my $redis = RedisServer->new('breaker');
$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $redis->url . "'");
$s->ok('SELECT pg_reload_conf()');
wait_until('the real one is used', sub { outcome($s, $query) eq 'hit' });
$redis->kill9;
not_hit($s, $query, 'gone') for 1 .. 5;
bypasses($s, $query, 'gone: the breaker is open');
$redis->start;
wait_until('used again', sub { outcome($s, $query) eq 'hit' });
hits($s, $query, 'back, without anybody doing anything');
like(slurp_file($node->logfile), qr/cache_ext uses Redis again/, 'and the log says so');

done_testing();
