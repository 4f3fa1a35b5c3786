"""What people export gets in: times, numbers and files in the forms in which they come, each as a user would import it."""

import bz2
import ctypes
import ctypes.util
import gzip
import io
import json
import lzma
import pathlib
import shlex
import tarfile
import uuid
import zipfile

import msgpack

from .harness.publisher import event
from .test_import import zstd


def dry_run(site, *words, stdin=b""):
    """The messages that would be sent, and the answer."""
    answer = site.run("tallymill-produce", "--dry-run", *words, stdin=stdin)
    return [json.loads(line)["value"] for line in answer.out.splitlines()], answer


def events_at(*times):
    return "".join(json.dumps({"event_name": "login", "created_at": time}) + "\n" for time in times).encode()


def test_times_are_read_as_they_are_written_or_refused_with_the_option_that_reads_them(site):
    events, answer = dry_run(site, stdin=events_at("2026-11-15 09:30:00.25+00", "2026-11-15T09:30:00,25+0000", "2026-11-15T10:30+01:00",
                                                   "15/Nov/2026:10:30:00 +0100"))
    assert answer.code == 0, answer
    assert [event["created_at"] for event in events] == ["2026-11-15T09:30:00.25Z"] * 2 + ["2026-11-15T09:30:00Z"] * 2

    local = events_at("2026/11/15 09:30:00.25", "11.15.2026", "2026-11-15 09:30", "2026-10-25 02:30", "2026-03-29 02:30")
    events, answer = dry_run(site, stdin=local)
    assert (answer.code, events) == (1, []), answer
    for said in ("stdin:1: created_at is in no form", "'%Y/%m/%d %H:%M:%S.%f' and --time-zone", "stdin:2: created_at begins with day or month",
                 "stdin:3: created_at has no time zone: say --time-zone"):
        assert said in answer.err, answer
    events, answer = dry_run(site, "--time-format", "%Y/%m/%d %T.%f", "--time-format", "%m.%d.%Y", "--time-zone", "Europe/Berlin", stdin=local)
    assert [event["created_at"] for event in events] == ["2026-11-15T08:30:00.25Z", "2026-11-14T23:00:00Z", "2026-11-15T08:30:00Z"]
    assert answer.code == 1 and "stdin:4: created_at is there twice" in answer.err and "stdin:5: created_at does not exist" in answer.err, answer

    for words, said in ((("--time-zone", "Europe/Berln"), "did you mean Europe/Berlin"), (("--time-format", "%H:%M"), "year, month and day")):
        events, answer = dry_run(site, *words, stdin=local)
        assert answer.code == 2 and said in answer.err, answer


def test_our_own_tables_csv_is_all_duplicates_in_the_same_database(site, tmp_path):
    site.produce("--generate", "300", "--seed", "5", "--days", "1")
    site.send([event("doc_export", is_internal=True, event_data={"text": 'a "quote", a comma\nand a line', "n": 2**64 - 1, "x": -1.5e-7}),
               event("login", session_id="t,f", user_id=2**63 - 1)])
    site.drain()
    table = tmp_path / "table.csv"
    # As it stands in the table, and as the plan's plain table would have it.
    for columns in ("*", "id, event_name, event_category, session_id, user_id, event_data, '10.0.0.1' AS ip_address, is_internal, created_at"):
        before = site.outcomes()
        with open(table, "w", encoding="utf-8") as file:
            site.database.copy_out(f"COPY (SELECT {columns} FROM analytics_events) TO STDOUT WITH (FORMAT csv, HEADER)", file)
        answer = site.must("tallymill-produce", table)
        told = "batch_id is dropped" if columns == "*" else "ip_address is dropped: --map event_data.NAME=ip_address keeps it"
        assert answer.err.count(told) == 1 and answer.err.count("is dropped") == 1, answer
        site.drain()
        stored, duplicates, dead_letters, _ = site.outcomes()
        assert (stored, duplicates, dead_letters) == (302, before[1] + 302, 0)


