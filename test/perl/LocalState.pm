# test/perl/LocalState.pm
#
# A look into the local tier, through a module that is compiled here (test/protocol/local_state.c).
#
#   my $tier = LocalState->new($node);
#   $tier->used; $tier->entries; $tier->pins; $tier->evictions;
#   $tier->clear;                     # no entry can be found any more
#   $tier->unpinned_is('test name');  # nothing is pinned, now or soon
package LocalState;

use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Utils;
use Protocol;
use Test::More;

my $module;

sub new
{
	my ($class, $node) = @_;

	if (!$module)
	{
		$module = "$PostgreSQL::Test::Utils::tmp_check/local_state";
		system_or_bail('cc', '-O2', '-fPIC', '-shared', '-Wall', '-Werror', '-Isrc',
			'-I' . $node->config_data('--includedir-server'), 'test/protocol/local_state.c',
			'-o', "$module.so");
	}
	$node->safe_psql('postgres', slurp_file('test/protocol/local_state.sql'),
		extra_params => [ '-v', "module=$module" ]);
	return bless { connection => Protocol->connect($node) }, $class;
}

sub _value { return $_[0]->{connection}->value("SELECT $_[1] FROM local_state()"); }

sub used { return $_[0]->_value('used'); }
sub entries { return $_[0]->_value('entries'); }
sub pins { return $_[0]->_value('pins'); }
sub evictions { return $_[0]->_value('evictions'); }
sub clear { $_[0]->{connection}->rows('SELECT local_clear()'); return; }

# A session that ends lets go of its pins a moment after its client is gone.
sub unpinned_is
{
	my ($self, $name) = @_;
	wait_until($name, sub { $self->pins == 0 });
	pass($name);
	return;
}

1;
