# Concurrent writers and readers: no read is stale, half done, or of a change that was rolled back.
# What is checked and how is in test/load/load.c.
#
# CX_LOAD_SECONDS: how long (default 60)
use strict;
use warnings;

use CacheTest;
use Load;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

my $redis = RedisServer->new('load');
my $node = cache_node('load', $redis, 'max_prepared_transactions = 20',
	'log_statement = none');
my $load = Load->new($node);
my %result = $load->run($ENV{CX_LOAD_SECONDS} || 60);

$load->check('load', %result);
cmp_ok($result{hit_ratio}, '>', 0.3, 'reads through the cache hit often enough to mean something');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0',
	'nothing is left prepared');

done_testing();
