# What whoever answers in Redis's place says gets into messages and the log as printable text only: no line breaks, no
# escape sequences, no bytes of other encodings.
use strict;
use warnings;
use Application;
use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('text');
my $node = cache_node([ 'text', extra => [ '-E', 'UTF8', '--locale', 'C' ] ], $redis);
my $s = Session->new($node);
create_result_of($s);
$s->ok(<<'EOS');
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT cache_ext.attach('t', 't:{id}', 'write_through', on_redis_down => 'abort');
INSERT INTO t VALUES (1, 'a');
EOS

my $said = "ERR \x1b[2J\x9b31m\xff\x07 \xe2\x80\xae said";
my $printable = qr/ERR \?\[2J\?31m\?\? \?\?\? said/;
my $fake = Resp::FakeServer->new(sub { return $_[0] eq 'PING' ? "+PONG\r\n" : "-$said\r\n" });
use_redis($node, $s, $fake->url);

like($s->query('SELECT cache_ext.get($$k$$)'), $printable, 'the error of a function');
unlike($s->query("UPDATE t SET v = 'b'"), qr/[^ -~\n\t]/, 'the error of a fence');
like($s->query("DO \$\$ BEGIN PERFORM cache_ext.set('k', '1', at_commit => true); END \$\$"), qr/^$/, 'a message for the worker');
wait_until('the worker has said what it was told',
	sub { return slurp_file($node->logfile) =~ /cannot tell Redis.*said/ });
my $log = slurp_file($node->logfile);
like($log, qr/cannot tell Redis what was committed: $printable$/m, 'the log of the worker');
unlike($log, qr/[^ -~\n\t]/, 'the log has nothing else');
$fake->stop;
done_testing();
