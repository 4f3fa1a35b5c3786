"""Dead letters looked at and sent again, and an operator's reset: both without a loss that nobody sees and without duplicates."""

import json

import msgpack
from confluent_kafka.admin import ConfigResource
from psycopg2 import extensions

from .harness.program import environment, run
from .harness.publisher import event, events, instant


def test_dlq_says_what_died_and_shows_one_with_its_bytes(site):
    site.publisher.send_bytes(b"\xc1 and more", b"the key", partition=2)
    site.publisher.flush()
    site.drain()
    listed = site.tallymill("dlq")
    assert listed.code == 0 and "format" in listed.out, listed
    answer = json.loads(site.must("tallymill", "dlq", "--json").out)
    assert [(line["reason"], line["dead_letters"]) for line in answer["reasons"]] == [("format", 1)]
    shown = site.must("tallymill", "dlq", "show", "--at", "2:0").out
    assert "reason: format" in shown and "c1 20 61 6e 64" in shown and "the key" in shown
    site.publisher.send_bytes(msgpack.packb({"event_name": "login", "created_at": "yesterday"}), b"the key", partition=2)
    site.publisher.flush()
    site.drain()
    assert "no msgpack: byte c1" in shown and '"created_at" = "yesterday"' in site.must("tallymill", "dlq", "show", "--at", "2:1").out
    assert site.tallymill("dlq", "show", "--at", "2:2").code == 2
    assert site.tallymill("dlq", "show", "--at", "two").code == 2
    assert site.tallymill("dlq", "burn").code == 2


def test_what_concerns_the_whole_value_is_said_in_words(site):
    for value in (msgpack.packb(["login"]), b'{"event_name": "login"}', msgpack.packb("login"), b"", None):
        site.publisher.send_bytes(value, b"the key", partition=0)
    site.publisher.send_bytes(b"\x81\xaaevent", b"the key", partition=0)
    site.publisher.flush()
    site.drain()
    details = [detail for _, detail in site.database.rows("SELECT kafka_offset, detail FROM tallymill.dead_letters ORDER BY 1")]
    for offset, words in enumerate(("an array, not a msgpack map", "JSON text", "is text,", "has no bytes", "null, as of a tombstone", "byte 1 of the value, in none of its fields")):
        assert words in details[offset], details
    assert "none" not in "".join(details).replace("in none of", ""), details


def test_show_takes_what_list_takes_and_says_which_one_it_shows(site):
    for value in (b"\xc1 one", b"\xc1 two", b""):
        site.publisher.send_bytes(value, b"the key", partition=1)
    site.publisher.flush()
    site.drain()
    site.database.run("UPDATE tallymill.dead_letters SET dead_at = now() - interval '1 hour' WHERE kafka_offset = 0")
    shown = site.must("tallymill", "dlq", "show", "--reason", "format").out
    assert "place: 1:1" in shown and "c1 20 74 77 6f" in shown, shown
    assert "place: 1:2" in site.must("tallymill", "dlq", "show", "--key", "the key", "--reason", "empty").out
    none = site.tallymill("dlq", "show", "--reason", "root")
    assert none.code == 2 and "--replayed" in none.err, none
    which = site.tallymill("dlq", "show")
    assert which.code == 2 and "--reason" in which.err and "--at TOPIC_PARTITION:OFFSET" in which.err, which


def test_discard_takes_a_place_as_show_and_replay_do(site):
    for key in (b"a key", b"\xff\x00", None):
        site.publisher.send_bytes(b"\xc1", key, partition=2)
    site.publisher.flush()
    site.drain()
    refused = site.tallymill("dlq", "discard", "--at", "2:0")
    assert refused.code == 2 and "--yes" in refused.err, refused
    for words in (("--at", "2", "--yes"), ("--at", "2:0", "2:1", "--yes"), ("--reason", "format", "--yes"), ("--yes",)):
        assert site.tallymill("dlq", "discard", *words).code == 2, words
    assert site.database.value("SELECT count(emptied_at) FROM tallymill.dead_letters") == 0
    assert "2:0 (format)" in site.must("tallymill", "dlq", "discard", "--at", "2:0", "--yes").out
    assert "2:1 (format)" in site.must("tallymill", "dlq", "discard", "2:1", "--yes").out
    assert site.database.rows("SELECT kafka_offset FROM tallymill.dead_letters WHERE emptied_at IS NOT NULL ORDER BY 1") == [(0,), (1,)]


