# test/perl/Entities.pm
#
# What the tests of attached tables have in common.
#
#   all_delivered($node);                  # waits until Redis was told of all that was committed
#   my $row = entity($client, 'user:7');   # { column => value } in Redis; {} without columns; undef if absent
#   entity_text($client, 'user:7');        # the same as text, columns in order: id=7 name=x; 'gone', 'absent'
#   entity_bytes($client, 'user:7');       # as they are stored
#   entity_version($client, 'user:7');     # the version's bytes, which compare as versions do
#   stored_key('user:7');                  # the name of the key
#   decode_map($bytes);                    # MessagePack, without the version
#
# $client is a Resp.  true and false are \1 and \0, NULL is undef, bin is a Bytes object, an extension
# an Extension object.
package Entities;

use strict;
use warnings;

use CacheTest;
use Carp;
use Exporter 'import';

our @EXPORT = qw(all_delivered entity entity_text entity_bytes entity_version stored_key decode_map);

sub all_delivered
{
	my ($node) = @_;
	wait_until('all is delivered', sub {
		return $node->safe_psql('postgres', 'SELECT backlog + sweeps_pending, worker FROM cache_ext.delivery')
		  eq '0|idle';
	});
	return;
}

sub stored_key { return "cache_ext:postgres:row:$_[0]"; }

sub entity_bytes
{
	my ($client, $key) = @_;
	return $client->call('GET', stored_key($key));
}

sub entity_version
{
	my ($client, $key) = @_;
	my $bytes = entity_bytes($client, $key) // return;
	croak "no version: $key" unless $bytes =~ /\xa8_version\xc4\x1c(.{28})\z/s;
	return $1;
}

sub _take
{
	my ($at, $count) = @_;
	croak 'the map ends too early' if length $$at < $count;
	return substr($$at, 0, $count, '');
}

sub _many { my ($at, $count) = @_; return [ map { _value($at) } 1 .. $count ]; }

sub _pairs
{
	my ($at, $count) = @_;
	my @pairs = map { _value($at) } 1 .. 2 * $count;
	return {@pairs};
}

sub _extension
{
	my ($at, $count) = @_;
	my ($type, $data) = unpack 'c a*', _take($at, $count + 1);
	return bless { type => $type, data => $data }, 'Extension';
}

sub _bin
{
	my ($at, $count) = @_;
	my $data = _take($at, $count);
	return bless \$data, 'Bytes';
}

sub _value
{
	my ($at) = @_;
	my $first = ord _take($at, 1);
	return $first if $first <= 0x7f;
	return _pairs($at, $first & 0xf) if $first <= 0x8f;
	return _many($at, $first & 0xf) if $first <= 0x9f;
	return _take($at, $first & 0x1f) if $first <= 0xbf;
	return undef if $first == 0xc0;
	return \0 if $first == 0xc2;
	return \1 if $first == 0xc3;
	return _bin($at, unpack 'C', _take($at, 1)) if $first == 0xc4;
	return _bin($at, unpack 'n', _take($at, 2)) if $first == 0xc5;
	return _bin($at, unpack 'N', _take($at, 4)) if $first == 0xc6;
	return _extension($at, unpack 'C', _take($at, 1)) if $first == 0xc7;
	return unpack 'f>', _take($at, 4) if $first == 0xca;
	return unpack 'd>', _take($at, 8) if $first == 0xcb;
	return unpack 'C', _take($at, 1) if $first == 0xcc;
	return unpack 'n', _take($at, 2) if $first == 0xcd;
	return unpack 'N', _take($at, 4) if $first == 0xce;
	return unpack 'Q>', _take($at, 8) if $first == 0xcf;
	return unpack 'c', _take($at, 1) if $first == 0xd0;
	return unpack 's>', _take($at, 2) if $first == 0xd1;
	return unpack 'l>', _take($at, 4) if $first == 0xd2;
	return unpack 'q>', _take($at, 8) if $first == 0xd3;
	return _extension($at, 1 << ($first - 0xd4)) if $first >= 0xd4 && $first <= 0xd8;
	return _take($at, unpack 'C', _take($at, 1)) if $first == 0xd9;
	return _take($at, unpack 'n', _take($at, 2)) if $first == 0xda;
	return _take($at, unpack 'N', _take($at, 4)) if $first == 0xdb;
	return _many($at, unpack 'n', _take($at, 2)) if $first == 0xdc;
	return _many($at, unpack 'N', _take($at, 4)) if $first == 0xdd;
	return _pairs($at, unpack 'n', _take($at, 2)) if $first == 0xde;
	return $first - 256 if $first >= 0xe0;
	croak sprintf 'no MessagePack: %02x', $first;
}

sub decode_map
{
	my ($bytes) = @_;
	my $map = _value(\$bytes);
	croak 'bytes follow the map' if $bytes ne '';
	delete $map->{_version};
	return $map;
}

sub entity
{
	my ($client, $key) = @_;
	my $bytes = entity_bytes($client, $key);
	return defined $bytes ? decode_map($bytes) : undef;
}

sub entity_text
{
	my ($client, $key) = @_;
	my $map = entity($client, $key) // return 'absent';
	return 'gone' unless %$map;
	return join ' ', map { "$_=" . ($map->{$_} // 'NULL') } sort keys %$map;
}

1;
