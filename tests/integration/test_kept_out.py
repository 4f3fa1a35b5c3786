"""Triggers and rules of somebody else that keep our own books from being written: nothing is lost, and who stands in the way is named.

A program meets one after the other, and goes on each time: a process and a database for each would take most of the time.
"""

import itertools

import pytest

from .harness.publisher import event, events
from .harness.waiting import wait_until

SEEDS = itertools.count(1)


def plant(site, table, when="INSERT", answer="NULL", change="", condition="true"):
    """A BEFORE trigger `theirs` that answers so."""
    site.database.run(f"""
        CREATE OR REPLACE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF {condition} THEN {change} RETURN {answer}; END IF; RETURN coalesce(NEW, OLD); END $$;
        CREATE TRIGGER theirs BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION public.theirs()""")


def drop(site, table):
    site.database.run(f"DROP TRIGGER theirs ON {table}")


def take_away(site, table):
    """It is there, and does not fire any more."""
    site.database.run(f"ALTER TABLE {table} DISABLE TRIGGER theirs")


def assert_named(text, table, what="trigger theirs (function public.theirs())"):
    assert what in text and table in text, text


def must_name(program, since, table, what="trigger theirs"):
    """Waits until the program's log has named who stands in the way, since it had so many characters."""
    wait_until(lambda: what in program.log()[since:] and table in program.log()[since:], 90, lambda: f"the {what} on {table} to be named:\n{program.log()[since:][-3000:]}")
    assert program.is_running()


def rows(site):
    return site.database.value("SELECT count(*) FROM analytics_events")


def send(site, count):
    site.send(events(count, seed=next(SEEDS), days=3))


def begin_again(site, program):
    """Ends its connection: a worker claims its topic partitions again, and so writes owners; an aggregator takes the lead again."""
    site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{program}'")


def test_a_worker_waits_for_whoever_keeps_its_books_from_being_written(make_site):
    site = make_site(partitions=1)
    plant(site, "tallymill.clusters")
    send(site, 200)
    worker = site.worker()
    must_name(worker, 0, "tallymill.clusters")
    since = len(worker.log())
    plant(site, "tallymill.owners")
    take_away(site, "tallymill.clusters")
    must_name(worker, since, "tallymill.owners")
    assert rows(site) == 0
    drop(site, "tallymill.owners")
    site.wait_until_drained()
    for table, when, answer, change in (
            ("tallymill.batches", "INSERT", "NULL", ""), ("tallymill.batches", "INSERT", "NEW", "NEW.anchor_hash := NULL; NEW.anchor_offset := NULL;"),
            ("tallymill.owners", "UPDATE", "NULL", ""), ("tallymill.owners", "UPDATE", "OLD", "")):
        since, before = len(worker.log()), rows(site)
        plant(site, table, when, answer, change)
        if table == "tallymill.owners":
            begin_again(site, "tallymill-consumer")
        send(site, 200)
        must_name(worker, since, table)
        assert_named(worker.log()[since:], table)
        assert rows(site) == before, (table, when, answer)
        take_away(site, table)
        site.wait_until_drained()
        drop(site, table)
    since, before = len(worker.log()), rows(site)
    site.database.run("CREATE RULE theirs AS ON INSERT TO tallymill.batches DO INSTEAD NOTHING")
    send(site, 200)
    must_name(worker, since, "tallymill.batches", "rule theirs")
    assert rows(site) == before
    site.database.run("ALTER TABLE tallymill.batches DISABLE RULE theirs")
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.outcomes() == (1200, 0, 0, 0)
    site.fold()
    site.assert_holds()


