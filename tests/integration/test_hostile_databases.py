"""Databases that others have put constraints, triggers, rules and types of their own into: one event that they refuse costs one event, and a worker never spins in silence."""

import pytest

from .harness.monitor import Monitor
from .harness.publisher import event, events, now_us
from .harness.waiting import wait_until


def details(site):
    return [detail for (detail,) in site.database.rows("SELECT detail FROM tallymill.dead_letters WHERE reason = 'refused' ORDER BY topic_partition, kafka_offset")]


def assert_refused(site, stored, refused, *words):
    """So many events are stored and so many kept as refused, each with a detail that holds the words; and the books are right."""
    assert site.outcomes()[0] == stored and site.reasons() == ({"refused": refused} if refused else {})
    assert [detail for detail in details(site) if not all(word in detail for word in words)] == []
    site.fold()
    site.assert_holds()


def plant_trigger(site, body, when="BEFORE", table="analytics_events", level="ROW", condition="event_name = 'login'", name="theirs"):
    """A trigger as an administrator may add one, which does `body` for the events (or statements) that satisfy the condition."""
    condition = f"IF NEW.{condition} THEN {body} END IF;" if level == "ROW" and condition else body
    site.database.run(f"""
        CREATE OR REPLACE FUNCTION public.{name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN {condition} RETURN {"NEW" if when == "BEFORE" and level == "ROW" else "NULL"}; END $$;
        CREATE OR REPLACE TRIGGER {name} {when} INSERT ON {table} FOR EACH {level} EXECUTE FUNCTION public.{name}()""")


def mixed(count, places):
    """`count` events of the last seconds in order, each of a session of its own; a login at the places, else a signup."""
    start = now_us() - count
    return [event("login" if number in places else "signup", created_us=start + number, session_id=f"s{number}") for number in range(count)]


def this_month(site):
    site.fold()  # makes it
    return site.database.value("SELECT 'analytics_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")


# ---- constraints ----

def test_a_unique_index_of_somebody_else_costs_the_events_that_violate_it(make_site):
    """Across batches and inside one; of two events in one batch the later is refused, whatever part of the batch each is in."""
    site = make_site(partitions=1)
    leaf = this_month(site)
    site.database.run(f"CREATE UNIQUE INDEX theirs ON {leaf} (session_id)")
    made = mixed(1000, ())
    made[700]["session_id"] = made[100]["session_id"]
    made[701]["session_id"] = made[699]["session_id"]
    site.send(made)
    worker = site.drain()
    assert_refused(site, 998, 2, "23505", "theirs")
    assert site.database.rows("SELECT kafka_offset FROM tallymill.dead_letters ORDER BY 1") == [(700,), (701,)]
    site.send([event(session_id="s5")] + made[:300])  # theirs, and ours beside it
    site.drain()
    assert site.outcomes() == (998, 300, 3, 0)
    assert_refused(site, 998, 3, "23505", "theirs")


def test_a_unique_constraint_on_the_parent_is_not_taken_for_our_key(make_site):
    """One that is named like ours, and one that is checked at COMMIT only."""
    site = make_site(partitions=1)
    site.database.run("""
        CREATE UNIQUE INDEX analytics_events_theirs_pkey ON analytics_events (session_id, created_at, event_name);
        ALTER TABLE analytics_events ADD CONSTRAINT theirs UNIQUE (user_id, created_at) DEFERRABLE INITIALLY DEFERRED""")
    made = mixed(400, ())
    for number, one in enumerate(made):
        one["user_id"] = number
    made[200] = {**made[10], "id": made[200]["id"], "user_id": 200}
    made[399] = {**made[398], "id": made[399]["id"], "session_id": "another"}
    site.send(made)
    site.drain()
    assert_refused(site, 398, 2, "23505")


