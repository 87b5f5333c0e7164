# row(): one entity by its key.  Whether it came from Redis is told by changing what Redis has, and leaving
# its version: such a forgery is what a hit returns.
use strict;
use warnings;

use CacheTest;
use Entities;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;

my $redis = RedisServer->new('row');
my $node = cache_node([ 'row', extra => [ '-E', 'UTF8', '--locale', 'C' ] ], $redis, 'max_prepared_transactions = 10',
	"synchronous_standby_names = 'nobody'", 'synchronous_commit = local', 'wal_level = replica', 'max_wal_senders = 5');
my $client = Resp->connect($redis->socket);
my $s = Session->new($node);
my $w = Session->new($node);
$s->ok(slurp_file('test/stop_points.sql'));

# The row's v; '' if there is none.
sub row_v { my ($session, $id) = @_; return $session->query("SELECT v FROM cache_ext.row(NULL::t, $id)"); }

# Has v read "forged" in Redis, with the version and the length it has.
sub forge
{
	my ($key) = @_;
	my $bytes = entity_bytes($client, $key);
	$bytes =~ s/\xa1v\xa6....../\xa1v\xa6forged/s or die "nothing to forge: $key";
	$client->call('SET', stored_key($key), $bytes);
	return;
}

sub from_redis
{
	my ($id, $name) = @_;
	forge("t:$id");
	is(row_v($s, $id), 'forged', "$name: from Redis");
	return;
}

sub not_from_redis
{
	my ($id, $v, $name) = @_;
	forge("t:$id");
	is(row_v($s, $id), $v, "$name: not from Redis");
	return;
}

my @worker;
sub stop_worker
{
	@worker = split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_ext worker'");
	kill 'STOP', @worker;
	return;
}
sub let_worker_go { kill 'CONT', @worker; all_delivered($node); return; }

$s->ok(q{CREATE TABLE t (id int PRIMARY KEY, v text, grp int); SELECT cache_ext.attach('t', 't:{id}', 'write_through');
	INSERT INTO t SELECT i, 'value' || i, i % 2 FROM generate_series(1, 9) i});
all_delivered($node);

note '--- hits and misses';
is(row_v($s, 1), 'value1', 'the first time since the start the clocks know nothing yet');
is($s->query('SELECT cache_ext.row(NULL::t, 1)'), '(1,value1,1)', 'as a row');
from_redis(1, 'then it is a hit');
$s->ok(q{UPDATE t SET v = 'second' WHERE id = 1});
is(row_v($s, 1), 'second', 'changed');
all_delivered($node);
from_redis(1, 'what was delivered');
$s->ok(q{UPDATE t SET v = 'third.' WHERE id = 2});
from_redis(1, 'after another row has changed');
$client->call('DEL', stored_key('t:1'));
is(row_v($s, 1), 'second', 'a key that Redis lost');
cmp_ok($client->call('PTTL', stored_key('t:1')), '>', 86_000_000, 'is filled for as long as the attachment says');
from_redis(1, 'then it is a hit again');
is($s->query('SELECT v FROM cache_ext.row(NULL::t, 1, 2)'), "ERROR:  table \"t\" is not attached with a key of 2 columns", 'too many columns');

note '--- what is on its way';
row_v($s, 3);
stop_worker();
$s->ok(q{UPDATE t SET v = 'newest' WHERE id = 3; DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (10, 'insert'); UPDATE t SET id = 11 WHERE id = 5});
is(row_v($s, 3), 'newest', 'a commit that Redis has not been told of');
is(row_v($s, 4), '', 'a deleted row');
is(row_v($s, 10), 'insert', 'a new one');
is(row_v($s, 5), '', 'the old key');
is(row_v($s, 11), 'value5', 'the new key');
is(row_v($s, 3), 'newest', 'again');
let_worker_go();
is(row_v($s, 3), 'newest', 'and after it was told');
ok(exists entity($client, 't:4')->{_absent}, 'what a reader found later than the delete stays');

