"""The log is the log that is stored: a topic that was deleted and made anew under its name is another one, whatever its offsets say."""

import json
import time

import pytest
from confluent_kafka.admin import NewTopic

from .harness.publisher import Publisher, event, events
from .harness.stack import Stack
from .harness.waiting import wait_until

RECREATED = "the topic was deleted and recreated"


def make_topic(site, partitions=1):
    site.stack.admin.create_topics([NewTopic(site.topic, partitions, 1, config={"message.timestamp.type": "LogAppendTime"})])[site.topic].result(30)


def make_anew(site, count, pause=0, seed=99, partitions=1):
    """Deletes the topic, makes it again after a pause, and sends so many other events to it; their publisher."""
    site.delete_topic()
    if pause:
        time.sleep(pause)  # the fault, not a wait for anything: how long the topic is away
    make_topic(site, partitions)
    publisher = Publisher(site.stack.bootstrap, site.topic)
    for made in events(count, seed=seed):
        publisher.send(made)
    publisher.flush()
    return publisher


def stored(site):
    return site.database.value("SELECT count(*) FROM analytics_events")


@pytest.mark.parametrize("pause", (0, 2))
def test_a_topic_made_anew_under_a_running_worker_stops_loudly(make_site, pause):
    site = make_site(partitions=1)
    worker = site.worker()
    site.send(events(100, seed=1))
    site.wait_until_drained()
    make_anew(site, 150, pause)
    wait_until(lambda: RECREATED in worker.log(), 100, lambda: f"the worker to say so:\n{worker.log()[-2000:]}")
    assert worker.stop() == 0
    assert stored(site) == 100 and site.positions() == {0: 100}
    audited = site.tallymill("audit")
    assert audited.code == 1 and "made anew" in audited.out, audited


def test_a_topic_made_anew_while_its_worker_is_frozen_stops_loudly(make_site):
    site = make_site(partitions=1, **{"kafka.session.timeout.ms": 30_000})
    worker = site.worker(instance="w")
    site.send(events(100, seed=1))
    site.wait_until_drained()
    worker.freeze()
    make_anew(site, 150)
    worker.thaw()
    wait_until(lambda: RECREATED in worker.log(), 100, lambda: f"the worker to say so:\n{worker.log()[-2000:]}")
    assert worker.stop() == 0
    assert stored(site) == 100 and site.positions() == {0: 100}


@pytest.mark.parametrize("count", (40, 150))
def test_a_topic_made_anew_is_known_without_its_id_by_any_message_that_kafka_still_has(make_site, count):
    """As by brokers that give none: the last message alone would not tell, because it is of the new log already."""
    site = make_site(partitions=1, **{"batch.max_rows": 10})
    site.send(events(100, seed=1))
    site.drain()
    make_anew(site, count, seed=2)
    site.database.run("UPDATE tallymill.clusters SET topic_id = ''")
    if count > 100:  # what a release before this one did: a batch of the new log is stored, and the anchor moves into it
        other = make_site(partitions=1, **{"batch.max_rows": 10})
        new = site.database.rows("UPDATE tallymill.batches SET anchor_hash = %s WHERE next_offset = 100 RETURNING anchor_offset",
                                 anchor_of(other, site.topic, 99))
        assert new == [(99,)]
    ended = site.run("tallymill-consumer", "--until-end")
    assert ended.code == 3 and "recreated" in ended.err, ended
    assert site.positions() == {0: 100}
    assert site.database.value("SELECT topic_id FROM tallymill.clusters") == ""
    audited = site.tallymill("audit")
    assert audited.code == 1 and "made anew" in audited.out, audited


def anchor_of(other, topic, offset):
    """The hash of the message that stands there now, as the books of another database keep it."""
    other.settings.write_text(other.settings.read_text().replace(other.topic, topic))
    other.drain()
    return other.database.value("SELECT anchor_hash FROM tallymill.batches WHERE anchor_offset = %s", offset)


def test_the_id_of_a_topic_is_learned_once_its_messages_have_shown_that_it_is_the_one(make_site):
    site = make_site(partitions=2)
    site.send(events(200, seed=1))
    site.drain()
    known = site.database.value("SELECT topic_id FROM tallymill.clusters")
    assert known
    site.database.run("UPDATE tallymill.clusters SET topic_id = ''")  # as a release before this one left it
    site.send(events(50, seed=2))
    site.drain()
    assert site.database.value("SELECT topic_id FROM tallymill.clusters") == known
    site.assert_holds()


