"""Row 50: a producer's process while Kafka is away and it is killed; while its topic takes only small batches; while its rights are taken away.

Its events go through a spool (spool.sync = each), so each one that it accepted must become one row. Without a spool, and with events that are themselves too
large: integration/test_library_trouble.py.
"""

import json

from confluent_kafka.admin import ConfigResource

from faults.registry import row
from integration.harness.kafka_proxy import KafkaProxy
from integration.harness.publishing import MANY, Publishing
from integration.harness.secured import kafka_admin
from integration.harness.stack import Stack
from integration.harness.waiting import wait_until

LOGIN, PASSWORD = "application", "a-password-of-the-round"
SMALL, USUAL = 2_000, 4 << 20


def publishing(round, bootstrap, *settings):
    class Reached:
        pass

    Reached.bootstrap = bootstrap
    return Publishing(round.site, Reached, f"spool.dir={round.folder / 'spool'}", "spool.sync=each", *settings)


def caught_up(round, many, more=100):
    """What was accepted goes on to Kafka and to the table: events that are accepted now are in Kafka behind those before."""
    before = sum(round.site.end_offsets().values())
    many.wait_for_more(more)
    wait_until(lambda: sum(round.site.end_offsets().values()) >= before + more, round.patience(), lambda: f"{more} events in Kafka: {many.site.programs[-1].log()[-2000:]}")
    round.recovered(ends=round.site.end_offsets())


def settle(round, many, program):
    """A last process sends what is left; nothing may have failed. The Verdict over all that was accepted."""
    program.stop(120)
    last = many.start(1)
    assert last.wait(120) == 0, last.log()[-3000:]
    for log in (one.log() for one in (program, last)):
        for line in log.splitlines():
            assert not line.startswith("{") or json.loads(line)["failed"] == 0, log[-3000:]
    return round.settle(acknowledged=many.acknowledged())


@row("50/away", "a producer's Kafka is away, and its process is killed meanwhile, twice", want=30, faults=6, limit=30)
def kafka_is_away_and_the_process_is_killed(round):
    round.start(workers=1, partitions=4)
    proxy = KafkaProxy(round.stack)
    try:
        many = publishing(round, proxy.bootstrap)
        program = many.start(MANY)
        many.wait_for_more(200)
        for _ in range(max(1, round.count // 3)):
            proxy.go_away()
            round.struck("Kafka is away for the producer")
            for _ in range(2):
                round.let_flow(0.2, 6)
                many.wait_for_more(30)
                program.kill()
                round.struck("the producer is killed")
                program = many.start(MANY)
            many.wait_for_more(30)
            proxy.come_back()
            caught_up(round, many)
        return settle(round, many, program)
    finally:
        proxy.close()


@row("50/limit", "the producer's topic takes small batches for a while: max.message.bytes", want=30, faults=6, limit=30)
def topic_takes_small_batches(round):
    round.start(workers=1, partitions=4)

    def limit(size):
        resource = ConfigResource(ConfigResource.Type.TOPIC, round.site.topic, set_config={"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(size)})
        round.site.stack.admin.alter_configs([resource])[resource].result(30)

    many = publishing(round, round.stack.kafka["bootstrap.servers"], "kafka.compression.codec=none", "kafka.linger.ms=200")
    program = many.start(MANY)
    many.wait_for_more(200)
    for number in range(round.count):
        limit(SMALL)
        round.struck(f"max.message.bytes is {SMALL:,}")
        round.let_flow(0.1, 3)
        if number % 3 == 2:  # what waits in the spool comes in one large batch
            program.kill()
            program = many.start(MANY)
        caught_up(round, many, more=300)
        limit(USUAL)
        round.let_flow(0.1, 1)
        many.wait_for_more(50)
    return settle(round, many, program)


@row("50/rights", "the producer's rights are taken away and given back", want=20, faults=4, limit=40)
def rights_are_taken_away(round):
    secured = round.enter(Stack(round.folder / "secured", secure=True))
    round.start(workers=1, partitions=4, stack=secured)
    admin = kafka_admin(secured)
    admin.set_password(LOGIN, PASSWORD)
    may_see, may_write = ("topic", round.site.topic, "Describe"), ("topic", round.site.topic, "Write")
    admin.allow(LOGIN, [may_see, may_write])
    many = publishing(round, secured.kafka["bootstrap.servers"], f"kafka.sasl.username={LOGIN}", f"kafka.sasl.password={PASSWORD}")
    program = many.start(MANY)
    many.wait_for_more(200)
    for _ in range(round.count):
        taken = round.random.choice(([may_write], [may_see, may_write], [may_see]))
        before = len(program.log())
        admin.forbid(LOGIN, taken)
        round.struck(f"taken away: {', '.join(right for _, _, right in taken)}")
        if may_write in taken:
            wait_until(lambda: "this login has not the right" in program.log()[before:], 60, program.log)
        round.let_flow(0.2, 3)
        many.wait_for_more(30)
        admin.allow(LOGIN, taken)
        caught_up(round, many)
    return settle(round, many, program)
