--
-- Whatever the types of a result are, what comes from the cache is what PostgreSQL gave
--
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SET extra_float_digits = 0;			-- so that text would not do

-- Compares a table with what the cache gives for it, to the last byte.  The first call fills, the
-- second has to hit.
CREATE FUNCTION compare(t regclass, OUT rows bigint, OUT different bigint, OUT hits bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	hits_before bigint := (SELECT hits FROM cache_ext.stats);
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE (live OPERATOR(pg_catalog.*=) cached) IS NOT TRUE)
		FROM %1$s live FULL JOIN cache_ext.query_as(NULL::%1$s, %2$L) cached
			ON live.id = cached.id',
		t, format('SELECT * FROM %s', t)) INTO rows, different;
	hits := (SELECT hits FROM cache_ext.stats) - hits_before;
END $$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE part AS (number int, name text, weight numeric(10,2), detail jsonb);
CREATE TYPE whole AS (main part, parts part[], feeling mood, size int4range);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN label AS varchar(20);
CREATE DOMAIN special_part AS part;
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);

-- Every built-in scalar type: something usual, something at the edges, NULL
CREATE TABLE scalars (
	id int PRIMARY KEY,
	c_bool bool, c_char "char", c_int2 int2, c_int4 int4, c_int8 int8, c_float4 float4,
	c_float8 float8, c_numeric numeric, c_money money, c_oid oid, c_xid xid, c_cid cid, c_xid8 xid8,
	c_tid tid, c_regclass regclass, c_regtype regtype, c_regproc regproc,
	c_regprocedure regprocedure, c_regoper regoper, c_regoperator regoperator, c_regrole regrole,
	c_regnamespace regnamespace, c_regconfig regconfig, c_regdictionary regdictionary,
	c_regcollation regcollation,
	c_text text, c_varchar varchar(300), c_bpchar char(8), c_name name, c_bytea bytea, c_json json,
	c_jsonb jsonb, c_jsonpath jsonpath, c_xml xml, c_refcursor refcursor,
	c_date date, c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz,
	c_interval interval,
	c_point point, c_line line, c_lseg lseg, c_box box, c_path path, c_polygon polygon,
	c_circle circle,
	c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
	c_bit bit(5), c_varbit varbit, c_tsvector tsvector, c_uuid uuid,
	c_pg_lsn pg_lsn, c_pg_snapshot pg_snapshot, c_txid_snapshot txid_snapshot,
	c_int2vector int2vector, c_oidvector oidvector, c_aclitem aclitem);
INSERT INTO scalars VALUES (1, true, 'a', 1, 2, 3, 1.1, 0.1, 1.10, '$1,234.56', 1, '2', '3', '4',
 '(1,2)', 'pg_class', 'int4', 'int4in', 'abs(int)', 'pg_catalog.#-', '+(int,int)', 'pg_monitor',
 'pg_catalog', 'english', 'simple', '"C"',
 'text', 'varying', 'padded', 'a name', '\x00ff', '{"a": 1,  "a": [2.50, null]}',
 '{"b": [1, 2.50, null, true, "x"], "a": {}}', '$.a[*] ? (@.x > 1 && @.y like_regex "^a" flag "i")',
 '<a>b</a>', 'cursor',
 '2024-02-29', '12:34:56.789012', '12:34:56.789+05:30', '2024-02-29 12:34:56.789012',
 '2024-02-29 12:34:56.789012+00', '1 year 2 mons 3 days 04:05:06.789',
 '(1,2)', '{1,2,3}', '[(1,2),(3,4)]', '((3,4),(1,2))', '[(1,2),(3,4)]', '((0,0),(1,1),(2,0))',
 '<(1,2),3>',
 '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
 '10101', '1010101', 'a fat cat:3A,4B',
 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '16/B374D848', '10:20:10,14,15', '10:20:10,14,15',
 '1 2 3', '1 2 3', 'pg_monitor=r/pg_monitor');
INSERT INTO scalars VALUES (2, false, '', -32768, -2147483648, -9223372036854775808, '-0', '-0', 'NaN', '-$92,233,720,368,547,758.08',
 0, '0', '0', '0',
 '(0,0)', '-', '-', '-', '-', '0', '0', '-', '-', '-', '-', '-',
 '', '', '', '', '', '[]', '[]', 'strict $', '', '',
 '-infinity', '00:00', '00:00+15:59', '-infinity', '-infinity', '-178000000 years -3 days -5 us',
 '(-0,0)', '{0,1,0}', '[(0,0),(0,0)]', '((0,0),(0,0))', '((0,0))', '((0,0))', '<(0,0),0>',
 '::', '::/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00',
 '00000', '', '', '00000000-0000-0000-0000-000000000000', '0/0', '1:1:', '1:1:',
 '0', '0', '=/pg_monitor');
