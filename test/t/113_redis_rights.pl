# The rights in Redis that README.md names are enough for everything, and give no more of what could harm others.
use strict;
use warnings;
use CacheTest;
use Entities;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $readme = slurp_file('README.md');
my @rights;
while ($readme =~ /A user of Redis that may do no more.*?\n\n|a user of Redis that may do no more.*?besides/gs)
{
	my $paragraph = $&;
	push @rights, $paragraph =~ /(\+[a-z|]+)/g;
}
cmp_ok(scalar @rights, '>', 20, 'rights are found in README.md');

my $redis = RedisServer->new('rights', tcp => 1);
$redis->cli('ACL', 'SETUSER', 'least', 'on', '>pw', '~cache_ext:*', @rights);
$redis->cli('CONFIG', 'SET', 'acllog-max-len', '1000');
my $node = cache_node('rights', $redis, 'cache_ext.mode = auto', 'cache_ext.min_cost = 0', 'cache_ext.local_memory = 0',
	"cache_ext.redis_url = 'redis://least:pw\@127.0.0.1:@{[ $redis->port ]}'");
my $s = Session->new($node);

sub is_value
{
	my ($sql, $expected) = @_;
	is($s->query("SELECT $sql"), $expected, $sql);
	return;
}

$s->ok(<<'EOS');
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT cache_ext.track('t');
SELECT cache_ext.attach('t', 't:{id}', 'write_through');
INSERT INTO t VALUES (1, 'a'), (2, 'b');
EOS
all_delivered($node);
stores($s, 'SELECT v FROM t ORDER BY id', 'a result');
hits($s, 'SELECT v FROM t ORDER BY id', 'a result');
is_value("cache_ext.row(NULL::t, 1)", '(1,a)');
is_value("cache_ext.row(NULL::t, 3) IS NULL", 't');
$s->ok(q{UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2});
all_delivered($node);
is_value("cache_ext.row(NULL::t, 1)", '(1,c)');
$s->ok('TRUNCATE t');
all_delivered($node);
is_value("cache_ext.set('k', '1')", 't');
is_value("cache_ext.set('ttl', '1', '1 min')", 't');
is_value("cache_ext.set('later', '1', at_commit => true)", 't');
is_value("cache_ext.get('k')", '1');
is_value("cache_ext.mset('{a,b}', '{1,2}')", '2');
is_value("count(*) FROM cache_ext.mget('{a,b}')", '2');
is_value("cache_ext.set_nx('k', '1')", 'f');
is_value("cache_ext.incr('n', 2)", '2');
is_value("cache_ext.get('n')", '2');
is_value("cache_ext.exists('k')", 't');
is_value("cache_ext.expire('k', '1 min')", 't');
is_value("cache_ext.ttl('k') > '0'", 't');
is_value("cache_ext.del('a')", '1');
is_value("cache_ext.del('{b}', true)", '1');
is_value("cache_ext.del_pattern('k*')", '1');
is_value("cache_ext.ping() >= '0'", 't');
my $token = $s->query("SELECT cache_ext.session_create('u', '{}')");
is_value("user_id FROM cache_ext.session_get('$token')", 'u');
is_value("cache_ext.session_update('$token', '{\"a\": 1}')", 't');
$token = $s->query("SELECT cache_ext.session_rotate('$token')");
is_value("count(*) FROM cache_ext.session_list('u')", '1');
is_value("cache_ext.session_destroy('$token')", 't');
is_value("cache_ext.session_destroy_user('u')", '0');
is_value("allowed FROM cache_ext.rate_limit('r', 5, '1 min', fail => 'closed')", 't');
my $lock = $s->query("SELECT cache_ext.lock('l', '1 min')");
is_value("cache_ext.unlock('l', $lock)", 't');
is_value("cache_ext.lock('l', '1 min', release_at_end => true) > 0", 't');
is_value("cache_ext.invalidate_query('SELECT v FROM t ORDER BY id') IS NOT NULL", 't');
$s->ok(q{SELECT cache_ext.detach('t')});
all_delivered($node);
$node->stop('immediate');
$node->start;    # what another era left is removed
$s = Session->new($node);
$s->ok('SELECT cache_ext.attach(\'t\', \'t:{id}\', \'write_through\'); INSERT INTO t VALUES (1, \'a\')');
all_delivered($node);
is_value("cache_ext.row(NULL::t, 1)", '(1,a)');

is($redis->cli('ACL', 'LOG'), '', 'Redis refused nothing');
unlike($redis->cli('--user', 'least', '--pass', 'pw', '--no-auth-warning', @$_), qr/^OK/, "may not: @$_")
  for [ 'SCRIPT', 'FLUSH' ], [ 'SCRIPT', 'KILL' ], ['FLUSHALL'], ['FLUSHDB'], [ 'CONFIG', 'SET', 'maxmemory', '1' ],
  [ 'SET', 'of_another', '1' ];
done_testing();
