"""Imports by tallymill-produce: every format becomes rows, and a killed import that is resumed becomes exactly its lines."""

import bz2
import contextlib
import csv
import ctypes
import ctypes.util
import gzip
import io
import itertools
import json
import lzma
import os
import pathlib
import random
import threading
import time
import uuid

import msgpack
import pytest

from .harness.waiting import wait_until

# Daily a size that takes seconds; TALLYMILL_IMPORT_LINES=1000000 is the full one.
LINES = int(os.environ.get("TALLYMILL_IMPORT_LINES", "120000"))
KILLS = 5


def zstd(data):
    """One zstd frame, by the library itself: Python 3.11 has none."""
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = library.ZSTD_compress(room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), 3)
    return room.raw[:size]


def line(number):
    """An event without id and time: both come from where it stands. Every thousandth is none."""
    if number % 1000 == 7:
        return b'{"event_name": \n'
    return b'{"event_name": "page_view", "session_id": "s%d", "event_data": {"n": %d}}\n' % (number % 997, number)


def rows(site):
    return site.database.rows("SELECT event_name, session_id, user_id, event_data, extract(epoch FROM created_at)::numeric::text"
                              " FROM analytics_events ORDER BY created_at, session_id")


def saved_line(resume):
    """How far the resume file says that the import is, over all its files."""
    return sum(one["line"] for one in json.loads(resume.read_text())["files"]) if resume.exists() else 0


def test_an_import_killed_at_random_and_resumed_is_exactly_its_lines(site, tmp_path):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print("seed", seed)
    half = LINES // 2
    plain, packed, resume, rejects = (tmp_path / name for name in ("a.ndjson", "b.ndjson.gz", "resume", "rejects"))
    plain.write_bytes(b"".join(map(line, range(half))))
    packed.write_bytes(gzip.compress(b"".join(map(line, range(half, LINES))), 1))
    words = ("--resume", resume, "--reject-file", rejects, "--rate", LINES / 8, plain, packed)

    kills = 0
    while kills < KILLS:
        before = saved_line(resume)
        importing = site.start("tallymill-produce", *words)
        # Each second kill waits until something was saved, so that later parts are interrupted too.
        if kills % 2:
            wait_until(lambda: saved_line(resume) > before or not importing.is_running(), 60, "the import to save how far it is")
        moment = chance.uniform(0.05, 1.0) + os.times().elapsed
        wait_until(lambda: os.times().elapsed >= moment or not importing.is_running(), 30, "the moment of the kill")
        if not importing.is_running():
            break
        importing.kill()
        kills += 1
    assert kills == KILLS or saved_line(resume) == LINES, "the import ended before it was killed often enough"
    last = site.start("tallymill-produce", *words, "--rate", 1e9)
    assert last.wait(300) == 1, last.log()  # there were bad lines

    bad = [number for number in range(LINES) if number % 1000 == 7]
    told = [json.loads(one) for one in rejects.read_text().splitlines()]
    assert [(one["file"], one["line"]) for one in told] == [
        (str(plain), number + 1) if number < half else (str(packed), number - half + 1) for number in bad]

    site.drain(300)
    good = LINES - len(bad)
    assert site.database.rows("SELECT count(*), count(DISTINCT event_data->'n'), count(DISTINCT created_at),"
                              " sum((event_data->>'n')::bigint) FROM analytics_events") == [
        (good, good, 1, sum(range(LINES)) - sum(bad))]
    stored, duplicates, dead_letters, _ = site.outcomes()
    assert (stored, dead_letters) == (good, 0)
    print(f"{kills} kills, {duplicates} events were sent a second time")
    # The ids are those that the resume file's identities and the line numbers make.
    kept = json.loads(resume.read_text())
    expected = {str(uuid.uuid5(uuid.UUID(kept["files"][0]["id"]), str(number))) for number in (1, 2, 3)}
    assert {identity for identity, in site.database.rows(
        "SELECT id::text FROM analytics_events WHERE (event_data->>'n')::bigint < 3")} == expected
    # Once more: everything is done already.
    again = site.must("tallymill-produce", "--resume", resume, plain, packed, "--json") if not bad else site.run(
        "tallymill-produce", "--resume", resume, plain, packed, "--json")
    assert json.loads(again.out)["sent"] == 0, again