def test_a_key_is_shown_as_it_is_and_none_where_there_is_none(site):
    """malloc gives what was there before unless it is told to (MALLOC_PERTURB_): nothing of that is shown."""
    for offset, key in enumerate((b"a key", "t\u00e4glich".encode(), b"\xff\x00", None, b"k" * 500)):
        site.publisher.send_bytes(b"\xc1" + bytes([offset]), key, partition=2)
    site.publisher.flush()
    site.drain()

    def keys(*words):
        listed = run(site.command("tallymill", "dlq", "--json", "--replayed", *words), env=environment(MALLOC_PERTURB_="83"))
        assert listed.code == 0, listed
        return [line["key"] for line in json.loads(listed.out)["examples" if not words else "newest"]]

    newest = keys("--key", "t\u00e4glich")
    assert newest == ["t\u00e4glich"]
    expected = ["a key", "t\u00e4glich", "\\xff00", None, "k" * 119]
    for offset, key in enumerate(expected):
        site.database.run(f"UPDATE tallymill.dead_letters SET dead_at = now() + interval '{offset + 1} minutes' WHERE kafka_offset = {offset}")
        assert keys() == [key], (offset, key)
    site.must("tallymill", "dlq", "discard", "2:4", "--yes")
    assert keys() == [None], "its key is gone"


def test_help_says_of_each_option_for_which_of_the_four_it_is(site):
    options = site.must("tallymill", "dlq", "--help").out.split("Options:")[1].split("Options of every")[0]
    for name in ("--topic", "--reason", "--at", "--since", "--key", "--limit", "--dry-run", "--replayed", "--yes", "--json"):
        line = next(line for line in options.splitlines() if line.strip().startswith(name))
        assert any(word in line for word in ("list", "show", "replay:", "discard", "all four")), line


def test_dlq_list_shows_one_of_each_reason_with_what_it_holds_to_whoever_may_see_it(site):
    site.publisher.send_bytes(b"\xc1", b"session-1", partition=0)
    site.publisher.send_bytes(msgpack.packb({"session_id": "session-2", "event_name": "login", "created_at": "yesterday"}), b"session-2", partition=1)
    site.publisher.send_bytes(b"\xc1", b"\xff\x00", partition=2)
    site.publisher.flush()
    site.drain()
    answer = json.loads(site.must("tallymill", "dlq", "--json").out)
    examples = {line["reason"]: line for line in answer["examples"]}
    assert len(examples) == 2 and {line["reason"] for line in answer["reasons"]} == set(examples)
    (timed,) = [line for reason, line in examples.items() if reason != "format"]
    assert (timed["key"], timed["session_id"], timed["topic_partition"]) == ("session-2", "session-2", 1) and "created_at" in timed["detail"], timed
    shown = site.must("tallymill", "dlq").out
    assert "session-2" in shown and timed["detail"] in shown and "the newest of each reason" in shown, shown
    keyed = json.loads(site.must("tallymill", "dlq", "--key", "session-1", "--json").out)["newest"]
    assert [(line["topic_partition"], line["key"], line["session_id"]) for line in keyed] == [(0, "session-1", None)], keyed
    assert "of this key" in site.must("tallymill", "dlq", "--key", "nobody").out
    site.database.run("UPDATE tallymill.dead_letters SET dead_at = now() - interval '2 days' WHERE topic_partition = 2")
    counts = lambda *words: sum(line["dead_letters"] for line in json.loads(site.must("tallymill", "dlq", "--json", *words).out)["reasons"])
    assert (counts(), counts("--since", "1 h"), counts("--since", "3 days"), counts("--since", "2000-01-01")) == (3, 2, 3, 3)
    assert len(json.loads(site.must("tallymill", "dlq", "--json", "--limit", "1").out)["newest"]) == 1
    for words in (("--since", "soon"), ("--limit", "0"), ("--limit", "many")):
        refused = site.tallymill("dlq", *words)
        assert refused.code == 2 and words[0] in refused.err, refused
    site.database.run("DO $$ BEGIN CREATE ROLE dlq_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT tallymill_read TO dlq_reader")
    site.connect_programs_by(extensions.make_dsn(site.database.dsn, user="dlq_reader"))
    reader = site.must("tallymill", "dlq")
    assert "session-2" not in reader.out and "tallymill_admin" in reader.out and "format" in reader.out, reader
    assert site.tallymill("dlq", "--key", "session-1").code == 2


