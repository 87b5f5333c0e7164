-- Functions in queries and policies: what their bodies say, and what allow_function() is told of those
-- that nobody can look into.
--
-- check_same() runs a query as the current user plainly, then twice through the cache; "differs" must never appear.
CREATE SCHEMA functions_test;
GRANT USAGE ON SCHEMA functions_test TO PUBLIC;
CREATE ROLE cx_fn_user;
CREATE ROLE cx_fn_other;
CREATE ROLE cx_fn_owner;

CREATE FUNCTION public.check_same(sql text, OUT result text, OUT came text) LANGUAGE plpgsql AS $$
DECLARE
	before record;
	after record;
	again text;
BEGIN
	BEGIN
		EXECUTE format('SELECT string_agg(c, '', '') FROM (%s) q(c)', sql) INTO result;
	EXCEPTION WHEN OTHERS THEN
		result := SQLERRM;
	END;
	FOR i IN 1 .. 2 LOOP
		SELECT * INTO before FROM cache_ext.stats();
		BEGIN
			EXECUTE format('SELECT string_agg(c, '', '') FROM cache_ext.query(%L) q(c text)', sql)
				INTO again;
		EXCEPTION WHEN OTHERS THEN
			again := SQLERRM;
		END;
		SELECT * INTO after FROM cache_ext.stats();
		came := concat_ws(' ', came, CASE
			WHEN after.hits > before.hits THEN 'hit'
			WHEN after.fills > before.fills THEN 'stored'
			WHEN after.misses > before.misses THEN 'missed'
			WHEN after.bypasses > before.bypasses THEN 'bypass'
			ELSE 'plain' END);
		IF again IS DISTINCT FROM result THEN
			came := came || ' and differs: ' || coalesce(again, 'NULL');
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION public.verdict(sql text) RETURNS text LANGUAGE sql
RETURN (SELECT CASE WHEN cacheable THEN array_to_string(tags, ', ') ELSE reason END FROM cache_ext.explain(sql));

SET search_path = functions_test, public;
CREATE TABLE doc (id int PRIMARY KEY, owner int, body text);
INSERT INTO doc VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c');
CREATE TABLE place (id int, name text, opened date);
INSERT INTO place VALUES (1, 'x', '2024-01-01');
CREATE TABLE untracked (id int);
SELECT cache_ext.track('doc'), cache_ext.track('place');
GRANT SELECT ON doc, place TO cx_fn_user, cx_fn_other;

--
-- Policies through helpers, as PostGraphile, PostgREST and Supabase are used: two users of one role, in one session
--
CREATE FUNCTION user_sql() RETURNS int STABLE LANGUAGE sql
	AS $$ SELECT nullif(current_setting('jwt.claims.user_id', true), '')::int $$;
CREATE FUNCTION user_atomic() RETURNS int STABLE
	RETURN nullif(current_setting('jwt.claims.user_id', true), '')::int;
CREATE FUNCTION user_plpgsql() RETURNS int STABLE LANGUAGE plpgsql AS $$
DECLARE
	claim text := current_setting('jwt.claims.user_id', true);
BEGIN
	IF claim IS NULL OR claim = '' THEN
		RETURN NULL;
	END IF;
	RETURN claim;
