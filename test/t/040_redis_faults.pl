# Whatever Redis does or says, answers are right and no error reaches the client.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('faults');
my $node = cache_node('faults', $redis, 'cache_ext.local_memory = 0');
my $s = Session->new($node);

$s->ok(q{
	CREATE TABLE t (id int PRIMARY KEY, value int);
	INSERT INTO t SELECT g, g * 1000 FROM generate_series(1, 100) g;
	SELECT cache_ext.track('t', '{id}')});
my @queries = ('SELECT value::text FROM t WHERE id = 1', 'SELECT value::text FROM t WHERE id = 2',
	'SELECT sum(value)::text FROM t');

sub change { $s->ok('UPDATE t SET value = value + 1 WHERE id = 1'); return; }

sub all_of
{
	my ($test, $name) = @_;
	$test->($s, $_, $name) for @queries;
	return;
}

# Everything works and is cached.
sub works
{
	my ($name) = @_;
	cached($s, $_) for @queries;
	redis_is_used($s, $_) for @queries;
	all_of(\&hits, $name);
	return;
}

works('at first');

note '--- killed, restarted, flushed';
my $dump = $redis->save_dump;
$redis->kill9;
all_of(\&not_hit, 'killed');
change();
all_of(\&is_exact, 'killed and changed meanwhile');
$redis->start;
works('started again');
$redis->restart_from_dump($dump);
$s->ok('SELECT pg_reload_conf()');
wait_until('the old entry of what did not change', sub { outcome($s, $queries[1]) eq 'hit' });
not_hit($s, $_, 'from a dump older than a change') for @queries[ 0, 2 ];
works('after the old dump');
$dump = $redis->save_dump;
change();
cached($s, $_) for @queries;
$redis->restart_from_dump($dump);
is_exact($s, $_, 'from an older dump again') for @queries;
works('after the older dump');
$redis->flush;
all_of(\&stores, 'flushed');

note '--- full';
$redis->config('maxmemory-policy', 'noeviction');
$redis->config('maxmemory', '1');
all_of(\&hits, 'nothing can be stored, but read');
change();
misses($s, $queries[0], 'nothing can be stored');
misses($s, $queries[0], 'nothing can be stored, again');
hits($s, $queries[1], 'nothing can be stored: what is there is right');
$redis->config('maxmemory-policy', 'allkeys-lru');
all_of(\&is_exact, 'everything is evicted');
$redis->config('maxmemory', '0');
works('not full any more');

note '--- a replica';
$redis->cli('REPLICAOF', '127.0.0.1', '1');
all_of(\&hits, 'a replica can be read');
change();
misses($s, $queries[0], 'but not written');
hits($s, $queries[1], 'and still be read');
$redis->config('replica-serve-stale-data', 'no');
all_of(\&not_hit, 'a replica that lost its master and says so');
$redis->config('replica-serve-stale-data', 'yes');
$redis->cli('REPLICAOF', 'NO', 'ONE');
works('a master again');

note '--- entries of another type';
for my $make ([ 'RPUSH', 'x' ], [ 'HSET', 'x', 'y' ], [ 'SADD', 'x' ], [ 'ZADD', '1', 'x' ])
{
	my ($command, @arguments) = @$make;
	my $key = $s->ok("SELECT key FROM cache_ext.explain('$queries[0]')");
	my $bad = counter($s, 'bad_entries');
	$redis->cli('DEL', $key);
	$redis->cli($command, $key, @arguments);
	stores($s, $queries[0], "$command");
	is(counter($s, 'bad_entries'), $bad + 1, "$command: noticed");
	hits($s, $queries[0], "$command: overwritten");
}

note '--- replies that no Redis gives, or not to this';
my %replies = (
	'MOVED' => "-MOVED 3999 127.0.0.1:6381\r\n",
	'ASK' => "-ASK 3999 127.0.0.1:6381\r\n",
	'CLUSTERDOWN' => "-CLUSTERDOWN The cluster is down\r\n",
	'LOADING' => "-LOADING Redis is loading the dataset in memory\r\n",
	'MASTERDOWN' => "-MASTERDOWN Link with MASTER is down\r\n",
	'BUSY' => "-BUSY Redis is busy running a script\r\n",
	'NOAUTH' => "-NOAUTH Authentication required.\r\n",
	'an error without text' => "-\r\n",
	'an error of 100 kB' => '-' . 'x' x 100_000 . "\r\n",
	'an error with bytes of no encoding' => "-ERR \xff\xfe\x01\r\n",
	'an integer' => ":12\r\n",
	'an array' => "*2\r\n:1\r\n:2\r\n",
	'an array of a billion' => "*1000000000\r\n",
	'deep arrays' => "*1\r\n" x 1000,
	'a string of a terabyte' => "\$1099511627776\r\nx",
	'a string of 2 GB' => "\$2147483647\r\nx",
	'a negative length' => "\$-7\r\n",
	'a length that is none' => "\$abc\r\n",
	'an empty string' => "\$0\r\n\r\n",
	'a string without its end' => "\$5\r\nhelloXX",
	'two replies' => "\$1\r\na\r\n\$1\r\nb\r\n",
	'a reply and a half' => "\$-1\r\n\$5\r\nab",
	'a status' => "+OK\r\n",
	'HTTP' => "HTTP/1.1 400 Bad Request\r\n\r\n",
	'noise' => join('', map { chr(($_ * 7919 + 13) % 256) } 1 .. 5000),
	'nothing but the end of the line' => "\r\n",
	'RESP3 null' => "_\r\n",
	'RESP3 map' => "%1\r\n+a\r\n+b\r\n",
	'the end of the connection' => undef);

# Some leave the rest of a reply to be waited for.
$s->ok(q{SET cache_ext.redis_timeout = '100ms'});
for my $to (qw(GET SET PING))
{
	for my $name (sort keys %replies)
	{
		my $reply = $replies{$name};
		my $fake = Resp::FakeServer->new(sub {
			return $reply if $_[0] eq $to;
			return $_[0] eq 'PING' ? "+PONG\r\n" : $_[0] eq 'GET' ? "\$-1\r\n" : "+OK\r\n";
		});
		$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $fake->url . "'");
		$s->ok('SELECT pg_reload_conf()');

		# A new connection to the new address may be refused meanwhile because the old one was.
		wait_until("a $to", sub { cached($s, $queries[0]); return $fake->commands($to) });
		my @wrong = grep { cached($s, $_) ne uncached($s, $_) } (@queries) x 3;
		is("@wrong", '', "to $to: $name");
		$fake->stop;
	}
}
$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $redis->url . "'");
$s->ok('RESET cache_ext.redis_timeout');
works('back at a real one');

is($s->pid, $s->ok('SELECT pg_backend_pid()'), 'all in one session');
my $log = slurp_file($node->logfile);
unlike($log, qr/ (PANIC|TRAP|ERROR|FATAL):/, 'no error was raised');
unlike($log, qr/terminated by signal/, 'and nothing crashed');

done_testing();
