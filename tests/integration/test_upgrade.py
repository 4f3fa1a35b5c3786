"""An upgrade from this release's schema to the next one's (`tallymill-next`, tests/upgrade), beside a worker that knows nothing of it."""

from .harness.publisher import events

COMMIT_BATCH = """tallymill.commit_batch(bigint, text, integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[],
                                         bigint[], bytea[])"""
OBJECTS = "SELECT name, checksum, applied_at FROM tallymill.schema_objects ORDER BY 1"
OWNER_AND_RIGHTS = f"""SELECT proowner::regrole::text, ARRAY(SELECT unnest(proacl)::text ORDER BY 1), proconfig, prosecdef FROM pg_proc
                       WHERE oid = '{COMMIT_BATCH}'::regprocedure"""
SERVICES = (("tallymill-consumer", "--until-end"), ("tallymill-aggregator", "--once"))
PROGRAMS = (*SERVICES, ("tallymill-consumer", "--check"), ("tallymill-aggregator", "--check"), ("tallymill", "audit"), ("tallymill", "status"),
            ("tallymill", "verify"))


def are_refused(site, reason, programs=PROGRAMS):
    for program, *words in programs:
        refused = site.run(program, *words)
        assert refused.code == 2 and reason in refused.err, (program, words, refused)


def test_functions_views_and_tables_are_renewed_beside_a_running_worker(site):
    site.database.run(f"""DO $$ BEGIN CREATE ROLE it_guest; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
                          GRANT EXECUTE ON FUNCTION {COMMIT_BATCH} TO it_guest; GRANT SELECT ON tallymill.positions TO it_guest""")
    worker = site.worker()
    site.send(events(300, seed=1))
    site.wait_until_drained()
    before, rights = dict((name, rest) for name, *rest in site.database.rows(OBJECTS)), site.database.rows(OWNER_AND_RIGHTS)

    are_refused(site, "run: tallymill migrate", [("tallymill-next", "audit")])
    planned = site.run("tallymill-next", "migrate", "--check")
    assert planned.code == 0 and "1 migrations to apply, 2 functions and views to apply" in planned.out, planned
    assert dict((name, rest) for name, *rest in site.database.rows(OBJECTS)) == before
    site.must("tallymill-next", "migrate")

    after = dict((name, rest) for name, *rest in site.database.rows(OBJECTS))
    assert {name for name in after if after[name] != before[name]} == {"functions/commit_batch.sql", "views/positions.sql"}
    assert site.database.rows(OWNER_AND_RIGHTS) == rights
    assert site.database.value("SELECT has_table_privilege('it_guest', 'tallymill.positions', 'SELECT')")
    site.send(events(300, seed=2))
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.database.value("SELECT count(*) > 0 FROM tallymill.next_commits")
    assert site.database.value("SELECT bool_and(epoch > 0) FROM tallymill.positions")
    site.send(events(300, seed=3))
    site.drain()  # a worker of this release that starts behind the upgrade
    site.fold()
    site.assert_holds()
    site.must("tallymill-next", "verify")


def test_this_release_leaves_alone_what_the_next_one_replaced(site):
    site.must("tallymill-next", "migrate")
    are_refused(site, "newer release", [("tallymill", "migrate")])
    site.database.run("DELETE FROM tallymill.schema_version WHERE name LIKE '%next.sql'")  # as if only functions and views were others
    applied = site.database.rows(OBJECTS)
    are_refused(site, "newer release: tallymill 0.1.0 replaced functions/commit_batch.sql", [("tallymill", "migrate"), ("tallymill", "migrate", "--check")])
    assert site.database.rows(OBJECTS) == applied
    for program, *words in SERVICES:
        site.must(program, *words)


def test_a_function_that_is_older_or_missing_asks_for_a_migrate(site):
    for damage in ("UPDATE tallymill.schema_objects SET checksum = 'of the release before' WHERE name = 'functions/claim.sql'",
                   "DELETE FROM tallymill.schema_objects WHERE name = 'functions/claim.sql'"):
        site.database.run(damage)
        are_refused(site, "functions/claim.sql; run: tallymill migrate")
        mended = site.must("tallymill", "migrate")
        assert ", 1 functions and views applied" in mended.out, mended
        site.must("tallymill-consumer", "--until-end")


def test_a_database_of_the_old_numbering_is_refused_by_every_program(site):
    site.database.run("""DROP TABLE tallymill.schema_objects;
                         UPDATE tallymill.schema_version SET name = '0001_events.sql' WHERE version = 1;
                         INSERT INTO tallymill.schema_version SELECT n, 'old', 'x', 1 FROM generate_series((SELECT max(version) + 1 FROM tallymill.schema_version), 29) AS n""")
    are_refused(site, "was made before 0.1.0: start anew", [*PROGRAMS, ("tallymill", "migrate"), ("tallymill", "migrate", "--check")])
