"""Mistakes of operators: each program says what is wrong, with which thing, and what to do; nothing is sent or lost."""

import json
import re
import socket
import subprocess

import pytest

from .harness.program import environment, run, binary
from .harness.publisher import event, events
from .harness.site import Site

PROGRAMS = ("tallymill-consumer", "tallymill-aggregator", "tallymill-produce", "tallymill")
SERVICES = (("tallymill-consumer", "--until-end"), ("tallymill-aggregator", "--once"))


def closed_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version_go_to_stdout(program):
    helped = run([binary(program), "--help"])
    assert helped.code == 0 and "usage" in helped.out.lower(), helped
    assert "--config" in helped.out and "--set" in helped.out and helped.err == ""
    version = run([binary(program), "--version"])
    assert version.code == 0 and re.search(r"\d+\.\d+\.\d+", version.out), version


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("words, named", [
    (["--set", "batch.max_row=5"], "batch.max_rows"),
    (["--set", "topic.events=x"], "topics.events"),
    (["--set", "batch.min_age=5 parsecs"], "batch.min_age"),
    (["--set", "memory.max=1 B"], "memory.max"),
    (["--set", "log.level=loud"], "log.level"),
    (["--set", "no-equals-sign"], "no-equals-sign"),
    (["--config", "/nonexistent/settings.ini"], "/nonexistent/settings.ini"),
    (["--no-such-option"], "no-such-option"),
])
def test_a_wrong_setting_is_named_and_exits_2(program, words, named):
    lead = ["audit"] if program == "tallymill" else []
    refused = run([binary(program), *lead, *words])
    assert refused.code == 2 and named in refused.err, refused


def test_a_wrong_line_of_the_file_is_named_by_file_line_and_key(make_site):
    site = make_site()
    with open(site.settings, "a", encoding="ascii") as settings:
        settings.write("[batch]\nmax_rows = 5\nmin_agee = 5 ms\n")
    lines = site.settings.read_text().splitlines()
    number = lines.index("min_agee = 5 ms") + 1
    for program, *words in SERVICES:
        refused = site.run(program, *words)
        assert refused.code == 2, refused
        assert f"settings.ini:{number}" in refused.err and "batch.min_agee" in refused.err and "batch.min_age" in refused.err, refused


def test_a_long_line_is_read(make_site):
    site = make_site()
    spaces = " " * 2_000
    text = site.settings.read_text().replace("dsn = ", f"dsn = {spaces}application_name=long ")
    site.settings.write_text(text)
    site.drain()


def test_an_unknown_subcommand_is_refused_with_those_there_are(site):
    refused = site.tallymill("audti")
    assert refused.code == 2 and "audit" in refused.err, refused


@pytest.mark.parametrize("memory", ["32 MiB", "64 GiB"])
def test_what_derives_from_memory_fits_librdkafka_at_both_ends(make_site, memory):
    """Also where the section is shared with producers that send large messages."""
    site = make_site(**{"memory.max": memory, "kafka.message.max.bytes": 16 << 20})
    site.send(events(10))
    site.drain()
    assert site.outcomes()[0] == 10


def test_a_kafka_setting_that_the_worker_must_decide_is_refused(site):
    refused = site.run("tallymill-consumer", "--until-end", "--set", "kafka.enable.auto.commit=true")
    assert refused.code == 2 and "enable.auto.commit" in refused.err, refused


def test_an_unknown_kafka_setting_is_refused(site):
    for program, *words in (SERVICES[0], ("tallymill-produce", "--generate", "1")):
        refused = site.run(program, *words, "--set", "kafka.no.such.property=1")
        assert refused.code == 2 and "no.such.property" in refused.err, refused


def test_a_missing_topic_is_named_with_what_to_run(site):
    for program, *words in (SERVICES[0], ("tallymill-produce", "--generate", "10")):
        refused = site.run(program, *words, "--set", "topics.events=no-such-topic")
        assert refused.code == 2 and "no-such-topic" in refused.err and "tallymill migrate" in refused.err, refused


def test_an_unreachable_postgres_is_named_and_may_be_tried_again(site):
    """Where a proof was asked for, nothing is proven (4): a script must not take that for damage."""
    dsn = f"host=127.0.0.1 port={closed_port()} dbname=x connect_timeout=2"
    for command, code in (("audit", 4), ("status", 1), ("verify", 4), ("migrate", 1)):
        refused = site.tallymill(command, "--set", f"postgres.dsn={dsn}")
        assert refused.code == code and "127.0.0.1" in refused.err, (command, refused)
        if code == 4:
            assert refused.out.splitlines()[-1].startswith("NOT PROVEN"), (command, refused)
            answered = site.tallymill(command, "--json", "--set", f"postgres.dsn={dsn}")
            answer = json.loads(answered.out)
            assert answered.code == 4 and answer["verdict"] == "not proven" and "127.0.0.1" in answer["error"], answered
            assert "4 not proven" in site.tallymill(command, "--help").out


