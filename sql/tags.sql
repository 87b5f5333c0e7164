-- What a cached result depends on: T, K, D and G tags.
CREATE SCHEMA tags;
SET search_path = tags;

CREATE TABLE film (id bigint PRIMARY KEY, genre int, title text, code varchar(10), price numeric,
	released date);
CREATE TABLE actor (id int PRIMARY KEY, film bigint, name text COLLATE "C");
CREATE TABLE studio (id int PRIMARY KEY, name text);
SELECT cache_ext.track('film', '{id, genre, code, price}');
SELECT cache_ext.track('actor', '{film, name}');
SELECT cache_ext.track('studio');

-- The value that a K tag was made of, where it is one of these.
CREATE TABLE known (hash text, value text);
INSERT INTO known SELECT lpad(to_hex(hashint8(i)), 8, '0'), i::text FROM generate_series(1, 40) i;
INSERT INTO known SELECT lpad(to_hex(hash_numeric(5)), 8, '0'), '5.0';
INSERT INTO known SELECT lpad(to_hex(hashtext(s)), 8, '0'), quote_literal(s)
	FROM unnest('{x, y}'::text[]) s;

CREATE FUNCTION tags(sql text, VARIADIC args text[] DEFAULT '{}') RETURNS text
LANGUAGE sql
BEGIN ATOMIC
	WITH explained AS (SELECT * FROM cache_ext.explain(sql, args)),
	labels AS (
		SELECT coalesce(regexp_replace(tag, '(.*), (.*), 0x.*\)', '\1.\2 = ' || value || ')'), tag) AS label
		FROM explained, unnest(tags) tag LEFT JOIN known ON tag LIKE '%0x' || hash || ')'
		WHERE tag <> 'G')
	SELECT coalesce((SELECT reason FROM explained),
		(SELECT string_agg(label, ', ' ORDER BY label COLLATE "C") FROM labels));
END;

-- every result depends on the definitions that are no relation's
SELECT tags FROM cache_ext.explain('SELECT 1');

