# The local tier by itself, through a module that has nothing else in it: what it keeps and gives up,
# pins, and many sessions at once.
#
# CX_CHURN_OPERATIONS in the environment is the number of operations of the last part.
use strict;
use warnings;

use CacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(usleep);

# The module: test/churn, and of the extension what it needs.  With assertions.
my $module = "$PostgreSQL::Test::Utils::tmp_check/churn";

sub build_module
{
	my @sources = (glob('test/churn/*.c src/core/local*.c'),
		map { "src/$_.c" } qw(core/clock core/environment core/handover base/counters base/redis_url
		base/settings base/shmem));
	my @flags = map { split ' ', scalar `pg_config $_` } qw(--cppflags --cflags);
	chomp(my $include = `pg_config --includedir-server`);

	system_or_bail('gcc', @flags, '-O2', '-fPIC', '-shared', '-DUSE_ASSERT_CHECKING', '-Isrc',
		'-Itest/churn', "-I$include", @sources, '-o', "$module.so");
	return;
}

# A started cluster whose tier has that much memory.
sub tier_node
{
	my ($name, $memory) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = '$module'", 'fsync = off', 'autovacuum = off',
		'restart_after_crash = on', "cache_ext.local_memory = '$memory'", ''));
	$node->start;
	$node->safe_psql('postgres', slurp_file('test/churn/churn.sql'),
		extra_params => [ '-v', "module=$module" ]);
	return $node;
}

build_module();
my $node = tier_node('tier', '1MB');
my $s = Session->new($node);

sub sql { return $s->ok('SELECT ' . $_[0]); }
sub state { return sql("$_[0] FROM churn.state()"); }
sub keys_stored { return join ' ', sort split /,/, sql('churn.keys()'); }

my $empty = state('used');
my $limit = state('"limit"');
my $share = $limit / 8;

note '--- storing and finding';
is(sql('churn.available()'), 't', 'there is a tier');
is($limit, 1024 * 1024, 'of the memory that was set');
is(sql("allocated_size FROM pg_shmem_allocations WHERE name = 'cache_ext local tier'"), $limit,
	'which is all that was requested');
is(sql(q{churn.get('a')}), '', 'nothing is found in an empty tier');
is(sql(q{churn.put('a', 1000)}), 't', 'an entry is stored');
is(sql(q{churn.get('a')}), '1', 'and found');
cmp_ok(state('used'), '>=', $empty + 1000, 'it takes memory');
is(sql(q{churn.put('empty', 0), churn.get('empty')}), 't|1', 'an empty body');
is(sql(q{churn.put('', 10), churn.get('')}), 't|1', 'an empty key');
is(sql(qq{churn.put(repeat('k', 2000) || '$_', 10, $_)}), 't', "a long key that ends with $_") for 1 .. 3;
is(sql(qq{churn.get(repeat('k', 2000) || '$_')}), $_, "the entry of the key that ends with $_") for 1 .. 3;
is(sql(qq{churn.get(repeat('k', $_))}), '', "not that of a prefix of $_ bytes") for 1999, 2000;
# Two keys of one hash: on little-endian machines.
my @alike = ('one and one!', 'AAcgDx8Q9X.8');
is(sql("hashtextextended('$alike[0]', 0) = hashtextextended('$alike[1]', 0)"), 't', 'hashes collide');
is(sql("churn.put('$alike[0]', 10, 1), churn.get('$alike[1]')"), 't|', 'a key is compared in full');
is(sql("churn.put('$alike[1]', 10, 2), churn.get('$alike[0]'), churn.get('$alike[1]')"), 't|1|2',
	'and replaces no other');
is(sql(qq{count(*) FROM generate_series(1, 500) g WHERE churn.put('many' || g, 10, g)}), '500',
	'many entries');
is(sql(qq{count(*) FROM generate_series(1, 500) g WHERE churn.get('many' || g) = g}), '500',
	'each under its key');
