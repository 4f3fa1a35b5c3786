"""What the services show while they work: figures that equal the books, and a health that says why not.

Strangers at the port (slow, many, broken) must cost the worker nothing.
"""

import contextlib
import os
import socket

import pytest
from psycopg2 import extensions

from .harness.gate import Gate
from .harness.monitor import Monitor
from lib import prometheus_tools

from .harness.program import MEMORY_BYTES, run
from .harness.publisher import events

LISTEN = ("--set", "metrics.listen=127.0.0.1:0")
C = "tallymill_consumer_"
A = "tallymill_aggregator_"


def labelled(samples, name):
    """The series of one metric, by what stands between the braces."""
    return {series[len(name) + 1:-1]: value for series, value in samples.items() if series.startswith(name + "{")}


def lint(monitor):
    """What Prometheus's own tool has to say about the names, the units and the format."""
    done = run([prometheus_tools.program("promtool"), "check", "metrics"], stdin=monitor.get("/metrics")[2].encode())
    return (done.code, done.out + done.err)


def test_a_workers_figures_equal_the_books(site):
    worker = site.worker(*LISTEN)
    monitor = Monitor(worker)
    sent = list(events(5_000))
    site.send(sent)
    site.wait_until_drained()
    site.send(sent[:200])
    for number in range(30):
        site.publisher.send_bytes(b"\xc1" if number % 3 else None, b"%d" % number)
    site.publisher.flush()
    site.wait_until_drained()
    samples = monitor.wait_for("the lag to be told as 0", lambda seen: seen[C + "topic_partitions_assigned"] == 4
                               and seen[C + "rows_total"] == 5_000 and sum(labelled(seen, C + "lag_offsets").values()) == 0)
    stored, duplicates, dead, skipped = site.outcomes()
    assert (stored, duplicates, dead, skipped) == (5_000, 200, 30, 0)
    assert samples[C + "duplicates_total"] == duplicates
    assert {reason: count for reason, count in labelled(samples, C + "dead_letters_total").items() if count} == {
        'reason="format"': 20, 'reason="tombstone"': 10}
    assert samples[C + "skipped_total"] == 0 and samples[C + "gaps_total"] == 0
    assert samples[C + "batches_total"] == samples[C + "commit_seconds_count"] == samples[C + 'commit_seconds_bucket{le="+Inf"}']
    assert samples[C + "batches_total"] == site.database.value("SELECT count(DISTINCT batch_id) FROM tallymill.batches")
    assert samples[C + "bytes_total"] > 5_000 * 100
    assert labelled(samples, C + "retries_total")['class="23"'] >= 1  # what the duplicates cost
    assert set(labelled(samples, C + "lag_offsets")) == {f'topic_partition="{number}"' for number in range(4)}
    assert 10 << 20 < samples[C + "resident_bytes"] < MEMORY_BYTES
    assert f'topic="{site.topic}"' in next(series for series in samples if series.startswith(C + "info{"))
    monitor.wait_for("librdkafka's queue and brokers", lambda seen: seen.get(C + "kafka_brokers_up", 0) == 1  # and not its connection as coordinator once more
                     and seen.get(C + "queue_messages") == 0)
    assert labelled(samples, C + "position") == {
        f'topic_partition="{number}"': offset for number, offset in site.database.rows("SELECT topic_partition, next_offset FROM tallymill.positions")}
    monitor.wait_for("how many topic partitions there are", lambda seen: seen.get(C + "topic_partitions") == 4)
    assert lint(monitor) == (0, "")
    assert monitor.health() == (200, {"status": "ok", "state": "reading"})
    assert worker.stop() == 0


def test_lag_is_told_in_offsets_and_seconds_while_postgres_refuses(site):
    """A lock on the table keeps the first batch waiting: what waits is lag, and grows older."""
    worker = site.worker(*LISTEN, "--set", "metrics.stalled_after=1 s")
    monitor = Monitor(worker)
    site.send(events(100))
    site.wait_until_drained()
    with site.database.session() as session, session.cursor() as cursor:
        session.autocommit = False
        cursor.execute("LOCK TABLE analytics_events IN ACCESS EXCLUSIVE MODE")
        site.send(events(1_000, seed=2))
        samples = monitor.wait_for("a lag of 1,000", lambda seen: sum(labelled(seen, C + "lag_offsets").values()) == 1_000)
        assert monitor.wait_for_health(503)["reason"] == "work waits, and none was done"
        monitor.wait_for("the lag to age", lambda seen: max(labelled(seen, C + "lag_seconds").values()) > 2)
        assert samples[C + "batches_total"] >= 1
        session.rollback()
    site.wait_until_drained()
    monitor.wait_for("no lag", lambda seen: sum(labelled(seen, C + "lag_seconds").values()) == 0)
    monitor.wait_for_health(200)
    assert worker.stop() == 0