-- D for every relation, T for what is read whole
SELECT tags('SELECT * FROM studio');
SELECT tags('SELECT * FROM film, studio WHERE film.title = studio.name');
SELECT tags('SELECT (SELECT max(id) FROM actor), EXISTS (SELECT FROM studio)');
SELECT tags('WITH f AS (SELECT * FROM film) SELECT * FROM f UNION SELECT * FROM f');
SELECT tags('WITH RECURSIVE r AS (SELECT id FROM film UNION SELECT r.id + 1 FROM r, actor)
	SELECT * FROM r');

-- K for constants and parameters
SELECT tags('SELECT * FROM film WHERE id = 5');
SELECT tags('SELECT * FROM film WHERE 5 = id AND title = ''x''');
SELECT tags('SELECT * FROM film WHERE id = 5::bigint');
SELECT tags('SELECT * FROM film WHERE id = $1', '7');
SELECT tags('SELECT * FROM film WHERE genre = $1::bigint', '7');
SELECT tags('SELECT * FROM film WHERE code = ''x''');
SELECT tags('SELECT * FROM film WHERE code = $1', 'y');
SELECT tags('SELECT * FROM film WHERE price = 5');
SELECT tags('SELECT * FROM film WHERE price = 5.00');
SELECT tags('SELECT count(*) FROM film WHERE id = 5 GROUP BY genre HAVING count(*) > 1 LIMIT 3');
-- no row can have such a value
SELECT tags('SELECT * FROM film WHERE genre = 5000000000');

-- lists
SELECT tags('SELECT * FROM film WHERE id IN (1, 2, 3)');
SELECT tags('SELECT * FROM film WHERE id IN (1, $1)', '2');
SELECT tags('SELECT * FROM film WHERE id = ANY (''{1, 2, NULL}'')');
SELECT tags('SELECT * FROM film WHERE id = ANY ($1)', '{3, 4}');
SELECT tags('SELECT * FROM film WHERE code IN (''x'', ''y'')');
SELECT tags('SELECT * FROM film WHERE id = ANY (''{}'')');
-- more than 16 are too many
SELECT tags('SELECT * FROM film WHERE id = ANY ($1)',
	(SELECT array_agg(i)::text FROM generate_series(1, 16) i)) LIKE '%K(%' AS "16",
	tags('SELECT * FROM film WHERE id = ANY ($1)',
	(SELECT array_agg(i)::text FROM generate_series(1, 17) i)) AS "17";

-- not K: other operators, expressions, NULL, other columns, OR, NOT
SELECT tags('SELECT * FROM film WHERE id > 5');
SELECT tags('SELECT * FROM film WHERE id + 0 = 5');
SELECT tags('SELECT * FROM film WHERE id = NULL');
SELECT tags('SELECT * FROM film WHERE id = $1', NULL);
SELECT tags('SELECT * FROM film WHERE id = ANY ($1)', NULL);
SELECT tags('SELECT * FROM film WHERE title = ''x''');
SELECT tags('SELECT * FROM film WHERE id = 5 OR id = 6');
SELECT tags('SELECT * FROM film WHERE NOT id = 5');
SELECT tags('SELECT * FROM film WHERE id <> ALL (''{5}'')');
SELECT tags('SELECT * FROM film WHERE price = 5::float8');
SELECT tags('SELECT id = 5 FROM film');
SELECT tags('SELECT count(*) FILTER (WHERE id = 5) FROM film');
SELECT tags('SELECT 1 FROM film GROUP BY id HAVING id = 5');

-- every occurrence counts
SELECT tags('SELECT * FROM film f, film g WHERE f.id = 5 AND g.id = 6');
SELECT tags('SELECT * FROM film f, film g WHERE f.id = 5');
SELECT tags('SELECT *, (SELECT count(*) FROM film) FROM film f WHERE f.id = 5');

-- through equalities of columns
SELECT tags('SELECT * FROM film, actor WHERE film.id = actor.film AND film.id = 5');
SELECT tags('SELECT * FROM film JOIN actor ON film.id = actor.film WHERE film = $1', '6');
SELECT tags('SELECT * FROM film f JOIN film g ON f.id = g.id JOIN film h ON g.id = h.id
	WHERE h.id IN (8, 9)');
SELECT tags('SELECT * FROM film JOIN (actor JOIN studio USING (id)) ON film = film.id AND film.id = 5');
SELECT tags('SELECT * FROM film f JOIN film g USING (id) WHERE id = 5');

-- outer joins: the side that may be missing, not the other one
SELECT tags('SELECT * FROM film LEFT JOIN actor ON film.id = actor.film AND film.id = 5');
SELECT tags('SELECT * FROM film LEFT JOIN actor ON actor.film = 5');
SELECT tags('SELECT * FROM actor RIGHT JOIN film ON actor.film = 5 AND film.id = 6');
SELECT tags('SELECT * FROM film FULL JOIN actor ON film.id = actor.film AND film.id = 5');
-- WHERE: both
SELECT tags('SELECT * FROM film LEFT JOIN actor ON film.id = actor.film WHERE film.id = 5');
SELECT tags('SELECT * FROM film LEFT JOIN actor ON film.id = actor.film WHERE actor.film = 5');
SELECT tags('SELECT * FROM film FULL JOIN actor ON film.id = actor.film WHERE film.id = 5');
SELECT tags('SELECT * FROM film LEFT JOIN actor ON film.id = actor.film
	WHERE film.id = 5 OR actor.film = 5');

-- what a query says of a subquery's column, where no row with another value has a say
SELECT tags('SELECT * FROM (SELECT id, title FROM film) f WHERE id = 5');
SELECT tags('SELECT * FROM (SELECT f.id FROM film f LEFT JOIN actor a ON f.id = a.film) v WHERE id = $1', '5');
SELECT tags('SELECT * FROM (SELECT film, count(*) FROM actor GROUP BY film) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT film % 2 AS film, count(*) FROM actor GROUP BY 1) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT max(film) AS film FROM actor) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT DISTINCT film, name FROM actor) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT DISTINCT ON (name) film FROM actor ORDER BY name) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT film FROM actor LIMIT 1) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT film, rank() OVER (ORDER BY name) FROM actor) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT film, generate_series(1, 2) FROM actor) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT film FROM actor GROUP BY ROLLUP (film)) v WHERE film = 5');
SELECT tags('SELECT * FROM (SELECT id FROM film UNION SELECT film FROM actor) v WHERE id IN (5, 6)');
SELECT tags('SELECT * FROM (SELECT id FROM film EXCEPT SELECT film FROM actor LIMIT 1) v WHERE id = 5');
SELECT tags('SELECT * FROM studio s JOIN (SELECT film FROM actor) v ON v.film = s.id WHERE s.id = 5');
SELECT tags('SELECT * FROM studio s LEFT JOIN (SELECT film FROM actor) v ON v.film = 5');
SELECT tags('SELECT * FROM (SELECT film FROM actor) v LEFT JOIN studio s ON v.film = 5');
SELECT tags('WITH v AS (SELECT film FROM actor) SELECT * FROM v WHERE film = 5');

-- each query level by itself
SELECT tags('SELECT * FROM (SELECT * FROM film WHERE id = 5) f');
SELECT tags('SELECT * FROM studio WHERE EXISTS (SELECT FROM actor WHERE film = 5)');
SELECT tags('SELECT * FROM film WHERE id = 5 UNION ALL SELECT * FROM film WHERE id = 6');

-- collations: equal, or both deterministic
CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE word (exact text, loose text COLLATE insensitive);
SELECT cache_ext.track('word', '{exact, loose}');
SELECT tags('SELECT * FROM word WHERE exact = ''x''');
SELECT tags('SELECT * FROM word WHERE exact = ''x'' COLLATE "C"');
SELECT tags('SELECT * FROM actor WHERE name = ''x'' COLLATE "POSIX"');
SELECT tags('SELECT * FROM word WHERE exact = ''x'' COLLATE insensitive');
SELECT tags('SELECT * FROM word WHERE loose = ''x'' COLLATE "C"');
SELECT tags('SELECT * FROM word WHERE loose = ''x''') = tags('SELECT * FROM word WHERE loose = ''X''')
	AND tags('SELECT * FROM word WHERE loose = ''x''') LIKE '%K(%' AS "the same K";

-- domains and enumerations
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE typed (p positive, m mood, u uuid);
SELECT cache_ext.track('typed', '{p, m, u}');
SELECT tags('SELECT * FROM typed WHERE p = 5');
SELECT tags('SELECT * FROM typed WHERE p = $1', '5');
SELECT tags('SELECT * FROM typed WHERE m = ''sad''') LIKE '%K(tags.typed, m%' AS "K of an enum";
SELECT tags('SELECT * FROM typed WHERE u = $1', 'c0ffee00-0000-0000-0000-000000000000')
	LIKE '%K(tags.typed, u%' AS "K of a uuid";

-- views: D of each, T or K of what they read
CREATE VIEW expensive AS SELECT id, title FROM film WHERE price = 5.00;
CREATE VIEW cast_list AS SELECT e.id, a.name FROM expensive e JOIN actor a ON e.id = a.film;
SELECT tags('SELECT * FROM expensive');
SELECT tags('SELECT * FROM cast_list');
SELECT tags('SELECT * FROM cast_list WHERE id = 5');
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM film;
SELECT tags('SELECT * FROM totals');

-- partitions: tags of the root
CREATE TABLE event (id int, day int, note text) PARTITION BY RANGE (day);
CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);
CREATE TABLE event_low_1 PARTITION OF event_low FOR VALUES IN (1);
CREATE TABLE event_high (note text, extra int, day int, id int);
ALTER TABLE event_high DROP COLUMN extra;
ALTER TABLE event ATTACH PARTITION event_high FOR VALUES FROM (10) TO (20);
SELECT cache_ext.track('event', '{day}');
SELECT tags('SELECT * FROM event');
SELECT tags('SELECT * FROM event WHERE day = 5');
SELECT tags('SELECT * FROM event_low WHERE day = 5');
SELECT tags('SELECT * FROM event_high WHERE day = $1', '12');
SELECT tags('SELECT * FROM event_low_1');
SELECT tags('SELECT * FROM ONLY event');

-- inheritance: tags of every member; K where the member has the column as key
CREATE TABLE place (id int, name text);
CREATE TABLE city (mayor text, population int) INHERITS (place);
CREATE TABLE capital () INHERITS (city);
CREATE TABLE village (name text, id int);
ALTER TABLE village INHERIT place;
SELECT cache_ext.track('place', '{id}');
SELECT cache_ext.track('city', '{id}');
SELECT cache_ext.track('capital');
SELECT cache_ext.track('village', '{id}');
SELECT tags('SELECT * FROM place');
SELECT tags('SELECT * FROM place WHERE id = 5');
SELECT tags('SELECT * FROM ONLY place WHERE id = 5');
SELECT tags('SELECT * FROM city WHERE id = 5');

-- row types
CREATE FUNCTION first_studio() RETURNS studio IMMUTABLE LANGUAGE sql
	SET search_path = tags AS 'SELECT (1, ''x'')::studio';
CREATE TYPE pair AS (one studio, other int);
SELECT tags('SELECT first_studio()');
SELECT tags('SELECT NULL::studio[], NULL::pair');

-- a user's function: a new table may shadow what it reads
CREATE FUNCTION count_films() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM film';
SELECT tags('SELECT count_films()');
-- one that nobody can look into
CREATE FUNCTION count_any(name) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
	DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', $1) INTO n; RETURN n; END $$;
SELECT tags('SELECT count_any(''film'')');
SELECT cache_ext.allow_function('count_any(name)', '{film, event, place}');
SELECT tags('SELECT count_any(''film'')');
SELECT cache_ext.disallow_function('count_any(name)');

-- row-level security
CREATE TABLE account (tenant int, owner name, amount int);
SELECT cache_ext.track('account', '{tenant}');
CREATE POLICY fixed ON account USING (tenant = 5 AND owner = current_user);
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE ROLE regress_tags_user;
GRANT USAGE ON SCHEMA tags TO regress_tags_user;
GRANT SELECT ON ALL TABLES IN SCHEMA tags TO regress_tags_user;
SELECT tags('SELECT * FROM account');
SET ROLE regress_tags_user;
SELECT tags('SELECT * FROM account');
SELECT tags('SELECT * FROM account a JOIN account b USING (tenant)');
RESET ROLE;

-- a policy that asks a setting
CREATE TABLE note (tenant int, owner uuid, word text);
SELECT cache_ext.track('note', '{tenant, owner, word}');
GRANT SELECT ON note TO regress_tags_user;
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON note USING (tenant = current_setting('app.tenant')::int);
SET ROLE regress_tags_user;
SET app.tenant = 7;
SELECT tags('SELECT * FROM note');
SET app.tenant = 8;
SELECT tags('SELECT * FROM note');
-- what is no such value has its own error, or matches nothing
SET app.tenant = '8 ';
SELECT tags('SELECT * FROM note');
RESET ROLE;
ALTER POLICY tenant ON note USING (owner = nullif(current_setting('app.owner', true), '')::uuid);
SET ROLE regress_tags_user;
SELECT tags('SELECT * FROM note');
SET app.owner = '';
SELECT tags('SELECT * FROM note');
SET app.owner = 'c0ffee00-0000-0000-0000-000000000000';
SELECT tags('SELECT * FROM note') LIKE '%K(tags.note, owner%' AS "K of a uuid";
RESET ROLE;
ALTER POLICY tenant ON note USING (word = current_setting('app.word'));
SET ROLE regress_tags_user;
SET app.word = 'x';
SELECT tags('SELECT * FROM note');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA tags CASCADE;
DROP ROLE regress_tags_user;
