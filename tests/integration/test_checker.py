"""The checker sees every damage it is meant to see: a sound little world, then one thing wrong with it at a time.

The world has three topic partitions and three batches: repeated events, dead letters, a skipped offset, a gap,
an event that waits, internal events, and a row that another program inserted.  The tables bear no guards
(checker_tables.sql), so that what the real schema would refuse can be planted as well.
"""

import pathlib
import uuid

import msgpack
import pytest

from checker.check import check, read_acknowledged
from checker.topic_log import PartitionLog, Record
from integration.harness.publisher import instant

TOPIC = "events"
DAY = instant("2026-03-10")
STATISTICS = """
    INSERT INTO analytics_daily_stats
    SELECT (created_at AT TIME ZONE 'UTC')::date, event_name, count(*), count(DISTINCT session_id), count(DISTINCT user_id)
    FROM analytics_events WHERE is_internal = false AND batch_id IS DISTINCT FROM 3 GROUP BY 1, 2"""


def event(number, **columns):
    made = {"id": uuid.UUID(int=number).bytes, "event_name": "login", "session_id": f"s{number % 3}", "user_id": number,
            "event_data": {"n": number, "x": 0.1}, "created_at": DAY + number * 3_600_000_000}
    made.update(columns)
    return msgpack.packb(made)


def identity(number):
    return str(uuid.UUID(int=number))


MESSAGES = {  # topic partition: (low, end, offset -> value)
    0: (0, 7, {0: event(1), 1: event(2), 2: event(1), 3: b"\xc1", 4: event(3), 5: event(4, is_internal=True)}),
    1: (0, 4, {0: event(10), 1: event(11, event_name="signup"), 2: None, 3: event(99)}),
    2: (5, 8, {5: event(20), 6: event(1), 7: event(30)}),
}
BATCHES = [  # batch, topic partition, first, next, stored, duplicates, dead letters, skipped
    (1, 0, 0, 4, 2, 1, 1, 0), (1, 1, 0, 2, 2, 0, 0, 0),
    (2, 0, 4, 7, 2, 0, 0, 1), (2, 2, 5, 7, 1, 1, 0, 0),
    (3, 1, 2, 3, 0, 0, 1, 0), (3, 2, 7, 8, 1, 0, 0, 0),
]
ROWS = {1: (1, 2, 10, 11), 2: (3, 4, 20), 3: (30,)}
ACKNOWLEDGED = [(identity(n), None, None) for n in (1, 2, 3, 4, 10, 11, 20, 30)] + [
    (identity(1), 0, 0), (identity(1), 2, 6), (identity(99), 1, 3), (identity(77), 0, 3)]


class World:
    """The messages in Kafka (in memory) and what Postgres holds of them; `run` plants a damage."""

    def __init__(self, database):
        self.database = database
        self.logs = {number: PartitionLog(low, end, [Record(number, offset, b"k", value) for offset, value in values.items()])
                     for number, (low, end, values) in MESSAGES.items()}
        self.acknowledged = list(ACKNOWLEDGED)
        database.run(pathlib.Path(__file__).with_name("checker_tables.sql").read_text())
        self._store()

    def _store(self):
        with self.database.session() as connection, connection.cursor() as cursor:
            for batch, number, *counts in BATCHES:
                cursor.execute("INSERT INTO tallymill.batches VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
                               " '{2026-03-10,2026-03-11}')", (batch, batch, TOPIC, number, *counts))
            for batch, numbers in ROWS.items():
                for number in numbers:
                    cursor.execute(
                        "INSERT INTO analytics_events VALUES (%s, %s, 'business', %s, %s, %s, %s, %s, %s)",
                        (identity(number), "signup" if number == 11 else "login", f"s{number % 3}", number,
                         '{"n": %d, "x": 0.1}' % number, number == 4,
                         f"2026-03-{10 + number // 24:02} {number % 24:02}:00:00Z", batch))
            cursor.execute("""
                INSERT INTO analytics_events VALUES (gen_random_uuid(), 'login', NULL, NULL, NULL, '{}', false, '2026-03-10', NULL);
                INSERT INTO tallymill.gaps VALUES ('events', 2, 0, 5, 'retention');
                INSERT INTO tallymill.positions VALUES ('events', 0, 7), ('events', 1, 3), ('events', 2, 8);
                INSERT INTO tallymill.dead_letters VALUES ('events', 0, 3, 'format', 'k', '\\xc1', 1),
                                                          ('events', 1, 2, 'tombstone', 'k', NULL, 3);
                INSERT INTO tallymill.folded VALUES ('events', 0, 7), ('events', 1, 2), ('events', 2, 7);
            """ + STATISTICS)

    def run(self, script):
        self.database.run(script)

    def check(self, drained=False):
        return check(self.database.dsn, TOPIC, lambda: self.logs, self.acknowledged, drained)


