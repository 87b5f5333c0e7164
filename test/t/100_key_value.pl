# Keys and values in Redis from SQL: results, wrong input, what other programs write and read,
# privileges.
use strict;
use warnings;

use Application;
use CacheTest;
use IPC::Run qw(run);
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('values');
my $node = cache_node('values', $redis, 'cache_ext.max_entry_size = 1MB');
my $s = Session->new($node);
my $client = Resp->connect($redis->socket);
my $prefix = 'cache_ext:postgres:kv:';

create_result_of($s);

sub raw { my ($key) = @_; return $client->call('GET', "$prefix$key"); }
sub keys_there { return grep { $_ ne 'cache_ext:owner' } $redis->keys; }
sub put { my ($key, $bytes) = @_; return $client->call('SET', "$prefix$key", $bytes); }

note '--- set, get, exists, del';
returns($s, q{cache_ext.get('a')}, 'NULL', 'nothing there');
returns($s, q{cache_ext.exists('a')}, 'false');
returns($s, q{cache_ext.set('a', '{"x": [1, "two", null]}')}, 'true');
returns($s, q{cache_ext.get('a')}, '{"x": [1, "two", null]}');
returns($s, q{cache_ext.exists('a')}, 'true');
returns($s, q{cache_ext.ttl('a')}, 'NULL', 'no TTL');
is(raw('a'), "\x81\xa1x\x93\x01\xa3two\xc0", 'MessagePack, under its name');
returns($s, q{cache_ext.set('a', 'null')}, 'true');
returns($s, q{cache_ext.get('a')}, 'null', 'a null that was stored is not nothing');
returns($s, q{cache_ext.get('a') IS NULL}, 'false');
returns($s, q{cache_ext.del('a', 'b', 'a')}, '1', 'del counts what there was');
returns($s, q{cache_ext.del('a')}, '0');
returns($s, q{cache_ext.del(VARIADIC '{}')}, '0', 'del of no keys');
returns($s, q{cache_ext.del('a', 't')}, '0', 'two texts are two keys');
returns($s, q{cache_ext.del('{a,b}', false)}, '0', 'an array and a boolean are not');
returns($s, q{cache_ext.ping() BETWEEN '0' AND '1 min'}, 'true');

note '--- at once, not at commit';
$s->ok('BEGIN');
returns($s, q{cache_ext.set('kept', '1')}, 'true');
is(raw('kept'), "\x01", 'there before the commit');
$s->ok('ROLLBACK');
returns($s, q{cache_ext.get('kept')}, '1', 'and after a rollback');
$s->ok('BEGIN READ ONLY');
returns($s, q{cache_ext.set('kept', '2')}, 'true', 'in a transaction that only reads');
$s->ok('COMMIT');

note '--- expiry';
for my $ttl ('1 ms', '1 second', '36500 days', '1 month')
{
	returns($s, "cache_ext.set('t', '1', '$ttl')", 'true', "set, ttl $ttl");
}
returns($s, q{cache_ext.ttl('t') > '29 days 23:59' AND cache_ext.ttl('t') <= '30 days'}, 'true',
	'a month is 30 days');
returns($s, q{cache_ext.set('t', '2')}, 'true');
returns($s, q{cache_ext.ttl('t')}, 'NULL', 'set without a TTL ends it');
returns($s, q{cache_ext.expire('t', '1 hour')}, 'true');
returns($s, q{cache_ext.ttl('t') BETWEEN '59 min' AND '1 hour'}, 'true');
returns($s, q{cache_ext.expire('nothing', '1 hour')}, 'false');
returns($s, q{cache_ext.ttl('nothing')}, 'NULL');
$s->ok(q{SELECT cache_ext.expire('t', '1 ms')});
wait_until('expiry', sub { ($s->ok(q{SELECT cache_ext.exists('t')})) eq 'f' });
returns($s, q{cache_ext.get('t')}, 'NULL', 'expired');

note '--- set_nx';
returns($s, q{cache_ext.set_nx('nx', '1', '1 hour')}, 'true');
returns($s, q{cache_ext.set_nx('nx', '2')}, 'false');
returns($s, q{cache_ext.get('nx')}, '1');
returns($s, q{cache_ext.ttl('nx') > '59 min'}, 'true', 'the one that set it set the TTL');

