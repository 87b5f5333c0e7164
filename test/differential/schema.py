"""A random schema: tables of all kinds, with what hangs on them.

Every table has the columns id, k and a, integers of few values, so that rows of all tables meet in
joins and most changes are seen by some query.  The others are of random types.
"""

# A column's type: how values of it look, and what can be done with {c}, a column, and {v}, a value.
# Equal values look the same (no 24 hours beside 1 day): a sort by all columns is a total order then.
TYPES = {
    "int": dict(
        values=["0", "1", "2", "3", "4", "5"],
        tests=["{c} = {v}", "{c} = {v}", "{c} < {v}", "{c} IN ({v}, {v})", "{c} IS NULL",
               "{c} = ANY ('{{1,3}}')", "{c} BETWEEN 1 AND {v}", "{c} <> ALL (ARRAY[{v}, {v}])",
               "{c} % 2 = 0", "f_fixed({c}) > {v}", "{c} IS DISTINCT FROM {v}", "{c} === {v}"],
        terms=["{c}", "{c} + 1", "{c}::text", "f_fixed({c})", "f_read({c})", "ARRAY[{c}, 1]",
               "to_char({c}, '099')", "CASE WHEN {c} > 2 THEN 'many' ELSE 'few' END", "-{c}",
               "coalesce({c}, 7)", "({c}::float8 / 3)::text", "{c}::numeric / 4", "ROW({c}, 'x')::pair"]),
    "text": dict(
        values=["'foxes'", "'boxes'", "'Running foxes'", "''", "NULL"],
        tests=["{c} = {v}", "{c} LIKE '%a%'", "{c} > 'b'", "{c} ~ 'fox'",
               "to_tsvector('words', {c}) @@ to_tsquery('words', 'fox')",
               "to_tsvector({c}) @@ plainto_tsquery('running')"],
        terms=["{c}", "upper({c})", "length({c})", "{c} || '!'", "quote_ident({c})",
               "to_tsvector('words', {c})", "to_tsvector({c})::text", "md5({c})",
               "string_to_array({c}, ' ')"]),
    "varchar(20)": dict(
        values=["'x'", "'y'", "NULL"], tests=["{c} = {v}", "{c} IN ('x', 'z')"],
        terms=["{c}", "{c}::text", "repeat({c}, 2)"]),
    "numeric(8,2)": dict(
        values=["1.50", "0", "-2.25", "NULL"], tests=["{c} = {v}", "{c} > 0"],
        terms=["{c}", "{c}::text", "round({c})", "{c} * 3"]),
    "float8": dict(
        values=["0.1", "0.3", "1e20", "'NaN'", "NULL"], tests=["{c} = {v}", "{c} < 1"],
        terms=["{c}", "{c}::text", "{c} * 3"]),
    "date": dict(
        values=["'2024-03-02'", "'2024-11-30'", "NULL"], tests=["{c} = {v}", "{c} < '2024-06-01'"],
        terms=["{c}", "{c}::text", "{c} + 1", "extract(year FROM {c})", "{c}::timestamptz"]),
    "timestamptz": dict(
        values=["'2024-03-10 06:30+00'", "'2024-06-01 12:00:00.5+00'", "NULL"],
        tests=["{c} = {v}", "{c} > '2024-05-01'", "date_trunc('day', {c}) = date_trunc('day', {c})"],
        terms=["{c}", "{c}::text", "{c}::date", "date_trunc('day', {c})",
               "to_char({c}, 'YYYY-MM-DD HH24:MI TZ')"]),
    "interval": dict(
        values=["'1 day 02:00'", "'2 mons'", "'-00:00:03'", "NULL"], tests=["{c} = {v}"],
        terms=["{c}", "{c}::text"]),
    "bytea": dict(
        values=["'\\x00ff41'", "'\\x'", "NULL"], tests=["{c} = {v}"],
        terms=["{c}", "{c}::text", "encode({c}, 'hex')"]),
    "bool": dict(values=["true", "false", "NULL"], tests=["{c}", "NOT {c}", "{c} IS NULL"],
                 terms=["{c}", "{c}::text", "{c}::int"]),
    "int[]": dict(
        values=["'{1,2}'", "'{}'", "'{3,NULL}'", "NULL"],
        tests=["2 = ANY ({c})", "{c} @> '{{1}}'", "{c} = {v}"],
        terms=["{c}", "{c}[1]", "cardinality({c})", "array_to_string({c}, '-', '*')", "{c}::text"]),
    "int4range": dict(
        values=["'[1,4)'", "'empty'", "'[2,)'", "NULL"], tests=["{c} @> 2", "{c} && '[3,9]'"],
        terms=["{c}", "lower({c})", "{c}::text"]),
    "jsonb": dict(
        values=["'{\"a\": 1}'", "'[1, \"x\"]'", "'null'", "NULL"],
        tests=["{c} @> '{{\"a\": 1}}'", "{c} ? 'a'", "{c} = {v}"],
        terms=["{c}", "{c} ->> 'a'", "jsonb_typeof({c})"]),
    "uuid": dict(values=["'00000000-0000-0000-0000-00000000000a'", "NULL"], tests=["{c} = {v}"],
                 terms=["{c}", "{c}::text"]),
    "mood": dict(values=["'sad'", "'glad'", "NULL"], tests=["{c} = {v}", "{c} > 'sad'"],
                 terms=["{c}", "{c}::text", "enum_range(NULL, {c})"]),
    "small": dict(values=["1", "9", "NULL"], tests=["{c} = {v}", "{c} < 5"],
                  terms=["{c}", "{c}::text", "{c} + 1"]),
    "pair": dict(values=["'(1,x)'", "'(2,)'", "NULL"], tests=["({c}).x = 1", "{c} = {v}"],
                 terms=["{c}", "({c}).x", "{c}::text"]),
}
HASHABLE = ("int", "text", "varchar(20)", "numeric(8,2)", "date", "uuid", "mood", "small", "timestamptz")

