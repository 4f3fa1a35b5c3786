"""Rows 5 to 10, 16 to 18 and 49: brokers die, freeze and restart; logs lose their leader, are truncated, shortened, made anew, widened, damaged."""

import os
import signal

import confluent_kafka
from confluent_kafka.admin import ConfigResource

from checker.verdict import Verdict
from faults.registry import row
from integration.harness.publisher import Publisher, events
from integration.harness.waiting import wait_until
from integration.test_operator import delete_records
from integration.test_topic_identity import make_topic

OFFSETS_TOPIC, OFFSETS_PARTITIONS = "__consumer_offsets", 4
USAGE, NEEDS_A_PERSON = 2, 3


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


def says_why(round, before, code):
    """Whoever is asked about a log that is not the stored one says so, and nothing was stored on top of it."""
    site = round.site
    stopped = site.run("tallymill-consumer", "--until-end")
    assert stopped.code == code and site.topic in stopped.err, stopped
    assert site.positions() == before, "something was stored on top of another log"
    audited = site.tallymill("audit")
    assert audited.code == 1, audited
    return Verdict()


def ends_loudly(round, worker, before, words, code=NEEDS_A_PERSON):
    """A worker that runs says one of the words, and whoever is asked afterwards says why it does not go on."""
    wait_until(lambda: any(text in worker.log() for text in words), 100, lambda: f"the worker to say one of {words}:\n{worker.log()[-2000:]}")
    assert worker.stop() in (0, code)
    return says_why(round, before, code)


def stops_loudly(round, before, words):
    """No offset of topic partition 0 is stored any more, and everybody who is asked says why."""
    return ends_loudly(round, round.site.worker(instance="after"), before, words)


TRUNCATED = ("topic partition ends before what is stored", "another message stands where the last stored one was")
LOG_IS_ANOTHER = (*TRUNCATED, "the topic was deleted and recreated")
OTHER_CLUSTER = "belongs to Kafka cluster"


@row("9/leaderless", "16 of 48 topic partitions without a leader: the healthy ones never stand, nor do their claims", want=6, faults=2, limit=15, brokers=3)
def leaderless(round):
    site = round.make_site(partitions=48, **{"topics.replication": 1})
    round.start(workers=2)

    def send_to_each(numbers):
        for number in numbers:
            for made in events(5, seed=round.random.getrandbits(30)):
                site.publisher.send(made, number)
        site.publisher.flush(60)
        ends = {number: 0 for number in numbers}
        for _, number, offset in site.publisher.acknowledged:
            if number in ends:
                ends[number] = max(ends[number], offset + 1)
        return ends

    def leaders():
        return {number: one.leader for number, one in round.stack.admin.list_topics(timeout=20).topics[site.topic].partitions.items()}

    round.recovered(ends=send_to_each(range(48)))
    for _ in range(round.count):
        wait_in_sync_again(round.stack)
        victim = round.random.randrange(1, 4)
        healthy = [number for number, who in leaders().items() if who != victim]
        assert len(healthy) == 32
        round.stack.kill_broker(victim)
        round.struck(f"broker {victim} killed: 16 topic partitions have no leader")
        round.recovered(ends=send_to_each(healthy))  # with the group's own coordinator, perhaps
        for step in range(8):
            if step == 4:
                round.crew.kill("worker", 0)  # what it owned is claimed anew beside the dead ones
            round.recovered(since=round.now(), ends=send_to_each(healthy))
        round.stack.start_broker(victim)
        round.recovered(since=round.now(), ends=send_to_each(range(48)))


def wait_in_sync_again(stack):
    """Every broker is there, and the group's own topic is whole on each."""
    def is_whole():
        known = stack.admin.list_topics(timeout=20)
        return len(known.brokers) == stack.brokers and all(len(one.isrs) == stack.brokers for one in known.topics[OFFSETS_TOPIC].partitions.values())
    wait_until(is_whole, 120, "all brokers to be in sync", (confluent_kafka.KafkaException, KeyError))


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


def send_to(stack, topic, count, seed):
    """So many events to a log by a publisher of its own, which knows nothing of the log before."""
    anew = Publisher(stack.bootstrap, topic)
    for made in events(count, seed=seed):
        anew.send(made)
    anew.flush()


def make_anew(round):
    """The topic deleted, away for a moment or not at all, made again, and filled to less than before or to more."""
    site = round.site
    site.delete_topic()
    if round.random.random() < 0.5:
        round.let_flow(0.5, 4)
    make_topic(site)
    send_to(round.stack, site.topic, round.random.choice((100, 1_500)), round.random.getrandbits(30))


def stored_thousand(round, **settings):
    """A site whose only topic partition is stored up to 1,000; its positions."""
    site = round.make_site(partitions=1, **settings)
    site.send(events(1_000, seed=round.random.getrandbits(30)))
    site.drain()
    return site.positions()


@row("17/stopped", "topic deleted and made anew while no worker runs: it stops loudly and skips nothing", want=4, faults=1, limit=60)
def topic_made_anew(round):
    before, site = stored_thousand(round), round.site
    site.delete_topic()
    assert site.tallymill("migrate").code == 2  # it makes the topic, and says that it is not the one that is stored
    round.struck("topic deleted and made anew")
    send_to(round.stack, site.topic, round.random.choice((100, 1_500)), round.random.getrandbits(30))
    return stops_loudly(round, before, LOG_IS_ANOTHER)


@row("17/running", "topic deleted and made anew under a running worker", want=4, faults=1, limit=60)
def topic_made_anew_running(round):
    before = stored_thousand(round)
    worker = round.site.worker(instance="running")
    wait_until(lambda: "reading" in worker.log(), 60, "the worker to read")
    make_anew(round)
    round.struck("topic deleted and made anew under a running worker")
    return ends_loudly(round, worker, before, LOG_IS_ANOTHER)


@row("17/frozen", "topic deleted and made anew while its worker is frozen for less than its session", want=4, faults=1, limit=60)
def topic_made_anew_frozen(round):
    before = stored_thousand(round, **{"kafka.session.timeout.ms": 45_000})
    worker = round.site.worker(instance="frozen")
    wait_until(lambda: "reading" in worker.log(), 60, "the worker to read")
    worker.freeze()
    make_anew(round)
    worker.thaw()
    round.struck("topic deleted and made anew while its worker was frozen")
    return ends_loudly(round, worker, before, LOG_IS_ANOTHER)


@row("17/cluster", "the whole cluster replaced, at the same addresses, with the topic made again", want=2, faults=1, limit=60, own_stack=True)
def cluster_replaced(round):
    before = stored_thousand(round)
    is_running = round.random.random() < 0.5
    worker = round.site.worker(instance="running") if is_running else None
    if is_running:
        wait_until(lambda: "reading" in worker.log(), 60, "the worker to read")
    round.stack.replace_kafka()
    make_topic(round.site)
    send_to(round.stack, round.site.topic, round.random.choice((100, 1_500)), round.random.getrandbits(30))
    round.struck("the cluster is another one" + (", under a running worker" if is_running else ""))
    if is_running:
        return ends_loudly(round, worker, before, (OTHER_CLUSTER,), code=USAGE)
    return says_why(round, before, USAGE)


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