def test_csv_msgpack_and_packed_files_become_the_same_rows(make_site, tmp_path):
    site = make_site(**{"window.oldest": "2025-01-01"})
    texts = ["plain", "comma, quote \" and\nline", "ünï", ""]
    csv_file, msgpack_file, ndjson_file = tmp_path / "a.csv.gz", tmp_path / "a.msgpack.zst", tmp_path / "a.ndjson.zst"
    with gzip.open(csv_file, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["what", "at", "who", "text", "n"])
        for number, text in enumerate(texts):
            writer.writerow(["login", 1768469400000 + number, f"s{number}", text, number])
    msgpack_file.write_bytes(zstd(b"".join(
        msgpack.packb({"id": uuid.uuid4().bytes, "event_name": "login", "session_id": f"s{number}", "created_at": 1768469400000000 + number * 1000,
                       "event_data": {"n": number, **({"text": text} if text else {})}}) for number, text in enumerate(texts))))
    ndjson_file.write_bytes(zstd("".join(
        json.dumps({"kind": {"name": "login"}, "time": f"2026-01-15T09:30:00.00{number}Z", "user": {"session": f"s{number}"},
                    "n": number, **({"text": text} if text else {})}) + "\n" for number, text in enumerate(texts)).encode()))
    made = []
    for words in (("--format", "csv", "--csv-types", "json", "--map", "event_name=what", "--map", "created_at=at", "--time-unit", "ms",
                   "--map", "session_id=who", "--rest", "event_data", csv_file),
                  ("--format", "msgpack", msgpack_file),
                  ("--map", "event_name=kind.name", "--map", "created_at=time", "--map", "session_id=user.session", "--map", "event_data.n=n",
                   "--map", "event_data.text=text", ndjson_file)):
        site.must("tallymill-produce", *words)
        site.drain()
        made.append(rows(site))
        site.database.run("DELETE FROM analytics_events")
    assert made[0] == made[1] == made[2]
    assert [row[3] for row in made[0]] == [{"n": number, **({"text": text} if text else {})} for number, text in enumerate(texts)]


def test_a_dry_run_shows_events_and_bad_lines_and_sends_nothing(site, tmp_path):
    rejects = tmp_path / "rejects"
    shown = site.run("tallymill-produce", "--dry-run", "--reject-file", rejects, "--map", "event_name=kind", "--default", "event_name=login",
                     "--rest", "event_data", stdin=b'{"kind": "error", "a": {"b": [1]}}\n{"c": 2}\n{"kind": 5.5}\nno\n')
    assert shown.code == 1 and "nothing was sent: 2 events would be, 2 lines would be rejected" in shown.err, shown
    values = [json.loads(one)["value"] for one in shown.out.splitlines()]
    assert [(value["event_name"], value["event_data"]) for value in values] == [("error", {"a": {"b": [1]}}), ("login", {"c": 2})]
    assert [json.loads(one)["line"] for one in rejects.read_text().splitlines()] == [3, 4]
    assert sum(site.end_offsets().values()) == 0


def test_a_growing_file_is_followed_until_a_signal_and_resumed(site, tmp_path):
    growing, resume = tmp_path / "growing.ndjson", tmp_path / "resume"

    def grow(text):
        with open(growing, "ab") as file:
            file.write(text)

    def sent():
        return sum(site.end_offsets().values())

    grow(line(1) + line(2))
    following = site.start("tallymill-produce", "--follow", "--resume", resume, growing)
    wait_until(lambda: sent() == 2, 30, "two lines to be sent")
    grow(line(3)[:20])
    grow(line(3)[20:] + line(4)[:30])
    wait_until(lambda: sent() == 3, 30, "the third line to be sent")
    wait_until(lambda: saved_line(resume) == 3, 30, "an idle import to save how far it is")
    assert following.stop() == 0, following.log()
    assert sent() == 3
    grow(line(4)[30:])
    following = site.start("tallymill-produce", "--follow", "--resume", resume, growing)
    wait_until(lambda: sent() == 4, 30, "the fourth line to be sent")
    growing.rename(tmp_path / "rotated")
    growing.write_bytes(line(5))
    assert following.wait(30) == 1 and "another file has taken its place" in following.log(), following.log()
    site.drain()
    assert site.outcomes() == (4, 0, 0, 0)


