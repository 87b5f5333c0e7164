"""Random changes: of rows, of definitions and rights, of what a session has set."""
import re

from schema import HASHABLE, ROLES, TYPES

# Two values each: a session that has none of them is at the default.
SETTINGS = {
    "extra_float_digits": ["0", "-3"],
    "DateStyle": ["'SQL, DMY'", "'German'"],
    "IntervalStyle": ["iso_8601", "sql_standard"],
    "TimeZone": ["'America/New_York'", "'Asia/Kolkata'"],
    "bytea_output": ["escape", "hex"],
    "default_text_search_config": ["'s1.words'", "'english'"],
    "quote_all_identifiers": ["on", "off"],
    "array_nulls": ["off", "on"],
    "xmlbinary": ["hex", "base64"],
    "transform_null_equals": ["on", "off"],
    "standard_conforming_strings": ["off", "on"],
    "search_path": ["s2, s1", "s1"],
    "row_security": ["off", "on"],
    "plan_cache_mode": ["force_generic_plan", "force_custom_plan"],
    "enable_hashjoin": ["off", "on"],
    "enable_hashagg": ["off", "on"],
    "enable_seqscan": ["off", "on"],
    "enable_partition_pruning": ["off", "on"],
    "constraint_exclusion": ["on", "off"],
    "from_collapse_limit": ["1", "8"],
    "cache_ext.max_dirty_keys": ["1", "0"],
    "client_encoding": ["'LATIN1'", "'UTF8'"],
    '"app.k"': ["'1'", "'2'"],
}
FOLDING = ("extra_float_digits", "DateStyle", "IntervalStyle", "TimeZone", "bytea_output",
           "default_text_search_config", "quote_all_identifiers", "array_nulls", "xmlbinary",
           "transform_null_equals", "standard_conforming_strings")


# Those that don't wait for a reader's transaction, or not all of them.
UNHINDERED = ("define_tree", "define_tree", "define_triggers", "define_functions", "define_text_search",
              "define_rights", "define_types", "define_storage", "define_names")


# What in a statement says that it depends on such definitions.
MARKS = (("define_functions", "f_|==="), ("define_text_search", "words|stems"), ("define_views", r"\bv\d"),
         ("define_types", "pair|mood|==="))