def test_pandas_csv_gets_in(site, tmp_path):
    frame = tmp_path / "frame.csv"
    frame.write_text(",event_name,session_id,user_id,is_internal,created_at,event_data\n"
                     "0,login,NaN,1001.0,False,2026-11-15T09:30:00Z,NaN\n1,NaN,s2,NaN,True,2026-11-15 09:30:00+00:00,\"{\"\"n\"\": 1.5}\"\n")
    events, answer = dry_run(site, frame)
    assert answer.code == 0 and answer.err.count("column 1 has no name in the header, and is dropped") == 1, answer
    assert [(one["event_name"], one["session_id"], one.get("user_id"), one.get("is_internal"), one.get("event_data")) for one in events] == [
        ("login", "NaN", 1001, None, None), ("NaN", "s2", None, True, {"n": 1.5})]
    frame.write_text(",name,n,flag,when\n0,login,NaN,True,1\n1,error,2.5,False,2\n")
    events, answer = dry_run(site, "--map", "event_name=name", "--map", "created_at=when", "--time-unit", "s", "--map", "event_data.n=n", "--rest", "event_data",
                             "--csv-types", "json", frame)
    assert [one["event_data"] for one in events] == [{"flag": True}, {"n": 2.5, "flag": False}]


def test_whole_numbers_are_exact_to_64_bits_in_every_format(site, tmp_path):
    numbers = (-2**63, 2**63, 2**64 - 1)
    made = tmp_path / "n.csv", tmp_path / "n.ndjson", tmp_path / "n.msgpack"
    made[0].write_text("event_name,n\n" + "".join(f"login,{number}\n" for number in (*numbers, 2**64)) + 'login,"18446744073709551616"\n')
    made[1].write_text("".join(json.dumps({"event_name": "login", "n": number}) + "\n" for number in (*numbers, 2**64, -2**63 - 1)))
    made[2].write_bytes(b"".join(msgpack.packb({"event_name": "login", "n": number}) for number in numbers))
    for path in made:
        events, answer = dry_run(site, "--map", "event_name=event_name", "--rest", "event_data", *(("--csv-types", "json") if path == made[0] else ()), path)
        assert [one["event_data"]["n"] for one in events[:3]] == list(numbers), answer
        if path != made[2]:
            assert answer.code == 1 and f"{path}:{5 if path == made[0] else 4}: n is beyond 64 bits: quote it to keep it as text" in answer.err, answer
    site.must("tallymill-produce", "--map", "event_name=event_name", "--rest", "event_data", made[2])
    site.drain()
    assert site.database.rows("SELECT event_data->>'n' FROM analytics_events ORDER BY (event_data->>'n')::numeric") == [(str(number),) for number in numbers]


LINES = b'{"event_name":"login","session_id":"s1"}\n{"event_name":"error","session_id":"s2","event_data":{"a":["{",{"b":"]"}]}}\n'
CSV = b'event_name,session_id\nlogin,s1\nerror,s2\n'
OBJECTS = [json.loads(line) for line in LINES.splitlines()]
PAIRS = [("login", "s1"), ("error", "s2")]


def zstd_long(data, window_log):
    """As zstd --long=N packs it."""
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    library.ZSTD_createCCtx.restype = ctypes.c_void_p
    library.ZSTD_compress2.restype = ctypes.c_size_t
    context = ctypes.c_void_p(library.ZSTD_createCCtx())
    for parameter, value in ((101, window_log), (160, 1)):  # ZSTD_c_windowLog, ZSTD_c_enableLongDistanceMatching
        library.ZSTD_CCtx_setParameter(context, parameter, value)
    library.ZSTD_CCtx_setPledgedSrcSize(context, ctypes.c_ulonglong(2**64 - 1))  # unknown, or the window would be as small as the data
    room = ctypes.create_string_buffer(len(data) + 1000)
    size = library.ZSTD_compress2(context, room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)))
    library.ZSTD_freeCCtx(context)
    return room.raw[:size]


