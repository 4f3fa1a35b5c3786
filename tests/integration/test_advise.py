"""`tallymill advise`: the plan's matrix, volume table, triggers and alerts at every edge, from facts in a file; and the facts of prepared databases."""

import concurrent.futures
import json

import pytest
from psycopg2 import extensions

from .harness.database import Database
from .harness.postgres_server import PostgresServer, with_postgres
from .harness.publisher import events
from .harness.site import Site
from .harness.stack import psql

GB = 1 << 30
PLAN_TABLE = """
    CREATE TABLE analytics_events (
      id UUID PRIMARY KEY DEFAULT gen_random_uuid(), event_name VARCHAR(100) NOT NULL, event_category VARCHAR(50) NOT NULL, session_id VARCHAR(64),
      user_id INTEGER, ip_address INET, event_data JSONB NOT NULL DEFAULT '{}', is_internal BOOLEAN NOT NULL DEFAULT FALSE,
      created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
    CREATE INDEX idx_analytics_events_name_created ON analytics_events (event_name, created_at DESC);
    CREATE INDEX idx_analytics_events_external ON analytics_events (created_at DESC) WHERE is_internal = FALSE;
    CREATE INDEX idx_analytics_events_session ON analytics_events (session_id, created_at) WHERE session_id IS NOT NULL"""
FILLED = """INSERT INTO analytics_events (event_name, event_category, session_id, created_at)
            SELECT 'login', 'business', 's' || n % 50, now() - n * interval '1 hour' FROM generate_series(1, {}) n"""

# What is said of facts: (facts, phase, row of the volume table, triggers that fired, alerts that fired).
CASES = [
    # The decision matrix and the volume table: events, and queries at 2 s.
    (dict(events=99_999), 1, "< 100K", [], []),
    (dict(events=100_000), 1, "100K - 500K", [], []),
    (dict(events=499_999, query_p95_ms=60_000), 1, "100K - 500K", [], ["query_over_2_s"]),
    (dict(events=500_000, query_p95_ms=1_999), 1, "500K - 2M", [], []),
    (dict(events=500_000, query_p95_ms=2_000), 2, "500K - 2M", [], []),
    (dict(events=500_000, query_p95_ms=2_000.001), 2, "500K - 2M", [], ["query_over_2_s"]),
    (dict(events=500_000), None, "500K - 2M", [], []),
    (dict(events=1_999_999, query_p95_ms=2_000), 2, "500K - 2M", [], []),
    (dict(events=2_000_000, query_p95_ms=2_000), 3, "2M - 10M", [], []),
    (dict(events=2_000_000, query_p95_ms=1_999), 1, "2M - 10M", [], []),
    (dict(events=9_999_999, query_p95_ms=2_000), 3, "2M - 10M", [], []),
    (dict(events=10_000_000, query_p95_ms=2_000), 4, "10M+", [], []),
    (dict(events=10_000_000, query_p95_ms=1_999), 1, "10M+", [], []),
    (dict(events=2**63 - 1, query_p95_ms=1_999), 1, "10M+", [], []),
    (dict(events=2**63 - 1, query_p95_ms=2_000), 4, "10M+", [], []),
    # Nobody knows how many events there are: nothing of it fires, and what is known by itself holds.
    (dict(events=None), None, None, [], []),
    (dict(events=None, query_p95_ms=1_999), 1, None, [], []),
    (dict(events=None, query_p95_ms=2_001, query_is_consistent=True), None, None, [2], ["query_over_2_s"]),
    (dict(events=None, bytes=10 * GB + 1), 4, None, [4], ["table_over_1_gb", "table_over_10_gb"]),
    # 1 -> 2: over 2 s, and consistently.
    (dict(events=1_000, query_p95_ms=2_001, query_is_consistent=True), 2, "< 100K", [2], ["query_over_2_s"]),
    (dict(events=1_000, query_p95_ms=2_000, query_is_consistent=True), 1, "< 100K", [], []),
    (dict(events=1_000, query_p95_ms=2_001, query_is_consistent=False), 1, "< 100K", [], ["query_over_2_s"]),
    (dict(events=1_000, query_p95_ms=2_001), 1, "< 100K", [], ["query_over_2_s"]),
    # 2 -> 3: five minutes.
    (dict(events=1_000, refresh_ms=300_000), 1, "< 100K", [], []),
    (dict(events=1_000, refresh_ms=300_001), 3, "< 100K", [3], []),
    # 3 -> 4, and the alerts of size: as pg_size_pretty counts.
    (dict(events=1_000, bytes=GB), 1, "< 100K", [], []),
    (dict(events=1_000, bytes=GB + 1), 1, "< 100K", [], ["table_over_1_gb"]),
    (dict(events=1_000, bytes=10 * GB), 1, "< 100K", [], ["table_over_1_gb"]),
    (dict(events=1_000, bytes=10 * GB + 1), 4, "< 100K", [4], ["table_over_1_gb", "table_over_10_gb"]),
    (dict(events=600_000, bytes=10 * GB + 1), 4, "500K - 2M", [4], ["table_over_1_gb", "table_over_10_gb"]),
    (dict(events=600_000, refresh_ms=300_001), 3, "500K - 2M", [3], []),
    (dict(events=9_999_999, refresh_ms=300_001), 3, "2M - 10M", [3], []),
    (dict(events=10_000_000, refresh_ms=300_001), None, "10M+", [3], []),
    # A day's events.
    (dict(events=1_000, daily_events=10_000), 1, "< 100K", [], []),
    (dict(events=1_000, daily_events=10_001), 1, "< 100K", [], ["daily_over_10k"]),
]