def test_a_violation_that_shows_at_commit_only_costs_its_event(make_site):
    """As Django makes its foreign keys, and a constraint trigger; two events refused by each."""
    site = make_site(partitions=1)
    site.database.run("""
        CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users SELECT generate_series(1, 100);
        GRANT SELECT ON users TO PUBLIC;
        ALTER TABLE analytics_events ADD CONSTRAINT to_users FOREIGN KEY (user_id) REFERENCES users DEFERRABLE INITIALLY DEFERRED;
        CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN IF NEW.event_name = 'login' THEN RAISE EXCEPTION 'no login' USING ERRCODE = 'P0077'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON analytics_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()""")
    made = mixed(600, (3, 599))
    for number, one in enumerate(made):
        one["user_id"] = 101 if number in (300, 301) else number % 100 + 1
    site.send(made)
    site.drain()
    assert_refused(site, 596, 4)
    assert sorted(detail[:5] for detail in details(site)) == ["23503", "23503", "P0077", "P0077"]


def test_an_event_that_only_an_event_behind_it_makes_good_is_no_refused_one(make_site):
    site = make_site(partitions=1)
    site.database.run("""
        CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.event_name = 'login' AND NOT EXISTS (SELECT FROM analytics_events WHERE event_name = 'session_start' AND session_id = NEW.session_id) THEN
            RAISE EXCEPTION 'a login without a session' USING ERRCODE = 'P0077';
          END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON analytics_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()""")
    made = mixed(400, (20, 30))
    made[390] = event("session_start", session_id="s20")
    site.send(made)
    site.drain()
    assert_refused(site, 399, 1, "P0077")
    assert site.database.value("SELECT kafka_offset FROM tallymill.dead_letters") == 30


def test_whatever_rule_refuses_an_event_the_others_are_stored(make_site):
    """A domain, a generated column, a CHECK, the function of an index, an exclusion, and a unique index on an expression, side by side in one table."""
    site = make_site(partitions=1)
    leaf = this_month(site)
    site.database.run(f"""
        CREATE DOMAIN word AS varchar(255) COLLATE "C" CHECK (VALUE <> 's101');
        ALTER TABLE analytics_events ADD COLUMN their_word word GENERATED ALWAYS AS (session_id) STORED;
        ALTER TABLE analytics_events ADD COLUMN their_number integer GENERATED ALWAYS AS (10 / (CASE WHEN session_id = 's102' THEN 0 ELSE 1 END)) STORED;
        ALTER TABLE analytics_events ADD CONSTRAINT theirs CHECK (event_data IS NULL OR session_id <> 's103');
        CREATE FUNCTION theirs(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
          BEGIN IF $1 = 's104' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END IF; RETURN true; END $$;
        CREATE INDEX theirs ON analytics_events (theirs(session_id));
        ALTER TABLE {leaf} ADD CONSTRAINT alone EXCLUDE USING btree (session_id WITH =);
        ALTER TABLE analytics_events ADD COLUMN tenant text NOT NULL DEFAULT 'one';
        CREATE UNIQUE INDEX ON {leaf} (tenant, (CASE WHEN session_id IN ('s105', 's106') THEN 1 END))""")
    made = mixed(300, ())
    made[299]["session_id"] = "s0"
    site.send(made)
    site.drain()
    assert_refused(site, 294, 6)
    assert sorted(detail[:5] for detail in details(site)) == ["22012", "23505", "23514", "23514", "23P01", "XX000"]


# ---- triggers ----

# Of every class that Postgres has, one code: what the server itself would say, or a trigger's author.
CLASSES = ("02000", "03000", "08006", "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "20000", "21000", "22012", "22P04", "22023", "23505", "23514", "24000",
           "25006", "26000", "27000", "28000", "2B000", "2D000", "2F000", "34000", "38000", "39000", "3B000", "3D000", "3F000", "40001", "40P01", "42501", "42601", "42P01", "42883",
           "44000", "53100", "54000", "55P03", "55000", "57014", "58030", "F0000", "HV000", "P0001", "P0002", "P0004", "TM001", "TM004", "TM005", "XX000", "72000", "U1234")


