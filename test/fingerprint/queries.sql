-- One query a line.  test/t/091_fingerprint.pl makes many of each, by changing single words.

-- result columns
SELECT id, a, b, c FROM t
SELECT id AS x, a AS y FROM t
SELECT t.id AS "some name", t.* FROM t
SELECT FROM t
SELECT t FROM t
SELECT u FROM t, u
SELECT to_jsonb(t) FROM t
SELECT to_jsonb(x) FROM t AS x (one, two)
SELECT to_jsonb(x) FROM t AS x (one, three)
SELECT to_jsonb(j) FROM (t JOIN u USING (id)) AS j
SELECT to_jsonb(j) FROM (t JOIN u USING (id)) AS j (one, two)
SELECT to_jsonb(x) FROM (SELECT id AS one, a AS two FROM t) x
SELECT to_jsonb(x) FROM (VALUES (1, 'x'), (2, 'y')) AS x (one, two)
SELECT id FROM t AS x
SELECT x.id FROM t x
SELECT c AS a FROM t

-- constants
SELECT 1
SELECT 1::bigint, 1.5, 'x', true, NULL, NULL::int
SELECT -1, '-1', -1::smallint, 70000, 7000000000
SELECT 'x'::text, 'x'::varchar, 'x'::varchar(3), 'x'::char(3), 'x'::bytea, 'x'::name
SELECT '{1,2}'::int[], '{1,2}'::bigint[], '{1,3}'::int[], '{}'::int[], '[1,2)'::int4range
SELECT date '2020-01-01', timestamp '2020-01-01', timestamptz '2020-01-01', time '10:00', interval '1 day'
SELECT interval '1' day, interval '1' hour, interval '1 day' day to second (3), '1 day'::interval(2)
SELECT 1.0, 1.00, 1e0::float8, 1e0::float4, '1'::money
SELECT '{"a": 1}'::jsonb, '{"a": 1}'::json, '(x,y)'::address, 'red'::color, 'a b'::tsvector, '$.a'::jsonpath
SELECT b'101', x'ff', B'101'::bit(3), 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid
SELECT 'x' || 'y', 'abc' LIKE 'a%', 'abc' ~ 'b', E'a\tb', U&'\0041', $q$x$q$

-- parameters
SELECT $1::int, $2::text
SELECT id FROM t WHERE id = $1 AND c = $2
SELECT id FROM t WHERE id = $2 AND c = $1
SELECT id FROM t WHERE a = $1 AND id = $1
SELECT id FROM t WHERE b = $1 LIMIT $2 OFFSET $3
SELECT id FROM t WHERE id = ANY ($1) OR c = ANY ($2)
SELECT $1::varchar(5) COLLATE "C"

-- conditions and operators
SELECT id FROM t WHERE a = 1 AND b > 2 OR NOT c < 'x'
SELECT id FROM t WHERE (a = 1 OR a = 2) AND ok
SELECT id FROM t WHERE a = 1 OR (a = 2 AND ok)
SELECT id FROM t WHERE a + b * 2 - 1 >= 3 / a % 5
SELECT id FROM t WHERE a IS NULL AND b IS NOT NULL AND home IS NULL AND ROW(a, b) IS NOT NULL
SELECT id FROM t WHERE ok IS TRUE
SELECT id FROM t WHERE ok IS NOT TRUE OR ok IS UNKNOWN
SELECT id FROM t WHERE ok IS FALSE
SELECT id FROM t WHERE a IS DISTINCT FROM b AND c IS NOT DISTINCT FROM 'x'
SELECT id FROM t WHERE a BETWEEN 1 AND 5 AND a NOT BETWEEN 2 AND 3 AND a BETWEEN SYMMETRIC 3 AND 1
SELECT id FROM t WHERE a IN (1, 2, 3) AND c NOT IN ('x', 'y')
SELECT id FROM t WHERE a IN (1, b)
SELECT id FROM t WHERE a = ANY ('{1,2}') AND a <> ALL (ARRAY[3, 4]) AND 1 = SOME (list)
SELECT id FROM t WHERE (a, c) < (1, 'x')
SELECT id FROM t WHERE (a, b) >= (1, 2) AND (a, b, c) > (1, 2, 'x')
SELECT id FROM t WHERE (a, c) = (1, 'x') AND (a, c) IS DISTINCT FROM (1, 'x')
SELECT id FROM t WHERE c LIKE 'x%' AND c NOT ILIKE '%y' ESCAPE '!' AND c SIMILAR TO 'a|b' AND c ~* 'x'
SELECT id FROM t WHERE (at, interval '1 day') OVERLAPS (at, interval '2 days')
SELECT id FROM t WHERE c COLLATE "C" < 'x' AND c = 'x' COLLATE "POSIX"
SELECT id FROM t WHERE c < 'x' COLLATE "C" ORDER BY c COLLATE "C"
SELECT id FROM t WHERE a OPERATOR(pg_catalog.=) 1