def test_a_dry_replay_says_what_it_would_send_and_sends_nothing(site):
    for number in range(5):
        site.publisher.send_bytes(b"\xc1", b"the key" if number else b"another", partition=0)
    site.publisher.send_bytes(b"", b"the key", partition=0)
    site.publisher.flush()
    site.drain()
    ends = site.end_offsets()
    answer = json.loads(site.must("tallymill", "dlq", "replay", "--dry-run", "--json").out)
    assert (answer["would_send"], answer["would_leave"], answer["topic"]) == (6, 0, site.topic), answer
    assert {line["reason"]: line["dead_letters"] for line in answer["reasons"]} == site.reasons()
    assert "would send 5 dead letters" in site.must("tallymill", "dlq", "replay", "--dry-run", "--key", "the key").out
    assert site.tallymill("dlq", "replay", "--dry-run", "--since", "2100-01-01").code == 1, "it would send none"
    assert site.end_offsets() == ends and site.database.value("SELECT count(replayed_at) FROM tallymill.dead_letters") == 0
    assert "sent 5 dead letters" in site.must("tallymill", "dlq", "replay", "--key", "the key").out
    assert sum(site.end_offsets().values()) == sum(ends.values()) + 5


def test_a_replay_after_a_fix_stores_each_event_once_however_often_it_is_asked_for(make_site):
    site = make_site()
    site.database.run("ALTER TABLE analytics_events ADD CONSTRAINT no_login CHECK (event_name <> 'login')")
    site.send([event("login") for _ in range(30)] + [event("signup") for _ in range(290)])
    site.publisher.send_bytes(b"", b"never good")
    site.publisher.flush()
    site.drain()
    site.database.run("ALTER TABLE analytics_events DROP CONSTRAINT no_login")
    buried = 30
    assert site.reasons() == {"refused": buried, "empty": 1}
    first = site.must("tallymill", "dlq", "replay", "--reason", "refused")
    assert f"sent {buried} dead letters" in first.out
    again = site.tallymill("dlq", "replay", "--reason", "refused")
    assert again.code == 1 and "sent 0 dead letters" in again.out, "a script must not take that for done"
    site.drain()
    site.must("tallymill", "dlq", "replay", "--reason", "refused", "--replayed")  # and once more, by force
    site.drain()
    assert site.database.value("SELECT count(*) FROM analytics_events") == 320
    assert site.outcomes()[1] == buried, "the forced replay is counted as duplicates"
    assert site.tallymill("audit").code == 0


def test_an_old_dead_letter_loses_its_bytes_and_keeps_its_place(make_site):
    site = make_site(partitions=1, **{"dead_letters.keep": "30 days"})
    for number in range(4):
        site.publisher.send_bytes(b"\xc1", b"the key", partition=0)
    site.publisher.flush()
    site.drain()
    site.database.run("UPDATE tallymill.dead_letters SET dead_at = now() - interval '31 days' WHERE kafka_offset < 2")
    site.database.run("UPDATE tallymill.dead_letters SET replayed_at = now() WHERE kafka_offset IN (1, 3)")
    site.fold()
    assert site.database.rows("SELECT kafka_offset, emptied_at IS NULL, message_key IS NULL, message_value IS NULL FROM tallymill.dead_letters ORDER BY 1") == [
        (0, False, True, True), (1, False, True, True), (2, True, False, False), (3, True, False, False)]
    assert site.tallymill("audit").code == 0, "each offset still has its outcome"
    counted = json.loads(site.must("tallymill", "dlq", "--json").out)["reasons"]
    assert [line["dead_letters"] for line in counted] == [1], "what waits is what can still be sent again"
    assert json.loads(site.must("tallymill", "dlq", "--replayed", "--json").out)["reasons"][0]["dead_letters"] == 4
    shown = site.must("tallymill", "dlq", "show", "--at", "0:0").out
    assert "message_value: none" in shown and "emptied_at: none" not in shown
    assert "sent 2 dead letters" in site.must("tallymill", "dlq", "replay", "--replayed").out


