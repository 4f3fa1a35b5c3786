"""What an operator reads in the log of a service: where it begins and ends, and of an outage two lines."""

import re

from psycopg2 import extensions

from .harness.gate import Gate
from .harness.kafka_proxy import KafkaProxy
from .harness.publisher import events
from .harness.waiting import wait_until


def lines(program, message):
    return [line for line in program.log().splitlines() if f'msg="{message}"' in line]


def test_a_service_says_what_it_is_what_it_reads_and_where_it_stopped(site):
    worker = site.worker(instance="one")
    site.send(events(100))
    site.wait_until_drained()
    aggregator = site.aggregator()
    site.wait_until_folded()
    assert worker.stop() == 0 and aggregator.stop() == 0
    for program, instance in ((worker, "one"), (aggregator, "")):
        first, last = program.log().splitlines()[0], program.log().splitlines()[-1]
        assert re.search(rf'level=info msg="started" version=\S+ settings="{re.escape(str(site.settings))}" instance="{instance}" pid=\d+$', first), first
        assert last.endswith('level=info msg="stopped" by=SIGTERM'), last
    (reading,) = lines(worker, "reading")
    assert f'topic={site.topic} count=4 topic_partitions="0-3"' in reading
    (ended,) = lines(worker, "no more is stored")
    places = " ".join(f"{number}:{offset}" for number, offset in sorted(site.positions().items()))
    assert f'rows=100 dead_letters=0 committed_to="{places}"' in ended


def test_an_error_that_ends_a_service_is_a_line_of_its_log(site):
    without_schema = extensions.make_dsn(site.database.dsn, dbname="postgres")
    for program in (site.worker("--set", "topics.events=no-such-topic"), site.aggregator("--set", f"postgres.dsn={without_schema}")):
        assert program.wait(30) == 2
        (line,) = lines(program, "stopped by an error")
        assert "level=error" in line and "exit_code=2 error=" in line


def test_an_outage_of_postgres_is_two_lines_however_often_it_was_tried(site):
    server = extensions.parse_dsn(site.database.dsn)
    gate = Gate(server["host"], int(server["port"]))
    through = ("--set", f"postgres.dsn={extensions.make_dsn(site.database.dsn, host='127.0.0.1', port=gate.port)}", "--set", "log.level=debug")
    programs = [site.worker(*through), site.aggregator(*through)]
    for program in programs:
        wait_until(lambda one=program: "connected to Postgres" in one.log(), 30, "it to be connected")
    gate.shut()
    for program in programs:  # tried at least three times
        wait_until(lambda one=program: one.log().count("cannot reach Postgres, trying again") >= 3, 60, lambda one=program: one.log())
    gate.open()
    for program in programs:
        (back,) = wait_until(lambda one=program: lines(one, "Postgres is back"), 60, lambda one=program: one.log())
        assert re.search(r"level=info .* after_s=\d+$", back), back
        told = [line for line in lines(program, "cannot reach Postgres, trying again") if "level=debug" not in line]
        assert len(told) == 1 and "for_s=0 error=" in told[0], told
        assert program.stop() == 0
    gate.shut()


def test_an_outage_of_kafka_is_told_once_and_each_reason_once_however_often_it_was_tried(site):
    proxy = KafkaProxy(site.stack)
    try:
        worker = site.worker("--set", f"kafka.bootstrap.servers={proxy.bootstrap}", "--set", "kafka.reconnect.backoff.max.ms=500")
        site.send(events(100))
        site.wait_until_drained()
        proxy.go_away()
        wait_until(lambda: lines(worker, "Kafka is away, trying again"), 60, worker.log)
        proxy.come_back()
        (back,) = wait_until(lambda: lines(worker, "Kafka is back"), 60, worker.log)
        assert re.search(r"level=info .* after_s=\d+$", back), back
        site.send(events(100, seed=2))
        site.wait_until_drained()
        told = [line for line in worker.log().splitlines() if re.search("level=(warn|error)", line) or "librdkafka" in line]
        reasons = [line.split(" reason=")[1] for line in told if "cannot reach Kafka" in line]
        assert sum("Kafka is away" in line for line in told) == 1 and len(set(reasons)) == len(reasons), told
        assert len(told) == 1 + len(reasons), told  # each reason once, and that it is away; nothing for each try
        assert worker.stop() == 0
    finally:
        proxy.close()
