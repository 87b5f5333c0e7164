# What EXPLAIN shows of statements that go through the cache: a hit has nothing below it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use Test::More;
use RedisServer;

my $redis = RedisServer->new('plans');
my $node = PostgreSQL::Test::Cluster->new('plans');
$node->init;
$node->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'cache_ext,auto_explain'
cache_ext.redis_url = '@{[ $redis->url ]}'
cache_ext.redis_timeout = '10s'
cache_ext.redis_connect_timeout = '10s'
EOC
$node->start;
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION cache_ext;
CREATE TABLE city (id int PRIMARY KEY, name text, population bigint);
INSERT INTO city SELECT i, 'city ' || i, i * 1000 FROM generate_series(1, 100) i;
SELECT cache_ext.track('city');
EOS

# The plans of the statements that a query through the cache runs, when it is called: a whole row is
# asked for, which the node that stands for calls in FROM has not.
sub plans
{
	my ($options) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql('postgres', <<"EOS", stdout => \$stdout, stderr => \$stderr, on_error_die => 1);
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_level = 'notice';
$options
SELECT t FROM cache_ext.query(
	'SELECT name FROM city WHERE id < \$1 AND population > (SELECT avg(population) FROM city) ORDER BY population',
	'{60}') AS t(name text);
EOS
	return grep { /Cached Result/ } split /NOTICE: /, $stderr;
}

my @plans = plans('');
is(scalar @plans, 2, 'a miss looks up with one plan and runs the other');
like($plans[0], qr/Cache: miss$/m, 'the first finds nothing');
unlike($plans[0], qr/->/, 'and does not start what is below it');
like($plans[1], qr/Cache: miss, stored/, 'the second stores its rows');
like($plans[1], qr/Seq Scan on city|Index/, 'of a plan that ran');

@plans = plans('');
is(scalar @plans, 1, 'a hit runs one plan');
like($plans[0], qr/Cache: hit/, 'which says so');
like($plans[0], qr/Cache Tier: local/, 'and from where');
unlike($plans[0], qr/->|SubPlan|InitPlan|Seq Scan/, 'and has nothing below it');
like($plans[0], qr/actual rows=9/, 'but all its rows');

@plans = plans('SET auto_explain.log_verbose = on;');
like($plans[0], qr/Output: (city\.)?name/, 'columns are shown');
like($plans[0], qr/Cache Key: cache_ext:\d+:\d+:q:[0-9a-f]{64}$/m, 'and the key in Redis');

$node->restart;
@plans = plans('');
like($plans[0], qr/Cache Tier: redis/, 'after a restart Redis still has it');
unlike($plans[0], qr/->|SubPlan|InitPlan|Seq Scan/, 'and nothing is below it either');
@plans = plans('');
like($plans[0], qr/Cache Tier: local/, 'which brings it back to shared memory');

@plans = plans('SET default_transaction_isolation = serializable;');
like($plans[-1], qr/Cache: bypass: the isolation level keeps one snapshot/, 'a bypass gives its reason');
like($plans[-1], qr/Seq Scan on city/, 'and runs the plan');

# The node that stands for a call in FROM: nothing is run for a hit.
sub from
{
	return $node->safe_psql('postgres', 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' . shift);
}
my $call = q{SELECT * FROM cache_ext.query('SELECT count(*) FROM city') AS t(n bigint)};
for my $when ('a miss', 'a hit')
{
	is(from($call), 'Custom Scan (Cached Query) (actual rows=1 loops=1)', "$when in FROM");
}
like(from("$call WHERE n > 100"), qr/Filter: \(n > 100\)\n *Rows Removed by Filter: 1$/, 'with a condition');
like(from("SELECT t FROM (VALUES (0)) v, LATERAL cache_ext.query('SELECT count(*) FROM city') AS t(n bigint)"),
	qr/Function Scan on query t/, 'a whole row needs the call');
like(from('SELECT n FROM city, cache_ext.query($$SELECT count(*) FROM city WHERE id = $1$$, ARRAY[city.id::text]) AS t(n bigint)'),
	qr/Function Scan on query t/, 'arguments of another table do as well');

done_testing();
