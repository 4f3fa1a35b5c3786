"""`tallymill migrate`: safe to repeat, refuses a changed or newer schema, and makes the topic that the worker needs."""

from confluent_kafka.admin import AdminClient, ConfigResource

from .harness.program import BUILDS, ROOT
from .harness.publisher import events
from .harness.stack import psql

SCHEMAS = ROOT / "schemas"
APPLIED = """SELECT version::text, name, checksum, applied_at FROM tallymill.schema_version
             UNION ALL SELECT release, name, checksum, applied_at FROM tallymill.schema_objects ORDER BY 2"""


def test_it_may_be_run_again_beside_a_running_worker(site):
    worker = site.worker()
    site.send(events(300, seed=1))
    site.wait_until_drained()
    versions = site.database.rows(APPLIED)
    again = site.tallymill("migrate")
    assert again.code == 0, again
    assert site.database.rows(APPLIED) == versions
    site.send(events(300, seed=2))
    site.wait_until_drained()
    assert worker.stop() == 0
    site.fold()
    site.assert_holds()


def test_two_at_once_on_a_new_database_both_succeed(make_site):
    site = make_site(migrate=False)
    both = [site.start("tallymill", "migrate") for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0], [one.log() for one in both]


def test_a_changed_migration_is_refused_by_its_name(site):
    site.database.run("UPDATE tallymill.schema_version SET checksum = 'changed' WHERE version = 2")
    refused = site.tallymill("migrate")
    assert refused.code == 2 and "0002_events.sql was changed" in refused.err, refused


def test_a_schema_of_a_newer_release_is_refused_by_every_program(site):
    site.database.run("INSERT INTO tallymill.schema_version (version, name, checksum, min_program)"
                      " VALUES (900, '0900_future.sql', 'x', 900)")
    for program, *words in (("tallymill-consumer", "--until-end"), ("tallymill-aggregator", "--once"), ("tallymill", "audit"),
                            ("tallymill", "migrate")):
        refused = site.run(program, *words)
        assert refused.code == 2 and "newer" in refused.err, (program, refused)


def test_a_newer_schema_that_old_programs_may_use_is_accepted(site):
    site.database.run("INSERT INTO tallymill.schema_version (version, name, checksum, min_program)"
                      " VALUES (900, '0900_additive.sql', 'x', 1);"
                      " ALTER TABLE analytics_events ADD COLUMN of_the_future text")
    site.send(events(100))
    site.drain()
    assert site.outcomes()[0] == 100


def test_a_missing_schema_is_named_with_what_to_run(make_site):
    site = make_site(migrate=False)
    for program, *words in (("tallymill-consumer", "--until-end"), ("tallymill-aggregator", "--once"), ("tallymill", "audit"),
                            ("tallymill", "status"), ("tallymill", "verify")):
        refused = site.run(program, *words)
        assert refused.code == 2 and "tallymill migrate" in refused.err, (program, refused)


def test_the_files_run_in_psql_as_they_stand(make_site):
    site = make_site(migrate=False)
    order = (BUILDS["release"] / "common" / "schema_objects.txt").read_text().split()
    assert sorted(order) == sorted(f"{kind}/{path.name}" for kind in ("functions", "views") for path in (SCHEMAS / kind).iterdir())
    for path in [*sorted((SCHEMAS / "sql").glob("[0-9]*.sql")), *(SCHEMAS / name for name in order)]:
        done = psql(site.database.dsn, "-q", "-1", "-f", str(path))
        assert done.code == 0, (path, done)


def test_the_topic_gets_its_settings(make_site):
    site = make_site(partitions=5)
    resource = ConfigResource("topic", site.topic)
    admin = AdminClient({"bootstrap.servers": site.stack.bootstrap})  # must outlive the answer
    config = admin.describe_configs([resource])[resource].result(30)
    assert config["message.timestamp.type"].value == "LogAppendTime"
    assert config["max.message.bytes"].value == str(4 << 20)
    assert len(site.end_offsets()) == 5


def test_an_existing_topic_is_left_as_it_is(make_site):
    site = make_site(partitions=2)
    again = site.tallymill("migrate", "--set", "topics.partitions=6")
    assert again.code == 0, again
    assert len(site.end_offsets()) == 2


def test_roles_suffice_to_run_the_programs_and_no_more(site):
    site.database.run("""
        DROP ROLE IF EXISTS it_ingest; DROP ROLE IF EXISTS it_aggregate; DROP ROLE IF EXISTS it_read;
        CREATE ROLE it_ingest LOGIN IN ROLE tallymill_ingest; CREATE ROLE it_aggregate LOGIN IN ROLE tallymill_aggregate;
        CREATE ROLE it_read LOGIN IN ROLE tallymill_read""")

    def as_role(role):
        return "--set", f"postgres.dsn={site.database.dsn} user={role}"

    made = list(events(500))
    site.send(made + made[:50])
    site.publisher.send_bytes(b"\xc1", b"k")
    site.publisher.flush()
    worker = site.worker("--until-end", *as_role("it_ingest"))
    assert worker.wait(60) == 0, worker.log()
    folded = site.run("tallymill-aggregator", "--once", *as_role("it_aggregate"))
    assert folded.code == 0, folded
    for command in ("status", "audit", "verify"):
        done = site.tallymill(command, *as_role("it_read"))
        assert done.code == 0, (command, done)
    assert site.outcomes() == (500, 50, 1, 0)
    refused = psql(site.database.dsn + " user=it_ingest", "-c", "SELECT session_id FROM analytics_events")
    assert refused.code != 0 and "permission denied" in refused.err
    site.assert_holds()


def test_months_that_were_there_before_get_the_index_of_internal_events_beside_a_worker(site):
    site.database.run("DROP INDEX idx_analytics_events_internal; CREATE INDEX idx_analytics_events_internal ON ONLY analytics_events (created_at) WHERE is_internal")
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_analytics_events_internal'::regclass"
    worker = site.worker()
    site.send(events(300, seed=1))
    site.wait_until_drained()
    # A run that was ended in the middle leaves an index that is not valid.
    leaf = site.database.value("SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'analytics_events'::regclass ORDER BY 1 LIMIT 1")
    site.database.run(f"CREATE INDEX {leaf}_internal ON {leaf} (created_at) WHERE is_internal; UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{leaf}_internal'::regclass")
    assert not site.database.value(valid)
    built = site.tallymill("migrate")
    assert built.code == 0 and "built for months" in built.out and site.database.value(valid), built
    assert "built" not in site.tallymill("migrate").out
    site.send(events(300, seed=2))
    site.wait_until_drained()
    assert worker.stop() == 0