def test_a_topic_that_is_gone_is_damage_where_it_is_the_one_asked_about_and_else_a_note(make_site):
    site = make_site(partitions=1)
    site.send(events(10, seed=1))
    site.drain()
    site.fold()
    site.delete_topic()
    audited = site.tallymill("audit")
    assert audited.code == 1 and "does not exist in this Kafka cluster" in audited.out, audited
    other = Publisher(site.stack.bootstrap, site.topic + "-b")
    site.must("tallymill", "migrate", "--set", f"topics.events={site.topic}-b")
    for made in events(20, seed=2):
        other.send(made)
    other.flush()
    assert site.run("tallymill-consumer", "--until-end", "--set", f"topics.events={site.topic}-b").code == 0
    audited = site.tallymill("audit", "--set", f"topics.events={site.topic}-b")
    assert audited.code == 0 and f"topic {site.topic} was not compared with Kafka" in audited.out, audited
    one = site.tallymill("audit", "--set", f"topics.events={site.topic}-b", "--topic", site.topic)
    assert one.code == 1 and "does not exist" in one.out, one
    assert site.tallymill("audit", "--topic", "nobody").code == 2
    site.must("tallymill", "topic", "retire", site.topic, "--yes")
    audited = site.tallymill("audit", "--set", f"topics.events={site.topic}-b")
    assert audited.code == 0 and "retired" in audited.out and "30 offsets" in audited.out, audited
    assert site.tallymill("audit").code == 0  # closed books are no damage, whoever asks


def test_a_topic_made_anew_begins_with_new_books_once_they_are_renewed(make_site):
    site = make_site(partitions=2)
    site.send(events(100, seed=1))
    site.drain()
    for words in (("renew", site.topic), ("renew", "nobody"), ("retire", "nobody"), ("renew",), ("burn", site.topic)):
        refused = site.tallymill("topic", *words, "--yes")
        assert refused.code == 2, (words, refused)
    anew = make_anew(site, 150, seed=2, partitions=2)
    worker = site.worker()
    wait_until(lambda: RECREATED in worker.log(), 60, "the worker to refuse the topic")
    assert site.tallymill("topic", "renew", site.topic).code == 2  # not without --yes
    renewed = site.must("tallymill", "topic", "renew", site.topic, "--yes")
    assert f"{site.topic}@1" in renewed.out
    site.wait_until_drained(90)  # a worker that waits goes on by itself, within a minute
    assert worker.stop() == 0
    assert stored(site) == 250 and sum(site.positions().values()) == 150
    site.fold()
    audited = site.tallymill("audit")
    assert audited.code == 0 and "250 offsets" in audited.out and "retired" in audited.out, audited
    assert site.tallymill("verify").code == 0
    assert site.tallymill("audit", "--topic", f"{site.topic}@1").code == 0
    assert site.tallymill("topic", "renew", site.topic, "--yes").code == 2
    site.assert_holds(acknowledged=anew.acknowledged)


def buried_in_closed_books(make_site):
    """A site whose books hold three dead letters that would be good by now."""
    site = make_site(partitions=1)
    site.database.run("ALTER TABLE analytics_events ADD CONSTRAINT no_tabs CHECK (session_id <> 'tab')")
    site.send([*events(20), *(event(session_id="tab") for _ in range(3))])
    site.drain()
    assert site.outcomes() == (20, 0, 3, 0)
    site.database.run("ALTER TABLE analytics_events DROP CONSTRAINT no_tabs")
    return site


def test_books_are_renewed_where_everything_is_published(make_site):
    """A publication of all tables refuses UPDATE and DELETE of a table whose rows a subscriber would not know again: no table of ours is one."""
    site = make_site(partitions=1)
    site.send(events(50, seed=1))
    site.drain()
    site.fold()
    site.database.run(f"CREATE PUBLICATION everything FOR ALL TABLES; INSERT INTO tallymill.removals VALUES ('2020-01-01', '{site.topic}', 0, 0, 0, 'erased'), ('2020-01-01', '{site.topic}', 0, 0, 0, 'erased')")
    make_anew(site, 30, seed=2)
    site.must("tallymill", "topic", "renew", site.topic, "--yes")
    site.drain()
    site.fold()
    assert site.tallymill("audit").code == 0
    assert site.database.value("SELECT count(*) FROM tallymill.removals WHERE topic = %s", f"{site.topic}@1") == 2
    assert site.database.rows("""
        SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.relreplident <> 'f'
          AND (c.relnamespace = 'tallymill'::regnamespace OR starts_with(c.relname::text, 'analytics_'))
          AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)""") == []


def test_books_that_were_renewed_for_fewer_topic_partitions_are_in_order(make_site):
    site = make_site(partitions=4)
    site.send(events(100, seed=1))
    site.drain()
    make_anew(site, 200, partitions=1)
    audited = site.tallymill("audit")
    assert audited.code == 1 and "Kafka has only 1 topic partitions" in audited.out, audited
    site.must("tallymill", "topic", "renew", site.topic, "--yes")
    site.drain()
    audited = site.tallymill("audit")
    assert audited.code == 0, audited
    assert site.database.value("SELECT count(*) FROM analytics_events") == 300