def test_an_aggregators_figures_equal_the_statistics_and_a_standby_is_healthy(site):
    leader = site.aggregator(*LISTEN)
    monitor = Monitor(leader)
    monitor.wait_for("it to lead", lambda seen: seen[A + "leader"] == 1)
    standby = Monitor(site.aggregator(*LISTEN))
    site.send(events(3_000, days=3))
    site.drain()
    site.wait_until_folded()
    days = site.database.value("SELECT count(*) FROM tallymill.days WHERE closed_at IS NULL")
    samples = monitor.wait_for("all days", lambda seen: seen.get(A + "statistics_open") == days and seen[A + "statistics_dirty"] == 0
                               and seen[A + "freshness_seconds"] < 5)
    assert samples[A + "batches_total"] == site.database.value("SELECT count(DISTINCT batch_id) FROM tallymill.batches")
    assert samples[A + "batches_waiting"] == 0 and samples[A + "rebuilds_total"] >= days
    assert samples[A + "cycle_seconds_count"] >= 1
    assert set(labelled(samples, A + "step_seconds_total")) == {
        f'step="{step}"' for step in ("look", "books", "rows", "rebuild", "commit")}
    assert lint(monitor) == (0, "")
    assert monitor.health() == (200, {"status": "ok", "state": "leading"})
    assert standby.health() == (200, {"status": "ok", "state": "standing by"})
    other = standby.samples()
    assert other[A + "leader"] == 0 and A + "freshness_seconds" not in other
    assert leader.stop() == 0
    standby.wait_for("the standby to lead", lambda seen: seen[A + "leader"] == 1)


def test_a_leader_shows_what_the_tables_hold_and_which_rollups_are_late(make_site, tmp_path):
    """One rollup is kept, the query of the other fails: that one is out of date, and says for how long."""
    (tmp_path / "rollups").mkdir()
    for name, what in (("kept", "count(*) AS events"), ("broken", "1 / (count(*) - count(*)) AS events")):
        (tmp_path / "rollups" / f"{name}.sql").write_text(
            f"-- A test.\n-- target: analytics_daily_{name}\n-- key: date\n-- cadence: 1 s\nSELECT {what} FROM tallymill.day_events;\n")
    site = make_site(**{"rollups.dir": tmp_path / "rollups", "aggregator.months_ahead": 4})
    site.send(events(300, days=3))
    site.drain()
    site.fold()
    leader = site.aggregator(*LISTEN)
    monitor = Monitor(leader)
    samples = monitor.wait_for("all counts", lambda seen: seen.get(A + "months_ahead") == 4 and seen.get(A + "rollups_stale") == 1)
    assert samples[A + "rollup_age_seconds"] > 0
    assert samples[A + "table_bytes"] == site.database.value(
        "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('analytics_events') WHERE isleaf")
    assert samples[A + "events_per_day"] == site.database.value(
        "SELECT coalesce(sum(event_count), 0) FROM analytics_daily_stats WHERE date = (now() AT TIME ZONE 'UTC')::date - 1")
    assert samples[A + "ledger_rows"] == site.database.value("SELECT count(*) FROM tallymill.batches")
    assert leader.stop() == 0


def test_a_leader_shows_the_room_on_the_disk_and_a_month_that_stays_on_its_way(make_site):
    site = make_site()
    site.send(events(300))
    site.drain()
    site.database.run("VACUUM ANALYZE analytics_events")
    site.database.run("SELECT tallymill.make_month('2020-01-01'); UPDATE tallymill.months SET state = 'detaching', changed_at = now() - interval '25 hours' WHERE month = '2020-01-01'")
    leader = site.aggregator(*LISTEN)
    seen = Monitor(leader).wait_for("the room", lambda seen: A + "disk_free_bytes" in seen and A + "month_leaving_seconds" in seen)
    room = os.statvfs(site.database.value("SHOW data_directory"))
    assert seen[A + "disk_bytes"] == pytest.approx((room.f_blocks - room.f_bfree + room.f_bavail) * room.f_frsize, rel=0.01)
    assert 0 < seen[A + "disk_free_bytes"] < seen[A + "disk_bytes"] and seen[A + "disk_left_seconds"] > 0
    assert seen[A + "month_leaving_seconds"] == pytest.approx(25 * 3600, abs=600)
    assert leader.stop() == 0
    held = site.database.value("SELECT sum(pg_database_size(oid)) + pg_size_bytes(current_setting('max_wal_size')) FROM pg_database")
    other = site.aggregator(*LISTEN, "--set", f"postgres.disk_size={int(held) + (64 << 20)}")
    seen = Monitor(other).wait_for("the room", lambda seen: A + "disk_free_bytes" in seen)
    assert seen[A + "disk_bytes"] == int(held) + (64 << 20) and 0 <= seen[A + "disk_free_bytes"] < 128 << 20
    assert other.stop() == 0


