"""Rows 32 to 34: a full disk under the tables, under the WAL, and under one broker's log.

The disks are small mounts in memory, so these rows want root. Room is taken away by a file that grows over all that is left, and
given back by its removal. Nothing may become a dead letter for it, and no worker may end with anything but "a restart may help".
"""

import contextlib
import os
import pathlib
import subprocess
import tempfile

from faults.registry import row
from integration.harness.postgres_server import IS_AWAY, PostgresServer, with_postgres
from integration.harness.stack import Stack
from integration.harness.waiting import wait_until


class SmallDisk:
    """A mount of so many MiB that belongs to `owner`; `fill()` leaves nothing, `empty()` gives the room back."""

    def __init__(self, size_mib, owner=None, path=None):
        self.size_mib = size_mib
        self.owner = owner
        self.path = path and pathlib.Path(path)

    def __enter__(self):
        assert os.geteuid() == 0, "rows with disks of their own want root, to mount them"
        if self.path is None:
            self.path = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-disk-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size_mib}m,mode=0700", "none", self.path], check=True, timeout=30)
        if self.owner:
            os.chown(self.path, *self.owner)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True, timeout=60)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def fill(self):
        """Takes the room away, and again what others set free meanwhile, until none is left."""
        with open(self.path / "filler", "ab") as filler:
            left = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
            if left:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(filler.fileno(), filler.tell(), left)

    def empty(self):
        (self.path / "filler").unlink(missing_ok=True)


def no_dead_letters(round):
    assert round.site.database.value("SELECT count(*) FROM tallymill.dead_letters") == 0, "events were given up for a full disk"


@row(32, "the disk of the tables is full", want=40, faults=4, limit=30)
def tables_full(round):
    server = PostgresServer(round.stack)
    disk = round.enter(SmallDisk(256, (server.owner, server.group)))
    round.enter(server)
    place = disk.path / "tables"
    place.mkdir()
    os.chown(place, server.owner, server.group)
    server.database().run(f"CREATE TABLESPACE small LOCATION '{place}'")
    site = round.make_site(stack=with_postgres(round.stack, server.dsn), partitions=4)
    site.database.run("""
        DO $$ DECLARE one regclass; BEGIN
          FOR one IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass LOOP
            EXECUTE format('ALTER TABLE %s SET TABLESPACE small', one);
          END LOOP; END $$""")
    round.start(workers=2, aggregators=1)
    with round.flow(rate=800):
        for _ in range(round.count):
            round.recovered()
            seen = _complaints(round, "No space left", "disk full")

            def is_full(seen=seen):
                disk.fill()
                return _complaints(round, "No space left", "disk full") > seen

            wait_until(is_full, round.patience(), "a worker to meet the full disk")
            round.struck("the disk of the tables is full")
            round.let_flow(1, 4)
            disk.empty()
            round.struck("there is room again", faults=0)
            round.recovered()
        no_dead_letters(round)


def _complaints(round, *words):
    return sum(program.log().count(word) for program in round.site.programs for word in words)


@row(33, "the disk of the WAL is full", want=30, faults=3, limit=60)
def wal_full(round):
    """Postgres panics, and is started again and again, as its unit would, until there is room."""
    server = PostgresServer(round.stack, max_wal_size="16MB", min_wal_size="2MB")
    disk = round.enter(SmallDisk(200, (server.owner, server.group)))
    server.wal = disk.path / "wal"
    round.enter(server)
    round.make_site(stack=with_postgres(round.stack, server.dsn), partitions=4)
    round.start(workers=2, aggregators=1)
    with round.flow(rate=800):
        for _ in range(round.count):
            round.recovered()

            def panics():
                disk.fill()
                return server.has_ended() or not server.answers()

            wait_until(panics, round.patience(), "Postgres to panic for want of room")
            round.struck("the disk of the WAL is full, and Postgres is gone")
            round.let_flow(0.5, 2)
            if server.has_ended():
                server.launch()  # in vain, or not for long
            disk.empty()
            wait_until(lambda: server.answers() or (server.has_ended() and server.launch()), round.patience(), "Postgres to come back", IS_AWAY)
            round.struck("there is room again", faults=0)
            round.recovered()
        no_dead_letters(round)


@row(34, "the disk of one broker's log is full", want=20, faults=2, limit=60)
def broker_full(round):
    """Of three brokers one stops, as it must: its log has nowhere to go. The others go on; with room it is started and catches up."""
    state = round.folder / "own-stack"
    (state / "kafka-2").mkdir(parents=True)
    disk = round.enter(SmallDisk(160, path=state / "kafka-2"))
    stack = round.enter(Stack(state, brokers=3))
    round.make_site(stack=stack, partitions=4)
    round.start(workers=2, aggregators=1)
    with round.flow(rate=800):
        for _ in range(round.count):
            round.recovered()

            def broker_stops():
                disk.fill()
                return not _is_running(stack, "kafka-2")

            wait_until(broker_stops, 4 * round.patience(), "the broker to stop for want of room")
            round.struck("the disk of broker 2 is full, and it has stopped")
            round.let_flow(1, 3)
            round.recovered()
            disk.empty()
            stack.start_broker(2)
            round.struck("there is room again", faults=0)
            round.recovered()
        no_dead_letters(round)


def _is_running(stack, server):
    try:
        return pathlib.Path(f"/proc/{stack.pid(server)}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
