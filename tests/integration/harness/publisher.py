"""Events made and sent without our own producer: python-msgpack and confluent-kafka stand in for any other client.

What Kafka has acknowledged is recorded as (id, topic partition, offset), which is what the checker takes.
"""

import datetime
import random
import struct
import time
import uuid

import confluent_kafka
import msgpack

from .waiting import wait_until

NAMES = ("session_start", "code_input", "doc_generation", "doc_export", "login", "performance", "user_interaction", "error")


def now_us():
    return time.time_ns() // 1000


def uuid7(created_us, source):
    """A version 7 UUID, whose order follows the time: what producers of ours send."""
    millis = created_us // 1000
    return uuid.UUID(int=(millis & (1 << 48) - 1) << 80 | 0x7 << 76 | source.getrandbits(12) << 64
                     | 0b10 << 62 | source.getrandbits(62))


def event(name="user_interaction", created_us=None, **columns):
    """One event as a dict, with what is required; a column given as None is left out."""
    created_us = now_us() if created_us is None else created_us
    made = {"id": uuid7(created_us, random).bytes, "event_name": name, "created_at": created_us}
    made.update(columns)
    return {key: value for key, value in made.items() if value is not None}


def events(count, seed=1, days=3, end_us=None):
    """`count` events like an application's, of the last `days` days, the same for the same seed and end."""
    source = random.Random(seed)
    end_us = now_us() if end_us is None else end_us
    for number in range(count):
        created_us = end_us - source.randrange(days * 86_400_000_000)
        yield {
            "id": uuid7(created_us, source).bytes,
            "event_name": source.choice(NAMES),
            "session_id": None if number % 11 == 0 else f"session-{source.randrange(max(1, count // 7))}",
            "user_id": source.randrange(max(1, count // 20)) if number % 3 else None,
            "event_data": {"language": "c", "n": number, "score": source.random(), "note": "täglich \\N \t ok",
                           "nested": {"list": [1, None, True, -2**63], "bytes": b"\x00\xff"}},
            "is_internal": number % 13 == 0,
            "created_at": created_us,
        }


def timestamp_ext(created_us):
    """The same instant as msgpack's timestamp extension."""
    return msgpack.Timestamp(created_us // 1_000_000, created_us % 1_000_000 * 1000)


def instant(text):
    """Microseconds since the epoch of an ISO time, UTC where it names no zone."""
    moment = datetime.datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
    return round((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc))
                 / datetime.timedelta(microseconds=1))


class Publisher:
    """Sends to one topic, idempotent and acks=all; `acknowledged` grows as Kafka confirms."""

    def __init__(self, bootstrap, topic, **more):
        self.topic = topic
        self.acknowledged = []
        self.failed = []
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "compression.type": "lz4",
            "partitioner": "murmur2_random", "linger.ms": 5, "queue.buffering.max.messages": 200_000,
            "message.max.bytes": 4 << 20, "delivery.timeout.ms": 120_000, **more})

    def send(self, made, partition=None):
        """Queues one event (a dict); its key is the session where it has one, else the id as text."""
        key = made.get("session_id") or uuid_text(made["id"])
        self.send_bytes(msgpack.packb(made), key, partition, uuid_text(made["id"]))

    def send_bytes(self, value, key=None, partition=None, event_id=None, headers=None):
        """Queues one message as it is; with `event_id` its acknowledgement is recorded."""
        where = {} if partition is None else {"partition": partition}
        while True:
            try:
                self.producer.produce(self.topic, value=value, key=key, headers=headers,
                                      on_delivery=lambda error, message: self._delivered(error, message, event_id), **where)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def flush(self, deadline=120):
        """Returns once everything queued is acknowledged; fails when something was not."""
        wait_until(lambda: self.producer.flush(1) == 0, deadline, f"Kafka to acknowledge what was sent to {self.topic}")
        assert not self.failed, f"not acknowledged: {self.failed[:3]} ({len(self.failed)})"

    def _delivered(self, error, message, event_id):
        if error is not None:
            self.failed.append(str(error))
        elif event_id is not None:
            self.acknowledged.append((event_id, message.partition(), message.offset()))


def uuid_text(event_id):
    return str(uuid.UUID(bytes=event_id)) if isinstance(event_id, bytes) else str(uuid.UUID(event_id))


def float32(number):
    """A msgpack float of 32 bits, which python-msgpack only makes of everything or of nothing."""
    return b"\xca" + struct.pack(">f", number)
