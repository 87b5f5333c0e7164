-- Orders of customers: what a dashboard reads.  The statements are functions of a number of rows, so
-- that they cost the same whether 1, 100 or 5,000 rows come back.
CREATE EXTENSION cache_ext;
CREATE TABLE country (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country int NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, day date NOT NULL, amount numeric NOT NULL);
INSERT INTO country SELECT i, 'country ' || i FROM generate_series(0, 99) i;
INSERT INTO customer SELECT i, 'customer ' || i, i % 100 FROM generate_series(1, 5000) i;
INSERT INTO orders SELECT i, 1 + i % 5000, date '2024-01-01' + i % 365, i % 1000 / 10.0
	FROM generate_series(1, 200000) i;
VACUUM ANALYZE country, customer, orders;
SELECT cache_ext.track('country'), cache_ext.track('customer'), cache_ext.track('orders');
