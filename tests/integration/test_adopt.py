"""`tallymill adopt`: the table that the plan's migration 046 made, taken over beside its writer, killed anywhere and continued, given up, finished.

TALLYMILL_ADOPT_ROWS=5000000 tests/run integration -- -k taken_over_beside -s prints the figures at that size (daily 200,000).
TALLYMILL_ADOPT_KILLS=200 tests/run integration -- -k killed_at_random_it_is_adopted kills so many times (daily 20).
"""

import os
import random
import re
import time

import pytest
from psycopg2 import errors

from .harness.adopting import DEADLINE, LEFT, ROWS, adopt, rows_of, schema_of, views_of
from .harness.old_table import Writer
from .harness.waiting import wait_until

KILLS = int(os.environ.get("TALLYMILL_ADOPT_KILLS", "20"))
STEPS = ("adopt_ground", "adopt_log", "adopt_copy", "adopt_replay", "adopt_compare", "adopt_swap")


def test_a_table_is_taken_over_beside_its_writer(old):
    """Plan, adopt, migrate, finish: every acknowledged change is there, the application's statements run as before, views and rights are what they were, the statistics are those of
    the raw rows."""
    site, application = old(ROWS)
    before, views = rows_of(site, "analytics_events")[0][0], views_of(site)
    refused = site.tallymill("migrate")
    assert refused.code == 2 and "tallymill adopt" in refused.err, refused
    plan = adopt(site, "--plan")
    assert "nothing stops it" in plan.out and "ip_address (inet): kept" in plan.out and "user_id" in plan.out, plan
    with Writer(application, seed=1) as writer:
        wait_until(lambda: len(writer.known) > 200 or writer.failed, 30, "the writer to write")
        slowest = [writer.slowest()]
        done = adopt(site)
        slowest.append(writer.slowest())
        written = len(writer.known)
        wait_until(lambda: len(writer.known) > written + 200 or writer.failed, 30, "the writer to go on in the new table")
    print(done.out, done.err, "the writer's slowest statement before, meanwhile and after:", *slowest, writer.slowest(), f"load {os.getloadavg()}", sep="\n")
    writer.assert_kept()
    assert site.database.value("SELECT relkind FROM pg_class WHERE oid = 'analytics_events'::regclass") == "p"
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE event_data ->> 'action' <> 'live'") == before
    assert views_of(site) == views
    assert site.database.value("SELECT obj_description('analytics_events'::regclass)") == "Events of the product"
    assert site.database.value("SELECT has_column_privilege(%s, 'analytics_events', 'id', 'SELECT') AND NOT has_table_privilege(%s, 'analytics_events', 'SELECT')",
                               application.reader, application.reader)
    assert site.database.value("SELECT count(*) FROM pg_indexes WHERE tablename = 'analytics_events' AND indexname = 'of_the_application'") == 1
    assert site.tallymill("migrate").code == 0
    site.fold(deadline=DEADLINE)
    for words in (("verify",), ("audit",)):
        proof = site.tallymill(*words, deadline=DEADLINE)
        assert proof.code == 0, proof
    raw = site.database.rows("SELECT (created_at AT TIME ZONE 'UTC')::date, event_name, count(*), count(DISTINCT session_id), count(DISTINCT user_id) FROM analytics_events"
                             " WHERE NOT is_internal GROUP BY 1, 2 ORDER BY 1, 2")
    assert site.database.rows("SELECT date, event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats WHERE event_count > 0 ORDER BY 1, 2") == raw
    assert "adopted already" in adopt(site).out
    adopt(site, "--finish")
    assert site.database.value("SELECT to_regclass('analytics_events_before') IS NULL AND to_regnamespace('tallymill_adopt') IS NULL")
    assert site.tallymill("migrate").code == 0


def held(site):
    return {mode for (mode,) in site.database.rows("SELECT DISTINCT mode FROM pg_locks WHERE relation = 'analytics_events'::regclass AND granted AND pid <> pg_backend_pid()")}


