--
-- Names inside functions: what makes another object answer to one is seen at once
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA front;
CREATE SCHEMA back;
CREATE SCHEMA aside;
SET search_path = front, back, public;

CREATE TABLE back.named (n int);
INSERT INTO back.named VALUES (1);
CREATE TABLE public.others (n int);
INSERT INTO public.others VALUES (2);
SELECT cache_ext.track(t) FROM unnest('{back.named,public.others}'::regclass[]) t;

-- neither is looked into: both find what they name at each call
CREATE FUNCTION public.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION public.reader() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT n FROM named';
CREATE FUNCTION public.caller() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	found text;
BEGIN
	EXECUTE 'SELECT twice(1) || ''/'' || (''a''::word)' INTO found;
	RETURN found;
END $$;
CREATE DOMAIN public.word AS text;
SELECT cache_ext.allow_function('reader()', '{back.named}'), cache_ext.allow_function('caller()');

-- what the cache says of both, after they were stored; what they are; what is left of what was stored
CREATE FUNCTION public.seen() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	texts text[] = '{SELECT reader()::text,SELECT caller()}';
	cached text;
	live text;
	result text = '';
BEGIN
	FOR i IN 1..2 LOOP
		result = result || CASE WHEN (SELECT valid FROM cache_ext.explain(texts[i])) THEN 'kept ' ELSE 'gone ' END;
		SELECT v INTO cached FROM cache_ext.query(texts[i]) AS t(v text);
		EXECUTE texts[i] INTO live;
		IF cached IS DISTINCT FROM live THEN
			RAISE EXCEPTION '% is % but the cache says %', texts[i], live, cached;
		END IF;
		result = result || live || ' ';
	END LOOP;
	RETURN result;
END $$;
SELECT seen();
SELECT seen();

-- relations
CREATE TABLE front.third (n int); INSERT INTO front.third VALUES (3); SELECT seen();
SELECT seen();
ALTER TABLE front.third RENAME TO named; SELECT seen();
ALTER TABLE front.named SET SCHEMA aside; SELECT seen();
ALTER TABLE aside.named SET SCHEMA front; SELECT seen();
DROP TABLE front.named; SELECT seen();
CREATE VIEW front.seen_through AS SELECT n + 10 AS n FROM public.others; SELECT seen();
ALTER VIEW seen_through RENAME TO named; SELECT seen();
ALTER VIEW front.named SET SCHEMA aside; SELECT seen();
ALTER VIEW aside.named SET SCHEMA front; SELECT seen();
DROP VIEW front.named; SELECT seen();
CREATE MATERIALIZED VIEW aside.named AS SELECT 20 AS n; SELECT seen();
ALTER MATERIALIZED VIEW aside.named SET SCHEMA front; SELECT seen();
ALTER MATERIALIZED VIEW front.named RENAME TO unnamed; SELECT seen();
ALTER MATERIALIZED VIEW front.unnamed RENAME TO named; SELECT seen();
DROP MATERIALIZED VIEW front.named; SELECT seen();
BEGIN; CREATE TABLE front.fourth (n int); INSERT INTO fourth VALUES (4); ALTER TABLE fourth RENAME TO named; COMMIT; SELECT seen();
BEGIN; DROP TABLE front.named; ROLLBACK; SELECT seen();
DROP TABLE front.named; SELECT seen();
-- a name that is no table's makes the function fail
CREATE FUNCTION public.kept() RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN valid THEN 'kept' ELSE 'gone' END FROM cache_ext.explain('SELECT reader()::text') $$;
CREATE SEQUENCE front.numbers; SELECT seen();
ALTER SEQUENCE front.numbers RENAME TO named; SELECT kept();
ALTER SEQUENCE front.named RENAME TO numbers; SELECT seen();
CREATE TABLE front.indexed (n int); SELECT seen();
CREATE INDEX named ON front.indexed (n); SELECT kept();
ALTER INDEX front.named RENAME TO others; SELECT seen();
ALTER INDEX front.others RENAME TO named; SELECT kept();
DROP INDEX front.named; SELECT seen();
CREATE TABLE aside.with_index (n int CONSTRAINT named PRIMARY KEY); SELECT seen();
ALTER TABLE aside.with_index SET SCHEMA front; SELECT kept();
ALTER TABLE with_index DROP CONSTRAINT named; SELECT seen();
-- a schema
CREATE SCHEMA fresh; CREATE TABLE fresh.named (n int); INSERT INTO fresh.named VALUES (5); SELECT seen();
ALTER SCHEMA front RENAME TO former; ALTER SCHEMA fresh RENAME TO front; SELECT seen();
ALTER SCHEMA front RENAME TO fresh; ALTER SCHEMA former RENAME TO front; SELECT seen();
-- what is no name in a function
CREATE TEMPORARY TABLE short_lived (n int); ALTER TABLE short_lived RENAME TO shorter;
DROP TABLE shorter; SELECT kept();
\c -
SET search_path = front, back, public;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SELECT seen();
ALTER TABLE back.named ALTER COLUMN n SET STATISTICS 10; SELECT seen();

