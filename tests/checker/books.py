"""What Postgres says is stored: the ledger, the dead letters, the rows and the statistics, in one snapshot.

Everything is read in a single REPEATABLE READ transaction, so that a verdict on a live system compares one
moment with itself.  Kafka is read after the snapshot is taken: it then holds at least all that the snapshot
can know of.
"""

import datetime
from typing import NamedTuple, Optional

import psycopg2

from checker.message import Row, from_jsonb

EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
ROWS_AT_A_TIME = 10_000


class Range(NamedTuple):
    """One row of tallymill.batches: the offsets of one topic partition that one transaction covered."""
    batch_id: int
    last_batch_id: int
    topic_partition: int
    first_offset: int
    next_offset: int
    stored: int
    duplicates: int
    dead_letters: int
    skipped: int
    days: tuple

    def __str__(self):
        return f"batch {self.batch_id} {self.topic_partition}@[{self.first_offset},{self.next_offset})"

    def interval(self):
        return self.batch_id, self.last_batch_id


class Gap(NamedTuple):
    topic_partition: int
    first_offset: int
    next_offset: int
    reason: str

    def __str__(self):
        return f"gap ({self.reason}) {self.topic_partition}@[{self.first_offset},{self.next_offset})"


class DeadLetter(NamedTuple):
    topic_partition: int
    kafka_offset: int
    reason: str
    message_key: Optional[bytes]
    message_value: Optional[bytes]
    batch_id: int
    replayed: bool

    def __str__(self):
        return f"{self.topic_partition}@{self.kafka_offset} ({self.reason})"


class Books:
    """One snapshot of the database for one topic; close() ends the transaction."""

    def __init__(self, dsn, topic):
        self.topic = topic
        self.connection = psycopg2.connect(dsn)
        self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with self.connection.cursor() as cursor:
            cursor.execute("SET LOCAL TIME ZONE 'UTC'")
            cursor.execute("SET LOCAL statement_timeout = 0")
        self.ranges = self._ranges()
        self.gaps = [Gap(*row) for row in self.query(
            "SELECT topic_partition, first_offset, next_offset, reason FROM tallymill.gaps WHERE topic = %s"
            " ORDER BY 1, 2", topic)]
        self.positions = dict(self.query(
            "SELECT topic_partition, next_offset FROM tallymill.positions WHERE topic = %s", topic))
        self.foreign_intervals = set(self.query(
            "SELECT batch_id, coalesce(last_batch_id, batch_id) FROM tallymill.batches WHERE topic <> %s", topic))

    def close(self):
        self.connection.close()

    def query(self, statement, *parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()

    def _ranges(self):
        return [Range(*row, tuple(days)) for *row, days in self.query(
            "SELECT batch_id, coalesce(last_batch_id, batch_id), topic_partition, first_offset, next_offset,"
            " stored, duplicates, dead_letters, skipped, days FROM tallymill.batches WHERE topic = %s"
            " ORDER BY topic_partition, first_offset, next_offset", self.topic)]

    def removed(self):
        """How many rows an erasure or the archive took, by (first_batch_id, last_batch_id)."""
        return [(first, last, int(count)) for first, last, count in self.query(
            "SELECT first_batch_id, last_batch_id, sum(CASE WHEN reason = 'restored' THEN -rows ELSE rows END)"
            " FROM tallymill.removals WHERE topic IN (%s, '') GROUP BY 1, 2", self.topic)]

    def dead_letters(self):
        """Every dead letter of the topic, in the order of offsets."""
        with self._stream("dead_letters", (
                "SELECT topic_partition, kafka_offset, reason, message_key, message_value, batch_id,"
                " replayed_at IS NOT NULL"
                " FROM tallymill.dead_letters WHERE topic = %s ORDER BY 1, 2"), (self.topic,)) as cursor:
            for number, offset, reason, key, value, batch_id, replayed in cursor:
                yield DeadLetter(number, offset, reason, _bytes(key), _bytes(value), batch_id, replayed)

    def rows(self):
        """Every row of analytics_events as (Row, batch_id): this topic's, other topics', and other programs'."""
        with self._stream("rows", (
                "SELECT id::text, (extract(epoch FROM created_at) * 1000000)::bigint, event_name, event_category,"
                " session_id, user_id, is_internal, event_data::text, batch_id FROM analytics_events"), ()) as cursor:
            for *columns, event_data, batch_id in cursor:
                yield Row(*columns, from_jsonb(event_data)), batch_id

    def _stream(self, name, statement, parameters):
        cursor = self.connection.cursor(name=name)
        cursor.itersize = ROWS_AT_A_TIME
        cursor.execute(statement, parameters)
        return cursor


def day_of(created_us):
    """The UTC day of an instant in microseconds since the epoch, None for one that Python's calendar lacks."""
    try:
        return datetime.date.fromordinal(EPOCH_DAY + created_us // 86_400_000_000)
    except (ValueError, OverflowError):
        return None


def _bytes(column):
    return None if column is None else bytes(column)