def zip_file(data):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.ndjson", data)
    return made.getvalue()


def tar_file(data):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("a.ndjson")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def gets_in(site, path, *words):
    events, answer = dry_run(site, *words, path)
    assert answer.code == 0 and "2 events would be, 0 lines would be rejected" in answer.err, (path, answer)
    assert [(one["event_name"], one["session_id"]) for one in events] == PAIRS, (path, answer)


def test_files_get_in_in_the_forms_in_which_they_are_exported(site, tmp_path):
    pretty = json.dumps(OBJECTS, indent=2).encode()
    forms = {
        "cr.csv": CSV.replace(b"\n", b"\r"), "crlf.csv": CSV.replace(b"\n", b"\r\n"), "no-end.csv": CSV.rstrip(b"\n"),
        "cr-quotes.csv": b'"event_name","session_id"\r"login","s1"\r"error","s2"',
        "sep.csv": b"sep=;\r\n" + CSV.replace(b",", b";").replace(b"\n", b"\r\n"), "sep-tab.csv": b"\xef\xbb\xbfsep=\t\n" + CSV.replace(b",", b"\t"),
        "sep-quoted.csv": b'"sep=|"\r' + CSV.replace(b",", b"|").replace(b"\n", b"\r"),
        "cr.ndjson": LINES.replace(b"\n", b"\r"),
        "array.json": json.dumps(OBJECTS).encode(), "array-of-lines.json": b"[\n" + LINES.replace(b"\n", b",\n")[:-2] + b"\n]\n", "pretty.json": pretty,
        "pretty-stream.json": b"\n".join(json.dumps(one, indent="\t").encode() for one in OBJECTS),
        "concatenated.json": LINES.replace(b"\n", b""), "commas.json": LINES.replace(b"\n", b",\n"),
        "two-arrays.json": b"[" + LINES.splitlines()[0] + b"][" + LINES.splitlines()[1] + b"]",
        "rs.json-seq": b"".join(b"\x1e" + json.dumps(one).encode() + b"\n" for one in OBJECTS), "rs-pretty.json-seq": b"".join(b"\x1e" + json.dumps(one, indent=1).encode() for one in OBJECTS),
        "indent-0.json": json.dumps(OBJECTS, indent=0).encode(), "blanks.ndjson": b"\n \n" + LINES,
        "utf16.csv": CSV.decode().encode("utf-16"), "utf16be.csv": b"\xfe\xff" + CSV.decode().encode("utf-16-be"), "utf16.ndjson": LINES.decode().encode("utf-16"),
        "padded.ndjson.gz": gzip.compress(LINES) + bytes(70_000), "members.ndjson.gz": gzip.compress(LINES.splitlines()[0] + b"\n") + bytes(3) + gzip.compress(LINES.splitlines()[1]),
        "a.ndjson.xz": lzma.compress(LINES, preset=9), "streams.csv.xz": lzma.compress(CSV[:30]) + bytes(8) + lzma.compress(CSV[30:]),
        "a.csv.bz2": bz2.compress(CSV), "streams.ndjson.bz2": bz2.compress(LINES[:50]) + bz2.compress(LINES[50:]),
        "utf16.csv.xz": lzma.compress(CSV.decode().encode("utf-16")), "pretty.json.zst": zstd(pretty), "long.ndjson.zst": zstd_long(LINES + b"\n" * (9 << 20), 27),
    }
    for name, data in forms.items():
        path = tmp_path / name
        path.write_bytes(data)
        gets_in(site, path)
        events, answer = dry_run(site, "--format", "csv" if ".csv" in name else "ndjson", stdin=data)
        assert answer.code == 0 and len(events) == 2, (name, answer)
    semicolons = tmp_path / "sep-other.csv"
    semicolons.write_bytes(b"sep=;\n" + CSV)
    gets_in(site, semicolons, "--delimiter", ",")


