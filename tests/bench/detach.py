"""detach: what writers notice while a month waits to leave: from publish() to visible, p99, beside a `tallymill archive` whose detach a reader holds up, over the same alone.

Months of events are stored and computed. Then events flow at a fixed rate through a worker (as in the bench `latency`), in turn: alone; and from the moment in which the detach of a
month waits for a transaction that has read `analytics_events`, for as long as that stays open. Behind its end the archive must have ended, with exit code 0.
"""

import argparse
import contextlib
import datetime
import json
import statistics
import subprocess
import sys
import tempfile

import psycopg2

import latency
import topic
from export import visible
from servers import ROOT, stack

DRIVERS = latency.DRIVERS
DAYS_OF_A_MONTH = 31
PENDING = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass AND inhdetachpending"
DATES = ("--set", "window.oldest=1970-01-01")


def months(options):
    """The first days of as many months as there are turns, the newest first; the last of them ended a month ago."""
    first = datetime.date.today().replace(day=1)
    for _ in range(options.turns + 1):
        first = (first - datetime.timedelta(days=1)).replace(day=1)
        yield first


def fill(servers, options, until):
    def must(name, *words):
        if servers.program(name, *words, *topic.words(topic.EVENTS), *DATES).wait(timeout=3600):
            raise RuntimeError(f"{name} failed")
    topic.make(servers)
    days = DAYS_OF_A_MONTH * (options.turns + 1)
    must("tallymill-produce", "--generate", str(options.rows * options.turns), "--seed", "1", "--days", str(days), "--until", f"{until}T00:00:00Z")
    must("tallymill-consumer", "--until-end")
    must("tallymill-aggregator", "--once")
    servers.sql("CREATE INDEX ON tallymill.batches (batch_id)")    # so that a look of latency.watch does not grow with the ledger
    servers.sql("VACUUM (ANALYZE)")
    servers.sql("CHECKPOINT")


@contextlib.contextmanager
def held_up(servers, month, folder):
    """From the moment in which the detach of the month waits, beside a reader, to the end of both."""
    with contextlib.closing(psycopg2.connect(servers.dsn)) as reader:
        reader.cursor().execute("SELECT count(*) FROM analytics_events")
        archive = subprocess.Popen(
            [ROOT / "build/bin/tallymill", "archive", f"{month:%Y-%m}", "--config", servers.settings, "--set", f"archive.target={folder}", *DATES], stdout=subprocess.DEVNULL)
        topic.wait_for(lambda: servers.sql(PENDING, fetch=True)[0][0] == 1, "the detach to wait for its reader")
        yield
        if servers.sql(PENDING, fetch=True)[0][0] != 1 or archive.poll() is not None:
            raise RuntimeError("the detach did not wait for its reader")
        reader.rollback()
    if archive.wait(timeout=120):
        raise RuntimeError(f"tallymill archive {month:%Y-%m} failed behind its reader")


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run detach", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000, help="of a month")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rate", type=int, default=2000, help="events/s")
    parser.add_argument("--seconds", type=int, default=60, help="for so long the reader stays, beside those until the detach waits")
    parser.set_defaults(linger="5", set=[])
    return parser.parse_args(words)


def run(words):
    options, found = arguments(words), {"alone": [], "held up": []}
    with stack() as servers, tempfile.TemporaryDirectory(prefix="tallymill-bench-detach-") as folder:
        leaving = list(months(options))
        fill(servers, options, leaving[0])
        with latency.worker_of(servers, options):
            for number, month in enumerate(leaving[1:]):
                for name, rounds in found.items():
                    with contextlib.nullcontext() if name == "alone" else held_up(servers, month, folder):
                        rounds.append(visible(servers, options))
                    print(f"  turn {number + 1}, {name}: {rounds[-1]}", file=sys.stderr, flush=True)
    medians = {name: {quantile: round(statistics.median(one[quantile] for one in rounds), 2) for quantile in rounds[0]} for name, rounds in found.items()}
    ratio = round(statistics.median(beside["p99"] / alone["p99"] for alone, beside in zip(found["alone"], found["held up"])), 2)
    print(f"\ndetach: publish() to visible at {options.rate:,}/s, p99, while a detach waits for {options.seconds} s over the same alone: {ratio}; ms: {json.dumps(medians)}", file=sys.stderr)
    return {"bench": "detach", "ratio": ratio, "rate": options.rate, "seconds": options.seconds, "medians": medians, "rounds": found}
