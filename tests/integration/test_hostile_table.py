"""Every line of the list of hostile inputs (tests/data/hostile_lines.py) through the real pipeline, in one table: line, what must come of it, what came.

The table is printed, and kept as hostile-table.txt in the test's folder. The workers are the sanitizers' build, so that a read past an end is found even where
its outcome looks right. Messages of the corpus are judged by their files' outcomes in hostile.tsv: an input that breaks two rules may be called by either.
"""

import collections
import fnmatch
import sys
import time

import confluent_kafka
import msgpack
import pytest
from checker.topic_log import read_topic
from confluent_kafka.admin import ConfigResource

from .harness.publisher import Publisher, event, instant, now_us
from .harness.waiting import wait_until
from .test_hostile import DATA, INDEX, JANUARY, WINDOW

sys.path.insert(0, str(DATA))
from hostile_lines import lines  # noqa: E402  (it is data, no part of the tests' packages)

STRICT = {"wire.unknown_key": "reject", "catalogue.unknown": "reject", "catalogue.attributes": "reject"}
HOUR_US = 3_600_000_000
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TWICE = ("twice-same", "twice-other", "later", "other-time")
RIGHT = {"OK": "OK", "the second: duplicate": "duplicate"}


def replay(site, inputs):
    """Sends the inputs, a good event behind each, through an asan worker; gives name -> (outcome, row or letter)."""
    site.aggregator("--once").wait()  # months ahead; January is made by the worker itself
    for number, (name, _) in enumerate(inputs):
        site.publisher.send_bytes((DATA / "hostile" / name).read_bytes(), name.encode(), partition=number % 4, event_id=None)
        site.publisher.send(event(created_us=JANUARY + number, session_id="neighbour"), partition=number % 4)
    site.publisher.flush()
    site.drain(deadline=120)
    letters = {bytes(key).decode(): (reason, bytes(value)) for key, reason, value in site.database.rows(
        "SELECT message_key, reason, message_value FROM tallymill.dead_letters")}
    return letters


def judge(inputs, letters):
    """The inputs whose outcome is not the one that the index asks for."""
    wrong = []
    for name, outcome in inputs:
        reason, value = letters.get(name, ("OK", None))
        allowed = outcome.removeprefix("DL:").split("|")
        if reason not in allowed and not (allowed == ["*"] and reason != "OK"):
            wrong.append(f"{name}: {outcome}, but {reason}")
        if value is not None and value != (DATA / "hostile" / name).read_bytes():
            wrong.append(f"{name}: dead letter has other bytes")
    return wrong


def corpus_outcomes(make_site, settings, index):
    """File name to what became of it, under these settings. A good event behind each file must be a row."""
    site = make_site(build="asan", **WINDOW, **settings)
    letters = replay(site, index)
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE session_id = 'neighbour'") == len(index)
    site.fold()
    if "window.policy" in settings:  # where the checker takes a row at another time than was sent for damage
        site.must("tallymill", "audit")
    else:
        site.assert_holds()
    wrong = {text.split(":")[0] for text in judge(index, letters)}
    return {name: (letters[name][0] if name in letters else "OK", name not in wrong) for name, _ in index}, site


class Envelopes:
    """Messages that are more than a value: each is sent under a name, and looked up afterwards."""

    def __init__(self, site):
        self.site = site
        self.places = {}
        self.publishers = {codec: Publisher(site.stack.bootstrap, site.topic, **{"compression.type": codec}) for codec in CODECS}

    def send(self, name, value, key=b"k", codec="lz4", partition=0, **more):
        """The outcome of a message is looked for where Kafka says that it lies."""
        self.publishers[codec].producer.produce(
            self.site.topic, value=value, key=key, partition=partition,
            on_delivery=lambda error, message: self.places.update({name: error or (message.partition(), message.offset())}), **more)

    def made(self, name, **columns):
        columns.setdefault("created_us", now_us())
        return msgpack.packb(event(session_id=name, **columns))

    def flush(self):
        for publisher in self.publishers.values():
            publisher.flush()

    def outcome(self, name):
        place = self.places[name]
        assert isinstance(place, tuple), f"{name}: {place}"
        reasons = self.site.database.rows("SELECT reason FROM tallymill.dead_letters WHERE topic_partition = %s AND kafka_offset = %s", *place)
        rows = self.site.database.value("SELECT count(*) FROM analytics_events WHERE session_id = %s", name)
        return f"DL:{reasons[0][0]}" if reasons else "OK" if rows == 1 else f"{rows} rows"