-- calls and casts
SELECT f(1), f(1, 2), f(1, 2, 3), f(a => 1), f(1, c => 5), f(c => 5, a => 1)
SELECT f(b => 1, a => 2)
SELECT g(1, 2), g(VARIADIC ARRAY[1, 2]), g(VARIADIC list) FROM t
SELECT concat(a, c), concat(VARIADIC grid), format('%s', c) FROM t
SELECT abs(a), length(c), upper(c), lower(c), substring(c FROM 1 FOR 2), substring(c, 1, 2), position('x' IN c) FROM t
SELECT trim(c), trim(BOTH 'x' FROM c), trim(LEADING 'x' FROM c), overlay(c PLACING 'x' FROM 2), extract(year FROM at) FROM t
SELECT seen AT TIME ZONE 'UTC', seen AT TIME ZONE 'CET', date_trunc('day', seen), to_char(seen, 'YYYY') FROM t
SELECT a::text, a::bigint, c::varchar(5), d::text, CAST(d AS text), text(d), n::int, n::numeric(5, 1), c::words FROM t
SELECT "varchar"(d, 5, true), pg_catalog.varchar(d, 5, false) FROM t
SELECT list::bigint[], list::text[], grid::int[], grid::varchar(3)[] FROM t
SELECT a::positive, c::words, 5::positive, 'x'::words, list::positive[] FROM t
SELECT home::text, ROW('x', 'y')::address, ROW('x', 'y')::other_address, (home::text)::other_address FROM t
SELECT (child.*)::t FROM child
SELECT child::t FROM child
SELECT generate_series(1, 3), unnest(list) FROM t
SELECT current_user, session_user, current_catalog, current_schema, current_role, user
SELECT current_date, current_time, current_time(2), current_timestamp, current_timestamp(3), localtime, localtimestamp(1)
SELECT CURRENT_TIMESTAMP(2), localtime(2), localtimestamp

-- composed values
SELECT CASE WHEN a = 1 THEN 'x' WHEN a = 2 THEN 'y' ELSE 'z' END FROM t
SELECT CASE a WHEN 1 THEN 'x' WHEN 2 THEN 'y' END FROM t
SELECT CASE WHEN ok THEN a END, CASE WHEN ok THEN a ELSE b END FROM t
SELECT CASE c WHEN 'x' THEN 1 ELSE 2 END, CASE c COLLATE "C" WHEN 'x' THEN 1 ELSE 2 END FROM t
SELECT CASE d WHEN 'x' THEN d ELSE c END FROM t
SELECT coalesce(a, 1), coalesce(a, b), coalesce(c, d, 'x'), nullif(a, 1), nullif(c, 'x') FROM t
SELECT greatest(a, b), least(a, b), greatest(c, 'x'), least(c, d), greatest(c COLLATE "C", 'x') FROM t
SELECT ARRAY[a, 1], ARRAY[a, b], ARRAY[[a, 1], [2, 3]], ARRAY[]::int[], ARRAY[c, 'x'] FROM t
SELECT to_json(ROW(a, c)), ROW(a, c) = ROW(1, 'x'), to_json((a, c, 1)) FROM t
SELECT list[1], list[a], list[1:2], list[:2], list[1:], list[:], grid[1][2], grid[1:2][1] FROM t
SELECT (home).street, (home).town, (t).home.town, (rows_of(1)).id, (ROW('x', 'y')::address).town FROM t
SELECT doc['a'], doc['a']['b'], doc -> 'a', doc ->> 'a', doc @> '{"a": 1}', doc ? 'a' FROM t
SELECT xmlelement(name x, c), xmlelement(name y, xmlattributes(c AS z)), xmlforest(c, d AS e), xmlconcat(page, page) FROM t
SELECT xmlparse(DOCUMENT '<x/>'), xmlparse(CONTENT '<x/>'), xmlserialize(CONTENT page AS text), xmlpi(name x), page IS DOCUMENT, xmlroot(page, version '1.0') FROM t

