"""Bugs planted on purpose must make the checker fail: else its word on the product would be worth nothing.

Each bug is a patch, ../planted/<bug>.patch, of which the check build makes a program (`bug=` names it).  Here it meets
the failpoint that provokes it, with the guards behind it taken away (<bug>.sql), for a guard that catches the bug would
prove the guard and not the checker.  Afterwards a healthy worker and aggregator finish the work, as they would in life.
"""

import pathlib

import pytest
from psycopg2 import extensions

from faults.wire import Wire, postgres_through

from .harness.publisher import Publisher, event, events
from .harness.waiting import wait_until
from .test_aggregator import at_day

PLANTED = pathlib.Path(__file__).parents[1] / "planted"


def damaged_site(make_site, bug, partitions=1, count=6_000, guards=None):
    """A site of the check build without the guards behind the bug (of that name, or `guards`), and with events waiting."""
    site = make_site(build="check", partitions=partitions)
    script = PLANTED / f"{guards or bug}.sql"
    if script.exists():
        site.fold()  # the months, before their keys are dropped
        site.database.run(script.read_text())
    site.send(events(count))
    return site


def finish(site):
    worker = site.worker("--until-end", instance="healthy")
    assert worker.wait(60) == 0, worker.log()[-3000:]
    site.fold()
    return site.verdict().kinds()


def test_no_fence_lets_a_thawed_worker_store_everything_twice(make_site):
    site = damaged_site(make_site, "no_fence")
    frozen = site.worker(instance="frozen", failpoint="before_fence:stop", bug="no_fence")
    wait_until(frozen.is_frozen, 60, "the worker to stop itself before the fence")
    other = site.worker(instance="other", bug="no_fence")
    site.wait_until_drained()
    rows = site.database.value("SELECT count(*) FROM analytics_events")
    frozen.thaw()
    wait_until(lambda: site.database.value("SELECT count(*) FROM analytics_events") > rows, 30, "the thawed worker to commit")
    assert other.stop() == 0
    frozen.kill()
    assert {"row twice", "overlap"} <= site.verdict().kinds()


def test_a_position_committed_before_its_rows_loses_them_in_a_crash(make_site):
    site = damaged_site(make_site, "position_before_rows")
    worker = site.worker(instance="healthy", failpoint="mid_copy:exit:500", bug="position_before_rows")
    assert worker.wait(60) == 86, worker.log()[-3000:]
    assert {"row count", "offset without outcome", "acknowledged and lost"} <= finish(site)


def test_a_row_count_unchecked_loses_what_copy_never_got(make_site):
    site = damaged_site(make_site, "row_count_unchecked")
    worker = site.worker("--until-end", instance="healthy", bug="row_count_unchecked")
    assert worker.wait(60) == 0, worker.log()[-3000:]
    assert {"row count", "offset without outcome", "acknowledged and lost"} <= finish(site)


def test_dead_letters_outside_the_transaction_vanish_in_a_crash(make_site):
    site = damaged_site(make_site, "dead_letter_outside")
    for number in range(100):
        site.publisher.send_bytes(b"\xc1%d" % number, b"k")
    site.publisher.flush()
    for _ in range(30):  # a worker each batch, so that the one with the dead letters dies at its reply whichever it is
        worker = site.worker(instance="healthy", failpoint="commit_replied:exit", bug="dead_letter_outside")
        assert worker.wait(60) == 86, worker.log()[-3000:]
        if site.outcomes()[2]:
            break
    assert {"dead letter count", "offset without outcome"} <= finish(site)


def test_a_fence_that_compares_without_locking_lets_two_workers_store_the_same_offsets(make_site):
    site = damaged_site(make_site, "fence_without_lock")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
    with site.database.session() as gate, gate.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4711)")
        first = site.worker(instance="healthy", bug="fence_without_lock")
        wait_until(lambda: site.database.value(waiting) == 1, 30, "the first worker's fence to have compared")
        first.kill()  # its server process does not know, and commits when the gate opens
        second = site.worker(instance="healthy", bug="fence_without_lock")
        wait_until(lambda: site.database.value(waiting) == 2, 30, "the second worker's fence to have compared")
    wait_until(lambda: site.database.value("SELECT count(*) FROM analytics_events") > 6_000, 30, "both to commit")
    second.kill()
    assert {"row twice", "overlap"} <= site.verdict().kinds()


def test_rows_that_a_retry_stores_again_are_seen(make_site):
    site = damaged_site(make_site, "duplicate_on_retry")
    worker = site.worker("--until-end", instance="healthy", bug="duplicate_on_retry")
    assert worker.wait(60) == 0, worker.log()[-3000:]
    assert {"row twice"} <= finish(site)


def test_copy_into_the_table_of_a_detached_month_loses_its_rows(make_site):
    site = make_site(build="check", partitions=1)
    site.fold()  # makes the month
    today = at_day(0, 0)
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{today:%Y_%m}")
    site.send(events_of(today, 1_000))
    worker = site.worker("--until-end", instance="healthy", bug="copy_into_leaf")
    assert worker.wait(60) == 0, worker.log()[-3000:]
    assert {"row count", "acknowledged and lost"} <= site.verdict().kinds()


