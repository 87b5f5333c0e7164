# What belongs to the extension is told by its membership, not by names: those of a schema of another role,
# before it is installed, and of one that is made after ours was renamed.
use strict;
use warnings;
use CacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

my $redis = RedisServer->new('schema');
my $node = cache_node('schema', $redis, 'cache_ext.min_cost = 0');

sub refused
{
	my ($db, $sql, $error, $name) = @_;
	my ($status, undef, $stderr) = $node->psql($db, $sql);
	isnt($status, 0, "$name: refused");
	like($stderr, $error, "$name: the error");
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE landlord LOGIN; CREATE ROLE tenant LOGIN');

note '--- a schema that was there before';
$node->safe_psql('postgres', 'CREATE DATABASE before OWNER landlord');
$node->safe_psql('before', 'SET ROLE landlord; CREATE SCHEMA cache_ext');
refused('before', 'CREATE EXTENSION cache_ext', qr/schema "cache_ext" is owned by role "landlord".*HINT:  Drop/s,
	'the schema of another');
$node->safe_psql('before', "CREATE EXTENSION cache_ext VERSION '1.0'");
refused('before', "ALTER EXTENSION cache_ext UPDATE", qr/schema "cache_ext" is owned by role "landlord"/,
	'and in an update');
$node->safe_psql('before', 'DROP EXTENSION cache_ext; ALTER SCHEMA cache_ext OWNER TO postgres;
	GRANT USAGE, CREATE ON SCHEMA cache_ext TO tenant; SET ROLE tenant;
	CREATE FUNCTION cache_ext.hidden(oid, int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
	CREATE OPERATOR cache_ext.= (LEFTARG = oid, RIGHTARG = int, FUNCTION = cache_ext.hidden)');
refused('before', 'CREATE EXTENSION cache_ext',
	qr/schema "cache_ext" holds what is not the extension's: .*(hidden|operator).*HINT:  Drop it/s, 'an operator in it');
$node->safe_psql('before', 'DROP OPERATOR cache_ext.= (oid, int); DROP FUNCTION cache_ext.hidden(oid, int);
	CREATE TABLE cache_ext.of_a_superuser ()');
$node->safe_psql('before', 'CREATE EXTENSION cache_ext');
is($node->safe_psql('before', 'SELECT count(*) FROM cache_ext.stats'), '1', 'a schema of a superuser');

note '--- a schema made after ours was renamed';
$node->safe_psql('postgres', 'CREATE DATABASE after OWNER landlord');
$node->safe_psql('after', <<'EOS');
CREATE EXTENSION cache_ext;
CREATE TABLE honest (id int PRIMARY KEY, grp int);
INSERT INTO honest VALUES (1, 1);
SELECT cache_ext.track('honest', '{grp}');
SELECT cache_ext.attach('honest', 'honest:{id}', 'write_through');
EOS
refused('after', 'SET ROLE landlord; ALTER SCHEMA cache_ext RENAME TO mine', qr/must be owner of schema cache_ext/,
	'the owner of the database renames it');
$node->safe_psql('after', <<'EOS');
ALTER SCHEMA cache_ext RENAME TO ours;
SET ROLE landlord;
CREATE SCHEMA cache_ext;
CREATE TABLE cache_ext.allowed_functions (function int, reads int);
INSERT INTO cache_ext.allowed_functions VALUES (1, 1);
CREATE FUNCTION cache_ext.track_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION cache_ext.track_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION cache_ext.entity_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE SCHEMA lot;
CREATE TABLE lot.fake (id int PRIMARY KEY, v int);
INSERT INTO lot.fake VALUES (1, 1);
CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON lot.fake EXECUTE FUNCTION cache_ext.track_statement();
ALTER TABLE lot.fake ENABLE ALWAYS TRIGGER t;
CREATE FUNCTION lot.stable() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
EOS
my $auto = 'SET cache_ext.mode = auto;';
for (1 .. 2)
{
	is($node->safe_psql('after', "$auto SELECT lot.stable()"), '1', 'a function, with a foreign table of allowed ones');
	is($node->safe_psql('after', "$auto SELECT v FROM lot.fake"), $_, 'a table with foreign triggers');
	is($node->safe_psql('after', "$auto SELECT grp FROM honest WHERE grp = 1"), '1', 'a table with ours');
	$node->safe_psql('after', 'UPDATE lot.fake SET v = v + 1');
}
is($node->safe_psql('after', q(SELECT cacheable, reason FROM ours.explain('SELECT v FROM lot.fake'))),
	"f|lot.fake can't be cached: it is not tracked", 'the foreign triggers are none of ours');
is($node->safe_psql('after', q(SELECT cacheable FROM ours.explain('SELECT grp FROM honest WHERE grp = 1'))), 't', 'ours still are');
is($node->safe_psql('after', q(SELECT relation, key, problem IS NULL FROM ours.attached)), 'honest|honest:{id}|t',
	'of entities too');
is($node->safe_psql('after', 'SELECT relation, key_columns FROM ours.tracked'), 'honest|{grp,id}', 'the view of what is tracked');

done_testing();