-- functions
CREATE FUNCTION front.thrice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 3'; SELECT seen();
ALTER FUNCTION front.thrice(int) RENAME TO twice; SELECT seen();
ALTER FUNCTION front.twice(int) SET SCHEMA aside; SELECT seen();
ALTER FUNCTION aside.twice(int) SET SCHEMA front; SELECT seen();
DROP FUNCTION front.twice(int); SELECT seen();
-- types
CREATE DOMAIN aside.word AS text CHECK (value <> 'b'); SELECT seen();
ALTER DOMAIN aside.word SET SCHEMA front; SELECT seen();
ALTER DOMAIN front.word RENAME TO words; SELECT seen();
DROP DOMAIN front.words; SELECT seen();
CREATE TYPE front.word AS ENUM ('a'); SELECT seen();
ALTER TYPE front.word RENAME TO letter; SELECT seen();
ALTER TYPE front.letter SET SCHEMA aside; SELECT seen();
-- the rest
CREATE FUNCTION public.joined(int, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'; SELECT seen();
CREATE OPERATOR aside.|| (leftarg = int, rightarg = text, function = joined); SELECT seen();
ALTER OPERATOR aside.|| (int, text) SET SCHEMA front; SELECT seen();
DROP OPERATOR front.|| (int, text); SELECT seen();
CREATE COLLATION aside.sorted FROM "C"; SELECT seen();
ALTER COLLATION aside.sorted SET SCHEMA front; SELECT seen();
ALTER COLLATION front.sorted RENAME TO ordered; SELECT seen();
DROP COLLATION front.ordered; SELECT seen();
CREATE TEXT SEARCH CONFIGURATION aside.words (copy = simple); SELECT seen();
ALTER TEXT SEARCH CONFIGURATION aside.words SET SCHEMA front; SELECT seen();
ALTER TEXT SEARCH CONFIGURATION front.words RENAME TO terms; SELECT seen();
DROP TEXT SEARCH CONFIGURATION front.terms; SELECT seen();
CREATE TEXT SEARCH DICTIONARY aside.words (template = simple); SELECT seen();
ALTER TEXT SEARCH DICTIONARY aside.words SET SCHEMA front; SELECT seen();
ALTER TEXT SEARCH DICTIONARY front.words RENAME TO terms; SELECT seen();
DROP TEXT SEARCH DICTIONARY front.terms; SELECT seen();
CREATE CONVERSION aside.c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; SELECT seen();
ALTER CONVERSION aside.c SET SCHEMA front; SELECT seen();
DROP CONVERSION front.c; SELECT seen();

SET search_path = public;
DROP TABLE public.others, back.named CASCADE;
DROP SCHEMA front, back, aside, fresh CASCADE;
DROP FUNCTION twice, reader, caller, seen, kept, joined CASCADE;
DROP DOMAIN word;