@pytest.fixture
def bare(stack, make_site):
    """A database with nothing in it, and the settings that lead there."""
    return make_site(migrate=False)


def advice(site, tmp_path, facts, *words, code=0):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(facts))
    done = site.tallymill("advise", "--facts", path, "--json", *words)
    assert done.code == code, done
    return json.loads(done.out)["advice"]


def asked(site, *words, code=0):
    done = site.tallymill("advise", "--json", *words)
    assert done.code == code, done
    return json.loads(done.out)


def test_every_edge_of_the_plan(bare, tmp_path):
    for facts, phase, volume, triggers, alerts in CASES:
        said = advice(bare, tmp_path, facts)
        assert (said["phase"], said["volume"]["events"]) == (phase, volume), (facts, said)
        assert [one["to"] for one in said["triggers"] if one["fired"]] == triggers, (facts, said["triggers"])
        assert [one["alert"] for one in said["alerts"] if one["fired"]] == alerts, (facts, said["alerts"])
        text = bare.tallymill("advise", "--facts", tmp_path / "facts.json", "--alert")
        assert text.code == bool(alerts) and text.out.count("FIRED") == len(triggers) + len(alerts), (facts, text)


def test_what_is_not_known_is_said_to_be_and_fires_nothing(bare, tmp_path):
    said = advice(bare, tmp_path, dict(events=700_000), "--alert")
    assert {one["fired"] for one in said["triggers"] + said["alerts"]} == {None}
    assert (said["matrix"]["if_under_2_s"], said["matrix"]["otherwise"]) == (1, 2)
    assert "--probe" in said["phase_reason"]


def test_both_are_named_where_matrix_and_triggers_differ(bare, tmp_path):
    said = advice(bare, tmp_path, dict(events=1_000, bytes=11 * GB))
    assert "says Phase 1" in said["phase_reason"] and "Phase 4 fired" in said["phase_reason"]


def test_what_fired_is_the_least_where_the_matrix_hangs_on_what_is_not_known(bare, tmp_path):
    said = advice(bare, tmp_path, dict(events=10_000_000, refresh_ms=300_001, phase_in_place=2))
    assert said["phase_reason"].startswith("Phase 3, whose trigger fired, where dashboard queries take less than 2 s, Phase 4 otherwise"), said
    assert any("tallymill adopt" in str(one["commands"]) for one in said["actions"]), said
    said = advice(bare, tmp_path, dict(events=None, refresh_ms=300_001))
    assert said["phase"] is None and said["phase_reason"].startswith("Phase 3 or a later one: it is not known how many events"), said
    assert "unknown" in bare.tallymill("advise", "--facts", tmp_path / "facts.json").out.splitlines()[0]


