# Entries in shared memory live no longer than it: nothing of before a restart or a crash is served from
# there, alone or with Redis behind it, whatever way a result is asked for.  Nor of a database that was
# dropped.
use strict;
use warnings;

use CacheTest;
use Crash;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('lifetime');
my $node = cache_node('lifetime', undef, 'max_prepared_transactions = 10', 'restart_after_crash = on',
	'cache_ext.mode = auto', 'cache_ext.min_cost = 0');
$node->safe_psql('postgres', q{
	CREATE TABLE t (id int PRIMARY KEY, value int);
	CREATE TABLE u (id int PRIMARY KEY, value int);
	INSERT INTO t SELECT g, g FROM generate_series(1, 200) g;
	INSERT INTO u SELECT g, g FROM generate_series(1, 10) g;
	SELECT cache_ext.track('t', '{id}'), cache_ext.track('u')});
$node->safe_psql('postgres', slurp_file('test/stop_points.sql'));

# Each in one of the ways to ask.
my %queries = (
	row => [ 'function', 'SELECT value::text FROM t WHERE id = 1' ],
	other => [ 'prepared', 'SELECT value::text FROM t WHERE id = 2' ],
	sum => [ 'statement', 'SELECT sum(value)::text FROM t' ],
	u => [ 'prepared', 'SELECT sum(value)::text FROM u' ],
	both => [ 'statement', 'SELECT sum(t.value + u.value)::text FROM t JOIN u USING (id)' ]);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# VOLATILE: never cached.
sub plain
{
	my ($s, $query) = @_;
	return $s->ok("SELECT * FROM ($queries{$query}[1]) AS q WHERE random() >= 0");
}

sub statement_of
{
	my ($s, $door, $sql) = @_;
	return through_cache($sql) if $door eq 'function';
	return $sql if $door eq 'statement';
	(my $name = lc $sql) =~ s/\W+/_/g;
	$s->ok("PREPARE $name AS $sql")
	  if $s->ok("SELECT count(*) FROM pg_prepared_statements WHERE name = '$name'") eq '0';
	return "EXECUTE $name";
}

# Tests what became of a query, and that its result is the uncached one.
sub becomes
{
	my ($expected, $s, $query, $name) = @_;
	my ($door, $sql) = @{ $queries{$query} };
	my $statement = statement_of($s, $door, $sql);
	my $counters = 'SELECT local_hits, hits, fills FROM cache_ext.stats()';
	my @before = split /\|/, $s->ok($counters);
	my $output = $s->query($statement);
	my @did = split /\|/, $s->ok($counters);
	$did[$_] -= $before[$_] for 0 .. 2;
	my $outcome = $did[0] ? 'local hit' : $did[1] ? 'hit' : $did[2] ? 'stored' : 'plain';
	my $plain = plain($s, $query);
	local $Test::Builder::Level = $Test::Builder::Level + 2;
	like($outcome, $expected, "$name: $query, $door");
	is($output, $plain, "$name: $query, $door, is right");
	return;
}

sub all_of
{
	my ($expected, $name, @names) = @_;
	my $s = Session->new($node);
	becomes($expected, $s, $_, $name) for (@names ? @names : sort keys %queries);
	$s->close;
	return;
}

my ($local, $any, $stored) = (qr/^local hit$/, qr/./, qr/^stored$/);

# Afterwards all of them hit.
sub warm
{
	my $s = Session->new($node);
	$s->ok(statement_of($s, @{ $queries{$_} })) for keys %queries;
	becomes($local, $s, $_, 'warm') for sort keys %queries;
	$s->close;
	return;
}