note '--- mset, mget';
returns($s, q{cache_ext.mset('{m1,m2,m3,NULL,m4}', ARRAY['1', 'null', '"x"', '4', NULL]::jsonb[], '1 hour')},
	'3', 'a pair with a NULL is left out');
returns($s, q{cache_ext.ttl('m2') > '59 min'}, 'true');
sub mget
{
	my ($keys) = @_;
	return $s->ok("SELECT coalesce(key, '-'), coalesce(value::text, '-') FROM cache_ext.mget($keys)");
}
is(mget(q{'{m3,m1,none,NULL,m2,m1}'}), "m3|\"x\"\nm1|1\nnone|-\n-|-\nm2|null\nm1|1",
	'mget: a row for each key, in order');
is(mget(q{'{}'}), '', 'mget of no keys');
is(mget('NULL'), '', 'mget of NULL');
is(mget(q{'{{m1,m2},{m3,none}}'}), "m1|1\nm2|null\nm3|\"x\"\nnone|-", 'mget of two dimensions');
returns($s, q{cache_ext.mset('{}', '{}')}, '0', 'mset of nothing');
refuses($s, q{cache_ext.mset('{a,b}', '{1}')}, '2202E');
$s->ok(q{SELECT cache_ext.mset(array_agg('many' || g), array_agg(to_jsonb(g))) FROM generate_series(1, 1000) g});
is($s->ok(q{SELECT count(*), count(value), sum(value::int), min(key) FROM cache_ext.mget(
	(SELECT array_agg('many' || g) FROM generate_series(0, 1000) g))}), '1001|1000|500500|many0',
	'1,001 keys');

# Nothing is answered before the last command has come.
for my $call ([ 'mget', 'GET', "\$-1\r\n", q{SELECT count(*) FROM cache_ext.mget((SELECT array_agg('k' || g) FROM generate_series(1, 1000) g))} ],
	[ 'mset', 'SET', "+OK\r\n", q{SELECT cache_ext.mset((SELECT array_agg('k' || g) FROM generate_series(1, 1000) g), (SELECT array_agg(to_jsonb(g)) FROM generate_series(1, 1000) g))} ],
	[ 'del', 'UNLINK', ":1\r\n", q{SELECT cache_ext.del(VARIADIC (SELECT array_agg('k' || g) FROM generate_series(1, 1000) g))} ])
{
	my ($name, $verb, $reply, $sql) = @$call;
	my $seen = 0;
	my $fake = Resp::FakeServer->new(sub {
		return "+PONG\r\n" if $_[0] eq 'PING';
		return ++$seen < 1000 ? '' : $reply x 1000;
	});
	use_redis($node, $s, $fake->url);
	is($s->ok($sql), '1000', "$name of 1,000 keys is one round trip");
	is($fake->commands($verb), 1000, "$name: of commands with one key");
	$fake->stop;
}
use_redis($node, $s, $redis->url);

