# test/perl/RedisServer.pm
#
# Throwaway Redis servers for TAP tests.
#
#   use RedisServer;
#   my $redis = RedisServer->new('main');            # started, on a Unix socket, without persistence
#   my $other = RedisServer->new('tcp', tcp => 1);   # on a free loopback port too
#   $node->append_conf('postgresql.conf', "cache_ext.redis_url = '" . $redis->url . "'");
#
#   $redis->cli('GET', 'key');        # what redis-cli prints, without the last newline
#   $redis->config('maxmemory', '2mb');
#   $redis->flush;
#   $redis->pause; $redis->resume;    # SIGSTOP, SIGCONT
#   $redis->stop; $redis->start;      # in order, and empty again
#   $redis->kill9;                    # then start
#   my $dump = $redis->save_dump; ... $redis->restart_from_dump($dump);
#
# Every server is ended when its object goes away, or the test ends.  REDIS_SERVER and REDIS_CLI in
# the environment name the programs; `make check` sets them.
package RedisServer;

use strict;
use warnings;

use Carp;
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(:sys_wait_h _exit);
use Time::HiRes qw(usleep);

my $start_timeout = 60;
my %running;    # process id => 1, of all servers this test started

# Options: tcp => 1; password => '...'; arguments => [ further arguments of redis-server ].
sub new
{
	my ($class, $name, %options) = @_;
	my $self = bless {
		name => $name,
		directory => File::Temp::tempdir("redis-$name-XXXX", TMPDIR => 1, CLEANUP => 1),
		password => $options{password},
		arguments => $options{arguments} || [],
		port => 0,
		pid => undef,
	}, $class;
	$self->{port} = _free_port() if $options{tcp};
	$self->start;
	return $self;
}

sub _free_port
{
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', Proto => 'tcp')
	  or croak "no free port: $!";
	return $socket->sockport;
}

sub socket { return $_[0]->{directory} . '/s'; }
sub port { return $_[0]->{port}; }
sub pid { return $_[0]->{pid}; }
sub directory { return $_[0]->{directory}; }
sub logfile { return $_[0]->{directory} . '/log'; }

# What cache_ext.redis_url takes.
sub url { return 'unix://' . $_[0]->socket; }

sub tcp_url
{
	my ($self) = @_;
	croak "not started with tcp" unless $self->{port};
	my $login = defined $self->{password} ? ":$self->{password}@" : '';
	return "redis://${login}127.0.0.1:$self->{port}/0";
}

# Starts the server and waits until it answers.
sub start
{
	my ($self) = @_;
	croak "already running" if $self->{pid};
	my @command = (
		$ENV{REDIS_SERVER} || 'redis-server',
		'--bind', '127.0.0.1', '--port', $self->{port}, '--unixsocket', $self->socket,
		'--dir', $self->{directory}, '--logfile', 'log', '--save', '', '--appendonly', 'no',
		'--daemonize', 'no');
	push @command, '--requirepass', $self->{password} if defined $self->{password};
	push @command, @{ $self->{arguments} };

	unlink $self->socket;
	my $pid = fork();
	croak "fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $self->logfile);
		open(STDERR, '>&', \*STDOUT);
		exec { $command[0] } @command or _exit(127);
	}
	$self->{pid} = $pid;
	$running{$pid} = 1;

	for (my $end = time + $start_timeout; time < $end; usleep(20_000))
	{
		return $self if -S $self->socket && (eval { $self->cli('PING') } // '') eq 'PONG';
		$self->_reap(WNOHANG) and croak "Redis '$self->{name}' ended: " . $self->_log;
	}
	croak "Redis '$self->{name}' doesn't answer: " . $self->_log;
}

sub _log
{
	my ($self) = @_;
	open(my $file, '<', $self->logfile) or return 'no log';
	local $/;
	return <$file>;
}

# Waits for the process to end; true once it has.
sub _reap
{
	my ($self, $flags) = @_;
	return 0 unless waitpid($self->{pid}, $flags) == $self->{pid};
	delete $running{ $self->{pid} };
	$self->{pid} = undef;
	return 1;
}

sub _end
{
	my ($self, $signal) = @_;
	return unless $self->{pid};
	local $?;
	kill 'CONT', $self->{pid};
	kill $signal, $self->{pid};
	$self->_reap(0);
	return;
}

# Ends it in order: clients see their connections closed, nothing is saved.
sub stop { $_[0]->_end('TERM'); return; }

# Ends it as a crash would.
sub kill9 { $_[0]->_end('KILL'); return; }

# Stops it from answering, with its connections open; the kernel still accepts new ones.
sub pause
{
	my ($self) = @_;
	kill 'STOP', $self->{pid} or croak "SIGSTOP: $!";
	waitpid($self->{pid}, WUNTRACED);
	return;
}

sub resume
{
	my ($self) = @_;
	kill 'CONT', $self->{pid} or croak "SIGCONT: $!";
	return;
}

# Runs redis-cli.  Returns what it printed; dies if it couldn't connect.
sub cli
{
	my ($self, @arguments) = @_;
	my @command = ($ENV{REDIS_CLI} || 'redis-cli', '-s', $self->socket);
	push @command, '--no-auth-warning', '-a', $self->{password} if defined $self->{password};
	open(my $pipe, '-|', @command, @arguments) or croak "redis-cli: $!";
	local $/;
	my $output = <$pipe> // '';
	close($pipe) or croak "redis-cli @arguments: exit status $?: $output";
	$output =~ s/\n\z//;
	return $output;
}

sub flush { $_[0]->cli('FLUSHALL'); return; }

# Keys that match a pattern (all of them without one), sorted.
sub keys
{
	my ($self, $pattern) = @_;
	return sort split /\n/, $self->cli('--scan', '--pattern', $pattern // '*');
}

sub config
{
	my ($self, $name, $value) = @_;
	my $answer = $self->cli('CONFIG', 'SET', $name, $value);
	croak "CONFIG SET $name: $answer" unless $answer eq 'OK';
	return;
}

# A dump of what it holds now: the name of a file for restart_from_dump.
sub save_dump
{
	my ($self) = @_;
	$self->cli('SAVE');
	my $dump = "$self->{directory}/dump-" . ++$self->{dumps} . '.rdb';
	copy("$self->{directory}/dump.rdb", $dump) or croak "copy: $!";
	unlink "$self->{directory}/dump.rdb";
	return $dump;
}

# Kills it and starts it with what it held when the dump was made.
sub restart_from_dump
{
	my ($self, $dump) = @_;
	$self->kill9;
	copy($dump, "$self->{directory}/dump.rdb") or croak "copy: $!";
	$self->start;
	unlink "$self->{directory}/dump.rdb";
	return;
}

sub DESTROY
{
	my ($self) = @_;
	$self->kill9;
	return;
}

# Objects in global variables may be destroyed late or never.
my $test_process = $$;

END
{
	if ($$ == $test_process)
	{
		local $?;
		for my $pid (CORE::keys %running)
		{
			kill 'KILL', $pid;
			waitpid($pid, 0);
		}
	}
}

1;
