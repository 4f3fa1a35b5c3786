"""Rollups over months that leave, and rows of snapshots that are too old."""

import datetime

import psycopg2
import pytest

from .harness.publisher import event
from .harness.rolling import COUNTED, DAY_US, TODAY, directory


def test_rows_of_an_older_snapshot_never_replace_newer_ones(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    site.send(event("login", DAY_US + number) for number in range(5))
    site.drain()
    site.fold()
    site.database.run("UPDATE tallymill.changes SET version = version + 1; UPDATE tallymill.rollup_runs SET ran_at = ran_at - interval '1 hour'")
    run = "SELECT count(*) FROM tallymill.run_rollups_between((SELECT epoch FROM tallymill.leader), 'counted', '-infinity', current_date)"
    with site.database.session() as older, older.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        assert site.database.value(run) > 0
        with pytest.raises(psycopg2.errors.SerializationFailure):
            cursor.execute(run)
    # An aggregator that leads no more computes nothing.
    site.database.run("UPDATE tallymill.changes SET version = version + 1")
    assert site.database.value(run.replace("(SELECT epoch FROM tallymill.leader)", "(SELECT epoch - 1 FROM tallymill.leader)")) == 0


def test_a_day_of_a_detached_month_is_never_computed(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    month = (TODAY.replace(day=1) - datetime.timedelta(days=1)).replace(day=1)    # whose days are all over, and one of which has an event
    last_month = month - datetime.timedelta(days=1)
    at, later = (int(datetime.datetime(day.year, day.month, 15, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000 for day in (last_month, month))
    site.send([*(event("login", at + number) for number in range(4)), event("login", later)])
    site.drain()
    site.fold()
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{last_month:%Y_%m}")
    site.database.run(f"UPDATE tallymill.months SET state = 'archived' WHERE month = '{last_month:%Y-%m}-01'")
    site.database.run("UPDATE tallymill.changes SET version = version + 1")
    directory(tmp_path, counted=COUNTED.replace("count(*)", "count(*) + 1"))
    assert site.tallymill("migrate").code == 0
    site.fold()
    assert site.database.value("SELECT max(events) FROM analytics_daily_counted WHERE date <= %s", last_month) == 4
    assert site.database.value("SELECT min(events) FROM analytics_daily_counted WHERE date > %s", last_month) == 1


def two_months_week():
    """The first day of a month of the last three that is no Monday."""
    first_days = ((TODAY.replace(day=1) - datetime.timedelta(days=days)).replace(day=1) for days in (1, 40, 70))
    return next(day for day in first_days if day.weekday())


def counted_by_day_and_week(make_site, tmp_path, first_day):
    """A site with seven events around midnight of that day, three of them the day before, counted by day and by week."""
    weekly = COUNTED.replace("daily", "weekly").replace("date", "week").replace("day_events", "week_events")
    so_far = COUNTED.replace("daily_counted", "daily_counted_so_far").replace("-- cadence", "-- looks_back: all\n-- cadence").replace(
        "day_events", "settled_events WHERE created_at < (current_setting('tallymill.day')::date + 1)::timestamp AT TIME ZONE 'UTC'")
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED, counted_by_week=weekly, counted_so_far=so_far)})
    at = int(datetime.datetime(first_day.year, first_day.month, 1, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000
    site.send(event("login", at + number * 3_600_000_000) for number in range(-3, 4))
    site.drain()
    site.fold()
    assert counts(site) == [7, 7]
    return site


def counts(site):
    return [site.database.value(f"SELECT coalesce(sum(events), 0) FROM analytics_{period}_counted") for period in ("daily", "weekly")]


@pytest.mark.parametrize("rollup", ["counted", "counted_by_week", "counted_so_far"])
def test_a_month_that_leaves_behind_the_snapshot_has_the_rollup_begin_again(make_site, tmp_path, rollup):
    """Postgres plans by the catalogue of now: in an older snapshot the month reads as empty, and so does half of the week, and a part of all days so far."""
    first_day = two_months_week()
    site = counted_by_day_and_week(make_site, tmp_path, first_day)
    period = {"counted": first_day, "counted_by_week": first_day - datetime.timedelta(days=first_day.weekday()), "counted_so_far": TODAY}[rollup]
    with site.database.session() as older, older.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{first_day:%Y_%m}")
        with pytest.raises(psycopg2.errors.SerializationFailure, match=f"table analytics_events_{first_day:%Y_%m} left"):
            cursor.execute("SELECT tallymill.run_rollup(%s, %s)", (rollup, period))
        cursor.execute("ROLLBACK")
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg2.Error, match=f"table analytics_events_{first_day:%Y_%m} is no part") as refused:     # of now, and not of the snapshot
            cursor.execute("SELECT tallymill.run_rollup(%s, %s)", (rollup, period))
        assert refused.value.pgcode == "TM007"
        cursor.execute("ROLLBACK")
    assert counts(site) == [7, 7]


def test_a_month_detached_by_hand_costs_its_own_days_only(make_site, tmp_path):
    """Its state still says that it is open: the days keep their rows, and every other day goes on."""
    first_day = two_months_week()
    site = counted_by_day_and_week(make_site, tmp_path, first_day)
    site.send([event("login")])
    site.drain()
    site.fold()
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{first_day:%Y_%m}")
    directory(tmp_path, counted=COUNTED.replace("count(*)", "count(*) + 1"))
    assert site.tallymill("migrate").code == 0
    site.send([event("login")])
    site.drain()
    site.fold()
    rows = dict(site.database.rows("SELECT date, events FROM analytics_daily_counted"))
    assert (rows[first_day - datetime.timedelta(days=1)], rows[first_day], rows[TODAY]) == (4, 4, 3), rows     # one more than there are, but where nothing can be read
    errors = dict(site.database.rows("SELECT first_day, error FROM tallymill.rollup_runs WHERE rollup = 'counted' AND error IS NOT NULL"))
    assert first_day in errors and {(day.year, day.month) for day in errors} == {(first_day.year, first_day.month)}, errors
    assert all(error.startswith("TM007") for error in errors.values()), errors
    verified = site.tallymill("verify")
    assert "no part of analytics_events" in verified.out and "DAMAGE" not in verified.out, verified