-- aggregates
SELECT count(*), count(a), sum(a), min(b), max(c), avg(n) FROM t
SELECT count(DISTINCT a), count(a) FILTER (WHERE b > 1), sum(DISTINCT b), array_agg(a ORDER BY b), array_agg(a ORDER BY b DESC, c) FROM t
SELECT string_agg(c, ','), string_agg(c, ',' ORDER BY c COLLATE "C"), string_agg(DISTINCT c, 'x' ORDER BY c) FROM t
SELECT string_agg(c, ',' ORDER BY a NULLS FIRST), string_agg(c, ',' ORDER BY a USING >) FROM t
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), mode() WITHIN GROUP (ORDER BY c), percentile_disc(0.5) WITHIN GROUP (ORDER BY a DESC) FROM t
SELECT rank(1) WITHIN GROUP (ORDER BY a), max(c COLLATE "C"), json_agg(t), jsonb_object_agg(c, a) FROM t
SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1
SELECT a, b, count(*) FROM t GROUP BY a, b HAVING sum(b) > 1 AND max(c) < 'x'
SELECT a, b, count(*) FROM t GROUP BY DISTINCT ROLLUP (a, b), ROLLUP (a, b)
SELECT a, b, count(*) FROM t GROUP BY ALL ROLLUP (a, b), ROLLUP (a, b)
SELECT a, b, count(*), grouping(a), grouping(a, b) FROM t GROUP BY CUBE (a, b)
SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b)
SELECT a, b, count(*) FROM t GROUP BY ROLLUP (b, a)
SELECT a, b, c, count(*) FROM t GROUP BY GROUPING SETS ((a, b), (c), ())
SELECT a, b, c, count(*) FROM t GROUP BY GROUPING SETS ((a), (b, c), ROLLUP (a, b))
SELECT a, b, c, count(*) FROM t GROUP BY a, GROUPING SETS ((b), (c))
SELECT id, a, c FROM t GROUP BY id
SELECT (SELECT count(t.a) FROM u) FROM t
SELECT (SELECT count(u.a) FROM u) FROM t
SELECT a + 1, count(*) FROM t GROUP BY a + 1
SELECT count(*) FROM t HAVING true