note '--- counters';
returns($s, q{cache_ext.incr('c')}, '1');
returns($s, q{cache_ext.incr('c', 41)}, '42');
returns($s, q{cache_ext.incr('c', -50)}, '-8');
returns($s, q{cache_ext.incr('c', 0)}, '-8', 'by 0 reads');
returns($s, q{cache_ext.get('c')}, '-8', 'get of a counter');
is($client->call('HGET', "${prefix}c", 'n'), '-8', 'a hash with the field n');
$client->call('HINCRBY', "${prefix}c", 'n', 10);
returns($s, q{cache_ext.incr('c')}, '3', 'others count too');
is(mget(q{'{m1,c,none}'}), "m1|1\nc|3\nnone|-", 'mget of counters and values');
returns($s, q{cache_ext.set_nx('c', '1')}, 'false', 'a counter is there for set_nx');
returns($s, q{cache_ext.exists('c')}, 'true');
returns($s, q{cache_ext.incr('big', 9223372036854775807)}, '9223372036854775807', 'the largest');
returns($s, q{cache_ext.incr('big', -1)}, '9223372036854775806', 'no digit is lost');
refuses($s, q{cache_ext.incr('big', 2)}, '22003');
returns($s, q{cache_ext.get('big')}, '9223372036854775806', 'a sum out of range changes nothing');
returns($s, q{cache_ext.incr('small', -9223372036854775808)}, '-9223372036854775808', 'the smallest');
refuses($s, q{cache_ext.incr('small', -1)}, '22003');
returns($s, q{cache_ext.incr('w', 1, '1 hour')}, '1');
returns($s, q{cache_ext.incr('w', ttl => '10 hours')}, '2');
returns($s, q{cache_ext.ttl('w') BETWEEN '59 min' AND '1 hour'}, 'true', 'the TTL is for a new counter');
returns($s, q{cache_ext.incr('c', ttl => '1 hour')}, '4');
returns($s, q{cache_ext.ttl('c')}, 'NULL', 'and not for an old one');
refuses($s, q{cache_ext.incr('m1')}, '42809', 'a value is no counter');
returns($s, q{cache_ext.set('c', '5')}, 'true', 'set over a counter');
returns($s, q{cache_ext.get('c')}, '5');
refuses($s, q{cache_ext.incr('c')}, '42809', 'then it is a value');
returns($s, q{cache_ext.del('c', 'big')}, '2');
$client->call('HSET', "${prefix}odd", 'n', 'many');
refuses($s, q{cache_ext.get('odd')}, 'XX001', 'a hash that is no counter');
refuses($s, q{cache_ext.incr('odd')}, '38000', 'nor can it be increased');
$client->call('DEL', "${prefix}odd");
$client->call('HSET', "${prefix}odd", 'x', '1');
refuses($s, q{cache_ext.get('odd')}, '42809', 'a hash without the field');
$client->call('RPUSH', "${prefix}list", 'x');
refuses($s, q{cache_ext.get('list')}, '42809', 'a list');
refuses($s, q{(SELECT count(*) FROM cache_ext.mget('{m1,list}'))}, '42809', 'a list in mget');
refuses($s, q{cache_ext.incr('list')}, '42809');
returns($s, q{cache_ext.set('list', '1')}, 'true', 'set replaces whatever was there');

note '--- numbers';
my @numbers = (qw(0 1 127 128 255 256 65535 65536 4294967295 4294967296 9223372036854775807
	9223372036854775808 18446744073709551615 18446744073709551616 -1 -32 -33 -128 -129 -32768 -32769
	-2147483648 -2147483649 -9223372036854775808 -9223372036854775809 48 57 0.1 -0.1 1.5 3.14159 1e10
	1e20 1e22 1e23 1e100 1.7976931348623157e308 1e308 1e309 -1e309 1e-5 1e-300 5e-324 1e-400
	0.30000000000000004 0.12345678901234567890123456789 123456789012345678901234567890
	1234567890.12345678901234567890), '1' x 1000, '0.' . '1' x 1000, '-0.' . '0' x 500 . '1');
my @wrong = grep { $s->ok("SELECT cache_ext.set('number', '$_'); SELECT cache_ext.get('number') = '$_'") ne "t\nt" } @numbers;
is("@wrong", '', 'every number comes back as it was');
my %bytes = (5 => '05', 200 => 'ccc8', 18446744073709551615 => 'cfffffffffffffffff', -1 => 'ff',
	0.5 => 'cb3fe0000000000000', 0.1 => 'cb3fb999999999999a', 1e20 => 'cb4415af1d78b58c40',
	'0.12345678901234567890' => 'c7' . '16' . '01' . unpack('H*', '0.12345678901234567890'),
	'1.0' => 'cb3ff0000000000000', 48 => '30');
for my $number (sort keys %bytes)
{
	$s->ok("SELECT cache_ext.set('number', '$number')");
	is(unpack('H*', raw('number')), $bytes{$number}, "$number in MessagePack");
}

