-- ask: Whose packages take most space when installed?
-- columns: maintainer text, packages bigint, gigabytes numeric
-- change: UPDATE package SET maintainer = 'Somebody Else <else@example.org>' WHERE section = 'games'
-- tell: all games went to a new maintainer
SELECT maintainer, count(*), round(sum(installed_size) / 1024.0 / 1024.0, 1)
FROM package
GROUP BY maintainer
ORDER BY sum(installed_size) DESC, maintainer
LIMIT 10
