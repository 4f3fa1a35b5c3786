#!/usr/bin/python3
"""The random run of the statistics: everything that can happen to a day happens, and each second they are compared.

    tests/faults/random_statistics.py [--seed N] [--seconds S] [--keep]

Events are published, repeated, delayed, backdated and imported at random; now and then rows are deleted, changed or inserted by
hand and `tallymill rebuild` is asked for their days; leader and standby are killed.  Meanwhile, once a second, the statistics
are compared with the raw query inside one snapshot, over the batches at or below `folded`, days that wait for a rebuild
aside, and so are the uniques of days that claim to be counted; at the end all of analytics_daily_uniques equals one counted anew.  The ledger is merged meanwhile, as if each turn of it came an hour later.  Prints its seed first; exit code 0 when every comparison held and everything was folded at the end.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import psycopg2

from integration.harness.exactness import differences
from integration.harness.publisher import NAMES, event, now_us
from integration.harness.site import Site
from integration.harness.stack import Stack
from integration.harness.uniques import SUBJECTS, all_differences, day_differences
from integration.harness.waiting import wait_until

DAY_US = 86_400_000_000
PACE_SECONDS = 0.2

# Marked in the transaction of the change: no moment in which the day is wrong and does not say so.
MARK = """
    INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
    SELECT day, clock_timestamp(), 'asked' FROM (SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date AS day FROM changed) days
    ON CONFLICT (day) DO UPDATE SET dirty_since = coalesce(d.dirty_since, excluded.dirty_since), dirty_reason = 'asked' RETURNING day"""
DELETE = f"""
    WITH changed AS (DELETE FROM analytics_events WHERE hashtext(session_id) %% 100 = %s AND created_at < now() - interval '5 seconds'
                     RETURNING created_at)
    {MARK}"""
UPDATE = f"""
    WITH changed AS (UPDATE analytics_events SET event_name = 'renamed', user_id = 1 WHERE hashtext(session_id) %% 100 = %s
                       AND created_at < now() - interval '5 seconds' RETURNING created_at)
    {MARK}"""

INSERT = f"""
    WITH changed AS (INSERT INTO analytics_events (event_name, session_id, user_id, is_internal, created_at)
                     SELECT 'by another', 's-' || n, n, n %% 3 = 0, now() - (abs(%s) %% 50) * interval '1 day' FROM generate_series(1, 20) AS n
                     RETURNING created_at)
    {MARK}"""


class Run:
    """A site with two workers, two aggregators, and what was sent so far."""

    def __init__(self, site, seed, say):
        self.site, self.source, self.say = site, random.Random(seed), say
        self.sent, self.delayed, self.number, self.compared, self.kills = [], [], 0, 0, 0
        self.asked = []     # rebuild commands that still run
        self.workers = [site.worker(name=f"worker-{number}") for number in range(2)]
        self.aggregators = [self._aggregator(number) for number in range(2)]
        # Whoever inserts by hand may do so into any of these months: a row whose month does not exist yet is refused by Postgres.
        self._send([event(NAMES[0], now_us() - days * DAY_US) for days in range(61)])
        site.publisher.flush()
        site.wait_until_drained()

    def _aggregator(self, number):
        return self.site.aggregator("--set", "aggregator.interval=100 ms", "--set", "aggregator.merge_every=1 s", name=f"aggregator-{number}")

    def events(self, count, age_us):
        """So many, made up to so long ago."""
        source, made = self.source, []
        for _ in range(count):
            number = source.randrange(5_000)
            made.append(event(source.choice(NAMES), now_us() - source.randrange(age_us + 1),
                              session_id=source.choice((None, f"s-{number}", f"s-{number}", f"S-{number}")),
                              user_id=source.choice((None, number, number // 2)), is_internal=source.random() < 0.05))
        return made

    def publish(self):
        age_us = self.source.choice((1_000_000, 60_000_000, DAY_US, 3 * DAY_US, 40 * DAY_US))
        made = self.events(self.source.randrange(1, 400), age_us)
        if self.source.random() < 0.2:
            self.delayed += made
        else:
            self._send(made)

    def _send(self, made):
        for one in made:
            self.site.publisher.send(one)
        self.sent = (self.sent + made)[-5_000:]

    def repeat(self):
        self._send([self.source.choice(self.sent) for _ in range(100)] if self.sent else [])

    def late(self):
        self._send(self.delayed)
        self.delayed = []

    def backfill(self):
        """Many events of one day in the past."""
        at = now_us() - self.source.randrange(1, 60) * DAY_US
        self._send([dict(one, created_at=at - self.source.randrange(3_600_000_000)) for one in self.events(500, 0)])

    def bring_in(self):
        """An import from a file, in days that come one after the other."""
        self.number += 1
        lines = []
        for number in range(1_000):
            at_us = now_us() - (10 + number % 7) * DAY_US + number
            lines.append(json.dumps({"name": "page_view", "session_id": f"import-{self.number}-{number % 90}", "when": at_us}))
        done = self.site.produce("--format", "ndjson", "--map", "event_name=name", "--map", "created_at=when", "--map", "session_id=session_id", "--time-unit", "us",
                                 stdin="\n".join(lines).encode())
        assert done.code == 0, done

    def change_by_hand(self):
        with self.site.database.session() as connection, connection.cursor() as cursor:
            # Days are marked in no order, so that it may lock with the aggregator; whoever is told so begins again, as it does.
            wait_until(lambda: cursor.execute(self.source.choice((DELETE, UPDATE, INSERT)), (self.source.randrange(-99, 100),)) or True, 30,
                       "the change by hand", despite=(psycopg2.errors.DeadlockDetected,))
            days = sorted(day for day, in cursor.fetchall())
        if days:
            name = f"rebuild-{len(self.site.programs)}"
            self.asked.append(self.site.start("tallymill", "rebuild", f"{days[0]}..{days[-1]}", name=name))

    def grow_old(self):
        """Everything stored so far is an hour old, as far as the merge of the ledger knows."""
        with self.site.database.session() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE tallymill.batches SET committed_at = committed_at - interval '2 hours'")

    def kill(self):
        number = self.source.randrange(2)
        self.aggregators[number].kill()
        self.aggregators[number] = self._aggregator(number)
        self.kills += 1

    def compare(self):
        wrong = differences(self.site) + day_differences(self.site)
        assert not wrong, f"after {self.compared} comparisons and {self.kills} kills:\n" + "\n".join(map(str, wrong[:20]))
        self.compared += 1

    def turn(self):
        acts = ((self.publish, 60), (self.repeat, 6), (self.late, 6), (self.backfill, 4), (self.bring_in, 1),
                (self.change_by_hand, 3), (self.grow_old, 2), (self.kill, 4))
        self.source.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()

    def settle(self):
        self.late()
        self.site.publisher.flush()
        self.site.wait_until_drained()
        self.site.wait_until_folded(120)
        for asked in self.asked:
            assert asked.wait(60) == 0, asked.log()
        self.compare()
        for program in self.workers + self.aggregators:
            assert program.stop() == 0, program.log()[-3000:]
        self.site.fold()
        wrong = all_differences(self.site)
        assert not wrong, "uniques:\n" + "\n".join(map(str, wrong[:20]))


def say_now(text):
    print(text, flush=True)


def random_run(site, seed, seconds, say=say_now):
    """Returns the number of comparisons, all of which held."""
    say(f"seed {seed}, {seconds:g} s")
    run = Run(site, seed, say)
    start = last = time.monotonic()
    while time.monotonic() < start + seconds:
        run.turn()
        if time.monotonic() >= last + 1:
            run.compare()
            last = time.monotonic()
        site.publisher.producer.poll(PACE_SECONDS)
    run.settle()
    rows, merged = site.database.rows("SELECT (SELECT count(*) FROM analytics_events), (SELECT count(*) FROM tallymill.batches WHERE last_batch_id > batch_id)")[0]
    say(f"seed {seed}: {run.compared} comparisons held; {rows} rows, {merged} merged ranges, {run.kills} kills, {len(run.asked)} rebuilds asked for by hand")
    return run.compared


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--build", choices=("release", "asan", "check"), default="release")
    parser.add_argument("--keep", action="store_true", help="keep logs and state for a look")
    given = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-statistics-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)
    try:
        with Stack(folder / "stack") as stack:
            (folder / "site").mkdir()
            (folder / "subjects.sql").write_text(SUBJECTS)
            with contextlib.closing(Site(stack, folder / "site", build=given.build, **{"uniques.subjects": folder / "subjects.sql"})) as site:
                random_run(site, given.seed, given.seconds)
        return 0
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
