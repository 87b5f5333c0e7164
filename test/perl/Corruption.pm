# test/perl/Corruption.pm
#
# Damages entries in Redis: no reader may believe any of them.
#
#   my $corruption = Corruption->new($redis->socket);
#   my $count = $corruption->corrupt_all;        # every undamaged entry, in turn in each way
#   $corruption->remember;  ... $corruption->replay;     # what was there then is there again
package Corruption;

use strict;
use warnings;

use Resp;

sub new
{
	my ($class, $socket) = @_;
	return bless { client => Resp->connect($socket), remembered => {}, done => {} }, $class;
}

# CRC-32C, of which an entry's last four bytes are the value for all before them but one.
my @crc_table = map {
	my $value = $_;
	$value = $value & 1 ? ($value >> 1) ^ 0x82F63B78 : $value >> 1 for 1 .. 8;
	$value;
} 0 .. 255;

sub crc32c
{
	my $crc = 0xFFFFFFFF;
	$crc = ($crc >> 8) ^ $crc_table[ ($crc ^ $_) & 0xFF ] for unpack 'C*', $_[0];
	return $crc ^ 0xFFFFFFFF;
}

# With a right checksum, so that what reads the rest gets to see it.
sub sealed { return $_[0] . "\xce" . pack('N', crc32c($_[0])); }
sub unsealed { return substr($_[0], 0, -5); }

# Ways to damage an entry: name => sub of its bytes and another entry's.
my %ways = (
	'one bit' => sub {
		my ($bytes) = @_;
		vec($bytes, int rand(8 * length $bytes), 1) ^= 1;
		return $bytes;
	},
	'many bits' => sub {
		my ($bytes) = @_;
		vec($bytes, int rand(8 * length $bytes), 1) ^= 1 for 1 .. 20;
		return $bytes . 'x';    # if they took each other back
	},
	'truncated' => sub { return substr($_[0], 0, int rand length $_[0]); },
	'longer' => sub { return $_[0] . chr(int rand 256) x (1 + int rand 20); },
	'noise' => sub { return join '', map { chr int rand 256 } 0 .. int rand 500; },
	'empty' => sub { return ''; },
	'a middle byte missing' => sub {
		my ($bytes) = @_;
		substr($bytes, length($bytes) / 2, 1) = '';
		return $bytes;
	},
	'another entry' => sub { return $_[1]; },
	'two halves' => sub {
		return substr($_[0], 0, length($_[0]) / 2) . substr($_[1], length($_[1]) / 2);
	},
	# the first byte begins the array, the second is the format
	'another version' => sub {
		my $bytes = unsealed($_[0]);
		substr($bytes, 1, 1) = chr(rand() < 0.1 ? 1 : 3 + int rand 125);
		return sealed($bytes);
	},
	'another epoch' => sub {
		my $bytes = unsealed($_[0]);
		vec($bytes, 8 * 3 + int rand(8), 1) ^= 1;
		return sealed($bytes);
	},
	'the end missing, with a right checksum' => sub {
		return sealed(substr($_[0], 0, -6 - int rand(length($_[0]) / 2)));
	},
	'more rows than there should be, with a right checksum' => sub {
		return sealed(unsealed($_[0]) . "\x91\xc0");
	},
);
my @ways = sort keys %ways;

# Keys of another type.
my %types = (
	list => sub { return [ 'RPUSH', $_[0], 'x' ]; },
	hash => sub { return [ 'HSET', $_[0], 'x', 'y' ]; },
	set => sub { return [ 'SADD', $_[0], 'x' ]; },
	stream => sub { return [ 'XADD', $_[0], '*', 'x', 'y' ]; });
my @types = sort keys %types;

sub whole
{
	my ($bytes) = @_;
	return length $bytes > 40 && $bytes eq sealed(unsealed($bytes));
}

# All entries that are not damaged yet: key => bytes.
sub entries
{
	my ($self) = @_;
	my @keys = grep { /:q:/ } @{ $self->{client}->call('KEYS', '*') };
	my @values = $self->{client}->calls(map { [ 'GET', $_ ] } @keys);
	return map { $keys[$_] => $values[$_] }
	  grep { defined $values[$_] && !ref $values[$_] && whole($values[$_]) } 0 .. $#keys;
}

# Returns how many it damaged.
sub corrupt_all
{
	my ($self) = @_;
	my %entries = $self->entries;
	my @keys = sort keys %entries;
	my (@commands, $count);

	for my $key (@keys)
	{
		my $turn = $self->{turn}++ % (@ways + 1);

		# its own bytes would be no damage
		my $other = $entries{ $keys[ rand @keys ] };
		$other = 'x' if $other eq $entries{$key};

		if ($turn == @ways)
		{
			push @commands, [ 'DEL', $key ], $types{ $types[ rand @types ] }->($key);
			$self->{done}{'another type'}++;
		}
		else
		{
			my $way = $ways[$turn];
			push @commands, [ 'SET', $key, $ways{$way}->($entries{$key}, $other), 'PX', 3_600_000 ];
			$self->{done}{$way}++;
		}
		$count++;
	}
	$self->{client}->calls(@commands);
	return $count // 0;
}

sub remember
{
	my ($self) = @_;
	$self->{remembered} = { $self->entries };
	return;
}

sub replay
{
	my ($self) = @_;
	my $old = $self->{remembered};
	$self->{client}->calls(map { [ 'SET', $_, $old->{$_}, 'PX', 3_600_000 ] } keys %$old);
	return;
}

# What was done how often: way => count.
sub done { return %{ $_[0]->{done} }; }

1;