def test_dead_letters_of_closed_books_are_sent_to_the_topic_that_lives(make_site):
    """Behind a renewal under the same name, and behind a move to another name; each is stored once, however often it is asked for."""
    site = buried_in_closed_books(make_site)
    anew = make_anew(site, 30, seed=5)
    site.must("tallymill", "topic", "renew", site.topic, "--yes")
    site.drain()
    listed = site.must("tallymill", "dlq")
    assert f"--topic {site.topic}@1" in listed.out and " 3 more" in listed.out
    assert json.loads(site.must("tallymill", "dlq", "--json").out)["closed"] == [{"topic": f"{site.topic}@1", "dead_letters": 3}]
    assert "3" in site.must("tallymill", "dlq", "--topic", f"{site.topic}@1").out
    sent = site.must("tallymill", "dlq", "replay", "--topic", f"{site.topic}@1")
    assert f"sent 3 dead letters to topic {site.topic} again" in sent.out
    assert site.tallymill("dlq", "replay", "--topic", f"{site.topic}@1").code == 1
    site.drain()
    assert stored(site) == 53 and "more: tallymill" not in site.must("tallymill", "dlq").out
    site.fold()
    assert site.tallymill("audit").code == 0
    site.assert_holds(acknowledged=anew.acknowledged)


def test_nothing_is_sent_to_a_topic_whose_books_are_closed(make_site):
    """What is sent there nobody stores: said with the remedy, and nothing is marked as sent."""
    site = buried_in_closed_books(make_site)
    old = site.topic
    site.must("tallymill", "topic", "retire", old, "--yes")
    refused = site.tallymill("dlq", "replay")
    assert refused.code == 2 and "topics.events" in refused.err and f"--topic {old}" in refused.err, refused
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE replayed_at IS NOT NULL") == 0
    site.settings.write_text(site.settings.read_text().replace(f"events = {old}\n", f"events = {old}-next\n"))
    site.must("tallymill", "migrate")
    sent = site.must("tallymill", "dlq", "replay", "--topic", old)
    assert f"to topic {old}-next again" in sent.out
    site.drain()
    assert stored(site) == 23


def test_topics_of_two_clusters_in_one_database_are_each_audited(make_site, tmp_path):
    """Each with its own settings: the other is a note, and damage on one cluster is found there alone."""
    site = make_site(partitions=2)
    site.send(events(40, seed=1))
    site.drain()
    with Stack(tmp_path / "other") as other:
        second = f"{site.topic}-there"
        there = ("--set", f"topics.events={second}", *(word for name, value in other.kafka.items() for word in ("--set", f"kafka.{name}={value}")))
        site.must("tallymill", "migrate", *there)
        publisher = Publisher(other.bootstrap, second)
        for made in events(60, seed=2):
            publisher.send(made)
        publisher.flush()
        site.must("tallymill-consumer", "--until-end", *there)
        site.fold()
        for words, mine, others in (((), site.topic, second), (there, second, site.topic)):
            audited = site.tallymill("audit", *words)
            assert audited.code == 0 and f"topic {others} was not compared with Kafka" in audited.out, audited
            assert f"topic {mine} was not compared" not in audited.out and "100 offsets" in audited.out
            assert site.tallymill("audit", "--topic", mine, *words).code == 0
        # On one cluster the other's topic is another topic, or none: refused, not mixed.
        wrong = site.run("tallymill-consumer", "--until-end", "--set", f"topics.events={second}")
        assert wrong.code in (1, 2) and site.database.value("SELECT count(*) FROM analytics_events") == 100, wrong
        other.admin.delete_topics([second])[second].result(30)
        wait_until(lambda: site.tallymill("audit", *there).code == 1, 30, "the lost topic to be damage on its own cluster")
    assert site.tallymill("audit").code == 0
    assert site.tallymill("verify").code == 0


def test_a_topic_with_events_to_be_read_is_not_over(make_site):
    site = make_site(partitions=1)
    site.send(events(10, seed=1))
    site.drain()
    site.send(events(5, seed=2))
    refused = site.tallymill("topic", "retire", site.topic, "--yes")
    assert refused.code == 2 and "5 events" in refused.err, refused
    worker = site.worker()
    site.wait_until_drained()
    site.must("tallymill", "topic", "retire", site.topic, "--yes")
    site.send(events(5, seed=3))
    assert worker.wait(60) == 2 and "books of topic" in worker.log()
    assert stored(site) == 15
    assert site.tallymill("topic", "retire", site.topic, "--yes").code == 2
    assert site.tallymill("topic", "renew", site.topic, "--yes").code == 2