def test_a_trigger_that_refuses_an_event_costs_that_event_with_whatever_sqlstate(make_site):
    site = make_site(partitions=1)
    site.database.run("""
        CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.event_data ? 'code' THEN RAISE EXCEPTION USING ERRCODE = NEW.event_data->>'code', MESSAGE = 'their trigger'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER theirs BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION theirs()""")
    made = mixed(1200, ())
    for number, code in enumerate(CLASSES):
        made[number * 20]["event_data"] = {"code": code}
    site.send(made)
    site.drain(deadline=180)
    assert_refused(site, 1200 - len(CLASSES), len(CLASSES))
    assert sorted(detail[:5] for detail in details(site)) == sorted(CLASSES)


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_an_error_of_the_server_inside_a_trigger_is_the_triggers(make_site, when):
    site = make_site(partitions=1)
    site.database.run("CREATE FUNCTION look(text) RETURNS integer LANGUAGE plpgsql AS $$ DECLARE found integer; BEGIN SELECT 1 INTO STRICT found WHERE false; RETURN 1; END $$")
    plant_trigger(site, "IF NEW.session_id = 's5' THEN PERFORM look('x'); ELSE PERFORM no_such_function(NEW.session_id); END IF;", when)
    site.send(mixed(200, (5, 6)))
    site.drain()
    assert_refused(site, 198, 2)
    assert sorted(detail[:5] for detail in details(site)) == ["42883", "P0002"]


def test_a_row_that_a_trigger_keeps_out_is_a_refused_one_on_both_ways(make_site):
    site = make_site(partitions=1)
    plant_trigger(site, "RETURN NULL;")
    made = mixed(1000, (7, 500, 999))
    site.send(made)
    site.drain()
    assert_refused(site, 997, 3, "a trigger kept the row out")
    site.send(made[:100] + [event("login"), event("signup")])  # by ON CONFLICT
    site.drain()
    assert site.outcomes() == (998, 99, 5, 0)
    assert_refused(site, 998, 5, "a trigger kept the row out")


def test_a_row_that_a_trigger_takes_away_at_commit_is_a_refused_one(make_site):
    site = make_site(partitions=1)
    site.database.run("""
        CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM analytics_events WHERE id = NEW.id AND event_name = 'login'; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON analytics_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()""")
    site.send(mixed(200, (5, 100)))
    site.drain()
    assert_refused(site, 198, 2, "takes the row away")
    assert site.tallymill("audit").code == 0


def test_a_trigger_that_swallows_everything_stops_the_worker(make_site):
    site = make_site(partitions=1)
    plant_trigger(site, "RETURN NULL;", condition="")
    site.send(events(500))
    worker = site.worker()
    assert worker.wait(60) == 3, worker.log()[-2000:]
    assert "a trigger kept the row out" in worker.log() and site.outcomes() == (0, 0, 0, 0)


def test_a_refusal_that_no_search_repeats_is_waited_out_loudly_and_not_at_full_speed(make_site):
    """A trigger for each statement that only large ones meet: no row by itself is to blame."""
    site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0"})
    site.database.run("""
        CREATE FUNCTION many() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF (SELECT count(*) FROM fresh) > 100 THEN RAISE EXCEPTION 'session s17 is too much' USING ERRCODE = 'P0099', CONSTRAINT = 'their_rule'; END IF; RETURN NULL; END $$;
        CREATE TRIGGER many AFTER INSERT ON analytics_events REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION many()""")
    site.send(mixed(500, ()))
    worker = site.worker()
    monitor = Monitor(worker)
    answer = monitor.wait_for_health(503, 60)
    wait_until(lambda: "P0099" in monitor.health()[1].get("reason", ""), 60, lambda: f"/health to say why: {monitor.health()}")
    assert "their_rule" in monitor.health()[1]["reason"], answer
    wait_until(lambda: worker.log().count("batch not stored") > 3, 60, "four lines about it")
    assert "sqlstate=P0099" in worker.log() and "constraint=\"their_rule\"" in worker.log()
    assert "s17" not in worker.log(), "what a trigger says may quote the row"
    shown = site.must("tallymill", "status").out
    assert "P0099" in shown and "their_rule" in shown, shown
    tries = site.database.value("SELECT last_value FROM tallymill.batch_ids")
    assert tries < 60, "back-off, not full speed"
    assert site.outcomes() == (0, 0, 0, 0)
    site.database.run("DROP TRIGGER many ON analytics_events")
    site.wait_until_drained()
    monitor.wait_for_health(200, 60)
    assert worker.stop() == 0
    assert "P0099" not in site.must("tallymill", "status").out
    assert_refused(site, 500, 0)


