"""`--metrics FILE` of audit and verify: how the last run went, as a file that Prometheus's node exporter reads; whole, whatever happens."""

import os
import re
import time

import pytest

from lib import prometheus_tools

from .harness.program import run
from .harness.publisher import events


def figures(path):
    """{name: value} of a metrics file."""
    return {name: float(value) for name, value in re.findall(r"^(tallymill_\w+) (\S+)$", path.read_text(), re.MULTILINE)}


def lint(text):
    return run([prometheus_tools.program("promtool"), "check", "metrics"], stdin=text.encode())


@pytest.fixture
def stored(site):
    site.send(events(200, days=2))
    site.drain()
    site.fold()
    return site


@pytest.mark.parametrize("command, damage, counted", [
    ("audit", "DELETE FROM tallymill.batches WHERE topic_partition = 0", "damages"),
    ("verify", "UPDATE analytics_daily_stats SET event_count = event_count + 1", "differences"),
])
def test_how_a_run_went_can_be_seen_by_prometheus(stored, command, damage, counted):
    page = stored.folder / "tallymill.prom"
    began = time.time()
    assert stored.tallymill(command, "--metrics", page).code == 0
    shown = figures(page)
    prefix = f"tallymill_{command}_"
    assert shown[prefix + "success"] == 1 and shown[prefix + "exit_code"] == 0 and shown[prefix + counted] == 0
    assert began - 2 <= shown[prefix + "last_run_timestamp_seconds"] <= time.time() + 2 and 0 < shown[prefix + "duration_seconds"] < 120
    done = lint(page.read_text())
    assert (done.code, done.out + done.err) == (0, ""), done
    assert os.stat(page).st_mode & 0o777 == 0o644  # by whoever the exporter runs as
    if command == "audit":
        assert shown[prefix + "offsets_consumed"] == 200 and shown[prefix + "offsets_unread"] == 0
    else:
        assert shown[prefix + "statistics_compared"] == stored.database.value("SELECT count(DISTINCT date) FROM analytics_daily_stats")
    stored.database.run(damage)
    assert stored.tallymill(command, "--metrics", page).code == 1
    shown = figures(page)
    assert shown[prefix + "success"] == 0 and shown[prefix + "exit_code"] == 1 and shown[prefix + counted] > 0
    assert [path.name for path in stored.folder.iterdir() if "prom" in path.name] == [page.name]  # nothing is left beside it


@pytest.mark.parametrize("command", ["audit", "verify"])
def test_a_run_that_could_not_begin_is_seen_as_one_that_failed(site, command):
    page = site.folder / "tallymill.prom"
    away = ("--set", "postgres.dsn=host=127.0.0.1 port=1 dbname=nowhere connect_timeout=2")
    code = site.tallymill(command, *away, "--metrics", page).code
    assert code == 4 and figures(page)[f"tallymill_{command}_exit_code"] == 4
    before = page.read_text()
    assert site.tallymill(command, "--check", "--metrics", page).code == 0 and page.read_text() == before  # that was no run


@pytest.mark.parametrize("command", ["audit", "verify"])
def test_a_metrics_file_that_cannot_be_written_is_told_and_the_answer_is_given(stored, command):
    done = stored.tallymill(command, "--metrics", stored.folder / "nowhere" / "tallymill.prom")
    assert done.code == 1 and "--metrics" in done.err and "No such file or directory" in done.err and "OK" in done.out, done
    taken = stored.folder / "taken.prom"
    taken.mkdir()
    (taken / "file").write_text("")
    assert stored.tallymill(command, "--metrics", taken).code == 1
    assert [path.name for path in stored.folder.glob("taken*")] == ["taken.prom"]
