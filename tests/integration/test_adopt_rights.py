"""`tallymill adopt` by an owner who is no superuser."""

import re

import pytest
from psycopg2 import extensions

from .harness.adopting import adopt, schema_of

ROLES = """
    DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['tallymill_admin', 'tallymill_ingest', 'tallymill_aggregate', 'tallymill_read'] LOOP
      BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN', r); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END; END LOOP; END $$"""


@pytest.mark.parametrize("attribute", ("CREATEROLE", "NOCREATEROLE"))
def test_an_owner_who_lacks_rights_is_told_the_statements(old, attribute):
    """Before anything is copied, and by --plan too; what they say is what is missing."""
    site, application = old(300)
    site.database.run(f"{ROLES}; ALTER ROLE {application.owner} {attribute}")
    name = site.database.value("SELECT current_database()")
    as_owner = ("--set", f"postgres.dsn={application.dsn}")
    not_theirs = adopt(site, "--plan", "--set", f"postgres.dsn={extensions.make_dsn(site.database.dsn, user=application.reader)}", code=2)
    assert f"belongs to {application.owner}" in not_theirs.err, not_theirs
    site.database.run(f'ALTER DATABASE "{name}" OWNER TO {application.owner}; CREATE VIEW of_another AS SELECT event_name FROM analytics_events')
    try:
        assert "of_another belongs to" in adopt(site, "--plan", *as_owner, code=2).out
        site.database.run("DROP VIEW of_another; ALTER SCHEMA public OWNER TO tallymill_aggregate")
        while (plan := site.tallymill("adopt", "--plan", *as_owner)).code == 2:
            said = re.findall(r"GRANT \w+ TO \w+[^;]*;|ALTER (?:SCHEMA|ROLE) .*", plan.err)
            assert said and "have a superuser" in plan.err, plan
            site.database.run(";".join(said))
        adopt(site, *as_owner)
        adopt(site, "--undo", *as_owner)
    finally:
        site.database.run(f'ALTER DATABASE "{name}" OWNER TO postgres')


def test_an_ordinary_owner_of_database_and_table_suffices(old):
    """No superuser: who owns both and is a member of tallymill_admin, whose roles another database has made."""
    site, application = old(500)
    schema = schema_of(site)
    site.database.run(f"{ROLES}; ALTER ROLE {application.owner} CREATEROLE; GRANT tallymill_admin, tallymill_read TO {application.owner} WITH ADMIN OPTION")
    name = site.database.value("SELECT current_database()")
    as_owner = ("--set", f"postgres.dsn={application.dsn}")
    refused = adopt(site, *as_owner, code=2)
    assert f'ALTER DATABASE "{name}"' in refused.err, refused
    site.database.run(f'ALTER DATABASE "{name}" OWNER TO {application.owner}')
    try:
        adopt(site, *as_owner)
        adopt(site, "--undo", *as_owner)
        assert [line for line in schema_of(site) if "SCHEMA public" not in line] == [line for line in schema if "SCHEMA public" not in line]
        adopt(site, *as_owner)
        assert site.tallymill("migrate", "--no-topic", *as_owner).code == 0
        adopt(site, "--finish", *as_owner)
    finally:
        site.database.run(f'ALTER DATABASE "{name}" OWNER TO postgres')
