#!/usr/bin/python3
"""The random-fault driver: events flow while workers, aggregators and servers are killed; then the checker judges.

    tests/faults/drive.py [--seed N] [--events N] [--seconds S] [--kills N] [--postgres-restarts N] [--broker-kills N]

Prints seed, versions and schedule before it starts, and each fault as it strikes, so that a run that found
something can be repeated.  The events are sent by Python's Kafka client, and every acknowledgement is recorded.  Every
program is restarted at once after its death, as its systemd unit would; workers are static members, so that a
restart takes its topic partitions back without waiting.  Exit code: 0 all invariants hold, 1 not, 2 it could not run.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import confluent_kafka
import psycopg2

from checker.check import check_statistics
from faults.crew import Crew
from faults.schedule import AGGREGATOR, BROKER, POSTGRES, schedule
from integration.harness.database import Database
from integration.harness.publisher import events
from integration.harness.site import Site
from integration.harness.stack import Stack

RECOVERY_SECONDS = 180
SLICE = 500  # events sent between two looks at the schedule


class Glances:
    """Looks at the statistics in the middle of things: right after a fault they must be as exact as at any other time."""

    def __init__(self, site):
        self.site = site
        self.count = 0
        self.damages = []

    def look(self):
        try:
            self.damages += check_statistics(self.site.database.dsn, self.site.topic).damages
            self.count += 1
        except psycopg2.OperationalError:
            pass  # it is just being killed: the next look counts


def drive(site, seed, count, seconds, kills, postgres_restarts, broker_kills, workers=2, say=print):
    """Runs the whole of it on a site, events sent evenly over so many seconds, and returns the checker's verdict."""
    faults = schedule(seed, kills, postgres_restarts, broker_kills, workers)
    say(f"seed {seed}: {count} events, {workers} workers; " + "; ".join(map(str, faults)))
    started = time.monotonic()
    crew = Crew(site, workers)
    glances = Glances(site)
    waiting = list(faults)
    for sent, made in enumerate(events(count, seed, days=5)):
        if sent % SLICE == 0:
            _keep_pace(site, started + seconds * sent / count)
            while waiting and waiting[0].at <= sent / count:
                _strike(site, crew, waiting.pop(0), say, started)
                glances.look()
            crew.revive()
        site.publisher.send(made)
    for fault in waiting:
        _strike(site, crew, fault, say, started)
    site.publisher.flush(RECOVERY_SECONDS)
    say(f"{time.monotonic() - started:6.1f} s all sent and acknowledged")
    _settle(site, crew)
    say(f"{time.monotonic() - started:6.1f} s drained and folded")
    ended = crew.stop()
    verdict = site.verdict()
    verdict.damages += glances.damages
    verdict.figures["looks at the statistics meanwhile"] = glances.count
    for name, code in ended.items():
        if code != 0:
            verdict.damage("I3", "program ended badly", f"{name}: exit code {code}")
    say(f"{time.monotonic() - started:6.1f} s checked\n{verdict.as_text()}")
    return verdict


def _keep_pace(site, until):
    """Serves deliveries until it is time to send more; a run that is late does not wait."""
    while time.monotonic() < until:
        site.publisher.producer.poll(min(0.1, max(0.0, until - time.monotonic())))


def _strike(site, crew, fault, say, started):
    say(f"{time.monotonic() - started:6.1f} s {fault}")
    if fault.what == POSTGRES:
        site.stack.restart_postgres("immediate")
    elif fault.what == BROKER:
        site.stack.kill_broker()
        site.stack.start_broker()
    else:
        role = "aggregator" if fault.what == AGGREGATOR else "worker"
        crew.kill(role, fault.which if role == "worker" else 0)


def _settle(site, crew):
    """Everything stored and folded; programs that gave up meanwhile are started again."""
    site.wait_until_drained(RECOVERY_SECONDS, despite=(psycopg2.OperationalError,), meanwhile=crew.revive)
    site.wait_until_folded(RECOVERY_SECONDS, despite=(psycopg2.OperationalError,), meanwhile=crew.revive)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, default=60, help="over which the events are sent")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--postgres-restarts", type=int, default=2)
    parser.add_argument("--broker-kills", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--build", choices=("release", "asan", "check"), default="release")
    parser.add_argument("--keep", action="store_true", help="keep logs and state for a look")
    given = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-faults-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)
    try:
        with Stack(folder / "stack") as stack:
            postgres = Database(stack.dsn).value("SHOW server_version")
            print(f"Postgres {postgres}; librdkafka {confluent_kafka.libversion()[0]} sends; Python {sys.version.split()[0]}", flush=True)
            (folder / "site").mkdir()
            site = Site(stack, folder / "site", build=given.build, partitions=8)
            try:
                verdict = drive(site, given.seed, given.events, given.seconds, given.kills, given.postgres_restarts, given.broker_kills,
                                given.workers, say=lambda text: print(text, flush=True))
            finally:
                site.close()
        return 0 if verdict.holds() else 1
    except AssertionError as why:
        print(why, file=sys.stderr)
        return 1
    finally:
        if given.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
