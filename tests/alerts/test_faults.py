"""Each alert fires in a real run of its fault, and the first command of its runbook shows the cause; on a sound system none fires.

By name only (tests/run alerts, some minutes): the daily run plays series through the same rules (integration/test_alerts.py).
"""

import concurrent.futures
import contextlib
import datetime
import pathlib
import re

import pytest
from psycopg2 import extensions

from faults.rows.clock import Clock
from integration.harness.gate import Gate
from integration.harness.monitor import Monitor
from integration.harness.kafka_proxy import KafkaProxy
from integration.harness.postgres_server import PostgresServer, with_postgres
from integration.harness.program import environment
from integration.harness.publisher import event, events, now_us
from integration.harness.rolling import COUNTED, directory
from integration.harness.site import Site
from integration.harness.waiting import wait_until
from integration.test_flood import send_bad
from integration.test_operator import delete_records
from integration.test_topic_identity import make_anew

from . import runbook
from .prometheus import Prometheus, rule_texts

LISTEN = ("--set", "metrics.listen=127.0.0.1:0")
DAY_US = 86_400_000_000
TODAY = datetime.datetime.now(datetime.timezone.utc).date()


@pytest.fixture(name="watch")
def fixture_watch(tmp_path):
    """A function that starts a Prometheus, and waits until it has asked everybody."""
    started = []

    def make(**targets):
        started.append(Prometheus(tmp_path / f"prometheus-{len(started) + 1}", **targets))
        started[-1].wait_until_scraped()
        return started[-1]

    yield make
    for one in started:
        one.close()


def through(site, **parts):
    """The programs' way to the database."""
    site.connect_programs_by(extensions.make_dsn(site.database.dsn, **parts))


def month(ahead):
    """The table of a month, so many from this one."""
    first = TODAY.replace(day=1)
    for _ in range(ahead):
        first = (first + datetime.timedelta(days=32)).replace(day=1)
    return f"analytics_events_{first:%Y_%m}"


@contextlib.contextmanager
def held(site, statement):
    """A session of somebody who has forgotten it: in a transaction with locks. Its process id."""
    with site.database.session() as session:
        session.autocommit = False
        with session.cursor() as cursor:
            cursor.execute(statement)
        yield session.info.backend_pid


