-- ask: What is hello? (one row by its primary key: PostgreSQL has this in memory too, no gain)
-- columns: version text, description text
-- argument: hello
-- change: UPDATE package SET version = '99' WHERE name = 'hello'
-- tell: hello has a new version
SELECT version, description FROM package WHERE name = $1
