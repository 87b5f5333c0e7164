--
-- Plans that are older than what they are run with: settings, catalogs, and the plans inside functions.
-- A session goes on with such a plan, but nobody else gets its rows.
--
\getenv srcdir PG_ABS_SRCDIR
\set shared :srcdir '/test/transparent.sql'
\i :shared
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;

--
-- Constants that were folded under other settings
--
PREPARE float AS SELECT id, (0.1::float8 + 0.2::float8)::text AS sum FROM city WHERE id = 1;
EXECUTE float;
:happened
SET extra_float_digits = 0;
EXECUTE float;
SELECT id, (0.1::float8 + 0.2::float8)::text AS sum FROM city WHERE id = 1;
:happened
-- a hit is the result of the settings
EXECUTE float;
:happened
RESET extra_float_digits;
-- the other settings that IMMUTABLE functions follow; casts of arrays; a constant of a subquery
PREPARE bytes AS SELECT id, '\x00ff'::bytea::text AS b FROM city WHERE id = 1;
PREPARE span AS SELECT id, (interval '1 day 2 hours' * 2)::text AS i FROM city WHERE id = 1;
PREPARE quoted AS SELECT id, quote_ident('plain') AS q FROM city WHERE id = 1;
PREPARE elements AS SELECT id, ARRAY[0.1::float8 + 0.2]::text[] AS e FROM city WHERE id = 1;
PREPARE below AS SELECT id, x::text AS x FROM (SELECT id, 0.1::float8 + 0.2 AS x FROM city) s WHERE id = 1;
PREPARE spot AS SELECT id, (point(0.1, 0.7) + point(0.2, 0.1))::text AS p FROM city WHERE id = 1;
EXECUTE bytes;
EXECUTE span;
EXECUTE quoted;
EXECUTE elements;
EXECUTE below;
EXECUTE spot;
:happened
SET bytea_output = escape;
SET intervalstyle = iso_8601;
SET quote_all_identifiers = on;
SET extra_float_digits = 0;
EXECUTE bytes;
EXECUTE span;
EXECUTE quoted;
EXECUTE elements;
EXECUTE below;
EXECUTE spot;
:happened
SELECT id, '\x00ff'::bytea::text AS b FROM city WHERE id = 1;
SELECT id, (interval '1 day 2 hours' * 2)::text AS i FROM city WHERE id = 1;
SELECT id, quote_ident('plain') AS q FROM city WHERE id = 1;
SELECT id, ARRAY[0.1::float8 + 0.2]::text[] AS e FROM city WHERE id = 1;
SELECT id, x::text AS x FROM (SELECT id, 0.1::float8 + 0.2 AS x FROM city) s WHERE id = 1;
SELECT id, (point(0.1, 0.7) + point(0.2, 0.1))::text AS p FROM city WHERE id = 1;
:happened
RESET bytea_output;
RESET intervalstyle;
RESET quote_all_identifiers;
RESET extra_float_digits;
-- what computes nothing of the kind is filled under any settings, by the plan that there is
PREPARE shares AS SELECT id, population / 3.0::float8 AS share FROM city WHERE id < 2 + 1 ORDER BY id;
SET plan_cache_mode = force_generic_plan;
EXECUTE shares;
SET extra_float_digits = 0;
EXECUTE shares;
EXECUTE shares;
:happened
RESET extra_float_digits;
RESET plan_cache_mode;
-- a text that query() keeps
SELECT * FROM cache_ext.query('SELECT id, (0.1::float8 + 0.7::float8)::text FROM city WHERE id = 1') AS (id int, sum text);
SET extra_float_digits = 0;
SELECT * FROM cache_ext.query('SELECT id, (0.1::float8 + 0.7::float8)::text FROM city WHERE id = 1') AS (id int, sum text);
RESET extra_float_digits;
:happened
-- constants in the plans that functions keep, whoever ran them under which settings
CREATE FUNCTION in_function(v int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
	$$BEGIN RETURN (0.1::float8 + 0.2)::text || v; END$$;
CREATE FUNCTION too_in_function(v int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
	$$BEGIN RETURN (0.1::float8 + 0.7)::text || v; END$$;
SELECT id, in_function(id) FROM city WHERE id = 1;
SET extra_float_digits = 0;
SELECT id, in_function(id) FROM city WHERE id = 1;
SELECT too_in_function(9);
RESET extra_float_digits;
SELECT id, in_function(id) FROM city WHERE id = 1;
SELECT id, too_in_function(id) FROM city WHERE id = 1;
:happened
DROP FUNCTION in_function, too_in_function;
-- a function that SETs while it is planned
CREATE FUNCTION digits() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('extra_float_digits', '0', false);
	RETURN (0.1::float8 + 0.2)::text;
END $$;
SELECT digits() AS d FROM city WHERE id = 1;
RESET extra_float_digits;
DROP FUNCTION digits;
:forget

--
-- Catalogs that folding reads, and of which plans get no message
--
CREATE TEXT SEARCH CONFIGURATION mine (COPY = pg_catalog.english);
PREPARE found AS SELECT id, to_tsvector('mine', 'the cats') AS found FROM city WHERE id = 1;
EXECUTE found;
EXECUTE found;
:happened
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH simple;
EXECUTE found;
:happened
SELECT id, to_tsvector('mine', 'the cats') AS found FROM city WHERE id = 1;
EXECUTE found;
:happened
SELECT * FROM cache_ext.query($$SELECT to_tsvector('mine', 'two cats') FROM city WHERE id = 1$$) AS (found tsvector);
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH english_stem;
SELECT * FROM cache_ext.query($$SELECT to_tsvector('mine', 'two cats') FROM city WHERE id = 1$$) AS (found tsvector);
SELECT * FROM cache_ext.query($$SELECT to_tsvector('mine', 'two cats') FROM city WHERE id = 1$$) AS (found tsvector);
SELECT * FROM cache_ext.query($$SELECT to_tsvector('mine', 'two cats') FROM city WHERE id = 1$$) AS (found tsvector);
:happened
DEALLOCATE ALL;
DROP TEXT SEARCH CONFIGURATION mine;

--
-- The plans inside functions: a better overload, a table that is found first, later
--
CREATE FUNCTION kind(v numeric) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'numeric'$$;
CREATE FUNCTION kind_of(v int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN kind(v); END$$;
SELECT id, kind_of(id) FROM city WHERE id = 1;
SELECT id, kind_of(id) FROM city WHERE id = 1;
:happened
CREATE FUNCTION kind(v int) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'int'$$;
-- planning computes this one, with the function's plan made anew before
SELECT id, kind_of(2) FROM city WHERE id = 1;
:happened
-- and this one runs the function's plan, which is made anew where the old one would have filled
SELECT id, kind_of(id) FROM city WHERE id = 1;
SELECT id, kind_of(2) FROM city WHERE id = 1;
:happened
\c -
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
:forget
SELECT id, kind_of(id) FROM city WHERE id = 1;
SELECT id, kind_of(2) FROM city WHERE id = 1;
:happened
-- a call that planning computed before the plans were renewed
PREPARE computed AS SELECT id, kind_of(3) FROM city WHERE id = 1;
EXECUTE computed;
DROP FUNCTION kind(int);
EXECUTE computed;
EXECUTE computed;
:happened
DEALLOCATE ALL;
DROP FUNCTION kind_of(int), kind(numeric);
-- a plan whose tags are of the table that a name in a body meant before
CREATE SCHEMA nearer;
SET search_path = nearer, public;
CREATE TABLE public.named (n int);
INSERT INTO public.named VALUES (1);
SELECT cache_ext.track('public.named');
CREATE FUNCTION public.of_named() RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$BEGIN RETURN (SELECT sum(n) FROM named); END$$;
PREPARE of_named AS SELECT id, of_named() FROM public.city WHERE id = 1;
EXECUTE of_named;
CREATE TABLE nearer.named (n int);
INSERT INTO nearer.named VALUES (2);
SELECT cache_ext.track('nearer.named');
EXECUTE of_named;
UPDATE nearer.named SET n = 3;
EXECUTE of_named;
EXECUTE of_named;
DEALLOCATE of_named;
DROP FUNCTION public.of_named();
DROP TABLE nearer.named, public.named;
-- a variable of another's type, which the session compiled before that was shadowed
CREATE TABLE measure (v numeric);
CREATE TABLE public.measure (v int);
ALTER TABLE nearer.measure RENAME TO hidden;
CREATE FUNCTION measured(x numeric) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
	$$DECLARE m measure.v%TYPE := x; BEGIN RETURN m; END$$;
\c -
SET search_path = nearer, public;
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
:forget
SELECT id, measured(id + 0.5) FROM public.city WHERE id = 1;
ALTER TABLE hidden RENAME TO measure;
SELECT id, measured(id + 0.5) FROM public.city WHERE id = 1;
:happened
\c -
SET search_path = nearer, public;
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;
:forget
SELECT id, measured(id + 0.5) FROM public.city WHERE id = 1;
:happened
RESET search_path;
DROP SCHEMA nearer CASCADE;
DROP TABLE measure;
DROP TABLE city;
DROP FUNCTION happened;