is(state('entries, evictions'), '508|0', 'all of them are counted');
sql('churn.clear()');
is(state('entries, used, pins'), "0|$empty|0", 'clear leaves nothing');
is(keys_stored(), '', 'and nothing to find');

note '--- replacing';
sql(q{churn.put('a', 100, 1, lsn => '0/100')});
my $one = state('used');
is(sql(q{churn.put('a', 100, 2, lsn => '0/200'), churn.get('a')}), 't|2', 'by a newer one');
is(sql(q{churn.put('a', 100, 3, lsn => '0/200'), churn.get('a')}), 't|3', 'by one as new');
is(sql(q{churn.put('a', 100, 4, lsn => '0/100'), churn.get('a')}), 't|3', 'not by an older one');
is(state('entries, used'), "1|$one", 'what is replaced takes no memory');
is(sql(q{churn.put('a', 100, 5, lsn => '0/100', other_epoch => true), churn.get('a')}), 't|5',
	'by one of another epoch');
is(sql(q{churn.drop('a'), churn.get('a')}), 't|', 'a dropped one is not found');
is(sql(q{churn.drop('a')}), 'f', 'nor dropped again');
is(state('entries, used, pins'), "0|$empty|0", 'and takes no memory');

note '--- pinned entries stay readable';
my %removals = (
	replaced => q{churn.put('a', 20000, 2)},
	dropped => q{churn.drop('a')},
	cleared => q{churn.clear()},
	evicted => q{count(churn.put('other' || g, 50000)) FROM generate_series(1, 40) g});
for my $how (sort keys %removals)
{
	sql('churn.clear()');
	sql(q{churn.put('a', 30000, 1)});
	my $with_a = state('used');
	my $reader = Session->new($node);
	$reader->ok(q{SELECT churn.hold('a', 'session')});
	is(state('pins'), '1', "$how: pinned");
	sql($removals{$how});
	isnt(sql(q{churn.get('a')}), $how eq 'evicted' ? '' : '1', "$how: what others see of it");
	sql('churn.clear()');
	is(state('entries, used, pins'), "0|$with_a|1", "$how: it is all that is left");
	$reader->ok('SELECT churn.let_go()');
	is(state('entries, used, pins'), "0|$empty|0", "$how: and freed by its last reader");
	$reader->close;
}

note '--- pins don\'t outlive what they were made in';
sql(q{churn.put('a', 30000)});
my $with_a = state('used');
is(sql(q{count(churn.hold('a', 'statement')) FROM generate_series(1, 5)}), '5', 'a statement that ends');
is(state('pins'), '0', 'has no pins left');
like($s->query(q{SELECT churn.hold('a', 'statement'), 1 / (3 - g) FROM generate_series(1, 5) g}),
	qr/division by zero/, 'an error');
is(state('pins'), '0', 'has no pins left');
like($s->query('SELECT churn.fail_visit()'), qr/visited/, 'an error while visiting');
is(state('pins'), '0', 'has no pins left');
$s->ok(q{BEGIN; SELECT churn.hold('a', 'transaction'); SAVEPOINT s;
		 SELECT churn.hold('a', 'transaction') FROM generate_series(1, 3)});
is(state('pins'), '4', 'a transaction and a subtransaction');
$s->ok('ROLLBACK TO s');
is(state('pins'), '1', 'the subtransaction is rolled back');
$s->ok('SAVEPOINT s');
like($s->query(q{SELECT churn.hold('a', 'transaction'), 1 / 0 FROM generate_series(1, 3)}),
	qr/division by zero/, 'a subtransaction fails');
