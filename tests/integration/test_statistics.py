"""analytics_daily_stats beside the plan's own SQL, with late events, internal ones, and rows that others insert."""

import datetime
import pathlib

from .harness.publisher import event, events
from .harness.stack import psql
from .harness.waiting import wait_until

DAY_US = 86_400_000_000

PLAN = pathlib.Path(__file__).with_name("plan_nightly.sql").read_text(encoding="utf-8")
# Into a table of the plan's own definition.
PLAN_TABLE = """
CREATE TABLE plan_stats (
  date DATE NOT NULL,
  event_name VARCHAR(100) NOT NULL,
  event_count INTEGER NOT NULL DEFAULT 0,
  unique_sessions INTEGER NOT NULL DEFAULT 0,
  unique_users INTEGER NOT NULL DEFAULT 0,
  created_at TIMESTAMPTZ DEFAULT NOW(),
  PRIMARY KEY (date, event_name)
);
"""



def test_the_plans_own_sql_gives_what_the_statistics_hold(site):
    assert site.produce("--generate", "6000", "--seed", "5", "--days", "3").code == 0
    site.send(events(4_000, days=2))
    site.drain()
    site.fold()
    assert psql(site.database.dsn, "-c", PLAN_TABLE, "-c", PLAN.replace("INTO analytics_daily_stats", "INTO plan_stats")).code == 0
    plan = site.database.rows("SELECT date, event_name, event_count, unique_sessions, unique_users FROM plan_stats ORDER BY 1, 2")
    assert plan and plan == site.database.rows(
        "SELECT date, event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
        " WHERE date = CURRENT_DATE - 1 ORDER BY 1, 2")
    site.assert_holds()


def test_late_events_of_closed_days_are_counted(site):
    aggregator = site.aggregator()
    worker = site.worker()
    site.send(events(2_000, seed=1, days=10))
    site.wait_until_drained()
    site.wait_until_folded()
    assert site.database.value("SELECT count(*) FROM tallymill.days WHERE closed_at IS NOT NULL") >= 5
    site.send(events(500, seed=2, days=10))
    site.wait_until_drained()
    site.wait_until_folded()
    assert [worker.stop(), aggregator.stop()] == [0, 0]
    site.assert_holds()


def test_statistics_are_exact_at_every_moment_in_between(site):
    site.aggregator()
    site.worker()
    for seed in range(8):
        site.send(events(1_500, seed=seed))
        verdict = site.verdict(drained=False)
        assert verdict.holds(), verdict.as_text()
    site.wait_until_drained()
    site.wait_until_folded()
    site.assert_holds()


def test_a_restart_and_a_second_aggregator_change_nothing(site):
    first, second = site.aggregator(), site.aggregator()
    worker = site.worker()
    site.send(events(1_000, seed=1))
    site.wait_until_drained()
    site.wait_until_folded()
    first.kill()
    site.send(events(1_000, seed=2))
    site.wait_until_drained()
    site.wait_until_folded()
    third = site.aggregator()
    second.kill()
    site.send(events(1_000, seed=3))
    site.wait_until_drained()
    site.wait_until_folded()
    assert [worker.stop(), third.stop()] == [0, 0]
    site.assert_holds()


def test_internal_events_are_stored_and_not_counted(site):
    site.send([event("login", is_internal=True, session_id="staff", user_id=1) for _ in range(50)])
    site.send([event("login", session_id="user", user_id=2)])
    site.drain()
    site.fold()
    assert site.outcomes()[0] == 51
    assert site.database.rows("SELECT event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats") == [
        ("login", 1, 1, 1)]
    site.assert_holds()


def test_sessions_and_users_that_look_alike_are_told_apart(site):
    uuid_session = "019bc0fd-8aba-7a3c-9d4e-5f60718293a4"
    sessions = [uuid_session, uuid_session.upper(), uuid_session.replace("-", ""), "{" + uuid_session + "}", "a", "A", "a ", "ä", "a\u0308",
                "1", "01", "x" * 255, "x" * 254]
    site.send([event("login", session_id=session, user_id=user) for session in sessions for user in (0, 1, 2**63 - 1, None)])
    site.send([event("signup", session_id=None, user_id=None) for _ in range(3)])
    site.drain()
    site.fold()
    assert site.database.rows("SELECT event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                              " ORDER BY 1") == [("login", 4 * len(sessions), len(sessions), 3), ("signup", 3, 0, 0)]
    site.assert_holds()


def test_rows_that_an_application_inserts_itself_are_counted_within_a_minute(site):
    aggregator = site.aggregator()
    wait_until(lambda: site.database.value("SELECT count(*) FROM tallymill.months WHERE month = date_trunc('month', now())"),
               30, "this month to be made")
    site.send([event("login", session_id="ours")])
    site.drain()
    site.wait_until_folded()
    site.database.run("INSERT INTO analytics_events (event_name, session_id, user_id) VALUES ('login', 'theirs', 9), ('mine', NULL, NULL)")
    expected = [("login", 2, 2, 1), ("mine", 1, 0, 0)]
    wait_until(lambda: site.database.rows("SELECT event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                                          " ORDER BY 1") == expected, 60, f"the statistics to be {expected}")
    assert aggregator.stop() == 0
    site.assert_holds()


def test_once_waits_for_a_leader_and_folds_all_that_is_committed(site):
    site.send(events(500))
    site.drain()
    for _ in range(2):
        site.fold()
        site.assert_holds()


def test_both_sides_of_midnight_and_a_night_without_an_hour_fall_on_the_right_day(make_site):
    site = make_site(**{"window.oldest": "2026-01-01"})
    march_29 = int(datetime.datetime(2026, 3, 29, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000
    site.send([event("login", created_us=march_29 + shift) for shift in
               (-1, 0, 1, 5_400_000_000, 9_000_000_000, DAY_US - 1, DAY_US)])
    site.drain()
    site.fold()
    assert site.database.rows("SELECT date::text, event_count FROM analytics_daily_stats ORDER BY 1") == [
        ("2026-03-28", 1), ("2026-03-29", 5), ("2026-03-30", 1)]
    site.assert_holds()
