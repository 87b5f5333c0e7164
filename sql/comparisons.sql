--
-- Functions that PostgreSQL calls to compare and hash values, of whatever the values are made of: if
-- their results are not fixed, nor is the statement's
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

-- a type whose order follows a setting
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION pair_cmp(pair, pair) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN (coalesce(nullif(current_setting('test.sign', true), ''), '1')::int) * btint4cmp($1.a, $2.a);
END $$;
CREATE FUNCTION pair_eq(pair, pair) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN pair_cmp($1, $2) = 0; END';
CREATE FUNCTION pair_lt(pair, pair) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN pair_cmp($1, $2) < 0; END';
CREATE FUNCTION pair_le(pair, pair) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN pair_cmp($1, $2) <= 0; END';
CREATE FUNCTION pair_gt(pair, pair) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN pair_cmp($1, $2) > 0; END';
CREATE FUNCTION pair_ge(pair, pair) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN pair_cmp($1, $2) >= 0; END';
CREATE FUNCTION pair_hash(pair) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN hashint4($1.a); END';
CREATE OPERATOR = (leftarg = pair, rightarg = pair, function = pair_eq, commutator = =, hashes, merges);
CREATE OPERATOR < (leftarg = pair, rightarg = pair, function = pair_lt, commutator = >);
CREATE OPERATOR <= (leftarg = pair, rightarg = pair, function = pair_le, commutator = >=);
CREATE OPERATOR > (leftarg = pair, rightarg = pair, function = pair_gt, commutator = <);
CREATE OPERATOR >= (leftarg = pair, rightarg = pair, function = pair_ge, commutator = <=);
CREATE OPERATOR CLASS pair_ops DEFAULT FOR TYPE pair USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 pair_cmp(pair, pair);
CREATE OPERATOR CLASS pair_hash_ops DEFAULT FOR TYPE pair USING hash AS OPERATOR 1 =, FUNCTION 1 pair_hash(pair);
CREATE TYPE span AS RANGE (subtype = pair, multirange_type_name = multispan);
CREATE TYPE outer_pair AS (inner_pair pair, n int);
CREATE DOMAIN pairs AS pair[];