-- windows
SELECT rank() OVER (ORDER BY a), row_number() OVER (PARTITION BY b ORDER BY a DESC) FROM t
SELECT sum(a) OVER (PARTITION BY b), sum(a) OVER (), sum(a) FILTER (WHERE ok) OVER (ORDER BY b), count(*) OVER (ORDER BY b) FROM t
SELECT sum(a) OVER x, avg(a) OVER y FROM t WINDOW x AS (PARTITION BY b), y AS (x ORDER BY c)
SELECT sum(a) OVER x, avg(a) OVER x FROM t WINDOW x AS (PARTITION BY b), y AS (ORDER BY c)
SELECT sum(a) OVER (x ROWS 1 PRECEDING) FROM t WINDOW x AS (ORDER BY b)
SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t
SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t
SELECT sum(a) OVER (ORDER BY b RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t
SELECT sum(a) OVER (ORDER BY b GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM t
SELECT sum(a) OVER (ORDER BY b GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE GROUP) FROM t
SELECT sum(a) OVER (ORDER BY seen DESC NULLS LAST RANGE BETWEEN '1 day' PRECEDING AND '2 days' FOLLOWING) FROM t
SELECT lag(a) OVER (ORDER BY b), lag(a, 2) OVER (ORDER BY b), first_value(c) OVER (ORDER BY c COLLATE "C"), ntile(3) OVER (ORDER BY a) FROM t

-- order, limits, duplicates
SELECT id FROM t ORDER BY a, b DESC, c NULLS FIRST
SELECT id FROM t ORDER BY b, a
SELECT id FROM t ORDER BY a DESC NULLS LAST LIMIT 5 OFFSET 2
SELECT id FROM t ORDER BY a USING <, b USING >
SELECT id FROM t ORDER BY 1
SELECT a FROM t ORDER BY a + 1
SELECT id FROM t ORDER BY a FETCH FIRST 5 ROWS ONLY
SELECT id FROM t ORDER BY a FETCH FIRST 5 ROWS WITH TIES
SELECT id FROM t ORDER BY a OFFSET 5 ROWS FETCH NEXT 1 ROW WITH TIES
SELECT id FROM t LIMIT ALL
SELECT id FROM t LIMIT (SELECT 1)
SELECT DISTINCT a, b FROM t
SELECT DISTINCT a, b FROM t ORDER BY b, a
SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b
SELECT DISTINCT ON (a, b) a, b FROM t ORDER BY a, b
SELECT DISTINCT ON (b) a, b FROM t
SELECT DISTINCT c, c COLLATE "C" FROM t

-- relations and joins
SELECT t.id FROM t, u
SELECT t.id FROM u, t
SELECT t.id FROM t JOIN u ON t.id = u.t
SELECT t.id FROM t LEFT JOIN u ON t.id = u.t
SELECT t.id FROM t RIGHT JOIN u ON t.id = u.t
SELECT t.id FROM t FULL JOIN u ON t.id = u.t WHERE u.a = 1
SELECT t.id FROM t LEFT JOIN u ON t.id = u.t AND u.a = 1
SELECT t.id FROM t CROSS JOIN u
SELECT id FROM t JOIN u USING (id)
SELECT id, a FROM t JOIN u USING (id, a)
SELECT id FROM t FULL JOIN u USING (id) FULL JOIN w USING (id)
SELECT id, c FROM t LEFT JOIN w USING (id, c)
SELECT id, c, a FROM t NATURAL JOIN u
SELECT id FROM t NATURAL LEFT JOIN w
SELECT j.id, t.a FROM t JOIN u USING (id) AS j
SELECT x.id FROM (t JOIN u USING (id)) AS x
SELECT t.id FROM t JOIN (u JOIN w ON u.a = w.a) ON t.id = u.t
SELECT t.id FROM (t JOIN u ON t.id = u.t) JOIN w ON u.a = w.a
SELECT t.id FROM t LEFT JOIN (u JOIN w ON u.a = w.a) ON t.id = u.t
SELECT x.id, y.id FROM t x, t y WHERE x.a = y.b
SELECT id FROM ONLY t
SELECT id FROM t *
SELECT id FROM v
SELECT id FROM guarded
SELECT id FROM asked
SELECT v FROM v
SELECT x.id FROM v AS x JOIN guarded AS y USING (id)
SELECT street FROM typed
SELECT id FROM t TABLESAMPLE bernoulli (50)
SELECT id FROM t TABLESAMPLE system (50) REPEATABLE (1)
SELECT t.ctid, t.tableoid FROM t
SELECT id FROM t FOR UPDATE
SELECT id FROM t FOR SHARE
SELECT t.id FROM t, u FOR NO KEY UPDATE OF t SKIP LOCKED
SELECT t.id FROM t, u FOR KEY SHARE OF u NOWAIT

-- functions and values in FROM
SELECT * FROM generate_series(1, 3)
SELECT * FROM generate_series(1, 3) AS x
SELECT * FROM generate_series(1, 3) WITH ORDINALITY
SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS x (n, o)
SELECT * FROM ROWS FROM (generate_series(1, 3), unnest('{1,2}'::int[])) AS x (n, o)
SELECT * FROM ROWS FROM (generate_series(1, 3), unnest('{1,2}'::int[])) WITH ORDINALITY
SELECT * FROM rows_of(1)
SELECT rows_of.id FROM rows_of(1) WITH ORDINALITY
SELECT * FROM any_rows(1) AS x (n int, o int)
SELECT * FROM any_rows(1) AS x (n int, o text)
SELECT * FROM any_rows(1) AS x (n varchar(5), o text COLLATE "C")
SELECT * FROM jsonb_to_recordset('[{"a": 1}]') AS x (a int, b text)
SELECT * FROM ROWS FROM (jsonb_to_recordset('[{"a": 1}]') AS (a int, b text), generate_series(1, 2)) AS x
SELECT * FROM unnest('{1,2}'::int[], '{x}'::text[]) AS x (n, o)
SELECT * FROM t, unnest(t.list) AS x
SELECT * FROM t, LATERAL unnest(t.grid) AS x
SELECT * FROM t LEFT JOIN LATERAL unnest(t.list) AS x ON true
SELECT * FROM (VALUES (1, 'x'), (2, 'y')) x
SELECT * FROM (VALUES (1, 'x'), (2, NULL)) x (n, o)
VALUES (1, 'x'), (2, 'y')
VALUES (1), (2) ORDER BY 1 LIMIT 1
SELECT x.n FROM t, LATERAL (VALUES (t.a), (t.b)) x (n)
TABLE t
SELECT * FROM current_user
SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS n int PATH 'b' NOT NULL, o text DEFAULT 'x', p FOR ORDINALITY)
SELECT * FROM xmltable(XMLNAMESPACES ('x' AS y), '/a' PASSING '<a/>' COLUMNS n int PATH 'c')

-- subqueries
SELECT x.id FROM (SELECT id FROM t) x
SELECT x.id FROM (SELECT id FROM t OFFSET 0) AS x
SELECT x.id, y.a FROM t x, LATERAL (SELECT a FROM u WHERE u.t = x.id) y
SELECT x.id, y.a FROM t x LEFT JOIN LATERAL (SELECT a FROM u WHERE u.t = x.id LIMIT 1) y ON true
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t = t.id)
SELECT id FROM t WHERE NOT EXISTS (SELECT FROM u WHERE u.t = t.id)
SELECT id FROM t WHERE id IN (SELECT t FROM u)
SELECT id FROM t WHERE id NOT IN (SELECT t FROM u)
SELECT id FROM t WHERE id = ANY (SELECT t FROM u WHERE u.a = t.a)
SELECT id FROM t WHERE id > ALL (SELECT t FROM u)
SELECT id FROM t WHERE (id, a) = ANY (SELECT t, a FROM u)
SELECT id FROM t WHERE (id, a) IN (SELECT a, t FROM u)
SELECT id FROM t WHERE (id, a) < (SELECT t, a FROM u)
SELECT id FROM t WHERE a = (SELECT max(a) FROM u)
SELECT id, (SELECT a FROM u WHERE u.t = t.id LIMIT 1), ARRAY(SELECT a FROM u ORDER BY a) FROM t
SELECT (SELECT (SELECT t.a + u.a) FROM u LIMIT 1) FROM t
SELECT (SELECT (SELECT x.a FROM u y LIMIT 1) FROM u x LIMIT 1) FROM t x

