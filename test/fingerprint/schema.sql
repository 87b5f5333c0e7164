-- What the queries of queries.sql are about: test/t/091_fingerprint.pl.
CREATE SCHEMA trees;
SET search_path = trees;

CREATE ROLE trees_reader;
CREATE ROLE trees_owner;
CREATE TYPE address AS (street text, town varchar(20));
CREATE TYPE other_address AS (street text, town varchar(20));
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN words AS text;
CREATE TABLE t (id int PRIMARY KEY, a int, b bigint, c text, d varchar(20), n numeric(10, 2), at date,
	seen timestamptz, home address, list int[], grid text[], doc jsonb, paint color, page xml, ok bool);
CREATE TABLE u (id int PRIMARY KEY, t int, a int, b bigint, c text);
CREATE TABLE w (id bigint, c varchar(10), a int);
CREATE TABLE child (more int) INHERITS (t);
CREATE TABLE typed OF address;
CREATE VIEW v AS SELECT id, a, c FROM t WHERE a > 1;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, a, c FROM t WHERE a > 1;
CREATE VIEW asked WITH (security_invoker) AS SELECT id, a, c FROM t WHERE a > 1;
CREATE FUNCTION f(a int, b int DEFAULT 2, c int DEFAULT 3) RETURNS int STABLE LANGUAGE sql
	RETURN a + b + c;
CREATE FUNCTION g(VARIADIC numbers int[]) RETURNS int STABLE LANGUAGE sql RETURN numbers[1];
CREATE FUNCTION rows_of(a int) RETURNS SETOF t STABLE LANGUAGE sql AS 'SELECT * FROM t WHERE id = a';
CREATE FUNCTION any_rows(a int) RETURNS SETOF record STABLE LANGUAGE sql AS 'SELECT a, a';
GRANT USAGE ON SCHEMA trees TO trees_reader, trees_owner;
GRANT SELECT ON t, u, w, v TO trees_reader, trees_owner;
