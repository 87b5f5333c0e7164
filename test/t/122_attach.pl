# Attaching tables: what is refused, who may, what the keys are called, and what definitions do to them.
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

my $redis = RedisServer->new('attach');
my $node = cache_node([ 'attach', extra => [ '-E', 'UTF8', '--locale', 'C' ] ], $redis);
my $client = Resp->connect($redis->socket);
my $s = Session->new($node);

sub refused
{
	my ($call, $error, $name) = @_;
	like($s->query("SELECT cache_ext.$call"), $error, $name // $call);
	return;
}

$s->ok(<<'EOS');
CREATE TYPE mood AS ENUM ('sad', 'very: happy');
CREATE DOMAIN short AS text CHECK (length(value) < 1000);
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL UNIQUE, note text, price money, x float8);
CREATE TABLE plain (id int, name text);
CREATE UNIQUE INDEX ON plain (id) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX ON plain (name);
CREATE UNIQUE INDEX ON plain (lower(name));
CREATE TABLE deferred (id int NOT NULL, UNIQUE (id) DEFERRABLE);
CREATE TABLE pair (tenant int, id bigint, v text, PRIMARY KEY (tenant, id));
CREATE TABLE named (_version int, id int PRIMARY KEY);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
CREATE VIEW seen AS SELECT * FROM users;
CREATE ROLE somebody;
EOS

note '--- what is refused';
refused(q{attach(NULL, 'u:{id}', 'invalidate')}, qr/argument "relation" must not be null/);
refused(q{attach('users', NULL, 'invalidate')}, qr/argument "key" must not be null/);
refused(q{attach('users', 'u:{id}', NULL)}, qr/argument "mode" must not be null/);
refused(q{attach('users', 'u:{id}', 'invalidate', on_redis_down => NULL)}, qr/argument "on_redis_down" must not be null/);
refused(q{attach('users', 'u:{id}', 'through')}, qr/invalid value for argument "mode": "through"/);
refused(q{attach('users', 'u:{id}', 'invalidate', on_redis_down => 'wait')}, qr/invalid value for argument "on_redis_down"/);
refused(q{attach('users', 'u:{id}', 'invalidate', '{}')}, qr/argument "columns" must not be empty/);
refused(q{attach('users', 'u:{id}', 'write_through', '{NULL}')}, qr/a column name must not be null/);
refused(q{attach('users', 'u:{id}', 'write_through', '{nothing}')}, qr/column "nothing" does not exist/);
refused(qq{attach('users', 'u:{id}', 'invalidate', ttl => '$_')}, qr/argument "ttl"/)
  for '0', '-1 s', '-1 month', '1000 years';
for my $case (
	[ '', 'it is empty' ], [ 'users', 'it names no column' ], [ 'u:{id', 'a brace has no partner' ],
	[ 'u:id}', 'a brace has no partner' ], [ 'u:{}', "a column's name is empty" ],
	[ 'u:{name}{id}', 'two columns have no colon between them' ],
	[ 'u:{name}-{id}', 'two columns have no colon between them' ],
	[ 'u {id}', 'it holds a space or a control character' ],
	[ 'u' . 'x' x 300 . '{id}', 'it is too long' ],
	[ join(':', map { "{c$_}" } 1 .. 9), 'it names too many columns' ])
{
	refused("attach('users', '$case->[0]', 'invalidate')", qr/invalid key ".*": $case->[1]/,
		"$case->[1]: " . substr $case->[0], 0, 20);
}
refused(q{attach('users', 'u:{ID}', 'invalidate')}, qr{column "ID" of the key does not exist});
refused(q{attach('users', 'u:{id}:{x}', 'invalidate')}, qr/cannot be attached/, 'a float in a key');
refused(q{attach('users', 'u:{note}', 'invalidate')}, qr/cannot be attached/, 'a key that is not unique');
refused(q{attach('users', 'u:{id}', 'write_through')}, qr/cannot be attached/, 'a column whose text is not fixed');
refused(q{attach('plain', 'u:{id}', 'invalidate')}, qr/cannot be attached/, 'a partial index');
refused(q{attach('plain', 'u:{name}', 'invalidate')}, qr/cannot be attached/, 'a column that may be NULL');
refused(q{attach('deferred', 'u:{id}', 'invalidate')}, qr/cannot be attached/, 'a deferrable index');
refused(q{attach('pair', 'u:{id}', 'invalidate')}, qr/cannot be attached/, 'half of a key');
refused(q{attach('named', 'u:{id}', 'write_through')}, qr/cannot be attached/, 'a column called _version');
refused(q{attach('parent', 'u:{id}', 'invalidate')}, qr/part of an inheritance hierarchy/);
refused(q{attach('child', 'u:{id}', 'invalidate')}, qr/part of an inheritance hierarchy/);
refused(q{attach('temporary', 'u:{id}', 'invalidate')}, qr/temporary table/);
refused(q{attach('seen', 'u:{id}', 'invalidate')}, qr/is not a table/);
refused(q{attach('pg_class', 'u:{oid}', 'invalidate')}, qr/system catalog/);
refused(q{attach('users_pkey', 'u:{id}', 'invalidate')}, qr/is not a table/);
refused(q{attach(1::oid::regclass, 'u:{id}', 'invalidate')}, qr/relation with OID 1 does not exist/);
refused(q{detach(NULL)}, qr/argument "relation" must not be null/);
refused(q{detach('users', 'u:{id}')}, qr/is not attached with the key "u:\{id\}"/);
is($s->query('SELECT * FROM cache_ext.attached'), '', 'nothing is attached');
is($s->query("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cache_ext%'"), '0', 'and there are no triggers');

