# Rows as entities: what Redis holds after every way in which a row can change.
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

my $redis = RedisServer->new('entities');
my $node = cache_node([ 'entities', extra => [ '-E', 'UTF8', '--locale', 'C' ], allows_streaming => 'logical' ], $redis,
	'max_prepared_transactions = 10');
my $client = Resp->connect($redis->socket);
my $s = Session->new($node);

# What Redis holds under keys, once all is delivered.
sub has
{
	my ($expected, $name) = @_;
	all_delivered($node);
	is_deeply({ map { $_ => entity_text($client, $_) } keys %$expected }, $expected, $name);
	return;
}

note '--- maps';
$s->ok(<<'EOS');
CREATE TYPE pair AS (a int, t timestamptz);
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE a (id int PRIMARY KEY, dropped int, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text, vc varchar(10),
	c char(4), nm name, ch "char", by bytea, ts timestamp, tz timestamptz, d date, ti time, ttz timetz, iv interval, u uuid,
	j json, jb jsonb, ar int[], ar2 text[], tza timestamptz[], m mood, p pair, pos positive, r tstzrange, o oid,
	gen int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE a DROP COLUMN dropped;
SELECT cache_ext.attach('a', 'a:{id}', 'write_through');
EOS
my $insert = <<'EOS';
INSERT INTO a VALUES (ID, true, -3, -9223372036854775808, 1.5, 0.1, 12345678901234567890.10, 'hé', 'abc', 'ab', 'nm', 'x', '\x00ff',
	'2026-01-02 03:04:05', '2026-01-02 03:04:05.678+02', '2026-01-02', '03:04:05.6', '03:04:05+02', '1 mon 2 days 03:04:05',
	'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : 1}', '{"b": [1, null]}', '{1,NULL,-3}', '{{a,b},{c,NULL}}',
	'{"2026-01-01 00:00+00"}', 'fine', '(1,"2026-01-01 00:00+00")', 7, '["2026-01-01 00:00+00",)', 4294967295)
EOS
$s->ok($insert =~ s/ID/1/r);
$s->ok('SET DateStyle = German; SET TimeZone = "Asia/Tokyo"; SET IntervalStyle = sql_standard; SET extra_float_digits = -10; SET bytea_output = escape');
$s->ok($insert =~ s/ID/2/r =~ s/'2026-01-02'/'02.01.2026'/r);
$s->ok('RESET ALL');
all_delivered($node);

sub instant { return bless { type => -1, data => $_[0] }, 'Extension'; }
sub bin { my ($bytes) = @_; return bless \$bytes, 'Bytes'; }
for my $id (1, 2)
{
	my $map = entity($client, "a:$id");
	cmp_ok(abs($map->{f8} - 0.1), '<', 1e-17, 'a float is exact');
	delete $map->{f8};
	is_deeply($map, {
		id => $id, b => \1, i2 => -3, i8 => -9223372036854775808, f4 => 1.5, n => '12345678901234567890.10', t => "h\xc3\xa9",
		vc => 'abc', c => 'ab  ', nm => 'nm', ch => 'x', by => bin("\0\xff"), ts => '2026-01-02T03:04:05',
		tz => instant(pack('Q>', (678_000_000 << 34) | 1767315845)), d => '2026-01-02', ti => '03:04:05.6', ttz => '03:04:05+02:00',
		iv => 'P1M2DT3H4M5S', u => 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', j => '{"a" : 1}', jb => '{"b": [1, null]}',
		ar => [ 1, undef, -3 ], ar2 => [ [ 'a', 'b' ], [ 'c', undef ] ], tza => [ instant(pack('N', 1767225600)) ], m => 'fine',
		p => '(1,"2026-01-01 00:00:00+00")', pos => 7, r => '["2026-01-01 00:00:00+00",)', o => 4294967295, gen => $id * 2 },
		$id == 1 ? 'a row of all kinds' : 'whatever the settings are');
}
$s->ok(q{INSERT INTO a (id, tz, ar, ts, d) VALUES (3, 'infinity', '[0:1]={1,2}', '-infinity', 'infinity'), (4, '1960-01-01 00:00:00.5+00', '{}', '0044-03-15 BC', '0044-03-15 BC')});
all_delivered($node);
my $map = entity($client, 'a:3');
is_deeply([ @$map{qw(tz ar ts d t)} ], [ 'infinity', '[0:1]={1,2}', '-infinity', 'infinity', undef ], 'what has no form of its own is text');
$map = entity($client, 'a:4');
is_deeply([ @$map{qw(tz ar ts d)} ], [ instant(pack('N q>', 500_000_000, -315619200)), [], '0044-03-15T00:00:00 BC', '0044-03-15 BC' ], 'old dates');

note '--- ways to change a row';
$s->ok(<<'EOS');
CREATE TABLE t (id int PRIMARY KEY, v text, secret text);
SELECT cache_ext.attach('t', 't:{id}', 'write_through', '{id,v}');
SELECT cache_ext.attach('t', 'inv:{id}', 'invalidate');
EOS
$s->ok(q{INSERT INTO t VALUES (1, 'a', 's'), (2, 'b', 's')});
has({ 't:1' => 'id=1 v=a', 't:2' => 'id=2 v=b', 'inv:1' => 'gone' }, 'inserted');
$s->ok(q{UPDATE t SET v = 'c' WHERE id = 1});
has({ 't:1' => 'id=1 v=c', 't:2' => 'id=2 v=b' }, 'updated');
my $version = entity_version($client, 't:1');
$s->ok(q{UPDATE t SET id = 3 WHERE id = 1});
has({ 't:1' => 'gone', 't:3' => 'id=3 v=c', 'inv:1' => 'gone', 'inv:3' => 'gone' }, 'another key');
cmp_ok(entity_version($client, 't:1'), 'gt', $version, 'with a newer version');
$s->ok(q{DELETE FROM t WHERE id = 2});
has({ 't:2' => 'gone' }, 'deleted');
$s->ok(q{INSERT INTO t VALUES (2, 'again')});
has({ 't:2' => 'id=2 v=again' }, 'inserted again');
$s->ok(q{BEGIN; INSERT INTO t VALUES (4, 'x'); UPDATE t SET v = 'lost' WHERE id = 2; DELETE FROM t WHERE id = 3; ROLLBACK});
has({ 't:2' => 'id=2 v=again', 't:3' => 'id=3 v=c', 't:4' => 'absent' }, 'rolled back');
$s->ok(q{BEGIN; UPDATE t SET v = 'kept' WHERE id = 2; SAVEPOINT a; UPDATE t SET v = 'lost' WHERE id = 2; UPDATE t SET v = 'lost' WHERE id = 3;
	ROLLBACK TO a; INSERT INTO t VALUES (4, 'new'); COMMIT});
has({ 't:2' => 'id=2 v=kept', 't:3' => 'id=3 v=c', 't:4' => 'id=4 v=new' }, 'part of it rolled back');
$s->ok(q{BEGIN; DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (4, 'one'); UPDATE t SET v = 'two' WHERE id = 4; COMMIT});
has({ 't:4' => 'id=4 v=two' }, 'several changes of a row');
$s->ok(q{BEGIN; INSERT INTO t VALUES (5, 'short'); DELETE FROM t WHERE id = 5; COMMIT});
has({ 't:5' => 'gone' }, 'a row that came and went');
$s->ok(q{UPDATE t SET id = 10 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 3; UPDATE t SET id = 3 WHERE id = 10});
has({ 't:2' => 'id=2 v=c', 't:3' => 'id=3 v=kept', 't:10' => 'gone' }, 'keys that change places');
$s->ok(q{BEGIN; UPDATE t SET id = 10 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 3; UPDATE t SET id = 3 WHERE id = 10; COMMIT});
has({ 't:2' => 'id=2 v=kept', 't:3' => 'id=3 v=c', 't:10' => 'gone' }, 'in one transaction');
$s->ok(q{TRUNCATE t; INSERT INTO t SELECT i, 'r' FROM generate_series(1, 5) i});
has({ 't:3' => 'id=3 v=r', 't:10' => 'gone' }, 'truncated and filled again');
$s->ok(q{INSERT INTO t SELECT i FROM generate_series(6, 9) i; ALTER TABLE t ALTER id TYPE bigint; UPDATE t SET id = id - 1 WHERE id = 1});
$s->ok(q{UPDATE t SET id = id - 1 WHERE id > 1});
has({ map({ ("t:$_" => $_ < 5 ? "id=$_ v=r" : "id=$_ v=NULL") } 0 .. 8), 't:9' => 'gone' }, 'every key moved on by one');
$s->ok(q{INSERT INTO t VALUES (0, 'x') ON CONFLICT (id) DO UPDATE SET v = 'upserted'});
$s->ok(q{INSERT INTO t VALUES (0, 'x') ON CONFLICT DO NOTHING});
has({ 't:0' => 'id=0 v=upserted' }, 'ON CONFLICT');
$s->ok(q{MERGE INTO t USING (VALUES (0, 'm'), (1, NULL), (100, 'n')) AS n(id, v) ON t.id = n.id
	WHEN MATCHED AND n.v IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET v = n.v WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.v)});
