# Tracking is carried by pg_dump, and triggers do nothing where the library isn't preloaded.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use RedisServer;

my $redis = RedisServer->new('restore');
my $node = PostgreSQL::Test::Cluster->new('restore');
$node->init;
$node->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'cache_ext'
cache_ext.redis_url = '@{[ $redis->url ]}'
autovacuum = off
EOC
$node->start;
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION cache_ext;
CREATE TABLE plain (id int PRIMARY KEY, grp int);
CREATE TABLE tree (id int, grp int) PARTITION BY LIST (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
CREATE TABLE tree_2 (grp int, id int);
CREATE TABLE above (id int);
CREATE TABLE below () INHERITS (above);
SELECT cache_ext.track('plain', '{grp, id}');
SELECT cache_ext.track('tree', '{grp}');
SELECT cache_ext.track('tree_2', '{id}');
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES IN (2);
SELECT cache_ext.track('above');
INSERT INTO plain VALUES (1, 1);
INSERT INTO tree VALUES (1, 1), (2, 2);
CREATE FUNCTION total() RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM plain' INTO n; RETURN n; END $$;
CREATE FUNCTION changed() RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM plain' INTO n; RETURN n; END $$;
CREATE FUNCTION dropped() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 1' INTO n; RETURN n; END $$;
CREATE FUNCTION parsed(t tree, OUT n numeric) STABLE SET search_path = public SECURITY DEFINER
	RETURN (SELECT count(*) FROM plain WHERE plain.grp = (t).grp);
SELECT cache_ext.allow_function('total()', '{plain}', '{app.user}');
SELECT cache_ext.allow_function('changed()', '{plain}');
SELECT cache_ext.allow_function('dropped()');
SELECT cache_ext.allow_function('parsed(tree)', '{plain}');
DROP FUNCTION dropped();
ALTER FUNCTION changed() SECURITY DEFINER;
EOS
my $allowed = 'SELECT function, reads, settings, definition FROM cache_ext.allowed_functions ORDER BY 1';
my $verdicts = q{SELECT f, cacheable FROM unnest('{total(),changed()}'::text[]) f, cache_ext.explain('SELECT ' || f) ORDER BY 1};
my $allowed_before = $node->safe_psql('postgres', $allowed);
like($allowed_before, qr/^public\.changed\(\)\|\{public\.plain\}\|\{\}\|[0-9a-f]{64}\npublic\.parsed\(public\.tree\)\|.*\npublic\.total\(\)\|\{public\.plain\}\|\{app\.user\}\|[0-9a-f]{64}$/,
	'what is allowed, by name; it goes with its function');
is($node->safe_psql('postgres', $verdicts), "changed()|f\ntotal()|t", 'an allowance is for a function as it was');
my $state = 'SELECT * FROM cache_ext.tracked ORDER BY relation::text';
my $before = $node->safe_psql('postgres', $state);
is($before, "above|{}|t||2\nbelow|{}|t||1\nplain|{grp,id}|t||1\ntree|{grp}|t||3", 'all is tracked');

my $dump = $node->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');

$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ],
	'restore');
is($node->safe_psql('restored', $state), $before, 'all is tracked after a restore');
is($node->safe_psql('restored', 'SELECT v FROM cache_ext.query($$SELECT count(*) FROM tree$$) AS t(v bigint)'),
	'2', 'and can be queried');

is($node->safe_psql('restored', $allowed), $allowed_before, 'what is allowed is restored');
is($node->safe_psql('restored', $verdicts), "changed()|f\ntotal()|t", 'and counts for the same functions');
is($node->safe_psql('restored', q{SELECT a.definition = cache_ext.function_definition(a.function::regprocedure)
	FROM cache_ext.allowed_functions a WHERE a.function LIKE '%parsed%'}),
	't', 'one whose body was parsed when it was created too');

# What the triggers depend on can't go without them.
my ($status, $stdout, $stderr) = $node->psql('restored', 'DROP EXTENSION cache_ext');
like($stderr, qr/cannot drop extension cache_ext because other objects depend on it/,
	'the extension is needed by the triggers');
$node->safe_psql('restored', 'DROP EXTENSION cache_ext CASCADE');
is($node->safe_psql('restored', "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cache_ext%'"),
	'0', 'and takes them along');
$node->safe_psql('restored', 'INSERT INTO tree VALUES (1, 1); CREATE EXTENSION cache_ext');
is($node->safe_psql('restored', $state), '', 'nothing is tracked in a new one');

