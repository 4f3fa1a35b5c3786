"""Rows of other programs: what they INSERT, UPDATE and DELETE on open days and on those closed last shows in statistics and rollups."""

import datetime

import pytest

from .harness.waiting import wait_until
from .test_hostile_settings import add_rollup

TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def insert(site, day, count=20):
    site.database.run(f"""
        SELECT tallymill.make_month(date_trunc('month', '{day}'::timestamp)::date);
        INSERT INTO analytics_events (event_name, event_category, session_id, user_id, event_data, created_at)
        SELECT 'own', 'workflow', 's-' || n % 5, n, '{{"n": 1}}', ('{day}'::timestamp AT TIME ZONE 'UTC') + n * interval '1 second'
        FROM generate_series(1, {count}) AS n""")


def figures(site, day):
    return site.database.rows("SELECT event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                              " WHERE date = %s AND event_count > 0 ORDER BY 1", day)


CHANGES = [
    ("UPDATE analytics_events SET is_internal = true WHERE session_id = 's-1'", [("own", 16, 4, 16)]),
    ("UPDATE analytics_events SET event_name = 'renamed' WHERE user_id <= 5", [("own", 15, 5, 15), ("renamed", 5, 5, 5)]),
    ("UPDATE analytics_events SET session_id = 'all', user_id = NULL", [("own", 20, 1, 0)]),
    ("DELETE FROM analytics_events WHERE user_id > 10", [("own", 10, 5, 10)]),
]


@pytest.mark.parametrize("days_ago", [0, 2])
def test_what_another_program_changes_in_its_rows_is_counted(make_site, days_ago):
    site = make_site(partitions=1, **{"aggregator.close_after": "1 h"})
    day = TODAY - datetime.timedelta(days=days_ago)
    for statement, expected in CHANGES:
        site.database.run("DELETE FROM analytics_events")
        insert(site, day)
        site.fold()
        assert figures(site, day) == [("own", 20, 5, 20)]
        site.database.run(statement)
        site.fold()    # its first look is one at the closed days too
        assert figures(site, day) == expected, statement


def test_rollups_follow_a_change_that_no_statistic_shows(make_site):
    site = make_site(partitions=1)
    folder = add_rollup(site)
    (folder / "counted.sql").write_text(
        "-- The sum of an attribute.\n-- target: analytics_daily_summed\n-- key: date\n-- cadence: 1 s\n"
        "SELECT coalesce(sum(tallymill.number(event_data -> 'n')), 0) AS total FROM tallymill.day_events;\n")
    site.settings.write_text(site.settings.read_text().replace(f"dir = {site.folder / 'no-rollups'}", f"dir = {folder}"))
    assert site.tallymill("migrate").code == 0
    insert(site, TODAY)
    site.fold()
    total = "SELECT total FROM analytics_daily_summed WHERE date = %s"
    assert site.database.value(total, TODAY) == 20
    aggregator = site.aggregator()
    site.database.run("""UPDATE analytics_events SET event_data = '{"n": 3}' WHERE user_id = 1""")
    wait_until(lambda: site.database.value(total, TODAY) == 22, 90, lambda: f"the rollup to follow:\n{aggregator.log()[-2000:]}")
    assert aggregator.stop() == 0
    assert site.tallymill("verify").code == 0


def test_a_server_that_went_back_under_the_aggregator_is_noticed(make_site):
    """Behind a pooler a standby that lagged takes over without a connection being lost: `folded`, rows and statistics go back together."""
    from .harness.publisher import events
    site = make_site(partitions=2)
    aggregator = site.aggregator()
    site.send(events(150, days=1))
    site.drain()
    site.wait_until_folded()
    books = ("tallymill.batches", "tallymill.folded", "tallymill.owners", "tallymill.days", "tallymill.changes", "public.analytics_daily_stats",
             "public.analytics_events")
    site.database.run("".join(f"CREATE TABLE public.kept_{table.split('.')[1]} AS SELECT * FROM {table};" for table in books))
    before = len(site.publisher.acknowledged)
    site.send(events(50, seed=2, days=1))
    site.drain()
    site.wait_until_folded()
    # As of the moment before, all in one transaction, the leader's epoch aside: the aggregator's session sees another database.
    site.database.run("BEGIN; SELECT pg_advisory_xact_lock(1952541804, 1);"
                      + "".join(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM public.kept_{table.split('.')[1]};" for table in books) + "COMMIT")
    worker = site.worker()
    site.wait_until_drained()
    site.wait_until_folded()
    assert worker.stop() == 0 and aggregator.stop() == 0
    assert "another server has taken over" in aggregator.log(), aggregator.log()
    assert before == 150 and site.database.value("SELECT sum(event_count) FROM analytics_daily_stats") == site.database.value(
        "SELECT count(*) FROM analytics_events WHERE NOT is_internal")
    site.assert_holds()
