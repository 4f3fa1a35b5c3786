"""The whole way as a user goes it: produce, store, fold, and the operator's own proof, beside the checker's."""

import gzip
import json
import re

import pytest

from .harness.program import ROOT
from .harness.stack import psql

REAL = ROOT.parent / "shared" / "real" / "web-requests.ndjson.gz"
MAPPING = ("--map", "created_at=time", "--map", "session_id=client", "--const", "event_name=page_view", "--rest", "event_data")


def assert_proven(site):
    """Both proofs of the product, then the checker's, which trusts neither."""
    for command in (("audit",), ("audit", "--deep"), ("verify",), ("status",)):
        done = site.tallymill(*command)
        assert done.code == 0, (command, done)
    return site.assert_holds()


def test_generated_events_become_rows_and_exact_statistics(site):
    made = site.produce("--generate", "20000", "--seed", "7", "--days", "3")
    assert made.code == 0, made
    site.drain()
    site.fold()
    verdict = assert_proven(site)
    assert verdict.figures["rows stored"] == 20_000 == site.outcomes()[0]
    names = {name for name, in site.database.rows("SELECT DISTINCT event_name FROM analytics_events")}
    assert len(names) >= 16
    days = site.database.value("SELECT count(DISTINCT (created_at AT TIME ZONE 'UTC')::date) FROM analytics_events")
    assert 3 <= days <= 4


@pytest.mark.skipif(not REAL.exists(), reason="../shared/real is not here: the real input is not part of the repository")
def test_real_requests_of_a_web_server_give_the_known_daily_figures(make_site):
    site = make_site(**{"window.oldest": "2015-01-01"})
    sent = site.produce(*MAPPING, stdin=gzip.decompress(REAL.read_bytes()))
    assert sent.code == 0, sent
    site.drain()
    site.fold()
    assert site.database.value("SELECT count(*) FROM analytics_events_2015_05") == 9_999
    assert site.database.rows("SELECT date::text, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                              " WHERE event_name = 'page_view' ORDER BY 1") == [
        ("2015-05-17", 1632, 341, 0), ("2015-05-18", 2893, 627, 0),
        ("2015-05-19", 2896, 561, 0), ("2015-05-20", 2578, 505, 0)]
    assert_proven(site)
    lines = [json.loads(line) for line in gzip.decompress(REAL.read_bytes()).splitlines()]
    expected = sorted((line["client"], json.dumps({k: v for k, v in line.items() if k not in ("time", "client")}, sort_keys=True))
                      for line in lines)
    stored = sorted((session, json.dumps(data, sort_keys=True))
                    for session, data in site.database.rows("SELECT session_id, event_data FROM analytics_events"))
    assert stored == expected


def test_a_live_pipeline_catches_up_and_its_statistics_follow(site):
    workers = [site.worker(instance="a"), site.worker(instance="b")]
    aggregator = site.aggregator()
    for seed in range(3):
        assert site.produce("--generate", "5000", "--seed", str(seed), "--days", "2").code == 0
        site.wait_until_drained()
    site.wait_until_folded()
    assert [program.stop() for program in (*workers, aggregator)] == [0, 0, 0]
    assert site.outcomes()[0] == 15_000
    assert_proven(site)


def test_until_end_with_nothing_to_do_ends(site):
    site.drain(deadline=30)
    assert site.outcomes() == (0, 0, 0, 0)
    site.fold()
    assert_proven(site)


def test_logs_are_one_fact_a_line_and_hold_no_payload(site):
    secret = "a-secret-of-the-application"
    sent = site.produce("--format", "ndjson", stdin=json.dumps({
        "event_name": "login", "session_id": secret, "created_at": "2026-01-15T00:00:00Z", "event_data": {"token": secret}}).encode() + b"\n",
                        )
    assert sent.code == 0, sent
    site.publisher.send_bytes(secret.encode(), secret.encode())
    site.publisher.flush()
    worker = site.drain()
    log = worker.log()
    assert secret not in log
    for line in log.splitlines():
        assert re.match(r"(ts=\S+ )?(level=\w+ )?msg=", line), line


def test_audit_and_verify_name_what_is_wrong_and_exit_1(site):
    assert site.produce("--generate", "2000", "--seed", "3", "--days", "1").code == 0
    site.drain()
    site.fold()
    day, name = site.database.rows("UPDATE analytics_daily_stats SET event_count = event_count + 1 WHERE (date, event_name) ="
                                   " (SELECT date, event_name FROM analytics_daily_stats LIMIT 1) RETURNING date, event_name")[0]
    verify = site.tallymill("verify")
    assert verify.code == 1 and str(day) in verify.out and name in verify.out, verify
    assert site.tallymill("audit").code == 0
    number, first = site.database.rows("""
        ALTER TABLE tallymill.batches DROP CONSTRAINT batches_cover_offsets;
        UPDATE tallymill.batches SET first_offset = first_offset + 1 WHERE (topic_partition, first_offset) =
          (SELECT topic_partition, max(first_offset) FROM tallymill.batches GROUP BY 1 ORDER BY 2 DESC LIMIT 1)
        RETURNING topic_partition, first_offset""")[0]
    audit = site.tallymill("audit")
    assert audit.code == 1 and str(first) in audit.out, audit
    assert "hole" in site.verdict().kinds(), (number, first)


def test_deep_audit_finds_a_row_that_is_gone_and_one_too_many(site):
    assert site.produce("--generate", "1000", "--seed", "3", "--days", "1").code == 0
    site.drain()
    (batch,) = site.database.rows("DELETE FROM analytics_events WHERE id = (SELECT id FROM analytics_events LIMIT 1)"
                                  " RETURNING batch_id")[0]
    audit = site.tallymill("audit", "--deep")
    assert audit.code == 1 and str(batch) in audit.out, audit


def test_psql_reads_what_section_9_names(site):
    assert site.produce("--generate", "500", "--seed", "3", "--days", "1").code == 0
    site.drain()
    sums = psql(site.database.dsn, "-At", "-c", """
        SELECT (SELECT sum(next_offset - first_offset) = sum(stored + duplicates + dead_letters + skipped) FROM tallymill.batches),
               (SELECT sum(stored) FROM tallymill.batches) = (SELECT count(*) FROM analytics_events),
               (SELECT sum(next_offset) FROM tallymill.positions)""")
    assert sums.out.strip() == "t|t|500", sums
