"""A broker is wiped and comes back as another cluster, within seconds and under a running worker: nothing of the new log is taken for the old one.

With brokers that name the topic's id, and as with brokers that give none (before 2.8): then the cluster's id alone tells, for librdkafka reads on at the old
offset without a word once the new log has grown past it, and no claim is in between.
"""


import pytest

from .harness.kafka_proxy import KafkaProxy
from .harness.publisher import Publisher, events
from .harness.site import Site
from .harness.stack import own_stack
from .harness.waiting import wait_until
from .test_topic_identity import make_topic, stored

# Nor is the group a help, which the other cluster does not know: its next heartbeat is far.
QUIET = {"kafka.session.timeout.ms": 90_000, "kafka.heartbeat.interval.ms": 30_000}


@pytest.fixture(name="stack_of_its_own", scope="module")
def _stack_of_its_own():
    with own_stack() as started:
        yield started


@pytest.mark.parametrize("gives_ids", (True, False))
def test_a_broker_that_comes_back_as_another_cluster_is_not_read(stack_of_its_own, tmp_path, gives_ids):
    between = KafkaProxy(stack_of_its_own)
    site = Site(stack_of_its_own, tmp_path, partitions=1, **{"kafka.bootstrap.servers": between.bootstrap, **QUIET})
    try:
        if not gives_ids:
            between.hide(stack_of_its_own.topic_id(site.topic))
        worker = site.worker()
        site.send(events(100, seed=1))
        site.wait_until_drained()
        assert bool(site.database.value("SELECT topic_id FROM tallymill.clusters")) == gives_ids
        cluster = site.database.value("SELECT cluster_id FROM tallymill.clusters")
        between.go_away()
        stack_of_its_own.replace_kafka()
        make_topic(site)
        grown = Publisher(stack_of_its_own.bootstrap, site.topic)
        for made in events(250, seed=2):
            grown.send(made)
        grown.flush()
        if not gives_ids:
            between.hide(stack_of_its_own.topic_id(site.topic))
        between.come_back()
        assert worker.wait(60) == 2, worker.log()[-3000:]
        assert f"belongs to Kafka cluster {cluster}" in worker.log(), worker.log()[-3000:]
        assert stored(site) == 100 and site.positions() == {0: 100}
        again = site.run("tallymill-consumer", "--until-end")  # at its claim, whatever it saw before
        assert again.code == 2 and cluster in again.err, again
        assert stored(site) == 100 and site.positions() == {0: 100}
        wait_until(lambda: site.tallymill("audit").code != 0, 30, "the audit to see it")
    finally:
        between.close()
        site.close()