def test_more_old_dead_letters_than_a_step_takes_are_all_emptied(make_site):
    site = make_site(partitions=1, **{"dead_letters.keep": "30 days"})
    site.database.run("INSERT INTO tallymill.dead_letters (topic, topic_partition, kafka_offset, reason, message_value, batch_id, dead_at) "
                      "SELECT 'some', 0, n, 'format', 'x', 1, now() - interval '31 days' FROM generate_series(1, 4000) n")  # two full steps
    site.fold()
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE emptied_at IS NULL OR message_value IS NOT NULL") == 0


def test_dead_letters_are_kept_for_ever_unless_it_is_said(make_site):
    site = make_site(partitions=1)
    site.publisher.send_bytes(b"\xc1", b"the key", partition=0)
    site.publisher.flush()
    site.drain()
    site.database.run("UPDATE tallymill.dead_letters SET dead_at = now() - interval '10 years'")
    site.fold()
    assert site.database.value("SELECT emptied_at IS NULL AND message_value IS NOT NULL FROM tallymill.dead_letters")


def bury(site, partition, first_offset, count, size, reason="schema"):
    """Dead letters as a worker leaves them, of so many bytes that do not compress, at offsets that need not exist."""
    site.database.run(f"""
        ALTER TABLE tallymill.dead_letters ALTER message_value SET STORAGE EXTERNAL;
        INSERT INTO tallymill.dead_letters (topic, topic_partition, kafka_offset, reason, message_key, message_value, batch_id)
        SELECT '{site.topic}', {partition}, {first_offset} + n, '{reason}', 'k',
               (SELECT substring(string_agg(sha512(convert_to(n || ' ' || m, 'UTF8')), '') FOR {size} - 1)
                FROM generate_series(1, {size} / 64 + 1) m), 1
        FROM generate_series(0, {count} - 1) n""")


def limit_messages(site, size):
    """The topic takes no batch larger than so many bytes."""
    resource = ConfigResource("topic", site.topic, set_config={"max.message.bytes": str(size)})
    for done in site.stack.admin.alter_configs([resource]).values():
        done.result(30)


def waiting(site):
    return site.database.rows("SELECT topic_partition, kafka_offset FROM tallymill.dead_letters"
                              " WHERE replayed_at IS NULL AND emptied_at IS NULL ORDER BY 1, 2")


def test_a_replay_holds_a_page_whatever_the_dead_letters_are(make_site):
    site = make_site(partitions=2)
    bury(site, 0, 0, 40, 3_900_000)
    bury(site, 1, 0, 400, 50)
    replay = site.start("tallymill", "dlq", "replay")
    assert replay.wait(60) == 0 and "sent 440 dead letters" in replay.log(), replay.log()
    assert replay.peak_kib < 64 << 10, replay.peak_kib
    assert sum(site.end_offsets().values()) == 440 and waiting(site) == []