def test_a_bad_object_in_a_stream_costs_one(site, tmp_path):
    good, other = (json.dumps(one, indent=2).encode() for one in OBJECTS)
    for bad in (b'{\n  "event_name": "login",,\n}', b'{\n  "event_name": "login,\n  "a": 1\n}', b'{\n  "event_name": "login",\n  "event_data": {\n', b"nonsense", b"5", b'"text"', b"}",
                b'{\n  "event_name": {"a": [\n  ]\n'):
        events, answer = dry_run(site, stdin=good + b"\n" + bad + b"\n" + other + b"\n")
        assert [(one["event_name"], one["session_id"]) for one in events] == PAIRS, (bad, answer)
        assert answer.code == 1 and "2 events would be, 1 lines" in answer.err and "stdin:2:" in answer.err, (bad, answer)
    events, answer = dry_run(site, stdin=b"[" + good + b",\n" + other)
    assert len(events) == 2 and answer.code == 1 and "the array around the objects is never closed" in answer.err, answer
    for cut in (b"\x1e[", b"\x1e\x1e[\n", b"[]["):
        events, answer = dry_run(site, stdin=cut)
        assert events == [] and answer.code == 1 and answer.err.count("is never closed") == 1, (cut, answer)
    events, answer = dry_run(site, stdin=b'{"event_name": "login"\n' + LINES)
    assert len(events) == 2 and answer.code == 1 and "stdin:1: no JSON" in answer.err, answer


def test_a_bad_object_in_a_file_of_one_line_costs_one(site):
    """Nothing but the bytes themselves tells where the next one begins."""
    each = [{"event_name": name, "session_id": f"s-{number}", "event_data": {"list": [{"x": 1}, {"y": [2, 3]}], "text": 'a "{[" b'}}
            for number, name in enumerate(["login", "signup", "logout"] * 2)]
    good = [json.dumps(one, separators=(",", ":")).encode() for one in each]
    bad = good[2]
    for broken, what in ((bad[:-1], "an object"), (bad[:-2], "two"), (bad.replace(b"[2,3]", b"[2,3"), "an array"), (bad.replace(b"[2,3]}]", b"[2,3]}"), "the outer array"),
                         (bad.replace(b'{"x":1}', b'{"x":1'), "an inner object"), (bad.replace(b"[2,3]}]", b"[2,3"), "array, object and array"), (bad.replace(b":[{", b":{"), "an opening bracket"),
                         (bad[:20], "cut before a quote"), (bad[:45], "cut before a quote"), (bad[:-4] + b"}}", "a quote"), (bad.replace(b'"s-2"', b'"s-2'), "a quote in the middle"),
                         (bad.replace(b'"s-2"', b'"he said "s", then"'), "quotes that were not escaped"), (bad + b"}", "closed twice"), (bad + b"]}", "both closed twice")):
        for array in (True, False):
            text = b",".join([*good[:2], broken, *good[3:]])
            events, answer = dry_run(site, stdin=b"[" + text + b"]" if array else text)
            seen = [one["session_id"] for one in events]
            lost = [one["session_id"] for one in each if one["session_id"] not in seen]
            assert answer.code == 1 and set(lost) <= {"s-2", "s-3"} and lost[:1] in (["s-2"], []) and seen == sorted(seen), (what, array, lost, answer)
            assert "quote" in what or "s-3" not in lost, (what, array, lost, answer)
    whole, answer = dry_run(site, stdin=b"[" + b",".join(good) + b"]")
    assert answer.code == 0 and len(whole) == 6


def test_a_bad_object_at_the_begin_of_a_large_file_of_one_line_does_not_cost_the_file(site):
    """What is left open may be an array in which objects may follow: found by the key that each object begins with."""
    good = json.dumps({"event_name": "login", "event_data": {"list": [{"x": "y" * 1000}]}}, separators=(",", ":")).encode()
    for broken in (good[:-3], good[:-2], good[:-1]):
        for count in (10, 6000):
            events, answer = dry_run(site, stdin=b"[" + b",".join([broken, *[good] * count]) + b"]")
            assert f"{count:,} events would be, 1 lines" in answer.err, (broken[-4:], count, answer.err[-2000:])