def test_an_import_stopped_by_a_signal_goes_on_without_sending_a_line_twice(site, tmp_path):
    source, resume = tmp_path / "lines.ndjson", tmp_path / "resume"
    source.write_bytes(b"".join(map(line, range(10, 800))))
    importing = site.start("tallymill-produce", "--rate", 300, "--resume", resume, source)
    wait_until(lambda: sum(site.end_offsets().values()) > 30, 30, "the import to be under way")
    assert importing.stop() == 1, importing.log()
    assert 30 < saved_line(resume) == sum(site.end_offsets().values()) < 790
    site.must("tallymill-produce", "--resume", resume, source)
    site.drain()
    assert site.outcomes() == (790, 0, 0, 0)


def test_packed_streams_and_utf16_are_resumed_object_by_object(site, tmp_path):
    objects = [{"event_name": "login", "session_id": f"s{number % 7}", "event_data": {"n": number}} for number in range(2400)]
    array, stream, wide, resume = (tmp_path / name for name in ("array.json.xz", "stream.json.bz2", "wide.ndjson", "resume"))
    array.write_bytes(lzma.compress(json.dumps(objects[:200], indent=1).encode()))
    stream.write_bytes(bz2.compress(b"".join(b"\x1e" + json.dumps(one).encode() + b"\n" for one in objects[200:400])))
    wide.write_bytes("\r".join(map(json.dumps, objects[400:])).encode("utf-16"))
    words = ("--resume", resume, array, stream, wide)
    for least in (100, 300, 500):  # a stop in each of the files; the last is long, so that a busy machine stops it in time, too
        importing = site.start("tallymill-produce", "--rate", 300, *words)
        wait_until(lambda least=least: sum(site.end_offsets().values()) > least, 30, "the import to be under way")
        assert importing.stop() == 1, importing.log()
    site.must("tallymill-produce", *words)
    site.drain()
    assert site.outcomes() == (2400, 0, 0, 0)
    assert site.database.rows("SELECT count(DISTINCT event_data->'n'), count(DISTINCT id) FROM analytics_events") == [(2400, 2400)]


def test_a_file_that_grows_into_another_form_is_not_resumed(site, tmp_path):
    growing, resume = tmp_path / "growing.ndjson", tmp_path / "resume"
    growing.write_bytes(b'{"event_name": "login"}')
    site.must("tallymill-produce", "--resume", resume, growing)
    growing.write_bytes(b'{"event_name": "login"}, {"event_name": "error"}')
    refused = site.run("tallymill-produce", "--resume", resume, growing)
    assert refused.code == 2 and "was read as lines" in refused.err and "is stream now" in refused.err, refused
    assert sum(site.end_offsets().values()) == 1


def test_a_resume_file_of_another_import_is_refused_and_nothing_sent(site, tmp_path):
    one, resume = tmp_path / "one.ndjson", tmp_path / "resume"
    one.write_bytes(line(1))
    site.must("tallymill-produce", "--resume", resume, one)
    for words, said in ((("--const", "user_id=5"), "mapping"), (("--format", "combined"), "mapping")):
        refused = site.run("tallymill-produce", "--resume", resume, *words, one)
        assert refused.code == 2 and said in refused.err, refused
    one.write_bytes(line(2))
    refused = site.run("tallymill-produce", "--resume", resume, one)
    assert refused.code == 2 and "is not the file" in refused.err, refused
    assert sum(site.end_offsets().values()) == 1


def visit(number):
    return {"kind": "page_view", "who.session": f"session-{number % 5003}", "path": f"/articles/{number}/view", "status": 200, "bytes": number * 7,
            "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36", "score": number / 7}