def test_nobody_waits_while_the_schema_is_made_and_no_reader_when_changes_begin_to_be_logged(old):
    """All that needs no lock of the old table is done without one."""
    site, application = old(500, build="check")
    program = site.start("tallymill", "adopt", failpoint="adopt_ground:stop,adopt_log:stop", name="stopped")
    wait_until(program.is_frozen, 60, lambda: f"the schema to be made:\n{program.log()}")
    assert held(site) <= {"AccessShareLock"}
    with application.connect() as cursor:
        cursor.execute("SET statement_timeout = '20s'; INSERT INTO analytics_events (event_name, event_category) VALUES ('login', 'business')")
        assert site.database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tallymill%%'") == 0
        program.thaw()
        wait_until(lambda: "ShareRowExclusiveLock" in held(site) and program.is_frozen(), 60, lambda: f"the changes to be logged:\n{program.log()}")
        assert "AccessExclusiveLock" not in held(site)
        cursor.execute("SELECT count(*) FROM analytics_events")
        assert cursor.fetchone() == (501,)
    program.thaw()
    assert program.wait(DEADLINE) == 0, program.log()
    assert site.database.value("SELECT count(*) FROM analytics_events") == 501


def test_a_column_that_comes_meanwhile_keeps_the_tables_from_being_swapped(old):
    """Its values would be lost: the copy does not have it."""
    site, application = old(1_000, build="check")
    for step in ("adopt_log", "adopt_compare"):
        killed = site.start("tallymill", "adopt", failpoint=f"{step}:exit", name=step)
        assert killed.wait(DEADLINE) == 86, killed.log()
        with application.connect() as cursor:
            cursor.execute(f"ALTER TABLE analytics_events ADD COLUMN {step} TEXT; UPDATE analytics_events SET {step} = 'kept' WHERE user_id = 7")
        refused = adopt(site, code=2)
        assert "other columns" in refused.err and "--abandon" in refused.err, refused
        assert site.database.value("SELECT relkind FROM pg_class WHERE oid = 'analytics_events'::regclass") == "r"
        adopt(site, "--abandon")
    adopt(site)
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE user_id = 7 AND adopt_log = 'kept' AND adopt_compare = 'kept'") > 0


def test_a_type_that_changes_meanwhile_keeps_the_tables_from_being_swapped(old):
    """What the log does not say: a column that is made anew. And the copy keeps the type, collation too, of those that ours has not."""
    site, application = old(1_000, build="check")
    with application.connect() as cursor:
        cursor.execute('ALTER TABLE analytics_events ADD COLUMN tag VARCHAR(20) COLLATE "C" DEFAULT \'x\'')
    for step in ("adopt_log", "adopt_compare"):
        killed = site.start("tallymill", "adopt", failpoint=f"{step}:exit", name=step)
        assert killed.wait(DEADLINE) == 86, killed.log()
        with application.connect() as cursor:
            cursor.execute("ALTER TABLE analytics_events ALTER COLUMN tag TYPE VARCHAR(30)" if step == "adopt_log" else "ALTER TABLE analytics_events ALTER COLUMN tag TYPE TEXT COLLATE \"C\" USING tag || '!'")
        refused = adopt(site, code=2)
        assert "other types" in refused.err and "--abandon" in refused.err, refused
        adopt(site, "--abandon")
    adopt(site)
    assert site.database.value("SELECT format_type(atttypid, atttypmod) || ' ' || attcollation::regcollation FROM pg_attribute WHERE attrelid = 'analytics_events'::regclass AND attname = 'tag'") == 'text "C"'
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE tag = 'x!'") == 1_000