@pytest.fixture(scope="module")
def database(stack):
    made = stack.make_database("checker")
    yield made
    stack.drop_database(made)


@pytest.fixture
def world(database):
    return World(database)


def test_a_sound_world_holds(world):
    verdict = world.check()
    assert verdict.holds(), verdict.as_text()
    assert verdict.figures["rows stored"] == 9  # with the one of another program
    assert verdict.figures["acknowledged and pending"] == 1
    assert verdict.figures["batches not folded"] == 1


PLANTED = {
    "a row stored twice":
        ("row twice", "INSERT INTO analytics_events SELECT * FROM analytics_events WHERE user_id = 2"),
    "a row of ours that another program inserted too":
        ("row twice", "INSERT INTO analytics_events SELECT id, event_name, event_category, session_id, user_id, event_data,"
                      " is_internal, created_at, NULL FROM analytics_events WHERE user_id = 2"),
    "an acknowledged event that is not there":
        ("acknowledged and lost", "DELETE FROM analytics_events WHERE user_id = 3"),
    "a batch whose rows are not all there":
        ("row count", "DELETE FROM analytics_events WHERE user_id = 20"),
    "a batch that counts a row as a duplicate":
        ("row count", "UPDATE tallymill.batches SET stored = 1, duplicates = 2 WHERE batch_id = 1 AND topic_partition = 0"),
    "a message without any outcome":
        ("offset without outcome", "DELETE FROM analytics_events WHERE user_id = 10"),
    "a malformed message without its dead letter":
        ("offset without outcome", "DELETE FROM tallymill.dead_letters WHERE kafka_offset = 3"),
    "an acknowledged position whose dead letter is gone":
        ("acknowledged and lost", "DELETE FROM tallymill.dead_letters WHERE kafka_offset = 3"),
    "a row nobody sent":
        ("row never sent", "INSERT INTO analytics_events VALUES (gen_random_uuid(), 'login', NULL, NULL, NULL, '{}', false,"
                           " '2026-03-10', 1)"),
    "a row moved to another time":
        ("row never sent", "UPDATE analytics_events SET created_at = created_at + interval '1 us' WHERE user_id = 2"),
    "a name altered": ("content altered", "UPDATE analytics_events SET event_name = 'logout' WHERE user_id = 2"),
    "a category altered": ("content altered", "UPDATE analytics_events SET event_category = NULL WHERE user_id = 2"),
    "a session altered": ("content altered", "UPDATE analytics_events SET session_id = 's9' WHERE user_id = 2"),
    "a session lost": ("content altered", "UPDATE analytics_events SET session_id = NULL WHERE user_id = 2"),
    "a user altered": ("content altered", "UPDATE analytics_events SET user_id = 222 WHERE user_id = 2"),
    "a flag altered": ("content altered", "UPDATE analytics_events SET is_internal = true WHERE user_id = 2"),
    "a number altered in its last digit":
        ("content altered", """UPDATE analytics_events SET event_data = '{"n": 2, "x": 0.10000000000000001}' WHERE user_id = 2"""),
    "a number turned into text":
        ("content altered", """UPDATE analytics_events SET event_data = '{"n": "2", "x": 0.1}' WHERE user_id = 2"""),
    "a number turned into true":
        ("content altered", """UPDATE analytics_events SET event_data = '{"n": true, "x": 0.1}' WHERE user_id = 1"""),
    "an attribute lost":
        ("content altered", "UPDATE analytics_events SET event_data = event_data - 'x' WHERE user_id = 2"),
    "an attribute invented":
        ("content altered", """UPDATE analytics_events SET event_data = event_data || '{"y": null}' WHERE user_id = 2"""),
    "a row that names no batch of the ledger":
        ("row without a batch", "UPDATE analytics_events SET batch_id = 9 WHERE user_id = 2"),
    "a row that names another batch":
        ("row outside its batch", "UPDATE analytics_events SET batch_id = 3 WHERE user_id = 2"),
    "a row of an offset that is not yet reached":
        ("row outside its batch", "INSERT INTO analytics_events VALUES ('00000000-0000-0000-0000-000000000063', 'login',"
         " 'business', 's0', 99, '{\"n\": 99, \"x\": 0.1}', false, '2026-03-14 03:00:00Z', 3)"),
    "a day that its batch does not name":
        ("day not named", "UPDATE tallymill.batches SET days = '{2026-03-11}'"),
    "a hole": ("hole", "DELETE FROM tallymill.batches WHERE batch_id = 1 AND topic_partition = 0"),
    "a hole at the beginning": ("hole", "DELETE FROM tallymill.gaps"),
    "an overlap of batches":
        ("overlap", "INSERT INTO tallymill.batches SELECT 4, 4, topic, topic_partition, 3, 4, 0, 1, 0, 0, days"
                    " FROM tallymill.batches WHERE batch_id = 1 AND topic_partition = 0"),
    "an overlap with a gap": ("overlap", "UPDATE tallymill.gaps SET next_offset = 6"),
    "an empty range":
        ("empty range", "INSERT INTO tallymill.batches VALUES (4, 4, 'events', 0, 7, 7, 0, 0, 0, 0, '{}')"),
    "a claim beyond the end of the topic":
        ("beyond the end", "INSERT INTO tallymill.batches VALUES (4, 4, 'events', 0, 7, 8, 0, 1, 0, 0, '{}')"),
    "a position that is not the ledger's end": ("position", "UPDATE tallymill.positions SET next_offset = 6 WHERE topic_partition = 0"),
    "a topic partition that Kafka does not have":
        ("unknown topic partition", "INSERT INTO tallymill.batches VALUES (4, 4, 'events', 7, 0, 1, 0, 1, 0, 0, '{}')"),
    "counts that do not add up":
        ("account", "UPDATE tallymill.batches SET duplicates = 2 WHERE batch_id = 2 AND topic_partition = 2"),
    "a negative count":
        ("negative count", "UPDATE tallymill.batches SET duplicates = -1, skipped = 2 WHERE batch_id = 2 AND topic_partition = 2"),
    "an event passed off as skipped":
        ("skipped", "UPDATE tallymill.batches SET duplicates = 0, skipped = 1 WHERE batch_id = 1 AND topic_partition = 0"),
    "a dead letter twice":
        ("dead letter twice", "INSERT INTO tallymill.dead_letters SELECT * FROM tallymill.dead_letters WHERE kafka_offset = 3"),
    "a dead letter counted and not there":
        ("dead letter count", "DELETE FROM tallymill.dead_letters WHERE topic_partition = 1"),
    "a dead letter at an offset not yet reached":
        ("dead letter outside the ledger", "INSERT INTO tallymill.dead_letters VALUES ('events', 1, 3, 'refused', 'k', NULL, 3)"),
    "a dead letter inside a gap":
        ("dead letter outside the ledger", "INSERT INTO tallymill.dead_letters VALUES ('events', 2, 3, 'refused', 'k', NULL, 2)"),
    "a dead letter that names another batch":
        ("dead letter of another batch", "UPDATE tallymill.dead_letters SET batch_id = 2 WHERE kafka_offset = 3"),
    "a dead letter with other bytes":
        ("dead letter altered", "UPDATE tallymill.dead_letters SET message_value = '\\xc100' WHERE kafka_offset = 3"),
    "a dead letter with another key":
        ("dead letter altered", "UPDATE tallymill.dead_letters SET message_key = NULL WHERE kafka_offset = 3"),
    "a dead letter of no message":
        ("dead letter of no message", "INSERT INTO tallymill.dead_letters VALUES ('events', 0, 6, 'format', 'k', 'v', 2)"),
    "a good event called malformed":
        ("good event dead-lettered", "INSERT INTO tallymill.dead_letters SELECT 'events', 1, 0, 'utf8', 'k', NULL, 1"),
    "an event both stored and dead":
        ("both row and dead letter", "INSERT INTO tallymill.dead_letters VALUES ('events', 1, 0, 'refused', 'k', NULL, 1)"),
    "a count off by one": ("statistic wrong", "UPDATE analytics_daily_stats SET event_count = event_count + 1"),
    "sessions off by one": ("statistic wrong", "UPDATE analytics_daily_stats SET unique_sessions = unique_sessions - 1"),
    "users off by one": ("statistic wrong", "UPDATE analytics_daily_stats SET unique_users = unique_users + 1"),
    "internal events counted": ("statistic wrong", "UPDATE analytics_events SET is_internal = true WHERE user_id = 10"),
    "a statistic that is not there": ("statistic missing", "DELETE FROM analytics_daily_stats WHERE event_name = 'signup'"),
    "a statistic of events that are gone":
        ("statistic of nothing", "INSERT INTO analytics_daily_stats VALUES ('2026-03-10', 'logout', 0, 0, 0)"),
    "a batch folded in one topic partition and not in the other":
        ("batch half folded", "UPDATE tallymill.folded SET next_offset = 3 WHERE topic_partition = 1"),
    "folded further than the statistics are":
        ("statistic missing", "UPDATE tallymill.folded SET next_offset = next_offset + 1"),
}


