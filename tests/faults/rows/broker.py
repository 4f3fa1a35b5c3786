"""Rows 5 to 10, 16 to 18 and 49: brokers die, freeze and restart; logs are truncated, shortened, made anew, widened, damaged."""

import os
import signal

import confluent_kafka
from confluent_kafka.admin import ConfigResource

from checker.verdict import Verdict
from faults.registry import row
from integration.harness.publisher import Publisher, events
from integration.harness.waiting import wait_until
from integration.test_operator import delete_records

OFFSETS_TOPIC, OFFSETS_PARTITIONS = "__consumer_offsets", 4
NEEDS_A_PERSON = 3


def in_sync(stack, topic):
    """Whether every broker holds every message of the topic and of the group's own."""
    known = stack.admin.list_topics(timeout=20)
    partitions = [one for name in (topic, OFFSETS_TOPIC) if name in known.topics for one in known.topics[name].partitions.values()]
    return len(known.brokers) == stack.brokers and all(len(one.isrs) == stack.brokers and one.leader in known.brokers for one in partitions)


def wait_in_sync(round):
    wait_until(lambda: in_sync(round.stack, round.site.topic), 120, "all brokers to be in sync", confluent_kafka.KafkaException)


def leader(stack, topic, number):
    return stack.admin.list_topics(timeout=20).topics[topic].partitions[number].leader


def coordinator(stack, group):
    """The broker that looks after the group: the leader of its topic partition of the group's topic, by Java's hash of its name."""
    hash_code = 0
    for byte in group.encode():
        hash_code = (31 * hash_code + byte) & 0xFFFFFFFF
    return leader(stack, OFFSETS_TOPIC, (hash_code & 0x7FFFFFFF) % OFFSETS_PARTITIONS)


def brokers_struck(round, strike):
    """`strike(number of the fault)` as often as asked for, all brokers in sync before each."""
    round.start(workers=2, partitions=6)
    with round.flow(rate=500):
        for number in range(round.count):
            wait_in_sync(round)
            round.let_flow(1, 3)
            strike(number)
            round.recovered()
        wait_in_sync(round)


@row(5, "one of three brokers killed (SIGKILL)", want=15, faults=3, limit=60, brokers=3)
def broker_killed(round):
    def strike(_):
        victim = round.random.randrange(1, 4)
        round.stack.kill_broker(victim)
        round.struck(f"broker {victim} killed")
        round.let_flow(2)
        round.recovered()
        round.stack.start_broker(victim)

    brokers_struck(round, strike)


@row(6, "a broker frozen (SIGSTOP) for 30 s", want=4, faults=1, limit=60, brokers=3)
def broker_frozen(round):
    def strike(_):
        victim = round.random.randrange(1, 4)
        pid = round.stack.pid(f"kafka-{victim}")
        os.kill(pid, signal.SIGSTOP)
        try:
            round.struck(f"broker {victim} frozen")
            round.let_flow(30)
        finally:
            os.kill(pid, signal.SIGCONT)

    brokers_struck(round, strike)


@row(7, "rolling restart of the brokers under load", want=6, faults=3, limit=60, brokers=3)
def rolling_restart(round):
    def strike(number):
        round.stack.must("stop-broker", str(number % 3 + 1))
        round.struck(f"broker {number % 3 + 1} stopped")
        round.stack.start_broker(number % 3 + 1)

    brokers_struck(round, strike)


@row(8, "the group's coordinator killed", want=10, faults=2, limit=60, brokers=3)
def coordinator_killed(round):
    def strike(_):
        victim = coordinator(round.stack, round.site.topic.replace("events-", "group-"))
        round.stack.kill_broker(victim)
        round.struck(f"broker {victim}, the coordinator, killed")
        round.let_flow(8)
        round.recovered()
        round.stack.start_broker(victim)

    brokers_struck(round, strike)


@row(9, "all three brokers killed at once", want=4, faults=1, limit=60, brokers=3)
def all_brokers_killed(round):
    def strike(_):
        for victim in (1, 2, 3):
            round.stack.kill_broker(victim)
        round.struck("all brokers killed")
        round.stack.must("start", "--brokers", "3", deadline=300)

    brokers_struck(round, strike)


def stops_loudly(round, before, words):
    """No offset of topic partition 0 is stored any more, and everybody who is asked says why."""
    site = round.site
    worker = site.worker(instance="after")
    wait_until(lambda: any(text in worker.log() for text in words), 60, f"the worker to say one of {words}")
    assert worker.stop() == 0
    stopped = site.run("tallymill-consumer", "--until-end")
    assert stopped.code == NEEDS_A_PERSON and site.topic in stopped.err, stopped
    assert site.positions() == before, "something was stored on top of another log"
    audited = site.tallymill("audit")
    assert audited.code == 1, audited
    return Verdict()


TRUNCATED = ("topic partition ends before what is stored", "another message stands where the last stored one was")


