# The examples: a service in Python that shares the database's Redis, and row-level security by sessions.
use strict;
use warnings;

use CacheTest;
use IPC::Run qw(start finish pump timeout);
use JSON::PP;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('examples');
my $node = cache_node('examples', $redis, 'cache_ext.mode = auto', 'cache_ext.min_cost = 0');
my $s = Session->new($node);
my $json = JSON::PP->new->canonical->allow_nonref->ascii;

#
# The service
#
my ($in, $out, $err) = ('', '', '');
my $service = start([ 'python3', 'test/examples/service.py', $redis->socket, 'postgres' ], \$in, \$out, \$err,
	timeout($PostgreSQL::Test::Utils::timeout_default));

# What the service answers, as canonical JSON.
sub ask
{
	my (@request) = @_;
	$out = '';
	$in .= $json->encode(\@request) . "\n";
	pump $service until $out =~ /\n/;
	chomp(my $answer = $out);
	return $json->encode($json->decode($answer));
}

sub delivered
{
	wait_until('all is delivered', sub { $s->ok('SELECT backlog + sweeps_pending FROM cache_ext.delivery') == 0 });
	return;
}

$s->ok(q{
	CREATE TABLE customer (tenant int, id int, name text NOT NULL, credit numeric, since timestamptz, tags text[],
		active bool DEFAULT true, PRIMARY KEY (tenant, id));
	SELECT cache_ext.attach('customer', 'customer:{tenant}:{id}', 'write_through');
	INSERT INTO customer VALUES (1, 7, 'Zoë', 12.50, '2026-01-02 03:04:05+00', '{new,vip}')});
delivered();
is(ask('row', 'customer:1:7'), '{"active":true,"credit":"12.50","id":7,"name":"Zo\\u00eb","since":"2026-01-02 03:04:05+00:00",'
	  . '"tags":["new","vip"],"tenant":1}', 'a row that SQL wrote');
$s->ok('BEGIN; UPDATE customer SET credit = 0; ROLLBACK');
$s->ok("UPDATE customer SET credit = credit - 2.25, tags = NULL");
delivered();
like(ask('row', 'customer:1:7'), qr/"credit":"10.25".*"tags":null/, 'and changed');
$s->ok('DELETE FROM customer');
delivered();
is(ask('row', 'customer:1:7'), '{}', 'and deleted');
is(ask('row', 'customer:1:8'), 'null', 'one that nobody asked for');

$s->ok(q{SELECT cache_ext.set('settings', '{"theme": "dark", "sizes": [1, 2.5, null]}')});
is(ask('get', 'settings'), '{"sizes":[1,2.5,null],"theme":"dark"}', 'a value that SQL wrote');
is(ask('set', 'greeting', { text => 'hei', n => [ 1, JSON::PP::true ] }, 60), 'true', 'one that the service writes');
is($s->ok(q{SELECT cache_ext.get('greeting'), cache_ext.ttl('greeting') > '30 s'}), '{"n": [1, true], "text": "hei"}|t',
	'SQL reads it');
ask('incr', 'visits');
$s->ok(q{SELECT cache_ext.incr('visits', 10)});
is(ask('incr', 'visits'), '12', 'a counter of both');
is($s->ok(q{SELECT cache_ext.get('visits')}), '12', 'which SQL reads');

my $token = $s->ok(q{SELECT cache_ext.session_create('alice', '{"cart": [1]}')});
is(ask('session_read', $token), '{"data":{"cart":[1]},"user":"alice"}', 'a session that SQL made');
my $theirs = $json->decode(ask('session_create', 'bob', { cart => [2] }, 1800));
is($s->ok("SELECT user_id, data, expires_at > now() + '29 min' FROM cache_ext.session_get('$theirs')"),
	'bob|{"cart": [2]}|t', 'one that the service made');
is($s->ok("SELECT cache_ext.session_update('$theirs', '{\"seen\": true}')"), 't', 'which SQL changes');
is(ask('session_read', $theirs), '{"data":{"cart":[2],"seen":true},"user":"bob"}', 'and the service reads');
is($s->ok(q{SELECT count(*) FROM cache_ext.session_list('bob')}), '1', 'it is listed');
is($s->ok(q{SELECT cache_ext.session_destroy_user('bob')}), '1', 'SQL ends it');
is(ask('session_read', $theirs), 'null', 'the service sees that');
ask('session_destroy_user', 'alice');
is($s->ok("SELECT count(*) FROM cache_ext.session_get('$token')"), '0', 'and the other way round');
is(ask('session_read', 'nonsense'), 'null', 'a token that nobody gave');
finish $service;
is($err, '', 'the service had no trouble');

#
# Row-level security
#
$s->ok(slurp_file('test/examples/session_rls.sql'));
my %token = map { $_ => $s->ok("SELECT cache_ext.session_create('$_')") } qw(alice bob);
my $web = Session->new($node);

# What a request with this header gets, as PostgREST runs it.
sub request
{
	my ($authorization, $sql) = @_;
	return $web->query(q{BEGIN; SET LOCAL ROLE web; SELECT set_config('request.headers', '}
		  . $json->encode({ authorization => $authorization }) . q{', true) \g /dev/null
		SELECT app.begin_request() \g /dev/null
		} . "$sql; COMMIT");
}

my $notes = q{SELECT string_agg(body, ' ' ORDER BY id) FROM app.note};
for my $time ('at first', 'again')
{
	is(request("Bearer $token{alice}", $notes), 'milk bread', "$time: what is alice's");
	is(request("Bearer $token{bob}", $notes), 'nails', "$time: what is bob's");
}
my $hits = counter($s, 'hits');
is(request("Bearer $token{bob}", $notes), 'nails', "bob's from the cache");
is(counter($s, 'hits') - $hits, 1, 'is a hit');
is(request("Bearer $token{alice}", "INSERT INTO app.note (owner, body) VALUES ('alice', 'tea') RETURNING 1"), '1',
	'alice writes');
is(request("Bearer $token{alice}", $notes), 'milk bread tea', 'and reads it');
like(request("Bearer $token{bob}", "INSERT INTO app.note (owner, body) VALUES ('alice', 'x')"),
	qr/row-level security/, "bob can't write for her");
$s->ok(q{SELECT cache_ext.session_destroy_user('alice')});
for my $header ("Bearer $token{alice}", 'Bearer nonsense', 'Basic x', '')
{
	my $answer = request($header, $notes);
	like($answer, qr/not logged in/, 'no session, no rows');
	unlike($answer, qr/milk/, 'and none of hers');
}
done_testing();