-- WITH
WITH x AS (SELECT id, a FROM t) SELECT id FROM x
WITH x AS MATERIALIZED (SELECT id, a FROM t) SELECT id FROM x
WITH x AS NOT MATERIALIZED (SELECT id, a FROM t) SELECT id FROM x
WITH x (n, o) AS (SELECT id, a FROM t) SELECT n FROM x
WITH x AS (SELECT 1 AS n), y AS (SELECT n FROM x) SELECT n FROM y
WITH x AS (SELECT 1 AS n), y AS (SELECT 2 AS n) SELECT x.n FROM x, y
WITH x AS (SELECT 1 AS n) SELECT x.n, z.n FROM x, x z
WITH x AS (SELECT id FROM t) SELECT (SELECT count(*) FROM x) FROM u
WITH x AS (SELECT id FROM t) SELECT id FROM u
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r
WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r
WITH RECURSIVE r AS (SELECT 1 AS n) SELECT n FROM r
WITH RECURSIVE r AS (SELECT 1 AS n, 2 AS o UNION ALL SELECT n + 1, o FROM r) SEARCH DEPTH FIRST BY n SET s SELECT n FROM r
WITH RECURSIVE r AS (SELECT 1 AS n, 2 AS o UNION ALL SELECT n + 1, o FROM r) SEARCH BREADTH FIRST BY n, o SET s SELECT n FROM r
WITH RECURSIVE r AS (SELECT 1 AS n, 2 AS o UNION ALL SELECT n + 1, o FROM r) CYCLE n SET k USING p SELECT n FROM r
WITH RECURSIVE r AS (SELECT 1 AS n, 2 AS o UNION ALL SELECT n + 1, o FROM r) CYCLE n, o SET k TO 'y' DEFAULT 'n' USING p SELECT n FROM r
WITH x AS (INSERT INTO u VALUES (1) RETURNING id) SELECT id FROM x
WITH x AS (DELETE FROM u WHERE a = 1 RETURNING id) SELECT id FROM x
WITH x AS (UPDATE u SET a = 1 WHERE b = 2 RETURNING id, a) SELECT id FROM x