# What tables refer to, and roles; created before them.
COMMON = """
CREATE SCHEMA s1
CREATE SCHEMA s2
GRANT USAGE ON SCHEMA s1, s2 TO PUBLIC
CREATE TYPE s1.mood AS ENUM ('sad', 'ok', 'glad')
CREATE DOMAIN s1.small AS int CHECK (VALUE < 100)
CREATE TYPE s1.pair AS (x int, y text)
CREATE TEXT SEARCH DICTIONARY s1.stems (TEMPLATE = snowball, LANGUAGE = english)
CREATE TEXT SEARCH CONFIGURATION s1.words (COPY = simple)
CREATE FUNCTION s1.f_fixed(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x * 2'
CREATE FUNCTION s1.f_same(x int, y int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN x = y; END'
CREATE OPERATOR s1.=== (FUNCTION = s1.f_same, LEFTARG = int, RIGHTARG = int)
CREATE TABLE s1.secret (id int PRIMARY KEY, k int, a int)
INSERT INTO s1.secret SELECT i, i % 3, i FROM generate_series(1, 3) i
SELECT cache_ext.track('s1.secret')
CREATE TABLE s1.log (id serial, k int, a int)
SELECT cache_ext.track('s1.log')
GRANT SELECT ON s1.secret TO bob
GRANT SELECT, INSERT ON s1.log TO PUBLIC
GRANT ALL ON ALL SEQUENCES IN SCHEMA s1 TO PUBLIC
""".strip().split("\n")

ROLES = ("alice", "bob", "carol")


class Table:
    def __init__(self, name, kind, columns, keys):
        self.name = name
        self.kind = kind            # plain, list, range, hash, parent, view or matview
        self.columns = columns      # {name: type}
        self.keys = keys
        self.members = []           # partitions or children, which a statement may name too
        self.spare = None           # a table beside it that may become one, and how
        self.bounds = None

    @property
    def writable(self):
        return self.kind != "matview"

    @property
    def is_table(self):
        return self.kind not in ("view", "matview")