def send_envelopes(site):
    """All messages of one batch, and then those that come later."""
    sent = Envelopes(site)
    sent.send("tombstone", None)
    sent.send("no-key", sent.made("no-key"), key=None)
    sent.send("large-key", sent.made("large-key"), key=b"k" * 1_000_000)
    sent.send("headers", sent.made("headers"), headers=[(f"h{n}", b"x") for n in range(1000)])
    sent.send("nul-header", sent.made("nul-header"), headers=[("a", b"\0"), ("b", None)])
    sent.send("record-time-2100", sent.made("record-time-2100"), timestamp=4_102_444_800_000)
    sent.send("record-time-minus-1", sent.made("record-time-minus-1"), timestamp=-1)
    sent.send("tomorrow", sent.made("tomorrow", created_us=now_us() + 25 * HOUR_US))
    sent.send("archived", sent.made("archived", created_us=instant("2026-03-15")))
    for codec in CODECS:
        sent.send(f"codec-{codec}", sent.made(f"codec-{codec}"), codec=codec)
    for number in range(100):  # 6 MB that are 6 KB
        name = f"unpacks-{number}"
        sent.send(name, sent.made(name, event_data={"x": "a" * 60_000}), codec="zstd", partition=1)
    whole = msgpack.packb(event(created_us=JANUARY, session_id="s", user_id=7, event_data={"a": [1, 2.5, None, b"bytes"], "b": {"c": -1}}))
    for length in range(1, len(whole)):
        sent.send(f"prefix-{length}", whole[:length], partition=2)
    first = {name: event(session_id=name) for name in TWICE}
    for made in first.values():
        sent.send("first", msgpack.packb(made), partition=3)
    sent.send("twice-same", msgpack.packb(first["twice-same"]), partition=3)
    sent.send("twice-other", msgpack.packb({**first["twice-other"], "session_id": "second"}), partition=3)
    sent.send("other-time", msgpack.packb({**first["other-time"], "session_id": "other-time-2", "created_at": now_us() - HOUR_US}), partition=3)
    sent.flush()
    site.drain()
    sent.send("later", msgpack.packb(first["later"]), partition=3)
    sent.flush()
    site.drain()
    return sent


def envelope_outcomes(make_site):
    site = make_site(build="asan", **WINDOW)
    site.database.run("INSERT INTO tallymill.months (month, state) VALUES ('2026-03-01', 'archived')")
    sent = send_envelopes(site)
    seen = {name: sent.outcome(name) for name in sent.places if name not in (*TWICE, "first")}
    rows = collections.Counter(dict(site.database.rows("SELECT session_id, count(*) FROM analytics_events GROUP BY 1")))
    duplicates = site.outcomes()[1]
    for name in TWICE[:3]:
        seen[name] = "duplicate" if rows[name] == 1 and rows["second"] == 0 and duplicates == 3 else f"{rows[name]} rows, {duplicates} duplicates"
    seen["other-time"] = "OK" if rows["other-time"] == rows["other-time-2"] == 1 else "lost"
    seen["aborted"] = aborted(site)
    site.fold()
    site.assert_holds(acknowledged=[])
    return seen


def aborted(site):
    """Ten events of a transaction that is given up, and ten of one that is not."""
    producer = confluent_kafka.Producer({"bootstrap.servers": site.stack.bootstrap, "transactional.id": site.topic})
    producer.init_transactions(30)
    before = site.outcomes()
    for end in (producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        for _ in range(10):
            producer.produce(site.topic, msgpack.packb(event(session_id="transaction")), partition=0)
        producer.flush(30)
        end(30)
    site.drain()
    stored, skipped = (site.outcomes()[place] - before[place] for place in (0, 3))
    return "skipped" if (stored, skipped) == (10, 12) else f"{stored} rows, {skipped} skipped"


def compacted(make_site):
    """A compacted topic: of 60 events with one key the last one is left, and the message that was stored last is not."""
    site = make_site(build="asan", partitions=1)
    site.send(event(session_id="same") for _ in range(30))
    site.drain()
    assert site.outcomes() == (30, 0, 0, 0)
    settings = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "message.timestamp.type": "LogAppendTime"}
    for done in site.stack.admin.alter_configs([ConfigResource("topic", site.topic, set_config=settings)]).values():
        done.result(30)
    time.sleep(2)   # the answer comes before the broker goes by it
    site.send(event(session_id="same") for _ in range(30))
    time.sleep(1)   # segment.ms: the next event begins another segment, as the active one is never compacted
    site.send([event(session_id="other")])
    wait_until(lambda: len(read_topic(site.stack.bootstrap, site.topic)[0].records) == 2, 120, "the log to be compacted")
    worker = site.drain()
    assert "stored message is gone from Kafka" in worker.log(), worker.log()
    stored, duplicates, dead, skipped = site.outcomes()
    site.fold()
    site.must("tallymill", "audit")
    return "skipped" if (stored, duplicates, dead, skipped) == (32, 0, 0, 29) else f"{stored} rows, {skipped} skipped"


