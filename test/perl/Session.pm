# test/perl/Session.pm
#
# One psql that stays connected, for TAP tests that need sessions side by side.
#
#   use Session;
#   my $s = Session->new($node, dbname => 'postgres', user => 'alice');
#   $s->query('SELECT 1');                  # what psql printed: rows, notices and errors
#   $s->ok('CREATE TABLE t ()');            # the same, but dies of an error
#   $s->send('SELECT pg_sleep(60)');        # doesn't wait for it
#   $s->running;                            # true until its output is complete
#   $s->finish;                             # waits for it and returns its output
#   $s->pid;                                # of its backend
#   $s->close;
#
# A session whose server goes away returns what it printed until then; $s->closed is true afterwards.
package Session;

use strict;
use warnings;

use Carp;
use IO::Select;
use IPC::Open2;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

my %sessions;    # process id of psql => 1

# Options: dbname, user, application (application_name).
sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { buffer => '', queries => 0, busy => 0, closed => 0 }, $class;
	my $connection = $node->connstr($options{dbname} || 'postgres');

	$connection .= " user=$options{user}" if defined $options{user};
	$connection .= " application_name=$options{application}" if defined $options{application};
	# Errors come in the same stream as rows, so that their order is kept.
	$self->{psql} = open2($self->{out}, $self->{in}, 'sh', '-c', 'exec "$@" 2>&1', 'sh',
		$node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=terse', '-d', $connection);
	$self->{in}->autoflush(1);
	$sessions{ $self->{psql} } = 1;
	my $pid = $self->query('SELECT pg_backend_pid()');
	croak "no connection: $pid" unless $pid =~ /^\d+$/;
	$self->{pid} = $pid;
	return $self;
}

sub pid { return $_[0]->{pid}; }
sub closed { return $_[0]->{closed}; }

# SIGPIPE would end the test where psql has ended.
sub send
{
	my ($self, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';
	croak 'the last query is still running' if $self->{busy};
	$self->{queries}++;
	$self->{busy} = 1;
	print { $self->{in} } "$sql\n;\n\\echo ---done $self->{queries}---\n";
	return $self;
}

# Takes what psql has printed; true once the last query's output is complete.
sub _take
{
	my ($self, $wait) = @_;
	my $chunk;

	while (!$self->{closed} && $self->{buffer} !~ /^---done $self->{queries}---$/m)
	{
		return 0 unless IO::Select->new($self->{out})->can_read($wait);
		$self->{closed} = 1 unless sysread($self->{out}, $chunk, 65536);
		$self->{buffer} .= $chunk // '';
	}
	return 1;
}

sub running
{
	my ($self) = @_;
	return $self->{busy} && !$self->_take(0);
}

sub finish
{
	my ($self) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($self->_take(1))
	{
		croak "no answer from psql, but: $self->{buffer}" if time > $end;
	}
	my $output = $self->{buffer};
	$output =~ s/^---done $self->{queries}---\n//m;
	chomp $output;
	$self->{buffer} = '';
	$self->{busy} = 0;
	return $output;
}

sub query
{
	my ($self, $sql) = @_;
	return $self->send($sql)->finish;
}

sub ok
{
	my ($self, $sql) = @_;
	my $output = $self->query($sql);
	croak "$sql: $output" if $self->{closed} || $output =~ /^(ERROR|FATAL|psql:|server closed)/m;
	return $output;
}

sub close
{
	my ($self) = @_;
	return unless delete $sessions{ $self->{psql} };
	local $?;
	local $SIG{PIPE} = 'IGNORE';
	CORE::close($self->{in});
	CORE::close($self->{out});
	waitpid($self->{psql}, 0);
	return;
}

# It may be waiting for something that never comes any more.
sub DESTROY
{
	my ($self) = @_;
	kill 'TERM', $self->{psql} if $sessions{ $self->{psql} };
	$self->close;
	return;
}

my $test_process = $$;

END
{
	if ($$ == $test_process)
	{
		local $?;
		kill 'TERM', keys %sessions;
	}
}

1;
