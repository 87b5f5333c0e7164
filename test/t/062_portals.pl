# Portals that stop: rows in parts, with anything in between, answered by the cache as without it.
use strict;
use warnings;

use CacheTest;
use LocalState;
use Protocol;
use Session;
use Test::More;

my $rows = 10;
my $node = cache_node('portals', undef,
	'cache_ext.mode = auto', 'cache_ext.min_cost = 0', "TimeZone = 'UTC'",
	'cache_ext.local_memory = 1MB');
$node->safe_psql('postgres', <<"EOS");
CREATE ROLE reader;
CREATE ROLE stranger;
CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz);
CREATE FUNCTION fill_table() RETURNS void LANGUAGE sql AS \$\$
	DELETE FROM t;
	INSERT INTO t SELECT i, 'row ' || i, '2024-01-01 00:00:00+00'::timestamptz + i * '1 h'::interval
		FROM generate_series(1, $rows) i;
\$\$;
SELECT fill_table();
SELECT cache_ext.track('t');
CREATE FUNCTION own(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN \$1; END';
REVOKE EXECUTE ON FUNCTION own FROM PUBLIC;
GRANT EXECUTE ON FUNCTION own TO reader;
GRANT SELECT ON t TO reader;
CREATE TABLE policed (id int, v text);
INSERT INTO policed SELECT i, CASE i % 2 WHEN 0 THEN 'reader' ELSE 'stranger' END FROM generate_series(1, 6) i;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON policed USING (v = current_user);
GRANT SELECT ON policed TO reader, stranger;
SELECT cache_ext.track('policed');
CREATE TABLE other (id int, v text);
INSERT INTO other SELECT i, repeat('x', 1000) FROM generate_series(1, 60) i;
SELECT cache_ext.track('other');
CREATE SCHEMA nearer;
CREATE TABLE nearer.t (id int, v text, at timestamptz);
EOS
my $tier = LocalState->new($node);
my $admin = Protocol->connect($node);
my $c;

sub hits_so_far { return $admin->value('SELECT hits FROM cache_ext.stats()'); }

#
# Steps: each returns texts of what the client gets.
#
sub messages
{
	my ($queue) = @_;
	return sub {
		$queue->($c);
		return Protocol::shown($c->sync->answers);
	};
}

sub sql { my ($sql) = @_; return sub { return Protocol::shown($c->query($sql)->answers); }; }

sub execute
{
	my ($portal, @limits) = @_;
	@limits = (0) unless @limits;
	return messages(sub { $_[0]->execute($portal, $_) for @limits });
}

sub bind_to
{
	my ($portal, $query, @formats) = @_;
	my ($text, @values) = ref $query ? @$query : $query;
	return messages(sub {
		$_[0]->parse('', $text)->bind($portal, '', \@values, results => [@formats])
		  ->describe('P', $portal);
	});
}

# What others do meanwhile.
sub meanwhile { my ($what) = @_; return sub { ref $what ? $what->() : $admin->rows($what); return (); }; }

sub pinned
{
	my ($expected, $name) = @_;
	return sub { is($tier->pins, $expected, $name) if $c->{cached}; return (); };
}

# Plays the steps without the cache, with a cold one and with one that has the query's result (twice, to
# find its rendering too), each time with the tables as they were at first: the client gets the same.
sub same
{
	my ($name, $query, @steps) = @_;
	my ($text, @values) = ref $query ? @$query : $query;
	my @plain;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $cache (qw(no cold warm warm))
	{
		$admin->rows($_) for 'SELECT fill_table()', 'SELECT cache_ext.reset_statements()';
		$tier->clear;
		$c = Protocol->connect($node);
		$c->{cached} = $cache eq 'warm';
		$c->rows('SET cache_ext.enabled = off') if $cache eq 'no';
		if ($cache eq 'warm')
		{
			my $role = $name =~ /^role/ ? 'SET ROLE reader' : 'RESET ROLE';
			$c->rows($role);
			for (1, 2)
			{
				my @answers = $c->parse('', $text)->bind('', '', \@values)->execute('')->sync->answers;
				BAIL_OUT("$text: @{[ Protocol::shown(@answers) ]}") if grep { $_->[0] eq 'E' } @answers;
			}
			$c->rows('RESET ROLE');
		}
		my $hits = hits_so_far();
		my @got = map { $_->() } @steps;
		if ($cache eq 'no') { @plain = @got; }
		else { is_deeply(\@got, \@plain, "$name: $cache cache") or diag(join "\n", @plain, '---', @got); }
		cmp_ok(hits_so_far(), '>', $hits, "$name: a hit") if $cache eq 'warm';
		$c->disconnect;
		$tier->unpinned_is("$name: nothing is left pinned");
	}
	return @plain;
}

my $text = 'SELECT id, v FROM t ORDER BY id';
my $with_parameter = [ 'SELECT id, v FROM t WHERE id >= $1::int ORDER BY id', 1 ];

note '--- row limits';
for my $query ($text, $with_parameter, 'SELECT id, v FROM t WHERE id < 0', 'SELECT FROM t',
	"SELECT * FROM cache_ext.query('SELECT id, v FROM t ORDER BY id') AS q(id int, v text)")
{
	my ($sql, @values) = ref $query ? @$query : $query;
	for my $limit (1, 2, 3, $rows - 1, $rows, $rows + 1)
	{
		for my $formats ([], [1], $sql =~ /SELECT FROM/ ? () : [ 0, 1 ])
		{
			same("$sql: at most $limit, formats @$formats", $query, messages(sub {
				$_[0]->parse('', $sql)->bind('', '', \@values, results => $formats)
				  ->describe('P', '')->execute('', $limit);
			}));
			same("$sql: $limit and again, formats @$formats", $query, messages(sub {
				$_[0]->parse('', $sql)->bind('p', '', \@values, results => $formats)
				  ->execute('p', $limit)->execute('p', $limit)->execute('p', 1)->execute('p')
				  ->execute('p')->execute('p', 1);
			}));
		}
	}
}

note '--- suspended';
for my $query ($text, $with_parameter)
{
	my $kind = ref $query ? 'with a parameter' : 'without parameters';
	my @begin = (sql('BEGIN'), bind_to('p', $query));

	same("one by one, $kind", $query, @begin, (map { execute('p', 1) } 0 .. $rows + 1), sql('COMMIT'));
	same("what keeps a pin, $kind", $query, @begin,
		pinned(1, "$kind: one that is bound does"),
		execute('p', 1),
		pinned(0, "$kind: one that has stopped doesn't"),
		execute('p', 1, 2), execute('p'), sql('COMMIT'));
	same("stopped after the last row, $kind", $query, @begin, execute('p', $rows),
		pinned(0, "$kind: one that has stopped after the last row doesn't"), execute('p', 1), sql('COMMIT'));

	my %between = (
		'the table is changed' => meanwhile(q{UPDATE t SET v = 'new'; DELETE FROM t WHERE id % 2 = 0}),
		'the table is emptied' => meanwhile('DELETE FROM t'),
		'the result is called invalid' => meanwhile(q{SELECT cache_ext.invalidate('t')}),
		'all results are called invalid' => meanwhile('SELECT cache_ext.invalidate_all()'),
		'the tier is cleared' => meanwhile(sub { $tier->clear }),
		'the entry is evicted' => meanwhile(sub {
			my $before = $tier->evictions;
			$admin->rows("SELECT v, $_ FROM other") for map { $_ + int rand 1e8 } 1 .. 40;
			cmp_ok($tier->evictions, '>', $before, 'something is evicted');
		}),
		'the transaction changes the table' => sql(q{UPDATE t SET v = 'own'}),
		'the transaction empties the table' => sql('SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; DELETE FROM t'),
		'the transaction reads the table' => sql($text),
		'the same is bound once more' => bind_to('p2', $query),
		'output settings are changed' => sql("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = German; SET bytea_output = escape"),
		'the search path is changed' => sql('SET search_path = nearer, public'),
		'the role is changed' => sql('SET LOCAL ROLE stranger'),
		'the cache is switched off' => sql('SET cache_ext.enabled = off'),
		'the mode is changed' => sql('SET cache_ext.mode = off'),
		'the client encoding is changed' => sql('SET client_encoding = LATIN1'),
		'prepared statements are gone' => sql('DEALLOCATE ALL'),
	);
	for my $what (sort keys %between)
	{
		my $step = $between{$what};
		same("$what before the first row, $kind", $query, @begin, $step, execute('p', 3), execute('p'),
			bind_to('again', $query), execute('again'), sql('ROLLBACK'));
		same("$what before all rows, $kind", $query, @begin, $step, execute('p'), sql('ROLLBACK'));
		same("$what after some rows, $kind", $query, @begin, execute('p', 3), $step, execute('p', 2),
			bind_to('again', $query), execute('p'), execute('again'), sql('ROLLBACK'));
		same("$what after all rows, $kind", $query, @begin, execute('p', $rows), $step, execute('p', 2),
			sql('COMMIT'));
	}

	same("never finished, $kind", $query, @begin, execute('p', 3), sql('COMMIT'));
	same("never begun, $kind", $query, @begin, sql('ROLLBACK'));
	same("closed early, $kind", $query, @begin, execute('p', 3), messages(sub { $_[0]->close('P', 'p') }),
		pinned(0, "$kind: a closed one keeps none"), execute('p'), sql('ROLLBACK'));
	same("closed before the first row, $kind", $query, @begin, messages(sub { $_[0]->close('P', 'p') }),
		pinned(0, "$kind: one that was closed at once keeps none"), sql('COMMIT'));
	same("left at once, $kind", $query, @begin, execute('p', 3));
	same("left bound, $kind", $query, @begin);
	same("an error in between, $kind", $query, @begin, execute('p', 3), sql('SELECT 1 / 0'), execute('p'),
		pinned(0, "$kind: an error lets go"), sql('ROLLBACK'));
	same("an error before the first row, $kind", $query, @begin, sql('SELECT 1 / 0'),
		pinned(0, "$kind: an error before the first row lets go"), execute('p'), sql('ROLLBACK'));
	same("a savepoint that is rolled back, $kind", $query, sql('BEGIN; SAVEPOINT s'), bind_to('p', $query),
		execute('p', 3), sql('ROLLBACK TO s'), execute('p'), sql('ROLLBACK'));
	same("a portal ends with its transaction, $kind", $query, bind_to('p', $query), execute('p'));
	same("replaced, $kind", $query, sql('BEGIN'), bind_to('', $query), execute('', 2), bind_to('', $query),
		execute('', 2), bind_to('', $query, 1), execute(''), sql('COMMIT'));

	same("two at once, $kind", $query, @begin, bind_to('q', $query, 1), execute('p', 3), execute('q', 2),
		meanwhile('DELETE FROM t WHERE id = 5'), bind_to('r', $query), execute('q', 4), execute('r', 1),
		execute('p'), execute('r'), execute('q'), sql('COMMIT'));
	same("FETCH, $kind", $query, @begin, sql('FETCH 2 FROM p'), execute('p', 1), sql('FETCH 0 FROM p'),
		sql('MOVE 1 FROM p'), execute('p', 2), sql('FETCH ALL FROM p'), execute('p'), sql('CLOSE p'),
		sql('COMMIT'));
	same("FETCH first, $kind", $query, @begin, sql('FETCH 0 FROM p'), sql('MOVE 1 FROM p'), execute('p', 2),
		sql('FETCH ALL FROM p'), sql('COMMIT'));
	same("FETCH backwards, $kind", $query, @begin, execute('p', 2), sql('FETCH BACKWARD 1 FROM p'), sql('ROLLBACK'));
	same("FETCH ABSOLUTE, $kind", $query, @begin, sql('FETCH ABSOLUTE 4 FROM p'), execute('p', 1),
		sql('FETCH ABSOLUTE 1 FROM p'), sql('ROLLBACK'));
}

# What was looked up but did not run to its end is a miss that stored nothing.
$tier->clear;
$c = Protocol->connect($node);
my $counted = 'SELECT misses, fills, fills_skipped FROM cache_ext.stats()';
for my $end (
	[ 'closed early', messages(sub { $_[0]->close('P', 'p') }) ],
	[ 'left at the end of its transaction', sql('COMMIT') ],
	[ 'run on', execute('p') ])
{
	my ($name, $step) = @$end;
	my ($before) = $admin->rows($counted);
	$_->() for sql('BEGIN'), bind_to('p', $text), execute('p', 3), $step, sql('ROLLBACK');
	my ($after) = $admin->rows($counted);
	is(join(' ', map { $after->[$_] - $before->[$_] } 0 .. 2), '1 0 1', "counted: $name");
}

note '--- settings between Bind and Execute';
my $rendered = q{SELECT at, at::text AS text, current_setting('bytea_output') AS output, v::bytea AS bytes FROM t ORDER BY id};
my $set = sql("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = German; SET bytea_output = escape");
for my $format (0, 1)
{
	my @begin = (sql('BEGIN'), bind_to('p', $rendered, $format));

	my @plain = same("set before the first row, format $format", $rendered, @begin, $set, execute('p'),
		sql('COMMIT'));
	like("@plain", qr/escape/, 'the new setting counts');
	same("set before some rows, format $format", $rendered, @begin, $set, execute('p', 2), execute('p'),
		sql('COMMIT'));
	same("set and taken back, format $format", $rendered, @begin, sql('SAVEPOINT s'), $set,
		sql('ROLLBACK TO s'), execute('p'), sql('COMMIT'));
}
# What is computed is computed for all rows at once by a Sort, so that this doesn't differ.
same('set after some rows', $rendered, sql('BEGIN'), bind_to('p', $rendered), execute('p', 2),
	sql('SET TimeZone = UTC'), execute('p'), sql('COMMIT'));

# A hit keeps no table open, so that its own transaction may rewrite one, which it could not after a plan was
# started.  The rows are those that were bound, and never what a plan would find in the new table.
for my $command ('TRUNCATE t', 'ALTER TABLE t ALTER id TYPE bigint', 'DROP TABLE t', 'CLUSTER t USING t_pkey')
{
	for my $query ($text, $with_parameter)
	{
		my $name = $command . (ref $query ? ', with a parameter' : '');
		my ($sql, @values) = ref $query ? @$query : $query;
		$admin->rows('SELECT fill_table(), cache_ext.reset_statements()');
		$c = Protocol->connect($node);
		$c->parse('', $sql)->bind('', '', \@values)->execute('')->sync->answers for 1, 2;

		$_->() for sql('BEGIN'), bind_to('p', $query);
		$c->rows($command);
		is(scalar grep({ /^D/ } execute('p')->()), $rows, "$name: the rows that were bound");
		$c->rows('ROLLBACK');

		$_->() for sql('BEGIN'), bind_to('p', $query);
		$c->rows($command);
		like(join(' ', $set->(), execute('p')->()), qr/C55006.*rewritten, truncated or dropped/,
			"$name: an error where a plan would have to run");
		$c->rows('ROLLBACK');
	}
}

note '--- roles between Bind and Execute';
my $who = 'SELECT id, current_user::text FROM t ORDER BY id';
my $whose = 'SELECT own(id), current_user::text FROM t ORDER BY id';
my $mine = 'SELECT id, v FROM policed ORDER BY id';
for my $query ($who, $whose, $mine)
{
	my @begin = (sql('BEGIN; SET LOCAL ROLE reader'), bind_to('p', $query));
	my @plain = same("role: another one, $query", $query, @begin, sql('SET LOCAL ROLE stranger'), execute('p'),
		bind_to('q', $query), sql('ROLLBACK'));
	like("@plain", qr/D .*stranger/, 'the rows are those of the new role');
	same("role: another one, in parts, $query", $query, @begin, sql('SET LOCAL ROLE stranger'), execute('p', 2),
		execute('p'), sql('SELECT current_user'), sql('COMMIT'));
	same("role: reset, $query", $query, @begin, sql('RESET ROLE'), execute('p'), sql('COMMIT'));
	same("role: rolled back, $query", $query, sql('BEGIN; SAVEPOINT s; SET LOCAL ROLE reader'),
		bind_to('p', $query), sql('ROLLBACK TO s'), execute('p'), sql('ROLLBACK'));
}

# An error of the start lets its entry go at once, even where the transaction is still open.
my $failed = Session->new($node);
my $count = 'SELECT count(*) FROM t';
$failed->ok($count) for 1 .. 2;
my $before = hits_so_far();
$failed->ok($count);
is(hits_so_far() - $before, 1, 'a hit for those who have the right');
$failed->ok($_) for 'BEGIN', 'SET ROLE stranger';
like($failed->query($count), qr/permission denied for table t/, 'an error for those who have not');
is($tier->pins, 0, 'which keeps no pin');
like($failed->query($count), qr/current transaction is aborted/, 'though the transaction has not ended');
$failed->close;

done_testing();
