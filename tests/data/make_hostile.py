#!/usr/bin/python3
"""Writes the hostile corpus: one file per message value, and hostile.tsv with the one right outcome of each.

    tests/data/make_hostile.py [FOLDER]          (default: hostile/ beside this script)

Every value is made here by hand or by python-msgpack, never by our own code.  Times are fixed in January 2026, so
that the files stay the same for ever: whoever replays them sets `window.oldest = 2026-01-01`.  A column of
hostile.tsv is the outcome with the default settings; the next one, where it is not "-", that with
`wire.unknown_key`, `catalogue.unknown` and `catalogue.attributes` all set to `reject`.  OK means stored exactly as the
checker works it out; DL:a|b means a dead letter with one of these reasons (an input that breaks two rules may
be called by either), DL:* one with any.
"""

import hashlib
import json
import pathlib
import shutil
import struct
import sys
import zlib

import msgpack

JANUARY_15 = 1_768_435_200_000_000  # 2026-01-15T00:00:00Z in microseconds
JANUARY_1 = 1_767_225_600_000_000
FEBRUARY_1 = 1_769_904_000_000_000
MARCH_29 = 1_774_742_400_000_000    # the night in which Europe's clocks go forward
VALUE_BYTES = 1 << 20
DATA_BYTES = 64 << 10
NAN, INFINITE = float("nan"), float("inf")


class Raw(bytes):
    """msgpack bytes to put in as they stand."""


def pack(value):
    """msgpack of a value that may hold Raw and Pairs anywhere."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, Pairs):
        return packer().pack_map_header(len(value)) + b"".join(pack(item) for pair in value for item in pair)
    if isinstance(value, dict):
        return pack(Pairs(value.items()))
    if isinstance(value, list):
        return packer().pack_array_header(len(value)) + b"".join(map(pack, value))
    return msgpack.packb(value)


def packer():
    return msgpack.Packer()


class Pairs(list):
    """A map by its pairs: keys may repeat, or be of any type."""


def identity(name):
    """16 bytes that are the file's own, so that no two inputs are duplicates of each other."""
    return hashlib.sha256(name.encode()).digest()[:16]


class Corpus:
    def __init__(self):
        self.values = {}
        self.outcomes = {}

    def raw(self, name, outcome, value, strict="-"):
        assert name not in self.values, name
        self.values[name] = bytes(value)
        self.outcomes[name] = (outcome, strict)

    def fields(self, name, **columns):
        """The pairs of a valid event, with columns replaced, added, or left out (None)."""
        made = {"id": identity(name), "event_name": "user_interaction", "created_at": JANUARY_15}
        made.update(columns)
        return Pairs((key, value) for key, value in made.items() if value is not None)

    def event(self, name, outcome, strict="-", **columns):
        self.raw(name, outcome, pack(self.fields(name, **columns)), strict)

    def data(self, name, outcome, value, strict="-"):
        """An event whose event_data is {"x": value}; value may be Raw."""
        self.event(name, outcome, strict, event_data={"x": value})


