"""How many pages the aggregator reads to take batches in, where the table is no longer a clean sequence of them."""

import random

from .harness.exactness import differences
from .harness.waiting import wait_until
from .test_aggregator import Writer, assert_exact, at_day, make_place, random_rows  # noqa: F401 (a fixture)

PADDING = "ALTER TABLE analytics_events ALTER COLUMN event_data SET DEFAULT jsonb_build_object('p', repeat('x', 150))"
READ = "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = %s"
NEEDED = "SELECT count(DISTINCT (ctid::text::point)[0]) FROM {leaf} WHERE batch_id = ANY (%s)"


def recent_rows(source, count):
    """Of the last minute, and of today wherever the minute began yesterday."""
    return [(*known[:5], max(known[5], at_day(0, 0))) for known in random_rows(source, count, days=1 / 1440)]


def settled_reads(site, leaf):
    """The counter of pages once every backend has reported: it stands still while the aggregator makes another look or two."""
    seen = []

    def still():
        seen.append(site.database.value(READ, leaf))
        return seen[-4:].count(seen[-1]) == 4 and len(seen) >= 11

    wait_until(still, 30, "the statistics of pages to stand still")
    return seen[-1]


def test_after_erasure_and_aborted_batches_the_fold_reads_few_pages_and_stays_exact(place):
    site = place()
    source = random.Random(31)
    leaf = f"analytics_events_{at_day(0):%Y_%m}"
    site.database.run(f"{PADDING}; ALTER TABLE {leaf} SET (autovacuum_enabled = off)")
    aggregator = site.aggregator()
    writer = Writer(site.database.dsn)
    for _ in range(60):  # so large that no plan reads all of it
        writer.batch(recent_rows(source, 2_000))
    site.wait_until_folded()

    site.database.run("""
        WITH gone AS (DELETE FROM analytics_events WHERE random() < 0.1 RETURNING created_at)
        INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
          SELECT day, now(), 'erased' FROM (SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date AS day FROM gone) g
        ON CONFLICT (day) DO UPDATE SET dirty_since = now(), dirty_reason = 'erased'""")
    offsets = dict(writer.next_offset)
    for _ in range(100):
        writer.begin_batch(recent_rows(source, 60))
        writer.connection.rollback()
        writer.next_offset = dict(offsets)
    site.database.run(f"VACUUM {leaf}")
    site.wait_until_folded()

    read = needed = 0
    for _ in range(3):
        before = settled_reads(site, leaf)
        aggregator.freeze()
        writer = Writer(site.database.dsn)
        batches = [writer.batch(recent_rows(source, 400)) for _ in range(3)]
        writer.connection.close()
        written = settled_reads(site, leaf) - before
        aggregator.thaw()
        site.wait_until_folded()
        after = settled_reads(site, leaf)
        with site.database.session() as connection, connection.cursor() as cursor:
            cursor.execute(NEEDED.format(leaf=leaf), (batches,))
            needed += cursor.fetchone()[0]
        read += after - before - written
        assert differences(site) == []
    assert aggregator.stop() == 0
    assert_exact(site)
    print(f"pages needed {needed}, read {read}")
    assert read <= 5 * needed, f"{needed} pages hold the rows, {read} were read"


def test_a_cycle_asks_a_grown_ledger_by_index_whatever_its_statistics_say(place):
    """Without statistics Postgres would rather read all of it, once for each topic partition, and the session keeps that plan."""
    site = place()
    Writer(site.database.dsn).batch(recent_rows(random.Random(7), 10))
    site.database.run("""
        ALTER TABLE tallymill.batches SET (autovacuum_enabled = off);
        INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days)
          SELECT 1000 + n, 1000 + n, topic, topic_partition, 100000 + n, 100001 + n, 0, 0, 0, 1, '{}'
          FROM (SELECT * FROM tallymill.owners ORDER BY topic, topic_partition DESC LIMIT 1) o, generate_series(1, 2000) n;
        INSERT INTO tallymill.folded (topic, topic_partition, next_offset)
          SELECT topic, topic_partition, 102001 FROM tallymill.owners ORDER BY topic, topic_partition DESC LIMIT 1""")
    with site.database.session() as connection, connection.cursor() as cursor:
        cursor.execute("SET jit = on; BEGIN; SELECT kind FROM tallymill.begin_cycle(NULL, interval '6 hours', 1000, '{}')")
        assert 4 in [kind for kind, in cursor.fetchall()]
        cursor.execute("SELECT seq_scan, idx_scan > 0 FROM pg_stat_xact_all_tables WHERE relid = 'tallymill.batches'::regclass")
        assert cursor.fetchone() == (0, True)
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('jit'), current_setting('enable_seqscan')")
        assert cursor.fetchone() == ("10s", "off", "on")  # the cycle's last as long as it, the function's own does not
        cursor.execute("ROLLBACK")
