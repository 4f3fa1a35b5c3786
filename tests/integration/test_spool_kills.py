"""A spool on a small disk that others fill and free, Kafka away and back, and its process killed over and over: in each way of syncing.

What tally_publish accepted is in the topic, and one row, by its id. With spool.sync = each that is all of it. With interval and never a kill takes
what was on its way from the queue to a file, or, past a full disk, straight to Kafka: of one process the last events, no more than 256 KiB;
they are counted. Where Kafka is away and events are refused, whatever was accepted is in a file: there a kill takes nothing in any mode.

TALLYMILL_SPOOL_KILLS=200 tests/run integration -- -k killed_on_small_disks: so many kills in each mode, on disks of 1, 2, 4 and 16 MiB.
"""

import os
import random
import time

import pytest

from .harness.kafka_proxy import KafkaProxy
from .harness.publishing import Publishing
from .harness.small_disk import SmallDisk
from .harness.waiting import wait_until
from .test_spool import finish

KILLS = int(os.environ.get("TALLYMILL_SPOOL_KILLS", "0"))
QUEUE_BYTES = 256 * 1024
EVENTS_OF_A_DISK = 1500  # so many fill it, whatever its size
SIZES_MIB = (1, 2, 4, 16)


@pytest.fixture
def proxy(stack):
    between = KafkaProxy(stack)
    yield between
    between.close()


@pytest.fixture
def make_disk(tmp_path):
    made = []

    def make(mib):
        made.append(SmallDisk(tmp_path / f"disk-{mib}", mib))
        return made[-1]

    yield make
    for disk in made:
        disk.close()


class Lives:
    """One spool's processes, one after the other, each killed at a moment of luck; the world around them changes as well."""

    def __init__(self, site, proxy, disk, mib, sync, source):
        self.proxy, self.disk, self.source = proxy, disk, source
        self.text = mib * 1024 * 1024 // EVENTS_OF_A_DISK
        self.publishing = Publishing(site, proxy, f"spool.dir={disk.path / 'spool'}", f"spool.sync={sync}", "queue.size=256 KiB", f"text={self.text}")
        self.start = self.publishing.ids()
        self.kills = 0
        self.ends = []  # how many events had been accepted when a process was killed, and whether it may have lost some

    def change_the_world(self):
        if self.source.random() < 0.5:
            (self.proxy.come_back if self.proxy.is_away else self.proxy.go_away)()
        if self.source.random() < 0.4:
            (self.disk.free if self.disk.is_filled() else self.disk.fill)()

    def live_until_refused(self):
        """Without Kafka, until the spool or its disk is full."""
        self.proxy.go_away()
        publisher = self.publishing.start(20_000)
        wait_until(lambda: "refused for" in publisher.log() or not publisher.is_running(), 90, publisher.log)
        self.end(publisher, may_lose=False)

    def end(self, publisher, may_lose):
        if publisher.is_running():
            publisher.kill()
            self.kills += 1
        else:
            assert publisher.wait() == 0, publisher.log()[-3000:]
        self.ends.append((self.publishing.ids(), may_lose))

    def live(self):
        source, publishing = self.source, self.publishing
        if publishing.starts > 0:  # a spool is not made on a full disk
            self.change_the_world()
        publisher = publishing.start(source.choice((200, 1_000, 5_000, 20_000)))  # when these are published it waits for Kafka, in tally_close
        for _ in range(source.randrange(1, 3)):
            reached, until = publishing.ids() + source.randrange(1, 2_000), time.monotonic() + source.uniform(0.1, 1.5)
            wait_until(lambda: publishing.ids() >= reached or time.monotonic() >= until or not publisher.is_running(), 10, "some events, or some time")
            self.change_the_world()
        self.end(publisher, may_lose=True)

    def lost(self, stored):
        """The events of each process that are not stored. They are the last that it had accepted, and the queue can have held them."""
        accepted = [one for one, _, _ in self.publishing.acknowledged()]
        lost, start = [], self.start
        for end, may_lose in self.ends:
            missing = [at for at in range(start, end) if accepted[at] not in stored]
            assert may_lose or not missing, f"{len(missing)} of {end - start} events had no place, at rest"
            if missing:
                assert (end - missing[0]) * self.text <= QUEUE_BYTES, f"{end - missing[0]} events before the kill one is lost, of {self.text} bytes each"
            lost += [accepted[at] for at in missing]
            start = end
        return lost


def killed_on_small_disks(site, proxy, make_disk, sync, kills, sizes):
    seed = os.environ.get("TALLYMILL_SEED", str(random.randrange(10**6)))
    print(f"TALLYMILL_SEED={seed} spool.sync={sync}")
    lost, accepted = [], []
    for mib in sizes:
        disk = make_disk(mib)
        lives = Lives(site, proxy, disk, mib, sync, random.Random(f"{seed} {sync} {mib}"))
        for number in range(3 * kills):  # some have sent everything before they are killed
            if lives.kills < kills:
                (lives.live_until_refused if number % 3 == 1 else lives.live)()
        disk.free()
        proxy.come_back()
        counts = finish(lives.publishing)
        assert counts["failed"] == counts["damaged"] <= len(lives.ends), "what was torn by a kill had no place yet, and is counted"
        lives.ends.append((lives.publishing.ids(), False))
        stored = {row[0] for row in site.database.rows("SELECT id::text FROM analytics_events")}
        accepted = [one for one, _, _ in lives.publishing.acknowledged()]
        gone = lives.lost(stored)
        print(f"{mib} MiB, {lives.kills} kills of {len(lives.ends)} processes: {len(accepted) - lives.start} accepted, {len(gone)} of them in the queue only, {counts['damaged']} torn")
        lost += gone
        assert not list((disk.path / "spool").glob("*.segment"))
    if sync == "each":
        assert not lost
    gone = set(lost)
    site.assert_holds(acknowledged=[(one, None, None) for one in accepted if one not in gone])


def test_a_spool_on_a_small_disk_keeps_what_it_accepted_over_some_kills(make_site, proxy, make_disk):
    killed_on_small_disks(make_site(partitions=2), proxy, make_disk, "interval", 2, (1,))


@pytest.mark.skipif(KILLS == 0, reason="by name: TALLYMILL_SPOOL_KILLS=200 tests/run integration -- -k killed_on_small_disks")
@pytest.mark.parametrize("sync", ["each", "interval", "never"])
def test_a_process_killed_on_small_disks_loses_what_its_way_of_syncing_says(make_site, proxy, make_disk, sync):
    killed_on_small_disks(make_site(partitions=4), proxy, make_disk, sync, -(-KILLS // len(SIZES_MIB)), SIZES_MIB)