STRAYS = {
    "created_at is NULL": "INSERT INTO analytics_events (event_name, event_category, created_at) VALUES ('login', 'business', NULL) RETURNING id",
    "created_at is before 1970 or years ahead": "INSERT INTO analytics_events (event_name, event_category, created_at) VALUES ('login', 'business', 'infinity') RETURNING id",
    "event_name is NULL": "INSERT INTO analytics_events (event_category) VALUES ('business') RETURNING id",
    "session_id has more than 255 characters": "INSERT INTO analytics_events (event_name, event_category, session_id) VALUES ('login', 'business', repeat('s', 256)) RETURNING id",
    "event_data is nothing that jsonb takes": "INSERT INTO analytics_events (event_name, event_category, event_data) VALUES ('login', 'business', '{\"a\": \"\\u0000\"}') RETURNING id",
}


def test_rows_that_come_meanwhile_and_do_not_fit_are_named(old):
    """Before the copy, and behind it; without them the adoption goes on."""
    site, application = old(500, build="check")
    with application.connect() as cursor:
        cursor.execute("DROP INDEX of_the_application; ALTER TABLE analytics_events ALTER COLUMN session_id TYPE text, ALTER COLUMN event_data TYPE json, ALTER COLUMN event_name DROP NOT NULL, ALTER COLUMN created_at DROP NOT NULL")
    for step in ("adopt_log", "adopt_compare"):
        killed = site.start("tallymill", "adopt", failpoint=f"{step}:exit", name=step)
        assert killed.wait(DEADLINE) == 86, killed.log()
        for why, statement in STRAYS.items():
            with application.connect() as cursor:
                cursor.execute(statement)
                (stray,) = cursor.fetchone()
            refused = adopt(site, code=2)
            assert f"{stray}: {why}" in refused.err and "UPDATE or DELETE them" in refused.err, (step, why, refused)
            with application.connect() as cursor:
                cursor.execute("DELETE FROM analytics_events WHERE id = %s", (stray,))
    adopt(site)
    assert site.database.value("SELECT count(*) FROM analytics_events") == 500


def test_what_does_not_go_with_the_new_types_is_named_before_anything_is_copied(old):
    """An index over an expression, a view on a view, a function with a bound body: each tried over the new table while that is empty."""
    site, application = old(300)
    with application.connect() as cursor:
        cursor.execute("DROP VIEW external_events CASCADE; ALTER TABLE analytics_events ALTER COLUMN created_at TYPE timestamp;"
                       " CREATE FUNCTION nearly(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10';"
                       " CREATE VIEW \"of user's\" AS SELECT user_id, 'public.analytics_events'::text AS source FROM analytics_events; CREATE VIEW seen AS SELECT u.user_id FROM \"of user's\" u")
    site.database.run("""CREATE SCHEMA "Odd.Sch$ma"; CREATE VIEW "Odd.Sch$ma"."of user's" AS SELECT s.user_id, u.source FROM seen s JOIN "of user's" u USING (user_id) WHERE u.source::regclass > 0;
        CREATE FUNCTION "Odd.Sch$ma"."of(it" () RETURNS bigint STABLE RETURN (SELECT count(*) FROM "Odd.Sch$ma"."of user's" WHERE user_id > 0);
        CREATE RECURSIVE VIEW analytics_events_seen (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM analytics_events_seen WHERE n < (SELECT count(DISTINCT analytics_events.user_id) FROM analytics_events)""")
    for what, made, drop in (
        ("index public.of_days", "CREATE INDEX of_days ON analytics_events ((created_at::date))", "DROP INDEX of_days"),
        ("view public.of_tens", "CREATE VIEW of_tens AS SELECT nearly(user_id) AS ten FROM \"of user's\"", "DROP VIEW of_tens"),
        ("materialized view public.of_tens", "CREATE MATERIALIZED VIEW of_tens AS SELECT nearly(user_id) AS ten FROM analytics_events", "DROP MATERIALIZED VIEW of_tens"),
        ("function public.tens()", "CREATE FUNCTION tens() RETURNS bigint STABLE RETURN (SELECT count(DISTINCT nearly(user_id)) FROM seen)", "DROP FUNCTION tens()"),
    ):
        with application.connect() as cursor:
            cursor.execute(made)
        refused = adopt(site, "--time-zone", "UTC", code=2)
        assert what in refused.err and "DROP" in refused.err and "nothing was changed" in refused.err, (what, refused)
        assert site.database.value(LEFT) == 0
        with application.connect() as cursor:
            cursor.execute(drop)
    every = "SELECT schemaname, viewname, definition FROM pg_views WHERE schemaname IN ('public', 'Odd.Sch$ma') ORDER BY 1, 2"
    views = site.database.rows(every)
    adopt(site, "--time-zone", "UTC")
    assert len(views) == 4 and site.database.rows(every) == views
    assert site.database.value("""SELECT "Odd.Sch$ma"."of(it"() > 0 AND (SELECT max(n) FROM analytics_events_seen) > 100""")
    assert site.database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%%trial%%'") == 0