AGAINST_INSERTS = {
    "a rule": "CREATE TABLE copies (id uuid); CREATE RULE theirs AS ON INSERT TO analytics_events DO ALSO INSERT INTO copies VALUES (NEW.id)",
    "a deferrable twin of the key": "ALTER TABLE analytics_events ADD CONSTRAINT twin UNIQUE (id, created_at) DEFERRABLE INITIALLY DEFERRED",
}


@pytest.mark.parametrize("what", AGAINST_INSERTS)
def test_events_that_come_again_are_duplicates_where_the_table_takes_no_on_conflict(make_site, what):
    """A handful of them, which could be taken for a handful of bad ones; and one that is refused is found among them."""
    site = make_site(partitions=1)
    site.fold()
    site.database.run(f"{AGAINST_INSERTS[what]}; ALTER TABLE analytics_events ADD CONSTRAINT no_logout CHECK (event_name <> 'logout')")
    made = [event("login", session_id=f"s{number}") for number in range(20)]
    site.send(made)
    worker = site.worker()
    site.wait_until_drained()
    for refused in (0, 1, 1):
        site.send(made[:5] + mixed(5, ()) + [event("logout")] * refused + [event("login")])
        site.wait_until_drained()
    assert worker.stop() == 0
    assert site.outcomes() == (38, 15, 2, 0), worker.log()
    assert worker.log().count("takes no INSERT ... ON CONFLICT") == 1
    assert_refused(site, 38, 2, "23514", "no_logout")


def test_a_trigger_that_holds_up_every_statement_buries_no_event(make_site):
    """Of a handful of events, each of which is refused by itself too."""
    site = make_site(partitions=1)
    site.fold()
    plant_trigger(site, "RAISE EXCEPTION 'closed until six' USING ERRCODE = 'P0097';", level="STATEMENT")
    site.send(mixed(20, ()))
    worker = site.worker()
    wait_until(lambda: worker.log().count("even without a row") >= 3, 60, lambda: f"the worker to wait:\n{worker.log()}")
    assert "sqlstate=P0097" in worker.log() and "theirs()" in worker.log() and "closed until six" not in worker.log()
    assert worker.is_running() and site.reasons() == {}
    site.database.run("DROP TRIGGER theirs ON analytics_events")
    site.wait_until_drained()
    assert worker.stop() == 0
    assert_refused(site, 20, 0)


def test_what_the_server_says_in_passing_goes_through_the_log(make_site):
    """An event that reaches a trigger's NOTICE writes no line of its own; at level debug the words are there, on one line."""
    site = make_site(partitions=1)
    site.database.run("""
        CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'seen %', coalesce(to_jsonb(NEW)->>'session_id', to_jsonb(NEW)->>'event_name'); RETURN NEW; END $$;
        CREATE TRIGGER say BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION say();
        CREATE TRIGGER say BEFORE INSERT OR UPDATE ON analytics_daily_stats FOR EACH ROW EXECUTE FUNCTION say();
        CREATE TRIGGER say BEFORE INSERT ON tallymill.gaps FOR EACH ROW EXECUTE FUNCTION say();""")
    forged = 'x"\nts=2026-01-01T00:00:00.000Z level=error msg="forged" a="'
    site.send([event(session_id=forged), *events(50)])
    worker = site.drain()
    assert "forged" not in worker.log() and "WARNING" not in worker.log(), worker.log()
    aggregator = site.aggregator("--once")
    assert aggregator.wait(60) == 0 and "WARNING" not in aggregator.log(), aggregator.log()
    site.send([event(session_id=forged)])
    talking = site.worker("--until-end", "--set", "log.level=debug", name="debug")
    assert talking.wait(60) == 0
    (line,) = [line for line in talking.log().splitlines() if "forged" in line]
    assert line.startswith("ts=20") and "level=debug" in line and 'msg="Postgres says"' in line and "sqlstate=\"01000\"" in line
    site.send([event() for _ in range(5)])
    end = site.end_offsets()[0]
    reset = site.must("tallymill", "reset", "--at", f"0:{end}", "--yes")
    assert "WARNING" not in reset.err + reset.out


