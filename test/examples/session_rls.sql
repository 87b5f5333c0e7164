-- Row-level security by a session, as PostgREST and its like do it: a request comes with a token, a function
-- that runs before the request's own statement looks the session up, and policies ask who it is.
CREATE ROLE web NOLOGIN;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO web;

CREATE TABLE app.note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text NOT NULL, body text NOT NULL);
INSERT INTO app.note (owner, body) VALUES ('alice', 'milk'), ('alice', 'bread'), ('bob', 'nails');
GRANT SELECT, INSERT ON app.note TO web;

ALTER TABLE app.note ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.note TO web
	USING (owner = current_setting('request.user', true))
	WITH CHECK (owner = current_setting('request.user', true));

-- Who calls this needs no right to read sessions, and learns of none but its own.  PostgREST calls it where
-- its configuration says db-pre-request = "app.begin_request"; the headers are in request.headers.
CREATE FUNCTION app.begin_request() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	token text := substring(current_setting('request.headers', true)::json ->> 'authorization' FROM '^Bearer (.*)$');
	session record;
BEGIN
	SELECT user_id INTO session FROM cache_ext.session_get(token);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'not logged in' USING ERRCODE = 'insufficient_privilege', HINT = 'Log in.';
	END IF;
	PERFORM set_config('request.user', session.user_id, true);
END $$;
REVOKE EXECUTE ON FUNCTION app.begin_request() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.begin_request() TO web;

-- The policies' setting is part of the key: each user has results of her own in the cache.
SELECT cache_ext.track('app.note');
