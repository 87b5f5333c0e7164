-- Which queries are one to the cache: those whose keys are the same.
CREATE SCHEMA fingerprint;
SET search_path = fingerprint;
SET client_min_messages = warning;

CREATE TYPE address AS (street text, town text);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE t (id int PRIMARY KEY, a int, b bigint, c text, d varchar(20), n numeric(10, 2), ok bool,
	at timestamp, list int[], doc jsonb, home address);
CREATE TABLE u (id int PRIMARY KEY, t int, a int, b bigint, c text);
CREATE VIEW v AS SELECT id, a FROM t;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, a FROM t;
CREATE FUNCTION f(x int, y int DEFAULT 2, z int DEFAULT 3) RETURNS int IMMUTABLE LANGUAGE sql RETURN x + y + z;
SELECT cache_ext.track('t');
SELECT cache_ext.track('u');

CREATE FUNCTION key_of(sql text) RETURNS text LANGUAGE sql
RETURN (cache_ext.explain(sql, CASE WHEN sql LIKE '%$2%' THEN '{1,1}' WHEN sql LIKE '%$1%' THEN '{1}' ELSE '{}' END::text[])).key;

--
-- One query, however it is written
--
CREATE TABLE same (one text, other text);
INSERT INTO same VALUES
	('SELECT id, a FROM t WHERE id = 1', 'select  ID,a from t /* all of it */ where(id)=1;'),
	('SELECT id FROM t', E'SELECT\n\tid\nFROM -- this\n\tt'),
	('SELECT id FROM t', 'SELECT "id" FROM fingerprint.t'),
	('SELECT id FROM t', 'SELECT t.id AS id FROM t'),
	('SELECT * FROM u', 'TABLE u'),
	('SELECT * FROM u', 'SELECT id, t, a, b, c FROM u'),
	('SELECT id FROM t WHERE a = $1', 'SELECT id   FROM t WHERE a=$1'),
	('SELECT id FROM t WHERE c = ''x''', 'SELECT id FROM t WHERE c = $q$x$q$'),
	('SELECT id FROM t WHERE a <> 1', 'SELECT id FROM t WHERE a != 1'),
	('SELECT id FROM t WHERE a IS NULL', 'SELECT id FROM t WHERE a ISNULL'),
	('SELECT id FROM t WHERE a BETWEEN 1 AND 2', 'SELECT id FROM t WHERE a >= 1 AND a <= 2'),
	('SELECT id FROM t ORDER BY a', 'SELECT id FROM t ORDER BY a ASC NULLS LAST'),
	('SELECT id FROM t LIMIT 3', 'SELECT id FROM t FETCH FIRST 3 ROWS ONLY'),
	('SELECT DISTINCT a FROM t', 'SELECT DISTINCT t.a FROM t'),
	('SELECT t.id FROM t JOIN u ON t.id = u.t', 'SELECT t.id FROM t INNER JOIN u ON (t.id = u.t)'),
	('SELECT a FROM t UNION SELECT a FROM u', '(SELECT a FROM t) UNION DISTINCT (SELECT a FROM u)'),
	('SELECT sum(a) OVER (ORDER BY b) FROM t', 'SELECT sum(a) OVER (ORDER BY b ASC) FROM t'),
	('SELECT a, count(*) FROM t GROUP BY ROLLUP (a)', 'SELECT a, count(*) FROM t GROUP BY  ROLLUP(a)'),
	('SELECT a FROM t GROUP BY a', 'SELECT a FROM t GROUP BY 1'),
	('SELECT id FROM t WHERE (a, b) < (1, 2)', 'SELECT id FROM t WHERE ROW(a, b) < ROW(1, 2)'),
	('SELECT id FROM t WHERE a IN (1, 2)', 'SELECT id FROM t WHERE a = ANY (ARRAY[1, 2])'),
	('SELECT id FROM t WHERE (a, b) = (1, 2)', 'SELECT id FROM t WHERE a = 1 AND b = 2'),
	('SELECT a, count(*) FROM t GROUP BY GROUPING SETS ((a))', 'SELECT a, count(*) FROM t GROUP BY a'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 5) CYCLE n SET k USING p SELECT n FROM r',
	 'WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n+1 FROM r WHERE n<5) CYCLE n SET k TO true DEFAULT false USING p SELECT n FROM r');
