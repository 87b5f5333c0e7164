"""Sessions, each with a twin that has no cache.

A client takes one step of a history at a time.  Nothing else runs in the server meanwhile, so that
both answers of a read are about the same committed data, and must be the same.  There are two kinds:

Pair    two sessions that get the same statements in the same order, one with cache_ext.mode = auto
        and one with cache_ext.enabled = off.  They only read: what keeps a plan, a transaction or a
        setting is as old in one as in the other.
Writer  one session that changes data and definitions and reads what it has changed itself.  Its mode
        is hint: each read runs with a hint and without one, in the same transaction.

An answer that is not the twin's is right if it is that of a session that has just been opened.  A
kept plan, and what a function keeps, may be older than a definition in the transaction of a reader;
an answer from the cache need not be.
"""
import collections

from psycopg import pq

Outcome = collections.namedtuple("Outcome", "tag columns rows sqlstate message")

LOCK_TIMEOUT = "5ms"        # counts only while a lock is waited for, and none is given up meanwhile
TEXT, BINARY = 0, 1
LOCK_NOT_AVAILABLE = "55P03"
UNDEFINED_STATEMENT = "26000"
HINT = " /* cache_ext */"


class Broken(Exception):
    """The server is gone, or answers what no statement here can be answered with."""


class Connection:
    """One session, and the calls of libpq that a step may be."""

    def __init__(self, database, **settings):
        settings = {"search_path": "s1,s2", "lock_timeout": LOCK_TIMEOUT, **settings}
        options = " ".join(f"-c {name.replace('__', '.')}={value}" for name, value in settings.items())
        self.pg = pq.PGconn.connect(f"dbname={database} options='{options}'".encode())
        if self.pg.status != pq.ConnStatus.OK:
            raise Broken(self.pg.error_message.decode())

    def close(self):
        self.pg.finish()

    def run(self, sql, values=None, types=(), binary=False):
        """With a list of values, as a statement of the extended protocol."""
        if values is None:
            return self.outcome(self.pg.exec_(sql.encode()))
        return self.outcome(self.pg.exec_params(
            sql.encode(), encode(values), types, result_format=BINARY if binary else TEXT))

    def prepare(self, name, sql, types):
        return self.outcome(self.pg.prepare(name.encode(), sql.encode(), types))

    def execute(self, name, values, binary):
        return self.outcome(self.pg.exec_prepared(
            name.encode(), encode(values), result_format=BINARY if binary else TEXT))

    def copy_from(self, sql, lines):
        result = self.pg.exec_(sql.encode())
        if result.status != pq.ExecStatus.COPY_IN:
            return self.outcome(result)
        self.pg.put_copy_data("".join(line + "\n" for line in lines).encode())
        self.pg.put_copy_end()
        return self.outcome(self.pg.get_result())

    def outcome(self, result):
        rows = []
        if result.status == pq.ExecStatus.COPY_OUT:
            size, line = self.pg.get_copy_data(0)
            while size > 0:
                rows.append((bytes(line),))
                size, line = self.pg.get_copy_data(0)
            result = self.pg.get_result()
        while self.pg.get_result():
            pass
        if self.pg.status != pq.ConnStatus.OK:
            raise Broken(self.pg.error_message.decode())
        if result.status == pq.ExecStatus.FATAL_ERROR:
            return Outcome("ERROR", (), rows, text(result.error_field(pq.DiagnosticField.SQLSTATE)),
                           text(result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)))
        columns = tuple(
            (text(result.fname(i)), result.ftype(i), result.fmod(i), result.ftable(i),
             result.ftablecol(i)) for i in range(result.nfields))
        rows += [tuple(result.get_value(row, column) for column in range(result.nfields))
                 for row in range(result.ntuples)]
        return Outcome(text(result.command_status), columns, rows, "", "")

    def scalars(self, sql):
        return [tuple(text(value) for value in row) for row in self.run(sql).rows]

    @property
    def failed(self):
        return self.pg.transaction_status == pq.TransactionStatus.INERROR

    @property
    def idle(self):
        return self.pg.transaction_status == pq.TransactionStatus.IDLE


def encode(values):
    return [None if value is None else value.encode() for value in values]


def text(value):
    return None if value is None else value.decode(errors="replace")


def same(one, other, ordered):
    """Without a total order rows are compared as multisets."""
    if one.sqlstate == other.sqlstate == UNDEFINED_STATEMENT:
        return True             # the message has its name, which isn't its twin's
    if one._replace(rows=()) != other._replace(rows=()):
        return False
    if ordered:
        return one.rows == other.rows
    return collections.Counter(one.rows) == collections.Counter(other.rows)