def test_a_dead_letter_that_kafka_does_not_take_is_named_and_left_and_can_be_discarded(make_site):
    """Larger than the client takes, and larger than the topic takes: there the broker refuses a whole request, neighbours and all."""
    site = make_site(partitions=2)
    limit_messages(site, 600_000)
    bury(site, 0, 10, 3, 100)
    bury(site, 0, 13, 1, 5_000_000)
    bury(site, 0, 14, 1, 900_000)
    bury(site, 0, 15, 3, 100)
    bury(site, 1, 5, 2, 100)
    replay = site.tallymill("dlq", "replay")
    assert replay.code == 1 and "sent 8 dead letters" in replay.out and "left 2" in replay.out, replay
    assert "topic partition 0, offset 13: left, for its 5000000 bytes" in replay.err and "kafka.message.max.bytes" in replay.err, replay
    assert "topic partition 0, offset 14: left, for its 900000 bytes" in replay.err, replay
    assert waiting(site) == [(0, 13), (0, 14)] and sum(site.end_offsets().values()) == 8
    again = site.tallymill("dlq", "replay", "--json")
    assert again.code == 1 and json.loads(again.out) == {"sent": 0, "left": [
        {"topic_partition": 0, "offset": 13, "bytes": 5_000_000}, {"topic_partition": 0, "offset": 14, "bytes": 900_000}]}, again

    asked = site.tallymill("dlq", "discard", "0:13")
    assert asked.code == 2 and "--yes" in asked.err and "5,000,000 bytes" in asked.err, asked
    wrong = site.tallymill("dlq", "discard", "0:13", "0:99", "--yes")
    assert wrong.code == 2 and "0:99" in wrong.err and waiting(site) == [(0, 13), (0, 14)], wrong
    for words in ((), ("0",), ("0:end",), ("0:-1",), ("all",), ("--reason", "schema")):
        assert site.tallymill("dlq", "discard", "--yes", *words).code == 2, words
    done = site.must("tallymill", "dlq", "discard", "0:13", "0:14", "--yes")
    assert "0:13 (schema): 5,000,000 bytes are gone" in done.out, done
    assert "gone before" in site.must("tallymill", "dlq", "discard", "0:13", "--yes").out
    assert json.loads(site.must("tallymill", "dlq", "discard", "0:13", "0:10", "--yes", "--json").out) == {"discarded": 1}
    assert site.tallymill("dlq", "replay").code == 1
    assert site.database.rows("SELECT kafka_offset, reason, message_key, message_value, emptied_at IS NULL FROM tallymill.dead_letters"
                              " WHERE kafka_offset IN (13, 14) ORDER BY 1") == [(13, "schema", None, None, False), (14, "schema", None, None, False)]


def test_a_discarded_dead_letter_is_still_the_outcome_of_its_offset(make_site):
    site = make_site(partitions=1)
    site.publisher.send_bytes(b"\xc1 bad", b"the key", partition=0)
    site.publisher.flush()
    site.drain()
    site.must("tallymill", "dlq", "discard", "0:0", "--yes")
    assert site.tallymill("audit").code == 0
    assert "message_value: none" in site.must("tallymill", "dlq", "show", "--at", "0:0").out


def test_a_misspelt_reason_or_an_empty_place_is_a_mistake_and_nothing_sent_is_no_success(make_site):
    site = make_site(partitions=2)
    bury(site, 0, 7, 1, 100, "utf8")
    for action in ("replay", "list", "show"):
        for reason in ("uft8", "", "none", "UTF8"):
            typo = site.tallymill("dlq", action, "--reason", reason)
            assert typo.code == 2 and "utf8" in typo.err and "refused" in typo.err and "archived_month" in typo.err, typo
    for place in ("0:8", "1", "1:7", "", "0:", "0:end", "zero"):
        empty = site.tallymill("dlq", "replay", "--at", place)
        assert empty.code == 2 and (not place or place in empty.err), empty
    assert waiting(site) == [(0, 7)]
    assert site.tallymill("dlq", "replay", "--reason", "schema").code == 1, "a reason that no dead letter has"
    assert site.tallymill("dlq", "replay", "--reason", "schema", "--at", "0:7").code == 1
    site.must("tallymill", "dlq", "replay", "--reason", "utf8", "--at", "0:7")
    assert site.tallymill("dlq", "replay", "--at", "0:7").code == 1, "sent before"
    site.must("tallymill", "dlq", "replay", "--at", "0:7", "--replayed")


def test_an_archived_month_that_is_back_takes_its_dead_letters_in(make_site):
    site = make_site(**{"window.oldest": "2025-01-01"})
    site.database.run("INSERT INTO tallymill.months (month, state) VALUES ('2025-02-01', 'archived')")
    site.send([event(created_us=instant("2025-02-10")) for _ in range(7)])
    site.drain()
    assert site.reasons() == {"archived_month": 7}
    site.database.run("DELETE FROM tallymill.months WHERE month = '2025-02-01'")
    site.must("tallymill", "dlq", "replay")
    site.drain()
    assert site.database.value("SELECT count(*) FROM analytics_events_2025_02") == 7


