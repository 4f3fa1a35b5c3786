"""Row 37: clocks that are wrong, and that jump.

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
from integration.harness.publisher import NAMES, event, now_us
from integration.harness.waiting import wait_until

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
HOUR = 3600


class Clock:
    """A wall clock that programs take from `environment()`, with `with`; `set(seconds)` moves it away from the true one by so much."""

    def __init__(self, zone="UTC", offset=0, seconds_cached=1):
        self.zone = zone
        self.offset = offset
        self.seconds_cached = seconds_cached
        self.folder = self.path = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-clock-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
        self.folder.chmod(0o755)  # the account that Postgres runs under reads it, too
        self.path = self.folder / "offset"
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
        return {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_CACHE_DURATION": str(self.seconds_cached),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": self.zone}


def around(clock, source):
    """Events of the three hours around the clock's now, without end."""
    while True:
        yield event(source.choice(NAMES), clock.now_us() + source.randrange(-3 * HOUR * 1_000_000, 3 * HOUR * 1_000_000),
                    session_id=f"s-{source.randrange(300)}", user_id=source.randrange(100))


@row(37, "wall clocks that jump by an hour", want=60, faults=8, limit=30, daily=3, needs=(("faketime", "faketime"),))
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
