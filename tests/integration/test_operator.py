"""`tallymill audit`, `verify`, `status` and `migrate` against planted damage: each kind is found, named by its place, and exits 1.

The books are written by SQL (operator_books.sql) as workers and an aggregator would have left them, so these tests need
neither, and a damage is one statement.
"""

import concurrent.futures
import copy
import json
import os
import pathlib
import re
import socket
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from psycopg2 import extensions

from faults.wire import Wire

from .harness.program import run, binary
from .harness.publisher import events
from .harness.site import Site
from .harness.stack import psql
from .harness.waiting import wait_until

BOOKS = pathlib.Path(__file__).with_name("operator_books.sql").read_text(encoding="utf-8")
UNREAD = 8


def write_books(site):
    """Fills a new site's topic and database."""
    for partition, count in ((0, 65), (1, 40), (2, 3)):
        for number in range(count):
            site.publisher.send_bytes(b"\xc0", str(number), partition)
    site.publisher.flush()
    cluster = AdminClient({"bootstrap.servers": site.stack.bootstrap}).list_topics(timeout=30).cluster_id
    site.database.run(BOOKS.format(topic=site.topic, cluster=cluster))


@pytest.fixture(scope="module", name="whole")
def fixture_whole(stack, tmp_path_factory):
    """A site whose books are whole; Kafka holds a little more than they cover. Tests work on copies of its database."""
    site = Site(stack, tmp_path_factory.mktemp("whole"))
    write_books(site)
    yield site
    site.close()


@pytest.fixture(name="books")
def fixture_books(whole, tmp_path):
    """The whole books in a database of this test's own, with the settings that lead there; the topic is shared."""
    name = conninfo(whole.database)["dbname"]
    copied = copy.copy(whole)
    copied.database = whole.stack.make_database(f"{name}_copy", template=name)
    copied.folder = tmp_path
    copied.settings = tmp_path / "settings.ini"
    copied.settings.write_text(whole.settings.read_text().replace(whole.database.dsn, copied.database.dsn))
    yield copied
    whole.stack.drop_database(copied.database)


def conninfo(database):
    return extensions.parse_dsn(database.dsn)


def damage(site, statement):
    """Runs a statement that no program of ours would."""
    site.database.run(statement.replace("TOPIC", site.topic))


def finds(site, command, *pieces):
    """The command exits 1, one line of damage holds all the pieces, and the last two say where to go on, and the verdict."""
    done = site.tallymill(*command)
    assert done.code == 1, done
    lines = [line for line in done.out.splitlines() if line.startswith("  DAMAGE")]
    assert any(all(piece in line for piece in pieces) for line in lines), (pieces, done)
    *_, go_on, verdict = done.out.splitlines()
    assert verdict.startswith("DAMAGED"), done
    assert "docs/runbooks/audit.md" in go_on and f"tallymill audit --deep --config {site.settings}" in go_on, done
    return done


def holds(site, *command):
    done = site.tallymill(*command)
    assert done.code == 0, done
    assert done.out.splitlines()[-1].startswith("OK") and "runbooks" not in done.out, done
    return done


def nowhere():
    """A setting that leads to a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ("--set", f"kafka.bootstrap.servers=127.0.0.1:{probe.getsockname()[1]}")


def delete_records(site, partition, before):
    """What retention does: Kafka forgets the offsets below `before`. Needs Kafka's own tool; this client cannot ask for it."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    (jars,) = cache.glob("tallymill/kafka-*/libs")
    wish = site.folder / "delete.json"
    wish.write_text(json.dumps({"version": 1, "partitions": [{"topic": site.topic, "partition": partition, "offset": before}]}))
    login = site.folder / "client.properties"
    login.write_text("".join(f"{name}={value}\n" for name, value in site.stack.client_of_java().items()))
    done = run(["java", "-cp", f"{jars}/*", "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", site.stack.bootstrap,
                "--command-config", str(login), "--offset-json-file", str(wish)])
    assert done.code == 0 and f"low_watermark: {before}" in done.out, done


# audit

def test_whole_books_pass_the_audit_and_every_figure_is_shown(books):
    done = holds(books, "audit", "--deep")
    figures = [" ".join(line.split()) for line in done.out.splitlines()]
    for figure in ("offsets consumed 100", "= stored 86", "+ duplicates 1", "+ dead letters 1", "+ skipped 2", "+ gaps 10"):
        assert any(line.startswith(figure) for line in figures), (figure, done)
    assert f"{UNREAD} are still to be read" in figures[-1] and "10 of them were gone from Kafka" in figures[-1], done


