# The outbox: what a transaction tells Redis, from the queueing to the key.
# What is tested are the modules themselves, through the SQL functions of test/outbox.
use strict;
use warnings;

use CacheTest;
use Outbox;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('outbox');
my $node = cache_node('one', $redis, 'max_prepared_transactions = 10');
create_outbox($node);
my $s = Session->new($node);
my $t = Session->new($node);

note '--- a row on its way';
$s->ok('INSERT INTO t VALUES (1, 10)');
settled($node);
is(seen($redis, 1), 10, 'a row is in Redis');
diag explain version($redis, 1);
done_testing();
