"""The ledger is merged into wider ranges, and still says the same: positions, anchors, outcomes, rows that can be counted against it.

Only batches of a quarter of an hour ago are merged, so a test sets the clock of the ledger rows back.
"""

import random

import psycopg2
import pytest

from .harness.monitor import Monitor
from .harness.publisher import events
from .test_aggregator import Writer, assert_exact, make_place, random_rows  # noqa: F401 (a fixture)

AGE = "UPDATE tallymill.batches SET committed_at = committed_at - interval '2 hours'"
POSITIONS = "SELECT string_agg(concat_ws(':', topic_partition, next_offset), ' ' ORDER BY topic_partition) FROM tallymill.positions"
LAST_ANCHORS = """
    SELECT string_agg(concat_ws(':', topic_partition, anchor_offset, anchor_hash), ' ' ORDER BY topic_partition)
    FROM (SELECT DISTINCT ON (topic_partition) * FROM tallymill.batches ORDER BY topic_partition, first_offset DESC) last"""
SUMS = """
    SELECT array[sum(stored), sum(duplicates), sum(dead_letters), sum(skipped), sum(next_offset - first_offset)]::text
           || (SELECT array_agg(DISTINCT day ORDER BY day)::text FROM tallymill.batches, unnest(days) AS d (day)) FROM tallymill.batches"""
ROWS = "SELECT count(*) FROM tallymill.batches"
# Ranges of batches that share a topic partition or an id without being the same interval, and tiles with a hole or an overlap.
CROSSING = """
    SELECT count(*) FROM tallymill.batches a JOIN tallymill.batches b
      ON a.batch_id <= b.last_batch_id AND b.batch_id <= a.last_batch_id
    WHERE (a.batch_id, a.last_batch_id) <> (b.batch_id, b.last_batch_id)"""
UNTILED = """
    WITH tiles AS (SELECT topic_partition, first_offset, next_offset FROM tallymill.batches
                   UNION ALL SELECT topic_partition, first_offset, next_offset FROM tallymill.gaps)
    SELECT count(*) FROM (SELECT first_offset, coalesce(lag(next_offset) OVER (PARTITION BY topic_partition ORDER BY first_offset), 0) AS before
                          FROM tiles) t WHERE first_offset <> before"""
# Intervals whose rows are not as many as their ranges say.
MISCOUNTED = """
    SELECT count(*) FROM (SELECT batch_id, last_batch_id, sum(stored) AS stored FROM tallymill.batches GROUP BY 1, 2) b
    WHERE stored <> (SELECT count(*) FROM analytics_events e WHERE e.batch_id BETWEEN b.batch_id AND b.last_batch_id)"""


def said(site):
    return [site.database.value(one) for one in (POSITIONS, LAST_ANCHORS, SUMS)]


def test_a_merged_ledger_says_the_same_and_workers_go_on_from_it(make_site):
    site = make_site(build="check", partitions=3, **{"batch.max_rows": 50})
    made = list(events(900))
    site.send(made)
    for number in range(3):
        site.publisher.send_bytes(b"no event", partition=number)
    site.send(made[:50])
    site.drain()
    site.fold()
    before, rows = said(site), site.database.value(ROWS)
    assert rows > 12

    site.fold()     # nothing is old enough
    assert site.database.value(ROWS) == rows
    site.database.run(AGE)
    killed = site.aggregator("--once", failpoint="ledger_merged:exit:1", name="killed")
    assert killed.wait(30) == 86, killed.log()
    assert site.database.value(ROWS) == rows and said(site) == before
    site.fold()
    assert site.database.value(ROWS) == 3 and said(site) == before
    assert site.database.value("SELECT count(DISTINCT (batch_id, last_batch_id)) FROM tallymill.batches WHERE last_batch_id > batch_id") == 1

    # What was stored a minute is in tallymill.rates, once, also behind the one that was killed.
    assert site.database.rows("SELECT sum(stored)::int, sum(duplicates)::int, sum(dead_letters)::int, sum(batches) > 12 FROM tallymill.rates") == [(900, 50, 3, True)]
    for command in (("audit", "--deep"), ("verify",)):
        done = site.tallymill(*command)
        assert done.code == 0, done
    site.send(events(300, seed=2))
    site.drain()
    site.fold()
    assert site.database.value(ROWS) > 3
    site.assert_holds()
    site.database.run("DELETE FROM analytics_events WHERE id = (SELECT id FROM analytics_events ORDER BY batch_id LIMIT 1)")
    damaged = site.tallymill("audit", "--deep")
    assert damaged.code == 1 and "rows" in damaged.out, damaged