def test_nothing_fires_while_all_is_well(make_site, watch, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    worker, aggregator = site.worker(*LISTEN), site.aggregator(*LISTEN)
    site.send(events(500))
    site.wait_until_drained()
    site.wait_until_folded()
    pages = tmp_path / "pages"
    pages.mkdir()
    for command in ("advise", "verify", "audit"):
        site.must("tallymill", command, "--metrics", pages / f"{command}.prom")
    prometheus = watch(workers=[worker], aggregators=[aggregator], pages=pages)
    wait_until(lambda: not prometheus.firing(), 60, lambda: f"silence; there is {prometheus.ask('alerts')}")
    assert prometheus.firing_over_rounds() == {}


def test_a_worker_that_somebody_stopped(site, watch):
    worker = site.worker(*LISTEN)
    site.send(events(100))
    site.wait_until_drained()
    prometheus = watch(workers=[worker])
    assert worker.stop() == 0
    site.send(events(500, seed=2))
    prometheus.wait_until_firing("TallymillTargetDown")
    runbook.must_show(r"stopped by=SIGTERM|msg=\"stopped\" by=SIGTERM", "TallymillTargetDown", site, program=worker)
    prometheus.wait_until_firing("TallymillNoWorker")
    wait_until(lambda: "stands still" in site.tallymill("status").out, 90, "the lag to be old enough for a note")
    runbook.must_show(r"stands still: \d+ events wait, and .* has committed nothing for", "TallymillNoWorker", site)


def test_one_worker_of_two_that_died(make_site, watch):
    site = make_site(**{"kafka.session.timeout.ms": 60_000})  # its share waits for it so long
    workers = [site.worker(*LISTEN, instance=name) for name in ("one", "two")]
    site.send(events(400))
    site.wait_until_drained()
    prometheus = watch(workers=workers)
    wait_until(lambda: len(set(owner for (owner,) in site.database.rows("SELECT owner FROM tallymill.owners"))) == 2, 60, "each to have its share")
    workers[0].kill()
    site.send(events(400, seed=2))
    prometheus.wait_until_firing("TallymillTopicPartitionsUnread")
    wait_until(lambda: "stands still" in site.tallymill("status").out, 90, "the lag to be old enough for a note")
    runbook.must_show(r"topic partition \d: stands still: \d+ events wait, and its owner \S+/one has committed nothing", "TallymillTopicPartitionsUnread", site)


def test_a_topic_that_was_made_anew(make_site, watch):
    site = make_site(partitions=1)
    worker = site.worker(*LISTEN)
    site.send(events(100))
    site.wait_until_drained()
    prometheus = watch(workers=[worker])
    make_anew(site, 150)
    prometheus.wait_until_firing("TallymillTopicPartitionStopped", 150)
    runbook.must_show(rf"stopped: the topic was made anew.*tallymill topic renew {site.topic} --yes", "TallymillTopicPartitionStopped", site)


def test_a_lock_that_somebody_forgot(make_site, watch):
    site = make_site(partitions=1)
    site.log_in_as("alerts_worker")  # sessions of its own login a worker would end by itself
    worker = site.worker(*LISTEN)
    site.send(events(100))
    site.wait_until_drained()
    prometheus = watch(workers=[worker])
    with held(site, "LOCK TABLE analytics_events IN ACCESS EXCLUSIVE MODE") as pid:
        site.send(events(100, seed=2))
        for alert in ("TallymillLag", "TallymillPositionStandsStill"):
            prometheus.wait_until_firing(alert)
            wait_until(lambda: f"pid {pid}" in site.tallymill("status").out, 60, lambda: f"the holder to be named in\n{site.tallymill('status')}")
            runbook.must_show(rf"pid {pid}.*pg_terminate_backend\({pid}\)", alert, site)
    for alert in ("TallymillLag", "TallymillPositionStandsStill"):
        prometheus.wait_until_silent(alert)


def test_a_lag_that_comes_near_what_kafka_keeps(make_site, watch):
    site = make_site(partitions=1)
    site.log_in_as("alerts_worker")
    site.set_topic(retention_ms="20000")
    worker = site.worker(*LISTEN)
    site.send(events(100))
    site.wait_until_drained()
    prometheus = watch(workers=[worker])
    with held(site, "LOCK TABLE analytics_events IN ACCESS EXCLUSIVE MODE"):
        site.send(events(100, seed=2))
        wait_until(lambda: prometheus.firing().get("TallymillLagNearRetention"), 60, lambda: f"it to fire\n{worker.log()[-1500:]}\n{Monitor(worker).get('/metrics')[2][-4000:]}")
        runbook.must_show(r"retention.ms = 20000.*events wait for.*--add-config retention.ms=", "TallymillLagNearRetention", site)


def test_events_that_kafka_deleted_before_they_were_read(make_site, watch):
    site = make_site(partitions=1)
    site.send(events(100))
    site.drain()
    site.send(events(100, seed=2))
    delete_records(site, 0, 150)
    worker = site.worker(*LISTEN)
    prometheus = watch(workers=[worker])
    prometheus.wait_until_firing("TallymillGap")
    runbook.must_show(r"\+ gaps +50 .* 50 of them were gone from Kafka before they could be read", "TallymillGap", site)


def test_a_producer_that_sends_nonsense(site, watch):
    worker = site.worker(*LISTEN, "--set", "dead_letters.window=5 s")
    prometheus = watch(workers=[worker])

    def is_told():
        send_bad(site, 150)
        return prometheus.firing().get("TallymillDeadLetterFlood")

    wait_until(is_told, 90, lambda: prometheus.ask("alerts"))
    runbook.must_show(r"format|msgpack", "TallymillDeadLetterFlood", site)


def test_a_clock_that_is_wrong(site, watch):
    with Clock(offset=120) as clock:
        site.environment = clock.environment()
        worker = site.worker(*LISTEN)
        prometheus = watch(workers=[worker])
        prometheus.wait_until_firing("TallymillClockDifference")
        runbook.must_show(r"ahead of that of Postgres.*timedatectl set-ntp true", "TallymillClockDifference", site, env=environment(**clock.environment()))


def test_kafka_is_away(site, watch):
    proxy = KafkaProxy(site.stack)
    try:
        text = site.settings.read_text()
        site.settings.write_text(text.replace(f"bootstrap.servers = {site.stack.kafka['bootstrap.servers']}", f"bootstrap.servers = {proxy.bootstrap}"))
        worker = site.worker(*LISTEN, "--set", "kafka.reconnect.backoff.max.ms=500")
        site.send(events(100))
        site.wait_until_drained()
        prometheus = watch(workers=[worker])
        proxy.go_away()
        prometheus.wait_until_firing("TallymillKafkaAway")
        runbook.must_show(re.escape(proxy.bootstrap), "TallymillKafkaAway", site)
        proxy.come_back()
        prometheus.wait_until_silent("TallymillKafkaAway")
    finally:
        proxy.close()


def test_postgres_is_away(site, watch):
    server = extensions.parse_dsn(site.database.dsn)
    gate = Gate(server["host"], int(server["port"]))
    through(site, host="127.0.0.1", port=gate.port)
    programs = {"workers": [site.worker(*LISTEN)], "aggregators": [site.aggregator(*LISTEN)]}
    prometheus = watch(**programs)
    gate.shut()
    fired = {labels["job"] for labels in wait_until(lambda: len(prometheus.firing().get("TallymillPostgresAway", ())) == 2 and prometheus.firing()["TallymillPostgresAway"],
                                                    90, lambda: prometheus.ask("alerts"))}
    assert fired == {"tallymill-consumer", "tallymill-aggregator"}
    runbook.must_show(rf"cannot connect to Postgres.*port {gate.port}", "TallymillPostgresAway", site)
    gate.open()
    prometheus.wait_until_silent("TallymillPostgresAway")
    gate.shut()


def test_more_in_memory_than_the_setting_says(make_site, watch):
    """The least memory.max, and messages as large as they may be, which nobody can store for now."""
    site = make_site(partitions=16, **{"memory.max": "32 MiB"})
    worker = site.worker(*LISTEN)
    site.send(events(100))
    site.wait_until_drained()
    prometheus = watch(workers=[worker])
    with held(site, "LOCK TABLE analytics_events IN ACCESS EXCLUSIVE MODE"):
        def is_told():
            site.send(event("login", event_data={"text": "x" * 30_000}) for _ in range(100))
            return prometheus.firing().get("TallymillMemoryNearLimit")

        wait_until(is_told, 90, lambda: prometheus.ask("query?query=tallymill_consumer_resident_bytes"))
        runbook.must_show(r"tallymill_consumer_buffer_bytes \d+.*tallymill_consumer_memory_max_bytes 33554432", "TallymillMemoryNearLimit", site, program=worker)


def test_an_aggregator_that_was_stopped(site, watch):
    worker, aggregator = site.worker(*LISTEN), site.aggregator(*LISTEN)
    site.send(events(100))
    site.wait_until_drained()
    site.wait_until_folded()
    prometheus = watch(workers=[worker], aggregators=[aggregator])
    assert aggregator.stop() == 0
    prometheus.wait_until_firing("TallymillNobodyLeads")
    runbook.must_show("no aggregator runs now", "TallymillNobodyLeads", site)


def test_two_aggregators_of_two_databases(make_site, watch):
    """As after a failover that left two servers, or with the settings of another environment: each leads where it is."""
    sites = [make_site(), make_site()]
    aggregators = [site.aggregator(*LISTEN) for site in sites]
    names = [wait_until(lambda one=one: re.search(r'msg="leading" leader=(\S+)', one.log()), 30, one.log).group(1) for one in aggregators]
    prometheus = watch(aggregators=aggregators)
    prometheus.wait_until_firing("TallymillTwoLead")
    said = runbook.consult("TallymillTwoLead", sites[0])
    assert f"aggregator {names[0]}, last seen" in said and names[1] not in said, said  # the other is the one to look at


def test_statistics_that_somebody_has_locked(site, watch):
    aggregator = site.aggregator(*LISTEN)
    site.send(events(100))
    site.drain()
    site.wait_until_folded()
    prometheus = watch(aggregators=[aggregator])
    with held(site, "LOCK TABLE analytics_daily_stats IN SHARE ROW EXCLUSIVE MODE") as pid:
        site.send(events(100, seed=2))
        site.drain()
        prometheus.wait_until_firing("TallymillStatisticsBehind")
        Monitor(aggregator).wait_for_health(503)  # the first cycle has waited in vain, as it has long before two minutes are over
        runbook.must_show(rf"pid {pid}", "TallymillStatisticsBehind", site, program=aggregator)
    prometheus.wait_until_silent("TallymillStatisticsBehind")


def test_days_of_a_month_that_was_detached_by_hand(site, watch):
    site.send(events(100))
    site.drain()
    site.fold()
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {month(0)}")
    site.database.run("UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked for' WHERE day = (SELECT max(day) FROM tallymill.days)")
    aggregator = site.aggregator(*LISTEN)
    prometheus = watch(aggregators=[aggregator])
    prometheus.wait_until_firing("TallymillDaysWaiting")
    runbook.must_show(r"days wait for a rebuild.*asked for", "TallymillDaysWaiting", site)


def test_a_rollup_whose_query_fails(make_site, watch, tmp_path):
    fragile = COUNTED.replace("counted", "fragile").replace("count(*) AS events", "sum((event_data ->> 'n')::integer) AS total")
    site = make_site(**{"rollups.dir": directory(tmp_path, fragile=fragile)})
    site.send([event("login", event_data={"n": "seven"})])
    site.drain()
    aggregator = site.aggregator(*LISTEN)
    prometheus = watch(aggregators=[aggregator])
    prometheus.wait_until_firing("TallymillRollupStale")
    runbook.must_show(r"of them failed, the last: fragile.*22P02", "TallymillRollupStale", site)


def test_a_ledger_that_cannot_be_merged(make_site, watch):
    site = make_site(**{"batch.max_rows": 1, "aggregator.merge_every": "2 s"})
    site.send(events(300))
    site.drain()
    site.fold()
    site.database.run("UPDATE tallymill.batches SET committed_at = now() - interval '1 hour'")
    with held(site, "SELECT * FROM tallymill.batches FOR UPDATE") as pid:
        aggregator = site.aggregator(*LISTEN)
        prometheus = watch(aggregators=[aggregator])
        prometheus.wait_until_firing("TallymillLedgerNotMerged")
        runbook.must_show(rf"the ledger could not be merged.*pid {pid}", "TallymillLedgerNotMerged", site, program=aggregator)
    prometheus.wait_until_silent("TallymillLedgerNotMerged")


def test_a_month_that_cannot_be_made(site, watch):
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {month(1)}")  # and it stands in the way of the next
    aggregator = site.aggregator(*LISTEN)
    prometheus = watch(aggregators=[aggregator])
    prometheus.wait_until_firing("TallymillMonthsAhead")
    runbook.must_show(month(1).removeprefix("analytics_events_").replace("_", "."), "TallymillMonthsAhead", site, program=aggregator)


def test_a_month_that_stays_on_its_way_into_the_archive(site, watch):
    site.database.run("SELECT tallymill.make_month('2020-01-01'); UPDATE tallymill.months SET state = 'detaching', changed_at = now() - interval '25 hours' WHERE month = '2020-01-01'")
    prometheus = watch(aggregators=[site.aggregator(*LISTEN)])
    prometheus.wait_until_firing("TallymillMonthLeaving")
    runbook.must_show(r"month 2020-01 is on its way out since", "TallymillMonthLeaving", site)


def test_a_disk_that_is_nearly_full(make_site, watch):
    site = make_site(**{"postgres.disk_size": "64 MiB"})
    prometheus = watch(aggregators=[site.aggregator(*LISTEN)])
    prometheus.wait_until_firing("TallymillDiskNearFull")
    runbook.must_show(r"the disk of Postgres \(postgres.disk_size\) has 0\.0 GiB of 0\.1 GiB free, 0 %", "TallymillDiskNearFull", site)


def test_rows_that_somebody_deleted_and_a_proof_that_was_not_made_again(site, watch, tmp_path):
    site.send(events(100))
    site.drain()
    site.fold()
    pages = tmp_path / "pages"
    pages.mkdir()
    site.must("tallymill", "verify", "--metrics", pages / "verify.prom")
    site.must("tallymill", "audit", "--metrics", pages / "audit.prom")
    prometheus = watch(pages=pages)
    site.database.run("DELETE FROM analytics_events WHERE id = (SELECT id FROM analytics_events LIMIT 1)")
    assert site.tallymill("audit", "--metrics", pages / "audit.prom").code == 1
    prometheus.wait_until_firing("TallymillAuditFailed")
    runbook.must_show(r"DAMAGE|damage", "TallymillAuditFailed", site)
    prometheus.wait_until_firing("TallymillAuditOld")
    assert runbook.first_command("TallymillAuditOld") == "systemctl list-timers 'tallymill-*'"  # when it ran last, and runs next: there is no systemd here


def test_a_table_that_has_grown(site, watch, tmp_path):
    """The plan's thresholds: 10,001 events of a day for real, the sizes made small."""
    first = (now_us() // DAY_US - 1) * DAY_US
    site.send(event("login", first + number, session_id=f"s{number % 500}", event_data={"text": "x" * 200}) for number in range(10_001))
    site.drain()
    site.fold()
    pages = tmp_path / "pages"
    pages.mkdir()
    site.must("tallymill", "advise", "--metrics", pages / "advise.prom")
    aggregator = site.aggregator(*LISTEN)
    prometheus = watch(aggregators=[aggregator], pages=pages)
    for alert in ("TallymillTableOverOneGigabyte", "TallymillTableOverTenGigabytes", "TallymillTenThousandEventsPerDay"):
        prometheus.wait_until_firing(alert)
    runbook.must_show(r"10,001 events .*\d MB with indexes, 10,001 events a day.*FIRED +Daily events > 10K", "TallymillTenThousandEventsPerDay", site)


def test_queries_of_the_raw_events_that_have_become_slow(stack, watch, tmp_path):
    """As pg_stat_statements saw them: twenty calls of somebody's dashboard."""
    with PostgresServer(stack, shared_preload_libraries="pg_stat_statements", max_connections=60) as server:
        site = Site(with_postgres(stack, server.dsn), tmp_path)
        site.database.run("CREATE EXTENSION pg_stat_statements")
        pages = tmp_path / "pages"
        pages.mkdir()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: site.database.rows("SELECT count(*), pg_sleep(2.05) FROM analytics_events"), range(20)))
        site.must("tallymill", "advise", "--metrics", pages / "advise.prom")
        prometheus = watch(pages=pages)
        prometheus.wait_until_firing("TallymillQueryP95OverTwoSeconds")
        runbook.must_show(r"dashboard queries: p95 [2-9]\.\d+ s .*FIRED +Query p95 > 2s", "TallymillQueryP95OverTwoSeconds", site)
        site.close()


def test_every_alert_is_tried_here():
    assert set(re.findall(r'"(Tallymill\w+)"', pathlib.Path(__file__).read_text())) == set(rule_texts())
