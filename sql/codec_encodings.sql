--
-- Text comes back as it was in databases of any encoding, whatever the client's
--
SET client_min_messages = warning;
\set old_database :DBNAME
CREATE DATABASE codec_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE codec_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE codec_sql_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';

-- A text in every type that holds text somewhere
SELECT $script$
	SET client_min_messages = warning;
	CREATE EXTENSION IF NOT EXISTS cache_ext;
	CREATE TYPE pair AS (a text, b name);
	CREATE TYPE text_range AS RANGE (subtype = text);
	CREATE TABLE texts (
		id int PRIMARY KEY, a text, b varchar, c char(9), d name, e json, f jsonb, g xml, h tsvector,
		i text[], j name[], k json[], l pair, m pair[], n text_range, o text_multirange, p jsonpath,
		"é" int);
	CREATE FUNCTION insert_texts(id int, t text) RETURNS void LANGUAGE sql AS $$
		INSERT INTO texts SELECT id, t, t, t, t, to_json(t), to_jsonb(t), 
			CASE WHEN getdatabaseencoding() <> 'SQL_ASCII' THEN ('<x>' || t || '</x>')::xml END,
			array_to_tsvector(ARRAY[t]), ARRAY[t], ARRAY[t], ARRAY[to_json(t)], ROW(t, t::name)::pair,
			ARRAY[ROW(t, t::name)::pair], text_range(t, NULL), text_multirange(text_range(t, t, '[]')),
			('$."' || t || '"')::jsonpath $$;
	-- the cached rows compared to the last byte: the first time fills, the second has to hit
	CREATE FUNCTION compare_texts(OUT round int, OUT rows bigint, OUT different bigint, OUT hits bigint)
	RETURNS SETOF record LANGUAGE plpgsql AS $$
	#variable_conflict use_column
	DECLARE
		hits_before bigint;
	BEGIN
		FOR r IN 1..2 LOOP
			hits_before := (SELECT hits FROM cache_ext.stats);
			SELECT count(*), count(*) FILTER (WHERE (live OPERATOR(pg_catalog.*=) cached) IS NOT TRUE)
			INTO rows, different
			FROM texts live
				FULL JOIN cache_ext.query_as(NULL::texts, 'SELECT * FROM texts') cached
				ON live.id = cached.id;
			hits := (SELECT hits FROM cache_ext.stats) - hits_before;
			round := r;
			RETURN NEXT;
		END LOOP;
	END $$;
	SELECT cache_ext.track('texts');
$script$ AS make_texts
\gset

SET client_encoding = 'UTF8';
:make_texts
SELECT insert_texts(1, 'ascii'), insert_texts(2, 'ä €'), insert_texts(3, E'\U0001F600');
SELECT * FROM compare_texts();
SET client_encoding = 'LATIN1';
SELECT * FROM compare_texts();
SET client_encoding = 'SQL_ASCII';
SELECT * FROM compare_texts();

\c codec_latin1
SET client_encoding = 'LATIN1';
:make_texts
SELECT insert_texts(1, 'ascii'), insert_texts(2, E'\xe4 \xff');
SELECT * FROM compare_texts();
SET client_encoding = 'UTF8';
SELECT * FROM compare_texts();

-- three bytes, two bytes, half-width; SJIS doesn't have the first
\c codec_euc_jp
SET client_encoding = 'EUC_JP';
:make_texts
SELECT insert_texts(1, 'ascii'), insert_texts(2, E'\x8f\xb0\xa1'), insert_texts(3, E'\xb4\xc1\xbb\xfa'),
	insert_texts(4, E'\x8e\xb1');
SELECT * FROM compare_texts();
SET client_encoding = 'SJIS';
SELECT * FROM compare_texts();
SET client_encoding = 'UTF8';
SELECT * FROM compare_texts();

-- bytes that are text in no encoding; a client of UTF8 could not even get them
\c codec_sql_ascii
SET client_encoding = 'SQL_ASCII';
:make_texts
SELECT insert_texts(1, 'ascii'), insert_texts(2, E'\xff\xfe\x80'), insert_texts(3, E'\xc3');
SELECT * FROM compare_texts();
SET client_encoding = 'UTF8';
SELECT * FROM compare_texts();

\c :old_database
DROP DATABASE codec_latin1;
DROP DATABASE codec_euc_jp;
DROP DATABASE codec_sql_ascii;
DROP TABLE texts;
DROP FUNCTION insert_texts, compare_texts;
DROP TYPE text_range, pair;