def test_step_by_step_an_interval_ends_before_a_gap_a_young_batch_and_ids_in_another_order(place):
    site = place()
    source = random.Random(5)
    writer = Writer(site.database.dsn)

    def batches(count):
        for _ in range(count):
            writer.batch(random_rows(source, 40))

    batches(6)
    writer.cursor.execute("SELECT tallymill.record_gap(%s, 1, %s, %s, 'retention')", (writer.topic, writer.epochs[1], writer.next_offset[1] + 7))
    writer.next_offset[1] += 7
    batches(5)
    early = site.database.value("SELECT nextval('tallymill.batch_ids')")
    batches(1)
    site.database.run("ALTER SEQUENCE tallymill.batch_ids RESTART WITH %d" % early)
    batches(1)      # its id was drawn before that of the batch that it follows
    site.database.run("ALTER SEQUENCE tallymill.batch_ids RESTART WITH %d" % (early + 2))
    batches(4)
    batches(1)      # young
    site.fold()
    site.database.run(AGE + " WHERE batch_id < 18")
    writer.begin_batch(random_rows(source, 40))     # and one that is still under way

    before, epoch, place_id = said(site), site.database.value("SELECT epoch FROM tallymill.leader"), 1
    with pytest.raises(psycopg2.errors.SerializationFailure):
        site.database.run("SELECT tallymill.merge_ledger(%d, 1, 9)" % (epoch + 1))
    for _ in range(20):
        place_id = site.database.value("SELECT next_id FROM tallymill.merge_ledger(%s, %s, 9)", epoch, place_id)
        assert [site.database.value(one) for one in (CROSSING, UNTILED, MISCOUNTED)] == [0, 0, 0] and said(site) == before
        if place_id is None:
            break
    merged = site.database.rows("SELECT DISTINCT batch_id, last_batch_id FROM tallymill.batches ORDER BY 1")
    assert place_id is None and merged == [(1, 3), (4, 6), (7, 9), (10, 11), (12, 14), (15, 17), (18, 18)]
    assert site.database.value("SELECT next_id FROM tallymill.merge_ledger(%s, 1, 9)", epoch) is None
    writer.connection.commit()
    site.fold()
    assert_exact(site)


LEDGER_ROWS = "tallymill_aggregator_ledger_rows"
BUSY_LEDGER = """
    INSERT INTO tallymill.owners (topic, topic_partition) VALUES ('busy', 0);
    INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days,
                                   committed_at)
    SELECT n + 1000, n + 1000, 'busy', 0, n, n + 1, 0, 1, 0, 0, '{}', clock_timestamp() - interval '1 hour' FROM generate_series(0, 99999) n;
    INSERT INTO tallymill.folded (topic, topic_partition, next_offset) VALUES ('busy', 0, 100000)"""


def test_a_step_of_the_merge_reads_what_it_merges_and_no_more(place):
    """However long the ledger is: a thousand of its hundred thousand rows cost some hundred pages, not all of them each time."""
    site = place()
    site.fold()
    epoch = site.database.value("SELECT epoch FROM tallymill.leader")
    site.database.run(BUSY_LEDGER)
    with site.database.session() as session, session.cursor() as cursor:
        for _ in range(2):
            cursor.execute("SELECT min(batch_id) FROM tallymill.batches WHERE batch_id = last_batch_id")
            begin, = cursor.fetchone()
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM tallymill.merge_ledger(%s, %s, 1000)", (epoch, begin))
            plan = cursor.fetchone()[0][0]["Plan"]
            read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            assert read < 25_000, read    # each row is looked at some times, and leaves four indexes
        assert site.database.value(ROWS) == 100_000 - 2 * 1000 + 2
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT tallymill.is_worth_merging(20000)")
        assert cursor.fetchone()[0][0]["Plan"]["Shared Hit Blocks"] < 2_000


def test_a_busy_ledger_is_merged_before_the_hour_is_over_and_the_metric_falls(make_site):
    site = make_site(**{"metrics.listen": "127.0.0.1:0"})
    aggregator = site.aggregator()
    monitor = Monitor(aggregator)
    monitor.wait_for("the ledger's rows to be counted", lambda seen: seen.get(LEDGER_ROWS) == 0)     # and the pass of the hour is over
    site.database.run(BUSY_LEDGER)
    monitor.wait_for("the metric to see them", lambda seen: seen[LEDGER_ROWS] > 0)
    monitor.wait_for("the merge to keep up", lambda seen: seen[LEDGER_ROWS] < 50_000, deadline=90)
    assert aggregator.stop() == 0