def framing(c):
    c.raw("empty", "DL:empty", b"")
    c.raw("format-c1-as-root", "DL:format", b"\xc1")
    c.data("format-c1-inside", "DL:format", Raw(b"\xc1"))
    for name, first in (("array", b"\xdd"), ("map", b"\xdf")):
        c.raw(f"count-4g-{name}-as-root", "DL:count|truncated|root", first + b"\xff" * 4)
        c.data(f"count-4g-{name}-inside", "DL:count|truncated", Raw(first + b"\xff" * 4))
        c.data(f"count-64k-{name}-inside", "DL:count|truncated", Raw((b"\xdc" if name == "array" else b"\xde") + b"\xff\xff"))
    for name, first in (("str", b"\xdb"), ("bin", b"\xc6")):
        c.data(f"truncated-4g-{name}", "DL:truncated", Raw(first + b"\xff" * 4 + b"abc"))
        c.event(f"truncated-4g-{name}-as-session", "DL:truncated|type", session_id=Raw(first + b"\xff" * 4 + b"abc"))
    c.data("truncated-4g-ext", "DL:truncated|ext", Raw(b"\xc9" + b"\xff" * 4 + b"\x01abc"))
    c.data("truncated-4g-timestamp", "DL:truncated|ext", Raw(b"\xc9" + b"\xff" * 5 + b"abc"))
    whole = pack(c.fields("trailing"))
    c.raw("trailing-one-byte", "DL:trailing", whole + b"\0")
    c.raw("trailing-nil", "DL:trailing", whole + b"\xc0")
    c.raw("trailing-second-event", "DL:trailing", whole + pack(c.fields("trailing-second")))
    for levels, outcome in ((16, "OK"), (17, "DL:depth"), (33, "DL:depth"), (1000, "DL:depth")):
        c.event(f"{'ok-' if outcome == 'OK' else ''}depth-{levels}-maps", outcome,
                event_data=Raw(b"\x81\xa1a" * (levels - 1) + b"\x80"))
        c.event(f"{'ok-' if outcome == 'OK' else ''}depth-{levels}-arrays", outcome,
                event_data=Raw(b"\x81\xa1a" + b"\x91" * (levels - 2) + b"\x90"))
    c.event("depth-100000", "DL:depth|size", event_data=Raw(b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0"))
    c.event("depth-100000-maps", "DL:depth|size", event_data=Raw(b"\x81\xa1a" * 100_000 + b"\xc0"))
    c.raw("depth-500000-as-root", "DL:root|depth", b"\x91" * 500_000 + b"\xc0")
    c.event("count-65536-pairs", "DL:count|size",
            event_data=Raw(b"\xdf\x00\x01\x00\x00" + b"".join(b"\xa4" + b"%04x" % n + b"\x01" for n in range(65_536))))
    c.data("count-100000-arrays", "DL:count|size", Raw(b"\xdd" + struct.pack(">I", 100_000) + b"\x90" * 100_000))
    c.data("ok-20000-arrays", "OK", Raw(b"\xdc" + struct.pack(">H", 20_000) + b"\x90" * 20_000))
    for name, raw in {
        "uint64": b"\xcf" + struct.pack(">Q", 5), "uint8": b"\xcc\x05", "int64": b"\xd3" + struct.pack(">q", -5),
        "str32": b"\xdb\x00\x00\x00\x01a", "str8": b"\xd9\x01a", "array32": b"\xdd\x00\x00\x00\x01\x05", "map32": b"\xdf\x00\x00\x00\x00",
        "bin32": b"\xc6\x00\x00\x00\x01a",
    }.items():
        c.data(f"ok-longer-than-needed-{name}", "OK", Raw(raw))
    fields = c.fields("ok-longer-than-needed-everywhere", user_id=Raw(b"\xcf" + struct.pack(">Q", 5)))
    c.raw("ok-longer-than-needed-everywhere", "OK", b"\xdf" + struct.pack(">I", len(fields)) + b"".join(
        b"\xdb" + struct.pack(">I", len(key)) + key.encode() + pack(value) for key, value in fields))
    sizes(c)
    for name, value in {"array": [1, 2], "int": 7, "str": "event", "nil": None, "true": True, "float": 1.5, "bin": b"abc",
                        "empty-array": [], "timestamp": msgpack.Timestamp(1, 0)}.items():
        c.raw(f"root-{name}", "DL:root", pack(value))
    c.raw("missing-all-empty-map", "DL:missing", b"\x80")
    text = json.dumps({"id": "0197a7d3-7f1c-7000-8000-0000000000ff", "event_name": "login"}).encode()
    c.raw("root-json-text", "DL:root|trailing", text)
    c.raw("root-gzip", "DL:root|trailing", gzip_stored(text))
    noise = b"".join(hashlib.sha256(b"noise %d" % n).digest() for n in range(32))
    for number in range(8):
        c.raw(f"random-bytes-{number}", "DL:*", noise[number * 128:(number + 1) * 128])
    c.raw("random-bytes-that-begin-as-a-map", "DL:*", b"\x83" + noise[:200])


def gzip_stored(data):
    """A gzip member of one stored block (RFC 1952, RFC 1951): compressed, its bytes would be those of one zlib, and another's differ."""
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    block = b"\x01" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return header + block + struct.pack("<II", zlib.crc32(data), len(data))


def sizes(c):
    """The limit of event_data counts its own msgpack bytes; that of a value everything."""
    for extra, name, outcome in ((0, "ok-event-data-of-exactly-the-limit", "OK"), (1, "size-event-data-one-over", "DL:size")):
        text = "x" * (DATA_BYTES - 6 + extra)  # map header, key of 2, text header of 3
        assert len(pack({"x": text})) == DATA_BYTES + extra
        c.event(name, outcome, event_data={"x": text})
    c.event("size-unknown-key-counts-too", "DL:size", "DL:size|unknown_key", colour="x" * (DATA_BYTES + 1))
    name = "size-value-one-over"
    c.raw(name, "DL:size|trailing", pack(c.fields(name)).ljust(VALUE_BYTES + 1, b"\0"))
    c.data("size-value-of-exactly-the-limit", "DL:size", "x" * (VALUE_BYTES - len(pack(c.fields("-" * 31, event_data={"x": ""}))) - 4))
    c.event("size-value-of-many-fields", "DL:size|len|count", session_id="x" * VALUE_BYTES)


def keys(c):
    for name, pairs in {
        "same-value": [("event_name", "user_interaction")], "other-value": [("event_name", "login")], "id": [("id", identity("other"))],
        "event-data": [("event_data", {}), ("event_data", {})], "unknown": [("colour", 1), ("colour", 2)],
    }.items():
        made = c.fields(f"dup_key-{name}")
        c.raw(f"dup_key-{name}", "DL:dup_key", pack(Pairs(made + pairs)), "DL:dup_key|unknown_key")
    c.event("dup_key-nested", "DL:dup_key", event_data=Pairs([("a", 1), ("a", 1)]))
    c.data("dup_key-nested-deeper", "DL:dup_key", [Pairs([("a", 1), ("b", 2), ("a", 3)])])
    c.data("dup_key-far-apart", "DL:dup_key", Pairs([(f"k{n}", n) for n in range(500)] + [("k0", 0)]))
    c.data("dup_key-in-different-encodings", "DL:dup_key", Raw(b"\x82\xa1a\x01\xd9\x01a\x02"))
    c.data("ok-same-key-on-different-levels", "OK", {"x": {"x": {"x": 1}}, "y": [{"x": 1}, {"x": 2}]})
    for name, key in {"int": 1, "nil": None, "array": Raw(b"\x90"), "map": Raw(b"\x80"), "nan": NAN, "true": True, "bin": b"a",
                      "timestamp": msgpack.Timestamp(1, 0)}.items():
        made = c.fields(f"key_type-{name}")
        c.raw(f"key_type-{name}", "DL:key_type", pack(Pairs(made + [(key, 1)])))
        c.data(f"key_type-{name}-nested", "DL:key_type", Pairs([(key, 1)]))
    c.raw("key-empty", "DL:key", pack(Pairs(c.fields("key-empty") + [("", 1)])), "DL:key|unknown_key")
    c.data("key-empty-nested", "DL:key", {"": 1})
    c.data("key_len-70000", "DL:key_len|size", {"k" * 70_000: 1})
    c.raw("key_len-70000-at-the-top", "DL:key_len|size", pack(Pairs(c.fields("key_len") + [("k" * 70_000, 1)])),
          "DL:key_len|size|unknown_key")
    c.data("ok-key-of-60000", "OK", {"k" * 60_000: 1})
    c.raw("nul-in-a-key", "DL:nul", pack(Pairs(c.fields("nul-in-a-key") + [("a\0b", 1)])), "DL:nul|unknown_key")
    c.data("nul-in-a-key-nested", "DL:nul", {"a\0b": 1})
    c.data("utf8-in-a-key-nested", "DL:utf8", Raw(b"\x81\xa1\xff\x01"))
    c.raw("utf8-in-a-key", "DL:utf8", pack(Pairs(c.fields("utf8-in-a-key") + [(Raw(b"\xa1\xff"), 1)])), "DL:utf8|unknown_key")
    c.event("ok-unknown-key", "OK", "DL:unknown_key", colour="red")
    c.event("ok-unknown-keys-beside-event-data", "OK", "DL:unknown_key", colour=[1, {"a": 2}], event_data={"n": 1}, shade=None, Id=1)
    c.event("ok-extra-of-its-own", "OK", event_data={"_extra": {"colour": "red"}})
    c.event("dup_key-extra-is-taken", "DL:dup_key", "DL:dup_key|unknown_key", colour="red", event_data={"_extra": 1})
    for levels, outcome in ((14, "OK"), (15, "DL:depth")):  # _extra is the second level, the value the third
        c.event(f"{'ok-' if outcome == 'OK' else ''}depth-of-an-unknown-key-{levels}", outcome,
                colour=Raw(b"\x91" * (levels - 1) + b"\x90"))
    c.event("ok-prototype-keys", "OK", event_data={"__proto__": {"a": 1}, "constructor": "f", "toString": 1})
    c.event("version-2", "DL:version", v=2)
    c.event("version-huge", "DL:version|range", v=2**64 - 1)
    c.event("ok-version-1", "OK", v=1)
    c.event("ok-event-name-not-in-the-catalogue", "OK", "DL:unknown_event", event_name="page_view")
    c.event("category-contradicts", "DL:category", event_category="business")
    c.event("ok-category-agrees", "OK", "OK", event_category="usage")
    c.event("ok-category-of-an-unknown-event", "OK", "DL:unknown_event", event_name="page_view", event_category="mine")
    c.event("ok-enum-value-not-in-the-catalogue", "OK", "DL:schema", event_name="code_input", event_data={"origin": "telepathy"})
    c.event("ok-attribute-of-the-wrong-type", "OK", "DL:schema", event_name="doc_generation", event_data={"success": "yes"})
    c.event("ok-enum-value-in-the-catalogue", "OK", "OK", event_name="code_input", event_data={"origin": "paste", "language": "c"})
    for field in ("id", "event_name", "created_at"):
        c.event(f"missing-{field}", "DL:missing", **{field: None})
        made = Pairs((key, value) for key, value in c.fields(f"missing-nil-{field}") if key != field)
        c.raw(f"missing-nil-{field}", "DL:missing|id" if field == "id" else "DL:missing", pack(Pairs(made + [(field, None)])))
    for field in ("event_category", "session_id", "user_id", "event_data", "is_internal", "v"):
        made = c.fields(f"ok-nil-{field}")
        c.raw(f"ok-nil-{field}", "OK", pack(Pairs(made + [(field, None)])))
    # PHP's and Lua's empty map, in each of its widths; what is in it makes it an array.
    for width, made in {"fix": b"\x90", "16": b"\xdc\x00\x00", "32": b"\xdd\x00\x00\x00\x00"}.items():
        c.event(f"ok-empty-array-as-event_data-{width}", "OK", event_data=Raw(made))
    c.event("ok-empty-array-beside-an-unknown-key", "OK", "DL:unknown_key", event_data=[], colour="red")
    c.event("type-event_data-array-of-nil", "DL:type", event_data=[None])
    c.event("type-event_data-array-of-maps", "DL:type", event_data=[{"a": 1}])


def types(c):
    """Each field with each type that it does not take; where that is a plausible id, the reason may be `id`."""
    kinds = {"int": 5, "negative": -5, "float": 1.5, "float32": Raw(b"\xca" + struct.pack(">f", 1.5)), "true": True, "str": "text",
             "bin": b"bytes", "array": [1], "map": {"a": 1}, "timestamp": msgpack.Timestamp(1_768_435_200, 0)}
    takes = {"id": ("str", "bin"), "event_name": ("str",), "event_category": ("str",), "session_id": ("str",),
             "user_id": ("int", "negative"), "event_data": ("map",), "is_internal": ("true",),
             "created_at": ("int", "negative", "timestamp"), "v": ("int", "negative")}
    for field, taken in takes.items():
        for kind, value in kinds.items():
            if kind not in taken:
                c.event(f"type-{field}-{kind}", "DL:type|id" if field == "id" else "DL:type", **{field: value})
        c.event(f"ext-as-{field}", "DL:ext|type|id", **{field: Raw(b"\xd4\x07\x00")})


def texts(c):
    broken = {"c3-28": b"\xc3\x28", "overlong-c0-80": b"\xc0\x80", "overlong-e0-80-80": b"\xe0\x80\x80",
              "overlong-f0-80-80-80": b"\xf0\x80\x80\x80", "surrogate-ed-a0-80": b"\xed\xa0\x80",
              "above-10ffff": b"\xf4\x90\x80\x80", "f8": b"\xf8\x88\x80\x80\x80", "lone-ff": b"\xff", "lone-80": b"\x80",
              "cut-code-point": "ok ä".encode()[:-1], "cut-of-four": "😀".encode()[:3]}
    for name, raw in broken.items():
        text = Raw(bytes([0xA0 | len(raw)]) + raw)
        c.data(f"utf8-{name}", "DL:utf8", text)
        c.event(f"utf8-{name}-in-session", "DL:utf8", session_id=text)
    c.event("utf8-in-event-name", "DL:utf8", "DL:utf8|unknown_event", event_name=Raw(b"\xa2a\xff"))
    c.data("utf8-at-the-end-of-a-long-text", "DL:utf8", Raw(b"\xd9\xff" + b"a" * 254 + b"\xc3"))
    c.data("nul-in-event-data", "DL:nul", "a\0b")
    c.event("nul-in-session", "DL:nul", session_id="a\0b")
    c.event("nul-in-event-name", "DL:nul", "DL:nul|unknown_event", event_name="login\0")
    good = {
        "escape-u0000": "\\u0000", "escape-ud800": "\\ud800 \\uDC00", "copy-end": "\\.", "copy-null": "\\N", "tab": "\t", "newline": "\n",
        "backslash": "\\ \\\\ \\x", "quotes": "'\"`", "bom": "\ufeffa", "noncharacters": "\ufffe\uffff\U0010ffff", "private-use": "\ue000\U000f0000",
        "right-to-left-override": "\u202eabc\u202c", "combining-marks": "a" + "\u0301" * 1000, "zwj-emoji": "👩\u200d👩\u200d👧\u200d👦",
        "sql": "'; DROP TABLE analytics_events; --", "printf": "%s%n%x%1$*2$d", "template": "${7*7} {{7*7}} <%= 7*7 %> #{7*7}",
        "html": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;", "cr-lf": "a\r\nts=2026-01-01T00:00:00Z level=info msg=forged",
        "terminal-escapes": "\x1b[2J\x1b]0;title\x07", "control-characters": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
        "empty": "", "long": "ä" * 30_000,
    }
    for name, text in good.items():
        c.data(f"ok-text-{name}", "OK", text)
        if 0 < len(text.encode()) <= 255:
            c.event(f"ok-text-{name}-in-session", "OK", session_id=text)
        if 0 < len(text.encode()) <= 100:
            c.event(f"ok-text-{name}-as-event-name", "OK", "DL:unknown_event", event_name=text)
            c.data(f"ok-text-{name}-as-key", "OK", {text: 1})
    for field, limit in (("event_name", 100), ("event_category", 50), ("session_id", 255)):
        event_name = {"event_name": "page_view"} if field == "event_category" else {}
        c.event(f"ok-len-{field}-of-{limit}", "OK", **{**event_name, field: "x" * limit})
        c.event(f"len-{field}-of-{limit + 1}", "DL:len", **{**event_name, field: "x" * (limit + 1)})
        two_byte = "ä" * (limit // 2 + 1)  # fewer characters than the column takes, more bytes than we do
        c.event(f"len-{field}-of-{len(two_byte.encode())}-bytes-in-fewer-characters", "DL:len", **{**event_name, field: two_byte})
        c.event(f"len-{field}-empty", "DL:len|category" if field == "event_category" else "DL:len", **{**event_name, field: ""})


def numbers(c):
    for name, value in {
        "int64-max": 2**63 - 1, "int64-min": -2**63, "uint64-2-63": 2**63, "uint64-max": 2**64 - 1, "2-53-plus-1": 2**53 + 1,
        "minus-2-53-minus-1": -2**53 - 1, "minus-zero": -0.0, "subnormal": 5e-324, "least-normal": 2.2250738585072014e-308, "1.7e308": 1.7e308,
        "float64-0.1": 0.1, "float64-third": 1 / 3, "float64-1": 1.0, "float64-1e21": 1e21, "float64-1e-7": 1e-7, "float64-1e16": 1e16,
        "float64-2-53": 9007199254740992.0, "float64-123456789.123": 123456789.123, "negative-fixint": -32, "zero": 0,
    }.items():
        c.data(f"ok-number-{name}", "OK", value)
    for name, value in {"0.1": 0.1, "third": 1 / 3, "1": 1.0, "largest": 3.4028234663852886e38, "smallest": 1.401298464324817e-45,
                        "minus-zero": -0.0, "16777216": 16777216.0}.items():
        c.data(f"ok-number-float32-{name}", "OK", Raw(b"\xca" + struct.pack(">f", value)))
    for name, value in {"nan": NAN, "inf": INFINITE, "minus-inf": -INFINITE}.items():
        c.data(f"nonfinite-{name}", "DL:nonfinite", value)
        c.data(f"nonfinite-{name}-float32", "DL:nonfinite", Raw(b"\xca" + struct.pack(">f", value)))
        c.data(f"nonfinite-{name}-deeper", "DL:nonfinite", [1, {"a": value}])
    c.event("nonfinite-nan-as-user", "DL:nonfinite|type", user_id=NAN)
    c.event("ok-user-0", "OK", user_id=0)
    c.event("ok-user-int64-max", "OK", user_id=2**63 - 1)
    c.event("range-user-2-63", "DL:range", user_id=2**63)
    c.event("range-user-uint64-max", "DL:range", user_id=2**64 - 1)
    c.event("range-user-minus-1", "DL:range", user_id=-1)
    c.event("range-user-int64-min", "DL:range", user_id=-2**63)
    c.event("type-user-1.0", "DL:type", user_id=1.0)
    c.event("type-user-text", "DL:type", user_id="42")


def times(c):
    for name, value in {
        "0": 0, "minus-1": -1, "in-seconds": JANUARY_15 // 10**6, "in-milliseconds": JANUARY_15 // 1000, "in-nanoseconds": JANUARY_15 * 1000,
        "just-before-the-window": JANUARY_1 - 1, "year-2200": 7_258_118_400_000_000, "year-148138": 4_612_345_678_901_234_567,
        "int64-max": 2**63 - 1, "int64-min": -2**63,
    }.items():
        c.event(f"ts_range-{name}", "DL:ts_range", created_at=value)
    c.event("ts_range-uint64-max", "DL:ts_range|range", created_at=2**64 - 1)
    for name, raw in {
        "ext-96-year-148138": b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 4_612_345_678_901),
        "ext-96-int64-min": b"\xc7\x0c\xff" + struct.pack(">Iq", 0, -2**63), "ext-96-int64-max": b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**63 - 1),
        "ext-96-before-1970": b"\xc7\x0c\xff" + struct.pack(">Iq", 5, -1), "ext-32-zero": b"\xd6\xff" + struct.pack(">I", 0),
        "ext-64-nanoseconds-1e9": b"\xd7\xff" + struct.pack(">Q", 1_000_000_000 << 34 | JANUARY_15 // 10**6),
        "ext-96-nanoseconds-1e9": b"\xc7\x0c\xff" + struct.pack(">Iq", 1_000_000_000, JANUARY_15 // 10**6),
        "ext-96-nanoseconds-max": b"\xc7\x0c\xff" + struct.pack(">Iq", 2**32 - 1, JANUARY_15 // 10**6),
    }.items():
        c.event(f"ts_range-{name}", "DL:ts_range", created_at=Raw(raw))
    for name, value in {
        "first-of-the-window": JANUARY_1, "last-of-a-month": FEBRUARY_1 - 1, "first-of-a-month": FEBRUARY_1,
        "before-midnight": JANUARY_15 - 1, "at-midnight": JANUARY_15, "after-midnight": JANUARY_15 + 1,
        "dst-night-0130": MARCH_29 + 5_400_000_000, "dst-night-0230": MARCH_29 + 9_000_000_000, "dst-day-before": MARCH_29 - 1,
    }.items():
        c.event(f"ok-time-{name}", "OK", created_at=value)
    seconds = JANUARY_15 // 10**6
    for name, raw in {
        "ext-32": b"\xd6\xff" + struct.pack(">I", seconds), "ext-64": b"\xd7\xff" + struct.pack(">Q", 123_456_789 << 34 | seconds),
        "ext-64-last-nanosecond": b"\xd7\xff" + struct.pack(">Q", 999_999_999 << 34 | seconds),
        "ext-96": b"\xc7\x0c\xff" + struct.pack(">Iq", 123_456_789, seconds), "ext8-of-4": b"\xc7\x04\xff" + struct.pack(">I", seconds),
        "ext32-of-8": b"\xc9\x00\x00\x00\x08\xff" + struct.pack(">Q", seconds), "int-as-uint64": b"\xcf" + struct.pack(">Q", JANUARY_15),
    }.items():
        c.event(f"ok-time-{name}", "OK", created_at=Raw(raw))
    c.event("type-time-as-text", "DL:type", created_at="2026-01-15T00:00:00Z")
    c.event("type-time-as-float", "DL:type", created_at=JANUARY_15 / 1.0)
    c.data("ok-timestamps-in-event-data", "OK", [msgpack.Timestamp(seconds, 0), msgpack.Timestamp(seconds, 123_456_789),
                                                 msgpack.Timestamp(-1, 999_999_999), msgpack.Timestamp(2**34, 1000)])
    c.data("ts_range-in-event-data", "DL:ts_range", Raw(b"\xd7\xff" + struct.pack(">Q", 1_000_000_000 << 34 | seconds)))


def identities(c):
    for code in (0, 1, 5, 127, -2, -128):
        c.data(f"ext-type-{code}", "DL:ext", Raw(b"\xd4" + struct.pack(">b", code) + b"\0"))
    c.data("ext-zero-length", "DL:ext", Raw(b"\xc7\x00\x05"))
    c.data("ext-zero-length-timestamp", "DL:ext", Raw(b"\xc7\x00\xff"))
    c.data("ext-timestamp-of-5-bytes", "DL:ext", Raw(b"\xc7\x05\xff\0\0\0\0\0"))
    c.event("ext-zero-length-as-time", "DL:ext|type|ts_range", created_at=Raw(b"\xc7\x00\xff"))
    c.event("ext-of-16-as-id", "DL:ext|type|id", id=Raw(b"\xd8\x02" + identity("ext-of-16-as-id")))
    for name, value in {"15-bytes": b"x" * 15, "17-bytes": b"x" * 17, "no-bytes": b"", "all-zero": bytes(16),
                        "all-zero-text": "00000000-0000-0000-0000-000000000000", "text-no-uuid": "not-a-uuid", "text-empty": "",
                        "text-36-characters": "z" * 36, "text-in-braces": "{0197a7d3-7f1c-7000-8000-000000000001}",
                        "text-without-hyphens": "0197a7d37f1c70008000000000000001", "text-cut": "0197a7d3-7f1c-7000-8000-00000000000",
                        "text-with-newline": "0197a7d3-7f1c-7000-8000-000000000001\n"}.items():
        c.event(f"id-{name}", "DL:id", id=value)
    c.event("ok-id-as-text", "OK", id="0197a7d3-7f1c-7000-8000-000000000002")
    c.event("ok-id-as-capital-text", "OK", id="0197A7D3-7F1C-7000-8000-00000000000A")
    c.event("ok-id-version-4", "OK", id="3f8e7a52-9d7c-4b1e-8f1a-2b3c4d5e6f70")
    c.event("ok-id-all-ones", "OK", id=b"\xff" * 16)


def corpus():
    """The whole corpus: values and (outcome, strict outcome), both by file name."""
    c = Corpus()
    for part in (framing, keys, types, texts, numbers, times, identities):
        part(c)
    return c


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("hostile"))
    made = corpus()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, value in made.values.items():
        (folder / name).write_bytes(value)
    (folder.parent / f"{folder.name}.tsv").write_text("".join(
        f"{name}\t{outcome}\t{strict}\n" for name, (outcome, strict) in sorted(made.outcomes.items())))
    print(f"{len(made.values)} files in {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
