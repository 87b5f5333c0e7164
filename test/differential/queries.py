"""Random SELECTs.

Each is either one with ORDER BY over all its columns, in a session's answer a list, or one without,
a multiset.  LIMIT, DISTINCT ON, windows and aggregates that depend on an order have a total one
inside.  Nothing in a query is volatile, so that two sessions that see the same data agree.
"""
import dataclasses

from schema import TYPES

# What is folded to a constant when a plan is made, or computed at execution, by the setting that it
# depends on; "" is for definitions and names.
CONSTANTS = {
    "": ["to_tsvector('words', 'the running foxes')::text", "to_tsquery('words', 'running')::text",
         "ts_lexize('stems', 'running')"],
    "extra_float_digits": ["(0.1::float8 + 0.2::float8)::text", "(1::float4 / 3)::text",
                           "ARRAY[0.1::float8 * 3]::text", "format('%s', 0.1::float8 * 3)",
                           "jsonb_build_object('d', 0.1::float8 * 3)", "(1, 0.1::float8 * 3)::text"],
    "DateStyle": ["date '2024-03-02'::text", "'01/02/2024'::date", "timestamp '2024-03-02 01:02'::text"],
    "IntervalStyle": ["(interval '1 mon' + interval '2 days 03:00')::text"],
    "TimeZone": ["timestamptz '2024-06-01 12:00+00'::text", "timestamp '2024-03-02'::timestamptz",
                 "extract(hour FROM timestamptz '2024-06-01 12:00+00')",
                 "to_char(timestamptz '2024-06-01 12:00+00', 'DD Mon YYYY HH24')"],
    "bytea_output": ["'\\x00ff41'::bytea::text", "ARRAY['\\x00ff41'::bytea]::text"],
    "default_text_search_config": ["to_tsvector('running foxes')", "to_tsquery('running')::text"],
    "quote_all_identifiers": ["quote_ident('abc')", "format('%I', 'abc')"],
    "array_nulls": ["'{1,NULL}'::text[]", "'{1,NULL}'::text::text[]"],
    "xmlbinary": ["xmlserialize(content xmlelement(name e, '\\x41'::bytea) AS text)"],
    "transform_null_equals": ["NULL::int = NULL"],
    "standard_conforming_strings": ["'a\\b'", "length('a\\nb')"],
    "client_encoding": ["'\u00e9'::text"],
    "\"app.k\"": ["current_setting('app.k', true)"],
}


@dataclasses.dataclass(frozen=True)
class Query:
    sql: str
    types: tuple        # of parameters
    ordered: bool


