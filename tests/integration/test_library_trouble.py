"""The library where Kafka does not take what it sends: a missing topic, a topic with a small max.message.bytes, rights that are missing or taken
away. What the broker really answers; the same against librdkafka's mock is in unit/producer_adopter.c.
"""

import json

import pytest
from confluent_kafka.admin import ConfigResource

from .harness.publishing import MANY, Publishing
from .harness.secured import kafka_admin
from .harness.site import Site
from .harness.stack import own_stack
from .harness.waiting import wait_until

SMALL = 2_000


def publishing(site, *settings):
    class Straight:
        bootstrap = site.stack.kafka["bootstrap.servers"]

    return Publishing(site, Straight, *settings)


def counts_of(program):
    return json.loads([line for line in program.log().splitlines() if line.startswith("{")][-1])


def test_a_missing_topic_and_a_missing_broker_are_named_within_seconds(site):
    site.topic += "-misspelt"
    lost = publishing(site)
    program = lost.start(MANY)
    wait_until(lambda: f"topic {site.topic} does not exist" in program.log(), 20, program.log, is_promise=True)
    program.kill()
    lost.words[0] = "127.0.0.1:1"
    program = lost.start(MANY)
    wait_until(lambda: "no broker answers at 127.0.0.1:1" in program.log(), 20, program.log, is_promise=True)
    program.kill()


@pytest.mark.parametrize("has_spool", [False, True])
def test_batches_follow_a_topic_with_a_small_limit_and_only_events_that_are_too_large_fail(site, has_spool):
    """fault row 50: 19,948 of 20,000 failed, each with the batch that it was in."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, site.topic, set_config={"max.message.bytes": str(SMALL)})
    site.stack.admin.alter_configs([resource])[resource].result(30)
    program = publishing(site, "kafka.compression.codec=none", *([f"spool.dir={site.folder / 'spool'}"] if has_spool else [])).start(5_000)
    assert program.wait(120) == 0, program.log()[-3000:]
    counts = counts_of(program)
    assert counts["acknowledged"] == counts["accepted"] == 5_000 and counts["failed"] == 0, program.log()[-3000:]
    large = publishing(site, "kafka.compression.codec=none", "text=3000", *([f"spool.dir={site.folder / 'spool'}"] if has_spool else [])).start(3)
    assert large.wait(120) == 0, large.log()[-3000:]
    assert counts_of(large)["failed"] == 3 and "larger than max.message.bytes" in large.log(), large.log()[-3000:]
    assert not list((site.folder / "spool").glob("*.segment"))


# -- Rights ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured():
    with own_stack(secure=True) as started:
        yield started


LOGIN, PASSWORD = "application", "a-password-of-the-test"


@pytest.mark.parametrize("has_spool", [False, True])
def test_events_wait_for_rights_that_are_taken_away_and_given_back(secured, tmp_path, has_spool):
    site = Site(secured, tmp_path, partitions=2)
    admin = kafka_admin(secured)
    admin.set_password(LOGIN, PASSWORD)
    may_see, may_write = ("topic", site.topic, "Describe"), ("topic", site.topic, "Write")
    admin.allow(LOGIN, [may_see, may_write])
    words = [f"kafka.sasl.username={LOGIN}", f"kafka.sasl.password={PASSWORD}"] + ([f"spool.dir={tmp_path / 'spool'}"] if has_spool else [])
    many = publishing(site, *words, "pause=0.005")  # never full while a right is away
    program = many.start(MANY)
    many.wait_for_more(500)
    for taken in ([may_write], [may_see, may_write]):
        before = len(program.log())
        admin.forbid(LOGIN, taken)
        wait_until(lambda: "this login has not the right" in program.log()[before:], 60, program.log)
        many.wait_for_more(20)
        admin.allow(LOGIN, taken)
        wait_until(lambda: "Kafka takes events again" in program.log()[before:], 60, program.log)
        told = [line for line in program.log()[before:].splitlines() if "has not the right" in line]
        assert 1 <= len(told) <= 2, told  # what was acknowledged meanwhile may have looked like the end of it
        many.wait_for_more(500)
    program.stop()
    assert program.wait(120) == 0, program.log()[-3000:]
    counts = counts_of(program)
    assert counts["failed"] == 0 and counts["acknowledged"] == counts["accepted"] > 1_500, program.log()[-3000:]
    site.close()
