"""Everything that Kafka still holds of one topic: the evidence that the other parts are measured against.

Each topic partition is read from its low watermark to the end that a read_committed consumer reaches, with
every record's key and value kept: the contents are compared byte by byte later, and a digest could not be
shown to a person.  Offsets at which nothing was delivered (transaction markers, aborted or compacted records)
are whatever lies between low and end without a record.
"""

import time
from typing import NamedTuple, Optional

import confluent_kafka
from confluent_kafka import KafkaError, TopicPartition

STALL_SECONDS = 60


class Record(NamedTuple):
    topic_partition: int
    offset: int
    key: Optional[bytes]
    value: Optional[bytes]

    def __str__(self):
        return f"{self.topic_partition}@{self.offset}"


class PartitionLog:
    """The records of one topic partition from `low` up to and without `end`, by offset."""

    def __init__(self, low, end, records=()):
        self.low = low
        self.end = end
        self.records = {record.offset: record for record in records}

    def delivered(self, first, next_offset):
        """How many offsets of [first, next_offset) hold a record."""
        return sum(offset in self.records for offset in range(first, next_offset))


def read_topic(bootstrap, topic):
    """A dict of topic partition number to PartitionLog; raises RuntimeError when Kafka stops answering."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "tallymill-checker",  # never joined: positions are given by assign() and nothing is committed
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "check.crcs": True,
    })
    try:
        return _read(consumer, topic)
    finally:
        consumer.close()


def watermarks(consumer, topic, number):
    """(low, end) of a topic partition. A leader that has just been chosen may not know it yet: asked again, for as long as a stall may take."""
    deadline = time.monotonic() + STALL_SECONDS
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
        except confluent_kafka.KafkaException as refused:
            if refused.args[0].code() not in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE) or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _read(consumer, topic):
    found = consumer.list_topics(topic, timeout=30).topics[topic]
    if found.error is not None or not found.partitions:
        raise RuntimeError(f"topic {topic}: {found.error or 'has no partitions'}")
    marks = {number: watermarks(consumer, topic, number) for number in found.partitions}
    logs = {number: PartitionLog(low, low) for number, (low, _) in marks.items()}
    consumer.assign([TopicPartition(topic, number, low) for number, (low, _) in marks.items()])
    unread = set(marks)
    progress = time.monotonic()
    while unread:
        messages = consumer.consume(5000, timeout=1.0)
        if messages:
            progress = time.monotonic()
        elif time.monotonic() - progress > STALL_SECONDS:
            raise RuntimeError(f"topic {topic}: nothing came from partitions {sorted(unread)} for {STALL_SECONDS} s")
        for message in messages:
            _take(logs[message.partition()], message, unread)
    return logs


def _take(log, message, unread):
    """Files one message; the first end-of-partition is enough, for the broker looked after we asked for the marks."""
    number = message.partition()
    error = message.error()
    if error is None:
        record = Record(number, message.offset(), message.key(), message.value())
        log.records[record.offset] = record
        log.end = max(log.end, record.offset + 1)
    elif error.code() == KafkaError._PARTITION_EOF:
        log.end = max(log.end, message.offset())
        unread.discard(number)
    else:
        raise RuntimeError(f"partition {number}: {error.str()}")