def test_the_audit_answers_programs_in_json(books):
    done = books.tallymill("audit", "--json")
    answer = json.loads(done.out)
    assert done.code == 0 and answer["verdict"] == "ok" and answer["damages"] == [] and answer["unread"] == UNREAD
    assert answer["rows_counted"] == 86
    (topic,) = answer["topics"]
    assert topic["topic"] == books.topic and topic["consumed"] == 100 and topic["gaps"] == 10
    damage(books, "DELETE FROM tallymill.gaps")
    done = books.tallymill("audit", "--json")
    answer = json.loads(done.out)
    assert done.code == 1 and answer["verdict"] == "damaged"
    (hole,) = answer["damages"]
    assert hole["kind"] == "hole" and hole["topic_partition"] == 1
    assert (hole["first_offset"], hole["next_offset"]) == (20, 30)


@pytest.mark.parametrize("statement, pieces", [
    ("DELETE FROM tallymill.gaps", ("topic partition 1, offsets 20 to 29", "no outcome")),
    ("DELETE FROM tallymill.batches WHERE first_offset = 0 AND topic_partition = 0",
     ("topic partition 0, offsets 0 to 29", "no outcome", "the start")),
    ("UPDATE tallymill.gaps SET next_offset = 35", ("topic partition 1, offsets 30 to 34", "batch 3", "two outcomes")),
    ("DELETE FROM tallymill.owners WHERE topic_partition = 1", ("topic partition 1", "tallymill.owners does not list it")),
    ("ALTER TABLE tallymill.batches DROP CONSTRAINT batches_cover_offsets;"
     "UPDATE tallymill.batches SET skipped = 3 WHERE batch_id = 3",
     ("topic partition 1, offsets 30 to 39, batch 3", "10 offsets, but 8 stored + 0 duplicates + 0 dead letters + 3 skipped = 11")),
    ("DELETE FROM analytics_events WHERE batch_id = 2 AND created_at = (SELECT max(created_at) FROM analytics_events WHERE batch_id = 2)",
     ("topic partition 0, offsets 30 to 59, batch 2", "says 30 rows are stored, 29 were counted")),
    ("DELETE FROM analytics_events WHERE batch_id = 1",
     ("batch 1", "says 48 rows are stored, 0 were counted", "topic partition 0 offsets 0 to 29, topic partition 1 offsets 0 to 19")),
    ("INSERT INTO analytics_events (event_name, created_at, batch_id) VALUES ('login', '2026-03-02 01:00Z', 3)",
     ("batch 3", "says 8 rows are stored, 9 were counted")),
    ("UPDATE analytics_events SET batch_id = 3 WHERE id = (SELECT id FROM analytics_events WHERE batch_id = 2 LIMIT 1)",
     ("batch 2", "29 were counted")),
    ("UPDATE analytics_events SET batch_id = 99 WHERE batch_id = 3", ("batch 99", "8 rows belong to no batch of the ledger")),
    ("DELETE FROM tallymill.dead_letters", ("topic partition 0, offsets 0 to 29, batch 1", "says 1 dead letters, 0 were counted")),
    ("INSERT INTO tallymill.dead_letters (topic, topic_partition, kafka_offset, reason, batch_id) VALUES ('TOPIC', 0, 8, 'utf8', 1)",
     ("topic partition 0, offsets 0 to 29, batch 1", "says 1 dead letters, 2 were counted")),
    ("UPDATE tallymill.dead_letters SET kafka_offset = 63", ("topic partition 0, offset 63", "no batch covers")),
    ("UPDATE tallymill.dead_letters SET batch_id = 2", ("topic partition 0, offset 7", "says batch 2, but the offset belongs to batch 1")),
    ("ALTER TABLE analytics_events DETACH PARTITION analytics_events_2026_03", ("month 2026-03", "not part of analytics_events")),
    ("ALTER TABLE tallymill.batches DROP CONSTRAINT batches_pkey", ("tallymill.batches", "no valid primary key")),
    ("ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_pkey", ("analytics_events_2026_03", "no valid primary key")),
    ("INSERT INTO tallymill.batches VALUES (4, 4, 'TOPIC', 0, 60, 70, 0, 0, 0, 10, '{}')",
     ("topic partition 0, offsets 65 to 69", "log ends at 65")),
    ("INSERT INTO tallymill.owners (topic, topic_partition) VALUES ('TOPIC', 9);"
     "INSERT INTO tallymill.batches VALUES (4, 4, 'TOPIC', 9, 0, 1, 0, 0, 0, 1, '{}')",
     ("topic partition 9", "Kafka has only 4 topic partitions")),
    ("UPDATE tallymill.batches SET anchor_offset = 59, anchor_hash = decode(repeat('00', 16), 'hex') WHERE batch_id = 2",
     ("topic partition 0, offset 59", "another message stands where the last stored one was")),
    ("UPDATE tallymill.clusters SET cluster_id = 'another'", ("another", "offsets of two clusters do not compare")),
])
def test_the_audit_names(books, statement, pieces):
    damage(books, statement)
    finds(books, ("audit",), *pieces)


