--
-- Every kind of write: what it changes is seen at once, what it doesn't stays cached
--
SET client_min_messages = warning;

-- queries that return one text, kept cached by fill() and looked at by effect()
CREATE TABLE watched (name text PRIMARY KEY, sql text);

CREATE FUNCTION fill() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	w watched;
BEGIN
	FOR w IN SELECT * FROM watched LOOP
		FOR attempt IN 1..100 LOOP
			PERFORM * FROM cache_ext.query(w.sql) AS t(v text);
			EXIT WHEN (SELECT valid FROM cache_ext.explain(w.sql));
		END LOOP;
		IF (SELECT valid FROM cache_ext.explain(w.sql)) IS NOT TRUE THEN
			RAISE EXCEPTION 'not cached: % because %', w.name,
				(SELECT reason FROM cache_ext.explain(w.sql));
		END IF;
	END LOOP;
END $$;

-- the watched queries whose entries are no longer valid; an error if a cached result is wrong
CREATE FUNCTION effect() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	w watched;
	cached text;
	live text;
	names text[] = '{}';
BEGIN
	FOR w IN SELECT * FROM watched ORDER BY name COLLATE "C" LOOP
		IF (SELECT valid FROM cache_ext.explain(w.sql)) IS NOT TRUE THEN
			names = names || w.name;
		END IF;
		SELECT v INTO cached FROM cache_ext.query(w.sql) AS t(v text);
		EXECUTE w.sql INTO live;
		IF cached IS DISTINCT FROM live THEN
			RAISE EXCEPTION '% is % but the cache says %', w.name, live, cached;
		END IF;
	END LOOP;
	PERFORM fill();
	RETURN array_to_string(names, ', ');
END $$;

--
-- One table
--
CREATE TABLE item (id int PRIMARY KEY, grp int, n int, note text);
CREATE TABLE line (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE other (i int);
INSERT INTO item SELECT i, i % 10, i FROM generate_series(1, 100) i;
INSERT INTO line SELECT i, i FROM generate_series(1, 20) i;
SELECT cache_ext.track('item', '{grp}');
SELECT cache_ext.track('line', '{item}');
SELECT cache_ext.track('other');
INSERT INTO watched VALUES
	('all', 'SELECT sum(n)::text FROM item'),
	('grp 3', 'SELECT sum(n)::text FROM item WHERE grp = 3'),
	('grp 4', 'SELECT sum(n)::text FROM item WHERE grp = 4'),
	('join', 'SELECT count(*)::text FROM item JOIN line ON line.item = item.id WHERE item.grp = 3'),
	('lines', 'SELECT count(*)::text FROM line'),
	('line of 7', 'SELECT count(*)::text FROM line WHERE item = 7'),
	('other', 'SELECT count(*)::text FROM other');
SELECT fill();
SELECT effect();

INSERT INTO item VALUES (101, 3, 1000);
SELECT effect();
UPDATE item SET n = n + 1 WHERE id = 101;
SELECT effect();
UPDATE item SET grp = 4 WHERE id = 101;
SELECT effect();
UPDATE item SET grp = NULL WHERE id = 101;
SELECT effect();
UPDATE item SET n = 7 WHERE id = 101;
SELECT effect();
UPDATE item SET grp = 3 WHERE id = 101;
SELECT effect();
DELETE FROM item WHERE id = 101;
SELECT effect();
COPY item FROM STDIN;
101	4	1	copied
\.
SELECT effect();
MERGE INTO item USING (VALUES (101, 3), (102, 5)) AS v(id, grp) ON item.id = v.id
	WHEN MATCHED THEN UPDATE SET grp = v.grp
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.grp, 1);
SELECT effect();
MERGE INTO item USING (VALUES (101)) AS v(id) ON item.id = v.id
	WHEN MATCHED THEN DELETE;