@row(10, "an unclean election truncates the log", want=2, faults=1, limit=60, brokers=3, own_stack=True)
def unclean_election(round):
    site, stack = round.make_site(partitions=1, **{"topics.replication": 2}), round.stack
    done = stack.admin.alter_configs([ConfigResource("topic", site.topic, set_config={
        "min.insync.replicas": "1", "unclean.leader.election.enable": "true", "message.timestamp.type": "LogAppendTime"})])
    for one in done.values():
        one.result(30)
    site.send(events(1_000, seed=round.random.getrandbits(30)))
    known = stack.admin.list_topics(timeout=20).topics[site.topic].partitions[0]
    first, second = known.leader, next(number for number in known.replicas if number != known.leader)
    wait_until(lambda: in_isr(stack, site.topic) == 2, 60, "both copies to be in sync")
    stack.kill_broker(second)
    wait_until(lambda: in_isr(stack, site.topic) == 1, 60, "the leader to be alone", confluent_kafka.KafkaException)
    site.send(events(500, seed=round.random.getrandbits(30)))
    site.drain()
    before = site.positions()
    stack.kill_broker(first)
    stack.start_broker(second)
    wait_until(lambda: leader(stack, site.topic, 0) == second, 120, "the stale copy to lead", confluent_kafka.KafkaException)
    stack.start_broker(first)
    wait_until(lambda: site.end_offsets()[0] == 1_000, 60, "the log to end where the stale copy ended", confluent_kafka.KafkaException)
    round.struck("500 acknowledged and stored messages are truncated")
    after = Publisher(stack.bootstrap, site.topic)
    for made in events(round.random.choice((200, 900)), seed=round.random.getrandbits(30)):
        after.send(made)
    after.flush()
    return stops_loudly(round, before, TRUNCATED)


def in_isr(stack, topic):
    return len(stack.admin.list_topics(timeout=20).topics[topic].partitions[0].isrs)


@row(16, "retention passes next_offset while no worker runs: one gap with its exact bounds", want=6, faults=2, limit=60, daily=1)
def retention(round):
    site = round.make_site(partitions=2)
    for number in range(round.count):
        for made in events(2_000, seed=round.random.getrandbits(30)):
            site.publisher.send(made, number % 2)
        site.publisher.flush()
        site.drain(instance="w0")
        stored = site.positions()[number % 2]
        for made in events(2_000, seed=round.random.getrandbits(30)):
            site.publisher.send(made, number % 2)
        site.publisher.flush()
        kept_from = stored + round.random.randrange(1, 1_999)
        delete_records(site, number % 2, kept_from)
        round.struck(f"topic partition {number % 2}: {stored} to {kept_from - 1} are gone")
        worker = site.drain(instance="w0")
        assert "events were gone before they were read" in worker.log()
        assert site.database.rows("SELECT first_offset, next_offset, reason FROM tallymill.gaps WHERE topic_partition = %s",
                                  number % 2) == [(stored, kept_from, "retention")]
    gaps = site.database.rows("SELECT topic_partition, first_offset, next_offset FROM tallymill.gaps")
    lost = [one for one in site.publisher.acknowledged if any(one[1] == number and start <= one[2] < end for number, start, end in gaps)]
    assert len(lost) == sum(end - start for _, start, end in gaps)
    return round.settle(acknowledged=[one for one in site.publisher.acknowledged if one not in set(lost)])


@row(17, "topic deleted and made anew: it stops loudly and skips nothing", want=4, faults=1, limit=60)
def topic_made_anew(round):
    site = round.make_site(partitions=1)
    site.send(events(1_000, seed=round.random.getrandbits(30)))
    site.drain()
    before = site.positions()
    site.delete_topic()
    assert site.tallymill("migrate").code == 2  # it makes the topic, and says that it is not the one that is stored
    round.struck("topic deleted and made anew")
    anew = Publisher(round.stack.bootstrap, site.topic)
    for made in events(round.random.choice((100, 1_500)), seed=round.random.getrandbits(30)):
        anew.send(made)
    anew.flush()
    return stops_loudly(round, before, TRUNCATED)


@row(18, "topic partitions 4 to 12 under load: new ones from 0", want=4, faults=1, limit=60)
def more_topic_partitions(round):
    round.start(workers=2, partitions=4, **{"kafka.topic.metadata.refresh.interval.ms": 2000})  # else a client looks every 5 minutes
    with round.flow(rate=800):
        round.let_flow(1, 3)
        round.site.add_partitions(12)
        round.struck("4 topic partitions became 12")
        more = Publisher(round.stack.bootstrap, round.site.topic)  # it knows of all twelve at once
        for made in events(6_000, seed=round.random.getrandbits(30)):
            more.send(made)
        more.flush()
        round.site.publisher.acknowledged += more.acknowledged
        round.recovered()
    assert round.site.database.value("SELECT count(DISTINCT topic_partition) FROM tallymill.batches WHERE first_offset = 0") == 12


@row(49, "a bit flips in a stored batch: reported, never stored; the other topic partitions go on", want=4, faults=1, limit=60, own_stack=True)
def bit_flip(round):
    site, stack = round.make_site(partitions=3), round.stack
    for _ in range(5):  # several batches in the segment
        site.send(events(400, seed=round.random.getrandbits(30)))
    segment = stack.state / "kafka-1" / "data" / f"{site.topic}-0" / "00000000000000000000.log"
    place, bit = round.random.randrange(segment.stat().st_size // 3, segment.stat().st_size * 2 // 3), 1 << round.random.randrange(8)
    _flip(stack, segment, place, bit)
    round.struck(f"byte {place} of {segment.name}: bit {bit:#x}")
    ended = site.run("tallymill-consumer", "--until-end")
    assert ended.code == NEEDS_A_PERSON and "corrupt data in Kafka" in ended.err, ended
    positions, ends = site.positions(), site.end_offsets()
    assert all(positions[number] == ends[number] for number in (1, 2)), (positions, ends)
    assert positions.get(0, 0) < ends[0]
    assert site.database.value("SELECT count(*) FROM analytics_events") == sum(positions.values())
    _flip(stack, segment, place, bit)
    return round.settle()  # as if it had never been


def _flip(stack, path, place, bit):
    """While the broker is stopped; it was stopped in order, for after a crash it would look through its segments itself."""
    stack.must("stop-broker", "1")
    with open(path, "r+b") as segment:
        segment.seek(place)
        byte = segment.read(1)[0]
        segment.seek(place)
        segment.write(bytes([byte ^ bit]))
    stack.start_broker()