note '--- rows that are not there';
is(row_v($s, 99), '', 'no row');
ok(exists entity($client, 't:99')->{_absent}, 'is remembered');
cmp_ok($client->call('PTTL', stored_key('t:99')), '<=', 30_000, 'for a short time');
stop_worker();
$s->ok(q{INSERT INTO t VALUES (99, 'insert')});
is(row_v($s, 99), 'insert', 'an insert counts at once');
let_worker_go();
is(entity_text($client, 't:99'), 'grp=NULL id=99 v=insert', 'and takes its place');
is(row_v($s, 'NULL'), '', 'NULL is no key');
is($s->query('SELECT cache_ext.row(NULL::t, NULL) IS NULL'), 't', 'and the result is NULL');

note '--- own changes';
row_v($s, 1);
$s->ok('BEGIN');
from_redis(1, 'in a transaction');
$s->ok(q{UPDATE t SET v = 'own...' WHERE id = 2});
is(row_v($s, 2), 'own...', 'a change of its own');
is(row_v($s, 1), 'second', 'and the rest of the table comes from the table');
$client->call('DEL', stored_key('t:1'));
is(row_v($s, 1), 'second', 'who has written');
is(entity($client, 't:1'), undef, 'does not fill');
$s->ok('ROLLBACK');
is(row_v($s, 1), 'second', 'after it');
$s->ok('BEGIN; CREATE TABLE other (id int)');
$client->call('DEL', stored_key('t:2'));
is(row_v($s, 2), 'third.', 'who has written something else');
is(entity($client, 't:2'), undef, 'does not fill either');
$s->ok('ROLLBACK');
is(row_v($s, 1), 'second', 'filled for the next') for 1, 2;
$s->ok('BEGIN ISOLATION LEVEL REPEATABLE READ');
not_from_redis(1, 'second', 'REPEATABLE READ');
$s->ok('COMMIT; SET cache_ext.enabled = off');
not_from_redis(1, 'second', 'cache_ext.enabled off');
$s->ok('RESET cache_ext.enabled');
is(row_v($s, 1), 'forged', 'which left Redis as it was');
$s->ok(q{UPDATE t SET v = 'second' WHERE id = 1});
all_delivered($node);

note '--- a fill that is overtaken';
$client->call('DEL', stored_key('t:1'));
$s->ok('SET cache_ext.stop_at = fill_ready');
$s->send('SELECT v FROM cache_ext.row(NULL::t, 1)');
$w->ok(q{SELECT stop_await('fill_ready')});
$w->ok(q{UPDATE t SET v = 'fourth' WHERE id = 1});
all_delivered($node);
$w->ok(q{SELECT stop_release('fill_ready')});
is($s->finish, 'second', 'the row of then');
is(entity_text($client, 't:1'), 'grp=1 id=1 v=fourth', 'Redis has the newer one');
$client->call('DEL', stored_key('t:1'));
$s->send('SELECT v FROM cache_ext.row(NULL::t, 1)');
$w->ok(q{SELECT stop_await('fill_ready')});
$w->ok(q{SET cache_ext.max_dirty_keys = 2; UPDATE t SET v = 'newrow'; RESET cache_ext.max_dirty_keys});
all_delivered($node);
$w->ok(q{SELECT stop_release('fill_ready')});
is($s->finish, 'fourth', 'the row of then');
is(entity_text($client, 't:1'), 'gone', 'what a change of many rows has removed does not come back');
$s->ok('RESET cache_ext.stop_at');
is(row_v($s, 1), 'newrow', 'the row is as it was changed');

