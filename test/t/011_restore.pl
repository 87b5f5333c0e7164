# Tracking is carried by pg_dump, and triggers do nothing where the library isn't preloaded.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use RedisServer;

my $redis = RedisServer->new('restore');
my $node = PostgreSQL::Test::Cluster->new('restore');
$node->init;
$node->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'cache_ext'
cache_ext.redis_url = '@{[ $redis->url ]}'
autovacuum = off
EOC
$node->start;
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION cache_ext;
CREATE TABLE plain (id int PRIMARY KEY, grp int);
CREATE TABLE tree (id int, grp int) PARTITION BY LIST (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
CREATE TABLE tree_2 (grp int, id int);
CREATE TABLE above (id int);
CREATE TABLE below () INHERITS (above);
SELECT cache_ext.track('plain', '{grp, id}');
SELECT cache_ext.track('tree', '{grp}');
SELECT cache_ext.track('tree_2', '{id}');
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES IN (2);
SELECT cache_ext.track('above');
INSERT INTO plain VALUES (1, 1);
INSERT INTO tree VALUES (1, 1), (2, 2);
EOS
my $state = 'SELECT * FROM cache_ext.tracked ORDER BY relation::text';
my $before = $node->safe_psql('postgres', $state);
is($before, "above|{}|t||2\nbelow|{}|t||1\nplain|{grp,id}|t||1\ntree|{grp}|t||3", 'all is tracked');

my $dump = $node->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');

$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ],
	'restore');
is($node->safe_psql('restored', $state), $before, 'all is tracked after a restore');
is($node->safe_psql('restored', 'SELECT v FROM cache_ext.query($$SELECT count(*) FROM tree$$) AS t(v bigint)'),
	'2', 'and can be queried');

# What the triggers depend on can't go without them.
my ($status, $stdout, $stderr) = $node->psql('restored', 'DROP EXTENSION cache_ext');
like($stderr, qr/cannot drop extension cache_ext because other objects depend on it/,
	'the extension is needed by the triggers');
$node->safe_psql('restored', 'DROP EXTENSION cache_ext CASCADE');
is($node->safe_psql('restored', "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cache_ext%'"),
	'0', 'and takes them along');
$node->safe_psql('restored', 'INSERT INTO tree VALUES (1, 1); CREATE EXTENSION cache_ext');
is($node->safe_psql('restored', $state), '', 'nothing is tracked in a new one');

# Without the library preloaded.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE without');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('without') ],
	'restore where the library is not preloaded');
$node->safe_psql('without', <<'EOS');
INSERT INTO plain VALUES (2, 2);
UPDATE plain SET grp = 3;
DELETE FROM plain;
INSERT INTO tree VALUES (2, 2);
UPDATE tree SET id = 1;
TRUNCATE tree;
UPDATE above SET id = 1;
ALTER TABLE tree DETACH PARTITION tree_2;
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES IN (2);
EOS
is($node->safe_psql('without', 'SELECT count(*) FROM plain'), '0', 'the triggers do nothing there');
foreach my $call ("track('plain')", "untrack('plain')", "track_schema('public')", "tracked('plain')")
{
	($status, $stdout, $stderr) = $node->psql('without', "SELECT cache_ext.$call");
	like($stderr, qr/ERROR:  cache_ext is not loaded\n.*HINT:.*shared_preload_libraries/s,
		"$call says what is missing");
}

# What happened meanwhile is not hidden by entries from before.
$node->safe_psql('postgres', "INSERT INTO tree VALUES (1, 1)");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cache_ext'");
$node->restart;
is($node->safe_psql('postgres', 'SELECT v FROM cache_ext.query($$SELECT count(*) FROM tree$$) AS t(v bigint)'),
	'3', 'a change made without the library is seen');

$node->stop;
done_testing();
