"""Row 37: clocks that are wrong, that jump, and nights in which summer time begins or ends.

Debian's libfaketime gives the programs their wall clock; the monotonic clock stays the machine's, as it does when a real clock is set.
The offset stands in a file that it reads again every second, so that a clock jumps under a running program. Kafka keeps the true time.
"""

import glob
import os
import pathlib
import shutil
import tempfile

from faults.registry import row
from integration.harness.postgres_server import PostgresServer, with_postgres
from integration.harness.program import run
from integration.harness.publisher import NAMES, event, instant, now_us
from integration.harness.waiting import wait_until

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
SHIM = pathlib.Path(__file__).resolve().parent.parent / "shim" / "c11_wait.c"
HOUR = 3600
NIGHTS = {  # some seconds before, in UTC; what the clocks of Berlin do then
    "2026-03-29 00:59:55": "summer time begins",
    "2026-10-25 00:59:55": "summer time ends",
    "2026-10-31 22:59:55": "a month begins in Berlin, an hour before it does in UTC",
    "2026-10-31 23:59:55": "a day and a month begin in UTC",
}


class Clock:
    """A wall clock that programs take from `environment()`, with `with`; `set(seconds)` moves it away from the true one by so much.
    fakes_monotonic: the other clock goes with it, as if that much time had passed."""

    def __init__(self, zone="UTC", offset=0, seconds_cached=1, fakes_monotonic=False):
        self.fakes_monotonic = fakes_monotonic
        self.zone = zone
        self.offset = offset
        self.seconds_cached = seconds_cached
        self.folder = self.path = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-clock-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
        self.folder.chmod(0o755)  # the account that Postgres runs under reads it, too
        self.path = self.folder / "offset"
        built = run(["cc", "-shared", "-fPIC", "-o", str(self.folder / "c11_wait.so"), str(SHIM)])
        assert built.code == 0, built
        self.set(self.offset)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def set(self, seconds):
        self.offset = seconds
        scratch = self.path.with_suffix(".new")
        scratch.write_text(f"{seconds:+d}\n")
        scratch.chmod(0o644)
        os.replace(scratch, self.path)

    def now_us(self):
        return now_us() + self.offset * 1_000_000

    def environment(self):
        (library,) = glob.glob(LIBRARY)
        return {"LD_PRELOAD": f"{self.folder / 'c11_wait.so'}:{library}", "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_CACHE_DURATION": str(self.seconds_cached),
                "FAKETIME_DONT_FAKE_MONOTONIC": "0" if self.fakes_monotonic else "1", "TZ": self.zone}


def around(clock, source):
    """Events of the three hours around the clock's now, without end."""
    while True:
        yield event(source.choice(NAMES), clock.now_us() + source.randrange(-3 * HOUR * 1_000_000, 3 * HOUR * 1_000_000),
                    session_id=f"s-{source.randrange(300)}", user_id=source.randrange(100))


@row(37, "wall clocks that jump by an hour", want=60, faults=8, limit=30, daily=3,
     plain_servers="its clocks jump to before the certificates were made", needs=(("faketime", "faketime"),))
def jumping_clock(round):
    """The services' clock, and that of a Postgres of the round's own, jump each by itself."""
    services, database = round.enter(Clock()), round.enter(Clock())
    server = round.enter(PostgresServer(round.stack, env=database.environment()))
    site = round.make_site(stack=with_postgres(round.stack, server.dsn), partitions=4)
    site.environment = services.environment()
    round.start(workers=2, aggregators=2)
    with round.flow(rate=200), round.flow(rate=200, made=around(services, round.random)):
        for _ in range(round.count):
            round.recovered()
            clock = round.random.choice((services, database))
            clock.set(round.random.choice([offset for offset in (-HOUR, 0, HOUR) if offset != clock.offset]))
            wait_until(lambda: abs(_clock_of(server) - database.offset) < 60, 30, "the server's clock to jump")
            round.struck(f"clocks: services {services.offset:+d} s, Postgres {database.offset:+d} s")
            round.let_flow(1, 2)
            round.recovered()


def _clock_of(server):
    return float(server.value("SELECT extract(epoch FROM clock_timestamp())")) - now_us() / 1e6


@row("37/night", "nights in which clocks change, everything in Berlin's time", want=40, faults=2, limit=30, daily=1,
     plain_servers="its clock shows nights in which the certificates are not good yet", needs=(("faketime", "faketime"),))
def night(round):
    """A whole site lives through the hour, its Postgres too, with a database in that time zone. Days stay those of UTC."""
    for number in range(round.count):
        moment = round.random.choice(list(NIGHTS))
        clock = round.enter(Clock("Europe/Berlin", (instant(moment) - now_us()) // 1_000_000, seconds_cached=86_400))  # it only runs
        server = round.enter(PostgresServer(round.stack, env=clock.environment()))
        server.database().run("ALTER ROLE ALL SET timezone = 'Europe/Berlin'")
        site = round.make_site(stack=with_postgres(round.stack, server.dsn), partitions=4, **{"aggregator.close_after": "0 s"})
        site.environment = clock.environment()
        round.start(workers=2, aggregators=1)
        with round.flow(rate=300, made=around(clock, round.random)):
            wait_until(lambda clock=clock, moment=moment: clock.now_us() > instant(moment) + 7_000_000, 60, "the hour to come")
            round.struck(f"{moment} UTC: {NIGHTS[moment]}")
            round.let_flow(1, 2)
            round.recovered()
        if number + 1 < round.count:
            verdict = round.settle()
            assert verdict.holds(), verdict.as_text()