class Schema:
    def __init__(self, rng, features):
        self.rng = rng
        self.features = features
        self.tables = []            # and views
        self.statements = list(COMMON)
        for number in range(rng.randint(2, 4)):
            kind = rng.choice(["plain", "plain", "list", "range", "hash", "parent", "parent", "parent"])
            self.add_table(f"t{number}", kind)
        self.add_functions()
        for number in range(rng.randint(1, 3)):
            self.add_view(f"v{number}")
        for table in self.base_tables:
            if rng.random() < 0.4:
                self.add_policies(table)
            if rng.random() < 0.2:
                self.add(f"CREATE RULE logged AS ON INSERT TO s1.{table.name} DO ALSO"
                         " INSERT INTO s1.log (k, a) VALUES (NEW.k, NEW.a)")
        self.add("ANALYZE " + ", ".join(f"s1.{table.name}" for table in self.base_tables))

    def add(self, statement):
        self.statements.append(statement)

    @property
    def base_tables(self):
        return [table for table in self.tables if table.is_table]

    def value(self, type_name):
        return self.rng.choice(TYPES[type_name]["values"])

    def row(self, table, row_id, columns=None):
        """Values as SQL, in the order of the columns."""
        names = columns or table.columns
        return ", ".join(str(row_id) if name == "id" else self.value(table.columns[name])
                         for name in names)

    def add_table(self, name, kind):
        rng = self.rng
        columns = {"id": "int", "k": "int", "a": "int"}
        for number in range(rng.randint(1, 3)):
            columns[f"c{number}"] = rng.choice(list(TYPES))
        keys = [column for column, type_name in columns.items()
                if type_name in HASHABLE and rng.random() < (0.7 if column == "k" else 0.3)]
        table = Table(name, kind, columns, keys)
        described = ", ".join(
            f"{column} {type_name if type_name not in ('mood', 'small', 'pair') else 's1.' + type_name}"
            for column, type_name in columns.items())
        self.joins = []
        key_of_tree = {"list": "k", "hash": "k", "range": "id"}.get(kind)
        if key_of_tree:
            primary = ", PRIMARY KEY (id)" if kind == "range" else ""
            self.add(f"CREATE TABLE s1.{name} ({described}{primary})"
                     f" PARTITION BY {kind} ({key_of_tree})")
            self.add_partitions(table, described)
        else:
            reference = ""
            referred = [one for one in self.base_tables if one.kind == "plain"]
            if kind == "plain" and referred and rng.random() < 0.6:
                columns["ref"] = "int"
                reference = (f", ref int REFERENCES s1.{rng.choice(referred).name}"
                             f" ON DELETE {rng.choice(['CASCADE', 'SET NULL'])} ON UPDATE CASCADE")
            self.add(f"CREATE TABLE s1.{name} ({described}{reference}, PRIMARY KEY (id))")
            if kind == "parent":
                self.add_children(table, described)
        tracked = [name] + ([table.spare] if table.spare else [])
        if kind == "parent":
            tracked += table.members
        for one in tracked:
            self.add(f"SELECT cache_ext.track('s1.{one}', '{{{','.join(keys)}}}')")
        if self.joins and rng.random() < 0.5:
            self.add(self.joins[0])
        for row_id in range(1, rng.randint(4, 10)):
            target = rng.choice([name] + table.members) if kind == "parent" else name
            plain = [column for column in columns if column != "ref"]
            self.add(f"INSERT INTO s1.{target} ({', '.join(plain)})"
                     f" VALUES ({self.row(table, row_id, plain)}) ON CONFLICT DO NOTHING")
        for one in [name] + table.members + tracked[1:]:
            for role in ROLES[:1] if self.features["rights"] and rng.random() < 0.1 else ROLES[:2]:
                self.add(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON s1.{one} TO {role}")
        self.tables.append(table)

    def add_partitions(self, table, described):
        name = table.name
        bounds = {
            "list": ["IN (0, 1, NULL)", "IN (2, 3)", "IN (4, 5)"],
            "range": ["FROM (MINVALUE) TO (4)", "FROM (4) TO (9)", "FROM (9) TO (MAXVALUE)"],
            "hash": [f"WITH (MODULUS 3, REMAINDER {i})" for i in range(3)],
        }[table.kind]
        for number, bound in enumerate(bounds[:2]):
            part = f"{name}_p{number}"
            table.members.append(part)
            if number == 1 and table.kind != "range" and self.rng.random() < 0.3:
                self.add(f"CREATE TABLE s1.{part} PARTITION OF s1.{name} FOR VALUES {bound}"
                         " PARTITION BY LIST (a)")
                for leaf, values in enumerate(("FOR VALUES IN (0, 1, 2)", "DEFAULT")):
                    table.members.append(f"{part}_{leaf}")
                    self.add(f"CREATE TABLE s1.{part}_{leaf} PARTITION OF s1.{part} {values}")
            else:
                self.add(f"CREATE TABLE s1.{part} PARTITION OF s1.{name} FOR VALUES {bound}")
        table.spare, table.bounds = f"{name}_p2", bounds[2]
        described = described.replace("id int", "id int NOT NULL") if table.kind == "range" else described
        self.add(f"CREATE TABLE s1.{table.spare} (a int, {described.replace(', a int', '')})")
        self.joins = [f"ALTER TABLE s1.{name} ATTACH PARTITION s1.{table.spare}"
                      f" FOR VALUES {table.bounds}"]

    def add_children(self, table, described):
        name = table.name
        table.members.append(f"{name}_c0")
        self.add(f"CREATE TABLE s1.{name}_c0 (more int) INHERITS (s1.{name})")
        if self.rng.random() < 0.4:
            table.members.append(f"{name}_c0c")
            self.add(f"CREATE TABLE s1.{name}_c0c () INHERITS (s1.{name}_c0)")
        table.spare = f"{name}_c1"
        self.add(f"CREATE TABLE s1.{table.spare} ({described.replace('id int', 'id int NOT NULL')})")
        table.members.append(table.spare)
        self.joins = [f"ALTER TABLE s1.{table.spare} INHERIT s1.{name}"]

    def add_functions(self):
        """f_read reads a table and is allowed to; others come from what it may become."""
        table = self.rng.choice(self.base_tables)
        self.read_by_function = table.name
        self.add(self.function_that_reads(0))
        self.add(f"SELECT cache_ext.allow_function('s1.f_read(int)', '{{s1.{table.name}, s1.secret}}')")

    def function_that_reads(self, version):
        body = [f"SELECT sum(a)::int FROM s1.{self.read_by_function} WHERE k = $1",
                f"SELECT count(*)::int FROM s1.{self.read_by_function} WHERE a >= $1",
                "SELECT 42"][version]
        if self.rng.random() < 0.5:
            return ("CREATE OR REPLACE FUNCTION s1.f_read(x int) RETURNS int STABLE LANGUAGE sql"
                    f" AS '{body}'")
        return ("CREATE OR REPLACE FUNCTION s1.f_read(x int) RETURNS int STABLE LANGUAGE plpgsql"
                f" AS 'BEGIN RETURN ({body}); END'")

    def view_definition(self, name, table):
        other = self.rng.choice(self.base_tables)
        return self.rng.choice([
            f"SELECT id, k, a FROM s1.{table} WHERE a > {self.rng.randint(0, 3)}",
            f"SELECT id, k, a FROM s1.{table} WHERE k <> {self.rng.randint(0, 5)}",
            f"SELECT x.id, x.k, y.a FROM s1.{table} x LEFT JOIN s1.{other.name} y ON x.k = y.k",
            f"SELECT min(id) AS id, k, sum(a)::int AS a FROM s1.{table} GROUP BY k",
            f"SELECT id, k, a FROM s1.{table} UNION ALL SELECT id, k, a FROM s1.{other.name}",
        ])

    def add_view(self, name):
        rng = self.rng
        base = rng.choice(self.base_tables).name
        kind = "matview" if rng.random() < 0.25 else "view"
        definition = self.view_definition(name, base)
        if kind == "matview":
            self.add(f"CREATE MATERIALIZED VIEW s1.{name} AS SELECT DISTINCT * FROM ({definition}) q")
        else:
            option = rng.choice(["", "", " WITH (security_barrier)", " WITH (security_invoker)"])
            self.add(f"CREATE VIEW s1.{name}{option} AS {definition}")
            if rng.random() < 0.3:
                self.add(f"CREATE RULE instead AS ON UPDATE TO s1.{name} DO INSTEAD"
                         f" UPDATE s1.{base} SET a = NEW.a WHERE id = OLD.id")
        self.add(f"GRANT ALL ON s1.{name} TO alice, bob")
        view = Table(name, kind, {"id": "int", "k": "int", "a": "int"}, [])
        view.base = base
        self.tables.append(view)

    def policy(self, table):
        condition = self.rng.choice([
            f"a > {self.rng.randint(0, 3)}", "k = current_setting('app.k', true)::int",
            "CASE current_user WHEN 'alice' THEN k < 3 ELSE k >= 2 END",
            "k < length(current_user)",
            "EXISTS (SELECT FROM s1.log o WHERE o.k = a) OR k = 1",
            "pg_has_role('carol', 'member') OR a > 2",
            "k > 2" if table == self.read_by_function else "s1.f_read(1) > 0 OR k > 2"])
        return self.rng.choice(["PUBLIC", "PUBLIC", "alice", "carol"]), condition

    def add_policies(self, table):
        self.add(f"ALTER TABLE s1.{table.name} ENABLE ROW LEVEL SECURITY")
        for number in range(self.rng.randint(1, 2)):
            to, condition = self.policy(table.name)
            self.add(f"CREATE POLICY p{number} ON s1.{table.name} TO {to} USING ({condition})"
                     " WITH CHECK (true)")