$s->ok('ROLLBACK TO s');
is(state('pins'), '1', 'the transaction goes on');
$s->ok('COMMIT');
is(state('pins'), '0', 'the transaction ends');
for my $end (qw(pg_cancel_backend pg_terminate_backend))
{
	my $other = Session->new($node);
	$other->ok(q{BEGIN; SELECT churn.hold('a', 'transaction')});
	$other->ok(q{SELECT churn.hold('a', 'session'), churn.reserve('b', 50000)})
	  if $end eq 'pg_terminate_backend';
	$other->send(q{SELECT churn.hold('a', 'statement'), pg_sleep(170)});
	wait_until('the entry is pinned',
		sub { state('pins') == ($end eq 'pg_terminate_backend' ? 3 : 2) });
	cmp_ok(state('used'), '>', $with_a + 50000, 'an entry is reserved')
	  if $end eq 'pg_terminate_backend';
	sql("$end(" . $other->pid . ')');
	$other->finish;
	$other->ok('ROLLBACK') if $end eq 'pg_cancel_backend';
	wait_until("pins and what is reserved are released after $end",
		sub { state('pins, used') eq "0|$with_a" });
	pass($end);
	$other->close;
}
my $idle = Session->new($node);
$idle->ok(q{SELECT churn.hold('a', 'session'), churn.reserve('b', 50000), churn.reserve('c', 50000)});
cmp_ok(state('used'), '<', $with_a + 100000, 'a session has one entry reserved at most');
$idle->close;
wait_until('all is released when a session ends', sub { state('pins, used') eq "0|$with_a" });
pass('a session ends');

note '--- renderings';
sql(q{churn.add_rendering('a', 'x', 5000), churn.add_rendering('a', 'y', 0)});
is(sql(q{churn.find_rendering('a', 'x'), churn.find_rendering('a', 'y'), churn.find_rendering('a', 'z')}),
	'5000|0|', 'are found by their names');
my $rendered = state('used');
cmp_ok($rendered, '>=', $with_a + 5000, 'take memory');
sql(q{churn.add_rendering('a', 'x', 5000)});
is(state('used'), $rendered, 'once');
sql(qq{churn.add_rendering('a', 'z', $share - 20000)});
is(sql(q{churn.find_rendering('a', 'z')}), '', 'count as part of their entry\'s share');
sql(q{churn.put('a', 30000, 2)});
is(sql(q{churn.find_rendering('a', 'x')}), '', 'are not those of what replaces it');
is(state('used'), $with_a, 'and go with it');
is(sql(q{count(churn.add_rendering('a', 'r' || g, 9000)) FROM generate_series(1, 20) g}), '20', 'many');
cmp_ok(sql(q{count(churn.find_rendering('a', 'r' || g)) FROM generate_series(1, 20) g}), '>', 5,
	'are stored');
cmp_ok(state('used'), '<=', $empty + $share, 'as far as the share goes');
sql('churn.clear()');
is(state('entries, used, pins'), "0|$empty|0", 'are cleared');

note '--- no entry takes more than its share';
is(sql("churn.fits(100, $share), churn.put('large', $share)"), 'f|f', 'one that is too large');
is(sql("churn.fits($share, 0), churn.put(repeat('k', $share), 0)"), 'f|f', 'a key that is too large');
is(sql('churn.fits(9223372036854775807, 9223372036854775807)'), 'f', 'sizes that add up to little');
is(sql("churn.fits(100, $share - 1000), churn.put('large', $share - 1000), churn.get('large')"), 't|t|1',
	'one that has just the right size');
# Small ones, whose order in the queue is not that in the memory.
sql('* FROM churn.zipf(30000, 10000, 100, 400, 3)');
my $small = state('entries');
cmp_ok(state('used'), '>', 0.95 * $limit, 'the tier is full of small ones');
is(sql("churn.put('large', $share - 1000), churn.get('large')"), 't|1', 'a large one finds room');
cmp_ok(state('entries'), '>', $small * 0.7, 'and leaves most of the small ones alone');
is(sql("count(*) FROM generate_series(1, 20) g WHERE churn.put('large' || g, $share - 1000)"), '20',
	'many large ones do');
sql('churn.clear()');
is(state('entries, used, pins'), "0|$empty|0", 'then it is empty again');