class Changes:
    def __init__(self, schema, rng, features):
        self.schema = schema
        self.rng = rng
        self.features = features
        self.sequence = 0
        self.hot = []               # tables that are read now
        self.moving = None          # the tree that a table has just joined or left
        # A few: sessions have to agree on them to share results.
        self.settings = rng.sample([name for name in SETTINGS if name not in FOLDING], 2)
        if features["folding"]:
            self.settings[1:] = rng.sample(FOLDING, 2)
        kinds = self.definition_kinds()
        if not features["rights"]:
            kinds.remove("define_rights")
        self.kinds = rng.sample(kinds, 4)
        self.unhindered = [kind for kind in UNHINDERED if kind in kinds]

    def chance(self, share):
        return self.rng.random() < share

    def base(self):
        hot = [table for table in self.hot if table.is_table]
        return self.rng.choice(hot if hot and self.chance(0.8) else self.schema.base_tables)

    def number(self):
        return self.rng.randint(0, 5)

    def next(self):
        self.sequence += 1
        return self.sequence

    # Of a session.

    def setting(self, local):
        name = self.rng.choice(self.settings)
        if self.chance(0.4):
            return f"RESET {name}"
        value = SETTINGS[name][0 if self.chance(0.75) else 1]
        return f"SET {'LOCAL ' if local else ''}{name} = {value}"

    def role(self):
        return self.rng.choice(["SET ROLE alice", "SET ROLE bob", "RESET ROLE", "RESET ROLE",
                                "SET SESSION AUTHORIZATION alice", "RESET SESSION AUTHORIZATION"])

    # Of rows.

    def target(self):
        """A table, a member of one, or a view: name and description."""
        if self.moving and self.chance(0.5):
            return "s1." + self.moving.spare, self.moving
        table = self.rng.choice([one for one in self.schema.tables if one.writable]) if (
            self.chance(0.3)) else self.base()
        name = table.name
        if table.members and self.chance(0.4):
            name = self.rng.choice(table.members + [table.spare])
        return "s1." + name, table

    def assignment(self, table):
        name = self.rng.choice([one for one in table.columns if one not in ("id", "ref")] + ["k", "a"])
        return f"{name} = {self.schema.value(table.columns[name])}"

    def rows(self):
        """A statement, and the lines for COPY FROM."""
        kind = self.rng.choice(["insert"] * 3 + ["update"] * 4 + ["delete", "merge", "copy", "cte", "moved",
                               "truncate", "joined", "conflict", "block", "refresh", "replica", "returning"])
        return getattr(self, "rows_" + kind)(*self.target())

    def inserted(self, name, table):
        columns = [one for one in table.columns if one != "ref"]
        rows = ", ".join(f"({self.schema.row(table, self.rng.randint(1, 14), columns)})"
                         for _ in range(self.rng.choice([1, 1, 3])))
        return f"INSERT INTO {name} ({', '.join(columns)}) VALUES {rows}"

    def rows_insert(self, name, table):
        return self.inserted(name, table) + (" ON CONFLICT DO NOTHING" if table.is_table else ""), ()

    def rows_returning(self, name, table):
        return self.inserted(name, table) + " RETURNING *", ()

    def rows_conflict(self, name, table):
        if table.kind not in ("plain", "range"):
            return self.rows_insert(name, table)
        return (f"{self.inserted('s1.' + table.name, table).split('), (')[0].rstrip(')')})"
                f" ON CONFLICT (id) DO UPDATE SET {self.assignment(table)}"), ()

    def rows_update(self, name, table):
        only = "ONLY " if table.is_table and self.chance(0.1) else ""
        where = self.rng.choice([f"id = {self.number()}", f"k = {self.number()}", f"a = {self.number()}",
                                 "id < 4", "false"])
        return f"UPDATE {only}{name} SET {self.assignment(table)} WHERE {where}", ()

    def rows_moved(self, name, table):
        """Between partitions, where the key is one of them."""
        return f"UPDATE {name} SET k = {self.number()} WHERE k = {self.number()}", ()

    def rows_delete(self, name, table):
        return f"DELETE FROM {name} WHERE {self.rng.choice(['id', 'k'])} = {self.number()}", ()

    def rows_joined(self, name, table):
        other = self.base().name
        return self.rng.choice([
            f"UPDATE {name} SET a = (o.a + 1) % 6 FROM s1.{other} o WHERE o.id = {name.split('.')[1]}.k",
            f"DELETE FROM {name} USING s1.{other} o WHERE o.k = {name.split('.')[1]}.id AND o.a = {self.number()}",
            f"INSERT INTO s1.secret SELECT id + 10, k, a FROM s1.{other} ON CONFLICT DO NOTHING"]), ()

    def rows_merge(self, name, table):
        if not table.is_table:
            return self.rows_update(name, table)
        return (f"MERGE INTO s1.{table.name} t USING (VALUES (1, {self.number()}), (9, {self.number()}))"
                f" s(id, a) ON t.id = s.id WHEN MATCHED AND s.a > 3 THEN DELETE"
                f" WHEN MATCHED THEN UPDATE SET a = s.a"
                f" WHEN NOT MATCHED THEN INSERT (id, k, a) VALUES (s.id, {self.number()}, s.a)"), ()

    def rows_copy(self, name, table):
        lines = tuple(f"{self.rng.randint(15, 40)}\t{self.number()}\t{self.number()}" for _ in range(2))
        return f"COPY s1.{table.name} (id, k, a) FROM STDIN", lines

    def rows_cte(self, name, table):
        return (f"WITH gone AS (DELETE FROM {name} WHERE k = {self.number()} RETURNING id, a)"
                f" UPDATE s1.{self.base().name} t SET a = gone.a FROM gone WHERE t.id = gone.id"), ()

    def rows_truncate(self, name, table):
        if self.chance(0.5):
            return self.rows_delete(name, table)
        return f"TRUNCATE {name} CASCADE", ()

    def rows_block(self, name, table):
        return (f"DO $$ BEGIN UPDATE {name} SET a = {self.number()} WHERE k = {self.number()}; BEGIN"
                f" DELETE FROM {name} WHERE a = {self.number()}; RAISE division_by_zero; EXCEPTION"
                " WHEN division_by_zero THEN NULL; END; END $$"), ()

    def rows_refresh(self, name, table):
        views = [one.name for one in self.schema.tables if one.kind == "matview"]
        if not views:
            return self.rows_insert(name, table)
        return f"REFRESH MATERIALIZED VIEW s1.{self.rng.choice(views)}", ()

    def rows_replica(self, name, table):
        return ("SET session_replication_role = replica; "
                f"UPDATE {name} SET {self.assignment(table)} WHERE id < 5; RESET session_replication_role"), ()

    # Of definitions and rights: a statement, and one that takes it back later or None.

    @classmethod
    def definition_kinds(cls):
        return [name for name in dir(cls) if name.startswith("define_")]

    def definition(self, unhindered=False, sql=""):
        """Preferably one that the statement depends on."""
        fitting = [kind for kind, mark in MARKS if re.search(mark, sql)]
        if fitting and self.chance(0.5):
            return getattr(self, self.rng.choice(fitting))()
        return getattr(self, self.rng.choice(self.unhindered if unhindered else self.kinds))()

    def one_of(self, *changes):
        change = self.rng.choice(changes)
        return change if isinstance(change, tuple) else (change, None)

    def tree(self):
        """One that a table can join, and how: that doesn't wait for readers, and leaving does."""
        trees = [one for one in self.schema.base_tables if one.spare]
        if not trees:
            return None, None
        hot = [one for one in self.hot if one in trees]
        self.moving = table = self.rng.choice(hot or trees)
        if table.kind == "parent":
            child = f"ALTER TABLE s1.{table.spare}"
            return f"{child} INHERIT s1.{table.name}", f"{child} NO INHERIT s1.{table.name}"
        parent = f"ALTER TABLE s1.{table.name}"
        return (f"{parent} ATTACH PARTITION s1.{table.spare} FOR VALUES {table.bounds}",
                f"{parent} DETACH PARTITION s1.{table.spare}{' CONCURRENTLY' if self.chance(0.2) else ''}")

    def define_tree(self):
        join, leave = self.tree()
        return self.rng.choice([(join, leave), (leave, join)]) if join else self.define_columns()

    def define_columns(self):
        table = self.base()
        name, extra = "s1." + table.name, self.rng.choice(
            [one for one in table.columns if one not in ("id", "k", "ref")])
        added = f"added{self.next()}"
        return self.one_of(
            (f"ALTER TABLE {name} ADD COLUMN {added} int DEFAULT {self.number()}",
             f"ALTER TABLE {name} DROP COLUMN {added}"),
            (f"ALTER TABLE {name} RENAME COLUMN {extra} TO other",
             f"ALTER TABLE {name} RENAME COLUMN other TO {extra}"),
            (f"ALTER TABLE {name} RENAME COLUMN a TO swap; ALTER TABLE {name} RENAME COLUMN k TO a;"
             f" ALTER TABLE {name} RENAME COLUMN swap TO k", None),
            (f"ALTER TABLE {name} ALTER COLUMN a TYPE bigint", f"ALTER TABLE {name} ALTER COLUMN a TYPE int"),
            f"ALTER TABLE {name} ALTER COLUMN a SET DEFAULT {self.number()}",
            f"ALTER TABLE {name} ALTER COLUMN {extra} SET STATISTICS 10",
            (f"ALTER TABLE {name} DROP COLUMN {extra}",
             f"ALTER TABLE {name} ADD COLUMN {extra} {self.qualified(table.columns[extra])}"))

    @staticmethod
    def qualified(type_name):
        return "s1." + type_name if type_name in ("mood", "small", "pair") else type_name

    def define_names(self):
        """What a name means: renamed, moved, or hidden by an object earlier in the path."""
        table = self.rng.choice(self.hot or self.schema.tables)
        name, kind = table.name, {"view": "VIEW", "matview": "MATERIALIZED VIEW"}.get(table.kind, "TABLE")
        shadow = (f"CREATE TABLE s2.{name} (id int, k int, a int); INSERT INTO s2.{name} VALUES"
                  f" (1, {self.number()}, 77); SELECT cache_ext.track('s2.{name}');"
                  f" GRANT SELECT ON s2.{name} TO PUBLIC", f"DROP TABLE IF EXISTS s2.{name} CASCADE")
        return self.one_of(
            shadow, shadow,
            (f"ALTER {kind} s1.{name} RENAME TO moved", f"ALTER {kind} s1.moved RENAME TO {name}"),
            (f"ALTER {kind} s1.{name} SET SCHEMA s2", f"ALTER {kind} s2.{name} SET SCHEMA s1"),
            ("CREATE FUNCTION s2.f_fixed(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1000 + x'",
             "DROP FUNCTION IF EXISTS s2.f_fixed(int)"),
            ("ALTER FUNCTION s1.f_fixed(int) RENAME TO f_moved", "ALTER FUNCTION s1.f_moved(int) RENAME TO f_fixed"))

    def define_functions(self):
        version = self.rng.choice(["x * 2", "x * 3", "x + 100"])
        language = self.rng.choice([("sql", f"SELECT {version}"), ("plpgsql", f"BEGIN RETURN {version}; END")])
        read = self.schema.function_that_reads(self.rng.randint(0, 2))
        return self.one_of(
            f"CREATE OR REPLACE FUNCTION s1.f_fixed(x int) RETURNS int IMMUTABLE LANGUAGE {language[0]} AS '{language[1]}'",
            f"CREATE OR REPLACE FUNCTION s1.f_same(x int, y int) RETURNS bool IMMUTABLE LANGUAGE plpgsql"
            f" AS 'BEGIN RETURN x {self.rng.choice(['=', '<', '>'])} y; END'",
            read + f"; SELECT cache_ext.allow_function('s1.f_read(int)', '{{s1.{self.schema.read_by_function}, s1.secret}}')",
            ("SELECT cache_ext.disallow_function('s1.f_read(int)')",
             f"SELECT cache_ext.allow_function('s1.f_read(int)', '{{s1.{self.schema.read_by_function}}}')"),
            ("ALTER FUNCTION s1.f_read(int) SECURITY DEFINER", "ALTER FUNCTION s1.f_read(int) SECURITY INVOKER"),
            ("ALTER FUNCTION s1.f_fixed(int) STRICT", "ALTER FUNCTION s1.f_fixed(int) CALLED ON NULL INPUT"),
            ("CREATE FUNCTION s1.f_fixed(x bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT x + 5'",
             "DROP FUNCTION IF EXISTS s1.f_fixed(bigint)"))

    def define_text_search(self):
        mapping = "ALTER TEXT SEARCH CONFIGURATION s1.words ALTER MAPPING FOR asciiword, word WITH"
        return self.one_of((f"{mapping} s1.stems", f"{mapping} simple"), f"{mapping} english_stem",
                           ("ALTER TEXT SEARCH CONFIGURATION s1.words DROP MAPPING IF EXISTS FOR asciiword",
                            "ALTER TEXT SEARCH CONFIGURATION s1.words ADD MAPPING FOR asciiword WITH simple"),
                           ("ALTER TEXT SEARCH DICTIONARY s1.stems (LANGUAGE = german)",
                            "ALTER TEXT SEARCH DICTIONARY s1.stems (LANGUAGE = english)"),
                           ("ALTER TEXT SEARCH DICTIONARY s1.stems (STOPWORDS = english)",
                            "ALTER TEXT SEARCH DICTIONARY s1.stems (STOPWORDS)"))

    def define_policies(self):
        table = self.base().name
        to, condition = self.schema.policy(table)
        return self.one_of(
            f"DROP POLICY IF EXISTS p0 ON s1.{table}",
            f"CREATE POLICY p{self.next()} ON s1.{table} TO {to} USING ({condition})",
            f"ALTER POLICY p0 ON s1.{table} USING ({condition})",
            (f"ALTER TABLE s1.{table} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE s1.{table} DISABLE ROW LEVEL SECURITY"),
            (f"ALTER TABLE s1.{table} DISABLE ROW LEVEL SECURITY", f"ALTER TABLE s1.{table} ENABLE ROW LEVEL SECURITY"),
            (f"ALTER TABLE s1.{table} FORCE ROW LEVEL SECURITY", f"ALTER TABLE s1.{table} NO FORCE ROW LEVEL SECURITY"),
            ("ALTER ROLE bob BYPASSRLS", "ALTER ROLE bob NOBYPASSRLS"))

    def define_triggers(self):
        table = self.base()
        track = f"SELECT cache_ext.track('s1.{table.name}', '{{{','.join(table.keys)}}}')"
        keys = ",".join(one for one, type_name in table.columns.items()
                        if type_name in HASHABLE and self.chance(0.5))
        return self.one_of(
            (f"ALTER TABLE s1.{table.name} DISABLE TRIGGER ALL", f"ALTER TABLE s1.{table.name} ENABLE TRIGGER ALL; {track}"),
            f"ALTER TABLE s1.{table.name} ENABLE TRIGGER ALL",
            (f"SELECT cache_ext.untrack('s1.{table.name}')", track),
            f"SELECT cache_ext.track('s1.{table.name}', '{{{keys}}}')",
            (f"CREATE OR REPLACE FUNCTION s1.bend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := (NEW.a + 1) % 6;"
             f" RETURN NEW; END'; CREATE TRIGGER bend BEFORE UPDATE ON s1.{table.name} FOR EACH ROW EXECUTE FUNCTION s1.bend()",
             f"DROP TRIGGER IF EXISTS bend ON s1.{table.name}"))

    def define_rights(self):
        name = self.rng.choice(self.hot or self.schema.tables).name
        role = self.rng.choice(ROLES[:2])
        back = f"GRANT SELECT ON s1.{name} TO {role}"
        return self.one_of(
            (f"REVOKE SELECT ON s1.{name} FROM {role}", back), (f"REVOKE SELECT ON s1.{name} FROM {role}", back),
            (f"REVOKE SELECT ON s1.{name} FROM {role}; GRANT SELECT (id, k) ON s1.{name} TO {role}", back),
            ("REVOKE EXECUTE ON FUNCTION s1.f_fixed(int) FROM PUBLIC", "GRANT EXECUTE ON FUNCTION s1.f_fixed(int) TO PUBLIC"),
            ("REVOKE USAGE ON SCHEMA s1 FROM PUBLIC", "GRANT USAGE ON SCHEMA s1 TO PUBLIC"),
            (f"GRANT SELECT ON s1.secret TO {role}", f"REVOKE SELECT ON s1.secret FROM {role}"),
            ("GRANT carol TO alice", "REVOKE carol FROM alice"),
            (f"ALTER TABLE s1.{self.base().name} OWNER TO alice", None))

    def define_types(self):
        return self.one_of(
            ("ALTER TYPE s1.mood RENAME VALUE 'sad' TO 'blue'", "ALTER TYPE s1.mood RENAME VALUE 'blue' TO 'sad'"),
            f"ALTER TYPE s1.mood ADD VALUE IF NOT EXISTS 'm{self.number()}' BEFORE 'glad'",
            ("ALTER TYPE s1.pair RENAME ATTRIBUTE x TO xx", "ALTER TYPE s1.pair RENAME ATTRIBUTE xx TO x"),
            ("ALTER TYPE s1.pair ADD ATTRIBUTE z int", "ALTER TYPE s1.pair DROP ATTRIBUTE IF EXISTS z"),
            ("ALTER DOMAIN s1.small ADD CONSTRAINT odd CHECK (VALUE <> 9) NOT VALID",
             "ALTER DOMAIN s1.small DROP CONSTRAINT IF EXISTS odd"),
            ("DROP OPERATOR s1.=== (int, int)",
             "CREATE OPERATOR s1.=== (FUNCTION = s1.f_same, LEFTARG = int, RIGHTARG = int)"),
            ("CREATE FUNCTION s1.pair_text(s1.pair) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''cast''';"
             " CREATE CAST (s1.pair AS text) WITH FUNCTION s1.pair_text(s1.pair)",
             "DROP FUNCTION IF EXISTS s1.pair_text(s1.pair) CASCADE"))

    def define_views(self):
        view = self.rng.choice([one for one in self.schema.tables if not one.is_table])
        if view.kind == "matview":
            return self.one_of(f"REFRESH MATERIALIZED VIEW s1.{view.name}",
                               f"REFRESH MATERIALIZED VIEW s1.{view.name} WITH NO DATA")
        return self.one_of(
            f"CREATE OR REPLACE VIEW s1.{view.name} AS {self.schema.view_definition(view.name, view.base)}",
            f"CREATE OR REPLACE VIEW s1.{view.name} AS {self.schema.view_definition(view.name, view.base)}",
            f"ALTER VIEW s1.{view.name} SET (security_invoker = {self.rng.choice(['true', 'false'])})",
            f"ALTER VIEW s1.{view.name} SET (security_barrier = {self.rng.choice(['true', 'false'])})",
            f"ALTER VIEW s1.{view.name} OWNER TO {self.rng.choice(['alice', 'postgres'])}")

    def define_storage(self):
        table = self.base()
        name = self.rng.choice([table.name] + table.members)
        column = self.rng.choice([one for one, kind in table.columns.items() if kind in HASHABLE])
        index = f"i{self.next()}"
        return self.one_of(
            (f"CREATE INDEX {index} ON s1.{name} ({column})", f"DROP INDEX IF EXISTS s1.{index}"),
            f"REINDEX TABLE s1.{name}", f"VACUUM FULL s1.{name}", f"VACUUM s1.{name}", f"ANALYZE s1.{name}",
            f"ALTER TABLE s1.{name} SET UNLOGGED", f"ALTER TABLE s1.{name} SET LOGGED",
            f"CLUSTER s1.{name}", f"ALTER TABLE s1.{name} ALTER COLUMN a TYPE int USING (a + 1) % 6",
            f"CREATE STATISTICS s1.st{index} ON k, a FROM s1.{table.name}",
            (f"ALTER TABLE s1.{table.name} ADD CONSTRAINT few CHECK (a < 5) NOT VALID",
             f"ALTER TABLE s1.{table.name} DROP CONSTRAINT IF EXISTS few"))

    def define_rules(self):
        table = self.base().name
        return self.one_of(
            (f"CREATE OR REPLACE RULE logged AS ON INSERT TO s1.{table} DO ALSO"
             f" INSERT INTO s1.log (k, a) VALUES (NEW.k, {self.number()})", f"DROP RULE IF EXISTS logged ON s1.{table}"),
            (f"CREATE OR REPLACE RULE logged AS ON DELETE TO s1.{table} DO INSTEAD"
             f" UPDATE s1.{table} SET a = 0 WHERE id = OLD.id", f"DROP RULE IF EXISTS logged ON s1.{table}"))
