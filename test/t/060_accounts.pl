# The accounts of statements: when the cache is said not to pay, how long for, and what is shown.
# Times are made up (test/account/account.c), so every decision is exact.
use strict;
use warnings;

use CacheTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my $module = "$PostgreSQL::Test::Utils::tmp_check/account";
chomp(my $includes = `pg_config --includedir-server`);
# -Bsymbolic: its own copies, not those of the library that was loaded before.
system_or_bail('cc', '-O2', '-Wall', '-Werror', '-fPIC', '-shared', '-Wl,-Bsymbolic',
	"-I$top/src", "-I$includes", '-D_GNU_SOURCE', '-o', "$module.so",
	"$top/test/account/account.c", "$top/src/core/account.c", "$top/src/base/shmem.c");

my $node = cache_node('accounts', undef, "shared_preload_libraries = 'cache_ext, $module'",
	'log_statement = none');
(my $functions = slurp_file("$top/test/account/account.sql")) =~ s/MODULE/$module/g;
$node->safe_psql('postgres', $functions);
my $s = Session->new($node);

my $names = 0;
sub fresh { return $s->ok("SELECT account_open('fresh " . ++$names . "')"); }
sub run { return $s->ok('SELECT account_run(' . join(', ', @_) . ')'); }
sub shown
{
	my ($columns, $query) = @_;
	return $s->ok("SELECT $columns FROM cache_ext.statements WHERE query = '$query'");
}

#
# The decision.  A hit takes 1, a miss 16 of which 6 are its own, so plain is 10.  It breaks even at
# 40 % hits, 25.6 in 64, and loses by a tenth below 33 %, 21.3 in 64.
#
is(run(fresh(), 100_000, 64), '+100000', 'all hits');
is(run(fresh(), 100_000, 48), '+100000', 'many hits');
is(run(fresh(), 100_000, 26), '+100000', 'a little above break-even');
is(run(fresh(), 100_000, 22), '+100000', 'below, but within the margin');
is(run(fresh(), 192, 21), '+64 -128', 'below the margin: rests after the first window');
is(run(fresh(), 192, 0), '+64 -128', 'all misses');
is(run(fresh(), 63, 0), '+63', 'not before the window is full');

# One that goes on losing is tried again and again, ever more rarely.
my $loser = fresh();
is(run($loser, 64 + 32_640 + 7 * 32 + 32 + 16_384 + 32, 0),
	'+64 -128 +32 -256 +32 -512 +32 -1024 +32 -2048 +32 -4096 +32 -8192 +32 -16384 +32 -16384 +32',
	'each trial that fails doubles the rest, up to a limit');
is(run($loser, 16_384 + 32 + 64, 26), '-16384 +96', 'one that succeeds ends it');
is(run($loser, 1_000, 0), '+64 -128 +32 -256 +32 -488', 'and takes the rest back to its first length');

my $moody = fresh();
is(run($moody, 64 + 128 + 32 + 256, 0), '+64 -128 +32 -256', 'two failures');
is(run($moody, 32, 26), '+32', 'a trial that succeeds');
is(run($moody, 63, 0), '+63', 'then windows have their length again');
is(run($moody, 129, 0), '+1 -128', 'and the rest its own');

# A trial decides by its own look-ups, not by those before it.
my $better = fresh();
is(run($better, 192, 0), '+64 -128', 'all misses');
is(run($better, 10_000, 26), '+10000', 'better in the trial');

# What plain executions take is measured, if there are any.
sub measured
{
	my ($plain_us) = @_;
	my $account = fresh();
	$s->ok("SELECT account_plain($account, $plain_us, 20)");
	return $account;
}
is(run(measured(5), 192, 44), '+64 -128', 'cheaper than was estimated: loses below 70 %, 44.8 in 64');
is(run(measured(5), 1_000, 45), '+1000', 'and not above');
is(run(measured(14), 192, 2), '+64 -128', 'dearer than was estimated: loses below 4 %, 2.6 in 64');
is(run(measured(14), 1_000, 3), '+1000', 'and not above');
is(run(measured(17), 1_000, 1), '+1000', 'dearer than a miss');
is(run(measured(0.5), 10_000, 64), '+10000', 'hits alone never lose');
is(run(measured(0.5), 192, 63), '+64 -128', 'but a window with a miss tells that hits are dear');
is(run(measured(17), 192, 0), '+192', 'misses alone do not, unless they cost more than a plain execution');

# A query as cheap as a hit.
is(run(fresh(), 192, 63, 1.2, 1.5, 0.5), '+64 -128', 'a query that takes less than a hit');
# A very dear one pays from the first hit on.
is(run(fresh(), 10_000, 1, 500, 1e7, 1000), '+10000', 'a query that takes seconds');

