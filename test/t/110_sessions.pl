# Sessions in Redis: what each function gives, what Redis holds, wrong input, what others may have written, and
# many clients at once.
use strict;
use warnings;

use CacheTest;
use Digest::SHA qw(sha256_hex);
use PostgreSQL::Test::Utils;
use Protocol;
use RedisMonitor;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('sessions');
my $node = cache_node([ 'sessions', extra => [ '--encoding=UTF8', '--no-locale' ] ], $redis);
my $s = Session->new($node);
my $client = Resp->connect($redis->socket);

sub signpost { return 'cache_ext:postgres:session:' . sha256_hex($_[0]); }
sub user_key { return "cache_ext:postgres:session_user:$_[0]"; }
sub create { return $s->ok("SELECT cache_ext.session_create($_[0])"); }
sub lives { return $s->ok("SELECT count(*) FROM cache_ext.session_get('$_[0]', false)"); }
sub data { return $s->ok("SELECT data FROM cache_ext.session_get('$_[0]', false)"); }

note '--- results';
my $token = create(q('alice'));
like($token, qr/^[A-Za-z0-9_-]{43}$/, 'a token is 43 letters that URLs take');
is($s->ok("SELECT user_id, data, expires_at - created_at FROM cache_ext.session_get('$token', false)"),
	'alice|{}|00:30:00', 'a session as the defaults make it');
is($s->ok("SELECT user_id, data FROM cache_ext.session_get('$token')"), 'alice|{}', 'and again');
is($s->ok(q{SELECT count(DISTINCT cache_ext.session_create('many')) FROM generate_series(1, 1000)}), 1000,
	'1,000 tokens are 1,000 tokens');
is($s->ok(q{SELECT cache_ext.session_destroy_user('many'), cache_ext.session_destroy_user('many'),
	cache_ext.session_destroy_user('nobody')}), '1000|0|0', 'a user is logged out everywhere, once');

