# test/perl/Crash.pm
#
# Crashes of a server.
#
#   kill_server($node);                       # kill -9 of all of it; it can be started again
#   kill_at($node, $writer, 'point', $sql);   # kill -9 of a session while it stands at a stop point;
#                                             # the server has started again by itself
#
# The latter needs restart_after_crash, and the functions of test/stop_points.sql.
package Crash;

use strict;
use warnings;

use CacheTest;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Session;

our @EXPORT = qw(kill_server kill_at);

# What /proc says about a process: "pid (name) state parent ...".
sub _stat
{
	open(my $file, '<', "/proc/$_[0]/stat") or return;
	return <$file>;
}

# Its other processes need a moment to notice, and it doesn't start again before they are gone.
sub kill_server
{
	my ($node) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = grep { (_stat($_) // '') =~ /\) \S+ $postmaster / }
	  map { m{/proc/(\d+)} } glob '/proc/[0-9]*';

	$node->kill9;
	wait_until('the processes of the server are gone', sub { !grep { kill 0, $_ } @children });
	return;
}

# The statements set cache_ext.stop_at themselves, and get there.
sub kill_at
{
	my ($node, $session, $point, $sql) = @_;
	my $watcher = Session->new($node);

	$session->send($sql);
	$watcher->ok("SELECT stop_await('$point')");
	kill 'KILL', $session->pid;

	# The server ends every session, and starts again.
	$watcher->query('SELECT pg_sleep(170)');
	$watcher->close;
	$session->finish;
	$session->close;
	$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'no restart after a crash';
	return;
}

1;
