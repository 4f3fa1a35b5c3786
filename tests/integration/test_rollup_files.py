"""Rollups that come, change and go as files; what is refused, with its line."""

import shutil

from .harness.program import ROOT
from .harness.publisher import event, events
from .harness.rolling import COUNTED, DAY_US, counted_as, directory, one_day

SHIPPED = ROOT / "schemas" / "rollups"


def test_a_rollup_is_added_and_changed_by_a_file_alone(make_site, tmp_path):
    folder = directory(tmp_path)
    for path in SHIPPED.glob("*.sql"):
        shutil.copy(path, folder)
    site = make_site(**{"rollups.dir": folder})
    shipped = site.database.value("SELECT count(*) FROM tallymill.rollups")
    site.send(events(400, days=3))
    site.drain()
    site.fold()
    directory(tmp_path, counted=COUNTED)
    added = site.tallymill("migrate")
    assert added.code == 0 and "1 made" in added.out, added
    site.fold()
    days = site.database.rows("SELECT date, sum(event_count)::bigint FROM analytics_daily_stats GROUP BY 1 ORDER BY 1")
    assert len(days) >= 3 and site.database.rows("SELECT date, events FROM analytics_daily_counted ORDER BY 1") == days
    # A wider query adds its column and computes every day anew.
    directory(tmp_path, counted=COUNTED.replace("AS events", "AS events, count(user_id) AS by_users"))
    changed = site.tallymill("migrate")
    assert changed.code == 0 and "1 changed" in changed.out, changed
    site.fold()
    assert site.database.value("SELECT count(*) FROM analytics_daily_counted WHERE by_users > 0") == len(days)
    assert site.tallymill("verify").code == 0
    # A file that goes away takes nothing with it.
    (folder / "counted.sql").unlink()
    gone = site.tallymill("migrate")
    assert gone.code == 0 and "0 retired" in gone.out and "rollup counted has no file" in gone.err, gone
    assert "rollup counted would be retired" in site.must("tallymill", "migrate", "--check", "--retire", "counted").out
    assert site.tallymill("migrate", "--retire", "nobody").code == 2
    gone = site.tallymill("migrate", "--retire", "counted")
    assert gone.code == 0 and "1 retired" in gone.out, gone
    assert site.database.value("SELECT count(*) FROM analytics_daily_counted") == len(days)
    assert site.database.value("SELECT count(*) FROM tallymill.rollups WHERE retired_at IS NULL") == shipped


def test_a_file_with_an_error_is_refused_with_its_line_and_the_others_go_on(make_site, tmp_path):
    wrong = {
        "no_such_column": COUNTED.replace("counted", "a").replace("SELECT count(*)", "SELECT count(*) AS n, -- ä\n  coumt"),
        "no_target": COUNTED.replace("-- target", "-- tarrget"),
        "bad_cadence": COUNTED.replace("counted", "c").replace("1 s", "soon"),
        "deletes": COUNTED.replace("counted", "d").replace("SELECT count(*) AS events FROM tallymill.day_events", "DELETE FROM analytics_events RETURNING 1 AS x"),
        "two_statements": COUNTED.replace("counted", "e") + "SELECT 1",
        "key_not_there": COUNTED.replace("counted", "f").replace("key: date", "key: date, city"),
    }
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, counted=COUNTED, **wrong)})
    refused = site.tallymill("migrate")
    assert refused.code == 2, refused
    for name, line in (("no_such_column", 6), ("no_target", 1), ("bad_cadence", 4), ("deletes", 5), ("two_statements", 5), ("key_not_there", 3)):
        assert f"{name}.sql:{line}: " in refused.err, (name, refused)
    assert refused.err.count("refused") == len(wrong), refused
    # The good one is there; a change that its table cannot follow is refused and leaves it as it was.
    assert site.database.rows("SELECT rollup FROM tallymill.rollups") == [("counted",)]
    for file in wrong:
        (tmp_path / "rollups" / f"{file}.sql").unlink()
    directory(tmp_path, counted=COUNTED.replace("AS events", "AS others"))
    kept = site.tallymill("migrate")
    assert kept.code == 2 and "no longer has events" in kept.err, kept
    site.send(event("login", DAY_US) for _ in range(3))
    site.drain()
    site.fold()
    assert one_day(site, "analytics_daily_counted", "events") == [(3,)]