def large_record(number):
    return {"kind": "error", "who.session": "s", "n": number, "text": "x" * 20_000}


def as_csv(records):
    text = io.StringIO(newline="")
    rows = csv.DictWriter(text, records[0])
    rows.writeheader()
    rows.writerows(records)
    return text.getvalue().encode()


WRITERS = {"ndjson": lambda records: b"".join(json.dumps(record).encode() + b"\n" for record in records),
           "msgpack": lambda records: b"".join(map(msgpack.packb, records)), "csv": as_csv}


def peak_kib(site, form, pieces, count, deadline=120):
    """The most memory of an import of so many events, looked at when all are in Kafka and it waits for more."""
    goal = sum(site.end_offsets().values()) + count
    reading, writing = os.pipe()
    importing = site.start("tallymill-produce", "--format", form, "--map", "event_name=kind", "--map", "session_id=who.session", "--rest", "event_data",
                           stdin=reading)
    os.close(reading)
    with open(writing, "wb", buffering=0) as pipe:
        def pour():
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[pipe.write(left):]

        pouring = threading.Thread(target=pour)
        pouring.start()
        wait_until(lambda: sum(site.end_offsets().values()) == goal or not importing.is_running(), deadline, "the events to be in Kafka")
        pouring.join()
        assert importing.is_running(), importing.log()
        # Not what wait4 tells: that includes what pytest had when it forked.
        status = dict(field.split(":", 1) for field in pathlib.Path(f"/proc/{importing.pid}/status").read_text(encoding="ascii").splitlines())
    assert importing.wait() == 0, importing.log()
    return int(status["VmHWM"].split()[0])


FLAT_KIB = 12 * 1024  # between a megabyte and any size: what the queue holds


@pytest.mark.parametrize("form, record, count", [("ndjson", visit, 4_000), ("csv", visit, 4_000), ("msgpack", visit, 4_000), ("ndjson", large_record, 50)])
def test_memory_is_the_same_for_one_megabyte_and_for_fifty(site, form, record, count):
    small, large = (peak_kib(site, form, [WRITERS[form](list(map(record, range(number))))], number) for number in (count, 50 * count))
    print(form, small, large)
    assert large - small < FLAT_KIB, (small, large)


GIB = int(os.environ.get("TALLYMILL_IMPORT_GIB", "0"))


@pytest.mark.skipif(GIB == 0, reason="by name: TALLYMILL_IMPORT_GIB=10 tests/run integration -- -k gibibytes -s")
def test_gibibytes_take_the_memory_of_a_megabyte(site, capsys):
    """Of which Kafka keeps only the last."""
    site.set_topic(retention_bytes=str(64 << 20), segment_bytes=str(16 << 20))
    chunk = WRITERS["ndjson"](list(map(visit, range(30_000))))
    chunks = (GIB << 30) // len(chunk) + 1
    small = peak_kib(site, "ndjson", [WRITERS["ndjson"](list(map(visit, range(4_000))))], 4_000)
    began = time.monotonic()
    large = peak_kib(site, "ndjson", itertools.repeat(chunk, chunks), chunks * 30_000, deadline=GIB * 600)
    with capsys.disabled():
        print(f"\n{chunks * 30_000:,} events, {chunks * len(chunk) / 2**30:.1f} GiB in {time.monotonic() - began:.0f} s;"
              f" peak {large} KiB, of a megabyte {small} KiB")
    assert large - small < FLAT_KIB, (small, large)


def test_made_up_events_can_happen_when_they_are_due(site):
    done = site.must("tallymill-produce", "--generate", 2000, "--rate", 1000, "--live", "--json")
    told = json.loads(done.out)
    assert told["acknowledged"] == 2000 and 0 < told["latency_us"]["p50"] <= told["latency_us"]["max"], told
    site.drain()
    # By the timetable, whatever the machine was doing: exactly 1.999 s from the first to the last, a millisecond apart.
    assert site.database.rows("SELECT count(*), extract(epoch FROM max(created_at) - min(created_at))::float8,"
                              " count(DISTINCT created_at) FROM analytics_events") == [(2000, 1.999, 2000)]