@pytest.mark.parametrize("when, level", [("BEFORE", "ROW"), ("AFTER", "ROW"), ("AFTER", "STATEMENT")])
def test_a_worker_waits_for_whoever_takes_its_dead_letters_elsewhere(make_site, when, level):
    """To another place, and to a table of theirs: neither an error nor a row count tells."""
    site = make_site(partitions=1)
    does = {"BEFORE": "NEW.kafka_offset := NEW.kafka_offset + 1000000; RETURN NEW;",
            "AFTER": "INSERT INTO public.letters SELECT * FROM tallymill.dead_letters WHERE kafka_offset % 2 = 0;"
                     " DELETE FROM tallymill.dead_letters WHERE kafka_offset % 2 = 0; RETURN NULL;"}
    site.database.run(f"""
        CREATE TABLE public.letters (LIKE tallymill.dead_letters);
        CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does[when]} END $$;
        CREATE TRIGGER theirs {when} INSERT ON tallymill.dead_letters FOR EACH {level} EXECUTE FUNCTION public.theirs()""")
    send(site, 20)
    for number in range(5):
        site.publisher.send_bytes(b"\xc1%d" % number)
    site.publisher.flush()
    worker = site.worker()
    must_name(worker, 0, "tallymill.dead_letters")
    assert_named(worker.log(), "tallymill.dead_letters")
    assert rows(site) == 0 and site.database.value("SELECT count(*) FROM public.letters") == 0
    take_away(site, "tallymill.dead_letters")
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.outcomes() == (20, 0, 5, 0)
    site.fold()
    site.assert_holds()


LAST_MONTH = "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass"
AGGREGATORS = [  # the first is met by the first fold alone
    ("tallymill.folded", "INSERT", "NULL"), ("tallymill.folded", "UPDATE", "OLD"), ("tallymill.changes", "INSERT OR UPDATE", "NULL"),
    ("tallymill.leader", "UPDATE", "OLD"), ("tallymill.days", "INSERT OR UPDATE", "NULL"), ("tallymill.months", "INSERT", "NULL"),
    ("public.analytics_daily_stats", "INSERT", "NULL"), ("public.analytics_daily_stats", "UPDATE", "OLD"),
]


def test_an_aggregator_writes_nothing_beside_what_is_kept_out(make_site):
    site = make_site(partitions=2)
    send(site, 300)
    site.drain()
    worker, aggregator = site.worker(), None
    for number, (table, when, answer) in enumerate(AGGREGATORS):
        since = len(aggregator.log()) if aggregator else 0
        plant(site, table, when, answer)
        send(site, 200)
        site.send([event(name=f"new-{number}", session_id="one more")])
        if table == "tallymill.months":
            site.database.run(f"DROP TABLE {site.database.value(LAST_MONTH)}")  # which is made anew
        if table == "tallymill.days":
            site.database.run("INSERT INTO analytics_events (event_name, session_id) VALUES ('login', 'by hand')")  # whose day is rebuilt
        if table == "tallymill.leader":
            begin_again(site, "tallymill-aggregator")
        if aggregator and table == "tallymill.months":  # looked after at the start, and once an hour
            assert aggregator.stop() == 0
            aggregator, since = None, 0
        aggregator = aggregator or site.aggregator()
        must_name(aggregator, since, table.replace("public.", ""))
        assert_named(aggregator.log()[since:], table.replace("public.", ""))
        take_away(site, table)
        site.wait_until_drained()
        site.wait_until_folded()
        drop(site, table)
        done = site.tallymill("verify")
        assert done.code == 0, (table, when, answer, done)
    assert aggregator.stop() == 0 and worker.stop() == 0
    site.assert_holds()


UNIQUES = [("BEFORE", "RETURN NULL;"), ("BEFORE", "NEW.keys := NEW.keys + 1; RETURN NEW;"),
           ("AFTER", "DELETE FROM public.analytics_daily_uniques u WHERE (u.subject, u.kind, u.population, u.date) = (NEW.subject, NEW.kind, NEW.population, NEW.date);"
                     " RETURN NULL;")]


def test_uniques_of_a_day_are_not_called_counted_while_their_rows_are_kept_out(make_site):
    site = make_site(partitions=1, **{"uniques.subjects": ""})
    for when, does in UNIQUES:
        site.database.run(f"""
            CREATE OR REPLACE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does} END $$;
            CREATE TRIGGER theirs {when} INSERT ON public.analytics_daily_uniques FOR EACH ROW EXECUTE FUNCTION public.theirs()""")
        send(site, 50)
        site.drain()
        aggregator = site.aggregator()
        must_name(aggregator, 0, "analytics_daily_uniques")
        assert aggregator.stop() == 0
        drop(site, "public.analytics_daily_uniques")
        site.fold()
        done = site.tallymill("verify", "--strict")
        assert done.code == 0, (when, does, done)


