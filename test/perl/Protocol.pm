# test/perl/Protocol.pm
#
# PostgreSQL's frontend/backend protocol 3 for TAP tests: what psql can't do, and every byte of what the
# server answers.
#
#   my $c = Protocol->connect($node, dbname => 'postgres', user => 'alice', client_encoding => 'LATIN1');
#
# Messages are collected until they are sent:
#
#   $c->parse('name', 'SELECT $1::int', 23)              # OIDs of parameters, 0 or none: inferred
#     ->bind('portal', 'name', [ '1', undef ], results => [1], params => [0])     # formats
#     ->describe('P', 'portal')                          # or 'S', 'name'
#     ->execute('portal', 10)                            # at most so many rows; 0 or none: all
#     ->close('S', 'name')->flush_output->sync;
#   $c->query('SELECT 1; SELECT 2');                     # simple
#   $c->send;
#
# and answers are read one by one, or up to ReadyForQuery:
#
#   my ($type, $body) = @{ $c->receive };                # undef when the server has closed the connection
#   my @messages = $c->answers;                          # sends, reads: [ type, body ], ...
#   my @texts = Protocol::shown(@messages);              # for people and for comparing
#
#   my @rows = $c->rows('SELECT ...');                   # simple: array references; dies of an error
#   $c->pid; $c->cancel; $c->disconnect;
package Protocol;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;

sub _connect_socket
{
	my ($node) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	return IO::Socket::UNIX->new(Peer => $path) || croak "$path: $!";
}

# Options are parameters of the startup message: settings too.  Authentication has to be trust.
sub connect
{
	my ($class, $node, %options) = @_;
	my $self = bless {
		node => $node,
		socket => _connect_socket($node),
		in => '',
		out => '',
	}, $class;

	$options{user} //= $ENV{PGUSER} || getpwuid($<);
	$options{database} = delete $options{dbname} // 'postgres';
	my $parameters = join('', map { "$_\0$options{$_}\0" } sort keys %options) . "\0";
	$self->{out} = pack('N N', 8 + length $parameters, 3 << 16) . $parameters;
	$self->send;
	for (;;)
	{
		my $message = $self->receive or croak 'the server closed the connection';
		my ($type, $body) = @$message;
		croak join ' ', error_fields($body) if $type eq 'E';
		croak 'authentication is not trust' if $type eq 'R' && unpack('N', $body) != 0;
		($self->{pid}, $self->{secret}) = unpack('N N', $body) if $type eq 'K';
		return $self if $type eq 'Z';
	}
}

sub pid { return $_[0]->{pid}; }

#
# Messages to the server
#

sub _put
{
	my ($self, $type, $body) = @_;
	$self->{out} .= $type . pack('N', 4 + length $body) . $body;
	return $self;
}

sub query { my ($self, $sql) = @_; return $self->_put('Q', "$sql\0"); }

sub parse
{
	my ($self, $name, $sql, @types) = @_;
	return $self->_put('P', "$name\0$sql\0" . pack('n N*', scalar @types, @types));
}

# Values are bytes in the format of their parameter: text unless params says otherwise.  A list of one
# format stands for all, an empty one for text.
sub bind
{
	my ($self, $portal, $name, $values, %formats) = @_;
	my @params = @{ $formats{params} || [] };
	my @results = @{ $formats{results} || [] };

	return $self->_put('B', "$portal\0$name\0"
		. pack('n n*', scalar @params, @params)
		. pack('n', scalar @$values)
		. join('', map { defined $_ ? pack('N/a*', $_) : pack('N', 0xffffffff) } @$values)
		. pack('n n*', scalar @results, @results));
}

sub describe { my ($self, $kind, $name) = @_; return $self->_put('D', "$kind$name\0"); }
sub close { my ($self, $kind, $name) = @_; return $self->_put('C', "$kind$name\0"); }
sub flush_output { return $_[0]->_put('H', ''); }
sub sync { return $_[0]->_put('S', ''); }

sub execute
{
	my ($self, $portal, $max_rows) = @_;
	return $self->_put('E', "$portal\0" . pack('N', $max_rows // 0));
}

sub send
{
	my ($self) = @_;
	local $SIG{PIPE} = 'IGNORE';
	while ($self->{out} ne '')
	{
		my $sent = syswrite($self->{socket}, $self->{out}) // croak "send: $!";
		substr($self->{out}, 0, $sent) = '';
	}
	return $self;
}

#
# Messages from the server
#

# Makes sure that so many bytes are there; false when the connection is closed.
sub _need
{
	my ($self, $length) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (length $self->{in} < $length)
	{
		croak 'no answer from the server' if time > $end;
		next unless IO::Select->new($self->{socket})->can_read(1);
		sysread($self->{socket}, $self->{in}, 1 << 20, length $self->{in}) or return 0;
	}
	return 1;
}

# [ type, body without its length ]
sub receive
{
	my ($self) = @_;
	$self->_need(5) or return;
	my ($type, $length) = unpack('a N', $self->{in});
	$self->_need(1 + $length) or return;
	my $body = substr($self->{in}, 5, $length - 4);
	substr($self->{in}, 0, 1 + $length) = '';
	return [ $type, $body ];
}

# Up to a message of this type, or the end of the connection.
sub receive_until
{
	my ($self, $last) = @_;
	my @messages;
	while (my $message = $self->receive)
	{
		push @messages, $message;
		last if $message->[0] eq $last;
	}
	return @messages;
}

sub answers { return $_[0]->send->receive_until('Z'); }

# Without waiting: has the server anything to say?
sub readable { return IO::Select->new($_[0]->{socket})->can_read($_[1] // 0) ? 1 : 0; }

#
# What messages say
#

sub columns
{
	my ($body) = @_;
	my ($count, $rest) = unpack('n a*', $body);
	return map {
		(my $length, $rest) = unpack('N a*', $rest);
		$length == 0xffffffff ? undef : substr($rest, 0, $length, '');
	} 1 .. $count;
}

sub error_fields
{
	my ($body) = @_;
	my %fields = map { /^(.)(.*)/s ? ($1 => $2) : () } split /\0/, $body;
	return @fields{qw(S C M)};
}

# Messages as texts: their type and, where they have one, their body with every byte in sight.
sub shown
{
	my (@messages) = @_;
	return map {
		my ($type, $body) = @$_;
		$body =~ s/([^ -\[\]-~])/sprintf('\\%02x', ord $1)/ges;
		$body eq '' ? $type : "$type $body";
	} @messages;
}

sub rows
{
	my ($self, $sql) = @_;
	my @messages = $self->query($sql)->answers;
	my ($error) = grep { $_->[0] eq 'E' } @messages;
	croak "$sql: " . join(' ', error_fields($error->[1])) if $error;
	return map { [ columns($_->[1]) ] } grep { $_->[0] eq 'D' } @messages;
}

# The first column of the first row.
sub value { my ($row) = $_[0]->rows($_[1]); return $row->[0]; }

# Asks for the end of what the server is doing for this connection, by another one.
sub cancel
{
	my ($self) = @_;
	my $socket = _connect_socket($self->{node});
	syswrite($socket, pack('N N N N', 16, 1234 << 16 | 5678, $self->{pid}, $self->{secret}));
	sysread($socket, my $nothing, 1);	# the server closes it once it has passed this on
	return;
}

# Goes away without a word.
sub disconnect { CORE::close($_[0]->{socket}); return; }

1;
