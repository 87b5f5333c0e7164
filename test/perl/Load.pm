# test/perl/Load.pm
#
# The load test's program (test/load/load.c), compiled and run beside whatever the caller does to
# Redis meanwhile.
#
#   my $load = Load->new($node);           # compiles it, creates its tables in database postgres
#   my %result = $load->run(door => 'statement', seconds => 10, meanwhile => sub { ... });
#   $load->check('name', %result);
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
		'-I' . $node->config_data('--includedir'), glob("$sources/*.c"), '-o', $program,
		'-L' . $node->config_data('--libdir'), '-lpq', '-lpthread');
	$node->safe_psql('postgres', slurp_file("$sources/schema.sql"));
	return bless { node => $node, program => $program }, $class;
}

# Options: door => 'function', 'statement' or 'both'; seconds; writers; readers; meanwhile => sub { ... },
# which is called again and again until the time is over.
# Returns what the program printed, by name, and the counters of the cache by what they grew.
sub run
{
	my ($self, %options) = @_;
	my ($node, $seconds) = ($self->{node}, $options{seconds});
	my @names = qw(hits local_hits misses bypasses fills fills_skipped bad_entries invalidations
	  redis_errors evictions);
	my $counters = 'SELECT ' . join(', ', @names) . ' FROM cache_ext.stats(), cache_ext.local_memory()';
	my @before = split /\|/, $node->safe_psql('postgres', $counters);

	# What it reports goes to this test's own output.
	my $pid = open(my $pipe, '-|', $self->{program}, $node->connstr('postgres'), $options{door},
		$seconds, $options{writers} // 4, $options{readers} // 8)
	  or croak "load: $!";
	if ($options{meanwhile})
	{
		my $end = time + $seconds;
		$options{meanwhile}->() while time < $end;
	}
	my %result = map { /^(\w+)=(\d+)$/ ? ($1 => $2) : () } <$pipe>;
	close($pipe);
	$result{status} = $? >> 8;

	my @after = split /\|/, $node->safe_psql('postgres', $counters);
	$result{ $names[$_] } = $after[$_] - $before[$_] for 0 .. $#names;
	return %result;
}

# Tests that a run was right, and says what it did.
sub check
{
	my ($self, $name, %result) = @_;

	note "$name: ", join(', ', map { "$_ $result{$_}" } sort keys %result);
	diag sprintf('%s: %d reads through the cache (%d hits, %d of them local, %d misses, %d bypasses, '
		  . '%d evictions), %d others, %d commits, %d rollbacks, %d definitions: %d violations, %d errors', $name,
		map { $result{$_} } qw(cached_reads hits local_hits misses bypasses evictions plain_reads commits rollbacks
		  definitions violations errors));
	is($result{violations}, 0, "$name: every read is right");
	is($result{errors}, 0, "$name: no error reaches a client");
	is($result{status}, 0, "$name: the load ran to its end");
	cmp_ok($result{commits}, '>', 100, "$name: something was written");
	return;
}

1;