def test_a_command_says_that_what_it_was_to_write_is_not_there(make_site):
    site = make_site(partitions=1)
    site.send([*events(20), event(event_name="")])
    site.drain()
    reset, retire = ("reset", "--at", "0:25", "--yes"), ("topic", "retire", site.topic, "--yes")
    for table, when, answer, words in (
            ("tallymill.clusters", "UPDATE", "NULL", retire), ("tallymill.owners", "UPDATE", "NULL", retire),
            ("tallymill.dead_letters", "UPDATE", "OLD", ("dlq", "replay")), ("tallymill.dead_letters", "UPDATE", "NULL", ("dlq", "discard", "0:20", "--yes")),
            ("tallymill.gaps", "INSERT", "NULL", reset), ("tallymill.owners", "UPDATE", "OLD", reset)):
        if words is reset:
            site.send(events(30, seed=4))  # which are given up
        plant(site, table, when, answer)
        done = site.tallymill(*words)
        assert done.code == 1, (table, words, done)
        assert_named(done.err, table)
        drop(site, table)
    assert site.positions() == {0: 21} and site.database.value("SELECT retired_at IS NULL FROM tallymill.clusters")


@pytest.mark.parametrize("answer", ["NULL", "OLD"])
def test_old_dead_letters_that_stay_full_are_told_once_an_hour(make_site, answer):
    site = make_site(partitions=1, **{"dead_letters.keep": "1 day"})
    site.send([event(event_name="") for _ in range(30)])
    site.drain()
    site.database.run("UPDATE tallymill.dead_letters SET dead_at = dead_at - interval '2 days'")
    plant(site, "tallymill.dead_letters", "UPDATE", answer)
    aggregator = site.aggregator("--once")
    assert aggregator.wait(60) == 0, aggregator.log()
    assert_named(aggregator.log(), "tallymill.dead_letters")
    assert aggregator.log().count("could not be emptied") == 1
    drop(site, "tallymill.dead_letters")
    site.fold()
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE emptied_at IS NOT NULL AND message_value IS NULL") == 30


@pytest.mark.parametrize("where", ["the parent", "a month", "a part of a month"])
def test_statistics_are_those_of_the_rows_that_a_trigger_made(make_site, where):
    """Session, user, name and is_internal are other ones in the table than in the log."""
    site = make_site(partitions=1)
    site.send([event()])
    site.drain()
    site.fold()
    table = site.database.value("SELECT tableoid::regclass::text FROM analytics_events")
    bounds = site.database.value("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = %s::regclass", table)
    if where == "the parent":
        table = "analytics_events"
    elif where == "a part of a month":
        site.database.run(f"""
            ALTER TABLE analytics_events DETACH PARTITION {table}; ALTER TABLE {table} RENAME TO away;
            CREATE TABLE {table} PARTITION OF analytics_events {bounds} PARTITION BY HASH (id);
            CREATE TABLE part PARTITION OF {table} FOR VALUES WITH (MODULUS 1, REMAINDER 0);
            INSERT INTO part SELECT * FROM away; DROP TABLE away""")
        table = "part"
    plant(site, table, change="""NEW.session_id := 'other'; NEW.user_id := 7; NEW.event_name := 'renamed';
                                 NEW.is_internal := hashtext(NEW.id::text) % 2 = 0;""", answer="NEW")
    site.send([event(session_id=f"s{number}") for number in range(300)])
    site.drain()
    assert site.database.value("SELECT count(*) FROM tallymill.deltas") == 0
    site.fold()
    assert site.database.value("SELECT count(*) FROM analytics_daily_stats WHERE event_name = 'renamed'") > 0
    done = site.tallymill("verify")
    assert done.code == 0, done


ROLLUP = """-- One row a day: how many events it had.
-- target: analytics_daily_counted
-- key: date
-- cadence: 1 s
SELECT count(*) AS events FROM tallymill.day_events;
"""


def rollup_site(make_site, tmp_path):
    folder = tmp_path / "rollups"
    folder.mkdir()
    (folder / "counted.sql").write_text(ROLLUP)
    return make_site(partitions=1, **{"rollups.dir": folder})


