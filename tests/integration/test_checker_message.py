"""What the checker expects a message to become: the same rules as the product's, told in other words."""

import base64
import json
import pathlib
import struct
import uuid
from decimal import Decimal

import msgpack
import pytest

from checker import exact
from checker.message import Malformed, checked_map, expected_row, foreign_ext, from_jsonb, same, unpack
from integration.harness.publisher import event, float32

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "golden"
ID = uuid.UUID(int=5).bytes


def packed(**columns):
    return msgpack.packb(event(**{"id": ID, "created_us": 1_700_000_000_000_000, **columns}))


def with_data(raw):
    """A valid event whose event_data is the one pair {"x": raw msgpack bytes}."""
    head = msgpack.packb({"id": ID, "event_name": "login", "created_at": 1, "event_data": {"x": None}})
    assert head[-1:] == b"\xc0"
    return head[:-1] + raw


def reason(value):
    with pytest.raises(Malformed) as caught:
        expected_row(value)
    return caught.value.reason


def test_it_gives_every_column():
    row = expected_row(packed(name="code_input", created_us=1_700_000_000_123_456, session_id="s", user_id=7,
                              is_internal=True, event_data={"a": [1, 2.5, "x", None, False]}))
    assert row == (str(uuid.UUID(int=5)), 1_700_000_000_123_456, "code_input", "workflow", "s", 7, True,
                   {"a": [1, Decimal("2.5"), "x", None, False]})


def test_nil_and_absent_are_the_same():
    row = expected_row(msgpack.packb({"id": ID, "event_name": "mine", "created_at": 1, "session_id": None, "user_id": None,
                                      "event_data": None, "is_internal": None, "event_category": None, "v": None}))
    assert row == (str(uuid.UUID(int=5)), 1, "mine", None, None, None, False, {})


def test_an_empty_array_is_the_empty_map():
    assert expected_row(packed(event_data=[])).event_data == {}


def test_an_id_may_be_text_and_a_time_an_extension():
    made = {"id": str(uuid.UUID(int=5)).upper(), "event_name": "x", "created_at": msgpack.Timestamp(-1, 999_999_999)}
    assert expected_row(msgpack.packb(made)).key() == (str(uuid.UUID(int=5)), -1)


def test_an_unknown_key_is_kept_under_extra():
    assert expected_row(packed(colour="red")).event_data == {"_extra": {"colour": "red"}}


@pytest.mark.parametrize("value, expected", [
    (None, "tombstone"), (b"", "empty"), (b"\xc1", "format"), (b"\x93", "truncated"), (b"\x90", "root"), (b"{}", "trailing"),
    (b"\xdf\xff\xff\xff\xff", "truncated"), (packed() + b"\0", "trailing"), (packed(id=b"short"), "id"),
    (packed(id=bytes(16)), "id"), (packed(id=7), "type"), (packed(v=2), "version"), (packed(user_id=-1), "range"),
    (packed(user_id=2**63), "range"), (packed(user_id=1.0), "type"), (packed(user_id=True), "type"),
    (packed(session_id="a\0"), "nul"), (packed(session_id=""), "len"), (packed(event_data=[0]), "type"),
    (packed(created_at="now"), "type"), (packed(event_data={"a": float("inf")}), "nonfinite"),
    (packed(event_data={1: 1}), "key_type"), (packed(event_data={"": 1}), "key"),
    (with_data(b"\xd4\x07\x00"), "ext"), (with_data(b"\xa1\xff"), "utf8"), (with_data(b"\x82\xa1a\x01\xa1a\x01"), "dup_key"),
    (with_data(float32(float("nan"))), "nonfinite"), (msgpack.packb({"id": ID, "created_at": 1}), "missing"),
])
def test_it_refuses(value, expected):
    assert reason(value) == expected


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.msgpack")))
def test_it_agrees_with_the_golden_bytes(name):
    row = expected_row((GOLDEN / f"{name}.msgpack").read_bytes())
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    for column in ("id", "event_name", "event_category", "session_id", "user_id", "is_internal"):
        assert getattr(row, column) == golden[column]
    assert row.created_us == golden["created_at_us"]
    assert same(row.event_data, from_jsonb(golden["event_data"]))


