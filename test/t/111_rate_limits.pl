# Rate limits in Redis: what is allowed, to the microsecond; wrong input; Redis failing; many clients at once.
#
# CX_RATE_LIMIT_SECONDS in the environment is how long the last part lasts: 2 by default, 10 for the whole test.
use strict;
use warnings;

use CacheTest;
use Math::BigInt;
use PostgreSQL::Test::Utils;
use RedisMonitor;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('limits');
my $node = cache_node('limits', $redis);
my $s = Session->new($node);
my $client = Resp->connect($redis->socket);
my $longest = '36500 d';
my $longest_us = 36500 * 86_400_000_000;

sub key { return "cache_ext:postgres:limit:$_[0]"; }
sub limit { return $s->query("SELECT * FROM cache_ext.rate_limit($_[0])"); }
sub redis_us
{
	my ($seconds, $us) = @{ $client->call('TIME') };
	return $seconds * 1_000_000 + $us;
}

note '--- results';
# So slow a limit that nothing is earned while the test runs.
like(limit(qq('a', 3, '$longest')), qr/^t\|2\|\|/, 'the first of three');
like(limit(qq('a', 3, '$longest')), qr/^t\|1\|\|/, 'the second');
like(limit(qq('a', 3, '$longest', 2)), qr/^f\|1\|\d+:\d+:\d+(\.\d+)?\|/, 'two more are too many');
like(limit(qq('a', 3, '$longest')), qr/^t\|0\|\|/, 'the third');
like(limit(qq('a', 3, '$longest')), qr/^f\|0\|/, 'no fourth');
is($s->ok(qq{SELECT allowed, remaining, retry_after <= interval '$longest' / 3, retry_after > interval '$longest' / 3 - interval '1 h',
	reset_after <= interval '$longest', reset_after > interval '$longest' - interval '1 h'
	FROM cache_ext.rate_limit('a', 3, '$longest')}), 'f|0|t|t|t|t', 'when to come back');
is($s->ok(qq{SELECT allowed, remaining, retry_after FROM cache_ext.rate_limit('a', 3, '$longest', 0)}), 't|0|',
	'a cost of 0 only looks');
like(limit(qq('a', 3, '$longest', 4)), qr/^f\|0\|\|\d/, 'more than the limit is never allowed: no time to come back');
like(limit(qq('b', 3, '$longest', 4)), qr/^f\|3\|\|00:00:00$/, 'not even after a pause');
is($client->call('EXISTS', key('b')), 0, 'and is not counted');
like(limit(qq('b', 3, '$longest', 0)), qr/^t\|3\|\|00:00:00$/, 'nor is looking');
is($client->call('EXISTS', key('b')), 0, 'at nothing');
like(limit(qq('b', 3, '$longest', 3)), qr/^t\|0\|\|/, 'all at once');
like(limit(qq('c', 2147483647, '$longest', 2147483647)), qr/^t\|0\|\|876000:00:00$/, 'the largest limit, all at once');
like(limit(qq('c', 2147483647, '$longest', 2147483647)), qr/^f\|0\|\d+:\d+:\d+/, 'and not twice');
like(limit(q('d', 1, '1 day')), qr/^t\|0\|\|24:00:00$/, 'one a day');
is($s->ok(q{SELECT allowed FROM cache_ext.rate_limit('per' => '1 day', 'max_requests' => 1, key => 'named')}
	=~ s/'(per|max_requests)'/$1/gr), 't', 'arguments by name');
cmp_ok($client->call('PTTL', key('d')), '>', 80_000_000, 'the key lives as long as there is a debt');
cmp_ok($client->call('PTTL', key('d')), '<=', 86_402_000, 'and not longer');