# Executions that were told to ask, and ended after the rest began, belong to no window.
my $late = fresh();
run($late, 64, 0);
$s->ok("SELECT account_hit($late, 1, 1000)");
is(run($late, 128 + 32, 0), '-128 +32', 'look-ups that end in the rest change nothing');

# Who is told to ask and reports nothing (an error, a bypass) ends no window.
my $silent = fresh();
is($s->ok("SELECT account_refusals($silent, 1000)"), '0', 'executions that report nothing');
is(run($silent, 65, 0), '+64 -1', 'count for nothing');

#
# Averages
#
my $average = $s->ok("SELECT account_open('average', 'average')");
is(shown('hit_ms, miss_ms, plain_ms', 'average'), '||', 'nothing is known at first');
is($s->ok("SELECT account_miss_us($average)"), '0', 'of a miss neither');
$s->ok("SELECT account_hit($average, i * 1000) FROM generate_series(1, 8) i");
is(shown('hit_ms', 'average'), '4.5', 'the first few: their mean');
$s->ok("SELECT account_hit($average, 12500)");
is(shown('hit_ms', 'average'), '5.5', 'then each moves it by an eighth of the difference');
$s->ok("SELECT account_hit($average, 1e9)");
is(shown('hit_ms', 'average'), '10.3125', 'a stall counts as eight times the average');
$s->ok("SELECT account_hit($average, us) FROM unnest('{NaN,-1,Infinity,-Infinity,1e300}'::float8[]) us");
is(shown('hit_ms, hits', 'average'), '10.3125|15', 'what is no time is left out, but counted');
$s->ok("SELECT account_miss($average, 3000, 200, true), account_plain($average, 2500)");
is(shown('miss_ms, plain_ms', 'average'), '3|2.5', 'each has its own');
is($s->ok("SELECT account_miss_us($average)"), '3000', 'in microseconds');

my $zero = $s->ok("SELECT account_open('zero', 'zero')");
$s->ok("SELECT account_hit($zero, 0, 100)");
$s->ok("SELECT account_hit($zero, 1000, 100)");
is(shown('round(hit_ms::numeric, 3)', 'zero'), '1.000', 'an average of nothing recovers');

# A second's stall, on a hit and on a miss, of a statement that pays by a little.
my $stalled = measured(10);
is(run($stalled, 640, 26), '+640', 'pays');
$s->ok("SELECT account_hit($stalled, 1e6)");
is(run($stalled, 639, 26), '+639', 'pays after a stall');
$s->ok("SELECT account_miss($stalled, 1e6, 6, true)");
is(run($stalled, 639, 26), '+639', 'and after another');

#
# Making room
#
$s->ok('SELECT cache_ext.reset_statements()');
my (%sets, %opened);
# What a set holds by now, the one unused for longest first: eight at most.
sub used
{
	my ($name, $handle) = @_;
	my $set = $sets{ ($handle & 0xffffffff) >> 3 } ||= [];
	@$set = ((grep { $_ ne $name } @$set), $name);
	shift @$set if @$set > 8;
	return;
}
my $kept = $s->ok("SELECT account_open('kept', 'kept')");
used('kept', $kept);
for my $part (0 .. 29)
{
	# One hundred at a time, and the one that is kept is used in between.
	my ($from, $to) = ($part * 100 + 1, $part * 100 + 100);
	$s->ok("SELECT account_hit($kept, 5)");
	used('kept', $kept);
	for (split /\n/, $s->ok("SELECT 'many ' || i, account_open('many ' || i, 'many ' || i)"
		. " FROM generate_series($from, $to) i"))
	{
		my ($name, $handle) = split /\|/;
		$opened{$name} = $handle;
		used($name, $handle);
	}
}
my @expected = sort map { @$_ } values %sets;
my @open = sort split /\n/, $s->ok('SELECT query FROM cache_ext.statements');
is_deeply(\@open, \@expected, 'of 3,000 statements, those stay that were used last in their set');
cmp_ok(scalar @open, '>', 1900, scalar @open . ' of them');
cmp_ok(scalar @open, '<=', 2048, 'and no more than there is room for');
is(shown('hits, hit_ms', 'kept'), '30|0.005', 'the one in use has stayed');
my %is_open = map { $_ => 1 } @open;
my ($gone) = grep { !$is_open{$_} } map { "many $_" } 1 .. 3000;
my ($there) = grep { $is_open{$_} } map { "many $_" } 1 .. 3000;
my $everything = 'SELECT sum(hits), sum(misses), sum(stored), sum(plain), bool_or(resting),'
  . ' max(miss_ms) FROM cache_ext.statements';
