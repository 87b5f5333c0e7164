# A primary that was shut down cleanly comes back as a standby of the one that took over, and is
# promoted later.  What it left to its next start (the clocks) knows nothing of the changes that it
# only replayed.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('failback');
my $one = PostgreSQL::Test::Cluster->new('one');
$one->init(allows_streaming => 1);
$one->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'cache_ext'
autovacuum = off
max_prepared_transactions = 0
cache_ext.redis_url = '@{[ $redis->url ]}'
cache_ext.redis_timeout = '30s'
cache_ext.redis_connect_timeout = '30s'
EOC
$one->start;
create_extension($one);
$one->safe_psql('postgres',
	"CREATE TABLE t (v text); INSERT INTO t VALUES ('old'); SELECT cache_ext.track('t')");
$one->backup('base');
my $two = PostgreSQL::Test::Cluster->new('two');
$two->init_from_backup($one, 'base', has_streaming => 1);
$two->start;
$one->wait_for_catchup($two, 'replay', $one->lsn('write'));

my $query = 'SELECT v FROM t';
stores(Session->new($one), $query);

$one->stop('fast');
$two->promote;
$two->safe_psql('postgres', "UPDATE t SET v = 'new'");

$one->enable_streaming($two);
$one->start;
$two->wait_for_catchup($one, 'replay', $two->lsn('write'));
$two->stop('fast');
$one->promote;
is($one->safe_psql('postgres', through_cache($query)), 'new', 'no result from before it was a standby');
is_exact(Session->new($one), $query, 'nor later');

done_testing();