def test_columns_of_a_fixed_width_are_taken_over_and_back(old):
    """Their blanks are of the type, not of the value."""
    site, application = old(1_000)
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events ALTER COLUMN session_id TYPE char(64), ALTER COLUMN event_category TYPE char(50), ADD COLUMN land char(3) DEFAULT 'AT'")
    rows = rows_of(site, "analytics_events")
    adopt(site)
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE event_category IN ('business', 'usage', 'workflow', 'system') AND session_id ~ '^s\\d+$' AND land = 'AT'") == 1_000
    undone = adopt(site, "--undo")
    assert "with 0 rows" in undone.out and rows_of(site, "analytics_events") == rows


STATISTICS = """
    CREATE TABLE analytics_daily_stats (date DATE NOT NULL, event_name VARCHAR(100) NOT NULL, event_count INTEGER NOT NULL DEFAULT 0, unique_sessions INTEGER NOT NULL DEFAULT 0,
      unique_users INTEGER NOT NULL DEFAULT 0, created_at TIMESTAMPTZ DEFAULT NOW(), PRIMARY KEY (date, event_name));
    INSERT INTO analytics_daily_stats SELECT (created_at AT TIME ZONE 'UTC')::date, event_name, count(*), count(DISTINCT session_id), count(DISTINCT user_id)
      FROM analytics_events WHERE NOT is_internal GROUP BY 1, 2"""
OF_DAYS = "SELECT date::text, min(event_name) FROM analytics_daily_stats WHERE date < (now() AT TIME ZONE 'UTC')::date - 1 GROUP BY 1 ORDER BY 1 DESC LIMIT 3"
DAMAGED = """
    UPDATE analytics_daily_stats SET event_count = event_count + 5 WHERE (date, event_name) = (%s, %s);
    DELETE FROM analytics_daily_stats WHERE (date, event_name) = (%s, %s);
    INSERT INTO analytics_daily_stats VALUES (%s, 'gone', 1, 1, 1)"""


def test_what_the_statistics_of_before_differ_in_is_shown(old):
    """By --plan from the rows, behind the swap from those that the aggregator keeps, and once more before --finish drops them."""
    site, application = old(3_000)
    with application.connect() as cursor:
        cursor.execute(STATISTICS)
        assert "analytics_daily_stats: " in (same := adopt(site, "--plan").out) and "the same as ours" in same, same
        changed, deleted, added = site.database.rows(OF_DAYS)
        cursor.execute(DAMAGED, (*changed, *deleted, added[0]))

    def assert_shown(out):
        assert "on 3 days" in out and "1 have other figures, 1 are only there, 1 only in ours" in out, out
        assert re.search(rf"{changed[0]} {changed[1]}: event_count (\d+), ours \d+\n", out), out
        assert f"{deleted[0]} {deleted[1]}: not in the old ones" in out and f"{added[0]} gone: only in the old ones" in out, out

    assert_shown(adopt(site, "--plan").out)
    adopt(site)
    waiting = adopt(site, "--plan").out
    assert "days wait for the aggregator" in waiting and "differs" not in waiting, waiting
    assert site.tallymill("migrate", "--no-topic").code == 0
    site.fold()
    assert_shown(adopt(site, "--plan").out)
    assert_shown(adopt(site, "--finish").out)
    assert site.database.value("SELECT to_regclass('analytics_daily_stats_before') IS NULL")


