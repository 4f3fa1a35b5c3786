"""tallymill erase: what is kept of a person goes, the books and the statistics stay right, and a receipt says what went and what could not be reached."""

import json

import msgpack
import pytest
from psycopg2 import extensions

from .harness.publisher import Publisher, event, events, instant, now_us
from .harness.waiting import wait_until
from .test_topic_identity import make_anew

DAY_US = 86_400_000_000
THEIRS = "user_id = 7 OR session_id = 's-7'"


def of_the_person(count, days=40, end_us=None):
    """Events over two months or three: some know the user, some only the session."""
    end_us = end_us or now_us() - 3_600_000_000
    return [event("login" if n % 2 else "doc_export", end_us - n * days * DAY_US // count, user_id=7 if n % 3 else None, session_id="s-7", event_data={"n": n}) for n in range(count)]


def rows_of_the_person(site):
    return site.database.value(f"SELECT count(*) FROM analytics_events WHERE {THEIRS}")


def must_hold(site):
    for words in (("audit", "--deep"), ("verify", "--strict")):
        done = site.tallymill(*words)
        assert done.code == 0, done


@pytest.fixture
def running(make_site):
    """A site whose worker and aggregator run, with other people's events."""
    site = make_site(partitions=2, **{"aggregator.interval": "50 ms"})
    site.send(events(600, days=40))
    site.running_worker = site.worker()
    site.aggregator()
    site.wait_until_drained()
    site.wait_until_folded()
    return site


def test_a_person_is_gone_from_months_dead_letters_and_the_backlog(running):
    site = running
    before = rows_of_the_person(site)
    site.database.run("INSERT INTO tallymill.first_seen VALUES (7, '2020-01-01'), (8, '2020-01-01'); INSERT INTO tallymill.first_seen_internal VALUES (7, '2020-01-01')")
    site.running_worker.freeze()
    site.send(of_the_person(120))
    site.publisher.send_bytes(b"\xc1", b"s-7")  # by its key
    site.publisher.send_bytes(msgpack.packb({"event_name": "login", "user_id": 7, "created_at": "yesterday"}), b"other")
    site.publisher.send_bytes(msgpack.packb({"event_name": "login", "user_id": "7"}), b"other")
    site.publisher.send_bytes(json.dumps({"event_name": "login", "session_id": "s-7"}).encode(), b"other")
    site.publisher.send_bytes(msgpack.packb({"event_name": "login", "user_id": 70, "created_at": "yesterday"}), b"other")  # somebody else
    site.publisher.send_bytes(b"\xc1 7", b"other")  # nobody knows
    site.publisher.flush()
    erase = site.start("tallymill", "erase", "--user", 7, "--session", "s-7", "--yes", "--json")
    wait_until(lambda: "messages are stored" in erase.log() or not erase.is_running(), 30, "erase to see what Kafka holds")
    site.running_worker.thaw()
    assert erase.wait(60) == 0, erase.log()
    receipt = json.loads(erase.log()[erase.log().index("{"):])
    assert rows_of_the_person(site) == 0
    assert sum(receipt["counts"]["rows"].values()) == 120 + before and (receipt["counts"]["dead_letters"], receipt["counts"]["first_seen"]) == (4, 1), receipt
    assert (receipt["users"], receipt["sessions"], receipt["receipt"], receipt["is_complete"]) == ([7], ["s-7"], 1, True)
    assert receipt["kafka_until"] > receipt["finished_at"] and any("1 dead letters cannot be read" in remark for remark in receipt["remarks"])
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE emptied_at IS NULL") == 2
    assert site.database.rows("SELECT user_id FROM tallymill.first_seen UNION ALL SELECT user_id FROM tallymill.first_seen_internal") == [(8,)]
    must_hold(site)
    again = json.loads(site.must("tallymill", "erase", "--user", 7, "--session", "s-7", "--json").out)
    assert again["counts"] == {} and again["receipt"] == 2 and again["before_hash"] == receipt["hash"]
    assert json.loads(site.must("tallymill", "erase", "--user", 3, "--dry-run", "--json").out)["rows"] == dict(site.database.rows(
        "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM'), count(*) FROM analytics_events WHERE user_id = 3 GROUP BY 1"))


def test_a_receipt_that_is_changed_or_taken_away_is_missed(make_site):
    site = make_site(partitions=1)
    site.send(events(50, days=1))
    site.drain()
    for user in (1001, 1002, 1003):
        site.must("tallymill", "erase", "--user", user, "--wait", 0)
    assert site.tallymill("audit").code == 0
    kept = "CREATE TABLE kept AS SELECT * FROM tallymill.erasures; CREATE TABLE kept_chain AS SELECT * FROM tallymill.erasure_chain"
    back = "TRUNCATE tallymill.erasures, tallymill.erasure_chain; INSERT INTO tallymill.erasures SELECT * FROM kept; INSERT INTO tallymill.erasure_chain SELECT * FROM kept_chain"
    site.database.run(kept)
    for damage, said in (("DELETE FROM tallymill.erasures WHERE receipt = 1", "receipts 1 to 1"), ("DELETE FROM tallymill.erasures WHERE receipt = 2", "receipts 2 to 2"),
                         ("DELETE FROM tallymill.erasures WHERE receipt = 3", "receipts 3 to 3"), ("DELETE FROM tallymill.erasures", "receipts 1 to 3"),
                         ("UPDATE tallymill.erasures SET users = '{8}' WHERE receipt = 2", "receipt 2"), ("UPDATE tallymill.erasures SET counts = '{}', hash = before_hash WHERE receipt = 3", "receipt 3"),
                         ("UPDATE tallymill.erasures e SET counts = '{\"rows\": {}, \"more\": 1}', hash = '' WHERE receipt = 1; "
                          "UPDATE tallymill.erasures e SET hash = tallymill.erasure_hash(e) WHERE receipt = 1", "receipt 2"),
                         ("DELETE FROM tallymill.erasure_chain", "head of the chain")):
        site.database.run(damage)
        audit = site.tallymill("audit")
        assert audit.code == 1 and "DAMAGE" in audit.out and said in audit.out, (damage, audit)
        site.database.run(back)
    assert site.tallymill("audit").code == 0


def test_nothing_goes_without_a_word_and_nothing_by_a_dry_run(make_site):
    site = make_site(partitions=1)
    site.send([*events(300, days=2), *of_the_person(30, days=1)])
    site.drain()
    before = site.database.value("SELECT count(*) FROM analytics_events")
    refused = site.tallymill("erase", "--user", 7)
    assert refused.code == 2 and "--yes" in refused.err, refused
    dry = site.must("tallymill", "erase", "--session", "s-7", "--dry-run")
    assert "would erase 30 events" in dry.out
    for words in ((), ("--user", "seven"), ("--user", ""), ("--session", ""), ("7",), ("--again", "--user", 7), ("--again",), ("--user", 7, "--wait", "long")):
        assert site.tallymill("erase", *words).code == 2, words
    assert site.database.value("SELECT count(*) FROM analytics_events") == before
    assert site.database.value("SELECT count(*) FROM tallymill.erasures") == 0
    for role in ("read", "aggregate", "ingest"):
        login = f"erase_{role}"
        site.database.run(f"DO $$ BEGIN CREATE ROLE {login} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT tallymill_{role} TO {login}")
        dsn = extensions.make_dsn(site.database.dsn, user=login)
        assert site.tallymill("erase", "--user", 7, "--yes", "--wait", 0, "--set", f"postgres.dsn={dsn}").code == 2, role
    assert site.database.value("SELECT count(*) FROM analytics_events") == before


def test_a_killed_erasure_is_gone_on_with_and_its_receipt_is_whole(running):
    site = running
    site.send(of_the_person(200))
    site.wait_until_drained()
    site.wait_until_folded()
    all_of_them = rows_of_the_person(site)
    for _ in range(3):
        killed = site.start("tallymill", "erase", "--user", 7, "--session", "s-7", "--yes")
        seen = site.database.value("SELECT count(*) FROM tallymill.removals")
        wait_until(lambda: not killed.is_running() or site.database.value("SELECT count(*) FROM tallymill.removals") > seen, 30, "the first rows to go")
        killed.kill()
        assert site.tallymill("audit").code == 0, "wherever it was killed, the books add up"
    site.must("tallymill", "erase", "--user", 7, "--session", "s-7", "--yes")
    counted = site.database.value("SELECT sum(n.value::bigint) FROM tallymill.erasures e, jsonb_each_text(e.counts -> 'rows') n")
    assert counted == all_of_them and rows_of_the_person(site) == 0
    must_hold(site)


def test_what_is_not_reached_is_named_and_the_exit_code_says_so(make_site):
    site = make_site(partitions=1, **{"window.oldest": "2025-01-01"})
    site.send([*of_the_person(20, days=1), event(created_us=instant("2025-02-10"), user_id=7), event(created_us=instant("2025-03-10"), user_id=7)])
    site.publisher.send_bytes(b"\xc1 s-7", b"other")
    site.publisher.flush()
    site.drain()
    site.fold()
    site.database.run("ALTER TABLE analytics_events DETACH PARTITION analytics_events_2025_02; UPDATE tallymill.months SET state = 'archived' WHERE month = '2025-02-01'")
    site.send([event(user_id=7)])  # nobody stores it
    done = site.tallymill("erase", "--user", 7, "--session", "s-7", "--yes", "--wait", 1)
    assert done.code == 1 and "2025-02" in done.err and "1 messages" in done.err and "--undecodable" in done.err and "NOT COMPLETE" in done.out, done
    assert "no aggregator leads" in done.err
    assert rows_of_the_person(site) == 0
    site.drain()
    emptied = site.tallymill("erase", "--user", 7, "--session", "s-7", "--yes", "--wait", 1, "--undecodable", "--json")
    assert json.loads(emptied.out)["counts"]["undecodable"] == 1 and emptied.code == 1
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE emptied_at IS NULL") == 0


def test_a_trigger_that_keeps_rows_from_going_is_named(running):
    site = running
    site.send(of_the_person(10, days=1))
    site.wait_until_drained()
    site.database.run("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
                      "CREATE TRIGGER keep_all BEFORE DELETE ON analytics_events FOR EACH ROW EXECUTE FUNCTION keep()")
    kept = site.tallymill("erase", "--session", "s-7", "--yes")
    assert kept.code == 1 and "keep_all" in kept.err, kept
    site.database.run("ALTER TABLE analytics_events DISABLE TRIGGER keep_all")
    site.must("tallymill", "erase", "--session", "s-7", "--yes")
    must_hold(site)


def test_after_a_restored_backup_the_receipts_are_applied_again(running, tmp_path):
    site = running
    site.send(of_the_person(30, days=2))
    site.wait_until_drained()
    site.database.run(f"CREATE TABLE backup AS SELECT * FROM analytics_events WHERE {THEIRS} OR user_id = 3")
    (tmp_path / "receipt.json").write_text(site.must("tallymill", "erase", "--user", 7, "--session", "s-7", "--yes", "--json").out)
    site.must("tallymill", "erase", "--user", 3, "--yes")
    # The rows of a backup, with books that know nothing of what was erased since: as other programs' rows, so that the ledger need not be turned back.
    site.database.run("UPDATE backup SET batch_id = NULL; INSERT INTO analytics_events SELECT * FROM backup; TRUNCATE tallymill.erasures, tallymill.erasure_chain; "
                      "INSERT INTO tallymill.erasure_chain (receipts, hash) VALUES (0, '')")
    site.must("tallymill", "erase", "--again", tmp_path / "receipt.json", "--yes")
    assert rows_of_the_person(site) == 0 and site.database.value("SELECT count(*) FROM analytics_events WHERE user_id = 3") > 0
    site.database.run(f"INSERT INTO analytics_events SELECT * FROM backup WHERE {THEIRS}")
    site.must("tallymill", "erase", "--again", "--yes")
    assert rows_of_the_person(site) == 0
    site.must("tallymill", "erase", "--user", 3, "--yes")
    must_hold(site)


def test_a_receipt_that_is_none_or_was_changed_is_refused(make_site, tmp_path):
    site = make_site(partitions=1)
    site.send(events(50, days=1))
    site.drain()
    receipt = json.loads(site.tallymill("erase", "--user", 1001, "--session", "täg\"lich, 's'", "--wait", 0, "--yes", "--json").out)
    file = tmp_path / "the receipt.json"
    before = site.database.value("SELECT count(*) FROM analytics_events"), site.database.value("SELECT count(*) FROM tallymill.erasures")
    for changed, said in (({"users": ["1001"]}, "users"), ({"users": [1001.0]}, "users"), ({"users": [1001.5]}, "users"), ({"users": [True]}, "users"), ({"users": [-1]}, "users"), ({"users": [None]}, "users"),
                          ({"users": 1001}, "users"), ({"sessions": [7]}, "sessions"), ({"sessions": [""]}, "sessions"), ({"users": [1001, 1002]}, "SHA-256"), ({"users": [], "sessions": ["s"]}, "SHA-256"),
                          ({"hash": "00" * 32}, "SHA-256"), ({"hash": None}, "no hash"), ({"hash": 7}, "no hash"), ({"before_hash": "zz"}, "SHA-256"), ({"asked_at": "yesterday, or so"}, "no receipt"),
                          ({"receipt": 2}, "SHA-256"), ({"asked_by": "somebody"}, "SHA-256")):
        file.write_text(json.dumps({**receipt, **changed}))
        refused = site.tallymill("erase", "--again", file, "--wait", 0, "--yes")
        assert refused.code == 2 and file.name in refused.err and said in refused.err, (changed, refused)
    for text in ("", "[]", "7", '{"users": [99999999999999999999], "sessions": []}', '{"users": [7], "sessions": []}'):
        file.write_text(text)
        refused = site.tallymill("erase", "--again", file, "--wait", 0, "--yes")
        assert refused.code == 2 and file.name in refused.err, (text, refused)
    assert before == (site.database.value("SELECT count(*) FROM analytics_events"), site.database.value("SELECT count(*) FROM tallymill.erasures"))
    file.write_text(json.dumps(receipt, indent=4))
    assert site.tallymill("erase", "--again", file, "--wait", 0, "--yes").code in (0, 1)
    assert site.database.value("SELECT count(*) FROM tallymill.erasures") == before[1] + 1


NOBODY = ("erase", "--user", 424242, "--wait", 0)


def test_a_topic_that_was_made_anew_is_not_taken_for_stored(make_site):
    site = make_site(partitions=1)
    site.send(events(100, seed=1))
    site.drain()
    assert site.tallymill(*NOBODY).code == 0
    make_anew(site, 50, seed=2)
    done = site.tallymill(*NOBODY)
    assert done.code == 1 and f"topic {site.topic} is not the one that the books are about" in done.err and "NOT COMPLETE" in done.out, done
    site.must("tallymill", "topic", "renew", site.topic, "--yes")
    done = site.tallymill(*NOBODY)
    assert done.code == 1 and "50 messages" in done.err, done
    site.drain()
    assert site.tallymill(*NOBODY).code == 0


def test_what_every_topic_of_the_books_holds_is_stored_first(make_site):
    site = make_site(partitions=1)
    site.send(events(10, seed=1))
    site.drain()
    name, other = f"{site.topic}-b", Publisher(site.stack.bootstrap, f"{site.topic}-b")
    site.must("tallymill", "migrate", "--set", f"topics.events={name}")

    def store(count):
        for made in events(20, seed=count):
            other.send(made)
        other.flush()
        assert site.run("tallymill-consumer", "--until-end", "--set", f"topics.events={name}").code == 0

    store(2)
    assert site.tallymill(*NOBODY).code == 0
    other.send(event())
    other.flush()
    done = site.tallymill(*NOBODY)
    assert done.code == 1 and f"1 messages that were published before wait in Kafka (topic {name})" in done.err, done
    store(3)
    assert site.tallymill(*NOBODY).code == 0
    other.send(event())
    other.flush()
    site.stack.admin.delete_topics([name])[name].result(30)
    wait_until(lambda: name not in site.stack.admin.list_topics(timeout=10).topics, 30, "the topic to be gone")
    assert site.tallymill(*NOBODY).code == 0, "Kafka has nothing of it any more"


def test_copies_of_kafkas_that_have_no_end_are_told(make_site):
    site = make_site(partitions=1)
    site.send(events(10))
    site.drain()
    for settings, remark in (({}, None), ({"cleanup_policy": "compact,delete"}, None), ({"cleanup_policy": "compact"}, "cleanup.policy = compact"), ({"retention_ms": "-1"}, "retention.ms = -1")):
        site.set_topic(**settings)
        receipt = json.loads(site.must("tallymill", *NOBODY, "--json").out)
        told = [one for one in receipt["remarks"] if "for ever" in one]
        assert (receipt["kafka_until"] is None) == (remark is not None) == bool(told) and (not told or remark in told[0]), (settings, receipt)


def test_a_step_that_takes_long_says_what_it_is(site):
    """Nobody rebuilds the days here, so it waits as long as it is told to."""
    site.send([event(user_id=7), event(user_id=8)])
    site.drain()
    site.fold()
    done = site.tallymill("erase", "--user", "7", "--yes", "--wait", "4")
    assert done.code == 1 and "tallymill erase: waits for the aggregator, which makes the statistics of 1 days anew ...\n" in done.err, done
    assert done.err.count(" ...\n") == 1, "what takes no time says nothing"
