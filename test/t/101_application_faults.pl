# Functions for applications when Redis is down, slow, restarted, full, read-only, or says what it
# should not: each fails with an error that tells what happened, nothing is sent twice that must not
# be, and the session goes on.
use strict;
use warnings;

use Application;
use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

# One line a function: what to call; the command of Redis that it begins with; what a lost answer may
# have left behind (reads: nothing; repeatable: the same as if it is sent again; once: what must not
# be sent again); on a replica and on a full server, does it work?
my @functions = map { my %f; @f{qw(call verb effect replica full)} = @$_; \%f } (
	[ q{cache_ext.ping()}, 'PING', 'reads', 1, 1 ],
	[ q{cache_ext.get('k')}, 'GET', 'reads', 1, 1 ],
	[ q{(SELECT count(value) FROM cache_ext.mget('{k,l}'))}, 'GET', 'reads', 1, 1 ],
	[ q{cache_ext.exists('k')}, 'EXISTS', 'reads', 1, 1 ],
	[ q{cache_ext.ttl('k')}, 'PTTL', 'reads', 1, 1 ],
	[ q{cache_ext.set('k', '1')}, 'SET', 'repeatable', 0, 0 ],
	[ q{cache_ext.mset('{k,l}', '{1,2}')}, 'SET', 'repeatable', 0, 0 ],
	[ q{cache_ext.expire('k', '1 hour')}, 'PEXPIRE', 'repeatable', 0, 1 ],
	[ q{cache_ext.set_nx('k', '1')}, 'SET', 'once', 0, 0 ],
	[ q{cache_ext.incr('c')}, 'EVALSHA', 'once', 0, 0 ],
	[ q{cache_ext.incr('c', 5, '1 hour')}, 'EVALSHA', 'once', 0, 0 ],
	[ q{cache_ext.del('l')}, 'UNLINK', 'once', 0, 1 ],
	[ q{cache_ext.del('{l}'::text[], false)}, 'UNLINK', 'once', 0, 1 ],
	[ q{cache_ext.del_pattern('none*')}, 'SCAN', 'once', 1, 1 ],
	[ q{cache_ext.session_create('u')}, 'SET', 'repeatable', 0, 0 ],
	[ q{(SELECT count(*) FROM cache_ext.session_get(current_setting('my.token')))}, 'EVALSHA', 'once', 0, 0 ],
	[ q{(SELECT count(*) FROM cache_ext.session_get(current_setting('my.token'), false))}, 'EVALSHA', 'once', 1, 1 ],
	[ q{cache_ext.session_update(current_setting('my.token'), '{"a": 1}')}, 'EVALSHA', 'once', 0, 0 ],
	[ q{cache_ext.session_rotate(cache_ext.session_create('u'))}, 'SET', 'repeatable', 0, 0 ],
	[ q{cache_ext.session_destroy('x')}, 'EVALSHA', 'once', 0, 1 ],
	[ q{cache_ext.session_destroy_user('v')}, 'EVALSHA', 'once', 0, 1 ],
	[ q{(SELECT count(*) FROM cache_ext.session_list('u'))}, 'EVALSHA', 'once', 1, 1 ],
	[ q{cache_ext.lock('l' || clock_timestamp(), '1 hour')}, 'EVALSHA', 'once', 0, 0 ],
	[ q{cache_ext.unlock('l', 1)}, 'EVALSHA', 'once', 1, 1 ]);

my $redis = RedisServer->new('faults', tcp => 1);
my $node = cache_node('faults', $redis);
my $s = Session->new($node);
my $control = Session->new($node);

create_result_of($s);

# All functions do what they should; puts there what they look for.
sub work
{
	my ($name) = @_;
	my @wrong;

	redis_answers($s);
	$redis->flush;
	$s->ok(q{SELECT cache_ext.mset('{k,l}', '{1,2}'), set_config('my.token', cache_ext.session_create('u'), false)});
	for my $function (@functions)
	{
		my ($state, $said) = refusal($s, $function->{call});
		push @wrong, "$function->{call}: $state $said" if $state ne 'none';
	}
	is("@wrong", '', "all work: $name");
	is($s->ok(q{SELECT cache_ext.get('k'), cache_ext.get('c'), cache_ext.exists('l')}), '1|6|f', "and are right: $name");
	return;
}

# What a call that was sent and not answered leaves open.
sub lost { return $_[0]->{effect} eq 'reads' ? '08006' : '08007'; }

work('at first');

note '--- down';
$redis->kill9;
refuses($s, $_->{call}, '08006', "down: $_->{call}", qr/^Redis is not available: /) for @functions;
is($s->ok(q{BEGIN; SELECT result_of('cache_ext.get(''k'')') ~ '^08006'; COMMIT}), 't', 'a transaction goes on');
$redis->start;
work('started again');