def positions(make_site):
    """A hundred batches of a hundred, the bad event one place later in each."""
    site = make_site(partitions=1, **{"batch.max_rows": 100})
    for number in range(10_000):
        made = event(session_id=str(number))
        site.publisher.send_bytes(msgpack.packb(made)[:-3] if number % 101 == 0 else msgpack.packb(made), b"k", partition=0)
    site.publisher.flush()
    site.drain()
    ledger = site.database.rows("SELECT stored, dead_letters, first_offset FROM tallymill.batches ORDER BY first_offset")
    letters = [offset for (offset,) in site.database.rows("SELECT kafka_offset FROM tallymill.dead_letters ORDER BY 1")]
    assert letters == list(range(0, 10_000, 101)), letters[:5]
    assert all(stored + dead <= 100 for stored, dead, _ in ledger)
    site.fold()
    site.assert_holds(acknowledged=[])
    return f"{sum(row[0] for row in ledger):,} rows, {sum(row[1] for row in ledger)} dead letters"


def settings_outcomes(make_site):
    """What the worker says to wrong settings: it names the key, ends with 2, and has not asked any server."""
    site = make_site()
    wrong = {"set-unknown": ("batch.max_row=5", "batch.max_row"), "set-unit": ("batch.min_age=5 parsecs", "batch.min_age"),
             "set-range": ("memory.max=1 B", "memory.max"), "set-secret": ("postgres.dsn=@/nonexistent/dsn", "/nonexistent/dsn"),
             "set-forced": ("kafka.enable.auto.commit=true", "enable.auto.commit")}
    seen = {}
    for name, (setting, named) in wrong.items():
        done = site.run("tallymill-consumer", "--until-end", "--set", setting, build="asan")
        seen[name] = "exit 2, names it" if done.code == 2 and named in done.err else repr(done)
    text = site.settings.read_text()
    site.settings.write_text(text.replace("dsn = ", "dsn = " + " " * 2000 + "application_name=long "))
    checked = site.run("tallymill-consumer", "--check", build="asan")
    seen["set-long"] = "OK" if checked.code == 0 else repr(checked)
    return seen


def log_lines(site):
    """Every line of the worker's log is one of logfmt: no text of an event began one."""
    logged = [line for program in site.programs for line in program.log().splitlines()]
    strange = [line for line in logged if not line.startswith("ts=")]
    return "one line each" if logged and not strange else f"a line {strange[:1]}"


@pytest.fixture
def seen(make_site):
    """Settings or "" : input : (outcome, whether it is right)."""
    plain, site = corpus_outcomes(make_site, {}, [(name, outcome) for name, outcome, _ in INDEX])
    strict, _ = corpus_outcomes(make_site, STRICT, [(name, outcome) for name, _, outcome in INDEX if outcome != "-"])
    clamped = [(name, "OK") for name, outcome, _ in INDEX if name.startswith("ts_range") and "ext" not in name and "data" not in name and "uint" not in name]
    clamp, _ = corpus_outcomes(make_site, {"window.policy": "clamp"}, clamped)
    made = {**envelope_outcomes(make_site), **settings_outcomes(make_site), "log-lines": log_lines(site), "positions": positions(make_site),
            "compacted": compacted(make_site)}
    return {"": plain, "strict": strict, "clamp": clamp, "+": made}


def look_up(seen, pattern, outcome):
    """(outcome, is right) of each input that a pattern of the list names."""
    if pattern.startswith("+"):
        names = fnmatch.filter(seen["+"], pattern[1:])
        wanted = RIGHT.get(outcome, outcome)
        return [(seen["+"][name], seen["+"][name].removeprefix("DL:") in wanted.removeprefix("DL:").split("|")
                 or name.startswith("prefix") and seen["+"][name] == "DL:count") for name in names]
    settings, _, names = pattern.rpartition(":")
    return [seen[settings][name] for name in fnmatch.filter(seen[settings], names)]


def test_every_line_has_its_one_right_outcome(seen, tmp_path, capsys):
    table, wrong, covered = [], [], set()
    for section, line, outcome, patterns in lines():
        if not table or table[-1][0] != section:
            table.append((section, f"\n{section}"))
        found = [one for pattern in patterns for one in look_up(seen, pattern, outcome)]
        came = collections.Counter(one.removeprefix("DL:") for one, _ in found)
        told = ", ".join(f"{number} {one}" for one, number in came.most_common())
        is_right = bool(found) and all(right for _, right in found) and all(look_up(seen, pattern, outcome) for pattern in patterns)
        table.append((section, f"  {line:<70}{outcome:<34}{told}{'' if is_right else '   WRONG'}"))
        wrong += [] if is_right else [line]
        covered |= {name for pattern in patterns if pattern[0] != "+" for name in fnmatch.filter(seen[""], pattern.rpartition(":")[2])}
    text = "\n".join(row for _, row in table)
    (tmp_path / "hostile-table.txt").write_text(text + "\n")
    with capsys.disabled():
        print(f"\n  {'what is sent':<70}{'what must come of it':<34}what came{text}", file=sys.stderr)
    assert not wrong and covered == set(seen[""])