for my $url ('', $redis->url)
{
	my $tiers = $url ? 'both tiers' : 'local tier';
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = '$url'");
	$node->restart;

	note "--- $tiers: clean restarts";
	warm();
	sql('UPDATE t SET value = value + 1 WHERE id = 1');
	$node->restart;
	all_of($stored, "$tiers: a clean restart and what changed before it", qw(row sum both));
	if ($url)
	{
		all_of(qr/^hit$/, "$tiers: a clean restart", qw(other u));
	}
	else
	{
		all_of($stored, "$tiers: a clean restart", qw(other u));
	}
	all_of($local, "$tiers: after a clean restart, again");

	note "--- $tiers: crashes of the server";
	for my $way (qw(immediate kill9))
	{
		warm();

		# A commit that may get lost, though an entry holds it.
		my $s = Session->new($node);
		$s->ok('SET synchronous_commit = off');
		$s->ok('UPDATE t SET value = value + 1 WHERE id IN (1, 2)');
		$s->ok(statement_of($s, @{ $queries{$_} })) for keys %queries;
		$s->close;
		if ($way eq 'immediate') { $node->stop('immediate'); }
		else { kill_server($node); }
		$node->start;
		all_of($stored, "$tiers: $way");
		all_of($local, "$tiers: $way, stored anew");
	}

	note "--- $tiers: kill -9 of a session";
	my $update = 'UPDATE t SET value = value + 1 WHERE id = 1';
	my %statements = (
		writer_committing => "$update; COMMIT",
		writer_visible => "$update; COMMIT",
		writer_raised => "$update; COMMIT",
		writer_late => 'CREATE POLICY p ON t USING (true); COMMIT',
		# A filler that has not stored yet, and a reader of an entry that it has pinned.
		fill_ready => $queries{sum}[1],
		hit_between => $queries{other}[1]);
	for my $point (sort keys %statements)
	{
		warm();
		sql('UPDATE t SET value = value + 1 WHERE id = 3') if $point eq 'fill_ready';
		kill_at($node, Session->new($node), $point,
			"BEGIN; SET LOCAL cache_ext.stop_at = '$point'; $statements{$point}");
		sql('DROP POLICY IF EXISTS p ON t');
		all_of($stored, "$tiers: killed at $point");
		all_of($local, "$tiers: killed at $point, stored anew");
		sql($update);
		all_of($stored, "$tiers: a change after the crash at $point", qw(row sum both));
		all_of($local, "$tiers: not changed after the crash at $point", qw(other u));
	}

	note "--- $tiers: two-phase commit";
	for my $between ('nothing', 'restart', 'immediate', 'kill9')
	{
		for my $ending (qw(COMMIT ROLLBACK))
		{
			my $s = Session->new($node);
			my $before = plain($s, 'row');
			$s->ok("BEGIN; $update; UPDATE u SET value = value + 1; PREPARE TRANSACTION 'two'");
			$s->close;
			warm();
			if ($between eq 'restart') { $node->restart; }
			elsif ($between eq 'immediate') { $node->stop('immediate'); $node->start; }
			elsif ($between eq 'kill9') { kill_server($node); $node->start; }
			all_of($between eq 'nothing' ? $local : $any, "$tiers: prepared, then $between");
			all_of($local, "$tiers: prepared, then $between, and stored");
			$s = Session->new($node);
			$s->ok("$ending PREPARED 'two'");
			is(plain($s, 'row'), $ending eq 'COMMIT' ? $before + 1 : $before, "$ending PREPARED");
			$s->close;
			all_of($ending eq 'COMMIT' ? $stored : $any, "$tiers: $ending PREPARED after $between",
				qw(row sum u both));
		}
	}

	note "--- $tiers: a database of the same OID";

	# Made from a template, its tables have the same OIDs too.
	my $sum = 'SELECT value::text FROM t';
	sql('CREATE DATABASE model');
	$node->safe_psql('model', q{
		CREATE EXTENSION cache_ext;
		CREATE TABLE t (value int);
		INSERT INTO t VALUES (1);
		SELECT cache_ext.track('t')});
	for my $round (1 .. 3)
	{
		sql('CREATE DATABASE same OID = 200000 TEMPLATE model');
		my $s = Session->new($node, dbname => 'same');
		stores($s, $sum, "$tiers: database $round");
		hits($s, $sum, "$tiers: database $round");
		is(cached($s, $sum), 1, "$tiers: database $round begins anew");
		$s->ok("UPDATE t SET value = 10 * $round");
		stores($s, $sum, "$tiers: database $round, changed");
		hits($s, $sum, "$tiers: database $round, changed");
		$s->close;
		sql('DROP DATABASE same');
	}
	sql('DROP DATABASE model');
}

done_testing();
