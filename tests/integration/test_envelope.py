"""Kafka's envelope around an event: keys, headers, times, codecs, transactions and offsets without a message."""

import contextlib
import os
import re

import msgpack
import pytest
from confluent_kafka import Producer

from bench.cgroup import memory_cgroup

from .harness.publisher import Publisher, event, events
from .harness.waiting import wait_until


def test_a_tombstone_and_an_empty_value_are_told_apart(site):
    site.publisher.send_bytes(None, b"null")
    site.publisher.send_bytes(b"", b"empty")
    site.publisher.flush()
    site.drain()
    assert sorted((bytes(key), reason, None if value is None else bytes(value)) for key, reason, value in site.database.rows(
        "SELECT message_key, reason, message_value FROM tallymill.dead_letters")) == [
            (b"empty", "empty", b""), (b"null", "tombstone", None)]
    site.fold()
    site.assert_holds()


def test_the_key_may_be_missing_or_anything_up_to_its_limit(site):
    site.publisher.send_bytes(msgpack.packb(event(session_id="no key")), None)
    site.publisher.send_bytes(msgpack.packb(event(session_id="empty key")), b"")
    site.publisher.send_bytes(msgpack.packb(event(session_id="bytes")), b"\xff\x00\xc1")
    site.publisher.send_bytes(msgpack.packb(event(session_id="large key")), b"k" * 1_000_000)
    site.publisher.flush()
    site.drain()
    assert site.outcomes() == (3, 0, 1, 0)
    assert site.reasons() == {"size": 1}
    site.fold()
    site.assert_holds()