note '--- to the microsecond';
# A limit whose state is what we say: decided at some time, with a debt.  The answer follows from the time of the
# decision alone, which the new state names.
sub decide
{
	my ($most, $per, $ago, $debt, $rest, $cost) = @_;
	my $at = redis_us() - $ago;
	$client->call('SET', key('exact'), "$at $debt $rest $most");
	my ($allowed, $remaining, $retry, $reset) = split /\|/,
		$s->ok("SELECT allowed, remaining, (extract(epoch FROM retry_after) * 1000000)::bigint,
				(extract(epoch FROM reset_after) * 1000000)::bigint
			FROM cache_ext.rate_limit('exact', $most, interval '1 us' * $per, $cost)"), -1;
	my ($now, $left, $left_rest) = split / /, $client->call('GET', key('exact'));
	# In parts of one max_requests-th of a microsecond.
	my $units = Math::BigInt->new($debt)->bmul($most)->badd($rest);
	my $price = Math::BigInt->new($per)->bmul($cost);
	my $full = Math::BigInt->new($per)->bmul($most);
	return ($allowed, $remaining, $retry, $reset, $at, $now, Math::BigInt->new($left)->bmul($most)->badd($left_rest),
		$units, $price, $full);
}
sub ceiling { my ($number, $by) = @_; return $number->copy->badd($by - 1)->bdiv($by)->numify; }
for my $case ([ 3, 10_000_000, 1000, 6_000_000, 2, 1 ], [ 7, 1_000_000, 10, 0, 6, 6 ], [ 1000, 1_000_000, 0, 500_000, 0, 10 ],
	[ 1_000_000_007, 3_600_000_000, 100, 3_500_000_000, 999_999_999, 12_345_678 ],
	[ 2_147_483_647, $longest_us, 5, $longest_us - 2_000_000_000_000, 2_147_483_646, 1_000_000 ])
{
	my ($most, $per) = @$case;
	my ($allowed, $remaining, $retry, $reset, $at, $now, $left, $units, $price, $full) = decide(@$case);
	my $due = $units->copy->bsub(Math::BigInt->new($now)->bsub($at)->bmul($most));
	$due = Math::BigInt->bzero if $due->is_neg;
	is($allowed, 't', "@$case: allowed");
	is("$left", $due->copy->badd($price)->bstr, 'the debt is what it was, less the time, and the price');
	is($remaining, $full->copy->bsub($left)->bdiv($per)->bstr, 'what remains');
	is($reset, ceiling($left, $most), 'when all remains');
}
# Denied, nothing is written, so the time of the decision shows in the answers only: they must agree with one another
# and with one moment between what Redis's clock said before and after.
for my $case ([ 3, 10_000_000, 5, 9_999_000, 1, 1 ], [ 1000, 1_000_000_000, 0, 999_500_000, 999, 1 ],
	[ 2_147_483_647, $longest_us, 5, $longest_us - 1000, 2_147_483_646, 2_147_483_647 ])
{
	my ($most, $per, undef, $debt, $rest, $cost) = @$case;
	my ($allowed, $remaining, $retry, $reset, $at, $same, undef, $units, $price, $full) = decide(@$case);
	my $after = redis_us();
	is($allowed, 'f', "@$case: not allowed");
	is($same, $at, 'and nothing is written');
	my $now = $at + $debt + ($rest > 0 ? 1 : 0) - $reset;
	cmp_ok($now, '>=', $at, 'decided after it was asked');
	cmp_ok($now, '<=', $after, 'and before it was answered');
	my $due = $units->copy->bsub(Math::BigInt->new($now - $at)->bmul($most));
	is($retry, ceiling($due->copy->badd($price)->bsub($full), $most), 'when it will be allowed');
	is($remaining, $full->copy->bsub($due)->bdiv($per)->bstr, 'what remains');
}
for my $ago (0, 1)
{
	# Exactly full, and one part more: the boundary.
	$client->call('SET', key('edge'), redis_us() + 60_000_000 . " 2000000 $ago 3");
	like(limit(q('edge', 3, '3 s')), $ago ? qr/^f\|0\|00:00:00.000001\|/ : qr/^t\|0\|\|00:00:03$/,
		'a third of a microsecond ' . ($ago ? 'too much' : 'is enough'));
}

note '--- the clock set back, and limits that change';
$client->call('SET', key('back'), redis_us() + 3_600_000_000 . ' 9000000 0 10');
like(limit(q('back', 10, '10 s', 2)), qr/^f\|1\|00:00:01\|00:00:09$/, 'nothing is earned while the clock catches up');
my ($at) = split / /, $client->call('GET', key('back'));
cmp_ok($at, '<=', redis_us(), 'but from now on something is');
$client->call('SET', key('change'), redis_us() + 60_000_000 . ' 5000000 1 10');
like(limit(q('change', 4, '10 s', 1)), qr/^t\|0\|\|00:00:07.500001$/, 'another number of requests: what was used stays used');
$client->call('SET', key('change'), redis_us() + 60_000_000 . ' 5000000 1 10');
like(limit(q('change', 4, '1 s', 1)), qr/^f\|0\|00:00:00.25\|00:00:01$/, 'a shorter time: no debt over it');

note '--- wrong input';
for my $call (q(NULL, 1, '1 s'), q('x', NULL, '1 s'), q('x', 1, NULL), q('x', 1, '1 s', NULL), q('x', 1, '1 s', 1, NULL))
{
	like(limit($call), qr/^ERROR:  argument "\w+" must not be null/, $call);
}
like(limit("'x', $_, '1 s'"), qr/^ERROR:  argument "max_requests" must be at least 1/, "max_requests $_") for 0, -1, -2147483648;
like(limit("'x', 1, '1 s', $_"), qr/^ERROR:  argument "cost" must be at least 0/, "cost $_") for -1, -2147483648;
for my $per ('0', '-1 s', '999 us', '36501 d', '178000000 years', '-178000000 years', '1 day -25 h')
{
	like(limit("'x', 1, '$per'"), qr/^ERROR:  argument "per" is out of range/, "per $per");
}
like(limit("'x', 1, '$_'"), qr/^ERROR/, "per $_") for 'infinity', '-infinity', '';
like(limit(q('x', 2, '1.000001 s', 2)), qr/^t\|0\|\|00:00:01.000001$/, 'a time with microseconds');
like(limit(q('', 1, '1 s')), qr/^ERROR:  argument "key" must not be empty/, 'no key');
like(limit(q(repeat('x', 1025), 1, '1 s')), qr/^ERROR:  argument "key" is too long/, 'too long a key');
like(limit(q(repeat('x', 1024), 1, '1 s')), qr/^t/, 'the longest key');
like(limit(q(E'\x01\n{}*%:', 1, '1 s')), qr/^t/, 'any letters');
like(limit(q('x', 1, '1 s', 1, 'shut')), qr/^ERROR:  invalid value for argument "fail": "shut"/, 'a policy that is none');

note '--- what others write';
my @bad = ('', 'x', '1 2 3', '1 2 3 4 5', '1 2 4 4', '1 2 0 0', '-1 2 3 4', '1 -2 3 4', '1.5 2 3 4', '1 2 3 4 ', 'nan 2 3 4', '9e99 2 3 4',
	'9' x 30 . ' 2 3 4', '1 ' . '9' x 30 . ' 3 4', '1 2 3 ' . '9' x 30, "1 2 3 4\n", 'x' x 100_000);
for my $value (@bad)
{
	$client->call('SET', key('bad'), $value);
	like(limit(q('bad', 1, '1 s')), qr/^ERROR:  Redis refused: WRONGTYPE/, 'no limit: ' . substr($value, 0, 40));
}
$client->call('DEL', key('bad'));
$client->call('RPUSH', key('bad'), 'x');
like(limit("'bad', 1, '1 s', 1, '$_'"), qr/^ERROR:  Redis refused: WRONGTYPE/, "something else, $_") for qw(open closed);
$client->call('SCRIPT', 'FLUSH');
like(limit(q('d', 1, '1 day')), qr/^f/, 'Redis has forgotten its scripts');

note '--- Redis is down';
sub warned { return () = $_[0] =~ /^WARNING/mg; }
my $fails = sub {
	my ($what) = @_;
	my $t = Session->new($node);
	for my $case ([ '', 't' ], [ q(, fail => 'open'), 't' ], [ q(, fail => 'closed'), 'f' ])
	{
		my ($fail, $allowed) = @$case;
		my $output = $t->query("SELECT * FROM cache_ext.rate_limit('x', 1, '1 s'$fail)");
		like($output, qr/^$allowed\|\|\|$/m, "$what$fail: $allowed, and nothing else is known");
		is(warned($output), $fail eq '' ? 1 : 0, 'it is said once');
	}
	like($t->query(q{SELECT allowed FROM cache_ext.rate_limit('x', 1, '1 s', 2)}), qr/^f$/m,
		"$what: what is never allowed is not allowed now");
	$t->close; };
$redis->stop;
$fails->('down');
$redis->start;
$s->ok('SELECT pg_reload_conf()');
wait_until('Redis is used', sub { limit(q('y', 100, '1 s')) =~ /^t\|9/ });
$client = Resp->connect($redis->socket);
$redis->config('maxmemory-policy', 'noeviction');
$redis->config('maxmemory', '1');
$fails->('full');
$redis->config('maxmemory', '0');
$redis->cli('REPLICAOF', '127.0.0.1', '1');
$fails->('a replica');
$redis->cli('REPLICAOF', 'NO', 'ONE');
$redis->cli('ACL', 'SETUSER', 'default', '-time');
$fails->('no rights');
$redis->cli('ACL', 'SETUSER', 'default', '+time');
my %replies = ('MOVED' => "-MOVED 1 127.0.0.1:1\r\n", 'NOAUTH' => "-NOAUTH Authentication required.\r\n",
	'LOADING' => "-LOADING Redis is loading\r\n", 'nothing' => undef);
my $reply;
for my $kind (sort keys %replies)
{
	my $fake = Resp::FakeServer->new(sub { return $_[0] eq 'PING' ? "+PONG\r\n" : $replies{$kind}; });
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $fake->url . "'");
	$node->reload;
	wait_until('the server has read its settings', sub { $s->ok('SHOW cache_ext.redis_url') eq $fake->url });
	$fails->($kind);
}
for my $odd ("+OK\r\n", ":1\r\n", "\$-1\r\n", "*2\r\n:1\r\n:2\r\n", "*3\r\n:1\r\n:2\r\n+x\r\n", "*3\r\n:1\r\n:-2\r\n:0\r\n",
	"*3\r\n:1\r\n:2000000\r\n:0\r\n", "*3\r\n:1\r\n:2\r\n:1\r\n")
{
	my $fake = Resp::FakeServer->new(sub { return $_[0] eq 'PING' ? "+PONG\r\n" : $odd; });
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $fake->url . "'");
	$node->reload;
	wait_until('the server has read its settings', sub { $s->ok('SHOW cache_ext.redis_url') eq $fake->url });
	like(limit(q('x', 1, '1 s')), qr/^ERROR:  Redis gave an answer/, 'an answer that is none: ' . $odd =~ s/\r\n/ /gr);
}
$node->append_conf('postgresql.conf', "cache_ext.redis_url = ''");
$node->reload;
wait_until('the server has read its settings', sub { $s->ok('SHOW cache_ext.redis_url') eq '' });
like(limit(q('x', 1, '1 s')), qr/^ERROR:  there is no Redis/, 'no Redis at all is an error');
$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $redis->url . "'");
$node->reload;
wait_until('Redis is used again', sub { limit(q('z', 100, '1 s')) =~ /^t\|9/ });

