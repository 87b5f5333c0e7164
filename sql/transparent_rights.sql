--
-- Ordinary statements through the cache: trees of tables, views, policies, privileges
--
\getenv srcdir PG_ABS_SRCDIR
\set shared :srcdir '/test/transparent.sql'
\i :shared
SET cache_ext.mode = auto;
SET cache_ext.min_cost = 0;

-- trees
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
INSERT INTO parted VALUES (1, 'one'), (10, 'ten');
SELECT cache_ext.track('parted');
CREATE TABLE base (id int);
CREATE TABLE derived (v text) INHERITS (base);
INSERT INTO base VALUES (1);
INSERT INTO derived VALUES (2, 'two');
SELECT cache_ext.track('base');
:forget
\set q 'SELECT * FROM parted WHERE id < 15 ORDER BY id'
:ask
INSERT INTO parted_2 VALUES (11, 'eleven');
:ask
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (20) TO (30);
INSERT INTO parted VALUES (20, 'twenty');
:ask
ALTER TABLE parted DETACH PARTITION parted_2;
:ask
:forget
PREPARE part(int) AS SELECT v FROM parted WHERE id = $1;
EXECUTE part(1);
EXECUTE part(1);
EXECUTE part(20);
UPDATE parted SET v = 'zwanzig' WHERE id = 20;
EXECUTE part(20);
EXECUTE part(1);
:happened
DEALLOCATE part;
\set q 'SELECT * FROM base ORDER BY id'
:ask
INSERT INTO derived VALUES (3, 'three');
:ask
\set q 'SELECT * FROM ONLY base'
:ask
DROP TABLE parted, parted_2, base, derived;

-- views
CREATE VIEW italian AS SELECT id, name FROM city WHERE country = 'IT';
CREATE VIEW italian_barrier WITH (security_barrier) AS SELECT id, name FROM city WHERE country = 'IT';
CREATE ROLE cx_one;
CREATE ROLE cx_two;
GRANT SELECT ON italian, italian_barrier TO cx_one;
CREATE VIEW italian_invoker WITH (security_invoker) AS SELECT id, name FROM city WHERE country = 'IT';
GRANT SELECT ON italian_invoker TO cx_one;
:forget
\set q 'SELECT name FROM italian ORDER BY id'
:ask
SET ROLE cx_one;
:q;
SELECT name FROM italian_barrier ORDER BY id;
SELECT name FROM city;
:happened
SELECT name FROM italian_invoker ORDER BY id;
RESET ROLE;
SELECT name FROM italian_invoker ORDER BY id;
SET ROLE cx_one;
SELECT name FROM italian_invoker ORDER BY id;
RESET ROLE;
:happened
SET ROLE cx_two;
:q;
SELECT name FROM italian_barrier ORDER BY id;
RESET ROLE;
:happened
-- the owner of the view loses the table
CREATE ROLE cx_owner;
GRANT SELECT ON city TO cx_owner;
ALTER VIEW italian OWNER TO cx_owner;
SET ROLE cx_one;
:q;
RESET ROLE;
REVOKE SELECT ON city FROM cx_owner;
SET ROLE cx_one;
:q;
RESET ROLE;
GRANT SELECT ON city TO cx_owner;
SET ROLE cx_one;
:q;
RESET ROLE;

-- planning drops what nothing refers to, and nobody needs a right on it
CREATE TABLE hidden (id int, v text);
INSERT INTO hidden VALUES (1, 'hidden');
SELECT cache_ext.track('hidden');
GRANT SELECT ON city TO cx_two;
PREPARE unused(int) AS WITH w AS (SELECT * FROM hidden) SELECT name FROM city WHERE id = $1;
:forget
SET ROLE cx_two;
\set q 'WITH w AS (SELECT * FROM hidden) SELECT name FROM city WHERE id < 3 ORDER BY id'
:ask
EXECUTE unused(1);
EXECUTE unused(1);
EXECUTE unused(1);
:happened
\set q 'WITH w AS (SELECT * FROM hidden), x AS (SELECT * FROM w) SELECT (SELECT count(*) FROM city)'
:ask
\set q 'SELECT name FROM city WHERE id < 3 AND (false AND EXISTS (SELECT FROM hidden) OR true) ORDER BY id'
:ask
\set q 'SELECT CASE WHEN true THEN name ELSE (SELECT v FROM hidden) END FROM city WHERE id < 3 ORDER BY id'
:ask
-- a right that is taken away between two executions is missing at once
\set q 'SELECT name FROM city WHERE id < 3 ORDER BY id'
:ask
RESET ROLE;
REVOKE SELECT ON city FROM cx_two;
SET ROLE cx_two;
:q;
EXECUTE unused(1);
RESET ROLE;
DEALLOCATE unused;
DROP TABLE hidden;

-- policies
CREATE TABLE secret (id int, owner name, v text);
INSERT INTO secret VALUES (1, 'cx_one', 'of one'), (2, 'cx_two', 'of two');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_user);
GRANT SELECT ON secret TO cx_one, cx_two;
SELECT cache_ext.track('secret');
:forget
PREPARE secrets AS SELECT v FROM secret ORDER BY id;
SET ROLE cx_one;
SELECT v FROM secret ORDER BY id;
EXECUTE secrets;
SET ROLE cx_two;
SELECT v FROM secret ORDER BY id;
EXECUTE secrets;
SET ROLE cx_one;
EXECUTE secrets;
SELECT v FROM secret ORDER BY id;
RESET ROLE;
SELECT v FROM secret ORDER BY id;
EXECUTE secrets;
SET row_security = off;
SET ROLE cx_two;
EXECUTE secrets;
RESET ROLE;
RESET row_security;
:happened
DROP POLICY own ON secret;
CREATE POLICY own ON secret USING (owner <> current_user);
SET ROLE cx_one;
SELECT v FROM secret ORDER BY id;
EXECUTE secrets;
RESET ROLE;

-- privileges taken away between executions
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * x; END';
REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
GRANT EXECUTE ON FUNCTION twice TO cx_one;
GRANT SELECT (id, name) ON city TO cx_one;
:forget
SET ROLE cx_one;
PREPARE names AS SELECT name FROM city WHERE id = 1;
PREPARE doubled(int) AS SELECT twice(id) FROM city WHERE id = $1;
EXECUTE names;
EXECUTE names;
EXECUTE doubled(1);
EXECUTE doubled(1);
:happened
SELECT population FROM city WHERE id = 1;
SET ROLE cx_two;
EXECUTE names;
SELECT name FROM city WHERE id = 1;
EXECUTE doubled(1);
RESET ROLE;
REVOKE SELECT (name) ON city FROM cx_one;
REVOKE EXECUTE ON FUNCTION twice FROM cx_one;
SET ROLE cx_one;
EXECUTE names;
EXECUTE doubled(1);
SELECT name FROM city WHERE id = 1;
SELECT id FROM city WHERE id = 1;
RESET ROLE;
GRANT EXECUTE ON FUNCTION twice TO cx_one;
SET ROLE cx_one;
EXECUTE doubled(1);
RESET ROLE;
DEALLOCATE ALL;
DROP OWNED BY cx_one, cx_two, cx_owner CASCADE;
DROP ROLE cx_one, cx_two, cx_owner;
DROP TABLE secret;
DROP FUNCTION twice;

DROP VIEW italian_barrier, italian_invoker;
DROP TABLE city;
DROP FUNCTION happened;
\set removed `rm -f :cached :uncached`