def test_days_to_the_next_edges_at_this_pace(bare, tmp_path):
    said = advice(bare, tmp_path, dict(events=99_000, daily_events=1_000, bytes=99_000 * 1_000))
    days = {one["edge"]: one["days"] for one in said["edges"]}
    assert days == {"100K events": 1, "500K events": 401, "2M events": 1_901, "10M events": 9_901, "1 GB": 975, "10 GB": 10_639}
    assert advice(bare, tmp_path, dict(events=99_000, daily_events=0, bytes=1))["edges"] == []


@pytest.mark.parametrize("text, named", [
    ('{"event": 5}', "event is none of the facts"), ('{"events": "5"}', "events is not a whole number"), ('{"events": -5}', "events is not"),
    ('{"events": 5, "events": 6}', "duplicate"), ("[5]", "one JSON object"), ("{", "line 1"), ('{"bytes": 5}', "without the fact events"),
    ('{"events": 5, "query_is_consistent": 1}', "true or false")])
def test_facts_with_a_slip_are_refused(bare, tmp_path, text, named):
    (tmp_path / "facts.json").write_text(text)
    refused = bare.tallymill("advise", "--facts", tmp_path / "facts.json")
    assert refused.code == 2 and named in refused.err, refused


def test_the_plans_bare_table_with_select_alone(bare, tmp_path):
    """No schema of ours, a login that may read one table: facts, a probe, the plan's SQL, and a file for the node exporter."""
    refused = bare.tallymill("advise")
    assert refused.code == 2 and "no table public.analytics_events" in refused.err, refused
    bare.database.run(PLAN_TABLE + ";" + FILLED.format(5_000))
    login = "advise_reader"
    bare.database.run(f"DO $$ BEGIN CREATE ROLE {login} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
    bare.connect_programs_by(extensions.make_dsn(bare.database.dsn, user=login))
    refused = bare.tallymill("advise")
    assert refused.code == 2 and "GRANT SELECT" in refused.err, refused
    assert "GRANT SELECT" in bare.tallymill("advise", "--check").err
    bare.database.run(f"GRANT SELECT ON analytics_events TO {login}")
    checked = bare.tallymill("advise", "--check")
    assert checked.code == 0 and "in order" in checked.out, checked
    before = bare.database.value("SELECT pg_total_relation_size('analytics_events')")  # autovacuum may add a map meanwhile
    said = asked(bare, "--probe", "--save-facts", tmp_path / "saved.json", "--metrics", tmp_path / "advise.prom")
    facts = said["facts"]
    assert (facts["events"], facts["events_are_counted"], facts["daily_events"], facts["phase_in_place"]) == (5_000, True, 24, 1)
    assert before <= facts["bytes"] <= bare.database.value("SELECT pg_total_relation_size('analytics_events')")
    assert facts["query_source"] == "probe" and facts["query_is_consistent"] is False and len(facts["slow_queries"]) == 3
    assert all("Execution Time" in one["plan"][-1] for one in facts["slow_queries"])
    assert facts["has_schema"] is False and facts["notes"] == []
    assert json.loads((tmp_path / "saved.json").read_text()) == facts
    again = bare.tallymill("advise", "--facts", tmp_path / "saved.json", "--json")
    assert json.loads(again.out) == said
    figures = dict(line.split() for line in (tmp_path / "advise.prom").read_text().splitlines() if not line.startswith("#"))
    assert (figures["tallymill_advise_events"], figures["tallymill_advise_table_over_1_gb"], figures["tallymill_advise_success"]) == ("5000", "0", "1")
    run_statements(bare, said, indexes=2)
    assert [one["what"] for one in asked(bare, "--probe")["advice"]["actions"]] == []


def test_a_count_that_fails_leaves_the_events_unknown(bare):
    """Never analyzed, and not to be counted: no estimate is made up."""
    bare.database.run(PLAN_TABLE + ";" + FILLED.format(100))
    bare.database.run("DO $$ BEGIN CREATE ROLE advise_failing LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT SELECT ON analytics_events TO advise_failing;"
                      " ALTER TABLE analytics_events SET (autovacuum_enabled = false); CREATE POLICY failing ON analytics_events USING (length(event_name) / 0 > 1);"
                      " ALTER TABLE analytics_events ENABLE ROW LEVEL SECURITY")
    said = asked(bare, "--set", f"postgres.dsn={extensions.make_dsn(bare.database.dsn, user='advise_failing')}")
    assert said["facts"]["events"] is None and any("exact count" in note for note in said["facts"]["notes"]), said["facts"]
    assert (said["advice"]["phase"], said["advice"]["volume"]["events"]) == (None, None), said["advice"]


def test_a_pattern_that_fails_is_not_fast(bare):
    bare.database.run(PLAN_TABLE.replace("event_data JSONB", "event_data JSON") + ";" + FILLED.format(100))
    facts = asked(bare, "--probe")["facts"]
    assert facts["query_p95_ms"] is None and facts["query_is_consistent"] is None, facts
    assert any(note.startswith("30 days of funnel: ") for note in facts["notes"]) and len(facts["slow_queries"]) == 3, facts


def run_statements(site, said, indexes):
    """Runs what `advise` says of the indexes, one statement after the other in one session."""
    (action,) = [one for one in said["advice"]["actions"] if "ascending" in one["what"]]
    assert sum(statement.startswith("DROP INDEX") for statement in action["sql"]) == indexes
    done = psql(site.database.dsn, "-v", "ON_ERROR_STOP=1", *(word for statement in action["sql"] for word in ("-c", statement)))
    assert done.code == 0, done


def test_phases_2_and_3_are_seen_in_place(bare):
    bare.database.run(PLAN_TABLE + ";" + FILLED.format(100))
    bare.database.run("CREATE MATERIALIZED VIEW v AS SELECT event_name, count(*) FROM analytics_events GROUP BY 1")
    assert asked(bare)["facts"]["phase_in_place"] == 2
    bare.database.run("CREATE TABLE analytics_daily_stats (date date, event_name text)")
    assert asked(bare)["facts"]["phase_in_place"] == 2  # nobody fills it
    bare.database.run("INSERT INTO analytics_daily_stats VALUES (current_date - 1, 'login')")
    assert asked(bare)["facts"]["phase_in_place"] == 3


def test_a_table_whose_months_somebody_else_made(bare):
    """Phase 4 without a schema of ours: size and events are those of all its months, the plan's indexes are made ascending on all of them, and nobody is sent to `migrate`."""
    bare.database.run("""
        CREATE TABLE analytics_events (id UUID NOT NULL DEFAULT gen_random_uuid(), event_name VARCHAR(100) NOT NULL, event_category VARCHAR(50) NOT NULL, session_id VARCHAR(64), user_id BIGINT,
          event_data JSONB NOT NULL DEFAULT '{}', is_internal BOOLEAN NOT NULL DEFAULT FALSE, created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()) PARTITION BY RANGE (created_at);
        CREATE INDEX idx_analytics_events_external ON analytics_events (created_at DESC) WHERE is_internal = FALSE;
        DO $$ BEGIN FOR n IN 0..4 LOOP EXECUTE format('CREATE TABLE of_month_%s PARTITION OF analytics_events FOR VALUES FROM (%L) TO (%L)', n,
          date_trunc('month', now()) - n * interval '1 month', date_trunc('month', now()) - (n - 1) * interval '1 month'); END LOOP; END $$""")
    bare.database.run(FILLED.format(2_000))
    bare.database.run("ANALYZE")
    said = asked(bare)
    facts = said["facts"]
    assert (facts["events"], facts["phase_in_place"], facts["months_attached"], facts["has_schema"]) == (2_000, 4, 5, False)
    assert facts["bytes"] == bare.database.value("SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass")
    assert not [one for one in said["advice"]["actions"] if "migrate" in str(one["commands"])], said
    run_statements(bare, said, indexes=1)
    assert bare.database.value("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%%DESC%%' AND tablename ~ '^(analytics_events|of_month)'") == 0
    assert not [one for one in asked(bare)["advice"]["actions"] if "ascending" in one["what"]]


def test_how_long_the_newest_refreshes_took_is_a_trigger(site):
    """The slowest view counts, by its newest refresh that went well: five minutes are not yet over five minutes."""
    note = "INSERT INTO tallymill.refreshes (view, started_at, took_us, error) VALUES ({})"
    site.database.run(note.format("'analytics_view_daily', now() - interval '2 hours', 900000000, NULL"))
    said = asked(site, "--alert")
    assert said["facts"]["refresh_ms"] == 900_000 and [one["to"] for one in said["advice"]["triggers"] if one["fired"]] == [3], said
    assert said["advice"]["alerts"] and not [one for one in said["advice"]["alerts"] if one["fired"]], said
    for values in ("'analytics_view_daily', now() - interval '1 hour', 300000000, NULL", "'analytics_view_daily', now(), 900000000, 'cancelled'", "'analytics_view_funnel', now(), 1000, NULL"):
        site.database.run(note.format(values))
    said = asked(site)
    assert said["facts"]["refresh_ms"] == 300_000 and [one["to"] for one in said["advice"]["triggers"] if one["fired"]] == [], said


def test_our_own_table_has_all_phases_and_its_indexes_become_ascending(site):
    """The statements as given, beside a worker; `migrate` accepts what they made, new months follow, the proofs hold, and nothing is left to advise."""
    site.send(events(3_000, days=40))
    site.drain()
    site.fold()
    said = asked(site)
    facts = said["facts"]
    assert (facts["phase_in_place"], facts["events"], facts["months_missing"], facts["has_schema"]) == (4, 3_000, [], True)
    assert facts["bytes"] == site.database.value("SELECT tallymill.table_size('analytics_events')") > 100_000
    text = site.tallymill("advise")
    assert "phases 1 to 4 are in place" in text.out, text
    worker = site.worker()
    run_statements(site, said, indexes=4)
    site.send(events(500, seed=2))
    site.wait_until_drained()
    assert worker.stop() == 0
    left = site.database.rows("SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'analytics_events%%' AND indexdef LIKE '%%DESC%%'")
    assert left == []
    assert site.database.value("SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'analytics_events'::regclass")
    for words in (("migrate", "--no-topic", "--set", "aggregator.months_ahead=5"), ("audit",)):
        done = site.tallymill(*words)
        assert done.code == 0 and "no index like" not in done.err + done.out, done
    assert [one for one in asked(site)["advice"]["actions"] if "ascending" in one["what"]] == []
    site.fold()
    site.assert_holds()


def test_missing_and_cold_months_are_named(site):
    said = asked(site, "--set", "aggregator.months_ahead=24")
    assert len(said["facts"]["months_missing"]) == 21
    site.database.run("""SELECT tallymill.make_month((now() - interval '14 months')::date), tallymill.make_month((now() - interval '12 months')::date);
                         INSERT INTO analytics_events (event_name, created_at) VALUES ('old', now() - interval '14 months'), ('warm', now() - interval '12 months')""")
    said = asked(site)
    assert said["facts"]["cold_months"] == 1 and said["facts"]["cold_bytes"] > 0
    assert any("archive the cold months" in one["what"] and "13 months" in one["reason"] and one["commands"] == ["tallymill archive --config FILE --due"] for one in said["advice"]["actions"])
    assert asked(site, "--set", "archive.after=14 months")["facts"]["cold_months"] == 0


def test_consistently_is_what_three_runs_of_different_hours_say(site):
    """Runs are kept only by who may, and those of one hour count as one."""
    asked(site, "--probe")
    asked(site, "--probe")
    assert site.database.value("SELECT count(*) FROM tallymill.advice") == 1
    site.database.run("UPDATE tallymill.advice SET ran_at = ran_at - interval '2 hours'")
    asked(site, "--probe")
    assert site.database.value("SELECT count(*) FROM tallymill.advice") == 2
    for _ in range(8):  # whoever asks every twenty minutes has runs of different hours, too
        site.database.run("UPDATE tallymill.advice SET ran_at = ran_at - interval '20 minutes'")
        asked(site, "--probe")
    assert site.database.value("SELECT count(DISTINCT date_trunc('hour', ran_at, 'UTC')) FROM tallymill.advice WHERE ran_at > now() - interval '4 hours'") >= 3
    site.database.run("DO $$ BEGIN CREATE ROLE advise_reads LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;"
                      "GRANT tallymill_read TO advise_reads; DELETE FROM tallymill.advice")
    asked(site, "--probe", "--set", f"postgres.dsn={extensions.make_dsn(site.database.dsn, user='advise_reads')}")
    assert site.database.rows("SELECT * FROM tallymill.advice") == []


def test_size_and_index_usage_of_all_months_together(site):
    """The plan's two monitoring queries, which say 0 and nothing on a partitioned table."""
    site.send(events(2_000, days=40))
    site.drain()
    assert site.database.value("SELECT pg_total_relation_size('analytics_events')") == 0
    total = site.database.value("SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass")
    assert site.database.value("SELECT tallymill.table_size('analytics_events')") == total
    assert site.database.value("SELECT tallymill.table_size('tallymill.batches') = pg_total_relation_size('tallymill.batches')")
    named = {name for (name,) in site.database.rows("SELECT indexrelname FROM tallymill.index_usage")}
    assert {"analytics_events_pkey", "idx_analytics_events_session"} <= named and len(named) == 9
    leaf = site.database.value("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass LIMIT 1")
    site.database.run(f"CREATE INDEX of_one_month ON {leaf} (user_id)")
    columns = "indexrelname, idx_scan, idx_tup_read, idx_tup_fetch"
    assert ("of_one_month", 0, 0, 0) in site.database.rows(f"SELECT {columns} FROM tallymill.index_usage")


@pytest.mark.plain_servers("a server of its own, which loads pg_stat_statements")
def test_the_dashboards_own_queries_are_seen_by_pg_stat_statements(stack, tmp_path):
    """Slow by themselves; whose text may be planned here; and "consistently" once three runs of different hours say so."""
    with PostgresServer(stack, shared_preload_libraries="pg_stat_statements", max_connections=60) as server:
        site = Site(with_postgres(stack, server.dsn), tmp_path)
        site.database.run("CREATE EXTENSION pg_stat_statements; CREATE ROLE dashboard LOGIN IN ROLE tallymill_read")
        assert asked(site)["facts"]["query_p95_ms"] is None
        theirs = Database(extensions.make_dsn(site.database.dsn, user="dashboard"))
        for _ in range(20):
            site.database.rows("SELECT count(*) FROM analytics_events WHERE event_name = %s", "login")
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: theirs.rows("SELECT count(*), pg_sleep(2.05) FROM analytics_events"), range(20)))
        said = asked(site, "--alert", code=1)
        facts, slow = said["facts"], said["facts"]["slow_queries"]
        assert facts["query_p95_ms"] > 2_050 and facts["query_source"] == "pg_stat_statements" and (facts["query_runs"], facts["query_is_consistent"]) == (1, None)
        assert [one["login"] for one in slow] == ["dashboard", "postgres"] and slow[0]["plan"] is None and "analytics_events" in " ".join(slow[1]["plan"]), slow
        assert [one["alert"] for one in said["advice"]["alerts"] if one["fired"]] == ["query_over_2_s"] and said["advice"]["phase"] == 1
        for runs in (2, 3):
            site.database.run("UPDATE tallymill.advice SET ran_at = ran_at - interval '2 hours'")
            facts = asked(site)["facts"]
            assert facts["query_runs"] == runs
        assert facts["query_is_consistent"] is True and asked(site)["advice"]["phase"] == 2
        site.database.run("UPDATE tallymill.advice SET query_p95_us = 1999000 WHERE ran_at = (SELECT min(ran_at) FROM tallymill.advice)")
        assert asked(site)["facts"]["query_is_consistent"] is False
        site.close()