my $letters = join '', map { $s->ok(q{SELECT cache_ext.session_create('letters')}) } 1 .. 60;
is(join('', sort grep { !/[A-Za-z0-9]/ } keys %{ { map { $_ => 1 } split //, $letters } }), '-_',
	'all letters occur');
like($letters, qr/[a-z].*[A-Z].*[0-9]|[0-9].*[A-Z].*[a-z]/s, 'of each kind');

$token = create(q('alice', '{"big": 9223372036854775807, "huge": 123456789012345678901234567890, "half": 0.5,
	"text": "\u00e9\u20ac", "deep": [[[{"a": [null, true]}]]], "old": 1}'));
my $written = data($token);
is($s->ok("SELECT cache_ext.session_update('$token', '{\"old\": {\"b\": 1}, \"new\": [2]}')"), 't', 'updated');
is($s->ok("SELECT '$written'::jsonb || '{\"old\": {\"b\": 1}, \"new\": [2]}' = '" . data($token) . "'"), 't',
	'an update merges at the top, and leaves all else as it was');
is($s->ok("SELECT cache_ext.session_update('$token', '{\"deep\": null}'), cache_ext.session_update('$token', '{}')"),
	't|t', 'updated twice');
is($s->ok("SELECT data ? 'deep', data -> 'deep' FROM cache_ext.session_get('$token')"), 't|null',
	'a null stays, as a null');
my $limits = 'SELECT created_at, expires_at FROM cache_ext.session_get';
my $before = $s->ok("$limits('$token', false)");
is($s->ok("SELECT cache_ext.session_update('$token', '{}')") . $s->ok("$limits('$token', false)"), "t$before",
	'an update does not put off the end');

note '--- sliding';
my ($created, $ends) = split /\|/, $s->ok("$limits('$token', false)");
my $asked = $s->ok('SELECT clock_timestamp()');
my ($still, $slid) = split /\|/, $s->ok("$limits('$token')");
is($still, $created, 'it began when it began');
is($s->ok("SELECT '$slid' > '$ends'::timestamptz, '$slid'::timestamptz - interval '30 min' BETWEEN '$asked' AND clock_timestamp()"),
	't|t', 'reading puts the end off');
is($s->ok("$limits('$token', false)"), "$created|$slid", 'unless told not to');
my $short = create(q('alice', '{}', '1 min'));
$client->call('PEXPIRE', $_, 30_000) for signpost($short), user_key('alice');
lives($short);
cmp_ok($client->call('PTTL', $_), '<=', 30_000, 'not slid: no key is put off') for signpost($short), user_key('alice');
$s->ok("SELECT cache_ext.session_get('$short')");
cmp_ok($client->call('PTTL', $_), '>=', 60_000, 'slid: the keys outlive the session')
  for signpost($short), user_key('alice');
my $long = create(q('alice', '{}', '1 day'));
$s->ok("SELECT cache_ext.session_get('$short')");
cmp_ok($client->call('PTTL', user_key('alice')), '>', 80_000_000, 'the user key lives as long as the longest session');

note '--- rotating and ending';
my ($count, $state) = (0, data($token));
my $listed = sub {
	my ($user) = @_;
	return $s->ok("SELECT count(*) FROM cache_ext.session_list('$user')"); };
$count = $listed->('alice');
$before = $s->ok("$limits('$token', false)");
my $new = $s->ok("SELECT cache_ext.session_rotate('$token')");
like($new, qr/^[A-Za-z0-9_-]{43}$/, 'a new token');
isnt($new, $token, 'is another');
is(lives($token), 0, 'the old one has ended');
is(data($new), $state, 'the data are the same');
is($s->ok("$limits('$new', false)"), $before, 'and so are the times');
is($listed->('alice'), $count, 'it is the same session');
is($client->call('EXISTS', signpost($token)), 0, 'nothing is left of the old token');
is($s->ok("SELECT cache_ext.session_destroy('$new'), cache_ext.session_destroy('$new')"), 't|f', 'ended, once');
is($listed->('alice'), $count - 1, 'and not listed any more');
is($s->ok(q{SELECT string_agg(id, ' ' ORDER BY created_at) FROM cache_ext.session_list('alice')} .
	" WHERE id IN ('" . sha256_hex($short) . "', '" . sha256_hex($long) . "')"),
	sha256_hex($short) . ' ' . sha256_hex($long), 'sessions are listed by what Redis knows of their tokens');
is($s->ok("SELECT cache_ext.session_destroy_user('alice')"), $count - 1, 'all that are left end');
is(lives($_), 0, 'this one too') for $short, $long;
is($client->call('EXISTS', user_key('alice')), 0, 'nothing is left of the user');
is($listed->('alice'), 0, 'nor listed');

note '--- tokens that are none look the same';
my %none = (
	'rotated' => $token, 'ended' => $new, 'ended with all' => $short,
	'never given' => 'A' x 43, 'empty' => '', 'short' => 'x', 'long' => 'y' x 100_000,
	'of other letters' => "\xc3\xa9" x 43, 'with spaces' => ' ' x 43, 'control characters' => "\x01\n\t\x7f");
my $expired = create(q('alice', '{}', '1 ms'));
wait_until('it has expired', sub { !lives($expired) });
is($client->call('EXISTS', signpost($expired)), 1, 'the signpost of an expired session is still there');
$none{expired} = $expired;
my @calls = ([ 'session_get', 'SELECT * FROM cache_ext.session_get(%s)' ],
	[ 'not sliding', 'SELECT * FROM cache_ext.session_get(%s, false)' ],
	[ 'session_update', q{SELECT cache_ext.session_update(%s, '{"a": 1}')} ],
	[ 'session_rotate', 'SELECT cache_ext.session_rotate(%s)' ],
	[ 'session_destroy', 'SELECT cache_ext.session_destroy(%s)' ]);
for my $call (@calls)
{
	my ($name, $sql) = @$call;
	my %seen;
	for my $kind (sort keys %none)
	{
		my $commands = counter($s, 'redis_commands');
		my $output = $s->query(sprintf $sql, 'E' . CacheTest::literal($none{$kind} =~ s/\\/\\\\/gr));
		push @{ $seen{"$output, " . (counter($s, 'redis_commands') - $commands) . ' commands'} }, $kind;
	}
	my $result = $name =~ /update|destroy/ ? 'f' : '';
	is(keys %seen, 1, "$name: all look the same") or diag(explain(\%seen));
	like((keys %seen)[0], qr/^$result, /, "$name: and there is nothing");
}
is($s->ok('SELECT count(*) FROM cache_ext.session_get(NULL)'), 0, 'NULL is no token');
is($s->ok(q{SELECT cache_ext.session_rotate(NULL) IS NULL, cache_ext.session_destroy(NULL) IS NULL,
	cache_ext.session_update(NULL, '{}') IS NULL, cache_ext.session_create(NULL) IS NULL,
	cache_ext.session_destroy_user(NULL) IS NULL, (SELECT count(*) FROM cache_ext.session_list(NULL))}),
	't|t|t|t|t|0', 'NULL does nothing');

note '--- the end by the clock';
# A row says that the session had not ended when it was asked for, none that it had when the answer came.
$s->ok(<<'EOS');
CREATE FUNCTION watch(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	asked timestamptz;
	ends timestamptz;
	latest timestamptz;
BEGIN
	LOOP
		asked = clock_timestamp();
		SELECT expires_at INTO ends FROM cache_ext.session_get(token, false);
		IF ends IS NULL THEN
			RETURN CASE WHEN clock_timestamp() >= latest THEN 'ended in time' ELSE 'ended early' END;
		ELSIF asked >= ends THEN
			RETURN 'ended late';
		END IF;
		latest = ends;
	END LOOP;
END $$;
EOS
is($s->ok(q{SELECT watch(cache_ext.session_create('short', '{}', '300 ms'))}), 'ended in time', 'expired');
is($s->ok(q{SELECT count(cache_ext.session_create('brief', '{}', '1 ms')) FROM generate_series(1, 2000)}), 2000,
	'many sessions that expire');
cmp_ok($client->call('HLEN', user_key('brief')), '<', 1000, 'new ones remove the old ones by and by');
create(q('brief', '{"kept": true}'));
wait_until('the others have expired', sub { $listed->('brief') == 1 });
is($client->call('HLEN', user_key('brief')), 1, 'listing them removes the rest');

note '--- what Redis and the log get to know';
# The log of statements is the server's, not ours.
my $c = Protocol->connect($node, log_statement => 'none');
my $monitor = RedisMonitor->new($redis);
my @tokens = (create(q('carol', '{"colour": "red"}')));
# As a bound parameter, as drivers pass it.
sub bound
{
	my ($sql, @values) = @_;
	return join ' ', Protocol::shown($c->parse('', $sql)->bind('', '', \@values)->execute('')->sync->answers);
}
bound('SELECT cache_ext.session_get($1)', $tokens[0]);
bound(q{SELECT cache_ext.session_update($1, '{"shape": "round"}')}, $tokens[0]);
push @tokens, $s->ok("SELECT cache_ext.session_rotate('$tokens[0]')");
bound('SELECT cache_ext.session_destroy($1)', $tokens[0]);
my @lines = $monitor->stop;
cmp_ok(scalar @lines, '>', 10, 'Redis was asked');
my $held = join ' ', @lines, map { $_, $client->call('TYPE', $_) eq 'hash' ? @{ $client->call('HGETALL', $_) } :
	$client->call('GET', $_) } $redis->keys('*session*');
like($held, qr/\Q${\ sha256_hex($_)}/, 'Redis knows the hash of a token') for @tokens;
unlike($held, qr/\Q$_/, 'and not the token') for @tokens;
like($held, qr/carol/, 'and the user');
my $log = -s $node->logfile;
$redis->stop;
for my $call (@calls)
{
	my ($name, $sql) = @$call;
	my $said = bound(sprintf($sql, '$1'), $tokens[1]);
	like($said, qr/08006|08007/, "$name: Redis is down");
	unlike($said, qr/\Q$tokens[1]/, "$name: the error does not tell the token");
}
unlike(slurp_file($node->logfile, $log), qr/\Q$tokens[1]/, 'nor does the log');
$redis->start;
$s->ok('SELECT pg_reload_conf()');
wait_until('Redis is used', sub { $s->query("SELECT count(*) FROM cache_ext.session_get('x')") eq '0' });
$client = Resp->connect($redis->socket);

note '--- wrong input';
my $range = qr/^ERROR:  argument "ttl" is out of range/m;
for my $ttl ('0', '-1 s', '999 us', '-1 month', '36501 d', '178000000 years', '-178000000 years', '1 day -24:00:01')
{
	like($s->query("SELECT cache_ext.session_create('dave', '{}', '$ttl')"), $range, "ttl $ttl");
}
like($s->query("SELECT cache_ext.session_create('dave', '{}', '$_')"), qr/^ERROR/, "ttl $_") for 'infinity', '-infinity', '';
is($s->ok(q{SELECT expires_at - created_at FROM cache_ext.session_create('dave', '{}', '36500 d') t,
	cache_ext.session_get(t, false)}), '36500 days', 'the longest ttl');
like($s->query(q{SELECT cache_ext.session_create('')}), qr/argument "user_id" must not be empty/, 'no user');
like($s->query("SELECT cache_ext.$_(repeat('x', 1025))"), qr/argument "user_id" is too long/, "$_: too long a user")
  for qw(session_create session_destroy_user session_list);
my $name = q(repeat(E'\u20ac', 341) || 'x');
is($s->ok("SELECT user_id = $name FROM cache_ext.session_create($name) t, cache_ext.session_get(t)"), 't',
	'the longest user');
$name = q(E'\x01 \n%{}:*\\\\\x7f\u00e9');
is($s->ok("SELECT user_id = $name FROM cache_ext.session_create($name) t, cache_ext.session_get(t)"), 't',
	'any letters');
for my $data ('[]', '[{}]', '1', '"x"', 'null', 'true')
{
	like($s->query("SELECT cache_ext.session_create('dave', '$data')"),
		qr/argument "data" must be a JSON object/, "created with $data");
	like($s->query("SELECT cache_ext.session_update('x', '$data')"),
		qr/argument "data" must be a JSON object/, "updated with $data");
}
my $nested = q{('{"a": ' || repeat('[', 1000) || repeat(']', 1000) || '}')::jsonb};
is($s->ok("SELECT data = $nested FROM cache_ext.session_create('dave', $nested) t, cache_ext.session_get(t)"), 't',
	'nested 1,000 deep');
like($s->query(q{SELECT cache_ext.session_create('dave', jsonb_build_object('x', repeat('x', 9000000)))}),
	qr/larger than cache_ext.max_entry_size/, 'created too large');
$token = create(q('dave', '{"x": 1}'));
like($s->query("SELECT cache_ext.session_update('$token', jsonb_build_object('y', repeat('x', 9000000)))"),
	qr/larger than cache_ext.max_entry_size/, 'updated too large');
is(data($token), '{"x": 1}', 'and left as it was');
is($s->ok("SELECT cache_ext.session_update('$token', jsonb_build_object('y', repeat('x', 1000000)))"), 't',
	'a megabyte is not too large');
$s->ok("SELECT cache_ext.session_destroy_user('dave')");

note '--- what other programs write';
my $own = 'T' x 43;
my ($sec, $us) = @{ $client->call('TIME') };
my $now = $sec * 1_000_000 + $us;
my $far = $now + 3_600_000_000;

sub put_session
{
	my ($sign, $session) = @_;
	$client->call('DEL', user_key('erin'));
	$client->call('SET', signpost($own), $sign);
	$client->call('HSET', user_key('erin'), sha256_hex($own), $session) if defined $session;
	return $s->query("SELECT user_id, data, expires_at > now() FROM cache_ext.session_get('$own', false)");
}
my $sign = "\x92\xa4erin\xce\x00\x36\xee\x80";
my $map = "\x81\xa1k\x01";
my $session = "\x94\xcf" . pack('Q>', $now) . "\xcf" . pack('Q>', $far) . "\xce\x00\x36\xee\x80$map";
is(put_session($sign, $session), 'erin|{"k": 1}|t', 'a session that another program made');
is($s->ok("SELECT data FROM cache_ext.session_get('$own')"), '{"k": 1}', 'and slid');
cmp_ok($client->call('PTTL', user_key('erin')), '>', 3_600_000, 'which sets the time that its key lives');
is($s->ok("SELECT cache_ext.session_update('$own', '{\"l\": 2}'), data FROM cache_ext.session_get('$own', false)"),
	't|{"k": 1}', 'updated, as its own statement sees it later');
is(data($own), '{"k": 1, "l": 2}', 'updated');
is(put_session("\x92\xd9\x04erin\xcf" . pack('Q>', 3_600_000),
	"\x94\xcb" . pack('d>', $now) . "\xcb" . pack('d>', $far) . "\xd2\x00\x36\xee\x80$map"), 'erin|{"k": 1}|t',
	'numbers in other forms');
is(put_session($sign, "\x94\xcf" . pack('Q>', $now) . "\xcf" . pack('Q>', $now) . "\xce\x00\x36\xee\x80$map"), '',
	'one that has ended');
my %bad_signs = ('empty' => '', 'a number' => "\x01", 'no array' => "\xa4erin", 'too short' => "\x91\xa4erin",
	'cut off' => "\x92\xa4er", 'a long name' => "\x92\xda\x08\x00" . 'x' x 2048 . "\x01", 'nothing' => "\xc1",
	'a bomb' => "\xdf\xff\xff\xff\xff", 'nested' => "\x91" x 10_000);
is(put_session($bad_signs{$_}, $session), '', "a bad signpost: $_") for sort keys %bad_signs;
is($s->ok("SELECT count(*) FROM cache_ext.session_get('$own')"), 0, 'and slid');
my $times = "\xcf" . pack('Q>', $now) . "\xcf" . pack('Q>', $far);
my %bad_sessions = ('empty' => '', 'a map' => $map, 'an array of three' => "\x93$times\x01",
	'no data' => "\x94$times\x01", 'cut off' => substr($session, 0, 12), 'no number' => "\x94$times\xa1x$map",
	'negative' => "\x94$times\xff$map", 'a fraction' => "\x94$times\xcb" . pack('d>', 0.5) . $map,
	'not a number' => "\x94\xcb" . pack('d>', 9**9**9 / 9**9**9) . "\xcb" . pack('d>', 9**9**9) . "\x01$map",
	'endless' => "\x94$times\xcf" . "\xff" x 8 . $map, 'nested' => "\x94" . "\x91" x 10_000);
for my $kind (sort keys %bad_sessions)
{
	is(put_session($sign, $bad_sessions{$kind}), '', "a bad session: $kind");
	is($s->ok("SELECT cache_ext.session_update('$own', '{}'), cache_ext.session_rotate('$own') IS NULL,
		(SELECT count(*) FROM cache_ext.session_list('erin')), cache_ext.session_destroy('$own')"), 'f|t|0|f',
		"a bad session is none: $kind");
}
for my $bytes ("\xc1", "\x82\xa1k", "\x01", "\x91\x01", "$map$map", "\x81\xa1k\xc7\x01\x55\x00")
{
	like(put_session($sign, "\x94$times\x01$bytes"), qr/^ERROR/, 'data that are none: ' . unpack('H*', $bytes));
	like($s->query("SELECT cache_ext.session_update('$own', '{}')"), qr/^ERROR/, 'and can not be updated');
	is($s->ok("SELECT cache_ext.session_destroy('$own')"), 't', 'but ended');
}
put_session("\x92\xa4\xff\xfe\xfd\xfc\x01", undef);
$client->call('HSET', user_key("\xff\xfe\xfd\xfc"), sha256_hex($own), $session);
like($s->query("SELECT * FROM cache_ext.session_get('$own')"), qr/^ERROR:  invalid byte sequence/, 'a user in no encoding');
put_session($sign, $session);
$client->call('HSET', user_key('erin'), $_, $session) for 'x', '', "\xff" x 64, 'A' x 64;
is($s->ok(q{SELECT count(*) FROM cache_ext.session_list('erin')}), 1, 'fields with other names are not listed');
$client->call('DEL', signpost($own), user_key('erin'));
$client->call('RPUSH', $_, 'x') for signpost($own), user_key('erin');
like($s->query("SELECT cache_ext.$_"), qr/^ERROR:  Redis refused: WRONGTYPE/, "something else under the key: $_")
  for "session_get('$own')", "session_create('erin')", "session_list('erin')";
$redis->flush;
$client->call('SCRIPT', 'FLUSH');
$token = create(q('erin'));
is(lives($token), 1, 'Redis has lost everything, its scripts too');

note '--- revocation between two commands';
$client->call('DEL', user_key('erin'));
is(lives($token), 0, 'after the signpost was read: no session');
is($s->ok("SELECT cache_ext.session_update('$token', '{}'), cache_ext.session_rotate('$token') IS NULL,
	cache_ext.session_destroy('$token')"), 'f|t|f', 'nor for any other function');
is($client->call('EXISTS', user_key('erin')), 0, 'and none comes back');

note '--- revocation, seen at once';
$s->ok(<<'EOS');
CREATE FUNCTION last_seen(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	asked timestamptz;
	previous timestamptz;
BEGIN
	LOOP
		asked = clock_timestamp();
		PERFORM FROM cache_ext.session_get(token);
		EXIT WHEN NOT FOUND;
		previous = asked;
	END LOOP;
	RETURN previous;
END $$;
EOS
my @readers = map { Session->new($node) } 1 .. 4;
my %end = (
	'destroyed' => sub { "cache_ext.session_destroy('$_[0]')" },
	'rotated' => sub { "cache_ext.session_rotate('$_[0]')" },
	'logged out' => sub { q{cache_ext.session_destroy_user('frank')} });
for my $how (sort keys %end)
{
	my $late = 0;
	for my $round (1 .. 10)
	{
		my $seen = create(q('frank'));
		$_->send("SELECT coalesce(last_seen('$seen'), '-infinity')") for @readers;
		my $ended = $s->ok('SELECT clock_timestamp() FROM ' . $end{$how}->($seen));
		$late += $s->ok("SELECT '" . $_->finish . "' > '$ended'::timestamptz") eq 't' for @readers;
	}
	is($late, 0, "$how: nobody who asked afterwards got the session");
}
$s->ok(q{SELECT cache_ext.session_destroy_user('frank')});

note '--- updates of one session by many';
my $updates = 50;
$s->ok(q{CREATE TABLE tokens AS SELECT i, cache_ext.session_create('user ' || i % 100, jsonb_build_object('i', i)) AS token
	FROM generate_series(1, 1000) i});
is($s->ok('SELECT count(*) FROM tokens, cache_ext.session_get(token) g WHERE (data ->> \'i\')::int = i'), 1000,
	'1,000 sessions');
my $shared = $s->ok('SELECT token FROM tokens WHERE i = 500');
my $script = "$PostgreSQL::Test::Utils::tmp_check/update.sql";
append_to_file($script, <<"EOS");
\\set other random(1, 1000)
\\set mine :mine + 1
SELECT cache_ext.session_update('$shared', jsonb_build_object('last :client_id', :mine, ':client_id/:mine', true))::int AS done \\gset
\\if :done != 1
SELECT 'not updated' / 0;
\\endif
SELECT count(*) AS found FROM tokens, cache_ext.session_get(token) WHERE i = :other \\gset
\\if :found != 1
SELECT 'not found' / 0;
\\endif
EOS
$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $updates, '-D', 'mine=0', '-f', $script, $node->connstr('postgres') ],
	'8 clients');
is($s->ok("SELECT count(*) FROM cache_ext.session_get('$shared'), jsonb_object_keys(data)"), 1 + 8 + 8 * $updates,
	'no update was lost');
is($s->ok("SELECT sum(value::int) FROM cache_ext.session_get('$shared'), jsonb_each_text(data) WHERE key LIKE 'last%'"),
	8 * $updates, 'nor taken back');
is($s->ok("SELECT count(*) FROM tokens, cache_ext.session_get(token) g WHERE token <> '$shared' AND data = jsonb_build_object('i', i)"),
	999, 'the other 999 are as they were');

note '--- encodings';
$node->safe_psql('postgres', q{CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
$node->safe_psql('narrow', 'CREATE EXTENSION cache_ext');
my $narrow = Session->new($node, dbname => 'narrow');
$narrow->ok(q{SET client_encoding = 'UTF8'});
is($narrow->ok(qq{SELECT user_id, data FROM cache_ext.session_create('\xc3\xa9', '{"\xc3\xa9": "\xc3\xbc"}') t, cache_ext.session_get(t)}),
	qq{\xc3\xa9|{"\xc3\xa9": "\xc3\xbc"}}, 'a database in LATIN1');
is($client->call('EXISTS', "cache_ext:narrow:session_user:\xc3\xa9"), 1, 'whose keys are in UTF-8');

note '--- privileges';
$s->ok('CREATE ROLE web');
my $web = Session->new($node);
$web->ok('SET SESSION AUTHORIZATION web');
my %calls = ('session_create(text, jsonb, interval)' => q{session_create('web')}, 'session_get(text, boolean)' => q{session_get('x')},
	'session_update(text, jsonb)' => q{session_update('x', '{}')}, 'session_rotate(text)' => q{session_rotate('x')},
	'session_destroy(text)' => q{session_destroy('x')}, 'session_destroy_user(text)' => q{session_destroy_user('x')},
	'session_list(text)' => q{session_list('x')});
for my $function (sort keys %calls)
{
	my $sql = "SELECT count(*) FROM cache_ext.$calls{$function}";
	like($web->query($sql), qr/^ERROR:  permission denied for function/, "$function: not for everybody");
	$s->ok("GRANT EXECUTE ON FUNCTION cache_ext.$function TO web");
	like($web->query($sql), qr/^[01]$/, "$function: for who may");
}

note '--- the worst that can happen between two tries';
my $rival = Session->new($node);
$token = create(q('gina'));
$s->ok(q{SET cache_ext.redis_timeout = '100 ms'});
$redis->pause;
like($s->query("SELECT cache_ext.session_get('$token')"), qr/^ERROR:  Redis did not answer/, 'Redis does not answer');
$redis->resume;
$rival->ok('SELECT pg_reload_conf()');
wait_until('Redis is used again', sub { $s->query("SELECT count(*) FROM cache_ext.session_get('$token')") eq '1' });

done_testing();