SELECT effect();
INSERT INTO item VALUES (102, 3, 1) ON CONFLICT (id) DO UPDATE SET grp = excluded.grp;
SELECT effect();
WITH changed AS (UPDATE item SET n = 2 WHERE id = 102 RETURNING n) SELECT n FROM changed;
SELECT effect();
CREATE VIEW low AS SELECT id, n FROM item WHERE grp < 5;
UPDATE low SET n = 3 WHERE id = 102;
SELECT effect();
DO $$ BEGIN UPDATE item SET n = 4 WHERE id = 102; END $$;
SELECT effect();
CREATE PROCEDURE add_and_commit() LANGUAGE plpgsql AS $$
BEGIN
	UPDATE item SET n = 5 WHERE id = 102;
	COMMIT;
	UPDATE other SET i = 1;
	INSERT INTO other VALUES (1);
END $$;
CALL add_and_commit();
SELECT effect();
CREATE FUNCTION also_other() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO other VALUES (2); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON line DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION also_other();
SELECT effect();
INSERT INTO line VALUES (100, 7);
SELECT effect();
DELETE FROM item WHERE id = 7;	-- cascades
SELECT effect();
UPDATE item SET id = 1003 WHERE id = 3;	-- cascades
SELECT effect();
SET session_replication_role = replica;
UPDATE item SET n = 6 WHERE id = 102;
RESET session_replication_role;
SELECT effect();
SELECT n FROM item WHERE id = 102 FOR UPDATE;
SELECT effect();
TRUNCATE line;
SELECT effect();
TRUNCATE item CASCADE;
SELECT effect();
INSERT INTO item SELECT i, i % 10, i FROM generate_series(1, 100) i;
SELECT effect();

-- more keys than a transaction marks one by one
SET cache_ext.max_dirty_keys = 5;
UPDATE item SET n = n + 1 WHERE grp IN (1, 2);
SELECT effect();
UPDATE item SET n = n + 1 WHERE grp NOT IN (3, 4);
SELECT effect();
RESET cache_ext.max_dirty_keys;

-- transactions
BEGIN;
UPDATE item SET n = 0 WHERE grp = 3;
ROLLBACK;
SELECT effect();
BEGIN;
SAVEPOINT s;
UPDATE item SET n = 0 WHERE grp = 4;
ROLLBACK TO s;
INSERT INTO other VALUES (3);
COMMIT;
SELECT effect();
BEGIN;
SAVEPOINT s;
UPDATE item SET n = 0 WHERE grp = 4;
RELEASE s;
COMMIT;
SELECT effect();
BEGIN;
INSERT INTO item VALUES (200, 3, 1);
DELETE FROM item WHERE id = 200;
COMMIT;
SELECT effect();
DO $$
BEGIN
	UPDATE item SET n = 9 WHERE grp = 3;
	RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
	INSERT INTO other VALUES (4);
END $$;
SELECT effect();
BEGIN;
UPDATE item SET n = 1 WHERE grp = 4;
PREPARE TRANSACTION 'invalidation';
SELECT effect();
COMMIT PREPARED 'invalidation';
SELECT effect();
BEGIN;
UPDATE item SET n = 2 WHERE grp = 4;
PREPARE TRANSACTION 'invalidation';
ROLLBACK PREPARED 'invalidation';
SELECT effect();

-- what changes nothing invalidates nothing, in a transaction that writes elsewhere too
BEGIN;
INSERT INTO other VALUES (5);
UPDATE item SET n = 1 WHERE id = -1;
UPDATE item SET n = 1 WHERE false;
DELETE FROM item WHERE id = -1;
INSERT INTO item SELECT 1, 2, 3 WHERE false;
INSERT INTO item VALUES (1, 3, 3) ON CONFLICT DO NOTHING;
COMMIT;
SELECT effect();

-- unless it wasn't counted
BEGIN;
INSERT INTO other VALUES (6);
SET LOCAL track_counts = off;
UPDATE item SET n = 1 WHERE id = -1;
COMMIT;
SELECT effect();
BEGIN;
UPDATE item SET n = 1 WHERE id = -1;
SET LOCAL track_counts = off;
SELECT 1;
SET LOCAL track_counts = on;
INSERT INTO other VALUES (7);
COMMIT;
SELECT effect();

