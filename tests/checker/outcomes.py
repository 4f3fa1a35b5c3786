"""I1, I2 and the rest of I3: what became of each message, told from the rows and dead letters themselves.

A message's outcome is found by its key, (id, created_at): rows name no offset, only the batch they came with.
So a row is held against all messages of that key, and must lie in a range that its own batch covers.

Where one id was sent several times with the same time, one row is right and the other messages are duplicates;
the row must be the first of them when all came through one topic partition, else any of them.
"""

from bisect import bisect_right
from collections import Counter, defaultdict

from checker.books import day_of
from checker.message import BEYOND_SETTINGS, Malformed, expected_row, same


class Outcomes:
    """Joins Kafka's records with Postgres's rows and dead letters, and finds what does not fit."""

    def __init__(self, verdict, books, logs, next_offsets):
        self.verdict = verdict
        self.books = books
        self.logs = logs
        self.next_offsets = next_offsets
        self.messages = defaultdict(list)   # (id, created_us) -> records that mean this event
        self.malformed = {}                 # (topic partition, offset) -> reason
        self.keys_of_id = defaultdict(set)  # id -> keys sent with it
        self.rows = Counter()               # (id, created_us) -> rows in analytics_events
        self.dead = {}                      # (topic partition, offset) -> DeadLetter
        self.intervals = sorted({span.interval() for span in books.ranges})
        self.span_of = {(span.interval(), span.topic_partition): span for span in books.ranges}
        self.days_of = defaultdict(set)     # interval -> days that its ranges name
        for span in books.ranges:
            self.days_of[span.interval()].update(span.days)
        self.surely = Counter()             # (interval, topic partition) -> rows that can come from nowhere else
        self.possibly = Counter()           # same -> rows that can come from there
        self._read_messages()

    def check(self, acknowledged):
        """`acknowledged` is a list of (id, topic partition or None, offset or None)."""
        self._check_dead_letters()
        self._check_rows()
        self._check_counts()
        self._check_messages()
        self._check_acknowledged(acknowledged)
        self.verdict.figures.update({
            "messages in Kafka": sum(len(log.records) for log in self.logs.values()),
            "rows stored": sum(self.rows.values()),
            "dead letters": len(self.dead),
            "acknowledged": len(acknowledged),
        })

    def _read_messages(self):
        for number, log in self.logs.items():
            for record in log.records.values():
                try:
                    key = expected_row(record.value).key()
                except Malformed as why:
                    self.malformed[number, record.offset] = why.reason
                else:
                    self.messages[key].append(record)
                    self.keys_of_id[key[0]].add(key)

    def _check_dead_letters(self):
        counted = Counter()
        for letter in self.books.dead_letters():
            place = letter.topic_partition, letter.kafka_offset
            if place in self.dead:
                self.verdict.damage("I1", "dead letter twice", letter)
            self.dead[place] = letter
            span = self._span_at(*place)
            if span is None:
                self.verdict.damage("I3", "dead letter outside the ledger", letter)
            else:
                counted[span] += 1
                if not span.batch_id <= letter.batch_id <= span.last_batch_id:
                    self.verdict.damage("I3", "dead letter of another batch", f"{letter} names {letter.batch_id}, {span}")
            self._check_letter(letter)
        for span in self.books.ranges:
            if counted[span] != span.dead_letters:
                self.verdict.damage("I3", "dead letter count",
                                    f"{span}: says {span.dead_letters}, has {counted[span]}")

    def _check_letter(self, letter):
        log = self.logs.get(letter.topic_partition)
        if log is None or letter.kafka_offset < log.low:
            return
        record = log.records.get(letter.kafka_offset)
        if record is None:
            self.verdict.damage("I2", "dead letter of no message", letter)
            return
        if (record.key, record.value) != (letter.message_key, letter.message_value):
            self.verdict.damage("I2", "dead letter altered", letter)
        if (letter.topic_partition, letter.kafka_offset) not in self.malformed and letter.reason in BEYOND_SETTINGS:
            self.verdict.damage("I2", "good event dead-lettered", letter)

    def _span_at(self, number, offset):
        spans = self._spans_by_partition().get(number, [])
        at = bisect_right(spans, offset, key=lambda span: span.first_offset) - 1
        return spans[at] if at >= 0 and offset < spans[at].next_offset else None

    def _spans_by_partition(self):
        if not hasattr(self, "_spans"):
            self._spans = defaultdict(list)
            for span in self.books.ranges:  # they come sorted by offset
                self._spans[span.topic_partition].append(span)
        return self._spans

    def _check_rows(self):
        foreign = sorted(self.books.foreign_intervals)
        for row, batch_id in self.books.rows():
            key = row.key()
            if batch_id is not None and self._is_of_another_topic(foreign, batch_id, key):
                continue
            self.rows[key] += 1
            if self.rows[key] == 2:
                self.verdict.damage("I1", "row twice", _name(key))
            if batch_id is not None:
                self._check_row(row, batch_id)

    def _is_of_another_topic(self, foreign, batch_id, key):
        """By its batch alone; where a merged interval holds batches of several topics, by whether this topic has such a message."""
        if self._interval_of(foreign, batch_id) is None:
            return False
        return self._interval_of(self.intervals, batch_id) is None or key not in self.messages

    def _check_row(self, row, batch_id):
        interval = self._interval_of(self.intervals, batch_id)
        if interval is None:
            self.verdict.damage("I3", "row without a batch", f"{_name(row.key())} of batch {batch_id}")
        elif day_of(row.created_us) not in self.days_of[interval]:
            self.verdict.damage("I3", "day not named", f"{_name(row.key())}: batch {batch_id} does not name its day")
        records = self.messages.get(row.key())
        if records is None:
            if interval is None or not self._beyond_kafka(interval):
                self.verdict.damage("I2", "row never sent", f"{_name(row.key())} of batch {batch_id}")
            return
        if interval is not None:
            self._place(row, interval, records)
        self._check_content(row, records)

    def _place(self, row, interval, records):
        """Books the row on the topic partitions it can have come through within its batch."""
        numbers = {record.topic_partition for record in records if self._covers(interval, record)}
        for number in numbers:
            self.possibly[interval, number] += 1
            if len(numbers) == 1:
                self.surely[interval, number] += 1
        if not numbers and not self._beyond_kafka(interval):
            self.verdict.damage("I3", "row outside its batch", f"{_name(row.key())} of batch {interval[0]}, sent at "
                                + ", ".join(map(str, records)))

    def _check_content(self, row, records):
        candidates = [r for r in records if (r.topic_partition, r.offset) not in self.dead] or records
        if len({record.topic_partition for record in candidates}) == 1:
            candidates = [min(candidates, key=lambda record: record.offset)]
        differences = []
        for record in candidates:
            sent = expected_row(record.value)
            differences = [name for name in row._fields if not same(getattr(sent, name), getattr(row, name))]
            if not differences:
                return
        self.verdict.damage("I2", "content altered", f"{_name(row.key())}: {', '.join(differences)} of {candidates[0]}: "
                            + "; ".join(f"sent {getattr(sent, n)!r:.300}, stored {getattr(row, n)!r:.300}"
                                        for n in differences))

    def _covers(self, interval, record):
        span = self.span_of.get((interval, record.topic_partition))
        return span is not None and span.first_offset <= record.offset < span.next_offset

    def _beyond_kafka(self, interval):
        """Whether Kafka has already dropped some of the messages that this batch came from."""
        return any(self.span_of[interval, number].first_offset < log.low
                   for number, log in self.logs.items() if (interval, number) in self.span_of)

    @staticmethod
    def _interval_of(intervals, batch_id):
        at = bisect_right(intervals, (batch_id, float("inf"))) - 1
        return intervals[at] if at >= 0 and intervals[at][0] <= batch_id <= intervals[at][1] else None

    def _check_counts(self):
        removed = defaultdict(int)
        for first, last, count in self.books.removed():
            for interval in self.intervals:
                if first <= interval[1] and interval[0] <= last:
                    removed[interval] += count
        for span in self.books.ranges:
            log = self.logs.get(span.topic_partition)
            if log is None or span.first_offset < log.low:
                continue
            least, most = self.surely[span.interval(), span.topic_partition], \
                self.possibly[span.interval(), span.topic_partition]
            if not least <= span.stored <= most + removed[span.interval()]:
                found = str(least) if least == most else f"{least} to {most}"
                self.verdict.damage("I3", "row count", f"{span}: says {span.stored} stored, has {found}")

    def _check_messages(self):
        for place in self.malformed:
            if place[1] < self.next_offsets.get(place[0], 0) and place not in self.dead \
                    and self._span_at(*place) is not None:
                self.verdict.damage("I3", "offset without outcome", "%d@%d (malformed: %s)" % (*place,
                                    self.malformed[place]))
        for key, records in self.messages.items():
            letters = [self.dead.get((r.topic_partition, r.offset)) for r in records]
            if self.rows[key]:
                for letter in letters:
                    if letter is not None and not letter.replayed:
                        self.verdict.damage("I1", "both row and dead letter", f"{_name(key)} {letter}")
                continue
            for record, letter in zip(records, letters):
                if letter is None and record.offset < self.next_offsets.get(record.topic_partition, 0) \
                        and self._span_at(record.topic_partition, record.offset) is not None \
                        and not self._was_removed(record):
                    self.verdict.damage("I3", "offset without outcome", f"{record} {_name(key)}")

    def _was_removed(self, record):
        interval = self._span_at(record.topic_partition, record.offset).interval()
        return any(first <= interval[1] and interval[0] <= last for first, last, _ in self.books.removed())

    def _check_acknowledged(self, acknowledged):
        pending = 0
        for event_id, number, offset in acknowledged:
            state = self._state_of(event_id, number, offset)
            if state == "pending":
                pending += 1
            elif state is not None:
                where = event_id if number is None else f"{event_id} {number}@{offset}"
                self.verdict.damage("I1", state, where)
        self.verdict.figures["acknowledged and pending"] = pending

    def _state_of(self, event_id, number, offset):
        """None when the event is safe, "pending" when its turn has not come, else what is wrong."""
        if number is not None:
            log = self.logs.get(number)
            if (number, offset) in self.dead:
                return None
            if log is not None and offset >= log.low and offset not in log.records:
                return "acknowledged and not in Kafka"
            if (number, offset) in self.malformed:
                return "pending" if offset >= self.next_offsets.get(number, 0) else "acknowledged and lost"
        keys = self.keys_of_id.get(event_id, ())
        if any(self.rows[key] for key in keys):
            lost = [key for key in keys if not self._is_safe(key)]
            return "acknowledged and lost" if lost else None
        records = [record for key in keys for record in self.messages[key]]
        if not records:
            return None if self._has_row(event_id) else "acknowledged and not in Kafka"
        if all(r.offset >= self.next_offsets.get(r.topic_partition, 0) for r in records):
            return "pending"
        return None if all(self._is_safe(key) for key in keys) else "acknowledged and lost"

    def _is_safe(self, key):
        return self.rows[key] > 0 or any((r.topic_partition, r.offset) in self.dead for r in self.messages[key]) \
            or all(r.offset >= self.next_offsets.get(r.topic_partition, 0) for r in self.messages[key])

    def _has_row(self, event_id):
        """An id whose message Kafka no longer has may still have its row."""
        if not hasattr(self, "_row_ids"):
            self._row_ids = {key[0] for key, count in self.rows.items() if count}
        return event_id in self._row_ids


def _name(key):
    return f"event {key[0]} of {key[1]} us"
