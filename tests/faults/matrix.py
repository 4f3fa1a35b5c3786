#!/usr/bin/python3
"""The fault matrix: rounds of its rows until so many faults were injected, each round judged by the independent checker.

    tests/faults/matrix.py [--faults N] [--rows 1,2,23] [--seed N] [--minutes M] [--rounds N] [--results FILE] [--list]

The same runs as `tests/run faults -- --rows 1,2 --minutes 30`. Each round is a line of JSON in the results file, and a run goes on where the file ends, so
that N faults may be collected over many evenings; the table at the end is over the whole file. A round's seed is the base
seed (drawn, unless --seed gives it) + the number of the round: printed first, and enough to repeat it with --rows ROW --seed SEED --rounds 1.
Rows come in proportion to what is wanted of them. Logs of a round that broke are kept beside the results.
Exit code: 0 all rounds held, 1 one did not, 2 it could not run.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from faults.registry import all_rows, chosen_rows
from faults.round import Round
from integration.harness.database import Database
from integration.harness.program import ROOT, binary, run
from integration.harness.stack import Stack

HOLDS, LATE, BROKEN = "holds", "late", "broken"
DEFAULT_RESULTS = ROOT / "build" / "faults.jsonl"


class Results:
    """The rounds so far: a file of one JSON object a line, or none (memory only)."""

    def __init__(self, path):
        self.path = pathlib.Path(path) if path else None
        self.lines = []
        if self.path and self.path.exists():
            self.lines = [json.loads(line) for line in self.path.read_text().splitlines() if line.strip()]

    def add(self, line):
        self.lines.append(line)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")

    def faults(self, key=None):
        return sum(line["faults"] for line in self.lines if key in (None, line["row"]))

    def base_seed(self, given):
        if given is not None:
            return given
        return self.lines[0]["base"] if self.lines else int.from_bytes(os.urandom(4), "big")

    def table(self):
        """A line a row: rounds, faults, what they came to, the slowest recovery beside the limit; and the totals."""
        text = [f"{'row':10} {'rounds':>6} {'faults':>6} {'holds':>5} {'late':>4} {'broken':>6} {'slowest':>8} {'limit':>6}  what"]
        rows = all_rows()
        for key in sorted({line["row"] for line in self.lines}, key=lambda key: list(rows).index(key) if key in rows else 999):
            mine = [line for line in self.lines if line["row"] == key]
            counts = [sum(line["verdict"] == verdict for line in mine) for verdict in (HOLDS, LATE, BROKEN)]
            slowest = max((line["slowest"] or 0 for line in mine), default=0)
            text.append(f"{key:10} {len(mine):6} {self.faults(key):6} {counts[0]:5} {counts[1]:4} {counts[2]:6} {slowest:7.1f}s"
                        f" {mine[-1]['limit']:5.0f}s  {mine[-1]['title']}")
        sums = {name: sum(line.get(name) or 0 for line in self.lines) for name in ("acknowledged", "lost", "doubled", "damages")}
        text.append(f"{len(self.lines)} rounds, {self.faults()} faults, {sums['acknowledged']} events acknowledged: {sums['lost']} lost,"
                    f" {sums['doubled']} stored twice, {sums['damages']} damages in all;"
                    f" {sum(line['verdict'] == BROKEN for line in self.lines)} rounds broken")
        return "\n".join(text)


class Servers:
    """Stacks by their number of brokers, started when first needed."""

    def __init__(self, folder):
        self.folder = folder
        self.kept = {}
        self.open = contextlib.ExitStack()

    def __enter__(self):
        self.open.__enter__()
        return self

    def __exit__(self, *why):
        return self.open.__exit__(*why)

    @contextlib.contextmanager
    def lent(self, row):
        """The servers for one round of a row. Servers that a round left damaged are thrown away."""
        if row.own_stack:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="own-", dir=self.folder))
            folder.chmod(0o755)
            with Stack(folder / "stack", row.brokers) as own:
                yield own
            return
        if row.brokers not in self.kept:
            running = os.environ.get("TALLYMILL_TEST_STACK") if row.brokers == 1 else None
            self.kept[row.brokers] = Stack(running).attach() if running else self.open.enter_context(
                Stack(self.folder / f"stack-{row.brokers}", row.brokers))
        yield self.kept[row.brokers]
        self._mend(self.kept[row.brokers])

    @staticmethod
    def _mend(stack):
        """A broken round may leave a server down: start what does not run."""
        if not stack.is_running():
            stack.must("start", "--brokers", str(stack.brokers), deadline=300)


def versions(stack):
    """What the results file says about what was tried."""
    revision = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {"tallymill": revision.stdout.strip() or "unknown", "worker": run([binary("tallymill-consumer"), "--version"]).out.strip(),
            "postgres": Database(stack.dsn).value("SHOW server_version"), "kernel": platform.release()}


def play(row, seed, stack, folder, count=None, say=print):
    """One round of a row; what becomes of it, as a line of the results."""
    started = time.monotonic()
    one = Round(row, seed, stack, folder, count, say)
    line = {"row": row.key, "title": row.title, "seed": seed, "limit": row.limit, "verdict": BROKEN, "why": ""}
    try:
        verdict = one.run()
        figures = verdict.figures
        line.update(acknowledged=figures.get("acknowledged", 0), rows=figures.get("rows stored", 0), damages=len(verdict.damages),
                    lost=sum(d.kind == "acknowledged and lost" for d in verdict.damages),
                    doubled=sum(d.kind == "row twice" for d in verdict.damages))
        if verdict.holds():
            line["verdict"] = LATE if max(one.recoveries, default=0) > row.limit else HOLDS
        else:
            line["why"] = "\n" + verdict.as_text()
    except Exception as why:  # noqa: BLE001  (whatever it is, a mistake in the row too: the other rows go on)
        line["why"] = "".join(traceback.format_exception(why))[-6000:]
    line.update(faults=one.injected, slowest=round(max(one.recoveries, default=0), 2), seconds=round(time.monotonic() - started, 1),
                at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    return line


def missing(row):
    """The packages of the distribution that a row needs and that are not there."""
    return [package for command, package in row.needs if not shutil.which(command)]


class Matrix:
    """The long run: chooses, plays, records."""

    def __init__(self, results, rows, base_seed, say=print):
        self.results = results
        self.say = say
        self.base = base_seed
        self.rows = {}
        for key, row in rows.items():
            if missing(row):
                say(f"row {key} is left out; it needs: apt-get install {' '.join(missing(row))}")
            else:
                self.rows[key] = row

    def next_row(self):
        """The row of which the smallest share of what is wanted is done; each has its turn before any has its second."""
        return min(self.rows.values(), key=lambda row: self.results.faults(row.key) / row.want)

    def run(self, most_faults, until, most_rounds, folder):
        """Rounds until one of the three is reached; True when all of them held."""
        held = True
        rounds = 0
        with Servers(folder) as servers:
            while rounds < most_rounds and time.monotonic() < until and self.results.faults() < most_faults:
                held &= self._round(self.next_row(), servers, folder)
                rounds += 1
        return held

    def _round(self, row, servers, folder):
        number = len(self.results.lines)
        seed = self.base + number
        self.say(f"-- round {number + 1}: row {row.key}, {row.title}; seed {seed}")
        place = pathlib.Path(tempfile.mkdtemp(prefix=f"row-{row.key.replace('/', '-')}-", dir=folder))
        place.chmod(0o755)
        with servers.lent(row) as stack:
            line = play(row, seed, stack, place, say=self.say)
            line.update(base=self.base, versions=versions(stack))
        self.results.add(line)
        self.say(f"   {line['verdict']}: {line['faults']} faults, slowest recovery {line['slowest']} s (limit {row.limit:g} s),"
                 f" {line['seconds']} s; {self.results.faults()} faults so far")
        if line["verdict"] == BROKEN:
            self.say(f"{line['why']}\nRepeat it: tests/faults/matrix.py --rows {row.key} --seed {seed} --rounds 1{self._keep(place, row, seed)}")
        shutil.rmtree(place, ignore_errors=True)
        return line["verdict"] != BROKEN

    def _keep(self, place, row, seed):
        if not self.results.path:
            return ""
        kept = self.results.path.with_suffix(".logs") / f"row-{row.key.replace('/', '-')}-seed-{seed}"
        shutil.copytree(place, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("no-rollups"))
        return f"\nIts logs: {kept}"


def add_options(add):
    """The options, for our own command line and for pytest's; `add` is what takes them there."""
    add("--faults", type=int, default=1000, help="go on until so many were injected, those in the results file included (1000)")
    add("--rows", default="", help="only these: 1,2,23 (--list names them)")
    add("--seed", type=int, help="the base seed; drawn when not given")
    add("--minutes", type=float, default=30, help="begin no round after so many minutes (30)")
    add("--rounds", type=int, help="at most so many rounds; with --seed, and not continuing a file")
    add("--results", help="the file to continue (build/faults.jsonl); with --rounds none unless given")


def run_matrix(given, say=print):
    """One run as the options say; (whether all rounds held, the table)."""
    results = Results(given.results or (None if given.rounds else DEFAULT_RESULTS))
    base = results.base_seed(given.seed)
    say(f"base seed {base}; {results.faults()} of {given.faults} faults are done")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-faults-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)  # the account that Postgres runs under must get through
    try:
        matrix = Matrix(results, chosen_rows(given.rows), base, say)
        held = matrix.run(given.faults if not given.rounds else sys.maxsize, time.monotonic() + 60 * given.minutes,
                          given.rounds or sys.maxsize, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return held, results.table()


def _interrupt(sign, _frame):
    raise KeyboardInterrupt(sign)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_options(parser.add_argument)
    parser.add_argument("--list", action="store_true", help="the rows, and end")
    given = parser.parse_args()
    if given.list:
        for row in all_rows().values():
            print(f"{row.key:10} {row.want:5} wanted, {row.faults:3} a round, limit {row.limit:3.0f} s  {row.title}")
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        held, table = run_matrix(given, say=lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        print("interrupted; the rounds that ended are in the results", file=sys.stderr)
        return 2
    print(table)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