def test_killed_at_each_step_the_next_run_goes_on(old):
    site, application = old(5_000, build="check")
    with Writer(application, seed=2) as writer:
        for step in STEPS:
            killed = site.start("tallymill", "adopt", failpoint=f"{step}:exit", name=step)
            assert killed.wait(DEADLINE) == 86, killed.log()
            refused = site.tallymill("migrate")
            assert refused.code == 2 and "tallymill adopt" in refused.err, (step, refused)
        adopt(site)
    writer.assert_kept()
    assert site.tallymill("migrate").code == 0
    site.fold()
    assert site.tallymill("verify").code == 0


def onwards(site):
    """What leads on from where the last run was killed: round and round."""
    try:
        step = site.database.value("SELECT step FROM tallymill_adopt.state")
    except errors.UndefinedTable:
        return ()
    return {"swapped": ("--undo",), "abandoning": ("--abandon",)}.get(step, ())


def test_killed_at_random_it_is_adopted_in_the_end(old):
    """Kills of the client, each at a moment drawn at random; what the server had begun for it ends by itself. Swapped meanwhile, it is undone and begun anew."""
    site, application = old(20_000)
    seed = int(os.environ.get("TALLYMILL_SEED", "5"))
    source = random.Random(seed)
    with Writer(application, seed) as writer:
        for number in range(KILLS):
            program = site.start("tallymill", "adopt", *onwards(site), name=f"adopt-{number}")
            end = time.monotonic() + source.uniform(0, 1.5)
            wait_until(lambda: time.monotonic() > end or not program.is_running(), 10, "the moment")  # noqa: B023
            program.kill()
        if onwards(site) == ("--abandon",):
            wait_until(lambda: site.tallymill("adopt", "--abandon", deadline=DEADLINE).code == 0, DEADLINE, "the rest to be dropped")
        wait_until(lambda: site.tallymill("adopt", deadline=DEADLINE).code == 0, DEADLINE, "the adoption to be done")
    writer.assert_kept()
    assert site.tallymill("migrate").code == 0


@pytest.mark.parametrize("step", STEPS)
def test_abandoned_after_any_step_the_old_table_is_as_it_was(old, step):
    site, _ = old(2_000, build="check")
    schema, rows = schema_of(site), rows_of(site, "analytics_events")
    killed = site.start("tallymill", "adopt", failpoint=f"{step}:exit")
    assert killed.wait(DEADLINE) == 86, killed.log()
    if step != "adopt_ground":  # which left nothing
        killed = site.start("tallymill", "adopt", "--abandon", failpoint="adopt_abandon:exit")
        assert killed.wait(DEADLINE) == 86, killed.log()
        assert adopt(site, code=2).err.count("--abandon") == 1
        adopt(site, "--abandon")
    assert schema_of(site) == schema
    assert rows_of(site, "analytics_events") == rows
    assert site.database.value(LEFT) == 0
    assert adopt(site, "--abandon", code=2)


