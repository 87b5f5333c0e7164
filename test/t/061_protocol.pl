# Every byte that a client gets is the same with the cache and without: a miss that fills, a hit that renders
# its rows, a hit that sends what was rendered.  For types, formats, protocols, settings and encodings.
use strict;
use warnings;

use CacheTest;
use LocalState;
use Protocol;
use RedisServer;
use Test::More;

my $redis = RedisServer->new('protocol');

# Literals of each type; a NULL comes with all of them.
my @types = (
	[ 'bool', 't', 'f' ],
	[ '"char"', 'a', '' ],
	[ 'int2', '-32768', '32767' ],
	[ 'int4', '-2147483648', '0' ],
	[ 'int8', '-9223372036854775808', '42' ],
	[ 'float4', '0.1', 'NaN', '-Infinity', '1e-30', '-0' ],
	[ 'float8', '0.1', 'NaN', 'Infinity', '1e300', '123456789012345678' ],
	[ 'numeric', '12345678901234567890.123456789', 'NaN', '-0.00', 'Infinity' ],
	[ 'numeric(10,2)', '1.5', '-99999999.99' ],
	[ 'money', '-12.34', '92233720368547758.07' ],
	[ 'text', '', 'plain', "gr\xc3\xbcn", 'a\b' . "\n\t\"'" ],
	[ 'varchar(10)', 'short', '' ],
	[ 'char(5)', 'ab', 'abcde' ],
	[ 'name', 'a name' ],
	[ 'bytea', '\x', '\x00ff5c27' ],
	[ 'date', '2024-02-29', 'infinity', '0044-03-15 BC' ],
	[ 'time', '23:59:59.999999', '00:00' ],
	[ 'time(0)', '12:34:56' ],
	[ 'timetz', '12:34:56+05:30' ],
	[ 'timestamp', '2024-02-29 12:34:56.789', '-infinity' ],
	[ 'timestamptz', '2024-07-01 12:34:56.789+02', '2024-01-01 00:00:00+00', 'infinity' ],
	[ 'interval', '1 year -2 mons 3 days 04:05:06.7', '-1 day', '0' ],
	[ 'uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ],
	[ 'json', '{"a": [1, null],  "b": 1.0}' ],
	[ 'jsonb', '{"a": [1, null],  "b": 1.0}', '"x"' ],
	[ 'xml', '<a b="c">d</a>' ],
	[ 'jsonpath', '$.a[*] ? (@ > 1)' ],
	[ 'inet', '192.168.0.1/24', '::1' ],
	[ 'cidr', '10.0.0.0/8' ],
	[ 'macaddr', '08:00:2b:01:02:03' ],
	[ 'macaddr8', '08:00:2b:01:02:03:04:05' ],
	[ 'bit(4)', '1010' ],
	[ 'varbit', '101', '' ],
	[ 'point', '(1.5,-2)' ],
	[ 'lseg', '[(0,0),(1,1)]' ],
	[ 'box', '(2,2),(0,0)' ],
	[ 'path', '[(0,0),(1,1),(2,0)]' ],
	[ 'polygon', '((0,0),(1,1),(2,0))' ],
	[ 'circle', '<(0,0),0.1>' ],
	[ 'tsvector', 'a:1 b:2A' ],
	[ 'tsquery', 'a & !b' ],
	[ 'int4range', '[1,10)', 'empty' ],
	[ 'tstzrange', '[2024-01-01 00:00:00+00,)' ],
	[ 'numrange', '(1.10,2.2]' ],
	[ 'int4multirange', '{[1,3),[5,7)}' ],
	[ 'oid', '4294967295' ],
	[ 'xid8', '18446744073709551615' ],
	[ 'pg_lsn', '16/B374D848' ],
	[ 'pg_snapshot', '10:20:10,14' ],
	[ 'int2vector', '1 2 3' ],
	[ 'oidvector', '1 2' ],
	[ 'int4[]', '{1,NULL,3}', '{}', '[0:1]={1,2}', '{{1,2},{3,4}}' ],
	[ 'text[]', '{a,"b c",NULL,""}' ],
	[ 'timestamptz[]', '{2024-07-01 12:00:00+00}' ],
	[ 'float8[]', '{0.1,NaN}' ],
	[ 'jsonb[]', '{"{}"}' ],
	[ 'int4range[]', '{"[1,2)"}' ],
	[ 'mood', 'happy', 'sad' ],
	[ 'mood[]', '{happy,sad}' ],
	[ 'positive', '1', '2' ],
	[ 'short_text', 'ab' ],
	[ 'positive[]', '{1,2}' ],
	[ 'pair', '(1,"a b")', '(,)' ],
	[ 'pair[]', '{"(1,a)"}' ],
	[ 'regtype', 'int4' ],
	[ 'regclass', 'pg_class', 'kind.kinds' ],
	[ 'aclitem', 'postgres=r/postgres' ],
);

sub column { return "c$_[0]"; }

sub create_tables
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'EOS' . <<"EOT" . <<"EOR" . <<'EOU');
CREATE SCHEMA kind;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short_text AS varchar(2);
CREATE TYPE pair AS (a int, b text);
CREATE ROLE postgres_reader;
EOS
CREATE TABLE kind.kinds (id int, @{[ join ', ', map { column($_) . " $types[$_][0]" } 0 .. $#types ]});
INSERT INTO kind.kinds (id) VALUES (1);
EOT
@{[ join "\n", map { my $t = $_; map {
	(my $literal = $types[$t][$_]) =~ s/'/''/g;
	$literal =~ s/postgres/postgres_reader/g if $types[$t][0] eq 'aclitem';
	"INSERT INTO kind.kinds (id, " . column($t) . ") VALUES (" . ($_ + 1) . ", '$literal');"
} 1 .. $#{ $types[$t] } } 0 .. $#types ]}
EOR
SELECT cache_ext.track('kind.kinds');
CREATE TABLE many (id int PRIMARY KEY, v text, t timestamptz);
INSERT INTO many SELECT i, repeat('row ', i % 7) || i, '2024-01-01 00:00:00+00'::timestamptz + i * '1 h'::interval
	FROM generate_series(1, 3000) i;
SELECT cache_ext.track('many');
EOU
	return;
}

my ($node, $tier, $admin, $c);

sub counters
{
	return [ map { $_ // 0 } @{ ($admin->rows('SELECT hits, fills FROM cache_ext.stats()'))[0] } ];
}

# What was done since: "hit", "filled", or neither.
sub done
{
	my ($before) = @_;
	my $after = counters();
	return $after->[0] > $before->[0] ? 'hit' : $after->[1] > $before->[1] ? 'filled' : 'neither';
}

# Runs the messages that a sub queues: texts of what comes back.
sub run
{
	my ($connection, $queue) = @_;
	$queue->($connection);
	return [ Protocol::shown($connection->answers) ];
}

# The messages without the cache, and then three times with it are the same; what the cache did each
# time is as expected.
sub same
{
	my ($name, $queue, @expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @did;

	$c->rows('SET cache_ext.enabled = off');
	my $plain = run($c, $queue);
	$c->rows('SET cache_ext.enabled = on');
	for (1 .. 3)
	{
		my $before = counters();
		my $cached = run($c, $queue);
		push @did, done($before);
		is_deeply($cached, $plain, "$name: $did[-1]") or diag(join "\n", @$plain, '---', @$cached);
	}
	is("@did", "@expected", "$name: what the cache did") if @expected;
	return $plain;
}

sub simple
{
	my ($sql) = @_;
	return sub { $_[0]->query($sql) };
}

sub extended
{
	my ($sql, @formats) = @_;
	return sub {
		$_[0]->parse('', $sql)->bind('', '', [], results => [@formats])->describe('P', '')
		  ->execute('')->sync;
	};
}

my @new = qw(filled hit hit);
my @there = qw(hit hit hit);

sub fresh_node
{
	my ($name, $with_redis, @settings) = @_;
	$node->stop if $node;
	$node = cache_node($name,
		$with_redis ? $redis : undef, 'cache_ext.mode = auto', 'cache_ext.min_cost = 0',
		"TimeZone = 'UTC'", @settings);
	create_tables($node);
	$tier = LocalState->new($node);
	$admin = Protocol->connect($node);
	$c = Protocol->connect($node);
	return;
}

sub test_types
{
	my ($rendering) = @_;

	for my $t (0 .. $#types)
	{
		my $type = $types[$t][0];
		my $sql = 'SELECT id, ' . column($t) . ' AS v FROM kind.kinds WHERE id = 1 OR ' . column($t)
		  . ' IS NOT NULL ORDER BY id, ' . column($t) . '::text';

		# regclass depends on what only this session sees, so nothing with a cast of it to text is cached
		$sql =~ s/, \S+::text$// if $type =~ /^reg/;
		# aclitem has no binary form: the error is the same, and the entry is there for the text
		$sql =~ s/, \S+::text$// if $type eq 'aclitem';
		$tier->clear if $rendering;
		# a domain inside something is for shared memory only
		my @never = $type eq 'positive[]' && !$rendering ? ('neither') x 3 : ();
		my $plain = same("$type, simple", simple($sql), @never ? @never : @new);
		cmp_ok(scalar grep({ /^D/ } @$plain), '>=', @{ $types[$t] } - 1, "$type: rows came");
		same("$type, extended text", extended($sql), @never ? @never : @there);
		same("$type, binary", extended($sql, 1), @never ? @never : @there);
		next unless $rendering;
		same("$type, text and binary", extended($sql, 0, 1), @there);
		same("$type, binary and text", extended($sql, 1, 0), @there);
	}
	return;
}

# Which types are rendered shows in the memory that their entries take.
sub test_what_is_rendered
{
	my @not_rendered;
	for my $format (0, 1)
	{
		for my $t (0 .. $#types)
		{
			my $column = column($t);
			my $sql = "SELECT $column FROM kind.kinds WHERE $column IS NOT NULL";
			$tier->clear;
			run($c, simple("EXPLAIN ANALYZE $sql"));
			my $used = $tier->used;
			run($c, extended($sql, $format));
			push @not_rendered, "$types[$t][0]/$format" if $tier->used == $used;
		}
	}
	is("@not_rendered", join(' ', 'regtype/0 regclass/0 aclitem/0',
			'mood/1 mood[]/1 positive[]/1 pair/1 pair[]/1 regtype/1 regclass/1 aclitem/1'),
		'what is not rendered: names from the catalogs, and in binary types of users');
	return;
}

note '--- the local tier';
fresh_node('local', 0);
test_types(1);
test_what_is_rendered();
$tier->unpinned_is('nothing is left pinned');

note '--- shapes';
same('many rows', simple('SELECT * FROM many ORDER BY id'), @new);
same('many rows, binary', extended('SELECT * FROM many ORDER BY id', 1), @there);
same('no rows', simple('SELECT * FROM many WHERE id < 0'), @new);
same('no rows, binary', extended('SELECT * FROM many WHERE id < 0', 1), @there);
same('no columns', simple('SELECT FROM many WHERE id < 4'), @new);
same('no columns, extended', extended('SELECT FROM many WHERE id < 4'), @there);
same('several statements', simple('SELECT id FROM many WHERE id = 1; SELECT 1; SELECT v FROM many WHERE id = 2; SET DateStyle = ISO'));
same('several statements, the last fails', simple('SELECT id FROM many WHERE id = 3; SELECT 1 / 0 FROM many'));
same('an error after rows', simple('SELECT 10 / (id - 5) FROM many ORDER BY id'));
same('COPY', simple('COPY (SELECT id, v FROM many WHERE id < 10 ORDER BY id) TO STDOUT'), @new);
same('COPY in binary', simple('COPY (SELECT id, v FROM many WHERE id < 10 ORDER BY id) TO STDOUT (FORMAT binary)'), @there);
same('COPY, extended', extended('COPY (SELECT id, v FROM many WHERE id < 10 ORDER BY id) TO STDOUT'), @there);
same('what COPY wrote, as rows', simple('SELECT id, v FROM many WHERE id < 10 ORDER BY id'), @there);
same('EXECUTE', simple('PREPARE p AS SELECT v FROM many WHERE id < 5 ORDER BY id; EXECUTE p; DEALLOCATE p'), @new);
same('a result larger than the buffer', simple("SELECT repeat(v, 1000) FROM many WHERE id < 300 ORDER BY id"), @new);

# As the function gives them.
for my $format (0, 1)
{
	same("query(), format $format",
		extended(q{SELECT * FROM cache_ext.query('SELECT id, t FROM many WHERE id < 100 ORDER BY id') AS q(id int, t timestamptz)}, $format),
		$format == 0 ? @new : @there);
	same("query_as(), format $format",
		extended(q{SELECT * FROM cache_ext.query_as(NULL::many, 'SELECT * FROM many WHERE id < 100 ORDER BY id')}, $format),
		$format == 0 ? @new : @there);
}

# What the description of a row says: type modifiers, and where a column comes from.
$c->rows('CREATE TABLE described (s varchar(5), l varchar(20), n numeric(10,2), c char(3), b bit(3), t timestamp(3), i interval day, id int PRIMARY KEY)');
$c->rows(q{INSERT INTO described VALUES ('a', 'b', 1, 'c', B'101', '2024-01-01', '1 day', 1)});
$c->rows(q{SELECT cache_ext.track('described')});
$c->rows('CREATE FUNCTION same_text(varchar) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$SELECT $1$$');
$c->rows('CREATE VIEW through AS SELECT s AS renamed, n + 1 AS plus, l FROM described');
for my $sql (
	'SELECT * FROM described',
	'SELECT s AS x, n AS "y z", d.t FROM described d',
	'SELECT * FROM through',
	'SELECT * FROM (SELECT s, n FROM described LIMIT 1) q',
	'WITH q AS MATERIALIZED (SELECT s, n FROM described) SELECT * FROM q',
	'SELECT s FROM described UNION ALL SELECT l FROM described',
	'SELECT s FROM described UNION ALL SELECT s FROM described',
	'SELECT s FROM described UNION SELECT s FROM described',
	'SELECT max(s), min(n), count(*) FROM described',
	'SELECT s, n FROM described GROUP BY s, n',
	'SELECT s, n FROM described ORDER BY l',
	'SELECT n::numeric(5,1), l::varchar(3), s::text FROM described',
	'SELECT same_text(s), same_text(l) FROM described',
	'SELECT coalesce(s, l), coalesce(s, s), nullif(s, l), greatest(s, l) FROM described',
	q{SELECT coalesce('x'::varchar(7), s), CASE WHEN true THEN s ELSE l END FROM described},
	q{SELECT CASE WHEN id = 1 THEN s ELSE l END, 'a'::char(3), B'101' FROM described},
	'SELECT (SELECT s FROM described e WHERE e.id = d.id), ARRAY[s], (ARRAY[s])[1] FROM described d',
	'SELECT d.s, e.n FROM described d LEFT JOIN described e ON d.id = e.id + 1',
	'SELECT s, row_number() OVER (), lag(s) OVER () FROM described',
	'SELECT c.* FROM described, LATERAL (SELECT s, c) c',
	'VALUES (1, \'a\'::varchar(3)), (2, \'b\'::varchar(4))',
	'SELECT d FROM described d')
{
	same($sql, simple($sql));
	same("$sql, extended", extended($sql));
}

note '--- settings';
my $settings_query = q{SELECT t, t::text AS text, to_char(t, 'TMDay TMMonth HH24 TZ') AS formatted, t - '2024-01-03' AS interval,
	id / 3.0::float8 AS float, (id / 3.0)::float4 AS real, v::bytea AS bytes, id::money AS money, ARRAY[t] AS array,
	xmlelement(name v, v::bytea) AS xml, to_json(t) AS json FROM many WHERE id < 30 ORDER BY id};
my @settings = (
	[ TimeZone => 'Europe/Oslo', 'America/St_Johns', '+05:45' ],
	[ DateStyle => 'German', 'SQL, DMY', 'Postgres, MDY', 'ISO, YMD' ],
	[ IntervalStyle => 'iso_8601', 'sql_standard', 'postgres_verbose' ],
	[ extra_float_digits => '-5', '0', '3' ],
	[ bytea_output => 'escape' ],
	[ xmlbinary => 'hex' ],
	[ client_encoding => 'LATIN1', 'SQL_ASCII' ],
	[ lc_monetary => 'C.UTF-8' ],
	[ lc_numeric => 'C.UTF-8' ],
	[ lc_time => 'C.UTF-8' ],
	[ timezone_abbreviations => 'Australia' ],
	[ quote_all_identifiers => 'on' ],
);
for my $round (1, 2)
{
	my @expected = $round == 1 ? @new : @there;
	$c->rows('RESET ALL');
	same("default settings, round $round", simple($settings_query), @expected);
	same("default settings, binary, round $round", extended($settings_query, 1), @there);
	for my $setting (@settings)
	{
		my ($name, @values) = @$setting;
		for my $value (@values)
		{
			$c->rows("SET $name = '$value'");
			same("$name = $value, round $round", simple($settings_query), @expected);
			same("$name = $value, binary, round $round", extended($settings_query, 1), @there);
		}
		$c->rows("RESET $name");
		same("$name reset, round $round", simple($settings_query), @there);
	}
}

# A setting changed between statements of one message, and between Bind and Execute in a batch.
same('SET within a message', simple("SELECT t FROM many WHERE id = 7; SET TimeZone = 'Asia/Tokyo';"
	. " SELECT t FROM many WHERE id = 7; RESET TimeZone; SELECT t FROM many WHERE id = 7"));

note '--- encodings';
$c->rows("INSERT INTO many VALUES (-3, 'plain'), (-2, 'gr\xc3\xbcn'), (-1, '1 \xe2\x82\xac'), (0, 'more')");
my $encoded = 'SELECT id, v FROM many WHERE id <= 0 ORDER BY id';
same('UTF8', simple($encoded), @new);

my $utf8 = $c;
$c = Protocol->connect($node, client_encoding => 'LATIN1');
my $plain = same('LATIN1, a character that it lacks', simple($encoded));
is(join(' ', map { substr $_, 0, 1 } @$plain), 'T D D E Z', 'an error comes after two rows');
like($plain->[2], qr/gr\\fcn/, 'a character that it has');
like($plain->[3], qr/C22P05/, 'which says so');
# what is not sent can be stored
run($c, simple("EXPLAIN ANALYZE $encoded"));
same('LATIN1, from an entry', simple($encoded), @there);
same('LATIN1, binary, from an entry', extended($encoded, 1), @there);
same('LATIN1, extended, from an entry', extended($encoded), @there);
same('LATIN1, what can be shown', simple("$encoded LIMIT 2"), @new);

$c = $utf8;
same('UTF8 again', simple($encoded), @there);
same('UTF8, limited', simple("$encoded LIMIT 2"), @new);
same('LATIN1 as a setting', simple("SET client_encoding = LATIN1; $encoded"));
$c->query('RESET client_encoding')->answers;
$tier->unpinned_is('nothing is left pinned');

note '--- renderings that there is no room for';
$c->rows('INSERT INTO many SELECT i, repeat(md5(i::text), 8) FROM generate_series(4001, 9000) i');
same('an eighth of the memory', simple('SELECT id, v, v FROM many WHERE id > 4000 ORDER BY id'));
same('a rendering larger than its entry may be', simple('SELECT v FROM many WHERE id > 4000 ORDER BY id'));
$tier->unpinned_is('nothing is left pinned');

note '--- only Redis';
fresh_node('redis', 1, 'cache_ext.local_memory = 0');
test_types(0);
same('many rows', simple('SELECT * FROM many ORDER BY id'), @new);
same('many rows, binary', extended('SELECT * FROM many ORDER BY id', 1), @there);

note '--- both tiers';
fresh_node('both', 1);
same('many rows', simple('SELECT * FROM many ORDER BY id'), @new);
$tier->clear;
same('many rows from Redis', simple('SELECT * FROM many ORDER BY id'), @there);
$tier->clear;
same('many rows from Redis, binary', extended('SELECT * FROM many ORDER BY id', 1), @there);

done_testing();
