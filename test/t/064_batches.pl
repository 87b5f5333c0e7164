# Prepared statements executed many times, and many of them in one go before an answer is read, as JDBC's
# batches do: all that the client gets is as without the cache.
use strict;
use warnings;

use CacheTest;
use LocalState;
use Protocol;
use Test::More;

my $node = cache_node('batches', undef,
	'cache_ext.mode = auto', 'cache_ext.min_cost = 0', "TimeZone = 'UTC'");
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE t (id int PRIMARY KEY, kind text, v numeric, at timestamptz);
CREATE TABLE at_first AS SELECT i AS id, 'kind ' || i % 3 AS kind, i / 7.0 AS v,
		'2024-01-01 00:00:00+00'::timestamptz + i * '1 h'::interval AS at
	FROM generate_series(1, 60) i;
INSERT INTO t TABLE at_first;
CREATE FUNCTION restore() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (TABLE t EXCEPT TABLE at_first) OR EXISTS (TABLE at_first EXCEPT TABLE t) THEN
		DELETE FROM t;
		INSERT INTO t TABLE at_first;
	END IF;
END $$;
SELECT cache_ext.track('t', '{kind}');
EOS
my $tier = LocalState->new($node);
my $admin = Protocol->connect($node);

sub counters { return ($admin->rows('SELECT hits, fills, misses, bypasses FROM cache_ext.stats()'))[0]; }

# The same conversation without the cache, with an empty one, and twice more, each time with the table as it
# was at first.  What the cache did in each of the
# last three: hits, fills, other misses, bypasses.
sub same
{
	my ($name, $conversation, $settings) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @did;
	my $plain;

	# what ran before left nothing behind
	$tier->clear;
	for my $round (0 .. 3)
	{
		$admin->rows('SELECT restore()');
		$admin->rows('SELECT cache_ext.reset_statements()');
		my $c = Protocol->connect($node, %{ $settings || {} });
		$c->rows('SET cache_ext.enabled = off') if $round == 0;
		my $before = counters();
		my @got = Protocol::shown($conversation->($c));
		my $after = counters();
		if ($round == 0)
		{
			$plain = \@got;
			next;
		}
		is_deeply(\@got, $plain, "$name, round $round") or diag(join "\n", @$plain, '---', @got);
		my @change = map { $after->[$_] - $before->[$_] } 0 .. 3;
		$change[2] -= $change[1];
		push @did, "@change";
	}
	return @did;
}

# Everything is queued before the first answer is read.
sub in_one_go { my ($queue) = @_; return sub { my ($c) = @_; $queue->($c); return $c->sync->answers; }; }

note '--- custom and generic plans';
my $by_kind = 'SELECT id, v, at FROM t WHERE kind = $1 ORDER BY id';
for my $mode ('auto', 'force_custom_plan', 'force_generic_plan')
{
	for my $format (0, 1)
	{
		my @did = same("twelve executions, $mode, format $format", sub {
			my ($c) = @_;
			my @messages = $c->parse('s', $by_kind, 25)->describe('S', 's')->sync->answers;
			for my $i (1 .. 12)
			{
				my $value = $i == 5 ? undef : $i == 9 ? 'no such kind' : 'kind ' . $i % 3;
				push @messages, $c->bind('', 's', [$value], results => [$format])->describe('P', '')
				  ->execute('')->sync->answers;
			}
			return @messages;
		}, { plan_cache_mode => $mode });
		# three kinds, NULL, and one that is not there
		is($did[0], '7 5 0 0', "$mode: each value is filled once");
		is($did[1], '12 0 0 0', "$mode: and then a hit");
	}
	same("changes in between, $mode", sub {
		my ($c) = @_;
		my @messages = $c->parse('s', $by_kind, 25)->sync->answers;
		for my $i (1 .. 14)
		{
			push @messages, $c->bind('', 's', [ 'kind ' . $i % 2 ])->execute('')->sync->answers;
			$admin->rows("UPDATE t SET v = v + 1 WHERE id = $i") if $i % 3 == 0;
			push @messages, $c->query("UPDATE t SET kind = 'kind 0' WHERE id = $i")->answers if $i % 5 == 0;
			push @messages, $c->query("SET TimeZone = '" . ($i % 2 ? 'UTC' : 'Asia/Tokyo') . "'")->answers if $i % 4 == 0;
		}
		return @messages;
	}, { plan_cache_mode => $mode });
}

my @did = same('without parameters', sub {
	my ($c) = @_;
	my @messages = $c->parse('s', 'SELECT count(*), sum(v) FROM t')->sync->answers;
	push @messages, $c->bind('', 's', [])->execute('')->sync->answers for 1 .. 8;
	$admin->rows('DELETE FROM t WHERE id = 1');
	push @messages, $c->bind('', 's', [])->execute('')->sync->answers for 1 .. 3;
	return @messages;
});
is($did[0], '9 2 0 0', 'filled once, and once more after the change');