note '--- what is pinned is in the way of nothing but itself';
sql(q{count(churn.put('small' || g, 200)) FROM generate_series(1, 5000) g});
$s->ok('BEGIN');
my $pinned = sql(q{count(churn.hold(key, 'transaction'))
	FROM unnest(string_to_array(churn.keys(), ',')) WITH ORDINALITY k(key, n) WHERE n % 10 = 0});
is(sql("churn.put('large', $share - 1000)"), 'f', 'no room for a large one between them');
is(sql("churn.put('medium', 2000)"), 't', 'but for a smaller one');
is(state('pins'), $pinned, 'they are still pinned');
$s->ok('COMMIT');
sql('churn.clear()');
is(state('entries, used, pins'), "0|$empty|0", 'then it is empty again');

note '--- SIEVE';

# Entries of one size, against the same rules in a few lines: latest first, and what was visited.
my $size = 40000;
my $fit = 0;
$fit++ while sql("churn.put('fit$fit', $size)") eq 't' && state('entries') == $fit + 1;
cmp_ok($fit, '>', 15, "$fit entries fit");
cmp_ok($fit, '<', 32, 'not more than one sweep for dead ones sees');
sql('churn.clear()');

my (@queue, %visited, $hand);

sub later
{
	my ($key) = @_;
	my ($at) = grep { $queue[$_] eq $key } 0 .. $#queue;
	return $at > 0 ? $queue[ $at - 1 ] : undef;
}

sub model_remove
{
	my ($key) = @_;
	$hand = later($key) if defined $hand && $hand eq $key;
	@queue = grep { $_ ne $key } @queue;
	return delete $visited{$key};
}

sub model_evict
{
	while (1)
	{
		my $key = $hand // $queue[-1];
		$hand = later($key);
		return model_remove($key) unless $visited{$key};
		$visited{$key} = 0;
	}
}

sub model_put
{
	my ($key) = @_;
	model_evict() if @queue == $fit;
	my $visited = model_remove($key);
	unshift @queue, $key;
	$visited{$key} = $visited // 0;
	return;
}

srand(20240417);
my $differences = 0;
for my $step (1 .. 600)
{
	my $key = 'k' . int(rand(3 * $fit) * rand());
	my $what = rand();
	if ($what < 0.6)
	{
		my $found = sql("churn.get('$key') IS NOT NULL") eq 't';
		$differences++ if $found != exists $visited{$key};
		$visited{$key} = 1 if exists $visited{$key};
	}
	elsif ($what < 0.97)
	{
		sql("churn.put('$key', $size)");
		model_put($key);
	}
	else
	{
		sql("churn.drop('$key')");
		model_remove($key);
	}
	my $stored = keys_stored();
	next if $stored eq join ' ', sort @queue;
	$differences++;
	diag("step $step, $key: tier has $stored, SIEVE keeps @{[ sort @queue ]}");
	last;
}
is($differences, 0, 'the tier keeps what SIEVE keeps');

note '--- what is of no use goes first';
sql('churn.clear()');
my $before = state('evictions');
for my $n (1 .. $fit)
{
	my $kind = ('live', 'expired', 'changed', 'foreign', 'live')[ $n % 5 ];
	my %options = (
		live => 'depends_on => 1',
		expired => 'expires => now()',
		changed => 'depends_on => 2',
		foreign => 'other_epoch => true');
	sql("churn.put('$kind$n', $size, $options{$kind})");
	# all but the live ones are visited
	sql("churn.get('$kind$n')") if $kind ne 'live';
}
sql('churn.touch(2)');
my @live = grep { /live/ } split ' ', keys_stored();
my $dead = $fit - @live;
my $discards = state('discards');
sql("churn.put('new', $size)");
is(keys_stored(), join(' ', sort @live, 'new'), 'all of them, before anything that is valid');
is(state('discards') - $discards, $dead, 'counted as discards');
is(state('evictions'), $before, 'not as evictions');
sql("churn.drop('new')");
is(state('discards') - $discards, $dead + 1, 'so is one that a reader found to be of no use');
sql('churn.clear()');
is(state('entries, used, pins'), "0|$empty|0", 'then it is empty again');
$s->close;

