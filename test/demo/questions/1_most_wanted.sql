-- ask: Which packages do most others depend on?
-- columns: package text, dependants bigint
-- change: INSERT INTO dependency VALUES ('cache-ext-demo', 'Depends', 'libc6')
-- tell: one more package depends on libc6
SELECT depends_on, count(*)
FROM dependency
WHERE kind = 'Depends'
GROUP BY depends_on
ORDER BY count(*) DESC, depends_on
LIMIT 10
