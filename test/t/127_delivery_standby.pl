# Delivery and failover: a standby that is promoted tells Redis anew once the old primary is gone, and what
# that told last, which the standby doesn't have, is removed.
use strict;
use warnings;

use CacheTest;
use Crash;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $row = 'cache_ext:db:row:t:';
my $redis = RedisServer->new('failover');
my $primary = cache_node([ 'primary', allows_streaming => 1 ], $redis);
create_outbox($primary);

# The backup is from before anybody told Redis anything.
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', 'INSERT INTO t SELECT i, i FROM generate_series(1, 5) i');
settled($primary);
is(right($primary, $redis, 'the primary'), 5, 'tells Redis');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
wait_until('the standby does not',
	sub { $standby->safe_psql('postgres', 'SELECT worker FROM cache_ext.delivery') eq 'standby' });
my $s = Session->new($standby);
is($s->ok("SELECT entity_fill('${row}1', image(9), 0, 'FFFFFFFF/0')"), 'failed', 'and stores nothing');
is(seen($redis, 1), 1, 'at all');

# The last commits of the primary are told, and lost.
$s->ok('SELECT pg_wal_replay_pause()');
wait_until('replay is paused', sub { $s->ok('SELECT pg_get_wal_replay_pause_state()') eq 'paused' });
$standby->stop('immediate');
$primary->safe_psql('postgres', 'UPDATE t SET v = v + 100 WHERE id <= 3; DELETE FROM t WHERE id = 4');
settled($primary);
is(seen($redis, 1), 101, 'the primary tells what the standby will never have');
$s->close;
$standby->append_conf('postgresql.conf', "primary_conninfo = ''");
$standby->start;
is(seen($redis, 1), 101, 'a standby removes nothing');
$standby->promote;
is(seen($redis, 1), 101, 'nor does a promoted one while the primary is alive');
kill_server($primary);
settled($standby);
is(seen($redis, 1) // '', '', 'then it does');
is(seen($redis, 4) // '', '', 'with the deleted row');
right($standby, $redis, 'after the promotion');
$standby->safe_psql('postgres', 'UPDATE t SET v = v + 10');
settled($standby);
is(right($standby, $redis, 'the new primary'), 5, 'tells Redis');
is(version($redis, 1)->[1], 2, 'of a new timeline');

# The old primary comes back, and doesn't know.
my $generation = version($redis, 1)->[2];
$primary->start;
$primary->safe_psql('postgres', 'UPDATE t SET v = v + 1000');
wait_until('it is refused', sub { $primary->safe_psql('postgres', 'SELECT worker FROM cache_ext.delivery') eq 'another server owns the keys' });
is(right($standby, $redis, 'what the old primary has to tell'), 5, 'is not told');

# A restart of the new one, clean and not.
$standby->restart;
is(right($standby, $redis, 'after a restart'), 5, 'goes on');
$standby->safe_psql('postgres', 'UPDATE t SET v = v + 1');
settled($standby);
is(right($standby, $redis, 'of the new primary'), 5, 'tells Redis');
is(version($redis, 1)->[2], $generation, 'in the same generation');
$standby->stop('immediate');
$standby->start;
$standby->safe_psql('postgres', 'UPDATE t SET v = v + 1');
settled($standby);
right($standby, $redis, 'after a crash');
cmp_ok($standby->safe_psql('postgres', 'SELECT generation FROM cache_ext.delivery'), '>', $generation, 'a new generation');

done_testing();
