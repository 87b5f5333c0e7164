-- The functions of local_state.c.  Variable: module, its path.
CREATE FUNCTION local_state(used OUT bigint, entries OUT bigint, pins OUT bigint,
	evictions OUT bigint) AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION local_clear() RETURNS void AS :'module' LANGUAGE C STRICT;