def test_a_login_that_may_not_know_the_disk_shows_none(site):
    site.send(events(20))
    site.drain()
    site.log_in_as("metrics_aggregator")
    leader = site.aggregator(*LISTEN)
    seen = Monitor(leader).wait_for("all counts", lambda seen: A + "months_ahead" in seen)
    assert not any(name.startswith(A + "disk_") for name in seen), "nobody knows"
    assert "were not counted" not in leader.log() and leader.stop() == 0


def test_a_month_that_somebody_has_locked_costs_the_figures_and_no_cycle(make_site):
    """Someone rebuilds an old month for hours: sizes are not known meanwhile, and statistics go on."""
    site = make_site()
    month = site.database.value("SELECT tallymill.month_table('2020-01-01') FROM (SELECT tallymill.make_month('2020-01-01') OFFSET 0) made")
    with site.database.session() as session, session.cursor() as cursor:
        session.autocommit = False
        cursor.execute(f"LOCK TABLE {month} IN ACCESS EXCLUSIVE MODE")
        leader = site.aggregator(*LISTEN)
        monitor = Monitor(leader)
        monitor.wait_for("it to lead", lambda seen: seen[A + "leader"] == 1 and A + "ledger_rows" in seen)
        assert "metrics were not counted, next try in a minute" in leader.log()
        assert A + "table_bytes" not in monitor.samples() and monitor.samples()[A + "failures_total"] == 0
        site.send(events(50))
        site.drain()
        site.wait_until_folded()
        session.rollback()
    assert leader.stop() == 0


def test_a_taken_port_is_a_settings_error(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for program in ("tallymill-consumer", "tallymill-aggregator"):
            refused = site.run(program, "--set", f"metrics.listen=127.0.0.1:{port}")
            assert refused.code == 2, refused
            assert "--set: metrics.listen: cannot listen at" in refused.err and "a port of its own" in refused.err
    for wrong in ("9464", "127.0.0.1", "127.0.0.1:99999", "::1:9464", "127.0.0.1:x"):
        assert site.run("tallymill-consumer", "--check", "--set", f"metrics.listen={wrong}").code == 2, wrong


def test_strangers_at_the_port_do_not_disturb_the_worker(site):
    """Half requests, silent connections, a reader that does not read and nonsense, all at once."""
    worker = site.worker(*LISTEN)
    monitor = Monitor(worker)
    host, port = monitor.address.split(":")
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(300)]
        for number, stranger in enumerate(strangers):
            stranger.sendall((b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"\0\xff" * 500 + b"\r\n\r\n",
                              b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nxxx")[number % 5])
        site.send(events(5_000))
        site.wait_until_drained(30)
        samples = monitor.wait_for("all rows", lambda seen: seen[C + "rows_total"] == 5_000)
        assert samples[C + "resident_bytes"] < MEMORY_BYTES
    assert monitor.get("/")[0] == 404
    assert monitor.get("/metrics", "POST")[0] == 405
    assert monitor.get("/metrics", "HEAD")[::2] == (200, "")
    assert worker.stop() == 0


def test_health_says_that_postgres_is_away_and_comes_back(site):
    server = extensions.parse_dsn(site.database.dsn)
    gate = Gate(server["host"], int(server["port"]))
    through = ("--set", f"postgres.dsn={extensions.make_dsn(site.database.dsn, host='127.0.0.1', port=gate.port)}")
    monitors = [Monitor(site.worker(*LISTEN, *through)), Monitor(site.aggregator(*LISTEN, *through))]
    for monitor in monitors:
        monitor.wait_for_health(200)
    gate.shut()
    for monitor in monitors:
        assert monitor.wait_for_health(503)["reason"].startswith("Postgres is away")
    site.send(events(100))
    assert monitors[0].samples()[C + "postgres_connected"] == 0
    gate.open()
    for monitor in monitors:
        monitor.wait_for_health(200)
    site.wait_until_drained()
    site.wait_until_folded()
    gate.shut()
