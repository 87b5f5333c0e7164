# test/demo/decode.pl SOCKET KEY: what the extension left in Redis, read by another language.
use strict;
use warnings;
use Data::MessagePack;
use IO::Socket::UNIX;

my ($path, $key) = @ARGV;
my $redis = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
print $redis "*2\r\n\$3\r\nGET\r\n\$", length $key, "\r\n$key\r\n";
my ($length) = <$redis> =~ /^\$(\d+)/ or die "no such key\n";
read $redis, my ($bytes), $length;

my ($format, $epoch, $lsn, $created, $expires, $material, $columns, $rows, $checksum) =
  @{ Data::MessagePack->new->utf8->unpack($bytes) };

printf "  %-14s %s\n", @$_ for
  ['key', $key], ['bytes', length $bytes], ['format', $format], ['epoch', $epoch], ['LSN', $lsn],
  ['created', $created], ['expires', $expires], ['key material', length($material) . ' bytes'];
printf "  %-14s %s (type %d)\n", 'column', @$_[0, 1] for @$columns;
printf "  %-14s %s\n", 'row', join ' | ', map { $_ // 'NULL' } @$_ for @$rows;
printf "  %-14s %08x\n", 'checksum', $checksum;