INSERT INTO scalars VALUES (3, NULL, E'\\377', 32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', 'Infinity', '$92,233,720,368,547,758.07',
 4294967295, '4294967295', '4294967295', '18446744073709551615',
 '(4294967295,65535)', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
 repeat('x', 70000), repeat('y', 255), 'ä', repeat('ä', 31), decode(repeat('ab', 70000), 'hex'),
 '"x\u00e9"', to_jsonb(repeat('z', 70000)), '-(1).abs()',
 xmlparse(document '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?><a>ä</a>'), 'ä',
 'infinity', '24:00', '24:00-15:59', 'infinity', 'infinity', '178000000 years',
 '(NaN,Infinity)', '{1,0,-0}', '[(-Infinity,0),(1e-300,NaN)]', '((NaN,1),(2,NaN))',
 '[(1e300,-0)]', '((-1,-1),(1e300,1e-300))', '<(0,0),Infinity>',
 'fe80::1/64', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff',
 '11111', repeat('10', 5000)::varbit, to_tsvector('simple', 'ä ö ü'),
 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'FFFFFFFF/FFFFFFFF', '1:9223372036854775807:', '1:2:1',
 '-1 32767', '4294967295', 'pg_monitor=arwdDxt*/pg_monitor');
INSERT INTO scalars VALUES (4, NULL, E'\\200', 128, 65536, 4294967296, 'Infinity', '-Infinity', '-Infinity');
INSERT INTO scalars VALUES (5, NULL, NULL, -129, -65537, -4294967297, 1e-45, 5e-324, 1e-300);
INSERT INTO scalars VALUES (6, NULL, NULL, 255, 255, 4294967295, 3.4e38, 1.7e308, -12345.67800);
INSERT INTO scalars VALUES (7);
-- Is no type missing?
SELECT typname FROM pg_type t
WHERE typtype = 'b' AND typcategory <> 'A' AND typnamespace = 'pg_catalog'::regnamespace
	AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'scalars'::regclass AND atttypid = t.oid)
ORDER BY typname COLLATE "C";
SELECT cache_ext.track('scalars');
SELECT * FROM compare('scalars');
SELECT * FROM compare('scalars');

-- A tsquery may come back with its words stored in another order, which only *= can see
CREATE TABLE searches (id int PRIMARY KEY, q tsquery, qs tsquery[]);
INSERT INTO searches VALUES (1, 'a & (b | !c:*AB) <-> d', '{"!!a <2> ''ä''", a}'), (2, 'x', '{}'), (3, NULL, NULL),
	(4, to_tsquery('english', 'the & (fat | !cat:*) <2> dogs'), NULL);
SELECT cache_ext.track('searches');
CREATE VIEW searches_compared AS
SELECT c.*, u.q = c.q AS same_q, u.qs = c.qs AS same_qs, u.q::text = c.q::text AS same_text
FROM searches u JOIN cache_ext.query_as(NULL::searches, 'SELECT * FROM searches') c USING (id)
ORDER BY id;
SELECT * FROM searches_compared;
SELECT hits AS hits_before FROM cache_ext.stats
\gset
SELECT * FROM searches_compared;
SELECT hits - :hits_before AS hits FROM cache_ext.stats;

