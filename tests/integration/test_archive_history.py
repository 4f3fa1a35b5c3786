"""A long and sparse history leaves: 257 months with days here and there, as the bench `backfill` fills them, taken out by one `tallymill archive --due`, and one of them restored.

By name only; shows the seconds of a month and the disk before and after.
"""

import datetime
import json
import os
import time

import pytest

from .test_archive import CONTENT, STATISTICS

MONTHS = int(os.environ.get("TALLYMILL_ARCHIVE_MONTHS", "0"))
DAYS_OF_A_MONTH, EVENTS_OF_A_MONTH = 30.43, 319    # as in tests/bench/backfill.py: 82,000 events on 7,820 days
COHORTS = "SELECT week, cohort_week, active_users FROM analytics_weekly_cohorts ORDER BY 1, 2"
EVENT_BYTES = "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('analytics_events')"


def seconds_of(work):
    began = time.monotonic()
    return work(), time.monotonic() - began


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


@pytest.fixture(name="history")
def make_history(make_site, tmp_path):
    """A site with all rollups and uniques whose months are stored, counted and closed."""
    target = tmp_path / "archive"
    target.mkdir()
    site = make_site(**{"rollups.dir": "", "uniques.subjects": "", "window.oldest": "1970-01-01", "archive.target": target})
    sent = site.produce("--sparse", MONTHS * EVENTS_OF_A_MONTH, "--days", int(MONTHS * DAYS_OF_A_MONTH), "--seed", "1", deadline=600)
    assert sent.code == 0, sent
    site.drain(deadline=600)
    site.fold(deadline=1800)
    site.archive_folder = target
    return site


@pytest.mark.skipif(MONTHS == 0, reason="by name: TALLYMILL_ARCHIVE_MONTHS=257 tests/run integration -- -k history_of_months_leaves -s")
def test_a_history_of_months_leaves_by_one_command_and_one_comes_back(history):
    site, database = history, history.database
    window = ("--set", f"window.oldest={datetime.date.today() - datetime.timedelta(days=400)}")
    listed = json.loads(site.must("tallymill", "months", "--json", *window).out)["months"]
    due = [month["month"] for month in listed if month["is_due"]]
    assert len(due) >= MONTHS - 15, listed
    chosen = f"{due[len(due) // 2]}-01"
    before = {"month": database.rows(CONTENT, chosen, chosen), "statistics": database.rows(STATISTICS), "cohorts": database.rows(COHORTS)}
    bytes_before, rows_before = database.value(EVENT_BYTES), database.value("SELECT count(*) FROM analytics_events")

    site.must("tallymill", "verify", deadline=1200)
    done, took = seconds_of(lambda: site.tallymill("archive", "--due", "--json", *window, deadline=7200))
    assert done.code == 0, f"{done.out[-3000:]}\n{site.tallymill('verify').out[-3000:]}"
    left = json.loads(done.out)["months"]
    assert [month["month"] for month in left] == sorted(due) and {month["outcome"] for month in left} == {"archived"}, left
    rows = sum(month["rows"] for month in left)
    assert rows + database.value("SELECT count(*) FROM analytics_events") == rows_before
    print(f"\n{len(left)} months, {rows:,} rows: archived in {took:.1f} s, {took / len(left):.2f} s a month; in no query for {max(month['away_us'] for month in left) / 1000:.0f} ms at most")
    print(f"disk: {megabytes(bytes_before)} of events before, {megabytes(database.value(EVENT_BYTES))} after, and {megabytes(size_of(site.archive_folder))} of archives")
    holds(site, before)

    restored, took = seconds_of(lambda: site.must("tallymill", "restore", chosen[:7]))
    assert database.rows(CONTENT, chosen, chosen) == before["month"], restored
    print(f"{chosen[:7]} of {before['month'][0][0]:,} rows restored in {took:.1f} s")
    site.fold(deadline=600)
    holds(site, before)


def holds(site, before):
    for words in (("audit",), ("verify",), ("archive", "--verify")):
        done, took = seconds_of(lambda words=words: site.must("tallymill", *words, deadline=1200))
        print(f"tallymill {' '.join(words)}: {took:.1f} s; {done.out.splitlines()[-1]}")
    assert site.database.rows(STATISTICS) == before["statistics"]
    assert site.database.rows(COHORTS) == before["cohorts"]
