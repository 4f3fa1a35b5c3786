"""The plan's own SQL, word for word, on this schema in a UTC session: it runs, and gives our figures. And the views for those who stay with it."""

import pathlib
import re

from .harness.program import BUILDS, ROOT, run
from .harness.publisher import events
from .harness.stack import psql

NIGHTLY = str(pathlib.Path(__file__).with_name("plan_nightly.sql"))

VIEW = """
CREATE MATERIALIZED VIEW analytics_daily_rollup AS
SELECT
  DATE(created_at) as date,
  event_name,
  COUNT(*) as event_count,
  COUNT(DISTINCT session_id) as unique_sessions,
  COUNT(DISTINCT user_id) as unique_users
FROM analytics_events
WHERE is_internal = FALSE
GROUP BY DATE(created_at), event_name;

-- Refresh strategy: hourly or on-demand
CREATE UNIQUE INDEX ON analytics_daily_rollup (date, event_name);
REFRESH MATERIALIZED VIEW CONCURRENTLY analytics_daily_rollup;
"""

MONITORING = """
-- Event volume trend
SELECT DATE(created_at), COUNT(*)
FROM analytics_events
GROUP BY DATE(created_at)
ORDER BY 1 DESC LIMIT 30;

-- Table size
SELECT pg_size_pretty(pg_total_relation_size('analytics_events'));

-- Index usage
SELECT indexrelname, idx_scan, idx_tup_read, idx_tup_fetch
FROM pg_stat_user_indexes
WHERE relname = 'analytics_events';
"""

FIGURES = "date, event_name, event_count, unique_sessions, unique_users"


def test_the_plans_sql_runs_as_it_stands_and_gives_our_figures(site):
    assert site.produce("--generate", "5000", "--seed", "8", "--days", "4").code == 0
    site.send(events(2_000, days=3))
    site.drain()
    site.fold()
    ours = site.database.rows(f"SELECT {FIGURES} FROM analytics_daily_stats ORDER BY 1, 2")
    made = psql(site.database.dsn, "-c", "SET timezone = 'UTC'", "-c", VIEW.split("-- Refresh")[0])
    assert made.code == 0, made
    for statement in VIEW.split("on-demand\n")[1].strip().splitlines():
        done = psql(site.database.dsn, "-c", statement)
        assert done.code == 0, done
    assert site.database.rows(f"SELECT {FIGURES} FROM analytics_daily_rollup ORDER BY 1, 2") == ours
    done = psql(site.database.dsn, "-c", "SET timezone = 'UTC'", "-f", NIGHTLY)
    assert done.code == 0, done
    assert site.database.rows(f"SELECT {FIGURES} FROM analytics_daily_stats ORDER BY 1, 2") == ours
    assert site.tallymill("verify").code == 0
    for statement in MONITORING.split("\n\n"):
        done = psql(site.database.dsn, "-c", statement)
        assert done.code == 0 and "row" in done.out, done


def test_the_views_of_phase_2_equal_the_tables_and_note_how_long_a_refresh_took(make_site):
    site = make_site(**{"rollups.dir": ""})
    assert site.produce("--generate", "5000", "--seed", "9", "--days", "4").code == 0
    site.drain()
    site.fold()
    assert site.database.value("SELECT count(*) FROM analytics_view_daily") == 0
    refreshed = site.tallymill("refresh", "--json")
    assert refreshed.code == 0, refreshed
    for columns, view, table in (
            (FIGURES, "daily", "analytics_daily_stats"),
            ("date, step, stage, sessions", "funnel", "analytics_daily_funnel"),
            ("date, sessions, signups, trials_started, trials_converted, checkouts_started, checkouts, signup_rate, trial_conversion_rate,"
             " checkout_rate", "conversion", "(SELECT *, checkouts_completed AS checkouts FROM analytics_daily_conversions) c"),
            ("date, metric, events, mean, p50, p95", "performance", "(SELECT * FROM analytics_daily_llm WHERE source = 'performance') p")):
        ours = site.database.rows(f"SELECT {columns} FROM {table} ORDER BY 1, 2")
        assert ours and site.database.rows(f"SELECT {columns} FROM analytics_view_{view} ORDER BY 1, 2") == ours
    assert site.database.rows("SELECT view, count(*), bool_and(took_us > 0) FROM tallymill.refreshes GROUP BY 1 ORDER BY 1") == [
        (f"analytics_view_{view}", 1, True) for view in ("conversion", "daily", "funnel", "performance")]
    one = site.tallymill("refresh", "funnel")
    assert one.code == 0 and "daily" not in one.out, one
    assert site.tallymill("refresh", "funnels").code == 2


def test_the_queries_for_analysts_run_as_they_stand_and_the_reference_is_of_today(make_site):
    """docs/analyse.md, with a login that may only read; docs/reference.md, of a database with the shipped rollups."""
    site = make_site(**{"rollups.dir": ""})
    assert site.produce("--generate", "2000", "--seed", "8", "--days", "3").code == 0
    site.drain()
    site.fold()
    page = (ROOT / "docs" / "analyse.md").read_text()
    queries = re.findall(r"(?:^    SELECT .*\n(?:^    .*\n)*)", page, re.MULTILINE)
    assert queries
    for query in queries:
        done = psql(site.database.dsn, "-At", "-c", "SET ROLE tallymill_read", "-c", query)
        assert done.code == 0 and done.out.count("\n") > 1, (query, done)
    check = run([str(ROOT / "deploy" / "reference"), "--programs", str(BUILDS["release"] / "bin"), "--dsn", site.database.dsn, "--check"])
    assert check.code == 0, f"docs/reference.md is old: deploy/reference --programs build/bin --dsn DSN; {check}"