def test_what_is_not_read_is_refused_before_the_first_event_with_what_unpacks_it(site, tmp_path):
    good = tmp_path / "good.ndjson"
    good.write_bytes(LINES)
    for name, data, said in (("a.zip", zip_file(LINES), "unzip -p"), ("a.tar", tar_file(LINES), "tar -xO"), ("a.tar.gz", gzip.compress(tar_file(LINES)), "tar -xO"),
                             ("a.parquet", b"PAR1\x15\x04\x15\x10" + bytes(30) + b"PAR1", "duckdb"), ("a.csv.zip", zip_file(CSV), "unzip -p"),
                             ("a.lz4", b"\x04\x22\x4d\x18\x64\x40", "lz4"), ("utf32.csv", CSV.decode().encode("utf-32"), "iconv")):
        path = tmp_path / name
        path.write_bytes(data)
        refused = site.run("tallymill-produce", *(() if ".csv" in name else ("--format", "ndjson")), *(() if ".csv" in name else (good,)), path)
        assert refused.code == 2 and said in refused.err and str(path) in refused.err, refused
        events, answer = dry_run(site, stdin=data)
        assert (answer.code, events) == (2, []) and said in answer.err, (name, answer)
    assert sum(site.end_offsets().values()) == 0


def test_a_mapped_field_that_is_nowhere_is_told_with_the_nearest(site, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("Event Name,Session ID\nlogin,s1\n")
    for stdin in (False, True):
        words = ("--map", "event_name=Event Name", "--map", "session_id=Sesion ID")
        refused = site.run("tallymill-produce", *words, *(("--format", "csv") if stdin else (table,)), stdin=table.read_bytes() if stdin else b"")
        assert refused.code == 2 and "no CSV header has the field 'Sesion ID' that was mapped: did you mean 'Session ID'?" in refused.err, refused
    refused = site.run("tallymill-produce", "--map", "event_name=event_name", "--rest", "none", table)
    assert refused.code == 2 and "did you mean 'Event Name'?" in refused.err, refused
    events, answer = dry_run(site, table)
    assert answer.code == 1 and "no CSV header has event_name: say --map event_name='Event Name'" in answer.err, answer
    table.write_text("event_name;session_id\nlogin;s1\n")
    refused = site.run("tallymill-produce", "--map", "event_name=event_name", "--delimiter", ",", table)
    assert refused.code == 2 and "--delimiter ';'" in refused.err, refused
    assert sum(site.end_offsets().values()) == 0
    lines = b'{"event_name": "login", "user": {"session_id": "s"}}\n' * 1500
    for some in (lines, lines[:53 * 2]):
        events, answer = dry_run(site, "--map", "event_name=event_name", "--map", "session_id=user.sesion_id", "--rest", "none", stdin=some)
        assert answer.code == 0 and answer.err.count("has the field 'user.sesion_id' that was mapped: did you mean 'user.session_id'?") == 1, answer


def test_nothing_comes_of_a_file_that_is_not_empty_without_a_word(site):
    for words, data, said in ((("--format", "csv"), b"event_name,session_id\n", "only a header, of 2 names"), ((), b"\n \n", "no record"), ((), b"[]", "no record"),
                              (("--format", "csv"), b"\n\n", "no record"), ((), b"\x1e", "no record")):
        events, answer = dry_run(site, *words, stdin=data)
        assert answer.code == 1 and events == [] and said in answer.err, (data, answer)
    assert dry_run(site)[1].code == 0


def test_a_web_servers_log_gets_in(site):
    log = (b'83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a?b=\\"c\\" HTTP/1.1" 200 203023 "http://x/" "Mozilla/5.0 (Macintosh)"\n'
           b'example.org:443 ::1 - frank [17/May/2015:12:05:43 +0200] "-" 408 - "-" "-" "10.0.0.1"\n' b"no log\n"
           b'10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 304 0\n')
    events, answer = dry_run(site, "--format", "combined", "--const", "event_name=page_view", "--map", "session_id=client", "--map", "created_at=time", "--rest", "event_data", stdin=log)
    assert answer.code == 1 and "stdin:3: no line of a combined log: no [time]" in answer.err, answer
    assert [(one["session_id"], one["created_at"]) for one in events] == [("83.149.9.216", "2015-05-17T10:05:03Z"), ("::1", "2015-05-17T10:05:43Z"), ("10.0.0.1", "2015-05-17T10:05:03Z")]
    assert [one["event_data"] for one in events] == [
        {"method": "GET", "path": '/a?b="c"', "protocol": "HTTP/1.1", "status": 200, "bytes": 203023, "referrer": "http://x/", "agent": "Mozilla/5.0 (Macintosh)"},
        {"host": "example.org:443", "user": "frank", "status": 408, "extra": '"10.0.0.1"'},
        {"method": "GET", "path": "/", "protocol": "HTTP/1.0", "status": 304, "bytes": 0}]


def test_events_outside_the_window_are_counted_before_and_after_they_are_sent(make_site):
    old = events_at(*["2015-05-17T10:05:03Z"] * 3, "2999-01-01T00:00:00Z") + b'{"event_name": "login"}\n'
    for policy, said in (("reject", "become dead letters"), ("clamp", "be stored at Kafka's time")):
        site = make_site(**{"window.oldest": "13 months", "window.policy": policy})
        for words in (("--dry-run",), ()):
            answer = site.run("tallymill-produce", *words, stdin=old)
            assert f"3 of 5 lie before window.oldest = 13 months (by this file's settings): they will {said}" in answer.err, answer
            assert f"1 of 5 lie beyond window.ahead = 1 day (by this file's settings): they will {said}" in answer.err, answer
        site.drain()
        assert site.outcomes()[2] == (4 if policy == "reject" else 0)
    answer = site.must("tallymill-produce", stdin=b'{"event_name": "login"}\n')
    assert "window" not in answer.err, answer


def test_ids_of_other_systems_become_uuids_of_their_text(make_site):
    site = make_site()
    lines = '{"id": "order-1001", "event_name": "login"}\n{"id": "täglich 5", "event_name": "login"}\n{"id": 17, "event_name": "login"}\n'.encode()
    events, answer = dry_run(site, stdin=lines)
    assert answer.code == 1 and events == [] and answer.err.count("id is no UUID: --id-from-text makes one of it") == 3, answer
    topic = site.topic
    space = uuid.uuid5(uuid.UUID(int=0), f"tallymill:{topic}")
    events, answer = dry_run(site, "--id-from-text", stdin=lines)
    assert [one["id"] for one in events] == [str(uuid.uuid5(space, text)) for text in ("order-1001", "täglich 5", "17")], answer
    events, answer = dry_run(site, "--id-from-text", "--set", "topics.events=analytics-events", stdin=lines)
    page = (pathlib.Path(__file__).parents[2] / "schemas" / "wire.md").read_text(encoding="utf-8")
    for one, text in zip(events, ("order-1001", "täglich 5")):
        assert f"`{text}` becomes `{one['id']}`" in page
    site.must("tallymill-produce", "--id-from-text", "--const", "created_at=" + events[0]["created_at"], stdin=lines)
    site.must("tallymill-produce", "--id-from-text", "--const", "created_at=" + events[0]["created_at"], stdin=lines)
    site.drain()
    assert site.outcomes() == (3, 3, 0, 0)


def test_an_empty_map_as_php_and_lua_write_it_is_one(site):
    site.send([event("login", session_id="wire", event_data=[])])
    site.must("tallymill-produce", stdin=b'{"event_name": "login", "event_data": []}\n')
    site.send([event("login", event_data=[1])])
    site.drain()
    assert site.outcomes()[:3] == (2, 0, 1)
    assert site.database.rows("SELECT event_data FROM analytics_events") == [({},), ({},)]


GUESSED = {
    "segment.ndjson": ('{"messageId": "ajs-1", "type": "track", "event": "login", "anonymousId": "s1", "userId": "u", "timestamp": "2026-11-15T09:30:00.000Z", "properties": {"n": 1}}',
                       "Segment", ("login", "s1", {"n": 1, "user": "u"})),
    "posthog.ndjson": ('{"uuid": "019bc0fd-8aba-7a3c-9d4e-5f60718293a4", "event": "login", "distinct_id": "s1", "timestamp": "2026-11-15 09:30:00+00:00", "properties": {"n": 1}}',
                       "PostHog", ("login", "s1", {"n": 1})),
    "snowplow.ndjson": ('{"event_id": "019bc0fd-8aba-7a3c-9d4e-5f60718293a4", "event_name": "login", "collector_tstamp": "2026-11-15 09:30:00.000", "domain_sessionid": "s1", "n": 1}',
                        "Snowplow", ("login", "s1", {"n": 1})),
    "umami.csv": ("website_id,session_id,created_at,url_path,event_name\nw,s1,2026-11-15 09:30:00,/,\n", "Umami", ("page_view", "s1", {"website_id": "w", "url_path": "/"})),
    "plausible.csv": ("timestamp,name,session_id,pathname\n2026-11-15 09:30:00,login,s1,/\n", "Plausible", ("login", "s1", {"pathname": "/"})),
    "matomo.json": ('[{"idVisit": 5, "visitorId": "s1", "serverTimestamp": 1794735000, "n": 1}]', "Matomo", ("visit", "s1", {"idVisit": 5, "n": 1})),
    "ga4.ndjson": ('{"event_timestamp": 1794735000000000, "event_name": "login", "user_pseudo_id": "s1", "n": 1}', "GA4", ("login", "s1", {"n": 1})),
    "access.log": ('s1 - - [15/Nov/2026:10:30:00 +0100] "-" 408 -\n', "log", ("page_view", "s1", {"status": 408})),
    "slashes.csv": ("event_name,session_id,When,n\nlogin,s1,2026/11/15 09:30:00,1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "named-month.csv": ("event_name,session_id,When,n\nlogin,s1,\"Nov 15, 2026 09:30:00\",1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "semicolons.csv": ("event_name;session_id;when;n\nlogin;s1;2026-11-15 09:30;1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "tabs.tsv": ("event_name\tsession_id\twhen\tn\nlogin\ts1\t2026-11-15 09:30\t1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "bars.txt": ("event_name|session_id|when|n\nlogin|s1|2026-11-15 09:30|1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "days.csv": ("event_name;session_id;Zeitpunkt;n\nlogin;s1;15.11.2026 09:30;1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "halves.tsv": ("event_name\tvisitor\tWhen\tn\nlogin\ts1\t11/15/2026 09:30 AM\t1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "digits.csv": ("event_name,session_id,When,n\nlogin,s1,20261115093000,1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "points.csv": ("event_name,session_id,When,n\nlogin,s1,2026.11.15 09:30:00,1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "java.csv": ("event_name,session_id,When,n\nlogin,s1,2026-11-15T10:30:00+01:00[Europe/Berlin],1\n", "known", ("login", "s1", {"n": "1"})),
    "first-is-empty.csv": ("event_name,session_id,When,n\nlogin,s1,,\nlogin,s1,2026-11-15 09:30,1\n", "no time zone", ("login", "s1", {"n": "1"})),
    "first-is-another.ndjson": ('{"index": {}}\n{"event_name": "login", "session_id": "s1", "When": "2026/11/15 09:30", "n": 1}\n', "no time zone", ("login", "s1", {"n": 1})),
    "own.csv": ("Event Name,Session,When,n's\nlogin,s1,2026-11-15 09:30,1\n", "none of the known", ("login", "s1", {"n's": "1"})),
}


def test_a_guess_prints_the_command_that_imports_the_file(site, tmp_path):
    for name, (text, said, (event_name, session_id, data)) in GUESSED.items():
        path = tmp_path / name
        path.write_text(text)
        answer = site.run("tallymill-produce", "--guess", path)
        assert answer.code == 0 and said in answer.err and answer.out.count("\n") == 1, (name, answer)
        assert ("--csv-types json" in answer.err) == ("1" in data.values()), (name, answer)
        program, *words = shlex.split(answer.out)
        assert program == "tallymill-produce" and words[:2] == ["--config", str(site.settings)], answer
        events, answer = dry_run(site, *words)
        if "first-is-" in name:
            assert answer.code == 1 and "1 events would be, 1 lines" in answer.err, answer
            answer.code = 0
        assert [(one["event_name"], one["session_id"], one["event_data"], one["created_at"]) for one in events] == [(event_name, session_id, data, "2026-11-15T09:30:00Z")], (name, answer)
        assert answer.code == 0, answer
    assert sum(site.end_offsets().values()) == 0


def test_a_guess_takes_days_from_months_by_all_it_has_read_and_names_what_is_left_to_say(site, tmp_path):
    path = tmp_path / "orders.csv"
    days = [f"{number % 12 + 1:02}/{number % 12 + 1:02}/2026 10:00:00" for number in range(40)]
    for last, said, proposed in (("02/13/2026 10:00:00", "no time zone", "'%m/%d/%Y %H:%M:%S'"), ("13/02/2026 10:00:00", "no time zone", "'%d/%m/%Y %H:%M:%S'"),
                                 ("01/02/2026 10:00:00", "no record shows which", "'%d/%m/%Y %H:%M:%S'"), ("02/13/2026 10:00", "not known", "--time-format")):
        path.write_text("Bestellung,Kunde,Zeitpunkt\n" + "".join(f"B{number},K{number % 3},{day}\n" for number, day in enumerate([*days, last])))
        answer = site.run("tallymill-produce", "--guess", path)
        assert answer.code == 0 and "--map created_at=Zeitpunkt" in answer.out and proposed in answer.out and said in answer.err, answer
        assert "no field is named like an event" in answer.err and "no field is named like a session" in answer.err, answer
        assert answer.err.count("The fields are: Bestellung, Kunde, Zeitpunkt\n") == 1, answer
    path.write_text("event,user_id,n\nlogin,anna,1\n")
    answer = site.run("tallymill-produce", "--guess", path)
    assert answer.code == 0 and "user_id" not in answer.out and "without --map created_at=FIELD the events happen now" in answer.err, answer
    path = tmp_path / "access.log"
    path.write_text('- - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"\n')
    answer = site.run("tallymill-produce", "--guess", path)
    events, imported = dry_run(site, *shlex.split(answer.out)[1:])
    assert answer.code == imported.code == 0 and "no line has a client" in answer.err and [one["created_at"] for one in events] == ["2015-05-17T10:05:03Z"], (answer, imported)


def test_a_guess_says_which_option_is_missing_where_it_cannot_read_the_file(site, tmp_path):
    for name, text, said in (("wrapped.json", '{"status": "ok", "result": {"rows": [{"event_name": "login"}]}}', "jq -c '.result.rows[]'"), ("empty.ndjson", "", "empty.ndjson"),
                             ("caret.csv", "event_name^When\nlogin^2026-11-15\n", "say --guess --delimiter '^'"), ("hive.csv", "event_name\1When\nlogin\0012026-11-15\n", "--delimiter $'\\x01'"),
                             ("numbers.txt", "5\t2026-11-15\n6\t2026-11-16\n", "without a header")):
        path = tmp_path / name
        path.write_text(text)
        answer = site.run("tallymill-produce", "--guess", path)
        assert answer.code == 2 and said in answer.err and answer.out == "", (name, answer)
