"""The random-fault driver in a shortened form; `tests/run faults` runs it in full."""

import os

from faults.drive import drive


def test_a_random_schedule_of_faults_loses_doubles_and_invents_nothing(make_site):
    site = make_site(partitions=8)
    seed = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    verdict = drive(site, seed, count=100_000, seconds=30, kills=8, postgres_restarts=1, broker_kills=1)
    assert verdict.holds(), verdict.as_text()
    assert verdict.figures["rows stored"] == verdict.figures["acknowledged"] == 100_000