-- set operations
SELECT a FROM t UNION SELECT a FROM u
SELECT a FROM t UNION ALL SELECT a FROM u
SELECT a FROM t INTERSECT SELECT a FROM u
SELECT a FROM t EXCEPT ALL SELECT a FROM u
SELECT a FROM t UNION SELECT b FROM u
SELECT a FROM t UNION (SELECT a FROM u EXCEPT SELECT a FROM w)
(SELECT a FROM t UNION SELECT a FROM u) EXCEPT SELECT a FROM w
SELECT a FROM t UNION SELECT a FROM u ORDER BY a DESC LIMIT 3
(SELECT a FROM t ORDER BY a LIMIT 1) UNION ALL (SELECT a FROM u ORDER BY a LIMIT 2)
SELECT c FROM t UNION SELECT d FROM t
SELECT c COLLATE "C" FROM t UNION SELECT c FROM u
SELECT a, c FROM t UNION SELECT NULL, 'x'

-- other statements
INSERT INTO u (id, a) VALUES (1, 2)
INSERT INTO u SELECT id, a, a, b, c FROM t
INSERT INTO u (id) VALUES (1) ON CONFLICT (id) DO NOTHING
INSERT INTO u (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1
UPDATE u SET a = 1, b = 2 WHERE c = 'x'
UPDATE t SET list[1] = 2, home.town = 'x'
DELETE FROM u WHERE a = 1
DELETE FROM u USING t WHERE u.t = t.id
MERGE INTO u USING t ON u.t = t.id WHEN MATCHED THEN DELETE
MERGE INTO u USING t ON u.t = t.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1)

-- from 16 on
SELECT JSON_OBJECT('a': 1, 'b': a ABSENT ON NULL) FROM t
SELECT JSON_OBJECT('a': 1 WITH UNIQUE KEYS RETURNING jsonb), JSON_ARRAY(1, a NULL ON NULL) FROM t
SELECT JSON_ARRAYAGG(a ORDER BY b), JSON_OBJECTAGG(c: a) FROM t
SELECT c IS JSON, c IS JSON OBJECT, c IS NOT JSON ARRAY WITH UNIQUE KEYS FROM t

-- from 17 on
SELECT JSON_VALUE(doc, '$.a'), JSON_VALUE(doc, '$.a' RETURNING int DEFAULT 1 ON EMPTY NULL ON ERROR) FROM t
SELECT JSON_QUERY(doc, '$.a' WITH WRAPPER), JSON_EXISTS(doc, '$.a' PASSING a AS x ERROR ON ERROR) FROM t
SELECT * FROM JSON_TABLE('[{"a": 1}]', '$[*]' COLUMNS (n int PATH '$.a', o FOR ORDINALITY, NESTED PATH '$.b[*]' COLUMNS (p text)))
