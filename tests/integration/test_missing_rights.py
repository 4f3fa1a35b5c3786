"""A right that is missing: whoever is refused names it, and the statement that it tells is the one that grants it."""

import re

import pytest
from psycopg2 import extensions

from .harness.monitor import Monitor
from .harness.publisher import events
from .harness.waiting import wait_until

AGGREGATOR, WORKER = ("tallymill-aggregator", "--once"), ("tallymill-consumer", "--until-end")
ROLES = {"tallymill-aggregator": "tallymill_aggregate", "tallymill-consumer": "tallymill_ingest", "tallymill": "tallymill_read"}


@pytest.fixture(name="as_member")
def fixture_as_member(site):
    """as_member(role): the programs log in as a member of that role alone. Returns the login."""
    made = []

    def member(role, how=""):
        login = f"missing_{site.topic.replace('-', '_')}"
        site.database.run(f"CREATE ROLE {login} LOGIN {how}" + (f"; GRANT {role} TO {login}" if role else ""))
        made.append((login, role))
        site.connect_programs_by(extensions.make_dsn(site.database.dsn, user=login))
        return login

    yield member
    for login, role in made:
        site.database.run(f"DROP OWNED BY {login}; DROP ROLE {login}")


def told(said):
    """The statements that a program tells."""
    said = said.replace('\\"', '"')
    found = list(dict.fromkeys(re.findall(r"(?:GRANT [A-Z]+[^;]*? TO [\w\"]+|GRANT tallymill_\w+ TO [\w\"]+(?: WITH INHERIT TRUE)?|ALTER ROLE [\w\"]+ INHERIT)(?=;|$)", said, re.M)))
    assert found, said
    return found


CASES = {
    "a table of the statistics": (AGGREGATOR, "REVOKE INSERT, UPDATE ON analytics_daily_stats FROM tallymill_aggregate",
                                  "GRANT INSERT, UPDATE ON TABLE public.analytics_daily_stats TO tallymill_aggregate"),
    "a table of the books": (AGGREGATOR, "REVOKE UPDATE ON tallymill.leader FROM tallymill_aggregate", "GRANT UPDATE ON TABLE tallymill.leader TO tallymill_aggregate"),
    "a function": (AGGREGATOR, "REVOKE EXECUTE ON FUNCTION tallymill.begin_cycle FROM tallymill_aggregate",
                   "GRANT EXECUTE ON FUNCTION tallymill.begin_cycle(bigint,interval,bigint,date[]) TO tallymill_aggregate"),
    "a sequence": (WORKER, "REVOKE USAGE ON SEQUENCE tallymill.batch_ids FROM tallymill_ingest", "GRANT USAGE ON SEQUENCE tallymill.batch_ids TO tallymill_ingest"),
    "the schema of the books": (WORKER, "REVOKE USAGE ON SCHEMA tallymill FROM tallymill_ingest", "GRANT USAGE ON SCHEMA tallymill TO tallymill_ingest"),
    "schema public": (AGGREGATOR, "REVOKE USAGE ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO tallymill_aggregate"),
    "the events": (WORKER, "REVOKE INSERT ON analytics_events FROM tallymill_ingest", "GRANT INSERT ON TABLE public.analytics_events TO tallymill_ingest"),
    "dead letters": (WORKER, "REVOKE INSERT ON tallymill.dead_letters FROM tallymill_ingest", "GRANT INSERT ON TABLE tallymill.dead_letters TO tallymill_ingest"),
    "a column": (("tallymill", "audit"), "REVOKE SELECT (batch_id) ON tallymill.dead_letters FROM tallymill_read, tallymill_aggregate",
                 "GRANT SELECT (batch_id) ON TABLE tallymill.dead_letters TO tallymill_read"),
    "a table that audit reads": (("tallymill", "audit"), "REVOKE SELECT ON tallymill.gaps FROM tallymill_read, tallymill_aggregate", "GRANT SELECT ON TABLE tallymill.gaps TO tallymill_read"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_statement_that_is_told_is_the_one_that_is_missing(site, as_member, case):
    (program, *words), revoked, wanted = CASES[case]
    site.send(events(50))
    site.publisher.send_bytes(b"\xc1", b"", 0)
    site.publisher.flush()
    if program != "tallymill-consumer":
        site.drain()
    as_member(ROLES[program])
    site.database.run(revoked)
    refused = site.run(program, *words)
    assert refused.code == 2 and told(refused.err) == [wanted], refused
    checked = site.run(program, *(words[:1] if program == "tallymill" else ()), "--check")
    assert checked.code == 2 and told(checked.err) == [wanted], checked
    site.database.run(wanted)
    assert site.run(program, *words).code == 0


@pytest.mark.parametrize("program, words", [("tallymill-aggregator", ("--once",)), ("tallymill-consumer", ("--until-end",)), ("tallymill", ("status",)), ("tallymill", ("export", "daily"))])
def test_a_login_that_is_no_member_is_told_its_own_role(site, as_member, program, words):
    login = as_member(None)
    refused = site.run(program, *words)
    wanted = f'GRANT {ROLES[program]} TO "{login}"'
    assert refused.code == 2 and told(refused.err) == [wanted], refused
    site.database.run(wanted)
    assert site.run(program, *words).code == 0


def test_a_member_that_does_not_inherit_is_told_so(site, as_member):
    """Behind `GRANT role TO login` it would be where it was: NOTICE, already a member."""
    as_member("tallymill_aggregate", "NOINHERIT")
    refused = site.run(*AGGREGATOR)
    statement, = told(refused.err)
    assert refused.code == 2 and "INHERIT" in statement, refused
    assert told(site.run("tallymill-aggregator", "--check").err) == [statement]
    site.database.run(statement)
    assert site.run(*AGGREGATOR).code == 0


def test_what_no_role_of_ours_has_is_not_put_down_to_one(site, as_member):
    """The trigger of somebody else reads a table of theirs: no GRANT of a role of ours mends it."""
    site.send(events(50))
    site.drain()
    as_member("tallymill_aggregate")
    site.database.run("""
        CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM public.secret; RETURN NULL; END $$;
        CREATE TABLE public.secret (n integer);
        CREATE TRIGGER theirs AFTER INSERT ON analytics_daily_stats FOR EACH STATEMENT EXECUTE FUNCTION public.theirs()""")
    refused = site.run(*AGGREGATOR)
    assert refused.code == 2 and "secret" in refused.err and "GRANT tallymill" not in refused.err, refused
    assert "has every right of tallymill_aggregate" in refused.err, refused


def test_the_health_of_an_aggregator_that_is_refused_names_the_cause(make_site):
    site = make_site(**{"metrics.listen": "127.0.0.1:0"})
    login = f"missing_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {login} LOGIN; GRANT tallymill_aggregate TO {login}")
    site.connect_programs_by(extensions.make_dsn(site.database.dsn, user=login))
    aggregator = site.aggregator()
    monitor = Monitor(aggregator)
    wait_until(lambda: monitor.health()[0] == 200, 30, "it to be well")
    site.database.run(f"ALTER ROLE {login} NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
    wait_until(lambda: "is not permitted to log in" in monitor.health()[1].get("reason", ""), 30, lambda: f"the cause: {monitor.health()}")
    site.database.run(f"ALTER ROLE {login} LOGIN")
    wait_until(lambda: monitor.health()[0] == 200, 30, "it to be well again")
    aggregator.stop()
