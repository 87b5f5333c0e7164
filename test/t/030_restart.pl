# Restarts and crashes of the server with entries in Redis, which outlives them: nothing from before a
# crash is ever served, and after a clean restart entries still hit.
use strict;
use warnings;

use CacheTest;
use Crash;
use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $redis = RedisServer->new('restart');
my $node = cache_node('restart', $redis, 'max_prepared_transactions = 10', 'restart_after_crash = on',
	'cache_ext.local_memory = 0');
my $handover = $node->data_dir . '/pg_stat/cache_ext.clocks';

$node->safe_psql('postgres', q{
	CREATE TABLE t (id int PRIMARY KEY, value int);
	CREATE TABLE u (id int PRIMARY KEY, value int);
	INSERT INTO t SELECT g, g FROM generate_series(1, 200) g;
	INSERT INTO u SELECT g, g FROM generate_series(1, 10) g;
	SELECT cache_ext.track('t', '{id}'), cache_ext.track('u')});
$node->safe_psql('postgres', slurp_file('test/stop_points.sql'));

my %queries = (
	row => 'SELECT value::text FROM t WHERE id = 1',
	other => 'SELECT value::text FROM t WHERE id = 2',
	sum => 'SELECT sum(value)::text FROM t',
	u => 'SELECT sum(value)::text FROM u',
	both => 'SELECT sum(t.value + u.value)::text FROM t JOIN u USING (id)');

# Each of the queries through the cache, with what is expected of it: a test of CacheTest.
sub all_of
{
	my ($test, $name, @names) = @_;
	my $s = Session->new($node);
	$test->($s, $queries{$_}, "$name: $_") for (@names ? @names : sort keys %queries);
	$s->close;
	return;
}

