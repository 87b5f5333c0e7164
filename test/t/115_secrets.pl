# What stays unsaid: the password in redis_url, and bytes of a Redis that would do harm in a log or in
# a message.  And the least that the README says a user of Redis must be allowed.
use strict;
use warnings;

use Application;
use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('secrets');
my $node = cache_node('secrets', $redis, "cache_ext.key_prefix = 'prefix'", 'cache_ext.local_memory = 0');
my $s = Session->new($node);
create_result_of($s);

sub log_text { return slurp_file($node->logfile); }

note '--- a Redis that serves nobody';
# First, since this is logged once a minute at most.  (hiredis from 1.0 on takes no line break in an error.)
my $said = "-ERR broken\x0cFATAL:  forged \e[31mred\e[2J\x07\xff\xc3(\x00 end\r\n";
my $clean = qr/ERR broken\?FATAL:  forged \?\[31mred\?\[2J\?\?\?\(/;
my $fake = Resp::FakeServer->new(sub { return $said =~ s/ERR/LOADING/r });
$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $fake->url . "'");
$s->ok('SELECT pg_reload_conf()');
wait_until('a server that serves nobody', sub { (refusal($s, q{cache_ext.get('k')}))[1] =~ /LOADING broken\?FATAL/ });
wait_until('is in the log', sub { log_text() =~ /cannot use Redis: .*LOADING broken\?FATAL/ });
$fake->stop;
use_redis($node, $s, $redis->url);

note '--- the password';
$s->ok('CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher');
$redis->cli('ACL', 'SETUSER', 'guest', 'on', '>open sesame', '>other word', '~*', '&*', '+@all');
for my $case (
	[ 'guest:open%20sesame@', 'guest:***@' ], [ 'guest:other%20word@', 'guest:***@' ],
	[ 'default:a@b:c@', 'default:***@' ], [ ':x@', ':***@' ], [ ':@', ':***@' ], [ 'guest@', 'guest@' ], [ '', '' ])
{
	my ($given, $shown) = @$case;
	my ($url, $visible) = map { 'unix://' . $_ . $redis->socket . '?db=2' } $given, $shown;
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = '$url'");
	$s->ok('SELECT pg_reload_conf()');
	wait_until("$visible is shown", sub { $s->ok('SHOW cache_ext.redis_url') eq $visible });
	my $watcher = Session->new($node, user => 'watcher');
	is($watcher->query('SHOW cache_ext.redis_url'), $visible, "$visible: to a monitoring role");
	is($watcher->query(q{SELECT setting, reset_val, boot_val FROM pg_settings WHERE name = 'cache_ext.redis_url'}),
		"$visible||", "$visible: in pg_settings");
	is($watcher->query(q{SELECT current_setting('cache_ext.redis_url')}), $visible, "$visible: as a value");
	$watcher->close;
	if ($given =~ /guest:/)
	{
		redis_answers($s);
		returns($s, q{cache_ext.set('k', '1')}, 'true', "$visible: what is in use is the whole of it");
	}
}
wait_until('the postmaster has read the last one', sub {
	$node->append_conf('postgresql.conf', "cache_ext.ttl = '2h'");
	$s->ok('SELECT pg_reload_conf()');
	return log_text() =~ /parameter "cache_ext.ttl" changed to "2h"/ });
unlike(log_text(), qr/sesame|other.word|a\@b|redis_url" changed/, 'the log tells no password, whatever was changed');
like(Session->new($node, user => 'watcher')->query('SELECT sourceline FROM pg_file_settings'), qr/permission denied/,
	'the file itself is for superusers');
$node->append_conf('postgresql.conf', "cache_ext.redis_url = 'redis://u:top%secret\@h'");
$s->ok('SELECT pg_reload_conf()');
wait_until('a wrong one is refused', sub { log_text() =~ /invalid value for parameter "cache_ext.redis_url"/ });
unlike(log_text(), qr/top.secret/, 'and not repeated');
$node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $redis->url . "'");
$s->ok('SELECT pg_reload_conf()');
wait_until('the first is back', sub { $s->ok('SHOW cache_ext.redis_url') eq $redis->url });
# another name from 16 on
$s->ok(q{SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
is($s->query('SELECT count(*) FROM pg_class WHERE relname = current_setting(\'cache_ext.redis_url\')'),
	'0', 'a parallel worker has a setting');

note '--- what a Redis says';
$s->ok(q{CREATE TABLE t (id int PRIMARY KEY); SELECT cache_ext.attach('t', 't:{id}', 'write_through');
	CREATE TABLE a (id int PRIMARY KEY); SELECT cache_ext.attach('a', 'a:{id}', 'invalidate', on_redis_down => 'abort')});
$fake = Resp::FakeServer->new(sub { return $_[0] eq 'PING' ? "+PONG\r\n" : $said });
use_redis($node, $s, $fake->url);
refuses($s, q{cache_ext.get('k')}, '38000', 'an error of a function', $clean);
refuses($s, q{cache_ext.del_pattern('*')}, '38000', 'of a scan', $clean);
$s->ok('INSERT INTO t VALUES (1)');
wait_until('the worker has tried', sub { log_text() =~ /cannot tell Redis what was committed/ });
like(log_text(), qr/cannot tell Redis what was committed: $clean/, 'the log of the worker');
my $output = $s->query('\set VERBOSITY default
	INSERT INTO a VALUES (1)');
like($output, $clean, 'a transaction that Redis lets fail');
like($s->query(q{SELECT allowed FROM cache_ext.rate_limit('r', 1, '1 min')}), $clean, 'a warning');
$s->query('\set VERBOSITY terse');
$fake->stop;
unlike(log_text(), qr/^FATAL:  forged|\e|\xff|\x07/m, 'no byte of it gets into the log as it is');
use_redis($node, $s, $redis->url);

note '--- the rights that the README names';
my $readme = slurp_file('README.md') =~ s/\s+/ /gr;
my %rights;
sub named
{
	my ($name, $pattern) = @_;
	($rights{$name}) = $readme =~ $pattern or die "the README doesn't name the rights for $name";
	return;
}
named(cache => qr/has `~\{key_prefix\}:\*` and `([^`]+)`/);
named(values => qr/functions for keys and values need `([^`]+)`/);
named(sessions => qr/those for sessions `([^`]+)`/);
named(limits => qr/those for rate limits and locks `([^`]+)`/);
named(rows => qr/has `([^`]+)` besides what the/);
unlike(join(' ', values %rights), qr/\+script(?!\|load)|@/, 'no right to flush scripts or to end them');

sub as_user
{
	my (@groups) = @_;
	my @verbs = split / /, join ' ', @rights{ 'cache', @groups };
	is($redis->cli('ACL', 'SETUSER', 'least', 'reset', 'on', '>pw', '~prefix:*', @verbs), 'OK', "may: @groups");
	$redis->cli('SCRIPT', 'FLUSH');
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = 'unix://least:pw\@" . $redis->socket . "'");
	$s->ok('SELECT pg_reload_conf()');
	$redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
	wait_until('the new user', sub { (refusal($s, q{cache_ext.get('nothing')}))[0] eq 'none' &&
		$redis->cli('CLIENT', 'LIST') =~ /user=least/ });
	return;
}

as_user();
$s->ok(q{CREATE TABLE plain (v int); INSERT INTO plain VALUES (1); SELECT cache_ext.track('plain')});
stores($s, 'SELECT v::text FROM plain', 'a result');
hits($s, 'SELECT v::text FROM plain', 'a result');

as_user('values');
returns($s, $_->[0], $_->[1]) for (
	[ q{cache_ext.ping() > '0'}, 'true' ], [ q{cache_ext.set('a', '1')}, 'true' ], [ q{cache_ext.get('a')}, '1' ],
	[ q{cache_ext.set('a', '1', '1 hour')}, 'true' ], [ q{cache_ext.mset('{a,b}', '{1,2}')}, '2' ],
	[ q{(SELECT count(value) FROM cache_ext.mget('{a,b}'))}, '2' ], [ q{cache_ext.set_nx('a', '1')}, 'false' ],
	[ q{cache_ext.incr('c', 5)}, '5' ], [ q{cache_ext.incr('d', 5, '1 hour')}, '5' ], [ q{cache_ext.get('c')}, '5' ],
	[ q{cache_ext.exists('a')}, 'true' ], [ q{cache_ext.expire('a', '1 hour')}, 'true' ], [ q{cache_ext.ttl('a') > '59 min'}, 'true' ],
	[ q{cache_ext.del('b')}, '1' ], [ q{cache_ext.del_pattern('*')}, '3' ]);

as_user('sessions');
my $token = $s->ok(q{SELECT cache_ext.session_create('u', '{"a": 1}')});
returns($s, $_->[0], $_->[1]) for (
	[ qq{(SELECT data FROM cache_ext.session_get('$token'))}, '{"a": 1}' ],
	[ qq{(SELECT data FROM cache_ext.session_get('$token', false))}, '{"a": 1}' ],
	[ qq{cache_ext.session_update('$token', '{"b": 2}')}, 'true' ],
	[ q{(SELECT count(*) FROM cache_ext.session_list('u'))}, '1' ]);
$token = $s->ok("SELECT cache_ext.session_rotate('$token')");
returns($s, "cache_ext.session_destroy('$token')", 'true');
$s->ok(q{SELECT cache_ext.session_create('u')});
returns($s, q{cache_ext.session_destroy_user('u')}, '1');

as_user('limits');
returns($s, q{(SELECT allowed FROM cache_ext.rate_limit('r', 1, '1 min', fail => 'closed'))}, 'true');
returns($s, q{(SELECT allowed FROM cache_ext.rate_limit('r', 1, '1 min', fail => 'open'))}, 'false');
my $fence = $s->ok(q{SELECT cache_ext.lock('l', '1 hour')});
like($fence, qr/^\d+$/, 'a lock');
returns($s, "cache_ext.unlock('l', $fence)", 'true');

as_user('rows');
sub told
{
	wait_until('all is told', sub { $s->ok('SELECT backlog + sweeps_pending, worker FROM cache_ext.delivery') eq '0|idle' });
	return;
}
told();
$s->ok('INSERT INTO t VALUES (7); INSERT INTO a VALUES (7)');
$s->ok(q{SELECT cache_ext.set('at_commit', '1', at_commit => true)});
told();
is($redis->cli('EXISTS', 'prefix:postgres:row:t:7', 'prefix:postgres:row:a:7'), 2, 'rows and fences');
is($s->query('SELECT cache_ext.row(NULL::t, 7)'), '(7)', 'a row');
returns($s, q{cache_ext.get('at_commit')}, '1', 'at commit');
$s->ok('UPDATE a SET id = 8; TRUNCATE t');
told();
is($s->query('SELECT cache_ext.row(NULL::t, 7) IS NULL'), 't', 'a sweep');
$s->ok('BEGIN; SELECT cache_ext.lock(\'end\', \'1 hour\', release_at_end => true); COMMIT');
told();
unlike(log_text() =~ s/.*FATAL:  forged.*//gr, qr/NOPERM/, 'nothing was forbidden');

done_testing();
