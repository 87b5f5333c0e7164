CREATE INDEX ON dependency (depends_on);
CREATE INDEX ON package USING gin (words);
VACUUM ANALYZE package, dependency;
