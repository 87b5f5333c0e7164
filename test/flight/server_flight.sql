-- The functions of server_flight.c.  Variable: module, its path.
CREATE FUNCTION flight_join(key text, wait_ms integer, lifetime text DEFAULT 'session',
	held_off boolean DEFAULT false) RETURNS text AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION flight_end(key text) RETURNS void AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION flight_drop(key text) RETURNS void AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION flight_state() RETURNS text AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION flight_fly(rounds integer, keys integer, seed bigint) RETURNS bigint
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION lease_take(name text, wait_ms integer) RETURNS text AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION lease_end(name text) RETURNS void AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION lease_store(name text, value text) RETURNS void AS :'module' LANGUAGE C STRICT;

-- For a query that leads a flight and fails.
CREATE FUNCTION fail() RETURNS void AS $$BEGIN RAISE 'failed'; END$$ LANGUAGE plpgsql;
