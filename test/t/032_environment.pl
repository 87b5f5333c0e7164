# What is replaced or edited outside the data directory while the server is down, or before it is
# restarted: results from before are not served, since the same statement may have another result.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

# Of the private installation that the tests run in.
chomp(my $share = `pg_config --sharedir`);
chomp(my $libraries = `pg_config --pkglibdir`);
my $own = "$PostgreSQL::Test::Utils::tmp_check/libraries";
my $linked = "$PostgreSQL::Test::Utils::tmp_check/linked";
mkdir $_ or die "$_: $!" for $own, $linked;

# As a package does it: a new file, with the time that it has in the package.
sub write_file
{
	my ($path, $text) = @_;
	open(my $file, '>', "$path.new") or die "$path: $!";
	print $file $text;
	close $file;
	utime 1_000_000_000, 1_000_000_000, "$path.new" or die $!;
	rename "$path.new", $path or die $!;
	return;
}

my %files = (
	'a stop word list' => "$share/tsearch_data/cache_ext.stop",
	'a dictionary' => "$share/tsearch_data/cache_ext.affix",
	'time zone abbreviations' => "$share/timezonesets/CacheExt",
	'a library of an extension' => "$libraries/cache_ext_other.so",
	'a library in dynamic_library_path' => "$own/other.so",
	'a library that one is linked with' => "$linked/libother.so.1");
write_file($_, 'first') for values %files;

local $ENV{LD_LIBRARY_PATH} = $linked . ($ENV{LD_LIBRARY_PATH} ? ":$ENV{LD_LIBRARY_PATH}" : '');
my $redis = RedisServer->new('environment');
my $node = cache_node('environment', $redis, 'cache_ext.local_memory = 0',
	"dynamic_library_path = '\$libdir:$own'");
$node->safe_psql('postgres', q{
	CREATE TABLE t (id int);
	INSERT INTO t VALUES (1);
	SELECT cache_ext.track('t')});
my $sql = 'SELECT sum(id)::text FROM t';

sub ask
{
	my ($test, $name) = @_;
	my $s = Session->new($node);
	$test->($s, $sql, $name);
	# stored in this epoch, since the next start accepts no older one
	$s->ok('UPDATE t SET id = id + 1');
	stores($s, $sql, "$name: stored");
	$s->close;
	return;
}

sub restart_with
{
	my ($name, $meanwhile) = @_;
	$node->stop;
	$meanwhile->();
	$node->start;
	ask(\&not_hit, $name);
	return;
}

sub restart_without
{
	my ($name, $meanwhile) = @_;
	$node->stop;
	$meanwhile->();
	$node->start;
	ask(\&hits, $name);
	return;
}

ask(\&not_hit, 'at first');
restart_without('nothing changed', sub {});
for my $name (sort keys %files)
{
	my $path = $files{$name};

	restart_with("$name grew", sub { write_file($path, 'and more') });
	restart_without("$name, left alone", sub {});
	restart_with("$name, another of the same size", sub { write_file($path, 'and less') });
	restart_with("$name was removed", sub { unlink $path });
	restart_with("$name is there", sub { write_file($path, 'first') });

	# an upgrade does it while the server runs
	write_file($path, 'upgraded');
	$node->restart;
	ask(\&not_hit, "$name replaced while the server ran");
}
restart_with('another library is preloaded', sub {
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cache_ext, pg_stat_statements'");
});
restart_with('and no more', sub {
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cache_ext'");
});
restart_with('another dynamic_library_path', sub {
	$node->append_conf('postgresql.conf', "dynamic_library_path = '\$libdir'");
});
restart_without('what no result depends on', sub {
	write_file("$share/cache_ext.sample", 'new');
	write_file("$own/README", 'new');
});

unlink values %files, "$share/cache_ext.sample";
done_testing();
