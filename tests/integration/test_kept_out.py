"""Triggers and rules of somebody else that keep our own books from being written: nothing is lost, and who stands in the way is named."""

import pytest

from .harness.publisher import event, events
from .harness.waiting import wait_until


def plant(site, table, when="INSERT", answer="NULL", change="", condition="true"):
    """A BEFORE trigger `theirs` that answers so."""
    site.database.run(f"""
        CREATE OR REPLACE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF {condition} THEN {change} RETURN {answer}; END IF; RETURN coalesce(NEW, OLD); END $$;
        CREATE TRIGGER theirs BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION public.theirs()""")


def take_away(site, table):
    site.database.run(f"ALTER TABLE {table} DISABLE TRIGGER theirs")


def assert_named(text, table, what="trigger theirs (function public.theirs())"):
    assert what in text and table in text, text


WORKERS = [  # table, event, answer, change
    ("tallymill.batches", "INSERT", "NULL", ""),
    ("tallymill.batches", "INSERT", "NEW", "NEW.anchor_hash := NULL; NEW.anchor_offset := NULL;"),
    ("tallymill.owners", "INSERT", "NULL", ""),
    ("tallymill.owners", "UPDATE", "NULL", ""),
    ("tallymill.owners", "UPDATE", "OLD", ""),
    ("tallymill.clusters", "INSERT", "NULL", ""),
]


@pytest.mark.parametrize("table, when, answer, change", WORKERS, ids=lambda value: str(value).replace("tallymill.", "").replace(" ", ""))
def test_a_worker_waits_for_whoever_keeps_its_books_from_being_written(make_site, table, when, answer, change):
    site = make_site(partitions=1)
    plant(site, table, when, answer, change)
    site.send(events(200))
    worker = site.worker()
    wait_until(lambda: "trigger theirs" in worker.log(), 60, lambda: f"the trigger to be named:\n{worker.log()[-3000:]}")
    assert_named(worker.log(), table)
    assert site.database.value("SELECT count(*) FROM analytics_events") == 0 and worker.is_running()
    take_away(site, table)
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.outcomes() == (200, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_rule_that_takes_the_ledgers_rows_elsewhere_is_named(make_site):
    site = make_site(partitions=1)
    site.database.run("CREATE RULE theirs AS ON INSERT TO tallymill.batches DO INSTEAD NOTHING")
    site.send(events(50))
    worker = site.worker()
    wait_until(lambda: "rule theirs" in worker.log(), 60, lambda: f"the rule to be named:\n{worker.log()[-3000:]}")
    site.database.run("ALTER TABLE tallymill.batches DISABLE RULE theirs")
    site.wait_until_drained()
    assert worker.stop() == 0
    site.fold()
    site.assert_holds()


LAST_MONTH = "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass"
AGGREGATORS = [
    ("tallymill.folded", "INSERT", "NULL"), ("tallymill.folded", "UPDATE", "OLD"), ("tallymill.changes", "INSERT OR UPDATE", "NULL"),
    ("tallymill.leader", "UPDATE", "OLD"), ("tallymill.days", "INSERT OR UPDATE", "NULL"), ("tallymill.months", "INSERT", "NULL"),
    ("public.analytics_daily_stats", "INSERT", "NULL"), ("public.analytics_daily_stats", "UPDATE", "OLD"),
]


@pytest.mark.parametrize("table, when, answer", AGGREGATORS, ids=lambda value: value.replace("tallymill.", "").replace("public.", "").replace(" ", "-"))
def test_an_aggregator_writes_nothing_beside_what_is_kept_out(make_site, table, when, answer):
    site = make_site(partitions=2)
    site.send(events(300, days=3))
    site.drain()
    site.fold()
    plant(site, table, when, answer)
    site.send([*events(200, seed=5, days=3), event(session_id="one more")])
    site.drain()
    if table == "tallymill.months":
        site.database.run(f"DROP TABLE {site.database.value(LAST_MONTH)}")  # which is made anew
    if table == "tallymill.days":
        site.database.run("INSERT INTO analytics_events (event_name, session_id) VALUES ('login', 'by hand')")  # whose day is rebuilt
    aggregator = site.aggregator()
    wait_until(lambda: "trigger theirs" in aggregator.log(), 90, lambda: f"the trigger to be named:\n{aggregator.log()[-3000:]}")
    assert_named(aggregator.log(), table.replace("public.", ""))
    assert aggregator.is_running()
    take_away(site, table)
    site.wait_until_folded()
    assert aggregator.stop() == 0
    done = site.tallymill("verify")
    assert done.code == 0, done
    site.assert_holds()


@pytest.mark.parametrize("table, when, answer, command", [
    ("tallymill.gaps", "INSERT", "NULL", "reset"), ("tallymill.owners", "UPDATE", "OLD", "reset"), ("tallymill.clusters", "UPDATE", "NULL", "retire"),
    ("tallymill.owners", "UPDATE", "NULL", "retire"), ("tallymill.dead_letters", "UPDATE", "OLD", "replay"), ("tallymill.dead_letters", "UPDATE", "NULL", "discard"),
], ids=lambda value: value.replace("tallymill.", ""))
def test_a_command_says_that_what_it_was_to_write_is_not_there(make_site, table, when, answer, command):
    site = make_site(partitions=1)
    site.send([*events(20), event(event_name="")])
    site.drain()
    if command == "reset":
        site.send(events(30, seed=4))  # which are given up
    plant(site, table, when, answer)
    words = {"reset": ("reset", "--at", "0:25", "--yes"), "retire": ("topic", "retire", site.topic, "--yes"), "replay": ("dlq", "replay"),
             "discard": ("dlq", "discard", "0:20", "--yes")}[command]
    done = site.tallymill(*words)
    assert done.code == 1, done
    assert_named(done.err, table)


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