is($s->ok("SELECT account_is_open($opened{$there}), account_is_open($opened{$gone})"), 't|f',
	'a handle knows');

# The handle of one that made room does nothing, however often it is used.
my $before = $s->ok($everything);
$s->ok("SELECT account_hit($opened{$gone}, 1), account_miss($opened{$gone}, 7, 1, true, 100),"
	  . " account_plain($opened{$gone}, 1)");
is($s->ok($everything), $before, 'a handle of one that is gone adds nothing');
is($s->ok("SELECT account_refusals($opened{$gone}, 1000), account_miss_us($opened{$gone})"), '0|0',
	'it pays, and nothing is known of it');

# Another that took its place starts afresh.
$s->ok('SELECT cache_ext.reset_statements()');
is($s->ok('SELECT count(*) FROM cache_ext.statements'), '0', 'all forgotten');
is($s->ok("SELECT account_is_open($kept)"), 'f', 'handles too');
my $first = $s->ok("SELECT account_open('again', 'again')");
run($first, 64, 0);
is(shown('misses, stored, resting', 'again'), '64|64|t', 'rests');
$s->ok('SELECT cache_ext.reset_statements()');
is($s->ok("SELECT account_refusals($first, 10)"), '0', 'no rest for a handle that is gone');
my $second = $s->ok("SELECT account_open('again', 'again')");
isnt($second, $first, 'opened again');
is(shown('hits, misses, stored, plain, hit_ms, miss_ms, plain_ms, resting', 'again'), '0|0|0|0||||f',
	'with nothing of before');
is($s->ok("SELECT account_open('again', 'another text')"), $second, 'opened once more: the same');
is(run($second, 65, 0), '+64 -1', 'and judged afresh');

#
# Several sessions
#
my @sessions = map { Session->new($node) } 1 .. 4;
# Runs a statement in each of them, all set off at once.
sub together
{
	my ($sql) = @_;
	$s->ok('SELECT pg_advisory_lock(1)');
	$_->send("DO 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); END'; $sql") for @sessions;
	wait_until('all are waiting', sub {
		$s->ok(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) eq @sessions;
	});
	$s->ok('SELECT pg_advisory_unlock(1)');
	return map { $_->finish } @sessions;
}
$s->ok('SELECT cache_ext.reset_statements()');

# Each opens the same ones.
my %same = map { $_ => 1 } together("SELECT string_agg(account_open('same ' || i, 'same')::text, ' '"
	  . ' ORDER BY i) FROM generate_series(1, 200) i');
is(scalar keys %same, 1, 'all sessions open the same accounts');
is(shown('count(*)', 'same'), '200', 'each of them once');

my $shared = $s->ok("SELECT account_open('shared', 'shared')");
together("SELECT account_hit($shared, 2, 100000), account_miss($shared, 2, 1, false, 50000),"
	  . " account_miss($shared, 2, 1, true, 25000), account_plain($shared, 2, 70000)");
is(shown('hits, misses, stored, plain', 'shared'), '400000|300000|100000|280000', 'no count is lost');
is(shown('hit_ms, miss_ms, plain_ms', 'shared'), '0.002|0.002|0.002', 'averages are of what was added');

# A rest of 16384 executions, used up by all of them: not one more, not one less.
my $resting = $s->ok("SELECT account_open('resting', 'resting')");
run($resting, 64 + 16_256 + 7 * 32, 0);
is(shown('resting, plain', 'resting'), 't|16256', 'a long rest');
my $refusals = 0;
$refusals += $_ for together("SELECT account_refusals($resting, 100000)");
is($refusals, 16_384, 'is one rest for all sessions');
is(shown('resting', 'resting'), 'f', 'and over');

# And so are many: once the last is over too, all have been whole.
$refusals = 0;
$refusals += $_ for together("SELECT account_refusals($resting, 2000000, true)"),
  $s->ok("SELECT account_refusals($resting, 16384)");
cmp_ok($refusals, '>', 100 * 16_384, 'many rests');
is($refusals % 16_384, 0, 'each of them one for all sessions');

# Windows end once: none of the look-ups is in two, and none is in none.  All hit, so all windows pay;
# then misses fill the one under way, and it takes all that are missing to end it.
my $windows = $s->ok("SELECT account_open('windows', 'windows')");
together("SELECT account_hit($windows, 1, 25001)");
my $under_way = 4 * 25001 % 64;
is(run($windows, 64 - $under_way + 64 + 1, 0, 1, 1.1, 1), '+' . (64 - $under_way) . ' -' . 65,
	"the window under way has $under_way hits, which don't pay");

