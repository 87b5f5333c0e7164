/* test/postgres/track_created--1.0.sql: tracks every table as it is created */

\echo Use "CREATE EXTENSION track_created" to load this file. \quit

GRANT EXECUTE ON FUNCTION cache_ext.track(regclass, name[]) TO PUBLIC;

-- Tables that a test turns into views, which PostgreSQL 15 refuses for a table with triggers.
CREATE TABLE cache_ext.tables_becoming_views (test text, name name);
GRANT SELECT ON cache_ext.tables_becoming_views TO PUBLIC;
INSERT INTO cache_ext.tables_becoming_views VALUES
	('create_view', 'tt27'),
	('create_view', 'tt28'),
	('rowsecurity', 't'),
	('rules', 'rules_fooview'),
	('rules', 'rules_fooview_child');

-- The first columns that can be key columns, as many as track_created.key_columns says.
CREATE FUNCTION cache_ext.first_key_columns(relation regclass)
RETURNS name[]
LANGUAGE sql STABLE
SET search_path = pg_catalog
AS $$
	SELECT coalesce(array_agg(k.attname ORDER BY k.attnum), '{}')
	FROM (SELECT a.attname, a.attnum
		  FROM pg_attribute a
		  WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND
			EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
					WHERE m.amname = 'hash' AND o.opcdefault AND o.opcintype = a.atttypid)
		  ORDER BY a.attnum
		  LIMIT coalesce(current_setting('track_created.key_columns', true), '0')::int) k
$$;

-- Partitions are tracked with their root, as they come to it.
CREATE FUNCTION cache_ext.track_created()
RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
	created regclass;
BEGIN
	FOR created IN
		SELECT c.oid
		FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
		WHERE d.classid = 'pg_class'::regclass AND
			d.command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') AND
			c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition AND
			NOT EXISTS (SELECT FROM cache_ext.tables_becoming_views v
						WHERE v.name = c.relname AND
							'pg_regress/' || v.test = current_setting('application_name'))
	LOOP
		PERFORM cache_ext.track(created, cache_ext.first_key_columns(created));
	END LOOP;
END
$$;

CREATE EVENT TRIGGER track_created ON ddl_command_end
	WHEN TAG IN ('CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
	EXECUTE FUNCTION cache_ext.track_created();
ALTER EVENT TRIGGER track_created ENABLE ALWAYS;