def test_every_prefix_of_an_event_is_refused():
    whole = packed(event_data={"a": [1, 0.1, "text", b"bytes"]}, session_id="s")
    assert {reason(whole[:length]) for length in range(1, len(whole))} == {"truncated"}


def test_sixteen_levels_are_kept_and_seventeen_are_not():
    def nested(levels):
        return {"a": nested(levels - 1)} if levels > 1 else {}
    expected_row(packed(event_data=nested(16)))
    assert reason(packed(event_data=nested(17))) == "depth"


@pytest.mark.parametrize("number, shown", [(0.1, "0.1"), (1 / 3, "0.33333334"), (3.4028234663852886e38, "3.4028235e+38"),
                                           (1.401298464324817e-45, "1e-45"), (16777216.0, "16777216"), (-0.0, "-0")])
def test_a_float_of_32_bits_prints_the_shortest_decimal_that_reads_back(number, shown):
    stored = expected_row(with_data(float32(number))).event_data["x"]
    assert stored == Decimal(shown)
    assert struct.pack(">f", float(stored)) == struct.pack(">f", number)


def test_both_unpackers_agree():
    made = event(event_data={"all": [None, True, False, 0, 127, 128, 65535, 65536, 2**32, 2**64 - 1, -1, -32, -33, -128,
                                     -129, -2**31, -2**63, 0.5, 1e300, "", "x" * 40, "y" * 300, "z" * 70_000,
                                     b"", b"a" * 300, b"b" * 70_000, list(range(20)), [[]] * 70_000,
                                     msgpack.Timestamp(1, 0), msgpack.Timestamp(2**34, 5), msgpack.Timestamp(-1, 5)],
                             **{f"k{n}": n for n in range(20)}})
    value = msgpack.packb(made)
    assert exact.unpack(value, checked_map, foreign_ext) == msgpack.unpackb(value, timestamp=0) == unpack(value)


@pytest.mark.parametrize("sent, stored, alike", [
    (1, "1", True), (1, "1.0", True), (1, "true", False), (True, "1", False), (True, "true", True), (None, "null", True),
    (0, "null", False), (Decimal("0.1"), "0.1", True), (Decimal("0.1"), "0.10", True), (Decimal("-0.0"), "0.0", True),
    (Decimal("0.1"), "0.1000000000000000055511151231257827", False), (2**53 + 1, "9007199254740993", True),
    (2**53 + 1, "9007199254740992", False), ("1", "1", False), ({"a": 1}, '{"a": 1}', True), ({"a": 1}, '{"b": 1}', False),
    ({}, "[]", False), ([1, 2], "[1, 2]", True), ([1, 2], "[2, 1]", False), ([1, 2], "[1]", False),
    (Decimal("1.7e308"), "17" + "0" * 307, True),
])
def test_values_are_the_same_json_or_not(sent, stored, alike):
    assert same(sent, from_jsonb(stored)) is alike


@pytest.mark.parametrize("seconds, nanoseconds, shown", [
    (1_767_323_045, 0, "2026-01-02T03:04:05Z"), (1_767_323_045, 678_000_000, "2026-01-02T03:04:05.678Z"),
    (1_767_323_045, 1_999, "2026-01-02T03:04:05.000001Z"), (-1, 999_999_999, "1969-12-31T23:59:59.999999Z"),
])
def test_bytes_become_base64_and_times_rfc_3339(seconds, nanoseconds, shown):
    row = expected_row(packed(event_data={"b": b"\x00\xff", "t": msgpack.Timestamp(seconds, nanoseconds)}))
    assert row.event_data == {"b": base64.b64encode(b"\x00\xff").decode(), "t": shown}
