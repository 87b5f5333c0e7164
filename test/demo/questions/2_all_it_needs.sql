-- ask: What does libreoffice pull in, counting the dependencies of its dependencies?
-- columns: packages bigint, megabytes numeric
-- argument: libreoffice
-- change: UPDATE package SET installed_size = installed_size + 100 * 1024 WHERE name = 'libc6'
-- tell: libc6 grew by 100 MB
WITH RECURSIVE needed (name) AS (
	SELECT $1::text
	UNION
	SELECT d.depends_on
	FROM needed n JOIN dependency d ON d.package = n.name
	WHERE d.kind IN ('Depends', 'Pre-Depends')
)
SELECT count(*), round(sum(p.installed_size) / 1024)
FROM needed JOIN package p USING (name)