STOPS = {
    "a foreign key to it": ("CREATE TABLE notes (event uuid REFERENCES analytics_events)", "DROP CONSTRAINT notes_event_fkey"),
    "row security": ("ALTER TABLE analytics_events ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
    "a trigger": ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                  " CREATE TRIGGER own BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION f()", "trigger own of public.analytics_events: DROP it"),
    "a rule": ("CREATE RULE own AS ON DELETE TO analytics_events DO INSTEAD NOTHING", "rule own of public.analytics_events: DROP it"),
    "a publication": ("CREATE PUBLICATION p_{} FOR TABLE analytics_events", "DROP TABLE public.analytics_events"),
    "a child": ("CREATE TABLE child () INHERITS (analytics_events)", "table public.child inherits from public.analytics_events, which is not taken over: ALTER TABLE public.child NO INHERIT"),
    "a table that is partitioned": ("ALTER TABLE analytics_events RENAME TO other; CREATE TABLE analytics_events (LIKE other INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)", "it is a partitioned table, and only"),
    "an exclusion": ("ALTER TABLE analytics_events ADD CONSTRAINT apart EXCLUDE USING hash (id WITH =)", "DROP CONSTRAINT apart"),
    "a name of a rollup's": ("CREATE TABLE analytics_daily_errors ()", "table public.analytics_daily_errors has a name"),
    "a name of its twin's": ("CREATE TABLE analytics_internal_daily_errors ()", "table public.analytics_internal_daily_errors has a name"),
    "what jsonb does not take": ("DROP INDEX of_the_application; ALTER TABLE analytics_events ALTER COLUMN event_data TYPE json; UPDATE analytics_events SET event_data = '{{\"a\": \"\\\\u0000\"}}' WHERE user_id = 7;"
                                 " UPDATE analytics_events SET event_data = '{{\"a\": \"\\u0000\"}}' WHERE id = (SELECT min(id::text)::uuid FROM analytics_events)", "1 rows have \\u0000 in event_data"),
    "users that are text": ("DROP VIEW external_events CASCADE; ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_user_id_fkey, ALTER COLUMN user_id TYPE text", "column user_id is text"),
    "times without zone": ("DROP VIEW external_events CASCADE; ALTER TABLE analytics_events ALTER COLUMN created_at TYPE timestamp", "--time-zone"),
    "rows without time": ("ALTER TABLE analytics_events ALTER COLUMN created_at DROP NOT NULL; UPDATE analytics_events SET created_at = NULL WHERE user_id = 7", "have no created_at"),
    "times beyond": ("UPDATE analytics_events SET created_at = 'infinity' WHERE user_id = 7", "years ahead"),
    "long sessions": ("ALTER TABLE analytics_events ALTER COLUMN session_id TYPE text; UPDATE analytics_events SET session_id = repeat('s', 256) WHERE user_id = 7", "255"),
    "a name of ours": ("CREATE TABLE analytics_events_2020_01 ()", "analytics_events_2020_01 has a name"),
    "no key": ("ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_pkey", "ADD PRIMARY KEY (id)"),
    "another key": ("CREATE UNIQUE INDEX own ON analytics_events (id, session_id)", "own keeps"),
    "statistics that are a view": ("CREATE VIEW analytics_daily_stats AS SELECT 1 AS date", "analytics_daily_stats is a view"),
    "a column that numbers its rows": ("ALTER TABLE analytics_events ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY", "ALTER COLUMN n DROP IDENTITY"),
    "a policy of another table": ("CREATE TABLE notes (event uuid); CREATE POLICY own ON notes USING (event IN (SELECT id FROM external_events))", "policy own on table public.notes names public.external_events"),
    "a rule of another table": ("CREATE TABLE notes (name text); CREATE RULE own AS ON INSERT TO notes DO ALSO INSERT INTO analytics_events (event_name, event_category) VALUES (NEW.name, 'usage')",
                                "rule own on table public.notes names public.analytics_events"),
    "a default that names the table": ("CREATE TABLE notes (source regclass DEFAULT 'analytics_events'::regclass)", "default value for column source of table public.notes"),
    "a row type of a view in use": ("CREATE FUNCTION f() RETURNS SETOF external_events LANGUAGE sql AS 'SELECT * FROM external_events'", "function public.f() uses the row type of public.external_events"),
    "a foreign key to the statistics": (STATISTICS + "; CREATE TABLE notes (date date, name varchar, FOREIGN KEY (date, name) REFERENCES analytics_daily_stats)", "DROP CONSTRAINT notes_date_name_fkey"),
    "row security of the statistics": (STATISTICS + "; ALTER TABLE analytics_daily_stats ENABLE ROW LEVEL SECURITY", "public.analytics_daily_stats has row security"),
    "a trigger on the statistics": (STATISTICS + "; CREATE TRIGGER own BEFORE UPDATE ON analytics_daily_stats FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "trigger own of public.analytics_daily_stats"),
    "a publication of the statistics": (STATISTICS + "; CREATE PUBLICATION s_{} FOR TABLE analytics_daily_stats", "DROP TABLE public.analytics_daily_stats"),
    "a view on what our statistics have not": (STATISTICS + "; ALTER TABLE analytics_daily_stats ADD COLUMN extra int; CREATE VIEW extras AS SELECT extra FROM analytics_daily_stats",
                                               "on view public.extras reads column extra of analytics_daily_stats"),
    "a function that does so": (STATISTICS + "; ALTER TABLE analytics_daily_stats ADD COLUMN extra int; CREATE FUNCTION extras() RETURNS bigint RETURN (SELECT sum(extra) FROM analytics_daily_stats)",
                                "function public.extras() reads column extra"),
    "a row type in use": ("CREATE FUNCTION f(analytics_events) RETURNS int LANGUAGE sql AS 'SELECT 1'", "f(public.analytics_events)"),
    "ids that are numbers": ("ALTER TABLE analytics_events DROP COLUMN id CASCADE; ALTER TABLE analytics_events ADD COLUMN id SERIAL PRIMARY KEY", "--ids-become-uuid"),
}


def test_what_stops_it_is_named_with_what_to_do(old):
    """Each alone, in a copy of one database; and nothing was changed then."""
    site, _ = old(1_000, **{"rollups.dir": ""})
    name = site.database.value("SELECT current_database()")
    for number, (what, (statements, named)) in enumerate(STOPS.items()):
        database = site.stack.make_database(f"{name}-{number}", template=name)
        database.run(statements.format(number))
        dsn = ("--set", f"postgres.dsn={database.dsn}")
        plan = adopt(site, "--plan", *dsn, code=2)
        assert named in plan.out, (what, plan)
        refused = adopt(site, *dsn, code=2)
        assert named in refused.err and "nothing was changed" in refused.err, (what, refused)
        assert database.value(LEFT) == 0, what
        site.stack.drop_database(database)


def test_numbers_for_ids_and_times_of_a_zone(old):
    """Ids become the UUIDs that tallymill.adopted_id says, times are read in the zone that was given, changes of both kinds of rows are followed."""
    site, application = old(10)
    site.database.run(f"""
        DROP TABLE analytics_events CASCADE;
        SET ROLE {application.owner};
        CREATE TABLE analytics_events (id SERIAL PRIMARY KEY, event_name TEXT NOT NULL, session_id UUID, user_id INT, event_data JSON, is_internal BOOLEAN, created_at TIMESTAMP NOT NULL, "Odd, name" TEXT);
        INSERT INTO analytics_events (event_name, user_id, event_data, created_at, "Odd, name") VALUES
          ('summer', 1, '{{"a": 1}}', '2026-07-01 01:30', 'x'), ('winter', 2, NULL, '2026-01-01 00:30', NULL), ('gone', 3, '{{}}', '2026-03-01', NULL)""")
    assert "--ids-become-uuid" in adopt(site, "--time-zone", "Europe/Berlin", code=2).err
    assert "no time zone" in adopt(site, "--time-zone", "Europe/Bonn", "--ids-become-uuid", code=2).err
    adopt(site, "--time-zone", "Europe/Berlin", "--ids-become-uuid")
    assert site.database.rows("SELECT event_name, user_id, event_data, is_internal, created_at AT TIME ZONE 'UTC' = %s, id = tallymill.adopted_id(1) FROM analytics_events"
                              " WHERE event_name = 'summer'", "2026-06-30 23:30") == [("summer", 1, {"a": 1}, False, True, True)]
    assert site.database.value("SELECT event_data::text || (created_at AT TIME ZONE 'UTC')::text FROM analytics_events WHERE event_name = 'winter'") == "{}2025-12-31 23:30:00"
    assert site.database.value("""SELECT "Odd, name" FROM analytics_events WHERE user_id = 1""") == "x"
    assert site.database.value("SELECT substr(tallymill.adopted_id(7)::text, 15, 1) || count(DISTINCT tallymill.adopted_id(n)) FROM generate_series(1, 1000) n") == "81000"
    site.database.run("DELETE FROM analytics_events WHERE event_name = 'gone'; UPDATE analytics_events SET is_internal = true WHERE event_name = 'winter'")
    misfit = site.database.value("INSERT INTO analytics_events (event_name, session_id, user_id, created_at) VALUES ('new', 'no uuid', 5000000000, '2026-07-02 00:00+02') RETURNING id::text")
    assert f"{misfit}: session_id is no UUID, user_id is too large for integer" in adopt(site, "--undo", code=2).err
    site.database.run("UPDATE analytics_events SET session_id = '{AB1b2c3d00112233445566778899aabb}', user_id = 5 WHERE event_name = 'new'")
    adopt(site, "--undo")
    assert site.database.rows("SELECT id, event_name, session_id::text, user_id, event_data::text, is_internal, created_at::text FROM analytics_events ORDER BY id") == [
        (1, "summer", None, 1, '{"a": 1}', None, "2026-07-01 01:30:00"), (2, "winter", None, 2, "{}", True, "2026-01-01 00:30:00"),
        (4, "new", "ab1b2c3d-0011-2233-4455-66778899aabb", 5, "{}", False, "2026-07-02 00:00:00")]


def test_a_damaged_copy_is_noticed_before_the_swap(old):
    site, _ = old(2_000, build="check")
    killed = site.start("tallymill", "adopt", failpoint="adopt_replay:exit")
    assert killed.wait(DEADLINE) == 86, killed.log()
    site.database.run("UPDATE tallymill_adopt.analytics_events SET ip_address = '198.51.100.1' WHERE id = (SELECT id FROM analytics_events LIMIT 1)")
    damaged = adopt(site, code=1)
    assert "DIFFERENT" in damaged.err and "nothing was swapped" in damaged.err, damaged
    assert site.database.value("SELECT relkind FROM pg_class WHERE oid = 'analytics_events'::regclass") == "r"
    emptied = site.database.value("SELECT count(*) FROM analytics_events")
    with pytest.raises(Exception, match="cannot be emptied"):
        site.database.run("TRUNCATE analytics_events")
    assert site.database.value("SELECT count(*) FROM analytics_events") == emptied
    adopt(site, "--abandon")


def test_a_long_reader_holds_it_up_and_nobody_else(old):
    """Who reads the old table in a long transaction keeps the locks away; writers go on meanwhile, for nobody queues behind us for long."""
    site, application = old(1_000)
    with application.connect() as cursor, Writer(application, seed=3) as writer:
        cursor.execute("BEGIN; SELECT count(*) FROM analytics_events")
        program = site.start("tallymill", "adopt", name="held")
        wait_until(lambda: site.database.value("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted") > 0, 30, "it to wait for the table")
        written = len(writer.known)
        wait_until(lambda: len(writer.known) > written + 50 or writer.failed, 60, "the writer to go on")
        assert program.is_running()
        cursor.execute("COMMIT")
        assert program.wait(DEADLINE) == 0, program.log()
    writer.assert_kept()


def test_what_workers_stored_is_not_taken_back_unasked(old):
    site, _ = old(1_000)
    adopt(site)
    assert site.tallymill("migrate").code == 0
    assert site.produce("--generate", "100", "--seed", "1", "--days", "1").code == 0
    site.drain()
    refused = site.tallymill("adopt", "--undo")
    assert refused.code != 0 and "--with-stored" in refused.err, refused
    adopt(site, "--undo", "--with-stored")
    assert site.database.value("SELECT count(*) FROM analytics_events") == 1_100
