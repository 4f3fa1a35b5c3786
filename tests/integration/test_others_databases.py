"""What a restore or an operator of the database leaves behind: objects of another owner, locks, views that are empty or gone, roles made by somebody else."""

import contextlib
import re

import psycopg2
import pytest
from psycopg2 import extensions

from .harness.publisher import events

VIEWS = ("daily", "funnel", "conversion", "performance")


def test_a_restore_with_no_owner_is_given_back_by_migrate_or_named(make_site):
    site = make_site(partitions=1)
    site.send(events(100))
    site.drain()
    site.fold()
    name = extensions.parse_dsn(site.database.dsn)["dbname"]
    site.database.run("GRANT CREATE ON SCHEMA public TO PUBLIC")
    owner = f"restorer_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {owner} LOGIN")
    kept = site.database.rows("SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'tallymill'::regnamespace AND relkind IN ('r', 'v')")
    site.database.run("".join(f"ALTER TABLE {table} OWNER TO {owner};" for (table,) in kept)
                      + f"ALTER TABLE public.analytics_events OWNER TO {owner}; ALTER FUNCTION tallymill.make_month(date) OWNER TO {owner};")
    site.database.run(f"GRANT CREATE ON DATABASE \"{name}\" TO {owner}")
    plain = f"plain_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {plain} LOGIN IN ROLE tallymill_admin")
    dsn = site.database.dsn
    site.connect_programs_by(extensions.make_dsn(dsn, user=plain))
    refused = site.tallymill("migrate")
    assert refused.code == 2, refused
    assert owner in refused.err and "tallymill." in refused.err and "tallymill migrate once as a superuser" in refused.err, refused
    site.connect_programs_by(dsn)
    done = site.tallymill("migrate")
    assert done.code == 0 and "given back to tallymill_admin" in done.out, done
    assert site.database.value("SELECT count(*) FROM pg_class c WHERE relnamespace = 'tallymill'::regnamespace AND relkind IN ('r', 'v', 'S')"
                               " AND pg_get_userbyid(relowner) <> 'tallymill_admin'") == 0
    site.send(events(50, seed=2))
    site.drain()
    site.fold()
    site.assert_holds()


@contextlib.contextmanager
def forgotten(site, statement):
    """A client that somebody left open in a transaction."""
    client = psycopg2.connect(site.database.dsn, application_name="forgotten editor")
    with client.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        try:
            yield pid
        finally:
            client.close()


def test_who_holds_a_lock_is_named_with_the_remedy(make_site):
    site = make_site()
    site.database.run("DELETE FROM tallymill.months WHERE month > now(); "
                      "DO $$ DECLARE leaf text; BEGIN SELECT max(inhrelid::regclass::text) INTO leaf FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass;"
                      " EXECUTE format('ALTER TABLE analytics_events DETACH PARTITION %s', leaf); EXECUTE format('DROP TABLE %s', leaf); END $$")
    with forgotten(site, "LOCK TABLE analytics_events IN ACCESS EXCLUSIVE MODE") as pid:
        refused = site.tallymill("migrate", deadline=120)
        assert refused.code == 1, refused
        for said in (f"pid {pid}", "forgotten editor", "analytics_events", f"pg_terminate_backend({pid})", "AccessExclusiveLock", "old"):
            assert said in refused.err, refused
    assert site.tallymill("migrate").code == 0


def test_a_view_that_is_empty_is_filled_and_one_that_is_gone_is_named(make_site):
    site = make_site()
    site.send(events(200))
    site.drain()
    site.fold()
    site.database.run("REFRESH MATERIALIZED VIEW analytics_view_funnel WITH NO DATA; DROP MATERIALIZED VIEW analytics_view_daily")
    done = site.tallymill("refresh")
    assert done.code == 1 and "analytics_view_daily is not there" in done.err, done
    for view in VIEWS[1:]:
        assert f"analytics_view_{view}" in done.out, done
    assert site.database.value("SELECT count(*) FROM analytics_view_funnel") > 0
    site.must("tallymill", "refresh", "conversion")


def test_the_aggregator_refreshes_the_others_too(make_site):
    from .harness.waiting import wait_until
    site = make_site(**{"views.refresh": "hourly"})
    site.send(events(200))
    site.drain()
    site.database.run("REFRESH MATERIALIZED VIEW analytics_view_funnel WITH NO DATA; DROP MATERIALIZED VIEW analytics_view_daily")
    aggregator = site.aggregator()
    wait_until(lambda: site.database.value("SELECT count(DISTINCT view) FROM tallymill.refreshes WHERE error IS NULL") == 3, 60,
               lambda: f"three views to be refreshed:\n{aggregator.log()[-2000:]}")
    assert aggregator.stop() == 0
    assert site.database.value("SELECT error FROM tallymill.refreshes WHERE error IS NOT NULL LIMIT 1").startswith("TM004")


def test_an_owner_who_may_not_act_as_roles_that_are_there_is_told_the_grant_and_who_gives_it(make_site):
    site = make_site(migrate=False)
    if site.database.value("SELECT current_setting('server_version_num')::integer < 160000"):
        pytest.skip("before 16 whoever may create roles may grant them")
    make_site()    # the roles are there
    owner = f"owner_{site.topic.replace('-', '_')}"
    name = extensions.parse_dsn(site.database.dsn)["dbname"]
    site.database.run(f'CREATE ROLE {owner} LOGIN CREATEROLE; ALTER DATABASE "{name}" OWNER TO {owner}')
    dsn = site.database.dsn
    site.connect_programs_by(extensions.make_dsn(dsn, user=owner))
    refused = site.tallymill("migrate")
    assert refused.code == 2 and "have a superuser" in refused.err, refused
    grants = re.findall(r"GRANT \w+ TO \w+ WITH ADMIN TRUE, SET TRUE;", refused.err)
    assert len(grants) == 2, refused
    site.database.run(" ".join(grants))
    assert site.tallymill("migrate").code == 0
    site.connect_programs_by(dsn)
    site.send(events(50))
    site.drain()
