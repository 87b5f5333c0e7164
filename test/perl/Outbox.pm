# test/perl/Outbox.pm
#
# What the tests of delivery have in common.
#
#   my $node = cache_node('one', $redis);
#   create_outbox($node);                  # the functions of test/outbox, and its table t
#   seen($redis, 7);                       # v of t's row 7 in Redis; '' without a row; undef if absent
#   settled($node);                        # waits until everything is delivered
#   delivery($s, 'backlog');               # a column of the view
#   version($redis, 7);                    # [ system, timeline, generation, lsn, sequence ]
#   worker_pid($node);
#   right($node, $redis, 'test name');     # at rest: every key is its row, or absent
package Outbox;

use strict;
use warnings;

use CacheTest;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Resp;
use Test::More;

our @EXPORT = qw(create_outbox build_outbox seen at_key settled delivery version right worker_pid
  stored);

my $module;

sub build_outbox
{
	my ($node) = @_;
	return if $module;
	$module = "$PostgreSQL::Test::Utils::tmp_check/server_outbox";
	system_or_bail('cc', '-g', '-O2', '-fPIC', '-shared', '-Wall', '-Wextra', '-Wno-unused-parameter',
		'-Wno-missing-field-initializers', '-Wno-sign-compare', '-Werror', '-Isrc',
		'-I' . $node->config_data('--includedir-server'), 'test/outbox/server_outbox.c', '-o',
		"$module.so");
	return;
}

sub create_outbox
{
	my ($node) = @_;
	build_outbox($node);
	$node->safe_psql('postgres', slurp_file('test/outbox/server_outbox.sql'),
		extra_params => [ '-v', "module=$module" ]);
	$node->safe_psql('postgres', slurp_file('test/stop_points.sql'));
	return;
}

# The bytes of a key.
sub stored
{
	my ($redis, $key) = @_;
	return Resp->connect($redis->socket)->call('GET', $key);
}

# What a stored map says of v.
sub at_key
{
	my ($redis, $key) = @_;
	my $bytes = stored($redis, $key);
	return undef unless defined $bytes;
	return '' if $bytes =~ /^\x81\xa8_version\xc4\x1c.{28}\z/s;
	die "not an entity: " . unpack('H*', $bytes)
	  unless $bytes =~ /^\x82\xa1v\xcd(..)\xa8_version\xc4\x1c.{28}\z/s;
	return unpack 'n', $1;
}

sub seen { return at_key($_[0], "cache_ext:db:row:t:$_[1]"); }

sub version
{
	my ($redis, $id) = @_;
	my $bytes = stored($redis, "cache_ext:db:row:t:$id") // return;
	return [ unpack 'Q> N N Q> N', substr $bytes, -28 ];
}

# It has no database, so no view shows it.
sub worker_pid
{
	my ($node) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	for my $directory (glob '/proc/[0-9]*')
	{
		my ($stat, $command) = map { -e $_ ? eval { slurp_file($_) } // '' : '' } "$directory/stat", "$directory/cmdline";
		return $directory =~ s{/proc/}{}r if $stat =~ /\) \S+ $postmaster / && $command =~ /cache_ext worker/;
	}
	return;
}

sub delivery
{
	my ($s, $column) = @_;
	return $s->ok("SELECT $column FROM cache_ext.delivery");
}

sub settled
{
	my ($node) = @_;
	wait_until('everything is delivered', sub {
		$node->safe_psql('postgres',
			'SELECT backlog, sweeps_pending, memory_used, worker FROM cache_ext.delivery') eq '0|0|0|idle';
	});
	return;
}

sub right
{
	my ($node, $redis, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %rows = map { split /\|/ } split /\n/, $node->safe_psql('postgres', 'SELECT id, v FROM t');
	my @wrong;
	my %found;

	for my $key ($redis->keys('cache_ext:db:row:t:*'))
	{
		my ($id) = $key =~ /(\d+)$/;
		my $v = seen($redis, $id);
		next if !defined $v || $v eq '';
		$found{$id} = 1;
		push @wrong, "$id: $v, not " . ($rows{$id} // 'absent') unless defined $rows{$id} && $rows{$id} == $v;
	}
	is(join("\n", @wrong), '', "$name: every key is its row");
	return scalar keys %found;
}

1;
