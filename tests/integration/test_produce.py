"""tallymill-produce as an importer: good lines are sent whatever stands beside them, bad ones named and kept."""

import datetime
import gzip
import json
import re

from checker.check import read_acknowledged

from .harness.publisher import now_us


def line(number, **more):
    return json.dumps({"event_name": "login", "session_id": f"s{number}", "created_at": now_us() - number, **more}).encode()


def test_what_it_calls_acknowledged_is_what_the_checker_finds(site, tmp_path):
    acknowledged = tmp_path / "acknowledged"
    sent = site.produce("--generate", "5000", "--days", "2", "--ack-log", acknowledged)
    assert sent.code == 0, sent
    listed = read_acknowledged(acknowledged)
    assert len(listed) == 5_000 and all(offset is not None for _, _, offset in listed)
    site.drain()
    site.fold()
    assert site.assert_holds(acknowledged=listed).figures["acknowledged"] == 5_000


def test_the_same_seed_days_and_end_give_the_same_events(site):
    until = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    for _ in range(2):
        sent = site.produce("--generate", "3000", "--seed", "11", "--days", "2", "--until", until)
        assert sent.code == 0, sent
    site.drain()
    assert site.outcomes() == (3_000, 3_000, 0, 0)
    site.fold()
    site.assert_holds()


def test_good_lines_are_sent_and_bad_ones_kept_with_number_and_reason(site, tmp_path):
    rejects = tmp_path / "rejects"
    lines = [b"\xef\xbb\xbf" + line(1), line(2) + b"\r", b"", b"{", line(5)[:-9], b"[1, 2]", b'"text"', line(8, event_data={"a": "\u0000"}),
             b'{"event_name": "login", "event_name": "login", "created_at": 1}', b"\xff\xfe", line(11), line(12)[:-1]]
    sent = site.produce("--reject-file", rejects, "--time-unit", "us", stdin=b"\n".join(lines))
    assert sent.code == 1, sent
    kept = rejects.read_text(errors="replace")
    for number in (4, 5, 6, 7, 9, 10, 12):
        assert re.search(rf"\b{number}\b", kept), (number, kept)
    site.drain()
    site.fold()
    sessions = {session for session, in site.database.rows("SELECT session_id FROM analytics_events")}
    assert {"s1", "s2", "s11"} <= sessions <= {"s1", "s2", "s8", "s11"}
    site.assert_holds()


def test_a_line_of_many_megabytes_is_refused_and_its_neighbours_sent(site):
    sent = site.produce("--time-unit", "us", stdin=b"\n".join([line(1), line(2, event_data={"x": "a" * 30_000_000}), line(3)]) + b"\n")
    assert sent.code == 1 and re.search(r"\b2\b", sent.err), sent.code
    site.drain()
    assert site.outcomes() == (2, 0, 0, 0)


def test_files_plain_and_compressed_are_read_in_their_order(site, tmp_path):
    (tmp_path / "a.ndjson").write_bytes(line(1) + b"\n" + line(2))
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(line(3) + b"\n"))
    sent = site.produce("--time-unit", "us", tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz")
    assert sent.code == 0, sent
    site.drain()
    assert site.outcomes() == (3, 0, 0, 0)
    missing = site.produce(tmp_path / "c.ndjson")
    assert missing.code != 0 and "c.ndjson" in missing.err, missing


def test_the_report_is_json_when_asked(site):
    sent = site.produce("--generate", "100", "--json")
    assert sent.code == 0 and json.loads(sent.out)["acknowledged"] == 100, sent


def test_help_shows_the_form_of_a_time_that_until_takes(site):
    shown = next(line for line in site.produce("--help").out.splitlines() if line.strip().startswith("--until"))
    form = re.search(r"as (\S+) ", shown)[1]
    site.must("tallymill-produce", "--generate", "5", "--until", form)
    refused = site.produce("--generate", "5", "--until", form[:10])
    assert refused.code == 2 and form in refused.err, refused
