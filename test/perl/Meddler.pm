# test/perl/Meddler.pm
#
# A proxy in front of Redis that delays what passes, and sends writes of entities a second time, late:
# deliveries that are slow, doubled and out of order.
#
#   my $meddler = Meddler->new($redis->socket);
#   $meddler->url;                         # for cache_ext.redis_url
#   $meddler->repeated;                    # how many were sent twice
#   $meddler->stop;
#
# What is sent again goes over a connection that was made with the first one: like a network's, its
# messages don't outlive the server that they were sent to.
package Meddler;

use strict;
use warnings;

use Carp;
use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use POSIX qw(_exit);
use Resp;
use Time::HiRes qw(time);

my $longest_delay = 0.03;
my $longest_repeat = 1.5;

sub new
{
	my ($class, $redis) = @_;
	my $directory = File::Temp::tempdir('meddler-XXXX', TMPDIR => 1, CLEANUP => 1);
	my $self = bless { path => "$directory/s", log => "$directory/log", redis => $redis, test => $$ }, $class;

	my $listener = IO::Socket::UNIX->new(Local => $self->{path}, Listen => 64) or croak "$self->{path}: $!";
	chmod 0777, $self->{path};
	open($self->{out}, '>>', $self->{log}) or croak "$self->{log}: $!";
	$self->{out}->autoflush(1);
	$self->{pid} = fork() // croak "fork: $!";
	return $self if $self->{pid};
	srand($$);
	local $SIG{PIPE} = 'IGNORE';
	$self->{listener} = $listener;
	$self->{select} = IO::Select->new($listener);
	$self->_step while 1;
	_exit(0);
}

# A client, its connection to Redis, and the one for repetitions.
sub _accept
{
	my ($self) = @_;
	my $client = $self->{listener}->accept or return;
	my ($redis, $late) = map { IO::Socket::UNIX->new(Peer => $self->{redis}) } 1, 2;
	return unless $redis && $late;
	my $link = { client => $client, redis => $redis, late => $late, resp => bless({ socket => $client, buffer => '' }, 'Resp'),
		waiting => [] };
	for ($client, $redis, $late)
	{
		$self->{links}{ fileno $_ } = $link;
		$self->{select}->add($_);
	}
	return;
}

sub _close
{
	my ($self, $link) = @_;
	for (@$link{qw(client redis late)})
	{
		delete $self->{links}{ fileno $_ };
		$self->{select}->remove($_);
		close $_;
	}
	$link->{closed} = 1;
	return;
}

# Complete commands at the start of a buffer, as bytes.
sub _commands
{
	my ($buffer) = @_;
	my @commands;
	while ($$buffer =~ /\A\*(\d+)\r\n/)
	{
		my ($words, $at) = ($1, $+[0]);
		my @words;
		while (@words < $words && substr($$buffer, $at, 20) =~ /\A\$(\d+)\r\n/)
		{
			last if length $$buffer < $at + $+[0] + $1 + 2;
			push @words, substr $$buffer, $at + $+[0], $1;
			$at += $+[0] + $1 + 2;
		}
		last if @words < $words;
		push @commands, { bytes => substr($$buffer, 0, $at, ''), words => \@words };
	}
	return @commands;
}

sub _from_client
{
	my ($self, $link) = @_;
	return $self->_close($link) unless $link->{resp}->_more;
	for my $command (_commands(\$link->{resp}{buffer}))
	{
		my $last = @{ $link->{waiting} } ? $link->{waiting}[-1]{at} : 0;
		my $at = time + (rand() < 0.05 ? rand $longest_delay : 0);
		push @{ $link->{waiting} }, { at => $at > $last ? $at : $last, bytes => $command->{bytes} };
		# setting an entity: script, number of keys, key, value, TTL, time limit
		next unless lc $command->{words}[0] eq 'evalsha' && @{ $command->{words} } == 7 && rand() < 0.2;
		push @{ $self->{repeats} }, { at => time + rand $longest_repeat, bytes => $command->{bytes}, link => $link };
	}
	return;
}

sub _step
{
	my ($self) = @_;
	for my $socket ($self->{select}->can_read(0.005))
	{
		if ($socket == $self->{listener}) { $self->_accept; next }
		my $link = $self->{links}{ fileno($socket) // next } or next;
		if ($socket == $link->{client}) { $self->_from_client($link); next }
		if (!sysread($socket, my $bytes, 1 << 20)) { $self->_close($link) }
		elsif ($socket == $link->{redis}) { syswrite($link->{client}, $bytes) }
	}
	my %seen;
	for my $link (grep { !$seen{$_}++ } values %{ $self->{links} })
	{
		while (@{ $link->{waiting} } && $link->{waiting}[0]{at} <= time)
		{
			syswrite($link->{redis}, shift(@{ $link->{waiting} })->{bytes});
		}
	}
	my @left;
	for my $repeat (@{ $self->{repeats} })
	{
		next if $repeat->{link}{closed};
		if ($repeat->{at} > time) { push @left, $repeat; next }
		syswrite($repeat->{link}{late}, $repeat->{bytes});
		print { $self->{out} } "repeated\n";
	}
	$self->{repeats} = \@left;
	return;
}

sub url { return "unix://$_[0]->{path}"; }

sub repeated
{
	my ($self) = @_;
	open(my $log, '<', $self->{log}) or croak "$self->{log}: $!";
	my @lines = <$log>;
	return scalar @lines;
}

sub stop
{
	my ($self) = @_;
	return if $$ != $self->{test} || !$self->{pid};
	local $?;
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
	return;
}

sub DESTROY { $_[0]->stop; return; }

1;
