-- test/settings/settings.sql: the objects of settings.c.  MODULE stands for its file.
CREATE FUNCTION settings_shown(text) RETURNS text AS 'MODULE' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION settings_times(int, int) RETURNS int AS 'MODULE' LANGUAGE C IMMUTABLE STRICT;
CREATE OPERATOR *** (leftarg = int, rightarg = int, function = settings_times);
CREATE AGGREGATE settings_product(int) (sfunc = settings_times, stype = int, initcond = '1');
CREATE TYPE shown;
CREATE FUNCTION settings_in(cstring) RETURNS shown AS 'MODULE' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION settings_out(shown) RETURNS cstring AS 'MODULE' LANGUAGE C IMMUTABLE STRICT;
CREATE TYPE shown (input = settings_in, output = settings_out, like = int);
CREATE CAST (int AS shown) WITHOUT FUNCTION;
CREATE FUNCTION limited_handler(internal) RETURNS index_am_handler AS 'MODULE' LANGUAGE C;
CREATE ACCESS METHOD limited TYPE INDEX HANDLER limited_handler;
CREATE OPERATOR CLASS int_limited DEFAULT FOR TYPE int USING limited AS
	OPERATOR 1 =, FUNCTION 1 hashint4(int);