def test_migrate_makes_nothing_on_another_cluster_and_names_what_is_not_the_books_topic(make_site):
    site = make_site(partitions=2)
    site.send(events(10, seed=1))
    site.drain()
    wider = site.must("tallymill", "migrate", "--set", "topics.partitions=6")
    assert "it has 2 topic partitions, topics.partitions says 6" in wider.err, wider
    assert "topic partitions" in site.must("tallymill", "migrate", "--check", "--set", "topics.partitions=6").err
    site.delete_topic()
    made = site.tallymill("migrate")
    assert made.code == 2 and "made," in made.out and "not the topic that the books are about" in made.err, made
    assert site.tallymill("migrate").code == 2
    site.must("tallymill", "topic", "renew", site.topic, "--yes")
    site.must("tallymill", "migrate")
    site.delete_topic()
    site.database.run("UPDATE tallymill.clusters SET cluster_id = 'another'")
    refused = site.tallymill("migrate")
    assert refused.code == 2 and "another" in refused.err, refused
    assert site.topic not in site.stack.admin.list_topics(timeout=10).topics


@pytest.mark.parametrize("name", ("group.id", "group.instance.id", "group.protocol"))
def test_what_the_program_decides_of_its_group_is_refused(site, name):
    refused = site.run("tallymill-consumer", "--until-end", "--set", f"kafka.{name}=classic")
    assert refused.code == 2 and f"kafka.{name}" in refused.err, refused


def test_an_open_transaction_is_waited_for_and_named(make_site):
    site = make_site(partitions=1)
    site.send(events(5, seed=1))
    open_one = Publisher(site.stack.bootstrap, site.topic, **{"transactional.id": f"{site.topic}-open", "transaction.timeout.ms": 600_000})
    open_one.producer.init_transactions(30)
    open_one.producer.begin_transaction()
    for made in events(7, seed=2):
        open_one.send(made)
    open_one.flush()
    late = site.run("tallymill-consumer", "--until-end", "--deadline", "15s")
    assert late.code == 1 and "an open transaction of a producer keeps" in late.err and "offset=5" in late.err, late
    assert "stored up to offset 5" in late.err and site.positions() == {0: 5}
    open_one.producer.commit_transaction(30)
    site.drain()
    assert stored(site) == 12
    assert site.run("tallymill-consumer", "--deadline", "15s").code == 2


def test_a_recreated_topic_that_has_grown_past_the_position_is_known_without_its_id_and_renewed(make_site):
    """As books of before topics had ids: the messages tell, to whoever renews and to whoever migrates."""
    site = make_site(partitions=1)
    site.send(events(50, seed=1))
    site.drain()
    site.database.run("UPDATE tallymill.clusters SET topic_id = ''")
    assert site.tallymill("topic", "renew", site.topic, "--yes").code == 2, "it is still the one that the books are about"
    anew = make_anew(site, 80, seed=2)
    migrated = site.tallymill("migrate")
    assert migrated.code == 2 and f"tallymill topic renew {site.topic}" in migrated.err, migrated
    site.must("tallymill", "topic", "renew", site.topic, "--yes")
    site.drain()
    site.fold()
    assert stored(site) == 130 and site.tallymill("audit").code == 0
    site.assert_holds(acknowledged=anew.acknowledged)


def test_books_of_a_truncated_topic_that_is_still_written_are_not_closed(make_site):
    site = make_site(partitions=2)
    for partition in (0, 1):
        for made in events(20, seed=partition):
            site.publisher.send(made, partition=partition)
    site.publisher.flush()
    site.drain()
    site.database.run("ALTER TABLE tallymill.batches DISABLE TRIGGER ALL; UPDATE tallymill.batches SET next_offset = 30, skipped = 10 WHERE topic_partition = 0")
    for made in events(5, seed=9):
        site.publisher.send(made, partition=1)
    site.publisher.flush()
    refused = site.tallymill("topic", "retire", site.topic, "--yes")
    assert refused.code == 2 and "5 events of it are not stored yet" in refused.err, refused


def test_a_check_says_what_a_worker_would_end_with_about_books(make_site):
    site = make_site(partitions=1)
    site.send(events(5, seed=1))
    site.drain()
    assert site.run("tallymill-consumer", "--check").code == 0
    make_anew(site, 5)
    checked = site.run("tallymill-consumer", "--check")
    assert checked.code == 2 and "made anew" in checked.err and f"tallymill topic renew {site.topic}" in checked.err, checked
    site.must("tallymill", "topic", "retire", site.topic, "--yes")
    checked = site.run("tallymill-consumer", "--check")
    assert checked.code == 2 and "closed" in checked.err, checked