@pytest.mark.parametrize("program, words", [
    *((program, words) for program in PROGRAMS for words in (["--help"], ["--version"], ["--print-settings"])),
    ("tallymill-consumer", ["--check"]), ("tallymill-aggregator", ["--check"]), ("tallymill-produce", ["--check"]),
    ("tallymill-produce", ["--generate", "10", "--json"]), ("tallymill-produce", ["--dry-run", "one.ndjson"]),
    *(("tallymill", words) for words in (
        ["migrate"], ["migrate", "--json"], ["migrate", "--check"], ["status"], ["status", "--json"], ["status", "--check"],
        ["audit"], ["audit", "--json"], ["audit", "--check"], ["verify"], ["verify", "--json"], ["dlq"], ["dlq", "--json"],
        ["dlq", "show", "--at", "0:0"], ["refresh"], ["refresh", "--json"], ["rebuild", "--no-wait", "2026-03-01"],
        ["reset", "--at", "1:end", "--yes"], ["dlq", "replay"])),
])
def test_an_answer_that_cannot_be_written_is_exit_1(full_site, program, words):
    """A full disk: half an answer with exit code 0 would pass for a whole one."""
    command = full_site.command(program, *words)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
                              env=environment(), cwd=full_site.folder)
    assert done.returncode == 1 and b"cannot write to stdout" in done.stderr, (words, done)


def test_a_file_of_rejects_that_cannot_be_written_is_told_beside_the_rejected_lines(full_site):
    done = full_site.produce("--dry-run", "--reject-file", "/dev/full", stdin=b"not json\n")
    assert done.code == 1 and "the --reject-file /dev/full is not complete: No space left" in done.err, done


@pytest.fixture(scope="module", name="full_site")
def fixture_full_site(stack, tmp_path_factory):
    """A site with one dead letter and something unread, so that every command has an answer."""
    site = Site(stack, tmp_path_factory.mktemp("full"), partitions=2)
    site.publisher.send_bytes(b"\xc1", b"", 0)
    site.publisher.flush()
    site.drain()
    site.publisher.send(event(), partition=1)
    site.publisher.flush()
    (site.folder / "one.ndjson").write_text(json.dumps({"event_name": "login"}) + "\n")
    yield site
    site.close()


def test_a_dsn_that_cannot_be_read_or_a_database_that_is_not_there_is_a_mistake(site):
    for dsn in ("host=127.0.0.1 nonsense", f"{site.database.dsn} dbname=no_such_database"):
        refused = site.tallymill("audit", "--set", f"postgres.dsn={dsn}")
        assert refused.code == 2, (dsn, refused)


def test_an_unreachable_kafka_is_named_and_nothing_is_sent(site):
    nowhere = f"kafka.bootstrap.servers=127.0.0.1:{closed_port()}"
    refused = site.run("tallymill-produce", "--generate", "10", "--set", nowhere, "--set", "kafka.delivery.timeout.ms=3000",
                       "--set", "kafka.message.timeout.ms=3000")
    assert refused.code == 1 and "127.0.0.1" in refused.err, refused
    assert sum(site.end_offsets().values()) == 0


def test_check_tells_whether_the_servers_and_the_schema_are_right_and_changes_nothing(site):
    site.send(events(10))
    for program in ("tallymill-consumer", "tallymill-aggregator"):
        good = site.run(program, "--check")
        assert good.code == 0, good
    assert site.outcomes() == (0, 0, 0, 0)
    bad = site.run("tallymill-consumer", "--check", "--set", "topics.events=no-such-topic")
    assert bad.code == 2 and "no-such-topic" in bad.err, bad


def test_print_settings_shows_all_and_no_secret(site):
    for program in PROGRAMS[:3]:
        shown = site.run(program, "--print-settings", "--set", "postgres.dsn=host=h password=hunter2 user=u",
                         "--set", "kafka.sasl.password=hunter3")
        assert shown.code == 0 and "hunter" not in shown.out + shown.err, shown
        assert "topics" in shown.out and site.topic in shown.out


def test_a_second_consumer_group_is_refused(site):
    site.send(events(10))
    site.drain()
    refused = site.run("tallymill-consumer", "--until-end", "--set", "consumer.group=another")
    assert refused.code in (2, 3) and "another" in refused.err, refused
    assert site.outcomes()[0] == 10