# Opening, adding and forgetting at the same time: nothing breaks, and nobody rests who doesn't lose.
my @outputs = do {
	$sessions[0]->send('SELECT count(cache_ext.reset_statements()) FROM generate_series(1, 200)');
	$_->send("SELECT count(account_hit(account_open('storm ' || i % 3000, 'storm'), 1, 10)),"
		  . " sum(account_refusals(account_open('storm ' || i % 3000, 'storm')))"
		  . ' FROM generate_series(1, 20000) i') for @sessions[1 .. 3];
	map { $_->finish } @sessions;
};
is_deeply(\@outputs, [ 200, ('20000|0') x 3 ], 'everything at once');
cmp_ok(shown('count(*)', 'storm'), '<=', 2048, 'no more than there is room for');
is(shown('count(*)', 'storm'), $s->ok("SELECT count(*) FROM cache_ext.statements"), 'all whole');

#
# Who sees what
#
$s->ok('SELECT cache_ext.reset_statements()');
$s->ok(q{
	CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats;
	GRANT SELECT ON cache_ext.statements TO PUBLIC;
	GRANT EXECUTE ON FUNCTION cache_ext.statements() TO PUBLIC});
my %user = map { $_ => Session->new($node, user => $_) } qw(alice bob watcher);
$user{alice}->ok(q{SELECT account_hit(account_open('a', 'of alice', 11), 1)});
$user{bob}->ok(q{SELECT account_hit(account_open('b', 'of bob', 22), 1, 2)});
$user{bob}->ok(q{SELECT account_hit(account_open('a', 'of bob?', 33), 1)});
my $rows = q{SELECT role, query_id, query, hits FROM cache_ext.statements ORDER BY role, query};
is($user{alice}->ok($rows), "alice|11|of alice|2\nbob|||2", 'a user sees the texts of her own');
is($user{bob}->ok($rows), "alice|||2\nbob|22|of bob|2", 'and not those that another ran first');
is($user{watcher}->ok($rows), "alice|11|of alice|2\nbob|22|of bob|2", 'pg_read_all_stats: of all');
is($s->ok($rows), "alice|11|of alice|2\nbob|22|of bob|2", 'a superuser too');
$user{alice}->ok(q{SELECT account_open('c', 'no id')});
is(shown('query_id IS NULL, hits', 'no id'), 't|0', 'no query ID where none was computed');
ok($s->ok(q{SELECT min(last_used) > now() - interval '1 day' AND max(last_used) <= clock_timestamp()
	FROM cache_ext.statements}) eq 't', 'when it was last used');
$_->close for values %user;
$s->ok('REVOKE ALL ON cache_ext.statements FROM PUBLIC;
	REVOKE ALL ON FUNCTION cache_ext.statements() FROM PUBLIC; DROP ROLE bob');
is($s->ok($rows), "alice||no id|0\nalice|11|of alice|2\n|22|of bob|2", 'a role that was dropped');

# Texts are cut at a character.
$s->ok(q{SELECT cache_ext.reset_statements(); SELECT account_open('long', repeat('ä€', 200))});
is($s->ok(q{SELECT octet_length(query), query = repeat('ä€', 102) FROM cache_ext.statements}),
	'510|t', 'a long text is cut short, at a character');
$s->ok(q{SELECT cache_ext.reset_statements(); SELECT account_open('long', repeat('x', 600))});
is($s->ok('SELECT length(query) FROM cache_ext.statements'), '511', 'of single bytes too');
$s->ok(q{SELECT cache_ext.reset_statements(); SELECT account_open('short', '')});
is($s->ok('SELECT length(query) FROM cache_ext.statements'), '0', 'and none at all is none');

# Each database has its own.
$s->ok('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION cache_ext');
$node->safe_psql('other', $functions);
my $o = Session->new($node, dbname => 'other');
my $here = $s->ok(q{SELECT account_open('both', 'here')});
my $there_too = $o->ok(q{SELECT account_open('both', 'there')});
isnt($here, $there_too, 'the same fingerprint in another database');
is($s->ok(q{SELECT string_agg(query, ',' ORDER BY query) FROM cache_ext.statements}), ',here',
	'is not shown here');
is($o->ok('SELECT query FROM cache_ext.statements'), 'there', 'but there');
$s->ok('SELECT cache_ext.reset_statements()');
is($s->ok("SELECT account_is_open($here), account_is_open($there_too)"), 'f|t',
	'and not forgotten with these');

done_testing();
