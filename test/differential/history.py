"""A step of a history: what one client does, in a form that can be taken again and printed."""
import dataclasses

import clients

OIDS = {"int": 23, "text": 25}


def literal(value, type_name):
    return "NULL::" + type_name if value is None else "'" + value.replace("'", "''") + "'::" + type_name


@dataclasses.dataclass(frozen=True)
class Step:
    client: str
    sql: str
    door: str = "do"
    name: str = ""              # of a prepared statement
    values: tuple = ()          # of parameters
    types: tuple = ()           # their names
    binary: bool = False
    ordered: bool = False       # by a total order
    hinted: bool = False        # a Pair has a hint in both sessions
    plain_first: bool = False
    writes: bool = False
    lines: tuple = ()           # of COPY FROM

    READS = ("simple", "extended", "execute", "bind", "function", "copy")

    @property
    def is_read(self):
        return self.door in self.READS

    @property
    def oids(self):
        return [OIDS[name] for name in self.types]

    def inline(self):
        sql = self.sql
        for number, (value, type_name) in enumerate(zip(self.values, self.types), 1):
            sql = sql.replace(f"${number}", literal(value, type_name))
        return sql

    def do(self, session):
        """What is no read.  A statement is prepared twice: the other one has a hint."""
        if self.door == "copy_from":
            return session.copy_from(self.sql, self.lines)
        if self.door == "prepare":
            types = f" ({', '.join(self.types)})" if self.types else ""
            session.run(f"PREPARE {self.name}_hinted{types} AS {self.sql}{clients.HINT}")
            return session.run(f"PREPARE {self.name}{types} AS {self.sql}")
        if self.door == "parse":
            session.prepare(self.name + "_hinted", self.sql + clients.HINT, self.oids)
            return session.prepare(self.name, self.sql, self.oids)
        return session.run(self.sql)

    def read(self, session, hint):
        if self.door == "function":
            outcome = self.read_by_function(session) if hint else self.read_plainly(session)
            return outcome._replace(columns=())
        if self.door == "simple":
            return session.run(self.inline() + hint)
        if self.door == "copy":
            return session.run(f"COPY ({self.inline()}{hint}) TO STDOUT")
        if self.door == "extended":
            return session.run(self.sql + hint, self.values, self.oids, self.binary)
        name = self.name + ("_hinted" if hint else "")
        if self.door == "bind":
            return session.execute(name, self.values, self.binary)
        arguments = ", ".join(literal(*pair) for pair in zip(self.values, self.types))
        return session.run(f"EXECUTE {name}{'(' + arguments + ')' if arguments else ''}")

    def read_plainly(self, session):
        if self.door == "copy":
            return session.run(f"COPY ({self.inline()}) TO STDOUT")
        outcome = session.run(self.sql, self.values, self.oids, self.binary)
        return outcome._replace(columns=()) if self.door == "function" else outcome

    def read_by_function(self, session):
        """The columns that query() has to be told are what the server describes."""
        outcome = session.prepare("", self.sql, self.oids)
        if outcome.sqlstate:
            return outcome
        described = session.pg.describe_prepared(b"")
        columns = ", ".join(
            f"c{i} " + session.scalars(f"SELECT format_type({described.ftype(i)}, {described.fmod(i)})"
                                       )[0][0] for i in range(described.nfields))
        arguments = ", ".join(literal(value, "text") for value in self.values)
        return session.run(f"SELECT * FROM cache_ext.query($query${self.sql}$query$,"
                           f" ARRAY[{arguments}]::text[]) AS ({columns})", [], [], self.binary)

    def __str__(self):
        """As a line of a script."""
        if self.door == "reconnect":
            said = "\\c"
        elif self.door == "do":
            said = self.sql
        elif self.door == "prepare":
            said = f"PREPARE {self.name}{self.types or ''} AS {self.sql}"
        elif self.door in ("execute", "bind"):
            said = f"{self.door.upper()} {self.name} {self.values or ''}  -- {self.sql}"
        elif self.door == "copy":
            said = f"COPY ({self.inline()}) TO STDOUT"
        elif self.door == "copy_from":
            said = f"{self.sql}  -- " + " | ".join(self.lines)
        elif self.door == "simple":
            said = self.inline()
        else:
            said = f"{self.sql}  -- {self.door} {self.name} {self.values or ''}"
        notes = [word for word in ("binary", "hinted", "plain_first") if getattr(self, word)]
        return f"{self.client}: {said}{'  -- ' + ', '.join(notes) if notes and self.is_read else ''}"