@pytest.mark.parametrize("table, when, answer, change", [
    ("public.analytics_daily_counted", "INSERT", "NEW", "NEW.events := NEW.events + 1;"),
    ("public.analytics_daily_counted", "UPDATE", "OLD", ""),
    ("tallymill.rollup_runs", "UPDATE", "OLD", ""),
], ids=lambda value: value.replace("tallymill.", "").replace("public.", "").replace(" ", "-"))
def test_a_rollup_is_not_called_up_to_date_while_its_rows_are_kept_out(make_site, tmp_path, table, when, answer, change):
    site = rollup_site(make_site, tmp_path)
    send(site, 100)
    site.drain()
    if when != "INSERT":
        site.fold()
    plant(site, table, when, answer, change)
    send(site, 50)
    site.drain()
    aggregator = site.aggregator()
    said = lambda: aggregator.log() + str(site.database.rows("SELECT error FROM tallymill.rollup_runs WHERE error IS NOT NULL"))
    wait_until(lambda: "trigger theirs" in said() and table.split(".")[1] in said(), 90, said)
    assert aggregator.is_running()
    take_away(site, table)
    site.database.run("UPDATE tallymill.rollup_runs SET failed_at = failed_at - interval '1 hour'")  # a query that failed is tried again ten minutes later
    wait_until(lambda: site.tallymill("verify", "--strict").code == 0, 90, lambda: site.tallymill("verify", "--strict"))
    assert aggregator.stop() == 0


def test_migrate_says_that_a_definition_was_kept_out(make_site, tmp_path):
    site = rollup_site(make_site, tmp_path)
    folder = tmp_path / "rollups"
    for change in ((folder / "more.sql", ROLLUP.replace("counted", "more")), (folder / "counted.sql", ROLLUP.replace("1 s", "2 s"))):
        plant(site, "tallymill.rollups", "INSERT OR UPDATE", "CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE OLD END")
        change[0].write_text(change[1])
        done = site.tallymill("migrate")
        assert done.code == 1 and "trigger theirs" in done.err and "tallymill.rollups" in done.err, done
        drop(site, "tallymill.rollups")
        assert site.tallymill("migrate").code == 0
    (folder / "more.sql").unlink()
    plant(site, "tallymill.rollups", "UPDATE", "OLD")
    done = site.tallymill("migrate", "--retire", "more")
    assert done.code == 1 and "trigger theirs" in done.err and "tallymill.rollups" in done.err, done
    drop(site, "tallymill.rollups")
    assert site.tallymill("migrate", "--retire", "more").code == 0


@pytest.mark.parametrize("answer, change", [("NULL", ""), ("NEW", "NEW.checksum := 'x';")], ids=["NULL", "changed"])
def test_migrate_leaves_nothing_of_a_migration_that_it_cannot_note(make_site, answer, change):
    """By an event trigger, as an auditing tool plants its triggers on every new table."""
    site = make_site(migrate=False)
    site.database.run(f"""
        CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {change} RETURN {answer}; END $$;
        CREATE FUNCTION public.on_table() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
          IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.object_identity = 'tallymill.schema_version' AND c.command_tag = 'CREATE TABLE') THEN
            CREATE TRIGGER theirs BEFORE INSERT ON tallymill.schema_version FOR EACH ROW EXECUTE FUNCTION public.theirs();
          END IF; END $$;
        CREATE EVENT TRIGGER on_table ON ddl_command_end EXECUTE FUNCTION public.on_table()""")
    done = site.tallymill("migrate")
    assert done.code == 1 and "trigger theirs" in done.err and "tallymill.schema_version" in done.err, done
    assert site.database.value("SELECT to_regclass('tallymill.schema_version') IS NULL")
    site.database.run("DROP EVENT TRIGGER on_table; DROP FUNCTION public.theirs() CASCADE")
    assert site.tallymill("migrate").code == 0
    send(site, 20)
    site.drain()
    site.fold()
    site.assert_holds()


@pytest.mark.parametrize("answer", ["NULL", "OLD"])
def test_rebuild_says_that_its_mark_was_kept_out(make_site, answer):
    site = make_site(partitions=1)
    send(site, 20)
    site.drain()
    site.fold()
    plant(site, "tallymill.days", "UPDATE" if answer == "OLD" else "INSERT OR UPDATE", answer)
    day = site.database.value("SELECT min(date) FROM analytics_daily_stats")
    done = site.tallymill("rebuild", "--no-wait", day)
    assert done.code == 1, done
    assert_named(done.err, "tallymill.days")
    assert site.database.value("SELECT count(*) FROM tallymill.days WHERE dirty_since IS NOT NULL") == 0
