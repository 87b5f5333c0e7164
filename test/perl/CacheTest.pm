# test/perl/CacheTest.pm
#
# What the TAP tests of the cache have in common.
#
#   my $node = cache_node('main', $redis, "cache_ext.redis_timeout = '1s'");
#   my $s = Session->new($node);
#   cached($s, 'SELECT ...', 'argument');     # the one column of text, through the cache
#   outcome($s, 'SELECT ...');                # hit, stored, missed, bypass or plain
#   is_exact($s, 'SELECT ...', 'test name');  # the cache's result is the uncached one
#   hits($s, ...), stores($s, ...)            # the same, and what became of the query
package CacheTest;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(cache_node create_extension wait_until through_cache cached uncached outcome
  counter is_exact hits stores misses bypasses not_hit redis_is_used seconds shown_url);

# A started cluster with the library preloaded and the extension created; UTF8 whatever the
# environment says.  Settings are lines of postgresql.conf; the name may be [ name, options of init ].
sub cache_node
{
	my ($name, $redis, @settings) = @_;
	($name, my @init) = ref $name ? @$name : $name;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--no-locale' ], @init);
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = 'cache_ext'",
		'fsync = off',
		'autovacuum = off',
		$redis ? "cache_ext.redis_url = '" . $redis->url . "'" : (),
		# Nothing here should fail because the machine is busy.
		"cache_ext.redis_timeout = '30s'",
		"cache_ext.redis_connect_timeout = '30s'",
		@settings, ''));
	$node->start;
	create_extension($node);
	return $node;
}

sub create_extension
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE EXTENSION cache_ext');
	return;
}

# Polls, for what happens soon but not at once; dies if it never does.
sub wait_until
{
	my ($what, $test) = @_;
	for (my $end = time + $PostgreSQL::Test::Utils::timeout_default; time < $end; usleep(10_000))
	{
		return if $test->();
	}
	croak "never happened: $what";
}

sub literal
{
	my ($text) = @_;
	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

# The statement that runs a query of one column of text through the cache.
sub through_cache
{
	my ($sql, @args) = @_;
	return 'SELECT * FROM cache_ext.query_as(NULL::text, ' . literal($sql) . ', ARRAY['
	  . join(', ', map { literal($_) } @args) . ']::text[])';
}

sub cached
{
	my ($s, $sql, @args) = @_;
	return $s->query(through_cache($sql, @args));
}

# The same with the cache switched off: parameters and errors are treated in the same way.
sub uncached
{
	my ($s, $sql, @args) = @_;
	$s->ok('SET cache_ext.enabled = off');
	my $output = cached($s, $sql, @args);
	$s->query('SET cache_ext.enabled = on');
	return $output;
}

sub counter
{
	my ($s, $name) = @_;
	return $s->ok("SELECT $name FROM cache_ext.stats()");
}

# What became of a query, told from the counters: nothing else may use the cache meanwhile.  In list
# context with the result.
sub outcome
{
	my ($s, $sql, @args) = @_;
	my $counters = 'SELECT hits, fills, misses, bypasses FROM cache_ext.stats()';
	my @before = split /\|/, $s->ok($counters);
	my $output = cached($s, $sql, @args);
	my @after = split /\|/, $s->ok($counters);
	my @did = map { $after[$_] - $before[$_] } 0 .. 3;
	my $outcome =
	    $did[0] ? 'hit'
	  : $did[1] ? 'stored'
	  : $did[2] ? 'missed'
	  : $did[3] ? 'bypass'
	  : 'plain';
	return wantarray ? ($outcome, $output) : $outcome;
}

sub _outcome_is
{
	my ($expected, $s, $sql, $name, @args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 2;
	my ($outcome, $output) = outcome($s, $sql, @args);
	my $plain = uncached($s, $sql, @args);

	if ($outcome =~ $expected && $output eq $plain)
	{
		pass("$name: $outcome");
	}
	else
	{
		fail("$name: $outcome");
		diag("expected $expected and:\n$plain\ngot:\n$output");
	}
	return;
}

# Tests of what became of a query, each with its result compared with the uncached one.
sub is_exact { return _outcome_is(qr/./, @_); }
sub hits { return _outcome_is(qr/^hit$/, @_); }
sub stores { return _outcome_is(qr/^stored$/, @_); }
sub misses { return _outcome_is(qr/^missed$/, @_); }
sub bypasses { return _outcome_is(qr/^bypass$/, @_); }
sub not_hit { return _outcome_is(qr/^(?!hit)/, @_); }

# Waits until the cache works again: whatever it was told of Redis before is forgotten by a reload.
sub redis_is_used
{
	my ($s, $sql) = @_;
	$s->ok('SELECT pg_reload_conf()');
	wait_until('Redis is used', sub { outcome($s, $sql) eq 'hit' });
	return;
}

# What SHOW says of a redis_url: no password.
sub shown_url { return $_[0] =~ s{^(\w+://[^/?:]*:).*@}{$1***@}r; }

# How long something took.
sub seconds
{
	my ($code) = @_;
	my $start = Time::HiRes::time();
	$code->();
	return Time::HiRes::time() - $start;
}

1;
