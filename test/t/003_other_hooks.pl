# Beside other libraries that hook the executor, whichever was loaded first: same rows, and the others see
# every execution, a hit too.
use strict;
use warnings;

use CacheTest;
use Test::More;

my $query = 'SELECT id, name FROM city WHERE id <= 3 ORDER BY id';
my $rows = "1|city 1\n2|city 2\n3|city 3";

sub try_order
{
	my ($name, $libraries) = @_;
	my $node = cache_node($name, undef, "shared_preload_libraries = '$libraries'",
		'cache_ext.mode = auto', 'cache_ext.min_cost = 0', 'pg_stat_statements.track_planning = on',
		'auto_explain.log_min_duration = 0', 'auto_explain.log_nested_statements = on',
		"auto_explain.log_level = 'notice'");
	$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION pg_stat_statements;
CREATE TABLE city (id int PRIMARY KEY, name text);
INSERT INTO city SELECT i, 'city ' || i FROM generate_series(1, 100) i;
SELECT cache_ext.track('city');
CREATE ROLE reader;
CREATE ROLE stranger;
GRANT SELECT ON city TO reader;
EOS

	my $hits = sub { return $node->safe_psql('postgres', 'SELECT local_hits FROM cache_ext.stats()'); };

	# the rows, and the plan that auto_explain tells of
	my $run = sub {
		my ($sql) = @_;
		my ($stdout, $stderr) = ('', '');
		$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr);
		return ($stdout, $stderr);
	};

	my ($answer, $told) = $run->($query);
	is($answer, $rows, "$libraries: a miss");
	like($told, qr/Cache: miss/, 'of which auto_explain tells');
	for my $way ("$query;", "PREPARE q AS $query; EXECUTE q;")
	{
		my $before = $hits->();
		($answer, $told) = $run->($way);
		is($answer, $rows, "$libraries: $way");
		is($hits->() - $before, 1, 'was a hit');
		like($told, qr/Cached Result.*Cache: hit.*Cache Tier: local/s, 'of which auto_explain tells');
	}

	my $verbose = 'SET auto_explain.log_verbose = on;';
	($answer, $told) = $run->("$verbose $query;");
	like($told, qr/Output: (city\.)?id, (city\.)?name/, 'with its columns');
	($answer, $told) = $run->("SET auto_explain.log_analyze = on; $query;");
	like($told, qr/Cached Result.*actual time.*rows=3.*Cache: hit/s, 'and what it did');
	is($answer, $rows, 'and the rows are the same');
	($answer) = $run->("SET debug_print_plan = on; $query;");
	is($answer, $rows, 'whoever prints the plan');

	is($node->safe_psql('postgres', <<'EOS'), '6|18', 'pg_stat_statements counts the executions and their rows');
SELECT calls, rows FROM pg_stat_statements WHERE query LIKE '%SELECT id, name FROM city%'
	AND query NOT LIKE '%pg_stat_statements%'
EOS

	# rights are those that the plan would need
	($answer, $told) = $run->("SET ROLE reader; $query;");
	is($answer, $rows, 'a reader gets the rows');
	like($told, qr/Cache: hit/, 'that others had stored');
	($answer, $told) = $run->("SET ROLE stranger; $query;");
	is($answer, '', 'who has no right gets none');
	like($told, qr/permission denied for table city/, 'but PostgreSQL\'s error');
	$node->stop;
	return;
}

try_order('first', 'cache_ext,auto_explain,pg_stat_statements');
try_order('last', 'auto_explain,pg_stat_statements,cache_ext');
done_testing();