-- the transaction itself sees what it wrote
BEGIN;
UPDATE item SET n = n + 1 WHERE grp = 3;
SELECT v = (SELECT sum(n)::text FROM item WHERE grp = 3) AS same
	FROM cache_ext.query('SELECT sum(n)::text FROM item WHERE grp = 3') AS t(v text);
ROLLBACK;
SELECT effect();

-- key columns of other types
CREATE DOMAIN code AS text COLLATE "C" CHECK (value <> '');
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE typed (id serial, t text, d code, c char(5), num numeric, ts timestamptz, u uuid, m mood, v varchar);
SELECT cache_ext.track('typed', '{t,d,c,num,ts,u,m,v}');
INSERT INTO typed (t, d, c, num, ts, u, m, v) VALUES
	('a', 'a', 'a', 1, '2020-01-01 UTC', '00000000-0000-0000-0000-000000000001', 'sad', 'a'),
	('b', 'b', 'b', 2, '2021-01-01 UTC', '00000000-0000-0000-0000-000000000002', 'glad', 'b');
DELETE FROM watched;
INSERT INTO watched VALUES
	('c', $$SELECT count(*)::text FROM typed WHERE c = 'a'$$),
	('d', $$SELECT count(*)::text FROM typed WHERE d = 'a'$$),
	('m', $$SELECT count(*)::text FROM typed WHERE m = 'sad'$$),
	('num', $$SELECT count(*)::text FROM typed WHERE num = 1$$),
	('t', $$SELECT count(*)::text FROM typed WHERE t = 'a'$$),
	('ts', $$SELECT count(*)::text FROM typed WHERE ts = '2020-01-01 UTC'$$),
	('u', $$SELECT count(*)::text FROM typed WHERE u = '00000000-0000-0000-0000-000000000001'$$),
	('v', $$SELECT count(*)::text FROM typed WHERE v = 'a'$$);
SELECT fill();
UPDATE typed SET id = id + 100 WHERE t = 'a';
SELECT effect();
UPDATE typed SET id = id + 100 WHERE t = 'b';
SELECT effect();
UPDATE typed SET num = 1.00 WHERE t = 'b';
SELECT effect();
UPDATE typed SET t = 'c', d = 'c', c = 'c', num = 3, ts = now(), u = NULL, m = NULL, v = 'c';
SELECT effect();

--
-- A partition tree whose members have their columns at different places
--
CREATE TABLE sale (id int, gone int, grp int, n int, day date) PARTITION BY RANGE (day);
ALTER TABLE sale DROP COLUMN gone;
CREATE TABLE sale_20 PARTITION OF sale FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE sale_21 (day date, n int, grp int, id int);
ALTER TABLE sale ATTACH PARTITION sale_21 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE sale_22 PARTITION OF sale FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')
	PARTITION BY LIST (grp);
CREATE TABLE sale_22_few PARTITION OF sale_22 FOR VALUES IN (1, 2, 3);
CREATE TABLE sale_22_rest PARTITION OF sale_22 DEFAULT;
SELECT cache_ext.track('sale', '{grp}');
DELETE FROM watched;
INSERT INTO watched VALUES
	('2021', 'SELECT sum(n)::text FROM sale_21'),
	('2021 grp 3', 'SELECT sum(n)::text FROM sale_21 WHERE grp = 3'),
	('2022', 'SELECT sum(n)::text FROM sale_22'),
	('all', 'SELECT sum(n)::text FROM sale'),
	('grp 3', 'SELECT sum(n)::text FROM sale WHERE grp = 3'),
	('grp 4', 'SELECT sum(n)::text FROM sale WHERE grp = 4');