has({ 't:0' => 'id=0 v=m', 't:1' => 'gone', 't:100' => 'id=100 v=n' }, 'MERGE');
$s->ok("COPY (SELECT 101, 'copied') TO '" . $node->basedir . "/copy'");
$s->ok("COPY t (id, v) FROM '" . $node->basedir . "/copy'");
has({ 't:101' => 'id=101 v=copied' }, 'COPY');
$s->ok(q{SET session_replication_role = replica; UPDATE t SET v = 'replica' WHERE id = 0; RESET session_replication_role});
has({ 't:0' => 'id=0 v=replica' }, 'session_replication_role');
$s->ok(q{WITH d AS (DELETE FROM t WHERE id = 101 RETURNING *) INSERT INTO t SELECT 102, v FROM d});
has({ 't:101' => 'gone', 't:102' => 'id=102 v=copied' }, 'writable CTEs');
$s->ok(q{BEGIN; TRUNCATE t; COPY t (id, v) FROM '} . $node->basedir . q{/copy' (FREEZE); COMMIT});
has({ 't:101' => 'id=101 v=copied', 't:102' => 'gone' }, 'COPY FREEZE');
$s->ok(q{CREATE TABLE children (id int PRIMARY KEY, parent bigint REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
	SELECT cache_ext.attach('children', 'child:{id}', 'write_through'); INSERT INTO children VALUES (1, 101); UPDATE t SET id = 103});
has({ 'child:1' => 'id=1 parent=103' }, 'a cascade');
$s->ok(q{DELETE FROM t});
has({ 'child:1' => 'gone', 't:103' => 'gone' }, 'another');
$s->ok(q{INSERT INTO t VALUES (1, repeat('x', 3000000)); UPDATE t SET secret = 'other'});
all_delivered($node);
is(length entity($client, 't:1')->{v}, 3_000_000, 'a toasted value');
$s->ok(q{SET cache_ext.max_entry_size = '1MB'; UPDATE t SET secret = 'another'; RESET cache_ext.max_entry_size});
has({ 't:1' => 'gone' }, 'a row that is too large is removed');

note '--- triggers inside triggers';
$s->ok(<<'EOS');
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.v NOT LIKE '%!!!' THEN UPDATE n SET v = v || '!' WHERE id = new.id; END IF;
	RETURN NULL;
END $$;
CREATE TABLE n (id int PRIMARY KEY, v text);
CREATE TRIGGER aaa AFTER INSERT OR UPDATE ON n FOR EACH ROW EXECUTE FUNCTION again();
SELECT cache_ext.attach('n', 'n:{id}', 'write_through');
INSERT INTO n VALUES (1, 'a');
EOS
has({ 'n:1' => 'id=1 v=a!!!' }, 'the newest image counts, not the last that was told');
$s->ok(q{CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM n WHERE id = new.id AND new.v = $$bye$$; RETURN NULL; END';
	CREATE TRIGGER aab AFTER UPDATE ON n FOR EACH ROW EXECUTE FUNCTION away(); ALTER TABLE n DISABLE TRIGGER aaa; UPDATE n SET v = 'bye'});
has({ 'n:1' => 'gone' }, 'a row that a trigger deleted');

note '--- many rows';
$s->ok(q{CREATE TABLE many (id int PRIMARY KEY, v text); SELECT cache_ext.attach('many', 'many:{id}', 'write_through');
	INSERT INTO many SELECT i, 'x' FROM generate_series(1, 900) i});
all_delivered($node);
my @keys = $redis->keys(stored_key('many:*'));
is(@keys, 900, 'one by one up to max_dirty_keys');
$s->ok(q{UPDATE many SET v = 'y'; UPDATE many SET v = 'z'; INSERT INTO many SELECT i FROM generate_series(1001, 3000) i});
all_delivered($node);
is((grep { entity_text($client, "many:$_") =~ /id/ } 1 .. 3000), 0, 'beyond that all of them go');
$s->ok(q{UPDATE many SET v = 'one' WHERE id = 2500});
has({ 'many:2500' => 'id=2500 v=one', 'many:1' => 'gone' }, 'and come back one by one');

note '--- two-phase commit';
$s->ok(q{UPDATE many SET v = 'two' WHERE id = 1});
$s->ok(q{BEGIN; UPDATE many SET v = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'x'});
has({ 'many:1' => 'id=1 v=two' }, 'prepared');
$s->ok(q{COMMIT PREPARED 'x'});
has({ 'many:1' => 'gone', 'many:2500' => 'gone' }, 'committed: readers ask the table');
$s->ok(q{UPDATE many SET v = 'three' WHERE id = 1; BEGIN; UPDATE many SET v = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'x'});
$s->ok(q{ROLLBACK PREPARED 'x'});
has({ 'many:1' => 'id=1 v=three' }, 'rolled back');

note '--- Redis away';
$s->ok(q{CREATE TABLE strict (id int PRIMARY KEY, v text); SELECT cache_ext.attach('strict', 'strict:{id}', 'write_through', on_redis_down => 'abort');
	INSERT INTO strict VALUES (1, 'a')});
has({ 'strict:1' => 'id=1 v=a' }, 'on_redis_down abort, with Redis');
$redis->stop;
like($s->query(q{UPDATE strict SET v = 'b'}), qr/ERROR/, 'without it the transaction fails');
is($s->query('SELECT v FROM strict'), 'a', 'and nothing has changed');
$s->ok(q{UPDATE many SET v = 'meanwhile' WHERE id = 2; DELETE FROM many WHERE id = 2500});
is($s->query('SELECT backlog > 0 FROM cache_ext.delivery'), 't', 'proceed: it waits for Redis');
$redis->start;
$client = Resp->connect($redis->socket);
all_delivered($node);
has({ 'many:2' => 'id=2 v=meanwhile', 'many:1' => 'absent' }, 'and is delivered when it is back');
$s->ok(q{UPDATE strict SET v = 'c'});
has({ 'strict:1' => 'id=1 v=c' }, 'abort, with Redis again');

note '--- an apply worker';
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
my $tables = 'CREATE TABLE r (id int PRIMARY KEY, v text); CREATE TABLE tree (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
	CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10); CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (10) TO (20)';
