# test/perl/RedisMonitor.pm
#
# What a Redis server is sent, and what its scripts call, for TAP tests.
#
#   my $monitor = RedisMonitor->new($redis);
#   ...
#   my @lines = $monitor->stop;            # '1795342623.022414 [0 lua] "GET" "key"' and so on
package RedisMonitor;

use strict;
use warnings;

use Carp;
use CacheTest;
use PostgreSQL::Test::Utils;
use POSIX qw(_exit);

my $monitors = 0;

sub new
{
	my ($class, $redis) = @_;
	my $self = bless { redis => $redis, file => $redis->directory . '/monitor-' . ++$monitors, test => $$ }, $class;

	$self->{pid} = fork() // croak "fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $self->{file});
		exec($ENV{REDIS_CLI} || 'redis-cli', '-s', $redis->socket, 'MONITOR') or _exit(127);
	}
	wait_until('MONITOR begins', sub { $self->_text =~ /^OK$/m });
	return $self;
}

sub _text
{
	my ($self) = @_;
	return -e $self->{file} ? slurp_file($self->{file}) : '';
}

sub _end
{
	my ($self) = @_;
	return if $$ != $self->{test} || !$self->{pid};
	local $?;
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
	return;
}

sub stop
{
	my ($self) = @_;
	my $last = "the end of $self->{file}";

	$self->{redis}->cli('ECHO', $last);
	wait_until('MONITOR shows all', sub { $self->_text =~ /\Q$last\E/ });
	$self->_end;
	return grep { /^\d/ && !/\Q$last\E/ } split /\n/, $self->_text;
}

sub DESTROY { $_[0]->_end; return; }

1;