def test_a_reset_goes_forward_only_and_leaves_a_gap_behind(make_site):
    site = make_site(partitions=2)
    site.send(events(400, seed=1))
    worker = site.worker()
    site.wait_until_drained()
    before = site.positions()
    assert site.tallymill("reset", "--at", "0:0", "--yes").code == 2, "backward"
    assert site.tallymill("reset", "--at", f"0:{before[0] + 1}", "--yes").code == 2, "beyond the end"
    assert site.tallymill("reset", "--at", "9:1", "--yes").code == 2, "no such topic partition"
    assert worker.stop() == 0
    for number in range(50):
        site.publisher.send(event(), partition=0)
    site.publisher.flush()
    assert site.tallymill("reset", "--at", "0:end").code == 2, "it asks first"
    done = site.must("tallymill", "reset", "--at", "0:end", "--yes")
    assert "50 offsets are given up" in done.out
    worker = site.worker()
    site.send(events(200, seed=2))
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.database.rows("SELECT first_offset, next_offset, reason FROM tallymill.gaps") == [(before[0], before[0] + 50, "reset")]
    assert site.database.value("SELECT count(*) FROM analytics_events") == 600
    site.fold()
    assert site.tallymill("audit").code == 0
    assert site.tallymill("verify").code == 0


def test_a_topic_made_anew_that_has_grown_past_the_old_position_is_named_and_goes_on_behind_a_reset(make_site):
    """By offsets alone nothing is wrong with it: only the last stored message tells that it is another log, and audit must not call it whole."""
    site = make_site(partitions=1)
    site.send(events(500, seed=1))
    site.drain()
    before = site.positions()[0]
    site.delete_topic()
    assert site.tallymill("migrate").code == 2  # it makes the topic, and says that it is not the one that is stored
    for made in events(before + 100, seed=2):
        site.publisher.send(made, 0)
    site.publisher.flush()
    stopped = site.run("tallymill-consumer", "--until-end")
    assert stopped.code == 3 and "another message stands where the last stored one was" in stopped.err, stopped
    audited = site.tallymill("audit")
    assert audited.code == 1 and f"topic partition 0, offset {before - 1}: another message stands" in audited.out, audited
    site.must("tallymill", "reset", "--at", "0:end", "--yes")
    site.send(events(200, seed=3))
    site.drain()
    assert site.database.value("SELECT count(*) FROM analytics_events") == 700
    assert site.database.rows("SELECT first_offset, next_offset, reason FROM tallymill.gaps") == [(before, before + 100, "reset")]
    site.fold()
    assert site.tallymill("audit").code == 0 and site.tallymill("verify").code == 0


def test_a_running_worker_goes_on_behind_a_reset(make_site):
    site = make_site(partitions=1)
    site.send(events(100, seed=1))
    worker = site.worker(instance="w")
    site.wait_until_drained()
    worker.freeze()
    site.send(events(100, seed=2))
    site.must("tallymill", "reset", "--at", "0:150", "--yes")
    worker.thaw()
    site.send(events(100, seed=3))
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.database.value("SELECT count(*) FROM analytics_events") == 250
    assert site.database.value("SELECT sum(next_offset - first_offset) FROM tallymill.gaps") == 50


def test_a_replay_beside_a_running_worker_sends_only_what_was_dead_when_it_began(make_site):
    site = make_site(partitions=1)
    for number in range(450):
        site.publisher.send_bytes(b"\xc1 %d" % number)
    site.publisher.flush()
    worker = site.worker()
    site.wait_until_drained()
    assert "sent 450 dead letters" in site.must("tallymill", "dlq", "replay", deadline=60).out
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.reasons() == {"format": 900}, "buried again, once"


def test_a_reset_takes_no_sign_for_the_end(site):
    site.publisher.send(event(), partition=1)
    site.publisher.flush()
    assert site.tallymill("reset", "--at", "1:-7", "--yes").code == 2
    assert site.tallymill("reset", "--at", "1:1x", "--yes").code == 2
    assert site.tallymill("reset", "--at", "-1:1", "--yes").code == 2
    assert site.database.value("SELECT count(*) FROM tallymill.gaps") == 0