# A database with version 1.0 of the extension works as before until it is updated.
$node->safe_psql('postgres', 'CREATE DATABASE old');
$node->safe_psql('old', <<'EOS');
CREATE ROLE operator;
CREATE EXTENSION cache_ext VERSION '1.0';
CREATE SCHEMA "Some schema";
CREATE TABLE "Some schema"."Some table" (id int);
CREATE TABLE gone (id int);
SELECT cache_ext.track('"Some schema"."Some table"'), cache_ext.track('gone');
CREATE FUNCTION "Some schema"."One"("char", int[]) RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM "Some schema"."Some table"' INTO n; RETURN n; END $$;
CREATE FUNCTION two() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 1' INTO n; RETURN n; END $$;
CREATE FUNCTION three() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 1' INTO n; RETURN n; END $$;
CREATE FUNCTION four() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 1' INTO n; RETURN n; END $$;
SELECT cache_ext.allow_function('"Some schema"."One"("char", int[])', ARRAY['"Some schema"."Some table"']::regclass[]);
SELECT cache_ext.allow_function('two()', '{gone}'), cache_ext.allow_function('three()'), cache_ext.allow_function('four()');
SELECT cache_ext.disallow_function('four()');
EOS
my $one = q{SELECT cacheable FROM cache_ext.explain('SELECT "Some schema"."One"(''x'', ''{}'')')};
is($node->safe_psql('old', $one), 't', 'version 1.0: allowed');
is($node->safe_psql('old', "SELECT cacheable FROM cache_ext.explain('SELECT four()')"), 'f', 'version 1.0: not allowed');
my $old_dump = $node->basedir . '/old_dump.sql';
command_ok([ 'pg_dump', '-f', $old_dump, $node->connstr('old') ], 'dump of version 1.0');
$node->safe_psql('old', <<'EOS');
DROP TABLE gone;
DROP FUNCTION three();
GRANT EXECUTE ON FUNCTION cache_ext.allow_function(regprocedure, regclass[]) TO operator;
GRANT INSERT, UPDATE ON cache_ext.allowed_functions TO operator;
EOS
$node->safe_psql('old', 'ALTER EXTENSION cache_ext UPDATE');
is($node->safe_psql('old', 'SELECT function, reads, settings FROM cache_ext.allowed_functions'),
	q{"Some schema"."One"(pg_catalog."char",integer[])|{"\\"Some schema\\".\\"Some table\\""}|{}},
	'the update keeps what it can name');
is($node->safe_psql('old', $one), 't', 'which is allowed as before');
is($node->safe_psql('old', q{SELECT count(*) FROM pg_proc WHERE proname = 'allow_function'}), '1',
	'there is one allow_function');
$node->safe_psql('old', 'SET ROLE operator; SELECT cache_ext.allow_function(\'two()\')');
is($node->safe_psql('old', "SELECT cacheable FROM cache_ext.explain('SELECT two()')"), 't',
	'whoever had privileges has them');

# Old dumps name functions too, but not as what they were allowed.
$node->safe_psql('postgres', 'CREATE DATABASE from_old');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $old_dump, $node->connstr('from_old') ],
	'restore of a dump of version 1.0');
is($node->safe_psql('from_old', $one), 'f', 'nothing is allowed by it');

# Without the library preloaded.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE without');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('without') ],
	'restore where the library is not preloaded');
$node->safe_psql('without', <<'EOS');
INSERT INTO plain VALUES (2, 2);
UPDATE plain SET grp = 3;
DELETE FROM plain;
INSERT INTO tree VALUES (2, 2);
UPDATE tree SET id = 1;
TRUNCATE tree;
UPDATE above SET id = 1;
ALTER TABLE tree DETACH PARTITION tree_2;
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES IN (2);
EOS
is($node->safe_psql('without', 'SELECT count(*) FROM plain'), '0', 'the triggers do nothing there');
foreach my $call ("track('plain')", "untrack('plain')", "track_schema('public')", "tracked('plain')")
{
	($status, $stdout, $stderr) = $node->psql('without', "SELECT cache_ext.$call");
	like($stderr, qr/ERROR:  cache_ext is not loaded\n.*HINT:.*shared_preload_libraries/s,
		"$call says what is missing");
}

# What happened meanwhile is not hidden by entries from before.
$node->safe_psql('postgres', "INSERT INTO tree VALUES (1, 1)");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cache_ext'");
$node->restart;
is($node->safe_psql('postgres', 'SELECT v FROM cache_ext.query($$SELECT count(*) FROM tree$$) AS t(v bigint)'),
	'3', 'a change made without the library is seen');

$node->stop;
done_testing();
