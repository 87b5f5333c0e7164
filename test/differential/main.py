"""The driver: makes histories, takes their steps, reports and shortens what is different.

    main.py TIERS SEED HISTORIES|SECONDSs STEPS [WITHOUT...]

A seed is that of the first history; the next one's is one more.
"""
import collections
import os
import sys
import time

from clients import Broken, Connection, Pair, Writer
from generate import READERS, WRITERS, Generator
from schema import ROLES

LOST = "The connection was lost"
SHORTEN_SECONDS = int(os.environ.get("SHORTEN_SECONDS", 60))


def must(connection, sql):
    outcome = connection.run(sql)
    if outcome.sqlstate:
        raise Broken(f"{sql}: {outcome.message}")


Difference = collections.namedtuple("Difference", "number steps text")     # after so many of the steps


class Runner:
    """Takes the steps of histories, one after another in the same schemas of a database."""

    HISTORIES_EACH = 25         # then the catalogs of a database are large

    def __init__(self):
        self.admin = Connection("postgres")
        self.counts = collections.Counter()
        self.counting = True
        self.taken = 0
        self.databases = 0
        for role in ROLES:
            self.admin.run(f"CREATE ROLE {role}")

    @property
    def database(self):
        return f"differential_{self.databases}"

    def prepare(self):
        """An empty database, with nothing that an earlier history has left."""
        if self.taken % self.HISTORIES_EACH == 0:
            if self.databases:
                must(self.admin, f"DROP DATABASE {self.database} WITH (FORCE)")
            self.databases += 1
            must(self.admin, f"CREATE DATABASE {self.database} TEMPLATE template0 STRATEGY file_copy")
        self.taken += 1
        setup = Connection(self.database, client_min_messages="error", lock_timeout="1min")
        must(setup, "CREATE EXTENSION IF NOT EXISTS cache_ext")
        return setup

    @staticmethod
    def clean(setup):
        for (gid,) in setup.scalars("SELECT gid FROM pg_prepared_xacts"):
            must(setup, f"ROLLBACK PREPARED '{gid}'")
        must(setup, "DROP SCHEMA IF EXISTS s1, s2 CASCADE")
        must(setup, "DELETE FROM cache_ext.allowed_functions")
        must(setup, "REVOKE carol FROM alice")
        must(setup, "ALTER ROLE bob NOBYPASSRLS")
        setup.close()

    def take(self, steps):
        """The first difference, or None."""
        setup = self.prepare()
        everybody = {name: Pair(name, self.database) for name in READERS}
        everybody.update((name, Writer(name, self.database)) for name in WRITERS)
        try:
            for number, step in enumerate(steps):
                if step.client == "setup":
                    outcome = setup.run(step.sql)
                    if outcome.sqlstate and self.counting:
                        self.counts[f"setup: {outcome.message}"] += 1
                    continue
                try:
                    verdict, answer = everybody[step.client].take(step)
                except Broken as error:
                    return Difference(number + 1, steps, f"{LOST}: {error}")
                self.count(step, answer, verdict)
                if verdict and "\n" in verdict:
                    return Difference(number + 1, steps, verdict)
            return None
        finally:
            for client in everybody.values():
                client.close()
            self.clean(setup)

    def count(self, step, answer, verdict):
        if not self.counting:
            return
        kind = "reads" if step.is_read else "changes" if step.writes else "others"
        self.counts[kind] += 1
        if answer.sqlstate:
            self.counts[f"{kind} with an error"] += 1
            self.counts[f"error: {kind}: {answer.sqlstate} {answer.message[:70]}"] += 1
        if verdict and "\n" not in verdict:
            self.counts[verdict] += 1


def shorten(runner, difference):
    """Drops steps as long as some difference is left."""
    best = Difference(difference.number, difference.steps[:difference.number], difference.text)
    deadline = time.monotonic() + SHORTEN_SECONDS

    def drop(unwanted):
        """Without the steps at these positions; the last one is what is different."""
        nonlocal best
        last = len(best.steps) - 1
        steps = [step for number, step in enumerate(best.steps) if number not in unwanted or number == last]
        if len(steps) == len(best.steps) or time.monotonic() > deadline:
            return False
        found = runner.take(steps)
        if found:
            best = Difference(found.number, steps[:found.number], found.text)
        return found is not None

    def those(condition):
        return {number for number, step in enumerate(best.steps) if condition(step)}

    last = best.steps[-1]
    drop(those(lambda step: step.client != "setup" and step.is_read and step.sql != last.sql))
    for client in READERS + WRITERS:
        drop(those(lambda step: step.client == client))
    size = len(best.steps) // 2
    while size >= 1:
        start = len(best.steps) - 1 - size
        while start > -size and time.monotonic() < deadline:
            drop(set(range(max(start, 0), start + size)))
            start = min(start, len(best.steps) - 1) - size
        size //= 2
    return best


def main():
    tiers, seed, amount, steps = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    without = sys.argv[5:]
    runner = Runner()
    deadline = time.monotonic() + float(amount[:-1]) if amount.endswith("s") else None
    histories = 0
    status = 0
    while time.monotonic() < deadline if deadline else histories < int(amount):
        history = Generator(seed + histories, without).history(steps)
        difference = runner.take(history)
        histories += 1
        if difference:
            status = 1
            report(runner, difference, tiers, seed + histories - 1, steps, without)
            if not os.environ.get("KEEP_GOING"):
                break
    worth = summary(runner, tiers, seed, histories)
    return 1 if status or not worth else 0


def report(runner, difference, tiers, seed, steps, without):
    print(f"DIFFERENT: seed {seed}, tiers {tiers}, step {difference.number}"
          f"{', without ' + ' '.join(without) if without else ''}")
    print(f"{difference.steps[difference.number - 1]}\n{difference.text}\n", flush=True)
    print(f"Again: make differential SEED={seed} TIERS={tiers} HISTORIES=1 STEPS={steps}"
          + (f" WITHOUT='{' '.join(without)}'" if without else ""), flush=True)
    if difference.text.startswith(LOST):
        return
    runner.counting = False
    short = shorten(runner, difference)
    runner.counting = True
    print("The shortest history with a difference that was found:")
    for step in short.steps:
        print(f"  {step}")
    print(short.text)


def summary(runner, tiers, seed, histories):
    """Returns whether the run is worth something."""
    one = runner.prepare()
    hits, fills, misses = (int(value) for value in one.scalars(
        "SELECT hits, fills, misses FROM cache_ext.stats")[0])
    one.close()
    said = ", ".join(f"{runner.counts[name]} {name}" for name in (
        "reads", "reads with an error", "changes", "changes with an error", "others"))
    print(f"{tiers}: seeds {seed} to {seed + histories - 1}: {said}; {hits} hits, {fills} fills, {misses} misses")
    for name, count in sorted(runner.counts.items(), key=lambda item: -item[1]):
        if name.startswith(("passed", "waited", "newer")):
            print(f"  {count} answers {name}")
        elif os.environ.get("VERBOSE"):
            print(f"  {count} {name}")
    if histories > 5 and hits * 5 < runner.counts["reads"]:
        print("The cache was hardly used.")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
