"""One round: a site of its own on the shared servers, events that flow, the faults of one row, and the checker's verdict at the end.

The limit of a row is what the product promises on a machine of its own. A round that is later than that is told as "late" with its
seconds; one that is not back after PATIENCE times the limit (and a minute) is broken, as one with a damage is.
"""

import contextlib
import random
import time

import psycopg2

from checker.check import check_statistics
from checker.verdict import Verdict
from faults.crew import Crew
from faults.flow import Flow
from integration.harness.site import Site
from integration.harness.waiting import wait_until

PATIENCE = 4
LEAST_PATIENCE_SECONDS = 60
SETTLE_SECONDS = 180
FOLDED = "SELECT topic_partition, next_offset FROM tallymill.folded WHERE topic = %s"
DATABASE_IS_AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError)


class Round:
    """What a row's function works with: `random`, `count` (faults to inject), `stack`, `site`, `crew`, and the verbs below."""

    def __init__(self, row, seed, stack, folder, count=None, say=print):
        self.row = row
        self.seed = seed
        self.random = random.Random(f"{row.key}:{seed}")
        self.stack = stack
        self.folder = folder
        self.count = count or row.faults
        self.is_daily = count is not None  # the short form
        self.say = say
        self.site = self.crew = None
        self.injected = 0
        self.skipped = None
        self.recoveries = []
        self.damages = []  # found in the statistics meanwhile
        self.glances = 0
        self._sites = []
        self._servers = contextlib.ExitStack()
        self._started = time.monotonic()
        self._struck_at = self._started
        self._targets = {}
        self._seen = 0

    # ---- what a row does

    def make_site(self, **how):
        """The round's site: `build`, `partitions`, `stack` and settings as "section.key"."""
        folder = self.folder / f"site-{len(self._sites) + 1}"
        folder.mkdir()
        self.site = Site(how.pop("stack", self.stack), folder, **how)
        self._sites.append(self.site)
        self._targets, self._seen = {}, 0
        return self.site

    def enter(self, context):
        """Enters a context (a server of the round's own, a mount) that ends once the round's sites are closed; what it gives."""
        return self._servers.enter_context(context)

    def start(self, workers=2, aggregators=1, words=(), **how):
        """A site (unless there is one) with its programs running; the Crew."""
        if self.site is None:
            self.make_site(**how)
        self.crew = Crew(self.site, workers, aggregators, words)
        return self.crew

    def flow(self, rate=500, publisher=None, **how):
        """Events at that many a second until the end of the `with`."""
        return Flow(publisher or self.site.publisher, self.random.getrandbits(32), rate, **how)

    def let_flow(self, least, most=None):
        """Time in which nothing strikes, drawn between the two; ended programs are started again meanwhile."""
        until = time.monotonic() + (self.random.uniform(least, most) if most else least)
        while time.monotonic() < until:
            self._revive()
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))

    def struck(self, what, faults=1):
        """Says that a fault (or so many) was injected; recovery is counted from here. A look at the statistics, if they can be seen."""
        self.injected += faults
        self._struck_at = time.monotonic()
        self.say(f"{self._struck_at - self._started:6.1f} s {self.injected:4} {what}")

    def recovered(self, since=None, ends=None):
        """Returns once all that Kafka has acknowledged by now is stored; fails when the row's limit is far exceeded. `since`: a
        moment to count from (`now()`), where that is not the last fault; `ends`: what has to be stored, where that is something else."""
        targets = ends or self._acknowledged_ends()
        wait_until(lambda: self._is_stored(targets), self.patience(), lambda: f"the ledger to reach {targets}; it is at {self.site.positions()}",
                   DATABASE_IS_AWAY)
        self.recoveries.append(time.monotonic() - (since or self._struck_at))
        self.glance()

    def counted(self):
        """Returns once the statistics have taken in all that is stored by now."""
        targets = self.site.positions()

        def is_counted():
            self._revive()
            folded = dict(self.site.database.rows(FOLDED, self.site.topic))
            return all(folded.get(number, 0) >= end for number, end in targets.items())

        wait_until(is_counted, self.patience(), lambda: f"the statistics to reach {targets}", DATABASE_IS_AWAY)
        self.recoveries.append(time.monotonic() - self._struck_at)
        self.glance()

    @staticmethod
    def now():
        return time.monotonic()

    def struck_at(self):
        return self._struck_at

    def skip(self, why):
        """The row cannot be tried here; its Verdict says so."""
        self.say(f"row {self.row.key} is left out: {why}")
        self.skipped = why
        return Verdict()

    def patience(self):
        return max(LEAST_PATIENCE_SECONDS, PATIENCE * self.row.limit)

    def glance(self):
        """A look at the statistics in the middle of things: they must be as exact as at any other time."""
        try:
            self.damages += check_statistics(self.site.database.dsn, self.site.topic).damages
            self.glances += 1
        except DATABASE_IS_AWAY:
            pass  # the next look counts

    # ---- how a round ends

    def run(self):
        """The whole round; the checker's Verdict."""
        try:
            verdict = self.row.function(self) or self.settle()
            verdict.damages += self.damages
            verdict.figures["looks at the statistics meanwhile"] = self.glances
            return verdict
        finally:
            with self._servers:
                for site in self._sites:
                    site.close()

    def settle(self, **how):
        """Everything acknowledged, stored and folded, the programs stopped; the Verdict. What a row does unless it returns one itself."""
        site = self.site
        site.publisher.flush(SETTLE_SECONDS)
        if not self.crew or not self.crew.workers():
            site.drain(SETTLE_SECONDS, instance="last")
        else:
            site.wait_until_drained(SETTLE_SECONDS, DATABASE_IS_AWAY, self._revive)
        ended = {}
        if self.crew and any(role == "aggregator" for role, _ in self.crew.programs):
            site.wait_until_folded(SETTLE_SECONDS, DATABASE_IS_AWAY, self._revive)
        if self.crew:
            ended = self.crew.stop()
        if not any(name.startswith("aggregator") for name in ended):
            site.fold()
        verdict = site.verdict(**how)
        for name, code in ended.items():
            if code != 0:
                verdict.damage("I3", "program ended badly", f"{name}: exit code {code}")
        return verdict

    # ---- inside

    def _revive(self):
        if self.crew:
            self.crew.revive()

    def _acknowledged_ends(self):
        known = self.site.publisher.acknowledged
        while self._seen < len(known):
            _, number, offset = known[self._seen]
            self._targets[number] = max(self._targets.get(number, 0), offset + 1)
            self._seen += 1
        return dict(self._targets)

    def _is_stored(self, targets):
        self._revive()
        positions = self.site.positions()
        return all(positions.get(number, 0) >= end for number, end in targets.items())