note '--- who may';
$node->safe_psql('postgres', 'GRANT ALL ON users TO somebody');
$s->ok('SET ROLE somebody');
refused(q{attach('users', 'u:{id}', 'invalidate')}, qr/permission denied for function attach/);
refused(q{detach('users')}, qr/permission denied for function detach/);
like($s->query('SELECT * FROM cache_ext.attached'), qr/permission denied for view attached/, 'the view');
like($s->query('SELECT cache_ext.row(NULL::users, 1)'), qr/permission denied for function row/, 'row');
$s->ok('RESET ROLE');
$s->ok('CREATE TABLE mine (id int PRIMARY KEY); ALTER TABLE mine OWNER TO somebody; GRANT CREATE ON SCHEMA public TO somebody');
$s->ok('SET ROLE somebody');
like($s->query('CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION cache_ext.entity_row($$user:{id}$$)'),
	qr/permission denied for function cache_ext.entity_row/, 'nor with a trigger of his own making');
$s->ok('RESET ROLE');
$s->ok('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cache_ext TO somebody');
$s->ok('SET ROLE somebody');
refused(q{attach('users', 'u:{id}', 'invalidate')}, qr/must be owner of table users/);
refused(q{detach('users')}, qr/must be owner of table users/);
$s->ok('RESET ROLE');