class Queries:
    def __init__(self, schema, rng, features, settings):
        self.schema = schema
        self.rng = rng
        self.features = features
        self.constants = CONSTANTS[""] + sum(
            (CONSTANTS.get(name, []) for name in settings), []) * 2
        self.aliases = 0
        self.parameters = False

    def query(self):
        """A statement for the pool."""
        self.parameters = self.rng.random() < 0.5
        while True:
            self.aliases = 0
            sql, columns = self.select_whole() if self.chance(0.4) else self.select(self.rng.choice([1, 2]))
            if len(sql) < 1500:
                break
        if self.features["folding"] and self.chance(0.3):
            sql = f"SELECT q.*, {self.rng.choice(self.constants)} AS folded FROM ({sql}) q"
            columns = columns + [("folded", "?")]
        types = ["int"] if "$1" in sql else []
        if "$2" in sql:
            types.append("text")
            if "$1" not in sql:
                sql = sql.replace("$2", "$1")
        ordered = self.rng.random() < 0.3
        if ordered and not any(column == "*" for column, _ in columns):
            sql = f"SELECT * FROM ({sql}) q ORDER BY {self.positions(columns)}"
            if self.rng.random() < 0.4:
                sql += f" LIMIT {self.rng.choice(['1', '3', '5 OFFSET 1'])}"
        else:
            ordered = False
        return Query(sql, tuple(types), ordered)

    @staticmethod
    def positions(columns):
        return ", ".join(str(i + 1) for i in range(len(columns)))

    def chance(self, share):
        return self.rng.random() < share

    def alias(self):
        self.aliases += 1
        return f"q{self.aliases}"

    # What a query reads.

    def name(self, secret=0.02):
        """A table, view or member of one, and its columns."""
        table = self.rng.choice(self.schema.tables)
        name = table.name
        columns = dict(table.columns)
        if table.members and self.chance(0.15):
            name = self.rng.choice(table.members)
        if self.features["rights"] and self.chance(secret):
            name, columns = "secret", {"id": "int", "k": "int", "a": "int"}
        if self.chance(0.03):
            name = "s1." + name
        only = "ONLY " if table.is_table and self.chance(0.05) else ""
        return only + name, columns

    def item(self, depth):
        """Text of a FROM item, its alias, its columns."""
        alias = self.alias()
        if depth > 0 and self.chance(0.3):
            sql, columns = self.select(depth - 1)
            named = {}
            for position, (_, type_name) in enumerate(columns):
                named[["id", "k", "a"][position] if position < 3 else f"x{position}"] = type_name
            return f"({sql}) {alias}({', '.join(named)})", alias, named
        if self.chance(0.05):
            return f"generate_series(0, 4) {alias}(k)", alias, {"k": "int"}
        if self.chance(0.04):
            return (f"(VALUES (1, 2), (3, NULL), (4, 1)) {alias}(k, a)", alias,
                    {"k": "int", "a": "int"})
        name, columns = self.name()
        return f"{name} {alias}", alias, columns

    def ints(self, columns):
        return [name for name, type_name in columns.items() if type_name == "int"]

    def value(self, type_name):
        if self.parameters and type_name == "int" and self.chance(0.5):
            return "$1::int"
        if self.parameters and type_name == "text" and self.chance(0.5):
            return "$2::text"
        value = self.schema.value(type_name)
        return f"{value}::text" if type_name == "text" else value

    def test(self, alias, columns):
        name = self.rng.choice([one for one in columns if columns[one] in TYPES] or [None])
        if name is None:
            return "true"
        if "k" in columns and columns["k"] == "int" and self.chance(0.5):
            name = "k"
        test = self.rng.choice(TYPES[columns[name]]["tests"])
        if name == "k" and self.chance(0.5):
            test = self.rng.choice(["{c} = {v}", "{c} IN ({v}, {v})"])      # may be a key column
        if "f_" in test and not self.features["functions"]:
            test = "{c} = {v}"
        while "{v}" in test:
            test = test.replace("{v}", self.value(columns[name]), 1)
        return test.replace("{c}", f"{alias}.{name}").replace("{{", "{").replace("}}", "}")

    def condition(self, items, depth):
        """Over the items (alias, columns)."""
        tests = []
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            alias, columns = self.rng.choice(items)
            test = self.test(alias, columns)
            if self.chance(0.1):
                test = f"({test} OR {self.test(*self.rng.choice(items))})"
            if depth > 0 and self.chance(0.25):
                test = self.subquery_test(alias, columns) or test
            tests.append(test)
        if self.chance(0.03):
            tests.append(self.rng.choice(["false", "1 = 2"]))
        return " AND ".join(tests) or "true"

    def subquery_test(self, alias, columns):
        ints = self.ints(columns)
        if not ints:
            return None
        column = f"{alias}.{self.rng.choice(ints)}"
        name, inner = self.name()
        inner_alias = self.alias()
        own = self.test(inner_alias, inner)
        return self.rng.choice([
            f"EXISTS (SELECT FROM {name} {inner_alias} WHERE {inner_alias}.k = {column} AND {own})",
            f"NOT EXISTS (SELECT FROM {name} {inner_alias} WHERE {inner_alias}.a = {column})",
            f"{column} IN (SELECT {inner_alias}.k FROM {name} {inner_alias} WHERE {own})",
            f"{column} NOT IN (SELECT {inner_alias}.id FROM {name} {inner_alias}"
            f" WHERE {inner_alias}.id IS NOT NULL AND {own})",
            f"{column} = ANY (ARRAY(SELECT {inner_alias}.a FROM {name} {inner_alias} WHERE {own}))",
            f"{column} > (SELECT avg({inner_alias}.a) FROM {name} {inner_alias} WHERE {own})",
            f"(SELECT count(*) FROM {name} {inner_alias} WHERE {inner_alias}.k = {column}) > 1",
        ])

    def source(self, depth):
        """FROM and WHERE, and the items."""
        sql, alias, columns = self.item(depth)
        items = [(alias, columns)]
        while depth > 0 and len(items) < 3 and self.chance(0.45):
            other, other_alias, other_columns = self.item(depth - 1)
            left, right = self.ints(items[-1][1]), self.ints(other_columns)
            if not left or not right:
                break
            kind = self.rng.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
            if self.chance(0.12) and "(" not in other:
                limited = self.rng.choice(right)
                sql += (f" CROSS JOIN LATERAL (SELECT {other_alias}.{limited} AS k FROM {other}"
                        f" WHERE {other_alias}.{limited} = {items[-1][0]}.{self.rng.choice(left)}"
                        f" ORDER BY 1 LIMIT 2) {other_alias}")
                other_columns = {"k": "int"}
            else:
                on = (f"{items[-1][0]}.{self.rng.choice(left)} ="
                      f" {other_alias}.{self.rng.choice(right)}")
                if kind != "FULL JOIN" and self.chance(0.4):
                    on += f" AND {self.test(other_alias, other_columns)}"
                sql += f" {kind} {other} ON {on}"
            items.append((other_alias, other_columns))
        return f"{sql} WHERE {self.condition(items, depth)}", items

    # What it gives.

    def term(self, items):
        alias, columns = self.rng.choice(items)
        if self.features["folding"] and self.chance(0.25):
            return self.rng.choice(self.constants), "?"
        if self.chance(0.05):
            return self.rng.choice(["current_user::text", "current_schema()::text"]), "?"
        name = self.rng.choice(list(columns))
        type_name = columns[name]
        if type_name not in TYPES or self.chance(0.4):
            return f"{alias}.{name}", type_name
        term = self.rng.choice(TYPES[type_name]["terms"])
        if "f_" in term and not self.features["functions"]:
            return f"{alias}.{name}", type_name
        return term.replace("{c}", f"{alias}.{name}"), "?" if term != "{c}" else type_name

    def terms(self, items, most=4):
        """The first is an integer where there is one, so that an outer query can join by it."""
        terms = []
        ints = [f"{alias}.{name}" for alias, columns in items for name in self.ints(columns)]
        for _ in range(self.rng.randint(1, 3)):
            if ints:
                terms.append((self.rng.choice(ints), "int"))
        for _ in range(self.rng.randint(0 if terms else 1, most - 1)):
            terms.append(self.term(items))
        return terms

    def select(self, depth):
        """Text, and [(column, type)]."""
        shape = self.rng.choice(["plain"] * 5 + ["aggregate"] * 4 + ["window", "set", "cte", "cte",
                                "distinct", "star", "recursive", "rollup", "limit", "row", "branch"])
        if depth == 0 and shape in ("set", "cte", "recursive"):
            shape = "plain"
        return getattr(self, "select_" + shape)(depth)

    @staticmethod
    def written(terms):
        return ", ".join(f"{term} AS o{i}" if not term.endswith("*") else term
                         for i, (term, _) in enumerate(terms))

    def select_whole(self):
        """What shows each change: conditions of large queries on small tables leave little."""
        name, columns = self.name()
        alias = self.alias()
        where = f" WHERE {self.test(alias, columns)}" if self.chance(0.4) else ""
        keyed = [table for table in self.schema.base_tables if table.keys]
        if keyed and self.chance(0.4):
            table = self.rng.choice(keyed)
            key = self.rng.choice(table.keys)
            name, columns = table.name, table.columns
            where = f" WHERE {alias}.{key} = {self.value(columns[key])}"
        terms = [(f"{alias}.{column}", type_name) for column, type_name in columns.items()]
        if self.chance(0.3):
            terms = [("count(*)", "?"), (f"sum({alias}.a)", "?"), (f"count(DISTINCT {alias}.k)", "?")]
        elif self.chance(0.3):
            other, _ = self.name()
            other_alias = self.alias()
            return (f"SELECT {self.written(terms[:4])}, {other_alias}.a AS other FROM {name} {alias}"
                    f" LEFT JOIN {other} {other_alias} ON {alias}.k = {other_alias}.id{where}"), (
                        terms[:4] + [(f"{other_alias}.a", "int")])
        return f"SELECT {self.written(terms)} FROM {name} {alias}{where}", terms

    def select_plain(self, depth):
        source, items = self.source(depth)
        terms = self.terms(items)
        return f"SELECT {self.written(terms)} FROM {source}", terms

    def select_star(self, depth):
        if depth < 1 or self.chance(0.5):
            return self.select_plain(depth)
        name, _ = self.name()
        alias = self.alias()
        star = self.rng.choice(["*", f"{alias}.*"])
        return f"SELECT {star} FROM {name} {alias}", [("*", "?")]

    def select_row(self, depth):
        """Whole rows, which depend on the definition of a table."""
        name, columns = self.name()
        alias = self.alias()
        term = self.rng.choice([alias, f"{alias}::text", f"row_to_json({alias})::text", f"to_jsonb({alias})"])
        terms = [(f"{alias}.k", "int"), (term, "?")]
        return (f"SELECT {self.written(terms)} FROM {name} {alias}"
                f" WHERE {self.test(alias, columns)}"), terms

    def select_aggregate(self, depth):
        source, items = self.source(depth)
        alias, columns = items[0]
        ints = self.ints(columns)
        if not ints:
            return self.select_plain(depth)
        over = f"{alias}.{self.rng.choice(ints)}"
        aggregates = [("count(*)", "?"), (f"sum({over})::int", "int"), (f"max({over})", "int"),
                      (f"array_agg({over} ORDER BY {over})", "?"),
                      (f"string_agg({over}::text, ',' ORDER BY {over})", "?"),
                      (f"count(DISTINCT {over}) FILTER (WHERE {over} > 1)", "?"),
                      (f"avg({over})", "?"), (f"bool_or({over} = 3)", "?"),
                      (f"(sum({over}::float8 / 3 ORDER BY {over}))::text", "?"),
                      (f"jsonb_agg({over} ORDER BY {over})", "?"),
                      (f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {over})", "?"),
                      (f"range_agg(int4range({over}, {over} + 2))", "?")]
        terms = [self.rng.choice(aggregates) for _ in range(self.rng.randint(1, 3))]
        if self.chance(0.6):
            group = f"{alias}.{self.rng.choice(ints)}"
            having = f" HAVING count(*) > {self.rng.randint(0, 2)}" if self.chance(0.3) else ""
            terms.insert(0, (group, "int"))
            return f"SELECT {self.written(terms)} FROM {source} GROUP BY {group}{having}", terms
        return f"SELECT {self.written(terms)} FROM {source}", terms

    def select_rollup(self, depth):
        source, items = self.source(depth)
        ints = [f"{items[0][0]}.{name}" for name in self.ints(items[0][1])]
        if len(ints) < 2:
            return self.select_plain(depth)
        one, other = ints[0], ints[1]
        terms = [(one, "int"), (f"grouping({one})", "?"), ("count(*)", "?"), (f"sum({other})", "?")]
        sets = self.rng.choice([f"ROLLUP ({one})", f"GROUPING SETS (({one}), ())", f"CUBE ({one})"])
        return f"SELECT {self.written(terms)} FROM {source} GROUP BY {sets}", terms

    def select_window(self, depth):
        source, items = self.source(depth)
        ints = [f"{alias}.{name}" for alias, columns in items for name in self.ints(columns)]
        if not ints:
            return self.select_plain(depth)
        order = ", ".join(ints)
        call = self.rng.choice([f"sum({ints[0]}) OVER (PARTITION BY {ints[-1]})",
                                f"rank() OVER (ORDER BY {order})", "count(*) OVER ()",
                                f"lag({ints[0]}) OVER (ORDER BY {order})",
                                f"max({ints[0]}) OVER (ORDER BY {order} ROWS 1 PRECEDING)"])
        terms = [(one, "int") for one in ints] + [(call, "?")]
        return f"SELECT {self.written(terms)} FROM {source}", terms

    def select_set(self, depth):
        operator = self.rng.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL"])
        sides = []
        for _ in range(2):
            source, items = self.source(depth - 1)
            ints = [f"{alias}.{name}" for alias, columns in items for name in self.ints(columns)]
            sides.append(f"SELECT {self.rng.choice(ints or ['1'])} AS o0, {self.rng.choice(ints or ['2'])} AS o1"
                         f" FROM {source}")
        return f"{sides[0]} {operator} {sides[1]}", [("o0", "int"), ("o1", "int")]

    def select_cte(self, depth):
        """One that isn't referenced, too: PostgreSQL drops it, and the rights that it needs."""
        inner, columns = self.select(depth - 1)
        if any(term == "*" for term, _ in columns):
            return self.select_plain(depth)
        name = f"w{self.alias()}"
        outer, terms = self.select_plain(depth - 1)
        if self.chance(0.25):
            if self.features["rights"] and self.chance(0.5):
                inner = "SELECT id AS o0 FROM secret"
            return f"WITH {name} AS ({inner}) {outer}", terms
        material = self.rng.choice(["", "MATERIALIZED ", "NOT MATERIALIZED "])
        named = ", ".join(f"o{i}" for i in range(len(columns)))
        return (f"WITH {name}({named}) AS {material}({inner}) SELECT x.o0, count(*) AS n FROM {name} x"
                f" JOIN {name} y ON x.o0 = y.o0 GROUP BY 1", [("o0", columns[0][1]), ("n", "?")])

    def select_recursive(self, depth):
        name, _ = self.name()
        return (f"WITH RECURSIVE r AS (SELECT id AS o0, k AS o1, 0 AS n FROM {name} UNION ALL"
                f" SELECT t.id, t.k, n + 1 FROM r JOIN {name} t ON t.id = r.o1 WHERE n < 2)"
                " SELECT o0, o1, n FROM r", [("o0", "int"), ("o1", "int"), ("n", "int")])

    def select_distinct(self, depth):
        source, items = self.source(depth)
        ints = [f"{alias}.{name}" for alias, columns in items for name in self.ints(columns)]
        if not ints:
            return self.select_plain(depth)
        terms = [(one, "int") for one in ints[:3]]
        if self.chance(0.5):
            return f"SELECT DISTINCT {self.written(terms)} FROM {source}", terms
        return (f"SELECT DISTINCT ON ({ints[0]}) {self.written(terms)} FROM {source}"
                f" ORDER BY {', '.join(term for term, _ in terms)}"), terms

    def select_limit(self, depth):
        source, items = self.source(depth)
        terms = [(f"{alias}.{name}", "int") for alias, columns in items
                 for name in self.ints(columns)] or [("1", "int")]
        limit = "$1::int" if self.parameters and self.chance(0.3) else self.rng.randint(1, 4)
        return (f"SELECT * FROM (SELECT {self.written(terms)} FROM {source}"
                f" ORDER BY {self.positions(terms)} LIMIT {limit}) l"), [
                    (f"o{i}", "int") for i in range(len(terms))]

    def select_branch(self, depth):
        """Folded away, with the tables in it and the rights that they need."""
        sql, terms = self.select_plain(depth)
        if not self.features["rights"]:
            return sql, terms
        name, _ = self.name(secret=0.5)
        dead = self.rng.choice([
            f"CASE WHEN 1 = 2 THEN (SELECT max(a) FROM {name}) ELSE 0 END",
            f"coalesce(3, (SELECT min(k) FROM {name}))",
            f"(false AND EXISTS (SELECT FROM {name}))"])
        return sql.replace("SELECT ", f"SELECT {dead} AS dead, ", 1), [("dead", "?")] + terms
