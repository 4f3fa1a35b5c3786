"""Row security that somebody switched on: an error that names the table and the statement that mends it, never figures without the rows."""

import re

import pytest

from .harness.publisher import events

AGGREGATOR, VERIFY, AUDIT = ("tallymill-aggregator", "--once"), ("tallymill", "verify"), ("tallymill", "audit")


@pytest.mark.parametrize("table, programs", [("public.analytics_events", [AGGREGATOR, VERIFY, AUDIT]), ("tallymill.batches", [VERIFY, AUDIT]),
                                             ("public.analytics_daily_stats", [AGGREGATOR, VERIFY])])
def test_rows_that_a_policy_hides_are_an_error_that_names_the_remedy(site, table, programs):
    login = f"reader_{site.topic.replace('-', '_')}"
    site.send(events(100))
    site.drain()
    site.fold()
    site.send(events(100, seed=2))
    site.drain()
    site.log_in_as(login)
    site.database.run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    before = site.database.rows("SELECT * FROM analytics_daily_stats ORDER BY 1, 2")
    for program, word in programs:
        done = site.run(program, word)
        said = done.out + done.err
        assert done.code not in (0, 1), done
        assert f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;" in said and f'ALTER ROLE "{login}" BYPASSRLS' in said, done
        assert "DAMAGE" not in said, done
    assert site.database.rows("SELECT * FROM analytics_daily_stats ORDER BY 1, 2") == before
    site.database.run(re.search(r"(ALTER TABLE [a-z_.]+ DISABLE ROW LEVEL SECURITY;)", said).group(1))
    site.fold()
    for program, word in (VERIFY, AUDIT):
        site.must(program, word)
    site.assert_holds()


def test_a_worker_says_the_same(site):
    login = f"writer_{site.topic.replace('-', '_')}"
    site.log_in_as(login)
    site.database.run("ALTER TABLE analytics_events ENABLE ROW LEVEL SECURITY")
    site.send(events(10))
    worker = site.worker("--until-end")
    assert worker.wait(60) == 2
    assert "ALTER TABLE public.analytics_events DISABLE ROW LEVEL SECURITY;" in worker.log(), worker.log()
    site.database.run("ALTER TABLE analytics_events DISABLE ROW LEVEL SECURITY")
    site.drain()
    site.fold()
    site.assert_holds()
