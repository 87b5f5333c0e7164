# test/perl/Load.pm
#
# The load test's program (test/load/load.c), compiled and run beside whatever the caller does to
# Redis meanwhile.
#
#   my $load = Load->new($node);           # compiles it, creates its tables in database postgres
#   my %result = $load->run($seconds, sub { ... });   # the sub is called again and again meanwhile
package Load;

use strict;
use warnings;

use Carp;
use File::Basename qw(dirname);
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $sources = dirname(__FILE__) . '/../load';

sub new
{
	my ($class, $node) = @_;
	my $program = "$PostgreSQL::Test::Utils::tmp_check/load";

	system_or_bail('cc', '-O2', '-Wall', '-Wextra', '-Werror',
		'-I' . $node->config_data('--includedir'), "$sources/load.c", '-o', $program,
		'-L' . $node->config_data('--libdir'), '-lpq', '-lpthread');
	$node->safe_psql('postgres', slurp_file("$sources/schema.sql"));
	return bless { node => $node, program => $program }, $class;
}

# Returns what the program printed, by name, the counters of the cache by what they grew, and
# hit_ratio: of the reads that used the cache, how many hit.
sub run
{
	my ($self, $seconds, $meanwhile) = @_;
	my $node = $self->{node};
	my $counters = 'SELECT hits, misses, fills, fills_skipped, bad_entries, invalidations,'
	  . ' redis_errors FROM cache_ext.stats()';
	my @names = qw(hits misses fills fills_skipped bad_entries invalidations redis_errors);
	my @before = split /\|/, $node->safe_psql('postgres', $counters);

	# What it reports goes to this test's own output.
	my $pid = open(my $pipe, '-|', $self->{program}, $node->connstr('postgres'), $seconds, 4, 8)
	  or croak "load: $!";
	if ($meanwhile)
	{
		my $end = time + $seconds;
		$meanwhile->() while time < $end;
	}
	my %result = map { /^(\w+)=(\d+)$/ ? ($1 => $2) : () } <$pipe>;
	close($pipe);
	$result{status} = $? >> 8;

	my @after = split /\|/, $node->safe_psql('postgres', $counters);
	$result{ $names[$_] } = $after[$_] - $before[$_] for 0 .. $#names;
	$result{hit_ratio} = $result{cached_reads} ? $result{hits} / $result{cached_reads} : 0;
	return %result;
}

# Tests that a run was right, and says what it did.
sub check
{
	my ($self, $name, %result) = @_;

	note "$name: ", join(', ', map { "$_ $result{$_}" } sort keys %result);
	diag sprintf('%s: %d reads (%d through the cache, %.0f %% hits), %d commits, %d rollbacks: '
		  . '%d violations, %d errors', $name, $result{cached_reads} + $result{plain_reads},
		$result{cached_reads}, 100 * $result{hit_ratio}, $result{commits}, $result{rollbacks},
		$result{violations}, $result{errors});
	is($result{violations}, 0, "$name: every read is right");
	is($result{errors}, 0, "$name: no error reaches a client");
	is($result{status}, 0, "$name: the load ran to its end");
	cmp_ok($result{commits}, '>', 100, "$name: something was written");
	return;
}

1;