note '--- privileges';
my $function = 'cache_ext.rate_limit(text, integer, interval, integer, text)';
$s->ok('CREATE ROLE web');
$s->ok('SET ROLE web');
like(limit(q('w', 1, '1 s')), qr/^ERROR:  permission denied for function/, 'not for everybody');
$s->ok("RESET ROLE; GRANT EXECUTE ON FUNCTION $function TO web; SET ROLE web");
like(limit(q('w', 1, '1 s')), qr/^t/, 'for who may');
$s->ok('RESET ROLE');

note '--- 64 clients against 1,000 a second';
# Redis's own times of what it allowed: each leaves the state that it was decided in, and its debt.
my $seconds = $ENV{CX_RATE_LIMIT_SECONDS} || 2;
my $script = "$PostgreSQL::Test::Utils::tmp_check/limit.sql";
append_to_file($script, "SELECT allowed FROM cache_ext.rate_limit('shared', 1000, '1 s');\n");
my $monitor = RedisMonitor->new($redis);
$node->command_ok([ 'pgbench', '-n', '-c', 64, '-j', 2, '-T', $seconds, '-f', $script, $node->connstr('postgres') ], 'pgbench');
my (@allowed, @from_rest, @denied, $open);
my $asked = 0;
for my $line ($monitor->stop)
{
	if ($line !~ / lua\]/ && $line =~ /"EVALSHA?"/i)
	{
		# What was asked before has left nothing: denied after so many that were allowed.
		push @denied, scalar @allowed if $open;
		$open = 1;
		$asked++;
	}
	my ($time, $debt, $rest) = $line =~ / lua\] "SET" "\Q${\ key('shared')}\E" "(\d+) (\d+) (\d+) 1000"/ or next;
	push @from_rest, scalar @allowed if $debt == 1000 && $rest == 0;
	push @allowed, $time;
	$open = 0;
}
cmp_ok(scalar @allowed, '>', 1000, scalar @allowed . " of $asked requests were allowed");

