-- A change that no tag of a result names does not change the result: random joins, random changes.
--
-- The queries join tables and subqueries in all ways, with conditions of which some pin key columns
-- and some look as if they did.  For each one that has K tags, rows are inserted, deleted and
-- updated; where neither T of the table nor K of the row's old or new values is among the tags, the
-- query must give what it gave before.
CREATE SCHEMA tags_oracle;
SET search_path = tags_oracle;
SET client_min_messages = warning;
SELECT setseed(0.42);

CREATE TABLE x (id serial, k int, a int);
CREATE TABLE y (id serial, k int, a int);
CREATE TABLE z (id serial, k int, a int);
INSERT INTO x (k, a) SELECT (random() * 3)::int, (random() * 3)::int FROM generate_series(1, 5);
INSERT INTO y (k, a) SELECT (random() * 3)::int, (random() * 3)::int FROM generate_series(1, 5);
INSERT INTO z (k, a) SELECT nullif((random() * 3)::int, 0), (random() * 3)::int
	FROM generate_series(1, 5);
SELECT cache_ext.track('x', '{k, a}'), cache_ext.track('y', '{k}'), cache_ext.track('z', '{k}');

CREATE FUNCTION one_of(VARIADIC choices text[]) RETURNS text VOLATILE LANGUAGE sql
	AS 'SELECT choices[1 + floor(random() * array_length(choices, 1))::int]';

CREATE FUNCTION random_table() RETURNS text VOLATILE LANGUAGE sql
	AS $$ SELECT one_of('x', 'y', 'z') $$;

CREATE FUNCTION random_condition(VARIADIC names text[]) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
DECLARE
	conditions text[] := '{}';
	one text;
	other text;
BEGIN
	FOR i IN 1 .. 1 + floor(random() * 2)::int LOOP
		one := one_of(VARIADIC names);
		other := one_of(VARIADIC names);
		conditions := conditions || format(one_of('%1$s.k = %3$s', '%1$s.k IN (1, 2)', '%1$s.k = %2$s.k',
			'%1$s.k = %2$s.a', '%1$s.a = %3$s', '%1$s.a < 2', '%1$s.k IS NULL',
			'%1$s.k = %2$s.k AND %2$s.k = 2', '(%1$s.k = 1 OR %2$s.k = 2)'),
			one, other, floor(random() * 4));
	END LOOP;
	RETURN array_to_string(conditions, ' AND ');
END $$;