@pytest.mark.parametrize("statement, pieces", [
    ("UPDATE tallymill.batches SET days = '{2026-03-02}' WHERE topic_partition = 0 AND batch_id = 1;"
     "UPDATE tallymill.batches SET days = '{2026-03-02}' WHERE topic_partition = 1 AND batch_id = 1",
     ("batch 1, day 2026-03-01", "40 rows", "does not name for this batch")),
    ("ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_pkey;"
     "UPDATE analytics_events SET (id, created_at) = (SELECT id, created_at FROM analytics_events WHERE batch_id = 3 LIMIT 1)"
     " WHERE batch_id = 3", ("day 2026-03-02", "stored 8 times")),
])
def test_the_deep_audit_names(books, statement, pieces):
    damage(books, statement)
    finds(books, ("audit", "--deep"), *pieces)


def test_the_audit_names_every_damage_at_once(books):
    damage(books, "DELETE FROM tallymill.gaps; DELETE FROM tallymill.dead_letters; DELETE FROM analytics_events WHERE batch_id = 3")
    done = finds(books, ("audit",), "offsets 20 to 29")
    assert "0 were counted" in done.out and "says 1 dead letters" in done.out and "3 problems" in done.out.splitlines()[-1], done


def test_rows_that_were_removed_on_purpose_are_no_damage(books):
    damage(books, "DELETE FROM analytics_events WHERE batch_id IN (2, 3);"
                  "INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)"
                  " VALUES ('2026-03-01', 'TOPIC', 2, 3, 38, 'erased')")
    holds(books, "audit")
    damage(books, "UPDATE tallymill.removals SET rows = 37")
    finds(books, ("audit",), "batch 2", "says 1 rows are stored, 0 were counted (batches up to 3)")


def test_a_merged_ledger_is_audited_by_its_intervals(books):
    damage(books, "DELETE FROM tallymill.batches WHERE topic_partition = 0;"
                  "INSERT INTO tallymill.batches VALUES (1, 2, 'TOPIC', 0, 0, 60, 58, 1, 1, 0, '{2026-03-01,2026-03-02}');"
                  "UPDATE tallymill.batches SET last_batch_id = 2 WHERE batch_id = 1")
    holds(books, "audit", "--deep")
    damage(books, "DELETE FROM analytics_events WHERE batch_id = 2 AND event_name = 'login'")
    finds(books, ("audit",), "batch 1", "says 78 rows are stored, 68 were counted (batches up to 2)")


def test_what_kafka_deleted_before_it_was_read_is_noted_but_no_damage(site):
    write_books(site)
    damage(site, "UPDATE tallymill.batches SET anchor_offset = 39, anchor_hash = decode(repeat('00', 16), 'hex') WHERE batch_id = 3")
    delete_records(site, 0, 63)
    delete_records(site, 1, 40)
    done = holds(site, "audit")
    assert any("topic partition 1" in line and "at offset 39, is gone from Kafka" in line for line in done.out.splitlines()), done
    assert any("topic partition 0" in line and "no longer has offsets 60 to 62" in line for line in done.out.splitlines()), done
    assert f"{UNREAD - 3} are still to be read" in done.out, done


# verify

def test_whole_statistics_pass(books):
    assert "2 days" in holds(books, "verify").out
    assert "1 days" in holds(books, "verify", "2026-03-02").out
    answer = json.loads(books.tallymill("verify", "--json").out)
    assert answer == {"set_aside": [], "differences": [], "damages": [], "days": 2, "pending_rows": 0, "verdict": "ok",
                      "rollups_set_aside": [], "rollups": {"compared": 0, "set_aside": 0},
                      "uniques_set_aside": [], "uniques": {"days": 0, "set_aside": 0, "ranges": 0}}


