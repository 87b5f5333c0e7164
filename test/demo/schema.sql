-- The Debian package index as somebody would keep it who asks it questions: with the indexes that
-- help to answer them.
CREATE TABLE package (
	name text PRIMARY KEY,
	version text NOT NULL,
	section text,
	maintainer text,
	installed_size bigint,		-- kB
	download_size bigint,		-- bytes
	description text,
	words tsvector GENERATED ALWAYS AS (to_tsvector('english', coalesce(description, ''))) STORED
);
CREATE TABLE dependency (
	package text NOT NULL,
	kind text NOT NULL,			-- Depends, Pre-Depends, Recommends or Suggests
	depends_on text NOT NULL,
	PRIMARY KEY (package, kind, depends_on)
);
