"""A worker that is taken away (SIGUSR1): its topic partitions go to the others at once, in the middle of a rebalance too, or it says that they do not."""

import contextlib
import signal
import time

from .harness.kafka_proxy import JOIN_GROUP, KafkaProxy
from .harness.publisher import events
from .harness.waiting import wait_until
from .test_workers import owners


def test_a_worker_that_is_taken_away_gives_its_topic_partitions_up_at_once(make_site):
    """A static member that stops is waited for, as long as its session lasts; one that gets SIGUSR1 is not."""
    site = make_site(**{"kafka.session.timeout.ms": 120_000})
    one, two = site.worker(instance="one"), site.worker(instance="two")
    site.send(events(100))
    site.wait_until_drained()
    wait_until(lambda: len({owner for owner, _ in owners(site).values()}) == 2, 60, lambda: f"both to own something: {owners(site)}")
    one.signal(signal.SIGUSR1)
    assert one.wait() == 0 and "leaving the group for good" in one.log()
    site.send(events(100, seed=2))
    site.wait_until_drained(deadline=60)
    assert two.stop() == 0 and "wait_s=120" in two.log(), two.log()
    site.fold()
    site.assert_holds()


@contextlib.contextmanager
def held_rebalance(site):
    """(a worker that waits for the end of a rebalance, the frozen one that holds it up, the one it is for)"""
    proxy = KafkaProxy(site.stack)
    waiting, frozen = site.worker("--set", f"kafka.bootstrap.servers={proxy.bootstrap}", instance="waiting"), site.worker(instance="frozen")
    site.send(events(100))
    site.wait_until_drained()
    wait_until(lambda: len({owner for owner, _ in owners(site).values()}) == 2, 60, lambda: f"both to own something: {owners(site)}")
    frozen.freeze()
    joined = proxy.requests[JOIN_GROUP]
    third = site.worker(instance="third")
    wait_until(lambda: proxy.requests[JOIN_GROUP] > joined, 60, "the worker to join again")
    try:
        yield waiting, frozen, third
    finally:
        frozen.thaw()
        proxy.close()


def test_a_worker_that_is_taken_away_in_a_rebalance_waits_for_its_end(make_site):
    site = make_site(**{"kafka.session.timeout.ms": 120_000})
    with held_rebalance(site) as (waiting, frozen, third):
        waiting.signal(signal.SIGUSR1)
        until = time.monotonic() + 4  # longer than it took where the rest of the group was quick
        wait_until(lambda: not waiting.is_running() or time.monotonic() > until, 60, "a while")
        assert waiting.is_running(), "it went, and nobody was told"
        frozen.thaw()
        assert waiting.wait() == 0 and "could not be told" not in waiting.log(), waiting.log()
        site.send(events(100, seed=2))
        site.wait_until_drained(deadline=60)
        assert [frozen.stop(), third.stop()] == [0, 0]
    site.fold()
    site.assert_holds()


def test_a_worker_that_is_taken_away_in_a_rebalance_without_an_end_says_that_nobody_was_told(make_site):
    site = make_site(**{"kafka.session.timeout.ms": 30_000})
    with held_rebalance(site) as (waiting, frozen, third):
        waiting.signal(signal.SIGUSR1)
        assert waiting.wait(60) == 0 and "could not be told" in waiting.log(), waiting.log()
        frozen.thaw()
        site.send(events(100, seed=2))
        site.wait_until_drained(deadline=120)
        assert [frozen.stop(), third.stop()] == [0, 0]
    site.fold()
    site.assert_holds()
