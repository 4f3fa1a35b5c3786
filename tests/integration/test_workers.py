"""Workers come, go, stop, freeze and die: every topic partition is served on, and nothing is lost or doubled."""

import contextlib

import confluent_kafka
import pytest

from .harness.kafka_proxy import KafkaProxy
from .harness.publisher import events
from .harness.site import SESSION_TIMEOUT_SECONDS
from .harness.waiting import wait_until

DEFAULT_SESSION_SECONDS = 10  # what operators have; the promise is twice the session time-out


def owners(site):
    """Topic partition to (owner, epoch)."""
    return {number: (owner, epoch) for number, owner, epoch in site.database.rows(
        "SELECT topic_partition, owner, epoch FROM tallymill.owners")}


@contextlib.contextmanager
def ghost(site, instance):
    """A member of the workers' group by that name that stores nothing."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": site.stack.bootstrap, "group.id": site.topic.replace("events-", "group-"),
                                         "group.instance.id": instance, "session.timeout.ms": 6000, "partition.assignment.strategy": "range,roundrobin"})
    consumer.subscribe([site.topic])
    try:
        yield consumer
    finally:
        consumer.close()


def test_two_then_four_then_two_workers_under_load(make_site):
    site = make_site(partitions=8)
    workers = [site.worker(instance=f"w{n}") for n in range(2)]
    site.send(events(3_000, seed=0))
    wait_until(lambda: len({owner for owner, _ in owners(site).values()}) == 2, 60, "two workers to share the topic partitions")
    site.send(events(3_000, seed=1))
    workers += [site.worker(instance=f"w{n}") for n in range(2, 4)]
    site.send(events(3_000, seed=2))
    wait_until(lambda: len({owner for owner, _ in owners(site).values()}) == 4, 60, "four workers to share the topic partitions")
    site.send(events(3_000, seed=3))
    for worker in workers[:2]:
        worker.kill()
    site.send(events(3_000, seed=4))
    site.wait_until_drained(90)
    assert len({owner for owner, _ in owners(site).values()}) == 2
    assert [worker.stop() for worker in workers[2:]] == [0, 0]
    assert site.outcomes() == (15_000, 0, 0, 0)
    site.fold()
    site.assert_holds()


def must_be_replaced(site, seconds):
    """Within so long all that the worker called frozen had is of somebody else, who may store it."""
    wait_until(lambda: len(owners(site)) == 2 and "frozen" not in str(owners(site)), seconds, lambda: f"the frozen worker to be replaced: {owners(site)}", is_promise=True)


@pytest.mark.parametrize("step, session_seconds", [
    ("mid_copy:stop:2000", DEFAULT_SESSION_SECONDS), ("before_fence:stop", SESSION_TIMEOUT_SECONDS),
    ("commit_sent:stop", SESSION_TIMEOUT_SECONDS)])
def test_a_frozen_worker_is_replaced_within_two_session_timeouts_and_does_no_harm_when_thawed(make_site, step, session_seconds):
    site = make_site(partitions=2, build="check", **{"kafka.session.timeout.ms": session_seconds * 1000})
    site.send(events(20_000, seed=1))
    frozen = site.worker(instance="frozen", failpoint=step)
    wait_until(frozen.is_frozen, 60, f"the worker to stop itself at {step}")
    other = site.worker(instance="other")
    must_be_replaced(site, 2 * session_seconds)
    site.wait_until_drained()
    frozen.thaw()
    site.send(events(2_000, seed=2))
    site.wait_until_drained()
    wait_until(lambda: "frozen" in str(owners(site)) or not frozen.is_running(), 60, "the thawed worker to rejoin or to end")
    site.send(events(2_000, seed=3))
    site.wait_until_drained()
    assert frozen.is_running(), frozen.log()[-3000:]
    assert [frozen.stop(), other.stop()] == [0, 0]
    assert site.outcomes() == (24_000, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_worker_frozen_with_only_bad_events_is_replaced_too(make_site):
    site = make_site(partitions=2, build="check")
    for number in range(4_000):
        site.publisher.send_bytes(b"\xc1%d" % number, b"%d" % number)
    site.publisher.flush()
    frozen = site.worker(instance="frozen", failpoint="before_fence:stop")
    wait_until(frozen.is_frozen, 60, "the worker to stop itself")
    other = site.worker(instance="other")
    must_be_replaced(site, 2 * SESSION_TIMEOUT_SECONDS)
    site.wait_until_drained()
    frozen.thaw()
    site.send(events(500))
    site.wait_until_drained()
    assert [frozen.stop(), other.stop()] == [0, 0]
    assert site.outcomes() == (500, 0, 4_000, 0)
    site.fold()
    site.assert_holds()


@pytest.mark.parametrize("step", ["after_poll", "mid_copy", "copy_done", "before_fence", "commit_sent", "commit_replied"])
def test_a_worker_killed_at_a_step_is_followed_by_one_that_goes_on(make_site, step):
    site = make_site(partitions=2, build="check", **{"batch.max_rows": 1000})
    site.send(events(8_000, seed=1))
    for hit in (1, 2):
        point = f"{step}:exit:{450 * hit if step == 'mid_copy' else hit}"
        worker = site.worker(instance="w", failpoint=point)
        assert worker.wait(60) == 86, worker.log()[-3000:]
    worker = site.worker("--until-end", instance="w")
    assert worker.wait(60) == 0, worker.log()[-3000:]
    assert site.outcomes() == (8_000, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_sigterm_under_load_ends_with_0_and_the_next_one_goes_on(make_site):
    site = make_site(partitions=4)
    for seed in range(6):
        worker = site.worker(instance="only")
        site.send(events(1_500, seed=seed))
        assert worker.stop() == 0, worker.log()[-3000:]
    worker = site.worker("--until-end", instance="only")
    assert worker.wait(60) == 0
    assert site.outcomes() == (9_000, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_second_worker_of_the_same_name_takes_over_and_the_first_exits_with_3(site):
    first = site.worker(instance="twin")
    site.send(events(500, seed=1))
    site.wait_until_drained()
    second = site.worker(instance="twin")
    site.send(events(500, seed=2))
    assert first.wait(60) == 3, first.log()[-3000:]
    site.send(events(500, seed=3))
    site.wait_until_drained()
    assert second.is_running()
    assert "Kafka ended this member" not in second.log()
    assert second.stop() == 0
    assert site.outcomes() == (1_500, 0, 0, 0)


def test_a_worker_that_kafka_fences_although_no_namesake_stores_anything_asks_to_be_started_again(make_site):
    """As after a broker that died in mid-join: the name is known under another member id, and nobody is behind it."""
    site = make_site(partitions=2)
    worker = site.worker(instance="twin")
    site.send(events(500, seed=1))
    site.wait_until_drained()
    with ghost(site, "twin") as other:
        wait_until(lambda: other.consume(1000, 0.1) is not None and not worker.is_running(), 60, "Kafka to fence the worker")
        assert worker.wait(1) == 1, worker.log()[-3000:]
        assert "no worker of this name claims anything" in worker.log()
        site.send(events(500, seed=2))
        again = site.worker(instance="twin")
        site.wait_until_drained()
    assert again.stop() == 0
    assert site.outcomes() == (1_000, 0, 0, 0)


def test_a_worker_that_was_fenced_stops_when_it_is_told_to(make_site):
    site = make_site(partitions=2)
    worker = site.worker(instance="twin")
    site.send(events(500, seed=1))
    site.wait_until_drained()
    # On a connection of its own, beside the one for batches.
    looks = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tallymill-consumer' HAVING count(*) > 1"
    with ghost(site, "twin") as other:
        wait_until(lambda: other.consume(1000, 0.1) is not None and site.database.rows(looks), 60, "the worker to look for its namesake")
        assert worker.stop() == 0, worker.log()[-3000:]
        assert "no worker of this name" not in worker.log(), "it was not found out"
    assert site.outcomes() == (500, 0, 0, 0)


def test_a_worker_that_is_fenced_by_the_ledger_and_by_a_namesake_at_once_ends_with_3(make_site):
    site = make_site(partitions=1, build="check", **{"kafka.heartbeat.interval.ms": 500})
    site.send(events(500, seed=1))
    first = site.worker(instance="twin", failpoint="before_fence:stop")
    wait_until(first.is_frozen, 60, "the worker to stop itself before the fence")
    second = site.worker(instance="twin")
    wait_until(lambda: owners(site)[0][1] == 2, 30, "the namesake to claim")  # soon: the first one's session still stands
    first.thaw()
    assert first.wait(30) == 3, first.log()[-3000:]
    site.wait_until_drained()
    assert second.stop() == 0
    assert site.outcomes() == (500, 0, 0, 0)


def test_more_workers_than_topic_partitions_do_no_harm(make_site):
    site = make_site(partitions=1)
    workers = [site.worker() for _ in range(3)]
    site.send(events(2_000))
    site.wait_until_drained()
    assert [worker.stop() for worker in workers] == [0, 0, 0]
    site.fold()
    site.assert_holds()


def test_a_backlog_is_read_from_all_topic_partitions_side_by_side(make_site):
    """Of Kafka batches as they come from live services; the backlog is many times what a worker reads ahead. When half is stored, so is some of each."""
    site = make_site(partitions=16)
    assert site.produce("--generate", 120_000, "--days", 1, "--set", "kafka.batch.num.messages=100").code == 0
    ends = site.end_offsets()
    site.drain()
    stored = dict.fromkeys(ends, 0)
    for number, count in site.database.rows("SELECT topic_partition, next_offset - first_offset FROM tallymill.batches ORDER BY batch_id"):
        if sum(stored.values()) >= 60_000:
            break
        stored[number] += count
    shares = [round(stored[number] / ends[number], 2) for number in sorted(ends)]
    assert min(shares) > 0.15 and max(shares) < 0.9, shares     # read one after the other, half of them are 1 and others 0


def test_backends_that_are_cut_off_are_followed_by_new_ones(site):
    worker, aggregator = site.worker(), site.aggregator()
    for seed in range(5):
        site.send(events(1_000, seed=seed))
        site.database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                           " AND pid <> pg_backend_pid()")
    site.wait_until_drained()
    site.wait_until_folded()
    assert [worker.stop(), aggregator.stop()] == [0, 0]
    assert site.outcomes() == (5_000, 0, 0, 0)
    site.assert_holds()


def test_a_reader_that_holds_a_snapshot_open_stalls_nobody(site):
    with site.database.session() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT count(*) FROM analytics_events")
        worker, aggregator = site.worker(), site.aggregator()
        site.send(events(2_000, days=40))
        site.wait_until_drained()
        site.wait_until_folded()
        assert [worker.stop(), aggregator.stop()] == [0, 0]
    site.assert_holds()


def test_postgres_restarted_under_load_loses_nothing(site):
    worker, aggregator = site.worker(), site.aggregator()
    for seed in range(2):
        site.send(events(3_000, seed=seed))
        site.stack.restart_postgres("immediate")
    site.send(events(3_000, seed=9))
    site.wait_until_drained()
    site.wait_until_folded()
    assert [worker.stop(), aggregator.stop()] == [0, 0]
    assert site.outcomes() == (9_000, 0, 0, 0)
    site.assert_holds()


def test_a_broker_killed_and_started_again_loses_nothing(site):
    worker = site.worker()
    site.send(events(2_000, seed=1))
    site.stack.kill_broker()
    for made in events(2_000, seed=2):
        site.publisher.send(made)
    site.stack.start_broker()
    site.publisher.flush()
    site.wait_until_drained(90)
    assert worker.stop() == 0
    assert site.outcomes() == (4_000, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_broker_that_dies_behind_a_claim_does_not_hold_the_worker_until_it_is_back(make_site):
    """Of its leader the worker asks where the log begins and ends; librdkafka's own question for that waits for the broker as long as that is away."""
    site = make_site(build="check")
    site.send(events(400))
    worker = site.worker(failpoint="claimed:stop:1")
    wait_until(worker.is_frozen, 60, "the worker to stop itself behind its claim")
    site.stack.kill_broker()
    try:
        worker.thaw()
        wait_until(lambda: "cannot begin this topic partition now" in worker.log(), 60, "the worker to go on without the broker")
    finally:
        site.stack.start_broker()
    site.wait_until_drained(90)
    assert worker.stop() == 0
    site.assert_holds()


