# Delivery when something fails: Redis, the worker, the server.
# At rest every key is its row, or absent, and no crash of either side leaves an old row behind.
use strict;
use warnings;

use CacheTest;
use Crash;
use Outbox;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('delivery');
my $node = cache_node('one', $redis, 'restart_after_crash = on', 'cache_ext.delivery_memory = 64kB',
	"cache_ext.redis_timeout = '2s'", 'max_prepared_transactions = 10');
create_outbox($node);
my $row = 'cache_ext:db:row:t:';
my $s = Session->new($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub client { return Resp->connect($redis->socket); }
sub generation { return sql('SELECT generation FROM cache_ext.delivery'); }

# What was learnt of Redis is forgotten, so that the test need not wait for the breaker.
sub again
{
	sql('SELECT pg_reload_conf()');
	settled($node);
	return;
}

sub reconnect
{
	$s->close;
	$s = Session->new($node);
	return;
}

# As it should be: a row in Redis for each in the table, all delivered.
sub all_there
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	settled($node);
	my $found = right($node, $redis, $name);
	is($found, sql('SELECT count(*) FROM t'), "$name: every row has its key");
	return;
}

# What is removed leaves its version for a while.
sub with_row { return grep { (stored($redis, $_) // '') !~ /^\x81\xa8_version/ } @_; }
sub rows_left { return scalar(my @keys = with_row($redis->keys("$row*"))); }

sub set_all { sql('UPDATE t SET v = v + 1'); return; }

sql('INSERT INTO t SELECT i, i FROM generate_series(1, 10) i');
all_there('at first');

note '--- Redis killed and back, empty';
$redis->kill9;
set_all();
is(sql('SELECT backlog FROM cache_ext.delivery'), 10, 'without Redis everything is kept');
wait_until('and is shown', sub { sql('SELECT worker FROM cache_ext.delivery') eq 'waiting for Redis' });
cmp_ok(sql('SELECT extract(epoch FROM oldest_age) FROM cache_ext.delivery'), '>', 0, 'with its age');
$redis->start;
again();
all_there('then told');
cmp_ok(sql('SELECT retried FROM cache_ext.delivery'), '>', 0, 'what was tried again is counted');

note '--- Redis killed while idle';
$redis->kill9;
$redis->start;
again();
set_all();
all_there('told on a new connection');

note '--- Redis back with an old dump';
my $dump = $redis->save_dump;
set_all();
all_there('after the dump');
$redis->restart_from_dump($dump);
isnt(seen($redis, 1) // 'absent', sql('SELECT v FROM t WHERE id = 1'), 'the dump is old');
sql('SELECT pg_reload_conf()');
wait_until('the old rows are removed, though nothing is written', sub { rows_left() == 0 });
set_all();
all_there('and new ones told');
is(generation(), version($redis, 1)->[2], 'the generation is the same');

# What is removed, and what is not: rows of any server, for those of one that isn't the owner of the
# prefix any more are nobody's.
my $other = pack('H*', '82a176cd0063') . "\xa8_version\xc4\x1c" . pack('Q> N N Q> N', 1, 99, 99, 99, 99);
$dump = $redis->save_dump;
client()->calls([ 'SET', 'cache_ext:x:row:other', $other ], [ 'SET', 'cache_ext:x:row:foreign', 'x' ],
	[ 'SET', 'cache_ext:x:kv:1', $other ], [ 'SET', 'another:x:row:1', stored($redis, "${row}1") ],
	[ 'LPUSH', 'cache_ext:x:row:list', 'x' ], [ 'SET', 'cache_ext:x:row:ours', stored($redis, "${row}1") ]);
$dump = $redis->save_dump;
# a row of the very last commit would be known to be right
sql('SELECT txid_current()');
$redis->restart_from_dump($dump);
sql('SELECT pg_reload_conf()');
wait_until('rows are removed', sub { rows_left() == 0 });
settled($node);
is($redis->cli('DEL', 'cache_ext:x:row:list'), 1, 'what is of another type stays');
is(join(' ', sort(with_row($redis->keys))), 'another:x:row:1 cache_ext:owner cache_ext:x:kv:1 cache_ext:x:row:foreign',
	'wherever they are, and nothing else');
$redis->flush;

note '--- a backlog, and Redis back with an old dump';
set_all();
all_there('before');
$dump = $redis->save_dump;
set_all();
settled($node);
$redis->kill9;
sql('UPDATE t SET v = v + 1 WHERE id <= 5');
$redis->restart_from_dump($dump);
again();
right($node, $redis, 'after it');

note '--- a full ring';
set_all();
all_there('before it');
$redis->kill9;
sql("UPDATE t SET v = v + 1;\n" x 200);
cmp_ok(sql('SELECT sweeps_pending FROM cache_ext.delivery'), '==', 1, 'what has no room is swept');
like($s->query("SELECT outbox_set('k', repeat('x', 60000)::bytea)"), qr/no room to keep what Redis is to be told/,
	'what can\'t be swept is refused');
sql('UPDATE t SET v = v + 1 WHERE id = 1');
$redis->start;
again();
my $found = right($node, $redis, 'after a full ring');
note "$found rows";
set_all();
all_there('and there is room again');

# The same with Redis's memory kept: the keys are there, and old.
$redis->pause;
sql("UPDATE t SET v = v + 1;\n" x 200);
$redis->resume;
again();
right($node, $redis, 'after a full ring, with old keys');
set_all();
all_there('and told again');
is(sql("SELECT pg_size_pretty(memory_used) FROM cache_ext.delivery"), '0 bytes', 'nothing stays in the ring');

note '--- one message too large for the ring';
sql("BEGIN; SELECT txid_current(), outbox_entity('$row*', '${row}1', '\\x81a178da'::bytea || '\\xffff'::bytea || decode(repeat('41', 65535), 'hex')); COMMIT");
settled($node);
is(seen($redis, 1), '', 'makes readers ask the table');
set_all();
all_there('and others are told');

note '--- a terminated worker';
my $worker = worker_pid($node);
$redis->pause;
set_all();
kill 'TERM', $worker;
wait_until('it ends', sub { sql('SELECT worker FROM cache_ext.delivery') eq 'not running' });
set_all();
$redis->resume;
all_there('another goes on with what it left');

note '--- a crash of the server';
$dump = $redis->save_dump;
$redis->kill9;
set_all();
my $generation = generation();
kill_server($node);
$redis->restart_from_dump($dump);
is(rows_left(), 10, 'Redis has what was before');
$node->start;
again();
is(rows_left(), 0, 'what was not told is removed');
cmp_ok(generation(), '>', $generation, 'in a new generation');
reconnect();
set_all();
all_there('and told anew');

note '--- a crash of a session';
$generation = generation();
set_all();
settled($node);
kill_at($node, $s, 'outbox_visible', "SET cache_ext.stop_at = outbox_visible; UPDATE t SET v = v + 1");
again();
is(rows_left(), 0, 'a commit that nobody was told of removes what was before');
cmp_ok(generation(), '>', $generation, 'in a new generation');
reconnect();
set_all();
all_there('and told anew');

note '--- clean shutdowns';
for my $mode ('fast', 'smart')
{
	$generation = generation();
	$s->close;
	$node->stop($mode);
	$node->start;
	reconnect();
	is(generation(), $generation, "$mode: the generation goes on");
	is(right($node, $redis, $mode), 10, "$mode: and the rows stay");
	set_all();
	all_there("$mode: and go on");
}

# Told at the last moment.
$redis->pause;
set_all();
$s->close;
$redis->resume;
$node->stop('fast');
$node->start;
reconnect();
settled($node);
right($node, $redis, 'changes just before a shutdown');

note '--- a shutdown with a backlog';
set_all();
all_there('before it');
$generation = generation();
$dump = $redis->save_dump;
$redis->kill9;
set_all();
$s->close;
$node->stop('fast');
$redis->restart_from_dump($dump);
$node->start;
reconnect();
again();
cmp_ok(generation(), '>', $generation, 'ends the generation');
is(rows_left(), 0, 'and what was not told is removed');
set_all();
all_there('and told anew');

note '--- an immediate shutdown';
$generation = generation();
$s->close;
$node->stop('immediate');
$node->start;
reconnect();
again();
cmp_ok(generation(), '>', $generation, 'ends the generation');
is(rows_left(), 0, 'and everything is removed');
set_all();
all_there('and told anew');

note '--- Redis restarted while the server is down';
$dump = $redis->save_dump;
set_all();
settled($node);
$s->close;
$node->stop('fast');
$redis->restart_from_dump($dump);
$node->start;
reconnect();
again();
is(rows_left(), 0, 'what it has from before is removed');
set_all();
all_there('and told anew');

note '--- the file of the era';
my $file = $node->data_dir . '/pg_stat/cache_ext.era';
my %damage = (
	'missing' => sub { unlink $file },
	'empty' => sub { write_file('') },
	'truncated' => sub { write_file(substr(slurp_file($file), 0, 40)) },
	'of another system' => sub {
		my $bytes = slurp_file($file);
		vec($bytes, 17, 8) ^= 1;
		write_file($bytes);
	},
	'damaged' => sub {
		my $bytes = slurp_file($file);
		vec($bytes, 33, 8) ^= 1;
		write_file($bytes);
	});

sub write_file
{
	open(my $out, '>:raw', $file) or die "$file: $!";
	print $out $_[0];
	close $out;
	return;
}
for my $how (sort keys %damage)
{
	$generation = generation();
	$s->close;
	$node->stop('fast');
	$damage{$how}->();
	# without the file, a generation is the time in seconds
	wait_until('another second', sub { time > $generation });
	$node->start;
	reconnect();
	cmp_ok(generation(), '>', $generation, "$how: a new generation");
	set_all();
	all_there("$how: and told anew");
}

# A data directory as it was earlier, with the file of a clean shutdown.
$s->close;
$node->stop('fast');
my $old = slurp_file($file);
$node->start;
set_all();
settled($node);
$generation = generation();
$node->stop('immediate');
write_file($old);
$node->start;
reconnect();
cmp_ok(generation(), '>', $generation, 'an old file after a crash: a new generation');
set_all();
all_there('and told anew');

note '--- commits that are not on disk';
# Nobody else writes it to disk for some seconds.
sql("ALTER SYSTEM SET synchronous_commit = off;\nALTER SYSTEM SET wal_writer_delay = '10s';\nSELECT pg_reload_conf()");
set_all();
settled($node);
set_all();
settled($node);
cmp_ok(sql("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn"), '>=', version($redis, 1)->[3],
	'what Redis is told is on disk');
sql("ALTER SYSTEM RESET synchronous_commit;\nALTER SYSTEM RESET wal_writer_delay;\nSELECT pg_reload_conf()");

note '--- Redis refuses';
set_all();
all_there('before it');
client()->call('CONFIG', 'SET', 'maxmemory', '1');
set_all();
wait_until('what has no room is removed', sub { rows_left() == 0 });
settled($node);
client()->call('CONFIG', 'SET', 'maxmemory', '0');
set_all();
all_there('with memory again');

sql("SELECT outbox_set('k', 'old')");
settled($node);
client()->call('CONFIG', 'SET', 'maxmemory', '1');
sql("SELECT outbox_set('k', 'new')");
wait_until('it is tried', sub { sql('SELECT worker FROM cache_ext.delivery') eq 'waiting for Redis' });
client()->call('CONFIG', 'SET', 'maxmemory', '0');
settled($node);
is(client()->call('GET', 'k'), 'new', 'a key waits for memory');

my $primary = RedisServer->new('primary', tcp => 1);
client()->call('REPLICAOF', '127.0.0.1', $primary->port);
wait_until('it is a replica', sub { client()->call('INFO', 'replication') =~ /master_link_status:up/ });
set_all();
wait_until('a replica takes nothing', sub { sql('SELECT worker FROM cache_ext.delivery') eq 'waiting for Redis' });
is(sql('SELECT backlog FROM cache_ext.delivery'), 10, 'so it is kept');
client()->call('REPLICAOF', 'NO', 'ONE');
again();
is(right($node, $redis, 'no replica any more'), 10, 'then all is told');

$redis->flush;
client()->call('SCRIPT', 'FLUSH');
set_all();
all_there('scripts that were forgotten are loaded');

note '--- rights in Redis';
sub as_user
{
	my (@rights) = @_;
	client()->call('ACL', 'SETUSER', 'worker', 'reset', 'on', '>secret', '~cache_ext:*', @rights);
	my $url = $redis->url =~ s{unix://}{unix://worker:secret\@}r;
	sql("ALTER SYSTEM SET cache_ext.redis_url = '$url'; SELECT pg_reload_conf()");
	return;
}
my @least = qw(+get +set +del +getrange +eval +evalsha +info +time +scan +unlink +script);
client()->call('SCRIPT', 'FLUSH');
as_user(@least);
set_all();
all_there('what the README names is enough');
sql('TRUNCATE t; INSERT INTO t SELECT i, i FROM generate_series(1, 10) i');
all_there('also for sweeps');
as_user(grep { $_ ne '+info' } @least);
set_all();
all_there('without INFO each connection is taken for another Redis');
as_user(grep { $_ ne '+time' } @least);
set_all();
wait_until('without TIME nothing is told', sub { sql('SELECT worker FROM cache_ext.delivery') eq 'waiting for Redis' });
sql("ALTER SYSTEM RESET cache_ext.redis_url; SELECT pg_reload_conf()");
settled($node);
right($node, $redis, 'then it is');
set_all();
all_there('and others');

note '--- many sweeps';
# Messages have their turn in between.
my $truncating = Session->new($node);
$truncating->send(q{DO $$BEGIN FOR i IN 1 .. 300 LOOP TRUNCATE t; INSERT INTO t VALUES (1, i); COMMIT; END LOOP; END$$});
$truncating->finish;
set_all();
all_there('after many');
$truncating->close;
sql('TRUNCATE t; INSERT INTO t SELECT i, i FROM generate_series(1, 10) i');
all_there('and others');

note '--- without redis_url';
my $url = $redis->url;
sql("ALTER SYSTEM SET cache_ext.redis_url = ''; SELECT pg_reload_conf()");
wait_until('the worker knows', sub { sql('SELECT worker FROM cache_ext.delivery') eq 'no redis_url' });
set_all();
is(sql('SELECT backlog FROM cache_ext.delivery'), 10, 'everything is kept');
sql("ALTER SYSTEM RESET cache_ext.redis_url; SELECT pg_reload_conf()");
all_there('until there is one');

note '--- another Redis';
my $second = RedisServer->new('second');
sql("ALTER SYSTEM SET cache_ext.redis_url = '" . $second->url . "'; SELECT pg_reload_conf()");
set_all();
$redis = $second;
all_there('told where it is now');

done_testing();
