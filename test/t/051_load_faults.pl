# The load test while Redis suffers: no read is wrong and no error reaches a client.
#
# CX_FAULT_SECONDS: how long, each (default 10)
use strict;
use warnings;

use CacheTest;
use Corruption;
use Load;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Test::More;
use Time::HiRes qw(usleep);

my $seconds = $ENV{CX_FAULT_SECONDS} || 10;
my $redis = RedisServer->new('load');

# Timeouts that are over while Redis pauses.
my $node = cache_node('load', $redis, 'max_prepared_transactions = 20', 'log_statement = none',
	'cache_ext.redis_timeout = 50ms', 'cache_ext.redis_connect_timeout = 50ms');
my $load = Load->new($node);

sub pause { usleep(1000 * (20 + int rand $_[0])); return; }

# What follows shapes the load; nothing is tested by it.
{
	my $dump;
	my %result = $load->run($seconds, sub {
		pause(500);
		$dump = $redis->save_dump if !$dump || rand() < 0.3;
		pause(500);
		$redis->restart_from_dump($dump);
	});
	$load->check('killed and restarted from an old dump', %result);
	cmp_ok($result{hits}, '>', 0, 'there were hits in between');
}
{
	my %result = $load->run($seconds, sub {
		$redis->pause;
		pause(300);
		$redis->resume;
		pause(1000);
	});
	$load->check('paused for longer than the timeout', %result);
	cmp_ok($result{redis_errors}, '>', 0, 'there were timeouts');
}
{
	my $client = Resp->connect($redis->socket);
	my ($used) = $client->call('INFO', 'memory') =~ /^used_memory:(\d+)/m;

	# Others' data takes the room: entries are evicted, or none can be stored any more.
	$redis->config('maxmemory', $used + 1_000_000);
	my %result = $load->run($seconds, sub {
		$redis->config('maxmemory-policy', rand() < 0.7 ? 'allkeys-lru' : 'noeviction');
		$client->calls(map { [ 'SET', "filler $_", 'x' x 5000 ] } 1 .. 300);
		pause(100);
	});
	my ($evicted) = $client->call('INFO', 'stats') =~ /^evicted_keys:(\d+)/m;
	$redis->config('maxmemory', '0');
	$redis->flush;
	$load->check('filled to maxmemory', %result);
	cmp_ok($result{fills_skipped}, '>', 0, 'there were entries that were not stored');
	cmp_ok($evicted, '>', 0, 'there were evictions');
}
{
	my %result = $load->run($seconds, sub { $redis->flush; pause(50) });
	$load->check('flushed', %result);
}
{
	my $corruption = Corruption->new($redis->socket);
	my %result = $load->run($seconds, sub {
		$corruption->corrupt_all;
		pause(20);
		$corruption->replay;
		pause(20);
		$corruption->remember if rand() < 0.2;
	});
	$load->check('fed with corrupted and with old entries', %result);
	cmp_ok($result{bad_entries}, '>', 100, 'corrupted entries were noticed');
}

done_testing();
