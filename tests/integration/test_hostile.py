"""Hostile message values through the whole pipeline: each has its one right outcome, and its neighbours live.

The corpus is tests/data/hostile/, made by tests/data/make_hostile.py; test_hostile_table.py sends all of it. The worker is the sanitizers' build, so
that a read past an end is found even where its outcome looks right.
"""

import pathlib
import random
import subprocess
import sys

import msgpack
import pytest

from checker.message import BEYOND_SETTINGS, Malformed, expected_row

from .harness.publisher import event, events, instant, uuid_text

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
INDEX = [line.split("\t") for line in (DATA / "hostile.tsv").read_text().splitlines()]
JANUARY = instant("2026-01-15")
WINDOW = {"window.oldest": "2026-01-01"}


def test_the_corpus_is_what_its_script_makes(tmp_path):
    subprocess.run([sys.executable, "-B", DATA / "make_hostile.py", tmp_path / "hostile"], check=True, capture_output=True)
    assert (tmp_path / "hostile.tsv").read_bytes() == (DATA / "hostile.tsv").read_bytes()
    made = {path.name: path.read_bytes() for path in (tmp_path / "hostile").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (DATA / "hostile").iterdir()}


@pytest.mark.parametrize("name, outcome", [(name, outcome) for name, outcome, _ in INDEX if outcome == "OK"
                                           or set(outcome[3:].split("|")) <= BEYOND_SETTINGS - {"count", "ext"}])
def test_the_checker_gives_the_corpus_the_same_outcomes(name, outcome):
    value = (DATA / "hostile" / name).read_bytes()
    if outcome == "OK":
        expected_row(value)
    else:
        with pytest.raises(Malformed):
            expected_row(value)


def test_every_prefix_of_a_valid_event_is_a_dead_letter_and_none_crashes(make_site):
    site = make_site(build="asan", **WINDOW)
    whole = msgpack.packb(event(created_us=JANUARY, session_id="s", user_id=7, is_internal=False, event_category="usage", v=1,
                                event_data={"a": [1, 2.5, None, True, "text", b"bytes"], "b": {"c": -1, "d": 2**40}}))
    for length in range(len(whole) + 1):
        site.publisher.send_bytes(whole[:length], b"%d" % length)
    site.publisher.flush()
    site.drain()
    assert site.outcomes() == (1, 0, len(whole), 0)
    lengths = {int(bytes(key)): (reason, len(bytes(value))) for key, reason, value in site.database.rows(
        "SELECT message_key, reason, message_value FROM tallymill.dead_letters")}
    assert lengths.pop(0) == ("empty", 0)
    assert all(length == size for length, (_, size) in lengths.items())
    assert {reason for reason, _ in lengths.values()} <= {"truncated", "count"}
    site.fold()
    site.assert_holds()


def test_one_poison_among_ten_thousand_costs_one_event(make_site):
    site = make_site(partitions=1)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    place = random.Random(seed).randrange(10_000)
    for number, made in enumerate(events(10_000, seed)):
        if number == place:
            poison = msgpack.packb(made)[:-3]
            site.publisher.send_bytes(poison, b"poison", event_id=uuid_text(made["id"]))
        else:
            site.publisher.send(made)
    site.publisher.flush()
    site.drain()
    assert site.database.value("SELECT count(*) FROM analytics_events") == 9_999
    ((number, offset, reason, key, value),) = site.database.rows(
        "SELECT topic_partition, kafka_offset, reason, message_key, message_value FROM tallymill.dead_letters")
    assert (number, offset, reason, bytes(key), bytes(value)) == (0, place, "truncated", b"poison", poison)
    site.fold()
    site.assert_holds()


def test_only_bad_events_are_all_kept_and_good_topic_partitions_go_on(make_site):
    site = make_site()
    for number in range(3_000):
        site.publisher.send_bytes(b"\xc1%d" % number, None, partition=0)
        site.publisher.send(event(), partition=1 + number % 3)
    site.publisher.flush()
    site.drain()
    assert site.outcomes() == (3_000, 0, 3_000, 0)
    site.fold()
    site.assert_holds()