@pytest.mark.parametrize("damage", PLANTED)
def test_it_names(world, damage):
    kind, script = PLANTED[damage]
    world.run(script)
    assert kind in world.check().kinds()


def test_it_names_an_acknowledged_event_that_kafka_has_lost(world):
    world.acknowledged.append((identity(1234), None, None))
    world.acknowledged.append((identity(1234), 0, 6))
    assert [d.kind for d in world.check().damages] == ["acknowledged and not in Kafka"] * 2


def test_it_names_a_stored_row_of_an_altered_message(world):
    world.logs[0].records[1] = Record(0, 1, b"k", event(2, event_data={"n": 2, "x": 0.2}))
    assert world.check().kinds() == {"content altered"}


def test_it_names_a_row_that_came_of_a_malformed_message(world):
    world.logs[0].records[1] = Record(0, 1, b"k", event(2) + b"\0")
    assert {"row never sent", "offset without outcome"} <= world.check().kinds()


def test_of_repeated_events_the_first_of_a_topic_partition_is_the_row(world):
    world.logs[0].records[0] = Record(0, 0, b"k", event(2, session_id="first"))
    world.logs[0].records[1] = Record(0, 1, b"k", event(1))
    world.logs[0].records[2] = Record(0, 2, b"k", event(2))
    assert world.check().kinds() == {"content altered"}