note '--- a writer that is committing';
row_v($s, 2);
all_delivered($node);
$w->ok(q{SET cache_ext.stop_at = writer_committing});
$w->send(q{UPDATE t SET v = 'commit' WHERE id = 2});
$s->ok(q{SELECT stop_await('writer_committing')});
is(row_v($s, 2), 'newrow', 'before the commit');
not_from_redis(2, 'newrow', 'while it commits');
is(row_v($s, 2), 'newrow', 'again');
$s->ok(q{SELECT stop_release('writer_committing')});
$w->finish;
is(row_v($s, 2), 'commit', 'after it');
$w->ok('RESET cache_ext.stop_at');

# Its commit record is written, and nobody sees it: a fill has the later position, and the older row.
$client->call('DEL', stored_key('t:2'));
$w->ok('SET synchronous_commit = on');
$w->send(q{UPDATE t SET v = 'second' WHERE id = 2});
my $watcher = Session->new($node);
wait_until('the commit waits', sub { $watcher->ok('SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $w->pid) eq 'SyncRep' });
$watcher->ok(q{SELECT pg_logical_emit_message(false, 'x', 'so that the position moves on')});
$s->ok('SET cache_ext.stop_at = fill_fresh');
$s->send('SELECT v FROM cache_ext.row(NULL::t, 2)');
my $stopped;
wait_until('the row is read', sub { return $stopped = 1 if $watcher->ok("SELECT stop_waiting('fill_fresh')") eq 't'; return !$s->running });
$watcher->ok('SELECT pg_cancel_backend(' . $w->pid . ')');
$w->finish;
$w->ok('SET synchronous_commit = local');
all_delivered($node);
$watcher->ok(q{SELECT stop_release('fill_fresh')}) if $stopped;
is($s->finish, 'commit', 'a commit that is not visible yet');
$s->ok('RESET cache_ext.stop_at');
is(row_v($s, 2), 'second', 'once it is, nothing older is in Redis');
is(entity($client, 't:2')->{v}, 'second', 'but the row itself');
$watcher->close;

note '--- bytes that are no row';
$s->ok(q{TRUNCATE t; INSERT INTO t SELECT i, 'value' || i, i % 2 FROM generate_series(1, 9) i});
all_delivered($node);
row_v($s, $_) for 1, 2;
my $good = entity_bytes($client, 't:1');
my $head = substr $good, 0, -39;
my $suffix = substr $good, -39;
my %bad = (
	'nothing' => '', 'text' => 'hello', 'no version' => $head, 'the version alone' => "\x81$suffix", 'an array' => "\x93\1\2\3$suffix",
	'a column less' => "\x83\xa2id\1\xa1v\xa6forged$suffix", 'a column more' => "\x85\xa2id\1\xa1v\xa6forged\xa3grp\1\xa1x\1$suffix",
	'another column' => "\x84\xa2id\1\xa1v\xa6forged\xa3gro\1$suffix", 'a column twice' => "\x84\xa2id\1\xa1v\xa6forged\xa2id\1$suffix",
	'another type' => "\x84\xa2id\1\xa1v\1\xa3grp\1$suffix", 'out of range' => "\x84\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1v\xa6forged\xa3grp\1$suffix",
	'no UTF-8' => "\x84\xa2id\1\xa1v\xa6forge\xff\xa3grp\1$suffix", 'a zero byte' => "\x84\xa2id\1\xa1v\xa6forge\0\xa3grp\1$suffix",
	'bytes behind' => "\x84\xa2id\1\xa1v\xa6forged\xa3grp\1\xc0$suffix", 'a length too large' => "\x84\xa2id\1\xa1v\xdb\xff\xff\xff\xff$suffix",
	'an endless map' => "\xdf\xff\xff\xff\xff$suffix", 'another key' => "\x84\xa2id\2\xa1v\xa6forged\xa3grp\1$suffix",
	'a key that is NULL' => "\x84\xa2id\xc0\xa1v\xa6forged\xa3grp\1$suffix",
	'another system' => "\x84\xa2id\1\xa1v\xa6forged\xa3grp\1" . substr($suffix, 0, 11) . 'x' x 8 . substr($suffix, 19),
	'another generation' => "\x84\xa2id\1\xa1v\xa6forged\xa3grp\1" . substr($suffix, 0, 23) . "\0\0\0\x7f" . substr($suffix, 27),
	'not quite absent' => "\x82\xa7_absent\xc2$suffix");
for my $name (sort keys %bad)
{
	$client->call('SET', stored_key('t:1'), $bad{$name});
	is(row_v($s, 1), 'value1', "$name: from the table");
}
$client->call('SET', stored_key('t:1'), "\x84\xa3grp\xc0\xa1v\xa6forged\xa2id\xd2\0\0\0\1$suffix");
is(row_v($s, 1), 'forged', 'other widths and another order are the same row');
$client->call('DEL', stored_key('t:1'));
$client->call('RPUSH', stored_key('t:1'), 'x');
is(row_v($s, 1), 'value1', 'a key of another kind');
$client->call('DEL', stored_key('t:1'));

note '--- all types come back';
$s->ok(<<'EOS');
CREATE TYPE pair AS (a int, t timestamptz);
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE a (id int PRIMARY KEY, dropped int, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(30,10), t text, vc varchar(10),
	c char(4), nm name, ch "char", by bytea, ts timestamp, tz timestamptz(3), d date, ti time, ttz timetz, iv interval, u uuid,
	j json, jb jsonb, ar int[], ar2 text[], tza timestamptz[], m mood, ma mood[], p pair, pa pair[], pos positive, r tstzrange,
	o oid, x xml, bits varbit, ip inet, pt point, tsv tsvector, gen int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE a DROP COLUMN dropped;
SELECT cache_ext.attach('a', 'a:{id}', 'write_through');
INSERT INTO a VALUES (1, true, -3, -9223372036854775808, '-Infinity', 0.1, 12345678901234567890.1, 'h"é', 'abc', 'ab', 'nm', 'x', '\x00ff',
	'2026-01-02 03:04:05.000001', '2026-01-02 03:04:05.678+02', '2026-01-02', '03:04:05.6', '03:04:05+02', '-1 mon 2 days -03:04:05.6',
	'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : 1}', '{"b": [1, null]}', '{1,NULL,-3}', '{{a,b},{"c,",NULL}}', '{"2026-01-01 00:00+00"}',
	'fine', '{sad,fine}', '(1,"2026-01-01 00:00+00")', '{"(1,)",NULL}', 7, '["2026-01-01 00:00+00",)', 4294967295, '<a>&amp;</a>', '101',
	'10.0.0.1/8', '(0.1,2)', 'a:1 b');
INSERT INTO a (id, f8, tz, ts, d, ar, ar2) VALUES (2, 'NaN', 'infinity', '-infinity', 'infinity', '[0:1]={1,2}', '{}'),
	(3, -0.0, '0044-03-15 BC', '294276-12-31 23:59:59', '10000-01-01', '{}', NULL);
EOS
all_delivered($node);
for my $id (1 .. 3)
{
	my $plain = $s->query("SELECT a FROM a WHERE id = $id");
	is($s->query("SELECT cache_ext.row(NULL::a, $id)"), $plain, "row $id, as it was delivered");
	$client->call('DEL', stored_key("a:$id"));
	is($s->query("SELECT cache_ext.row(NULL::a, $id)"), $plain, "row $id, filled");
	$s->ok('SET DateStyle = German; SET TimeZone = "Asia/Tokyo"; SET IntervalStyle = sql_standard; SET extra_float_digits = -10');
	$plain = $s->query("SELECT a FROM a WHERE id = $id");
	is($s->query("SELECT cache_ext.row(NULL::a, $id)"), $plain, "row $id, under other settings");
	is($s->query("SELECT cache_ext.row(NULL::a, $id) *= (SELECT a FROM a WHERE id = $id)"), 't', "row $id, to the last byte");
	$s->ok('RESET ALL');
}
(my $forged = entity_bytes($client, 'a:1')) =~ s/\xa3pos\x07/\xa3pos\xff/s;
$client->call('SET', stored_key('a:1'), $forged);
is($s->query('SELECT (cache_ext.row(NULL::a, 1)).pos'), '-1', 'the constraint of a domain, which is code of its owner, is not run');

note '--- no code of a user runs';
$s->ok(<<'EOS');
CREATE SEQUENCE ran;
CREATE FUNCTION count_it(anyelement) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('ran'); RETURN true; END $$;
CREATE DOMAIN counted AS int CHECK (count_it(value));
CREATE TYPE grown AS (a int);
CREATE TABLE code (id int PRIMARY KEY, v text, c counted, cs counted[], bounds counted[]);
CREATE TABLE grows (id int PRIMARY KEY, g grown);
SELECT cache_ext.attach('code', 'code:{id}', 'write_through'), cache_ext.attach('grows', 'grows:{id}', 'write_through');
INSERT INTO code VALUES (1, 'abcdef', 1, '{2,NULL}', '[0:1]={3,4}');
INSERT INTO grows VALUES (1, '(1)');
EOS
all_delivered($node);
my $ran = $s->query('SELECT last_value FROM ran');
forge('code:1');
is($s->query('SELECT cache_ext.row(NULL::code, 1)'), '(1,forged,1,"{2,NULL}","[0:1]={3,4}")',
	'domains, in arrays that are text too: from Redis');
is($s->query('SELECT pg_typeof(bounds) FROM cache_ext.row(NULL::code, 1)'), 'counted[]', 'of the right type');
is($s->query('SELECT last_value FROM ran'), $ran, 'their constraints did not run');
is($s->query('SELECT cache_ext.row(NULL::grows, 1)'), '(1,"(1)")', 'a row in a row');
$s->ok('ALTER TYPE grown ADD ATTRIBUTE b counted');
all_delivered($node);
is($s->query('SELECT cache_ext.row(NULL::grows, 1)'), '(1,"(1,)")', 'a row whose type has got a domain') for 1 .. 3;
$s->ok('UPDATE grows SET id = id');
all_delivered($node);
is($s->query('SELECT cache_ext.row(NULL::grows, 1)'), '(1,"(1,)")', 'and after a change') for 1 .. 3;
is($s->query('SELECT last_value FROM ran'), $ran, 'its constraints did not run');

# Whatever the bytes are, the session goes on: the row comes from the table, or what the bytes say if they
# are a row after all.
srand(7);
$s->ok('UPDATE a SET id = id');
all_delivered($node);
my $whole = entity_bytes($client, 'a:1');
my @odd;
for my $round (1 .. 400)
{
	my $bytes = substr $whole, 0, -39;
	for (0 .. int rand 3)
	{
		my $at = int rand length $bytes;
		my $kind = int rand 4;
		if ($kind == 0) { substr($bytes, $at, 1) = chr int rand 256 }
		elsif ($kind == 1) { substr($bytes, $at, 1 + int rand 8) = '' }
		elsif ($kind == 2) { substr($bytes, $at, 0) = chr(192 + int rand 32) }
		else { substr($bytes, $at, 0) = substr $bytes, int rand length $bytes, int rand 20 }
	}
	$client->call('SET', stored_key('a:1'), $bytes . substr $whole, -39);
	my $result = $s->query('SELECT (cache_ext.row(NULL::a, 1)).id');
	push @odd, "$round: $result" if $result ne '1';
}
is_deeply(\@odd, [], 'bytes at random');
$client->call('DEL', stored_key('a:1'));

note '--- keys';
$s->ok(<<'EOS');
CREATE TABLE n (id numeric PRIMARY KEY, v text);
CREATE TABLE p (tenant text, at timestamptz, v text, m mood UNIQUE, PRIMARY KEY (tenant, at));
CREATE TABLE b (id bigint PRIMARY KEY, v text, uniq text NOT NULL UNIQUE);
SELECT cache_ext.attach('n', 'n:{id}', 'write_through');
SELECT cache_ext.attach('p', 'p:{tenant}:{at}', 'invalidate');
SELECT cache_ext.attach('b', 'b:{id}', 'write_through');
SELECT cache_ext.attach('b', 'u:{uniq}', 'write_through');
INSERT INTO n VALUES (1.0, 'one');
INSERT INTO p VALUES ('a:b', '2026-01-01 00:00+00', 'pair', 'sad');
INSERT INTO b VALUES (7, 'seven', 'u');
EOS
all_delivered($node);
is($s->query('SELECT v FROM cache_ext.row(NULL::n, 1)'), 'one', 'an equal value');
is(entity_text($client, 'n:1'), 'absent', 'has no key of its own');
is($s->query('SELECT v FROM cache_ext.row(NULL::n, 1.0)'), 'one', 'the same value');
is($s->query(q{SELECT v FROM cache_ext.row(NULL::p, 'a:b', '2026-01-01 09:00+09')}), 'pair', 'two columns, as literals');
is(entity($client, 'p:a%3Ab:2026-01-01T00%3A00%3A00+00%3A00')->{v}, 'pair', 'a fill of one that is only invalidated');
is($s->query(q{SELECT v FROM cache_ext.row(NULL::p, VARIADIC ARRAY['a:b', 'x'])}) =~ /ERROR:  a key of type text does not fit a column of type timestamp with time zone/, 1, 'an array');
is($s->query("SELECT v FROM cache_ext.row(NULL::b, $_)"), 'seven', "bigint: $_") for '7', '7::bigint', '7::smallint', q{'7'}, 'VARIADIC ARRAY[7]';
is($s->query("SELECT v FROM cache_ext.row(NULL::t, 9223372036854775807)"), '', 'no row has a number that the column cannot hold');
is($s->query("SELECT v FROM cache_ext.row(NULL::t, $_->[0])"), $_->[1], "t: $_->[0]")
  for [ '1.5', 'ERROR:  a key of type numeric does not fit a column of type integer' ],
  [ q{'x'}, 'ERROR:  invalid input syntax for type integer: "x"' ],
  [ q{'1'::text}, 'ERROR:  a key of type text does not fit a column of type integer' ],
  [ 'VARIADIC NULL::int[]', 'ERROR:  argument "key" must not be null' ],
  [ q{VARIADIC '{}'::int[]}, 'ERROR:  table "t" is not attached with a key of 0 columns' ];
like($s->query('SELECT cache_ext.row(1, 1)'), qr/is not of the row type of a table/, 'no row type');
like($s->query('SELECT cache_ext.row(NULL::pair, 1)'), qr/is not of the row type of a table/, 'a type of its own');
like($s->query('SELECT cache_ext.row(NULL::pg_class, 1)'), qr/not attached/, 'another table');
is($s->query(q{SELECT v FROM cache_ext.row(NULL::b, 7)}), 'seven', 'the primary key decides between two');
$s->ok(q{ALTER TABLE b DROP CONSTRAINT b_pkey; CREATE UNIQUE INDEX ON b (id)});
like($s->query('SELECT cache_ext.row(NULL::b, 7)'), qr/is attached with several keys of 1 columns/, 'without it that is an error');
$s->ok(q{CREATE TABLE part (id int PRIMARY KEY, v text); SELECT cache_ext.attach('part', 'part:{id}', 'write_through', '{id}')});
like($s->query('SELECT cache_ext.row(NULL::part, 1)'), qr/not attached with a key of 1 columns/, 'an attachment of some columns');

note '--- a partition tree';
$s->ok(<<'EOS');
CREATE TABLE tree (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 (v text, junk int, id int PRIMARY KEY);
ALTER TABLE tree_2 DROP COLUMN junk;
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES FROM (10) TO (20);
EOS
$s->ok(q{SELECT cache_ext.attach('tree', 'tree:{id}', 'write_through'); INSERT INTO tree VALUES (1, 'value1'), (11, 'value2')});
all_delivered($node);
for my $id (1, 11)
{
	my $v = $id == 1 ? 'value1' : 'value2';
	is($s->query("SELECT v FROM cache_ext.row(NULL::tree, $id)"), $v, "row $id");
	forge("tree:$id");
	is($s->query("SELECT v FROM cache_ext.row(NULL::tree, $id)"), 'forged', "row $id from Redis");
	$client->call('DEL', stored_key("tree:$id"));
	is($s->query("SELECT v FROM cache_ext.row(NULL::tree, $id)"), $v, "row $id filled");
	forge("tree:$id");
	is($s->query("SELECT v FROM cache_ext.row(NULL::tree, $id)"), 'forged', "row $id from Redis again");
}
like($s->query('SELECT cache_ext.row(NULL::tree_1, 1)'), qr/"tree_1" is a partition/, 'a partition');
stop_worker();
$s->ok('ALTER TABLE tree DETACH PARTITION tree_2');
is($s->query('SELECT v FROM cache_ext.row(NULL::tree, 11)'), '', 'detached, before Redis knows');
let_worker_go();

note '--- rights';
$s->ok(<<'EOS');
CREATE ROLE reader; CREATE ROLE some_columns; CREATE ROLE stranger; CREATE SCHEMA hidden; CREATE TABLE hidden.h (id int PRIMARY KEY, v text);
SELECT cache_ext.attach('hidden.h', 'h:{id}', 'write_through');
INSERT INTO hidden.h VALUES (1, 'secret');
CREATE VIEW nothing AS SELECT NULL::hidden.h AS h;
GRANT SELECT ON nothing TO PUBLIC;
GRANT SELECT ON hidden.h TO PUBLIC;
GRANT EXECUTE ON FUNCTION cache_ext.row(anyelement, "any") TO PUBLIC;
GRANT SELECT ON t TO reader; GRANT SELECT (id, v) ON t TO some_columns;
EOS
all_delivered($node);
row_v($s, 1) for 1, 2;
forge('t:1');
sub as { my ($role, $sql) = @_; $s->ok("SET ROLE $role"); my $result = $s->query($sql); $s->ok('RESET ROLE'); return $result; }
my $one = 'SELECT v FROM cache_ext.row(NULL::t, 1)';
is(as('reader', $one), 'forged', 'who may read the table');
like(as('some_columns', $one), qr/permission denied for table t/, 'who may read some columns');
like(as('stranger', $one), qr/permission denied for table t/, 'who may not');
is($s->query('SELECT (cache_ext.row(h, 1)).v FROM nothing'), 'secret', 'in a schema') for 1, 2;
like(as('reader', 'SELECT cache_ext.row(h, 1) FROM nothing'), qr/permission denied for schema hidden/, 'that the reader may not use');
$s->ok('ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY odd ON t FOR SELECT TO reader USING (id % 2 = 1)');
all_delivered($node);
row_v($s, $_) for 1, 2, 1, 2;
forge("t:$_") for 1, 2;
is(row_v($s, 2), 'forged', 'the owner, whom no policy concerns');
is(as('reader', $one), 'value1', 'whom one concerns, reads the table');
is(as('reader', 'SELECT v FROM cache_ext.row(NULL::t, 2)'), '', 'and sees what it lets him');
ok(entity($client, 't:2')->{v}, 'and leaves nothing of that in Redis');
$s->ok('ALTER TABLE t DISABLE ROW LEVEL SECURITY');

note '--- definitions';
all_delivered($node);
row_v($s, 1) for 1, 2;
stop_worker();
$s->ok('ALTER TABLE t ADD COLUMN more int DEFAULT 5');
is($s->query('SELECT cache_ext.row(NULL::t, 1)'), '(1,value1,1,5)', 'a column more');
$s->ok('ALTER TABLE t DROP COLUMN grp');
is($s->query('SELECT cache_ext.row(NULL::t, 1)'), '(1,value1,5)', 'a column less');
$s->ok('ALTER TABLE t RENAME TO renamed');
is($s->query('SELECT cache_ext.row(NULL::renamed, 1)'), '(1,value1,5)', 'renamed') for 1, 2;
$s->ok('ALTER TABLE renamed RENAME TO t; CREATE SCHEMA elsewhere; ALTER TABLE t SET SCHEMA elsewhere');
is($s->query('SELECT cache_ext.row(NULL::elsewhere.t, 1)'), '(1,value1,5)', 'in another schema') for 1, 2;
$s->ok('ALTER TABLE elsewhere.t SET SCHEMA public');
is($s->query('SELECT cache_ext.row(NULL::t, 1)'), '(1,value1,5)', 'and back');
let_worker_go();
$s->ok('ALTER TABLE t DISABLE TRIGGER ALL');
$s->ok(q{UPDATE t SET v = 'silent' WHERE id = 1});
is(row_v($s, 1), 'silent', 'with triggers disabled the table is read');
$s->ok(q{DO $$ DECLARE n name; BEGIN FOR n IN SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass LOOP
	EXECUTE format('ALTER TABLE t ENABLE ALWAYS TRIGGER %I', n); END LOOP; END $$});

note '--- two-phase commit';
row_v($s, 2) for 1, 2;
$s->ok(q{BEGIN; UPDATE t SET v = 'prepar' WHERE id = 2; PREPARE TRANSACTION 'x'});
is(row_v($s, 2), 'value2', 'prepared');
stop_worker();
$s->ok(q{COMMIT PREPARED 'x'});
is(row_v($s, 2), 'prepar', 'committed');
let_worker_go();
is(row_v($s, 2), 'prepar', 'delivered');

note '--- Redis away';
row_v($s, 3) for 1, 2;
$redis->pause;
$s->ok(q{SET cache_ext.redis_timeout = '50ms'});
is(row_v($s, 3), 'value3', 'stopped');
$redis->resume;
$redis->stop;
is(row_v($s, 3), 'value3', 'down');
$redis->start;
$client = Resp->connect($redis->socket);
$s->ok('RESET cache_ext.redis_timeout');
all_delivered($node);
wait_until('a row is filled', sub { row_v($s, 3); return defined entity($client, 't:3') });
forge('t:3');
is(row_v($s, 3), 'forged', 'back');

note '--- restarts';
my $old = entity_bytes($client, 't:4') // do { row_v($s, 4); entity_bytes($client, 't:4') };
$s->ok(q{UPDATE t SET v = 'value5' WHERE id = 4});
all_delivered($node);
$_->close for $s, $w;
$node->append_conf('postgresql.conf', 'cache_ext.clock_slots = 1024');
$node->restart;
$s = Session->new($node);
$client->call('SET', stored_key('t:4'), $old);
is(row_v($s, 4), 'value5', 'clocks that began anew prove nothing of before');
is(entity_text($client, 't:4'), 'id=4 more=5 v=value5', 'and the row is stored again');
forge('t:4');
is(row_v($s, 4), 'forged', 'to be found');
$old = entity_bytes($client, 't:4');
$s->close;
$node->stop('immediate');
$node->start;
$s = Session->new($node);
all_delivered($node);
is(entity_text($client, 't:4'), 'absent', 'after a crash what was in Redis goes');
row_v($s, 5);
$client->call('SET', stored_key('t:4'), $old);
is(row_v($s, 4), 'value5', 'and what comes back from before it is not believed');

done_testing();