$publisher->safe_psql('postgres', "$tables; CREATE PUBLICATION p FOR TABLE r, tree");
$s->ok($tables);
$s->ok("SELECT cache_ext.attach('$_', '$_:{id}', 'write_through')") for qw(r tree);
my $connection = $publisher->connstr . ' dbname=postgres';
$s->ok("CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION p");
$node->wait_for_subscription_sync($publisher, 'sub');
sub replicated
{
	my ($sql, $expected, $name) = @_;
	$publisher->safe_psql('postgres', $sql);
	$publisher->wait_for_catchup('sub');
	has($expected, $name);
	return;
}
replicated(q{INSERT INTO r VALUES (1, 'a'); INSERT INTO tree VALUES (1, 'a'), (11, 'b')},
	{ 'r:1' => 'id=1 v=a', 'tree:1' => 'id=1 v=a', 'tree:11' => 'id=11 v=b' }, 'inserted');
replicated(q{UPDATE r SET id = 2; UPDATE tree SET id = 12 WHERE id = 1}, { 'r:1' => 'gone', 'r:2' => 'id=2 v=a', 'tree:1' => 'gone', 'tree:12' => 'id=12 v=a' },
	'updated');
replicated(q{TRUNCATE r; TRUNCATE tree_2; INSERT INTO tree VALUES (2, 'c')}, { 'r:2' => 'gone', 'tree:11' => 'gone', 'tree:12' => 'gone',
	'tree:2' => 'id=2 v=c' }, 'truncated, a partition too');
$s->ok('DROP SUBSCRIPTION sub');

note '--- what attach() did not create';
$s->ok(q{CREATE TABLE own (id int PRIMARY KEY); CREATE TRIGGER t AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION cache_ext.entity_row('x')});
like($s->query('INSERT INTO own VALUES (1)'), qr/trigger "t" is not one that cache_ext.attach\(\) created: arguments are missing/, 'arguments');
$s->ok(q{DROP TRIGGER t ON own; CREATE TRIGGER t BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION cache_ext.entity_row('x')});
like($s->query('INSERT INTO own VALUES (1)'), qr/must be fired as an AFTER ROW trigger/, 'timing');

done_testing();
