-- Tables of the load test (test/load/load.c).  Every value only ever grows.

-- One counter a row.  plain has no key columns (tag T), keyed has one (tag K), parted is
-- partitioned and written through its root and through its members.
CREATE TABLE plain (id int PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE keyed (id int PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE parted (id int PRIMARY KEY, value bigint NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (8);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (8) TO (16);

INSERT INTO plain SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO keyed SELECT id, 0 FROM generate_series(0, 15) id;
INSERT INTO parted SELECT id, 0 FROM generate_series(0, 15) id;

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

SELECT cache_ext.track('plain');
SELECT cache_ext.track('keyed', '{id}');
SELECT cache_ext.track('parted', '{id}');
SELECT cache_ext.track('source');
SELECT cache_ext.track('cascaded', '{id}');
SELECT cache_ext.track('refilled');
SELECT cache_ext.track('giver', '{id}');
SELECT cache_ext.track('taker', '{id}');
