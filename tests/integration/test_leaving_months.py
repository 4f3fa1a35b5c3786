"""A month on its way out: what is committed into it, what is asked of it, and proofs that are read meanwhile. `tallymill archive` itself: test_archive.py."""

import contextlib
import datetime

import psycopg2
import pytest

from .harness.exactness import differences
from .harness.publisher import event, instant
from .harness.waiting import wait_until
from .test_aggregator import Writer, at_day, count_of, make_place, row  # noqa: F401 (a fixture)

COHORTS = "SELECT week, cohort_week, active_users FROM analytics_weekly_cohorts ORDER BY 1, 2"


def mark(site, day, state="detaching"):
    site.database.run(f"UPDATE tallymill.months SET state = '{state}', changed_at = clock_timestamp() WHERE month = '{day:%Y-%m}-01'")


def leaf_of(day):
    return f"analytics_events_{day:%Y_%m}"


@contextlib.contextmanager
def reader_of_all(site):
    """A transaction that has looked at analytics_events: a concurrent detach waits for it."""
    with site.database.session() as reading:
        reading.autocommit = False
        reading.cursor().execute("SELECT count(*) FROM analytics_events")
        yield


def leave_pending(site, day):
    """Begins to detach the day's month, and is cancelled while it waits for a reader."""
    with reader_of_all(site), site.database.session() as detaching, detaching.cursor() as cursor:
        cursor.execute("SET statement_timeout = '1s'")
        with pytest.raises(psycopg2.errors.QueryCanceled):
            cursor.execute(f"ALTER TABLE analytics_events DETACH PARTITION {leaf_of(day)} CONCURRENTLY")
    assert site.database.value("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = %s::regclass", leaf_of(day))


def test_rows_that_are_committed_into_a_month_that_is_about_to_leave_are_in_the_statistics(place):
    site = place()
    writer = Writer(site.database.dsn)
    day = at_day(100)
    writer.batch([row(day)])
    site.fold()
    mark(site, day)
    writer.batch([row(day, session="b")])
    site.fold()
    assert count_of(site, day) == [(2, 2, 1)]
    assert differences(site) == []
    assert site.database.value("SELECT count(*) FROM tallymill.days WHERE dirty_since IS NOT NULL") == 0
    done = site.must("tallymill", "verify")
    assert "aside" not in done.out, done


def test_a_month_whose_detach_is_pending_is_not_there_for_new_events(site):
    day = at_day(0)
    site.send([event(created_us=instant(f"{day.date()}T12:00:00"))])
    site.drain()
    leave_pending(site, day)
    with pytest.raises(psycopg2.Error, match="was begun and has not ended") as refused:
        site.database.value("SELECT tallymill.make_month(%s)", day.date())
    assert refused.value.pgcode == "TM007"
    mark(site, day)    # then its events are dead letters, and nobody waits
    site.send([event(created_us=instant(f"{day.date()}T12:00:00")), event(created_us=instant(f"{at_day(40).date()}T12:00:00"))])
    site.drain()
    assert site.outcomes() == (2, 0, 1, 0) and site.reasons() == {"archived_month": 1}


@pytest.mark.parametrize("is_pending", [True, False], ids=["pending", "detached"])
def test_the_audit_counts_the_rows_of_a_month_that_is_being_taken_out(site, is_pending):
    day = at_day(100)
    site.send([event(created_us=instant(f"{day.date()}T12:00:00") + number) for number in range(20)] + [event()])
    site.drain()
    site.fold()
    mark(site, day)
    if is_pending:
        leave_pending(site, day)
    else:
        site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {leaf_of(day)}")
    done = site.must("tallymill", "audit", "--deep", "--json")
    assert '"rows_counted": 21' in done.out, done
    verified = site.must("tallymill", "verify")
    assert f"aside   {day.date()}: its month is detaching" in verified.out, verified
    site.database.run(f"DELETE FROM {leaf_of(day)} WHERE ctid = '(0,1)'")
    assert site.tallymill("audit").code == 1, "and misses one"


@pytest.mark.parametrize("command", ["audit", "verify"])
def test_a_month_that_leaves_behind_the_snapshot_has_a_proof_begin_again(make_site, command):
    site = make_site(build="check")
    day = at_day(100)
    site.send([event(created_us=instant(f"{day.date()}T12:00:00") + number) for number in range(20)] + [event()])
    site.drain()
    site.fold()
    proof = site.start("tallymill", command, failpoint="snapshot_taken:stop:1")
    wait_until(proof.is_frozen, 30, "the proof to stop itself with its snapshot")
    site.database.run(f"""
        INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)
          SELECT '{day:%Y-%m}-01', '{site.topic}', batch_id, batch_id, count(*), 'archived' FROM {leaf_of(day)} GROUP BY batch_id;
        ALTER TABLE analytics_events DETACH PARTITION {leaf_of(day)}; DROP TABLE {leaf_of(day)}""")
    mark(site, day, "archived")
    proof.thaw()
    assert proof.wait(60) == 0, proof.log()


def test_cohorts_are_the_same_when_the_month_in_which_users_were_first_seen_has_left(make_site):
    site = make_site(**{"rollups.dir": ""})
    first, later = at_day(100), at_day(3)
    site.send([event("login", instant(f"{first.date()}T12:00:00") + user, user_id=user) for user in range(10)]
              + [event("login", instant(f"{later.date()}T12:00:00") + user, user_id=user) for user in range(5, 15)])
    site.drain()
    site.fold()
    monday = later.date() - datetime.timedelta(days=later.weekday())
    before = site.database.rows(COHORTS)
    assert (monday, first.date() - datetime.timedelta(days=first.weekday()), 5) in before and (monday, monday, 5) in before
    site.database.run(f"""
        INSERT INTO tallymill.first_seen SELECT user_id, min(created_at) FROM {leaf_of(first)} GROUP BY 1;
        ALTER TABLE analytics_events DETACH PARTITION {leaf_of(first)}""")
    mark(site, first, "archived")
    site.database.run("UPDATE tallymill.rollup_runs SET version = NULL WHERE rollup = 'cohorts'")
    site.fold()
    assert site.database.value("SELECT count(*) FROM tallymill.rollup_runs WHERE rollup = 'cohorts' AND version IS NOT NULL") > 0
    assert site.database.rows(COHORTS) == before


def test_what_looks_back_waits_while_a_month_is_on_its_way_out(make_site):
    site = make_site(**{"rollups.dir": ""})
    first, later = at_day(100), at_day(3)
    site.send([event("login", instant(f"{day.date()}T12:00:00"), user_id=1) for day in (first, later)])
    site.drain()
    site.fold()
    before = site.database.rows(COHORTS)
    mark(site, first)
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {leaf_of(first)}; UPDATE tallymill.rollup_runs SET version = NULL")
    site.fold()
    assert site.database.rows(COHORTS) == before
    assert site.database.value("SELECT count(*) FROM tallymill.rollup_runs WHERE error IS NOT NULL") == 0
    assert site.database.value("SELECT count(*) FROM tallymill.rollup_runs WHERE rollup = 'categories' AND version IS NOT NULL") > 0