CREATE FUNCTION random_item(name text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
BEGIN
	IF random() < 0.6 THEN
		RETURN random_table() || ' ' || name;
	END IF;
	RETURN format(one_of(
		'(SELECT k, a FROM %1$s) %6$s',
		'(SELECT p.k, q.a FROM %1$s p %3$s JOIN %2$s q ON %4$s) %6$s',
		'(SELECT k, count(*)::int AS a FROM %1$s GROUP BY k) %6$s',
		'(SELECT max(k) AS k, a FROM %1$s GROUP BY a) %6$s',
		'(SELECT k, a FROM %1$s %7$s SELECT k, a FROM %2$s) %6$s',
		'(SELECT DISTINCT k, a FROM %1$s) %6$s',
		'(SELECT k, a FROM %1$s ORDER BY a, k LIMIT 2) %6$s',
		'(SELECT k, (count(*) OVER ())::int AS a FROM %1$s) %6$s',
		'(SELECT p.k, max(q.a) AS a FROM %1$s p %3$s JOIN %2$s q ON %4$s WHERE %5$s GROUP BY p.k) %6$s'),
		random_table(), random_table(), one_of('LEFT', 'RIGHT', 'INNER'),
		random_condition('p', 'q'), random_condition('p'), name,
		one_of('UNION', 'UNION ALL', 'EXCEPT', 'EXCEPT ALL', 'INTERSECT'));
END $$;

-- A full join takes a condition that can be merged or hashed.
CREATE FUNCTION random_join(one text, other text, VARIADIC names text[]) RETURNS text
VOLATILE LANGUAGE plpgsql AS $$
DECLARE
	kind text := one_of('LEFT', 'LEFT', 'RIGHT', 'INNER', 'FULL');
BEGIN
	RETURN format('(%s %s JOIN %s ON %s)', one, kind, other,
		CASE kind WHEN 'FULL' THEN format('%s.k = %s.k', names[1], names[2])
		ELSE random_condition(VARIADIC names) END);
END $$;

CREATE FUNCTION random_query() RETURNS text VOLATILE LANGUAGE plpgsql AS $$
DECLARE
	joined text := random_join(random_item('t1'), random_item('t2'), 't1', 't2');
	names text[] := '{t1, t2}';
BEGIN
	IF random() < 0.3 THEN
		joined := random_join(joined, random_item('t3'), 't1', 't3', 't2');
		names := '{t1, t2, t3}';
	ELSIF random() < 0.4 THEN
		joined := random_join(random_item('t3'), joined, 't3', 't2', 't1');
		names := '{t1, t2, t3}';
	END IF;
	RETURN format('SELECT %s FROM %s WHERE %s', one_of('t1.*, t2.*', '*', 'count(*), sum(t2.a)'), joined,
		one_of('true', random_condition(VARIADIC names), random_condition('t2')));
END $$;

CREATE FUNCTION result_of(query text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM (%s) r', query) INTO result;
	RETURN result;
END $$;

-- Do the tags name a row of the table with these values of k and a?
CREATE FUNCTION named(tags text[], changed text, k int, a int) RETURNS bool LANGUAGE sql
	RETURN coalesce(format('K(tags_oracle.%s, k, 0x%s)', changed, lpad(to_hex(hashint4(k)), 8, '0')) = ANY (tags), false)
	OR coalesce(format('K(tags_oracle.%s, a, 0x%s)', changed, lpad(to_hex(hashint4(a)), 8, '0')) = ANY (tags), false);

CREATE TABLE wrong (query text, tags text[], change text);

CREATE FUNCTION try_changes(queries int, OUT with_keys int, OUT changes int) VOLATILE LANGUAGE plpgsql AS $$
DECLARE
	query text;
	query_tags text[];
	before text;
	after text;
	changed text;
	old record;
	new_k int;
	new_a int;
	change text;
BEGIN
	with_keys := 0;
	changes := 0;
	FOR i IN 1 .. queries LOOP
		query := random_query();
		SELECT tags INTO STRICT query_tags FROM cache_ext.explain(query);
		CONTINUE WHEN array_to_string(query_tags, ' ') NOT LIKE '%K(%';
		with_keys := with_keys + 1;
		before := result_of(query);

		FOR j IN 1 .. 10 LOOP
			changed := random_table();
			CONTINUE WHEN format('T(tags_oracle.%s)', changed) = ANY (query_tags);
			EXECUTE format('SELECT * FROM %I ORDER BY random() LIMIT 1', changed) INTO old;
			new_k := floor(random() * 4);
			new_a := floor(random() * 4);
			change := one_of('INSERT INTO %1$I (k, a) VALUES (%2$s, %3$s)',
				'DELETE FROM %1$I WHERE id = %4$s',
				'UPDATE %1$I SET k = %2$s, a = %3$s WHERE id = %4$s');
			CONTINUE WHEN change NOT LIKE 'INSERT%' AND named(query_tags, changed, old.k, old.a);
			CONTINUE WHEN change NOT LIKE 'DELETE%' AND named(query_tags, changed, new_k, new_a);

			changes := changes + 1;
			change := format(change, changed, new_k, new_a, old.id);
			BEGIN
				EXECUTE change;
				after := result_of(query);
				RAISE EXCEPTION USING ERRCODE = 'CX000';
			EXCEPTION WHEN SQLSTATE 'CX000' THEN
				IF before IS DISTINCT FROM after THEN
					INSERT INTO wrong VALUES (query, query_tags, change);
				END IF;
			END;
		END LOOP;
	END LOOP;
END $$;

SELECT with_keys > 100 AS enough_queries, changes > 500 AS enough_changes FROM try_changes(400);
TABLE wrong;

DROP SCHEMA tags_oracle CASCADE;
