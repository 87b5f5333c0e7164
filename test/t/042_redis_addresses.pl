# Where Redis is and who may use it: every form of redis_url, passwords, users, databases, and changes
# of these in running sessions.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

# On every address of this machine, so that names work whichever they stand for.
my $redis = RedisServer->new('first', tcp => 1, arguments => [ '--bind', '127.0.0.1', '-::1' ]);
my $other = RedisServer->new('other', tcp => 1, password => 'secret word');
my $node = cache_node('addresses', undef, 'cache_ext.local_memory = 0');
my $s = Session->new($node);
my $query = 'SELECT value::text FROM t';

$s->ok(q{CREATE TABLE t (value int); INSERT INTO t VALUES (1); SELECT cache_ext.track('t')});
bypasses($s, $query, 'no URL');

sub settings
{
	$node->append_conf('postgresql.conf', $_) for @_;
	$s->ok('SELECT pg_reload_conf()');
	return;
}

# A session sees new settings between two statements; when depends on a signal.
sub sees
{
	my ($name, $value) = @_;
	wait_until("$name is $value", sub { $s->ok("SHOW $name") eq $value });
	return;
}

# The number of keys in a database of a server.
sub keys_in
{
	my ($server, $database) = @_;
	return $server->cli('-n', $database // 0, 'DBSIZE');
}

# Works with an URL: what is stored is in that server's database, and hits.
sub works
{
	my ($name, $url, $server, $database) = @_;
	$server->flush;
	settings("cache_ext.redis_url = '$url'");
	sees('cache_ext.redis_url', shown_url($url));
	wait_until("$name works", sub { cached($s, $query); return outcome($s, $query) eq 'hit' });
	hits($s, $query, $name);
	is(keys_in($server, $database), 1, "$name: the entry is there");
	$s->ok('UPDATE t SET value = value + 1');
	stores($s, $query, "$name: after a change");
	return;
}

# With this URL nothing is cached, and everything is right.
sub fails
{
	my ($name, $url) = @_;
	settings("cache_ext.redis_url = '$url'");
	sees('cache_ext.redis_url', shown_url($url));
	$s->ok('UPDATE t SET value = value + 1');
	not_hit($s, $query, $name) for 1 .. 5;
	my $errors = counter($s, 'redis_errors');
	wait_until("$name is tried", sub { cached($s, $query); return counter($s, 'redis_errors') > $errors });
	not_hit($s, $query, $name);
	return;
}

my ($port, $other_port) = ($redis->port, $other->port);
works('Unix socket', 'unix://' . $redis->socket, $redis);
works('Unix socket, database 3', 'unix://' . $redis->socket . '?db=3', $redis, 3);
works('IPv4', "redis://127.0.0.1:$port", $redis);
works('IPv4, database 5', "redis://127.0.0.1:$port/5", $redis, 5);
works('host name', "redis://localhost:$port", $redis);
works('host name, database 2', "redis://localhost:$port/2", $redis, 2);
SKIP:
{
	skip 'this machine has no IPv6', 3 unless -e '/proc/net/if_inet6' && slurp_file('/proc/net/if_inet6');
	works('IPv6', "redis://[::1]:$port/0", $redis);
}
works('password', "redis://:secret%20word\@127.0.0.1:$other_port/0", $other);
works('user and password', "redis://default:secret%20word\@127.0.0.1:$other_port/0", $other);

fails('no such database', "redis://127.0.0.1:$port/9999");
fails('no password', "redis://127.0.0.1:$other_port/0");
fails('wrong password', "redis://:wrong\@127.0.0.1:$other_port/0");
fails('unknown user', "redis://nobody:wrong\@127.0.0.1:$other_port/0");
fails('nobody listens', "unix:///nonexistent/redis");
fails('nobody listens on the port', 'redis://127.0.0.1:1');
my $log = slurp_file($node->logfile);
unlike(($log =~ s/.*LOG:  statement:.*\n//gr), qr/cannot use Redis.*secret/,
	'the log does not tell a password');

# Nor does any view or function tell it to a role that monitors.
settings("cache_ext.redis_url = 'redis://default:secret%20word\@127.0.0.1:$other_port/0'");
sees('cache_ext.redis_url', "redis://default:***\@127.0.0.1:$other_port/0");
$s->ok('CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; SET ROLE watcher');
for my $sql ('SHOW cache_ext.redis_url', "SELECT current_setting('cache_ext.redis_url')")
{
	is($s->query($sql), "redis://default:***\@127.0.0.1:$other_port/0", "pg_monitor: $sql");
}
is($s->query("SELECT count(*) FROM pg_settings WHERE setting ~ 'secret' OR reset_val ~ 'secret' OR boot_val ~ 'secret'"),
	'0', 'pg_monitor: pg_settings');
unlike($s->query('SHOW ALL'), qr/secret(%20| )word/, 'pg_monitor: SHOW ALL');
$s->ok('RESET ROLE');

# A name that stands for nothing is the worker's trouble alone.
settings("cache_ext.redis_url = 'redis://no-such-host.invalid:$port'");
sees('cache_ext.redis_url', "redis://no-such-host.invalid:$port");
$s->ok('UPDATE t SET value = value + 1');
not_hit($s, $query, 'a host name that stands for nothing') for 1 .. 3;

note '--- what a user may do';
$redis->cli('ACL', 'SETUSER', 'elsewhere', 'on', '>pw', '~elsewhere:*', '+@all');
$redis->cli('ACL', 'SETUSER', 'least', 'on', '>pw', '~cache_ext:*',
	'+get', '+set', '+del', '+getrange', '+eval', '+evalsha');
$redis->cli('ACL', 'SETUSER', 'reader', 'on', '>pw', '~*', '+get', '+ping');
works('a user with no more rights than needed', "redis://least:pw\@127.0.0.1:$port", $redis);
settings("cache_ext.redis_url = 'redis://elsewhere:pw\@127.0.0.1:$port'");
sees('cache_ext.redis_url', "redis://elsewhere:***\@127.0.0.1:$port");
not_hit($s, $query, 'a user with rights to other keys') for 1 .. 3;
works('before', "unix://" . $redis->socket, $redis);
settings("cache_ext.redis_url = 'redis://reader:pw\@127.0.0.1:$port'");
sees('cache_ext.redis_url', "redis://reader:***\@127.0.0.1:$port");
wait_until('a hit', sub { outcome($s, $query) eq 'hit' });
$s->ok('UPDATE t SET value = value + 1');
misses($s, $query, 'a user who may only read') for 1 .. 3;

note '--- password file';
my $file = $node->data_dir . '/redis_password';
sub write_password
{
	my ($password) = @_;
	unlink $file;
	append_to_file($file, $password);
	return;
}
write_password("secret word\nand another line\n");
settings("cache_ext.redis_password_file = '$file'");
works('password file', "redis://127.0.0.1:$other_port/0", $other);
works('password file before the password in the URL', "redis://:wrong\@127.0.0.1:$other_port/0", $other);

# The password changes: who is connected stays, who comes needs the new one.
$other->cli('CONFIG', 'SET', 'requirepass', 'new word');
$other->{password} = 'new word';
hits($s, $query, 'who was connected');
my $new = Session->new($node);
is(cached($new, $query), uncached($new, $query), 'who comes with the old password');
write_password('new word');
settings('');
wait_until('a new connection with the new password', sub { outcome($new, $query) eq 'hit' });
hits($new, $query, 'a new connection with the new password');
write_password('wrong word');
fails('password file with a wrong password', "redis://127.0.0.1:$other_port/1");
unlink $file;
fails('no password file', "redis://127.0.0.1:$other_port/2");
mkdir $file;
fails('a directory as password file', "redis://127.0.0.1:$other_port/3");
rmdir $file;
settings("cache_ext.redis_password_file = ''");

note '--- a bad URL is refused, and the old one stays';
works('before a bad URL', "redis://127.0.0.1:$port/0", $redis);
settings("cache_ext.redis_url = 'http://127.0.0.1:$port'");
$s->ok('UPDATE t SET value = value + 1');
wait_until('the reload is over', sub {
	slurp_file($node->logfile) =~ /invalid value for parameter "cache_ext.redis_url"/ });
stores($s, $query, 'with a bad URL in the file');
hits($s, $query, 'with a bad URL in the file');

note '--- another prefix, another Redis, none';
settings("cache_ext.redis_url = 'redis://127.0.0.1:$port/0'", "cache_ext.key_prefix = 'other'");
sees('cache_ext.key_prefix', 'other');
stores($s, $query, 'another prefix');
my @keys = $redis->keys('other:*');
is(scalar(@keys), 1, 'the key begins with it');
settings("cache_ext.redis_url = ''");
sees('cache_ext.redis_url', '');
bypasses($s, $query, 'no Redis any more');
works('and one again', "unix://" . $redis->socket, $redis);

# What was cached in one must not come back from it after a change while another was used.
$other->cli('CONFIG', 'SET', 'requirepass', '');
$other->{password} = undef;
works('the other', "redis://127.0.0.1:$other_port/0", $other);
$s->ok('UPDATE t SET value = value + 1');
settings("cache_ext.redis_url = 'unix://" . $redis->socket . "'");
sees('cache_ext.redis_url', 'unix://' . $redis->socket);
not_hit($s, $query, 'back at the first, changed meanwhile');
is($s->pid, $s->ok('SELECT pg_backend_pid()'), 'all in one session');

done_testing();
