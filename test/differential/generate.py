"""A history: a random schema, and what clients do with it in turn, all from one seed."""
import random

from changes import Changes
from history import Step
from queries import Queries
from schema import Schema

READERS = ("r0", "r1", "r2")
WRITERS = ("w0", "w1")

# What WITHOUT may name: each can be left out, and every history leaves out some.
FEATURES = ("folding", "transactions", "ddl", "roles", "functions", "prepared")


class Generator:
    def __init__(self, seed, without=()):
        self.rng = random.Random(seed)
        self.features = {name: name not in without and self.rng.random() < 0.75 for name in FEATURES}
        self.schema = Schema(self.rng)
        self.changes = Changes(self.schema, self.rng, self.features)
        queries = Queries(self.schema, self.rng, self.features)
        self.pool = [queries.query() for _ in range(self.rng.choice([5, 10, 15]))]
        self.steps = []
        self.later = []             # (number of steps by then, step)
        self.open = {}              # client: steps left in its transaction
        self.prepared = {}          # client: {(query, door)}
        self.gids = 0
        self.seed = seed

    def history(self, length):
        for statement in self.schema.statements:
            self.emit(Step("setup", statement))
        begin = len(self.steps)
        for client in READERS + WRITERS:
            self.emit(Step(client, "SET search_path = s1, s2"))
        while len(self.steps) - begin < length:
            due = next((item for item in self.later if item[0] <= len(self.steps)), None)
            if due:
                self.later.remove(due)
                self.emit(due[1])
            else:
                self.step(self.rng.choice(READERS * 2 + WRITERS))
        return self.steps

    def emit(self, step):
        self.steps.append(step)

    def soon(self, step, least=1, most=25):
        self.later.append((len(self.steps) + self.rng.randint(least, most), step))

    def step(self, client):
        self.count_down(client)
        kind = self.rng.random()
        writer = client in WRITERS
        if kind < 0.07 and self.features["transactions"] and client not in self.open:
            self.begin(client)
        elif kind < 0.10:
            local = client in self.open and self.rng.random() < 0.3
            self.emit(Step(client, self.changes.setting(local)))
        elif kind < 0.13 and self.features["roles"]:
            self.emit(Step(client, self.changes.role()))
        elif kind < 0.15 and client in self.open:
            self.savepoint(client)
        elif kind < 0.5 and writer:
            self.change(client)
        else:
            self.read(client)

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
        del self.open[client]
        if client in WRITERS and self.rng.random() < 0.3:
            self.gids += 1
            gid = f"diff_{self.seed}_{self.gids}"
            self.emit(Step(client, f"PREPARE TRANSACTION '{gid}'"))
            self.soon(Step(client, f"{self.rng.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{gid}'"), 1, 6)
        else:
            self.emit(Step(client, self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])))

    def savepoint(self, client):
        self.emit(Step(client, self.rng.choice(
            ["SAVEPOINT s", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"])))

    # Changes

    def change(self, client):
        if self.features["ddl"] and self.rng.random() < 0.3:
            statement, back = self.changes.definition()
            self.emit(Step(client, statement, writes=True))
            if back:
                self.soon(Step(self.rng.choice(WRITERS), back, writes=True))
            return
        statement, lines = self.changes.rows()
        self.emit(Step(client, statement, door="copy_from" if lines else "do", lines=lines, writes=True))

    # Reads

    def read(self, client):
        number = self.rng.randrange(len(self.pool))
        query = self.pool[number]
        values = []
        for type_name in query.types:
            values.append(self.rng.choice(["1", "2", None] if type_name == "int" else ["a", "foxes"]))
        common = dict(values=tuple(values), types=query.types, ordered=query.ordered,
                      plain_first=self.rng.random() < 0.5,
                      hinted=client in READERS and self.rng.random() < 0.3)
        doors = ["simple", "simple", "extended", "function", "copy"]
        if self.features["prepared"]:
            doors += ["execute"] * 3 + ["bind"] * 3
        door = self.rng.choice(doors)
        name = ""
        if door in ("execute", "bind"):
            name = f"{door[0]}{number}"
            prepared = self.prepared.setdefault(client, set())
            if name in prepared and self.rng.random() < 0.05:
                self.emit(Step(client, f"DEALLOCATE {name}; DEALLOCATE {name}_hinted"))
                prepared.remove(name)
            if name not in prepared:
                prepared.add(name)
                self.emit(Step(client, query.sql, "prepare" if door == "execute" else "parse",
                               name=name, types=query.types))
        self.emit(Step(client, query.sql, door, name=name,
                       binary=door in ("extended", "bind") and self.rng.random() < 0.3, **common))
