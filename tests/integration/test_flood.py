"""Too many bad events: the worker says so, and slows down or stops where a setting says so; the books hold in any case."""

import pytest

from .harness.monitor import Monitor
from .harness.publisher import events
from .harness.waiting import wait_until

FLOOD = "tallymill_consumer_dead_letter_flood"


def send_bad(site, count):
    for number in range(count):
        site.publisher.send_bytes(b"\xc1", b"%d" % number)
    site.publisher.flush()


@pytest.mark.parametrize("policy", ["continue", "slow"])
def test_a_flood_is_told_and_ends_by_itself(site, policy):
    worker = site.worker("--set", "metrics.listen=127.0.0.1:0", "--set", "dead_letters.window=4 s", "--set", f"dead_letters.policy={policy}")
    monitor = Monitor(worker)
    send_bad(site, 200)
    monitor.wait_for("the flood to be told", lambda seen: seen.get(FLOOD) == 1)
    site.send(events(300))
    site.wait_until_drained()
    assert f"policy={policy}" in worker.log() and "dead letters are flooding in" in worker.log()
    monitor.wait_for("the flood to be over", lambda seen: seen[FLOOD] == 0)
    wait_until(lambda: "the flood of dead letters is over" in worker.log(), 30, "that to be logged")
    assert worker.stop() == 0
    assert site.outcomes() == (300, 0, 200, 0)


def test_a_flood_stops_the_worker_where_the_setting_says_so(site):
    """What was read is in the books; the rest waits in Kafka for a person."""
    send_bad(site, 300)
    worker = site.worker("--set", "dead_letters.policy=stop", "--set", "batch.max_rows=150")
    assert worker.wait(30) == 3
    assert "dead_letters.max_share" in worker.log() and "tallymill dlq" in worker.log()
    dead = site.outcomes()[2]
    assert 100 <= dead < 300
    site.send(events(100))
    site.drain()  # with the usual policy it goes on from there
    assert site.outcomes() == (100, 0, 300, 0)
    site.fold()
    site.assert_holds()