SELECT * FROM same WHERE (key_of(one) = key_of(other)) IS NOT TRUE;

--
-- Queries that differ in one detail
--
CREATE TABLE queries (sql text);
INSERT INTO queries VALUES
	-- columns of the result
	('SELECT id FROM t'), ('SELECT a FROM t'), ('SELECT id, a FROM t'), ('SELECT a, id FROM t'),
	('SELECT id AS a FROM t'), ('SELECT a AS id FROM t'), ('SELECT id AS "ID" FROM t'), ('SELECT FROM t'),
	('SELECT id FROM u'), ('SELECT a FROM u'), ('SELECT t FROM t'), ('SELECT to_jsonb(t) FROM t'),
	('SELECT to_jsonb(x) FROM t AS x (one)'), ('SELECT to_jsonb(x) FROM t AS x (two)'),
	('SELECT to_jsonb(x) FROM (SELECT id AS one FROM t) x'),
	('SELECT to_jsonb(x) FROM (SELECT id AS two FROM t) x'),
	-- constants and their types
	('SELECT id FROM t WHERE a = 1'), ('SELECT id FROM t WHERE a = 2'), ('SELECT id FROM t WHERE a = -1'),
	('SELECT id FROM t WHERE a = 1::bigint'), ('SELECT id FROM t WHERE a = 1::smallint'),
	('SELECT id FROM t WHERE a = 1.0'), ('SELECT id FROM t WHERE a = NULL'), ('SELECT id FROM t WHERE b = 1'),
	('SELECT id FROM t WHERE b = 70000000000'), ('SELECT id FROM t WHERE n = 1'), ('SELECT id FROM t WHERE n = 1.0'),
	('SELECT id FROM t WHERE n = 1.00'), ('SELECT id FROM t WHERE c = ''x'''), ('SELECT id FROM t WHERE c = ''X'''),
	('SELECT id FROM t WHERE c = ''x '''), ('SELECT id FROM t WHERE c = '''''), ('SELECT id FROM t WHERE c = ''x''::varchar'),
	('SELECT id FROM t WHERE c = ''x''::char(1)'), ('SELECT id FROM t WHERE c = ''x''::char(2)'),
	('SELECT id FROM t WHERE at = ''2020-01-01'''), ('SELECT id FROM t WHERE at = ''2020-01-01''::date'),
	('SELECT id FROM t WHERE at = ''2020-01-02'''), ('SELECT id FROM t WHERE list = ''{1,2}'''),
	('SELECT id FROM t WHERE list = ''{1,3}'''), ('SELECT id FROM t WHERE list = ''{}'''),
	('SELECT id FROM t WHERE doc = ''{"a": 1}'''), ('SELECT id FROM t WHERE doc = ''{"a": 2}'''),
	('SELECT id FROM t WHERE ok'), ('SELECT id FROM t WHERE true'), ('SELECT id FROM t WHERE false'),
	-- parameters
	('SELECT id FROM t WHERE a = $1'), ('SELECT id FROM t WHERE a = $1 AND id = $2'),
	('SELECT id FROM t WHERE a = $2 AND id = $1'), ('SELECT id FROM t WHERE b = $1'),
	('SELECT id FROM t WHERE a = $1::bigint'), ('SELECT id FROM t WHERE a = $1 AND id = $1'),
	-- operators and conditions
	('SELECT id FROM t WHERE a <> 1'), ('SELECT id FROM t WHERE a < 1'), ('SELECT id FROM t WHERE a <= 1'),
	('SELECT id FROM t WHERE a > 1'), ('SELECT id FROM t WHERE NOT a = 1'), ('SELECT id FROM t WHERE 1 = a'),
	('SELECT id FROM t WHERE a = 1 AND b = 2'), ('SELECT id FROM t WHERE a = 1 OR b = 2'),
	('SELECT id FROM t WHERE a = 1 AND (b = 2 OR ok)'), ('SELECT id FROM t WHERE a = 1 AND b = 2 OR ok'),
	('SELECT id FROM t WHERE a IS NULL'), ('SELECT id FROM t WHERE a IS NOT NULL'), ('SELECT id FROM t WHERE home IS NULL'),
	('SELECT id FROM t WHERE ROW(a, b) IS NULL'), ('SELECT id FROM t WHERE ok IS TRUE'),
	('SELECT id FROM t WHERE ok IS NOT FALSE'), ('SELECT id FROM t WHERE ok IS UNKNOWN'),
	('SELECT id FROM t WHERE a IS DISTINCT FROM 1'), ('SELECT id FROM t WHERE a IS NOT DISTINCT FROM 1'),
	('SELECT id FROM t WHERE a IN (1, 2)'), ('SELECT id FROM t WHERE a IN (2, 1)'), ('SELECT id FROM t WHERE a IN (1, 2, 3)'),
	('SELECT id FROM t WHERE a NOT IN (1, 2)'), ('SELECT id FROM t WHERE a > ALL (ARRAY[1, 2])'),
	('SELECT id FROM t WHERE a = ANY (''{1}'')'), ('SELECT id FROM t WHERE 1 = ANY (list)'), ('SELECT id FROM t WHERE 1 = ALL (list)'),
	('SELECT id FROM t WHERE (a, b) < (1, 2)'), ('SELECT id FROM t WHERE (a, b) <= (1, 2)'), ('SELECT id FROM t WHERE (a, b) > (1, 2)'),
	('SELECT id FROM t WHERE c LIKE ''x'''), ('SELECT id FROM t WHERE c ILIKE ''x'''),
	('SELECT id FROM t WHERE c = ''x'' COLLATE "C"'), ('SELECT id FROM t WHERE c = ''x'' COLLATE "POSIX"'),
	('SELECT id FROM t WHERE c < ''x'''), ('SELECT id FROM t WHERE c < ''x'' COLLATE "C"'),
	-- calls, casts, composed values
	('SELECT f(1)'), ('SELECT f(1, 2)'), ('SELECT f(1, z => 3)'), ('SELECT f(y => 1, x => 2)'), ('SELECT f(2, 1)'),
	('SELECT a + 1 AS x FROM t'), ('SELECT a - 1 AS x FROM t'), ('SELECT -a AS x FROM t'), ('SELECT abs(a) AS x FROM t'),
	('SELECT a::text AS x FROM t'), ('SELECT a::bigint AS x FROM t'), ('SELECT a::positive AS x FROM t'), ('SELECT a::numeric AS x FROM t'),
	('SELECT a::numeric(5) AS x FROM t'), ('SELECT c::varchar AS x FROM t'), ('SELECT c::varchar(3) AS x FROM t'),
	('SELECT c::varchar(4) AS x FROM t'), ('SELECT d::text AS x FROM t'), ('SELECT list::text[] AS x FROM t'),
	('SELECT list::bigint[] AS x FROM t'), ('SELECT upper(c) AS x FROM t'), ('SELECT lower(c) AS x FROM t'),
	('SELECT coalesce(a, 1) AS x FROM t'), ('SELECT nullif(a, 1) AS x FROM t'), ('SELECT greatest(a, 1) AS x FROM t'),
	('SELECT least(a, 1) AS x FROM t'), ('SELECT greatest(1, a) AS x FROM t'),
	('SELECT CASE WHEN ok THEN 1 ELSE 2 END AS x FROM t'), ('SELECT CASE WHEN ok THEN 2 ELSE 1 END AS x FROM t'),
	('SELECT CASE WHEN ok THEN 1 END AS x FROM t'), ('SELECT CASE ok WHEN true THEN 1 END AS x FROM t'),
	('SELECT ARRAY[a, 1] AS x FROM t'), ('SELECT ARRAY[1, a] AS x FROM t'), ('SELECT ARRAY[[a, 1]] AS x FROM t'),
	('SELECT list[1] AS x FROM t'), ('SELECT list[2] AS x FROM t'), ('SELECT list[1:2] AS x FROM t'), ('SELECT list[:2] AS x FROM t'),
	('SELECT list[2:] AS x FROM t'), ('SELECT (home).street AS x FROM t'), ('SELECT (home).town AS x FROM t'),
	('SELECT doc[''a''] AS x FROM t'), ('SELECT doc -> ''a'' AS x FROM t'), ('SELECT doc ->> ''a'' AS x FROM t'),
	('SELECT ROW(a, 1) = ROW(1, a) AS x FROM t'), ('SELECT to_jsonb(ROW(a, 1)) AS x FROM t'), ('SELECT current_user AS x'), ('SELECT session_user AS x'),
	('SELECT xmlelement(name a, c) AS x FROM t'), ('SELECT xmlelement(name b, c) AS x FROM t'), ('SELECT xmlforest(c AS a) AS x FROM t'),
	-- aggregates and windows
	('SELECT count(*) AS x FROM t'), ('SELECT count(a) AS x FROM t'), ('SELECT count(DISTINCT a) AS x FROM t'),
	('SELECT count(a) FILTER (WHERE ok) AS x FROM t'), ('SELECT sum(a) AS x FROM t'), ('SELECT sum(b) AS x FROM t'),
	('SELECT min(a) AS x FROM t'), ('SELECT max(a) AS x FROM t'), ('SELECT array_agg(a) AS x FROM t'),
	('SELECT array_agg(a ORDER BY b) AS x FROM t'), ('SELECT array_agg(a ORDER BY b DESC) AS x FROM t'),
	('SELECT array_agg(a ORDER BY b NULLS FIRST) AS x FROM t'), ('SELECT array_agg(a ORDER BY id) AS x FROM t'),
	('SELECT string_agg(c, '','') AS x FROM t'), ('SELECT string_agg(c, '';'') AS x FROM t'),
	('SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY a) AS x FROM t'), ('SELECT percentile_disc(0.4) WITHIN GROUP (ORDER BY a) AS x FROM t'),
	('SELECT a, count(*) FROM t GROUP BY a'), ('SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1'),
	('SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 2'), ('SELECT a, count(*) FROM t GROUP BY ROLLUP (a)'),
	('SELECT a, b, count(*) FROM t GROUP BY a, b'), ('SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b)'),
	('SELECT a, b, count(*) FROM t GROUP BY ROLLUP (b, a)'), ('SELECT a, b, count(*) FROM t GROUP BY CUBE (a, b)'),
	('SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS (a, b)'),
	('SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS (a, b, ())'), ('SELECT a, grouping(a) AS x FROM t GROUP BY ROLLUP (a)'),
	('SELECT a, b, count(*) FROM t GROUP BY ALL ROLLUP (a, b), ROLLUP (a, b)'), ('SELECT a, b, count(*) FROM t GROUP BY DISTINCT ROLLUP (a, b), ROLLUP (a, b)'),
	('SELECT sum(a) OVER () AS x FROM t'), ('SELECT sum(a) OVER (PARTITION BY b) AS x FROM t'), ('SELECT sum(a) OVER (ORDER BY b) AS x FROM t'),
	('SELECT sum(a) OVER (ORDER BY b DESC) AS x FROM t'), ('SELECT sum(a) FILTER (WHERE ok) OVER (ORDER BY b) AS x FROM t'),
	('SELECT sum(a) OVER (ORDER BY b ROWS 1 PRECEDING) AS x FROM t'), ('SELECT sum(a) OVER (ORDER BY b ROWS 2 PRECEDING) AS x FROM t'),
	('SELECT sum(a) OVER (ORDER BY b RANGE 1 PRECEDING) AS x FROM t'), ('SELECT sum(a) OVER (ORDER BY b GROUPS 1 PRECEDING) AS x FROM t'),
	('SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS x FROM t'),
	('SELECT sum(a) OVER (ORDER BY b ROWS 1 PRECEDING EXCLUDE TIES) AS x FROM t'), ('SELECT sum(a) OVER (ORDER BY b ROWS 1 PRECEDING EXCLUDE GROUP) AS x FROM t'),
	('SELECT rank() OVER (ORDER BY a) AS x FROM t'), ('SELECT dense_rank() OVER (ORDER BY a) AS x FROM t'),
	-- order, limits, duplicates
	('SELECT id FROM t ORDER BY a'), ('SELECT id FROM t ORDER BY b'), ('SELECT id FROM t ORDER BY a DESC'), ('SELECT id FROM t ORDER BY a NULLS FIRST'),
	('SELECT id FROM t ORDER BY a, b'), ('SELECT id FROM t ORDER BY b, a'), ('SELECT id FROM t ORDER BY c'), ('SELECT id FROM t ORDER BY c COLLATE "C"'),
	('SELECT id FROM t ORDER BY id LIMIT 1'), ('SELECT id FROM t ORDER BY id LIMIT 2'), ('SELECT id FROM t ORDER BY id OFFSET 1'), ('SELECT id FROM t ORDER BY id LIMIT 1 OFFSET 1'),
	('SELECT id FROM t ORDER BY id FETCH FIRST 1 ROW WITH TIES'), ('SELECT id FROM t ORDER BY id LIMIT $1'), ('SELECT id FROM t ORDER BY id OFFSET $1'),
	('SELECT DISTINCT id, a FROM t'), ('SELECT DISTINCT ON (id) id, a FROM t'), ('SELECT DISTINCT ON (a) id, a FROM t'), ('SELECT DISTINCT ON (id, a) id, a FROM t'),
	-- joins and FROM
	('SELECT t.id FROM t, u'), ('SELECT t.id FROM u, t'), ('SELECT t.id FROM t CROSS JOIN u'), ('SELECT t.id FROM t JOIN u ON t.id = u.t'),
	('SELECT t.id FROM t LEFT JOIN u ON t.id = u.t'), ('SELECT t.id FROM t RIGHT JOIN u ON t.id = u.t'), ('SELECT t.id FROM t FULL JOIN u ON t.id = u.t'),
	('SELECT t.id FROM t LEFT JOIN u ON t.id = u.id'), ('SELECT t.id FROM t LEFT JOIN u ON t.id = u.t AND u.a = 1'), ('SELECT t.id FROM t LEFT JOIN u ON t.id = u.t WHERE u.a = 1'),
	('SELECT u.id FROM t JOIN u ON t.id = u.t'), ('SELECT id FROM t JOIN u USING (id)'), ('SELECT id FROM t FULL JOIN u USING (id)'), ('SELECT id FROM t JOIN u USING (id, a)'),
	('SELECT x.id FROM t x, t y'), ('SELECT y.id FROM t x, t y'), ('SELECT id FROM ONLY t'), ('SELECT id FROM v'), ('SELECT id FROM guarded'),
	('SELECT * FROM t x, LATERAL (SELECT u.a AS y FROM u WHERE u.t = x.id) z'), ('SELECT * FROM t x LEFT JOIN LATERAL (SELECT u.a AS y FROM u WHERE u.t = x.id) z ON true'),
	('SELECT * FROM generate_series(1, 3) x'), ('SELECT * FROM generate_series(1, 4) x'), ('SELECT * FROM generate_series(1, 3) WITH ORDINALITY x'),
	('SELECT * FROM ROWS FROM (generate_series(1, 3), generate_series(1, 4)) x'), ('SELECT * FROM ROWS FROM (generate_series(1, 4), generate_series(1, 3)) x'),
	('SELECT * FROM jsonb_to_recordset(''[]'') AS x (a int)'), ('SELECT * FROM jsonb_to_recordset(''[]'') AS x (a bigint)'), ('SELECT * FROM jsonb_to_recordset(''[]'') AS x (b int)'),
	('SELECT * FROM xmltable(''/a'' PASSING ''<a/>'' COLUMNS x int)'), ('SELECT * FROM xmltable(''/b'' PASSING ''<a/>'' COLUMNS x int)'),
	('VALUES (1), (2)'), ('VALUES (2), (1)'), ('VALUES (1), (3)'), ('VALUES (1, 2)'), ('VALUES (''1''), (''2'')'),
	-- subqueries and WITH
	('SELECT id FROM (SELECT id FROM t) x'), ('SELECT id FROM (SELECT id FROM t OFFSET 0) x'), ('SELECT id FROM (SELECT id FROM t LIMIT 1) x'),
	('SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.t = t.id)'), ('SELECT id FROM t WHERE NOT EXISTS (SELECT FROM u WHERE u.t = t.id)'),
	('SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.t = u.id)'),
	('SELECT id FROM t WHERE id IN (SELECT t FROM u)'), ('SELECT id FROM t WHERE id NOT IN (SELECT t FROM u)'), ('SELECT id FROM t WHERE id IN (SELECT a FROM u)'),
	('SELECT id FROM t WHERE id > ANY (SELECT t FROM u)'), ('SELECT id FROM t WHERE id > ALL (SELECT t FROM u)'), ('SELECT id FROM t WHERE id = (SELECT t FROM u)'),
	('SELECT id FROM t WHERE (id, a) IN (SELECT t, a FROM u)'), ('SELECT id FROM t WHERE (a, id) IN (SELECT t, a FROM u)'),
	('SELECT (SELECT max(u.a) FROM u) AS x FROM t'), ('SELECT (SELECT max(t.a) FROM u) AS x FROM t'), ('SELECT ARRAY(SELECT a FROM u) AS x FROM t'),
	('WITH x AS (SELECT id FROM t) SELECT id FROM x'), ('WITH x AS MATERIALIZED (SELECT id FROM t) SELECT id FROM x'), ('WITH x AS NOT MATERIALIZED (SELECT id FROM t) SELECT id FROM x'),
	('WITH x AS (SELECT a AS id FROM t) SELECT id FROM x'), ('WITH x AS (SELECT id FROM t) SELECT x.id FROM x, x y'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r'), ('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) SEARCH DEPTH FIRST BY n SET s SELECT n FROM r'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) SEARCH BREADTH FIRST BY n SET s SELECT n FROM r'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) CYCLE n SET k USING p SELECT n FROM r'),
	('WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) CYCLE n SET k TO ''y'' DEFAULT ''n'' USING p SELECT n FROM r'),
	-- set operations
	('SELECT a FROM t UNION SELECT a FROM u'), ('SELECT a FROM t UNION ALL SELECT a FROM u'), ('SELECT a FROM t INTERSECT SELECT a FROM u'), ('SELECT a FROM t EXCEPT SELECT a FROM u'),
	('SELECT a FROM t EXCEPT ALL SELECT a FROM u'), ('SELECT a FROM u UNION SELECT a FROM t'), ('SELECT a FROM t UNION SELECT b FROM u'), ('SELECT a FROM t UNION SELECT a FROM u ORDER BY 1'),
	('SELECT a FROM t UNION (SELECT a FROM u EXCEPT SELECT id FROM t)'), ('(SELECT a FROM t UNION SELECT a FROM u) EXCEPT SELECT id FROM t');