# In microseconds: each earns 1,000, and all within any time t, from its first to its last, 1,000,000 + t at most.
my ($lowest, $worst) = (undef, 0);
for my $i (0 .. $#allowed)
{
	my $above = 1000 * $i - ($allowed[$i] - $allowed[0]);
	$lowest = $above if !defined $lowest || $above < $lowest;
	$worst = $above - $lowest + 1000 if $above - $lowest + 1000 > $worst;
}
cmp_ok($worst, '<=', 1_000_000, 'never more than the definition permits');

# From a first request to a moment at which one was denied, so that nobody can say that nobody asked.  Should the machine
# have kept all clients from asking for a second, they began anew from there: the longest such time.
my ($first, $last) = (0, -1);
for my $i (0 .. $#from_rest)
{
	my $end = $i < $#from_rest ? $from_rest[ $i + 1 ] : @allowed;
	my ($then) = grep { $_ <= $end } reverse @denied;
	($first, $last) = ($from_rest[$i], $then - 1) if defined $then && $then - 1 - $from_rest[$i] > $last - $first;
}
my $permitted = 1000 + int(($allowed[$last] - $allowed[$first]) / 1000);
my $got = $last - $first + 1;
cmp_ok($got, '<=', $permitted, "of $permitted permitted, no more");
cmp_ok($got, '>=', 0.99 * $permitted, "at least 99 %: $got");

done_testing();