@pytest.mark.parametrize("statement, pieces", [
    ("UPDATE analytics_daily_stats SET event_count = event_count + 1 WHERE date = '2026-03-01' AND event_name = 'login'",
     ("2026-03-01 login: event_count is 13, should be 12",)),
    ("UPDATE analytics_daily_stats SET unique_sessions = 0 WHERE date = '2026-03-01' AND event_name = 'login'",
     ("2026-03-01 login: unique_sessions is 0, should be 10",)),
    ("UPDATE analytics_daily_stats SET unique_users = 99 WHERE date = '2026-03-02' AND event_name = 'error'",
     ("2026-03-02 error: unique_users is 99, should be 7",)),
    ("DELETE FROM analytics_daily_stats WHERE date = '2026-03-02' AND event_name = 'signup'",
     ("2026-03-02 signup: event_count is missing, should be 2",)),
    ("INSERT INTO analytics_daily_stats VALUES ('2026-03-05', 'login', 1, 1, 1)",
     ("2026-03-05 login: event_count is 1, should be not there",)),
    ("DELETE FROM analytics_daily_stats WHERE date = '2026-03-01'; DELETE FROM tallymill.days WHERE day = '2026-03-01'",
     ("2026-03-01 page_view: event_count is missing",)),
    ("UPDATE analytics_events SET event_name = 'login' WHERE event_name = 'signup'", ("2026-03-02 signup: event_count is 2, should be not there",)),
    ("UPDATE tallymill.folded SET next_offset = 70 WHERE topic_partition = 0", ("topic partition 0, offsets 60 to 69", "ledger ends at 60")),
    ("UPDATE tallymill.folded SET next_offset = 50 WHERE topic_partition = 0", ("topic partition 0, offsets 30 to 59, batch 2", "inside a batch")),
    ("UPDATE tallymill.folded SET next_offset = 0 WHERE topic_partition = 1", ("topic partition 1, batch 1", "still to come")),
])
def test_verify_names(books, statement, pieces):
    damage(books, statement)
    finds(books, ("verify",), *pieces)


def test_verify_looks_only_at_the_days_it_was_asked_for(books):
    damage(books, "UPDATE analytics_daily_stats SET event_count = 0 WHERE date = '2026-03-01'")
    holds(books, "verify", "2026-03-02..")
    finds(books, ("verify", "..2026-03-01"), "2026-03-01")
    refused = books.tallymill("verify", "2026-02-30")
    assert refused.code == 2 and "2026-02-30" in refused.err, refused


def test_batches_that_are_not_folded_yet_are_no_difference(books):
    damage(books, "INSERT INTO tallymill.batches VALUES (4, 4, 'TOPIC', 0, 60, 62, 2, 0, 0, 0, '{2026-03-02}');"
                  "INSERT INTO analytics_events (event_name, created_at, batch_id)"
                  " VALUES ('login', '2026-03-02 09:00Z', 4), ('brand_new', '2026-03-02 09:00Z', 4)")
    assert "2 newer rows are not in the statistics yet" in holds(books, "verify").out
    assert books.tallymill("verify", "--strict").code == 1 and books.tallymill("verify", "--strict", "2026-03-01").code == 0
    damage(books, "UPDATE tallymill.folded SET next_offset = 62 WHERE topic_partition = 0")
    finds(books, ("verify",), "2026-03-02 brand_new: event_count is missing, should be 1")


@pytest.mark.parametrize("statement, reason", [
    ("UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'late events' WHERE day = '2026-03-01'", "waits for a rebuild since"),
    ("UPDATE tallymill.months SET state = 'archived' WHERE month = '2026-03-01'", "its month is archived"),
    ("INSERT INTO analytics_events (event_name, created_at) VALUES ('signup', '2026-03-01 01:00Z')",
     "other programs have 1 rows there, the statistics have seen 0"),
])
def test_a_day_that_is_known_to_wait_is_set_aside_by_name(books, statement, reason):
    damage(books, statement)
    damage(books, "UPDATE analytics_daily_stats SET event_count = 0 WHERE date = '2026-03-01'")
    done = books.tallymill("verify")
    assert done.code == 0 and any("2026-03-01" in line and reason in line for line in done.out.splitlines()), done
    aside = json.loads(books.tallymill("verify", "--json").out)["set_aside"]
    assert any(entry["day"] == "2026-03-01" and reason in entry["reason"] for entry in aside)
    assert "of 2 days" in done.out.splitlines()[-1], done
    strict = books.tallymill("verify", "--strict")
    assert strict.code == 1 and strict.out.splitlines()[-1].startswith("SET ASIDE") and "of 2 days" in strict.out.splitlines()[-1], strict
    assert json.loads(books.tallymill("verify", "--strict", "--json").out)["verdict"] == "set aside"
    assert books.tallymill("verify", "--strict", "..2026-02-28").code == 0, "of what was asked for, all was compared"


