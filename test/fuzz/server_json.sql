-- test/fuzz/server_json.sql: MessagePack of JSON values, and what only other languages write, damaged.
-- Variables: module, runs, seed.  Any error is a finding, and so is the end of the connection.
\set ON_ERROR_STOP on
\set QUIET on

CREATE FUNCTION fuzz_json(value bytea, runs integer, seed bigint) RETURNS bigint
AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION json_bytes(value jsonb) RETURNS bytea
AS :'module' LANGUAGE C STRICT;

CREATE TABLE inputs (id int GENERATED ALWAYS AS IDENTITY, bytes bytea);
INSERT INTO inputs (bytes) SELECT json_bytes(value) FROM (VALUES
	('null'::jsonb), ('true'), ('5'), ('-200'), ('18446744073709551615'), ('1.5'), ('1e300'),
	('0.12345678901234567890123'), ('"text"'), ('"\u00e9\u20ac\ud83d\ude00"'), ('[]'), ('{}'),
	('[1, 2.5, "three", null, false, [4, [5, [6]]], {"seven": 8}]'),
	('{"a": {"b": {"c": [1, {"d": "e"}]}}, "f": 0.1, "": ""}'),
	((repeat('[', 500) || repeat(']', 500))::jsonb),
	((repeat('{"k":', 500) || '1' || repeat('}', 500))::jsonb),
	((SELECT jsonb_agg(g * 1.1) FROM generate_series(1, 100) g)),
	((SELECT jsonb_object_agg('key' || g, repeat('v', g)) FROM generate_series(1, 100) g))) v (value);
INSERT INTO inputs (bytes) VALUES
	('\xca3dcccccd'), ('\xcb7ff8000000000000'), ('\xcbfff0000000000000'), ('\xc40300ff41'),
	('\xd6ff65000000'), ('\xd7ff1dcd650065000000'), ('\xc70cff075bcd15fffffffff0000000'),
	('\xc7070131322e35303030'), ('\x8301a161fea162cfffffffffffffffffa163'),
	('\x93d6ff00000000ca7f800000c4020001');

SELECT count(*) AS inputs, sum(fuzz_json(bytes, :runs, :seed + id)) AS decoded FROM inputs
\gset
\echo :inputs inputs, :runs damaged values each, :decoded of them valid
