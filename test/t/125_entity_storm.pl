# Entities under load: writers on the same few rows, deliveries that are late, doubled and out of order,
# Redis killed and restarted.  CX_STORM_SECONDS in the environment says how long, 6 by default.
#
# Every change of a key, deletes too, takes the next number of that key, under a lock; so the numbers of a
# key grow in the order of the commits, whatever the versions say.
use strict;
use warnings;

use CacheTest;
use Entities;
use Meddler;
use POSIX qw(_exit);
use PostgreSQL::Test::Utils;
use RedisServer;
use Resp;
use Session;
use Test::More;
use Time::HiRes qw(usleep);

my $seconds = $ENV{CX_STORM_SECONDS} || 6;
my $keys = 20;
my $redis = RedisServer->new('storm');
my $meddler = Meddler->new($redis->socket);
my $node = cache_node('storm', undef, "cache_ext.redis_url = '" . $meddler->url . "'", "deadlock_timeout = '20ms'",
	"cache_ext.redis_timeout = '300ms'", 'max_connections = 60');

$node->safe_psql('postgres', <<"EOS");
CREATE TABLE numbers (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO numbers SELECT i, 0 FROM generate_series(1, $keys) i;
CREATE TABLE storm (id int PRIMARY KEY, n int NOT NULL, pad text);
CREATE TABLE strict (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO strict SELECT i, 0 FROM generate_series(1, 3) i;
CREATE TABLE violations (what text);
SELECT cache_ext.attach('storm', 'storm:{id}', 'write_through');
SELECT cache_ext.attach('storm', 'gone:{id}', 'invalidate');
SELECT cache_ext.attach('strict', 'strict:{id}', 'write_through', on_redis_down => 'abort');

CREATE FUNCTION next_number(key int) RETURNS int LANGUAGE sql AS
	'UPDATE numbers SET n = n + 1 WHERE id = key RETURNING n';

CREATE FUNCTION step(kind int, one int, other int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	number int;
BEGIN
	PERFORM FROM numbers WHERE id IN (one, other) ORDER BY id FOR UPDATE;
	IF kind < 50 THEN
		number := next_number(one);
		INSERT INTO storm VALUES (one, number, repeat('x', kind * 10)) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
	ELSIF kind < 60 THEN
		PERFORM next_number(one);
		DELETE FROM storm WHERE id = one;
	ELSIF kind < 70 THEN
		PERFORM next_number(one);
		DELETE FROM storm WHERE id = one;
		INSERT INTO storm VALUES (one, next_number(one));
	ELSIF kind < 80 THEN
		BEGIN
			PERFORM next_number(one);
			UPDATE storm SET id = other, n = next_number(other) WHERE id = one;
		EXCEPTION WHEN unique_violation THEN
			NULL;
		END;
	ELSIF kind < 95 THEN
		number := next_number(one);
		UPDATE storm SET n = number WHERE id = one;
		BEGIN
			UPDATE storm SET n = next_number(one) WHERE id = one;
			DELETE FROM storm WHERE id = other;
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	ELSIF kind < 99 THEN
		SET LOCAL cache_ext.max_dirty_keys = 5;
		PERFORM FROM numbers ORDER BY id FOR UPDATE;
		UPDATE numbers SET n = n + 1;
		UPDATE storm s SET n = (SELECT m.n FROM numbers m WHERE m.id = s.id);
	ELSE
		PERFORM FROM numbers ORDER BY id FOR UPDATE;
		UPDATE numbers SET n = n + 1;
		TRUNCATE storm;
	END IF;
END \$\$;

-- Is what row() says at least as new as what was committed before?
CREATE FUNCTION check_row(key int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	before int;
	after int;
	found int;
	plain int;
BEGIN
	SELECT n INTO before FROM numbers WHERE id = key;
	SELECT n INTO found FROM cache_ext.row(NULL::storm, key);
	SELECT n INTO plain FROM storm WHERE id = key;
	SELECT n INTO after FROM numbers WHERE id = key;
	IF before = after AND found IS DISTINCT FROM plain THEN
		INSERT INTO violations VALUES (format('row(%s) is %s, the table %s', key, found, plain));
	ELSIF found < before AND found IS DISTINCT FROM plain THEN
		INSERT INTO violations VALUES (format('row(%s) is %s, before it was %s', key, found, before));
	END IF;
END \$\$;
EOS

sub script
{
	my ($name, $text) = @_;
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $text);
	return $file;
}

my $writer = script('writer', <<"EOS");
\\set kind random(0, 99)
\\set more random(0, 99)
\\set one random(1, $keys)
\\set other random(1, $keys)
\\set ms random(0, 4)
\\set end random(0, 9)
BEGIN;
SELECT step(:kind, :one, :other);
\\sleep :ms ms
\\if :more < 50
SELECT step(:more, :other, :one);
\\endif
\\if :end = 0
ROLLBACK;
\\else
COMMIT;
\\endif
EOS
my $reader = script('reader', "\\set key random(1, $keys)\nSELECT check_row(:key);\n");

# Runs a sub in a process of its own; what it returns, lines, comes from finish().
my @children;
sub child
{
	my ($sub) = @_;
	my $pid = open(my $pipe, '-|') // die "fork: $!";
	if ($pid) { push @children, $pipe; return }
	srand($$);
	local $SIG{__WARN__} = sub { };
	print map { "$_\n" } $sub->(time + $seconds);
	close STDOUT;
	_exit(0);
}

sub pgbench
{
	my (@arguments) = @_;
	return sub {
		open(my $out, '-|', "exec 2>&1; exec @{[ $node->installed_command('pgbench') ]} -n -M prepared --max-tries=100 -T $seconds @arguments '"
			. $node->connstr('postgres') . "'") or die;
		my @lines = <$out>;
		return close($out) ? () : ("pgbench failed: @lines");
	};
}

sub number { my ($bytes) = @_; return defined $bytes ? decode_map($bytes)->{n} : undef; }

# Asks Redis; nothing if it is away.
sub ask
{
	my ($client, @command) = @_;
	local $SIG{PIPE} = 'IGNORE';
	$$client //= eval { Resp->connect($redis->socket) } // return;
	my ($reply) = eval { $$client->calls(\@command) };
	$$client = undef unless defined $$client && $$client->{socket}->connected && defined $reply;
	return $reply;
}

# Watches all keys: none may go back.
sub watch
{
	my ($end) = @_;
	my ($client, %highest, @wrong);
	my $seen = 0;
	my @names = map { stored_key("storm:$_") } 1 .. $keys;
	while (time < $end)
	{
		my $reply = ask(\$client, 'MGET', @names);
		if (ref $reply ne 'ARRAY') { usleep(10_000); next }
		for my $id (1 .. $keys)
		{
			my $n = number($reply->[ $id - 1 ]) // next;
			push @wrong, "key $id went back from $highest{$id} to $n" if $n < ($highest{$id} // 0);
			$highest{$id} = $n;
			$seen++;
		}
	}
	return (@wrong, "seen $seen");
}

# Commits in abort mode; what Redis says afterwards may be newer, or nothing.
sub commit_strictly
{
	my ($end) = @_;
	my $session = Session->new($node);
	my ($client, @wrong);
	my %count = (commits => 0, failures => 0, answers => 0);
	while (time < $end)
	{
		my $id = 1 + int rand 3;
		my $n = $session->query("UPDATE strict SET n = n + 1 WHERE id = $id RETURNING n");
		if ($n !~ /^\d+$/) { $count{failures}++; usleep(10_000); next }
		$count{commits}++;
		usleep(int rand 30_000);
		my $reply = ask(\$client, 'GET', stored_key("strict:$id"));
		next if !defined $reply || ref $reply;
		my $found = number($reply) // next;
		$count{answers}++;
		push @wrong, "strict:$id is $found after a commit of $n" if $found < $n;
	}
	$session->close;
	return (@wrong, map { "$_ $count{$_}" } sort keys %count);
}

child(pgbench('-c 6 -j 2 -f', $writer));
child(pgbench('-c 4 -j 1 -f', $reader));
child(\&watch);
child(\&commit_strictly) for 1, 2;

my $restarts = 0;
for (my $end = time + $seconds; time < $end;)
{
	usleep(1_000_000 + int rand 1_000_000);
	last if time >= $end;
	$redis->kill9;
	usleep(int rand 300_000);
	$redis->start;
	$restarts++;
}

my (@wrong, %count);
for my $pipe (@children)
{
	while (my $line = <$pipe>)
	{
		chomp $line;
		if ($line =~ /^(seen|commits|failures|answers) (\d+)$/) { $count{$1} += $2 }
		else { push @wrong, $line }
	}
	close $pipe;
}
is_deeply([ @wrong[ 0 .. ($#wrong > 9 ? 9 : $#wrong) ] ], [], 'no key went back, nor was older than a commit in abort mode');
is($node->safe_psql('postgres', 'SELECT * FROM violations LIMIT 10'), '', 'row() was always right');

wait_until('Redis is found again', sub { return $node->safe_psql('postgres', 'SELECT worker FROM cache_ext.delivery') eq 'idle' });
all_delivered($node);
my $client = Resp->connect($redis->socket);
my %table = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT 'storm:' || id, n FROM storm UNION ALL SELECT 'strict:' || id, n FROM strict});
my (@differences, $same);
for my $key ((map { "storm:$_" } 1 .. $keys), map { "strict:$_" } 1 .. 3)
{
	my $found = number(entity_bytes($client, $key)) // next;
	if ($found == ($table{$key} // -1)) { $same++ }
	else { push @differences, "$key is $found, the row " . ($table{$key} // 'is gone') }
}
is_deeply(\@differences, [], 'at rest every key is its row, or absent');
$node->safe_psql('postgres', 'UPDATE storm SET pad = NULL');
all_delivered($node);
is_deeply([ grep { (number(entity_bytes($client, $_)) // -1) != $table{$_} } grep { /storm/ } keys %table ], [], 'and all are there after one more change');

note "restarts $restarts, repeated ", $meddler->repeated, ', ', join ', ', map { "$_ $count{$_}" } sort keys %count;
diag "restarts $restarts, repeated ", $meddler->repeated, ', ', join ', ', map { "$_ $count{$_}" } sort keys %count;
cmp_ok($restarts, '>', 0, 'Redis was killed');
cmp_ok($meddler->repeated, '>', 20, 'deliveries were repeated');
cmp_ok($count{seen}, '>', 100, 'rows were seen in Redis');
cmp_ok($count{answers}, '>', 10, 'commits in abort mode were looked for in Redis');
$meddler->stop;

done_testing();
