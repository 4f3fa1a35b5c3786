#!/usr/bin/python3
"""Makes the golden bytes: for each example NAME.msgpack (a message's value) and NAME.json (the row that it must become).

Shares no code with our C: python3-msgpack packs the plain examples, and what it would never write (wide integers, other key orders,
float32, the three timestamp forms) is put together by hand. index.tsv names each file, who can make exactly these bytes, and what it shows:
  json    our encoder, from NAME.json: building that row's event gives NAME.msgpack byte for byte
  api     our encoder, but not from JSON (bin, timestamps inside event_data, integers above int64)
  reader  nobody of ours: a reader must take it all the same
`event_data` stands in NAME.json as JSON text; compare it as JSON with exact numbers, its keys in any order.

  make.py          writes the files        make.py --check  exits 1 when a file differs from what would be written
"""
import json
import struct
import sys
from pathlib import Path

import msgpack

HERE = Path(__file__).resolve().parent
ID = bytes.fromhex("019bc0fd8aba7a3c9d4e5f60718293a4")
ID_TEXT = "019bc0fd-8aba-7a3c-9d4e-5f60718293a4"
CREATED_US = 1768469400250000
CREATED = "2026-01-15T09:30:00.25Z"


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def pairs(*items):
    """A map16-or-smaller header and then the given pieces, each already packed."""
    assert len(items) % 2 == 0
    return bytes([0x80 | len(items) // 2]) + b"".join(items)


def event(name, data=None, **more):
    """The columns in the order our encoder writes them; absent ones left out."""
    value = {"id": ID, "event_name": name}
    for column in ("event_category", "session_id", "user_id"):
        if column in more:
            value[column] = more[column]
    if data is not None:
        value["event_data"] = data
    if "is_internal" in more:
        value["is_internal"] = more["is_internal"]
    value["created_at"] = more.get("created_at", CREATED_US)
    return value


def row(name, event_category, data="{}", session_id=None, user_id=None, is_internal=False, created_at=CREATED, created_at_us=CREATED_US):
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return {"id": ID_TEXT, "event_name": name, "event_category": event_category, "session_id": session_id, "user_id": user_id,
            "event_data": text, "is_internal": is_internal, "created_at": created_at, "created_at_us": created_at_us}


def nested(levels):
    data = {"leaf": 1}
    for _ in range(levels - 1):
        data = {"in": data}
    return data


EXAMPLES = []


def example(name, maker, shows, value, expected):
    EXAMPLES.append((name, maker, shows, value, expected))


def plain(name, shows, event_name, category, data=None, maker="json", **columns):
    example(name, maker, shows, pack(event(event_name, data, **columns)),
            row(event_name, data={} if data is None else data, **{"event_category": category, **columns}))


LLM = {"latency": {"ttft": 412, "tpot": 27.25, "total": 14037.5}, "throughput": {"tokens_per_second": 36.7},
       "cache": {"read_tokens": 2048, "input_tokens": 311}}

plain("minimal", "the three required fields", "session_start", "workflow")
plain("worked", "the example of wire.md", "doc_export", "workflow", {"action": "copy", "doc_type": "README"}, session_id="s-42", user_id=1001)
plain("full", "every field", "login", "business", {"method": "github"}, event_category="business",
      session_id="b7e23ec2-9af4-4d8a-8a1c-3f2e1d0c9b8a", user_id=9223372036854775807, is_internal=True)
plain("performance", "maps in maps, integers and doubles", "performance", "system", LLM, session_id="s-42")
plain("doc_generation", "the same figures under llm", "doc_generation", "usage",
      {"success": True, "doc_type": "API", "language": "python", "duration": 14037.5, "llm": {"model": "claude-sonnet", **LLM}}, session_id="s-42", user_id=0)
plain("text", "quotes, escapes, control characters, every width of UTF-8, texts that look like escapes", "error", "system",
      {"quote": "\"it's\"", "slashes": "\\ / \\N \\.", "controls": "\x01\b\t\n\x0b\f\r\x1f\x7f", "utf8": "é € 😀 \ufeff\u202e\uffff",
       "as text": "\\u0000 \\ud800", "html": "<script>alert('x')</script> %s {{x}}", "empty": "", "__proto__": "x"}, session_id="сессия")
plain("integers", "each width of integer at both ends, exact", "performance", "system",
      {"list": [0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740993, 9223372036854775807,
                -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, -9223372036854775808]})
plain("doubles", "shortest round trip, subnormal, largest", "performance", "system",
      {"list": [0.1, 0.5, -1.5, 1e-7, 123456.789, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22]})
plain("literals", "nil, booleans, empty map and array inside event_data", "user_interaction", "usage",
      {"nothing": None, "yes": True, "no": False, "map": {}, "array": [], "arrays": [[1, [2]], {"a": [3]}]})
plain("wide_containers", "a map16, an array16, a str8 and a str16", "user_interaction", "usage",
      {**{f"k{n:02}": n for n in range(20)}, "list": list(range(20)), "str8": "x" * 200, "str16": "y" * 300})
plain("depth_16", "the deepest event_data that is stored", "user_interaction", "usage", nested(16))
plain("longest_text", "event_name, event_category and session_id at their limits", "n" * 100, "c" * 50, event_category="c" * 50, session_id="s" * 255)

example("binary", "api", "bin becomes base64", pack(event("code_input", {"digest": bytes(range(16)), "none": b"", "one": b"\xff"})),
        row("code_input", "workflow", {"digest": "AAECAwQFBgcICQoLDA0ODw==", "none": "", "one": "/w=="}))
example("unsigned", "api", "integers above int64 inside event_data, exact", pack(event("performance", {"list": [9223372036854775808, 18446744073709551615]})),
        row("performance", "system", {"list": [9223372036854775808, 18446744073709551615]}))
example("times", "api", "timestamps inside event_data become RFC 3339 text, cut to microseconds",
        pack(event("trial", {"whole": msgpack.Timestamp(1768469400), "part": msgpack.Timestamp(1768469400, 250000000),
                             "cut": msgpack.Timestamp(1768469400, 1999), "past": msgpack.Timestamp(-1, 999999999), "far": msgpack.Timestamp(17179869184)})),
        row("trial", "business", {"whole": "2026-01-15T09:30:00Z", "part": "2026-01-15T09:30:00.25Z", "cut": "2026-01-15T09:30:00.000001Z",
                                  "past": "1969-12-31T23:59:59.999999Z", "far": "2514-05-30T01:53:04Z"}))

REST = [pack("id"), pack(ID), pack("event_name"), pack("login")]
AT = pack("created_at")
example("created_at_32", "reader", "created_at as timestamp extension, 4 bytes", pairs(*REST, AT, b"\xd6\xff" + struct.pack(">I", 1768469400)),
        row("login", "business", created_at="2026-01-15T09:30:00Z", created_at_us=1768469400000000))
example("created_at_64", "reader", "8 bytes; 250,000,999 ns cut downwards",
        pairs(*REST, AT, b"\xd7\xff" + struct.pack(">Q", 250000999 << 34 | 1768469400)), row("login", "business"))
example("created_at_96", "reader", "12 bytes", pairs(*REST, AT, b"\xc7\x0c\xff" + struct.pack(">Iq", 250000000, 1768469400)), row("login", "business"))
example("created_at_signed", "reader", "the integer as int64", pairs(*REST, AT, b"\xd3" + struct.pack(">q", CREATED_US)), row("login", "business"))
example("id_text", "reader", "id as text, upper case", pairs(pack("id"), pack(ID_TEXT.upper()), *REST[2:], AT, pack(CREATED_US)), row("login", "business"))
example("key_order", "reader", "the fields in another order, and v",
        pairs(AT, pack(CREATED_US), pack("event_data"), pack({"method": "email"}), pack("v"), pack(1), pack("is_internal"), pack(False), *REST[2:], *REST[:2],
              pack("user_id"), pack(7)), row("login", "business", {"method": "email"}, user_id=7))
example("nil_is_absent", "reader", "nil in every optional field",
        pairs(*REST, *(piece for column in ("event_category", "session_id", "user_id", "event_data", "is_internal", "v") for piece in (pack(column), b"\xc0")),
              AT, pack(CREATED_US)), row("login", "business"))
example("wide_forms", "reader", "nothing in its shortest form: map32, str8, str16, str32, bin16, int64",
        b"\xdf" + struct.pack(">I", 6) + b"\xd9\x02id" + b"\xc5\x00\x10" + ID + b"\xda\x00\x0aevent_name" + b"\xdb\x00\x00\x00\x05login"
        + b"\xd9\x0asession_id" + b"\xda\x00\x04s-42" + b"\xd9\x07user_id" + b"\xd3" + struct.pack(">q", 5) + pack("event_data")
        + b"\xde\x00\x01\xd9\x04list\xdd\x00\x00\x00\x03\xcc\x01\xd0\xff\xd2\x00\x00\x00\x02" + AT + pack(CREATED_US),
        row("login", "business", {"list": [1, -1, 2]}, session_id="s-42", user_id=5))
example("float32", "reader", "the shortest decimal of the float32, not of its double",
        pairs(*REST, pack("event_data"), b"\x81" + pack("list") + b"\x94" + b"".join(b"\xca" + struct.pack(">f", x) for x in (0.1, 16777216.0, 1e-45, 3.4028234e38)),
              AT, pack(CREATED_US)), row("login", "business", '{"list":[0.1,16777216,1e-45,3.4028235e38]}'))
example("negative_zero", "reader", "JSONB has no -0.0", pairs(*REST, pack("event_data"), pack({"zero": -0.0}), AT, pack(CREATED_US)),
        row("login", "business", '{"zero":0}'))
example("unknown_key", "reader", "unknown keys move under _extra",
        pairs(*REST, pack("trace_id"), pack("abc"), pack("event_data"), pack({"method": "email"}), pack("hops"), pack([1, 2]), AT, pack(CREATED_US)),
        row("login", "business", {"method": "email", "_extra": {"trace_id": "abc", "hops": [1, 2]}}))
example("javascript", "reader", "what @msgpack/msgpack makes of Date, BigInt and 2**53",
        pairs(*REST, pack("event_data"), pack({"at": msgpack.Timestamp(1768469400, 250000000), "big": 9007199254740993, "two53": 9007199254740992.0, "one": 1}),
              AT, b"\xd7\xff" + struct.pack(">Q", 250000000 << 34 | 1768469400)),
        row("login", "business", '{"at":"2026-01-15T09:30:00.25Z","big":9007199254740993,"two53":9007199254740992,"one":1}'))


def files():
    index = ["# name\tmade by\tshows: see make.py"]
    for name, maker, shows, value, expected in EXAMPLES:
        yield f"{name}.msgpack", value
        yield f"{name}.json", (json.dumps(expected, ensure_ascii=False, indent=1) + "\n").encode()
        index.append(f"{name}\t{maker}\t{shows}")
    yield "index.tsv", ("\n".join(index) + "\n").encode()


def main():
    checking = sys.argv[1:] == ["--check"]
    wrong = 0
    for name, content in files():
        path = HERE / name
        if checking and (not path.exists() or path.read_bytes() != content):
            print(f"{name} is not what make.py makes", file=sys.stderr)
            wrong += 1
        if not checking:
            path.write_bytes(content)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
