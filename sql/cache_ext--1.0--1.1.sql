/* sql/cache_ext--1.0--1.1.sql */

-- complain if the script is sourced in psql rather than run by ALTER EXTENSION
\echo Use "ALTER EXTENSION cache_ext UPDATE TO '1.1'" to load this file. \quit
