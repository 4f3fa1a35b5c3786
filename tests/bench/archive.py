"""archive (P26): CPU per row of `tallymill archive` and `tallymill restore` of a month over plain COPY out and in of the same rows.

The month is stored by a worker, its statistics and rollups are computed; then, in turn, psql's `\\copy` writes its rows to a file of CSV and loads them into a table, and
the month leaves to a directory and comes back. CPU is that of everybody: the server with all its backends, psql or ours. The plain way in is the
fastest: a bare table, its indexes built behind the load; loaded into the indexed table it is shown too. What ours does beyond it: the statistics are
compared once more (what that takes alone, `tallymill verify` of the month's days, is measured too), the archive is packed, read back and loaded to prove it, every row is hashed.
Second goal: for how long the rows are in no query while the month leaves, per million.
"""

import argparse
import calendar
import datetime
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from backfill import Place, say
from servers import ROOT, stack

COLUMNS = "id, event_name, event_category, session_id, user_id, event_data, is_internal, created_at, batch_id"


class Month(Place):
    """A month of events two months ago, settled; and what is done with it."""

    def __init__(self, servers, options, folder):
        super().__init__(servers, "archived", options)
        this_month = datetime.date.today().replace(day=1)
        last = (this_month - datetime.timedelta(days=32)).replace(day=1) - datetime.timedelta(days=1)
        self.first, days = last.replace(day=1), calendar.monthrange(last.year, last.month)[1]
        self.name, self.leaf = f"{self.first:%Y-%m}", f"analytics_events_{self.first:%Y_%m}"
        self.rows, self.folder = options.rows, pathlib.Path(folder)
        (self.folder / "archive").mkdir()
        with self.settings.open("a") as file:
            file.write(f"[archive]\ntarget = {self.folder / 'archive'}\n")
        say(f"storing {options.rows:,} events of {self.name}")
        self.fill("--generate", str(options.rows), "--days", str(days), "--until", f"{last + datetime.timedelta(days=1)}T00:00:00Z", "--seed", "1")
        self.compute()

    def psql(self, command):
        subprocess.run(["psql", "-qX", self.dsn, "-c", command], check=True)

    def measured(self, work):
        """(what it answers, CPU seconds of everybody, seconds)"""
        self.sql("CHECKPOINT")
        before, began = self.cpu(), time.monotonic()
        answer = work()
        took = time.monotonic() - began
        return answer, self.cpu() - before, took

    def copy_out(self):
        self.psql(f"\\copy (SELECT {COLUMNS} FROM {self.leaf}) TO '{self.folder}/rows.csv' WITH (FORMAT csv, HEADER)")

    def copy_in(self, is_indexed_first):
        """Into a table of its own, which is gone at the end."""
        definitions = [re.sub(r" INDEX \S+ ON \S+", " INDEX ON plain", one) for one, in self.sql(f"SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '{self.leaf}'::regclass")]
        self.sql("CREATE TABLE plain (LIKE analytics_events INCLUDING STORAGE INCLUDING COMPRESSION)")
        load = f"\\copy plain ({COLUMNS}) FROM '{self.folder}/rows.csv' WITH (FORMAT csv, HEADER)"
        steps = [lambda one=one: self.sql(one) for one in definitions]
        steps.insert(len(steps) if is_indexed_first else 0, lambda: self.psql(load))
        for step in steps:
            step()
        self.sql("DROP TABLE plain")

    def leave(self):
        return json.loads(self.run("tallymill", "archive", self.name, "--json", command=True))["months"][0]

    def verify(self):
        last = self.first.replace(day=calendar.monthrange(self.first.year, self.first.month)[1])
        self.run("tallymill", "verify", f"{self.first}..{last}", command=True)

    def come_back(self):
        return json.loads(self.run("tallymill", "restore", self.name, "--json", command=True))

    def turn(self):
        """One of each, in turn."""
        self.sql("UPDATE tallymill.archives SET state = 'superseded'")    # so that it is written again
        parts = {"out": self.copy_out, "in": lambda: self.copy_in(False), "in, indexed": lambda: self.copy_in(True), "verify": self.verify, "archive": self.leave, "restore": self.come_back}
        found = {name: self.measured(work) for name, work in parts.items()}
        left = found["archive"][0]
        if left["outcome"] != "archived" or left["rows"] != self.rows or found["restore"][0]["rows"] != self.rows:
            raise RuntimeError(f"{left} {found['restore'][0]}")
        cpu = {name: cost for name, (_, cost, _) in found.items()}
        plain, ours = cpu["out"] + cpu["in"], cpu["archive"] + cpu["restore"]
        return {"cpu_us_per_row": {name: round(cost / self.rows * 1e6, 2) for name, cost in cpu.items()}, "seconds": {name: round(took, 1) for name, (_, _, took) in found.items()},
                "away_s_per_million": left["away_us"] / self.rows, "bytes": left["bytes"], "csv_bytes": (self.folder / "rows.csv").stat().st_size,
                "ratio": ours / plain, "ratio_without_verify": (ours - cpu["verify"]) / plain, "ratio_to_indexed": ours / (cpu["out"] + cpu["in, indexed"])}


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run archive", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--build", default=str(ROOT / "build"))
    return parser.parse_args(words)


def run(words):
    options = arguments(words)
    with stack() as servers, tempfile.TemporaryDirectory(prefix="tallymill-bench-archive-") as folder:
        servers.tune(["autovacuum=off"])    # its CPU is nobody's here
        month = Month(servers, options, folder)
        bytes_of_month = month.sql(f"SELECT pg_table_size('{month.leaf}'), pg_indexes_size('{month.leaf}')")[0]
        turns = []
        for number in range(options.turns):
            turns.append(month.turn())
            say(f"turn {number + 1}: {turns[-1]}")
    ratios = {"P26 CPU": round(statistics.median(one["ratio"] for one in turns), 2), "P26 away": round(statistics.median(one["away_s_per_million"] for one in turns), 2)}
    other = {name: round(statistics.median(one[name] for one in turns), 2) for name in ("ratio_without_verify", "ratio_to_indexed")}
    print(f"\narchive: a month of {options.rows:,} rows, medians of {options.turns}: CPU of archive and restore {ratios['P26 CPU']} of COPY out and in"
          f" ({other['ratio_to_indexed']} of COPY into the indexed table; {other['ratio_without_verify']} without comparing the statistics), rows in no query {ratios['P26 away']} s per million", file=sys.stderr)
    return {"bench": "archive", "ratio": ratios["P26 CPU"], "ratios": ratios, **other, "rows": options.rows,
            "table_bytes": bytes_of_month[0], "index_bytes": bytes_of_month[1], "turns": turns}
