"""`tallymill adopt --plan`: what it names before anything is copied; and whose settings, functions and rights decide nothing."""

import pytest
from psycopg2 import errors

from .harness.adopting import LEFT, adopt, rows_of
from .test_adopt_standing import MATERIALIZED


def test_names_of_indexes_that_are_taken_are_named_before_anything_is_copied(old):
    """As a table that was renamed keeps them: the swap needs these names."""
    site, application = old(500)
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events RENAME TO analytics_events_v1; CREATE TABLE analytics_events (LIKE analytics_events_v1 INCLUDING ALL); INSERT INTO analytics_events SELECT * FROM analytics_events_v1;"
                       " CREATE TABLE idx_analytics_events_batch (n int); CREATE TABLE stats (n int, CONSTRAINT analytics_daily_stats_pkey PRIMARY KEY (n))")
    for words in (("--plan",), ()):
        refused = adopt(site, *words, code=2)
        for statement in ("ALTER INDEX public.analytics_events_pkey RENAME TO", "ALTER INDEX public.idx_analytics_events_name_created RENAME TO", "ALTER TABLE public.idx_analytics_events_batch RENAME TO",
                          "ALTER INDEX public.analytics_daily_stats_pkey RENAME TO"):
            assert statement in refused.out + refused.err, (statement, refused)
    assert site.database.value(LEFT) == 0
    said = [line.split(": ", 1)[1] for line in refused.err.splitlines() if "has a name" in line]
    site.database.run("; ".join(said))
    adopt(site)
    assert rows_of(site, "analytics_events_v1")[0][0] == rows_of(site, "analytics_events")[0][0] == 500


def test_settings_and_functions_of_others_decide_nothing(old):
    """A time-out of the database's ends no pass over the table, and a function of somebody's that fits better than Postgres's is not called by the login of whoever asks."""
    site, application = old(50_000)
    name = site.database.value("SELECT current_database()")
    with application.connect() as cursor:
        cursor.execute("DROP INDEX of_the_application; ALTER TABLE analytics_events ALTER COLUMN event_data DROP DEFAULT, ALTER COLUMN event_data TYPE json")
        cursor.execute("CREATE FUNCTION length(varchar) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called by %'', current_user; END'")
    site.database.run(f"ALTER DATABASE \"{name}\" SET statement_timeout = '40ms'")
    try:
        with application.connect() as cursor, pytest.raises(errors.QueryCanceled):
            cursor.execute(r"SELECT count(*) FROM analytics_events WHERE event_data::text ~ '(^|[^\\])(\\\\)*\\u0000'")
        assert "nothing stops it" in adopt(site, "--plan").out
        adopt(site)
    finally:
        site.database.run(f'ALTER DATABASE "{name}" RESET statement_timeout')
    assert site.database.value("SELECT count(*) FROM analytics_events") == 50_000


def test_a_materialized_view_is_filled_with_the_rights_of_its_owner(old):
    """Its functions are called by whoever owns it, not by the login that adopts."""
    site, application = old(500)
    with application.connect() as cursor:
        cursor.execute(MATERIALIZED + "; CREATE FUNCTION who() RETURNS name LANGUAGE plpgsql AS 'BEGIN RETURN current_user; END'; CREATE MATERIALIZED VIEW by_whom AS SELECT who() AS name, count(*) AS n FROM analytics_events")
    adopt(site)
    assert site.database.rows("SELECT name, n FROM by_whom") == [(application.owner, 500)]
    assert site.database.value("SELECT count(*) FROM per_day") > 0
    adopt(site, "--undo")
    assert site.database.rows("SELECT name, n FROM by_whom") == [(application.owner, 500)]


def test_the_plan_says_what_the_application_writes_otherwise_from_then_on(old):
    """The key, and times without a zone: sessions whose time zone is another one would write other moments."""
    site, application = old(300)
    assert "ON CONFLICT (id, created_at)" in adopt(site, "--plan").out
    assert "TimeZone" not in adopt(site, "--plan").out
    with application.connect() as cursor:
        cursor.execute("DROP VIEW external_events CASCADE; ALTER TABLE analytics_events ALTER COLUMN created_at TYPE timestamp")
    name = site.database.value("SELECT current_database()")
    site.database.run(f"ALTER ROLE {application.owner} SET timezone = 'America/New_York'; ALTER ROLE {application.reader} SET timezone = 'Asia/Tokyo'")
    plan = adopt(site, "--plan", "--time-zone", "Europe/Berlin").out
    assert "TimeZone" in plan and f"login {application.owner} has America/New_York: ALTER ROLE {application.owner} SET timezone = 'Europe/Berlin'" in plan, plan
    assert application.reader not in plan, plan  # who writes nothing
    site.database.run(f"ALTER ROLE {application.owner} IN DATABASE \"{name}\" SET timezone = 'Europe/Vienna'")
    plan = adopt(site, "--plan", "--time-zone", "Europe/Berlin").out
    assert "TimeZone" in plan and application.owner not in plan, plan
    site.database.run(f'ALTER ROLE {application.owner} RESET timezone; ALTER ROLE {application.owner} IN DATABASE "{name}" RESET timezone')
