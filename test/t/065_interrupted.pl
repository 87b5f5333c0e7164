# What ends in the middle of a large result: cancelled, terminated, or left by its client.  Nothing stays pinned,
# nothing half is stored, and nobody waits for it.
use strict;
use warnings;

use CacheTest;
use Digest::MD5;
use LocalState;
use Protocol;
use Test::More;

# More than what lies between a server and a client that does not read; of an entry that fits into a tier.
my $rows = 16_000;
my $sql = 'SELECT id, v FROM t ORDER BY id';

my $node = cache_node('interrupted', undef,
	'cache_ext.mode = hint', 'cache_ext.flight_wait = 60s');
$node->safe_psql('postgres', <<"EOS");
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, $rows) i;
SELECT cache_ext.track('t');
ANALYZE t;
CREATE TABLE other (id int, v text);
INSERT INTO other SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 500) i;
SELECT cache_ext.track('other');
EOS
my $tier = LocalState->new($node);
my $admin = Protocol->connect($node);
my $hinted = "$sql /* cache_ext */";

sub counted { return join ' ', @{ ($admin->rows("SELECT $_[0] FROM cache_ext.stats()"))[0] }; }

sub waits_for
{
	my ($c, $event) = @_;
	my $now = $admin->value('SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $c->pid);
	return defined $now && $now eq $event;
}

# Ways to ask for all rows.
my %ways = (
	simple => sub { $_[0]->query($hinted) },
	text => sub { $_[0]->parse('', $hinted)->bind('', '', [])->execute('')->sync },
	binary => sub { $_[0]->parse('', $hinted)->bind('', '', [], results => [1])->execute('')->sync },
	function => sub {
		$_[0]->query("SELECT * FROM cache_ext.query('$sql') AS q(id int, v text)");
	},
	'in parts' => sub {
		$_[0]->parse('', $hinted)->bind('', '', [])->execute('', $rows - 1)->execute('')->sync;
	},
);

# What there is to read from a connection that asked: a digest of the rows, and the other messages.
sub read_rest
{
	my ($c) = @_;
	my $digest = Digest::MD5->new;
	my ($count, @others) = (0);

	while (my $message = $c->receive)
	{
		if ($message->[0] eq 'D')
		{
			$digest->add($message->[1]);
			$count++;
			next;
		}
		push @others, $message;
		last if $message->[0] eq 'Z';
	}
	return { count => $count, digest => $digest->hexdigest, others => join(' ', Protocol::shown(@others)) };
}

sub ask_for_all { my ($c, $way) = @_; $ways{$way}->($c); $c->send; return read_rest($c); }

# A connection whose server can't get rid of the rows.
sub stuck
{
	my ($way) = @_;
	my $c = Protocol->connect($node);
	$ways{$way}->($c);
	$c->send;
	wait_until("$way: it waits for its client", sub {
		waits_for($c, 'ClientWrite');
	});
	return $c;
}

my %expected;
{
	my $c = Protocol->connect($node);
	$c->rows('SET cache_ext.enabled = off');
	$expected{$_} = ask_for_all($c, $_) for keys %ways;
	is($expected{$_}{count}, $rows, "$_: all rows") for keys %ways;
}

# The entry is there, and the rendering for that way is or is not.
sub prepare_entry
{
	my ($way, $rendered) = @_;
	my $c = Protocol->connect($node);
	$tier->clear;
	$c->rows("EXPLAIN ANALYZE $hinted");
	ask_for_all($c, $way) if $rendered;
	return;
}

for my $way (sort keys %ways)
{
	for my $rendered (0, 1)
	{
		my $state = $rendered ? 'rendered' : 'not yet rendered';
		my $name = "$way, $state";

		prepare_entry($way, $rendered);
		my $before = counted('hits');
		my $c = stuck($way);
		is(counted('hits'), $before + 1, "$name: a hit");
		is($tier->pins, $way eq 'in parts' ? 0 : 1, "$name: pinned");
		$c->cancel;
		my $rest = read_rest($c);
		like($rest->{others}, qr/C57014/, "$name: cancelled");
		cmp_ok($rest->{count}, '<', $rows, "$name: in the middle");
		is($tier->pins, 0, "$name: nothing is left pinned");
		is_deeply(ask_for_all($c, $way), $expected{$way}, "$name: the same connection gets all rows");

		prepare_entry($way, $rendered);
		$c = stuck($way);
		$admin->rows('SELECT pg_terminate_backend(' . $c->pid . ')');
		$rest = read_rest($c);
		cmp_ok($rest->{count}, '<', $rows, "$name: terminated in the middle");
		$tier->unpinned_is("$name: nothing is left pinned by who was terminated");

		prepare_entry($way, $rendered);
		$c = stuck($way);
		$c->disconnect;
		$tier->unpinned_is("$name: nothing is left pinned by whose client went away");
		is($tier->entries, 1, "$name: the entry is still there");
		is_deeply(ask_for_all(Protocol->connect($node), $way), $expected{$way}, "$name: for another connection");

		# what is being sent stays as it is, whatever becomes of the entry
		prepare_entry($way, $rendered);
		$c = stuck($way);
		$admin->rows('UPDATE t SET v = v WHERE id = 1');
		$tier->clear;
		my $evictions = $tier->evictions;
		$admin->rows("SELECT id + $_, v FROM other /* cache_ext */") for 1 .. 30;
		cmp_ok($tier->evictions, '>', $evictions, "$name: its room would be needed");
		is_deeply(read_rest($c), $expected{$way}, "$name: it goes on with what it had");
		$c->disconnect;
		$tier->unpinned_is("$name: and lets go");
	}
}

note '--- while it is stored';
for my $end ('cancelled', 'terminated', 'left by its client')
{
	$tier->clear;
	my $before = counted('fills');
	my $c = stuck('simple');
	my $other = Protocol->connect($node);

	# whoever sends to a client that doesn't read is not waited for
	is_deeply(ask_for_all($other, 'simple'), $expected{simple}, "$end: another gets all rows");
	is(counted('fills'), $before + 1, "$end: and stores them");
	if ($end eq 'cancelled')
	{
		$c->cancel;
		like(read_rest($c)->{others}, qr/C57014/, 'cancelled while it fills');
	}
	elsif ($end eq 'terminated')
	{
		$admin->rows('SELECT pg_terminate_backend(' . $c->pid . ')');
		read_rest($c);
	}
	else
	{
		$c->disconnect;
	}
	is(counted('fills'), $before + 1, "$end: what it would have stored is gone");
	is_deeply(ask_for_all($other, 'simple'), $expected{simple}, "$end: for others they are there");
	$tier->unpinned_is("$end: nothing is left pinned");
}

done_testing();
