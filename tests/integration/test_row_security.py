"""Row security that somebody switched on: an error that names the table and the statement that mends it, never figures without the rows."""

import re

import pytest

from .harness.publisher import event, events, instant
from .harness.waiting import wait_until

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


def test_dead_letters_that_a_policy_guards_are_an_error_too(site):
    site.log_in_as(f"writer_{site.topic.replace('-', '_')}")
    site.database.run("ALTER TABLE tallymill.dead_letters ENABLE ROW LEVEL SECURITY")
    site.send([event(created_us=instant("2001-01-01"))])
    worker = site.worker("--until-end")
    assert worker.wait(60) == 2
    assert "ALTER TABLE tallymill.dead_letters DISABLE ROW LEVEL SECURITY;" in worker.log(), worker.log()


def noting(site, login):
    """A trigger of somebody's, with the rights of whoever inserts, that writes a table with a policy."""
    site.log_in_as(login)
    site.database.run(f"""
        CREATE TABLE public.notes (event_id uuid);
        GRANT INSERT ON public.notes TO {login};
        ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;
        CREATE POLICY anybody ON public.notes FOR INSERT WITH CHECK (true);
        CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.notes VALUES (NEW.id); RETURN NULL; END $$;
        CREATE TRIGGER note AFTER INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION public.note()""")


def test_a_trigger_that_writes_a_table_with_a_policy_of_its_own_is_served(site):
    noting(site, f"writer_{site.topic.replace('-', '_')}")
    made = list(events(30))
    site.send(made)
    site.drain()
    site.send([*made[:10], *events(20, seed=2)])
    site.drain()
    assert site.outcomes()[:3] == (50, 10, 0), site.outcomes()
    assert site.database.value("SELECT count(*) FROM notes") == 50
    site.fold()
    site.assert_holds()


def test_where_the_database_makes_such_a_policy_an_error_it_is_waited_for_and_no_event_is_to_blame(site):
    login = f"writer_{site.topic.replace('-', '_')}"
    noting(site, login)
    site.database.run(f"ALTER ROLE {login} SET row_security = off")
    site.send(events(30))
    worker = site.worker()
    wait_until(lambda: "notes" in worker.log() and "row_security = off" in worker.log(), 60, lambda: f"the table to be named:\n{worker.log()}")
    site.database.run(f"ALTER ROLE {login} RESET row_security; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.outcomes()[:3] == (30, 0, 0), site.outcomes()