UNSTEADY = [    # what the query gives, and the line that says so
    ("count(*) AS events,\n  now() AS at", 6),
    ("count(*) AS events,\n\n  max(Now ( ) - created_at) AS age", 7),
    ("count(*) FILTER (WHERE created_at >\n CURRENT_DATE) AS events", 6),
    ("count(*) AS events, -- now() is no word here\n  localtimestamp(0) AS at", 6),
    ("count(*) AS events,\n  statement_timestamp() AS at", 6),
    ("count(*) AS events,\n  clock_timestamp() AS at", 6),
    ("count(*) AS events,\n  random() AS dice", 6),
    ("count(*) AS events,\n  max(age(created_at)) AS oldest", 6),
    ("count(*) FILTER (WHERE created_at > \n timestamptz 'now') AS events", 6),
    ("count(*) FILTER (WHERE created_at::date = \n 'Today'::date) AS events", 6),
    ("count(*) AS events,\n  current_user::text AS who", 6),
    ("count(*) AS events,\n  helper.clock() AS at", 6),
    ("count(*) AS events,\n  helper.newer_clock() AS at", 6),
    ("count(*) AS events,\n (SELECT t FROM helper.moment) AS at", 6),
    ("count(*) AS events,\n  helper.dice() AS n", 6),
    ("count(*) AS events,\n  (SELECT count(*) FROM helper.numbers TABLESAMPLE bernoulli (50)) AS sample", 6),
    ("count(*) AS events,\n  (SELECT count(*) FROM helper.half) AS sample", 6),
    ("count(*) AS events,\n  helper.sample() AS sample", 6),
    ("count(*) AS events,\n  json_agg(event_name) AS names", 6),
    ("count(*) AS events,\n  min(event_data::text)::json AS data", 6),
    ("count(*) AS events,\n  '<a/>'::xml AS page", 6),
    ("count(*) AS events,\n  ARRAY['{}'::json] AS many", 6),
    ("count(*) AS events,\n  point(1, 2) AS place", 6),
    ("count(*) AS events,\n  '{}'::helper.wrapped AS wrapped", 6),
    ("count(*) AS events,\n  ROW('{}', 1)::helper.pair AS pair", 6),
]


def test_a_rollup_that_no_two_runs_would_agree_on_is_refused_with_its_line(make_site, tmp_path):
    files = {f"wrong_{number}": counted_as(f"wrong_{number}", what) for number, (what, _) in enumerate(UNSTEADY)}
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, counted=COUNTED, **files)})
    site.database.run("""CREATE SCHEMA helper;
        CREATE FUNCTION helper.clock() RETURNS timestamptz LANGUAGE plpgsql STABLE AS 'BEGIN RETURN current_timestamp; END';
        CREATE FUNCTION helper.newer_clock() RETURNS timestamptz LANGUAGE sql STABLE RETURN now();
        CREATE VIEW helper.moment AS SELECT now() AS t;
        CREATE FUNCTION helper.dice() RETURNS float8 LANGUAGE internal AS 'drandom'; CREATE TABLE helper.numbers AS SELECT 1 AS n; CREATE VIEW helper.half AS SELECT FROM helper.numbers TABLESAMPLE system (50);
        CREATE FUNCTION helper.sample() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM helper.numbers TABLESAMPLE bernoulli (10)); END';
        CREATE DOMAIN helper.wrapped AS json; CREATE TYPE helper.pair AS (data json, n integer);
        GRANT USAGE ON SCHEMA helper TO PUBLIC; GRANT SELECT ON helper.moment, helper.numbers, helper.half TO PUBLIC""")
    refused = site.tallymill("migrate")
    assert refused.code == 2, refused
    for number, (what, line) in enumerate(UNSTEADY):
        assert f"wrong_{number}.sql:{line}: " in refused.err, (what, refused)
    assert site.database.rows("SELECT rollup FROM tallymill.rollups") == [("counted",)]
    assert site.database.value("SELECT to_regclass('tallymill.rollup_query') IS NULL")


def test_what_only_looks_like_it_is_taken(make_site, tmp_path):
    """Events that are named like times, and functions that a session's UTC makes exact."""
    fine = {
        "names": "count(*) FILTER (WHERE event_name IN ('now', 'today', ' tomorrow ')) AS events, max(event_name) AS now",
        "days": "count(*) AS events, min(created_at::date) AS first_day, max(to_char(created_at, 'HH24:MI')) AS last, max(date_trunc('hour', created_at)) AS hour",
        "types": "count(*) AS events, array_agg(DISTINCT event_name) AS names, jsonb_agg(1) AS data, min(id::text)::uuid AS id, "
                 "max(created_at)::timestamp AS at, int4range(1, 2) AS range, 'x'::varchar(3) AS short, '1.2.3.4'::inet AS host, 1.5::float8 AS x, "
                 "'{1,2}'::float4[] AS many, true AS yes, 'a'::\"char\" AS c, b'1' AS bit, interval '1 s' AS i, ARRAY['1.2.3.4'::cidr] AS nets",
        "helped": "public.half(count(*)) AS events",
    }
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, **{name: counted_as(name, what) for name, what in fine.items()})})
    site.database.run("CREATE FUNCTION public.half(n bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN n / 2; END'")
    migrated = site.tallymill("migrate")
    assert migrated.code == 0, migrated
    site.send(event("now", DAY_US + number) for number in range(4))
    site.drain()
    site.fold()
    verified = site.tallymill("verify", "--strict")
    assert verified.code == 0, verified
