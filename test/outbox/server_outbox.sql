-- The functions of server_outbox.c.  Variable: module, its path.
CREATE FUNCTION outbox_entity(pattern text, key text, value bytea, command integer DEFAULT 1,
	fence boolean DEFAULT false, ttl_ms bigint DEFAULT 0) RETURNS void AS :'module' LANGUAGE C;
CREATE FUNCTION outbox_sweep(pattern text, fence boolean DEFAULT false) RETURNS void
	AS :'module' LANGUAGE C;
CREATE FUNCTION outbox_set(key text, value bytea, ttl_ms bigint DEFAULT 0) RETURNS void
	AS :'module' LANGUAGE C;
CREATE FUNCTION outbox_delete(key text) RETURNS void AS :'module' LANGUAGE C;
CREATE FUNCTION outbox_unlock(key text, token text) RETURNS void AS :'module' LANGUAGE C;
CREATE FUNCTION entity_fill(key text, value bytea, ttl_ms bigint, lsn pg_lsn) RETURNS text
	AS :'module' LANGUAGE C;
CREATE FUNCTION entity_take_back(key text, lsn pg_lsn) RETURNS void AS :'module' LANGUAGE C;
CREATE FUNCTION entity_set(key text, value bytea, timeline integer, generation bigint, lsn pg_lsn,
	sequence bigint, not_after bigint, ttl_ms bigint DEFAULT 0) RETURNS bigint
	AS :'module' LANGUAGE C;
CREATE FUNCTION entity_remove(key text, "all" boolean, timeline integer, generation bigint,
	lsn pg_lsn, sequence bigint) RETURNS bigint AS :'module' LANGUAGE C;
CREATE FUNCTION redis_clock() RETURNS bigint AS :'module' LANGUAGE C;

-- A map of one column, {"v": number}, of 0 to 65535.
CREATE FUNCTION image(number integer) RETURNS bytea
	AS $$SELECT decode('81a176cd' || lpad(to_hex(number), 4, '0'), 'hex')$$ LANGUAGE sql;

-- Rows that tell Redis of themselves.
CREATE TABLE t (id integer PRIMARY KEY, v integer);

CREATE FUNCTION tell() RETURNS trigger AS $$
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		PERFORM outbox_sweep('cache_ext:db:row:t:*', TG_ARGV[0]::boolean);
	ELSIF TG_OP = 'DELETE' THEN
		PERFORM outbox_entity('cache_ext:db:row:t:*', 'cache_ext:db:row:t:' || OLD.id, NULL,
			1, TG_ARGV[0]::boolean);
	ELSE
		IF TG_OP = 'UPDATE' AND OLD.id <> NEW.id THEN
			PERFORM outbox_entity('cache_ext:db:row:t:*', 'cache_ext:db:row:t:' || OLD.id, NULL,
				1, TG_ARGV[0]::boolean);
		END IF;
		PERFORM outbox_entity('cache_ext:db:row:t:*', 'cache_ext:db:row:t:' || NEW.id, image(NEW.v),
			1, TG_ARGV[0]::boolean);
	END IF;
	RETURN NULL;
END
$$ LANGUAGE plpgsql;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON t
	FOR EACH ROW EXECUTE FUNCTION tell('false');
CREATE TRIGGER tell_all AFTER TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION tell('false');
