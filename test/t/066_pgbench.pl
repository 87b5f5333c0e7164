# pgbench in all its protocols beside writers: what a client reads never goes back, not even behind its own
# writes.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

my $redis = RedisServer->new('pgbench');
my $clients = 4;
my $transactions = 400;

# pgbench's variables live as long as its client.  A count of changes that went back ends the client with an error,
# and pgbench with a status.
my $check = <<'EOS';
SELECT sum(v) AS now /* cache_ext */ FROM counter \gset
\if :now < :last
SELECT 'went back from ' || :last || ' to ' || :now || 1 / 0;
\endif
\set last :now
SELECT v AS mine /* cache_ext */ FROM counter WHERE id = :client_id \gset
\if :mine != :written
SELECT 'does not see its own ' || :written || ' but ' || :mine || 1 / 0;
\endif
EOS
my %scripts = (
	read => $check,
	write => <<'EOS' . $check,
UPDATE counter SET v = v + 1 WHERE id = :client_id;
\set written :written + 1
EOS
	'write in a transaction' => <<'EOS' . $check,
BEGIN;
UPDATE counter SET v = v + 1 WHERE id = :client_id;
SELECT v AS mine /* cache_ext */ FROM counter WHERE id = :client_id \gset
COMMIT;
\set written :written + 1
EOS
	'roll back' => <<'EOS' . $check,
BEGIN;
UPDATE counter SET v = v + 1000 WHERE id = :client_id;
SELECT sum(v) AS wrong /* cache_ext */ FROM counter \gset
ROLLBACK;
EOS
);

for my $tiers ('local', 'both')
{
	my $node = cache_node($tiers, $tiers eq 'local' ? undef : $redis, 'cache_ext.mode = hint',
		"cache_ext.flight_wait = '100ms'");
	my @arguments;
	my $number = 0;
	for my $name (sort keys %scripts)
	{
		my $file = "$PostgreSQL::Test::Utils::tmp_check/$tiers-" . $number++ . '.sql';
		append_to_file($file, $scripts{$name});
		push @arguments, '-f', "$file\@" . ($name eq 'read' ? 12 : 1);
	}

	for my $keys ('{}', '{id}')
	{
		for my $protocol (qw(simple extended prepared))
		{
			my $name = "$protocol, $tiers" . ($keys eq '{}' ? '' : ', with a key column');
			$node->safe_psql('postgres', "DROP TABLE IF EXISTS counter;"
				. 'CREATE TABLE counter (id int PRIMARY KEY, v bigint NOT NULL);'
				. "INSERT INTO counter SELECT i, 0 FROM generate_series(0, $clients - 1) i;"
				. "SELECT cache_ext.track('counter', '$keys')");
			my $hits = $node->safe_psql('postgres', 'SELECT hits FROM cache_ext.stats()');
			$node->command_ok(
				[ 'pgbench', '-n', '-M', $protocol, '-c', $clients, '-j', 2, '-t', $transactions,
					'-D', 'last=0', '-D', 'written=0', '--random-seed=1', @arguments, 'postgres' ],
				"$name: nothing goes back");
			cmp_ok($node->safe_psql('postgres', 'SELECT hits FROM cache_ext.stats()') - $hits, '>', 0,
				"$name: the cache is used");
		}
	}
	$node->stop;
}

done_testing();