class Client:
    def __init__(self, name, database):
        self.name = name
        self.database = database
        self.wrote = False
        self.connect()

    def take(self, step):
        """The verdict, if the step is a read, and what was answered without the cache.

        After an error there is little to see in a transaction: what isn't its end or a savepoint's
        comes after it.
        """
        if step.door == "reconnect":
            self.close()
            self.connect()
            return None, Outcome("", (), [], "", "")
        if not step.sql.startswith(("ROLLBACK", "COMMIT", "PREPARE TRANSACTION")):
            for one in self.sessions:
                if one.failed:
                    one.run("ROLLBACK")
        return self.answer(step)

    def close(self):
        for one in self.sessions:
            one.close()

    def fresh_answer(self, step, connection):
        """What a session answers that was opened now, with the settings of the given one."""
        settings = connection.scalars(
            "SELECT name, quote_literal(setting) FROM pg_settings"
            " WHERE source = 'session' AND name !~ '^(cache_ext|transaction)'"
            " AND name NOT IN ('role', 'session_authorization')")
        roles = connection.scalars("SELECT quote_ident(session_user),"
                                   " CASE current_user WHEN session_user THEN 'none'"
                                   " ELSE quote_ident(current_user) END")
        fresh = Connection(self.database, cache_ext__enabled="off")
        try:
            if not roles:
                return None
            for name, value in settings:
                if name == "search_path":
                    value = connection.scalars("SHOW search_path")[0][0]
                fresh.run(f"SET {name} = {value}")
            fresh.run(f"SET SESSION AUTHORIZATION {roles[0][0]}")
            fresh.run(f"SET ROLE {roles[0][1]}")
            return step.read_plainly(fresh)
        finally:
            fresh.close()

    def judge(self, step, cached, plain, connections):
        """None, a word for what may differ, or the difference as a text."""
        if same(cached, plain, step.ordered):
            return None
        if plain.sqlstate == LOCK_NOT_AVAILABLE:
            return "passed a lock that the plain statement waits for"
        if cached.sqlstate == LOCK_NOT_AVAILABLE:
            return "waited for a lock that the plain statement passes"
        asked = next((one for one in connections if not one.failed), None)
        fresh = None
        if asked and not self.wrote:
            if not self.keeps_snapshot(asked):
                fresh = self.fresh_answer(step, asked)
            elif not cached.sqlstate and not plain.sqlstate:
                fresh = step.read_plainly(asked)    # a new plan, for the snapshot that is kept
            if fresh and same(cached, fresh, step.ordered):
                return "newer than what the twin keeps"
        return "\n".join(f"{label} {show(outcome)}" for label, outcome in (
            ("with the cache:   ", cached), ("without the cache:", plain),
            ("a new session:    ", fresh)) if outcome)

    @staticmethod
    def keeps_snapshot(connection):
        return not connection.idle and connection.scalars(
            "SHOW transaction_isolation") != [("read committed",)]


def show(outcome):
    if outcome.sqlstate:
        return f"ERROR {outcome.sqlstate}: {outcome.message}"
    names = ", ".join(f"{column[0]}:{column[1]}" for column in outcome.columns)
    rows = ", ".join("(" + ", ".join("NULL" if value is None else text(value) for value in row) + ")"
                     for row in sorted(outcome.rows, key=repr)[:12])
    return f"{outcome.tag} [{names}] {rows}"


class Pair(Client):
    """It only reads, but for what a session has for itself: settings, transactions, plans."""

    def connect(self):
        self.cached = Connection(self.database, cache_ext__mode="auto", cache_ext__min_cost=0)
        self.plain = Connection(self.database, cache_ext__enabled="off")
        self.sessions = [self.cached, self.plain]

    def answer(self, step):
        turns = [self.cached, self.plain]
        if step.plain_first:
            turns.reverse()
        hint = HINT if step.hinted or step.door == "function" else ""
        answers = {one: step.read(one, hint) if step.is_read else step.do(one) for one in turns}
        verdict = self.judge(step, answers[self.cached], answers[self.plain], turns)
        if self.cached.pg.transaction_status != self.plain.pg.transaction_status:
            for one in turns:
                one.run("ROLLBACK")
        return verdict, answers[self.plain]


class Writer(Client):
    """Prepared statements have a plain twin in the same session."""

    unknown = 0

    def read_messages(self):
        """Or the first of two reads may take a lock that makes only the second see a definition.

        A name that was not looked for before is looked for in a catalog, under a lock of its own.
        """
        Writer.unknown += 1
        self.only.run(f"SELECT pg_catalog.to_regclass('unknown_{Writer.unknown}')")

    def connect(self):
        self.only = Connection(self.database, cache_ext__mode="hint")
        self.sessions = [self.only]

    def answer(self, step):
        self.read_messages()
        if not step.is_read:
            outcome = step.do(self.only)
            self.wrote = not self.only.idle and (self.wrote or step.writes)
            return None, outcome
        turns = [HINT, ""]
        if step.plain_first:
            turns.reverse()
        first = step.read(self.only, turns[0])
        if self.only.failed:
            return None, first        # the second would get another error
        answers = {turns[0]: first, turns[1]: step.read(self.only, turns[1])}
        verdict = self.judge(step, answers[HINT], answers[""], [self.only])
        return verdict, answers[""]