CREATE TABLE keys AS SELECT sql, key_of(sql) AS key FROM queries;
SELECT count(*) > 250 AS enough FROM keys;
SELECT sql AS not_cached FROM keys WHERE key IS NULL;
SELECT one.sql, other.sql AS same FROM keys one JOIN keys other ON one.key = other.key AND one.sql < other.sql;

-- one text that means something else
CREATE FUNCTION keys_of(VARIADIC texts text[]) RETURNS text[] LANGUAGE sql
RETURN (SELECT array_agg(key_of(sql)) FROM unnest(texts) sql);
CREATE TABLE meanings AS SELECT keys_of('SELECT id FROM v', 'SELECT id FROM t', 'SELECT * FROM u') AS keys;

CREATE ROLE fingerprint_owner;
GRANT USAGE ON SCHEMA fingerprint TO fingerprint_owner;
GRANT SELECT ON t TO fingerprint_owner;
GRANT CREATE ON SCHEMA fingerprint TO fingerprint_owner;
ALTER VIEW v OWNER TO fingerprint_owner;
INSERT INTO meanings SELECT keys_of('SELECT id FROM v');
ALTER VIEW v SET (security_barrier);
INSERT INTO meanings SELECT keys_of('SELECT id FROM v');
ALTER VIEW v SET (security_barrier = false, security_invoker = true);
INSERT INTO meanings SELECT keys_of('SELECT id FROM v');
ALTER TABLE u RENAME a TO other;
INSERT INTO meanings SELECT keys_of('SELECT * FROM u');
ALTER TABLE u ALTER other TYPE bigint;
INSERT INTO meanings SELECT keys_of('SELECT * FROM u');
ALTER TABLE t RENAME TO old;
ALTER TABLE u RENAME TO t;
INSERT INTO meanings SELECT keys_of('SELECT id FROM t');
SELECT count(*), count(DISTINCT key) FROM meanings, unnest(keys) key;

DROP SCHEMA fingerprint CASCADE;
DROP ROLE fingerprint_owner;