note '--- attached';
$s->ok(q{SELECT cache_ext.attach('users', 'user:{id}', 'write_through', '{id,name}', '1 hour', 'abort')});
$s->ok(q{SELECT cache_ext.attach('users', 'name:{name}', 'invalidate')});
$s->ok(q{SELECT cache_ext.attach('pair', 'tenant:{tenant}:pair:{id}', 'write_through')});
is($s->query('SELECT * FROM cache_ext.attached ORDER BY key'), <<'EOT' =~ s/\n\z//r, 'the view');
users|name:{name}|invalidate||24:00:00|proceed|cache_ext:postgres:row:name:*|
pair|tenant:{tenant}:pair:{id}|write_through||24:00:00|proceed|cache_ext:postgres:row:tenant:*:pair:*|
users|user:{id}|write_through|{id,name}|01:00:00|abort|cache_ext:postgres:row:user:*|
EOT
is($s->query("SELECT * FROM cache_ext.tracked ORDER BY relation::text"),
	"pair|{tenant,id}|t||1\nusers|{id,name}|t||1", 'attached tables are tracked by the columns of their keys');
refused(q{untrack('users')}, qr/table "users" is attached/);
refused(q{attach('users', 'user:{id}', 'invalidate')}, qr/already attached with the key "user:\{id\}"/);
refused(q{attach('pair', 'user:{tenant}', 'invalidate')}, qr/cannot be attached/);
$s->ok(q{CREATE TABLE other (a int, b text, PRIMARY KEY (a, b)); CREATE TABLE single (a text PRIMARY KEY)});
refused(qq{attach('single', '$_', 'invalidate')}, qr/two attachments could have the same keys/)
  for 'user:{a}', 'us{a}:7', 'user:x{a}y', '{a}:{a}', 'user:{a}x';
refused(q{attach('other', 'tenant:{a}:{b}:5', 'invalidate')}, qr/two attachments could have the same keys/);
$s->ok(qq{SELECT cache_ext.attach('single', '$_', 'invalidate')})
  for 'user:x:{a}', 'us:{a}', 'users:{a}', 'user{a}', 'tenant:x:peer:{a}';
is($s->query(q{SELECT cache_ext.detach('single', 'us:{a}')}), '1', 'one is detached');
is($s->query(q{SELECT cache_ext.detach('single')}), '4', 'the others are');
is($s->query(q{SELECT cache_ext.detach('single')}), '0', 'there are no more');

note '--- the text of keys';
$s->ok(<<'EOS');
CREATE TABLE kinds (b bool, i2 int2, i4 int4, i8 int8, o oid, n numeric, u uuid, d date, PRIMARY KEY (b, i2, i4, i8, o, n, u, d));
CREATE TABLE texts (t text, v varchar(5), c char(5), e mood, s short, y bytea, ts timestamp, tz timestamptz, n name,
	PRIMARY KEY (t, v, c, e, s, y, ts, tz), UNIQUE (n));
SELECT cache_ext.attach('kinds', 'k:{b}:{i2}:{i4}:{i8}:{o}:{n}:{u}:{d}', 'invalidate');
SELECT cache_ext.attach('texts', 't:{t}:{v}:{c}:{e}:{s}:{y}:{ts}:{tz}', 'invalidate');
INSERT INTO kinds VALUES (true, -2, 4, 9223372036854775807, 4294967295, 1.50, 'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-01-02');
SET DateStyle = 'German'; SET TimeZone = 'America/New_York'; SET bytea_output = 'escape'; SET extra_float_digits = -10;
INSERT INTO texts VALUES (E'a:b%{}*?[x]\\\n \x7fé', '-', 'a  ', 'very: happy', '', '\x00ff', '2026-01-02 03:04:05.6', '2026-01-02 03:04:05+00');
RESET ALL;
EOS
all_delivered($node);
is_deeply([ $redis->keys(stored_key('k:*')) ],
	[ stored_key('k:true:-2:4:9223372036854775807:4294967295:1.50:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11:2026-01-02') ],
	'numbers and kin');
my $text_key = stored_key("t:a%3Ab%25%7B%7D%2A%3F%5Bx%5D%5C%0A%20%7F\xc3\xa9:-:a:very%3A%20happy::00ff:2026-01-02T03%3A04%3A05.6:2026-01-02T03%3A04%3A05+00%3A00");
is($client->call('EXISTS', $text_key), 1, 'text, whatever the settings');
$s->ok("INSERT INTO single VALUES (repeat('x', 2000)), ('y'); SELECT cache_ext.attach('single', 'single:{a}', 'write_through');
	UPDATE single SET a = a || 'z'");
all_delivered($node);
is_deeply([ $redis->keys(stored_key('single:*')) ], [ map { stored_key("single:$_") } 'y', 'yz' ],
	'a row whose key would be too long has none');

note '--- definitions';

# Rows that Redis has; what is left of removed ones are versions.
sub rows_in_redis
{
	my ($pattern) = @_;
	my @keys = map { s/^\Q@{[ stored_key('') ]}\E//r } $redis->keys(stored_key($pattern));
	return scalar grep { entity_text($client, $_) ne 'gone' } @keys;
}

# Puts rows into Redis, then does something, and says how many are left.
sub left_after
{
	my ($table, $pattern, $sql) = @_;
	$s->ok("UPDATE $table SET v = v || 'x'");
	all_delivered($node);
	my $before = rows_in_redis($pattern);
	$s->ok($sql);
	all_delivered($node);
	return "$before to " . rows_in_redis($pattern);
}

$s->ok("INSERT INTO pair VALUES (1, 1, 'a'), (1, 2, 'b')");
my $pairs = 'tenant:*:pair:*';
is(left_after('pair', $pairs, 'ALTER TABLE pair ADD COLUMN more int DEFAULT 5'), '2 to 0', 'a column more');
is(left_after('pair', $pairs, 'ALTER TABLE pair RENAME COLUMN more TO less'), '2 to 0', 'a column renamed');
is(left_after('pair', $pairs, 'ALTER TABLE pair DROP COLUMN less'), '2 to 0', 'a column less');
is(left_after('pair', $pairs, 'ALTER TABLE pair ALTER COLUMN v TYPE varchar(100)'), '2 to 0', 'another type');
is(left_after('pair', $pairs, 'ALTER TABLE pair RENAME TO pear'), '2 to 0', 'the table renamed');
is(left_after('pear', $pairs, 'ALTER TABLE pear RENAME TO pair'), '2 to 0', 'and again');
is(left_after('pair', $pairs, 'ALTER TABLE pair DISABLE TRIGGER USER'), '2 to 0', 'triggers disabled');
like($s->query('SELECT problem FROM cache_ext.attached WHERE relation = $$pair$$::regclass'),
	qr/its trigger is not as attach\(\) created it/, 'the view says so');
$s->ok("SELECT cache_ext.detach('pair'); SELECT cache_ext.track('pair', '{id}');
	SELECT cache_ext.attach('pair', 'tenant:{tenant}:pair:{id}', 'write_through')");
is(left_after('pair', $pairs, 'TRUNCATE pair'), '2 to 0', 'TRUNCATE');
$s->ok("INSERT INTO pair VALUES (1, 1, 'a'), (1, 2, 'b')");
is(left_after('pair', $pairs, 'BEGIN; TRUNCATE pair; ROLLBACK'), '2 to 2', 'TRUNCATE that is rolled back');
is(left_after('pair', $pairs, 'CREATE INDEX ON pair (v); ANALYZE pair'), '2 to 2', 'an index changes nothing');
is(left_after('pair', $pairs, 'REINDEX TABLE pair'), '2 to 0', 'an index that may have been broken');
$s->ok("UPDATE pair SET v = 'x'");
is(left_after('pair', $pairs, 'ALTER TABLE pair DROP CONSTRAINT pair_pkey'), '2 to 0', 'the unique index dropped');
like($s->query('SELECT problem FROM cache_ext.attached WHERE relation = $$pair$$::regclass'),
	qr/no unique index/, 'the view says so');
is(left_after('pair', $pairs, 'SELECT 1'), '0 to 0', 'without it rows have no keys');
$client->call('SET', stored_key('tenant:1:pair:1'), 'left behind');
$s->ok(q{UPDATE pair SET v = 'x'});
all_delivered($node);
is(entity_text($client, 'tenant:1:pair:1'), 'gone', 'and what is there all the same goes');
$s->ok('ALTER TABLE pair ADD PRIMARY KEY (tenant, id)');
is(left_after('pair', $pairs, 'ALTER TABLE pair RENAME COLUMN id TO number'), '2 to 0', 'a column of the key renamed');
like($s->query('SELECT problem FROM cache_ext.attached WHERE relation = $$pair$$::regclass'),
	qr/column "id" of the key does not exist/, 'the view says so');
like($s->query('SELECT cache_ext.row(NULL::pair, 1, 1)'), qr/rows of table "pair" have no keys/, 'row too');
is(left_after('pair', $pairs, 'ALTER TABLE pair RENAME COLUMN number TO id'), '0 to 0', 'and back');
is(left_after('pair', $pairs, q{SELECT cache_ext.detach('pair')}), '2 to 0', 'detached');
is(left_after('pair', $pairs, q{UPDATE pair SET v = 'y'}), '0 to 0', 'and left alone');
$s->ok(q{SELECT cache_ext.attach('pair', 'tenant:{tenant}:pair:{id}', 'write_through')});
is(left_after('pair', $pairs, 'DROP TABLE pair'), '2 to 0', 'dropped');

$s->ok(<<'EOS');
CREATE TYPE colour AS ENUM ('red'); CREATE TABLE coloured (id int PRIMARY KEY, c colour, v text);
SELECT cache_ext.attach('coloured', 'coloured:{id}', 'write_through');
INSERT INTO coloured VALUES (1, 'red', '');
EOS
is(left_after('coloured', 'coloured:*', q{ALTER TYPE colour RENAME VALUE 'red' TO 'rouge'}), '1 to 0', 'a value has another name');
is(left_after('coloured', 'coloured:*', 'SELECT 1'), '1 to 1', 'it is set again');
is(entity($client, 'coloured:1')->{c}, 'rouge', 'with the new name');

note '--- partitions';
$s->ok(<<'EOS');
CREATE TABLE tree (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 (junk int, v text, id int PRIMARY KEY);
ALTER TABLE tree_2 DROP COLUMN junk;
SELECT cache_ext.attach('tree_2', 'leaf:{id}', 'write_through');
SELECT cache_ext.attach('tree', 'tree:{id}', 'write_through');
INSERT INTO tree VALUES (1, 'one');
INSERT INTO tree_2 VALUES ('eleven', 11);
EOS
is(left_after('tree_2', 'leaf:*', 'ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES FROM (10) TO (20)'), '1 to 0', 'a partition attached');
refused(q{attach('tree_1', 'x:{id}', 'invalidate')}, qr/"tree_1" is a partition/);
$s->ok(q{UPDATE tree SET v = v || '!'; UPDATE tree SET id = 12 WHERE id = 1});
all_delivered($node);
is(entity_text($client, 'tree:11'), 'id=11 v=elevenx!', 'a partition with other columns');
is(entity_text($client, 'tree:1'), 'gone', 'a row that moved to another partition');
is(entity_text($client, 'tree:12'), 'id=12 v=one!', 'is there');
$s->ok(q{UPDATE tree_2 SET v = 'direct' WHERE id = 11});
all_delivered($node);
is(entity_text($client, 'tree:11'), 'id=11 v=direct', 'a partition changed by its own name');
is(left_after('tree', 'tree:*', 'TRUNCATE tree_2'), '2 to 0', 'a partition truncated');
$s->ok(q{INSERT INTO tree VALUES (1, 'a'), (11, 'b')});
is(left_after('tree', 'tree:*', 'ALTER TABLE tree DETACH PARTITION tree_2 CONCURRENTLY'), '2 to 0', 'a partition detached');
is($s->query('SELECT relation, key FROM cache_ext.attached WHERE key LIKE $$tree%$$'), 'tree|tree:{id}', 'and not attached any more');
$s->ok(q{SELECT cache_ext.detach('tree_2'); SELECT cache_ext.detach('tree'); SELECT cache_ext.attach('tree_2', 'tree:{id}', 'write_through')});
is(left_after('tree_2', 'tree:*', 'SELECT 1'), '1 to 1', 'attached on its own, by the same key');
$s->ok(q{SELECT cache_ext.detach('tree_2'); SELECT cache_ext.attach('tree', 'tree:{id}', 'write_through')});
is(left_after('tree', 'tree:*', 'DROP TABLE tree'), '1 to 0', 'the tree dropped');

note '--- dump and restore';
my $state = 'SELECT relation, key, mode, columns, ttl, on_redis_down, problem FROM cache_ext.attached ORDER BY key';
my $before = $s->query($state);
my $dump = $node->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', $state), $before, 'all is attached after a restore');
$node->safe_psql('restored', q{INSERT INTO users VALUES (77, 'x')});
all_delivered($node);
ok($client->call('EXISTS', 'cache_ext:restored:row:user:77'), 'keys there have the name of the database');
is(entity_text($client, 'user:77'), 'absent', 'and those of the other database are left alone');
$node->safe_psql('postgres', 'CREATE DATABASE other TEMPLATE restored');
$node->safe_psql('other', q{INSERT INTO users VALUES (78, 'y')});
all_delivered($node);
ok($client->call('GET', 'cache_ext:other:row:user:78') =~ /name/, 'a copy of the database');
$node->safe_psql('postgres', 'ALTER DATABASE other RENAME TO another');
all_delivered($node);
ok($client->call('GET', 'cache_ext:other:row:user:78') !~ /name/, 'renamed: nothing is left under the old name');
$node->safe_psql('another', q{INSERT INTO users VALUES (79, 'z')});
all_delivered($node);
ok($client->call('GET', 'cache_ext:another:row:user:79') =~ /name/, 'new keys have the new one');
$node->safe_psql('postgres', 'DROP DATABASE another');
all_delivered($node);
ok($client->call('GET', 'cache_ext:another:row:user:79') !~ /name/, 'dropped');
$node->safe_psql('restored', 'DROP EXTENSION cache_ext CASCADE');
all_delivered($node);
is($client->call('GET', 'cache_ext:restored:row:user:77') =~ /^\x81\xa8_version/, 1, 'dropping the extension removes the keys');

$redis->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE without');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('without') ],
	'restore where the library is not preloaded');
$node->safe_psql('without', q{INSERT INTO users VALUES (1, 'x'); UPDATE users SET id = 2; DELETE FROM users; TRUNCATE users});
foreach my $call (q{attach('users', 'u:{id}', 'invalidate')}, q{detach('users')}, q{attached('users')}, 'row(NULL::users, 1)')
{
	my ($status, $stdout, $stderr) = $node->psql('without', "SELECT cache_ext.$call");
	like($stderr, qr/ERROR:  cache_ext is not loaded/, "$call says what is missing");
}

done_testing();