# Over TCP, where what is written to such a connection just vanishes.
note '--- connections that were closed meanwhile';
use_redis($node, $s, $redis->tcp_url);
for my $function (@functions)
{
	$redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
	is((refusal($s, $function->{call}))[0], 'none', "closed by Redis before: $function->{call}");
}
use_redis($node, $s, $redis->url);

note '--- slow';
$s->ok(q{SET cache_ext.redis_timeout = '50ms'});
for my $function (@functions)
{
	redis_answers($s);
	$redis->pause;
	refuses($s, $function->{call}, lost($function), "slow: $function->{call}", qr/no answer in time/);
	refuses($s, $function->{call}, '08006', "slow, not connected: $function->{call}");
	$redis->resume;
}
$s->ok('RESET cache_ext.redis_timeout');
work('not slow any more');

note '--- ended while they wait';
for my $function (@functions)
{
	my $pid = $s->pid;
	$redis->pause;
	$s->send("SELECT $function->{call}");
	wait_until('a wait for Redis', sub {
		$control->ok("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") eq 'Extension' });
	$control->ok("SELECT pg_cancel_backend($pid)");
	like($s->finish, qr/canceling statement due to user request/, "canceled: $function->{call}");

	$s->ok(q{SET statement_timeout = '20ms'});
	like($s->query("SELECT $function->{call}"), qr/canceling statement due to statement timeout/,
		"statement_timeout: $function->{call}");
	$s->ok('RESET statement_timeout');
	$redis->resume;
	is($s->ok(q{SELECT cache_ext.set('mine', '"answer"'), cache_ext.get('mine')}), 't|"answer"',
		"and then answers are one's own: $function->{call}");
}
{
	my $other = Session->new($node);
	my $pid = $other->pid;
	$redis->pause;
	$other->send(q{SELECT cache_ext.incr('c')});
	wait_until('a wait for Redis', sub {
		$control->ok("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") eq 'Extension' });
	$control->ok("SELECT pg_terminate_backend($pid)");
	like($other->finish, qr/terminating connection due to administrator command/, 'terminated');
	$redis->resume;
	$other->close;
}
work('nobody waits any more');

note '--- scripts that Redis has forgotten';
$redis->cli('SCRIPT', 'FLUSH');
work('scripts flushed');

note '--- a replica';
$redis->cli('REPLICAOF', '127.0.0.1', '1');
for my $function (@functions)
{
	refuses($s, $function->{call}, $function->{replica} ? 'none' : '55000', "replica: $function->{call}");
}
$redis->cli('REPLICAOF', 'NO', 'ONE');
work('a master again');

note '--- full';
$redis->config('maxmemory-policy', 'noeviction');
$redis->config('maxmemory', '1');
refuses($s, $_->{call}, $_->{full} ? 'none' : '53200', "full: $_->{call}") for @functions;
$redis->config('maxmemory', '0');
work('not full any more');

note '--- users without rights';
my @rights = qw(default on nopass ~* &* +@all);
my $verbs = join(' ', map { '-' . lc } grep { $_ ne 'PING' } map { $_->{verb} } @functions);
$redis->cli('ACL', 'SETUSER', @rights, split(/ /, $verbs));
for my $function (@functions)
{
	refuses($s, $function->{call}, $function->{verb} eq 'PING' ? 'none' : '42501', "NOPERM: $function->{call}");
}
$redis->cli('ACL', 'SETUSER', @rights);
work('with rights again');
$redis->cli('ACL', 'SETUSER', 'default', 'on', 'resetpass', '>secret', '~*', '+@all');
$redis->{password} = 'secret';
$redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
refuses($s, q{cache_ext.get('k')}, '28000', 'no password', qr/^Redis refused: NOAUTH/);
refuses($s, q{cache_ext.get('k')}, '08006', 'not tried for a while');
use_redis_without_answer('unix://:wrong@' . $redis->socket);
wait_until('another refusal', sub { (refusal($s, q{cache_ext.get('k')}))[1] =~ /WRONGPASS/ });
use_redis($node, $s, 'unix://:secret@' . $redis->socket);
work('with the password');
$redis->cli('ACL', 'SETUSER', @rights);
delete $redis->{password};
use_redis($node, $s, $redis->url);
work('without one');
use_redis_without_answer('unix:///nonexistent/socket');
refuses($s, $_->{call}, '08006', "no such socket: $_->{call}") for @functions;
$node->append_conf('postgresql.conf', "cache_ext.redis_password_file = '/nonexistent/file'");
use_redis_without_answer($redis->url);
my ($state, $said) = ('', '');
wait_until('the breaker to let one through', sub {
	($state, $said) = refusal($s, q{cache_ext.get('k')});
	return $said =~ /log/ });
