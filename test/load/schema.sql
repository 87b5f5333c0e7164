-- Tables of the load test (test/load/load.c).  Every value only ever grows.

-- Who reads is no superuser, who may read everything.
CREATE ROLE load;
GRANT CREATE ON SCHEMA public TO load;
GRANT EXECUTE ON FUNCTION cache_ext.track(regclass, name[]) TO load;
SET ROLE load;

-- One counter a row.  plain has no key columns (tag T), keyed has one (tag K), parted is
-- partitioned and written through its root and through its members, rewritten is also changed by
-- ALTER TABLE, and large results are made of wide.
CREATE TABLE plain (id int PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE keyed (id int PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE parted (id int PRIMARY KEY, value bigint NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (8);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (8) TO (16);
CREATE TABLE rewritten (id int PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE wide (id int PRIMARY KEY, value bigint NOT NULL);

INSERT INTO plain SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO keyed SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO parted SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO rewritten SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO wide SELECT id, 0 FROM generate_series(0, 15) id;

-- The counter is in the referenced row; the referencing one follows by a cascade.
CREATE TABLE source (id int, value bigint, PRIMARY KEY (id, value));
CREATE TABLE cascaded (
	id int PRIMARY KEY,
	value bigint NOT NULL,
	FOREIGN KEY (id, value) REFERENCES source ON UPDATE CASCADE
);
INSERT INTO source SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO cascaded SELECT id, 0 FROM generate_series(0, 15) id;

-- Always eight rows of the same value, by TRUNCATE and INSERT or by DELETE and INSERT.
CREATE TABLE refilled (id int PRIMARY KEY, value bigint NOT NULL);
INSERT INTO refilled SELECT id, 0 FROM generate_series(0, 7) id;

-- Amounts go from one to the other: the sum of both is 1000 a row at any time, and the number of
-- transfers is the same in both.
CREATE TABLE giver (id int PRIMARY KEY, amount bigint NOT NULL, value bigint NOT NULL);
CREATE TABLE taker (id int PRIMARY KEY, amount bigint NOT NULL, value bigint NOT NULL);
INSERT INTO giver SELECT id, 1000, 0 FROM generate_series(0, 15) id;
INSERT INTO taker SELECT id, 0, 0 FROM generate_series(0, 15) id;

-- Counters that definitions say, of a table that seldom changes, and a table that may be read while
-- the number of changes of its rights is even.
CREATE VIEW shown AS SELECT id, 0::bigint AS value FROM wide;
CREATE FUNCTION called() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
CREATE TABLE granted AS SELECT 1::bigint AS value;

CREATE FUNCTION bump_plain(which int) RETURNS bigint LANGUAGE plpgsql AS
$$
DECLARE
	now_is bigint;
BEGIN
	UPDATE plain SET value = value + 1 WHERE id = which RETURNING value INTO now_is;
	RETURN now_is;
END
$$;
CREATE FUNCTION bump_keyed(which int) RETURNS bigint LANGUAGE sql AS
'UPDATE keyed SET value = value + 1 WHERE id = which RETURNING value';
CREATE FUNCTION bump_parted(which int) RETURNS bigint LANGUAGE sql AS
'UPDATE parted SET value = value + 1 WHERE id = which RETURNING value';
CREATE FUNCTION bump_rewritten(which int) RETURNS bigint LANGUAGE sql AS
'UPDATE rewritten SET value = value + 1 WHERE id = which RETURNING value';
CREATE FUNCTION bump_wide(which int) RETURNS bigint LANGUAGE sql AS
'UPDATE wide SET value = value + 1 WHERE id = which RETURNING value';

SELECT cache_ext.track('plain');
SELECT cache_ext.track('keyed', '{id}');
SELECT cache_ext.track('parted', '{id}');
SELECT cache_ext.track('rewritten', '{id}');
SELECT cache_ext.track('wide', '{id}');
SELECT cache_ext.track('source');
SELECT cache_ext.track('cascaded', '{id}');
SELECT cache_ext.track('refilled');
SELECT cache_ext.track('giver', '{id}');
SELECT cache_ext.track('taker', '{id}');
SELECT cache_ext.track('granted');
