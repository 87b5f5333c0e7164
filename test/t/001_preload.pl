# A server that does not preload the library: the extension can be created, restored and dropped,
# every function says what is missing, and triggers do nothing.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('bare');
$node->init;
$node->start;

$node->safe_psql('postgres', 'CREATE EXTENSION cache_ext');
pass('CREATE EXTENSION');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, value int)');

# Calls of every function that the extension has, from the catalog, so that none is forgotten.
my %arguments = (
	regclass => q{'t'}, text => q{'SELECT 1'}, 'text[]' => q{'{}'}, name => q{'public'},
	regprocedure => q{'now()'}, 'name[]' => q{'{id}'}, 'regclass[]' => q{'{t}'},
	interval => q{'1 min'}, anyelement => 'NULL::t', '"any"' => '1', boolean => 'true', bigint => '1',
	integer => '1', jsonb => q{'{}'}, 'jsonb[]' => q{'{}'});
my @functions = split /\n/, $node->safe_psql('postgres', q{
	SELECT proname, (SELECT string_agg(format_type(t, NULL), ',' ORDER BY n)
					 FROM unnest(proargtypes) WITH ORDINALITY a(t, n))
	FROM pg_proc
	WHERE pronamespace = 'cache_ext'::regnamespace AND prorettype <> 'trigger'::regtype AND
		proname <> 'function_definition'
	ORDER BY 1});
cmp_ok(scalar @functions, '>=', 12, 'there are functions to test');

for (@functions)
{
	my ($name, $types) = split /\|/;
	my @values = map { $arguments{$_} // die "no value of type $_ for $name" } split /,/, $types // '';
	$values[-1] = q{'bypass'} if $name =~ /^(query|query_as|explain)$/;
	my $call = "SELECT * FROM cache_ext.$name(" . join(', ', @values) . ')';
	$call .= ' AS (a int)' if $name eq 'query';

	my ($status, $out, $error) = $node->psql('postgres', $call);
	isnt($status, 0, "$name fails");
	like($error, qr/ERROR:\s+cache_ext is not loaded\n.*HINT:\s+Add cache_ext to shared_preload_libraries/s,
		"$name says what to do");
}
# An update of the extension calls one of them.
$node->safe_psql('postgres', q{
	DROP EXTENSION cache_ext;
	CREATE EXTENSION cache_ext VERSION '1.0';
	INSERT INTO cache_ext.allowed_functions VALUES ('now()', '{t}');
	ALTER EXTENSION cache_ext UPDATE});
is($node->safe_psql('postgres', q{
		SELECT function, reads, definition = cache_ext.function_definition(function::regprocedure)
		FROM cache_ext.allowed_functions}),
	'pg_catalog.now()|{public.t}|t', 'ALTER EXTENSION UPDATE needs no preloaded library');

# A dump of tracked tables, restored here.
my $redis = RedisServer->new('preload');
my $full = cache_node('full', $redis);
$full->safe_psql('postgres', q{
	CREATE TABLE plain (id int PRIMARY KEY, value int);
	CREATE TABLE keyed (id int PRIMARY KEY, value int);
	CREATE TABLE parted (id int, value int) PARTITION BY RANGE (id);
	CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (10);
	INSERT INTO plain SELECT g, g FROM generate_series(1, 10) g;
	INSERT INTO keyed SELECT g, g FROM generate_series(1, 10) g;
	INSERT INTO parted SELECT g, g FROM generate_series(1, 9) g;
	CREATE FUNCTION total() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT sum(value) FROM plain';
	SELECT cache_ext.track('plain');
	SELECT cache_ext.track('keyed', '{id}');
	SELECT cache_ext.track('parted', '{id}');
	SELECT cache_ext.allow_function('total()', '{plain}')});
my $dump = "$PostgreSQL::Test::Utils::tmp_check/dump.sql";
$full->command_ok([ 'pg_dump', '-d', $full->connstr('postgres'), '-f', $dump ], 'pg_dump');

$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ],
	'a dump with tracked tables is restored without the library');
my $triggers = 'SELECT count(*) FROM pg_trigger WHERE tgfoid::regproc::text LIKE \'cache_ext.%\'';
is($node->safe_psql('restored', $triggers), $full->safe_psql('postgres', $triggers),
	'with its triggers');
is($node->safe_psql('restored', q{
		INSERT INTO plain VALUES (11, 11); UPDATE keyed SET value = 0 WHERE id < 3;
		DELETE FROM parted WHERE id = 1; INSERT INTO parted VALUES (1, 7);
		UPDATE parted SET value = 1; TRUNCATE plain;
		COPY keyed FROM stdin;
100	100
\.
		SELECT (SELECT count(*) FROM plain), (SELECT sum(value) FROM keyed), (SELECT sum(value) FROM parted)}),
	'0|152|9', 'writes of tracked tables work without the library');

for my $view (qw(tracked stats))
{
	my ($status, $out, $error) = $node->psql('restored', "SELECT * FROM cache_ext.$view");
	like($error, qr/HINT:\s+Add cache_ext to shared_preload_libraries/, "view $view says what to do");
}

# The same database under a server that has it: everything is still tracked and exact.
$full->safe_psql('postgres', 'CREATE DATABASE restored');
$full->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $full->connstr('restored'), '-f', $dump ],
	'the dump is restored with the library');
my $s = Session->new($full, dbname => 'restored');
is($s->query('SELECT relation, key_columns, complete FROM cache_ext.tracked ORDER BY 1::text'),
	"keyed|{id}|t\nparted|{id}|t\nplain|{}|t", 'and what was tracked is tracked');
for my $query ('SELECT sum(value)::text FROM keyed WHERE id = 3', 'SELECT total()::text',
	'SELECT sum(value)::text FROM parted WHERE id = 4')
{
	stores($s, $query, "after the restore: $query");
	hits($s, $query, "after the restore: $query");
}
$s->ok('UPDATE keyed SET value = 33 WHERE id = 3; UPDATE plain SET value = 0; UPDATE parted SET value = 5');
for my $query ('SELECT sum(value)::text FROM keyed WHERE id = 3', 'SELECT total()::text',
	'SELECT sum(value)::text FROM parted WHERE id = 4')
{
	not_hit($s, $query, "after a change: $query");
}
$s->close;

# LOAD comes too late, and must do no harm.
my ($status, $out, $error) = $node->psql('restored',
	"LOAD 'cache_ext'; INSERT INTO plain VALUES (1, 1); SELECT cache_ext.untrack('plain')");
like($error, qr/cache_ext is not loaded/, 'LOAD does not help');
is($node->safe_psql('restored', 'SELECT count(*) FROM plain'), '1', 'and does no harm');

for my $database ($node, $full)
{
	$database->safe_psql('restored', 'DROP EXTENSION cache_ext CASCADE');
	is($database->safe_psql('restored', $triggers), '0', 'DROP EXTENSION CASCADE takes the triggers along');
	is($database->safe_psql('restored', 'UPDATE keyed SET value = 1 WHERE id = 5 RETURNING id'), '5',
		'and the tables live on');
}

done_testing();