is($state, '08006', 'a password file that is not there');
unlike($said, qr/nonexistent/, 'whose name is nobody\'s business');
$node->append_conf('postgresql.conf', "cache_ext.redis_password_file = ''");
use_redis($node, $s, $redis->url);

sub use_redis_without_answer
{
	my ($url) = @_;
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = '$url'");
	$s->ok('SELECT pg_reload_conf()');
	my $shown = $url =~ s{(://[^:/]*:)[^/]*@}{$1***@}r;
	wait_until('the new setting', sub { $s->ok('SHOW cache_ext.redis_url') eq $shown });
	return;
}

# What a Redis says that means the same to whatever it is asked; does it end the connection, and close
# the door for everybody?
my %refusals = (
	"-READONLY You can't write against a read only replica." => [ '55000', 0 ],
	'-MOVED 3999 127.0.0.1:6381' => [ '0A000', 0 ],
	'-ASK 3999 127.0.0.1:6381' => [ '0A000', 0 ],
	'-CLUSTERDOWN Hash slot not served' => [ '55000', 0 ],
	'-TRYAGAIN Multiple keys request during rehashing of slot' => [ '55000', 0 ],
	'-BUSY Redis is busy running a script.' => [ '55000', 0 ],
	'-MISCONF Redis is configured to save RDB snapshots' => [ '55000', 0 ],
	'-NOREPLICAS Not enough good replicas to write.' => [ '55000', 0 ],
	"-OOM command not allowed when used memory > 'maxmemory'." => [ '53200', 0 ],
	'-NOPERM this user has no permissions' => [ '42501', 0 ],
	"-ERR unknown command" => [ '38000', 0 ],
	"-MOVEDX" => [ '38000', 0 ],
	'-' => [ '38000', 0 ],
	"-ERR \xff\xfe\x01" . 'x' x 100_000 => [ '38000', 0 ],
	'-LOADING Redis is loading the dataset in memory' => [ '55000', 1 ],
	'-MASTERDOWN Link with MASTER is down' => [ '55000', 1 ],
	'-NOAUTH Authentication required.' => [ '28000', 1 ],
	'-WRONGPASS invalid username-password pair' => [ '28000', 1 ]);

# To these verbs a fake Redis gives an answer that is tested; a ping is how the tests see that it is there.
my @asked = grep { $_->{verb} ne 'PING' } @functions;

sub fake
{
	my ($answer) = @_;
	return Resp::FakeServer->new(sub { return $_[0] eq 'PING' ? "+PONG\r\n" : $answer->(@_) });
}

note '--- what Redis refuses';
for my $refusal (sort keys %refusals)
{
	my ($expected, $closes) = @{ $refusals{$refusal} };
	my $fake = fake(sub { return "$refusal\r\n" });
	my $name = substr($refusal, 0, 20) =~ s/[^ -~]/./gr;

	use_redis($node, $s, $fake->url);
	for my $function (@asked)
	{
		refuses($s, $function->{call}, $expected, "$name: $function->{call}", qr/^Redis refused: /);
		redis_answers($s) if $closes;
	}
	$fake->stop;
}

note '--- the end of the connection in place of an answer';
for my $function (@asked)
{
	my $fake = fake(sub { return undef });
	use_redis($node, $s, $fake->url);
	my $before = $fake->commands($function->{verb});
	refuses($s, $function->{call}, lost($function), "closed: $function->{call}");
	cmp_ok($fake->commands($function->{verb}) - $before, '<=', $function->{effect} eq 'once' ? 1 : 4,
		"closed: $function->{call}: not sent too often");
	$fake->stop;
}

note '--- garbage';
my %garbage = (
	'an integer' => ":12\r\n",
	'a null' => "\$-1\r\n",
	'an array' => "*2\r\n:1\r\n:2\r\n",
	'an array for SCAN with a null' => "*2\r\n\$1\r\n0\r\n\$-1\r\n",
	'an array for SCAN with an integer' => "*2\r\n\$1\r\n0\r\n*1\r\n:1\r\n",
	'an array for SCAN with too much' => "*3\r\n\$1\r\n0\r\n*0\r\n:1\r\n",
	'an array for SCAN that is empty' => "*0\r\n",
	'an array of a billion' => "*1000000000\r\n",
	'deep arrays' => "*1\r\n" x 1000,
	'a string of a terabyte' => "\$1099511627776\r\nx",
	'a negative length' => "\$-7\r\n",
	'a length that is none' => "\$abc\r\n",
	'an empty string' => "\$0\r\n\r\n",
	'a string' => "\$5\r\nhello\r\n",
	'a number that is none' => "\$3\r\n1.5\r\n",
	'a number that is too large' => "\$20\r\n99999999999999999999\r\n",
	'a string without its end' => "\$5\r\nhelloXX",
	'three replies' => "\$1\r\na\r\n" x 3,
	'a status' => "+OK\r\n",
	'HTTP' => "HTTP/1.1 400 Bad Request\r\n\r\n",
	'noise' => join('', map { chr(($_ * 7919 + 13) % 256) } 1 .. 5000),
	'RESP3 null' => "_\r\n");
$s->ok(q{SET cache_ext.redis_timeout = '200ms'});
for my $name (sort keys %garbage)
{
	my $fake = fake(sub { return $garbage{$name} });
	my @wrong;
	use_redis($node, $s, $fake->url);
	for my $function (@asked)
	{
		my ($state, $said) = refusal($s, $function->{call});
		push @wrong, "$function->{call}: $state $said"
		  unless $state =~ /^(none|08006|08007|08P01|54000|XX001)$/;
		redis_answers($s);
	}
	is("@wrong", '', "garbage: $name");
	$fake->stop;
}
$s->ok('RESET cache_ext.redis_timeout');

note '--- in the middle';
my $count = 0;
my $fake = fake(sub { return ++$count <= 3 ? "+OK\r\n" : $count <= 6 ? "-OOM full\r\n" : "+OK\r\n" });
use_redis($node, $s, $fake->url);
refuses($s, q{cache_ext.mset((SELECT array_agg('k' || g) FROM generate_series(1, 10) g),
	(SELECT array_agg('1'::jsonb) FROM generate_series(1, 10) g))}, '53200', 'mset, some refused', qr/7 keys were set before this/);
$fake->stop;
$count = 0;
$fake = fake(sub { return ++$count <= 3 ? ":1\r\n" : "-READONLY no\r\n" });
use_redis($node, $s, $fake->url);
refuses($s, q{cache_ext.del('a', 'b', 'c', 'd', 'e')}, '55000', 'del, some refused', qr/3 keys were removed before this/);
$fake->stop;

# SCAN finds two keys each time, and never comes to its end.
sub scanned { return "*2\r\n\$2\r\n$_[0]\r\n*2\r\n\$1\r\na\r\n\$1\r\nb\r\n"; }
for my $end ([ "-OOM full\r\n", '53200', 6 ], [ undef, '08007', 4 ])
{
	my ($reply, $expected, $removed) = @$end;
	my $scans = 0;
	$fake = fake(sub { return ":1\r\n" if $_[0] eq 'UNLINK'; return ++$scans <= 3 ? scanned(17) : $reply });
	use_redis($node, $s, $fake->url);
	refuses($s, q{cache_ext.del_pattern('*')}, $expected, "del_pattern that ends with $expected",
		qr/\b$removed keys were removed before this/);
	$fake->stop;
}
# A session that somebody else has changed again each time: a script's arguments tell which it is.
my %session = (
	5 => "\$8\r\n\x92\xa1u\xce\x00\x1b\x77\x40\r\n",
	6 => "*3\r\n:1700000000000000\r\n:9000000000000000\r\n\$1\r\n\x80\r\n",
	7 => "\$1\r\n\x80\r\n");
$fake = fake(sub { return $session{@_} // "+OK\r\n" });
use_redis($node, $s, $fake->url);
my $token = 'x' x 43;
my $update = qq{cache_ext.session_update('$token', '{"a": 1}')};
$s->send("SELECT $update");
wait_until('some tries', sub { $fake->commands('EVALSHA') > 10 });
$control->ok('SELECT pg_cancel_backend(' . $s->pid . ')');
like($s->finish, qr/canceling statement due to user request/, 'session_update among many ends when it is canceled');
my $tries = $fake->commands('EVALSHA');
refuses($s, $update, '40001', 'and at some time by itself', qr/others keep changing it/);
cmp_ok($fake->commands('EVALSHA'), '>', $tries + 2, 'after it has tried');
$fake->stop;

$fake = fake(sub { return $_[0] eq 'UNLINK' ? ":1\r\n" : scanned(17) });
use_redis($node, $s, $fake->url);
$s->send(q{SELECT cache_ext.del_pattern('*')});
wait_until('a few steps', sub { $fake->commands('SCAN') > 10 });
$control->ok('SELECT pg_cancel_backend(' . $s->pid . ')');
like($s->finish, qr/canceling statement due to user request/, 'del_pattern ends when it is canceled');
$fake->stop;

use_redis($node, $s, $redis->url);
work('back at a real one');
my $log = slurp_file($node->logfile);
unlike($log, qr/ (PANIC|TRAP):/, 'nothing crashed');
unlike($log, qr/terminated by signal/, 'nothing was killed');

done_testing();
