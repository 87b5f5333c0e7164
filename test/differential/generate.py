"""A history: a random schema, and what clients do with it in turn, all from one seed."""
import random
import re

from changes import Changes
from history import Step
from queries import Queries
from schema import Schema

READERS = ("r0", "r1", "r2")
WRITERS = ("w0", "w1")
OWNER = "w0"                # of everything: it keeps its role

# What WITHOUT may name: each can be left out, and every history leaves out some.
FEATURES = ("folding", "transactions", "ddl", "roles", "functions", "prepared", "rights")


# What query() is told of a column is what the server describes: of a domain, its base type.
DOMAIN_LIKE = re.compile(r"\*|\b[cx]\d")


class Generator:
    def __init__(self, seed, without=()):
        self.rng = random.Random(seed)
        self.features = {name: name not in without and self.rng.random() < 0.85 for name in FEATURES}
        self.shares = {"begin": self.rng.choice([0.04, 0.1, 0.2]), "set": self.rng.choice([0.02, 0.08]),
                       "change": self.rng.choice([0.15, 0.35, 0.6]),
                       "define": self.rng.choice([0.2, 0.5, 0.8]) if self.features["ddl"] else 0}
        self.schema = Schema(self.rng, self.features)
        self.changes = Changes(self.schema, self.rng, self.features)
        queries = Queries(self.schema, self.rng, self.features, self.changes.settings)
        self.pool = [queries.query() for _ in range(self.rng.choice([5, 10, 15]))]
        self.has_domains = any("small" in table.columns.values() for table in self.schema.tables)
        self.steps = []
        self.later = []             # (number of steps by then, step)
        self.open = {}              # client: steps left in its transaction
        self.prepared = {}          # client: {(query, door)}
        self.gids = 0
        self.turn_to_another()
        self.seed = seed

    def history(self, length):
        for statement in self.schema.statements:
            self.emit(Step("setup", statement))
        begin = len(self.steps)
        while len(self.steps) - begin < length:
            due = next((item for item in self.later if item[0] <= len(self.steps)), None)
            if due:
                self.later.remove(due)
                self.emit(due[1])
            else:
                self.step(self.rng.choice(READERS + WRITERS))
        return self.steps

    def turn_to_another(self):
        """What is hot for a while: a statement with its values, and how each client asks for it."""
        self.hot = self.rng.randrange(len(self.pool))
        self.hot_until = len(self.steps) + self.rng.randint(4, 20)
        self.hot_values = self.values(self.pool[self.hot])
        self.doors = {client: self.door(self.pool[self.hot]) for client in READERS + WRITERS}
        named = [table for table in self.schema.tables if re.search(rf"\b{table.name}", self.pool[self.hot].sql)]
        self.changes.moving = None
        self.changes.hot = named + [table for table in self.schema.base_tables
                                    if any(view.base == table.name for view in named if not view.is_table)]

    def emit(self, step):
        self.steps.append(step)

    def soon(self, step, least=1, most=25):
        self.later.append((len(self.steps) + self.rng.randint(least, most), step))

    def step(self, client):
        self.count_down(client)
        if len(self.steps) >= self.hot_until:
            self.turn_to_another()
            if self.chance(0.6):
                self.story()
        if client in self.open:
            if self.chance(0.06):
                self.savepoint(client)
        elif self.features["transactions"] and self.chance(self.shares["begin"]):
            self.begin(client)
        elif self.chance(0.015):
            self.prepared.pop(client, None)
            self.emit(Step(client, "", door="reconnect"))
        if self.chance(self.shares["set"]):
            statement = self.changes.setting(client in self.open and self.chance(0.3))
            self.emit(Step(client, statement))
            if self.chance(0.5):
                self.emit(Step(self.rng.choice(READERS), statement))
        if self.features["roles"] and client != OWNER and self.chance(0.05):
            self.emit(Step(client, self.changes.role()))
        if client in WRITERS and self.chance(self.shares["change"]):
            self.change(client)
        else:
            self.read(client)

    def chance(self, share):
        return self.rng.random() < share

    def story(self):
        """What a reader keeps gets old: something changes, others see it, and he asks again."""
        old, other = self.rng.sample(READERS, 2)
        for client in [one for one in (old, other, OWNER) if one in self.open]:
            self.end(client)
        join, leave = None, None
        if self.features["ddl"] and self.chance(0.5) and any(one.spare for one in self.changes.hot):
            join, leave = self.changes.tree()
        if leave:
            self.emit(Step(OWNER, leave, writes=True))
        self.read(old, hot=True)
        if self.features["transactions"] and self.chance(0.6):
            self.emit(Step(old, "BEGIN"))
            self.read(old, hot=True)
        if join:
            self.emit(Step(OWNER, join, writes=True))
        elif self.features["ddl"] and self.chance(0.6):
            self.define(OWNER, unhindered=self.chance(0.7))
        else:
            statement = self.changes.setting(local=False)
            self.emit(Step(old, statement))
            self.emit(Step(other, statement))
        if self.chance(0.5):
            self.read(old, hot=True)
        if self.chance(0.7):
            self.read(other, hot=True)
            for _ in range(self.rng.randint(0, 2)):
                self.change_rows(OWNER)
            self.read(old, hot=True)
        for client in self.rng.sample([old, old, other, other], 2):
            self.read(client, hot=True)
        self.emit(Step(old, self.rng.choice(["COMMIT", "ROLLBACK"])))

    # Transactions

    def begin(self, client):
        level = self.rng.choice(["", "", "", " ISOLATION LEVEL REPEATABLE READ"])
        self.emit(Step(client, "BEGIN" + level))
        self.open[client] = self.rng.randint(2, 10)

    def count_down(self, client):
        if client not in self.open:
            return
        self.open[client] -= 1
        if self.open[client] > 0:
            return
        self.end(client)

    def end(self, client):
        del self.open[client]
        if client in WRITERS and self.chance(0.3):
            self.gids += 1
            gid = f"diff_{self.seed}_{self.gids}"
            self.emit(Step(client, f"PREPARE TRANSACTION '{gid}'"))
            self.read(self.rng.choice(READERS), hot=True)
            self.soon(Step(client, f"{self.rng.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{gid}'"), 1, 6)
        else:
            self.emit(Step(client, self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])))

    def savepoint(self, client):
        self.emit(Step(client, self.rng.choice(
            ["SAVEPOINT s", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"])))

    # Changes

    def change(self, client):
        if client == OWNER and self.chance(self.shares["define"]):
            self.define(client)
        else:
            self.change_rows(client)

    def define(self, client, unhindered=False):
        statement, back = self.changes.definition(unhindered, self.pool[self.hot].sql)
        self.emit(Step(client, statement, writes=True))
        if back:
            self.soon(Step(OWNER, back, writes=True))

    def change_rows(self, client):
        statement, lines = self.changes.rows()
        self.emit(Step(client, statement, door="copy_from" if lines else "do", lines=lines, writes=True))

    # Reads

    def values(self, query):
        return tuple(self.rng.choice(["1", "2", None] if type_name == "int" else ["boxes", "foxes"])
                     for type_name in query.types)

    def door(self, query):
        doors = ["simple", "simple", "extended", "copy"]
        if not (self.has_domains and DOMAIN_LIKE.search(query.sql)):
            doors.append("function")
        if self.features["prepared"]:
            doors += ["execute"] * 3 + ["bind"] * 3
        return self.rng.choice(doors)

    def read(self, client, hot=False):
        number, values, door = self.hot, self.hot_values, self.doors[client]
        if not hot and self.chance(0.2):
            number = self.rng.randrange(len(self.pool))
        query = self.pool[number]
        if number != self.hot or not hot and self.chance(0.3):
            values = self.values(query)
        if number != self.hot or not hot and self.chance(0.15):
            door = self.door(query)
        name = ""
        if door in ("execute", "bind"):
            name = f"{door[0]}{number}"
            prepared = self.prepared.setdefault(client, set())
            if name in prepared and not hot and self.chance(0.03):
                self.emit(Step(client, f"DEALLOCATE {name}; DEALLOCATE {name}_hinted"))
                prepared.remove(name)
            if name not in prepared:
                prepared.add(name)
                self.emit(Step(client, query.sql, "prepare" if door == "execute" else "parse",
                               name=name, types=query.types))
        self.emit(Step(client, query.sql, door, name, values, query.types,
                       binary=door in ("extended", "bind") and self.chance(0.2),
                       ordered=query.ordered, plain_first=self.chance(0.5),
                       hinted=client in READERS and self.chance(0.15)))