def test_drained_means_that_nothing_waits(world):
    assert world.check(drained=True).kinds() == {"not drained"}


def test_a_day_that_waits_for_a_rebuild_is_set_aside(world):
    world.run("UPDATE analytics_daily_stats SET event_count = 77; INSERT INTO tallymill.days"
              " VALUES ('2026-03-10', now()), ('2026-03-11', now())")
    assert world.check().holds()


def test_the_statistics_of_an_archived_month_stay_without_their_rows(world):
    world.run("DELETE FROM analytics_events; INSERT INTO tallymill.months VALUES ('2026-03-01', 'archived');"
              "INSERT INTO tallymill.removals SELECT '2026-03-01', 'events', n, n, 5, 'archived' FROM generate_series(1, 3) n")
    verdict = world.check()
    assert verdict.kinds() == {"acknowledged and lost"}, verdict.as_text()


def test_a_day_that_was_rebuilt_after_its_month_left_is_damage(world):
    world.run("INSERT INTO tallymill.months VALUES ('2026-03-01', 'archived', '2026-06-01');"
              "INSERT INTO tallymill.days VALUES ('2026-03-01', NULL, '2026-06-02'), ('2026-03-02', NULL, '2026-05-01')")
    damages = [one for one in world.check().damages if one.kind == "day rebuilt without its month"]
    assert len(damages) == 1


def test_a_replayed_dead_letter_may_have_its_row(world):
    world.run("INSERT INTO tallymill.dead_letters SELECT 'events', 1, 0, 'refused', 'k', NULL, 1, now()")
    assert "both row and dead letter" not in world.check().kinds()


def test_rows_of_another_topic_are_not_its_business(world):
    world.run("""
        INSERT INTO tallymill.batches VALUES (8, 8, 'other', 0, 0, 1, 1, 0, 0, 0, '{}');
        INSERT INTO analytics_events VALUES (gen_random_uuid(), 'login', NULL, NULL, NULL, '{}', false, '2026-03-10', 8)""")
    assert world.check().holds()


def test_merged_batches_are_counted_together(world):
    world.run("""
        DELETE FROM tallymill.batches WHERE batch_id < 3;
        INSERT INTO tallymill.batches VALUES (1, 2, 'events', 0, 0, 7, 4, 1, 1, 1, '{2026-03-10,2026-03-11}'),
          (1, 2, 'events', 1, 0, 2, 2, 0, 0, 0, '{2026-03-10,2026-03-11}'),
          (1, 2, 'events', 2, 5, 7, 1, 1, 0, 0, '{2026-03-10,2026-03-11}')""")
    verdict = world.check()
    assert verdict.holds(), verdict.as_text()
    world.run("DELETE FROM analytics_events WHERE user_id = 3")
    assert "row count" in world.check().kinds()


def test_a_bad_line_of_acknowledged_ids_is_named(tmp_path):
    listed = tmp_path / "ids"
    listed.write_text(f"{identity(1)}\n{identity(2)} 3 4\n")
    assert read_acknowledged(listed) == [(identity(1), None, None), (identity(2), 3, 4)]
    listed.write_text(f"{identity(1)}\nnonsense\n")
    with pytest.raises(ValueError, match=":2: "):
        read_acknowledged(listed)