-- The types of scalars in arrays
DO $$ BEGIN EXECUTE (
	SELECT format('CREATE TABLE arrays (id int PRIMARY KEY, %s)',
		string_agg(format('%I %s[]', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum))
	FROM pg_attribute
	WHERE attrelid = 'scalars'::regclass AND attnum > 1 AND atttypid::regtype::text !~ 'vector$');
END $$;
DO $$ BEGIN EXECUTE (
	SELECT format('INSERT INTO arrays SELECT id %% 3, %s FROM scalars GROUP BY id %% 3',
		string_agg(format('array_agg(%I ORDER BY id)', attname), ', ' ORDER BY attnum))
	FROM pg_attribute
	WHERE attrelid = 'scalars'::regclass AND attnum > 1 AND atttypid::regtype::text !~ 'vector$');
END $$;
-- PostgreSQL doesn't send the declaration of an xml
UPDATE arrays SET c_xml = NULL;
SELECT cache_ext.track('arrays');
SELECT * FROM compare('arrays');
SELECT * FROM compare('arrays');

-- The same types as a row's
CREATE TABLE row_values (id int PRIMARY KEY, a_row scalars, some_rows scalars[]);
INSERT INTO row_values SELECT id, s, ARRAY[s, NULL] FROM scalars s WHERE id <> 3;
SELECT cache_ext.track('row_values');
SELECT * FROM compare('row_values');
SELECT * FROM compare('row_values');

-- Arrays, enums, domains, rows, ranges.  Domains inside something are not for Redis (see security.sql).
CREATE TABLE shapes (
	id int PRIMARY KEY, ints int[], texts text[], numerics numeric(10,2)[], feeling mood,
	feelings mood[], count positive, label label, counts int[], labels varchar[], a_part part,
	parts part[], a_whole whole, special special_part, ints_range int4range, numbers numrange,
	days daterange, times tsrange, instants tstzrange, bigs int8range, floats float_range,
	many_ints int4multirange, many_numbers nummultirange, many_floats float_multirange,
	ranges int4range[]);
INSERT INTO shapes VALUES (1, '{1,2,3}', '{a,"b c",""}', '{1.10,NULL}', 'sad', '{ok,happy}', 5, 'label', '{1,2}', '{x,y}',
 ROW(1, 'a', 1.5, '{"a": 1.0}'), ARRAY[ROW(1, 'b', 2, NULL)::part, NULL],
 ROW(ROW(1, 'ä', 1.5, '{}'), ARRAY[ROW(1, 'b', 2, NULL)::part], 'ok', '[1,5)'),
 ROW(2, 'c', 3, '[]'), '[1,5)', '[1.10,2.200)', '[2024-01-01,infinity]', '[2024-01-01,2024-02-01)',
 '[2024-01-01 00:00+00,)', '(,7)', '[1.5,2]', '{[1,5),[7,9)}', '{[1.1,2.2],(5.00,)}', '{[1.5,2]}',
 ARRAY['[1,5)'::int4range]);
INSERT INTO shapes VALUES (2, '[-1:0][3:4]={{1,NULL},{3,4}}', '{{{ä}}}', '{}', 'happy', '{}', NULL, '', '{}', '{NULL}',
 ROW(NULL, NULL, NULL, NULL), '{}', ROW(NULL, NULL, NULL, 'empty'), NULL, 'empty', '(,)', 'empty',
 '(-infinity,infinity)', 'empty', '[1,)', '(NaN,)', '{}', '{(,)}', '{}', '{empty,NULL}');
INSERT INTO shapes VALUES (3, array_fill(7, ARRAY[30000]), array_fill(repeat('x', 100), ARRAY[1000]), array_fill(1.5, ARRAY[2,2,2]));
INSERT INTO shapes VALUES (4);
SELECT cache_ext.track('shapes');
SELECT * FROM compare('shapes');
SELECT * FROM compare('shapes');

-- Types of extensions
CREATE EXTENSION citext;
CREATE EXTENSION cube;
CREATE EXTENSION hstore;
CREATE EXTENSION isn;
CREATE EXTENSION ltree;
CREATE TABLE extended (
	id int PRIMARY KEY, a citext, b citext[], c cube, d hstore, e isbn13, f ltree, g lquery);
INSERT INTO extended VALUES (1, 'AbC', '{A,b}', '(1,2),(3,4)', 'a=>1,b=>NULL', '978-0-393-04002-9',
	'Top.Science', '*.a');
INSERT INTO extended VALUES (2, 'ä', '{}', '(-0,NaN)', '', NULL, '', '!a|b*.c{2,}');
SELECT cache_ext.track('extended');
SELECT * FROM compare('extended');
SELECT * FROM compare('extended');
DROP TABLE extended;
DROP EXTENSION citext, cube, hstore, isn, ltree;

-- Columns that were dropped or added later in a row's type
CREATE TABLE inner_rows (a int, b text, c int);
CREATE TABLE outer_rows (id int PRIMARY KEY, r inner_rows);
INSERT INTO outer_rows VALUES (1, ROW(1, 'b', 2));
ALTER TABLE inner_rows DROP COLUMN b;
ALTER TABLE inner_rows ADD COLUMN d text;
INSERT INTO outer_rows VALUES (2, ROW(1, 2, 'd'));
SELECT cache_ext.track('outer_rows');
CREATE VIEW outer_rows_compared AS
SELECT u.id, u.r OPERATOR(pg_catalog.*=) c.r AS same, c.r, (c.r).*
FROM outer_rows u JOIN cache_ext.query_as(NULL::outer_rows, 'SELECT * FROM outer_rows') c USING (id)
ORDER BY id;
SELECT * FROM outer_rows_compared;
SELECT hits AS hits_before FROM cache_ext.stats
\gset
SELECT * FROM outer_rows_compared;
SELECT hits - :hits_before AS hits FROM cache_ext.stats;

-- A value that a constraint added later would not let in
CREATE DOMAIN later AS int;
CREATE TABLE alone (id int PRIMARY KEY, value later);
INSERT INTO alone VALUES (1, -1);
ALTER DOMAIN later ADD CHECK (value > 0) NOT VALID;
SELECT cache_ext.track('alone');
SELECT * FROM compare('alone');
SELECT * FROM compare('alone');
CREATE TABLE inside (id int PRIMARY KEY, value later[]);
INSERT INTO inside VALUES (1, NULL);
SELECT cache_ext.track('inside');
SELECT cacheable, reason FROM cache_ext.explain('SELECT * FROM inside');
SELECT * FROM compare('inside');
SELECT * FROM compare('inside');

-- Compressed, out of line, over a megabyte
CREATE TABLE large (id int PRIMARY KEY, t text, b bytea, j jsonb, a int[], p part);
ALTER TABLE large ALTER t SET STORAGE EXTERNAL;
INSERT INTO large SELECT 1, repeat('0123456789', 150000), decode(repeat('ab', 1500000), 'hex'),
	to_jsonb(repeat('z', 200000)), array_fill(7, ARRAY[100000]),
	ROW(1, repeat('abc', 100000), 3, NULL)::part;
SELECT cache_ext.track('large');
SELECT * FROM compare('large');
SELECT * FROM compare('large');

-- No rows, no columns, 1600 columns
CREATE TABLE nothing (id int PRIMARY KEY, t text);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 1000);
DO $$ BEGIN EXECUTE (
	SELECT format('CREATE TABLE wide (id int, %s)', string_agg('c' || i || ' int', ', '))
	FROM generate_series(2, 1600) i);
