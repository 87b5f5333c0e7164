# A standby bypasses (rule 7): what it replays moves no clock of its own.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('standby');
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'cache_ext'
autovacuum = off
cache_ext.redis_url = '@{[ $redis->url ]}'
cache_ext.redis_timeout = '30s'
cache_ext.redis_connect_timeout = '30s'
EOC
$primary->start;
create_extension($primary);
$primary->safe_psql('postgres',
	"CREATE TABLE t (v int); INSERT INTO t VALUES (1); SELECT cache_ext.track('t')");
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $query = 'SELECT v::text FROM t';
for my $value (2 .. 4)
{
	$primary->safe_psql('postgres', "UPDATE t SET v = $value");
	is($primary->safe_psql('postgres', through_cache($query)), $value, 'the primary fills');
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	is($standby->safe_psql('postgres', through_cache($query)), $value, 'the standby reads what it replayed')
	  for 1 .. 2;
}
is($standby->safe_psql('postgres', 'SELECT hits + fills FROM cache_ext.stats'), 0, 'without the cache');

$standby->promote;
is_exact(Session->new($standby), $query, 'after its promotion');
$standby->safe_psql('postgres', 'UPDATE t SET v = 5');
is($standby->safe_psql('postgres', through_cache($query)), 5, 'and after a change');

done_testing();
