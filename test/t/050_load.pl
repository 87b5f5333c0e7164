# Concurrent writers and readers: no read is stale, half done, or of a change that was rolled back.
# What is checked and how is in test/load/load.c.
#
# CX_LOAD_SECONDS: how long, all in all (default 60)
use strict;
use warnings;

use CacheTest;
use Load;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;
use Time::HiRes qw(usleep);

my $redis = RedisServer->new('load');
my $node = cache_node('load', $redis, 'max_prepared_transactions = 20', 'log_statement = none');
my $load = Load->new($node);
my $control;
my $seconds = ($ENV{CX_LOAD_SECONDS} || 60) / 4;

# Entries of the run before stay in Redis, and are good or not as after any clean restart.
sub with_tiers
{
	my ($local_memory, $redis_url) = @_;
	$node->append_conf('postgresql.conf',
		"cache_ext.local_memory = $local_memory\ncache_ext.redis_url = '$redis_url'");
	$node->restart;
	$control = Session->new($node);
	return;
}

sub hits_enough
{
	my ($name, $counter, %result) = @_;
	cmp_ok($result{$counter}, '>', 500, "$name: enough $counter to mean something");
	return;
}

# Others read large results, slowly, and are cancelled or ended meanwhile: what they held must not stay.
sub disturb
{
	my $victim = Session->new($node);
	my $query = q{SELECT value, repeat(value::text || ' ', %d) FROM wide WHERE id = %d};
	$victim->send('SET ROLE load; SET cache_ext.mode = auto; SET cache_ext.min_cost = 0; '
		. join('; ', map { sprintf($query, 10000 + 10000 * int rand 2, rand 16) } 1 .. 50));
	usleep(rand 100_000);
	my $way = rand() < 0.5 ? 'cancel' : 'terminate';
	$control->ok("SELECT pg_${way}_backend(" . $victim->pid . ')');
	$victim->finish;
	$victim->close;
	return;
}

sub nothing_is_held
{
	wait_until('nobody holds an entry', sub { $control->ok('SELECT pins FROM cache_ext.local_memory') eq '0' });
	$control->close;
	return;
}

{
	with_tiers('0', $redis->url);
	my %result = $load->run(door => 'function', seconds => $seconds);
	$load->check('function, Redis', %result);
	hits_enough('function, Redis', 'hits', %result);
	is($result{local_hits}, 0, 'function, Redis: nothing else is there');
}
{
	with_tiers('64MB', '');
	my %result = $load->run(door => 'statement', seconds => $seconds);
	$load->check('statements, local tier', %result);
	hits_enough('statements, local tier', 'local_hits', %result);
}

# There is no room for all results: entries go while they are read, and come back from Redis.
{
	with_tiers('1MB', '');
	my %result = $load->run(door => 'statement', seconds => $seconds, meanwhile => \&disturb);
	$load->check('statements, little memory', %result);
	hits_enough('statements, little memory', 'local_hits', %result);
	cmp_ok($result{evictions}, '>', 0, 'statements, little memory: entries were evicted');
	nothing_is_held();
}
{
	with_tiers('1MB', $redis->url);
	my %result = $load->run(door => 'both', seconds => $seconds, meanwhile => \&disturb);
	$load->check('all of it, little memory and Redis', %result);
	hits_enough('all of it, little memory and Redis', 'hits', %result);
	cmp_ok($result{hits} - $result{local_hits}, '>', 0, 'some of them from Redis');
	nothing_is_held();
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0',
	'nothing is left prepared');

done_testing();
