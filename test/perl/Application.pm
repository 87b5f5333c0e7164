# test/perl/Application.pm
#
# What the TAP tests of functions for applications have in common.
#
#   create_result_of($s);                                   # once in a database
#   returns($s, "cache_ext.get('a')", '1', 'test name');    # the value of an expression, as text
#   refuses($s, "cache_ext.get('')", '22023', 'test name'); # the SQLSTATE of its error
#   my ($state, $message) = refusal($s, $expression);       # 'none' and the value if there is none
#   use_redis($node, $s, $redis->url);                      # from now on
#   redis_answers($s);                                      # forgets that it didn't, and waits until it does
#
# A statement that should fail is run in a subtransaction, so that these work in transactions too.
package Application;

use strict;
use warnings;

use CacheTest;
use Exporter 'import';
use Test::More;

our @EXPORT = qw(create_result_of returns refuses refusal use_redis redis_answers);

sub create_result_of
{
	my ($s) = @_;
	$s->ok(q{
		CREATE FUNCTION result_of(expression text) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE result text; context text; detail text;
		BEGIN
			EXECUTE 'SELECT (' || expression || ')::text' INTO result;
			RETURN 'none ' || coalesce(result, 'NULL');
		EXCEPTION WHEN OTHERS OR query_canceled THEN
			GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT, detail = PG_EXCEPTION_DETAIL;
			RETURN SQLSTATE || ' ' || concat_ws('; ', SQLERRM, nullif(detail, ''), split_part(context, E'\n', 1));
		END $$});
	return;
}

sub refusal
{
	my ($s, $expression) = @_;
	$expression =~ s/'/''/g;
	return split / /, $s->ok("SELECT result_of('$expression')"), 2;
}

sub returns
{
	my ($s, $expression, $expected, $name) = @_;
	my ($state, $value) = refusal($s, $expression);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($state eq 'none' ? $value : "$state $value", $expected, $name // $expression);
	return;
}

sub refuses
{
	my ($s, $expression, $expected, $name, $message) = @_;
	my ($state, $said) = refusal($s, $expression);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($state, $expected, $name // $expression) or diag($said);
	like($said, $message, ($name // $expression) . ': message') if defined $message;
	return;
}

# A reload closes the breaker.
sub redis_answers
{
	my ($s) = @_;
	$s->ok('SELECT pg_reload_conf()');
	wait_until('Redis to answer', sub { (refusal($s, 'cache_ext.ping()'))[0] eq 'none' });
	return;
}

sub use_redis
{
	my ($node, $s, $url) = @_;
	$node->append_conf('postgresql.conf', "cache_ext.redis_url = '$url'");
	$s->ok('SELECT pg_reload_conf()');
	my $shown = $url =~ s{(://[^:/]*:)[^/]*@}{$1***@}r;
	wait_until('the new setting', sub { $s->ok('SHOW cache_ext.redis_url') eq $shown });
	redis_answers($s);
	return;
}

1;
