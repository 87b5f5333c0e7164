# test/demo/decode.pl SOCKET KEY: what the extension left in Redis, read by another language.
use strict;
use warnings;
use Data::MessagePack;
use IO::Socket::UNIX;

my ($path, $key) = @ARGV;
my $redis = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
print $redis "*2\r\n\$3\r\nGET\r\n\$", length $key, "\r\n$key\r\n";
my ($length) = <$redis> =~ /^\$(\d+)/ or die "no such key\n";
read $redis, (my $bytes), $length;

my ($format, $epoch, $lsn, $until, $created, $expires, $material, $definition_tags, $row_tags, $columns,
	$rows, $checksum) =
  @{ Data::MessagePack->new->utf8->unpack($bytes) };

sub show { printf "  %-13s %s\n", @_; return; }
show('key', $key);
show('size', "$length bytes");
show('format', $format);
show('epoch', $epoch);
show('LSN', sprintf('%X/%X', $lsn >> 32, $lsn & 0xFFFFFFFF));
show('until', sprintf('%X/%X', $until >> 32, $until & 0xFFFFFFFF));
show('created', scalar localtime($created / 1e6));
show('expires', scalar localtime($expires / 1e6));
show('key material', length($material) . ' bytes');
show('tags', sprintf('%d of definitions, %d of rows', map { length($_) / 8 } $definition_tags, $row_tags));
show('columns', join ', ', map { "$_->[0] (type $_->[1])" } @$columns);
show('row', join '  ', map { $_ // 'NULL' } @$_) for @$rows;
show('checksum', sprintf('%08x', $checksum));
