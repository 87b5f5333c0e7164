-- ask: Which descriptions speak of a web server? (full text search, with its index)
-- columns: package text, description text
-- argument: web server
-- change: UPDATE package SET description = 'The web server of web servers: a web server' WHERE name = 'nginx'
-- tell: nginx describes itself anew
SELECT name, description
FROM package
WHERE words @@ websearch_to_tsquery('english', $1)
ORDER BY ts_rank(words, websearch_to_tsquery('english', $1)) DESC, name
LIMIT 10