note '--- kill -9';
$s = Session->new($node);
my $victim = Session->new($node);
sql(q{churn.put('a', 30000)});
$victim->ok(q{SELECT churn.hold('a', 'session'), churn.reserve('b', 50000)});
kill 'KILL', $victim->pid;
$s->query('SELECT pg_sleep(170)');
$s->close;
$victim->close;
$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'no restart after a crash';
$s = Session->new($node);
is(state('used, entries, pins, evictions, discards'), "$empty|0|0|0|0", 'leaves an empty tier');
is(sql(q{churn.put('a', 30000), churn.get('a')}), 't|1', 'that works');
sql('churn.clear()');

note '--- SIEVE and LRU';
my ($tier, $lru) = split /\|/, sql('* FROM churn.zipf(200000, 5000, 100, 20000, 1)');
cmp_ok($tier, '>', $lru - 0.01, "hit ratios with a Zipf(1.0) workload: $tier, and $lru with LRU");
($tier, $lru) = split /\|/, sql('* FROM churn.zipf(200000, 5000, 2000, 2000, 2)');
cmp_ok($tier, '>', $lru - 0.01, "with entries of one size: $tier, and $lru with LRU");
sql('churn.clear()');
is(state('entries, used, pins'), "0|$empty|0", 'then it is empty again');

note '--- churn';
my $operations = $ENV{CX_CHURN_OPERATIONS} // 400_000;
my $session_count = 4;
my $largest = 30000;
my $key_count = 2500;       # 10 MB, ten times the memory
my @sessions = map { Session->new($node) } 1 .. $session_count;
my $start = time;
$sessions[$_]->send('SELECT * FROM churn.run(' . int($operations / $session_count)
	. ", $key_count, $largest, $_)") for 0 .. $#sessions;
my ($most, $looks) = (0, 0);
while (grep { $_->running } @sessions)
{
	my $used = state('used');
	$most = $used if $used > $most;
	$looks++;
	usleep(100_000);
}
my @results = map { $_->finish } @sessions;
like($_, qr/^[0-9|]+$/, "a session ends without an error: gets, hits, stored, refused $_") for @results;
my ($gets, $hits) = (0, 0);
for (@results)
{
	my @counts = /(\d+)/g;
	$gets += $counts[0] // 0;
	$hits += $counts[1] // 0;
}
note sprintf('%d operations in %d s, hit ratio %.3f, %s', $gets, time - $start, $hits / ($gets || 1),
	state('*'));
cmp_ok($most, '<=', $limit, "memory used stays below the limit, in $looks looks");
is(state('pins'), '0', 'no pin is left');
is(sql('array_length(string_to_array(churn.keys(), \',\'), 1)'), state('entries'),
	'all entries can be found');
$_->close for @sessions;
sql('churn.clear()');
wait_until('nothing is reserved', sub { state('used') <= $empty });
is(state('entries, used, pins'), "0|$empty|0", 'then it is empty again');
$s->close;
$node->stop;

note '--- without local memory';
my $without = tier_node('without', '0');
$s = Session->new($without);
is(sql(q{count(*) FROM pg_shmem_allocations WHERE name LIKE 'cache_ext local%'}), '0',
	'nothing is requested');
is(sql(q{churn.available(), churn.fits(1, 1), churn.put('a', 10), churn.get('a'), churn.drop('a'),
		 churn.reserve('a', 10), churn.keys(), churn.clear()}), 'f|f|f||f|f||', 'every call does nothing');
is(state('*'), '0|0|0|0|0|0', 'and there is nothing');
$s->close;
$without->stop;

done_testing();