# Afterwards all of them hit.
sub warm
{
	my $s = Session->new($node);
	cached($s, $_) for values %queries;
	my @outcomes = map { scalar outcome($s, $_) } values %queries;
	is("@outcomes", join(' ', map { 'hit' } @outcomes), 'all of them are cached');
	$s->close;
	return;
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set
{
	my ($line) = @_;
	$node->append_conf('postgresql.conf', $line);
	return;
}

note '--- clean restarts';
warm();
my $first_dump = $redis->save_dump;
sql('UPDATE t SET value = 10 WHERE id = 1');
my $s = Session->new($node);
cached($s, $queries{row});
$s->close;
$node->restart;
all_of(\&hits, 'after a clean restart', qw(row other u));
all_of(\&not_hit, 'after a clean restart, what changed before it', qw(sum both));
sql('UPDATE u SET value = value + 1');
all_of(\&not_hit, 'changed after a clean restart', qw(u both));
all_of(\&hits, 'not changed after a clean restart', qw(row other));
$redis->restart_from_dump($first_dump);
all_of(\&not_hit, 'a dump from before the restart and changes before and after it', qw(row u sum both));
all_of(\&hits, 'a dump from before the restart, nothing changed since', 'other');
$node->restart;
all_of(\&not_hit, 'of the epoch before the last', 'other');
all_of(\&hits, 'after a second clean restart', qw(row u sum both));
warm();
$node->restart;
all_of(\&hits, 'after a third clean restart', 'other');
all_of(\&not_hit, 'of the epoch before the last', qw(row u sum both));
$redis->restart_from_dump($first_dump);
all_of(\&not_hit, 'a dump from three epochs ago');

note '--- crashes of the server';
for my $way (qw(immediate kill9))
{
	warm();

	# A commit that may get lost, though an entry holds it.
	my $writer = Session->new($node);
	$writer->ok('SET synchronous_commit = off; UPDATE t SET value = value + 1 WHERE id IN (1, 2)');
	cached($writer, $queries{row});
	$writer->close;
	if ($way eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		kill_server($node);
		$node->start;
	}
	all_of(\&not_hit, "after $way");
	all_of(\&hits, "after $way, stored anew");
	my $dump = $redis->save_dump;
	sql('UPDATE t SET value = value + 1 WHERE id = 2');
	$node->stop('immediate');
	$node->start;
	$redis->restart_from_dump($dump);
	all_of(\&not_hit, "after $way and with an old dump of Redis");
}

note '--- kill -9 of a backend while it commits';
my %commits = (
	writer_pre_commit => 'UPDATE t SET value = value + 1 WHERE id = 1',
	writer_committing => 'UPDATE t SET value = value + 1 WHERE id = 1',
	writer_visible => 'UPDATE t SET value = value + 1 WHERE id = 1',
	writer_raised => 'UPDATE t SET value = value + 1 WHERE id = 1',
	writer_late => 'CREATE POLICY p ON t USING (true)',
	prepared_committed => 'COMMIT PREPARED \'p\'');
for my $point (sort keys %commits)
{
	if ($point eq 'prepared_committed')
	{
		sql("BEGIN; UPDATE t SET value = value + 1 WHERE id = 1; PREPARE TRANSACTION 'p'");
	}
	my $before = sql($queries{row});
	warm();
	# The end of a SET outside a transaction would stop at the first of them itself.
	my $stop = "SET cache_ext.stop_at = '$point'";
	kill_at($node, Session->new($node), $point, $point eq 'prepared_committed' ? "$stop; $commits{$point}"
		: "BEGIN; $stop; $commits{$point}; COMMIT");
	all_of(\&not_hit, "killed at $point");
	all_of(\&hits, "killed at $point, stored anew");
	my $after = sql($queries{row});
	is($after, $before, "killed at $point: the change is not there") if $point eq 'writer_pre_commit';
	is($after, $before + 1, "killed at $point: the change is there")
	  if $point eq 'prepared_committed';
	sql('UPDATE t SET value = value + 1 WHERE id = 1');
	all_of(\&not_hit, "a change after the crash at $point", qw(row sum both));
}

note '--- two-phase commit';
for my $between ('nothing', 'another session', 'restart', 'immediate', 'kill9')
{
	for my $ending (qw(COMMIT ROLLBACK))
	{
		my $before = sql($queries{row});
		my $writer = Session->new($node);
		$writer->ok("BEGIN; UPDATE t SET value = value + 1 WHERE id = 1; UPDATE u SET value = 7;"
			. " PREPARE TRANSACTION 'two'");
		warm();
		if ($between eq 'restart') { $node->restart; }
		elsif ($between eq 'immediate') { $node->stop('immediate'); $node->start; }
		elsif ($between eq 'kill9') { kill_server($node); $node->start; }
		all_of(\&is_exact, "prepared, then $between");
		all_of(\&hits, "prepared, then $between, and stored");
		$writer = Session->new($node) if $between ne 'nothing';
		$writer->ok("$ending PREPARED 'two'");
		$writer->close;
		is(sql($queries{row}), $ending eq 'COMMIT' ? $before + 1 : $before, "$ending PREPARED");
		all_of(\&not_hit, "after COMMIT PREPARED, $between", qw(row sum u both)) if $ending eq 'COMMIT';
		all_of(\&is_exact, "after $ending PREPARED, $between");
	}
}

# More keys than the list of prepared transactions has room for.
my @ids = map { "SELECT value::text FROM t WHERE id = $_" } 1 .. 200;
$s = Session->new($node);
$s->ok("BEGIN; UPDATE t SET value = value + 1; PREPARE TRANSACTION 'many'");
cached($s, $_) for @ids;
is(scalar(grep { outcome($s, $_) eq 'hit' } @ids), 200, 'entries of many keys');
$s->ok("COMMIT PREPARED 'many'");
is(scalar(grep { outcome($s, $_) ne 'stored' } @ids), 0, 'a prepared change of many keys invalidates all');
is(scalar(grep { cached($s, $_) ne uncached($s, $_) } @ids), 0, 'and they are right');
$s->close;

note '--- what makes the handover unusable';

# From here on the file is tampered with between a clean shutdown and the next start.
sub restart_with
{
	my ($name, $meanwhile) = @_;
	warm();
	$node->stop;
	ok(-f $handover, 'a clean shutdown leaves the clocks behind');
	$meanwhile->();
	$node->start;
	all_of(\&not_hit, $name);
	return;
}

sub write_handover
{
	my ($bytes) = @_;
	open(my $file, '>:raw', $handover) or die "$handover: $!";
	print $file $bytes;
	close $file;
	return;
}

sub read_handover
{
	open(my $file, '<:raw', $handover) or die "$handover: $!";
	local $/;
	return <$file>;
}

restart_with('without the library in between, nothing changed', sub {
	set("shared_preload_libraries = ''");
	$node->start;
	$node->stop;
	set("shared_preload_libraries = 'cache_ext'");
});
restart_with('without the library in between, and changes', sub {
	set("shared_preload_libraries = ''");
	$node->start;
	sql('UPDATE t SET value = value + 100; UPDATE u SET value = value + 100');
	$node->stop;
	set("shared_preload_libraries = 'cache_ext'");
});
restart_with('without the library in between, and a crash', sub {
	set("shared_preload_libraries = ''");
	$node->start;
	sql('UPDATE t SET value = value + 100; UPDATE u SET value = value + 100');
	$node->stop('immediate');
	set("shared_preload_libraries = 'cache_ext'");
});
restart_with('another number of clocks', sub { set('cache_ext.clock_slots = 1024') });
restart_with('and back', sub { set('cache_ext.clock_slots = 65536') });
restart_with('no file', sub { unlink $handover });
restart_with('an empty file', sub { write_handover('') });
restart_with('a truncated file', sub { write_handover(substr(read_handover(), 0, -100)) });
restart_with('half a header', sub { write_handover(substr(read_handover(), 0, 20)) });
restart_with('noise', sub { write_handover(join '', map { chr rand 256 } 1 .. 600_000) });
for my $offset (0, 4, 8, 16, 24, 32, 40, 1000, -1)
{
	restart_with("byte $offset wrong", sub {
		my $bytes = read_handover();
		vec($bytes, $offset < 0 ? length($bytes) + $offset : $offset, 8) ^= 0x10;
		write_handover($bytes);
	});
}
my $old_file = "$PostgreSQL::Test::Utils::tmp_check/old_clocks";
restart_with('the file of an earlier shutdown', sub {
	copy($handover, $old_file) or die $!;
	$node->start;
	sql('UPDATE t SET value = value + 1');
	$node->stop;
	copy($old_file, $handover) or die $!;
});
restart_with('the file of an earlier shutdown, after a crash', sub {
	copy($handover, $old_file) or die $!;
	$node->start;
	sql('UPDATE t SET value = value + 1');
	$node->stop('immediate');
	copy($old_file, $handover) or die $!;
});

# A data directory restored as it was at a clean shutdown may use what was cached until then, and
# nothing that was cached later.
warm();
$node->stop;
my $backup = "$PostgreSQL::Test::Utils::tmp_check/backup";
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $backup);
$node->start;
sql('UPDATE t SET value = value + 1000 WHERE id = 1');
all_of(\&not_hit, 'changed after the backup', qw(row sum both));
all_of(\&hits, 'stored after the backup');
$node->stop;
rename($node->data_dir, "$backup-newer") or die $!;
rename($backup, $node->data_dir) or die $!;
chmod 0700, $node->data_dir;
$node->start;
all_of(\&not_hit, 'stored after the backup, seen by the restored server', qw(row sum both));
all_of(\&hits, 'stored before the backup, seen by the restored server', qw(other u));

ok(!-f $handover, 'a running server has no such file');
done_testing();
