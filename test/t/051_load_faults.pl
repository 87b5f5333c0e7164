# The load test while Redis suffers, with nothing but Redis and with entries in shared memory too: no
# read is wrong and no error reaches a client.
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

my $seconds = ($ENV{CX_FAULT_SECONDS} || 10) / 2;
my $redis = RedisServer->new('load');

# Timeouts that are over while Redis pauses.
my $node = cache_node('load', $redis, 'max_prepared_transactions = 20', 'log_statement = none',
	'cache_ext.redis_timeout = 50ms', 'cache_ext.redis_connect_timeout = 50ms');
my $load = Load->new($node);

sub pause { usleep(1000 * (20 + int rand $_[0])); return; }

# What follows shapes the load; nothing is tested by it.
sub killed_and_restarted
{
	my $dump;
	return sub {
		pause(500);
		$dump = $redis->save_dump if !$dump || rand() < 0.3;
		pause(500);
		$redis->restart_from_dump($dump);
	};
}

sub paused
{
	$redis->pause;
	pause(300);
	$redis->resume;
	pause(1000);
	return;
}

# Others' data takes the room: entries are evicted, or none can be stored any more.
sub filled
{
	my ($client) = @_;
	$redis->config('maxmemory-policy', rand() < 0.7 ? 'allkeys-lru' : 'noeviction');
	$client->calls(map { [ 'SET', "filler $_", 'x' x 5000 ] } 1 .. 300);
	pause(100);
	return;
}

sub corrupted
{
	my ($corruption) = @_;
	$corruption->corrupt_all;
	pause(20);
	$corruption->replay;
	pause(20);
	$corruption->remember if rand() < 0.2;
	return;
}

# Little memory, so that Redis has entries that the server has not.
for my $case ([ 'function', '0' ], [ 'statement', '1MB' ])
{
	my ($door, $local_memory) = @$case;
	my $name = "$door, local_memory $local_memory";
	my ($bad, %result) = (0);
	$node->append_conf('postgresql.conf', "cache_ext.local_memory = $local_memory");
	$node->restart;
	$redis->flush;

	my @options = (door => $door, seconds => $seconds);
	%result = $load->run(@options, meanwhile => killed_and_restarted());
	$load->check("$name, killed and restarted from an old dump", %result);
	$bad += $result{bad_entries};
	cmp_ok($result{hits}, '>', 0, 'there were hits in between');

	%result = $load->run(@options, meanwhile => \&paused);
	$load->check("$name, paused for longer than the timeout", %result);
	$bad += $result{bad_entries};
	cmp_ok($result{redis_errors}, '>', 0, 'there were timeouts');

	my $client = Resp->connect($redis->socket);
	my ($used) = $client->call('INFO', 'memory') =~ /^used_memory:(\d+)/m;
	my ($evicted_before) = $client->call('INFO', 'stats') =~ /^evicted_keys:(\d+)/m;
	$redis->config('maxmemory', $used + 1_000_000);
	%result = $load->run(@options, meanwhile => sub { filled($client) });
	my ($evicted) = $client->call('INFO', 'stats') =~ /^evicted_keys:(\d+)/m;
	$redis->config('maxmemory', '0');
	$redis->flush;
	$load->check("$name, filled to maxmemory", %result);
	$bad += $result{bad_entries};
	cmp_ok($result{fills_skipped}, '>', 0, 'there were entries that were not stored')
	  if $local_memory eq '0';
	cmp_ok($evicted, '>', $evicted_before, 'there were evictions');

	%result = $load->run(@options, meanwhile => sub { $redis->flush; pause(50) });
	$load->check("$name, flushed", %result);
	$bad += $result{bad_entries};

	is($bad, 0, "$name: whatever became of Redis, no entry was half written");
	my $corruption = Corruption->new($redis->socket);
	%result = $load->run(@options, meanwhile => sub { corrupted($corruption) });
	$load->check("$name, fed with corrupted and with old entries", %result);
	cmp_ok($result{bad_entries}, '>', 100, 'corrupted entries were noticed');
	cmp_ok($result{local_hits}, '>', 0, 'there were hits that did not need Redis')
	  if $local_memory ne '0';
}

done_testing();