END $$;
CREATE FUNCTION user_json() RETURNS int STABLE LANGUAGE sql SECURITY DEFINER SET search_path = ''
	AS $$ SELECT (nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub')::int $$;
CREATE FUNCTION user_twice() RETURNS int STABLE LANGUAGE plpgsql
	AS $$ BEGIN RETURN functions_test.user_sql() + functions_test.user_atomic() * 0; END $$;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;

CREATE POLICY p ON doc USING (owner = user_sql());
SET ROLE cx_fn_user;
SET jwt.claims.user_id = '1';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET jwt.claims.user_id = '2';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET jwt.claims.user_id = '1';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER POLICY p ON doc USING (owner = user_plpgsql());
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET jwt.claims.user_id = '2';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER POLICY p ON doc USING (owner = user_atomic());
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET jwt.claims.user_id = '1';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER POLICY p ON doc USING (owner = user_twice());
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET jwt.claims.user_id = '2';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
ALTER POLICY p ON doc USING (owner = user_json());
SET ROLE cx_fn_user;
SET request.jwt.claims = '{"sub": 1}';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET request.jwt.claims = '{"sub": 2}';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;

-- the helper is replaced by one that reads another setting
CREATE OR REPLACE FUNCTION user_sql() RETURNS int STABLE LANGUAGE sql
	AS $$ SELECT nullif(current_setting('app.user_id', true), '')::int $$;
ALTER POLICY p ON doc USING (owner = user_sql());
SET app.user_id = '1';
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET app.user_id = '2';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;

-- and by one that is declared IMMUTABLE: a plan may hold what it returned for another user
CREATE OR REPLACE FUNCTION user_sql() RETURNS int IMMUTABLE LANGUAGE sql
	AS $$ SELECT nullif(current_setting('app.user_id', true), '')::int $$;
SET ROLE cx_fn_user;
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
SELECT body FROM doc ORDER BY id;
SET app.user_id = '1';
SELECT body FROM doc ORDER BY id;
RESET cache_ext.mode;
RESET cache_ext.min_cost;
SELECT verdict('SELECT body FROM doc');
RESET ROLE;

-- a helper that reads a table: its changes count
CREATE TABLE member (user_id int, doc_owner int);
INSERT INTO member VALUES (7, 1);
SELECT cache_ext.track('member');
CREATE FUNCTION may_see(int) RETURNS bool STABLE LANGUAGE plpgsql SECURITY DEFINER SET search_path = functions_test AS $$
DECLARE
	m member%ROWTYPE;
BEGIN
	FOR m IN SELECT * FROM member WHERE user_id = current_setting('app.user_id')::int LOOP
		IF m.doc_owner = $1 THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
ALTER POLICY p ON doc USING (may_see(owner));
SET app.user_id = '7';
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
INSERT INTO member VALUES (7, 2);
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET app.user_id = '8';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
-- helpers as they come with a platform, and one that returns rows
CREATE FUNCTION jwt() RETURNS jsonb STABLE LANGUAGE sql AS $$
	SELECT coalesce(nullif(current_setting('request.jwt.claim', true), ''),
					nullif(current_setting('request.jwt.claims', true), ''))::jsonb $$;
CREATE FUNCTION uid() RETURNS int STABLE LANGUAGE sql AS $$
	SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
					(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::int $$;
CREATE FUNCTION my_owners() RETURNS SETOF int STABLE LANGUAGE sql SECURITY DEFINER SET search_path = ''
	AS $$ SELECT doc_owner FROM functions_test.member WHERE user_id = (SELECT functions_test.uid()) $$;
ALTER POLICY p ON doc USING ((SELECT uid()) = owner OR owner IN (SELECT my_owners()) OR (jwt() ->> 'admin')::bool);
DELETE FROM member WHERE doc_owner = 2;
SET ROLE cx_fn_user;
SET request.jwt.claims = '{"sub": 2}';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET request.jwt.claims = '{"sub": 7}';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
SET request.jwt.claims = '{"sub": 8, "admin": true}';
SELECT * FROM check_same('SELECT body FROM doc ORDER BY id');
RESET ROLE;
DROP POLICY p ON doc;
ALTER TABLE doc DISABLE ROW LEVEL SECURITY;

--
-- What a body says
--
SET client_min_messages = warning;
CREATE FUNCTION answer(OUT int) STABLE LANGUAGE sql AS 'SELECT 42';
CREATE VIEW both_places AS SELECT * FROM place UNION ALL SELECT * FROM place;
CREATE FUNCTION read_view() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM both_places';
CREATE FUNCTION untrackeds() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM untracked';
CREATE FUNCTION catalogs() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM pg_class';
CREATE FUNCTION clock() RETURNS date STABLE LANGUAGE sql AS 'SELECT current_date';
CREATE FUNCTION clock_plpgsql() RETURNS timestamptz STABLE LANGUAGE plpgsql AS 'BEGIN RETURN now(); END';
CREATE FUNCTION clock_by_cast(text) RETURNS date STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION clock_by_literal() RETURNS date STABLE LANGUAGE plpgsql AS 'DECLARE d date := ''Today''; BEGIN RETURN d; END';
CREATE FUNCTION literal() RETURNS date STABLE LANGUAGE plpgsql AS
	'DECLARE d date := ''2024-02-03''; n date := NULL; BEGIN IF n IS NULL THEN RETURN ''2024-02-04''; END IF; RETURN d; END';
CREATE FUNCTION clock_by_variable(text) RETURNS date STABLE LANGUAGE plpgsql AS
	'DECLARE y text := $1; z text := ''2024-02-03''; BEGIN RETURN y; END';
CREATE FUNCTION clock_by_result() RETURNS SETOF place STABLE LANGUAGE sql AS 'SELECT id, name, opened FROM place';
CREATE FUNCTION dice() RETURNS float8 STABLE LANGUAGE sql AS 'SELECT random()';
CREATE FUNCTION dice_immutable() RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN random(); END';
CREATE FUNCTION calls(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT CASE WHEN $1 > 0 THEN calls($1 - 1) ELSE (SELECT max(id) FROM place) END';
CREATE FUNCTION calls_clock() RETURNS date STABLE LANGUAGE plpgsql AS 'BEGIN RETURN clock(); END';
CREATE FUNCTION setting_of(text) RETURNS text STABLE LANGUAGE sql AS 'SELECT current_setting($1)';
CREATE FUNCTION writes() RETURNS void STABLE LANGUAGE sql AS 'INSERT INTO place VALUES (1)';
CREATE FUNCTION sets() RETURNS void STABLE LANGUAGE plpgsql AS 'BEGIN SET app.x = 1; END';
CREATE FUNCTION sets_role() RETURNS name STABLE LANGUAGE sql SET role = cx_fn_user AS 'SELECT current_user';
CREATE FUNCTION no_table() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN IF false THEN PERFORM FROM nowhere; END IF; RETURN 1; END';
CREATE FUNCTION first_of(anyarray) RETURNS anyelement STABLE LANGUAGE sql AS 'SELECT $1[1]';
CREATE FUNCTION rows_of() RETURNS SETOF record STABLE LANGUAGE sql AS 'SELECT id, name FROM place';
CREATE FUNCTION unbelieved() RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT name FROM place';
CREATE FUNCTION unbelieved_user() RETURNS name IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN current_user; END';
CREATE FUNCTION stable_inside() RETURNS text STABLE LANGUAGE sql AS 'SELECT current_setting(''app.y'', true)';
CREATE FUNCTION unbelieved_call() RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT stable_inside()';
CREATE FUNCTION in_c(text, text) RETURNS bool STABLE LANGUAGE internal AS 'texteq';
SELECT call, verdict('SELECT * FROM ' || call) FROM unnest('{
	answer(), read_view(), untrackeds(), catalogs(), clock(), clock_plpgsql(), "clock_by_cast(''today'')",
	clock_by_literal(), literal(), "clock_by_variable(''today'')", clock_by_result(), dice(), dice_immutable(), calls(2), calls_clock(), "setting_of(''app.x'')", writes(),
	sets(), sets_role(), no_table(), "first_of(ARRAY[1, 2])", "rows_of() AS (a int, b text)", unbelieved(),
	unbelieved_user(), unbelieved_call(), "in_c(''a'', ''b'')"}'::text[]) call;

-- statements of PL/pgSQL: told
CREATE FUNCTION loops(n int, OUT total int, OUT said text) STABLE LANGUAGE plpgsql AS $$
DECLARE
	r record;
	one place;
	names text[] := '{}';
	word text;
BEGIN
	total := 0;
	FOR i IN 1 .. n BY 2 LOOP
		CONTINUE WHEN i = 3;
		total := total + i;
	END LOOP;
	FOR r IN SELECT id, name AS word FROM place LOOP
		names := names || r.word;
	END LOOP;
	SELECT * INTO one FROM place LIMIT 1;
	FOREACH word IN ARRAY names LOOP
		said := concat(said, word, one.name);
	END LOOP;
	WHILE n > 0 LOOP
		n := n - 1;
		EXIT WHEN n = 1;
	END LOOP;
	CASE n WHEN 1 THEN said := said || '!'; WHEN 2, 3 THEN NULL; ELSE said := NULL; END CASE;
	IF n > 100 THEN
		RAISE EXCEPTION 'too many: %', n;
	ELSIF n > 50 THEN
		PERFORM count(*) FROM doc;
	END IF;
END $$;
CREATE FUNCTION places() RETURNS TABLE (i int, n text) STABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT id, name FROM place;
	i := 0;
	RETURN NEXT;
END $$;
-- and not
CREATE FUNCTION dynamic() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 1' INTO n; RETURN n; END $$;
CREATE FUNCTION dynamic_rows() RETURNS SETOF int STABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END $$;
CREATE FUNCTION dynamic_loop() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1 AS a' LOOP NULL; END LOOP; RETURN 1; END $$;
CREATE FUNCTION catches() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN 1 / 0; EXCEPTION WHEN division_by_zero THEN RETURN 0; END $$;
CREATE FUNCTION cursors() RETURNS refcursor STABLE LANGUAGE plpgsql AS
	$$ DECLARE c CURSOR FOR SELECT 1; BEGIN OPEN c; RETURN c; END $$;
CREATE FUNCTION cursor_loop() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE c CURSOR FOR SELECT 1; BEGIN FOR r IN c LOOP NULL; END LOOP; RETURN 1; END $$;
CREATE FUNCTION asserts() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ BEGIN ASSERT false; RETURN 1; END $$;
CREATE FUNCTION diagnoses() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
CREATE FUNCTION two_shapes() RETURNS text STABLE LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN SELECT 1 AS a INTO r; SELECT date '2024-01-01' AS a INTO r; RETURN r.a::text; END $$;
CREATE FUNCTION new_shape() RETURNS text STABLE LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN SELECT 1 AS a INTO r; r := ROW('today'::text); RETURN r.a::text::date; END $$;
CREATE FUNCTION ambiguous(id int) RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN (SELECT count(*) FROM place WHERE id = 1); END $$;
CREATE FUNCTION row_as_text() RETURNS text STABLE LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN SELECT 'pg_class'::regclass AS a INTO r; RETURN r; END $$;
SELECT call, verdict('SELECT * FROM ' || call) FROM unnest('{
	loops(5), places(), dynamic(), dynamic_rows(), dynamic_loop(), catches(), cursors(), cursor_loop(), asserts(),
	diagnoses(), two_shapes(), new_shape(), ambiguous(1), row_as_text()}'::text[]) call;
SELECT * FROM check_same('SELECT total || said FROM loops(5)');
SELECT * FROM check_same('SELECT n FROM places()');
UPDATE place SET name = 'y';
SELECT * FROM check_same('SELECT total || said FROM loops(5)');
SELECT * FROM check_same('SELECT n FROM places()');

-- casts that are a user's: at the end of a SQL function, at an assignment, at RETURN
CREATE TYPE amount AS (v int);
CREATE FUNCTION to_amount(int) RETURNS amount VOLATILE LANGUAGE sql AS 'SELECT ROW($1)::amount';
CREATE CAST (int AS amount) WITH FUNCTION to_amount(int) AS ASSIGNMENT;
CREATE FUNCTION casts_sql() RETURNS amount STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION casts_assigned() RETURNS int STABLE LANGUAGE plpgsql AS
	'DECLARE a amount; BEGIN a := 1; RETURN 1; END';
CREATE DOMAIN lucky AS int CHECK (value > random() * 0);
CREATE FUNCTION casts_returned() RETURNS lucky STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION domain_variable() RETURNS int STABLE LANGUAGE plpgsql AS 'DECLARE l lucky; BEGIN RETURN 1; END';
SELECT call, verdict('SELECT * FROM ' || call) FROM unnest('{
	casts_sql(), casts_assigned(), casts_returned(), domain_variable()}'::text[]) call;
DROP CAST (int AS amount);

-- aggregates and operators
CREATE FUNCTION add_named(text, int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1 || stable_inside()';
CREATE AGGREGATE named (int) (SFUNC = add_named, STYPE = text);
CREATE FUNCTION near(int, int) RETURNS bool STABLE LANGUAGE sql
	AS $$ SELECT abs($1 - $2) < current_setting('app.near')::int $$;
CREATE OPERATOR ~~~ (FUNCTION = near, LEFTARG = int, RIGHTARG = int);
SELECT verdict('SELECT named(id) FROM place');
CREATE FUNCTION keep_first(anyelement, anyelement) RETURNS anyelement IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE first (anyelement) (SFUNC = keep_first, STYPE = anyelement);
CREATE FUNCTION keep_read(anyelement, anyelement) RETURNS anyelement STABLE LANGUAGE plpgsql
	AS 'BEGIN PERFORM FROM untracked; RETURN $1; END';
CREATE AGGREGATE first_read (anyelement) (SFUNC = keep_read, STYPE = anyelement);
CREATE FUNCTION text_of(anyelement) RETURNS text STABLE LANGUAGE sql AS 'SELECT concat($1, current_setting(''app.y'', true))';
CREATE AGGREGATE first_text (anyelement) (SFUNC = keep_first, STYPE = anyelement, FINALFUNC = text_of);
SELECT verdict(q) FROM unnest('{"SELECT first(name ORDER BY id), first(id) FROM place", "SELECT first_read(name) FROM place",
	"SELECT first(id) OVER () FROM place", "SELECT first_text(opened) FROM place"}'::text[]) q;
SET app.y = 'y';
SELECT * FROM check_same('SELECT first_text(opened) FROM place');
SET app.y = 'z';
SELECT * FROM check_same('SELECT first_text(opened) FROM place');
SET app.near = 1;
SELECT * FROM check_same('SELECT body FROM doc WHERE id ~~~ 2 ORDER BY id');
SET app.near = 2;
SELECT * FROM check_same('SELECT body FROM doc WHERE id ~~~ 2 ORDER BY id');
RESET client_min_messages;

--
-- Rights
--
CREATE FUNCTION inner_one() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT max(body) FROM functions_test.doc); END $$;
CREATE FUNCTION outer_one() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN functions_test.inner_one(); END $$;
CREATE FUNCTION as_owner() RETURNS text STABLE LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN functions_test.inner_one(); END $$;
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT outer_one()');
SELECT * FROM check_same('SELECT as_owner()');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION inner_one() FROM PUBLIC;
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT outer_one()');
SELECT * FROM check_same('SELECT as_owner()');
RESET ROLE;
GRANT EXECUTE ON FUNCTION inner_one() TO PUBLIC;
REVOKE SELECT ON doc FROM cx_fn_user;
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT outer_one()');
SELECT * FROM check_same('SELECT as_owner()');
RESET ROLE;
GRANT SELECT ON doc TO cx_fn_user;

-- policies inside bodies: the caller's, or the owner's
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY for_user ON doc TO cx_fn_user USING (owner = 1);
CREATE POLICY for_other ON doc TO cx_fn_other USING (owner = current_setting('app.owner')::int);
SET app.owner = 2;
CREATE FUNCTION bodies() RETURNS text STABLE LANGUAGE sql AS 'SELECT string_agg(body, '''' ORDER BY id) FROM functions_test.doc';
SELECT * FROM check_same('SELECT bodies()');
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT bodies()');
SET ROLE cx_fn_other;
SELECT * FROM check_same('SELECT bodies()');
SET app.owner = 1;
SELECT * FROM check_same('SELECT bodies()');
RESET ROLE;
ALTER FUNCTION bodies() OWNER TO cx_fn_other;
ALTER FUNCTION bodies() SECURITY DEFINER;
SET ROLE cx_fn_user;
SELECT * FROM check_same('SELECT bodies()');
SET app.owner = 2;
SELECT * FROM check_same('SELECT bodies()');
RESET ROLE;
ALTER FUNCTION bodies() SECURITY INVOKER;
ALTER FUNCTION bodies() OWNER TO CURRENT_USER;

-- the same statement of one session, prepared and not, as one user and as another
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
PREPARE prepared AS SELECT bodies() FROM place;
SELECT hits AS hits_before FROM cache_ext.stats() \gset
SET ROLE cx_fn_user;
EXECUTE prepared;
EXECUTE prepared;
SELECT bodies() FROM place;
SELECT bodies() FROM place;
SET ROLE cx_fn_other;
EXECUTE prepared;
EXECUTE prepared;
SELECT bodies() FROM place;
SELECT bodies() FROM place;
SET app.owner = 1;
EXECUTE prepared;
SELECT bodies() FROM place;
RESET ROLE;
DEALLOCATE prepared;
SELECT hits - :hits_before AS hits FROM cache_ext.stats();

--
-- search_path: one tree, other tables in its functions
--
CREATE SCHEMA functions_a;
CREATE SCHEMA functions_b;
CREATE TABLE functions_a.orders (n int);
CREATE TABLE functions_b.orders (n int);
INSERT INTO functions_a.orders VALUES (1);
INSERT INTO functions_b.orders VALUES (2);
SELECT cache_ext.track('functions_a.orders'), cache_ext.track('functions_b.orders');
SET check_function_bodies = off;
CREATE FUNCTION orders() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(n) FROM orders); END';
RESET check_function_bodies;
SET search_path = functions_a, functions_test, public;
SELECT hits AS hits_before FROM cache_ext.stats() \gset
SELECT functions_test.orders() FROM functions_test.place;
SELECT functions_test.orders() FROM functions_test.place;
SET search_path = functions_b, functions_test, public;
SELECT functions_test.orders() FROM functions_test.place;
UPDATE functions_b.orders SET n = 3;
SELECT functions_test.orders() FROM functions_test.place;
UPDATE functions_b.orders SET n = 4;
SELECT functions_test.orders() FROM functions_test.place;
SET search_path = functions_a, functions_test, public;
SELECT functions_test.orders() FROM functions_test.place;
UPDATE functions_a.orders SET n = 5;
SELECT functions_test.orders() FROM functions_test.place;
SELECT hits - :hits_before AS hits FROM cache_ext.stats();
-- a table that comes earlier in it, of which the query tree knows nothing
CREATE FUNCTION orders_sql() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT sum(n) FROM orders';
CREATE SCHEMA functions_c;
SET search_path = functions_c, functions_a, functions_test, public;
PREPARE prepared AS SELECT orders_sql() AS by_prepared FROM functions_test.place;
EXECUTE prepared;
SELECT orders_sql() FROM functions_test.place;
CREATE TABLE functions_c.orders (n int);
SELECT cache_ext.track('functions_c.orders');
INSERT INTO functions_c.orders VALUES (7);
EXECUTE prepared;
EXECUTE prepared;
SELECT orders_sql() FROM functions_test.place;
SELECT orders_sql() FROM functions_test.place;
UPDATE functions_c.orders SET n = 8;
EXECUTE prepared;
SELECT orders_sql() FROM functions_test.place;
DEALLOCATE prepared;
SET search_path = functions_test, public;
RESET cache_ext.mode;
RESET cache_ext.min_cost;

--
-- In a transaction: looking into what can't be analysed doesn't end it, and changes nothing of it
--
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
BEGIN;
SET LOCAL app.x = 'local';
CREATE FUNCTION sets_and_fails() RETURNS text STABLE LANGUAGE plpgsql SET app.x = 'inside' SECURITY DEFINER AS
	$$ BEGIN IF false THEN PERFORM FROM nowhere; END IF; RETURN current_setting('app.x'); END $$;
ALTER FUNCTION sets_and_fails() OWNER TO cx_fn_owner;
GRANT USAGE ON SCHEMA functions_test TO cx_fn_owner;
SELECT sets_and_fails(), current_setting('app.x'), current_user = session_user AS same_user FROM doc WHERE id = 1;
COMMIT;
RESET cache_ext.mode;
RESET cache_ext.min_cost;

-- a domain whose constraint reads a setting, seen first where that may be and then where it may not
CREATE FUNCTION limit_now() RETURNS int STABLE LANGUAGE sql AS $$ SELECT current_setting('app.max_value')::int $$;
CREATE DOMAIN limited AS int CHECK (value < limit_now());
CREATE FUNCTION to_limited(int) RETURNS limited STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION to_limited_immutable(int) RETURNS limited IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SET app.max_value = 5;
SELECT * FROM check_same('SELECT to_limited(id)::text FROM doc WHERE id = 1');
SET app.max_value = 1;
SELECT * FROM check_same('SELECT to_limited(id)::text FROM doc WHERE id = 1');
SELECT verdict('SELECT to_limited(id), to_limited_immutable(id) FROM doc');
SELECT verdict('SELECT to_limited_immutable(id), to_limited(id) FROM doc');
-- one whose constraint nobody can tell, in a function that was allowed and in one that was not
CREATE FUNCTION any_limit() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 10' INTO n; RETURN n; END $$;
CREATE DOMAIN any_limited AS int CHECK (value < any_limit());
CREATE FUNCTION to_any_limited(int) RETURNS any_limited STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION to_any_limited_2(int) RETURNS any_limited STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SELECT cache_ext.allow_function('to_any_limited(int)');
SELECT verdict('SELECT to_any_limited(id) FROM doc');
SELECT verdict('SELECT to_any_limited(id), to_any_limited_2(id) FROM doc');
SELECT verdict('SELECT to_any_limited(id), id::any_limited FROM doc');
SELECT cache_ext.allow_function('any_limit()', '{place}');
SELECT verdict('SELECT to_any_limited(id), to_any_limited_2(id), id::any_limited FROM doc');
SELECT cache_ext.disallow_function('any_limit()'), cache_ext.disallow_function('to_any_limited(int)');

--
-- allow_function
--
SELECT cache_ext.allow_function('dynamic()', '{place}', '{app.x}');
SELECT function, reads, settings FROM cache_ext.allowed_functions;
SELECT verdict('SELECT dynamic()');
SET app.x = 1;
SELECT * FROM check_same('SELECT dynamic()::text');
SET app.x = 2;
SELECT * FROM check_same('SELECT dynamic()::text');
-- it ends with any change of the function
CREATE FUNCTION still_allowed() RETURNS bool LANGUAGE sql
	RETURN (SELECT cacheable FROM cache_ext.explain('SELECT functions_test.dynamic()'));
ALTER FUNCTION dynamic() COST 1000;
SELECT still_allowed();
CREATE OR REPLACE FUNCTION dynamic() RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE 'SELECT 2' INTO n; RETURN n; END $$;
SELECT verdict('SELECT dynamic()');
SELECT cache_ext.allow_function('dynamic()');
SELECT still_allowed();
ALTER FUNCTION dynamic() SECURITY DEFINER;
SELECT still_allowed();
ALTER FUNCTION dynamic() SECURITY INVOKER;
SELECT still_allowed();
ALTER FUNCTION dynamic() SET search_path = public;
SELECT still_allowed();
ALTER FUNCTION dynamic() RESET search_path;
ALTER FUNCTION dynamic() IMMUTABLE;
SELECT still_allowed();
ALTER FUNCTION dynamic() STABLE;
ALTER FUNCTION dynamic() OWNER TO cx_fn_owner;
SELECT still_allowed();
ALTER FUNCTION dynamic() OWNER TO CURRENT_USER;
SELECT still_allowed();
ALTER FUNCTION dynamic() RENAME TO dynamic_2;
SELECT verdict('SELECT dynamic_2()');
ALTER FUNCTION dynamic_2() RENAME TO dynamic;
ALTER FUNCTION dynamic() SET SCHEMA public;
SELECT verdict('SELECT public.dynamic()');
ALTER FUNCTION public.dynamic() SET SCHEMA functions_test;
SELECT still_allowed();
-- a table by another name
CREATE TABLE other_place (id int);
SELECT cache_ext.track('other_place');
SELECT cache_ext.allow_function('dynamic()', '{other_place}');
SELECT verdict('SELECT dynamic()');
ALTER TABLE other_place RENAME TO renamed_place;
SELECT verdict('SELECT dynamic()');
DROP TABLE renamed_place;
-- it goes with the function, whoever drops that
CREATE SCHEMA cx_fn_owner AUTHORIZATION cx_fn_owner;
SET ROLE cx_fn_owner;
CREATE FUNCTION cx_fn_owner.own(text) RETURNS int STABLE LANGUAGE plpgsql AS
	$$ DECLARE n int; BEGIN EXECUTE $1 INTO n; RETURN n; END $$;
RESET ROLE;
SELECT cache_ext.allow_function('cx_fn_owner.own(text)');
SELECT function FROM cache_ext.allowed_functions ORDER BY 1;
SET ROLE cx_fn_owner;
BEGIN;
DROP FUNCTION cx_fn_owner.own(text);
ROLLBACK;
SELECT function FROM cache_ext.allowed_functions ORDER BY 1;
DROP SCHEMA cx_fn_owner CASCADE;
RESET ROLE;
SELECT function FROM cache_ext.allowed_functions ORDER BY 1;
SELECT cache_ext.disallow_function('dynamic()');
SELECT cache_ext.disallow_function('dynamic()');
SELECT * FROM cache_ext.allowed_functions;

-- its owner knows that a text never means today
SELECT cache_ext.allow_function('clock_by_cast(text)');
SELECT verdict('SELECT clock_by_cast(name) FROM place');
SELECT cache_ext.disallow_function('clock_by_cast(text)');

-- what it refuses
SELECT cache_ext.allow_function('setting_of(text)', settings => '{nothing}');
SELECT cache_ext.allow_function('setting_of(text)', settings => '{""}');
SELECT cache_ext.allow_function('setting_of(text)', settings => '{app.1}');
SELECT cache_ext.allow_function('setting_of(text)', settings => '{app.}');
SELECT cache_ext.allow_function('setting_of(text)', settings => '{app.x, NULL}');
SELECT cache_ext.allow_function('setting_of(text)', settings => '{data_directory}');
SELECT cache_ext.allow_function('setting_of(text)', settings => '{app.x, TimeZone}');
SELECT cache_ext.disallow_function('setting_of(text)');
CREATE FUNCTION reads_and_executes() RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT 1';
	IF current_setting('app.x') = '' THEN
		EXECUTE 'SELECT ' || current_setting('app.y');
	END IF;
	RETURN 1;
EXCEPTION WHEN OTHERS THEN
	RETURN current_setting('app.z');
END $$;
SELECT cache_ext.allow_function('reads_and_executes()');
SELECT cache_ext.allow_function('reads_and_executes()', settings => '{app.x}');
SELECT cache_ext.allow_function('reads_and_executes()', settings => '{app.x, app.y}');
SELECT cache_ext.allow_function('reads_and_executes()', settings => '{app.x, app.y, APP.Z}');
SELECT cache_ext.disallow_function('reads_and_executes()');
CREATE FUNCTION clock_and_executes() RETURNS int STABLE LANGUAGE plpgsql
	AS $$ BEGIN EXECUTE 'SELECT 1'; RETURN extract(hour FROM now()); END $$;
SELECT cache_ext.allow_function('clock_and_executes()');
SELECT cache_ext.allow_function('unbelieved_user()');
CREATE FUNCTION immutable_and_executes() RETURNS int IMMUTABLE LANGUAGE plpgsql
	AS $$ BEGIN EXECUTE 'SELECT 1'; RETURN 1; END $$;
SELECT cache_ext.allow_function('immutable_and_executes()', '{place}');
SELECT cache_ext.allow_function('dynamic()', '{doc}');
SELECT cache_ext.allow_function('dice()');
SELECT cache_ext.allow_function('public.verdict(text)');

-- a function in C can't be looked into: it says what it reads
SET client_min_messages = warning;
CREATE EXTENSION pg_trgm SCHEMA functions_test;
RESET client_min_messages;
SELECT verdict('SELECT body FROM doc WHERE body % ''abcd''');
SELECT cache_ext.allow_function('similarity_op(text, text)', settings => '{pg_trgm.similarity_threshold}');
INSERT INTO doc VALUES (4, 1, 'abcx'), (5, 1, 'abcdef');
SET pg_trgm.similarity_threshold = 0.3;
SELECT * FROM check_same('SELECT body FROM doc WHERE body % ''abcd'' ORDER BY id');
SET pg_trgm.similarity_threshold = 0.5;
SELECT * FROM check_same('SELECT body FROM doc WHERE body % ''abcd'' ORDER BY id');
RESET pg_trgm.similarity_threshold;
DROP EXTENSION pg_trgm;
SELECT * FROM cache_ext.allowed_functions;

-- operators of the caller's search_path are not used
CREATE FUNCTION evil(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
CREATE OPERATOR functions_test.= (FUNCTION = evil, LEFTARG = text, RIGHTARG = text);
SET search_path = functions_test, pg_catalog, public;
SELECT cache_ext.allow_function('dynamic()', '{place}');
SELECT cache_ext.disallow_function('dynamic()');
SET search_path = functions_test, public;
DROP OPERATOR functions_test.= (text, text);

-- the table is the extension's, not one that is called so
SELECT cache_ext.allow_function('dynamic()');
ALTER SCHEMA cache_ext RENAME TO cache_ext_renamed;
CREATE SCHEMA cache_ext;
CREATE TABLE cache_ext.allowed_functions (function int, reads int);
INSERT INTO cache_ext.allowed_functions VALUES (1, 1);
SELECT cacheable, reason FROM cache_ext_renamed.explain('SELECT functions_test.dynamic()');
SELECT cache_ext_renamed.disallow_function('dynamic()');
SELECT * FROM cache_ext.allowed_functions;
DROP SCHEMA cache_ext CASCADE;
ALTER SCHEMA cache_ext_renamed RENAME TO cache_ext;
-- and has the columns that it should have
SELECT cache_ext.allow_function('dynamic()', '{place}');
ALTER TABLE cache_ext.allowed_functions ALTER definition DROP DEFAULT, ALTER definition TYPE int USING 1;
SELECT verdict('SELECT dynamic()');
SELECT cache_ext.allow_function('dynamic()');
DROP FUNCTION dynamic();
ALTER TABLE cache_ext.allowed_functions ALTER definition TYPE text, ALTER definition SET DEFAULT '';
TRUNCATE cache_ext.allowed_functions;

-- somebody's code in a literal, in a branch that nothing comes to: looking into the function runs none of it
CREATE FUNCTION traps(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN RAISE NOTICE 'the code of somebody ran'; RETURN true; END $$;
CREATE DOMAIN trap AS text CHECK (functions_test.traps(value));
CREATE TABLE trapped (id int, tags trap[]);
SELECT cache_ext.track('trapped');
CREATE FUNCTION trap_cast(v int) RETURNS int STABLE LANGUAGE plpgsql AS
	$$ BEGIN IF v < 0 THEN RETURN cardinality('{a}'::functions_test.trap[]); END IF; RETURN v; END $$;
CREATE FUNCTION trap_column(v int) RETURNS int STABLE LANGUAGE plpgsql AS
	$$ BEGIN IF v < 0 THEN RETURN (SELECT count(*) FROM functions_test.trapped WHERE tags = '{a}'); END IF; RETURN v; END $$;
CREATE FUNCTION trap_sql(v int) RETURNS bigint STABLE LANGUAGE sql SECURITY DEFINER AS
	$$ SELECT CASE WHEN $1 < 0 THEN (SELECT count(*) FROM functions_test.trapped WHERE tags = '{a}') ELSE $1 END $$;
CREATE FUNCTION trap_row(v int) RETURNS text STABLE LANGUAGE plpgsql AS
	$$ BEGIN IF v < 0 THEN RETURN (ROW(1, '{a}')::functions_test.trapped).tags; END IF; RETURN v; END $$;
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
EXPLAIN (COSTS off) SELECT trap_cast(id), trap_column(id), trap_sql(id), trap_row(id) FROM trapped;
RESET cache_ext.mode;
RESET cache_ext.min_cost;
SELECT verdict(format('SELECT %s(id)::text FROM functions_test.trapped', f))
	FROM unnest(ARRAY['trap_cast', 'trap_column', 'trap_sql', 'trap_row']) f;

SELECT cache_ext.function_definition('answer()') = cache_ext.function_definition('answer()') AS same,
	cache_ext.function_definition('answer()') = cache_ext.function_definition('clock()') AS other_same,
	cache_ext.function_definition(1::regprocedure) AS of_nothing;

SET client_min_messages = warning;
DROP SCHEMA functions_test, functions_a, functions_b, functions_c CASCADE;
DROP FUNCTION public.check_same(text), public.verdict(text);
DROP ROLE cx_fn_user, cx_fn_other, cx_fn_owner;