@did = same('parameters in binary, of several types', sub {
	my ($c) = @_;
	my @messages = $c->parse('s', 'SELECT $1::int8 + id, $2 || kind, $3::bool, $4::bytea, $5::int[] FROM t WHERE id = ANY ($5) ORDER BY id')
	  ->describe('S', 's')->sync->answers;
	for my $i (1 .. 7)
	{
		my $array = pack('N*', 1, 0, 23, 2, 1, 4, $i % 2 + 1, 4, 7);
		push @messages, $c->bind('', 's', [ pack('q>', $i % 2), "text\\ ' $i", pack('C', $i % 2), "\0\xff", $array ],
			params => [ 1, 0, 1, 1, 1 ], results => [ 1, 0, 0, 0, 1 ])->execute('')->sync->answers;
	}
	return @messages;
});
is($did[0], '0 7 0 0', 'each combination has an entry');
is($did[1], '7 0 0 0', 'of its own');

note '--- batches';
@did = same('many at once', in_one_go(sub {
	my ($c) = @_;
	$c->parse('s', $by_kind, 25);
	for my $i (1 .. 30)
	{
		$c->bind('', 's', [ 'kind ' . $i % 3 ], results => [ $i % 2 ])->describe('P', '')->execute('');
	}
}));
is($did[0], '27 3 0 0', 'in one batch too, results are found that were stored before');
is($did[1], '30 0 0 0', 'or all of them');

@did = same('with changes in the same transaction', in_one_go(sub {
	my ($c) = @_;
	$c->parse('s', $by_kind, 25)->parse('u', 'UPDATE t SET v = v + 1 WHERE id = $1::int');
	for my $i (1 .. 10)
	{
		$c->bind('', 's', ['kind 1'])->execute('');
		$c->bind('', 'u', [1])->execute('') if $i == 4 || $i == 7;
	}
}));
is($did[0], '3 1 0 6', 'own changes are seen');

same('portals side by side', in_one_go(sub {
	my ($c) = @_;
	$c->query('BEGIN');
	$c->parse('s', $by_kind, 25);
	$c->bind("p$_", 's', [ 'kind ' . $_ % 3 ], results => [ $_ % 2 ]) for 1 .. 6;
	$c->execute("p$_", 4) for 1 .. 6;
	$c->execute("p$_") for reverse 1 .. 6;
	$c->close('P', "p$_")->execute("p$_") for 1 .. 2;
}));

same('an error in the middle', in_one_go(sub {
	my ($c) = @_;
	$c->parse('s', $by_kind, 25)->parse('bad', 'SELECT id, 1 / (id - 3) FROM t WHERE kind = $1 ORDER BY id', 25);
	$c->bind('', 's', ['kind 0'])->execute('')->bind('', 'bad', ['kind 0'])->execute('')
	  ->bind('', 's', ['kind 1'])->execute('');
}));
same('and a batch after it', sub {
	my ($c) = @_;
	$c->parse('s', $by_kind, 25)->parse('bad', 'SELECT id, 1 / (id - 3) FROM t WHERE kind = $1 ORDER BY id', 25);
	my @messages = $c->bind('', 's', ['kind 0'])->execute('')->bind('', 'bad', ['kind 0'])->execute('')
	  ->bind('', 's', ['kind 1'])->execute('')->sync->answers;
	push @messages, $c->bind('', 's', ['kind 0'])->execute('')->bind('', 's', ['kind 1'])->execute('')->sync->answers;
	push @messages, $c->bind('', 's', ['kind 0'])->bind('', 'nothing', [])->execute('')->sync->answers;
	push @messages, $c->bind('', 's', [ 'kind 0', 'too many' ])->execute('')->sync->answers;
	push @messages, $c->bind('', 's', ["\xff"])->execute('')->sync->answers;
	push @messages, $c->bind('', 's', ['kind 2'])->execute('')->sync->answers;
	return @messages;
});

same('answers asked for in between', sub {
	my ($c) = @_;
	my @messages;
	$c->parse('s', $by_kind, 25);
	for my $i (1 .. 6)
	{
		push @messages, $c->bind('', 's', [ 'kind ' . $i % 2 ])->execute('')->flush_output->send->receive_until('C');
		$admin->rows('UPDATE t SET v = v + 1 WHERE id = 2') if $i == 3;
	}
	return (@messages, $c->sync->answers);
});

same('statements replaced and closed', in_one_go(sub {
	my ($c) = @_;
	for my $i (1 .. 4)
	{
		$c->parse('s', $by_kind, 25)->bind('p', 's', ['kind 1'])->close('S', 's')->execute('p', 5)
		  ->parse('s', "SELECT $i, count(*) FROM t")->bind('', 's', [])->execute('')->execute('p')->close('P', 'p')
		  ->close('S', 's');
	}
}));
same('COPY and utilities between them', sub {
	my ($c) = @_;
	return $c->parse('s', $by_kind, 25)->bind('', 's', ['kind 1'])->execute('')
	  ->parse('', 'COPY (SELECT id FROM t WHERE id < 5 ORDER BY id) TO STDOUT')->bind('', '', [])->execute('')
	  ->parse('', 'SET LOCAL DateStyle = German')->bind('', '', [])->execute('')
	  ->bind('', 's', ['kind 1'])->execute('')
	  ->parse('', 'SHOW DateStyle')->bind('', '', [])->execute('')
	  ->parse('', 'PREPARE x AS SELECT count(*) FROM t')->bind('', '', [])->execute('')
	  ->parse('', 'EXECUTE x')->bind('', '', [], results => [1])->describe('P', '')->execute('')->sync->answers;
});

$tier->unpinned_is('nothing is left pinned');
done_testing();
