# Settings that a library defines reach results through what is not PostgreSQL's own: functions and
# operators declared IMMUTABLE, index access methods, output functions.  Sessions share results only
# where these settings are the same, whenever the library was loaded.
use strict;
use warnings;

use CacheTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use RedisServer;
use Session;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my $module = "$PostgreSQL::Test::Utils::tmp_check/settings";
chomp(my $includes = `pg_config --includedir-server`);
system_or_bail('cc', '-O2', '-Wall', '-Werror', '-fPIC', '-shared', "-I$includes", '-D_GNU_SOURCE',
	'-o', "$module.so", "$top/test/settings/settings.c");

my $redis = RedisServer->new('custom_settings');
my $node = cache_node('custom_settings', $redis, 'log_statement = none', 'jit = off');
(my $objects = slurp_file("$top/test/settings/settings.sql")) =~ s/MODULE/$module/g;
$node->safe_psql('postgres', $objects);
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_trgm;
	ALTER FUNCTION similarity_op(text, text) IMMUTABLE;
	CREATE TABLE t (id int, name text);
	INSERT INTO t SELECT g % 3, 'word ' || g FROM generate_series(1, 3000) g;
	CREATE INDEX t_limited ON t USING limited (id);
	CREATE TABLE plain (id int, name text);
	INSERT INTO plain SELECT g, 'word ' || g FROM generate_series(1, 30) g;
	CREATE TABLE above (id int);
	CREATE TABLE below (CHECK (id >= 0)) INHERITS (above);
	INSERT INTO below SELECT g % 3 FROM generate_series(1, 3000) g;
	CREATE INDEX ON below USING limited (id);
	CREATE TABLE trigrams (name text);
	INSERT INTO trigrams SELECT 'trigram ' || g FROM generate_series(1, 100) g;
	CREATE INDEX ON trigrams USING gin (name gin_trgm_ops);
	SELECT cache_ext.track(r) FROM unnest('{t,plain,above,below,trigrams}'::regclass[]) r;
	ANALYZE;
	CREATE FUNCTION in_sql(text) RETURNS text LANGUAGE sql IMMUTABLE SECURITY DEFINER
		AS 'SELECT settings_shown($1)';
	CREATE FUNCTION in_plpgsql(text) RETURNS text LANGUAGE plpgsql IMMUTABLE
		AS 'BEGIN RETURN settings_shown($1); END';
	CREATE FUNCTION alike() RETURNS bigint LANGUAGE plpgsql STABLE
		AS $$ BEGIN RETURN (SELECT count(*) FROM trigrams WHERE name % 'trigram 7'); END $$;
	SELECT cache_ext.allow_function('alike()', '{trigrams}');
	CREATE FUNCTION of_names() RETURNS int LANGUAGE plpgsql IMMUTABLE
		AS 'DECLARE id int = 5; BEGIN RETURN (SELECT id FROM (SELECT 7 AS id) AS t); END';
	CREATE FUNCTION null_equals(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
		AS 'BEGIN RETURN (SELECT ($1 = NULL) IS TRUE); END';
	CREATE FUNCTION escaped() RETURNS int LANGUAGE plpgsql IMMUTABLE
		AS $$ BEGIN RETURN (SELECT length('\\\\')); END $$;
	CREATE FUNCTION quoted() RETURNS text LANGUAGE plpgsql IMMUTABLE
		AS $$ BEGIN RETURN (SELECT E'it\\'s'); EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;});

my %texts = (
	function => q{SELECT settings_shown('x')},
	'function of a column' => q{SELECT max(settings_shown(name)) FROM plain},
	operator => q{SELECT (3 *** 5)::text},
	aggregate => q{SELECT settings_product(id)::text FROM plain WHERE id < 5},
	cast => q{SELECT max((id::shown)::text) FROM plain},
	'function in SQL' => q{SELECT in_sql('x')},
	'function in PL/pgSQL' => q{SELECT in_plpgsql('x')},
	'function in PL/pgSQL, of a column' => q{SELECT max(in_plpgsql(name)) FROM plain},
	index => q{SELECT count(*)::text FROM t WHERE id = 1},
	'index of a child' => q{SELECT count(*)::text FROM above WHERE id = 1});
my @settings = ('cache_test_limit = 8', 'cache_test.flag = on', 'cache_test.factor = 2',
	"cache_test.suffix = 's'", 'cache_test.mode = fancy', "cache_test.secret = 'abc'");

# A new session, with settings made before it has loaded anything.
sub session
{
	my ($setup) = @_;
	my $s = Session->new($node);
	$s->ok('SET enable_seqscan = off; SET enable_bitmapscan = off;' . ($setup // ''));
	return $s;
}

# The same result with the cache and without.
sub same
{
	my ($s, $name, $sql) = @_;
	is_exact($s, $sql, $name);
	is_exact($s, $sql, "$name, again");
	return;
}

note '--- a session that has the library, and its settings';
for my $name (sort keys %texts)
{
	my $default = session("LOAD '$module'; LOAD 'plpgsql'");
	my $other = session("LOAD '$module'; LOAD 'plpgsql'");

	stores($default, $texts{$name}, "$name: stored");
	hits($default, $texts{$name}, "$name: hits");
	hits($other, $texts{$name}, "$name: hits in another session");
	for my $setting (@settings)
	{
		$other->ok("SET $setting");
		same($other, "$name: $setting", $texts{$name});
		hits($default, $texts{$name}, "$name: the other keeps its own after $setting");
		my ($reset) = $setting =~ /^(\S+)/;
		$other->ok("RESET $reset");
		hits($other, $texts{$name}, "$name: hits again after RESET $reset");
		$other->ok("BEGIN; SET LOCAL $setting");
		same($other, "$name: SET LOCAL $setting", $texts{$name});
		$other->ok('COMMIT');
	}
	$other->ok('SET ' . join('; SET ', @settings));
	same($other, "$name: all settings", $texts{$name});
	hits($other, $texts{$name}, "$name: results of other settings are kept too");
	$_->close for $default, $other;
}

note '--- settings made before the library is loaded';
for my $name (sort keys %texts)
{
	my @dotted = grep { /^\S+\./ } @settings;
	my $default = session();
	is_exact($default, $texts{$name}, "$name: loaded by its first use");
	is_exact($default, $texts{$name}, "$name: stored");

	my $early = session('SET ' . join('; SET ', @dotted));
	same($early, "$name: settings made before", $texts{$name});
	hits($early, $texts{$name}, "$name: and hits");
	my $third = session('SET ' . join('; SET ', @dotted));
	is_exact($third, $texts{$name}, "$name: in a third session");
	hits($default, $texts{$name}, "$name: the first keeps its own");
	$_->close for $default, $early, $third;

	my $first = session('SET ' . join('; SET ', reverse @dotted));
	$first->ok('SELECT cache_ext.invalidate_all()');
	same($first, "$name: the first to ask has settings", $texts{$name});
	my $after = session();
	same($after, "$name: the next has none", $texts{$name});
	$_->close for $first, $after;
}

note '--- what the application sets is not a library\'s';
{
	my $one = session("LOAD '$module'");
	my $two = session("SET app.user_id = '42'; SET request.path = '/x'; LOAD '$module'");
	for my $name ('function', 'function in PL/pgSQL', 'index')
	{
		is_exact($one, $texts{$name}, "$name: stored");
		is_exact($one, $texts{$name}, "$name: stored");
		hits($two, $texts{$name}, "$name: hits with settings of the application");
	}
	$_->close for $one, $two;
}

note '--- settings that are known to reach no result';
{
	my $one = session("LOAD '$module'; LOAD 'auto_explain'");
	my $two = session("LOAD '$module'; LOAD 'auto_explain'; SET auto_explain.log_min_duration = 100000;"
		. " SET cache_ext.ttl = 1000");
	is_exact($one, $texts{function}, 'stored');
	hits($two, $texts{function}, 'auto_explain.log_min_duration');
	$_->close for $one, $two;
}

note '--- statements that use nothing of a library';
{
	my $one = session();
	my $two = session("LOAD '$module'; SET " . join('; SET ', @settings));
	my $sql = 'SELECT sum(id)::text FROM plain';
	stores($one, $sql, 'stored');
	hits($two, $sql, 'whatever a library is set to');
	$_->close for $one, $two;
}

note '--- ordinary statements, prepared ones, and what comes between Bind and the first row';
{
	my $mode = 'SET cache_ext.mode = auto; SET cache_ext.min_cost = 0';
	my $count = 'SELECT count(*) FROM t WHERE id = 2';
	my $default = session($mode);
	is($default->query($count), '1000', 'all rows');
	is($default->query($count), '1000', 'all rows, again');
	my $limited = session("LOAD '$module'; SET cache_test_limit = 8; $mode");
	is($limited->query($count), '8', 'eight rows');
	is($default->query($count), '1000', 'all rows for the others');
	$default->ok("PREPARE p AS $count");
	is($default->query('EXECUTE p'), '1000', 'prepared');
	is($limited->query($count), '8', 'eight rows, again');
	$default->ok('SET cache_test_limit = 7');
	is($default->query('EXECUTE p'), '7', 'prepared before the setting was made');
	is($default->query($count), '7', 'the same statement, unprepared');
	is(session($mode)->query($count), '1000', 'and nobody else gets them');

	# the rendering of a hit's rows follows the settings too
	my $rendered = 'SELECT p.id::shown FROM plain p ORDER BY p.id LIMIT 2';
	is($default->query($rendered), "1\n2", 'output function') for 1 .. 3;
	$default->ok('SET cache_test.flag = on');
	is($default->query($rendered), "1!\n2!", 'output function with a setting') for 1 .. 3;
	$default->ok('RESET cache_test.flag');
	is($default->query($rendered), "1\n2", 'and without');
}

note '--- literals, which an input function makes constants of when a text is parsed';
{
	my $literal = q{SELECT ('3'::shown)::text};
	my $s = session();
	is(cached($s, $literal), '3', 'a literal');
	$s->ok('SET cache_test.factor = 2');
	is(cached($s, $literal), '6', 'with a setting');
	is(cached($s, $literal), '6', 'and again');
	$s->ok('RESET cache_test.factor');
	is(cached($s, $literal), '3', 'and without');
}

note '--- pg_trgm';
{
	my $sql = q{SELECT count(*)::text FROM trigrams WHERE name % 'trigram 7'};
	my $default = session();
	same($default, 'similar', $sql);
	my $strict = session('SET pg_trgm.similarity_threshold = 0.9');
	same($strict, 'similar, with a threshold', $sql);
	isnt(cached($strict, $sql), cached($default, $sql), 'they differ');

	my $inside = 'SELECT alike()::text';
	my $new = session();
	is_exact($new, $inside, 'inside a function') for 1 .. 3;
	my $threshold = session('SET pg_trgm.similarity_threshold = 0.9');
	is_exact($threshold, $inside, 'inside a function, set before it is loaded') for 1 .. 3;
	isnt(cached($threshold, $inside), cached($new, $inside), 'they differ');
}

note '--- how a body is parsed';
for my $case (
	[ 'of_names', "SET plpgsql.variable_conflict = 'use_variable'", "SET plpgsql.variable_conflict = 'use_column'" ],
	[ 'null_equals', 'SET transform_null_equals = off', 'SET transform_null_equals = on', 'NULL' ],
	[ 'escaped', 'SET standard_conforming_strings = on', 'SET standard_conforming_strings = off' ],
	[ 'quoted', 'SET backslash_quote = on', 'SET backslash_quote = off' ])
{
	my ($function, $one, $two, $argument) = @$case;
	my $sql = "SELECT $function(" . ($argument // '') . ')::text';
	my $first = session($one);
	my $second = session("$two; SET escape_string_warning = off");

	is_exact($first, $sql, $one) for 1 .. 2;
	is_exact($second, $sql, $two) for 1 .. 2;
	is_exact($first, $sql, "$one, again");
	isnt(cached($first, $sql), cached($second, $sql), "they differ by $two");
	$_->close for $first, $second;
}

note '--- a session whose settings are privileged: not shown in Redis';
{
	my $s = session("LOAD '$module'; SET cache_test.secret = 'not to be seen'");
	same($s, 'a setting for privileged roles', $texts{function});
	my $seen = grep { $redis->cli('GET', $_) =~ /not to be seen/ } $redis->keys('*:q:*');
	is($seen, 0, 'its value is in no entry');
}
done_testing();
