-- The view of statements: its columns, and who may see it.  What it shows is tested with
-- test/t/060_accounts.pl.
SELECT cache_ext.reset_statements();
SELECT * FROM cache_ext.statements;
SELECT * FROM cache_ext.statements();

-- for the owner at first
CREATE ROLE cx_reader;
SET ROLE cx_reader;
SELECT count(*) FROM cache_ext.statements;
SELECT count(*) FROM cache_ext.statements();
SELECT cache_ext.reset_statements();
RESET ROLE;

-- who may grant it: reading, or forgetting
GRANT SELECT ON cache_ext.statements TO cx_reader;
GRANT EXECUTE ON FUNCTION cache_ext.statements() TO cx_reader;
SET ROLE cx_reader;
SELECT count(*) FROM cache_ext.statements;
SELECT cache_ext.reset_statements();
RESET ROLE;
GRANT EXECUTE ON FUNCTION cache_ext.reset_statements() TO cx_reader;
SET ROLE cx_reader;
SELECT cache_ext.reset_statements();
RESET ROLE;

REVOKE ALL ON cache_ext.statements FROM cx_reader;
REVOKE ALL ON FUNCTION cache_ext.statements(), cache_ext.reset_statements() FROM cx_reader;
DROP ROLE cx_reader;
