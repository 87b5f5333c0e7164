# The description of query trees that the cache's keys are made of (src/query/fingerprint.c):
# compared with nodeToString()'s, on thousands of queries that differ in one word and on trees of
# which one field was changed, and with the fields that PostgreSQL's headers declare.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = $0 =~ s{[^/]*$}{../..}r;
my $node = PostgreSQL::Test::Cluster->new('fingerprint');
my $headers = $node->config_data('--includedir-server');
my $module = "$PostgreSQL::Test::Utils::tmp_check/trees";

system_or_bail('cc', '-O1', '-g', '-fPIC', '-shared', '-Wall', '-Werror', '-DUSE_ASSERT_CHECKING',
	"-I$top/src", "-I$headers", "$top/test/fingerprint/trees.c", "$top/src/query/fingerprint.c",
	'-o', "$module.so");
$node->init;
$node->start;
$node->safe_psql('postgres', slurp_file("$top/test/fingerprint/schema.sql"));

# A row for every text that is a valid query.
$node->safe_psql('postgres', <<"EOS");
CREATE FUNCTION trees.bytes(text) RETURNS bytea STRICT LANGUAGE c AS '$module', 'tree_bytes';
CREATE FUNCTION trees.tree(text) RETURNS text STRICT LANGUAGE c AS '$module', 'tree_text';
CREATE FUNCTION trees.change(text) RETURNS void STRICT LANGUAGE c AS '$module', 'tree_changes';
CREATE FUNCTION trees.changed(OUT field text, OUT changes int, OUT unnoticed int) RETURNS SETOF record
LANGUAGE c AS '$module', 'changed_fields';
CREATE TABLE trees.described (situation text, sql text, bytes text, tree text);
CREATE FUNCTION trees.describe(situation text, sql text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO trees.described VALUES (situation, sql, md5(trees.bytes(sql)), md5(trees.tree(sql)));
EXCEPTION WHEN OTHERS THEN
	NULL;
END \$\$;
GRANT CREATE ON SCHEMA trees TO trees_owner, trees_reader;
GRANT INSERT ON trees.described TO trees_reader;
EOS

sub literal
{
	my ($text) = @_;
	return "'" . ($text =~ s/'/''/gr) . "'";
}

sub describe
{
	my ($situation, @texts) = @_;
	return join('', map { 'SELECT trees.describe(' . literal($situation) . ', ' . literal($_) . ");\n" }
		  @texts);
}

# Descriptions (md5) of which there are several trees, or the other way round.
sub ambiguous
{
	my ($one, $other, $condition) = @_;
	return $node->safe_psql('postgres', <<"EOS");
SELECT min(coalesce(situation || ': ', '') || sql), max(coalesce(situation || ': ', '') || sql)
FROM trees.described WHERE $condition GROUP BY $one HAVING count(DISTINCT $other) > 1 LIMIT 10;
EOS
}

#
# Queries that differ in a word
#

# Each of these words is tried in the place of each other one of its line.
my %instead;
for my $words (
	'id a b c d n at ok', 't u w v guarded asked child', '= <> < > <= >=', '+ - * /', 'AND OR',
	'ASC DESC', 'FIRST LAST', 'LEFT RIGHT FULL INNER', 'UNION INTERSECT EXCEPT',
	'ALL DISTINCT ANY', 'IN ANY ALL', 'sum min max avg count array_agg', 'ROWS RANGE GROUPS',
	'PRECEDING FOLLOWING', 'TIES GROUP', 'ROLLUP CUBE', 'int bigint text numeric words positive',
	'"C" "POSIX"', 'greatest least coalesce', 'current_user session_user current_role user',
	'DEPTH BREADTH', 'TRUE FALSE UNKNOWN', 'UPDATE SHARE', 'system bernoulli', '1 2 3 5 NULL',
	'DOCUMENT CONTENT', 'json jsonb', 'LIKE ILIKE', 'rank dense_rank row_number', 'lag lead',
	'mode percentile_cont percentile_disc', 'upper lower initcap')
{
	my @words = split / /, $words;
	for my $word (@words)
	{
		push @{ $instead{$word} }, grep { $_ ne $word } @words;
	}
}

# What may stand where the word does; most of it is not valid there.
sub replacements
{
	my ($word) = @_;
	my @new = ('', @{ $instead{$word} // [] });
	push @new, $word + 1 if $word =~ /^\d+$/;
	push @new, '$' . ($1 + 1) if $word =~ /^\$(\d+)$/;
	push @new, "'z$1" if $word =~ /^'(.*)/s;
	push @new, "$word DISTINCT" if $word =~ /^(SELECT|\()$/;
	push @new, "$word ONLY" if $word eq 'FROM';
	push @new, "NOT $word" if $word =~ /^(EXISTS|IN|LIKE|BETWEEN|MATERIALIZED|NULL)$/;
	push @new, map { $word . $_ } 'z', ' DESC', ' NULLS FIRST', ' COLLATE "C"', '::text', ' IS NULL'
	  if $word =~ /^[a-z]\w*$/;
	return @new;
}

# The query, and others that differ from it by a word or by a few words left out.
sub variations
{
	my ($sql) = @_;
	my @words = $sql =~ /(\s+|'(?:[^']|'')*'|"[^"]*"|\$\d+|\w+|::|=>|->>?|@>|<=|>=|<>|.)/gs;
	my %new = ($sql => 1);

	for my $i (grep { $words[$_] !~ /^\s/ } 0 .. $#words)
	{
		my $word = $words[$i];
		my @before = @words[ 0 .. $i - 1 ];
		for my $other (replacements($word))
		{
			$new{ join '', @before, $other, @words[ $i + 1 .. $#words ] } = 1;
		}
		for my $end (grep { $_ <= $#words } $i + 3, $i + 5)
		{
			$new{ join '', @before, @words[ $end .. $#words ] } = 1;
		}
		$new{ join '', map { $_ eq $word ? "${word}z" : $_ } @words } = 1 if $word =~ /^[a-z]\w*$/;
	}
	return keys %new;
}

# The list, without what this version doesn't know yet.
my @queries;
my $since = 0;
for my $line (split /\n/, slurp_file("$top/test/fingerprint/queries.sql"))
{
	$since = $1 // 0 if $line =~ /^-- (?:from (\d+) on)?/;
	push @queries, $line if $line !~ /^(--|$)/ && $node->pg_version >= $since;
}

my %texts = map { $_ => 1 } map { variations($_) } @queries;
$node->safe_psql('postgres', "SET search_path = trees;\nSET client_min_messages = error;\n"
	  . describe('', sort keys %texts));
my ($described, $different) = split /\|/, $node->safe_psql('postgres',
	'SELECT count(*), count(DISTINCT tree) FROM trees.described');
note scalar(keys %texts), " texts, $described of them queries, $different of them different";
cmp_ok($different, '>', 7000, 'many different queries were described');
is( $node->safe_psql('postgres', 'SELECT sql FROM (VALUES '
		  . join(', ', map { '(' . literal($_) . ')' } @queries)
		  . ') q (sql) EXCEPT SELECT sql FROM trees.described'),
	'', 'every query of the list is valid');

#
# Trees of which one field was changed
#

my $source = slurp_file("$top/src/query/fingerprint.c");
my ($left_out) = $source =~ m{^/\*.*?left out(.*?)\*/}s;
my $changed = $node->safe_psql('postgres', "SET search_path = trees;\n"
	  . join('', map { 'SELECT change(' . literal($_) . ");\n" } @queries)
	  . "SELECT split_part(field, ' ', 1), sum(changes), sum(unnoticed) FROM changed() GROUP BY 1");
my (%changes, @unnoticed);
while ($changed =~ /^(\w+\.(\w+))\|(\d+)\|(\d+)$/gm)
{
	my ($name, $field, $changes, $unnoticed) = ($1, $2, $3, $4);
	$changes{$name} = $changes if $changes > 0;
	push @unnoticed, $name if $unnoticed > 0 && $left_out !~ /\b$field\b/;
}
cmp_ok(scalar keys %changes, '>', 350, 'many fields were changed');
is("@unnoticed", '', 'every change of a field that is not said to be left out is seen');

#
# Queries of the same text
#

my @same_texts = (
	'SELECT id FROM v',
	'SELECT id FROM guarded',
	'SELECT id FROM asked',
	'SELECT id FROM u',
	'SELECT * FROM u',
	'SELECT to_jsonb(u) FROM u',
	'SELECT c FROM t NATURAL LEFT JOIN u',
	'SELECT id, b, c FROM u GROUP BY id');
for my $change (
	'SELECT',
	'ALTER VIEW v OWNER TO trees_owner',
	'ALTER VIEW v SET (security_barrier)',
	'ALTER VIEW guarded RESET (security_barrier)',
	'ALTER VIEW asked RESET (security_invoker)',
	'CREATE POLICY p ON u USING (a > 0)',
	'ALTER TABLE u ENABLE ROW LEVEL SECURITY',
	'ALTER POLICY p ON u USING (a > 1)',
	'ALTER TABLE u DISABLE ROW LEVEL SECURITY',
	'ALTER TABLE u DROP CONSTRAINT u_pkey; ALTER TABLE u ADD PRIMARY KEY (id)',
	'ALTER TABLE u RENAME a TO other',
	'ALTER TABLE u ADD more int',
	'ALTER TABLE u DROP t',
	'ALTER TABLE u ALTER b TYPE numeric',
	'ALTER TABLE u ALTER b TYPE numeric(5, 2)',
	'ALTER TABLE u ALTER c TYPE text COLLATE "C"')
{
	for my $role ('postgres', 'trees_reader')
	{
		$node->safe_psql('postgres', "SET search_path = trees;\n"
			  . ($role eq 'postgres' ? "$change;\n" : '')
			  . "SET ROLE $role;\n"
			  . describe("$change, as $role", @same_texts));
	}
}
cmp_ok($node->safe_psql('postgres',
		"SELECT count(DISTINCT tree) FROM trees.described WHERE situation <> ''"),
	'>', 25, 'texts were described whose meaning changed');

is(ambiguous('bytes', 'tree', 'true'), '', 'different queries have different descriptions');
# What nodeToString() has to describe may contain positions.
is(ambiguous('tree', 'bytes', $node->pg_version >= 17 ? 'true' : <<'EOS'),
sql !~ '^(INSERT|UPDATE|DELETE|MERGE)|xml|JSON|TABLESAMPLE'
EOS
	'', 'the same query has the same description');
isnt(
	$node->safe_psql('postgres', "SELECT trees.bytes('SELECT 1 AS a FROM trees.t ')"),
	$node->safe_psql('postgres', "SELECT trees.bytes('SELECT 1 AS b FROM trees.t ')"),
	'names of columns are part of it');
is( $node->safe_psql('postgres', "SELECT trees.bytes('SELECT 1 AS a FROM trees.t')"),
	$node->safe_psql('postgres', "SELECT trees.bytes('select 1 as  a from /* x */ trees.t --')"),
	'how it is written is not');

#
# Fields
#

# What the headers declare of each type, besides its tag.
my %declared;
for my $header (map { "$headers/nodes/$_.h" } 'parsenodes', 'primnodes')
{
	my $text = slurp_file($header) =~ s{/\*.*?\*/}{}gsr;
	$text =~ s/pg_node_attr(\((?:[^()]|(?1))*\))//g;
	while ($text =~ /^typedef struct (\w+)\s*\{(.*?)^\}/gms)
	{
		my ($type, $fields) = ($1, $2);
		$declared{$type} = [ grep { !/^(type|xpr)$/ } $fields =~ /(\w+)\s*;/g ];
	}
}

# What the code reads of each type that it knows: up to the end of the function that has a pointer
# to it as parameter, or of the case that declares one.
my $compat = slurp_file("$top/src/base/compat.h");
my %wrapped;
push @{ $wrapped{$1} }, $2 while $compat =~ /^#define (cx_\w+)\(\w+\) \(\(\w+\)->(\w+)\)/gm;
my @pieces;
push @pieces, [ $1, $2, $3 ] while $source =~ /const (\w+) \*(\w+)\)\n(\{.*?^\})/gms;
push @pieces, [ $1, $2, $3 ] while $source =~ /const (\w+) \*(\w+) = (.*?)\b(?:break|return);/gs;
push @pieces, [ $1, 'node', "node->$2" ] while $source =~ /\(\(const (\w+) \*\) node\)->(\w+)/g;
my %read;
for (@pieces)
{
	my ($type, $name, $code) = @$_;
	for my $known ($type eq 'cx_rights' ? qw(RangeTblEntry RTEPermissionInfo) : $type)
	{
		$read{$known}{$_} = 1 for $code =~ /\b$name->(\w+)/g;
		$read{$known}{$_} = 1 for map { @{ $wrapped{$_} // [] } } $code =~ /(\w+)\($name\)/g;
	}
}

my @types = grep { $declared{$_} } sort keys %read;
cmp_ok(scalar @types, '>', 40, 'fields were looked for in many types');
my @missing;
for my $type (@types)
{
	push @missing, map { "$type.$_" } grep { !$read{$type}{$_} && $left_out !~ /\b$_\b/ }
	  @{ $declared{$type} };
}
is("@missing", '', 'every field is described, or said to be left out');

done_testing();
