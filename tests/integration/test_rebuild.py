"""`tallymill rebuild` and the queue of days that it and others use."""

import random

import pytest

from .harness.exactness import differences
from .harness.waiting import wait_until
from .test_aggregator import Writer, assert_exact, at_day, count_of, make_place, random_rows, row  # noqa: F401 (a fixture)


def test_rebuild_makes_days_exact_after_rows_were_changed_by_hand_beside_live_events(place):
    site = place()
    source = random.Random(21)
    writer = Writer(site.database.dsn)
    aggregator = site.aggregator()
    for _ in range(5):
        writer.batch(random_rows(source, 300, days=20))
    site.wait_until_folded()
    site.database.run("DELETE FROM analytics_events WHERE session_id LIKE 'plain-1%'; UPDATE analytics_events SET event_name = 'renamed' WHERE user_id = 0")
    assert differences(site) != []
    running = site.start("tallymill", "rebuild", f"{at_day(20).date()}..", name="rebuild")
    while running.is_running():
        writer.batch(random_rows(source, 100, days=1))
    assert running.wait(1) == 0, running.log()
    assert "days rebuilt" in running.log()
    site.wait_until_folded()
    assert aggregator.stop() == 0
    assert_exact(site)


def test_rebuild_sets_archived_months_aside_and_needs_to_know_which_days(place):
    site = place()
    writer = Writer(site.database.dsn)
    away, here = at_day(100), at_day(2)
    writer.batch([row(away), row(here)])
    site.fold()
    site.database.run(f"""
        UPDATE tallymill.months SET state = 'archived' WHERE month = date_trunc('month', date '{away.date()}');
        ALTER TABLE analytics_events DETACH PARTITION analytics_events_{away:%Y_%m}""")
    left = site.tallymill("rebuild", "--no-wait", f"{away.date()}..")
    assert left.code == 0 and f"aside   {away.date()}: its month is archived" in left.out, left
    assert "1 days wait for their rebuild" in left.out or "days wait for their rebuild" in left.out
    status = site.tallymill("status")
    assert "wait for a rebuild" in status.out and "asked" in status.out, status
    site.fold()
    assert count_of(site, away) == [(1, 1, 1)]
    assert site.database.value("SELECT count(*) FROM tallymill.days WHERE dirty_since IS NOT NULL") == 0
    assert site.tallymill("rebuild").code == 2
    assert site.tallymill("rebuild", "yesterday").code == 2


@pytest.mark.parametrize("failpoint", ["cycle_begin", "stats_written"])
def test_a_day_asked_for_while_it_is_being_rebuilt_is_rebuilt_again(place, failpoint):
    """The rebuild under way has not seen what was changed since its snapshot; its commit must not take the second mark away.
    Before it has written the day's row the mark makes it fail (40001); afterwards the mark waits for it."""
    site = place(build="check")
    writer = Writer(site.database.dsn)
    day = at_day(2)
    writer.batch([row(day), row(day, session="b", name="signup")])
    site.fold()
    site.must("tallymill", "rebuild", "--no-wait", str(day.date()))
    frozen = site.aggregator(failpoint=f"{failpoint}:stop:1")
    wait_until(frozen.is_frozen, 30, "the aggregator to stop itself inside the cycle that rebuilds the day")
    site.database.run("DELETE FROM analytics_events WHERE event_name = 'signup'")
    asked = site.start("tallymill", "rebuild", "--no-wait", str(day.date()))
    wait_until(lambda: not asked.is_running() or site.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), 30,
               "the second mark to be there, or to wait")
    frozen.thaw()
    assert asked.wait(30) == 0, asked.log()
    site.wait_until_folded()
    assert count_of(site, day, "signup") == [] and count_of(site, day) == [(1, 1, 1)]
    assert frozen.stop() == 0
