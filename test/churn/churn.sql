-- test/churn/churn.sql: the functions of test/churn, for psql with the variable module.
CREATE SCHEMA churn;
CREATE FUNCTION churn.put(key text, size bigint, version bigint DEFAULT 1, depends_on oid DEFAULT 1,
	expires timestamptz DEFAULT 'infinity', lsn pg_lsn DEFAULT pg_current_wal_insert_lsn(),
	other_epoch boolean DEFAULT false)
RETURNS boolean LANGUAGE C STRICT AS :'module', 'churn_put';
CREATE FUNCTION churn.reserve(key text, size bigint) RETURNS boolean
LANGUAGE C STRICT AS :'module', 'churn_reserve';
CREATE FUNCTION churn.touch(depends_on oid) RETURNS void
LANGUAGE C STRICT AS :'module', 'churn_touch';
CREATE FUNCTION churn.get(key text) RETURNS bigint
LANGUAGE C STRICT AS :'module', 'churn_get';
CREATE FUNCTION churn.drop(key text) RETURNS boolean
LANGUAGE C STRICT AS :'module', 'churn_drop';
CREATE FUNCTION churn.hold(key text, scope text) RETURNS void
LANGUAGE C STRICT AS :'module', 'churn_hold';
CREATE FUNCTION churn.let_go() RETURNS void
LANGUAGE C STRICT AS :'module', 'churn_let_go';
CREATE FUNCTION churn.add_rendering(key text, name text, size bigint) RETURNS void
LANGUAGE C STRICT AS :'module', 'churn_add_rendering';
CREATE FUNCTION churn.find_rendering(key text, name text) RETURNS bigint
LANGUAGE C STRICT AS :'module', 'churn_find_rendering';
CREATE FUNCTION churn.clear() RETURNS void
LANGUAGE C STRICT AS :'module', 'churn_clear';
CREATE FUNCTION churn.keys() RETURNS text
LANGUAGE C STRICT AS :'module', 'churn_keys';
CREATE FUNCTION churn.fail_visit() RETURNS void
LANGUAGE C STRICT AS :'module', 'churn_fail_visit';
CREATE FUNCTION churn.state("limit" OUT bigint, used OUT bigint, entries OUT bigint,
	pins OUT bigint, evictions OUT bigint, discards OUT bigint)
LANGUAGE C STRICT AS :'module', 'churn_state';
CREATE FUNCTION churn.available() RETURNS boolean
LANGUAGE C STRICT AS :'module', 'churn_available';
CREATE FUNCTION churn.fits(key_length bigint, body_length bigint) RETURNS boolean
LANGUAGE C STRICT AS :'module', 'churn_fits';
CREATE FUNCTION churn.run(operations bigint, keys integer, largest integer, seed bigint,
	gets OUT bigint, hits OUT bigint, stored OUT bigint, refused OUT bigint)
LANGUAGE C STRICT AS :'module', 'churn_run';
CREATE FUNCTION churn.zipf(operations bigint, keys integer, smallest integer, largest integer,
	seed bigint, tier OUT float8, lru OUT float8)
LANGUAGE C STRICT AS :'module', 'churn_zipf';