def test_a_topic_made_anew_under_the_same_name_stops_loudly_and_stores_nothing(site):
    site.send(events(500, seed=1))
    site.drain()
    before = site.positions()
    site.delete_topic()
    assert site.tallymill("migrate").code == 2  # it makes the topic, and says that it is not the one that is stored
    site.send(events(100, seed=2))
    worker = site.worker()
    wait_until(lambda: "level=error msg=\"topic partition ends before what is stored" in worker.log(), 30, "the worker to say so")
    told = wait_until(lambda: site.database.rows("SELECT reason FROM tallymill.troubles"), 30, "the worker to tell the database")
    assert len(told) == 1 and told[0][0].startswith("topic partition ") and "tallymill topic renew" in told[0][0] and told[0][0].count("is not read") == 4, told
    assert told[0][0] in site.tallymill("status").out
    assert worker.stop() == 0
    stopped = site.run("tallymill-consumer", "--until-end")
    assert stopped.code == 3 and site.topic in stopped.err, stopped
    assert site.positions() == before and site.outcomes() == (500, 0, 0, 0)
    audit = site.tallymill("audit")
    assert audit.code == 1, audit


def test_until_end_does_not_take_a_topic_made_anew_for_one_read_to_its_end(make_site):
    site = make_site(partitions=1)
    site.send(events(500, seed=1))
    site.drain()
    absent = site.worker(instance="absent")
    wait_until(lambda: "absent" in str(owners(site)), 30, "a static member")
    absent.kill()  # the group waits for it, so that the next worker looks at the ends before it has any topic partition
    site.delete_topic()
    assert site.tallymill("migrate").code == 2  # it makes the topic, and says that it is not the one that is stored
    site.send(events(100, seed=2))
    ended = site.run("tallymill-consumer", "--until-end")
    assert ended.code == 3 and site.topic in ended.err, ended
    assert site.outcomes() == (500, 0, 0, 0)


def test_a_worker_ends_in_order_while_kafka_is_away(site):
    """Leaving the group cannot work then: librdkafka must not keep the process, and what was committed stands."""
    proxy = KafkaProxy(site.stack)
    worker = site.worker("--set", f"kafka.bootstrap.servers={proxy.bootstrap}")
    site.send(events(500))
    site.wait_until_drained()
    proxy.go_away()
    assert worker.stop(10) == 0
    assert "leaving without it" not in worker.log()
    site.assert_holds()
