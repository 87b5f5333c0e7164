# Copies of a server and backups put back, with the same Redis: rows, sessions and values belong to one
# server at a time, and no server is told what another history has stored.
use strict;
use warnings;

use CacheTest;
use Crash;
use Entities;
use Outbox qw(worker_pid);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('owner');
my $client = Resp->connect($redis->socket);
my $node = cache_node([ 'production', allows_streaming => 1 ], $redis);
my $owned = 'another server owns the keys';

sub sql { my ($n, $text) = @_; return $n->safe_psql('postgres', $text); }
sub fails { my ($n, $text) = @_; my ($status, $out, $error) = $n->psql('postgres', $text); return $error; }
sub worker { my ($n) = @_; return sql($n, 'SELECT worker FROM cache_ext.delivery'); }
sub refused { my ($n) = @_; wait_until('it is refused', sub { worker($n) eq $owned }); return; }
sub row { my ($n, $id) = @_; return sql($n, "SELECT v FROM cache_ext.row(NULL::t, $id)"); }
sub mark { return $client->call('GET', 'cache_ext:owner') // ''; }
sub name_in_mark { return (split / /, mark())[0] // ''; }

# A directory as it is now, and put back as cp, tar or rsync would.
sub save
{
	my ($n, $to) = @_;
	$to = $n->basedir . "/$to";
	system_or_bail('cp', '-a', $n->data_dir, $to);
	return $to;
}

sub put_back
{
	my ($n, $from) = @_;
	system_or_bail('rm', '-rf', $n->data_dir);
	system_or_bail('cp', '-a', $from, $n->data_dir);
	return;
}

# Redis has the rows of the table, or nothing to be read.
sub right_in_redis
{
	my ($n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %rows = map { split /\|/ } split /\n/, sql($n, 'SELECT id, v FROM t');
	my @wrong;

	for my $key ($redis->keys(stored_key('t:*')))
	{
		my ($id) = $key =~ /(\d+)$/;
		my $row = entity($client, "t:$id") // next;
		push @wrong, "$id: $row->{v}" if %$row && exists $row->{v} && $row->{v} ne ($rows{$id} // '');
	}
	is(join(' ', @wrong), '', "$name: no row of Redis is another's");
	return;
}

my $names = 0;
sub another
{
	my ($backup, @settings) = @_;
	my $copy = PostgreSQL::Test::Cluster->new('copy' . ++$names);
	$copy->init_from_backup($node, $backup);
	$copy->append_conf('postgresql.conf', join("\n", @settings, ''));
	return $copy;
}

sql($node, q{CREATE TABLE t (id int PRIMARY KEY, v text); SELECT cache_ext.attach('t', 't:{id}', 'write_through');
	CREATE TABLE fenced (id int PRIMARY KEY);
	SELECT cache_ext.attach('fenced', 'fenced:{id}', 'write_through', on_redis_down => 'abort');
	SELECT cache_ext.track('t'); INSERT INTO t SELECT i, 'first' FROM generate_series(1, 5) i});
all_delivered($node);
my $query = 'SELECT v FROM t WHERE id = 1';

note '--- a cold backup put back in its place';
for my $stopped ('fast', 'immediate', 'twice')
{
	my $s = Session->new($node);
	sql($node, q{UPDATE t SET v = 'saved'});
	all_delivered($node);
	is_exact($s, $query, 'stored');
	$s->close;
	$node->stop;
	my $saved = save($node, "saved_$stopped");
	$node->start;

	# the future that will not have been, with more WAL than what follows
	sql($node, q{CREATE TABLE filler AS SELECT i FROM generate_series(1, 2000) i; UPDATE t SET v = 'abandoned'});
	all_delivered($node);
	$node->restart if $stopped eq 'twice';
	is(entity_text($client, 't:1'), 'id=1 v=abandoned', "$stopped: Redis is told of the future");
	$s = Session->new($node);
	is_exact($s, $query, "$stopped: results too");
	is_exact($s, $query, "$stopped: results too");
	$s->close;
	my $generation = sql($node, 'SELECT generation FROM cache_ext.delivery');
	$node->stop($stopped eq 'twice' ? 'fast' : $stopped);
	put_back($node, $saved);

	$node->start;
	is(row($node, 1), 'saved', "$stopped: row() has what the table has");
	is(row($node, 1), 'saved', "$stopped: again");
	$s = Session->new($node);
	is_exact($s, $query, "$stopped: a result");
	is_exact($s, $query, "$stopped: a result, again");
	$s->close;
	all_delivered($node);
	right_in_redis($node, "$stopped: after the start");
	cmp_ok(sql($node, 'SELECT generation FROM cache_ext.delivery'), '>', $generation,
		"$stopped: the generation is none that was before");
	sql($node, q{UPDATE t SET v = 'new' WHERE id = 1});
	all_delivered($node);
	is(entity_text($client, 't:1'), 'id=1 v=new', "$stopped: a commit of the new history is told");
	is(row($node, 1), 'new', "$stopped: and read");
	right_in_redis($node, "$stopped: after a commit");
	system_or_bail('rm', '-rf', $saved);
	sql($node, q{DROP TABLE IF EXISTS filler});
}

note '--- a restart is no such case';
my $s = Session->new($node);
sql($node, q{UPDATE t SET v = 'kept'});
all_delivered($node);
my $generation = sql($node, 'SELECT generation FROM cache_ext.delivery');
my $name = name_in_mark();
$s->close;
$node->restart;
all_delivered($node);
wait_until('its mark is new', sub { name_in_mark() ne $name });
is(entity_text($client, 't:1'), 'id=1 v=kept', 'the rows stay');
is(sql($node, 'SELECT generation FROM cache_ext.delivery'), $generation, 'and the generation');

# A crash is decided at once: the directory is where it was.
sql($node, q{SELECT cache_ext.set('k', '1')});
kill_server($node);
$node->start;
is(sql($node, q{SELECT cache_ext.get('k')}), '1', 'after a crash its values are its own at once');
all_delivered($node);
right_in_redis($node, 'a crash');

note '--- a copy beside it: pg_basebackup';
sql($node, q{UPDATE t SET v = 'production'; SELECT cache_ext.set('k', '"production"')});
all_delivered($node);
$node->backup('hot');
my $copy = another('hot');
$copy->start;
refused($copy);
is(entity_text($client, 't:1'), 'id=1 v=production', 'its start removes nothing');
sql($copy, q{UPDATE t SET v = 'copy'});
is(row($copy, 1), 'copy', 'its row() reads its table');
is(entity_text($client, 't:1'), 'id=1 v=production', 'and its rows stay away from Redis');
sql($node, q{UPDATE t SET v = 'later'});
all_delivered($node);
is(entity_text($client, 't:1'), 'id=1 v=later', 'those of production go on');
is(row($node, 1), 'later', 'and are read');

my %refusals = (
	'get' => q{SELECT cache_ext.get('k')},
	'set' => q{SELECT cache_ext.set('k', '"copy"')},
	'set at commit' => q{SELECT cache_ext.set('k', '"copy"', at_commit => true)},
	'del at commit' => q{SELECT cache_ext.del(ARRAY['k'], true)},
	'del_pattern' => q{SELECT cache_ext.del_pattern('*')},
	'session_create' => q{SELECT cache_ext.session_create('u')},
	'rate_limit' => q{SELECT * FROM cache_ext.rate_limit('l', 1, '1 s')},
	'lock' => q{SELECT cache_ext.lock('l', '1 s')},
	'unlock' => q{SELECT cache_ext.unlock('l', 1)});
for my $what (sort keys %refusals)
{
	my $error = fails($copy, $refusals{$what});
	like($error, qr/another server owns the keys in Redis that begin with "cache_ext:"/, "$what is refused");
	like($error, qr/DETAIL:  It is server \d+ on host .*port @{[ $node->port ]}\.\nHINT:  Set another cache_ext.key_prefix/, "$what: says whose they are");
}
is(fails($copy, 'SELECT cache_ext.ping()'), '', 'ping is not');
is(sql($node, q{SELECT cache_ext.get('k')}), '"production"', 'nothing of production has changed');
like(slurp_file($copy->logfile), qr/LOG:  cache_ext is refused key prefix "cache_ext" in Redis\n.*DETAIL:  It belongs to server \d+ on host/, 'the log says so');
is(() = slurp_file($copy->logfile) =~ /cache_ext is refused/g, 1, 'once');
like(fails($copy, 'INSERT INTO fenced VALUES (1)'), qr/could not keep readers.*\nDETAIL:  The keys in Redis belong to server/, 'a fence is not put up');
$s = Session->new($copy);
is_exact($s, $query, 'its results are cached as ever');
hits($s, $query, 'and found');
$s->close;

note '--- a cold copy beside it, with the handed-over results';
$copy->stop;
$node->stop;
$node->backup_fs_cold('cold');
my $cold = another('cold');
$node->start;
$cold->start;
refused($cold);
for my $round (1 .. 3)
{
	for my $n ($node, $cold)
	{
		$s = Session->new($n);
		is_exact($s, $query, "cold copy, round $round: " . $n->name);
		sql($n, "UPDATE t SET v = 'round $round of " . $n->name . "' WHERE id = 1");
		is_exact($s, $query, "cold copy, round $round: " . $n->name . ' after a change');
		is_exact($s, $query, "cold copy, round $round: " . $n->name . ' again');
		$s->close;
	}
}
all_delivered($node);
right_in_redis($node, 'beside a cold copy');
$cold->stop;
$copy->start;
refused($copy);

note '--- production is away for a while';
$node->stop;
sql($copy, q{UPDATE t SET v = 'copy2'});
refused($copy);
is(entity_text($client, 't:1'), 'id=1 v=round 3 of production', 'a copy that has seen it alive doesn\'t take its place');
$redis->cli('DEL', 'cache_ext:owner');
sql($copy, 'SELECT pg_reload_conf()');
like(fails($copy, q{SELECT cache_ext.get('k')}), qr/another server owns/, 'not even where Redis has lost the mark');
$node->start;
all_delivered($node);
is(sql($node, q{SELECT cache_ext.get('k')}), '"production"', 'which has its own again');
is(worker($copy), $owned, 'and the copy is refused');

note '--- share_prefix';
sql($copy, 'ALTER SYSTEM SET cache_ext.share_prefix = on');
sql($copy, 'SELECT pg_reload_conf()');
wait_until('it is known', sub { sql($copy, 'SHOW cache_ext.share_prefix') eq 'on' });
sql($node, q{UPDATE t SET v = 'production'});
all_delivered($node);
is(sql($copy, q{SELECT cache_ext.get('k')}), '"production"', 'shares values');
sql($copy, q{BEGIN; SELECT cache_ext.set('k', '"copy"', at_commit => true); UPDATE t SET v = 'copy3'; COMMIT});
all_delivered($copy);
is(sql($node, q{SELECT cache_ext.get('k')}), '"copy"', 'also at commit');
sql($copy, 'TRUNCATE t; INSERT INTO t SELECT i, \'copy4\' FROM generate_series(1, 5) i');
all_delivered($copy);
right_in_redis($node, 'but no rows');
is(scalar(grep { %{ entity($client, "t:$_") // {} } } 1 .. 5), 5, 'and sweeps none');
sql($copy, 'ALTER SYSTEM RESET cache_ext.share_prefix');
sql($copy, 'SELECT pg_reload_conf()');
wait_until('it is known', sub { sql($copy, 'SHOW cache_ext.share_prefix') eq 'off' });

note '--- another prefix';
# What it couldn't tell so far is not told to production's keys now.
refused($copy);
sql($copy, q{UPDATE t SET v = 'backlog'});
sql($copy, q{ALTER SYSTEM SET cache_ext.key_prefix = 'copy'});
sql($copy, 'SELECT pg_reload_conf()');
wait_until('it owns that', sub { worker($copy) eq 'idle' && ($client->call('GET', 'copy:owner') // '') ne '' });
is(sql($copy, q{SELECT cache_ext.get('k')}), '', 'its values are its own');
all_delivered($copy);
is(entity_text($client, "t:$_"), 'id=' . $_ . ' v=production', "and production's row $_ is as it was") for 1 .. 5;
sql($copy, q{SELECT cache_ext.set('k', '"own"'); UPDATE t SET v = 'own'});
all_delivered($copy);
is(decode_map($client->call('GET', 'copy:postgres:row:t:1'))->{v}, 'own', 'and its rows');
sql($copy, 'ALTER SYSTEM RESET cache_ext.key_prefix');
sql($copy, 'SELECT pg_reload_conf()');
like(fails($copy, q{SELECT cache_ext.get('k')}), qr/server (owns|may own) the keys/, 'back again it is refused');
refused($copy);

note '--- take_over()';
$copy->safe_psql('postgres', 'CREATE ROLE nobody');
like(fails($copy, 'SET ROLE nobody; SELECT cache_ext.take_over()'), qr/permission denied/, 'not for everybody');
sql($copy, 'SELECT cache_ext.take_over()');
all_delivered($copy);
right_in_redis($copy, 'taken over');
is(sql($copy, q{SELECT cache_ext.get('k')}), '"copy"', 'the values stay');
refused($node);
like(fails($node, q{SELECT cache_ext.get('k')}), qr/another server owns/, 'the other is refused');
sql($copy, q{UPDATE t SET v = 'taken'});
all_delivered($copy);
is(entity_text($client, 't:1'), 'id=1 v=taken', 'its rows are told');

# What was to be told meanwhile is told by who comes back.
sql($node, q{UPDATE t SET v = 'meanwhile'});
cmp_ok(sql($node, 'SELECT backlog FROM cache_ext.delivery'), '>', 0, 'what it has to tell is kept');
sql($node, 'SELECT cache_ext.take_over()');
all_delivered($node);
is(entity_text($client, 't:1'), 'id=1 v=meanwhile', 'and told');
right_in_redis($node, 'taken back');
refused($copy);
$copy->stop;

note '--- Redis';
my $dump = $redis->save_dump;
sql($node, q{UPDATE t SET v = 'after the dump'});
all_delivered($node);
$redis->restart_from_dump($dump);
$client = Resp->connect($redis->socket);
sql($node, 'SELECT pg_reload_conf()');
sql($node, q{UPDATE t SET v = 'told' WHERE id = 1});
all_delivered($node);
is(entity_text($client, 't:1'), 'id=1 v=told', 'an old dump');
right_in_redis($node, 'an old dump');
$redis->flush;
wait_until('the mark is made anew', sub { mark() ne '' });
sql($node, q{UPDATE t SET v = 'told again' WHERE id = 1});
all_delivered($node);
is(entity_text($client, 't:1'), 'id=1 v=told again', 'without a mark');

# Another database of the same Redis, and back: what is there is from before.
my $url = $redis->url;
sql($node, "ALTER SYSTEM SET cache_ext.redis_url = '$url?db=1'");
sql($node, 'SELECT pg_reload_conf()');
wait_until('it is used', sub { $redis->cli('-n', '1', 'GET', 'cache_ext:owner') ne '' && worker($node) eq 'idle' });
sql($node, q{UPDATE t SET v = 'elsewhere'});
all_delivered($node);
sql($node, 'ALTER SYSTEM RESET cache_ext.redis_url');
sql($node, 'SELECT pg_reload_conf()');
wait_until('what is from before is removed', sub { !$client->call('EXISTS', stored_key('t:1')) });
sql($node, q{UPDATE t SET v = 'here' WHERE id = 1});
all_delivered($node);
right_in_redis($node, 'back from another database');

# The answer to the claim is lost: the mark is ours, and what was there before is not believed.
$client->call('SET', stored_key('t:2'), entity_bytes($client, 't:1'));
$client->call('SET', 'cache_ext:owner', mark() =~ s{^(\S+) (\d+)}{$1 . ' ' . ($2 + 1000)}er);
wait_until('a mark with a generation that this server does not know of', sub { !$client->call('EXISTS', stored_key('t:2')) });
all_delivered($node);
sql($node, q{UPDATE t SET v = 'and on'});
all_delivered($node);
right_in_redis($node, 'after a lost answer');

note '--- a dump restored elsewhere, the old server gone';
my $other = cache_node('other');
sql($node, 'DROP TABLE fenced');	# to restore it would take a Redis
my $dump_file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump_file, '-d', $node->connstr('postgres') ], 'pg_dump');
sql($other, 'DROP EXTENSION cache_ext; DROP SCHEMA cache_ext');
sql($other, slurp_file($dump_file));
sql($other, "ALTER SYSTEM SET cache_ext.redis_url = '$url'");
sql($other, 'SELECT pg_reload_conf()');
refused($other);
sql($other, q{UPDATE t SET v = 'other'});
is(entity_text($client, 't:1'), 'id=1 v=and on', 'with the old one alive it is refused');
$other->stop;
$node->stop;
$other->start;
all_delivered($other);
right_in_redis($other, 'with the old one gone it owns them');
sql($other, q{UPDATE t SET v = 'other2'});
all_delivered($other);
is(entity_text($client, 't:1'), 'id=1 v=other2', 'and tells its own');
$other->stop;

note '--- a promoted standby, the primary alive and then gone';
$node->start;
all_delivered($node);
$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->start;
is(sql($standby, q{SELECT cache_ext.get('k')}), sql($node, q{SELECT cache_ext.get('k')}), 'a standby reads its primary\'s values');
like(fails($standby, 'SELECT cache_ext.take_over()'), qr/a standby owns no keys/, 'and owns none');
$standby->promote;
refused($standby);
sql($node, q{UPDATE t SET v = 'primary'});
all_delivered($node);
is(entity_text($client, 't:1'), 'id=1 v=primary', 'the primary goes on');
kill_server($node);
sql($standby, q{UPDATE t SET v = 'promoted'});
all_delivered($standby);
is(entity_text($client, 't:1'), 'id=1 v=promoted', 'until it dies');
right_in_redis($standby, 'the promoted standby');

note '--- the old one comes back';
$node->start;
refused($node);
like(fails($node, q{SELECT cache_ext.get('k')}), qr/another server owns/, 'and is refused');
is(entity_text($client, 't:1'), 'id=1 v=promoted', 'with its rows');

note '--- a worker that is stopped loses the prefix, and nothing else';
my $worker = worker_pid($standby);
kill 'STOP', $worker;
sql($standby, q{UPDATE t SET v = 'told late'});
$node->restart;
wait_until('another takes the prefix', sub { worker($node) eq 'idle' });
all_delivered($node);
$client->call('DEL', stored_key('t:5'));
row($standby, 5) for 1 .. 3;
is($client->call('EXISTS', stored_key('t:5')), 0, 'whose rows a server without a worker doesn\'t store');
kill 'CONT', $worker;
refused($standby);
right_in_redis($node, 'taken from a server without a worker');
$node->stop;
all_delivered($standby);
is(entity_text($client, 't:1'), 'id=1 v=told late', 'then it is told');
right_in_redis($standby, 'the owner is back');

done_testing();