def test_headers_up_to_64_kib_are_ignored_whatever_they_hold(site):
    site.publisher.send_bytes(msgpack.packb(event()), b"k", headers=[(f"h{n}", b"\x00\xff" * 10) for n in range(1000)])
    site.publisher.send_bytes(msgpack.packb(event()), b"k", headers=[("a b\n=", None), ("ä", b""), ("ä", b"twice")])
    site.publisher.flush()
    site.drain()
    assert site.outcomes() == (2, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_message_with_more_headers_is_a_dead_letter(site):
    site.publisher.send_bytes(msgpack.packb(event()), b"k", headers=[("h", b"x" * (65536 - 17))])
    site.publisher.send_bytes(msgpack.packb(event()), b"k", headers=[("h", b"x" * (65536 - 16))])
    site.publisher.flush()
    site.drain()
    assert site.outcomes() == (1, 0, 1, 0)
    assert site.reasons() == {"size": 1}
    site.fold()
    site.assert_holds()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_arrives(site, codec):
    publisher = Publisher(site.stack.bootstrap, site.topic, **{"compression.type": codec})
    for made in events(500):
        publisher.send(made)
    publisher.flush()
    site.drain()
    assert site.outcomes() == (500, 0, 0, 0)
    site.assert_holds(acknowledged=publisher.acknowledged)


def test_a_batch_that_unpacks_a_thousandfold_is_taken_within_the_memory_bound(make_site):
    site = make_site(partitions=1, **{"memory.max": "48 MiB"})
    for number in range(2_000):
        site.publisher.send(event(event_data={"x": "a" * 60_000, "n": number}))
    site.publisher.flush()
    worker = site.drain()
    assert site.outcomes() == (2_000, 0, 0, 0)
    assert worker.peak_kib < 2 * 48 * 1024  # the bound and the libraries; the topic unpacks to 115 MiB


def test_aborted_transactions_and_markers_are_counted_as_skipped(make_site):
    site = make_site(partitions=1)
    producer = Producer({"bootstrap.servers": site.stack.bootstrap, "transactional.id": f"{site.topic}-t"})
    producer.init_transactions(30)
    for number, commit in enumerate((True, False, True, False)):
        producer.begin_transaction()
        for made in events(10, seed=number):
            producer.produce(site.topic, msgpack.packb(made), partition=0)
        producer.flush(30)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
    site.drain()
    assert site.outcomes() == (20, 0, 0, 24)  # two aborted tens and four markers, one of them at the very end
    assert site.positions() == {0: 44}
    site.fold()
    site.assert_holds()
    audit = site.tallymill("audit")
    assert audit.code == 0, audit


def test_topic_partitions_added_later_are_read_from_their_beginning(make_site):
    site = make_site(partitions=2, **{"kafka.topic.metadata.refresh.interval.ms": 1000, "kafka.metadata.max.age.ms": 2000})
    worker = site.worker()
    site.send(events(500, seed=1))
    site.wait_until_drained()
    site.add_partitions(6)
    publisher = Publisher(site.stack.bootstrap, site.topic)
    for number, made in enumerate(events(600, seed=2)):
        publisher.send(made, partition=number % 6)
    publisher.flush()
    site.wait_until_drained()
    assert worker.stop() == 0
    site.fold()
    site.assert_holds(acknowledged=site.publisher.acknowledged + publisher.acknowledged)


def can_make_cgroups():
    """Root, and not in a container that shows them read-only."""
    return os.geteuid() == 0 and any(os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY
                                     for folder in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup") if os.path.isdir(folder))


BOMBS = [("zstd", 300), ("lz4", 300), ("gzip", 300), ("zstd", 90), ("lz4", 40)]  # MiB; between 10 KB and 1.3 MB of Kafka


def test_an_event_that_unpacks_beyond_all_memory_costs_one_event(make_site):
    """In a memory cgroup of four times memory.max, where the test may make one. What stands behind it in the same topic partition is stored."""
    site = make_site(partitions=len(BOMBS))
    with contextlib.ExitStack() as stack:
        worker = site.worker()
        group = stack.enter_context(memory_cgroup(256 << 20)) if can_make_cgroups() else None
        if group:
            group.take(worker.pid)
        for number, (codec, mebibytes) in enumerate(BOMBS):
            publisher = Publisher(site.stack.bootstrap, site.topic, **{
                "compression.type": codec, "message.max.bytes": 1_000_000_000, "queue.buffering.max.kbytes": 1 << 20, "batch.size": 1})
            publisher.send_bytes(msgpack.packb(event()), b"before", partition=number)
            publisher.send_bytes(b"\x81\xa1x" + b"a" * (mebibytes << 20), b"bomb", partition=number)
            publisher.send_bytes(msgpack.packb(event()), b"behind", partition=number)
            publisher.flush()
        site.wait_until_drained()
        assert worker.stop() == 0
        assert group is None or group.oom_kills() == 0
    assert site.outcomes() == (2 * len(BOMBS), 0, len(BOMBS), 0)
    letters = site.database.rows("SELECT topic_partition, kafka_offset, reason, detail, message_value, emptied_at IS NOT NULL FROM tallymill.dead_letters ORDER BY 1")
    assert letters == [(number, 1, "size", f"the message's value is {(mebibytes << 20) + 3} bytes long, the most is 1048576", None, True)
                       for number, (_, mebibytes) in enumerate(BOMBS)]
    site.fold()
    audit = site.tallymill("audit")
    assert audit.code == 0, audit


def test_a_batch_that_cannot_be_unpacked_stops_its_topic_partition_with_the_offset_and_the_remedy(make_site):
    """As far as zstd may unpack is librdkafka's receive.message.max.bytes."""
    site = make_site(partitions=2)
    publisher = Publisher(site.stack.bootstrap, site.topic, **{"compression.type": "zstd", "message.max.bytes": 1_000_000_000, "batch.size": 1})
    publisher.send_bytes(msgpack.packb(event()), b"before", partition=0)
    publisher.send_bytes(b"a" * (30 << 20), b"bomb", partition=0)
    publisher.flush()
    worker = site.worker("--set", f"kafka.receive.message.max.bytes={2 << 20}")
    said = re.compile(r'level=error msg="a batch in Kafka cannot be unpacked.*tallymill reset.*topic_partition=0 offset=1 ')
    wait_until(lambda: said.search(worker.log()), 30, "the worker to name the place")
    publisher.send_bytes(msgpack.packb(event()), b"other", partition=1)
    publisher.flush()
    wait_until(lambda: site.positions() == {0: 1, 1: 1}, 30, "the other topic partition to go on")
    assert len(said.findall(worker.log())) == 1
    must = site.must("tallymill", "reset", "--at", "0:2", "--yes")
    assert must.code == 0
    assert worker.stop() == 0