# ---- dead letters ----

def test_a_detail_is_cut_at_a_character(make_site):
    """Whatever its length: the cut falls into each byte of a character once."""
    site = make_site(partitions=1)
    plant_trigger(site, "RAISE EXCEPTION '%', left('abcd', (NEW.session_id)::integer % 4) || repeat('\U0001F600', 100);")
    made = mixed(400, (0, 1, 2, 3))
    for number, one in enumerate(made):
        one["session_id"] = str(number)
    site.send(made)
    site.drain()
    assert_refused(site, 396, 4, "P0001", "\U0001F600")


def test_a_dead_letter_that_postgres_refuses_makes_the_worker_wait_and_say_so(make_site):
    """Refused with an error, and kept out by a trigger that answers NULL."""
    site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0"})
    site.publisher.send_bytes(b"\xc1")
    site.publisher.flush()
    plant_trigger(site, "RAISE EXCEPTION 'no dead letters' USING ERRCODE = 'P0098';", table="tallymill.dead_letters", condition="", name="no_dead")
    worker = site.worker()
    monitor = Monitor(worker)
    for words in ("P0098", "a trigger keeps the others out"):
        wait_until(lambda words=words: "dead_letters" in (reason := monitor.health()[1].get("reason", "")) and words in reason, 60,
                   lambda: f"/health to say why: {monitor.health()}\n{worker.log()}")
        plant_trigger(site, "RETURN NULL;", table="tallymill.dead_letters", condition="", name="no_dead")
    assert worker.log().count("batch not stored") > 3
    assert worker.is_running() and site.outcomes() == (0, 0, 0, 0)
    assert site.database.value("SELECT last_value FROM tallymill.batch_ids") < 60, "back-off, not full speed"
    site.database.run("DROP TRIGGER no_dead ON tallymill.dead_letters")
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.reasons() == {"format": 1}


def test_a_claim_that_cannot_be_made_is_told_too(make_site):
    site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0"})
    plant_trigger(site, "RAISE EXCEPTION 'held up' USING ERRCODE = '55P03';", table="tallymill.owners", condition="", name="held_up")
    worker = site.worker()
    monitor = Monitor(worker)
    wait_until(lambda: "reading cannot begin" in (reason := monitor.health()[1].get("reason", "")) and "55P03" in reason, 60, lambda: monitor.health())
    assert "held up" in site.must("tallymill", "status").out
    site.database.run("DROP TRIGGER held_up ON tallymill.owners")
    monitor.wait_for_health(200)
    assert "held up" not in site.must("tallymill", "status").out
    site.send(events(100))
    site.wait_until_drained()
    assert worker.stop() == 0


# ---- months ----

def test_every_month_of_a_batch_is_made_however_often_they_change(make_site):
    site = make_site(partitions=1, **{"window.oldest": "120 months", "batch.max_rows": 10_000})
    now = now_us()
    ages = [0, 1, 2] * 1700 + [40, 3, 80]  # 5,100 changes of month, then some that come once
    site.send([event(created_us=now - age * 31 * 86_400_000_000) for age in reversed(ages)])
    site.drain()
    assert site.outcomes() == (len(ages), 0, 0, 0)
    site.fold()
    site.assert_holds()