def ends_while_it_waits(books, command, table):
    """How a command ends whose server process is ended in the middle, where it waits for a lock on the table."""
    with books.database.session() as locking:
        locking.autocommit = False
        locking.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        running = books.start("tallymill", *command, name="-".join(command))
        ended = ("SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                 " WHERE NOT l.granted AND l.relation = %s::regclass AND d.datname = current_database()")
        wait_until(lambda: books.database.value(ended, table), 30, f"{command} to wait for {table}")
        return running.wait(), running.log()


@pytest.mark.parametrize("command, table, statement", [
    ("audit", "tallymill.dead_letters", "DELETE FROM tallymill.gaps"),
    ("verify", "analytics_daily_stats", "UPDATE tallymill.folded SET next_offset = 70 WHERE topic_partition = 0"),
])
def test_a_server_that_goes_away_meanwhile_proves_nothing_but_damage_that_was_found_stays_damage(books, command, table, statement):
    code, log = ends_while_it_waits(books, (command,), table)
    assert code == 4 and "NOT PROVEN" in log, log
    damage(books, statement)
    code, log = ends_while_it_waits(books, (command,), table)
    assert code == 1 and "DAMAGED" in log, log
    code, log = ends_while_it_waits(books, (command, "--json"), table)
    assert code == 1 and '"verdict": "damaged"' in log and '"error"' in log, log


# status

def test_status_shows_where_everything_stands(books):
    done = books.tallymill("status")
    assert done.code == 0 and "worker-a" in done.out and "up to date with every stored row" in done.out, done
    assert "3 events lie in topic partitions that no worker has claimed yet" in done.out, done
    answer = json.loads(books.tallymill("status", "--json").out)
    assert [row["lag"] for row in answer["topic_partitions"]] == [5, 0] and answer["unclaimed_offsets"] == 3
    assert answer["totals"][0]["stored"] == 86 and answer["kafka"] == "reachable"
    assert [(day["day"], day["events"]) for day in answer["days"]] == [("2026-03-02", 44), ("2026-03-01", 36)]
    assert answer["topic_partitions"][0]["claimed_at"].endswith("Z")


def test_status_in_one_line_judges_the_lag(books):
    done = books.tallymill("status", "--brief")
    assert done.code == 0 and len(done.out.splitlines()) == 1 and done.out.startswith("lag 8; "), done
    for most, code in (("8", 0), ("7", 1), ("1 day", 0), ("0 s", 1)):
        done = books.tallymill("status", "--max-lag", most)
        assert done.code == code and len(done.out.splitlines()) == 1, done
    assert books.tallymill("status", "--max-lag", "much").code == 2
    assert books.tallymill("status", "--max-lag", "8", *nowhere()).code == 1, "nobody knows"


def test_status_says_what_stands_still_and_why(books):
    damage(books, "UPDATE tallymill.batches SET next_offset = 1000, skipped = skipped + 960 WHERE topic_partition = 1 AND first_offset = 30")
    done = books.tallymill("status")
    assert "topic partition 1: stopped: Kafka's log ends at 40, below what is stored" in done.out and "tallymill reset --at 1:40" in done.out, done
    damage(books, "UPDATE tallymill.clusters SET topic_id = 'another'")
    assert "stopped: the topic was made anew" in books.tallymill("status").out
    notes = [row["note"] for row in json.loads(books.tallymill("status", "--json").out)["topic_partitions"]]
    assert all("made anew" in note for note in notes), notes


def test_status_marks_an_owner_who_commits_nothing_while_something_old_waits(make_site):
    site = make_site(partitions=1)
    site.set_topic(message_timestamp_type="CreateTime")
    producer = Producer({**site.stack.client, "acks": "all"})

    def send(age_seconds):
        producer.produce(site.topic, b"\xc0", timestamp=int((time.time() - age_seconds) * 1000))
        assert producer.flush(30) == 0

    send(1200)
    site.drain()
    damage(site, "UPDATE tallymill.batches SET committed_at = now() - interval '1 hour'")
    assert "stands still" not in site.tallymill("status").out
    send(600)
    done = site.tallymill("status")
    assert re.search(r"topic partition 0: stands still: 1 events wait, and its owner \S+ has committed nothing for 60 min", done.out), done
    for most, code in (("5 min", 1), ("1 h", 0)):
        assert site.tallymill("status", "--max-lag", most).code == code, most
    site.drain()
    assert "stands still" not in site.tallymill("status").out


def test_status_says_which_topics_it_did_not_ask_for(books):
    damage(books, "INSERT INTO tallymill.owners (topic, topic_partition) VALUES ('another', 0)")
    done = books.tallymill("status")
    assert "not asked" in done.out and "tallymill status --topic another" in done.out, done
    done = books.tallymill("status", "--topic", books.topic)
    assert "another" not in done.out and "worker-a" in done.out, done


def test_status_says_how_many_dead_letters_wait_and_which_events_nobody_knows(books):
    damage(books, f"INSERT INTO analytics_daily_stats (date, event_name, event_count) VALUES ((now() AT TIME ZONE 'UTC')::date, 'no_such_event', 1234), "
                  f"((now() AT TIME ZONE 'UTC')::date, 'login', 9999)")
    done = books.tallymill("status")
    assert "1 (1 wait)" in done.out and "no_such_event 1,234" in done.out and "login 9,999" not in done.out, done
    answer = json.loads(books.tallymill("status", "--json").out)
    assert answer["totals"][0]["dead_letters_waiting"] == 1 and answer["unknown_events"] == [{"event_name": "no_such_event", "events": 1234}]
    damage(books, "UPDATE tallymill.dead_letters SET replayed_at = now()")
    assert "wait)" not in books.tallymill("status").out


def test_status_says_how_far_the_statistics_are_behind(books):
    damage(books, "UPDATE tallymill.folded SET next_offset = 30 WHERE topic_partition = 0;"
                  "UPDATE tallymill.days SET dirty_since = now() WHERE day = '2026-03-01'")
    done = books.tallymill("status")
    assert "30 rows stored and not yet counted" in done.out and "1 days wait for a rebuild, the newest: 2026-03-01" in done.out, done


def test_nothing_that_an_application_named_can_act_on_the_terminal(books):
    damage(books, "UPDATE tallymill.owners SET owner = E'evil\\x1b[2J\\nname' WHERE topic_partition = 0;"
                  "UPDATE analytics_daily_stats SET event_name = E'\\x1b]0;x\\x07' WHERE date = '2026-03-01' AND event_name = 'login'")
    for command in ("status", "verify"):
        done = books.tallymill(command)
        assert "\x1b" not in done.out and "\x07" not in done.out and "\\x1b" in done.out, done


# Kafka away

def test_without_kafka_nothing_claims_more_than_it_knows(books, make_site):
    new = make_site(migrate=False)
    away = nowhere()
    with concurrent.futures.ThreadPoolExecutor() as at_once:  # each waits for its own deadline
        audit, audit_json, status, status_json, migrate = [at_once.submit(site.tallymill, *words, *away).result for site, *words in (
            (books, "audit"), (books, "audit", "--json"), (books, "status"), (books, "status", "--json"), (new, "migrate"))]
    assert audit().code == 4 and audit().out.splitlines()[-1].startswith("NOT PROVEN"), audit()
    assert audit_json().code == 4 and json.loads(audit_json().out)["verdict"] == "not proven"
    assert "Kafka was not asked" in holds(books, "audit", "--no-kafka", *away).out
    assert status().code == 0 and "Kafka: unreachable" in status().out and "worker-a" in status().out, status()
    answer = json.loads(status_json().out)
    assert answer["kafka"] != "reachable" and answer["topic_partitions"][0]["lag"] is None
    assert migrate().code == 1 and "127.0.0.1" in migrate().err, migrate()
    assert new.tallymill("migrate").code == 0, "what was made stays, and the rest can follow"


# migrate, beyond test_migrate.py

@pytest.mark.parametrize("statement, named", [
    ("CREATE TABLE analytics_events (id uuid, created_at timestamptz)", "tallymill adopt"),
    ("CREATE TABLE analytics_events (id uuid, created_at timestamptz) PARTITION BY RANGE (created_at)", "not made by tallymill migrate"),
    ("CREATE TABLE analytics_daily_stats (date date)", "analytics_daily_stats"),
])
def test_migrate_leaves_tables_of_others_alone(make_site, statement, named):
    site = make_site(migrate=False)
    site.database.run(statement)
    refused = site.tallymill("migrate")
    assert refused.code == 2 and named in refused.err, refused
    assert site.database.value("SELECT to_regnamespace('tallymill') IS NULL")
    assert site.topic not in AdminClient({"bootstrap.servers": site.stack.bootstrap}).list_topics(timeout=30).topics


def test_migrate_says_which_rights_are_missing(make_site):
    site = make_site(migrate=False)
    site.database.run("DROP ROLE IF EXISTS it_nobody; CREATE ROLE it_nobody LOGIN")
    as_nobody = ("--set", f"postgres.dsn={site.database.dsn} user=it_nobody")
    refused = site.tallymill("migrate", *as_nobody)
    assert refused.code == 2 and "it_nobody" in refused.err and "superuser" in refused.err, refused
    assert site.tallymill("migrate").code == 0
    refused = site.tallymill("migrate", *as_nobody)
    assert refused.code == 2 and "GRANT tallymill_admin" in refused.err, refused


def test_the_owner_of_a_database_who_may_create_roles_can_migrate_it(make_site):
    """From 16 on with the GRANTs that he is told where another site's migration has made the roles (test_others_databases.py)."""
    site = make_site(migrate=False)
    name = site.database.value("SELECT current_database()")
    site.database.run("DROP ROLE IF EXISTS it_owner")
    site.database.run(f'CREATE ROLE it_owner LOGIN CREATEROLE; ALTER DATABASE "{name}" OWNER TO it_owner')
    as_owner = ("--set", f"postgres.dsn={site.database.dsn} user=it_owner")
    try:
        if site.database.value("SELECT current_setting('server_version_num')::integer >= 160000 AND to_regrole('tallymill_admin') IS NOT NULL"):
            site.database.run(" ".join(re.findall(r"GRANT \w+ TO it_owner WITH ADMIN TRUE, SET TRUE;", site.tallymill("migrate", *as_owner).err)))
        done = site.tallymill("migrate", *as_owner)
        assert done.code == 0, done
        assert site.tallymill("migrate", *as_owner).code == 0
    finally:
        site.database.run(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER; REVOKE tallymill_admin FROM it_owner CASCADE;'
                          "DROP OWNED BY it_owner; DROP ROLE it_owner")


def test_migrate_refuses_a_database_that_cannot_hold_every_character(make_site, stack):
    site = make_site(migrate=False)
    name = site.database.value("SELECT current_database()") + "_latin1"
    site.database.run(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        refused = site.tallymill("migrate", "--set", f"postgres.dsn={stack.database_dsn(name)}")
        assert refused.code == 2 and "LATIN1" in refused.err and "UTF8" in refused.err, refused
    finally:
        site.database.run(f'DROP DATABASE "{name}"')


def test_migrate_reports_what_it_did_and_what_it_would_do(make_site):
    site = make_site(migrate=False)
    schemas = pathlib.Path(__file__).parents[2] / "schemas"
    count = len(list((schemas / "sql").glob("[0-9]*.sql")))
    objects = len([*(schemas / "functions").glob("*.sql"), *(schemas / "views").glob("*.sql")])
    planned = site.tallymill("migrate", "--check")
    assert planned.code == 0 and f"{count} migrations to apply, {objects} functions and views to apply" in planned.out and "to be made" in planned.out, planned
    assert site.database.value("SELECT to_regnamespace('tallymill') IS NULL")
    done = site.tallymill("migrate", "--json")
    report = json.loads(done.out)
    assert done.code == 0 and done.err == "", done
    assert report["schema"]["applied"] == count and report["schema"]["objects"] == objects and report["topic"]["made"] and report["months"]["made"] == 4
    months = site.database.rows("SELECT month FROM tallymill.months ORDER BY 1")
    assert len(months) == 4
    again = site.tallymill("migrate")
    assert "nothing to do" in again.out and "0 of them made" in again.out, again


def test_migrate_can_leave_kafka_alone(make_site):
    site = make_site(migrate=False)
    done = site.tallymill("migrate", "--no-topic", *nowhere())
    assert done.code == 0 and "left alone" in done.out, done


def test_migrate_warns_of_a_topic_that_kafka_would_empty_early(make_site):
    site = make_site(migrate=False)
    admin = AdminClient({"bootstrap.servers": site.stack.bootstrap})
    admin.create_topics([NewTopic(site.topic, num_partitions=2, replication_factor=1)])[site.topic].result(30)
    done = site.tallymill("migrate")
    assert done.code == 0 and "message.timestamp.type is CreateTime" in done.err and "max.message.bytes" in done.err, done


def test_a_migration_that_fails_leaves_nothing_behind(make_site):
    site = make_site(migrate=False)
    site.database.run("CREATE SCHEMA tallymill")  # the first migration wants to make it
    refused = site.tallymill("migrate", "--no-topic")
    assert refused.code == 2 and "0001_roles.sql" in refused.err, refused
    assert site.database.value("SELECT to_regclass('public.analytics_events') IS NULL")


# the command itself

def test_every_command_has_help_of_its_own():
    for command in ("migrate", "status", "audit", "verify"):
        helped = run([binary("tallymill"), command, "--help"])
        assert helped.code == 0 and f"tallymill {command}" in helped.out and helped.err == "", helped


def test_a_command_may_stand_behind_the_settings(books):
    done = run([binary("tallymill"), "--config", str(books.settings), "audit", "--no-kafka"])
    assert done.code == 0, done


def test_check_says_that_all_is_in_order_and_does_nothing_else(books):
    for command in ("status", "audit", "verify"):
        done = books.tallymill(command, "--check")
        assert done.code == 0 and done.out.splitlines() == [done.out.strip()] and "in order" in done.out, done


def test_no_command_is_a_mistake_that_says_where_the_list_is():
    for words in ([], ["--set", "topics.events=x"]):
        refused = run([binary("tallymill"), *words])
        assert refused.code == 2 and "--help" in refused.err, refused
    refused = run([binary("tallymill"), "audit", "everything"])
    assert refused.code == 2 and "everything" in refused.err, refused


SETTINGS_OF_QUERIES = "; ".join(f"SET tallymill.{name} = '{value}'" for name, value in {
    "day": "2026-03-01", "first_day": "2026-03-01", "last_day": "2026-03-02", "month": "2026-03-01", "days": "{2026-03-01,2026-03-02}", "range_first": "2026-03-01",
    "range_last": "2026-03-02", "months_ahead": "3", "subject": "*", "kind": "session", "population": "external"}.items())


def test_the_queries_run_in_psql_as_they_stand(books):
    refused = []
    for query in sorted((pathlib.Path(__file__).parents[2] / "operator" / "sql").glob("*.sql")):
        text = query.read_text()
        if query.name.startswith("adopt_") or "FROM pg_stat_statements" in text:
            continue    # steps of an adoption, which change what they find; an extension that is not there
        is_parsed_alone = "$1" in text or "count_keys" in text    # with parameters; of a subject, of which there is none here
        how = ("-c", "PREPARE query AS " + text) if is_parsed_alone else ("-f", str(query))
        done = psql(books.database.dsn, "-c", SETTINGS_OF_QUERIES, *how)
        if done.code != 0:
            refused.append((query.name, done.err))
    assert not refused, "\n".join(map(str, refused))


def test_an_audit_of_a_thousand_topic_partitions_far_away_ends_within_its_promise(make_site):
    """5 ms each way to both servers: asked one after the other they would take ten seconds for one question each."""
    site = make_site(partitions=1000)
    for number, made in enumerate(events(2000)):
        site.publisher.send(made, number % 1000)
    site.publisher.flush()
    site.drain(120)
    site.fold()
    host, port = site.stack.kafka["bootstrap.servers"].split(":")
    server = extensions.parse_dsn(site.database.dsn)
    with Wire(host, port, kafka=site.stack) as kafka, Wire(server["host"], server["port"]) as postgres:
        kafka.delay_seconds = postgres.delay_seconds = 0.005
        site.connect_programs_by(extensions.make_dsn(site.database.dsn, port=postgres.port))
        audited = site.tallymill("audit", "--set", f"kafka.bootstrap.servers=127.0.0.1:{kafka.port}", deadline=10)
    assert audited.code == 0 and "2,000 offsets" in audited.out, audited
