# Tables that a subscription feeds: an apply worker fires row triggers only.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use RedisServer;

my $redis = RedisServer->new('subscription');
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'cache_ext'
cache_ext.redis_url = '@{[ $redis->url ]}'
cache_ext.redis_timeout = '10s'
cache_ext.redis_connect_timeout = '10s'
max_prepared_transactions = 10
autovacuum = off
EOC
$subscriber->start;

my $tables = <<'EOS';
CREATE TABLE plain (id int PRIMARY KEY, grp int, n int);
CREATE TABLE tree (id int PRIMARY KEY, grp int, n int) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (100);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (100) TO (200);
EOS
$publisher->safe_psql('postgres', $tables . <<'EOS');
CREATE PUBLICATION pub FOR TABLE plain, tree WITH (publish_via_partition_root);
INSERT INTO plain VALUES (1, 1, 1);
INSERT INTO tree VALUES (1, 1, 1), (101, 1, 1);
EOS
$subscriber->safe_psql('postgres', $tables . <<'EOS');
CREATE EXTENSION cache_ext;
SELECT cache_ext.track('plain', '{grp}');
SELECT cache_ext.track('tree', '{grp}');
EOS

my %queries = (
	'plain' => 'SELECT sum(n)::text FROM plain',
	'plain, group 1' => 'SELECT sum(n)::text FROM plain WHERE grp = 1',
	'plain, group 2' => 'SELECT sum(n)::text FROM plain WHERE grp = 2',
	'tree' => 'SELECT sum(n)::text FROM tree',
	'tree, group 1' => 'SELECT sum(n)::text FROM tree WHERE grp = 1',
	'tree, group 2' => 'SELECT sum(n)::text FROM tree WHERE grp = 2');

sub cached
{
	my ($query) = @_;
	return $subscriber->safe_psql('postgres',
		"SELECT v FROM cache_ext.query('$queries{$query}') AS t(v text)");
}

sub valid
{
	my ($query) = @_;
	return $subscriber->safe_psql('postgres',
		"SELECT coalesce(valid, false) FROM cache_ext.explain('$queries{$query}')") eq 't';
}

# A fill is skipped when another transaction ends at the wrong moment.
sub fill
{
	foreach my $query (@_)
	{
		foreach (1 .. 100)
		{
			cached($query);
			last if valid($query);
		}
		ok(valid($query), "$query is cached");
	}
}

# What of the queries is no longer valid once the publisher's transaction is applied.
sub effect
{
	my ($sql) = @_;
	$publisher->safe_psql('postgres', $sql);
	$publisher->wait_for_catchup('sub');

	# the worker says what it applied after the commit, so the clocks have moved
	my $changed = join '; ', grep { !valid($_) } sort keys %queries;
	foreach my $query (sort keys %queries)
	{
		is(cached($query), $subscriber->safe_psql('postgres', $queries{$query}),
			"$query is right");
	}
	fill(sort keys %queries);
	return $changed;
}

# A table is subscribed after it was tracked, and after results of it were cached.
fill(sort keys %queries);
my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub");
$subscriber->wait_for_subscription_sync($publisher, 'sub');
is(cached('plain'), '1', 'what the first copy brought is seen');
is(cached('tree'), '2', 'in partitions too');
is($subscriber->safe_psql('postgres',
		'SELECT relation, complete, problem FROM cache_ext.tracked ORDER BY relation::text'),
	"plain|f|a subscription feeds it since it was tracked\ntree|f|a partition of it is not tracked",
	'a subscribed table is untracked until it is tracked again');
$publisher->safe_psql('postgres', 'UPDATE plain SET n = 2');
$publisher->wait_for_catchup('sub');
is(cached('plain'), '2', 'and read without the cache');

$subscriber->safe_psql('postgres', <<'EOS');
SELECT cache_ext.track('plain', '{grp}');
SELECT cache_ext.track('tree', '{grp}');
EOS
is($subscriber->safe_psql('postgres', 'SELECT bool_and(complete) FROM cache_ext.tracked'), 't',
	'tracked again');
is($subscriber->safe_psql('postgres',
		"SELECT count(*) FROM pg_trigger WHERE tgname = 'cache_ext_subscribed' AND tgenabled = 'A'"),
	'4', 'with a trigger before each row');

fill(sort keys %queries);
is(effect('INSERT INTO plain VALUES (2, 2, 2)'), 'plain; plain, group 2', 'INSERT');
is(effect('UPDATE plain SET grp = 1 WHERE id = 2'),
	'plain; plain, group 1; plain, group 2', 'UPDATE');
is(effect('DELETE FROM plain WHERE id = 2'), 'plain; plain, group 1', 'DELETE');
is(effect('TRUNCATE plain'), 'plain; plain, group 1; plain, group 2', 'TRUNCATE');
is(effect('INSERT INTO tree VALUES (2, 2, 2)'), 'tree; tree, group 2', 'INSERT into a tree');
is(effect('UPDATE tree SET n = n + 1 WHERE grp = 1'), 'tree; tree, group 1', 'UPDATE of a tree');
is(effect('UPDATE tree SET id = 102 WHERE id = 2'), 'tree; tree, group 2',
	'UPDATE from one partition to another');
is(effect('DELETE FROM tree WHERE id = 102'), 'tree; tree, group 2', 'DELETE from a tree');
is(effect('TRUNCATE tree'), 'tree; tree, group 1; tree, group 2', 'TRUNCATE of a tree');

# A partition that joins a subscribed tree gets what it needs.
$subscriber->safe_psql('postgres', 'CREATE TABLE tree_3 PARTITION OF tree FOR VALUES FROM (200) TO (300)');
is($subscriber->safe_psql('postgres', 'SELECT bool_and(complete) FROM cache_ext.tracked'), 't',
	'still tracked with a new partition');
fill(sort keys %queries);
$publisher->safe_psql('postgres', 'CREATE TABLE tree_3 PARTITION OF tree FOR VALUES FROM (200) TO (300)');
is(effect('INSERT INTO tree VALUES (201, 2, 2)'), 'tree; tree, group 2', 'INSERT into the new partition');

# Two-phase: the worker prepares, and commits, without a utility command.
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sub DISABLE');
$subscriber->poll_query_until('postgres',
	"SELECT count(*) = 0 FROM pg_stat_subscription WHERE pid IS NOT NULL");
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub WITH (two_phase, copy_data = false)");
$subscriber->wait_for_subscription_sync($publisher, 'sub');
$subscriber->poll_query_until('postgres',
	"SELECT subtwophasestate = 'e' FROM pg_subscription");
fill(sort keys %queries);
$publisher->safe_psql('postgres',
	"BEGIN; INSERT INTO plain VALUES (7, 2, 7); PREPARE TRANSACTION 'two'");
$publisher->wait_for_catchup('sub');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '1',
	'prepared at the subscriber');
$publisher->safe_psql('postgres', "COMMIT PREPARED 'two'");
$publisher->wait_for_catchup('sub');
is(cached('plain, group 2'), '7', 'what it committed is seen');
is(cached('plain'), '7', 'everywhere');

$subscriber->stop;
$publisher->stop;
done_testing();