-- enum values whose operators are sound, but what sorts and hashes them is not
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE FUNCTION mood_eq(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2::text';
CREATE FUNCTION mood_lt(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT enum_lt($1, $2)';
CREATE FUNCTION mood_le(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT enum_le($1, $2)';
CREATE FUNCTION mood_gt(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT enum_gt($1, $2)';
CREATE FUNCTION mood_ge(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT enum_ge($1, $2)';
CREATE FUNCTION mood_ne(mood, mood) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN true; END';
CREATE FUNCTION mood_cmp(mood, mood) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN enum_cmp($1, $2); END';
CREATE FUNCTION mood_hash(mood) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 1; END';
CREATE OPERATOR = (leftarg = mood, rightarg = mood, function = mood_eq, commutator = =, hashes, merges);
CREATE OPERATOR <> (leftarg = mood, rightarg = mood, function = mood_ne, negator = =);
CREATE OPERATOR < (leftarg = mood, rightarg = mood, function = mood_lt);
CREATE OPERATOR <= (leftarg = mood, rightarg = mood, function = mood_le);
CREATE OPERATOR > (leftarg = mood, rightarg = mood, function = mood_gt);
CREATE OPERATOR >= (leftarg = mood, rightarg = mood, function = mood_ge);
CREATE OPERATOR CLASS mood_ops DEFAULT FOR TYPE mood USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 mood_cmp(mood, mood);
CREATE OPERATOR CLASS mood_hash_ops DEFAULT FOR TYPE mood USING hash AS OPERATOR 1 =, FUNCTION 1 mood_hash(mood);

CREATE TABLE t (id int, p pair, ps pair[], d pairs, o outer_pair, s span, m multispan,
	mood mood, moods mood[], ns int[], r int4range, names text[]);
CREATE TABLE plain (id int, n int, ns int[], r int4range);
INSERT INTO t (id) VALUES (1);
SELECT cache_ext.track(r) FROM unnest('{t,plain}'::regclass[]) r;

CREATE FUNCTION refused(texts text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	text text;
BEGIN
	FOREACH text IN ARRAY texts LOOP
		RETURN NEXT (SELECT CASE WHEN e.cacheable THEN 'cached' ELSE e.reason END FROM cache_ext.explain(text) e) || ': ' || text;
	END LOOP;
END $$;

-- what compares, at any depth
SELECT refused(ARRAY[
	'SELECT id FROM t WHERE p = p', 'SELECT id FROM t WHERE ps = ps', 'SELECT id FROM t WHERE ps <> ps',
	'SELECT id FROM t WHERE ps < ps', 'SELECT id FROM t WHERE ps @> ps', 'SELECT id FROM t WHERE ps && ps',
	'SELECT id FROM t WHERE d = d', 'SELECT id FROM t WHERE o = o', 'SELECT id FROM t WHERE o *= o',
	'SELECT id FROM t WHERE ARRAY[o] = ARRAY[o]', 'SELECT id FROM t WHERE s = s', 'SELECT id FROM t WHERE s < s',
	'SELECT id FROM t WHERE s @> p', 'SELECT id FROM t WHERE s && s', 'SELECT id FROM t WHERE m = m',
	'SELECT id FROM t WHERE m @> p', 'SELECT id FROM t WHERE ARRAY[s] = ARRAY[s]',
	'SELECT id FROM t WHERE t = t', 'SELECT id FROM t WHERE (id, p) = (1, p)',
	'SELECT id FROM t WHERE (id, ps) = (1, ps)', 'SELECT id FROM t WHERE (ps, id) < (ps, 1)',
	'SELECT id FROM t WHERE (ROW(p, 1), id) < (ROW(p, 2), 1)', 'SELECT id FROM t WHERE ROW(ROW(id, p)) = ROW(ROW(id, p))', 'SELECT id FROM t WHERE ps IN (ps, ps)',
	'SELECT id FROM t WHERE p = ANY (ps)', 'SELECT id FROM t WHERE o = ANY (ARRAY[o])',
	'SELECT id FROM t WHERE ps IN (SELECT ps FROM t)', 'SELECT id FROM t WHERE ps IS DISTINCT FROM ps',
	'SELECT nullif(ps, ps)::text FROM t', 'SELECT CASE ps WHEN ps THEN 1 END FROM t']);
SELECT refused(ARRAY[
	'SELECT DISTINCT ps FROM t', 'SELECT DISTINCT t FROM t', 'SELECT DISTINCT ON (ps) id FROM t',
	'SELECT count(*) FROM t GROUP BY ps', 'SELECT count(*) FROM t GROUP BY s',
	'SELECT count(*) FROM t GROUP BY GROUPING SETS ((ps), (id))', 'SELECT id FROM t ORDER BY ps',
	'SELECT id FROM t ORDER BY o', 'SELECT id FROM t ORDER BY s', 'SELECT id FROM t ORDER BY ROW(id, p)',
	'SELECT id FROM (SELECT ROW(id, p) AS r, id FROM t) x ORDER BY r',
	'SELECT ps FROM t UNION SELECT ps FROM t', 'SELECT ps FROM t EXCEPT SELECT ps FROM t',
	'SELECT ps FROM t INTERSECT ALL SELECT ps FROM t', 'SELECT min(ps) FROM t', 'SELECT max(ps) FROM t',
	'SELECT count(DISTINCT ps) FROM t', 'SELECT array_agg(DISTINCT ps) FROM t',
	'SELECT array_agg(id ORDER BY ps) FROM t', 'SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ps) FROM t',
	'SELECT mode() WITHIN GROUP (ORDER BY s) FROM t', 'SELECT rank() OVER (ORDER BY ps) FROM t',
	'SELECT sum(id) OVER (PARTITION BY ps) FROM t', 'SELECT sum(id) OVER w FROM t WINDOW w AS (ORDER BY s)',
	'SELECT array_position(ps, p) FROM t', 'SELECT array_positions(ps, p) FROM t', 'SELECT array_remove(ps, p) FROM t',
	'SELECT array_replace(ps, p, p) FROM t', 'SELECT greatest(ps, ps) FROM t', 'SELECT least(o, o) FROM t',
	'SELECT width_bucket(p, ps) FROM t', 'SELECT span(p, p) FROM t', 'SELECT range_agg(s) FROM t',
	'SELECT multispan(s) FROM t', 'SELECT count(*) FROM t WHERE (id::text)::span IS NULL',
	'SELECT count(*) FROM t WHERE (id::text)::multispan IS NULL',
	'SELECT range_merge(s, s) FROM t', 'SELECT s * s FROM t', 'SELECT hash_array(ps) FROM t', 'SELECT hash_record(o) FROM t',
	'SELECT a.id FROM t a JOIN t b USING (ps)', 'SELECT a.id FROM t a JOIN t b ON a.s = b.s',
	'WITH RECURSIVE r AS (SELECT ps FROM t UNION SELECT ps FROM r) SELECT count(*) FROM r',
	'WITH RECURSIVE r AS (SELECT id, p FROM t UNION ALL SELECT id + 1, p FROM r) CYCLE p SET c USING x SELECT id FROM r',
	'WITH RECURSIVE r AS (SELECT id, p FROM t UNION SELECT id + 1, p FROM r) SEARCH DEPTH FIRST BY p SET s SELECT id FROM r ORDER BY s',
	'SELECT count(*) FROM (SELECT ROW(p, 1) FROM t UNION SELECT ROW(p, 2) FROM t) x',
	'SELECT count(*) FROM (SELECT ROW(1) FROM t WHERE false UNION SELECT ROW(p) FROM t) x',
	'SELECT r FROM (SELECT id, ROW(1) AS r FROM t WHERE false UNION ALL SELECT id, ROW(p) FROM t) x ORDER BY r',
	'WITH x AS (SELECT id, ROW(1) AS r FROM t UNION ALL SELECT id, ROW(p) FROM t) SELECT id FROM x ORDER BY r']);
-- sorted and hashed by other functions than the operators'
SELECT refused(ARRAY[
	'SELECT id FROM t WHERE mood = mood', 'SELECT id FROM t WHERE NOT mood = mood', 'SELECT id FROM t ORDER BY mood',
	'SELECT mood FROM t GROUP BY mood', 'SELECT DISTINCT mood FROM t', 'SELECT id FROM t WHERE (mood, id) < (mood, 1)',
	'SELECT id FROM t WHERE mood = ANY (moods)', 'SELECT greatest(mood, mood) FROM t', 'SELECT id FROM t WHERE moods = moods',
	'SELECT min(mood) FROM t', 'SELECT id FROM t ORDER BY mood USING <']);
-- what only handles values of these types is cached
SELECT refused(ARRAY[
	'SELECT id, p, ps, d, o FROM t WHERE id = 1', 'SELECT array_length(ps, 1), cardinality(ps) FROM t',
	'SELECT array_append(ps, p), ps || ps FROM t', 'SELECT unnest(ps) FROM t', 'SELECT array_agg(p) FROM t',
	'SELECT count(ps), count(p) FROM t', 'SELECT ps[1], (o).n FROM t', 'SELECT mood FROM t WHERE id > 0 ORDER BY id',
	'SELECT id FROM t WHERE ps IS NULL', 'SELECT lag(ps) OVER (ORDER BY id) FROM t', 'SELECT plain FROM plain', 'SELECT count(t) FROM t',
	'SELECT ps FROM t UNION ALL SELECT ps FROM t', 'SELECT coalesce(ps, ps) FROM t']);
-- and so is what compares PostgreSQL's own
SELECT refused(ARRAY[
	'SELECT id FROM plain WHERE ns = ns AND r && r', 'SELECT DISTINCT ns, r FROM plain', 'SELECT id FROM plain WHERE n = ANY (ns)',
	'SELECT max(ns), min(ns), count(DISTINCT r) FROM plain', 'SELECT plain FROM plain ORDER BY plain',
	'SELECT count(*) FROM plain GROUP BY (id, n)', 'SELECT id FROM plain ORDER BY ROW(id, ns)',
	'SELECT count(DISTINCT (id, n)) FROM plain', 'SELECT greatest(ns, ns) FROM plain', 'SELECT array_position(ns, n) FROM plain',
	'SELECT id FROM (SELECT ROW(id, n) AS r, id FROM plain) x ORDER BY r',
	'SELECT ns FROM plain UNION SELECT ns FROM plain', 'SELECT array_agg(DISTINCT ns) FROM plain',
	'WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT plain.n + 1 FROM r, plain) CYCLE n SET c USING p SELECT n FROM r',
	'WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT plain.n + 1 FROM r, plain) SEARCH DEPTH FIRST BY n SET s SELECT n FROM r ORDER BY s',
	'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT plain.n + 1 FROM r, plain) SEARCH BREADTH FIRST BY n SET s SELECT n FROM r ORDER BY s',
	'WITH x AS (SELECT id, ROW(1) AS r FROM plain UNION ALL SELECT id, ROW(n) FROM plain) SELECT id FROM x ORDER BY r',
	'SELECT count(*) FROM (SELECT ROW(n, 1) FROM plain UNION SELECT ROW(n, 2) FROM plain) x',
	'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT plain.n + 1 FROM r, plain) CYCLE n SET c USING p SELECT n FROM r']);

-- every part of a UNION has records of its own, also where they become text
SELECT refused(ARRAY[
	'SELECT to_json(r)::text FROM (SELECT ROW(1) AS r FROM plain UNION ALL SELECT ROW(''plain''::regclass) FROM plain) x',
	'WITH x AS (SELECT ROW(1) AS r FROM plain UNION ALL SELECT ROW(''plain''::regclass) FROM plain) SELECT r::text FROM x',
	'WITH x AS (SELECT ROW(1) AS r FROM plain UNION ALL SELECT ROW(n) FROM plain) SELECT r::text FROM x']);

-- no operator class of the user's own may be the default of a type of PostgreSQL's either
CREATE FUNCTION point_cmp(point, point) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 0; END';
CREATE OPERATOR CLASS point_order DEFAULT FOR TYPE point USING btree AS FUNCTION 1 point_cmp(point, point);
SELECT refused(ARRAY['SELECT id FROM plain WHERE ARRAY[point(1,1)] < ARRAY[point(1,2)]',
	'SELECT greatest(point(1, 1), point(2, 2)) FROM plain']);

DROP TABLE t, plain;
DROP OPERATOR CLASS point_order USING btree;
DROP TYPE mood, pair, span, outer_pair, pairs CASCADE;
DROP FUNCTION refused, point_cmp;
