"""A producer in another language, written from schemas/wire.md alone: its events arrive as the page says."""

import json
import shutil

import pytest

from .harness.program import ROOT, environment, run
from .harness.publisher import Publisher

FOREIGN = ROOT / "tests" / "foreign"


def publish(site, folder):
    """Installs the client's pinned packages, runs it, and gives what it printed, by label."""
    for name in ("package.json", "package-lock.json", "publish.mjs"):
        shutil.copy(FOREIGN / name, folder / name)
    installed = run(["npm", "ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"], 180)
    assert installed.code == 0, installed
    done = run(["node", str(folder / "publish.mjs"), site.stack.bootstrap, site.topic], 60, env=environment(NODE_NO_WARNINGS="1"))
    assert done.code == 0, done
    return {line["what"]: line for line in map(json.loads, done.out.splitlines())}


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
def test_events_of_kafkajs_and_msgpack_javascript_become_the_rows_that_the_page_promises(make_site, tmp_path):
    site = make_site(partitions=8, **{"window.oldest": "2026-01-01"})
    sent = publish(site, tmp_path)
    site.drain()
    site.fold()
    rows = {str(identity): columns for identity, *columns in site.database.rows(
        "SELECT id::text, event_name, event_category, session_id, user_id, is_internal, event_data::text,"
        " (extract(epoch FROM created_at) * 1000000)::bigint FROM analytics_events")}

    def row(what):
        *columns, data, created_us = rows[sent[what]["id"]]
        assert created_us == sent[what]["created_us"]
        return (*columns, data)

    assert row("plain") == ("login", "business", "s-42", 1001, False, '{"method": "github"}')
    assert row("date") == ("login", "business", "21", None, False, "{}")
    assert row("absent") == ("session_start", "workflow", None, None, False, "{}")
    assert row("text_id")[5] == '{"_extra": {"trace": {"unknown": "key"}}}'
    assert row("bigint")[3:5] == (9007199254740993, False)
    assert json.loads(row("bigint")[5]) == {"success": True, "big": 2**64 - 1, "least": -2**63}
    assert json.loads(row("numbers")[5]) == {"whole": 1, "third": 1 / 3, "tenth": 0.1, "large": 1e21, "power": 2**53, "safe": 2**53 - 1,
                                             "tiny": 5e-324, "negative": -7}
    assert row("nested")[:5] == ("code_input", "workflow", "ünï-çødé-😀", None, True)
    assert json.loads(row("nested")[5]) == {"origin": "paste", "at": "2026-01-15T09:30:00.25Z", "bytes": "AP8Q",
                                            "list": [1, "a", None, {"deep": [True, False]}]}
    assert len(rows) == len(sent) - 3
    letters = {(number, offset): reason for number, offset, reason in site.database.rows(
        "SELECT topic_partition, kafka_offset, reason FROM tallymill.dead_letters")}
    place = {what: (line["topic_partition"], line["offset"]) for what, line in sent.items()}
    assert letters == {place["refused_nan"]: "nonfinite", place["refused_half_a_pair"]: "utf8", place["refused_time"]: "type"}
    site.assert_holds(acknowledged=[(line["id"], line["topic_partition"], line["offset"]) for line in sent.values()])


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
def test_both_clients_send_a_key_to_the_same_topic_partition(make_site, tmp_path):
    site = make_site(partitions=8)
    sent = publish(site, tmp_path)
    assert (sent["plain"]["topic_partition"], sent["date"]["topic_partition"]) == (1, 4)  # the page's own examples
    publisher = Publisher(site.stack.bootstrap, site.topic)
    for line in sent.values():
        publisher.send_bytes(b"", line["key"], event_id=line["id"])
    publisher.flush()
    assert {identity: number for identity, number, _ in publisher.acknowledged} == {
        line["id"]: line["topic_partition"] for line in sent.values()}