SELECT fill();
INSERT INTO sale VALUES (1, 3, 1, '2020-02-02'), (2, 3, 2, '2021-02-02'), (3, 3, 4, '2022-02-02');
SELECT effect();
UPDATE sale_21 SET n = 8;
SELECT effect();
UPDATE sale_21 SET grp = 4;
SELECT effect();
UPDATE sale_22_few SET n = 16;
SELECT effect();
UPDATE sale_22 SET n = 32;
SELECT effect();
UPDATE sale_22 SET grp = 4;	-- moves to another partition
SELECT effect();
UPDATE sale SET day = '2020-03-03' WHERE grp = 4;	-- moves too
SELECT effect();
UPDATE sale SET n = 64 WHERE day < '2021-01-01' AND grp = 3;
SELECT effect();
DELETE FROM sale_20 WHERE grp = 3;
SELECT effect();
COPY sale_21 FROM STDIN;
2021-07-07	5	3	4
\.
SELECT effect();
BEGIN;
INSERT INTO other VALUES (8);
UPDATE sale SET n = 1 WHERE id = -1;
UPDATE sale_22 SET n = 1 WHERE id = -1;
UPDATE sale_20 SET n = 1 WHERE id = -1;
COMMIT;
SELECT effect();
TRUNCATE sale_21;
SELECT effect();
TRUNCATE sale_22;
SELECT effect();
TRUNCATE sale;
SELECT effect();

--
-- Inheritance: a statement on a parent fires its triggers only
--
CREATE TABLE base (id int, n int);
CREATE TABLE child (extra int) INHERITS (base);
CREATE TABLE grandchild () INHERITS (child);
CREATE TABLE sibling () INHERITS (base);
SELECT cache_ext.track('base');
INSERT INTO base VALUES (1, 1);
INSERT INTO child VALUES (2, 2);
INSERT INTO grandchild VALUES (3, 4);
INSERT INTO sibling VALUES (4, 8);
DELETE FROM watched;
INSERT INTO watched VALUES
	('base', 'SELECT sum(n)::text FROM base'),
	('base only', 'SELECT sum(n)::text FROM ONLY base'),
	('child', 'SELECT sum(n)::text FROM child'),
	('grandchild', 'SELECT sum(n)::text FROM grandchild'),
	('sibling', 'SELECT sum(n)::text FROM sibling');
SELECT fill();
UPDATE base SET n = n + 1;
SELECT effect();
UPDATE base SET n = n + 1 WHERE id = 3;
SELECT effect();
UPDATE ONLY base SET n = n + 1;
SELECT effect();
UPDATE child SET n = n + 1 WHERE id = 2;
SELECT effect();
DELETE FROM grandchild;
SELECT effect();
BEGIN;
INSERT INTO other VALUES (9);
UPDATE base SET n = 1 WHERE id = -1;
UPDATE child SET n = 1 WHERE id = -1;
COMMIT;
SELECT effect();
TRUNCATE child;
SELECT effect();
TRUNCATE ONLY base;
SELECT effect();

--
-- Materialized views
--
CREATE MATERIALIZED VIEW summary AS SELECT id, n FROM sibling;
CREATE UNIQUE INDEX ON summary (id);
DELETE FROM watched;
INSERT INTO watched VALUES ('summary', 'SELECT sum(n)::text FROM summary');
SELECT fill();
UPDATE sibling SET n = n + 1;
SELECT effect();
REFRESH MATERIALIZED VIEW summary;
SELECT effect();
REFRESH MATERIALIZED VIEW CONCURRENTLY summary;
SELECT effect();
UPDATE sibling SET n = n + 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY summary;
SELECT effect();

--
-- By hand
--
DELETE FROM watched;
INSERT INTO watched VALUES ('other', 'SELECT count(*)::text FROM other'),
	('sibling', 'SELECT sum(n)::text FROM sibling');
SELECT fill();
SELECT cache_ext.invalidate('other');
SELECT effect();
SELECT cache_ext.invalidate_all();
SELECT effect();

DROP TABLE item, line, other, typed, sale, base, watched CASCADE;
DROP FUNCTION also_other, fill, effect;
DROP PROCEDURE add_and_commit;
DROP DOMAIN code;
DROP TYPE mood;
