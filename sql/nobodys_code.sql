-- Nothing that the cache does runs a function of some role that the statement itself wouldn't run.
--
-- A role that isn't superuser has types whose functions count how often they run.  A superuser reads
-- rows of them in every way: the count stays 0.  Only text output reaches the client, which is in C
-- for all of them.
CREATE ROLE cx_tenant;
CREATE SCHEMA tenancy AUTHORIZATION cx_tenant;
SET search_path = tenancy;
SET client_min_messages = warning;
CREATE SEQUENCE runs;
GRANT ALL ON SEQUENCE runs TO cx_tenant;
-- a sequence forgets nothing when a subtransaction is rolled back
CREATE FUNCTION ran() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE count bigint := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tenancy.runs);
BEGIN PERFORM setval('tenancy.runs', 1, false); RETURN count; END $$;
CREATE FUNCTION watched(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN true; END $$;
ALTER FUNCTION watched(text) OWNER TO cx_tenant;

-- Domains at any depth take nothing but the right to create in a schema
SET ROLE cx_tenant;
CREATE DOMAIN watched_text AS text CHECK (tenancy.watched(value));
CREATE DOMAIN watched_texts AS watched_text[];
CREATE DOMAIN watched_later AS int;
CREATE TYPE holder AS (a int, held watched_text);
CREATE TYPE outer_holder AS (a int, held holder[]);
CREATE TYPE domain_range AS RANGE (subtype = watched_text);
RESET ROLE;

-- What a superuser made, of functions that a role owns
CREATE FUNCTION watched_compare(int, int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN pg_catalog.btint4cmp($1, $2); END $$;
CREATE OPERATOR CLASS watched_order FOR TYPE int USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 watched_compare(int, int);
CREATE TYPE ordered_range AS RANGE (subtype = int, subtype_opclass = watched_order);
CREATE TYPE canonical_range;
CREATE FUNCTION canonical(canonical_range) RETURNS canonical_range LANGUAGE internal IMMUTABLE STRICT
	AS 'int4range_canonical';
CREATE TYPE canonical_range AS RANGE (subtype = int, canonical = canonical);
CREATE OR REPLACE FUNCTION canonical(canonical_range) RETURNS canonical_range LANGUAGE plpgsql IMMUTABLE STRICT
	AS $$ BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN $1; END $$;
CREATE TYPE sent;
CREATE FUNCTION sent_in(cstring) RETURNS sent LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION sent_out(sent) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE FUNCTION sent_recv(internal) RETURNS sent LANGUAGE internal IMMUTABLE STRICT AS 'textrecv';
CREATE TYPE sent (input = sent_in, output = sent_out, receive = sent_recv, like = text);
CREATE CAST (sent AS text) WITHOUT FUNCTION;
CREATE FUNCTION sent_send(sent) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN pg_catalog.textsend($1::text); END $$;
ALTER TYPE sent SET (send = sent_send);
RESET client_min_messages;
-- its subtype_diff, a function in SQL, is called by nothing that the cache does
CREATE FUNCTION difference(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN $1 - $2; END $$;
CREATE TYPE differing_range AS RANGE (subtype = int, subtype_diff = difference);

CREATE MATERIALIZED VIEW rows AS
SELECT i AS id, 'a'::watched_text AS plain_domain, ARRAY['a'::watched_text] AS domain_array,
	ARRAY['a']::watched_texts AS domain_of_domains, ARRAY[ARRAY['a']::watched_texts] AS arrays,
	ROW(1, 'a')::holder AS composite, ARRAY[ROW(1, 'a')::holder] AS composites,
	ROW(1, ARRAY[ROW(1, 'a')::holder])::outer_holder AS composite_in_composite,
	domain_range('a', 'b') AS range_of_domain, domain_multirange(domain_range('a', 'b')) AS multirange_of_domain,
	ARRAY[1::watched_later] AS unconstrained,
	ordered_range(1, 5) AS own_order, ordered_multirange(ordered_range(1, 5)) AS own_order_multirange,
	canonical_range(1, 5) AS own_canonical, ARRAY[canonical_range(1, 5)] AS own_canonicals,
	'a'::sent AS own_send, ARRAY['a'::sent] AS own_sends, ROW('a'::sent)::text AS text_of_send,
	differing_range(1, 5) AS own_difference
FROM generate_series(1, 3) i;
CREATE TABLE columns AS SELECT attname::text AS name FROM pg_attribute WHERE attrelid = 'rows'::regclass AND attnum > 1 ORDER BY attnum;
SELECT ran() > 0 AS watched_at_last;
SELECT ran();

-- A constraint that comes when rows may be in the cache
SET cache_ext.mode = 'auto';
SET cache_ext.min_cost = 0;
SELECT unconstrained FROM rows ORDER BY id LIMIT 1;
SELECT unconstrained FROM rows ORDER BY id LIMIT 1;
ALTER DOMAIN watched_later ADD CHECK (tenancy.watched(value::text)) NOT VALID;
SELECT ran() >= 0 AS forgotten;

-- An ordinary statement: a miss, a hit, EXPLAIN without ANALYZE
\o /dev/null
SELECT format('SELECT %I FROM rows ORDER BY id LIMIT 1', name) FROM columns \gexec
SELECT format('SELECT %I FROM rows ORDER BY id LIMIT 1', name) FROM columns \gexec
SELECT format('EXPLAIN SELECT %I FROM rows ORDER BY id LIMIT 1', name) FROM columns \gexec
\o
SELECT ran();
RESET cache_ext.mode;

-- The functions
SELECT count(*) FROM (SELECT FROM columns, cache_ext.explain(format('SELECT %I FROM rows ORDER BY id', name))) e;
\o /dev/null
SELECT format('SELECT * FROM cache_ext.query(%L) q(v %s)',
	format('SELECT %I FROM rows ORDER BY id', name), format_type(atttypid, atttypmod))
FROM columns, pg_attribute WHERE attrelid = 'rows'::regclass AND attname = name ORDER BY attnum \gexec
\o
SELECT count(*) FROM cache_ext.query_as(NULL::rows, 'SELECT * FROM rows');
SELECT count(*) FROM cache_ext.query_as(NULL::rows, 'SELECT * FROM rows');
SELECT count(cache_ext.warm(format('SELECT %I FROM rows ORDER BY id', name))) FROM columns;
SELECT cache_ext.warm_from('SELECT * FROM rows WHERE id = $1', 'SELECT id FROM rows') IS NOT NULL AS ran;
SELECT cache_ext.warm_from('SELECT * FROM rows WHERE id = $1', 'SELECT id FROM rows') IS NOT NULL AS ran;
SELECT ran();

-- Finding out whether a statement may be cached plans no constraint, which would compute calls of constants
CREATE FUNCTION watched_constant(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN true; END $$;
CREATE DOMAIN folded AS int CHECK (tenancy.watched_constant('x'));
CREATE TYPE folded_holder AS (a folded);
CREATE TABLE empty (v jsonb);
SELECT cache_ext.track('empty');
SELECT ran() >= 0 AS forgotten;
SET cache_ext.mode = 'auto';
SELECT jsonb_populate_record(NULL::folded_holder, v) FROM empty;
RESET cache_ext.mode;
SELECT count(*) FROM cache_ext.explain('SELECT jsonb_populate_record(NULL::tenancy.folded_holder, v) FROM tenancy.empty');
SELECT ran();

-- Nor does looking into the bodies of functions: literals there are read when a body is parsed, which the
-- statement does for what it comes to only
CREATE FUNCTION never_there(jsonb) RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF $1 IS NULL THEN
		RETURN pg_catalog.cardinality('{a}'::tenancy.watched_text[]);
	END IF;
	RETURN 1;
END $$;
CREATE FUNCTION never_there_either(jsonb) RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF $1 IS NULL THEN
		RETURN pg_catalog.lower('[1,5)'::tenancy.canonical_range);
	END IF;
	RETURN 2;
END $$;
-- all that it calls is PostgreSQL's own
CREATE DOMAIN counted AS int CHECK (pg_catalog.nextval('tenancy.runs') > 0);
CREATE FUNCTION never_there_neither(jsonb) RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF $1 IS NULL THEN
		RETURN pg_catalog.cardinality('{1}'::tenancy.counted[]);
	END IF;
	RETURN 3;
END $$;
CREATE TABLE one (v jsonb);
INSERT INTO one VALUES ('{}');
SELECT cache_ext.track('one');
SELECT ran() >= 0 AS forgotten;
SET cache_ext.mode = 'auto';
SELECT never_there(v), never_there_either(v), never_there_neither(v) FROM one;
SELECT never_there(v) FROM one;
SELECT never_there_either(v) FROM one;
SELECT never_there_neither(v) FROM one;
RESET cache_ext.mode;
SELECT cacheable, reason FROM cache_ext.explain('SELECT tenancy.never_there(v) FROM tenancy.one');
SELECT ran();

-- Key columns are hashed by whoever writes and reads
CREATE FUNCTION sent_equal(sent, sent) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'texteq';
CREATE OPERATOR = (LEFTARG = sent, RIGHTARG = sent, FUNCTION = sent_equal, HASHES);
CREATE FUNCTION sent_hash(sent) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN 1; END $$;
CREATE OPERATOR CLASS sent_hashed DEFAULT FOR TYPE sent USING hash AS OPERATOR 1 =, FUNCTION 1 sent_hash(sent);
CREATE TABLE keyed (id int PRIMARY KEY, k sent);
SELECT cache_ext.track('keyed', '{k}');
-- a function that changed after the table was tracked
CREATE OR REPLACE FUNCTION sent_hash(sent) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashvarlena';
SELECT cache_ext.track('keyed', '{k}');
INSERT INTO keyed VALUES (1, 'a');
CREATE OR REPLACE FUNCTION sent_hash(sent) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN 1; END $$;
\c -
SET search_path = tenancy;
INSERT INTO keyed VALUES (2, 'b');
UPDATE keyed SET k = 'c' WHERE id = 1;
SELECT * FROM cache_ext.tracked WHERE relation = 'keyed'::regclass;
SELECT ran();

-- Rows as entities: what would take code of the type's owner to read is refused
CREATE TABLE entities (id int PRIMARY KEY, plain_domain watched_text, domain_array watched_text[],
	domain_of_domains watched_texts, arrays watched_texts[], composite holder, own_send sent,
	own_canonical canonical_range, own_difference differing_range, spans ordered_range[]);
DO $$
DECLARE name text;
BEGIN
	FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'entities'::regclass AND attnum > 1 ORDER BY attnum LOOP
		BEGIN
			PERFORM cache_ext.attach('entities', name || ':{id}', 'write_through', ARRAY['id', name]);
			RAISE NOTICE '%: attached', name;
		EXCEPTION WHEN invalid_table_definition THEN
			RAISE NOTICE '%: %', name, SQLERRM;
		END;
	END LOOP;
END $$;
-- row() converts its arguments as a comparison would, but with no function of some role's
CREATE FUNCTION holder_to_int(holder) RETURNS int LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_catalog.nextval('tenancy.runs'); RETURN $1.a; END $$;
CREATE CAST (holder AS int) WITH FUNCTION holder_to_int(holder) AS IMPLICIT;
SELECT cache_ext.attach('entities', 'entity:{id}', 'invalidate');
SELECT ran() >= 0 AS forgotten;
SELECT cache_ext.row(NULL::entities, h) FROM rows, LATERAL (SELECT composite) c(h) WHERE id = 1;
SELECT cache_ext.row(NULL::entities, 1);
SELECT ran();

\c -
SET client_min_messages = warning;
DROP SCHEMA tenancy CASCADE;
DROP ROLE cx_tenant;
