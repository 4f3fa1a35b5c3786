"""The library between a Kafka that is away or loses replies and a process that is killed: fault rows 15 and 50.

The publisher is a program of its own (harness/spool_publisher.py), which notes the id of each event once tally_publish has accepted it. With
spool.sync = each that means: it is on the disk. TALLYMILL_AWAY_SECONDS makes Kafka's absence longer than the daily run has time for.
"""

import json
import os
import time

import pytest

from .harness.kafka_proxy import KafkaProxy
from .harness.publishing import MANY, Publishing, spooled
from .harness.waiting import wait_until

AWAY_SECONDS = float(os.environ.get("TALLYMILL_AWAY_SECONDS", "60"))


@pytest.fixture
def proxy(stack):
    between = KafkaProxy(stack)
    yield between
    between.close()


def finish(publishing, **how):
    """A last process that sends what the others left; then everything is stored. Returns its counts."""
    last = publishing.start(10, **how)
    assert last.wait(90) == 0, last.log()[-3000:]
    publishing.site.drain()
    publishing.site.fold()
    return json.loads(last.log().splitlines()[-1])


def segment_bytes(site):
    return sum(path.stat().st_size for path in (site.folder / "spool").glob("*.segment"))


def test_events_survive_kafkas_absence_and_two_kills_of_their_process(make_site, proxy):
    site = make_site(partitions=8)
    publishing = spooled(site, proxy)
    publisher = publishing.start(MANY)
    publishing.wait_for_more(300)
    proxy.go_away()
    away_until = time.monotonic() + AWAY_SECONDS
    for _ in range(2):
        publishing.wait_for_more(300)
        publisher.kill()
        publisher = publishing.start(MANY)
    publishing.wait_for_more(300)
    wait_until(lambda: time.monotonic() >= away_until, AWAY_SECONDS + 5, "Kafka to have been away for long enough")
    proxy.come_back()
    publishing.wait_for_more(300)
    publisher.kill()
    counts = finish(publishing)
    assert counts["failed"] == 0 and counts["acknowledged"] == counts["accepted"] + counts["recovered"]
    acknowledged = publishing.acknowledged()
    assert len(acknowledged) >= 1_500
    site.assert_holds(acknowledged=acknowledged)
    assert not list((site.folder / "spool").glob("*.segment"))


def test_a_kill_in_the_middle_of_a_write_to_the_spool_costs_nothing_that_was_accepted(make_site, proxy):
    site = make_site(build="check", partitions=2)
    publishing = spooled(site, proxy, build="check")
    proxy.go_away()
    for hit in (1, 40, 41, 42):
        publisher = publishing.start(MANY, failpoint=f"spool_mid_write:exit:{hit}")
        assert publisher.wait(60) == 86, publisher.log()[-3000:]
    proxy.come_back()
    counts = finish(publishing)
    assert counts["failed"] == counts["damaged"] <= 4, "what was torn had not been accepted, and is counted"
    site.assert_holds(acknowledged=publishing.acknowledged())


def test_replies_lost_on_the_way_make_no_event_twice(make_site, proxy):
    site = make_site(partitions=4)
    publishing = Publishing(site, proxy)
    for number in range(1, 6):
        proxy.lose_replies(number)
        publisher = publishing.start(4_000)
        assert publisher.wait(120) == 0, publisher.log()[-3000:]
    assert proxy.lost >= 5
    site.drain()
    site.fold()
    verdict = site.assert_holds(acknowledged=publishing.acknowledged())
    assert verdict.figures["rows stored"] == 20_000
    assert site.outcomes()[:2] == (20_000, 0), "Kafka itself has each message once: the producer is idempotent"


def test_a_spool_replayed_with_new_ids_is_caught_by_the_checker(make_site, proxy):
    site = make_site(build="check", partitions=2)
    publishing = spooled(site, proxy, build="check")
    proxy.go_away()
    publisher = publishing.start(MANY)
    publishing.wait_for_more(100)
    publisher.kill()
    proxy.come_back()
    finish(publishing, bug="spool_new_ids")
    assert {"acknowledged and not in Kafka"} <= site.verdict(acknowledged=publishing.acknowledged()).kinds()


def test_what_comes_through_a_pipe_waits_in_the_spool_for_kafka(site, proxy):
    """A run while Kafka is away says so and keeps its events; one that loses Kafka and is killed keeps them too; the last sends what is left."""
    words = ("--set", f"kafka.bootstrap.servers={proxy.bootstrap}", "--set", f"spool.dir={site.folder / 'spool'}")
    proxy.go_away()
    first = site.run("tallymill-produce", *words, "--json",
                     stdin=b"".join(b'{"event_name": "login", "session_id": "pipe-%d"}\n' % number for number in range(500)))
    assert first.code == 1 and "500 events wait in the spool" in first.err, first
    assert json.loads(first.out)["waiting"] == 500
    proxy.come_back()
    second = site.start("tallymill-produce", *words, "--generate", 100_000, "--rate", 500)
    wait_until(lambda: sum(site.end_offsets().values()) > 500, 60, "what waited and something new to be sent")
    proxy.go_away()
    before = segment_bytes(site)
    wait_until(lambda: segment_bytes(site) > before + 20_000, 60, "new events to be in the spool")
    second.kill()
    proxy.come_back()
    third = json.loads(site.must("tallymill-produce", *words, "--json", stdin=b"").out)
    assert third["sent"] == third["waiting"] == third["failed"] == 0 and third["recovered"] == third["acknowledged"] > 0, third
    assert json.loads(site.must("tallymill-produce", *words, "--json", stdin=b"").out)["recovered"] == 0
    site.drain()
    assert site.database.rows("SELECT count(*), count(DISTINCT session_id) FROM analytics_events WHERE session_id LIKE 'pipe-%%'") == [(500, 500)]
    site.fold()
    site.assert_holds()


def test_two_programs_do_not_share_a_spool(site, proxy):
    words = ("--set", f"spool.dir={site.folder / 'spool'}")
    holder = site.start("tallymill-produce", *words, "--follow", site.settings)
    wait_until((site.folder / "spool" / "lock").exists, 30, "the spool to be in use")
    refused = site.run("tallymill-produce", *words, stdin=b"")
    assert refused.code == 1 and "spool.dir" in refused.err, refused  # a retry may help: not the settings are wrong
    holder.stop()
