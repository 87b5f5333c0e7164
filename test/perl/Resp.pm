# test/perl/Resp.pm
#
# Redis's protocol for TAP tests: a client that pipelines, and a server that answers as it is told.
#
#   my $client = Resp->connect($redis->socket);
#   my $value = $client->call('GET', 'key');        # undef for nil; dies of an error reply
#   my @replies = $client->calls([ 'GET', 'a' ], [ 'GET', 'b' ]);   # errors as Resp::Error objects
#
#   my $fake = Resp::FakeServer->new(sub { my ($command, @arguments) = @_; return "+OK\r\n" });
#   $fake->url; $fake->connections; $fake->commands; $fake->commands('GET'); $fake->stop;
package Resp;

use strict;
use warnings;

use Carp;
use IO::Socket::UNIX;

sub connect
{
	my ($class, $path) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $path) or croak "$path: $!";
	return bless { socket => $socket, buffer => '' }, $class;
}

sub encode
{
	my (@words) = @_;
	return join('', '*' . @words . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @words);
}

sub _more
{
	my ($self) = @_;
	sysread($self->{socket}, my $chunk, 1 << 20) or return 0;
	$self->{buffer} .= $chunk;
	return 1;
}

sub _line
{
	my ($self) = @_;
	until ($self->{buffer} =~ /\r\n/)
	{
		$self->_more or return;
	}
	$self->{buffer} =~ s/^(.*?)\r\n//s;
	return $1;
}

sub _bytes
{
	my ($self, $length) = @_;
	while (length $self->{buffer} < $length + 2)
	{
		$self->_more or return;
	}
	my $bytes = substr($self->{buffer}, 0, $length);
	substr($self->{buffer}, 0, $length + 2) = '';
	return $bytes;
}

# One value of the protocol: a reply, or a command where this is the server.
sub read_value
{
	my ($self) = @_;
	my $line = $self->_line // return;
	my ($kind, $rest) = $line =~ /^(.)(.*)/s;

	return $rest if $kind eq '+' || $kind eq ':';
	return bless \$rest, 'Resp::Error' if $kind eq '-';
	return undef if $rest eq '-1';
	return $self->_bytes($rest) if $kind eq '$';
	return [ map { $self->read_value } 1 .. $rest ] if $kind eq '*';
	croak "not Redis's protocol: $line";
}

sub calls
{
	my ($self, @commands) = @_;
	my @replies;

	while (my @some = splice(@commands, 0, 100))
	{
		print { $self->{socket} } map { encode(@$_) } @some;
		$self->{socket}->flush;
		push @replies, map { $self->read_value } @some;
	}
	return @replies;
}

sub call
{
	my ($self, @command) = @_;
	my ($reply) = $self->calls(\@command);
	croak "@command: $$reply" if ref $reply eq 'Resp::Error';
	return $reply;
}

package Resp::FakeServer;

use strict;
use warnings;

use Carp;
use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use POSIX qw(_exit);

# What the background worker asks, once a second, is answered here and not counted: that the server is
# the owner of its keys, and that there are none.
sub _answer_worker
{
	my (@command) = @_;
	return '' . Resp::encode("run_id:" . 'f' x 40) =~ s/^\*1\r\n//r if $command[0] eq 'INFO';
	return Resp::encode(1700000000, 0) if $command[0] eq 'TIME';
	return "*3\r\n\$4\r\nkept\r\n:$command[6]\r\n\$0\r\n\r\n"
	  if $command[0] eq 'EVALSHA' && $command[3] =~ /:owner$/;
	return "*2\r\n\$1\r\n0\r\n*0\r\n" if $command[0] eq 'SCAN' && $command[3] =~ /:\*:row:\*$/;
	return undef;
}

# The sub gets a command's words and returns the bytes to send, '' to send none, or undef to close the
# connection.
sub new
{
	my ($class, $answer) = @_;
	my $directory = File::Temp::tempdir('fake-XXXX', TMPDIR => 1, CLEANUP => 1);
	my $self = bless { path => "$directory/s", log => "$directory/log", test => $$ }, $class;
	my $listener = IO::Socket::UNIX->new(Local => $self->{path}, Listen => 64)
	  or croak "$self->{path}: $!";

	chmod 0777, $self->{path};
	open(my $log, '>>', $self->{log}) or croak "$self->{log}: $!";
	$log->autoflush(1);
	$self->{pid} = fork() // croak "fork: $!";
	return $self if $self->{pid};

	local $SIG{PIPE} = 'IGNORE';
	my $select = IO::Select->new($listener);
	my %clients;
	for (;;)
	{
		for my $socket ($select->can_read)
		{
			if ($socket == $listener)
			{
				my $new = $listener->accept or next;
				$clients{ fileno $new } = bless { socket => $new, buffer => '' }, 'Resp';
				$select->add($new);
				print $log "connection\n";
				next;
			}
			my $client = $clients{ fileno $socket };
			my $open = $client->_more;
			while ($open && $client->{buffer} ne '')
			{
				my $command = $client->read_value // last;
				my $for_worker = _answer_worker(@$command);
				if (defined $for_worker)
				{
					print $log "worker\n" unless $client->{is_worker}++;
					syswrite($socket, $for_worker);
					next;
				}
				print $log "command @$command\n";
				my $reply = $answer->(@$command);
				$open = defined $reply;
				syswrite($socket, $reply) if $open;
			}
			next if $open;
			$select->remove($socket);
			delete $clients{ fileno $socket };
			close $socket;
		}
	}
	_exit(0);
}

sub url { return 'unix://' . $_[0]->{path}; }

sub _events
{
	my ($self, $kind) = @_;
	open(my $log, '<', $self->{log}) or croak "$self->{log}: $!";
	return grep { /^$kind/ } <$log>;
}

sub connections { return $_[0]->_events('connection') - $_[0]->_events('worker'); }
sub commands { return scalar $_[0]->_events('command ' . ($_[1] // '')); }

sub stop
{
	my ($self) = @_;
	return if $$ != $self->{test} || !$self->{pid};
	local $?;
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	unlink $self->{path};
	$self->{pid} = undef;
	return;
}

sub DESTROY { $_[0]->stop; return; }

1;