note '--- values';
my @values = ('true', 'false', '""', '"\u00e9 \u20ac \ud83d\ude00"', '[]', '{}', '[[], {}, [[]]]', '{"": ""}',
	'{"a": {"b": {"c": [1, {"d": null}]}}}', '"' . 'x' x 31 . '"', '"' . 'x' x 32 . '"', '"' . 'x' x 256 . '"',
	'"' . 'x' x 65536 . '"', '"\n\t\\\\ \""');
@wrong = grep { $s->ok("SELECT cache_ext.set('v', '$_'); SELECT cache_ext.get('v') = '$_'") ne "t\nt" } @values;
is("@wrong", '', 'every value comes back as it was');
for my $size (15, 16, 65535, 65536)
{
	is($s->ok("SELECT cache_ext.set('v', jsonb_agg(g)) FROM generate_series(1, $size) g;
		SELECT jsonb_array_length(cache_ext.get('v'))"), "t\n$size", "an array of $size");
	is($s->ok("SELECT cache_ext.set('v', jsonb_object_agg('k' || g, g)) FROM generate_series(1, $size) g;
		SELECT count(*), count(DISTINCT value) FROM jsonb_each(cache_ext.get('v'))"), "t\n$size|$size",
		"an object of $size");
}
for my $depth (1000, 3000)
{
	for my $nest ([ '[', '', ']' ], [ '{"a":', '1', '}' ], [ '[{"a":', '1', '}]' ])
	{
		my ($open, $inner, $close) = @$nest;
		my $times = $depth / (() = $open =~ /[[{]/g);
		my $json = "(repeat('$open', $times) || '$inner' || repeat('$close', $times))::jsonb";
		returns($s, "cache_ext.set('deep', $json)", 'true', "$open, $depth deep");
		returns($s, "cache_ext.get('deep') = $json", 'true', "$open, $depth deep: as it was");
	}
}
refuses($s, q{cache_ext.set('deep', (repeat('[', 3001) || repeat(']', 3001))::jsonb)}, '54000');
refuses($s, q{cache_ext.set('large', to_jsonb(repeat('x', 1024 * 1024)))}, '54000', 'a value over max_entry_size');
returns($s, q{cache_ext.set('large', to_jsonb(repeat('x', 1000 * 1024)))}, 'true', 'a large value');
returns($s, q{length(cache_ext.get('large')::text)}, 1000 * 1024 + 2, 'a large value comes back');

note '--- keys';
my @keys = ('x' x 1024, "\xc3\xa9" x 512, ' ', "\x01", "\x7f", "a\nb\tc", "it''s \"quoted\"", '*', '?', '[a]', '\\',
	'{tag}', 'a:b:c', ':', '%', "\xf0\x9f\x98\x80", 'NULL');
for my $key (@keys)
{
	my $name = length $key > 40 ? substr($key, 0, 2) . ' ...' : $key;
	(my $bytes = $key) =~ s/''/'/g;
	$name =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
	is($s->ok("SELECT cache_ext.set('$key', '7'), cache_ext.get('$key'), cache_ext.exists('$key'),
		cache_ext.expire('$key', '1 h'), cache_ext.ttl('$key') > '1 min',
		(SELECT value FROM cache_ext.mget(ARRAY['$key'])), cache_ext.set_nx('$key', '8')"), 't|7|t|t|t|7|f', "key $name");
	is(raw($bytes), "\x07", "key $name: its name in Redis");
	is($s->ok("SELECT cache_ext.del('$key'), cache_ext.incr('$key'), cache_ext.del('$key')"), '1|1|1', "key $name: removed");
}

my @functions = (
	[ 'get', q{cache_ext.get(%s)}, 'text' ],
	[ 'mget', q{(SELECT count(*) FROM cache_ext.mget(ARRAY[%s]))}, 'text[]' ],
	[ 'set', q{cache_ext.set(%s, '1')}, 'text, jsonb, interval, boolean' ],
	[ 'set at commit', q{cache_ext.set(%s, '1', at_commit => true)} ],
	[ 'mset', q{cache_ext.mset(ARRAY[%s], '{1}')}, 'text[], jsonb[], interval' ],
	[ 'set_nx', q{cache_ext.set_nx(%s, '1')}, 'text, jsonb, interval' ],
	[ 'incr', q{cache_ext.incr(%s)}, 'text, bigint, interval' ],
	[ 'del', q{cache_ext.del(%s)}, 'text[]' ],
	[ 'del at commit', q{cache_ext.del(ARRAY[%s], true)}, 'text[], boolean' ],
	[ 'del_pattern', q{cache_ext.del_pattern(%s)}, 'text' ],
	[ 'exists', q{cache_ext.exists(%s)}, 'text' ],
	[ 'expire', q{cache_ext.expire(%s, '1 hour')}, 'text, interval' ],
	[ 'ttl', q{cache_ext.ttl(%s)}, 'text' ]);

my @before = keys_there();
for my $function (@functions)
{
	my ($name, $call) = @$function;
	my $nothing = $name =~ /^mget/ ? '1' : $name =~ /^m?set$|^set at/ ? '(NULL|0)' : $name =~ /^del($| at)/ ? '0' : 'NULL';
	like(join(' ', refusal($s, sprintf($call, 'NULL::text'))), qr/^none $nothing$/, "$name: no error for NULL");
	refuses($s, sprintf($call, q{''}), '22023', "$name: an empty key");
	refuses($s, sprintf($call, q{repeat('x', 1025)}), '22023', "$name: a key that is too long");
	refuses($s, sprintf($call, q{repeat('é', 513)}), '22023', "$name: its bytes count");
}
for my $call (q{cache_ext.set('a', NULL)}, q{cache_ext.set(NULL, NULL)}, q{cache_ext.set('a', '1', at_commit => NULL)},
	q{cache_ext.set_nx('a', NULL)}, q{cache_ext.mset(NULL, '{1}')}, q{cache_ext.mset('{a}', NULL)},
	q{cache_ext.incr('a', NULL)}, q{cache_ext.del(VARIADIC NULL)}, q{cache_ext.del(NULL, true)},
	q{cache_ext.del(ARRAY['a'], NULL)}, q{cache_ext.del_pattern(NULL)}, q{cache_ext.expire('a', NULL)})
{
	returns($s, $call, 'NULL');
}
returns($s, q{cache_ext.set('a', '1', NULL)}, 'true', 'no TTL');
returns($s, q{cache_ext.del('a')}, '1');

my @ttls = ('-1 second', '0', '1 microsecond', '999 microseconds', '36500 days 1 ms', '-1 month', '1000000 years',
	'178000000 years', '-178000000 years', '2147483647 days');
push @ttls, 'infinity', '-infinity' if $node->pg_version >= 17;
for my $ttl (@ttls)
{
	refuses($s, sprintf($_, $ttl), '22023') for q{cache_ext.set('a', '1', '%s')}, q{cache_ext.set_nx('a', '1', '%s')},
	  q{cache_ext.mset('{a}', '{1}', '%s')}, q{cache_ext.incr('a', 1, '%s')}, q{cache_ext.expire('m1', '%s')},
	  q{cache_ext.set('a', '1', '%s', true)};
}
returns($s, q{cache_ext.ttl('m1') > '59 min'}, 'true', 'an expiry that is no such thing changes nothing');
is(join(' ', keys_there()), "@before", 'wrong input leaves nothing behind');
refuses($s, q{cache_ext.set('a', 'NaN')}, '22P02', 'NaN is no JSON');
returns($s, q{cache_ext.set('a', to_jsonb('infinity'::float8))}, 'true', 'to_jsonb makes a string of it');
returns($s, q{cache_ext.get('a')}, '"Infinity"');

note '--- patterns';
$redis->flush;
my $twenty = q{SELECT cache_ext.mset(array_agg('p:' || g), array_agg('1'::jsonb)) FROM generate_series(1, 20) g};
$s->ok($twenty);
$client->call('SET', $_, 'x') for 'p:1', 'cache_ext:postgres:session:p:1', 'cache_ext:other:kv:p:1', 'cache_extXpostgres:kv:p:1';
returns($s, q{cache_ext.del_pattern('p:1?')}, '10');
returns($s, q{cache_ext.del_pattern('p:[2-3]')}, '2');
returns($s, q{cache_ext.del_pattern('P:*')}, '0');
returns($s, q{cache_ext.set('*', '1')}, 'true');
returns($s, q{cache_ext.del_pattern('\*')}, '1', 'an escaped star');
returns($s, q{cache_ext.del_pattern('*')}, '8');
is(join(' ', keys_there()), 'cache_ext:other:kv:p:1 cache_ext:postgres:session:p:1 cache_extXpostgres:kv:p:1 p:1',
	'nothing else was removed');
$redis->flush;
is($s->ok(q{SELECT cache_ext.mset(array_agg('many' || g), array_agg('1'::jsonb)) FROM generate_series(1, 20000) g}), 20000, 'many');
returns($s, q{cache_ext.del_pattern('many*')}, '20000', 'many at once');
is(join(' ', keys_there()), '', 'all of them');

note '--- other programs';
my $python = <<'PYTHON';
import json, msgpack, sys
for line in sys.stdin:
    verb, rest = line.rstrip('\n').split(' ', 1)
    if verb == 'pack':
        print(msgpack.packb(eval(rest)).hex())
    elif verb == 'json':
        print(msgpack.packb(json.loads(rest)).hex())
    else:
        print(json.dumps(msgpack.unpackb(bytes.fromhex(rest)), sort_keys=True, ensure_ascii=True))
PYTHON

sub python
{
	my (@lines) = @_;
	my ($out, $err) = ('', '');
	my $in = join('', map { "$_\n" } @lines);
	run([ 'python3', '-c', $python ], '<', \$in, '>', \$out, '2>', \$err) or die "python3: $err";
	return split /\n/, $out;
}

my @shared = ('null', 'true', '17', '-5', '1.25', '18446744073709551615', '"text"', '"\u00e9\u20ac"', '[1, [2, [3]]]',
	'{"a": [true, null, {"b": "c"}], "z": 0.1}', '[' . join(', ', 1 .. 300) . ']');
my @packed = python(map { "json $_" } @shared);
for my $i (0 .. $#shared)
{
	put('shared', pack('H*', $packed[$i]));
	is($s->ok("SELECT cache_ext.get('shared') = '$shared[$i]'"), 't', 'read what Python wrote: ' . substr($shared[$i], 0, 50));
}
my @written;
for my $value (@shared)
{
	$s->ok("SELECT cache_ext.set('shared', '$value')");
	push @written, unpack('H*', raw('shared'));
}
my @read = python(map { "read $_" } @written);
is($read[$_], $shared[$_], 'Python read what we wrote: ' . substr($shared[$_], 0, 50)) for 0 .. $#shared;

my %foreign = (
	q{b'\x00\xff'} => '"\\\\x00ff"',
	q{[b'']} => '["\\\\x"]',
	q{float('nan')} => '"NaN"',
	q{[float('inf'), float('-inf')]} => '["Infinity", "-Infinity"]',
	q{{1: 'a', -2: 'b', 2**63: 'c'}} => '{"1": "a", "-2": "b", "9223372036854775808": "c"}',
	q{msgpack.Timestamp(0, 0)} => '"1970-01-01T00:00:00+00:00"',
	q{msgpack.Timestamp(1800000000, 123456789)} => '"2027-01-15T08:00:00.123456+00:00"',
	q{msgpack.Timestamp(-1, 500000000)} => '"1969-12-31T23:59:59.5+00:00"',
	q{{'at': msgpack.Timestamp(2**34 + 1, 1)}} => '{"at": "2514-05-30T01:53:05+00:00"}',
	q{1e300} => '1' . '0' x 300,
	q{-0.0} => '0',
	q{5e-324} => '0.' . '0' x 323 . '5',
	q{(1, 'a', None)} => '[1, "a", null]',
	q{msgpack.ExtType(1, b'-12.500')} => '-12.500',
	q{msgpack.ExtType(1, b'007')} => '7');
my @names = sort keys %foreign;
@packed = python(map { "pack $_" } @names);
for my $i (0 .. $#names)
{
	put('foreign', pack('H*', $packed[$i]));
	returns($s, q{cache_ext.get('foreign')}, $foreign{ $names[$i] }, "from Python: $names[$i]");
}
put('foreign', "\xca\x3d\xcc\xcc\xcd");
returns($s, q{cache_ext.get('foreign')}, '0.1', 'a float32');
put('foreign', "\x82\xa1a\x01\xa1a\x02");
returns($s, q{cache_ext.get('foreign')}, '{"a": 2}', 'the same key twice: the last one counts');

my %bad = (
	'nothing' => [ '', 'XX001' ],
	'a value and more' => [ '0102', 'XX001' ],
	'digits' => [ unpack('H*', '12'), 'XX001' ],
	'JSON' => [ unpack('H*', '{"a": 1}'), 'XX001' ],
	'the byte that is never used' => [ 'c1', 'XX001' ],
	'an array cut off' => [ '9201', 'XX001' ],
	'a map cut off' => [ '82a16101', 'XX001' ],
	'a map without its value' => [ '81a161', 'XX001' ],
	'a string cut off' => [ 'a561', 'XX001' ],
	'an array of four billion' => [ 'ddffffffff', 'XX001' ],
	'a map of four billion' => [ 'dfffffffff', 'XX001' ],
	'a string of four billion bytes' => [ 'dbffffffff61', 'XX001' ],
	'an extension cut off' => [ 'c70501', 'XX001' ],
	'a string that is not UTF-8' => [ 'a2c328', '22000' ],
	'a string with a zero byte' => [ 'a3610062', '22000' ],
	'a surrogate' => [ 'a3eda080', '22000' ],
	'a key that is not UTF-8' => [ '81a1ff01', '22000' ],
	'an unknown extension' => [ 'd42a00', '22000' ],
	'a number that is none' => [ 'c70301' . unpack('H*', '1e5'), '22000' ],
	'a number NaN' => [ 'c70301' . unpack('H*', 'NaN'), '22000' ],
	'a number without digits' => [ 'd4012d', '22000' ],
	'a number that ends in its point' => [ 'd501' . unpack('H*', '1.'), '22000' ],
	'a timestamp of three bytes' => [ 'c703ff000000', '22000' ],
	'a timestamp with too many nanoseconds' => [ 'd7ffffffffff00000000', '22000' ],
	'a timestamp of the year 292277026596' => [ 'c70cff000000007fffffffffffffff', '22000' ],
	'a timestamp before everything' => [ 'c70cff000000008000000000000000', '22000' ],
	'a key that is null' => [ '81c001', '22000' ],
	'a key that is true' => [ '81c301', '22000' ],
	'a key that is a float' => [ '81cb3ff000000000000001', '22000' ],
	'a key that is an array' => [ '819001', '22000' ],
	'3,001 arrays' => [ '91' x 3000 . '90', '54000' ],
	'a million arrays' => [ '91' x 1_000_000, '54000' ],
	'500,000 maps' => [ '81a0' x 500_000, '54000' ]);
for my $name (sort keys %bad)
{
	my ($hex, $state) = @{ $bad{$name} };
	put('bad', pack('H*', $hex));
	refuses($s, q{cache_ext.get('bad')}, $state, "$name");
	refuses($s, q{(SELECT count(*) FROM cache_ext.mget('{bad}'))}, $state, "$name, in mget");
}
put('bad', 'x' x (2 * 1024 * 1024));
refuses($s, q{cache_ext.get('bad')}, '54000', 'a value over max_entry_size in Redis', qr/max_entry_size/);
returns($s, q{cache_ext.set('bad', '1')}, 'true', 'and it can be replaced');

note '--- privileges';
$s->ok('CREATE ROLE app LOGIN');
my $app = Session->new($node, user => 'app');
for my $function (@functions, [ 'ping', 'cache_ext.ping() IS NOT NULL AND %s IS NOT NULL', '' ])
{
	my ($name, $call, $arguments) = @$function;
	next unless defined $arguments;
	$name =~ s/ .*//;
	refuses($app, sprintf($call, "'$name'"), '42501', "$name: denied");
	$s->ok("GRANT EXECUTE ON FUNCTION cache_ext.$name($arguments) TO app");
	is((refusal($app, sprintf($call, "'$name'")))[0], 'none', "$name: granted");
}
$app->close;

note '--- databases and encodings';
$s->ok(q{CREATE DATABASE "a*:b{%}"});
$s->ok('CREATE DATABASE "a[x]*b"');
$s->ok('CREATE DATABASE "axxb"');
$s->ok(q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$s->ok(q{CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0});
my %other = map {
	my $session = Session->new($node, dbname => $_);
	$session->ok('CREATE EXTENSION cache_ext');
	create_result_of($session);
	($_ => $session);
} 'a*:b{%}', 'a[x]*b', 'axxb', 'latin', 'bytes';
$redis->flush;
returns($other{$_}, q{cache_ext.set('k', '1')}, 'true', "database $_") for sort keys %other;
is(join(' ', keys_there()), 'cache_ext:a*%3Ab%7B%25%7D:kv:k cache_ext:a[x]*b:kv:k cache_ext:axxb:kv:k'
	. ' cache_ext:bytes:kv:k cache_ext:latin:kv:k', 'their names');
returns($other{'a[x]*b'}, q{cache_ext.del_pattern('*')}, '1', 'a pattern stays in its database');
returns($other{'a*:b{%}'}, q{cache_ext.del_pattern('*')}, '1', 'whatever its name');
is(join(' ', keys_there()), 'cache_ext:axxb:kv:k cache_ext:bytes:kv:k cache_ext:latin:kv:k', 'the others are there');

my $latin = $other{latin};
$latin->ok(q{SET client_encoding = 'UTF8'});
returns($latin, "cache_ext.set('k\xc3\xa9', '\"\xc3\xa9\"')", 'true', 'LATIN1');
is($client->call('GET', "cache_ext:latin:kv:k\xc3\xa9"), "\xa2\xc3\xa9", 'LATIN1 becomes UTF-8');
returns($latin, "cache_ext.get('k\xc3\xa9')", "\"\xc3\xa9\"", 'and LATIN1 again');
$client->call('SET', 'cache_ext:latin:kv:euro', "\xa3\xe2\x82\xac");
refuses($latin, q{cache_ext.get('euro')}, '22000', 'what LATIN1 lacks');
returns($other{bytes}, "cache_ext.set('k\xc3\xa9', '\"\xc3\xa9\"')", 'true', 'SQL_ASCII, UTF-8');
returns($other{bytes}, "cache_ext.get('k\xc3\xa9')", "\"\xc3\xa9\"", 'SQL_ASCII: the same bytes');
refuses($other{bytes}, "cache_ext.set('k\xff', '1')", '22021', 'SQL_ASCII: a key that is not UTF-8');
refuses($other{bytes}, "cache_ext.set('k', '\"\xff\"')", '22P05', 'SQL_ASCII: a value that is not UTF-8');

note '--- another prefix';
$node->append_conf('postgresql.conf', "cache_ext.key_prefix = 'other-app_1.x'");
$s->ok('SELECT pg_reload_conf()');
wait_until('the new prefix', sub { $s->ok('SHOW cache_ext.key_prefix') eq 'other-app_1.x' });
returns($s, q{cache_ext.get('k')}, 'NULL', 'another prefix, other keys');
returns($s, q{cache_ext.set('k', '1')}, 'true');
is($client->call('GET', 'other-app_1.x:postgres:kv:k'), "\x01", 'its name');
returns($s, q{cache_ext.del_pattern('*')}, '1');

note '--- without Redis, without the library';
$node->append_conf('postgresql.conf', "cache_ext.redis_url = ''");
$s->ok('SELECT pg_reload_conf()');
wait_until('the new setting', sub { $s->ok('SHOW cache_ext.redis_url') eq '' });
refuses($s, sprintf($_->[1], q{'k'}), '55000', "$_->[0]: no redis_url", qr/there is no Redis/) for @functions;
refuses($s, 'cache_ext.ping()', '55000', 'ping: no redis_url');
$_->close for $s, values %other;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$s = Session->new($node);
refuses($s, sprintf($_->[1], q{'k'}), '55000', "$_->[0]: not preloaded", qr/cache_ext is not loaded/) for @functions;
refuses($s, 'cache_ext.ping()', '55000', 'ping: not preloaded');

done_testing();
