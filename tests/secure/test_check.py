"""`--check` of every program: asks for the rights that it needs, of both servers, tells all that is missing at once, and changes nothing."""

import pathlib
import subprocess

import pytest

from integration.harness.program import environment
from integration.harness.secured import ADMINISTRATOR, PRODUCER, WORKER
from integration.harness.waiting import wait_until

READER = ("topic:Describe",)
# What it is run as, its rights in Kafka, its role in Postgres: the table of docs/security.md.
CHECKED = {
    "worker": (("tallymill-consumer",), WORKER, "tallymill_ingest"),
    "aggregator": (("tallymill-aggregator",), (), "tallymill_aggregate"),
    "produce": (("tallymill-produce",), PRODUCER, None),
    "status": (("tallymill", "status"), READER, "tallymill_read"),
    "audit": (("tallymill", "audit"), ("topic:Read",), "tallymill_read"),
    "verify": (("tallymill", "verify"), (), "tallymill_read"),
    "advise": (("tallymill", "advise"), (), "tallymill_read"),
    "rebuild": (("tallymill", "rebuild"), (), "tallymill_aggregate"),
    "refresh": (("tallymill", "refresh"), (), "tallymill_aggregate"),
    "dlq list": (("tallymill", "dlq", "list"), (), "tallymill_read"),
    "dlq show": (("tallymill", "dlq", "show"), (), "tallymill_admin"),
    "dlq replay": (("tallymill", "dlq", "replay"), PRODUCER, "tallymill_admin"),
    "reset": (("tallymill", "reset", "--at", "0:end"), READER, "tallymill_admin"),
    "lag": (("tallymill", "lag"), ("topic:Read",), "tallymill_read"),
    "top": (("tallymill", "top"), ("topic:Read",), "tallymill_read"),
    "dashboard": (("tallymill", "dashboard"), READER, "tallymill_read"),
    "export": (("tallymill", "export"), (), "tallymill_read"),
    "erase": (("tallymill", "erase"), READER, "tallymill_admin"),
    "migrate": (("tallymill", "migrate"), ADMINISTRATOR, "tallymill_admin"),
}


def check(site, program, *words, deadline=120):
    lead = 2 if program[0] == "tallymill" else 1
    return site.run(program[0], *program[1:lead], *program[lead:], "--check", *words, deadline=deadline)


@pytest.mark.parametrize("name", CHECKED)
def test_exactly_the_rights_of_the_table_are_enough_and_without_them_all_is_told_at_once(site, name):
    program, rights, role = CHECKED[name]
    before = books(site)
    strange = site.secured.login("strange", ())
    with site.secured.database_login("stranger") as (stranger, login):
        refused = check(site, program, *strange.words, *stranger)
    assert refused.code == 2, refused
    if role:
        assert role in refused.err and login in refused.err, refused
    for right in rights:
        kind, operation = right.split(":")
        if operation == "DescribeConfigs":
            continue  # what a topic that is there is compared by: the command goes without, and says so
        assert f"--operation {operation} --{kind}" in refused.err and strange.name in refused.err, refused
    allowed = site.secured.login("allowed", rights)
    with site.secured.database_login("allowed", *([role] if role else [])) as (words, _):
        good = check(site, program, *allowed.words, *(words if role else stranger))
    assert good.code == 0 and good.out, good
    assert books(site) == before


def books(site):
    """What a check must not change."""
    groups = {group.id for group in site.stack.admin.list_groups(timeout=30)}
    topics = {name for name in site.stack.admin.list_topics(timeout=30).topics if not name.startswith("__")}  # a broker makes its own at the first question about a group
    return (site.end_offsets(), site.outcomes(), groups, topics, site.database.value("SELECT count(*) FROM tallymill.owners"),
            site.database.rows("SELECT relname, relacl::text FROM pg_class ORDER BY 1, oid"))


