"""Five outages, as an operator meets them: the page that is open says what is wrong and what to do, and takes it back when it is over. The seconds until it says so are shown: ten are aimed at.

By name: `tests/run browser`.
"""

import threading
import time

import pytest

from integration.harness.dashboard import Dashboard
from integration.harness.kafka_proxy import KafkaProxy
from integration.harness.monitor import Monitor
from integration.harness.program import ROOT
from integration.harness.publisher import event
from integration.harness.waiting import wait_until
from integration.test_operator import delete_records

PICTURES = ROOT / "build" / "screenshots"
SECONDS = 60
# Fails from the first event of that name on.
FRAGILE = """-- A rollup that somebody wrote in a hurry.
-- target: analytics_daily_fragile
-- key: date
-- cadence: 1 s
SELECT 1 / (1 - least(1, count(*) FILTER (WHERE event_name = 'unforeseen'))) AS share FROM tallymill.day_events
"""


class Watch:
    """The page as somebody has it open: says when it shows what it is waited for."""

    def __init__(self, driver, dashboard, folder, name, selector):
        mark = folder / f"{name}.open"
        picture = PICTURES / f"outage-{name}.png"
        steps = [["wait", "#top .tiles"], ["mark", str(mark)], ["seen", selector, SECONDS * 1000], ["read", selector], ["picture", str(picture)]]
        self.answer = None
        self.thread = threading.Thread(target=self._watch, args=(driver, dashboard.address, {"name": name, "path": "/?page=pipeline", "steps": steps}), daemon=True)
        self.thread.start()
        wait_until(mark.exists, SECONDS, "the page to be open")

    def _watch(self, driver, address, view):
        self.answer = driver(address=address, views=[view])[0]

    def told(self):
        """(when, what it said)"""
        self.thread.join(SECONDS * 2)
        assert self.answer, "the page said nothing"
        return self.answer["read"]


class Load:
    """Twenty events a second, until it is stopped."""

    def __init__(self, site):
        self.site, self.stop = site, threading.Event()
        self.made = lambda: event("login", session_id="s")
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        while not self.stop.wait(0.05):
            self.site.publisher.send(self.made())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        self.site.publisher.flush()


@pytest.fixture
def running(make_site, stack):
    """A site under load, with a worker that comes to Kafka through a proxy, an aggregator, and the page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    proxy = KafkaProxy(stack)
    site = make_site(partitions=2)
    (site.folder / "rollups").mkdir()
    (site.folder / "rollups" / "fragile.sql").write_text(FRAGILE)
    site.settings.write_text(site.settings.read_text().replace(str(site.folder / "no-rollups"), str(site.folder / "rollups")))
    site.must("tallymill", "migrate")
    by_proxy = ("--set", f"kafka.bootstrap.servers={proxy.bootstrap}")
    site.start_worker = lambda: site.worker("--set", "metrics.listen=127.0.0.1:0", *by_proxy)
    worker = site.start_worker()
    site.aggregator()
    dashboard = Dashboard(site, f"dashboard.workers={Monitor(worker).address}", f"kafka.bootstrap.servers={proxy.bootstrap}")
    with Load(site) as load:
        dashboard.wait_for("events stored and statistics that follow", lambda: dashboard.pipeline()["topic_partitions"] and dashboard.pipeline()["kafka"]["trouble"] is None)
        wait_until(lambda: [row for row in dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"] if row[1]], SECONDS, "a row in which something was stored")
        yield site, proxy, worker, dashboard, load
    proxy.close()


def assert_told(name, began, watch, *words):
    when, text = watch.told()
    print(f"{name}: said after {when - began:.1f} s: {text}")
    for word in (*words, "What to do:"):
        assert word in text, (name, word, text)


def wait_until_quiet(driver, dashboard, words):
    """The page takes it back by itself."""
    seen, = driver(address=dashboard.address, views=[{"name": "quiet", "path": "/?page=pipeline", "steps": [["wait", "#top .tiles"], ["seen", f"#top:not(:has-text('{words}'))", SECONDS * 1000]]}])
    assert seen["read"]


def test_each_of_five_outages_is_told_with_what_to_do(driver, running, tmp_path):
    site, proxy, worker, dashboard, load = running

    watch = Watch(driver, dashboard, tmp_path, "kafka", "#top .banner.bad:has-text('Kafka does not answer')")
    began = time.time()
    proxy.go_away()
    assert_told("Kafka down", began, watch, "the lag is unknown", "tallymill doctor")
    proxy.come_back()
    wait_until_quiet(driver, dashboard, "Kafka does not answer")

    watch = Watch(driver, dashboard, tmp_path, "letters", "#top .banner.bad:has-text('dead letters')")
    began = time.time()
    for number in range(300):
        site.publisher.send_bytes(b"\xc1", str(number).encode())
    assert_told("dead-letter flood", began, watch, "Most often: format", "tallymill dlq")

    watch = Watch(driver, dashboard, tmp_path, "rollup", "#top .banner.bad:has-text('rollup')")
    began = time.time()
    load.made = lambda: event("unforeseen", session_id="s")
    assert_told("rollup failing", began, watch, "fragile", "division by zero", "tallymill status")

    watch = Watch(driver, dashboard, tmp_path, "worker", "#top .banner.bad:has-text('nobody stores them')")
    named = Watch(driver, dashboard, tmp_path, "worker-named", "#top .banner.bad:has-text('does not answer')")
    began = time.time()
    worker.kill()
    assert_told("worker stopped", began, watch, "wait and nobody stores them", "systemctl status")
    assert_told("worker stopped, by its metrics", began, named, "The worker at 127.0.0.1:")

    for partition, end in site.end_offsets().items():
        delete_records(site, partition, end)
    watch = Watch(driver, dashboard, tmp_path, "gap", "#top .banner.bad:has-text('were gone from Kafka')")
    began = time.time()
    again = site.start_worker()
    wait_until(lambda: site.database.value("SELECT count(*) FROM tallymill.gaps"), SECONDS, "the gap to be noticed")
    print(f"gap: noticed by the worker after {time.time() - began:.1f} s")
    began = time.time()
    assert_told("gap", began, watch, "before they were read", "tallymill audit")
    wait_until_quiet(driver, dashboard, "nobody stores them")
    load.stop.set()
    assert again.stop() == 0
