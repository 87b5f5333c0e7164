-- test/fuzz/server_decode.sql: every type whose values go through functions, damaged.
-- Variables: module, runs, seed.  Any error is a finding, and so is the end of the connection.
\set ON_ERROR_STOP on
\set QUIET on
-- aclitem input says what it assumes
SET client_min_messages = error;

CREATE FUNCTION fuzz_decode(query text, runs integer, seed bigint) RETURNS bigint
AS :'module' LANGUAGE C STRICT;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE part AS (number int, name text, weight numeric(10,2), detail jsonb);
CREATE TYPE whole AS (main part, parts part[], feeling mood, size int4range);
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);

CREATE TABLE queries (id int GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO queries (query) VALUES
($$SELECT true, 'a'::"char", 1::int2, 2, 3::int8, 4::oid, 1.5::float4, 2.5::float8 FROM generate_series(1, 3)$$),
($$SELECT 'some text', 'varying'::varchar(10), 'padded'::char(10), 'a name'::name, '{"a": 1}'::json, '\x00ff'::bytea$$),
($$SELECT '<a>b</a>'::xml, ARRAY['<a>b</a>'::xml]$$),
($$SELECT 1.10::numeric, 'NaN'::numeric, 1e-300::numeric, -12345.678::numeric, '$1.25'::money$$),
($$SELECT '{"b": [1, 2.50, null, true, "x"], "a": {"c": {}}}'::jsonb, '"x"'::jsonb, '[]'::jsonb$$),
($$SELECT '$.a[*] ? (@.x > 1 && @.y like_regex "^a")'::jsonpath, 'strict $.b.**{2 to last}'::jsonpath$$),
($$SELECT '2024-02-29'::date, '12:34:56.789'::time, '12:34:56+05:30'::timetz, '2024-02-29 12:34:56'::timestamp, 'infinity'::timestamptz, '1 year 2 mons 3 days 04:05:06'::interval$$),
($$SELECT '(1,2)'::point, '{1,2,3}'::line, '[(1,2),(3,4)]'::lseg, '((3,4),(1,2))'::box, '[(1,2),(3,4)]'::path, '((0,0),(1,1),(2,0))'::polygon, '<(1,2),3>'::circle$$),
($$SELECT '192.168.0.1/24'::inet, 'fe80::1'::inet, '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03:04:05'::macaddr8$$),
($$SELECT B'101'::bit(3), B'1010101'::varbit$$),
($$SELECT 'a fat cat:3A,4B'::tsvector, 'a & (b | !c:*AB) <-> d'::tsquery$$),
($$SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '16/B374D848'::pg_lsn, '10:20:10,14,15'::pg_snapshot, '10:20:10,14,15'::txid_snapshot, '5'::xid8, '(1,2)'::tid, 'c'::refcursor$$),
($$SELECT '1 2 3'::int2vector, '1 2 3'::oidvector$$),
($$SELECT ('=r/' || current_user)::aclitem, ARRAY[('=r/' || current_user)::aclitem]$$),
($$SELECT '{{1,2},{3,4}}'::int[], '[2:4]={1,2,3}'::int[], '{}'::int[], '{NULL}'::text[], '{a,"b c",""}'::text[], '{1.10,NaN}'::numeric[], '{t,f,NULL}'::bool[]$$),
($$SELECT ARRAY['{"a": 1}'::jsonb], ARRAY[now()], ARRAY[box '((1,2),(3,4))'], ARRAY['sad'::mood], ARRAY['abc'::char(5)], ARRAY['1 2'::oidvector], ARRAY['\x00'::bytea]$$),
($$SELECT 'sad'::mood, 'happy'::mood$$),
($$SELECT ROW(1, 'a', 1.5, '{"a": 1.0}')::part, ARRAY[ROW(1, 'b', 2, NULL)::part, NULL]$$),
($$SELECT ROW(ROW(1, 'a', 1.5, '{}'), ARRAY[ROW(1, 'b', 2, NULL)::part], 'ok', '[1,5)')::whole$$),
($$SELECT '[1,5)'::int4range, 'empty'::int4range, '[1.10,2.200)'::numrange, '[2024-01-01,infinity]'::daterange, '[2024-01-01,)'::tstzrange, '[1.5,2]'::float_range$$),
($$SELECT '{[1,5),[7,9)}'::int4multirange, '{}'::int4multirange, '{[1.1,2.2]}'::nummultirange, ARRAY['[1,5)'::int4range]$$),
($$SELECT i, i::text, i::numeric, ARRAY[i] FROM generate_series(1, 20) i$$);

SET client_encoding = 'LATIN1';
SELECT count(*) AS queries, sum(fuzz_decode(query, :runs, :seed + id)) AS decoded FROM queries
\gset
\echo :queries queries, :runs damaged results each, :decoded of them valid
