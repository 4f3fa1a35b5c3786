"""Half a million events and everything killed in between: the acceptance run, by `tests/run faults`."""

import os

from faults.drive import drive


def test_half_a_million_events_survive_twenty_kills_and_both_servers_deaths(make_site):
    site = make_site(partitions=8)
    seed = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    verdict = drive(site, seed, count=500_000, seconds=90, kills=20, postgres_restarts=2, broker_kills=1)
    assert verdict.holds(), verdict.as_text()
    assert verdict.figures["rows stored"] == verdict.figures["acknowledged"] == 500_000