def test_a_right_that_a_role_has_lost_is_named(site):
    with site.secured.database_login("worker", "tallymill_ingest") as (words, login):
        site.database.run("REVOKE EXECUTE ON FUNCTION tallymill.tell_trouble(text, text, text, text) FROM tallymill_ingest;"
                          "REVOKE INSERT ON tallymill.dead_letters FROM tallymill_ingest")
        refused = check(site, ("tallymill-consumer",), *words)
    assert refused.code == 2 and login in refused.err, refused
    assert "INSERT on table tallymill.dead_letters" in refused.err and "tallymill.tell_trouble" in refused.err, refused


def test_a_producer_that_is_checked_asks_for_no_producer_id(site):
    words = ("--set", "kafka.debug=protocol", "--set", "log.level=debug")
    checked = check(site, ("tallymill-produce",), *words)
    assert checked.code == 0 and "Sent MetadataRequest" in checked.err and "InitProducerId" not in checked.err, checked
    sent = site.produce("--generate", "1", *words)
    assert sent.code == 0 and "InitProducerId" in sent.err, sent  # where it is asked for, it shows


def test_a_migration_that_is_checked_makes_no_topic_and_asks_whether_it_may(site):
    name = f"{site.topic}-later"
    limited = site.secured.login("limited", ())
    site.secured.kafka.allow(limited.name, [("topic", name, "Describe")])
    refused = check(site, ("tallymill", "migrate"), *limited.words, "--set", f"topics.events={name}")
    assert refused.code == 2 and "--operation Create --topic" in refused.err, refused
    site.secured.kafka.allow(limited.name, [("topic", name, "Create")])
    planned = check(site, ("tallymill", "migrate"), *limited.words, "--set", f"topics.events={name}")
    assert planned.code == 0 and f"{name}, to be made" in planned.out, planned
    assert name not in site.stack.admin.list_topics(timeout=30).topics


@pytest.fixture(name="astray")
def _astray(site):
    """Has the broker say that it is found under a name that nobody knows, and its own again afterwards. Gives that name."""
    stack, folder = site.stack, site.stack.state / "kafka-1"
    command = pathlib.Path(f"/proc/{stack.pid('kafka-1')}/cmdline").read_bytes().split(b"\0")[:-1]
    stack.must("stop-broker", "1")
    text = (folder / "server.properties").read_text()
    listeners = next(line.split("=", 1)[1] for line in text.splitlines() if line.startswith("listeners="))
    name = "kafka-1.no-such-domain.invalid"
    own = ",".join(one for one in listeners.split(",") if not one.startswith("CONTROLLER"))
    (folder / "astray.properties").write_text(f"{text}advertised.listeners={own.replace('SECURE://127.0.0.1', f'SECURE://{name}')}\n")
    command = [word.replace(b"server.properties", b"astray.properties") for word in command]
    assert any(b"astray" in word for word in command), command
    with open(site.folder / "astray.log", "wb") as log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                                                         env=environment()) as broker:
        try:
            wait_until(lambda: site.topic in stack.admin.list_topics(timeout=5).topics, 60, "the broker to answer by its other listener",
                       despite=Exception)
            yield name
        finally:
            broker.terminate()
            broker.wait(30)
            stack.must("start-broker", "1")
    assert stack.is_running()


def test_a_broker_that_says_it_is_found_under_a_name_that_nobody_knows_is_named(site, astray):
    """Not a setting of ours: a name may be known later, and the programs go on trying (exit code 1)."""
    for name in ("worker", "produce", "status"):
        program, rights, _ = CHECKED[name]
        refused = check(site, program, *site.secured.login(name, rights).words)
        assert refused.code == 1 and astray in refused.err and "advertised.listeners" in refused.err, refused
        assert "leads 4 topic partitions" in refused.err and "(0, 1, 2, 3)" in refused.err, refused
    audited = site.tallymill("audit")  # the ends of logs that nobody told are no damage
    assert audited.code == 4 and audited.out.splitlines()[-1].startswith("NOT PROVEN"), audited
    shown = site.tallymill("status")
    assert shown.code == 0 and "the lag is unknown" in shown.out, shown