def test_an_anchor_taken_as_next_minus_one_stops_a_healthy_topic_partition(make_site):
    site = make_site(build="check", partitions=1)
    publisher = Publisher(site.stack.bootstrap, site.topic, **{"transactional.id": f"{site.topic}-anchor", "transaction.timeout.ms": 120_000})
    publisher.producer.init_transactions(30)
    publisher.producer.begin_transaction()
    for made in events(100, seed=1):
        publisher.send(made)
    publisher.producer.commit_transaction(30)
    wait_until(lambda: site.end_offsets() == {0: 101}, 30, "the transaction's marker, which is the last offset")
    assert site.worker("--until-end", instance="healthy", bug="anchor_next_minus_one").wait(60) == 0
    site.send(events(100, seed=2))
    assert site.worker("--until-end", instance="healthy", bug="anchor_next_minus_one").wait(60) == 3
    assert {"not drained"} <= site.verdict().kinds()
    assert not finish(site), "a healthy worker goes on"


@pytest.mark.plain_servers("its proxy reads what is said to Postgres")
def test_an_unknown_commit_that_is_retried_blindly_stores_a_batch_twice(make_site):
    site = damaged_site(make_site, "commit_unknown_retried", guards="no_fence")
    where = extensions.parse_dsn(site.database.dsn)
    with Wire(where["host"], where["port"], commits=True) as wire:
        wire.swallow = 1
        worker = site.worker("--until-end", "--set", f"postgres.dsn={postgres_through(wire, site.database.dsn)}", instance="healthy",
                             bug="commit_unknown_retried")
        assert worker.wait(60) == 0, worker.log()[-3000:]
    assert wire.swallowed == 1
    assert {"row twice", "overlap"} <= site.verdict().kinds()


def test_a_batch_folded_twice_makes_the_statistics_wrong(make_site):
    site = damaged_site(make_site, "batch_folded_twice")
    aggregator = site.aggregator(bug="batch_folded_twice")
    site.drain()
    wait_until(lambda: "statistic wrong" in site.verdict().kinds(), 60, "the checker to see wrong statistics")
    aggregator.stop()


def events_of(day, count, name="login"):
    start = int(day.timestamp() * 1_000_000)
    return [event(name, start + number, session_id=f"{name}-{number}", user_id=number) for number in range(count)]


def test_late_events_that_are_dropped_make_the_statistics_wrong(make_site):
    site = damaged_site(make_site, "late_event_dropped", count=1)
    aggregator = site.aggregator(bug="late_event_dropped")
    worker = site.worker()
    site.send(events_of(at_day(20), 50))
    site.wait_until_drained()
    site.wait_until_folded()
    assert not site.verdict().kinds()
    site.send(events_of(at_day(20), 50, "signup"))  # the day was closed by its first rebuild
    wait_until(lambda: {"statistic missing"} <= site.verdict().kinds(), 30, "the checker to miss the late events")
    assert worker.stop() == 0 and aggregator.stop() == 0


def test_a_day_rebuilt_after_its_month_was_archived_is_seen(make_site):
    site = damaged_site(make_site, "archived_day_rebuilt", count=1)
    day = at_day(100)
    site.send(events_of(day, 50))
    site.drain()
    site.fold()
    leaf = f"analytics_events_{day:%Y_%m}"
    site.database.run(f"""
        INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)
          SELECT date_trunc('month', date '{day.date()}'), '{site.topic}', batch_id, batch_id, count(*), 'archived' FROM {leaf} GROUP BY batch_id;
        UPDATE tallymill.months SET state = 'archived', changed_at = clock_timestamp() WHERE month = date_trunc('month', date '{day.date()}');
        ALTER TABLE analytics_events DETACH PARTITION {leaf};
        DROP TABLE {leaf};
        UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked' WHERE day = '{day.date()}'""")
    site.send(events_of(at_day(0, 0), 10))
    site.drain()
    aggregator = site.aggregator(bug="archived_day_rebuilt")
    wait_until(lambda: "day rebuilt without its month" in site.verdict().kinds(), 30, "the checker to see the rebuild")
    assert site.database.value("SELECT count(*) FROM analytics_daily_stats WHERE date = %s", day.date()) == 0
    assert aggregator.stop() == 0


def test_leadership_by_the_advisory_lock_alone_lets_a_thawed_leader_write_stale_figures(make_site):
    site = damaged_site(make_site, "leader_by_lock_alone", count=1)
    worker = site.worker()
    today = at_day(0, 0)
    frozen = site.aggregator(name="frozen", bug="leader_by_lock_alone")
    site.send(events_of(today, 50))
    site.wait_until_drained()
    site.wait_until_folded()
    frozen.freeze()
    # Gone as far as a standby can see; the guard that would have made it wait for 20 s is taken away with that.
    site.database.run("UPDATE tallymill.leader SET leader = ''")
    second = site.aggregator(name="second")
    site.send(events_of(today, 70, "signup"))
    site.wait_until_drained()
    site.wait_until_folded()
    assert second.stop() == 0   # or it might take in, each time, what the other should
    frozen.thaw()
    site.send(events_of(today, 20, "signup"))
    site.wait_until_drained()
    wait_until(lambda: "statistic wrong" in site.verdict().kinds(), 60, "the checker to see figures of a memory that was stale")
    frozen.kill()
    assert worker.stop() == 0