END $$;
DO $$ BEGIN EXECUTE (
	SELECT format('INSERT INTO wide SELECT 1, %s', string_agg(i::text, ', '))
	FROM generate_series(2, 1600) i);
END $$;
INSERT INTO wide (id, c1600) VALUES (2, 7);
SELECT cache_ext.track('nothing'), cache_ext.track('no_columns'), cache_ext.track('wide');
SELECT * FROM compare('nothing');
SELECT * FROM compare('nothing');
SELECT count(*) FROM cache_ext.query_as(NULL::no_columns, 'SELECT FROM no_columns');
SELECT hits AS hits_before FROM cache_ext.stats
\gset
SELECT count(*) FROM cache_ext.query_as(NULL::no_columns, 'SELECT FROM no_columns');
SELECT hits - :hits_before AS hits FROM cache_ext.stats;
SELECT * FROM compare('wide');
SELECT * FROM compare('wide');

-- What is not stored: too large, of a type only this session knows, of a type with no input
SET cache_ext.max_entry_size = '1MB';
SELECT cacheable, reason FROM cache_ext.explain('SELECT * FROM large');
DELETE FROM large;
INSERT INTO large (id, t) VALUES (1, repeat('x', 1024 * 1024));
SELECT * FROM compare('large');
SELECT * FROM compare('large');
RESET cache_ext.max_entry_size;
SELECT count(*) FROM cache_ext.query('SELECT ROW(id, t) FROM large') AS (r record);
SELECT hits AS hits_before FROM cache_ext.stats
\gset
SELECT count(*) FROM cache_ext.query('SELECT ROW(id, t) FROM large') AS (r record);
SELECT hits - :hits_before AS hits FROM cache_ext.stats;

DROP TABLE scalars, searches, arrays, row_values, shapes, outer_rows, inner_rows, alone, inside, large, nothing,
	no_columns, wide CASCADE;
DROP FUNCTION compare(regclass);
DROP DOMAIN positive, label, special_part, later;
DROP TYPE float_range, whole, part, mood;
